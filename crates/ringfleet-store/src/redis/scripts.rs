//! The Lua files, one function each in [`super`], and the one way to call them.

use redis::{ErrorKind, Script, Value};

use super::{away::cause, lean::lean};
use crate::store::StoreError;

/// What all scripts share, in the order in which its parts need each other. The functions, and each script, are made inside
/// one: there Lua hands the outer names on, where it would else look each of them up for each function. At most 60 outer
/// names can be used inside.
pub(super) const LIBRARY: &str = concat!(
    include_str!("../../lua/lib/begin.lua"),
    "return (function()\n",
    include_str!("../../lua/lib/writes.lua"),
    include_str!("../../lua/lib/messages.lua"),
    include_str!("../../lua/lib/lanes.lua"),
    include_str!("../../lua/lib/gate.lua"),
    include_str!("../../lua/lib/reports.lua"),
    include_str!("../../lua/lib/moves.lua"),
    include_str!("../../lua/lib/save.lua"),
    include_str!("../../lua/lib/docs.lua"),
);

/// A script: what it needs of the library, the freeing line where it may run on a full Redis, then its own file.
macro_rules! script {
    ($file:literal) => {
        Script::new(&lean(LIBRARY, concat!(include_str!(concat!("../../lua/", $file)), "\nend)()\n")))
    };
    (freeing $file:literal) => {
        Script::new(&lean(
            LIBRARY,
            concat!(include_str!("../../lua/freeing.lua"), include_str!(concat!("../../lua/", $file)), "\nend)()\n"),
        ))
    };
}

pub(super) struct Scripts {
    pub(super) enqueue: Script,
    pub(super) reserve: Script,
    pub(super) forget: Script,
    pub(super) claim: Script,
    pub(super) begin_send: Script,
    pub(super) settle: Script,
    pub(super) extend: Script,
    pub(super) reap: Script,
    pub(super) slot: Script,
    pub(super) control: Script,
    pub(super) token: Script,
    pub(super) view: Script,
    pub(super) changes: Script,
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
            forget: script!(freeing "forget.lua"),
            claim: script!(freeing "claim.lua"),
            begin_send: script!(freeing "begin_send.lua"),
            settle: script!(freeing "settle.lua"),
            extend: script!(freeing "extend.lua"),
            reap: script!(freeing "reap.lua"),
            slot: script!(freeing "slot.lua"),
            control: script!(freeing "control.lua"),
            token: script!(freeing "token.lua"),
            view: script!("view.lua"),
            changes: script!(freeing "changes.lua"),
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

/// The code of the server's refusal. Redis 6.2 wraps what a script met into an `ERR` of its own, whose words end with the
/// refusal: `...: @user_script: 919: -READONLY You can't write ...`; Redis 7 answers `READONLY ...`.
pub(super) fn code_of(error: &redis::RedisError) -> Option<&str> {
    let inner = || {
        let inside = error.detail()?.strip_prefix("Error running script")?;
        let mut words = inside.split(": ").filter_map(|part| part.trim_start_matches('-').split(' ').next());
        words.find(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()))
    };
    match error.code() {
        Some("ERR") => inner().or(Some("ERR")),
        code => code,
    }
}

/// Sorts the server's refusals by their code. Only codes are kept: a detail might quote what was sent.
pub(super) fn store_error(call: &'static str, error: redis::RedisError) -> StoreError {
    match code_of(&error) {
        Some("OOM") => StoreError::Full { call },
        Some("EPOCH" | "NOEPOCH") => StoreError::Replaced { call },
        // The server will be back, or another one will take over.
        Some(code) if passing(code).is_some() => StoreError::Unavailable {
            call,
            source: Box::new(CodeOnly(format!("{code}, {}", passing(code).unwrap_or("")))),
        },
        Some("ERR") if is_denied(&error) => lacks_a_right("NOPERM inside a script"),
        Some(code) if has_no_database(&error) => lacks_a_right(&format!("{code} to SELECT")),
        Some(code @ ("NOAUTH" | "WRONGPASS" | "NOPERM")) => lacks_a_right(code),
        Some(code) => StoreError::Refused { call, reason: format!("Redis answers {code}") },
        // A reply of the wrong type is the only fault that another try can't mend.
        None if matches!(error.kind(), ErrorKind::UnexpectedReturnType) => {
            StoreError::Unreadable { call, what: error.category().to_owned() }
        }
        None => StoreError::Unavailable { call, source: Box::new(CodeOnly(cause(&error))) },
    }
}

