//! One session an extension, renewed by one worker at a time.

use std::time::Duration;

use ringfleet_store::{
    Begin, Heard, Intent, LaneId, NewSession, RefusedCredential, SessionView, TokenAsk, TokenLease, TokenRecord,
    WorkerId,
};

use crate::talk::*;

const LOCK_MS: i64 = 20_000;
const HOUR: i64 = 3_600_000;

struct Workers(WorkerId, WorkerId);

fn workers() -> Workers {
    Workers(WorkerId::incarnation("a"), WorkerId::incarnation("b"))
}

/// What a worker asks with that has one credential.
struct Asks {
    lane: LaneId,
    credentials: Vec<String>,
}

impl Asks {
    fn of(credentials: &[&str]) -> Self {
        Self { lane: wide(1), credentials: credentials.iter().map(|one| (*one).to_owned()).collect() }
    }

    fn ask(&self) -> TokenAsk<'_> {
        let (credentials, sends) = (&self.credentials[..], &self.lane);
        TokenAsk { known_bad: None, credentials, lock: ms(LOCK_MS), renew: false, sends }
    }
}

fn asks() -> Asks {
    Asks::of(&["print-1"])
}

fn refused(print: &str, reason: &str) -> RefusedCredential {
    RefusedCredential { print: print.to_owned(), reason: reason.to_owned() }
}

/// Of a request that began this moment.
async fn refuse(s: &Subject, worker: &WorkerId, generation: u64, refused: &RefusedCredential) -> Heard {
    s.store.token_refuse("1", worker, generation, refused, Duration::ZERO).await.unwrap()
}

async fn lease(s: &Subject, worker: &WorkerId, ask: TokenAsk<'_>) -> TokenLease {
    s.store.token_lease("1", worker, ask).await.unwrap()
}

async fn is_to_renew(s: &Subject, worker: &WorkerId, ask: TokenAsk<'_>) -> u64 {
    match lease(s, worker, ask).await {
        TokenLease::Renew { generation, .. } => generation,
        other => panic!("not to renew: {other:?}"),
    }
}

async fn store(s: &Subject, worker: &WorkerId, generation: u64, sealed: &[u8], lives: i64, renew: i64) -> Option<u64> {
    let session = NewSession { sealed, lives: ms(lives), renew_in: ms(renew) };
    s.store.token_store("1", worker, generation, session).await.unwrap()
}

/// Renews and stores a session; gives its record as it is then.
async fn renew(s: &Subject, worker: &WorkerId, ask: TokenAsk<'_>, sealed: &[u8], renew_ms: i64) -> TokenRecord {
    let before = is_to_renew(s, worker, ask).await;
    let generation = store(s, worker, before, sealed, HOUR, renew_ms).await.unwrap();
    assert!(generation > before);
    TokenRecord { generation, sealed: sealed.to_vec(), lives: ms(HOUR), renew_in: ms(renew_ms) }
}

pub(crate) async fn the_first_asker_renews_and_the_others_wait(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    let first = TokenLease::Renew { generation: 0, old: None, sending: 0, refused: Vec::new() };
    assert_eq!(lease(s, &a, one.ask()).await, first);
    s.step(5_000);
    assert_eq!(lease(s, &b, one.ask()).await, TokenLease::Busy(ms(LOCK_MS - 5_000)));
    assert_eq!(lease(s, &a, one.ask()).await, first, "its own renewal, asked for once more");
}

pub(crate) async fn a_stored_session_is_valid_for_all(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    let record = renew(s, &a, one.ask(), b"sealed \0 \xff", 1_000_000).await;
    for worker in [&a, &b] {
        assert_eq!(lease(s, worker, one.ask()).await, TokenLease::Valid(record.clone()));
    }
}

