//! One session an extension, renewed by one worker at a time.

use ringfleet_store::{TokenAsk, TokenLease, TokenRecord, WorkerId};

use crate::talk::*;

const LOCK_MS: i64 = 20_000;

struct Workers(WorkerId, WorkerId);

fn workers() -> Workers {
    Workers(WorkerId::incarnation("a"), WorkerId::incarnation("b"))
}

fn ask() -> TokenAsk<'static> {
    TokenAsk { needed: ms(60_000), known_bad: None, credential: "print-1", lock: ms(LOCK_MS) }
}

async fn lease(s: &Subject, worker: &WorkerId, ask: TokenAsk<'_>) -> TokenLease {
    s.store.token_lease("1", worker, ask).await.unwrap()
}

/// Renews and stores a session of `lifetime_ms`; gives its record.
async fn renew(s: &Subject, worker: &WorkerId, ask: TokenAsk<'_>, sealed: &[u8], lifetime_ms: i64) -> TokenRecord {
    let TokenLease::Renew { generation, .. } = lease(s, worker, ask).await else { panic!("not to renew") };
    assert!(s.store.token_store("1", worker, generation, sealed, ms(lifetime_ms)).await.unwrap());
    TokenRecord { generation: generation + 1, sealed: sealed.to_vec(), expires_at: s.now() + lifetime_ms }
}

pub(crate) async fn the_first_asker_renews_and_the_others_wait(s: &Subject) {
    let Workers(a, b) = workers();
    let first = TokenLease::Renew { generation: 0, old: None };
    assert_eq!(lease(s, &a, ask()).await, first);
    s.step(5_000);
    assert_eq!(lease(s, &b, ask()).await, TokenLease::Busy(ms(LOCK_MS - 5_000)));
    assert_eq!(lease(s, &a, ask()).await, first, "its own renewal, asked for once more");
}

pub(crate) async fn a_stored_session_is_valid_for_all(s: &Subject) {
    let Workers(a, b) = workers();
    let record = renew(s, &a, ask(), b"sealed \0 \xff", 3_600_000).await;
    for worker in [&a, &b] {
        assert_eq!(lease(s, worker, ask()).await, TokenLease::Valid(record.clone()));
    }
}

pub(crate) async fn a_session_that_ends_too_soon_is_renewed(s: &Subject) {
    let Workers(a, b) = workers();
    let record = renew(s, &a, ask(), b"one", 100_000).await;
    s.at(40_000);
    assert_eq!(lease(s, &b, ask()).await, TokenLease::Valid(record.clone()));
    s.at(40_001);
    assert_eq!(lease(s, &b, ask()).await, TokenLease::Renew { generation: 1, old: Some(record) });
    // Who needs it for a shorter time goes on with it.
    let short = TokenAsk { needed: ms(1_000), ..ask() };
    assert!(matches!(lease(s, &a, short).await, TokenLease::Valid(_)));
    assert!(matches!(lease(s, &a, ask()).await, TokenLease::Busy(_)));
}

pub(crate) async fn a_generation_known_to_be_bad_is_renewed(s: &Subject) {
    let Workers(a, b) = workers();
    let one = renew(s, &a, ask(), b"one", 3_600_000).await;
    let bad = TokenAsk { known_bad: Some(one.generation), ..ask() };
    let two = renew(s, &b, bad, b"two", 3_600_000).await;
    assert_eq!(two.generation, one.generation + 1);
    assert_eq!(lease(s, &a, bad).await, TokenLease::Valid(two), "somebody has done it already");
}

pub(crate) async fn a_lock_that_timed_out_passes_to_the_next(s: &Subject) {
    let Workers(a, b) = workers();
    lease(s, &a, ask()).await;
    s.at(LOCK_MS - 1);
    assert_eq!(lease(s, &b, ask()).await, TokenLease::Busy(ms(1)));
    s.at(LOCK_MS);
    assert!(matches!(lease(s, &b, ask()).await, TokenLease::Renew { .. }));
    assert!(matches!(lease(s, &a, ask()).await, TokenLease::Busy(_)));
}

pub(crate) async fn a_slow_renewer_does_not_overwrite_a_newer_session(s: &Subject) {
    let Workers(a, b) = workers();
    lease(s, &a, ask()).await;
    s.at(LOCK_MS);
    assert!(matches!(lease(s, &b, ask()).await, TokenLease::Renew { .. }));
    assert!(!s.store.token_store("1", &a, 0, b"slow", ms(1_000)).await.unwrap(), "another one is at it");
    assert!(s.store.token_store("1", &b, 0, b"fast", ms(3_600_000)).await.unwrap());
    assert!(!s.store.token_store("1", &a, 0, b"slow", ms(1_000)).await.unwrap());
    assert!(!s.store.token_store("1", &b, 0, b"again", ms(1_000)).await.unwrap(), "one renewal, one session");
    let TokenLease::Valid(record) = lease(s, &a, ask()).await else { panic!("not valid") };
    assert_eq!((record.generation, record.sealed.as_slice()), (1, b"fast".as_slice()));
}

pub(crate) async fn a_failed_renewal_lets_the_next_try_at_once(s: &Subject) {
    let Workers(a, b) = workers();
    lease(s, &a, ask()).await;
    s.store.token_failed("1", &a, "print-1", None).await.unwrap();
    assert!(matches!(lease(s, &b, ask()).await, TokenLease::Renew { .. }));
    // Who does not hold the renewal can't end it.
    s.store.token_failed("1", &a, "print-1", None).await.unwrap();
    assert!(matches!(lease(s, &a, ask()).await, TokenLease::Busy(_)));
}

pub(crate) async fn a_dead_credential_stays_dead_until_it_changes(s: &Subject) {
    let Workers(a, b) = workers();
    lease(s, &a, ask()).await;
    s.store.token_failed("1", &a, "print-1", Some("OAU-211")).await.unwrap();
    let dead = TokenLease::Dead { reason: "OAU-211".into() };
    s.step(30 * 86_400_000);
    for worker in [&a, &b] {
        assert_eq!(lease(s, worker, ask()).await, dead);
    }
    let changed = TokenAsk { credential: "print-2", ..ask() };
    let record = renew(s, &b, changed, b"new", 3_600_000).await;
    assert_eq!(lease(s, &a, changed).await, TokenLease::Valid(record));
}

pub(crate) async fn a_loser_of_the_race_does_not_kill_the_credential(s: &Subject) {
    let Workers(a, b) = workers();
    lease(s, &a, ask()).await;
    s.at(LOCK_MS);
    let record = renew(s, &b, ask(), b"rotated", 3_600_000).await;
    // The refresh token that `a` used was ended by `b`'s renewal.
    s.store.token_failed("1", &a, "print-1", Some("OAU-213")).await.unwrap();
    assert_eq!(lease(s, &a, ask()).await, TokenLease::Valid(record));
}

pub(crate) async fn extensions_have_sessions_of_their_own(s: &Subject) {
    let Workers(a, b) = workers();
    lease(s, &a, ask()).await;
    for extension in ["2", "3", "4", "5"] {
        let other = s.store.token_lease(extension, &b, ask()).await.unwrap();
        assert!(matches!(other, TokenLease::Renew { .. }));
    }
}
