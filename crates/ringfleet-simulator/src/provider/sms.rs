//! `POST …/sms`: the one request that this whole product is about.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::Response;
use http::{StatusCode, header};

use super::answer::{json_response, rate_headers, read_body};
use super::caller::{Caller, Place, identify};
use super::error::ApiError;
use super::message_record::{Shelf, record};
use super::operation::Operation;
use super::sms_request::SmsRequest;
use crate::config::Latency;
use crate::faults::{DeliveryStatus, Endpoint, Fault, OPTED_OUT, Subject, magic, play};
use crate::ledger::{LedgerLine, SmsEntry, SmsLine, SmsOutcome, text_hash};
use crate::limits::Group;
use crate::transport::Connection;
use crate::world::{CampaignStatus, Delivery, Extension, Message, MessageKind, Number, World, mix};

/// A number without a confirmed campaign: its texts are taken and not delivered (documented; the code is a guess).
const NOT_SET_UP: &str = "SMS-UP-414";
const SEND: Operation = Operation::new(Endpoint::Sms, Group::Medium, "SMS", "OutboundSMS");

pub(super) async fn send(
    State(world): State<Arc<World>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path((account, extension)): Path<(String, String)>,
    request: Request,
) -> Response {
    let at = world.clock.now();
    let (parts, body) = request.into_parts();
    let caller = match identify(&world, &parts.headers, &SEND, at) {
        Ok(caller) => caller,
        Err(error) => {
            world.counters.sms_unauthorized.fetch_add(1, Ordering::Relaxed);
            return error.response();
        }
    };
    let content_type =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let place = Place { account: &account, extension: Some(&extension) };
    let body = read_body(body).await;
    let request = body.as_ref().map_err(ApiError::clone).and_then(|body| SmsRequest::parse(content_type, body));
    let decided = decide(&world, &caller, &place, request);
    latency(&world, at).await;
    let headers = |response| rate_headers(response, &caller.admission);
    match decided.fault {
        None => headers(decided.answer),
        Some(fault) => play(&world, &connection, Endpoint::Sms, &fault, decided.answer).await.map(headers),
    }
}

struct Decided {
    answer: Response,
    fault: Option<Arc<Fault>>,
}

/// Everything between the last byte read and the first byte written, under one lock: throttle, validate, accept, write down.
fn decide(world: &World, caller: &Caller, place: &Place<'_>, request: Result<SmsRequest<'_>, ApiError>) -> Decided {
    let admission = &caller.admission;
    let mut entry = SmsEntry {
        at: admission.at,
        parties: None,
        text_hash: 0,
        outcome: SmsOutcome::Throttled,
        verdict: admission.verdict,
        used: admission.used,
        opted_out: false,
        fault: None,
    };
    if let Ok(request) = &request {
        entry.parties = request.to.first().map(|to| (request.from, *to));
        entry.text_hash = text_hash(&request.text);
    }
    let mut extension = world.extension(caller.index);
    let valid = caller
        .may()
        .and_then(|()| place.check(world, caller))
        .and(request)
        .and_then(|request| sender(world, caller, &extension, &request).map(|()| request));
    let mut fault = None;
    let answer = match valid {
        Err(error) => {
            if !admission.refused() {
                entry.outcome = SmsOutcome::Rejected(error.code);
            }
            error.response()
        }
        Ok(request) => {
            fault = strike(world, caller, &mut extension, request.to[0]);
            entry.fault = fault.as_deref().map(Fault::name);
            if fault.as_ref().is_none_or(|fault| fault.takes_effect()) {
                entry.opted_out = opted_out(world, &extension, &request);
                let delivery = delivery(&extension, fault.as_deref(), entry.opted_out);
                let index = accept(world, caller, &mut extension, request, delivery);
                let message = &extension.messages[index];
                entry.outcome =
                    SmsOutcome::Accepted { id: message.id, index: u32::try_from(index).unwrap_or(u32::MAX) };
                let name = world.directory.name(caller.index);
                let now = admission.at;
                let body = record(world, caller.index, &name, message, Shelf::Answer, now);
                json_response(StatusCode::OK, &body)
            } else {
                entry.outcome = SmsOutcome::Faulted;
                if let Some(pause) = fault.as_deref().and_then(|fault| fault.pause(world.plan(Group::Medium))) {
                    world.begin(pause, extension.lane_mut(Group::Medium), admission.at);
                }
                Response::default()
            }
        }
    };
    world.ledger_file.append(|| {
        let text = match entry.outcome {
            SmsOutcome::Accepted { index, .. } if world.config.ledger_text => {
                extension.messages.get(index as usize).map(|message| &*message.text)
            }
            _ => None,
        };
        let id = world.directory.extension_id(caller.index);
        LedgerLine::Sms(SmsLine::new(id, &entry, text))
    });
    extension.sms_log.push(entry);
    Decided { answer, fault }
}

