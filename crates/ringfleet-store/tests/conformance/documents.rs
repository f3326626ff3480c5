//! Documents: compare-and-set, and how those who keep copies notice what has changed.

use std::collections::BTreeMap;

use ringfleet_store::{
    Doc, DocChanges, DocCursor, DocKind, Expect, Put, StoreError,
    docs::{MAX_BODY_BYTES, MAX_KEY_BYTES},
};

use crate::talk::*;

const KIND: DocKind = DocKind::Credential;
const DAY_MS: i64 = 86_400_000;

async fn put(s: &Subject, key: &str, expect: Expect, body: &str) -> Put {
    s.store.doc_put(KIND, key, expect, Some(body.as_bytes()), None).await.unwrap()
}

/// Puts it whatever is there; gives its revision.
async fn set(s: &Subject, key: &str, body: &str) -> u64 {
    match put(s, key, Expect::Anything, body).await {
        Put::Stored(rev) => rev,
        other => panic!("not stored: {other:?}"),
    }
}

async fn remove(s: &Subject, key: &str, expect: Expect) -> Put {
    s.store.doc_put(KIND, key, expect, None, None).await.unwrap()
}

async fn set_for(s: &Subject, key: &str, ttl: i64) {
    let put = s.store.doc_put(KIND, key, Expect::Anything, Some(b"x"), Some(ms(ttl))).await.unwrap();
    assert!(matches!(put, Put::Stored(_)), "{put:?}");
}

async fn get(s: &Subject, key: &str) -> Option<Doc> {
    s.store.doc_get(KIND, key).await.unwrap()
}

/// What a process does that keeps copies of all documents of a kind.
#[derive(Default)]
struct Copies {
    known: BTreeMap<String, Vec<u8>>,
    cursor: DocCursor,
    resets: u32,
}

impl Copies {
    /// Reads all there is, so much at a time, and gives what the answers told.
    async fn follow(&mut self, s: &Subject, limit: u32) -> Vec<DocChanges> {
        let mut told = Vec::new();
        for _ in 0..1_000 {
            let changes = s.store.docs_since(KIND, &self.cursor, limit).await.unwrap();
            assert!(changes.changed.len() + changes.removed.len() <= limit as usize);
            if changes.reset {
                self.known.clear();
                self.resets += 1;
            }
            for key in &changes.removed {
                self.known.remove(key);
            }
            for doc in &changes.changed {
                self.known.insert(doc.key.clone(), doc.body.clone());
            }
            self.cursor = changes.cursor.clone();
            let more = changes.more;
            told.push(changes);
            if !more {
                return told;
            }
        }
        panic!("there is always more");
    }

    fn keys(&self) -> Vec<&str> {
        self.known.keys().map(String::as_str).collect()
    }
}

pub(crate) async fn a_document_comes_back_as_it_was_put(s: &Subject) {
    let body = b"sealed \0 \xff\n".as_slice();
    let key = "+15550100001/a_B~*@:.-";
    let Put::Stored(rev) = s.store.doc_put(KIND, key, Expect::Absent, Some(body), None).await.unwrap() else {
        panic!("not stored");
    };
    let expected = Doc { key: key.into(), rev, body: body.to_vec(), changed_at: s.now() };
    s.step(5_000);
    assert_eq!(get(s, key).await, Some(expected.clone()));
    assert_eq!(s.again(rules()).await.store.doc_get(KIND, key).await.unwrap(), Some(expected));
    assert_eq!(get(s, "other").await, None);
    assert_eq!(
        s.store.doc_put(KIND, "empty", Expect::Absent, Some(b""), None).await.unwrap(),
        Put::Stored(rev_of(s, "empty").await)
    );
    assert_eq!(get(s, "empty").await.unwrap().body, b"");
}

async fn rev_of(s: &Subject, key: &str) -> u64 {
    get(s, key).await.expect("it is there").rev
}

pub(crate) async fn kinds_are_kept_apart(s: &Subject) {
    for (n, kind) in DocKind::ALL.into_iter().enumerate() {
        s.store.doc_put(kind, "k", Expect::Absent, Some(&[n as u8]), None).await.unwrap();
    }
    for (n, kind) in DocKind::ALL.into_iter().enumerate() {
        assert_eq!(s.store.doc_get(kind, "k").await.unwrap().unwrap().body, [n as u8]);
        let changes = s.store.docs_since(kind, &DocCursor::default(), 10).await.unwrap();
        assert_eq!(changes.changed.iter().map(|doc| &doc.body[..]).collect::<Vec<_>>(), [[n as u8]]);
    }
}

pub(crate) async fn a_change_on_top_of_another_revision_is_a_conflict(s: &Subject) {
    let first = set(s, "k", "1").await;
    let Put::Stored(second) = put(s, "k", Expect::Rev(first), "2").await else { panic!("not stored") };
    assert!(second > first);
    let there = get(s, "k").await;
    for expect in [Expect::Rev(first), Expect::Rev(0), Expect::Absent] {
        assert_eq!(put(s, "k", expect, "3").await, Put::Conflict(there.clone()));
        assert_eq!(remove(s, "k", expect).await, Put::Conflict(there.clone()));
    }
    assert_eq!(get(s, "k").await, there);
    assert_eq!(put(s, "none", Expect::Rev(second), "3").await, Put::Conflict(None));
}

