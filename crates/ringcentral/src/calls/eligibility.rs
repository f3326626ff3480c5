//! Cheap looks before the first text: may this user send, and is this number registered?

use serde::Deserialize;

use super::read::{Read, Whose};
use crate::ids::PhoneNumberId;
use crate::label::{self, Label};
use crate::operation::Operation;
use crate::serde_text;
use crate::words::CampaignStatus;

/// Whether a user has a permission.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "PermissionAnswer")]
pub struct PermissionCheck {
    pub granted: bool,
    /// Over whom it reaches, such as `Self` or `AllExtensions`.
    pub scopes: Vec<Label>,
}

#[derive(Deserialize)]
struct PermissionAnswer {
    successful: bool,
    details: Option<PermissionDetails>,
}

#[derive(Deserialize)]
struct PermissionDetails {
    #[serde(default, deserialize_with = "serde_text::lenient_list")]
    scopes: Vec<String>,
}

impl From<PermissionAnswer> for PermissionCheck {
    fn from(answer: PermissionAnswer) -> Self {
        let scopes = answer.details.map(|details| details.scopes).unwrap_or_default();
        let scopes = scopes.iter().filter_map(|scope| Label::try_new(scope)).collect();
        Self { granted: answer.successful, scopes }
    }
}

/// The registration of a number for texting. Both parts are missing for a number that is linked to no campaign
/// (documented); toll-free numbers are verified in another way and have none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SmsConfiguration {
    #[serde(rename = "smsCampaignInfo", default, deserialize_with = "serde_text::lenient")]
    pub campaign: Option<SmsCampaign>,
    #[serde(rename = "smsBrandInfo", default, deserialize_with = "serde_text::lenient")]
    pub brand: Option<SmsBrand>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SmsCampaign {
    /// Under any other than `Confirmed` outbound texts fail (documented).
    #[serde(default)]
    pub status: CampaignStatus,
    /// Such as `LowVolume`: how many texts a day (documented).
    #[serde(default, deserialize_with = "label::lenient")]
    pub registration_tier: Option<Label>,
    #[serde(default, deserialize_with = "serde_text::lenient")]
    pub consent_settings: Option<ConsentSettings>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsentSettings {
    /// Whether a recipient must have opted in before the first text.
    #[serde(default)]
    pub opt_in_required: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SmsBrand {
    /// Such as `Verified`.
    #[serde(default, deserialize_with = "label::lenient")]
    pub status: Option<Label>,
}

impl SmsConfiguration {
    /// Whether the number is linked to a confirmed campaign.
    pub fn is_confirmed(&self) -> bool {
        self.campaign.as_ref().is_some_and(|campaign| campaign.status == CampaignStatus::Confirmed)
    }
}

impl Read<PermissionCheck> {
    /// Whether the user has a permission, such as `OutboundSMS`. Group Light; any app and any user may ask (documented).
    pub fn permission(whose: Whose<'_>, permission: &Label) -> Self {
        Self::new(Operation::CHECK_PERMISSION, format!("{}/authz-profile/check", whose.path()))
            .with([("permissionId", permission.as_str().to_owned())])
    }
}

impl Read<SmsConfiguration> {
    /// The registration of one number of an extension. Group Light; the app needs `ReadAccounts` (documented).
    pub fn sms_configuration(whose: Whose<'_>, number: &PhoneNumberId) -> Self {
        let path = format!("{}/phone-number/{number}/sms-configuration", whose.path());
        Self::new(Operation::READ_SMS_CONFIGURATION, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_is_granted_only_if_the_answer_says_so() {
        let read = serde_json::from_str::<PermissionCheck>;
        let granted = r#"{"successful":true,"details":{"permission":{"id":"OutboundSMS"},"scopes":["Self",7]}}"#;
        let granted = read(granted).expect("an answer");
        assert!(granted.granted && granted.scopes == [Label::try_new("Self").expect("a word")]);
        assert!(!read(r#"{"successful":false}"#).expect("an answer").granted);
        assert!(read("{}").is_err());
    }

    #[test]
    fn only_a_confirmed_campaign_counts() {
        let read = |json: &str| serde_json::from_str::<SmsConfiguration>(json).expect("an answer");
        let confirmed = read(
            r#"{"phoneNumber":"canary","smsCampaignInfo":{"id":"2008","status":"Confirmed","registrationTier":"LowVolume",
                "consentSettings":{"optInRequired":true}},"smsBrandInfo":{"status":"Verified"}}"#,
        );
        assert!(confirmed.is_confirmed() && !format!("{confirmed:?}").contains("canary"));
        let campaign = confirmed.campaign.expect("a campaign");
        assert!(campaign.consent_settings.is_some_and(|consent| consent.opt_in_required));
        for other in ["{}", r#"{"smsCampaignInfo":{"status":"CampaignExpired"}}"#, r#"{"smsCampaignInfo":7}"#] {
            assert!(!read(other).is_confirmed(), "{other}");
        }
    }
}