pub(crate) async fn a_session_is_renewed_when_its_time_comes(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    let record = renew(s, &a, one.ask(), b"one", 60_000).await;
    s.at(59_999);
    let later = TokenRecord { lives: ms(HOUR - 59_999), renew_in: ms(1), ..record.clone() };
    assert_eq!(lease(s, &b, one.ask()).await, TokenLease::Valid(later));
    s.at(60_000);
    let over = TokenRecord { lives: ms(HOUR - 60_000), renew_in: Duration::ZERO, ..record.clone() };
    let expected =
        TokenLease::Renew { generation: record.generation, old: Some(over.clone()), sending: 0, refused: Vec::new() };
    assert_eq!(lease(s, &b, one.ask()).await, expected);
    // Nobody is given a token whose renewal has begun.
    assert!(matches!(lease(s, &a, one.ask()).await, TokenLease::Busy(_)));
    // Nothing came of it: the old one is good for a while, and is renewed then.
    s.store.token_release("1", &b, ms(5_000)).await.unwrap();
    let again = TokenRecord { renew_in: ms(5_000), ..over };
    assert_eq!(lease(s, &a, one.ask()).await, TokenLease::Valid(again));
    s.at(65_000);
    is_to_renew(s, &a, one.ask()).await;
}

pub(crate) async fn a_session_is_renewed_early_for_who_asks_for_it(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    renew(s, &a, one.ask(), b"one", 60_000).await;
    is_to_renew(s, &b, TokenAsk { renew: true, ..one.ask() }).await;
    assert!(matches!(lease(s, &a, one.ask()).await, TokenLease::Busy(_)));
}

pub(crate) async fn a_generation_known_to_be_bad_is_renewed(s: &Subject) {
    let (Workers(a, b), asks) = (workers(), asks());
    let one = renew(s, &a, asks.ask(), b"one", HOUR).await;
    let bad = TokenAsk { known_bad: Some(one.generation), ..asks.ask() };
    let two = renew(s, &b, bad, b"two", HOUR).await;
    assert!(two.generation > one.generation);
    assert_eq!(lease(s, &a, bad).await, TokenLease::Valid(two), "somebody has done it already");
}

pub(crate) async fn a_lock_that_timed_out_passes_to_the_next(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    lease(s, &a, one.ask()).await;
    s.at(LOCK_MS - 1);
    assert_eq!(lease(s, &b, one.ask()).await, TokenLease::Busy(ms(1)));
    s.at(LOCK_MS);
    is_to_renew(s, &b, one.ask()).await;
    assert!(matches!(lease(s, &a, one.ask()).await, TokenLease::Busy(_)));
}

pub(crate) async fn a_slow_renewer_does_not_overwrite_a_newer_session(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    lease(s, &a, one.ask()).await;
    s.at(LOCK_MS);
    is_to_renew(s, &b, one.ask()).await;
    assert_eq!(store(s, &a, 0, b"slow", 1_000, 1_000).await, None, "another one is at it");
    let generation = store(s, &b, 0, b"fast", HOUR, HOUR).await.unwrap();
    assert_eq!(store(s, &a, 0, b"slow", 1_000, 1_000).await, None);
    assert_eq!(store(s, &b, 0, b"again", 1_000, 1_000).await, None, "one renewal, one session");
    let TokenLease::Valid(record) = lease(s, &a, one.ask()).await else { panic!("not valid") };
    assert_eq!((record.generation, record.sealed.as_slice()), (generation, b"fast".as_slice()));
}

pub(crate) async fn a_failed_renewal_lets_the_next_try_at_once(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    lease(s, &a, one.ask()).await;
    s.store.token_release("1", &a, Duration::ZERO).await.unwrap();
    is_to_renew(s, &b, one.ask()).await;
    // Who does not hold the renewal can't end it.
    s.store.token_release("1", &a, Duration::ZERO).await.unwrap();
    assert!(matches!(lease(s, &a, one.ask()).await, TokenLease::Busy(_)));
}

