//! Whether the user has a permission: a cheap look before the first send.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::account::extension_uri;
use super::answer::json_response;
use super::call::Call;
use super::caller::Place;
use super::error::ApiError;
use super::operation::Operation;
use crate::faults::Endpoint;
use crate::limits::Group;
use crate::query::{Pairs, Plus};

const CHECK: Operation = Operation::open(Endpoint::AuthzProfile, Group::Light);

pub(super) async fn check(call: Call, Path((account, extension)): Path<(String, String)>) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    let world = &*call.world;
    call.serve(&CHECK, Some(place), |caller| {
        let pairs = Pairs::parse(&call.query, Plus::IsPlus);
        let permission = pairs.first("permissionId").ok_or_else(|| ApiError::missing("permissionId"))?;
        let uri = format!("{}/authz-profile/check?permissionId={permission}", extension_uri(world, caller.index));
        let mut body = json!({"uri": uri, "successful": !world.extension(caller.index).lacks(permission)});
        if body["successful"] == true {
            body["details"] = json!({"permission": {"id": permission}, "scopes": ["Self"]});
        }
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}
