//! Subscriptions of one user, and what they are waiting to be told.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::directory::Directory;
use super::message::Message;
use crate::clock::Nanos;
use crate::query::{Pairs, Plus};

/// For each user and app (documented).
pub(crate) const MAX_SUBSCRIPTIONS: usize = 30;
/// Events that wait for a webhook that is busy; the oldest go first.
const MAX_WAITING: usize = 1_000;

/// No `Debug`: it holds a verification token.
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) filters: Vec<EventFilter>,
    /// What the app has no permission for.
    pub(crate) disabled: Vec<EventFilter>,
    pub(crate) address: String,
    pub(crate) verification_token: Option<String>,
    pub(crate) created_at: Nanos,
    pub(crate) lifetime: Nanos,
    pub(crate) expires_at: Nanos,
    pub(crate) blacklisted_at: Option<Nanos>,
    /// Deliveries that failed since the last one that did not.
    pub(crate) failures: u32,
    /// A delivery is under way; what comes meanwhile waits and is counted together.
    pub(crate) busy: bool,
    pub(crate) waiting: Waiting,
}

#[derive(Default)]
pub(crate) struct Waiting {
    /// By the filter's place and the message type.
    pub(crate) changes: BTreeMap<(usize, &'static str), Changes>,
    /// Whole bodies, with the filter's place.
    pub(crate) events: VecDeque<(usize, Value)>,
}

/// An outbound status change shows as a count only (documented).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) new: Vec<u64>,
    pub(crate) updated: u64,
}

impl Waiting {
    pub(crate) fn push(&mut self, filter: usize, body: Value) {
        if self.events.len() >= MAX_WAITING {
            self.events.pop_front();
        }
        self.events.push_back((filter, body));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.events.is_empty()
    }
}

impl Subscription {
    /// Something that is told as a whole.
    pub(crate) fn tell(&mut self, kind: &FilterKind, body: &Value) {
        if self.blacklisted_at.is_some() {
            return;
        }
        for (at, _) in self.filters.iter().enumerate().filter(|(_, filter)| filter.kind == *kind) {
            self.waiting.push(at, body.clone());
        }
    }

    pub(crate) fn renew(&mut self, lifetime: Nanos, now: Nanos) {
        self.lifetime = lifetime;
        self.expires_at = now + lifetime;
        for filter in &mut self.filters {
            filter.reminded_at = None;
        }
    }
}