pub(crate) async fn a_refused_credential_stays_refused_and_the_next_one_is_tried(s: &Subject) {
    let (Workers(a, b), both) = (workers(), Asks::of(&["print-1", "print-2"]));
    lease(s, &a, both.ask()).await;
    let first = refused("print-1", "OAU-211 of old");
    assert_eq!(refuse(s, &a, 0, &first).await, Heard::New);
    assert_eq!(refuse(s, &a, 0, &first).await, Heard::Known, "one alarm");
    s.store.token_release("1", &a, Duration::ZERO).await.unwrap();
    s.step(30 * 86_400_000);
    let TokenLease::Renew { refused: told, .. } = lease(s, &b, both.ask()).await else { panic!("not to renew") };
    assert_eq!(told, std::slice::from_ref(&first));
    let second = refused("print-2", "OAU-140");
    assert_eq!(refuse(s, &b, 0, &second).await, Heard::New);
    s.store.token_release("1", &b, Duration::ZERO).await.unwrap();
    assert_eq!(lease(s, &a, both.ask()).await, TokenLease::Dead { refused: vec![first, second] });
    let changed = Asks::of(&["print-3", "print-2"]);
    let record = renew(s, &b, changed.ask(), b"new", HOUR).await;
    assert_eq!(lease(s, &a, changed.ask()).await, TokenLease::Valid(record));
}

pub(crate) async fn a_session_that_nobody_can_renew_is_used_to_its_end(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    let record = renew(s, &a, one.ask(), b"last", 60_000).await;
    s.at(60_000);
    is_to_renew(s, &a, one.ask()).await;
    refuse(s, &a, record.generation, &refused("print-1", "OAU-211")).await;
    s.store.token_release("1", &a, Duration::ZERO).await.unwrap();
    assert!(matches!(lease(s, &b, one.ask()).await, TokenLease::Valid(_)));
    s.at(HOUR);
    assert!(matches!(lease(s, &b, one.ask()).await, TokenLease::Dead { .. }));
}

pub(crate) async fn a_lane_that_goes_on_has_its_credential_tried_again(s: &Subject) {
    let (Workers(a, _), one) = (workers(), asks());
    lease(s, &a, one.ask()).await;
    refuse(s, &a, 0, &refused("print-1", "OAU-211")).await;
    s.store.token_release("1", &a, Duration::ZERO).await.unwrap();
    assert!(matches!(lease(s, &a, one.ask()).await, TokenLease::Dead { .. }));
    s.store.set_parked(&wide(1), None).await.unwrap();
    is_to_renew(s, &a, one.ask()).await;
}

pub(crate) async fn a_lane_that_goes_on_with_another_credential_leaves_the_refused_one_alone(s: &Subject) {
    let (Workers(a, _), one) = (workers(), asks());
    lease(s, &a, one.ask()).await;
    refuse(s, &a, 0, &refused("print-1", "OAU-211")).await;
    s.store.token_release("1", &a, Duration::ZERO).await.unwrap();
    s.store.set_parked(&wide(1), Some("credential OAU-211")).await.unwrap();
    s.store.unpark(&wide(1)).await.unwrap();
    assert_eq!(s.store.lane(&wide(1)).await.unwrap().parked, None);
    assert!(matches!(lease(s, &a, one.ask()).await, TokenLease::Dead { .. }));
}

pub(crate) async fn a_refusal_of_before_the_lane_was_let_go_on_is_not_heard(s: &Subject) {
    let (Workers(a, _), one) = (workers(), asks());
    is_to_renew(s, &a, one.ask()).await;
    let refused = refused("print-1", "OAU-236");
    let told = async |age: i64| s.store.token_refuse("1", &a, 0, &refused, ms(age)).await.unwrap();
    s.step(1_000);
    s.store.set_parked(&wide(1), None).await.unwrap();
    s.step(1_000);
    assert_eq!(told(1_001).await, Heard::No);
    is_to_renew(s, &a, one.ask()).await;
    assert_eq!((told(1_000).await, told(1_000).await), (Heard::New, Heard::Known));
    assert!(matches!(lease(s, &a, one.ask()).await, TokenLease::Dead { .. }));
    s.step(1_000);
    s.store.unpark(&wide(1)).await.unwrap();
    s.step(1_000);
    assert_eq!((told(1_001).await, told(0).await), (Heard::No, Heard::Known));
}

