//! Every key of a Redis store, by the layout at the head of `lua/lib/begin.lua`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use redis::{FromRedisValue, aio::MultiplexedConnection};
use ringfleet_store::{MessageId, State};
use ringfleet_testkit::patient_link;

use super::{CAP, IN_USE, Record, Walk, in_flight, state_of, waits};
use crate::rig::{Ends, Except};

type Bytes = Vec<u8>;
type Zset = BTreeMap<Bytes, i64>;

/// Keys of one name.
const SINGLE: [&str; 33] = [
    "m", "f", "lane", "lease", "sched", "exp", "fin", "ready", "due", "c", "pair", "unk", "seq", "clock", "epoch",
    "inc", "gate", "workers", "junk", "shards", "in:9", "in:10", "in:11", "docend", "docgone", "docfloor", "out",
    "look", "oldest", "posts", "shadows", "gone", "asked",
];
/// Beginnings of those that there are many of.
const MANY: [&str; 12] = ["s:", "reg:", "q:", "u:", "k:", "w:", "tok:", "doc:", "docrev:", "wait:", "waitid:", "told:"];

/// The keys of one shard.
struct Keys {
    link: MultiplexedConnection,
    tag: String,
}

impl Keys {
    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.tag)
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &[&str]) -> T {
        let mut call = redis::cmd(command[0]);
        command[1..].iter().for_each(|word| {
            call.arg(*word);
        });
        call.query_async(&mut self.link).await.unwrap()
    }

    async fn names(&mut self) -> Vec<String> {
        let (mut all, mut cursor) = (Vec::new(), 0_u64);
        loop {
            let (next, some): (u64, Vec<Bytes>) = self.ask(&["SCAN", &cursor.to_string(), "COUNT", "1000"]).await;
            // The names of some end with an id.
            all.extend(some.iter().map(|name| String::from_utf8_lossy(name).into_owned()));
            if next == 0 {
                return all;
            }
            cursor = next;
        }
    }

    async fn hash(&mut self, name: &str) -> HashMap<Bytes, Bytes> {
        self.ask(&["HGETALL", &self.key(name)]).await
    }

    async fn zset(&mut self, name: &str) -> Zset {
        let pairs: Vec<(Bytes, f64)> = self.ask(&["ZRANGE", &self.key(name), "0", "-1", "WITHSCORES"]).await;
        pairs.into_iter().map(|(member, score)| (member, score as i64)).collect()
    }
}

/// Whether an index should name a record.
type Belongs = fn(&Record) -> bool;

struct Flight {
    state: u8,
    token: i64,
}

/// Each shard by itself: what one names, it holds.
pub(super) async fn walk(shards: &[(String, String)], ends: &Ends) -> Walk {
    let mut whole = Walk::default();
    for (url, tag) in shards {
        let link = patient_link(url).await;
        let others = shards.iter().map(|(_, tag)| tag.as_str()).filter(|other| other != tag).collect::<Vec<_>>();
        let shard = walk_shard(Keys { link, tag: tag.clone() }, &others, ends).await;
        whole.records.extend(shard.records);
        whole.problems.extend(shard.problems);
    }
    whole
}