pub(crate) async fn of_two_that_change_one_revision_one_wins(s: &Subject) {
    let first = set(s, "k", "1").await;
    let other = s.again(rules()).await;
    let (a, b) = tokio::join!(put(s, "k", Expect::Rev(first), "a"), put(&other, "k", Expect::Rev(first), "b"));
    let won = |put: &Put| matches!(put, Put::Stored(_));
    assert!(won(&a) != won(&b), "{a:?} {b:?}");
}

pub(crate) async fn a_removed_document_is_gone_and_its_revisions_do_not_come_back(s: &Subject) {
    let mut last = 0;
    for body in ["1", "2", "3"] {
        let set = set(s, "k", body).await;
        assert!(set > last);
        let Put::Stored(removed) = remove(s, "k", Expect::Rev(set)).await else { panic!("not removed") };
        assert!(removed > set);
        assert_eq!(get(s, "k").await, None);
        last = removed;
    }
    assert_eq!(remove(s, "k", Expect::Anything).await, Put::Stored(0), "nothing was there");
    assert_eq!(remove(s, "k", Expect::Rev(last)).await, Put::Conflict(None));
}

pub(crate) async fn no_revision_is_given_twice_though_the_counter_is_lost(s: &Subject) {
    let first = set(s, "k", "1").await;
    s.lose_token_counter();
    s.step(1);
    assert!(set(s, "k", "2").await > first);
}

pub(crate) async fn a_document_vanishes_by_itself(s: &Subject) {
    set_for(s, "k", 1_000).await;
    let mut copies = Copies::default();
    copies.follow(s, 10).await;
    s.at(999);
    let there = get(s, "k").await.unwrap();
    s.at(1_000);
    assert_eq!(get(s, "k").await, None);
    assert_eq!(put(s, "k", Expect::Rev(there.rev), "x").await, Put::Conflict(None));
    assert_eq!(remove(s, "k", Expect::Anything).await, Put::Stored(0));
    let mut late = Copies::default();
    late.follow(s, 10).await;
    assert_eq!(late.keys(), [""; 0]);
    // Who has a copy hears of it when the reaper has come.
    s.reap().await;
    copies.follow(s, 10).await;
    assert_eq!(copies.keys(), [""; 0]);
    assert!(matches!(put(s, "k", Expect::Absent, "again").await, Put::Stored(rev) if rev > there.rev));
}

pub(crate) async fn a_change_decides_anew_how_long_a_document_lives(s: &Subject) {
    set_for(s, "for-good", 1_000).await;
    set_for(s, "longer", 1_000).await;
    set(s, "for-good", "x").await;
    set_for(s, "longer", 5_000).await;
    set_for(s, "again", 1_000).await;
    s.at(1_000);
    put(s, "again", Expect::Absent, "x").await;
    s.reap().await;
    s.at(4_999);
    s.reap().await;
    for key in ["for-good", "longer", "again"] {
        assert!(get(s, key).await.is_some(), "{key}");
    }
    s.at(5_000);
    s.reap().await;
    assert!(get(s, "longer").await.is_none());
    assert!(get(s, "for-good").await.is_some());
}

pub(crate) async fn whoever_follows_sees_each_change_once(s: &Subject) {
    let mut copies = Copies::default();
    copies.follow(s, 10).await;
    for n in 0..40 {
        set(s, &format!("k{n}"), "1").await;
    }
    let told = copies.follow(s, 7).await;
    assert!(told.len() >= 6);
    assert_eq!(told.iter().map(|changes| changes.changed.len()).sum::<usize>(), 40);
    assert_eq!(copies.known.len(), 40);

    set(s, "k7", "2").await;
    set(s, "k7", "3").await;
    remove(s, "k8", Expect::Anything).await;
    remove(s, "k9", Expect::Anything).await;
    set(s, "k9", "back").await;
    let told = copies.follow(s, 10).await;
    assert_eq!(told.iter().map(|changes| changes.changed.len()).sum::<usize>(), 2);
    assert_eq!(told.iter().map(|changes| changes.removed.len()).sum::<usize>(), 1);
    assert_eq!(copies.known.len(), 39);
    assert_eq!((&copies.known["k7"][..], &copies.known["k9"][..]), (&b"3"[..], &b"back"[..]));

    let told = copies.follow(s, 10).await;
    assert!(told.len() == 1 && told[0].changed.is_empty() && told[0].removed.is_empty(), "{told:?}");
    assert_eq!(copies.resets, 0);
}

pub(crate) async fn a_process_that_comes_late_reads_what_there_is(s: &Subject) {
    for n in 0..25 {
        set(s, &format!("k{n}"), "1").await;
        if n % 2 == 0 {
            remove(s, &format!("k{n}"), Expect::Anything).await;
        }
    }
    for limit in [1, 3, 500] {
        let mut copies = Copies::default();
        copies.follow(s, limit).await;
        assert_eq!(copies.known.len(), 12);
    }
}

