//! What both Rust peers need beside their queue: options, bodies, Redis' own figures, the one line of JSON.
//! Taken in by path, so that each peer stays a package of its own with its own lock file.

use std::fmt::Display;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use serde_json::json;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub struct Options {
    pub redis: String,
    pub messages: usize,
    pub bytes: usize,
    pub concurrency: usize,
    pub profile: String,
    pub deadline: Duration,
}

impl Options {
    pub fn parse(profiles: &[&str]) -> Result<Options> {
        let mut args = std::env::args().skip(1);
        if args.next().as_deref() != Some("queue") {
            return Err(
                "usage: queue --redis URL --messages N --bytes B --concurrency C [--profile P] [--seconds S]".into()
            );
        }
        let mut options = Options {
            redis: String::new(),
            messages: 0,
            bytes: 300,
            concurrency: 64,
            profile: "default".into(),
            deadline: Duration::from_secs(900),
        };
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--redis" => options.redis = value,
                "--messages" => options.messages = positive(&name, &value)?,
                "--bytes" => options.bytes = positive(&name, &value)?,
                "--concurrency" => options.concurrency = positive(&name, &value)?,
                "--seconds" => options.deadline = Duration::from_secs(positive(&name, &value)? as u64),
                "--profile" if profiles.contains(&value.as_str()) => options.profile = value,
                "--profile" => return Err(format!("--profile {value}: give one of {}", profiles.join(", ")).into()),
                _ => return Err(format!("{name} is no option of this program").into()),
            }
        }
        if options.redis.is_empty() || options.messages == 0 {
            return Err("--redis and --messages are needed".into());
        }
        if options.bytes > POOL / 2 {
            return Err(format!("--bytes {}: at most {}", options.bytes, POOL / 2).into());
        }
        Ok(options)
    }

    /// How many are enqueued one at a time.
    pub fn singles(&self) -> usize {
        (self.messages / 10).clamp(1, 10_000)
    }
}

fn positive(name: &str, value: &str) -> Result<usize> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{name} {value}: give a whole number above 0").into()),
    }
}

const POOL: usize = 65_536;

/// Bodies are slices of one random text: as good as random to Redis, and next to free to make.
pub struct Bodies {
    pool: String,
    bytes: usize,
}

impl Bodies {
    pub fn new(bytes: usize) -> Bodies {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .";
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let pool = (0..POOL)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                char::from(ALPHABET[(seed >> 32) as usize % ALPHABET.len()])
            })
            .collect();
        Bodies { pool, bytes }
    }

    pub fn get(&self, number: usize) -> String {
        let start = number * 7_919 % (POOL - self.bytes);
        self.pool[start..start + self.bytes].to_owned()
    }
}

#[derive(Clone, Copy)]
pub struct Info {
    pub commands: f64,
    pub cpu_us: f64,
    pub memory_bytes: f64,
}

/// Redis' own counters. Commands that a script calls count there too.
pub async fn info(connection: &mut MultiplexedConnection) -> Result<Info> {
    let text: String = redis::cmd("INFO").query_async(connection).await?;
    let field = |name: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.ok_or_else(|| format!("INFO of Redis has no {name}"))?.trim().parse()?)
    };
    Ok(Info {
        commands: field("total_commands_processed")?,
        cpu_us: (field("used_cpu_user")? + field("used_cpu_sys")?) * 1e6,
        memory_bytes: field("used_memory")?,
    })
}

/// What one run has measured.
pub struct Measured {
    pub one: Duration,
    pub bulk: Duration,
    pub process: Duration,
    pub empty: Info,
    pub queued: Info,
    pub start: Info,
    pub end: Info,
}

pub fn report(peer: &str, version: &str, options: &Options, measured: &Measured, settings: impl Display) {
    let jobs = options.messages as f64;
    let per_s = |jobs: f64, took: Duration| round(jobs / took.as_secs_f64(), 1.0);
    println!(
        "{}",
        json!({
            "peer": peer,
            "version": version,
            "profile": options.profile,
            "messages": options.messages,
            "concurrency": options.concurrency,
            "enqueue_one_per_s": per_s(options.singles() as f64, measured.one),
            "enqueue_bulk_per_s": per_s(jobs, measured.bulk),
            "process_per_s": per_s(jobs, measured.process),
            "redis_commands_per_job": round((measured.end.commands - measured.start.commands) / jobs, 100.0),
            "redis_cpu_us_per_job": round((measured.end.cpu_us - measured.start.cpu_us) / jobs, 100.0),
            "redis_bytes_per_queued_job": round((measured.queued.memory_bytes - measured.empty.memory_bytes) / jobs, 1.0),
            "settings": settings.to_string(),
        })
    );
}

fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// Counts handled jobs and remembers when the last one came.
pub struct Handled {
    expected: usize,
    count: std::sync::atomic::AtomicUsize,
    last: std::sync::OnceLock<Instant>,
    done: tokio::sync::Notify,
}

impl Handled {
    pub fn new(expected: usize) -> Handled {
        Handled { expected, count: Default::default(), last: Default::default(), done: Default::default() }
    }

    pub fn count(&self) {
        use std::sync::atomic::Ordering::Relaxed;
        if self.count.fetch_add(1, Relaxed) + 1 == self.expected {
            self.last.get_or_init(Instant::now);
            // A permit is stored for the one who waits, also when nobody waits yet.
            self.done.notify_one();
        }
    }

    /// The moment of the last expected job.
    pub async fn wait(&self) -> Instant {
        self.done.notified().await;
        *self.last.get_or_init(Instant::now)
    }
}