pub(crate) async fn a_loser_of_the_race_does_not_kill_the_credential(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    lease(s, &a, one.ask()).await;
    s.at(LOCK_MS);
    is_to_renew(s, &b, one.ask()).await;
    // The refresh token that `a` used was ended by `b`'s renewal.
    assert_eq!(refuse(s, &a, 0, &refused("print-1", "OAU-213")).await, Heard::No);
    let generation = store(s, &b, 0, b"rotated", HOUR, HOUR).await.unwrap();
    assert_eq!(refuse(s, &a, 0, &refused("print-1", "OAU-213")).await, Heard::No);
    let TokenLease::Valid(record) = lease(s, &a, one.ask()).await else { panic!("not valid") };
    assert_eq!(record.generation, generation);
}

pub(crate) async fn nothing_begins_with_a_token_whose_renewal_has_begun(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    let record = renew(s, &a, one.ask(), b"one", 1_000).await;
    s.fill(&wide(1), 3).await;
    let leases: Vec<_> = s.claim(3).await.iter().map(|lease| lease.reference()).collect();
    let begin = async |at: usize, session: u64| {
        let intent = Intent { lease: leases[at], session };
        s.store.begin_send(&[intent], LEASE).await.unwrap()[0]
    };
    assert_eq!(begin(0, record.generation).await, Begin::Go);
    s.at(1_000);
    let TokenLease::Renew { sending, .. } = lease(s, &b, one.ask()).await else { panic!("not to renew") };
    assert_eq!(sending, 1, "the renewal waits for it");
    assert_eq!(begin(1, record.generation).await, Begin::SessionOver);
    s.settle(leases[0], sent()).await;
    let TokenLease::Renew { sending, .. } = lease(s, &b, one.ask()).await else { panic!("not to renew") };
    assert_eq!(sending, 0);
    let newer = store(s, &b, record.generation, b"two", HOUR, HOUR).await.unwrap();
    // It is still in its worker's hand, and goes out with the newest session only.
    assert_eq!(begin(1, record.generation).await, Begin::SessionOver);
    assert_eq!(begin(1, newer).await, Begin::Go);
    // A store that has lost its last moments knows an older one.
    assert_eq!(begin(2, newer + 7).await, Begin::Go);
}

pub(crate) async fn a_send_whose_worker_died_holds_no_renewal_up_once_it_is_reaped(s: &Subject) {
    let (Workers(a, _), one) = (workers(), asks());
    s.fill(&wide(1), 1).await;
    s.claim_and_begin().await;
    let TokenLease::Renew { sending, .. } = lease(s, &a, one.ask()).await else { panic!("not to renew") };
    assert_eq!(sending, 1);
    s.step(LEASE.as_millis() as i64 + 1);
    s.store.reap(10, DAY).await.unwrap();
    let TokenLease::Renew { sending, .. } = lease(s, &a, one.ask()).await else { panic!("not to renew") };
    assert_eq!(sending, 0);
}

pub(crate) async fn sessions_show_how_long_they_live_and_what_was_refused(s: &Subject) {
    let (Workers(a, _), one) = (workers(), asks());
    let record = renew(s, &a, one.ask(), b"one", 60_000).await;
    s.at(20_000);
    refuse(s, &a, record.generation, &refused("print-9", "OAU-211 of old")).await;
    let views = s.store.sessions(&["2".to_owned(), "1".to_owned()]).await.unwrap();
    let good = SessionView {
        generation: record.generation,
        lives: ms(HOUR - 20_000),
        renew_in: ms(40_000),
        renewing: false,
        refused: vec![refused("print-9", "OAU-211 of old")],
    };
    assert_eq!(views, [SessionView::default(), good]);
    s.at(60_000);
    is_to_renew(s, &a, one.ask()).await;
    let view = s.store.sessions(&["1".to_owned()]).await.unwrap().remove(0);
    assert!(view.renewing && view.renew_in.is_zero(), "{view:?}");
    let many: Vec<String> = (0..1_201).map(|n| n.to_string()).collect();
    assert_eq!(s.store.sessions(&many).await.unwrap()[1].generation, record.generation);
}

pub(crate) async fn extensions_have_sessions_of_their_own(s: &Subject) {
    let (Workers(a, b), one) = (workers(), asks());
    lease(s, &a, one.ask()).await;
    for extension in ["2", "3", "4", "5"] {
        let other = s.store.token_lease(extension, &b, one.ask()).await.unwrap();
        assert!(matches!(other, TokenLease::Renew { .. }));
    }
}
