//! Lanes: their record, their window, and their place in the ready index.

use rusqlite::{Row, params};

use super::{
    fault::{Fault, Step},
    slots::Slots,
    tx::Tx,
};
use crate::{
    ids::LaneId,
    message::Millis,
    plan::{LaneRules, Plan, PlanSeen, slot_hold_ms},
};

pub(super) struct Lane {
    /// Its row; 0 for one that was only asked for.
    pub(super) row: i64,
    pub(super) id: LaneId,
    pub(super) penalty: Millis,
    pub(super) paused: bool,
    pub(super) parked: Option<String>,
    pub(super) probe: bool,
    pub(super) in_flight: i64,
    pub(super) claims: i64,
    pub(super) heard: i64,
    /// Learnt, or else the caller's.
    pub(super) limit: i64,
    pub(super) window: Millis,
    learnt_limit: Option<i64>,
    learnt_window: Option<Millis>,
    pub(super) slots: Slots,
    pub(super) waiting: i64,
    pub(super) oldest_due: Option<Millis>,
    ready_at: Option<Millis>,
    touched: bool,
    turn: bool,
}

impl Lane {
    pub(super) fn new(id: LaneId, rules: &LaneRules) -> Self {
        let plan = rules.plan(id.group());
        Self {
            row: 0,
            id,
            penalty: 0,
            paused: false,
            parked: None,
            probe: false,
            in_flight: 0,
            claims: 0,
            heard: 0,
            limit: i64::from(plan.limit),
            window: i64::from(plan.window_ms),
            learnt_limit: None,
            learnt_window: None,
            slots: Slots::default(),
            waiting: 0,
            oldest_due: None,
            ready_at: None,
            touched: false,
            turn: false,
        }
    }

    /// A penalty is followed by one probe alone; full speed comes back with its answer.
    pub(super) fn cap(&self, rules: &LaneRules) -> i64 {
        if self.probe { 1 } else { i64::from(rules.in_flight_cap.max(1)) }
    }

    pub(super) fn stopped(&self) -> bool {
        self.paused || self.parked.is_some()
    }

    pub(super) fn hold(&self) -> Millis {
        slot_hold_ms(self.window)
    }

    pub(super) fn window_free_at(&mut self, now: Millis) -> Millis {
        self.slots.free_at(usize::try_from(self.limit).unwrap_or(1).max(1), now)
    }

    /// SEND-SAFETY: (of the plan) a slot is free one window after its response was read: the server saw the request no
    /// later than that, so the slot's next request can't be one too many. now + 1 because `now` was rounded down.
    pub(super) fn time_slot(&mut self, token: i64, now: Millis, age: Millis) {
        let free_at = (now + 1).saturating_sub(age).saturating_add(self.hold());
        self.slots.set(token, free_at);
    }

    pub(super) fn retime_slot(&mut self, token: i64, now: Millis, age: Millis) {
        let free_at = (now + 1).saturating_sub(age).saturating_add(self.hold());
        self.slots.keep_longer(token, free_at);
    }

    pub(super) fn penalise(&mut self, until: Millis) {
        self.penalty = self.penalty.max(until);
    }

    /// The plan that an answer's headers tell; documented limits lie between 1 and 1,000. It is kept also when it is the caller's
    /// own: another process may be configured otherwise.
    pub(super) fn learn_plan(&mut self, seen: PlanSeen) {
        if let Some(limit) = seen.limit.filter(|limit| *limit > 0) {
            self.limit = i64::from(limit.min(1_000));
            self.learnt_limit = Some(self.limit);
        }
        if let Some(window) = seen.window_ms.filter(|window| *window > 0).map(i64::from)
            && self.learnt_window != Some(window)
        {
            let before = self.hold();
            self.window = window;
            // The slots already timed were counted by the old window.
            // SEND-SAFETY: (of the plan) by whose, nobody knows before one was told: another process's may be shorter than the
            // caller's. So the first that is told makes no slot free sooner.
            let by = self.hold() - before;
            self.slots.shift(if self.learnt_window.is_none() { by.max(0) } else { by });
            self.learnt_window = Some(window);
        }
    }

    pub(super) fn plan(&self) -> Plan {
        let bound = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
        Plan { limit: bound(self.limit), window_ms: bound(self.window) }
    }

    pub(super) fn untouch(&mut self) {
        (self.touched, self.turn) = (false, false);
    }
}

const LANE_BY_NAME: &str = "SELECT name, slots, n, penalty, paused, parked, probe, in_flight, claims, \
                            learnt_limit, learnt_window, heard, waiting, oldest_due, ready_at FROM lanes WHERE name = ?1";
const LANE_BY_ROW: &str = "SELECT name, slots, n, penalty, paused, parked, probe, in_flight, claims, \
                           learnt_limit, learnt_window, heard, waiting, oldest_due, ready_at FROM lanes WHERE n = ?1";

/// `None` for a name or a window that this version can't read.
fn read_lane(row: &Row<'_>, rules: &LaneRules) -> rusqlite::Result<Option<Lane>> {
    let id = row.get_ref(0)?.as_str()?.parse::<LaneId>().ok();
    let Some((id, slots)) = id.zip(Slots::from_bytes(row.get_ref(1)?.as_blob()?)) else { return Ok(None) };
    let own = Lane::new(id, rules);
    let (learnt_limit, learnt_window): (Option<i64>, Option<Millis>) = (row.get(9)?, row.get(10)?);
    Ok(Some(Lane {
        row: row.get(2)?,
        slots,
        penalty: row.get(3)?,
        paused: row.get(4)?,
        parked: row.get(5)?,
        probe: row.get(6)?,
        in_flight: row.get(7)?,
        claims: row.get(8)?,
        heard: row.get(11)?,
        limit: learnt_limit.unwrap_or(own.limit),
        window: learnt_window.unwrap_or(own.window),
        learnt_limit,
        learnt_window,
        waiting: row.get(12)?,
        oldest_due: row.get(13)?,
        ready_at: row.get(14)?,
        ..own
    }))
}

