//! Sessions for lanes whose first scheduled message is due soon, so that it is not late by a login. A lane that sends anyway
//! has its session; nothing else is logged in for.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use ringcentral::ExtensionId;
use ringfleet_identity::{NoSession, Sessions, jittered};
use ringfleet_store::{DueSoon, Gate, LaneId, MAX_BATCH, Millis, StoreError};
use tokio_util::sync::CancellationToken;

/// How far it looks ahead.
const AHEAD: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(1);
/// A schedule of more than one page is read as a whole so often, its first page each time: all pages each time, by every worker,
/// would be a good part of what the store can do.
const WHOLE: Duration = Duration::from_secs(5);
/// A session is there so long before its message is due, at least; the logins of many lanes are spread over the time before.
const AT_LEAST: Duration = Duration::from_secs(5);
/// A lane that stands still, or whose logins were all refused, has its next turn after this time: one that was let go on meanwhile
/// may be late by its login.
const AGAIN: Duration = Duration::from_secs(5);
/// Logins of this process at once.
const AT_ONCE: usize = 8;
/// Messages looked at in one round.
const MOST: u32 = 20 * MAX_BATCH as u32;

pub(crate) struct Foresight {
    sessions: Arc<Sessions>,
    outlook: Outlook,
    /// When this process comes to a lane; drawn once for each of its due times, and put off where that was in vain.
    turns: HashMap<(LaneId, Millis), Instant>,
}

impl Foresight {
    pub(crate) fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions, outlook: Outlook::default(), turns: HashMap::new() }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered(EVERY)) => {}
            }
            if let Err(error) = self.round(&stop).await {
                crate::metrics::store_error("due_soon", &error);
            }
        }
    }

    async fn round(&mut self, stop: &CancellationToken) -> Result<(), StoreError> {
        let store = self.sessions.store().clone();
        let app = self.sessions.app();
        let page = |skip| {
            let store = &store;
            async move {
                let mut page = store.due_soon(AHEAD, skip).await?;
                page.lanes.retain(|(lane, _)| lane.app() == app);
                Ok(page)
            }
        };
        self.outlook.look(Instant::now(), page).await?;
        if self.outlook.soon.is_empty() {
            self.turns.clear();
            return Ok(());
        }
        if !matches!(store.gate().await?, Gate::Open) {
            return Ok(());
        }
        let now = store.now().await?;
        self.outlook.soon.retain(|_, due| *due > now);
        let in_turn = self.in_turn(now);
        // Many lanes may be in sight, and each look at one is a call, by each worker, each second.
        if in_turn.is_empty() || !self.sessions.may_prepare().await? {
            return Ok(());
        }
        // Ends the round when its own logins have used up what may be spent.
        let enough = stop.child_token();
        let in_turn = futures::stream::iter(in_turn).take_until(enough.cancelled());
        let looks = in_turn.map(|(lane, due_in)| self.prepare(lane, due_in, &enough)).buffer_unordered(AT_ONCE);
        let in_vain: Vec<LaneId> = looks.filter_map(std::future::ready).collect().await;
        for lane in in_vain {
            if let Some(due) = self.outlook.soon.get(&lane) {
                self.turns.insert((lane, *due), Instant::now() + AGAIN);
            }
        }
        Ok(())
    }

    /// The lanes whose turn has come and which lack a session, with the time that is left, the soonest first.
    fn in_turn(&mut self, now: Millis) -> Vec<(LaneId, Duration)> {
        let soon = &self.outlook.soon;
        self.turns.retain(|(lane, due), _| soon.get(lane) == Some(due));
        let mut in_turn = Vec::new();
        for (lane, due) in soon {
            let due_in = Duration::from_millis((due - now).max(0).unsigned_abs());
            let spread = due_in.saturating_sub(AT_LEAST);
            let turn = self.turns.entry((lane.clone(), *due));
            let turn = turn.or_insert_with(|| Instant::now() + spread.mul_f64(rand::random()));
            if *turn <= Instant::now() && !self.sessions.is_prepared(lane.extension(), due_in) {
                in_turn.push((lane.clone(), due_in));
            }
        }
        in_turn.sort_by_key(|(_, due_in)| *due_in);
        in_turn
    }

    /// Gives the lane if it can have no session before somebody acts.
    async fn prepare(&self, lane: LaneId, due_in: Duration, enough: &CancellationToken) -> Option<LaneId> {
        let extension = ExtensionId::try_new(lane.extension()).ok()?;
        // What waits already comes first; this one logs in when it is due.
        match self.sessions.may_prepare().await {
            Ok(true) => {}
            Ok(false) => {
                enough.cancel();
                return None;
            }
            Err(error) => {
                crate::metrics::store_error("lane", &error);
                return None;
            }
        }
        match self.sessions.store().lane(&lane).await {
            Ok(view) if view.paused || view.parked.is_some() => return Some(lane),
            Ok(_) => {}
            Err(error) => {
                crate::metrics::store_error("lane", &error);
                return None;
            }
        }
        let Err(error) = self.sessions.prepare(&extension, due_in).await else { return None };
        // Its message will tell.
        tracing::debug!(extension.id = extension.as_str(), ?error, "no session ahead of time");
        matches!(error, NoSession::Dead { .. }).then_some(lane)
    }
}

