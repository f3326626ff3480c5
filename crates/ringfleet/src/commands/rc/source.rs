//! What can be read, and the columns of it that people look at.

use jiff::{SignedDuration, Timestamp};
use ringcentral::{
    CallLogQuery, CallLogView, CallRecord, Direction, ExtensionInfo, ExtensionNumber, ExtensionQuery, MessageKind,
    MessageQuery, MessageRecord, Operation, Page, Raw, Read, Whose,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::columns::{Column, number, open, text};
use crate::cli::{DirectionWord, MessageWord, RangeOptions, RcCommand, ReadOptions, ViewWord};

/// Without a word the server, too, looks back so far (documented).
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);
/// Of the detailed call log a server may give so many records a page and no more.
const MOST_DETAILED: u32 = 250;
const MOST: u32 = 1_000;
const A_LOOK: u32 = 100;

/// What was asked for.
pub(super) enum Question {
    Account,
    Extensions,
    Numbers { account: bool },
    Messages { kind: Option<MessageWord>, range: RangeOptions, per_page: u32 },
    Calls { view: ViewWord, account: bool, range: RangeOptions, per_page: u32 },
}

/// The instants between which a run reads. They stay as they were when it began, however often it is interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Range {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// What is read from each extension, and how it is shown.
pub(super) struct Source {
    /// As it stands on the command line.
    pub(super) name: &'static str,
    pub(super) read: Reading,
    pub(super) columns: &'static [Column],
}

pub(super) enum Reading {
    /// One object.
    One(Read<Raw>),
    List(Read<Page<Raw>>),
}

impl Reading {
    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::One(read) => read.operation(),
            Self::List(read) => read.operation(),
        }
    }
}

impl Question {
    pub(super) fn of(command: RcCommand) -> (Self, ReadOptions) {
        let size = |range: &RangeOptions, read: &ReadOptions, most| {
            range.per_page.unwrap_or(if read.reads_all() { most } else { A_LOOK })
        };
        match command {
            RcCommand::Account(read) => (Self::Account, read),
            RcCommand::Extensions(read) => (Self::Extensions, read),
            RcCommand::PhoneNumbers { account, read } => (Self::Numbers { account }, read),
            RcCommand::Messages { kind, range, read } => {
                let per_page = size(&range, &read, MOST);
                (Self::Messages { kind, range, per_page }, read)
            }
            RcCommand::CallLog { view, account, range, read } => {
                let per_page = size(&range, &read, if view == ViewWord::Detailed { MOST_DETAILED } else { MOST });
                (Self::Calls { view, account, range, per_page }, read)
            }
        }
    }

    /// Whether one extension reads it for all.
    pub(super) fn of_account(&self) -> bool {
        match self {
            Self::Account | Self::Extensions => true,
            Self::Numbers { account } | Self::Calls { account, .. } => *account,
            Self::Messages { .. } => false,
        }
    }

    pub(super) fn range(&self, now: Timestamp) -> anyhow::Result<Range> {
        let typed = match self {
            Self::Messages { range, .. } | Self::Calls { range, .. } => Some(range),
            Self::Account | Self::Extensions | Self::Numbers { .. } => None,
        };
        let to = typed.and_then(|range| range.to).unwrap_or(now);
        let from = typed.and_then(|range| range.from).unwrap_or(to.saturating_sub(LOOK_BACK)?);
        anyhow::ensure!(from < to, "--from {from} is not before --to {to}");
        Ok(Range { from, to })
    }

    /// As it was typed: a run goes on only with the question that it began with.
    pub(super) fn typed(&self) -> Value {
        let range = |range: &RangeOptions, per_page: u32| {
            let direction = range.direction.map(|word| format!("{word:?}"));
            json!({"from": range.from, "to": range.to, "direction": direction, "per_page": per_page})
        };
        match self {
            Self::Account => json!({"read": "account"}),
            Self::Extensions => json!({"read": "extensions"}),
            Self::Numbers { account } => json!({"read": "phone-numbers", "account": account}),
            Self::Messages { kind, range: typed, per_page } => {
                let kind = kind.map(|word| format!("{word:?}"));
                json!({"read": "messages", "type": kind, "range": range(typed, *per_page)})
            }
            Self::Calls { view, account, range: typed, per_page } => {
                let view = format!("{view:?}");
                json!({"read": "call-log", "view": view, "account": account, "range": range(typed, *per_page)})
            }
        }
    }

