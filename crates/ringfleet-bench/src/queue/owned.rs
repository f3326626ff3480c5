//! A sketch of another store: what Redis has to do at least when each lane belongs to one worker for some seconds.
//!
//! The worker would judge the rules in its own memory, the windows too, and Redis would keep what happened: the intent before
//! a POST, the outcome after it, what is known of the lane after both. Redis itself judges one thing: that the lanes are still this
//! worker's. Here no rule is followed and nothing is promised, and a stop or an opt-out would still have to reach the owner; what
//! is measured is the least that such a store costs, beside what [`super::bare`] shows of this one.

use std::{collections::VecDeque, time::Instant};

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use redis::{AsyncCommands, Pipeline, Script, aio::MultiplexedConnection};

use super::{COMMANDS, CPU, DRAIN, OURS, ROUND_TRIPS, drain::Fleet};
use crate::{figure::shown, messages, options::Bench, redis::Redis, sitting::Sitting};

const LANES: u64 = 1_000;
const FLEET: Fleet = Fleet::PEERS;
/// Messages of a lane that its owner reads ahead.
const AHEAD: isize = 32;
/// The case of its figures.
pub(crate) const OWNED: &str = "a sketch: a worker's own lanes, no rule but a fence";

/// Runs a list of commands, each behind the number of its words, unless the lanes have another owner by now.
const FENCED: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED these lanes have another owner') end
local at = 2
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
return #ARGV
";

// What stands in place of records as long as ours: in flight, a lane, a finished message.
const FLIGHT: &[u8] = &[b'f'; 70];
const LANE: &[u8] = &[b'l'; 105];
const FINISHED: &[u8] = &[b'd'; 90];
const ENDED_AT: u64 = 1_764_000_000_000;

type Id = [u8; 16];

pub(super) async fn measure(sitting: &Sitting, redis: &Redis) -> anyhow::Result<()> {
    redis.empty().await?;
    let count = sitting.size.peer;
    fill(redis, count).await?;
    let mut owners = Vec::new();
    for number in 0..FLEET.workers() {
        owners.push(Owner::of(redis, number).await?);
    }
    let before = redis.info().await?;
    let begun = Instant::now();
    let drains = owners.into_iter().map(|owner| tokio::spawn(owner.drain()));
    let done: u64 = try_join_all(drains).await?.into_iter().sum::<anyhow::Result<u64>>()?;
    let time = begun.elapsed().as_secs_f64();
    let spent = redis.info().await?.since(before);
    ensure!(done == count, "{done} of {count} messages went through the sketch");
    let mut link = redis.connect().await?;
    let (finished, under_way): (u64, u64) = (link.zcard("fin").await?, link.hlen("f").await?);
    ensure!((finished, under_way) == (count, 0), "{finished} of {count} are finished, {under_way} under way");

    let case = sitting.case(Bench::Queue, OURS).when(OWNED).with(format!(
        "{} messages queued, {} lanes, {}, records as long as ours, {AHEAD} of a lane read ahead",
        shown(count as f64),
        shown(LANES as f64),
        FLEET.words()
    ));
    case.note(DRAIN, "messages/s", done as f64 / time);
    case.note(CPU, "µs/message", spent.cpu_us / done as f64);
    case.note(COMMANDS, "commands/message", spent.commands / done as f64);
    case.note(ROUND_TRIPS, "scripts/message", spent.round_trips / done as f64);
    Ok(())
}

async fn fill(redis: &Redis, count: u64) -> anyhow::Result<()> {
    const AT_ONCE: u64 = 500;
    for first in (0..count).step_by(AT_ONCE as usize) {
        let mut pipeline = Pipeline::new();
        for n in first..(first + AT_ONCE).min(count) {
            let id = id(n);
            // Ours has 240 bytes of coded text, and 69 of what else a message is.
            let record = [messages::text(n).as_bytes(), &[0; 9]].concat();
            pipeline.hset("m", &id, record).ignore();
            pipeline.rpush(queue(n % LANES), [&id[..], &[0; 8]].concat()).ignore();
        }
        redis.send(pipeline).await?;
    }
    Ok(())
}

/// As good as random, as a hash is.
fn id(n: u64) -> Id {
    let spread =
        |seed: u64| (n ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&spread(1).to_le_bytes());
    id[8..].copy_from_slice(&spread(2).to_le_bytes());
    id
}

fn lane(number: u64) -> String {
    format!("main/{}/medium", 400_100_000 + number)
}

fn queue(number: u64) -> String {
    format!("q:{}:0", lane(number))
}

