//! Every table of an embedded store, by `schema.sql`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ringfleet_store::{MessageId, State};
use rusqlite::{Connection, OpenFlags, Row, types::FromSql};

use super::{CAP, IN_USE, Record, Walk, in_flight, state_of, waits};

/// Those that this walk knows.
const TABLES: [&str; 17] = [
    "store",
    "counters",
    "lanes",
    "messages",
    "queue",
    "schedule",
    "flight",
    "pairs",
    "spare_credits",
    "sessions",
    "docs",
    "doc_floors",
    "opt_outs",
    "reports_due",
    "reports_told",
    "workers",
    "file",
];

struct Lane {
    name: String,
    stopped: bool,
    probe: bool,
    in_flight: i64,
    waiting: i64,
    looked_up: bool,
    is_due: bool,
    is_ready: bool,
    slots: Vec<u8>,
}

pub(super) fn walk(path: &Path) -> Walk {
    let file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut walk = Walk::default();
    let tables: BTreeSet<String> = column(&file, "SELECT name FROM sqlite_schema WHERE type = 'table'").collect();
    for table in tables.iter().filter(|table| !TABLES.contains(&table.as_str())) {
        walk.problem(format!("a table that this walk does not know: {table}; teach it what belongs there"));
    }
    let broken: String = column(&file, "PRAGMA integrity_check").next().unwrap();
    walk.count("integrity", broken, "ok".to_owned());
    walk.count("file", column::<i64>(&file, "SELECT count(*) FROM file").next().unwrap(), 1);

    let lanes: BTreeMap<i64, Lane> = rows(&file, LANES, |row| {
        let lane = Lane {
            name: row.get(1)?,
            stopped: row.get(2)?,
            probe: row.get(3)?,
            in_flight: row.get(4)?,
            waiting: row.get(5)?,
            looked_up: row.get(6)?,
            is_due: row.get(7)?,
            is_ready: row.get(8)?,
            slots: row.get(9)?,
        };
        Ok((row.get(0)?, lane))
    })
    .collect();
    let flights: BTreeMap<i64, (u8, i64)> =
        rows(&file, "SELECT message, state, token FROM flight", |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))
            .collect();
    let scheduled: BTreeSet<i64> = column(&file, "SELECT message FROM schedule").collect();
    let queued: BTreeMap<i64, (i64, u8, i64)> = rows(&file, "SELECT message, lane, priority, due FROM queue", |row| {
        Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)))
    })
    .collect();

    let mut ids: BTreeMap<i64, MessageId> = BTreeMap::new();
    let mut lane_rows: BTreeMap<i64, i64> = BTreeMap::new();
    for (n, id, lane, record) in rows(&file, MESSAGES, |row| message(row, &flights, &scheduled)) {
        let Some(name) = lanes.get(&lane).map(|lane| lane.name.clone()) else {
            walk.problem(format!("{id} belongs to a lane that is not there"));
            continue;
        };
        ids.insert(n, id);
        lane_rows.insert(n, lane);
        walk.records.insert(id, Record { lane: name, ..record });
    }
    let named = |of: &mut dyn Iterator<Item = i64>| of.map(|n| ids.get(&n).copied().ok_or(n)).collect::<BTreeSet<_>>();
    let all = |walk: &Walk, of: fn(&Record) -> bool| walk.ids(of).into_iter().map(Ok).collect::<BTreeSet<_>>();
    for (index, members, belongs) in [
        ("flight", named(&mut flights.keys().copied()), (|record| in_flight(record.state)) as fn(&Record) -> bool),
        ("schedule", named(&mut scheduled.iter().copied()), |record| record.state == State::Scheduled),
        ("queue", named(&mut queued.keys().copied()), |record| record.state == State::Ready),
        ("pairs", named(&mut column(&file, "SELECT message FROM pairs")), |record| {
            in_flight(record.state) || record.state == State::Unknown
        }),
        ("expire_at", named(&mut column(&file, "SELECT n FROM messages WHERE expire_at IS NOT NULL")), |record| {
            waits(record.state) && record.send_by > 0
        }),
        ("ended", named(&mut column(&file, "SELECT n FROM messages WHERE ended IS NOT NULL")), |record| {
            !waits(record.state)
        }),
    ] {
        let expected = all(&walk, belongs);
        walk.same(index, &members, &expected);
    }
    for (n, (lane, priority, due)) in &queued {
        let Some(record) = ids.get(n).and_then(|id| walk.records.get(id)) else { continue };
        let own = (lane_rows[n], record.priority, record.due);
        walk.count("the place of a queued message", (*lane, *priority, *due), own);
    }
    let astray = "SELECT count(*) FROM pairs p JOIN messages m ON m.n = p.message \
                  WHERE (m.sender, m.recipient) <> (p.sender, p.recipient)";
    walk.count("pairs of other numbers", column::<i64>(&file, astray).next(), Some(0));
    let astray = "SELECT count(*) FROM lanes WHERE (report_look IS NULL) <> (report_since IS NULL) OR report_since IS NOT \
                  (SELECT min(since) FROM reports_due WHERE lane = lanes.n)";
    walk.count("lanes whose reports are not looked for in their time", column::<i64>(&file, astray).next(), Some(0));
    for lane in lanes.values() {
        check_lane(&mut walk, lane, &ids, &flights);
    }
    let told: BTreeMap<u8, i64> =
        rows(&file, "SELECT state, n FROM counters", |row| Ok((row.get(0)?, row.get(1)?))).collect();
    for state in State::ALL {
        let counted = walk.ids(|record| record.state == state).len() as i64;
        walk.count(&format!("the number of {}", state.as_str()), told.get(&(state as u8)).copied(), Some(counted));
    }
    walk
}

