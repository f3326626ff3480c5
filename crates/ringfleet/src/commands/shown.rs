//! What a reason means that is typed as a command has shown it: a word for programs, a sentence, or what stands in the store.

use ringfleet_explain::{Sense, sense};

/// What stands in the way of a message or a lane (the words of `Why::code`): word, meaning, remedy.
const IN_THE_WAY: [(&str, &str, Option<&str>); 19] = [
    (
        "stopped",
        "an operator has stopped the whole fleet: nothing is claimed or begun, and nothing is read",
        Some("`ringfleet fleet resume` lets it go on"),
    ),
    (
        "parked",
        "the fleet lets the extension stand for a reason that a person may have to mend; its messages wait",
        Some("`ringfleet explain EXTENSION` tells the reason and what to do; then `ringfleet lane resume EXTENSION`"),
    ),
    (
        "paused",
        "an operator has paused the extension: its messages wait, and nothing of it is begun",
        Some("`ringfleet lane resume EXTENSION` lets it go on"),
    ),
    (
        "gate",
        "the whole fleet waits for a time, after a limit wider than one extension or a restart of the store; it ends by itself",
        None,
    ),
    ("scheduled", "its send_at, or the end of a delay or of its recipient's quiet hours, has not come yet", None),
    (
        "pair-busy",
        "another message between the same two numbers is under way or of unknown fate, and goes first",
        Some("if that one is held, decide on it: `ringfleet held list`"),
    ),
    (
        "penalty",
        "the extension waits for a time: after a 429, for a login, because a gateway refused, or because the provider or the store \
         could not be reached; it ends by itself",
        None,
    ),
    ("probe", "after a wait one message of the extension goes alone, until it has an answer", None),
    ("behind", "other messages of its extension go first", None),
    (
        "window",
        "the extension has sent as much as its usage plan lets it in one window; it goes on when the first place is free",
        None,
    ),
    ("lane-busy", "as many messages of the extension are under way as may be at once", None),
    ("turn", "nothing is in its way: the next worker with a free hand takes it", None),
    ("claimed", "a worker has it in hand and has not begun to send it", None),
    ("sending", "a worker is sending it", None),
    ("unknown", "nobody knows whether it was sent; the provider's message store is read to find out", None),
    (
        "held",
        "nobody knows whether it was sent, and a person must decide",
        Some("`ringfleet held show ID` tells where to look; then `ringfleet held close` or `ringfleet held resend`"),
    ),
    ("ended", "it has come to its end", Some("`ringfleet message show ID` tells which one, and why")),
    ("idle", "no message of the extension is due", None),
    ("no-workers", "no worker has shown itself lately", Some("start one: `ringfleet worker`, or `ringfleet up`")),
];

/// Why no text can leave from a number, or leaves as another extension, as `extensions` shows it: word, meaning, remedy.
const SENDERS: [(&str, &str, &str); 7] = [
    (
        "sender-not-connected",
        "nobody can log in for the extension",
        "let the employee connect it, or bring a login in with `ringfleet credentials add`",
    ),
    (
        "sender-not-read",
        "its numbers are not known yet, or can't be read",
        "let a worker run with directory.refresh on; `ringfleet extensions show EXTENSION` tells what keeps them from being read",
    ),
    (
        "sender-cannot-text",
        "no SmsSender feature, or for high-volume (A2P) texts only",
        "let an administrator assign the feature to the extension in the RingCentral admin portal",
    ),
    ("sender-inactive", "the extension is disabled, frozen or not set up", "enable it in the RingCentral admin portal"),
    (
        "unknown-sender",
        "the accounts file names the number and the provider does not",
        "correct the accounts file, and restart the processes that have read it",
    ),
    (
        "ambiguous-sender",
        "several numbers, or several extensions, are meant by what was given",
        "write the number to send from",
    ),
    (
        "sent-as-another",
        "another extension has the number's SMS feature, and texts leave as that one",
        "nothing, if that is meant; else assign the feature in the RingCentral admin portal",
    ),
];