/// An event filter with its ids written out, as RingCentral answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventFilter {
    pub(crate) text: String,
    pub(crate) kind: FilterKind,
    /// When a reminder went out last.
    pub(crate) reminded_at: Option<Nanos>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FilterKind {
    /// Counts of what changed in the message store.
    Messages { types: Vec<String>, directions: Vec<String> },
    /// Each inbound text as a whole.
    Instant,
    /// Each call that nobody took.
    MissedCalls,
    /// That the subscription will end soon; both in seconds.
    Reminder { threshold: u64, interval: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterProblem {
    Invalid,
    Reminder,
    OtherExtension,
}

impl EventFilter {
    /// `lifetime` is the subscription's, in seconds: a reminder has to fit into it (documented).
    pub(crate) fn parse(
        raw: &str,
        directory: &Directory,
        index: usize,
        id: &str,
        lifetime: u64,
    ) -> Result<Self, FilterProblem> {
        let (path, query) = raw.split_once('?').unwrap_or((raw, ""));
        let pairs = Pairs::parse(query, Plus::IsPlus);
        let suffix = if query.is_empty() { String::new() } else { format!("?{query}") };
        if path == "/restapi/v1.0/subscription/~" {
            let number = |name| pairs.first(name).and_then(|raw| raw.parse::<u64>().ok());
            let (threshold, interval) = number("threshold").zip(number("interval")).ok_or(FilterProblem::Reminder)?;
            if threshold > lifetime / 2 || interval > threshold / 2 || interval == 0 {
                return Err(FilterProblem::Reminder);
            }
            let text = format!("/restapi/v1.0/subscription/{id}{suffix}");
            return Ok(Self { text, kind: FilterKind::Reminder { threshold, interval }, reminded_at: None });
        }
        let rest = path.strip_prefix("/restapi/v1.0/account/").ok_or(FilterProblem::Invalid)?;
        let (account, rest) = rest.split_once("/extension/").ok_or(FilterProblem::Invalid)?;
        let (extension, resource) = rest.split_once('/').ok_or(FilterProblem::Invalid)?;
        if account != "~" && account.parse() != Ok(directory.account_id()) {
            return Err(FilterProblem::Invalid);
        }
        let own = directory.extension_id(index);
        if extension != "~" && extension.parse() != Ok(own) {
            let known = extension.parse().ok().and_then(|id| directory.index_of(id));
            return Err(known.map_or(FilterProblem::Invalid, |_| FilterProblem::OtherExtension));
        }
        let kind = match resource {
            "message-store" => FilterKind::Messages { types: pairs.all("type"), directions: pairs.all("direction") },
            "missed-calls" => FilterKind::MissedCalls,
            "message-store/instant" if pairs.first("type") == Some("SMS") => FilterKind::Instant,
            _ => return Err(FilterProblem::Invalid),
        };
        let account = directory.account_id();
        let text = format!("/restapi/v1.0/account/{account}/extension/{own}/{resource}{suffix}");
        Ok(Self { text, kind, reminded_at: None })
    }

    pub(crate) fn reads_messages(&self) -> bool {
        matches!(self.kind, FilterKind::Messages { .. } | FilterKind::Instant)
    }

    /// Whether it counts what happens to a message.
    pub(crate) fn counts(&self, message: &Message) -> bool {
        let wants = |asked: &[String], value: &str| asked.is_empty() || asked.iter().any(|one| one == value);
        match &self.kind {
            FilterKind::Messages { types, directions } => {
                wants(types, message.type_name()) && wants(directions, message.direction())
            }
            FilterKind::Instant | FilterKind::MissedCalls | FilterKind::Reminder { .. } => false,
        }
    }
}

/// How far the notifier has followed an extension's messages: one place for each thing that can happen to a message, so that
/// accepting a text costs nothing more.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct StoreWatch {
    pub(crate) appeared: usize,
    pub(crate) sent: usize,
    pub(crate) ended: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SimulatorConfig;

    #[test]
    fn filters_are_read_with_their_ids_written_out() {
        let directory = Directory::new(&SimulatorConfig::default());
        let parse = |raw: &str| EventFilter::parse(raw, &directory, 1, "sub", 100);
        let store = "/restapi/v1.0/account/~/extension/~/message-store";
        let filter = parse(&format!("{store}?type=SMS&direction=Outbound")).expect("a filter");
        let own = "/restapi/v1.0/account/400100000/extension/400100002/message-store";
        assert_eq!(filter.text, format!("{own}?type=SMS&direction=Outbound"));
        assert_eq!(parse(own).expect("a filter").text, own);
        assert_eq!(parse(&format!("{store}/instant?type=SMS")).map(|f| f.kind), Ok(FilterKind::Instant));
        let calls = "/restapi/v1.0/account/~/extension/~/missed-calls";
        assert_eq!(parse(calls).map(|f| f.kind), Ok(FilterKind::MissedCalls));
        for (raw, problem) in [
            ("/restapi/v1.0/account/~/extension/400100001/message-store", FilterProblem::OtherExtension),
            ("/restapi/v1.0/account/~/extension/1/message-store", FilterProblem::Invalid),
            ("/restapi/v1.0/account/~/extension/~/message-store/instant", FilterProblem::Invalid),
            ("/restapi/v1.0/account/~/extension/~/nothing", FilterProblem::Invalid),
            ("/restapi/v1.0/subscription/~?threshold=51&interval=5", FilterProblem::Reminder),
            ("/restapi/v1.0/subscription/~?threshold=50&interval=26", FilterProblem::Reminder),
            ("nonsense", FilterProblem::Invalid),
        ] {
            assert_eq!(parse(raw), Err(problem), "{raw}");
        }
        let reminder = parse("/restapi/v1.0/subscription/~?threshold=50&interval=25").expect("a filter");
        assert_eq!(reminder.kind, FilterKind::Reminder { threshold: 50, interval: 25 });
    }
}
