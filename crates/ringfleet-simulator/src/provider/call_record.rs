//! A call as the API shows it.

use serde_json::{Value, json};

use super::account::{account_uri, extension_uri};
use super::answer::Millis;
use super::message_record::LOCATION;
use crate::world::{PhoneCall, World, mix};

/// `legs` and `lastModifiedTime` come with the detailed view only (documented).
pub(super) fn record(world: &World, call: &PhoneCall, detailed: bool) -> Value {
    let mut record = common(world, call);
    record["uri"] = format!("{}/call-log/{}", account_uri(world), call.id).into();
    record["id"] = call.id.to_string().into();
    record["sessionId"] = (call.id * 2 + 1).to_string().into();
    if let Some(message) = call.voicemail {
        let uri = format!("{}/message-store/{message}", extension_uri(world, call.index));
        record["message"] = json!({"id": message.to_string(), "type": "VoiceMail", "uri": uri});
    }
    if detailed {
        record["lastModifiedTime"] = json!(Millis(call.start));
        record["legs"] = legs(world, call).into();
    }
    record
}

/// Where the call came in or went out, and for some inbound ones the phone that rang next.
fn legs(world: &World, call: &PhoneCall) -> Vec<Value> {
    let mut first = common(world, call);
    first["legType"] = if call.inbound { "Accept" } else { "SipToPstnUnmetered" }.into();
    first["master"] = true.into();
    let mut legs = vec![first];
    if call.inbound && !call.fax && mix(call.id).is_multiple_of(3) {
        let mut second = common(world, call);
        second["legType"] = "FindMe".into();
        second["action"] = "FindMe".into();
        second["direction"] = "Outbound".into();
        second["master"] = false.into();
        legs.push(second);
    }
    legs
}

/// What a record and its legs have in common.
fn common(world: &World, call: &PhoneCall) -> Value {
    let own = json!({
        "phoneNumber": call.own,
        "name": world.directory.name(call.index),
        "extensionId": world.directory.extension_id(call.index).to_string(),
    });
    let other = json!({"phoneNumber": call.other, "location": LOCATION});
    let (from, to) = if call.inbound { (other, own) } else { (own, other) };
    let action = match (call.fax, call.inbound) {
        (true, true) => "Incoming Fax",
        (true, false) => "Outgoing Fax",
        (false, true) => "Phone Call",
        (false, false) => "VoIP Call",
    };
    json!({
        "telephonySessionId": format!("s-{:016x}", mix(call.id)),
        "startTime": Millis(call.start),
        "duration": call.seconds,
        "durationMs": u64::from(call.seconds) * 1_000,
        "type": if call.fax { "Fax" } else { "Voice" },
        "direction": if call.inbound { "Inbound" } else { "Outbound" },
        "action": action,
        "result": call.result.name(call.inbound),
        "transport": if call.inbound { "PSTN" } else { "VoIP" },
        "from": from,
        "to": to,
        "extension": {"id": world.directory.extension_id(call.index), "uri": extension_uri(world, call.index)},
    })
}