/// How sentences begin that are shown in the place of such a word, up to the reason if one follows; … stands for anything.
const SENTENCES: [(&str, &str); 24] = [
    ("the fleet is stopped: ", "stopped"),
    ("STOPPED: ", "stopped"),
    ("its extension is parked: ", "parked"),
    ("its lane stands still: ", "parked"),
    ("parked: ", "parked"),
    ("its extension is paused by an operator", "paused"),
    ("its lane is paused by an operator", "paused"),
    ("the whole fleet waits: ", "gate"),
    ("waits … (", "gate"),
    ("it is not due yet", "scheduled"),
    ("its recipient has quiet hours", "scheduled"),
    ("another message to the same number is ", "pair-busy"),
    ("its extension waits: ", "penalty"),
    ("after a wait one message of its extension goes alone", "probe"),
    ("… of its extension go first", "behind"),
    ("its extension has used its plan of ", "window"),
    ("… of its extension are under way, no more may be at once", "lane-busy"),
    ("nothing is in its way", "turn"),
    ("worker … has it in hand", "claimed"),
    ("worker … is sending it", "sending"),
    ("nobody knows whether it was sent, and a person must decide", "held"),
    ("nobody knows whether it was sent; ", "unknown"),
    ("no message of it is due", "idle"),
    ("no worker is there", "no-workers"),
];

/// Those words behind which the fleet's own reason follows, which tells more. Of a stop it is the operator's.
const WITH_REASON: [&str; 3] = ["parked", "gate", "held"];

/// SEND-SAFETY: of a code like MSG-290 it is said that nothing was sent. Where these words stand beside it, that is true of the
/// last attempt only.
const IN_DOUBT: (&str, Sense) = (
    "an earlier attempt may have arrived",
    Sense {
        meaning: "it has come to its end, and what is told of that is told of its last attempt: an earlier one may have arrived",
        remedy: Some("`ringfleet held show ID` tells where to look before it is sent again or handed in anew"),
    },
);

pub(super) fn shown(typed: &str) -> Option<Sense> {
    let typed = typed.trim();
    let (words, in_doubt) = IN_DOUBT;
    if typed.contains(words) {
        return Some(in_doubt);
    }
    match SENTENCES.into_iter().find(|(sentence, _)| is_said(sentence, typed)) {
        Some((_, word)) => reason(typed).filter(|_| WITH_REASON.contains(&word)).or_else(|| of_word(word)),
        None => sense(typed).or_else(|| of_word(typed)),
    }
}

fn of_word(word: &str) -> Option<Sense> {
    let in_the_way = IN_THE_WAY.into_iter().find(|(known, ..)| *known == word);
    let sender = || SENDERS.into_iter().find(|(known, ..)| *known == word);
    let of_sender = || sender().map(|(_, meaning, remedy)| Sense { meaning, remedy: Some(remedy) });
    in_the_way.map(|(_, meaning, remedy)| Sense { meaning, remedy }).or_else(of_sender)
}

fn is_said(sentence: &str, typed: &str) -> bool {
    match sentence.split_once('…') {
        Some((begin, then)) => typed.strip_prefix(begin).is_some_and(|rest| rest.contains(then)),
        None => typed.starts_with(sentence),
    }
}