fn lacks_a_right(answer: &str) -> StoreError {
    StoreError::Unfit {
        reason: format!("Redis answers {answer}: check the user, password and database in the URL, and the user's ACL"),
    }
}

/// Whether the user of the connection lacks a right that a script needs: that has no code of its own on Redis 6.2 and 7.0.
///
/// SEND-SAFETY: somebody will give it the right, and until then a report must not be given up as refused for good: the text was
/// sent.
fn is_denied(error: &redis::RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("The user executing the script can't"))
}

/// Whether the connection could not be made because the server did not let it choose its database.
///
/// SEND-SAFETY: this is said in a call's place, and says nothing about the call: a report is kept for the next connection.
pub(super) fn has_no_database(error: &redis::RedisError) -> bool {
    // The library tells it by these words alone.
    error.to_string().contains("refused to switch database")
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

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = "Error running script (call to f_04f2462671df21c6ac849dea748bb1dc8c346caa): @user_script:919: ";

    /// What becomes of a reply: the error's kind, and the reasons that are told.
    fn told(reply: &str) -> (&'static str, String) {
        let error = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()).and_then(Value::extract_error);
        let error = store_error("settle", error.expect_err("a refusal"));
        let source = std::error::Error::source(&error).map(ToString::to_string);
        (error.kind(), format!("{error} {}", source.unwrap_or_default()))
    }

    /// As Redis 6.2.14 sent them, and 7.0.15 put the code in front.
    #[test]
    fn a_refusal_inside_a_script_is_read_alike_on_redis_6_2_and_7() {
        let refusals = [
            ("OOM", "full", "command not allowed when used memory > 'maxmemory'."),
            ("READONLY", "unavailable", "You can't write against a read only replica."),
            ("NOREPLICAS", "unavailable", "Not enough good replicas to write."),
            (
                "MISCONF",
                "unavailable",
                "Redis is configured to save RDB snapshots, but it is currently not able to persist",
            ),
        ];
        for (code, kind, words) in refusals {
            let six = told(&format!("ERR {CALL}@user_script: 919: -{code} {words}"));
            let seven =
                told(&format!("{code} {words} script: 04f2462671df21c6ac849dea748bb1dc8c346caa, on @user_script:919."));
            assert_eq!(six, seven);
            assert_eq!(six.0, kind, "{code}");
        }
        let wrong = told(&format!("ERR {CALL}WRONGTYPE Operation against a key holding the wrong kind of value"));
        assert_eq!(wrong.0, "refused");
        assert!(wrong.1.contains("answers WRONGTYPE"), "{}", wrong.1);
    }

    #[test]
    fn what_a_script_answers_itself_has_its_code_in_front_on_both() {
        assert_eq!(told("NOEPOCH this is not the data that the caller began with").0, "replaced");
        assert_eq!(told("EPOCH this is not the data that the caller began with").0, "replaced");
    }

    #[test]
    fn an_error_of_another_make_stays_what_it_is_and_tells_nothing_of_its_words() {
        let (kind, told_of_it) = told(&format!("ERR {CALL}user_script:1: x"));
        assert!(
            kind == "refused" && told_of_it.contains("answers ERR") && !told_of_it.contains("user"),
            "{told_of_it}"
        );
        assert_eq!(told("ERR no such thing: OOM").0, "refused");
    }

    /// As Redis 6.2 and 7.0 say it; 7.2 has the code NOPERM.
    #[test]
    fn a_right_that_a_script_lacks_is_told_as_one() {
        for words in [
            "The user executing the script can't run this command or subcommand",
            "The user executing the script can't access at least one of the keys mentioned in the command arguments",
        ] {
            for reply in [
                format!("ERR {CALL}@user_script: 928: {words}"),
                format!("ERR {words} script: 04f2, on @user_script:928."),
            ] {
                let (kind, told) = told(&reply);
                assert!(kind == "unfit" && told.contains("ACL"), "{kind}: {told}");
            }
        }
    }
}
