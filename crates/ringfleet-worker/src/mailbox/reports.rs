//! What a record of the message store says of a text that was sent.

use ringcentral::{Direction, MessageRecord, MessageStatus};
use ringfleet_store::{Delivery, LaneId, Recorded, SharedStore, StoreError};

use crate::metrics;

/// Carriers that have not told yet. The status beside it is no last word (documented).
const NO_REPORT_YET: &str = "SMS-CAR-104";
/// The recipient wants no texts from this number, says RingCentral, the gateway or the carrier (documented).
const OPTED_OUT: [&str; 3] = ["SMS-RC-413", "SMS-UP-413", "SMS-CAR-413"];

/// Tells the store what records of `lane`'s extension say of texts that were sent. Others, and those that say nothing yet, change
/// nothing.
pub(crate) async fn tell(store: &SharedStore, lane: &LaneId, records: &[MessageRecord]) -> Result<(), StoreError> {
    let reports: Vec<Delivery> = records.iter().filter_map(report).collect();
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
fn report(record: &MessageRecord) -> Option<Delivery> {
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
    let opted_out = OPTED_OUT.contains(&code);
    Some(Delivery { provider_id: record.id.get().to_string(), delivered, code: code.to_owned(), opted_out })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(change: serde_json::Value) -> Option<(bool, String)> {
        let mut raw = json!({"id": 1, "type": "SMS", "direction": "Outbound", "messageStatus": "Sent"});
        for (key, value) in change.as_object().into_iter().flatten() {
            raw[key] = value.clone();
        }
        let record = serde_json::from_value(raw).unwrap_or_else(|error| panic!("{error}"));
        report(&record).map(|report| (report.delivered, report.code))
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
}