async fn walk_shard(mut keys: Keys, others: &[&str], ends: &Ends) -> Walk {
    let mut walk = Walk::default();
    let mut names = keys.names().await;
    // Of the same node; they have a walk of their own.
    names.retain(|name| !others.iter().any(|tag| name.starts_with(tag)));
    let names = known_names(&mut walk, &keys.key(""), names);
    let many =
        |begin: &str| names.iter().filter_map(|name| name.strip_prefix(begin)).map(str::to_owned).collect::<Vec<_>>();

    let flights = flights(&mut walk, keys.hash("f").await);
    let scheduled = keys.zset("sched").await;
    let spoilt = ends.at_most(|except| if let Except::Junk { at_most } = except { Some(*at_most) } else { None });
    let junk = keys.hash("junk").await;
    if junk.len() as u64 > spoilt {
        walk.problem(format!("{} things can't be read", junk.len()));
    }
    for (id, blob) in keys.hash("m").await {
        let standing = (flights.get(&id), scheduled.contains_key(&id));
        match (message_id(&id), record(&blob, standing)) {
            (Some(id), Some(record)) => drop(walk.records.insert(id, record)),
            // Those that a test has spoilt and nobody has met yet.
            _ if spoilt > 0 => {}
            _ => walk.problem("a record that is no message"),
        }
    }
    let lists: [(&str, Belongs); 8] = [
        ("lease", |record| in_flight(record.state)),
        ("sched", |record| record.state == State::Scheduled),
        ("exp", |record| waits(record.state) && record.send_by > 0),
        ("fin", |record| record.state.is_final()),
        ("in:9", |record| record.state == State::Dead),
        ("in:10", |record| record.state == State::Held),
        ("in:11", |record| record.state == State::Unknown),
        ("f", |record| in_flight(record.state)),
    ];
    for (name, belongs) in lists {
        let members: Vec<Bytes> =
            if name == "f" { flights.keys().cloned().collect() } else { keys.zset(name).await.into_keys().collect() };
        // One of the leases is nobody's, and keeps Redis from packing the zset.
        let members: Vec<Bytes> = members.into_iter().filter(|member| name != "lease" || member.len() <= 64).collect();
        let named = ids(&mut walk, name, &members);
        let expected = walk.ids(belongs);
        walk.same(name, &named, &expected);
    }
    queues(&mut walk, &mut keys, &many("q:"), spoilt).await;
    unknown_sends(&mut walk, &mut keys, &many("u:")).await;
    reports(&mut walk, &mut keys, &many("wait:"), &many("waitid:")).await;
    pairs(&mut walk, keys.hash("pair").await);
    lanes(&mut walk, &mut keys, &flights).await;
    posts(&mut walk, keys.hash("posts").await);
    counts(&mut walk, keys.hash("c").await, junk.keys().filter(|id| id.len() == 16).count() as i64);
    walk
}

/// The names without the shard's tag.
fn known_names(walk: &mut Walk, begin: &str, names: Vec<String>) -> Vec<String> {
    let mut known = Vec::new();
    for name in names {
        match name.strip_prefix(begin) {
            Some(name) if SINGLE.contains(&name) || MANY.iter().any(|begin| name.starts_with(begin)) => {
                known.push(name.to_owned());
            }
            _ => walk.problem(format!("a key that this walk does not know: {name}; teach it what belongs there")),
        }
    }
    known
}

/// Names of lanes.
fn words(index: Zset) -> BTreeSet<String> {
    index.into_keys().map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
}

fn message_id(bytes: &[u8]) -> Option<MessageId> {
    bytes.try_into().ok().map(MessageId::from_bytes)
}

fn ids(walk: &mut Walk, index: &str, members: &[Bytes]) -> BTreeSet<MessageId> {
    let found: BTreeSet<_> = members.iter().filter_map(|member| message_id(member)).collect();
    if found.len() != members.len() {
        walk.problem(format!("{index} names something that is no id, or one twice"));
    }
    found
}

fn flights(walk: &mut Walk, all: HashMap<Bytes, Bytes>) -> HashMap<Bytes, Flight> {
    let mut flights = HashMap::new();
    for (id, raw) in all {
        match raw.get(1..9).and_then(|token| token.try_into().ok()) {
            Some(token) => drop(flights.insert(id, Flight { state: raw[0], token: i64::from_be_bytes(token) })),
            None => walk.problem("a message in flight that can't be read"),
        }
    }
    flights
}

fn record(blob: &[u8], (flight, scheduled): (Option<&Flight>, bool)) -> Option<Record> {
    let number = |at: usize| {
        let bytes: [u8; 6] = blob.get(at..at + 6)?.try_into().ok()?;
        Some(bytes.iter().fold(0_i64, |number, byte| number * 256 + i64::from(*byte)))
    };
    let created = number(5)?;
    let (send_at, send_by, names) = if blob[4] >= 128 { (number(19)?, number(25)?, 31) } else { (0, 0, 19) };
    let mut words = blob.get(names..)?.split(|byte| *byte == 0).map(|word| String::from_utf8(word.to_vec()));
    let mut word = || words.next()?.ok();
    let (lane, from, to, note) = (word()?, word()?, word()?, word()?);
    let state = match (state_of(*blob.first()?)?, flight) {
        (State::Ready, Some(flight)) => state_of(flight.state)?,
        (State::Ready, None) if scheduled => State::Scheduled,
        (state, _) => state,
    };
    let provider_id = note.split('|').nth(1).unwrap_or_default().to_owned();
    // The group is part of a lane's name; junk has none.
    lane.ends_with("/medium").then_some(Record {
        state,
        lane,
        from,
        to,
        provider_id: if state.was_sent() { provider_id } else { String::new() },
        priority: *blob.get(1)?,
        due: created.max(send_at),
        send_by,
    })
}

