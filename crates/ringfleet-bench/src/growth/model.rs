//! The model on paper: what a send costs, times how many there are.

use crate::{figure::Book, options::Bench, queue, queue::OURS, sends, size::LIMIT};

/// RingCentral's window, in seconds.
pub(super) const WINDOW_S: f64 = 60.0;
/// A shard is planned to be busy for so much of its time: beyond it waiting grows quickly.
const BUSY: f64 = 0.7;
/// A worker process is planned for so much of a core.
const WORKER_BUSY: f64 = 0.7;
/// Messages that wait for each extension: an hour at full plan; and finished records that are kept: a week of 200 a day.
const QUEUED_EACH: f64 = 60.0 * LIMIT as f64;
const FINISHED_EACH: f64 = 7.0 * 200.0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Constants {
    /// Redis CPU of an enqueue in bulk, in µs, and of claim to settle as worker processes do it.
    enqueue_us: f64,
    send_us: f64,
    worker_us: f64,
    simulator_us: f64,
    /// Redis commands of both.
    commands: f64,
    queued_bytes: f64,
    finished_bytes: f64,
    pub(super) measured_rate: f64,
}

impl Constants {
    /// `None` when a figure is missing.
    pub(super) fn of(book: &Book) -> Option<Self> {
        let queue = |name| book.median(Bench::Queue, name, OURS, "");
        let sends = |name| book.median(Bench::Sends, name, OURS, "");
        Some(Self {
            enqueue_us: queue(queue::BULK_CPU)?,
            send_us: sends(sends::STORE_CPU)?,
            worker_us: sends(sends::WORKER_CPU)?,
            simulator_us: sends(sends::SIMULATOR_CPU)?,
            commands: queue(queue::BULK_COMMANDS)? + sends(sends::COMMANDS)?,
            queued_bytes: queue(queue::QUEUED_BYTES)?,
            finished_bytes: queue(queue::FINISHED_BYTES)?,
            measured_rate: sends(sends::RATE)?,
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

    /// Redis CPU of a message's whole life.
    fn redis_us(&self) -> f64 {
        self.enqueue_us + self.send_us
    }

    /// Sends a second where worker, Redis and simulator share `cores`: limited by all together, and by the one core of Redis.
    /// Without the enqueue, which was over before the sends that this is held against.
    pub(super) fn on_one_machine(&self, cores: f64) -> f64 {
        let all = cores * 1e6 / (self.send_us + self.worker_us + self.simulator_us);
        all.min(1e6 / self.send_us)
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

    pub(super) fn workers(&self) -> f64 {
        (self.rate().min(self.capacity()) * self.constants.worker_us / 1e6 / WORKER_BUSY).ceil()
    }

    /// What all shards together take.
    fn capacity(&self) -> f64 {
        f64::from(self.shards) / self.service_s()
    }

    /// All of the plan until a shard is full, then what is left.
    pub(super) fn quota_use(&self) -> f64 {
        (self.capacity() / self.rate()).min(1.0)
    }

    /// Extensions at full plan at which a shard has reached what it is planned for.
    pub(super) fn wall(constants: &Constants, shards: u32) -> f64 {
        let messages = BUSY * 1e6 / constants.redis_us() * f64::from(shards);
        messages * WINDOW_S / f64::from(LIMIT)
    }
}
