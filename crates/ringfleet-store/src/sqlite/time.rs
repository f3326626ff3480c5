//! What the file is called, and the fleet's time: the machine's, but for what that steps back by.

use rusqlite::{Connection, params};

use super::{fault::Fault, fault::Step, tx::Tx, writer::Writer};
use crate::message::Millis;

/// A smaller step back is waited out.
const DIP: Millis = 1_000;
/// The mark goes on no sooner, so that not every commit has to write it.
const WRITE_EVERY: Millis = 5_000;
/// When time goes on by more than this while it is ahead of the clock, that has most likely been put right: living workers
/// ask twice a second.
const LEAP: Millis = 2 * WRITE_EVERY;

/// How far the fleet's time has come, how far the machine's clock is behind it, and how often that has stepped back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Mark {
    high: Millis,
    off: Millis,
    steps: i64,
}

impl Mark {
    /// The fleet's time when the clock tells `clock`, and the mark to be kept. A time is at most
    /// `DIP` before the mark and `WRITE_EVERY` behind it: a step
    /// back is made up for by `off`, which is taken back at a tenth of the time that passes, and at once, as far as it can be,
    /// when the clock is put right.
    fn at(self, clock: Millis) -> (Millis, Self) {
        let Self { high, off, steps } = self;
        let now = clock + off;
        if off > 0 && now > high + LEAP {
            // Nobody has been told a later time than that.
            let off = (high + WRITE_EVERY - clock).max(0);
            (clock + off, Self { high: clock + off, off, steps })
        } else if now < high - DIP {
            (high, Self { high, off: off + high - now, steps: steps + 1 })
        } else if now > high + WRITE_EVERY {
            let back = off.min((now - high) / 10);
            (now - back, Self { high: now - back, off: off - back, steps })
        } else {
            (now, self)
        }
    }

    /// What a handle goes by that knows `own` and finds this one in the file: time may have come further while all only asked.
    /// Once another handle has counted a step back, its mark holds.
    fn or_further(self, own: Self) -> Self {
        let same_steps = (own.off, own.steps) == (self.off, self.steps);
        if same_steps && own.high > self.high { own } else { self }
    }
}

/// A table of its own beside the schema: a file without it is read as it always was.
pub(super) fn make_table(conn: &Connection) -> Result<(), Fault> {
    Ok(conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS file (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL, high INTEGER NOT NULL, \
         off INTEGER NOT NULL, steps INTEGER NOT NULL) STRICT; \
         INSERT OR IGNORE INTO file VALUES (1, 'sqlite:' || lower(hex(randomblob(8))), 0, 0, 0)",
    )?)
}

impl Tx<'_> {
    /// How often the clock has stepped back.
    pub(super) fn clock_steps(&self) -> Step<u64> {
        let steps = self.row("SELECT steps FROM file", [], |row| row.get::<_, i64>(0))?;
        Ok(steps.unwrap_or(0).unsigned_abs())
    }

    /// Moves the mark, which may be some seconds behind, to this call's time: none of any handle may judge by an earlier one, but
    /// for what whoever reads changes leaves to the next reading (`SETTLED_MS`). What makes up for a step back stays as it is.
    pub(super) fn pin_time(&self) -> Step<()> {
        self.exec("UPDATE file SET high = ?1 WHERE high < ?1", params![self.now])?;
        Ok(())
    }
}

impl Writer {
    pub(super) fn name(&self) -> Step<String> {
        Ok(self.conn.query_row("SELECT name FROM file", [], |row| row.get(0))?)
    }

    /// Within a transaction. Of this handle's calls none is earlier than one before; other handles are some seconds away at most.
    pub(super) fn now(&mut self) -> Step<Millis> {
        if let Some(set) = self.clock.set_time() {
            return Ok(set);
        }
        let kept = self
            .conn
            .prepare_cached("SELECT high, off, steps FROM file")?
            .query_row([], |row| Ok(Mark { high: row.get(0)?, off: row.get(1)?, steps: row.get(2)? }))?;
        let mark = kept.or_further(self.mark);
        let (now, next) = mark.at(self.clock.local_now());
        if (next.off, next.steps) == (kept.off, kept.steps) {
            self.mark = next;
            self.mark_is_ahead = next.high > kept.high;
        } else {
            self.mark_is_ahead = false;
            self.write(next)?;
        }
        self.latest = self.latest.max(now);
        Ok(self.latest)
    }

