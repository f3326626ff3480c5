//! Which of the provider's records may be the text whose fate is unknown. Pure.

use icu_normalizer::DecomposingNormalizerBorrowed;
use jiff::Timestamp;
use ringcentral::{Direction, MessageRecord, PhoneNumber};
use ringfleet_store::{Found, Millis, UnknownSend};

/// What developer accounts put before a text says so: "Test SMS using a RingCentral Developer account - ".
const DEVELOPERS: &str = "developer account";
/// Of letters: the longest that anybody is thought to put before a text, or after it.
const LONGEST_BESIDE: usize = 100;
/// What stands for a letter that somebody could not write.
const REPLACEMENTS: [char; 2] = ['?', '\u{fffd}'];
/// Of letters: a text that was cut off shows so many at least.
const SHORTEST_BEGINNING: usize = 40;

/// Why a person must look: a record can't be compared with the send.
const UNCLEAR: &str = "unclear-match";

/// What a reading that began at `read_at` shows of this send: the ids of all records with its numbers and its text that were
/// not created before `earliest`.
///
/// SEND-SAFETY: a record wrongly left out makes a second text, one wrongly taken in loses one. So one that can't be compared is
/// neither: it is a person's business, whatever else is there, since what else is there may be another message's. Only beside our
/// very words others that differ a little are taken for what they are, other texts.
pub(crate) fn found(send: &UnknownSend, earliest: Millis, records: &[MessageRecord], read_at: Millis) -> Found {
    match candidates(send, earliest, records) {
        Some(ids) => Found::Candidates { ids, read_at },
        None => Found::Undecidable { reason: UNCLEAR.to_owned() },
    }
}

/// `None` if a record may be this send or not.
fn candidates(send: &UnknownSend, earliest: Millis, records: &[MessageRecord]) -> Option<Vec<String>> {
    let from = PhoneNumber::try_new(send.from.expose()).ok()?;
    let to = PhoneNumber::try_new(send.to.expose()).ok()?;
    let earliest = Timestamp::from_millisecond(earliest).unwrap_or(Timestamp::MIN);
    let text = plain(send.text.expose());
    // SEND-SAFETY: a word or a time that is not known leaves no record out.
    let is_open = |record: &&MessageRecord| {
        !matches!(record.direction, Direction::Inbound)
            && record.may_be_sms()
            && record.creation_time.is_none_or(|at| at >= earliest)
            && record.is_from(&from) != Some(false)
            && record.is_to(&to) != Some(false)
    };
    let (mut exact, mut prefixed, mut is_unclear) = (Vec::new(), Vec::new(), false);
    for record in records.iter().filter(is_open) {
        let certain = [record.is_from(&from), record.is_to(&to)] == [Some(true); 2];
        let id = record.id.get().to_string();
        // An empty subject is a missing one: nobody sends a text without words.
        let stored = record.text.as_ref().map(|stored| plain(stored.expose())).filter(|stored| !stored.is_empty())?;
        match likeness(&text, &stored) {
            Likeness::Same if certain => exact.push(id),
            Likeness::Same => return None,
            Likeness::Prefixed if certain => prefixed.push(id),
            Likeness::Prefixed | Likeness::Unclear => is_unclear = true,
            Likeness::Another => {}
        }
    }
    if !exact.is_empty() {
        return Some(exact);
    }
    (!is_unclear).then_some(prefixed)
}

enum Likeness {
    Same,
    /// With what a developer account puts before it.
    Prefixed,
    /// It may have been changed on its way, or it is another text that much resembles ours.
    Unclear,
    Another,
}

