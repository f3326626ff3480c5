//! The model on paper: what a send costs, times how many there are.

use crate::{figure::Book, options::Bench, queue, queue::OURS, sends, size::LIMIT};

/// RingCentral's window, in seconds.
pub(super) const WINDOW_S: f64 = 60.0;
/// After which a place is free again: the window and its margin.
pub(super) const HOLD_S: f64 = WINDOW_S * 1.001;
/// A shard is planned to be busy for so much of its time: beyond it waiting grows quickly.
const BUSY: f64 = 0.7;
/// A worker process is planned for so much of a core.
const WORKER_BUSY: f64 = 0.7;
/// What a worker process has under way at once with its default settings (`worker.concurrency`), each until its answer is read.
const HANDS: f64 = 64.0;
/// Calls of the store that a worker process has under way: one claim, one batch of intents, one of reports.
const CALLS: u32 = 3;
/// Messages that wait for each extension: an hour at full plan; and finished records that are kept: a week of 200 a day.
const QUEUED_EACH: f64 = 60.0 * LIMIT as f64;
const FINISHED_EACH: f64 = 7.0 * 200.0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Constants {
    /// Redis CPU of an enqueue in bulk, in µs, and of claim to settle as worker processes do it.
    enqueue_us: f64,
    send_us: f64,
    /// And of the record's removal when its retention is over.
    pruning_us: f64,
    worker_us: f64,
    simulator_us: f64,
    /// Redis commands of both.
    commands: f64,
    queued_bytes: f64,
    finished_bytes: f64,
}

impl Constants {
    /// `None` when a figure is missing.
    pub(super) fn of(book: &Book) -> Option<Self> {
        let queue = |name| book.median(Bench::Queue, name, OURS, "");
        // What is added to the sends was measured as they were: with the file on the disk before each answer.
        let kept = |name| book.median(Bench::Queue, name, OURS, queue::WITH_AOF);
        let sends = |name| book.median(Bench::Sends, name, OURS, "");
        Some(Self {
            enqueue_us: kept(queue::BULK_CPU)?,
            send_us: sends(sends::STORE_CPU)?,
            worker_us: sends(sends::WORKER_CPU)?,
            simulator_us: sends(sends::SIMULATOR_CPU)?,
            pruning_us: queue(queue::PRUNING_CPU)?,
            commands: queue(queue::BULK_COMMANDS)? + sends(sends::COMMANDS)?,
            queued_bytes: queue(queue::QUEUED_BYTES)?,
            finished_bytes: queue(queue::FINISHED_BYTES)?,
        })
    }

    pub(super) fn words(&self) -> String {
        format!(
            "Redis {:.0} µs and worker {:.0} µs of CPU a message, {:.1} commands, {:.0} bytes queued and {:.0} finished; \
             {QUEUED_EACH:.0} queued and {FINISHED_EACH:.0} finished messages an extension; each shard a Redis with a core of its own",
            self.redis_us(),
            self.worker_us,
            self.commands,
            self.queued_bytes,
            self.finished_bytes
        )
    }

    /// Redis CPU of a message from its enqueue in bulk to the removal of its record. What the fleet asks for its delivery report,
    /// and saves of the data, are not in it: no bench measures them.
    fn redis_us(&self) -> f64 {
        self.enqueue_us + self.send_us + self.pruning_us
    }

