//! Paths.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::routing::{get, patch, post};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use super::answer::json_response;
use super::call::Call;
use super::error::ApiError;
use super::operation::Operation;
use super::{
    account, authz_profile, call_log, consents, message_store, message_sync, sms, sms_configuration, subscriptions,
};
use crate::faults::Endpoint;
use crate::limits::Group;
use crate::oauth;
use crate::world::{World, mix};

const REQUEST_ID: HeaderName = HeaderName::from_static("rcrequestid");
/// A wrong path costs a Medium request, as recorded answers of the real server show.
const UNKNOWN: Operation = Operation::open(Endpoint::Unknown, Group::Medium);

pub(crate) fn router(world: &Arc<World>) -> Router<Arc<World>> {
    let of_account = "/restapi/v1.0/account/{account}";
    let of_extension = "/restapi/v1.0/account/{account}/extension/{extension}";
    Router::new()
        .route("/restapi/oauth/authorize", get(oauth::ask).post(oauth::decide))
        .route("/restapi/oauth/token", post(oauth::token))
        .route("/restapi/oauth/revoke", post(oauth::revoke))
        .route("/restapi", get(versions))
        .route("/restapi/v1.0", get(version))
        .route(of_account, get(account::account))
        .route(&format!("{of_account}/phone-number"), get(account::account_numbers))
        .route(&format!("{of_account}/extension"), get(account::extensions))
        .route(&format!("{of_account}/call-log"), get(call_log::of_account))
        .route(of_extension, get(account::extension))
        .route(&format!("{of_extension}/call-log"), get(call_log::of_extension))
        .route(&format!("{of_extension}/authz-profile/check"), get(authz_profile::check))
        .route(&format!("{of_extension}/phone-number/{{number}}/sms-configuration"), get(sms_configuration::read))
        .route(&format!("{of_extension}/phone-number"), get(account::extension_numbers))
        .route(&format!("{of_extension}/sms"), post(sms::send))
        .route(&format!("{of_extension}/message-store"), get(message_store::list))
        .route(&format!("{of_extension}/message-store/{{message}}"), get(message_store::read))
        .route(&format!("{of_extension}/message-sync"), get(message_sync::sync))
        .route("/restapi/v2/accounts/{account}/sms/consents", patch(consents::update))
        .route("/restapi/v2/accounts/{account}/sms/consents/search", post(consents::search))
        .route("/restapi/v1.0/subscription", get(subscriptions::list).post(subscriptions::create))
        .route(
            "/restapi/v1.0/subscription/{id}",
            get(subscriptions::read).put(subscriptions::update).delete(subscriptions::delete),
        )
        .route("/restapi/v1.0/subscription/{id}/renew", post(subscriptions::renew_now))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(map_response_with_state(Arc::clone(world), request_id))
}

/// Each answer names its request (documented); 16 hexadecimal digits here.
async fn request_id(State(world): State<Arc<World>>, mut response: Response) -> Response {
    let id = format!("{:016x}", mix(world.counters.next_request()));
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// `GET /restapi`, free of throttling and of tokens (documented): a health probe.
async fn versions(State(world): State<Arc<World>>) -> Response {
    let uri = format!("{}/restapi", world.base_url);
    let versions = [version_info(&world)];
    let body = json!({"uri": uri, "apiVersions": versions, "serverVersion": "simulator"});
    json_response(StatusCode::OK, &body)
}

async fn version(State(world): State<Arc<World>>) -> Response {
    json_response(StatusCode::OK, &version_info(&world))
}

fn version_info(world: &World) -> serde_json::Value {
    json!({
        "uri": format!("{}/restapi/v1.0", world.base_url),
        "versionString": "1.0",
        "releaseDate": "2026-01-01T00:00:00.000Z",
        "uriString": "v1.0",
    })
}

async fn unknown(call: Call) -> Response {
    call.serve(&UNKNOWN, None, |_| Err(ApiError::invalid_uri())).await
}
