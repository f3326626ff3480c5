//! What a reason means that stands with a message: one of our own words, or a provider's code.

use ringcentral::{Explanation, explain};
use ringfleet_identity::NO_LOGIN;

/// A sentence on what happened; where there is one, what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    pub meaning: &'static str,
    pub remedy: Option<&'static str>,
}

/// Our own words; a word that ends with a blank stands for all that begin so, and … for any name.
const OWN: [(&str, &str); 42] = [
    (
        "app … is not this worker's",
        "it was handed in for another ringcentral.app than the worker's: give each app a store.prefix of its own",
    ),
    ("under-way", "the store was restarted while it was being sent, and its worker has not had an answer yet"),
    ("begun-and-not-reported", "the store lost its last moments, or the worker died, while it was being sent"),
    ("accepted", "the provider accepted it"),
    ("answer lost (connection cut)", "the connection broke after the request had begun, before an answer came"),
    (
        "answer lost (deadline passed)",
        "no answer came within ringcentral.request_timeout; the request may have arrived",
    ),
    ("answer lost ", "the request began and its answer was lost"),
    ("answer unusable ", "the provider took it, but its answer can't be read, so its id is not known"),
    ("cancelled", "its producer took it back"),
    (
        "cancelled-under-way",
        "it was cancelled while the store did not know that it was being sent, so nobody knows whether it went out",
    ),
    (
        "clocks-apart",
        "the store's clock was not the provider's, so the two could not be compared; times told here are by the store's",
    ),
    ("opted-out", "its recipient has opted out"),
    ("closed-by-operator", "a person said what became of it"),
    (
        "empty-list",
        "the provider's list of the account's numbers was empty, which no account's is, so it is not believed",
    ),
    ("malformed-record", "its record in the store can't be sent as it is"),
    (
        "never-arrived",
        "the provider's message store was read and does not hold it, and it was sent as often as allowed",
    ),
    ("no-code", "the provider refused it without saying why"),
    ("not-sent", "its fate was unknown; the provider's message store shows that it did not arrive, so it waits again"),
    ("poison", "every worker that held it died, before anything was sent"),
    (
        "quiet-hours",
        "its turn came in its recipient's quiet hours ([quiet_hours]): it waits for their end, and no attempt is counted",
    ),
    ("reconciled", "its fate was unknown; it was found in the provider's message store"),
    ("released-after-intent", "a worker gave it back after it had noted that it was about to send it"),
    ("resent", "its fate was unknown, and its policy is to send it again at once"),
    ("resent-by-operator", "a person let it be sent again"),
    (
        "rolled-back",
        "the store lost the moment in which it was sent; a worker's journal told of it, its content is gone",
    ),
    ("send-by-passed", "its send_by passed before it could be sent"),
    ("sent-before", "an earlier send of it turned out to have arrived while a later one was under way"),
    ("server answered ", "the provider answered with a failure that leaves open whether it had taken the text before"),
    ("several-matches", "the provider's message store holds several texts that may be this one"),
    (
        "store-restarted",
        "the store was restarted, or another server took its place; every worker tells it first what it sent",
    ),
    ("too-long-ago", "so much was sent since then that the provider's records could not be read to their end"),
    ("too-many-pages", "the provider's list had no end, so it is not believed"),
    ("unauthorised ", "the provider refused the login"),
    (
        "unclear-match",
        "the provider's message store holds a text that may be it or not: a number in it can't be read, or its words differ a little",
    ),
    (
        "unreadable for too long",
        "the provider's message store could not be read for as long as reconcile.give_up allows",
    ),
    ("unreadable ", "the provider does not let this app read the extension's messages, so its fate can't be looked up"),
    ("unreadable-flight", "what the store noted of its sending can't be read, so nobody knows whether it was sent"),
    (
        "unreadable-lane",
        "the store's record of its extension can't be read; a new one takes its place when the lane is let go on",
    ),
    (
        "unreadable-queue",
        "something else stands in the store where a queue of its extension should; take it away first",
    ),
    (
        "unreadable-window",
        "something else stands in the store where the window of its extension should; take it away, and let a window pass \
         before the lane is let go on",
    ),
    ("wider-429", "a limit wider than one extension refused a request: the account's, the app's or the address's"),
    ("worker-lost", "its worker died after it had noted that it was about to send it"),
];

/// What the provider has said since of a number that a message was to leave from: how the reason begins, meaning, remedy.
const SENDER: [(&str, &str, &str); 3] = [
    (
        "sender number moved to ",
        "the number that its texts leave from belongs to another extension now",
        "give the number back and it goes on by itself; or take its messages back (`ringfleet message cancel ID`, or DELETE \
         /v1/messages/ID) and hand them in again under new keys: they go to the extension that has it now",
    ),
    (
        "sender number has lost ",
        "the number that its texts leave from can't text any more",
        "give the extension the SMS feature back and it goes on by itself",
    ),
    (
        "sender number is not ",
        "the number that its texts leave from is not the extension's any more",
        "give the number back and it goes on by itself; or take its messages back (`ringfleet message cancel ID`)",
    ),
];