    /// Sends a second where worker, Redis and simulator share a machine: on two cores Redis has one and the others the other one.
    /// Each of the [`CALLS`] of a worker process is at one of these stations, so they wait for each other, as in any closed network
    /// (exact mean value analysis; Reiser and Lavenberg, 1980). Without the enqueue, which was over before the sends that this is held
    /// against.
    pub(super) fn on_one_machine(&self, cores: usize, workers: u32) -> f64 {
        let (store, worker, simulator) = (self.send_us, self.worker_us, self.simulator_us);
        let stations = match cores {
            0 | 1 => vec![store + worker + simulator],
            2 => vec![store, worker + simulator],
            _ => vec![store, worker / f64::from(workers), simulator],
        };
        let mut waiting = vec![0.0; stations.len()];
        let mut rate = 0.0;
        for calls in 1..=CALLS * workers {
            let stays: Vec<f64> = stations.iter().zip(&waiting).map(|(work, waiting)| work * (1.0 + waiting)).collect();
            rate = f64::from(calls) / stays.iter().sum::<f64>();
            waiting = stays.iter().map(|stay| rate * stay).collect();
        }
        rate * 1e6
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    pub(super) constants: Constants,
    pub(super) shards: u32,
    pub(super) extensions: u64,
}

impl Model {
    pub(super) fn rate(&self) -> f64 {
        self.extensions as f64 * f64::from(LIMIT) / WINDOW_S
    }

    pub(super) fn commands_per_s(&self) -> f64 {
        self.rate() * self.constants.commands
    }

    /// Seconds that a shard works for one message.
    pub(super) fn service_s(&self) -> f64 {
        self.constants.redis_us() / 1e6
    }

    /// Cores that the busiest shard needs: extensions are spread by a hash, and the fullest of `shards` has three deviations
    /// more than the mean.
    pub(super) fn busiest_shard(&self) -> f64 {
        let mean = self.extensions as f64 / f64::from(self.shards);
        let fullest = if self.shards == 1 { mean } else { mean + 3.0 * mean.sqrt() };
        fullest * f64::from(LIMIT) / WINDOW_S * self.service_s()
    }

    pub(super) fn memory_gib(&self) -> f64 {
        let each = QUEUED_EACH * self.constants.queued_bytes + FINISHED_EACH * self.constants.finished_bytes;
        self.extensions as f64 * each / f64::from(1u32 << 30)
    }

    /// Whichever asks for more: their processors' time, or their hands, each of which holds a text until its answer is there.
    pub(super) fn workers(&self, answers_in_s: f64) -> f64 {
        let rate = self.rate().min(self.capacity());
        let by_cpu = rate * self.constants.worker_us / 1e6 / WORKER_BUSY;
        by_cpu.max(rate * answers_in_s / HANDS).ceil()
    }

    /// What all shards together take.
    fn capacity(&self) -> f64 {
        f64::from(self.shards) / self.service_s()
    }

    /// All of the plan until a shard is full, then what is left.
    pub(super) fn quota_use(&self) -> f64 {
        (self.capacity() / self.rate()).min(WINDOW_S / HOLD_S)
    }

    /// Extensions at full plan at which a shard has reached what it is planned for.
    pub(super) fn wall(constants: &Constants, shards: u32) -> f64 {
        let messages = BUSY * 1e6 / constants.redis_us() * f64::from(shards);
        messages * WINDOW_S / f64::from(LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the sitting of 754a0aa.
    const CONSTANTS: Constants = Constants {
        enqueue_us: 5.0,
        send_us: 95.9,
        pruning_us: 0.0,
        worker_us: 67.0,
        simulator_us: 28.2,
        commands: 13.0,
        queued_bytes: 432.0,
        finished_bytes: 392.0,
    };

    #[test]
    fn one_machine_is_not_taken_for_one_in_which_nobody_waits() {
        // 7,297 sends a second were measured then; a core that never waits would have made 10,427 of it.
        let rate = CONSTANTS.on_one_machine(2, 1);
        assert!((rate / 7_297.0 - 1.0).abs() < 0.1, "{rate}");
        assert!(CONSTANTS.on_one_machine(2, 2) > rate);
        assert!(CONSTANTS.on_one_machine(2, 1_000) < 1e6 / 95.9);
    }

    #[test]
    fn a_provider_far_away_takes_more_workers_than_their_processors_do() {
        let model = Model { constants: CONSTANTS, shards: 10, extensions: 10_000 };
        assert_eq!([model.workers(0.0), model.workers(0.25)], [1.0, 27.0]);
    }
}