/// Every ready message stands in the queue of its lane and priority; what else stands there is a shadow.
async fn queues(walk: &mut Walk, keys: &mut Keys, names: &[String], spoilt: u64) {
    let mut queued = BTreeSet::new();
    for name in names {
        let Some((lane, priority)) = name.rsplit_once(':') else { continue };
        let kind: String = keys.ask(&["TYPE", &keys.key(&format!("q:{name}"))]).await;
        if kind != "list" {
            if spoilt == 0 {
                walk.problem(format!("the queue {name} is a {kind}"));
            }
            // Its messages are in nobody's reach until somebody mends it.
            queued.extend(walk.ids(|record| record.state == State::Ready && record.lane == lane));
            continue;
        }
        let entries: Vec<Bytes> = keys.ask(&["LRANGE", &keys.key(&format!("q:{name}")), "0", "-1"]).await;
        for entry in entries {
            let due = entry.get(16..24).and_then(|due| due.try_into().ok()).map(i64::from_be_bytes);
            let Some((id, due)) = entry.get(..16).and_then(message_id).zip(due) else {
                walk.problem(format!("the queue {name} holds something that is no entry"));
                continue;
            };
            let living = walk.records.get(&id).is_some_and(|record| {
                record.state == State::Ready
                    && record.lane == lane
                    && record.priority.to_string() == priority
                    && record.due == due
            });
            if living {
                queued.insert(id);
            }
        }
    }
    let expected = walk.ids(|record| record.state == State::Ready);
    walk.same("the queues", &queued, &expected);
}

async fn unknown_sends(walk: &mut Walk, keys: &mut Keys, lanes: &[String]) {
    let mut with_some = BTreeSet::new();
    for lane in lanes {
        let members: Vec<Bytes> = keys.zset(&format!("u:{lane}")).await.into_keys().collect();
        let named = ids(walk, "u", &members);
        let expected = walk.ids(|record| record.state == State::Unknown && &record.lane == lane);
        walk.same(&format!("u:{lane}"), &named, &expected);
        if !expected.is_empty() {
            with_some.insert(lane.clone());
        }
    }
    walk.same("unk", &words(keys.zset("unk").await), &with_some);
}

/// Texts that wait for their delivery report are named twice, and their lanes stand where the readers look.
async fn reports(walk: &mut Walk, keys: &mut Keys, lanes: &[String], others: &[String]) {
    let set = |lanes: &[String]| lanes.iter().cloned().collect::<BTreeSet<_>>();
    walk.same("waitid", &set(others), &set(lanes));
    let (look, oldest) = (keys.zset("look").await, keys.zset("oldest").await);
    for lane in lanes {
        let waiting = keys.zset(&format!("wait:{lane}")).await;
        let named: BTreeSet<Bytes> = keys.hash(&format!("waitid:{lane}")).await.into_keys().collect();
        walk.same(&format!("waitid:{lane}"), &named, &waiting.keys().cloned().collect());
        let (told, first) = (oldest.get(lane.as_bytes()).copied(), waiting.values().min().copied());
        walk.count(&format!("the oldest that waits in {lane}"), told, first);
    }
    walk.same("oldest", &words(oldest), &set(lanes));
    walk.same("look", &words(look), &set(lanes));
}

/// Of the messages between two numbers those in flight or of unknown fate are named, and nobody else.
fn pairs(walk: &mut Walk, pairs: HashMap<Bytes, Bytes>) {
    let mut named = BTreeSet::new();
    for (pair, holders) in pairs.into_iter().filter(|(pair, _)| !pair.is_empty()) {
        for id in holders.chunks(16).filter_map(message_id) {
            let between = walk.records.get(&id).map(|record| format!("{}\0{}", record.from, record.to).into_bytes());
            if between.as_ref() != Some(&pair) {
                walk.problem(format!("a pair names {id}, which is between other numbers or gone"));
            }
            named.insert(id);
        }
    }
    let expected = walk.ids(|record| in_flight(record.state) || record.state == State::Unknown);
    walk.same("the pairs", &named, &expected);
}

/// How many POSTs of each lane are under way.
fn posts(walk: &mut Walk, told: HashMap<Bytes, Bytes>) {
    // One has no lane, and keeps Redis from packing the hash.
    let told = told.into_iter().filter(|(lane, _)| !lane.is_empty()).map(|(lane, posts)| {
        let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
        format!("{} of {}", text(posts), text(lane))
    });
    let mut sending: BTreeMap<&str, u32> = BTreeMap::new();
    for record in walk.records.values().filter(|record| record.state == State::Sending) {
        *sending.entry(record.lane.as_str()).or_default() += 1;
    }
    let expected = sending.into_iter().map(|(lane, posts)| format!("{posts} of {lane}")).collect();
    walk.same("POSTs under way", &told.collect(), &expected);
}

