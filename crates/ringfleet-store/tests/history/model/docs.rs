//! Documents. What the store alone can know, its revisions, is told; here their order counts.

use std::collections::BTreeMap;

use ringfleet_store::{Doc, DocKind, Expect, Millis, Put};

const DAY: Millis = 86_400_000;

struct Entry {
    /// Of its last change among all changes.
    nth: u64,
    at: Millis,
    doc: Option<Doc>,
    ends: Option<Millis>,
}

#[derive(Default)]
pub(crate) struct Docs {
    known: BTreeMap<(DocKind, String), Entry>,
    changes: u64,
    /// The last of the removals of a kind that are forgotten.
    forgotten: BTreeMap<DocKind, u64>,
    /// Every revision ever given.
    pub(crate) revs: Vec<u64>,
}

/// How far somebody has read: up to the `nth` change, in a reading that began after so many.
#[derive(Default)]
pub(crate) struct HasRead {
    nth: u64,
    begun: u64,
}

/// What somebody is told who has read up to the `nth` change.
#[derive(PartialEq, Debug, Default)]
pub(crate) struct Told {
    pub(crate) changed: Vec<Doc>,
    pub(crate) removed: Vec<String>,
    pub(crate) more: bool,
    pub(crate) reset: bool,
}

impl Docs {
    pub(crate) fn get(&self, now: Millis, kind: DocKind, key: &str) -> Option<&Doc> {
        let entry = self.known.get(&(kind, key.to_owned()))?;
        entry.doc.as_ref().filter(|_| entry.ends.is_none_or(|ends| ends > now))
    }

    fn change(&mut self, now: Millis, place: (DocKind, String), doc: Option<Doc>, ends: Option<Millis>) {
        self.changes += 1;
        self.known.insert(place, Entry { nth: self.changes, at: now, doc, ends });
    }

    /// `rev` is the revision that the store gave it, if it did.
    pub(crate) fn put(
        &mut self,
        now: Millis,
        kind: DocKind,
        key: &str,
        expect: Expect,
        (body, ttl): (Option<&[u8]>, Option<Millis>),
        rev: u64,
    ) -> Put {
        let known = self.get(now, kind, key);
        let fits = match expect {
            Expect::Anything => true,
            Expect::Absent => known.is_none(),
            Expect::Rev(rev) => known.is_some_and(|doc| doc.rev == rev),
        };
        if !fits {
            return Put::Conflict(known.cloned());
        }
        if known.is_none() && body.is_none() {
            return Put::Stored(0);
        }
        let doc = body.map(|body| Doc { key: key.to_owned(), rev, body: body.to_vec(), changed_at: now });
        let ends = ttl.filter(|_| doc.is_some()).map(|ttl| now + ttl.max(1));
        self.change(now, (kind, key.to_owned()), doc, ends);
        self.revs.push(rev);
        Put::Stored(rev)
    }

    pub(crate) fn since(&self, now: Millis, kind: DocKind, read: &mut HasRead, limit: usize) -> Told {
        if read.nth == 0 {
            read.begun = self.changes;
        } else if self.forgotten.get(&kind).is_some_and(|forgotten| *forgotten > read.nth.max(read.begun)) {
            *read = HasRead::default();
            return Told { more: true, reset: true, ..Told::default() };
        }
        let news = self.known.iter().filter(|((of, _), entry)| *of == kind && entry.nth > read.nth);
        let mut news: Vec<_> = news.map(|((_, key), entry)| (entry.nth, key)).collect();
        news.sort_unstable();
        let mut told = Told { more: news.len() > limit, ..Told::default() };
        for (nth, key) in news.into_iter().take(limit) {
            match self.get(now, kind, key) {
                Some(doc) => told.changed.push(doc.clone()),
                None => told.removed.push(key.clone()),
            }
            read.nth = nth;
        }
        told
    }

    pub(crate) fn reap(&mut self, now: Millis, limit: usize) {
        let over = self.known.iter().filter_map(|(place, entry)| Some((entry.ends?, place.clone())));
        let mut over: Vec<_> = over.filter(|(ends, _)| *ends <= now).collect();
        over.sort_by_key(|(ends, (kind, key))| (*ends, format!("{}/{key}", kind.as_str())));
        for (_, place) in over.into_iter().take(limit) {
            self.change(now, place, None, None);
        }
        let gone = self.known.iter().filter(|(_, entry)| entry.doc.is_none());
        let mut gone: Vec<_> = gone.map(|(place, entry)| (entry.nth, entry.at, place.clone())).collect();
        gone.sort_unstable();
        for (nth, _, place) in gone.into_iter().take(limit).take_while(|(_, at, _)| *at <= now - DAY) {
            self.known.remove(&place);
            self.forgotten.insert(place.0, nth);
        }
    }
}