/// Only the extension that has the number can send from it; no one can for a colleague (documented, and the usual surprise).
fn sender(world: &World, caller: &Caller, extension: &Extension, request: &SmsRequest<'_>) -> Result<(), ApiError> {
    if world.directory.owner(request.from) != Some(caller.index) {
        let message = "Phone number doesn't belong to extension";
        return Err(ApiError::feature("MSG-304", message));
    }
    if !extension.can_send() {
        let message = "Sending SMS from this phone number is not available";
        return Err(ApiError::feature("MSG-367", message));
    }
    Ok(())
}

/// A rule that was set on purpose goes before the recipient's own magic.
fn strike(world: &World, caller: &Caller, extension: &mut Extension, to: Number) -> Option<Arc<Fault>> {
    let subject = Subject {
        endpoint: Endpoint::Sms,
        extension_id: Some(world.directory.extension_id(caller.index)),
        to: Some(to),
    };
    world.faults.strike(&subject).or_else(|| {
        let (fault, times) = magic(to)?;
        let uses = extension.magic_uses.entry(to).or_default();
        *uses = uses.saturating_add(1);
        times.is_none_or(|times| *uses <= times).then_some(fault)
    })
}

/// Returns the message's place among the extension's messages.
fn accept(
    world: &World,
    caller: &Caller,
    extension: &mut Extension,
    request: SmsRequest<'_>,
    delivery: Delivery,
) -> usize {
    extension.messages.push(Message {
        id: world.counters.next_message_id(),
        kind: MessageKind::Outbound(delivery),
        created_at: caller.admission.at,
        from: request.from,
        to: request.to.into_boxed_slice(),
        text: request.text.into_owned().into_boxed_str(),
        deleted_at: None,
    });
    extension.messages.len() - 1
}

fn opted_out(world: &World, extension: &Extension, request: &SmsRequest<'_>) -> bool {
    request.to.iter().any(|to| extension.opted_out(request.from, *to) || world.consents.opted_out(*to))
}

/// What becomes of an accepted text. The send itself answers 200 whatever it is (documented).
fn delivery(extension: &Extension, fault: Option<&Fault>, opted_out: bool) -> Delivery {
    let ends = |last, code: &str| Delivery { last, code: Some(Arc::from(code)) };
    match fault {
        Some(Fault::Delivery { status, code }) => Delivery { last: *status, code: code.as_deref().map(Arc::from) },
        _ if opted_out => ends(DeliveryStatus::SendingFailed, OPTED_OUT),
        _ if extension.campaign != Some(CampaignStatus::Confirmed) => ends(DeliveryStatus::DeliveryFailed, NOT_SET_UP),
        _ => Delivery::default(),
    }
}

async fn latency(world: &World, at: u64) {
    let wait = match world.config.sms_latency {
        Latency::None => return,
        Latency::Fixed(wait) => wait,
        Latency::Uniform(least, most) => {
            let spread = most.saturating_sub(least).as_nanos() as u64;
            least + Duration::from_nanos(mix(world.config.seed ^ at) % spread.max(1))
        }
    };
    tokio::time::sleep(wait).await;
}