/// What a reason means, if any of its words is known.
pub fn sense(reason: &str) -> Option<Sense> {
    if let Some((_, meaning, remedy)) = SENDER.into_iter().find(|(begin, _, _)| reason.starts_with(begin)) {
        return Some(Sense { meaning, remedy: Some(remedy) });
    }
    let words = || reason.split([' ', '(', ')', ',']);
    if let Some((_, meaning, remedy)) = NO_LOGIN.into_iter().find(|(known, _, _)| words().any(|word| word == *known)) {
        return Some(Sense { meaning, remedy: Some(remedy) });
    }
    let told = words().map(explain).find(Explanation::is_known);
    let own = OWN.into_iter().find(|(word, _)| stands_for(word, reason));
    match (own, told) {
        (Some((_, meaning)), told) => Some(Sense { meaning, remedy: told.map(|told| told.next_step) }),
        (None, Some(told)) => Some(Sense { meaning: told.means, remedy: Some(told.next_step) }),
        (None, None) => None,
    }
}

fn stands_for(word: &str, reason: &str) -> bool {
    match word.split_once('…') {
        Some((begin, end)) => reason.starts_with(begin) && reason.ends_with(end),
        None => reason == word || (word.ends_with(' ') && reason.starts_with(word)),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use ringcentral::{LostFault, UnknownReason, UnreadableFault};

    use super::*;

    /// Words in quotes that are no reasons.
    const OTHERS: [&str; 10] = [
        "canary-text",
        "db-wal",
        "kebab-case",
        "missed-call",
        "ringfleet-sqlite",
        "validation-token",
        "verification-token",
        "a-secret-of-the-fleet",
        "db-shm",
        "x-other",
    ];

    fn files(folder: &Path) -> Vec<PathBuf> {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    /// `not-sent`, and not `-inf`.
    fn is_reason(word: &str) -> bool {
        let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        word.contains('-') && word.split('-').all(part) && !OTHERS.contains(&word)
    }

    #[test]
    fn every_reason_that_stands_in_the_sources_has_a_sentence() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folders = ["ringfleet-store/lua", "ringfleet-store/src/sqlite", "ringfleet-worker/src"];
        let mut found = BTreeSet::new();
        for path in folders.iter().flat_map(|folder| files(&crates.join(folder))) {
            let quote = if path.extension().is_some_and(|end| end == "lua") { '\'' } else { '"' };
            for line in fs::read_to_string(&path).unwrap().lines() {
                found.extend(line.split(quote).filter(|word| is_reason(word)).map(str::to_owned));
            }
        }
        assert!(found.len() > 15, "the sources are no longer read: {found:?}");
        // Those of one part, of several words, and of the directory.
        let others = ["accepted", "cancelled", "poison", "reconciled", "resent", "app other is not this worker's"];
        found.extend(others.into_iter().chain(["empty-list", "too-many-pages"]).map(str::to_owned));
        let unknown: Vec<&String> = found.iter().filter(|word| sense(word).is_none()).collect();
        assert!(unknown.is_empty(), "`ringfleet explain-code` does not know {unknown:?}");
        assert_eq!(sense("app is down"), None, "what an operator writes is no reason of ours");
    }

    #[test]
    fn every_reason_of_an_unknown_fate_has_a_sentence() {
        let kinds = [
            UnknownReason::Lost(LostFault::Timeout),
            UnknownReason::Lost(LostFault::Cut),
            UnknownReason::Unreadable(UnreadableFault::NoId),
            UnknownReason::Status("504".parse().unwrap()),
        ];
        for kind in kinds {
            assert!(sense(&kind.to_string()).is_some(), "{kind}");
        }
        let own = [
            "worker-lost",
            "released-after-intent",
            "several-matches",
            "unclear-match",
            "clocks-apart",
            "never-arrived",
            "rolled-back",
        ];
        for own in own {
            assert!(sense(own).is_some(), "{own}");
        }
        assert_ne!(sense("answer lost (deadline passed)"), sense("answer lost (connection cut)"));
        assert_ne!(sense("unreadable for too long"), sense("unreadable CMN-401"));
    }

    #[test]
    fn a_sender_that_has_changed_is_explained() {
        for reason in [
            "sender number moved to extension 102 #1",
            "sender number has lost SmsSender #1",
            "sender number is not the extension's any more #1",
        ] {
            assert!(sense(reason).unwrap().remedy.unwrap().contains("goes on by itself"), "{reason}");
        }
        assert!(sense("sender MSG-304 #1").unwrap().meaning.contains("sender's number"));
    }

    #[test]
    fn codes_of_the_provider_are_explained_wherever_they_stand() {
        let code = sense("MSG-304").unwrap();
        assert!(code.meaning.contains("sender's number") && code.remedy.is_some_and(|told| told.contains("SmsSender")));
        let read = sense("unreadable CMN-401").unwrap();
        assert!(read.meaning.contains("read the extension's messages"), "{read:?}");
        assert!(read.remedy.is_some_and(|told| told.contains("ReadMessages")), "{read:?}");
        assert_eq!(sense("never heard of"), None);
        let parked = sense("credential OAU-211, OAU-473 #c0ffee").unwrap();
        assert!(parked.meaning.contains("ended") && parked.remedy.is_some(), "{parked:?}");
        let none = sense("credential no-credential").unwrap();
        assert!(none.remedy.is_some_and(|told| told.contains("credentials add")), "{none:?}");
    }
}
