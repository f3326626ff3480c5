//! Sending one text.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::answer::{Answer, CallError, UnreadableFault};
use crate::client::{Caller, Client};
use crate::guard::GuardKey;
use crate::ids::ProviderMessageId;
use crate::operation::Operation;
use crate::permit::{Always, Guarded, Permit};
use crate::phone::PhoneNumber;
use crate::text::MessageText;
use crate::transport;
use crate::words::MessageStatus;

/// One text to one recipient. Several recipients would make one *group* message in which they see each other
/// (documented), so this type can't express them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsRequest {
    /// Must belong to the extension of the token, with the `SmsSender` feature.
    pub from: PhoneNumber,
    pub to: PhoneNumber,
    pub text: MessageText,
    /// Needed only if the number's country can't be told from it.
    pub country: Option<CountryCode>,
}

/// A country by its ISO 3166 alpha-2 code, such as `US`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    /// `None` unless the text is two ASCII letters.
    pub fn try_new(code: &str) -> Option<Self> {
        let letters: [u8; 2] = code.as_bytes().try_into().ok()?;
        let ascii = letters.iter().all(u8::is_ascii_alphabetic);
        ascii.then(|| Self(letters.map(|letter| letter.to_ascii_uppercase())))
    }
}

impl Serialize for CountryCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}{}", self.0[0] as char, self.0[1] as char))
    }
}

/// What the provider says of a text that it accepted. Accepted means queued: a failure shows later, in the message store
/// (documented).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmsSent {
    pub id: ProviderMessageId,
    pub status: MessageStatus,
}

#[derive(Serialize)]
struct Body<'a> {
    from: Party<'a>,
    to: [Party<'a>; 1],
    text: &'a MessageText,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<Country>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Party<'a> {
    phone_number: &'a PhoneNumber,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Country {
    iso_code: CountryCode,
}

impl Client {
    /// Sends one text. Group Medium; the app needs `SMS`, the user `OutboundSMS` (documented).
    ///
    /// The provider has no idempotency key, so a call whose fate is open must not be repeated before the message store was
    /// asked; [`classify`](crate::classify) says which calls those are. Not cancel-safe in that sense: a dropped future
    /// leaves the fate open, unless it was still waiting for the guard.
    ///
    /// # Errors
    /// [`CallError`]; hand the whole result to [`classify`](crate::classify).
    pub async fn send_sms(&self, caller: Caller<'_>, sms: &SmsRequest) -> Result<Answer<SmsSent>, CallError> {
        self.send_sms_if(caller, sms, Arc::new(Always)).await
    }

    /// As [`send_sms`](Self::send_sms), if `permit` is granted in the moment in which the connection takes the text.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::Withheld`] if the permit was refused: nothing was sent.
    pub async fn send_sms_if(
        &self,
        caller: Caller<'_>,
        sms: &SmsRequest,
        permit: Arc<dyn Permit>,
    ) -> Result<Answer<SmsSent>, CallError> {
        let body = Body {
            from: Party { phone_number: &sms.from },
            to: [Party { phone_number: &sms.to }],
            text: &sms.text,
            country: sms.country.map(|iso_code| Country { iso_code }),
        };
        let request = self
            .post("/restapi/v1.0/account/~/extension/~/sms")
            .bearer_auth(caller.token.expose())
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, "application/json");
        // Numbers and texts are all there is, so this can't fail.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let (body, withheld) = Guarded::new(json, permit.clone());
        let request = request.body(reqwest::Body::wrap(body));
        let key = GuardKey::extension(caller.extension, Operation::SEND_SMS.group);
        let reply = self.exchange_watched(&key, request, self.config().answer_cap_bytes, &*permit).await;
        match reply {
            Err(CallError::Lost { .. }) if withheld.load(Ordering::Acquire) => Err(CallError::Withheld),
            reply => reply?.answer(sent),
        }
    }
}

/// Only the id is required: it alone proves acceptance, and whatever else is odd must not turn an accepted text into an
/// open one.
fn sent(body: &[u8]) -> Result<SmsSent, UnreadableFault> {
    let Ok(Accepted { id, status }) = transport::json(body) else {
        // JSON that is no object has no id; whatever is no JSON may have been cut.
        return transport::json::<IgnoredAny>(body).and(Err(UnreadableFault::NoId));
    };
    let id = match id {
        Value::Number(id) => id.as_i64().and_then(|id| ProviderMessageId::try_new(id).ok()),
        Value::String(id) => id.parse().ok(),
        _ => None,
    };
    let status = status.as_str().map(MessageStatus::from_word);
    Ok(SmsSent { id: id.ok_or(UnreadableFault::NoId)?, status: status.unwrap_or_default() })
}

/// Two fields of the answer, of any type. The others are stepped over: on every send, each would cost an allocation or two.
#[derive(Default)]
struct Accepted {
    id: Value,
    status: Value,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Id,
    MessageStatus,
    #[serde(other)]
    Other,
}

// SEND-SAFETY: by hand, because a derived one refuses a field that comes twice, and an accepted text would count as open: its
// policy might send it again.
impl<'de> Deserialize<'de> for Accepted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Accepted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Accepted, A::Error> {
                let mut accepted = Accepted::default();
                while let Some(field) = map.next_key()? {
                    match field {
                        Field::Id => accepted.id = map.next_value()?,
                        Field::MessageStatus => accepted.status = map.next_value()?,
                        Field::Other => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(accepted)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_id_is_required() {
        let read = |body: &str| sent(body.as_bytes());
        let queued = read(r#"{"id":1001,"messageStatus":"Queued","to":7}"#).expect("an id");
        assert_eq!((queued.id.get(), queued.status), (1001, MessageStatus::Queued));
        assert_eq!(read(r#"{"id":"1001"}"#).expect("an id").status, MessageStatus::Other);
        let odd = r#"{"to":[{"id":7,"x":null}],"id":7,"\u0069d":1001,"priority":1e999,"messageStatus":["Queued"]}"#;
        assert_eq!(read(odd).map(|sent| sent.id.get()), Ok(1001));
        for body in ["{}", r#"{"id":0}"#, r#"{"id":null}"#, r#"{"id":1.5}"#, r#"{"id":"x"}"#, "[]", "null"] {
            assert_eq!(read(body), Err(UnreadableFault::NoId), "{body}");
        }
        for body in ["", "ok", r#"{"id":1001"#] {
            assert_eq!(read(body), Err(UnreadableFault::NotJson), "{body}");
        }
    }

    #[test]
    fn country_code_is_two_letters() {
        let code = CountryCode::try_new("us").expect("valid");
        assert_eq!(serde_json::to_string(&code).expect("json"), r#""US""#);
        assert!(CountryCode::try_new("USA").is_none() && CountryCode::try_new("é").is_none());
    }
}
