//! Which of the provider's records may be the text whose fate is unknown. Pure.

use jiff::Timestamp;
use ringcentral::{Direction, MessageKind, MessageRecord, PhoneNumber};
use ringfleet_store::{Millis, UnknownSend};

/// The longest that developer accounts put before a text; what is seen is about 50 characters.
const LONGEST_PREFIX: usize = 100;

/// The ids of all records that may be this send: same numbers, same text, not created before `earliest`.
///
/// SEND-SAFETY: a record wrongly left out makes a second text, one wrongly taken in loses one. In doubt it is taken in:
/// several are held for a person.
pub(crate) fn candidates(send: &UnknownSend, earliest: Millis, records: &[MessageRecord]) -> Vec<String> {
    let (Ok(from), Ok(to)) = (PhoneNumber::try_new(send.from.expose()), PhoneNumber::try_new(send.to.expose())) else {
        return Vec::new();
    };
    let earliest = Timestamp::from_millisecond(earliest).unwrap_or(Timestamp::MIN);
    let text = plain(send.text.expose());
    let between = |record: &&MessageRecord| {
        !matches!(record.direction, Direction::Inbound)
            && matches!(record.kind, MessageKind::Sms | MessageKind::Other)
            && record.is_from(&from)
            && record.is_to(&to)
            && record.creation_time.is_none_or(|at| at >= earliest)
    };
    let written = |record: &MessageRecord| record.text.as_ref().map(|stored| plain(stored.expose()));
    let all: Vec<&MessageRecord> = records.iter().filter(between).collect();
    let ids = |fits: &dyn Fn(&str) -> bool| -> Vec<String> {
        let fitting = all.iter().filter(|record| written(record).is_none_or(|stored| fits(&stored)));
        fitting.map(|record| record.id.get().to_string()).collect()
    };
    let exact = ids(&|stored| stored == text);
    if !exact.is_empty() {
        return exact;
    }
    ids(&|stored| stored.strip_suffix(text.as_str()).is_some_and(|prefix| prefix.chars().count() <= LONGEST_PREFIX))
}

/// Line ends and runs of blanks may be written otherwise by those who pass a text on.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use ringfleet_store::{LeaseRef, LeaseToken, MessageId, Private};
    use serde_json::json;

    use super::*;

    const INTENT: Millis = 1_767_323_045_000; // 2026-01-02T03:04:05Z

    fn send(text: &str) -> UnknownSend {
        UnknownSend {
            lease: LeaseRef { id: MessageId::from_bytes([1; 16]), token: LeaseToken(1) },
            from: Private::new("+15550100001"),
            to: Private::new("+15550200001"),
            text: Private::new(text),
            intent_at: INTENT,
            since: INTENT,
        }
    }

    fn record(id: u64, change: serde_json::Value) -> MessageRecord {
        let mut raw = json!({"id": id, "type": "SMS", "direction": "Outbound", "from": {"phoneNumber": "+15550100001"},
            "to": [{"phoneNumber": "+15550200001"}], "subject": "See you at 9", "creationTime": "2026-01-02T03:04:06.000Z"});
        for (key, value) in change.as_object().into_iter().flatten() {
            raw[key] = value.clone();
        }
        serde_json::from_value(raw).unwrap_or_else(|error| panic!("{error}"))
    }

    fn found(text: &str, records: &[MessageRecord]) -> Vec<String> {
        candidates(&send(text), INTENT - 1_000, records)
    }

    #[test]
    fn a_record_fits_by_numbers_text_and_time() {
        let fitting = [
            record(1, json!({})),
            record(2, json!({"from": {"phoneNumber": "15550100001"}, "to": [{"phoneNumber": "(555) 020-0001"}]})),
            record(3, json!({"subject": "See  you\r\nat 9 "})),
            record(4, json!({"creationTime": null})),
            record(5, json!({"subject": null})),
        ];
        assert_eq!(found("See you at 9", &fitting), ["1", "2", "3", "4", "5"]);
        let others = [
            record(1, json!({"direction": "Inbound"})),
            record(2, json!({"to": [{"phoneNumber": "+15550200002"}]})),
            record(3, json!({"from": {"phoneNumber": "+15550100002"}})),
            record(4, json!({"subject": "See you at 10"})),
            record(5, json!({"creationTime": "2026-01-02T03:04:03.999Z"})),
            record(6, json!({"type": "VoiceMail"})),
        ];
        assert!(found("See you at 9", &others).is_empty());
    }

    #[test]
    fn a_prefix_is_allowed_where_nothing_fits_exactly() {
        let prefixed = record(1, json!({"subject": "Test SMS using a developer account - See you at 9"}));
        assert_eq!(found("See you at 9", std::slice::from_ref(&prefixed)), ["1"]);
        let both = [prefixed, record(2, json!({}))];
        assert_eq!(found("See you at 9", &both), ["2"]);
        let long = format!("{}See you at 9", "x".repeat(LONGEST_PREFIX + 1));
        assert!(found("See you at 9", &[record(1, json!({"subject": long}))]).is_empty());
    }
}