    /// Before the commit of what has changed something: what was written with a time must not find an earlier one later.
    /// Whoever only asks writes nothing, unless a step back of the clock is being made up for, so that a store on a full disk can
    /// be looked at.
    pub(super) fn keep_mark(&mut self) -> Step<()> {
        if std::mem::take(&mut self.mark_is_ahead) { self.write(self.mark) } else { Ok(()) }
    }

    fn write(&self, mark: Mark) -> Step<()> {
        self.conn
            .prepare_cached("UPDATE file SET high = max(high, ?1), off = ?2, steps = ?3")?
            .execute(params![mark.high, mark.off, mark.steps])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Millis = 3_600_000;
    const NOON: Millis = 500_000 * HOUR;

    /// Asks every `step` from `from` to `to`; returns how far time is ahead of the clock at the end.
    fn run(mark: &mut Mark, (from, to): (Millis, Millis), step: usize) -> Millis {
        let mut ahead = 0;
        for clock in (from..=to).step_by(step) {
            let before = mark.high;
            let (now, next) = mark.at(clock);
            assert!(now >= before - DIP && next.high >= before, "{mark:?} {clock}");
            (ahead, *mark) = (now - clock, next);
        }
        ahead
    }

    #[test]
    fn a_clock_that_steps_back_takes_the_fleets_time_with_it_slowly() {
        let mut mark = Mark::default();
        assert_eq!(run(&mut mark, (NOON, NOON + HOUR), 500), 0);
        let ahead = run(&mut mark, (NOON, NOON + HOUR), 500);
        assert!((HOUR * 89 / 100..HOUR * 92 / 100).contains(&ahead), "{ahead}");
        assert_eq!(mark.steps, 1);
        assert_eq!(run(&mut mark, (NOON + HOUR, NOON + 12 * HOUR), 500), 0);
    }

    #[test]
    fn a_clock_that_is_put_right_leaves_the_fleet_nowhere_in_the_future() {
        for (dip, until_put_right) in [(HOUR, 300_000), (5 * 365 * 24 * HOUR, 20_000), (45_000, 1_000)] {
            let mut mark = Mark::default();
            run(&mut mark, (NOON - HOUR, NOON), 500);
            run(&mut mark, (NOON - dip, NOON - dip + until_put_right), 500);
            let right = NOON + until_put_right;
            let ahead = run(&mut mark, (right, right), 1);
            assert!((0..=WRITE_EVERY).contains(&ahead), "{ahead}");
            assert_eq!(run(&mut mark, (right, right + 60_000), 500), 0);
        }
    }

    #[test]
    fn a_fleet_that_nobody_asked_for_long_goes_on_where_it_stood_or_at_the_clock() {
        let mut mark = Mark { high: NOON + HOUR, off: HOUR, steps: 1 };
        assert_eq!(run(&mut mark, (NOON + HOUR / 2, NOON + HOUR / 2), 1), HOUR / 2 + WRITE_EVERY);
        assert_eq!(run(&mut mark, (NOON + 3 * HOUR, NOON + 3 * HOUR), 1), 0);
    }

    #[test]
    fn a_step_back_is_noticed_by_one_who_only_asked_and_counted_once() {
        let kept = Mark { high: NOON - HOUR, off: 0, steps: 0 };
        let mut own = kept;
        assert_eq!(run(&mut own, (NOON - HOUR, NOON), 500), 0);
        let (now, next) = kept.or_further(own).at(NOON - HOUR / 2);
        assert!(now > NOON - WRITE_EVERY - DIP, "it would find an earlier time: {now}");
        assert_eq!(next.steps, 1);
        assert_eq!(next.or_further(own), next);
    }
}
