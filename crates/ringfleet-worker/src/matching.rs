//! Which of the provider's records may be the text whose fate is unknown. Pure.

use jiff::Timestamp;
use ringcentral::{Direction, MessageRecord, PhoneNumber};
use ringfleet_store::{Found, Millis, UnknownSend};

/// The longest that developer accounts put before a text; what is seen is about 50 characters.
const LONGEST_PREFIX: usize = 100;

/// Why a person must look: a record can't be compared with the send.
const UNCLEAR: &str = "unclear-match";

/// What a reading that began at `read_at` shows of this send: the ids of all records with its numbers and its text that were
/// not created before `earliest`.
///
/// SEND-SAFETY: a record wrongly left out makes a second text, one wrongly taken in loses one. So one that can't be compared is
/// neither: it is a person's business, whatever else is there, since what else is there may be another message's.
pub(crate) fn found(send: &UnknownSend, earliest: Millis, records: &[MessageRecord], read_at: Millis) -> Found {
    match candidates(send, earliest, records) {
        Some(ids) => Found::Candidates { ids, read_at },
        None => Found::Undecidable { reason: UNCLEAR.to_owned() },
    }
}

/// `None` if a record may be this send or not.
fn candidates(send: &UnknownSend, earliest: Millis, records: &[MessageRecord]) -> Option<Vec<String>> {
    let from = PhoneNumber::try_new(send.from.expose()).ok()?;
    let to = PhoneNumber::try_new(send.to.expose()).ok()?;
    let earliest = Timestamp::from_millisecond(earliest).unwrap_or(Timestamp::MIN);
    let text = plain(send.text.expose());
    // SEND-SAFETY: a word or a time that is not known leaves no record out.
    let is_open = |record: &&MessageRecord| {
        !matches!(record.direction, Direction::Inbound)
            && record.may_be_sms()
            && record.creation_time.is_none_or(|at| at >= earliest)
            && record.is_from(&from) != Some(false)
            && record.is_to(&to) != Some(false)
    };
    let open: Vec<&MessageRecord> = records.iter().filter(is_open).collect();
    let ids = |fits: &dyn Fn(&str) -> bool| -> Option<Vec<String>> {
        let mut ids = Vec::new();
        for record in &open {
            // An empty subject is a missing one: nobody sends a text without words.
            let stored = record.text.as_ref().map(|stored| plain(stored.expose())).filter(|stored| !stored.is_empty());
            let is_ours = stored.as_deref().map(fits);
            if is_ours == Some(false) {
                continue;
            }
            let certain = [is_ours, record.is_from(&from), record.is_to(&to)] == [Some(true); 3];
            ids.push(certain.then(|| record.id.get().to_string())?);
        }
        Some(ids)
    };
    let exact = ids(&|stored| stored == text)?;
    if !exact.is_empty() {
        return Some(exact);
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
        match super::found(&send(text), INTENT - 1_000, records, INTENT) {
            Found::Candidates { ids, read_at: INTENT } => ids,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_fits_by_numbers_text_and_time() {
        let fitting = [
            record(1, json!({})),
            record(2, json!({"from": {"phoneNumber": "15550100001"}, "to": [{"phoneNumber": "(555) 020-0001"}]})),
            record(3, json!({"subject": "See  you\r\nat 9 "})),
            record(4, json!({"creationTime": null})),
            record(5, json!({"type": "Text"})),
            record(6, json!({"type": null, "direction": null})),
        ];
        assert_eq!(found("See you at 9", &fitting), ["1", "2", "3", "4", "5", "6"]);
        let others = [
            record(1, json!({"direction": "Inbound"})),
            record(2, json!({"to": [{"phoneNumber": "+15550200002"}]})),
            record(3, json!({"from": {"phoneNumber": "+15550100002"}})),
            record(4, json!({"subject": "See you at 10"})),
            record(5, json!({"creationTime": "2026-01-02T03:04:03.999Z"})),
            record(6, json!({"type": "VoiceMail"})),
            record(7, json!({"type": "Fax"})),
            record(8, json!({"type": "Pager"})),
        ];
        assert!(found("See you at 9", &others).is_empty());
    }

    #[test]
    fn one_record_that_can_not_be_compared_is_a_persons_business_whatever_else_fits() {
        let abroad = UnknownSend { to: Private::new("+447911123456"), ..send("See you at 9") };
        let found = |records: &[MessageRecord]| super::found(&abroad, INTENT - 1_000, records, INTENT);
        let to = |written: &str| json!({"to": [{"phoneNumber": written}]});
        let fits = to("+447911123456");
        let with = |key: &str, value: serde_json::Value| {
            let mut change = fits.clone();
            change[key] = value;
            change
        };
        let unclear = [
            to("07911 123456"),
            to("+44 (0)7911 123456"),
            to("0044 7911 123456"),
            to("\u{200e}+447911123456"),
            to("+44\u{2011}7911\u{2011}123456"),
            to("+447911123456 ext. 2"),
            to(""),
            json!({"to": [{"name": "x"}]}),
            json!({"to": []}),
            with("from", json!(null)),
            with("from", json!({"name": "x"})),
            with("from", json!({"phoneNumber": "555-010-0001 x1"})),
            with("subject", json!(null)),
            with("subject", json!(" ")),
        ];
        for change in unclear {
            let one = record(1, change.clone());
            let held = Found::Undecidable { reason: UNCLEAR.to_owned() };
            assert_eq!(found(std::slice::from_ref(&one)), held, "{change}");
            assert_eq!(found(&[record(2, fits.clone()), one]), held, "{change} beside one that fits");
        }
        for change in
            [to("+447911123457"), to("07911 123457"), to("83675"), with("from", json!({"phoneNumber": "101"}))]
        {
            let nothing = Found::Candidates { ids: Vec::new(), read_at: INTENT };
            assert_eq!(found(&[record(1, change.clone())]), nothing, "{change}");
        }
        let another = record(1, json!({"to": [{"phoneNumber": "07911 123456"}], "subject": "See you at 10"}));
        assert_eq!(found(&[another]), Found::Candidates { ids: Vec::new(), read_at: INTENT });
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