/// The reason in a sentence: behind its colon, before its times and what a person can do, or in brackets at its end.
fn reason(typed: &str) -> Option<Sense> {
    let behind = || {
        let (_, rest) = typed.split_once(": ")?;
        let end = ["; ", ", since ", ", until "].into_iter().filter_map(|sign| rest.find(sign)).min();
        sense(&rest[..end.unwrap_or(rest.len())])
    };
    let in_brackets = || sense(typed.rsplit_once('(')?.1.split(')').next()?);
    behind().or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ringfleet_store::{MessageId, State, Why};

    use super::*;

    fn meaning(typed: &str) -> &'static str {
        shown(typed).unwrap_or_else(|| panic!("{typed} is not explained")).meaning
    }

    /// Each that `Why` has; of those that end with a reason, with one that nobody knows.
    fn all() -> Vec<Why> {
        let (reason, worker) = ("never heard of".to_owned(), "w-1".to_owned());
        vec![
            Why::Stopped { reason: reason.clone() },
            Why::Parked { reason: reason.clone() },
            Why::Paused,
            Why::Gate { until: 1, reason: reason.clone() },
            Why::Scheduled { until: 1 },
            Why::QuietHours { until: 1 },
            Why::PairBusy { with: MessageId::random(), state: State::Held },
            Why::Penalty { until: 1 },
            Why::Probe,
            Why::Behind { ahead: 3, at_least: false },
            Why::Behind { ahead: 3, at_least: true },
            Why::Window { limit: 40, window_ms: 60_000, until: None },
            Why::LaneBusy { in_flight: 3 },
            Why::Turn,
            Why::Claimed { worker: worker.clone(), since: 1 },
            Why::Sending { worker, since: 1 },
            Why::Unknown { since: 1, reads: 0, next_look: None },
            Why::Unknown { since: 1, reads: 2, next_look: None },
            Why::Held { since: None, reason, may_have_arrived: None },
            Why::Idle,
            Why::NoWorkers,
        ]
    }

    #[test]
    fn all_that_can_stand_in_the_way_is_explained_by_its_word_and_by_its_sentence() {
        for why in all() {
            let (word, sentence) = (why.code(), why.to_string());
            assert_eq!(meaning(word), meaning(&sentence), "{sentence}");
            // What a person can do about it is told here too.
            let remedy = why.remedy("EXTENSION", "ID").is_none_or(|_| shown(word).unwrap().remedy.is_some());
            assert!(remedy, "{word}");
        }
        let source = include_str!("../../../ringfleet-store/src/explain/words.rs");
        let code = |line: &'static str| line.trim().strip_prefix("Why::")?.split_once(" => \"")?.1.strip_suffix("\",");
        let words: Vec<&str> = source.lines().filter_map(code).collect();
        assert_eq!(words.len(), IN_THE_WAY.len(), "{words:?}");
        words.into_iter().for_each(|word| assert!(shown(word).is_some(), "{word}"));
    }

    #[test]
    fn an_operators_own_reasons_are_explained_with_what_lets_it_go_on() {
        for (typed, step) in [
            ("paused", "`ringfleet lane resume EXTENSION`"),
            ("its extension is paused by an operator; `ringfleet lane resume 101` lets it go on", "lane resume"),
            ("its lane is paused by an operator (paused)", "lane resume"),
            ("stopped", "`ringfleet fleet resume`"),
            ("STOPPED: credential OAU-211; `ringfleet fleet resume` lets it go on", "`ringfleet fleet resume`"),
            ("no-workers", "`ringfleet worker`"),
        ] {
            let told = shown(typed).unwrap();
            assert!(told.remedy.is_some_and(|remedy| remedy.contains(step)), "{typed}: {told:?}");
        }
        assert_eq!(shown("app is down"), None, "what an operator writes is no reason of ours");
    }

    #[test]
    fn the_reason_in_a_sentence_is_explained_rather_than_the_sentence() {
        let moved = "sender number moved to extension 102";
        let parked = format!("its extension is parked: {moved} #1; mend the cause, then `ringfleet lane resume 101`");
        let stands = format!("its lane stands still: {} ({moved})", meaning(moved));
        for (typed, reason) in [
            ("its extension is parked: credential OAU-211 #c0ffee; mend the cause, then `ringfleet …`", "OAU-211"),
            (parked.as_str(), moved),
            (stands.as_str(), moved),
            ("parked: credential no-credential", "no-credential"),
            ("waits 12 s (store-restarted)", "store-restarted"),
            ("the whole fleet waits: wider-429, until 2030-12-01T18:00:00Z", "wider-429"),
            ("nobody knows whether it was sent, and a person must decide: worker-lost", "worker-lost"),
            (
                "nobody knows whether it was sent, and a person must decide: worker-lost; `ringfleet held show …`",
                "worker-lost",
            ),
            (
                "nobody knows whether it was sent, and a person must decide: poison, since 2030-12-01T18:00:00Z",
                "poison",
            ),
        ] {
            assert_eq!(shown(typed), shown(reason), "{typed}");
        }
    }

    #[test]
    fn what_may_have_arrived_is_not_explained_as_not_sent() {
        let dead = |may_have_arrived| {
            let why = Why::Ended { state: State::Dead, at: Some(9), reason: "MSG-290".into(), may_have_arrived };
            why.to_string()
        };
        let remedy = |typed: &str| shown(typed).and_then(|told| told.remedy).unwrap_or_default();
        assert!(remedy(&dead(None)).contains("states that it was not sent"));
        // As `explain` and as a list tells it.
        for typed in [dead(Some(7)).as_str(), "MSG-290; an earlier attempt may have arrived"] {
            let told = remedy(typed);
            assert!(told.contains("`ringfleet held show ID`") && !told.contains("not sent"), "{typed}: {told}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_sender_is_explained_with_what_to_do() {
        // The words that producers are told, and those that `extensions` has of its own.
        let refusals = include_str!("../../../ringfleet-producer/src/refusal.rs");
        let code = |line: &'static str| line.trim().strip_prefix("Code::")?.split_once(" => \"")?.1.strip_suffix("\",");
        let producers = refusals.lines().filter_map(code).filter(|word| word.contains("sender"));
        let own = |line: &'static str| line.trim().strip_prefix("code: \"")?.strip_suffix("\".to_owned(),");
        let words: BTreeSet<&str> =
            producers.chain(include_str!("extensions/entry.rs").lines().filter_map(own)).collect();
        assert_eq!(words, SENDERS.iter().map(|(word, ..)| *word).collect());
        for word in words {
            assert!(shown(word).unwrap().remedy.is_some(), "{word}");
        }
    }
}
