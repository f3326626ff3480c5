//! Subscriptions: the server calls a webhook when something happens.
//!
//! A user and app may have 30 (documented, `SUB-505`). While one is created the server calls the webhook with a
//! `Validation-Token` header and waits 3 s for it to come back (documented), so the webhook must be up before.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::RequestBuilder;
use serde::{Deserialize, Serialize};

use super::page::Page;
use super::read::Read;
use crate::answer::{Answer, CallError};
use crate::client::{Caller, Client};
use crate::guard::GuardKey;
use crate::ids::SubscriptionId;
use crate::label::{self, Label};
use crate::operation::Operation;
use crate::secret::VerificationToken;
use crate::serde_text;
use crate::transport::{self, Reply};
use crate::webhook::{EventFilter, WebhookAddress};
use crate::words::SubscriptionStatus;

const PATH: &str = "/restapi/v1.0/subscription";

/// The longest life that a webhook's subscription may be asked for: ten years (documented).
const MAX_LIFE: Duration = Duration::from_secs(315_360_000);

/// A subscription to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewSubscription<'a> {
    pub filters: &'a [EventFilter],
    pub address: &'a WebhookAddress,
    /// Comes back as the header `Verification-Token` of each event; one page of the documentation calls both the field and
    /// the header differently, so a receiver should do without it if it must.
    pub verification_token: Option<&'a VerificationToken>,
    /// Up to ten years; `None` leaves it to the server.
    pub expires_in: Option<Duration>,
}

/// A subscription as the server has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    pub id: SubscriptionId,
    #[serde(default)]
    pub status: SubscriptionStatus,
    #[serde(default, deserialize_with = "serde_text::lenient_list")]
    pub event_filters: Vec<EventFilter>,
    /// Filters that deliver nothing, mostly for want of a permission. The subscription is made all the same, so look here.
    #[serde(default, deserialize_with = "serde_text::lenient_list")]
    pub disabled_filters: Vec<DisabledFilter>,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub creation_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub expiration_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub delivery_mode: Option<DeliveryMode>,
    /// Since when and why nothing is delivered any more.
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub blacklisted_data: Option<Blacklisting>,
}

/// How events are delivered.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryMode {
    /// `WebHook`, `WebSocket` and others.
    #[serde(default, deserialize_with = "label::lenient")]
    pub transport_type: Option<Label>,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub address: Option<WebhookAddress>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct DisabledFilter {
    pub filter: EventFilter,
    #[serde(default, deserialize_with = "label::lenient")]
    pub reason: Option<Label>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blacklisting {
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub blacklisted_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "label::lenient")]
    pub reason: Option<Label>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    event_filters: &'a [EventFilter],
    delivery_mode: Delivery<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Delivery<'a> {
    transport_type: &'static str,
    address: &'a WebhookAddress,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_token: Option<&'a str>,
}

impl Read<Page<Subscription>> {
    /// The user's subscriptions by this app. Group Light; any app and any user may ask (documented).
    pub fn subscriptions() -> Self {
        Self::new(Operation::LIST_SUBSCRIPTIONS, PATH)
    }
}

impl Read<Subscription> {
    /// One subscription: whether it still delivers. Group Light; any app and any user may ask (documented).
    pub fn subscription(id: &SubscriptionId) -> Self {
        Self::new(Operation::READ_SUBSCRIPTION, format!("{PATH}/{id}"))
    }
}

impl Client {
    /// Makes a subscription. Group Medium; the permissions are those of the events.
    ///
    /// # Errors
    /// [`CallError`]; `SUB-520` to `SUB-525` if the webhook did not pass its test. After `Lost` or `Unreadable` there may be
    /// one: look through the list before making another.
    pub async fn create_subscription(
        &self,
        caller: Caller<'_>,
        new: NewSubscription<'_>,
    ) -> Result<Answer<Subscription>, CallError> {
        let body = Body {
            event_filters: new.filters,
            delivery_mode: Delivery {
                transport_type: "WebHook",
                address: new.address,
                verification_token: new.verification_token.map(VerificationToken::expose),
            },
            expires_in: new.expires_in.map(|life| life.min(MAX_LIFE).as_secs()),
        };
        let reply = self.change(caller, Operation::CREATE_SUBSCRIPTION, self.post(PATH).json(&body)).await?;
        reply.answer(transport::json)
    }

    /// Lets a subscription live as long again as it was made for. Group Light. A blacklisted one stays so: delete it and
    /// make another (documented).
    ///
    /// # Errors
    /// [`CallError`]; 404 if there is none any more.
    pub async fn renew_subscription(
        &self,
        caller: Caller<'_>,
        id: &SubscriptionId,
    ) -> Result<Answer<Subscription>, CallError> {
        let request = self.post(&format!("{PATH}/{id}/renew"));
        self.change(caller, Operation::RENEW_SUBSCRIPTION, request).await?.answer(transport::json)
    }

    /// Ends a subscription. Group Medium.
    ///
    /// # Errors
    /// [`CallError`]; 404 if there is none any more.
    pub async fn delete_subscription(&self, caller: Caller<'_>, id: &SubscriptionId) -> Result<Answer<()>, CallError> {
        let request = self.delete(&format!("{PATH}/{id}"));
        Ok(self.change(caller, Operation::DELETE_SUBSCRIPTION, request).await?.without_body())
    }

    async fn change(
        &self,
        caller: Caller<'_>,
        operation: Operation,
        request: RequestBuilder,
    ) -> Result<Reply, CallError> {
        let key = GuardKey::extension(caller.extension, operation.group);
        let request = request.bearer_auth(caller.token.expose()).header(http::header::ACCEPT, "application/json");
        self.exchange(&key, request, self.config().answer_cap_bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disabled_filters_and_blacklisting_are_seen() {
        let subscription: Subscription = serde_json::from_str(
            r#"{"uri":"x","id":"95fecfc9-9cdc-4e94-a78a-89fd65889d37","status":"Blacklisted",
                "eventFilters":["/restapi/v1.0/account/~/extension/~/message-store?type=SMS",7],
                "disabledFilters":[{"filter":"/restapi/v1.0/account/~/presence","reason":"SUB-405","message":"canary"}],
                "expirationTime":"2026-01-02T03:04:05.678Z","expiresIn":604799,"creationTime":"soon",
                "deliveryMode":{"transportType":"WebHook","address":"https://hooks.example/canary","encryption":false},
                "blacklistedData":{"blacklistedAt":"2026-01-02T03:04:05Z","reason":"Webhook responses were bad"}}"#,
        )
        .expect("a subscription");
        assert_eq!(subscription.status, SubscriptionStatus::Blacklisted);
        assert_eq!((subscription.event_filters.len(), subscription.disabled_filters.len()), (1, 1));
        assert_eq!(subscription.disabled_filters[0].reason.as_ref().map(Label::as_str), Some("SUB-405"));
        assert!(subscription.expiration_time.is_some() && subscription.creation_time.is_none());
        assert!(subscription.blacklisted_data.as_ref().is_some_and(|data| data.blacklisted_at.is_some()));
        let address = subscription.delivery_mode.as_ref().and_then(|mode| mode.address.as_ref());
        assert_eq!(address.map(WebhookAddress::expose), Some("https://hooks.example/canary"));
        assert!(!format!("{subscription:?}").contains("canary"));
        assert!(serde_json::from_str::<Subscription>(r#"{"id":"1"}"#).is_ok());
    }
}