pub(crate) async fn a_removal_is_told_for_a_day_and_who_comes_later_begins_anew(s: &Subject) {
    set(s, "stays", "1").await;
    set(s, "goes", "1").await;
    let (mut quick, mut slow) = (Copies::default(), Copies::default());
    quick.follow(s, 10).await;
    slow.follow(s, 10).await;
    s.step(1);
    remove(s, "goes", Expect::Anything).await;
    s.step(DAY_MS - 1);
    s.reap().await;
    quick.follow(s, 10).await;
    assert_eq!((quick.keys(), quick.resets), (vec!["stays"], 0));
    s.step(2);
    s.reap().await;
    slow.follow(s, 10).await;
    assert_eq!((slow.keys(), slow.resets), (vec!["stays"], 1));
    // Who heard of the removal has missed nothing, and a new process has nothing to forget.
    quick.follow(s, 10).await;
    let mut new = Copies::default();
    new.follow(s, 10).await;
    assert_eq!((quick.resets, new.resets), (0, 0));
    assert_eq!((quick.keys(), new.keys()), (vec!["stays"], vec!["stays"]));
}

/// More documents than one answer holds, and a removal that is forgotten: it must not make a new reading begin anew for ever.
pub(crate) async fn a_reading_of_many_answers_ends_whatever_was_removed_before_it_began(s: &Subject) {
    for n in 0..30 {
        set(s, &format!("k{n}"), "1").await;
    }
    let mut slow = Copies::default();
    slow.follow(s, 3).await;
    s.step(1);
    remove(s, "k7", Expect::Anything).await;
    s.step(DAY_MS + 1);
    s.reap().await;
    let mut new = Copies::default();
    new.follow(s, 3).await;
    assert_eq!((new.known.len(), new.resets), (29, 0));
    // Who had read of it before still has to forget it, once.
    slow.follow(s, 3).await;
    assert_eq!((slow.known.len(), slow.resets), (29, 1));
}

pub(crate) async fn the_reaper_takes_few_documents_at_a_time(s: &Subject) {
    for n in 0..30 {
        set_for(s, &format!("k{n}"), 1_000).await;
    }
    let mut copies = Copies::default();
    copies.follow(s, 500).await;
    s.at(1_000);
    let mut reaps = 0;
    while !copies.known.is_empty() {
        s.store.reap(2, DAY).await.unwrap();
        reaps += 1;
        let before = copies.known.len();
        copies.follow(s, 500).await;
        // Each shard takes two.
        assert!(before - copies.known.len() <= 10 && reaps <= 15, "{before} {}", copies.known.len());
    }
    assert!(reaps >= 3);
}

pub(crate) async fn an_answer_with_large_bodies_is_cut(s: &Subject) {
    let body = vec![b'x'; MAX_BODY_BYTES];
    for n in 0..20 {
        s.store.doc_put(KIND, &n.to_string(), Expect::Absent, Some(&body), None).await.unwrap();
    }
    let mut copies = Copies::default();
    let told = copies.follow(s, 500).await;
    assert_eq!(copies.known.len(), 20);
    if s.backend != crate::harness::Backend::Cluster {
        assert_eq!(told.iter().map(|changes| changes.changed.len()).collect::<Vec<_>>(), [16, 4]);
    }
}

pub(crate) async fn too_long_a_key_or_a_body_is_refused(s: &Subject) {
    let long = "k".repeat(MAX_KEY_BYTES);
    let large = vec![0; MAX_BODY_BYTES];
    let put = async |key: &str, body: &[u8]| s.store.doc_put(KIND, key, Expect::Absent, Some(body), None).await;
    assert!(matches!(put(&long, &large).await.unwrap(), Put::Stored(_)));
    assert_eq!(get(s, &long).await.unwrap().body, large);
    let canary = "CANARY KEY";
    for (key, body) in [("", 1), (canary, 1), ("ä", 1), (&format!("{long}k"), 1), ("k", MAX_BODY_BYTES + 1)] {
        let refused = put(key, &vec![0; body]).await;
        let Err(StoreError::Refused { reason, .. }) = refused else { panic!("{key}: {refused:?}") };
        assert!(!reason.contains(canary), "{reason}");
    }
    assert!(matches!(s.store.doc_get(KIND, canary).await, Err(StoreError::Refused { .. })));
}

pub(crate) async fn a_document_prints_neither_key_nor_body(s: &Subject) {
    set(s, "CANARY-KEY", "CANARY-BODY").await;
    let mut changes = s.store.docs_since(KIND, &DocCursor::default(), 5).await.unwrap();
    changes.removed.push("CANARY-REMOVED".into());
    let printed = format!("{changes:?} {:?}", put(s, "CANARY-KEY", Expect::Absent, "x").await);
    assert!(!printed.contains("CANARY"), "{printed}");
    assert!(!printed.contains(&format!("{:?}", b"CANARY-BODY")[1..20]), "{printed}");
}
