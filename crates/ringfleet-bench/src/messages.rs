//! Messages of 300 bytes, as many as one likes, over as many lanes.

use std::sync::OnceLock;

use ringfleet_store::{Group, IdempotencyKey, LaneId, LaneRules, NewMessage, OnUnknown, Plan, Priority, Private};

use crate::size::LIMIT;

/// Bytes of a text.
pub(crate) const BYTES: usize = 300;

const POOL: usize = 65_536;

/// The documented limit over so short a window that no lane waits for it, whatever the rate: the exact window is kept, and
/// what is measured is the work.
pub(crate) fn rules() -> LaneRules {
    let mut rules = LaneRules::documented();
    rules.set_plan(Group::Medium, Plan { limit: LIMIT, window_ms: 50 });
    rules
}

pub(crate) fn lane(number: u64) -> anyhow::Result<LaneId> {
    Ok(LaneId::try_new("main", &(400_100_000 + number).to_string(), Group::Medium)?)
}

/// Message number `n`, in lane `n mod lanes`. Recipients differ, because of two messages to one number the second waits
/// for the first.
pub(crate) fn message(n: u64, lanes: u64) -> anyhow::Result<NewMessage> {
    let own = n % lanes;
    Ok(NewMessage {
        lane: lane(own)?,
        key: Some(IdempotencyKey::try_new(format!("reminder-{n}"))?),
        from: Private::new(format!("+1555{own:07}")),
        to: Private::new(format!("+1666{:07}", n % 10_000_000)),
        text: Private::new(text(n)),
        priority: Priority::Normal,
        on_unknown: OnUnknown::Reconcile,
        send_at: None,
        send_by: None,
    })
}

pub(crate) fn batch(first: u64, count: u64, lanes: u64) -> anyhow::Result<Vec<NewMessage>> {
    (first..first + count).map(|n| message(n, lanes)).collect()
}

/// A slice of one random text: as good as random to a store, and next to free to make. The peers' bodies are made alike.
pub(crate) fn text(n: u64) -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    let pool = TEXT.get_or_init(|| {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .";
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let letter = |_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            char::from(ALPHABET[(seed >> 32) as usize % ALPHABET.len()])
        };
        (0..POOL).map(letter).collect()
    });
    let start = (n % POOL as u64 * 7_919) as usize % (POOL - BYTES);
    &pool[start..start + BYTES]
}