/// What the store knows of a lane, by `lua/lib/lanes.lua`.
#[derive(Default)]
struct Lane {
    flags: u8,
    in_flight: i64,
    unknown: i64,
    parked: bool,
}

impl Lane {
    fn read(raw: &[u8]) -> Option<Self> {
        const NUMBERS: usize = 12;
        let (flags, rest) = raw.split_first()?;
        let (numbers, parked) = rest.split_at_checked(8 * NUMBERS)?;
        let number = |at: usize| i64::from_be_bytes(numbers[8 * at..8 * at + 8].try_into().unwrap());
        Some(Self { flags: *flags, in_flight: number(1), unknown: number(6), parked: !parked.is_empty() })
    }

    fn has_queue(&self, priority: u8) -> bool {
        self.flags & (4 << priority) != 0
    }
}

async fn lanes(walk: &mut Walk, keys: &mut Keys, flights: &HashMap<Bytes, Flight>) {
    let known: BTreeMap<String, Bytes> = keys
        .hash("lane")
        .await
        .into_iter()
        .map(|(name, raw)| (String::from_utf8_lossy(&name).into_owned(), raw))
        .collect();
    let (due, ready) = (keys.zset("due").await, keys.zset("ready").await);
    let (mut expected_due, mut expected_ready) = (BTreeSet::new(), BTreeSet::new());
    let with_messages: BTreeSet<String> = walk.records.values().map(|record| record.lane.clone()).collect();
    for lane in known.keys().cloned().collect::<BTreeSet<_>>().union(&with_messages) {
        let told = known.get(lane).map_or(Some(Lane::default()), |raw| Lane::read(raw));
        let Some(told) = told else {
            walk.problem(format!("what is known of {lane} can't be read"));
            continue;
        };
        let of_lane = |of: fn(State) -> bool| move |record: &Record| of(record.state) && &record.lane == lane;
        let flying = walk.ids(of_lane(in_flight));
        walk.count(&format!("in flight of {lane}"), told.in_flight, flying.len() as i64);
        let unknown = walk.ids(of_lane(|state| state == State::Unknown)).len() as i64;
        walk.count(&format!("unknown of {lane}"), told.unknown, unknown);

        let slots = keys.zset(&format!("s:{lane}")).await;
        let under_way: BTreeSet<String> = slots
            .iter()
            .filter(|(_, free)| **free >= IN_USE)
            .map(|(token, _)| String::from_utf8_lossy(token).into_owned())
            .collect();
        let tokens = flying.iter().filter_map(|id| flights.get(id.as_bytes().as_slice()));
        let tokens: BTreeSet<String> = tokens.map(|flight| flight.token.to_string()).collect();
        walk.same(&format!("slots under way of {lane}"), &under_way, &tokens);

        let mut queued = 0_i64;
        for priority in 0..3 {
            let name = keys.key(&format!("q:{lane}:{priority}"));
            let kind: String = keys.ask(&["TYPE", &name]).await;
            let length = if kind == "list" { keys.ask::<i64>(&["LLEN", &name]).await } else { 0 };
            if length > 0 && !told.has_queue(priority) {
                walk.problem(format!("{lane} does not know of its queue {priority}"));
            }
            // That all may hold something says only that nobody has looked.
            if kind == "none" && !told.parked && told.has_queue(priority) && !(0..3).all(|each| told.has_queue(each)) {
                walk.problem(format!("{lane} knows of a queue {priority} that is not there"));
            }
            queued += length;
        }
        let cap = if told.flags & 2 != 0 { 1 } else { CAP };
        if queued > 0 {
            expected_due.insert(lane.clone());
            if told.flags & 1 == 0 && !told.parked && told.in_flight < cap {
                expected_ready.insert(lane.clone());
            }
        }
    }
    walk.same("due", &words(due), &expected_due);
    walk.same("ready", &words(ready), &expected_ready);
}

fn counts(walk: &mut Walk, told: HashMap<Bytes, Bytes>, put_aside: i64) {
    for state in State::ALL {
        let told = told.get((state as u8).to_string().as_bytes());
        let told = told.and_then(|n| String::from_utf8_lossy(n).parse::<i64>().ok()).unwrap_or(0);
        let aside = if state == State::Dead { put_aside } else { 0 };
        let counted = walk.ids(|record| record.state == state).len() as i64 + aside;
        walk.count(&format!("the number of {}", state.as_str()), told, counted);
    }
}
