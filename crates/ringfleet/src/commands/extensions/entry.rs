//! One extension as it is shown: what is known of it, from where, and what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use ringcentral::{ExtensionId, NumberFeature, PhoneNumber};
use ringfleet_explain::sense;
use ringfleet_identity::directory::{Book, ListedNumber, Who, ways};
use ringfleet_producer::{Refusal, SenderDirectory};
use ringfleet_store::Millis;

use super::Known;

pub(super) struct Entry {
    pub who: Who,
    pub name: Option<String>,
    pub account: Option<String>,
    /// Such as `Enabled`; `None` until it was read.
    pub status: Option<&'static str>,
    /// How the fleet can log in for it; empty: it is not connected.
    pub connected_by: Vec<String>,
    /// When its own list was read last.
    pub read_at: Option<Millis>,
    /// Why the last reading failed, if nothing was read since.
    pub failed: Option<Wrong>,
    pub numbers: Vec<Line>,
    /// What keeps it from texting, whatever the number.
    pub wrong: Option<Wrong>,
}

pub(super) struct Line {
    pub number: PhoneNumber,
    /// As the extension's own list tells them.
    pub features: Vec<NumberFeature>,
    pub since: Option<Millis>,
    /// Why no text can leave from it as this extension.
    pub wrong: Option<Wrong>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wrong {
    pub code: String,
    pub what: String,
    pub next: String,
}

impl Entry {
    /// What is wrong first, the extension's own trouble before that of a number.
    pub(super) fn wrongs(&self) -> impl Iterator<Item = &Wrong> {
        let of_numbers = self.numbers.iter().filter_map(|line| line.wrong.as_ref());
        self.failed.iter().chain(&self.wrong).chain(of_numbers)
    }
}

/// Those that were asked for, by extension number; `None` for all.
pub(super) fn entries(known: &Known, which: Option<&[ExtensionId]>) -> Vec<Entry> {
    let book = known.book();
    let mut owned: BTreeMap<&ExtensionId, Vec<&ListedNumber>> = BTreeMap::new();
    for listed in book.listed() {
        if let Some(owner) = &listed.owner {
            owned.entry(&owner.id).or_default().push(listed);
        }
    }
    let unread = known.roster.extensions();
    let unread = unread.iter().filter_map(|id| ExtensionId::try_new(id).ok());
    let all: BTreeSet<ExtensionId> = match which {
        Some(some) => some.iter().cloned().collect(),
        None => book.everybody().into_iter().cloned().chain(unread).collect(),
    };
    let listed = |id: &ExtensionId| owned.get(id).map_or(&[][..], Vec::as_slice);
    let mut entries: Vec<Entry> = all.iter().map(|id| entry(known, &book, id, listed(id))).collect();
    let order = |entry: &Entry| {
        let short = entry.who.short.as_ref().map_or("", |short| short.as_str());
        (short.len(), short.to_owned(), entry.who.id.clone())
    };
    entries.sort_by_cached_key(order);
    entries
}

fn entry(known: &Known, book: &Book, id: &ExtensionId, listed: &[&ListedNumber]) -> Entry {
    let facts = book.extension(id);
    let read = facts.filter(|facts| facts.read_at > 0);
    let connected_by = match ways(&known.roster.of(id.as_str())) {
        none if none.is_empty() => facts.map_or_else(Vec::new, |facts| facts.connected_by.clone()),
        ways => ways,
    };
    let mut numbers: Vec<Line> = read
        .map_or(&[][..], |facts| &facts.numbers)
        .iter()
        .map(|own| {
            let since = Some(own.since);
            Line { number: own.number.clone(), features: own.features.clone(), since, wrong: None }
        })
        .collect();
    let written =
        book.claimed().filter(|(claimed, _)| read.is_none() && *claimed == id).flat_map(|(_, numbers)| numbers);
    for number in written.chain(listed.iter().map(|listed| &listed.number)) {
        if numbers.iter().all(|line| line.number != *number) {
            numbers.push(Line { number: number.clone(), features: Vec::new(), since: None, wrong: None });
        }
    }
    for line in &mut numbers {
        line.wrong = wrong_number(&known.senders, book, id, &line.number);
    }
    let failed = facts.and_then(|facts| facts.failed.as_ref()).map(|failed| failed_reading(&failed.code));
    let wrong = if numbers.is_empty() { wrong_extension(&known.senders, id, !connected_by.is_empty()) } else { None };
    Entry {
        who: book.who(id),
        name: facts.map(|facts| facts.name.expose().to_owned()).filter(|name| !name.is_empty()),
        account: facts.and_then(|facts| facts.account.as_ref()).map(ToString::to_string),
        status: read.map(|facts| facts.status.as_str()),
        connected_by,
        read_at: read.map(|facts| facts.read_at),
        failed,
        numbers,
        wrong,
    }
}

fn wrong_number(senders: &SenderDirectory, book: &Book, id: &ExtensionId, number: &PhoneNumber) -> Option<Wrong> {
    match senders.by_number(number) {
        Ok(lane) if lane.extension() == id.as_str() => None,
        Ok(lane) => {
            let other =
                ExtensionId::try_new(lane.extension()).map_or_else(|_| String::new(), |id| book.who(&id).to_string());
            Some(Wrong {
                code: "sent-as-another".to_owned(),
                what: format!("texts from {number} leave as {other}, which has its SMS feature"),
                next: "nothing, if that is meant; else assign the feature in the RingCentral admin portal".to_owned(),
            })
        }
        Err(refusal) => Some(wrong(refusal)),
    }
}

/// Of one without any number.
fn wrong_extension(senders: &SenderDirectory, id: &ExtensionId, connected: bool) -> Option<Wrong> {
    match senders.by_extension(id.as_str()) {
        Some(Err(refusal)) => Some(wrong(refusal)),
        Some(Ok(_)) => None,
        // Connected a moment ago, and read by nobody yet.
        None => connected.then(|| Wrong {
            code: "sender-not-read".to_owned(),
            what: "its numbers are not known yet".to_owned(),
            next: "let a worker run with directory.refresh on; it reads them within seconds".to_owned(),
        }),
    }
}

fn wrong(refusal: Refusal) -> Wrong {
    Wrong { code: refusal.code.as_str().to_owned(), what: refusal.problem, next: refusal.remedy }
}

fn failed_reading(code: &str) -> Wrong {
    let sense = sense(code);
    Wrong {
        code: code.to_owned(),
        what: format!(
            "its numbers could not be read: {}",
            sense.map_or("the provider refused it", |sense| sense.meaning)
        ),
        next: sense.and_then(|sense| sense.remedy).unwrap_or("ask `ringfleet explain-code` for the code").to_owned(),
    }
}
