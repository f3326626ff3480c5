//! What a subscription is made of: which events, and where to.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize};

use crate::calls::read::Whose;
use crate::serde_text;

/// Which events to tell of: a path of the API, with conditions behind a `?`. `Debug` and `Display` show the path only,
/// because a condition may be a phone number.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EventFilter(Box<str>);

/// Why a text is not an event filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventFilterError {
    #[error("event filter does not begin with /restapi/ ; write it as the API reference has it")]
    NotAPath,
    #[error("event filter has a blank or control character inside; remove it")]
    Blank,
}

impl EventFilter {
    /// # Errors
    /// [`EventFilterError`] says what is wrong, without the filter.
    pub fn try_new(filter: &str) -> Result<Self, EventFilterError> {
        let filter = filter.trim();
        if filter.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(EventFilterError::Blank);
        }
        if !filter.starts_with("/restapi/") && !filter.starts_with("/team-messaging/") {
            return Err(EventFilterError::NotAPath);
        }
        Ok(Self(filter.into()))
    }

    /// Outbound texts of an extension changed. An event tells how many, not which, nor their state (documented): a sync or a
    /// list must follow. The app and the user need `ReadMessages`.
    pub fn outbound_sms(whose: Whose<'_>) -> Self {
        Self(format!("{}/message-store?type=SMS&direction=Outbound", whose.path()).into())
    }

    /// A text was received; the event is the whole message (documented). The app and the user need `ReadMessages`.
    pub fn inbound_sms(whose: Whose<'_>) -> Self {
        Self(format!("{}/message-store/instant?type=SMS", whose.path()).into())
    }

    /// The whole filter. For comparing with an event's; never for a log, a metric or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventFilter {
    type Err = EventFilterError;

    fn from_str(filter: &str) -> Result<Self, EventFilterError> {
        Self::try_new(filter)
    }
}

impl fmt::Display for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.split('?').next().unwrap_or_default())
    }
}

impl fmt::Debug for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for EventFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_text::parsed(deserializer)
    }
}

/// Where events are sent. `Debug` and `Display` show the server only, because the path of a hook is often its key.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WebhookAddress(Box<str>);

/// Why a text is not the address of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookAddressError {
    #[error("webhook address is not a whole address; write it like https://example.com/hook")]
    NotAbsolute,
    #[error("webhook address is not https, which RingCentral requires")]
    NotHttps,
}

impl WebhookAddress {
    /// Takes an `https` address; plain `http` only on the loopback, where no provider but a simulator calls.
    ///
    /// # Errors
    /// [`WebhookAddressError`] says what is wrong, without the address.
    pub fn try_new(address: &str) -> Result<Self, WebhookAddressError> {
        let url = Url::parse(address.trim()).map_err(|_| WebhookAddressError::NotAbsolute)?;
        match url.scheme() {
            "https" => Ok(Self(address.trim().into())),
            "http" if crate::server::is_loopback(&url) => Ok(Self(address.trim().into())),
            "http" => Err(WebhookAddressError::NotHttps),
            _ => Err(WebhookAddressError::NotAbsolute),
        }
    }

    /// The whole address; never for a log, a metric or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebhookAddress {
    type Err = WebhookAddressError;

    fn from_str(address: &str) -> Result<Self, WebhookAddressError> {
        Self::try_new(address)
    }
}

impl fmt::Display for WebhookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = Url::parse(&self.0).map(|url| url.origin().ascii_serialization());
        write!(f, "{}/…", origin.unwrap_or_default())
    }
}

impl fmt::Debug for WebhookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for WebhookAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_hides_its_conditions_and_keeps_them() {
        let filter =
            EventFilter::try_new(" /restapi/v1.0/account/~/a2p-sms/batches?from=+15550100001 ").expect("valid");
        assert_eq!(format!("{filter} {filter:?}"), "/restapi/v1.0/account/~/a2p-sms/batches ".repeat(2).trim_end());
        assert!(filter.expose().ends_with("?from=+15550100001"));
        assert_eq!(EventFilter::try_new("message-store"), Err(EventFilterError::NotAPath));
        assert_eq!(EventFilter::try_new("/restapi/a b"), Err(EventFilterError::Blank));
        let inbound = EventFilter::inbound_sms(Whose::Own);
        assert_eq!(inbound.expose(), "/restapi/v1.0/account/~/extension/~/message-store/instant?type=SMS");
    }

    #[test]
    fn webhook_is_https_but_on_the_loopback_and_hides_its_path() {
        let hook = WebhookAddress::try_new("https://hooks.example:8443/canary?key=canary").expect("valid");
        assert_eq!(format!("{hook} {hook:?}"), "https://hooks.example:8443/… https://hooks.example:8443/…");
        assert!(WebhookAddress::try_new("http://127.0.0.1:8080/hook").is_ok());
        let mistakes = [
            ("http://hooks.example/x", WebhookAddressError::NotHttps),
            ("hooks.example/x", WebhookAddressError::NotAbsolute),
            ("ftp://hooks.example/x", WebhookAddressError::NotAbsolute),
            ("", WebhookAddressError::NotAbsolute),
        ];
        for (typed, expected) in mistakes {
            assert_eq!(WebhookAddress::try_new(typed), Err(expected), "{typed}");
        }
    }
}