const LANES: &str = "SELECT n, name, paused OR parked IS NOT NULL, probe, in_flight, waiting, look_at IS NOT NULL, \
                     oldest_due IS NOT NULL, ready_at IS NOT NULL, slots FROM lanes";
const MESSAGES: &str = "SELECT n, id, lane, state, priority, max(created, send_at), send_by, sender, recipient, provider_id \
                        FROM messages";

fn message(
    row: &Row<'_>,
    flights: &BTreeMap<i64, (u8, i64)>,
    scheduled: &BTreeSet<i64>,
) -> rusqlite::Result<(i64, MessageId, i64, Record)> {
    let n: i64 = row.get(0)?;
    let state = match (state_of(row.get(3)?).unwrap(), flights.get(&n)) {
        (State::Ready, Some((state, _))) => state_of(*state).unwrap(),
        (State::Ready, None) if scheduled.contains(&n) => State::Scheduled,
        (state, _) => state,
    };
    let provider_id: String = row.get(9)?;
    let record = Record {
        state,
        lane: String::new(),
        from: row.get(7)?,
        to: row.get(8)?,
        provider_id: if state.was_sent() { provider_id } else { String::new() },
        priority: row.get(4)?,
        due: row.get(5)?,
        send_by: row.get(6)?,
    };
    Ok((n, MessageId::from_bytes(row.get(1)?), row.get(2)?, record))
}

fn check_lane(walk: &mut Walk, lane: &Lane, ids: &BTreeMap<i64, MessageId>, flights: &BTreeMap<i64, (u8, i64)>) {
    let name = &lane.name;
    let count =
        |walk: &Walk, of: fn(State) -> bool| walk.ids(|record| of(record.state) && &record.lane == name).len() as i64;
    let flying = count(walk, in_flight);
    walk.count(&format!("in flight of {name}"), lane.in_flight, flying);
    let ready = count(walk, |state| state == State::Ready);
    walk.count(&format!("waiting of {name}"), lane.waiting, ready);
    let unknown = count(walk, |state| state == State::Unknown);
    walk.count(&format!("{name} is looked up"), lane.looked_up, unknown > 0);
    walk.count(&format!("{name} has something due"), lane.is_due, ready > 0);
    let cap = if lane.probe { 1 } else { CAP };
    walk.count(&format!("{name} may send"), lane.is_ready, ready > 0 && !lane.stopped && flying < cap);
    let (pairs, rest) = lane.slots.as_chunks::<8>().0.as_chunks::<2>();
    walk.count("odd bytes of a window", rest.len(), 0);
    let number = |bytes: &[u8; 8]| i64::from_be_bytes(*bytes);
    let under_way: BTreeSet<i64> =
        pairs.iter().filter(|[_, free]| number(free) >= IN_USE).map(|[token, _]| number(token)).collect();
    let of_lane = flights
        .iter()
        .filter(|(n, _)| ids.get(n).and_then(|id| walk.records.get(id)).is_some_and(|record| &record.lane == name));
    let tokens: BTreeSet<i64> = of_lane.map(|(_, (_, token))| *token).collect();
    walk.same(&format!("slots under way of {name}"), &under_way, &tokens);
}

fn rows<T>(file: &Connection, sql: &str, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> std::vec::IntoIter<T> {
    let mut statement = file.prepare(sql).unwrap();
    let all: Vec<T> = statement.query_map([], read).unwrap().map(Result::unwrap).collect();
    all.into_iter()
}

fn column<T: FromSql>(file: &Connection, sql: &str) -> std::vec::IntoIter<T> {
    rows(file, sql, |row| row.get(0))
}