/// SEND-SAFETY: that the provider keeps a text as it was sent is its word. One that was cut off, or put into other letters or signs,
/// must not count as another text, which would prove that ours was never sent.
fn likeness(ours: &str, stored: &str) -> Likeness {
    if stored == ours {
        return Likeness::Same;
    }
    if stored.strip_suffix(ours).is_some_and(|prefix| prefix.to_lowercase().contains(DEVELOPERS)) {
        return Likeness::Prefixed;
    }
    let is_replaced = ours.chars().count() == stored.chars().count()
        && ours.chars().zip(stored.chars()).all(|(own, kept)| own == kept || REPLACEMENTS.contains(&kept));
    let (ours, stored) = (letters(ours), letters(stored));
    let beside = match ours.is_empty() {
        true => None,
        false => stored.strip_suffix(ours.as_str()).or_else(|| stored.strip_prefix(ours.as_str())),
    };
    let is_like = is_replaced
        || stored == ours
        || beside.is_some_and(|beside| beside.chars().count() <= LONGEST_BESIDE)
        || stored.chars().count() >= SHORTEST_BEGINNING && ours.starts_with(&stored);
    if is_like { Likeness::Unclear } else { Likeness::Another }
}

/// Letters and digits alone, without accents and in one case.
fn letters(text: &str) -> String {
    let parts = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    parts.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Line ends and runs of blanks may be written otherwise by those who pass a text on.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use ringfleet_store::{LeaseRef, LeaseToken, MessageId, Private};
    use serde_json::json;

    use super::*;

    const INTENT: Millis = 1_767_323_045_000; // 2026-01-02T03:04:05Z

    fn send(text: &str) -> UnknownSend {
        UnknownSend {
            lease: LeaseRef { id: MessageId::from_bytes([1; 16]), token: LeaseToken(1) },
            from: Private::new("+15550100001"),
            to: Private::new("+15550200001"),
            text: Private::new(text),
            intent_at: INTENT,
            since: INTENT,
        }
    }

    fn record(id: u64, change: serde_json::Value) -> MessageRecord {
        let mut raw = json!({"id": id, "type": "SMS", "direction": "Outbound", "from": {"phoneNumber": "+15550100001"},
            "to": [{"phoneNumber": "+15550200001"}], "subject": "See you at 9", "creationTime": "2026-01-02T03:04:06.000Z"});
        for (key, value) in change.as_object().into_iter().flatten() {
            raw[key] = value.clone();
        }
        serde_json::from_value(raw).unwrap_or_else(|error| panic!("{error}"))
    }

    fn found(text: &str, records: &[MessageRecord]) -> Vec<String> {
        match super::found(&send(text), INTENT - 1_000, records, INTENT) {
            Found::Candidates { ids, read_at: INTENT } => ids,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_fits_by_numbers_text_and_time() {
        let fitting = [
            record(1, json!({})),
            record(2, json!({"from": {"phoneNumber": "15550100001"}, "to": [{"phoneNumber": "(555) 020-0001"}]})),
            record(3, json!({"subject": "See  you\r\nat 9 "})),
            record(4, json!({"creationTime": null})),
            record(5, json!({"type": "Text"})),
            record(6, json!({"type": null, "direction": null})),
        ];
        assert_eq!(found("See you at 9", &fitting), ["1", "2", "3", "4", "5", "6"]);
        let others = [
            record(1, json!({"direction": "Inbound"})),
            record(2, json!({"to": [{"phoneNumber": "+15550200002"}]})),
            record(3, json!({"from": {"phoneNumber": "+15550100002"}})),
            record(4, json!({"subject": "See you at 10"})),
            record(5, json!({"creationTime": "2026-01-02T03:04:03.999Z"})),
            record(6, json!({"type": "VoiceMail"})),
            record(7, json!({"type": "Fax"})),
            record(8, json!({"type": "Pager"})),
        ];
        assert!(found("See you at 9", &others).is_empty());
    }

    #[test]
    fn one_record_that_can_not_be_compared_is_a_persons_business_whatever_else_fits() {
        let abroad = UnknownSend { to: Private::new("+447911123456"), ..send("See you at 9") };
        let found = |records: &[MessageRecord]| super::found(&abroad, INTENT - 1_000, records, INTENT);
        let to = |written: &str| json!({"to": [{"phoneNumber": written}]});
        let fits = to("+447911123456");
        let with = |key: &str, value: serde_json::Value| {
            let mut change = fits.clone();
            change[key] = value;
            change
        };
        let unclear = [
            to("07911 123456"),
            to("+44 (0)7911 123456"),
            to("0044 7911 123456"),
            to("\u{200e}+447911123456"),
            to("+44\u{2011}7911\u{2011}123456"),
            to("+447911123456 ext. 2"),
            to(""),
            json!({"to": [{"name": "x"}]}),
            json!({"to": []}),
            with("from", json!(null)),
            with("from", json!({"name": "x"})),
            with("from", json!({"phoneNumber": "555-010-0001 x1"})),
            with("subject", json!(null)),
            with("subject", json!(" ")),
        ];
        for change in unclear {
            let one = record(1, change.clone());
            let held = Found::Undecidable { reason: UNCLEAR.to_owned() };
            assert_eq!(found(std::slice::from_ref(&one)), held, "{change}");
            assert_eq!(found(&[record(2, fits.clone()), one]), held, "{change} beside one that fits");
        }
        for change in
            [to("+447911123457"), to("07911 123457"), to("83675"), with("from", json!({"phoneNumber": "101"}))]
        {
            let nothing = Found::Candidates { ids: Vec::new(), read_at: INTENT };
            assert_eq!(found(&[record(1, change.clone())]), nothing, "{change}");
        }
        let another = record(1, json!({"to": [{"phoneNumber": "07911 123456"}], "subject": "See you at 10"}));
        assert_eq!(found(&[another]), Found::Candidates { ids: Vec::new(), read_at: INTENT });
    }

    #[test]
    fn a_prefix_is_allowed_where_nothing_fits_exactly() {
        let prefixed = record(1, json!({"subject": "Test SMS using a developer account - See you at 9"}));
        assert_eq!(found("See you at 9", std::slice::from_ref(&prefixed)), ["1"]);
        let both = [prefixed, record(2, json!({}))];
        assert_eq!(found("See you at 9", &both), ["2"]);
        let alone = |text: &str| vec![record(1, json!({"subject": text}))];
        let long = format!("{}See you at 9", "x".repeat(LONGEST_BESIDE + 1));
        assert!(found("See you at 9", &alone(&long)).is_empty());
    }

    #[test]
    fn a_text_that_may_have_been_changed_on_its_way_is_a_persons_business() {
        let long = "Your appointment with Dr. José Müller is on Tuesday, 3 March at 9:30 – bring “the form” ☺";
        let with_own = |subject: String| [record(1, json!({"subject": subject})), record(2, json!({"subject": long}))];
        for changed in [
            // Other signs, other letters, one sign in two, cut off, something before it, without its signs.
            long.replace(['“', '”'], "\"").replace('–', "-").replace('☺', "?"),
            long.replace('é', "e").replace('ü', "u"),
            long.replace('é', "e\u{301}"),
            long.to_uppercase(),
            long.chars().take(70).collect(),
            format!("{}…", long.chars().take(70).collect::<String>()),
            format!("FREE MSG: {long}"),
            format!("{long} Reply STOP to opt out"),
            long.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect(),
            long.chars().filter(|c| !c.is_ascii_punctuation()).collect(),
        ] {
            let records = with_own(changed);
            let alone = super::found(&send(long), INTENT - 1_000, &records[..1], INTENT);
            assert_eq!(alone, Found::Undecidable { reason: UNCLEAR.to_owned() }, "{records:?}");
            assert_eq!(found(long, &records), ["2"], "ours is there");
        }
        // An employee's own words that end, or begin, as ours do.
        let own = record(1, json!({"subject": "Sorry, not: See you at 9"}));
        let judged = super::found(&send("See you at 9"), INTENT - 1_000, &[own], INTENT);
        assert_eq!(judged, Found::Undecidable { reason: UNCLEAR.to_owned() });
        for another in [
            long.replace("9:30", "10:30"),
            long.replace("Tuesday", "Friday"),
            "Your appointment".to_owned(),
            "☺".to_owned(),
        ] {
            assert!(found(long, &[record(1, json!({"subject": another}))]).is_empty(), "{another}");
        }
        assert!(found("☺", &[record(1, json!({"subject": "See you"}))]).is_empty());
    }
}
