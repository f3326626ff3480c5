//! How the fleet stands: what waits, which lanes wait, and what keeps all of them.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use ringfleet_store::{Gate, Group, LaneId, LaneView, MAX_BATCH, Millis, State, Stats, Store, StoreError};

/// Further ahead than anything is scheduled.
const AHEAD: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Lanes that are looked at at once.
const AT_ONCE: usize = 32;

/// What one look at the store has found.
#[derive(Clone, Debug)]
pub struct Standing {
    pub stats: Stats,
    /// Those that wait, the longest waiting first: [`MAX_BATCH`] at most.
    pub lanes: Vec<LaneView>,
    pub gate: Gate,
    pub stopped: Stopped,
}

/// Extensions that a person or a cause has stopped, and of whose messages none is due yet: they are not among those that wait.
#[derive(Clone, Debug, Default)]
pub struct Stopped {
    /// With the time at which the first of its messages becomes due, the soonest first.
    pub lanes: Vec<(LaneView, Millis)>,
    /// There are more scheduled messages than were looked at.
    pub more: bool,
}

impl Standing {
    /// Some calls, one after the other. Cancel-safe: it changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] if one of them fails; of several shards all must answer.
    pub async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let stats = store.stats().await?;
        // All that can be had, as logins are counted over more lanes than are listed.
        let lanes = store.lanes(MAX_BATCH as u32).await?;
        let gate = store.gate().await?;
        let stopped = match stats.count(State::Scheduled) {
            0 => Stopped::default(),
            _ => Stopped::read(store, &lanes).await?,
        };
        Ok(Self { stats, lanes, gate, stopped })
    }

    /// Of the plans of the lanes that wait for a place to send texts: places of their windows in use, and how many there are.
    pub fn quota(&self) -> (u64, u64) {
        let medium = self.lanes.iter().filter(|view| view.lane.as_ref().is_some_and(|id| id.group() == Group::Medium));
        // A limit that was lowered has more slots in use than places.
        let share = |view: &LaneView| view.plan.map(|plan| (view.slots_in_use.min(plan.limit), plan.limit));
        medium.filter_map(share).fold((0, 0), |(used, all), (n, of)| (used + u64::from(n), all + u64::from(of)))
    }
}

impl Stopped {
    /// Of the lanes of those messages that become due first, so that this takes no longer with more of them. No list names the lanes
    /// that stand. Those of `listed` are left out.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn read(store: &dyn Store, listed: &[LaneView]) -> Result<Self, StoreError> {
        let soon = store.due_soon(AHEAD, 0).await?;
        let listed: BTreeSet<&LaneId> = listed.iter().filter_map(|view| view.lane.as_ref()).collect();
        let others = soon.lanes.into_iter().filter(|(lane, _)| !listed.contains(lane));
        let look = |(lane, due): (LaneId, Millis)| async move { Ok::<_, StoreError>((store.lane(&lane).await?, due)) };
        let looks: Vec<_> = others.map(look).collect();
        let mut lanes: Vec<(LaneView, Millis)> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        lanes.retain(|(view, _)| (view.paused || view.parked.is_some()) && view.oldest_due.is_none());
        Ok(Self { lanes, more: soon.more })
    }
}

/// How many workers have shown themselves lately; `None` if the app's name makes no lane to ask for.
///
/// # Errors
/// [`StoreError`] if the store can't be asked.
pub async fn workers(store: &dyn Store, app: &str) -> Result<Option<u32>, StoreError> {
    // The facts of any lane tell it, also of one that is not there.
    let Ok(lane) = LaneId::try_new(app, "0", Group::Medium) else { return Ok(None) };
    Ok(Some(store.explain_lane(&lane).await?.workers))
}

/// What is or must be done about messages in a state.
pub fn hint(state: State) -> Option<&'static str> {
    match state {
        State::Unknown => Some("being looked up in the provider's message store"),
        State::Held => Some("a person must decide: `ringfleet held list`"),
        State::Dead => Some("given up: `ringfleet message dead`"),
        _ => None,
    }
}

/// A span of time, as exact as it is worth.
pub fn short(ms: Millis) -> String {
    match ms.max(0) {
        ms @ 0..10_000 => format!("{:.1} s", ms as f64 / 1e3),
        ms @ 10_000..600_000 => format!("{} s", ms / 1_000),
        ms @ 600_000..36_000_000 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use ringfleet_store::{
        NewMessage, OnUnknown, Plan, Priority, Private, SqliteStore, WorkerId, sqlite::SqliteOptions,
    };

    use super::*;

    fn lane(extension: &str, group: Group) -> LaneId {
        LaneId::try_new("main", extension, group).unwrap()
    }

    fn new(extension: &str, send_at: Option<Millis>) -> NewMessage {
        NewMessage {
            lane: lane(extension, Group::Medium),
            key: None,
            from: Private::new("+15550100001"),
            to: Private::new("+15550200001"),
            text: Private::new("See you on Monday"),
            priority: Priority::Normal,
            on_unknown: OnUnknown::Hold,
            send_at,
            send_by: None,
        }
    }

    #[tokio::test]
    async fn one_look_finds_what_waits_and_a_stop_before_anything_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("standing.db"), SqliteOptions::default()).await.unwrap();
        let later = store.now().await.unwrap() + 3_600_000;
        store.enqueue(&[new("101", None), new("102", Some(later)), new("103", Some(later))]).await.unwrap();
        store.set_paused(&lane("102", Group::Medium), true).await.unwrap();
        store.set_gate(&Gate::Stopped { reason: "wrong text".into() }).await.unwrap();
        let standing = Standing::read(&store).await.unwrap();
        assert_eq!((standing.stats.count(State::Ready), standing.stats.count(State::Scheduled)), (1, 2));
        assert_eq!(standing.lanes.len(), 1);
        assert_eq!(standing.gate, Gate::Stopped { reason: "wrong text".into() });
        let [(view, due)] = &standing.stopped.lanes[..] else { panic!("{:?}", standing.stopped) };
        assert_eq!((view.lane.as_ref(), *due), (Some(&lane("102", Group::Medium)), later));

        assert_eq!(workers(&store, "main").await.unwrap(), Some(0));
        store.watch(&WorkerId::incarnation("w"), Default::default()).await.unwrap();
        assert_eq!(workers(&store, "main").await.unwrap(), Some(1));
        assert_eq!(workers(&store, "no lane").await.unwrap(), None);
    }

    #[test]
    fn quota_is_that_of_the_lanes_that_send_texts() {
        let view = |group, slots_in_use| LaneView {
            lane: Some(lane("101", group)),
            slots_in_use,
            plan: Some(Plan { limit: 40, window_ms: 60_000 }),
            ..LaneView::default()
        };
        let lanes = vec![view(Group::Medium, 12), view(Group::Medium, 41), view(Group::Light, 7)];
        let standing = Standing { stats: Stats::default(), lanes, gate: Gate::Open, stopped: Stopped::default() };
        assert_eq!(standing.quota(), (52, 80));
    }
}
