//! The Lua files, one function each in [`super`], and the one way to call them.

use redis::{ErrorKind, FromRedisValue, Script, Value, aio::ConnectionLike};

use crate::store::StoreError;

/// A script: the shared library, the freeing line where the script may run on a full Redis, then its own file.
macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(include_str!("../../lua/lib.lua"), include_str!(concat!("../../lua/", $file))))
    };
    (freeing $file:literal) => {
        Script::new(concat!(
            include_str!("../../lua/lib.lua"),
            include_str!("../../lua/freeing.lua"),
            include_str!(concat!("../../lua/", $file))
        ))
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
        }
    }
}

/// Any of the connections that the store can live on.
#[derive(Clone)]
pub(super) enum Connection {
    One(redis::aio::ConnectionManager),
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Connection {
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        call: &'static str,
        invocation: &redis::ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        match self.clone() {
            Connection::One(mut link) => invoke(call, invocation, &mut link).await,
            Connection::Cluster(mut link) => invoke(call, invocation, &mut link).await,
        }
    }

    pub(super) async fn query<T: FromRedisValue>(
        &self,
        call: &'static str,
        command: &redis::Cmd,
    ) -> Result<T, StoreError> {
        let answer = match self.clone() {
            Connection::One(mut link) => command.query_async(&mut link).await,
            Connection::Cluster(mut link) => command.query_async(&mut link).await,
        };
        answer.map_err(|error| store_error(call, error))
    }
}

async fn invoke<T: FromRedisValue>(
    call: &'static str,
    invocation: &redis::ScriptInvocation<'_>,
    link: &mut impl ConnectionLike,
) -> Result<T, StoreError> {
    // EVALSHA first; the script is sent again by itself when the server has forgotten it (restart, SCRIPT FLUSH).
    invocation.invoke_async(link).await.map_err(|error| store_error(call, error))
}

/// Sorts the server's refusals by their code. Only codes are kept: a detail might quote what was sent.
pub(super) fn store_error(call: &'static str, error: redis::RedisError) -> StoreError {
    match error.code() {
        Some("OOM") => StoreError::Full { call },
        // The server will be back, or another one will take over.
        Some(
            "LOADING" | "MISCONF" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "NOREPLICAS" | "TRYAGAIN" | "BUSY"
            | "NOSCRIPT" | "MOVED" | "ASK" | "UNBLOCKED",
        ) => StoreError::Unavailable { call, source: Box::new(CodeOnly(error.code().unwrap_or("").to_owned())) },
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
