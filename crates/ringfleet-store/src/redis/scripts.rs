//! The Lua files, one function each in [`super`], and the one way to call them.

use redis::{ErrorKind, Script, Value};

use crate::store::StoreError;

/// What all scripts share, in the order in which its parts need each other. The functions, and each script, are made inside
/// one: there Lua hands the outer names on, where it would else look each of them up for each function. Most 60 outer names
/// can be used inside.
macro_rules! library {
    ($($rest:expr),*) => {
        concat!(
            include_str!("../../lua/lib/begin.lua"),
            "return (function()\n",
            include_str!("../../lua/lib/writes.lua"),
            include_str!("../../lua/lib/messages.lua"),
            include_str!("../../lua/lib/lanes.lua"),
            include_str!("../../lua/lib/reports.lua"),
            include_str!("../../lua/lib/moves.lua"),
            include_str!("../../lua/lib/save.lua"),
            include_str!("../../lua/lib/docs.lua"),
            include_str!("../../lua/lib/gate.lua"),
            $($rest,)*
            "\nend)()\n"
        )
    };
}

/// A script: the shared library, the freeing line where the script may run on a full Redis, then its own file.
macro_rules! script {
    ($file:literal) => {
        Script::new(library!(include_str!(concat!("../../lua/", $file))))
    };
    (freeing $file:literal) => {
        Script::new(library!(include_str!("../../lua/freeing.lua"), include_str!(concat!("../../lua/", $file))))
    };
}

pub(super) struct Scripts {
    pub(super) enqueue: Script,
    pub(super) reserve: Script,
    pub(super) claim: Script,
    pub(super) begin_send: Script,
    pub(super) settle: Script,
    pub(super) extend: Script,
    pub(super) reap: Script,
    pub(super) slot: Script,
    pub(super) control: Script,
    pub(super) token: Script,
    pub(super) view: Script,
    pub(super) explain: Script,
    pub(super) reconcile: Script,
    pub(super) watch: Script,
    pub(super) doc: Script,
    pub(super) opt_out: Script,
    pub(super) delivery: Script,
    /// Runs before the epoch is known.
    pub(super) open: Script,
}

impl Scripts {
    pub(super) fn load() -> Self {
        Self {
            enqueue: script!("enqueue.lua"),
            reserve: script!("reserve.lua"),
            claim: script!(freeing "claim.lua"),
            begin_send: script!(freeing "begin_send.lua"),
            settle: script!(freeing "settle.lua"),
            extend: script!(freeing "extend.lua"),
            reap: script!(freeing "reap.lua"),
            slot: script!(freeing "slot.lua"),
            control: script!(freeing "control.lua"),
            token: script!(freeing "token.lua"),
            view: script!("view.lua"),
            explain: script!("explain.lua"),
            reconcile: script!(freeing "reconcile.lua"),
            watch: script!(freeing "watch.lua"),
            doc: script!("doc.lua"),
            opt_out: script!(freeing "opt_out.lua"),
            delivery: script!(freeing "delivery.lua"),
            open: Script::new(include_str!("../../lua/open.lua")),
        }
    }
}

/// Sorts the server's refusals by their code. Only codes are kept: a detail might quote what was sent.
pub(super) fn store_error(call: &'static str, error: redis::RedisError) -> StoreError {
    match error.code() {
        Some("OOM") => StoreError::Full { call },
        Some("EPOCH" | "NOEPOCH") => StoreError::Replaced { call },
        // The server will be back, or another one will take over.
        Some(code) if passing(code).is_some() => StoreError::Unavailable {
            call,
            source: Box::new(CodeOnly(format!("{code}, {}", passing(code).unwrap_or("")))),
        },
        Some(code @ ("NOAUTH" | "WRONGPASS" | "NOPERM")) => StoreError::Unfit {
            reason: format!("Redis answers {code}: check the user and password in the URL, and the user's ACL"),
        },
        Some(code) => StoreError::Refused { call, reason: format!("Redis answers {code}") },
        // A reply of the wrong type is the only fault that another try can't mend.
        None if matches!(error.kind(), ErrorKind::UnexpectedReturnType) => {
            StoreError::Unreadable { call, what: error.category().to_owned() }
        }
        None => StoreError::Unavailable { call, source: Box::new(CodeOnly(error.category().to_owned())) },
    }
}

/// What a refusal that may pass means, and what to do if it does not.
fn passing(code: &str) -> Option<&'static str> {
    Some(match code {
        "LOADING" => "it is loading its data after a start",
        "MISCONF" => "it can't write to its disk and takes no writes: look at its log and its disk",
        "READONLY" => "it is a replica now: a failover happened, or the URL names a replica",
        "MASTERDOWN" => "it is a replica that has lost its primary",
        "CLUSTERDOWN" => "the Cluster has lost some of its slots",
        "NOREPLICAS" => "too few replicas follow it (min-replicas-to-write)",
        "NOSCRIPT" => "it has forgotten a script that it has just been sent",
        "BUSY" => "a script holds it up",
        "TRYAGAIN" | "MOVED" | "ASK" => "the Cluster is moving slots",
        "UNBLOCKED" => "it was failed over while it answered",
        _ => return None,
    })
}

#[derive(Debug)]
struct CodeOnly(String);

impl std::fmt::Display for CodeOnly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redis: {}", self.0)
    }
}

impl std::error::Error for CodeOnly {}

/// A reply that does not have the shape that the script promises.
pub(super) fn unreadable(call: &'static str, what: &str) -> StoreError {
    StoreError::Unreadable { call, what: what.to_owned() }
}

/// Integers come as integers or, where they may pass 2^53 or be absent, as text.
pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) => Some(*n),
        Value::BulkString(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        Value::SimpleString(text) => text.parse().ok(),
        _ => None,
    }
}

pub(super) fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}