const UNREADABLE: Fault = Fault::Unreadable("a lane");

impl Tx<'_> {
    /// The lane of this name; a new one is stored.
    pub(super) fn lane_named(&mut self, id: &LaneId) -> Step<usize> {
        if let Some(at) = self.lane_by_name.get(id.as_str()) {
            return Ok(*at);
        }
        let mut lane = self.peek_lane(id)?;
        if lane.row == 0 {
            self.exec("INSERT INTO lanes (name) VALUES (?1)", [id.as_str()])?;
            lane.row = self.inserted_row();
        }
        Ok(self.keep_lane(lane))
    }

    pub(super) fn lane_at_row(&mut self, row: i64) -> Step<usize> {
        if let Some(at) = self.lane_by_row.get(&row) {
            return Ok(*at);
        }
        let lane = self.row(LANE_BY_ROW, [row], |row| read_lane(row, self.rules))?;
        let lane = lane.flatten().ok_or(UNREADABLE)?;
        Ok(self.keep_lane(lane))
    }

    fn keep_lane(&mut self, lane: Lane) -> usize {
        let at = self.lanes.len();
        self.lane_by_name.insert(lane.id.as_str().to_owned(), at);
        self.lane_by_row.insert(lane.row, at);
        self.lanes.push(lane);
        at
    }

    /// Reads a lane without storing an unknown one.
    pub(super) fn peek_lane(&self, id: &LaneId) -> Step<Lane> {
        match self.row(LANE_BY_NAME, [id.as_str()], |row| read_lane(row, self.rules))? {
            Some(lane) => lane.ok_or(UNREADABLE),
            None => Ok(Lane::new(id.clone(), self.rules)),
        }
    }

    /// Marks a lane for `save`.
    pub(super) fn touch(&mut self, at: usize) {
        if !self.lanes[at].touched {
            self.lanes[at].touched = true;
            self.touched.push(at);
        }
    }

    /// Marks a lane that is served: it goes behind the others.
    pub(super) fn touch_in_turn(&mut self, at: usize) {
        self.touch(at);
        self.lanes[at].turn = true;
    }

    /// Takes a slot. It counts as in use until the request is settled, however long that takes.
    pub(super) fn take_slot(&mut self, at: usize, free_at: Millis) -> Step<i64> {
        let token = self.next_token()?;
        self.lanes[at].slots.set(token, free_at);
        self.lanes[at].claims += 1;
        Ok(token)
    }

    /// Holds the lane invariant: in the ready index exactly when a message is due, the lane is neither paused nor
    /// parked, and fewer than its cap are in flight; its place is the first instant at which it may send.
    pub(super) fn reindex(&mut self, at: usize) -> Step<()> {
        let oldest_due = self.oldest_due(at)?;
        let (now, rules) = (self.now, self.rules);
        let lane = &mut self.lanes[at];
        lane.oldest_due = oldest_due;
        if oldest_due.is_none() || lane.stopped() || lane.in_flight >= lane.cap(rules) {
            lane.ready_at = None;
            return Ok(());
        }
        let free_at = lane.penalty.max(lane.window_free_at(now));
        // A lane that waits for its turn keeps its place.
        let waits_already = lane.ready_at.is_some_and(|place| place <= now);
        if free_at > now || lane.turn || !waits_already {
            lane.ready_at = Some(free_at);
        }
        Ok(())
    }

    /// When the longest waiting of the lane's three heads became due.
    fn oldest_due(&self, at: usize) -> Step<Option<Millis>> {
        if self.lanes[at].waiting == 0 {
            return Ok(None);
        }
        let sql = "SELECT (SELECT due FROM queue WHERE lane = ?1 AND priority = 0 ORDER BY place LIMIT 1), \
                   (SELECT due FROM queue WHERE lane = ?1 AND priority = 1 ORDER BY place LIMIT 1), \
                   (SELECT due FROM queue WHERE lane = ?1 AND priority = 2 ORDER BY place LIMIT 1)";
        let heads: Option<[Option<Millis>; 3]> =
            self.row(sql, [self.lanes[at].row], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
        Ok(heads.into_iter().flatten().flatten().min())
    }

    pub(super) fn write_lane(&self, at: usize) -> Step<()> {
        let lane = &self.lanes[at];
        let sql = "UPDATE lanes SET penalty = ?2, paused = ?3, parked = ?4, probe = ?5, in_flight = ?6, claims = ?7, \
                   heard = ?8, learnt_limit = ?9, learnt_window = ?10, waiting = ?11, oldest_due = ?12, \
                   ready_at = ?13, slots = ?14 WHERE n = ?1";
        self.exec(
            sql,
            params![
                lane.row,
                lane.penalty,
                lane.paused,
                lane.parked,
                lane.probe,
                lane.in_flight,
                lane.claims,
                lane.heard,
                lane.learnt_limit,
                lane.learnt_window,
                lane.waiting,
                lane.oldest_due,
                lane.ready_at,
                lane.slots.to_bytes(),
            ],
        )?;
        Ok(())
    }
}
