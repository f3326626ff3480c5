//! What an administrator, or bad luck, does to one extension.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Shared, bad, find};
use crate::world::{CampaignStatus, Consent, ConsentSource, ExtensionStatus, JwtState, Number, OptStatus, World};

/// The JWT is refused from now on; sessions that it opened live on, as they do at RingCentral as far as is known (unsure).
pub(super) async fn revoke_jwt(state: Shared, Path(id): Path<String>) -> Answer {
    set_jwt(&state, &id, JwtState::Revoked)
}

pub(super) async fn expire_jwt(state: Shared, Path(id): Path<String>) -> Answer {
    set_jwt(&state, &id, JwtState::Expired)
}

pub(super) async fn restore_jwt(state: Shared, Path(id): Path<String>) -> Answer {
    set_jwt(&state, &id, JwtState::Good)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Apps {
    client_ids: Vec<String>,
}

/// The JWT is good for these apps only.
pub(super) async fn restrict_jwt(state: Shared, Path(id): Path<String>, Json(apps): Json<Apps>) -> Answer {
    set_jwt(&state, &id, JwtState::Restricted(apps.client_ids))
}

fn set_jwt(world: &Arc<World>, id: &str, state: JwtState) -> Answer {
    let answer = json!({"jwt_revoked": state == JwtState::Revoked});
    world.extension(find(world, id)?).login.jwt = state;
    Ok(Json(answer))
}

/// Ends all sessions: their access and refresh tokens answer OAU-213.
pub(super) async fn revoke_sessions(State(world): Shared, Path(id): Path<String>) -> Answer {
    let ended = world.extension(find(&world, &id)?).sessions.revoke_all();
    Ok(Json(json!({"sessions_ended": ended})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Status {
    status: ExtensionStatus,
}

/// Any status but `Enabled` ends all sessions and lets nobody log in.
pub(super) async fn status(State(world): Shared, Path(id): Path<String>, Json(body): Json<Status>) -> Answer {
    let mut extension = world.extension(find(&world, &id)?);
    extension.login.status = body.status;
    let ended = match body.status {
        ExtensionStatus::Enabled => 0,
        _ => extension.sessions.revoke_all(),
    };
    Ok(Json(json!({"status": body.status, "sessions_ended": ended})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    password: String,
}

/// A changed password ends all sessions (documented), and a lock-out.
pub(super) async fn password(State(world): Shared, Path(id): Path<String>, Json(body): Json<Password>) -> Answer {
    let mut extension = world.extension(find(&world, &id)?);
    extension.login.set_password(body.password);
    Ok(Json(json!({"sessions_ended": extension.sessions.revoke_all()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Permissions {
    missing: Vec<String>,
}

/// User permissions that are taken away, `OutboundSMS` for example; all others are there.
pub(super) async fn permissions(State(world): Shared, Path(id): Path<String>, Json(body): Json<Permissions>) -> Answer {
    let mut extension = world.extension(find(&world, &id)?);
    extension.missing_permissions = body.missing;
    Ok(Json(json!({"missing": extension.missing_permissions})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptOut {
    /// E.164 recipients that opted out from this extension's numbers.
    to: Vec<String>,
    /// Take them back in instead.
    #[serde(default)]
    opt_in: bool,
}

pub(super) async fn opt_out(State(world): Shared, Path(id): Path<String>, Json(body): Json<OptOut>) -> Answer {
    let index = find(&world, &id)?;
    let numbers: Result<Vec<_>, _> = body.to.iter().map(|raw| Number::parse(raw)).collect();
    let numbers = numbers.map_err(|_| bad("to holds something that is no phone number"))?;
    let status = if body.opt_in { OptStatus::OptIn } else { OptStatus::OptOut };
    let consent = Consent { status, source: ConsentSource::Carrier, at: world.clock.now() };
    let mut extension = world.extension(index);
    for own in world.directory.numbers(index) {
        extension.consents.extend(numbers.iter().map(|other| ((own, *other), consent)));
    }
    let opted_out = extension.consents.values().filter(|consent| consent.status == OptStatus::OptOut).count();
    Ok(Json(json!({"opted_out": opted_out})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Features {
    features: Vec<String>,
}

/// Replaces the features of the extension's numbers; without `SmsSender` a send answers MSG-367.
pub(super) async fn features(State(world): Shared, Path(id): Path<String>, Json(body): Json<Features>) -> Answer {
    let index = find(&world, &id)?;
    let mut extension = world.extension(index);
    extension.features = body.features;
    Ok(Json(json!({"features": extension.features})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Campaign {
    /// `null`: linked to none.
    status: Option<CampaignStatus>,
}

/// Without a confirmed campaign texts are taken and end undelivered.
pub(super) async fn campaign(State(world): Shared, Path(id): Path<String>, Json(body): Json<Campaign>) -> Answer {
    world.extension(find(&world, &id)?).campaign = body.status;
    Ok(Json(json!({"status": body.status})))
}

/// Its user deletes all messages that are there now.
pub(super) async fn delete_messages(State(world): Shared, Path(id): Path<String>) -> Answer {
    let mut extension = world.extension(find(&world, &id)?);
    let mut deleted = 0;
    for message in extension.messages.iter_mut().filter(|message| message.deleted_at.is_none()) {
        message.deleted_at = Some(world.clock.now());
        deleted += 1;
    }
    Ok(Json(json!({"deleted": deleted})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Take {
    /// E.164, of another extension.
    number: String,
}

/// Moves a number of another extension to this one: it is in this one's list from now on, and texts leave as this one only.
pub(super) async fn take_number(State(world): Shared, Path(id): Path<String>, Json(body): Json<Take>) -> Answer {
    let index = find(&world, &id)?;
    let number = Number::parse(&body.number).ok().filter(|number| world.directory.owner(*number).is_some());
    world.directory.move_number(number.ok_or_else(|| bad("not a number of an extension"))?, index);
    let numbers: Vec<_> = world.directory.numbers(index).collect();
    Ok(Json(json!({"numbers": numbers})))
}
