//! The numbers of an extension.

use serde::Deserialize;

use super::page::Page;
use crate::answer::{Answer, CallError};
use crate::client::{Caller, Client};
use crate::label::{self, Label};
use crate::phone::{PhoneNumber, WrittenNumber};
use crate::words::NumberFeature;

/// A number that an extension may use. This list is Light and has `features`; the account's list is Heavy and has not
/// (documented).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionNumber {
    #[serde(rename = "phoneNumber")]
    written: Option<WrittenNumber>,
    #[serde(default)]
    pub features: Vec<NumberFeature>,
    /// Such as `DirectNumber` or `MainCompanyNumber`.
    #[serde(default, deserialize_with = "label::lenient")]
    pub usage_type: Option<Label>,
    /// Such as `VoiceFax` or `VoiceOnly`.
    #[serde(rename = "type", default, deserialize_with = "label::lenient")]
    pub kind: Option<Label>,
    #[serde(default, deserialize_with = "label::lenient")]
    pub status: Option<Label>,
}

impl ExtensionNumber {
    /// The number in E.164, if it is one.
    pub fn number(&self) -> Option<PhoneNumber> {
        self.written.as_ref()?.normalised()
    }

    /// Whether the extension may send texts from it (documented check: `SmsSender` in `features`).
    pub fn can_send_sms(&self) -> bool {
        self.features.contains(&NumberFeature::SmsSender)
    }
}

impl Client {
    /// Lists the numbers of the token's extension, one page; [`next_page`](Self::next_page) goes on. Group Light; the app
    /// needs `ReadAccounts`, the user `ReadUserPhoneNumbers` (documented).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn extension_phone_numbers(
        &self,
        caller: Caller<'_>,
    ) -> Result<Answer<Page<ExtensionNumber>>, CallError> {
        let mut url = self.config().server.at("/restapi/v1.0/account/~/extension/~/phone-number");
        url.query_pairs_mut().append_pair("page", "1").append_pair("perPage", "1000");
        self.page(caller, url).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_numbers_are_told_by_their_feature() {
        let number: ExtensionNumber = serde_json::from_str(
            r#"{"id":7,"phoneNumber":"+15550100001","usageType":"DirectNumber","type":"VoiceFax","status":"Normal",
                "features":["CallerId","SmsSender","SomethingNew"]}"#,
        )
        .expect("a number");
        assert!(number.can_send_sms());
        assert_eq!(number.number().expect("e.164").expose(), "+15550100001");
        assert!(!format!("{number:?}").contains("010"));
        let bare: ExtensionNumber = serde_json::from_str("{}").expect("a number");
        assert!(!bare.can_send_sms() && bare.number().is_none());
    }
}
