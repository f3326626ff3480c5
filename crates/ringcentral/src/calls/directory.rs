//! Account and extensions.

use serde::Deserialize;

use super::page::Page;
use super::paging::{MAX_PER_PAGE, from_page};
use super::read::{Read, Whose};
use crate::ids::{AccountId, ExtensionId};
use crate::label::{self, Label};
use crate::operation::Operation;
use crate::serde_text;
use crate::short_number::ShortNumber;
use crate::text::StoredText;
use crate::words::{AccountStatus, ExtensionStatus};

/// The account of a token.
#[derive(Debug, Clone, Deserialize)]
pub struct AccountInfo {
    pub id: AccountId,
    #[serde(default)]
    pub status: AccountStatus,
}

/// An extension. Addresses are not read: nothing here needs them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionInfo {
    pub id: ExtensionId,
    /// The short number that colleagues dial. An unassigned extension has none.
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub extension_number: Option<ShortNumber>,
    /// As people call it; `Debug` shows its length only.
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub name: Option<StoredText>,
    #[serde(default)]
    pub status: ExtensionStatus,
    /// Such as `User` or `Department`.
    #[serde(rename = "type", default, deserialize_with = "label::lenient")]
    pub kind: Option<Label>,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub account: Option<AccountRef>,
}

/// Where an extension belongs.
#[derive(Debug, Clone, Deserialize)]
pub struct AccountRef {
    pub id: AccountId,
}

/// Which extensions to list; the default is all of them, a thousand a page.
#[derive(Debug, Clone)]
pub struct ExtensionQuery {
    /// Empty means all; so does it for `kinds`.
    pub statuses: Vec<ExtensionStatus>,
    /// Such as `User`.
    pub kinds: Vec<Label>,
    /// Counted from 1.
    pub page: u32,
    /// 1 to 1000.
    pub per_page: u32,
}

impl Default for ExtensionQuery {
    fn default() -> Self {
        Self { statuses: Vec::new(), kinds: Vec::new(), page: 1, per_page: MAX_PER_PAGE }
    }
}

impl Read<AccountInfo> {
    /// The token's account. Group Light; the app needs `ReadAccounts`, the user `ReadCompanyInfo` (documented).
    pub fn account() -> Self {
        Self::new(Operation::READ_ACCOUNT, "/restapi/v1.0/account/~")
    }
}

impl Read<ExtensionInfo> {
    /// An extension. Group Light; the app needs `ReadAccounts`, the user `ReadExtensions` (documented).
    pub fn extension(whose: Whose<'_>) -> Self {
        Self::new(Operation::READ_EXTENSION, whose.path())
    }
}

impl Read<Page<ExtensionInfo>> {
    /// The account's extensions. Group Medium; the app needs `ReadAccounts`, the user `ReadExtensions` (documented).
    pub fn extensions(query: &ExtensionQuery) -> Self {
        let known = query.statuses.iter().filter(|status| **status != ExtensionStatus::Other);
        Self::new(Operation::LIST_EXTENSIONS, "/restapi/v1.0/account/~/extension")
            .with(known.map(|status| ("status", status.as_str().to_owned())))
            .with(query.kinds.iter().map(|kind| ("type", kind.as_str().to_owned())))
            .with(from_page(query.page, query.per_page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_is_read_without_private_values() {
        let info: ExtensionInfo = serde_json::from_str(
            r#"{"id":400129284008,"extensionNumber":"101","status":"Enabled","type":"User","name":"canary",
                "contact":{"email":"canary@example.com"},"account":{"id":"37439510"}}"#,
        )
        .expect("an extension");
        assert_eq!(info.id.as_str(), "400129284008");
        assert_eq!(info.extension_number.as_ref().map(ShortNumber::as_str), Some("101"));
        assert_eq!(info.status, ExtensionStatus::Enabled);
        assert_eq!(info.account.as_ref().map(|account| account.id.as_str()), Some("37439510"));
        assert!(!format!("{info:?}").contains("canary"));
    }

    #[test]
    fn odd_fields_of_an_extension_count_as_missing() {
        for odd in [r#"{"id":"1"}"#, r#"{"id":1,"extensionNumber":"","account":{"id":null},"type":7,"status":null}"#] {
            let info: ExtensionInfo = serde_json::from_str(odd).expect(odd);
            assert!(info.extension_number.is_none() && info.account.is_none() && info.kind.is_none(), "{odd}");
            assert_eq!(info.status, ExtensionStatus::Other);
        }
    }
}
