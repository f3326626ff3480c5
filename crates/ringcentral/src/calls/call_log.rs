//! The call log of an extension and of the account.

use jiff::Timestamp;
use serde::Deserialize;

use super::page::Page;
use super::paging::{between, from_page};
use super::read::{Read, Whose};
use crate::ids::{CallId, ExtensionId};
use crate::operation::Operation;
use crate::phone::{PhoneNumber, WrittenNumber};
use crate::serde_text;
use crate::short_number::ShortNumber;
use crate::words::{CallKind, CallResult, Direction};

/// Which calls to list. The dates are always sent: without them the server looks back 24 hours only (documented).
#[derive(Debug, Clone)]
pub struct CallLogQuery {
    pub date_from: Timestamp,
    pub date_to: Timestamp,
    pub view: CallLogView,
    /// Empty means all; so does it for `kinds`.
    pub directions: Vec<Direction>,
    pub kinds: Vec<CallKind>,
    /// Only calls from or to this number.
    pub phone_number: Option<PhoneNumber>,
    /// Counted from 1.
    pub page: u32,
    /// 1 to 1000; of the detailed view a server may give 250 at most (seen in SDK source), and says so in its paging.
    pub per_page: u32,
}

/// How much of each call to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallLogView {
    #[default]
    Simple,
    /// With each leg of the call.
    Detailed,
}

impl CallLogQuery {
    /// All calls between two instants, a hundred a page.
    pub fn new(date_from: Timestamp, date_to: Timestamp) -> Self {
        let (view, directions, kinds) = (CallLogView::Simple, Vec::new(), Vec::new());
        Self { date_from, date_to, view, directions, kinds, phone_number: None, page: 1, per_page: 100 }
    }

    fn pairs(&self) -> Vec<(&'static str, String)> {
        let view = match self.view {
            CallLogView::Simple => "Simple",
            CallLogView::Detailed => "Detailed",
        };
        let mut pairs = vec![("view", view.to_owned())];
        pairs.extend(between(self.date_from, self.date_to));
        let directions = self.directions.iter().filter(|direction| **direction != Direction::Other);
        pairs.extend(directions.map(|direction| ("direction", direction.as_str().to_owned())));
        let kinds = self.kinds.iter().filter(|kind| **kind != CallKind::Other);
        pairs.extend(kinds.map(|kind| ("type", kind.as_str().to_owned())));
        // Without the plus here, as the parameter is documented, other than in the message store.
        let number = self.phone_number.iter().map(|number| number.expose().trim_start_matches('+').to_owned());
        pairs.extend(number.map(|digits| ("phoneNumber", digits)));
        pairs.extend(from_page(self.page, self.per_page));
        pairs
    }
}

/// One call.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallRecord {
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub id: Option<CallId>,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub session_id: Option<CallId>,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub start_time: Option<Timestamp>,
    /// In seconds.
    #[serde(rename = "duration", default, deserialize_with = "serde_text::lenient")]
    pub duration_s: Option<u64>,
    #[serde(default)]
    pub direction: Direction,
    #[serde(rename = "type", default)]
    pub kind: CallKind,
    #[serde(default)]
    pub result: CallResult,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub from: Option<CallParty>,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub to: Option<CallParty>,
    /// Whose call it is, in the account's log.
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub extension: Option<CallExtension>,
}

/// Caller or callee. Names and places are not read: nothing here needs them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallParty {
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub phone_number: Option<WrittenNumber>,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub extension_number: Option<ShortNumber>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct CallExtension {
    pub id: ExtensionId,
}

impl Read<Page<CallRecord>> {
    /// Calls of an extension. Group Heavy; the app and the user need `ReadCallLog` (documented).
    pub fn call_log(whose: Whose<'_>, query: &CallLogQuery) -> Self {
        Self::new(Operation::LIST_CALLS, format!("{}/call-log", whose.path())).with(query.pairs())
    }

    /// Calls of the whole account. Group Heavy; the app needs `ReadCallLog`, the user `FullCompanyCallLog` (documented).
    pub fn account_call_log(query: &CallLogQuery) -> Self {
        Self::new(Operation::LIST_ACCOUNT_CALLS, "/restapi/v1.0/account/~/call-log").with(query.pairs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_is_read_leniently_and_prints_nothing_private() {
        let call: CallRecord = serde_json::from_str(
            r#"{"uri":"x","id":"Ab-1_2","sessionId":7,"startTime":"2026-01-02T03:04:05.678Z","duration":62,"type":"Voice",
                "direction":"Inbound","action":"Phone Call","result":"Call connected","legs":[{"from":"canary"}],
                "from":{"phoneNumber":"15550100001","name":"canary"},"to":{"extensionNumber":101},
                "extension":{"id":400129284008}}"#,
        )
        .expect("a call");
        assert_eq!(call.id.as_ref().map(CallId::as_str), Some("Ab-1_2"));
        assert_eq!((call.duration_s, call.kind, call.direction), (Some(62), CallKind::Voice, Direction::Inbound));
        assert_eq!(call.result, CallResult::Connected);
        let from = call.from.as_ref().and_then(|party| party.phone_number.as_ref()).and_then(WrittenNumber::normalised);
        assert_eq!(from.expect("a number").expose(), "+15550100001");
        let to = call.to.as_ref().and_then(|party| party.extension_number.as_ref()).map(ShortNumber::as_str);
        assert_eq!(to, Some("101"));
        let printed = format!("{call:?}");
        assert!(!printed.contains("canary") && !printed.contains("010"), "{printed}");
        let odd = r#"{"id":null,"startTime":"soon","duration":"long","from":{"phoneNumber":{}},"to":7,"type":null}"#;
        let odd: CallRecord = serde_json::from_str(odd).expect("odd fields count as missing");
        assert!(odd.start_time.is_none() && odd.duration_s.is_none() && odd.to.is_none());
    }
}
