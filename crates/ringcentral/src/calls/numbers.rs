//! Phone numbers of an extension and of the account, and whether texts may leave from them.

use serde::Deserialize;

use super::page::Page;
use super::paging::{MAX_PER_PAGE, from_page};
use super::read::{Read, Whose};
use crate::ids::{ExtensionId, PhoneNumberId};
use crate::label::{self, Label};
use crate::operation::Operation;
use crate::phone::{PhoneNumber, WrittenNumber};
use crate::serde_text;
use crate::short_number::ShortNumber;
use crate::words::NumberFeature;

/// A number that an extension may use. This list is Light and has `features`; the account's list is Heavy and has not
/// (documented).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionNumber {
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub id: Option<PhoneNumberId>,
    #[serde(rename = "phoneNumber", default, deserialize_with = "serde_text::lenient")]
    written: Option<WrittenNumber>,
    #[serde(default, deserialize_with = "serde_text::lenient_list")]
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

/// A number of the account, and whose it is. What it may be used for is not in this list (documented).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountNumber {
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub id: Option<PhoneNumberId>,
    #[serde(rename = "phoneNumber", default, deserialize_with = "serde_text::lenient")]
    written: Option<WrittenNumber>,
    /// `None` for a number that is nobody's, such as one of the company or of the inventory.
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub extension: Option<NumberOwner>,
    /// Such as `DirectNumber` or `MainCompanyNumber`.
    #[serde(default, deserialize_with = "label::lenient")]
    pub usage_type: Option<Label>,
    /// Such as `VoiceFax` or `VoiceOnly`.
    #[serde(rename = "type", default, deserialize_with = "label::lenient")]
    pub kind: Option<Label>,
    /// Such as `Local` or `External`.
    #[serde(default, deserialize_with = "label::lenient")]
    pub payment_type: Option<Label>,
    #[serde(default, deserialize_with = "label::lenient")]
    pub status: Option<Label>,
}

/// The extension to which a number belongs.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberOwner {
    pub id: ExtensionId,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub extension_number: Option<ShortNumber>,
}

impl AccountNumber {
    /// The number in E.164, if it is one.
    pub fn number(&self) -> Option<PhoneNumber> {
        self.written.as_ref()?.normalised()
    }
}

impl Read<Page<ExtensionNumber>> {
    /// The numbers that an extension may use. Group Light; the app needs `ReadAccounts`, the user `ReadUserPhoneNumbers`
    /// (documented).
    pub fn extension_phone_numbers(whose: Whose<'_>) -> Self {
        Self::new(Operation::LIST_EXTENSION_NUMBERS, format!("{}/phone-number", whose.path()))
            .with(from_page(1, MAX_PER_PAGE))
    }
}

impl Read<Page<AccountNumber>> {
    /// All numbers of the account with their owners. Group Heavy; the app needs `ReadAccounts`, the user
    /// `ReadCompanyPhoneNumbers` (documented).
    pub fn account_phone_numbers() -> Self {
        Self::new(Operation::LIST_ACCOUNT_NUMBERS, "/restapi/v1.0/account/~/phone-number")
            .with(from_page(1, MAX_PER_PAGE))
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
        assert_eq!(number.id.as_ref().map(PhoneNumberId::as_str), Some("7"));
        assert!(!format!("{number:?}").contains("010"));
        let bare: ExtensionNumber = serde_json::from_str("{}").expect("a number");
        assert!(!bare.can_send_sms() && bare.number().is_none());
    }

    #[test]
    fn numbers_of_the_account_name_their_owner_if_there_is_one() {
        let numbers: Vec<AccountNumber> = serde_json::from_str(
            r#"[{"id":"8","phoneNumber":"15550100001","usageType":"DirectNumber","paymentType":"Local",
                 "extension":{"id":400129284008,"extensionNumber":"101","uri":"canary"}},
                {"phoneNumber":15550100000,"usageType":"MainCompanyNumber"},
                {"phoneNumber":"+15550100002","extension":{"uri":"canary"}}]"#,
        )
        .expect("numbers");
        let owner = numbers[0].extension.as_ref().expect("an owner");
        assert_eq!(owner.id.as_str(), "400129284008");
        assert_eq!(owner.extension_number.as_ref().map(ShortNumber::as_str), Some("101"));
        assert_eq!(numbers[0].number().expect("e.164").expose(), "+15550100001");
        assert!(numbers[1].extension.is_none() && numbers[2].extension.is_none());
        let printed = format!("{numbers:?}");
        assert!(!printed.contains("canary") && !printed.contains("010"), "{printed}");
    }
}
