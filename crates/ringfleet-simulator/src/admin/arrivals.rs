//! What arrives from outside: texts and calls.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Refusal, Shared, bad, find};
use crate::world::{
    Consent, ConsentSource, ExtensionStatus, FilterKind, Message, MessageKind, Number, OptStatus, World,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inbound {
    from: String,
    /// The extension's first number when missing.
    to: Option<String>,
    text: String,
}

/// A text to one of the extension's numbers. A keyword changes the consent of the pair. Texts to an extension that is switched off
/// are dropped, as users of RingCentral report.
pub(super) async fn inbound(State(world): Shared, Path(id): Path<String>, Json(body): Json<Inbound>) -> Answer {
    let index = find(&world, &id)?;
    let (from, to) = parties(&world, index, &body.from, body.to.as_deref())?;
    let mut extension = world.extension(index);
    if extension.login.status != ExtensionStatus::Enabled {
        return Ok(Json(json!({"dropped": true})));
    }
    let at = world.clock.now();
    let status = OptStatus::of_keyword(&body.text);
    if let Some(status) = status {
        extension.consents.insert((to, from), Consent { status, source: ConsentSource::Recipient, at });
    }
    let message_id = world.counters.next_message_id();
    extension.messages.push(Message {
        id: message_id,
        kind: MessageKind::Inbound,
        created_at: at,
        from,
        to: Box::new([to]),
        text: body.text.into(),
        deleted_at: None,
    });
    Ok(Json(json!({"id": message_id, "opt_status": status})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    from: String,
    to: Option<String>,
    /// The length of the caller's message; without one there is none.
    voicemail_seconds: Option<u32>,
}

/// A call that nobody took.
pub(super) async fn missed_call(State(world): Shared, Path(id): Path<String>, Json(body): Json<Call>) -> Answer {
    let index = find(&world, &id)?;
    let (from, to) = parties(&world, index, &body.from, body.to.as_deref())?;
    let mut extension = world.extension(index);
    let voicemail = body.voicemail_seconds.map(|seconds| {
        let message_id = world.counters.next_message_id();
        extension.messages.push(Message {
            id: message_id,
            kind: MessageKind::VoiceMail { seconds },
            created_at: world.clock.now(),
            from,
            to: Box::new([to]),
            text: Box::default(),
            deleted_at: None,
        });
        message_id
    });
    let call = world.missed_call(index, to, from, voicemail);
    let answer = json!({"id": call.id.to_string(), "voicemail": voicemail});
    extension.calls.push(call);
    if voicemail.is_none() {
        // Fields as in the official clients' definitions.
        let told = json!({"extensionId": id, "from": from.to_string(), "to": to.to_string()});
        for subscription in &mut extension.subscriptions {
            subscription.tell(&FilterKind::MissedCalls, &told);
        }
    }
    Ok(Json(answer))
}

fn parties(world: &World, index: usize, from: &str, to: Option<&str>) -> Result<(Number, Number), Refusal> {
    let from = Number::parse(from).map_err(|_| bad("from is no phone number"))?;
    let Some(to) = to else { return Ok((from, world.directory.first_number(index))) };
    let to = Number::parse(to).ok().filter(|number| world.directory.owner(*number) == Some(index));
    Ok((from, to.ok_or_else(|| bad("to is no number of this extension"))?))
}
