//! What each operation of the API costs and needs, so that a caller can take a place in the right lane before it asks.
//!
//! Names, groups and permissions are documented (API reference); the groups of messaging have been the same since 2021.

use std::fmt;

use crate::plan::UsageGroup;

/// One operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// As the API reference calls it.
    pub name: &'static str,
    pub group: UsageGroup,
    /// What the app must be allowed in the developer console. `None` if any app may.
    pub app_permission: Option<&'static str>,
    /// What the user's role must allow. `None` if any user may.
    pub user_permission: Option<&'static str>,
}

impl Operation {
    pub const READ_ACCOUNT: Self = light("readAccountInfo").app("ReadAccounts").user("ReadCompanyInfo");
    pub const READ_EXTENSION: Self = light("readExtension").app("ReadAccounts").user("ReadExtensions");
    pub const LIST_EXTENSIONS: Self = medium("listExtensions").app("ReadAccounts").user("ReadExtensions");
    pub const LIST_ACCOUNT_NUMBERS: Self =
        heavy("listAccountPhoneNumbers").app("ReadAccounts").user("ReadCompanyPhoneNumbers");
    pub const LIST_EXTENSION_NUMBERS: Self =
        light("listExtensionPhoneNumbers").app("ReadAccounts").user("ReadUserPhoneNumbers");
    pub const READ_SMS_CONFIGURATION: Self = light("smsConfigurationInfo").app("ReadAccounts");
    pub const CHECK_PERMISSION: Self = light("checkUserPermission");
    pub const SEND_SMS: Self = medium("createSMSMessage").app("SMS").user("OutboundSMS");
    pub const LIST_MESSAGES: Self = light("listMessages").app("ReadMessages").user("ReadMessages");
    pub const READ_MESSAGE: Self = light("readMessage").app("ReadMessages").user("ReadMessages");
    pub const SYNC_MESSAGES: Self = light("syncMessages").app("ReadMessages").user("ReadMessages");
    pub const LIST_CALLS: Self = heavy("readUserCallLog").app("ReadCallLog").user("ReadCallLog");
    pub const LIST_ACCOUNT_CALLS: Self = heavy("readCompanyCallLog").app("ReadCallLog").user("FullCompanyCallLog");
    // The events of a subscription need the permissions of what they tell.
    pub const LIST_SUBSCRIPTIONS: Self = light("listSubscriptions");
    pub const READ_SUBSCRIPTION: Self = light("readSubscription");
    pub const CREATE_SUBSCRIPTION: Self = medium("createSubscription");
    pub const RENEW_SUBSCRIPTION: Self = light("renewSubscription");
    pub const DELETE_SUBSCRIPTION: Self = medium("deleteSubscription");

    const fn app(self, permission: &'static str) -> Self {
        Self { app_permission: Some(permission), ..self }
    }

    const fn user(self, permission: &'static str) -> Self {
        Self { user_permission: Some(permission), ..self }
    }
}

const fn operation(name: &'static str, group: UsageGroup) -> Operation {
    Operation { name, group, app_permission: None, user_permission: None }
}

const fn light(name: &'static str) -> Operation {
    operation(name, UsageGroup::Light)
}

const fn medium(name: &'static str) -> Operation {
    operation(name, UsageGroup::Medium)
}

const fn heavy(name: &'static str) -> Operation {
    operation(name, UsageGroup::Heavy)
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
