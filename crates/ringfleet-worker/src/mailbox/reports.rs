//! What a record of the message store says of a text that was sent.

use ringcentral::{Direction, MessageRecord, MessageStatus};
use ringfleet_store::{Delivery, LaneId, Recorded, SharedStore, StoreError};

use super::wishes::Wish;
use crate::metrics;

/// Carriers that have not told yet. The status beside it is no last word (documented).
const NO_REPORT_YET: &str = "SMS-CAR-104";
/// The recipient wants no texts from this number, says RingCentral, the gateway or the carrier (documented).
const OPTED_OUT: [&str; 3] = ["SMS-RC-413", "SMS-UP-413", "SMS-CAR-413"];

/// [`tell_all`] of records that were read alone.
pub(crate) async fn tell(store: &SharedStore, lane: &LaneId, records: &[MessageRecord]) -> Result<(), StoreError> {
    tell_all(store, lane, records, &[]).await
}

/// Tells the store what records of `lane`'s extension say of texts that were sent. Others, and those that say nothing yet, change
/// nothing.
/// `heard`: what recipients have asked for, as far as it was read with these.
pub(super) async fn tell_all(
    store: &SharedStore,
    lane: &LaneId,
    records: &[MessageRecord],
    heard: &[Wish],
) -> Result<(), StoreError> {
    let reports: Vec<Delivery> = records.iter().filter_map(|record| report(record, heard)).collect();
    if reports.is_empty() {
        return Ok(());
    }
    for (report, recorded) in reports.iter().zip(store.record_delivery(lane, &reports).await?) {
        match recorded {
            Recorded::Done(_) => metrics::delivery_reported(if report.delivered { "delivered" } else { "failed" }),
            Recorded::Late => metrics::delivery_reported("late"),
            Recorded::Again | Recorded::Unknown => {}
        }
    }
    Ok(())
}

/// The provider's last word on an outbound text, if the record holds it.
fn report(record: &MessageRecord, heard: &[Wish]) -> Option<Delivery> {
    let outbound = !matches!(record.direction, Direction::Inbound);
    if !outbound || !record.may_be_sms() {
        return None;
    }
    let delivered = match record.status {
        MessageStatus::Delivered => true,
        MessageStatus::DeliveryFailed | MessageStatus::SendingFailed => false,
        MessageStatus::Queued | MessageStatus::Sent | MessageStatus::Received | MessageStatus::Other => return None,
    };
    let code = record.delivery_error_code.as_ref().filter(|_| !delivered).map_or("", |code| code.as_str());
    if code == NO_REPORT_YET {
        return None;
    }
    // SEND-SAFETY: it is noted with the time of the note, so a START that was said after the text, and is heeded after this, would
    // not lift it, and the recipient would be locked out.
    let opted_out = OPTED_OUT.contains(&code) && !heard.iter().any(|wish| wish.is_opt_in_after(record));
    Some(Delivery { provider_id: record.id.get().to_string(), delivered, code: code.to_owned(), opted_out })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::wishes::wish, *};

    fn said(change: serde_json::Value) -> Option<(bool, String)> {
        let mut raw = json!({"id": 1, "type": "SMS", "direction": "Outbound", "messageStatus": "Sent"});
        for (key, value) in change.as_object().into_iter().flatten() {
            raw[key] = value.clone();
        }
        let record = serde_json::from_value(raw).unwrap_or_else(|error| panic!("{error}"));
        report(&record, &[]).map(|report| (report.delivered, report.code))
    }

    #[test]
    fn only_a_last_word_on_an_outbound_text_is_told() {
        assert_eq!(said(json!({"messageStatus": "Delivered"})), Some((true, String::new())));
        let failed = json!({"messageStatus": "DeliveryFailed", "deliveryErrorCode": "SMS-CAR-411"});
        assert_eq!(said(failed), Some((false, "SMS-CAR-411".to_owned())));
        assert_eq!(said(json!({"messageStatus": "SendingFailed"})), Some((false, String::new())));
        for silent in [
            json!({}),
            json!({"messageStatus": "Queued"}),
            json!({"messageStatus": "InventedLater"}),
            json!({"messageStatus": "DeliveryFailed", "deliveryErrorCode": "SMS-CAR-104"}),
            json!({"messageStatus": "Delivered", "direction": "Inbound"}),
            json!({"messageStatus": "Delivered", "type": "Fax"}),
        ] {
            assert_eq!(said(silent.clone()), None, "{silent}");
        }
    }

    #[test]
    fn a_refusal_for_a_stop_is_no_opt_out_when_a_start_was_said_after_the_text() {
        let record = |change: serde_json::Value| -> MessageRecord {
            let mut raw = json!({"id": 1, "type": "SMS"});
            for (key, value) in change.as_object().into_iter().flatten() {
                raw[key] = value.clone();
            }
            serde_json::from_value(raw).unwrap_or_else(|error| panic!("{error}"))
        };
        let refused = record(json!({"direction": "Outbound", "creationTime": "2026-01-02T10:00:30Z",
            "from": {"phoneNumber": "+15550100001"}, "to": [{"phoneNumber": "+15550200001"}],
            "messageStatus": "SendingFailed", "deliveryErrorCode": "SMS-RC-413"}));
        let start = |at: &str, by: &str| {
            let said = json!({"direction": "Inbound", "creationTime": at, "subject": "START",
                "from": {"phoneNumber": by}, "to": [{"phoneNumber": "+15550100001"}]});
            wish(&record(said)).unwrap_or_else(|| panic!("it is a wish"))
        };
        let opts_out = |heard: &[Wish]| report(&refused, heard).is_some_and(|report| report.opted_out);
        assert!(opts_out(&[]));
        assert!(opts_out(&[
            start("2026-01-02T10:00:00Z", "+15550200001"),
            start("2026-01-02T10:05:00Z", "+15550200002")
        ]));
        assert!(!opts_out(&[start("2026-01-02T10:05:00Z", "+15550200001")]));
    }
}
