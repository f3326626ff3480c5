//! What a send asks for, and everything that can be wrong with it by itself.

use std::borrow::Cow;

use serde::Deserialize;

use super::error::ApiError;
use super::multipart::json_part;
use crate::world::{Number, NumberProblem};

/// Documented: in UTF-16 code units, so that a character outside the basic plane counts twice.
const MAX_TEXT_UNITS: usize = 1000;
/// Documented for group messages.
const MAX_RECIPIENTS: usize = 10;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct SmsRequest<'a> {
    pub(super) from: Number,
    pub(super) to: Vec<Number>,
    pub(super) text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    from: Option<Party<'a>>,
    #[serde(borrow)]
    to: Option<Vec<Party<'a>>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    country: Option<Country>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Party<'a> {
    #[serde(borrow)]
    phone_number: Option<Cow<'a, str>>,
    #[serde(borrow)]
    extension_number: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Country {
    id: Option<serde_json::Value>,
    iso_code: Option<serde_json::Value>,
}

impl<'a> SmsRequest<'a> {
    pub(super) fn parse(content_type: &str, body: &'a [u8]) -> Result<Self, ApiError> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let json = if kind.eq_ignore_ascii_case("application/json") {
            body
        } else if kind.eq_ignore_ascii_case("multipart/form-data") || kind.eq_ignore_ascii_case("multipart/mixed") {
            json_part(content_type, body).ok_or_else(ApiError::unreadable)?
        } else {
            return Err(ApiError::content_type());
        };
        let wire: Wire<'a> = serde_json::from_slice(json).map_err(|_| ApiError::bad_json())?;
        wire.validate()
    }
}

impl<'a> Wire<'a> {
    fn validate(self) -> Result<SmsRequest<'a>, ApiError> {
        let from = self.from.and_then(|from| from.phone_number).ok_or_else(|| ApiError::missing("from.phoneNumber"))?;
        let to = self.to.filter(|to| !to.is_empty()).ok_or_else(|| ApiError::missing("to"))?;
        let text = self.text.ok_or_else(|| ApiError::missing("text"))?;
        if let Some(country) = self.country
            && country.id.is_some()
            && country.iso_code.is_some()
        {
            return Err(ApiError::message("MSG-365", "Both country.id and country.isoCode are given"));
        }
        let from = Number::parse(&from).map_err(|_| ApiError::invalid("from.phoneNumber"))?;
        if to.len() > MAX_RECIPIENTS {
            return Err(ApiError::message("MSG-381", "Too many recipients"));
        }
        let to = to.iter().map(recipient).collect::<Result<_, _>>()?;
        // Bytes are never fewer than UTF-16 units: the common text is not counted.
        if text.is_empty() || (text.len() > MAX_TEXT_UNITS && text.encode_utf16().count() > MAX_TEXT_UNITS) {
            return Err(ApiError::invalid("text"));
        }
        Ok(SmsRequest { from, to, text })
    }
}

/// An `extensionNumber` is refused even when it is empty (seen by users of a Go client).
fn recipient(party: &Party<'_>) -> Result<Number, ApiError> {
    if party.extension_number.is_some() {
        return Err(ApiError::message("MSG-246", "Extension number is not allowed"));
    }
    let number = party.phone_number.as_deref().ok_or_else(|| ApiError::missing("to.phoneNumber"))?;
    Number::parse(number).map_err(|problem| match problem {
        NumberProblem::Short => ApiError::message("MSG-247", "Short number is not allowed"),
        NumberProblem::Invalid => ApiError::invalid("to.phoneNumber"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(json: &str) -> &'static str {
        match SmsRequest::parse("application/json", json.as_bytes()) {
            Ok(_) => "ok",
            Err(error) => error.code,
        }
    }

    #[test]
    fn each_mistake_has_its_code() {
        let from = r#""from":{"phoneNumber":"+15550100000"}"#;
        let to = r#""to":[{"phoneNumber":"+15550200000"}]"#;
        let text = r#""text":"hi""#;
        assert_eq!(code(&format!("{{{from},{to},{text}}}")), "ok");
        assert_eq!(code("{"), "CMN-103");
        assert_eq!(code(&format!("{{{to},{text}}}")), "CMN-100");
        assert_eq!(code(&format!("{{{from},{text}}}")), "CMN-100");
        assert_eq!(code(&format!("{{{from},{to}}}")), "CMN-100");
        assert_eq!(code(&format!(r#"{{{from},{to},"text":""}}"#)), "CMN-101");
        assert_eq!(code(&format!(r#"{{{from},"to":[{{"phoneNumber":"12345"}}],{text}}}"#)), "MSG-247");
        assert_eq!(code(&format!(r#"{{{from},"to":[{{"phoneNumber":"x"}}],{text}}}"#)), "CMN-101");
        let extension = r#""to":[{"phoneNumber":"+15550200000","extensionNumber":""}]"#;
        assert_eq!(code(&format!("{{{from},{extension},{text}}}")), "MSG-246");
        let country = r#""country":{"id":"1","isoCode":"US"}"#;
        assert_eq!(code(&format!("{{{from},{to},{text},{country}}}")), "MSG-365");
        let eleven = [r#"{"phoneNumber":"+15550200000"}"#; 11].join(",");
        assert_eq!(code(&format!(r#"{{{from},"to":[{eleven}],{text}}}"#)), "MSG-381");
    }

    #[test]
    fn text_is_counted_in_utf16_units() {
        let send = |text: &str| {
            code(&format!(
                r#"{{"from":{{"phoneNumber":"+15550100000"}},"to":[{{"phoneNumber":"+15550200000"}}],"text":"{text}"}}"#
            ))
        };
        assert_eq!(send(&"é".repeat(1000)), "ok");
        assert_eq!(send(&"x".repeat(1001)), "CMN-101");
        assert_eq!(send(&"😀".repeat(500)), "ok");
        assert_eq!(send(&"😀".repeat(501)), "CMN-101");
    }
}
