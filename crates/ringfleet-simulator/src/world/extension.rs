//! The state of one extension.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::call::PhoneCall;
use super::consent::{OptStatus, PairConsents};
use super::login::Login;
use super::message::Message;
use super::number::Number;
use super::session::Sessions;
use super::subscription::{StoreWatch, Subscription};
use crate::ledger::{ApiEntry, SmsEntry, WebhookEntry};
use crate::limits::{Group, Lane};

/// What a number of the default extension can do. Without `SmsSender` no text leaves it (documented).
const DEFAULT_FEATURES: [&str; 3] = ["CallerId", "SmsSender", "MmsSender"];

/// `smsCampaignInfo.status`, as far as it makes a difference (documented: anything but `Confirmed` means that texts will fail).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CampaignStatus {
    Confirmed,
    Submitted,
    CampaignSuspended,
    CampaignExpired,
    Unconfirmed,
}

pub(crate) struct Extension {
    lanes: [Lane; 4],
    pub(crate) sessions: Sessions,
    /// In order of acceptance; never removed, the ledger points in here.
    pub(crate) messages: Vec<Message>,
    /// Calls that arrived while running, oldest first.
    pub(crate) calls: Vec<PhoneCall>,
    pub(crate) sms_log: Vec<SmsEntry>,
    pub(crate) api_log: Vec<ApiEntry>,
    pub(crate) webhook_log: Vec<WebhookEntry>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) watch: StoreWatch,
    pub(crate) login: Login,
    /// User permissions that an administrator took away; everybody has all others.
    pub(crate) missing_permissions: Vec<String>,
    pub(crate) features: Vec<String>,
    /// `status` of the numbers' campaign; without one their texts end undelivered.
    pub(crate) campaign: Option<CampaignStatus>,
    pub(crate) consents: PairConsents,
    /// How often each magic recipient has had its fault.
    pub(crate) magic_uses: HashMap<Number, u32>,
}

impl Default for Extension {
    fn default() -> Self {
        Self {
            lanes: Default::default(),
            sessions: Sessions::default(),
            messages: Vec::new(),
            calls: Vec::new(),
            sms_log: Vec::new(),
            api_log: Vec::new(),
            webhook_log: Vec::new(),
            subscriptions: Vec::new(),
            watch: StoreWatch::default(),
            login: Login::default(),
            missing_permissions: Vec::new(),
            features: DEFAULT_FEATURES.map(str::to_owned).into(),
            campaign: Some(CampaignStatus::Confirmed),
            consents: PairConsents::new(),
            magic_uses: HashMap::new(),
        }
    }
}

impl Extension {
    pub(crate) fn lane(&self, group: Group) -> &Lane {
        &self.lanes[group as usize]
    }

    pub(crate) fn lane_mut(&mut self, group: Group) -> &mut Lane {
        &mut self.lanes[group as usize]
    }

    pub(crate) fn lacks(&self, permission: &str) -> bool {
        self.missing_permissions.iter().any(|missing| missing == permission)
    }

    pub(crate) fn opted_out(&self, own: Number, other: Number) -> bool {
        self.consents.get(&(own, other)).is_some_and(|consent| consent.status == OptStatus::OptOut)
    }

    pub(crate) fn can_send(&self) -> bool {
        self.features.iter().any(|feature| feature == "SmsSender")
    }
}
