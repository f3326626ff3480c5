//! Account and extension.

use serde::{Deserialize, Deserializer};

use crate::answer::{Answer, CallError};
use crate::client::{Caller, Client};
use crate::ids::{AccountId, ExtensionId};
use crate::label::{self, Label};
use crate::words::{AccountStatus, ExtensionStatus};

/// The account of a token.
#[derive(Debug, Clone, Deserialize)]
pub struct AccountInfo {
    pub id: AccountId,
    #[serde(default)]
    pub status: AccountStatus,
}

/// The extension of a token. Names and addresses are not read: nothing here needs them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionInfo {
    pub id: ExtensionId,
    /// The short number that colleagues dial.
    #[serde(default, deserialize_with = "short_number")]
    pub extension_number: Option<String>,
    #[serde(default)]
    pub status: ExtensionStatus,
    /// Such as `User` or `Department`.
    #[serde(rename = "type", default, deserialize_with = "label::lenient")]
    pub kind: Option<Label>,
    pub account: Option<AccountRef>,
}

/// Where an extension belongs.
#[derive(Debug, Clone, Deserialize)]
pub struct AccountRef {
    pub id: AccountId,
}

/// Up to eight digits, as a string or a number; anything else counts as missing.
fn short_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let digits = value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()));
    Ok(digits.filter(|digits| (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())))
}

impl Client {
    /// Reads the token's account. Group Light; the app needs `ReadAccounts`, the user `ReadCompanyInfo` (documented).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn account_info(&self, caller: Caller<'_>) -> Result<Answer<AccountInfo>, CallError> {
        self.object(caller, "/restapi/v1.0/account/~").await
    }

    /// Reads the token's extension. Group Light; the app needs `ReadAccounts`, the user `ReadExtensions` (documented).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn extension_info(&self, caller: Caller<'_>) -> Result<Answer<ExtensionInfo>, CallError> {
        self.object(caller, "/restapi/v1.0/account/~/extension/~").await
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
        assert_eq!(info.status, ExtensionStatus::Enabled);
        assert_eq!(info.account.as_ref().map(|account| account.id.as_str()), Some("37439510"));
        assert!(!format!("{info:?}").contains("canary"));
    }
}
