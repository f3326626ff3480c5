//! Whether a number's campaign lets its texts out.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::answer::json_response;
use super::call::Call;
use super::caller::Place;
use super::error::ApiError;
use super::operation::Operation;
use crate::faults::Endpoint;
use crate::limits::Group;

const READ: Operation = Operation::of_app(Endpoint::SmsConfiguration, Group::Light, "ReadAccounts");

/// Both objects are left out when the number is linked to no campaign (documented).
pub(super) async fn read(call: Call, Path((account, extension, id)): Path<(String, String, String)>) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    let world = &*call.world;
    call.serve(&READ, Some(place), |caller| {
        let number = world.directory.numbers(caller.index).find(|number| number.0.to_string() == id);
        let number = number.ok_or_else(|| ApiError::not_found("phoneNumberId"))?;
        let mut body = json!({"phoneNumberId": id, "phoneNumber": number});
        if let Some(status) = world.extension(caller.index).campaign {
            body["smsCampaignInfo"] = json!({
                "id": "CSIM001",
                "status": status,
                "registrationTier": "LowVolume",
                "useCases": ["CUSTOMER_CARE"],
                "consentSettings": {"optInRequired": false},
            });
            body["smsBrandInfo"] = json!({"id": "BSIM001", "status": "Confirmed"});
        }
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}