/// A worker with every n-th lane.
struct Owner {
    link: MultiplexedConnection,
    script: Script,
    /// Where Redis keeps who the owner is, and what stands there.
    key: String,
    epoch: String,
    lanes: Vec<(u64, VecDeque<Id>)>,
}

impl Owner {
    async fn of(redis: &Redis, number: usize) -> anyhow::Result<Self> {
        let (key, epoch) = (format!("owner:{number}"), format!("{number}/1"));
        let mut link = redis.connect().await?;
        link.set::<_, _, ()>(&key, &epoch).await?;
        let lanes = (number as u64..LANES).step_by(FLEET.workers()).map(|lane| (lane, VecDeque::new())).collect();
        Ok(Self { link, script: Script::new(FENCED), key, epoch, lanes })
    }

    /// Takes all that its lanes hold through, a batch at a time: one message of each lane whose turn it is.
    async fn drain(mut self) -> anyhow::Result<u64> {
        let (mut done, mut next) = (0, 0);
        loop {
            let turn: Vec<usize> = (0..FLEET.hands()).map(|n| (next + n) % self.lanes.len()).collect();
            next = (next + turn.len()) % self.lanes.len();
            self.read_ahead(&turn).await?;
            let batch: Vec<(u64, Id)> = turn
                .into_iter()
                .filter_map(|at| {
                    let (lane, ahead) = &mut self.lanes[at];
                    Some((*lane, ahead.pop_front()?))
                })
                .collect();
            if batch.is_empty() {
                return Ok(done);
            }
            self.begin(&batch).await?;
            self.settle(&batch).await?;
            done += batch.len() as u64;
        }
    }

    /// The next ids and records of those lanes of which none is left in hand.
    async fn read_ahead(&mut self, turn: &[usize]) -> anyhow::Result<()> {
        let bare: Vec<usize> = turn.iter().copied().filter(|at| self.lanes[*at].1.is_empty()).collect();
        if bare.is_empty() {
            return Ok(());
        }
        let mut heads = Pipeline::new();
        for at in &bare {
            heads.lrange(queue(self.lanes[*at].0), 0, AHEAD - 1);
        }
        let entries: Vec<Vec<Vec<u8>>> = heads.query_async(&mut self.link).await?;
        let mut records = Pipeline::new();
        for (at, entries) in bare.into_iter().zip(entries) {
            let ids = entries.iter().map(|entry| entry.first_chunk::<16>().copied()).collect::<Option<Vec<Id>>>();
            let ids = ids.context("an entry without an id")?;
            if !ids.is_empty() {
                records.add_command(
                    redis::cmd("HMGET").arg("m").arg(ids.iter().map(|id| &id[..]).collect::<Vec<_>>()).take(),
                );
            }
            self.lanes[at].1.extend(ids);
        }
        if !records.is_empty() {
            records.query_async::<Vec<Vec<Vec<u8>>>>(&mut self.link).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, batch: &[(u64, Id)]) -> anyhow::Result<()> {
        let (mut intents, mut lanes) = (Words::of("HSET", "f"), Words::of("HSET", "lane"));
        let mut pops = Vec::new();
        for (number, id) in batch {
            pops.push(Words::of("LPOP", &queue(*number)));
            intents.and(id).and(FLIGHT);
            lanes.and(lane(*number).as_bytes()).and(LANE);
        }
        pops.extend([intents, lanes]);
        self.apply(pops).await
    }

    async fn settle(&mut self, batch: &[(u64, Id)]) -> anyhow::Result<()> {
        let (mut records, mut intents) = (Words::of("HSET", "m"), Words::of("HDEL", "f"));
        let (mut ends, mut lanes) = (Words::of("ZADD", "fin"), Words::of("HSET", "lane"));
        for (number, id) in batch {
            records.and(id).and(FINISHED);
            intents.and(id);
            ends.and(ENDED_AT.to_string().as_bytes()).and(id);
            lanes.and(lane(*number).as_bytes()).and(LANE);
        }
        self.apply(vec![records, intents, ends, lanes]).await
    }

    async fn apply(&mut self, commands: Vec<Words>) -> anyhow::Result<()> {
        let mut call = self.script.key(&self.key);
        call.arg(&self.epoch);
        for Words(words) in &commands {
            call.arg(words.len()).arg(words);
        }
        Ok(call.invoke_async::<()>(&mut self.link).await?)
    }
}

/// The words of one command.
struct Words(Vec<Vec<u8>>);

impl Words {
    fn of(command: &str, key: &str) -> Self {
        Self(vec![command.into(), key.into()])
    }

    fn and(&mut self, word: &[u8]) -> &mut Self {
        self.0.push(word.to_vec());
        self
    }
}