    pub(super) fn source(&self, within: &Range) -> Source {
        let (name, read, columns) = match self {
            Self::Account => ("account", Reading::One(Read::account().raw()), ACCOUNT),
            Self::Extensions => {
                let query = ExtensionQuery::default();
                ("extensions", list(Read::<Page<ExtensionInfo>>::extensions(&query)), EXTENSIONS)
            }
            Self::Numbers { account: true } => ("phone-numbers", list(Read::account_phone_numbers()), NUMBERS),
            Self::Numbers { account: false } => {
                let own: Read<Page<ExtensionNumber>> = Read::extension_phone_numbers(Whose::Own);
                ("phone-numbers", list(own), NUMBERS)
            }
            Self::Messages { kind, range, per_page } => {
                let mut query = MessageQuery::new(within.from, within.to);
                query.kinds = kind.iter().map(|word| message_kind(*word)).collect();
                query.directions = range.direction.iter().map(|word| direction(*word)).collect();
                query.per_page = *per_page;
                ("messages", list(Read::<Page<MessageRecord>>::messages(&query)), MESSAGES)
            }
            Self::Calls { view, account, range, per_page } => {
                let mut query = CallLogQuery::new(within.from, within.to);
                query.view = match view {
                    ViewWord::Simple => CallLogView::Simple,
                    ViewWord::Detailed => CallLogView::Detailed,
                };
                query.directions = range.direction.iter().map(|word| direction(*word)).collect();
                query.per_page = *per_page;
                let calls: Read<Page<CallRecord>> =
                    if *account { Read::account_call_log(&query) } else { Read::call_log(Whose::Own, &query) };
                ("call-log", list(calls), CALLS)
            }
        };
        Source { name, read, columns }
    }
}

fn list<T>(read: Read<Page<T>>) -> Reading {
    Reading::List(read.raw_records())
}

fn direction(word: DirectionWord) -> Direction {
    match word {
        DirectionWord::Inbound => Direction::Inbound,
        DirectionWord::Outbound => Direction::Outbound,
    }
}

fn message_kind(word: MessageWord) -> MessageKind {
    match word {
        MessageWord::Sms => MessageKind::Sms,
        MessageWord::Fax => MessageKind::Fax,
        MessageWord::Voicemail => MessageKind::VoiceMail,
        MessageWord::Pager => MessageKind::Pager,
    }
}

const ACCOUNT: &[Column] = &[
    open("id", &["/id"]),
    open("status", &["/status"]),
    number("main_number", &["/mainNumber"]),
    open("brand", &["/serviceInfo/brand/name"]),
    open("plan", &["/serviceInfo/servicePlan/name"]),
];

const EXTENSIONS: &[Column] = &[
    open("id", &["/id"]),
    open("number", &["/extensionNumber"]),
    open("name", &["/name"]),
    open("type", &["/type"]),
    open("status", &["/status"]),
];

const NUMBERS: &[Column] = &[
    number("number", &["/phoneNumber"]),
    open("usage", &["/usageType"]),
    open("type", &["/type"]),
    open("features", &["/features/*"]),
    open("owner", &["/extension/extensionNumber", "/extension/id"]),
    open("status", &["/status"]),
];

const MESSAGES: &[Column] = &[
    open("time", &["/creationTime"]),
    open("direction", &["/direction"]),
    open("type", &["/type"]),
    number("from", &["/from/phoneNumber", "/from/extensionNumber"]),
    number("to", &["/to/*/phoneNumber", "/to/*/extensionNumber"]),
    open("status", &["/messageStatus"]),
    open("error", &["/deliveryErrorCode"]),
    open("id", &["/id"]),
    text("text", &["/subject"]),
];

const CALLS: &[Column] = &[
    open("start", &["/startTime"]),
    open("direction", &["/direction"]),
    open("type", &["/type"]),
    number("from", &["/from/phoneNumber", "/from/extensionNumber"]),
    number("to", &["/to/phoneNumber", "/to/extensionNumber"]),
    open("seconds", &["/duration"]),
    open("result", &["/result"]),
    open("of", &["/extension/id"]),
    open("id", &["/id"]),
];

#[cfg(test)]
mod tests {
    use ringcentral::UsageGroup;

    use super::*;

    fn calls(from: Option<&str>, to: Option<&str>) -> Question {
        let at = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let range = RangeOptions { from: at(from), to: at(to), direction: None, per_page: None };
        Question::Calls { view: ViewWord::Simple, account: false, range, per_page: 10 }
    }

    #[test]
    fn without_dates_the_last_day_is_read_and_a_range_that_ends_before_it_begins_is_refused() {
        let now: Timestamp = "2026-11-02T00:00:00Z".parse().unwrap();
        let day = calls(None, None).range(now).unwrap();
        assert_eq!((day.to, day.to.duration_since(day.from)), (now, LOOK_BACK));
        let error = calls(Some("2026-11-03T00:00:00Z"), None).range(now).unwrap_err().to_string();
        assert!(error.contains("--from") && error.contains("--to"), "{error}");
    }

    #[test]
    fn each_thing_to_read_counts_in_the_lane_that_the_help_names() {
        let range = calls(None, None).range(Timestamp::now()).unwrap();
        let group = |question: Question| question.source(&range).read.operation().group;
        assert_eq!(group(calls(None, None)), UsageGroup::Heavy);
        assert_eq!(group(Question::Account), UsageGroup::Light);
        assert_eq!(group(Question::Extensions), UsageGroup::Medium);
        assert_eq!(group(Question::Numbers { account: false }), UsageGroup::Light);
        assert_eq!(group(Question::Numbers { account: true }), UsageGroup::Heavy);
    }
}
