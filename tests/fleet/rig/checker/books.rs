//! I1 to I3: nothing lost, nothing twice, and what is called sent was sent.

use std::collections::{HashMap, HashSet};

use ringfleet_simulator::SmsLine;
use ringfleet_store::{MessageId, State, Stats};

use super::{Records, walk::Record};
use crate::rig::{Ends, Except, Rig, handed::Key, lock};

pub(in crate::rig) fn balance(
    rig: &Rig,
    ends: &Ends,
    stats: &Stats,
    records: &Records,
    ledger: &[SmsLine],
) -> Vec<String> {
    let mut broken = acknowledged_is_there(rig, ends, stats, records);
    broken.extend(sent_was_accepted(rig, ends, records, ledger));
    broken
}

/// I1: every acknowledged message is sent or visibly waiting, and the sums are equal.
fn acknowledged_is_there(rig: &Rig, ends: &Ends, stats: &Stats, records: &Records) -> Vec<String> {
    let mut broken = Vec::new();
    let handed = lock(&rig.handed);
    let junk = ends.at_most(|except| if let Except::Junk { at_most } = except { Some(*at_most) } else { None });
    let lost: Vec<_> =
        handed.iter().filter(|handed| !records.contains_key(&handed.id)).map(|handed| handed.id).collect();
    if lost.len() as u64 > junk {
        broken.push(format!("I1, lost: {} acknowledged messages are not in the store: {lost:?}", lost.len()));
    }
    let acknowledged = handed.len() as u64 + *lock(&rig.elsewhere);
    if stats.total() != acknowledged {
        broken
            .push(format!("I1, the sums differ: {acknowledged} were acknowledged, the store counts {}", stats.total()));
    }
    let waiting = records.values().filter(|record| !record.is_over()).count() as u64;
    if !ends.waiting.allows(waiting) {
        broken.push(format!("I1, {waiting} messages wait at the end, the test says {:?}: {stats:?}", ends.waiting));
    }
    let not_sent = records.values().filter(|record| record.is_over() && !record.state.was_sent()).count() as u64;
    let permitted = ends.at_most(|except| if let Except::NotSent { at_most } = except { Some(*at_most) } else { None });
    // What a test has spoilt is put aside as given up.
    if not_sent > permitted + junk {
        broken.push(format!("I1, {not_sent} messages were not sent, {permitted} are excepted: {stats:?}"));
    }
    broken
}

/// I2 and I3: the provider accepted no message twice; what the store calls sent was accepted under that id; and what was
/// accepted beyond that is held or unknown.
fn sent_was_accepted(rig: &Rig, ends: &Ends, records: &Records, ledger: &[SmsLine]) -> Vec<String> {
    let mut broken = Vec::new();
    let accepted: Vec<(&SmsLine, Key)> = ledger
        .iter()
        .filter(|send| send.outcome == "accepted")
        .filter_map(|send| Some((send, (send.from.clone()?, send.to.clone()?, send.text_hash.clone()?))))
        .collect();
    let handed = lock(&rig.handed);
    let keys: HashMap<MessageId, &Key> = handed.iter().map(|handed| (handed.id, &handed.key)).collect();
    let mut copies: HashMap<&Key, u64> = HashMap::new();
    for handed in handed.iter() {
        *copies.entry(&handed.key).or_default() += 1;
    }
    let mut arrived: HashMap<&Key, u64> = HashMap::new();
    for (_, key) in &accepted {
        *arrived.entry(key).or_default() += 1;
    }
    // Of what somebody else handed in only the number is known; each is another text.
    let mut strangers = *lock(&rig.elsewhere);
    let twice_by_policy =
        ends.at_most(|except| if let Except::SentTwice { at_most } = except { Some(*at_most) } else { None });
    let mut too_many = 0;
    for (key, count) in &arrived {
        let copies = copies.get(key).copied().unwrap_or_else(|| {
            let one = u64::from(strangers > 0);
            strangers -= one;
            one
        });
        too_many += count.saturating_sub(copies);
    }
    if too_many > twice_by_policy {
        broken.push(format!("I2, sent twice: {too_many} texts were accepted once too often"));
    }

    let by_id: HashMap<String, &Key> =
        accepted.iter().filter_map(|(send, key)| Some((send.id?.to_string(), key))).collect();
    let mut credited: HashSet<&str> = HashSet::new();
    for (id, record) in records.iter().filter(|(_, record)| record.state.was_sent() && !record.provider_id.is_empty()) {
        if !credited.insert(&record.provider_id) {
            broken.push(format!("I3, two messages are sent by the same text of the provider: {id}"));
        }
        match by_id.get(&record.provider_id) {
            None => broken.push(format!("I3, called sent and never accepted: {id}")),
            Some(key) if keys.get(id).is_some_and(|own| own != key) => {
                broken.push(format!("I3, sent by the text of another message: {id}"));
            }
            Some(_) => {}
        }
    }
    let by_word =
        records.values().filter(|record| record.state.was_sent() && record.provider_id.is_empty()).count() as u64;
    let permitted =
        ends.at_most(|except| if let Except::ClosedByHand { at_most } = except { Some(*at_most) } else { None });
    if by_word > permitted {
        broken.push(format!("I3, {by_word} called sent without the provider's id, {permitted} are excepted"));
    }
    // Those of which nobody knows, or of which a person said that they were sent.
    let mut open: HashMap<(String, String), u64> = HashMap::new();
    let in_doubt = |record: &Record| {
        matches!(record.state, State::Held | State::Unknown | State::Sending)
            || (record.state.was_sent() && record.provider_id.is_empty())
    };
    for (id, record) in records.iter().filter(|(_, record)| in_doubt(record)) {
        // One that the store had forgotten has no numbers any more; the rig knows them.
        let parties =
            keys.get(id).map_or_else(|| (record.from.clone(), record.to.clone()), |key| (key.0.clone(), key.1.clone()));
        *open.entry(parties).or_default() += 1;
    }
    let forgotten =
        ends.at_most(|except| if let Except::Forgotten { at_most } = except { Some(*at_most) } else { None });
    let mut unexplained = 0;
    for (send, key) in
        accepted.iter().filter(|(send, _)| !send.id.is_some_and(|id| credited.contains(id.to_string().as_str())))
    {
        let doubt = open.get_mut(&(key.0.clone(), key.1.clone())).filter(|count| **count > 0);
        match doubt {
            Some(count) => *count -= 1,
            None => {
                unexplained += 1;
                if unexplained > twice_by_policy + forgotten {
                    broken.push(format!(
                        "I3, accepted, and neither sent nor held nor unknown: text {:?} of {}",
                        send.id, send.extension
                    ));
                }
            }
        }
    }
    broken
}