/// What is due soon, as far as the schedule was read.
#[derive(Default)]
struct Outlook {
    /// Lanes with the time of their first message. One that was cancelled may stand here until the next look at all pages.
    soon: HashMap<LaneId, Millis>,
    /// When all pages are read again; `None` if they were one, which is read each time anyway.
    whole_at: Option<Instant>,
}

impl Outlook {
    async fn look<R>(&mut self, now: Instant, page_after: impl Fn(u32) -> R) -> Result<(), StoreError>
    where
        R: Future<Output = Result<DueSoon, StoreError>>,
    {
        let whole = self.whole_at.is_none_or(|at| at <= now);
        let (mut soon, mut skip) = (HashMap::new(), 0);
        let more = loop {
            let page = page_after(skip).await?;
            for (lane, due) in page.lanes {
                soon.entry(lane).or_insert(due);
            }
            skip += MAX_BATCH as u32;
            if !page.more || !whole || skip >= MOST {
                break page.more;
            }
        };
        if whole {
            let again = now + jittered(WHOLE);
            self.whole_at = (skip > MAX_BATCH as u32).then_some(again);
        }
        if whole || !more {
            self.soon = soon;
        } else {
            self.soon.extend(soon);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]
mod tests {
    use std::{cell::Cell, future::ready};

    use axum::Router;
    use ringcentral::Client;
    use ringfleet_identity::Roster;
    use ringfleet_store::{
        Acquired, Group, Heard, NewMessage, OnUnknown, PlanSeen, RefusedCredential, Release, SharedStore, WorkerId,
        sqlite::SqliteOptions,
    };
    use ringfleet_testkit::RedisServer;

    use super::*;
    use crate::tests::rig::{LEASE, NOBODY, client, credential, lane as lane_of, provider, redis, sqlite, text, vault};

    fn lane(page: u32) -> LaneId {
        LaneId::try_new("main", &format!("10{page}"), Group::Medium).unwrap()
    }

    /// A schedule of so many pages, each of one lane; counts the pages that were read.
    struct Schedule {
        pages: u32,
        read: Cell<u32>,
    }

    impl Schedule {
        fn page_after(&self, skip: u32) -> std::future::Ready<Result<DueSoon, StoreError>> {
            self.read.set(self.read.get() + 1);
            let page = skip / MAX_BATCH as u32;
            let lanes = if page < self.pages { vec![(lane(page), Millis::from(page))] } else { Vec::new() };
            ready(Ok(DueSoon { lanes, more: page + 1 < self.pages }))
        }
    }

    #[tokio::test]
    async fn a_long_schedule_is_read_whole_every_few_seconds_only_and_all_its_lanes_stay_in_sight() {
        const ROUNDS: u32 = 60;
        let long = Schedule { pages: 20, read: Cell::default() };
        let (mut outlook, start) = (Outlook::default(), Instant::now());
        for round in 0..ROUNDS {
            outlook.look(start + EVERY * round, |skip| long.page_after(skip)).await.unwrap();
            assert!((0..20).all(|page| outlook.soon.get(&lane(page)) == Some(&Millis::from(page))), "round {round}");
        }
        let read = long.read.get();
        assert!((ROUNDS..ROUNDS * 20 / 3).contains(&read), "{read} pages in {ROUNDS} rounds");
        // What is gone is forgotten with the next look at all of it, or at once if that is one page.
        let short = Schedule { pages: 1, read: Cell::default() };
        outlook.look(start + EVERY * ROUNDS, |skip| short.page_after(skip)).await.unwrap();
        assert_eq!((outlook.soon.len(), short.read.get()), (1, 1));
    }

    #[tokio::test]
    async fn a_schedule_that_grows_beyond_a_page_is_read_whole_at_once() {
        let (mut outlook, start) = (Outlook::default(), Instant::now());
        for (round, pages) in [0, 1, 3].into_iter().enumerate() {
            let schedule = Schedule { pages, read: Cell::default() };
            outlook.look(start + EVERY * round as u32, |skip| schedule.page_after(skip)).await.unwrap();
            assert_eq!(outlook.soon.len(), pages as usize);
        }
    }

    /// It has one text of each of so many extensions in sight, from 1000 on, and their turns have come.
    async fn foresight(store: &SharedStore, client: Client, extensions: u32) -> Foresight {
        let names: Vec<String> = (1_000..1_000 + extensions).map(|n| n.to_string()).collect();
        let send_at = Some(store.now().await.unwrap() + 10_000);
        let scheduled = |name: &String| NewMessage { send_at, ..text(name, 1, OnUnknown::Hold) };
        store.enqueue(&names.iter().map(scheduled).collect::<Vec<_>>()).await.unwrap();
        let roster = Roster::fixed(names.iter().map(|name| credential(name)));
        let sessions = Sessions::new(vault(store.clone()), roster, client, WorkerId::incarnation("w"), LEASE);
        let mut foresight = Foresight::new(Arc::new(sessions));
        foresight.round(&CancellationToken::new()).await.unwrap();
        foresight.turns.values_mut().for_each(|turn| *turn = Instant::now());
        assert_eq!(foresight.in_turn(store.now().await.unwrap()).len(), names.len());
        foresight
    }

    /// Scripts that it has run.
    fn scripts(server: &RedisServer) -> u64 {
        let told = server.ask(&["INFO", "commandstats"]).unwrap();
        let (_, calls) = told.split_once("cmdstat_evalsha:calls=").unwrap();
        calls.split(',').next().unwrap().parse().unwrap()
    }

    async fn logins_share_one_budget(store: &SharedStore) -> LaneId {
        let logins = LaneId::try_new("main", "*", Group::Auth).unwrap();
        store.set_parked(&logins, Some("logins share one budget")).await.unwrap();
        logins
    }

    #[tokio::test]
    async fn lanes_in_sight_cost_no_call_each_while_no_login_may_be_made_for_them() {
        let calls = async |extensions| {
            let server = RedisServer::start();
            let store = redis(&server).await;
            let logins = logins_share_one_budget(&store).await;
            // More than half of five.
            for _ in 0..3 {
                assert!(matches!(store.acquire(&logins, LEASE).await.unwrap(), Acquired::Granted(_)));
            }
            let mut foresight = foresight(&store, client(NOBODY), extensions).await;
            assert_eq!(store.gate().await.unwrap(), Gate::Open);
            let before = scripts(&server);
            foresight.round(&CancellationToken::new()).await.unwrap();
            scripts(&server) - before
        };
        assert_eq!(calls(400).await, calls(4).await);
    }

    /// The budget is so large that none of those who log in at once has to wait for it: that would end the round too.
    #[tokio::test]
    async fn a_round_ends_when_its_own_logins_have_used_up_what_may_be_spent() {
        const LANES: u32 = 400;
        const LIMIT: u32 = 20;
        let server = RedisServer::start();
        let store = redis(&server).await;
        let logins = logins_share_one_budget(&store).await;
        let Acquired::Granted(slot) = store.acquire(&logins, LEASE).await.unwrap() else { panic!("it is empty") };
        let seen = PlanSeen { limit: Some(LIMIT), window_ms: Some(60_000), remaining: None };
        store.release(&logins, slot, Release::Used, Duration::ZERO, seen).await.unwrap();
        let mut foresight = foresight(&store, provider(Router::new()).await, LANES).await;
        let before = scripts(&server);
        foresight.round(&CancellationToken::new()).await.unwrap();
        let (made, calls) = (store.lane(&logins).await.unwrap().slots_in_use, scripts(&server) - before);
        assert!((LIMIT / 2..LIMIT).contains(&made) && calls < u64::from(LANES), "{made} logins, {calls} calls");
    }

    #[tokio::test]
    async fn a_lane_that_stands_still_or_has_no_login_left_is_not_looked_at_in_each_round() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite(folder.path(), SqliteOptions::default()).await;
        let mut foresight = foresight(&store, client(NOBODY), 3).await;
        store.set_paused(&lane_of("1000"), true).await.unwrap();
        store.set_parked(&lane_of("1001"), Some("credential OAU-211")).await.unwrap();
        let print = foresight.sessions.standings("1002").remove(0).print;
        let refused = RefusedCredential { print, reason: "OAU-211".to_owned() };
        let told = store.token_refuse("1002", &WorkerId::incarnation("w"), 0, &refused, Duration::ZERO).await.unwrap();
        assert_eq!(told, Heard::New);
        foresight.round(&CancellationToken::new()).await.unwrap();
        assert!(foresight.in_turn(store.now().await.unwrap()).is_empty());
        let again = Instant::now() + AGAIN;
        assert!(foresight.turns.len() == 3 && foresight.turns.values().all(|turn| *turn <= again));
    }
}
