//! The state of one extension.

use std::collections::{HashMap, HashSet};

use super::login::Login;
use super::message::Message;
use super::number::Number;
use super::session::Sessions;
use crate::clock::Nanos;
use crate::ledger::SmsEntry;
use crate::limits::{Admission, Group, Lane, Plan};

/// What a number of the default extension can do. Without `SmsSender` no text leaves it (documented).
const DEFAULT_FEATURES: [&str; 3] = ["CallerId", "SmsSender", "MmsSender"];

pub(crate) struct Extension {
    lanes: [Lane; 4],
    pub(crate) sessions: Sessions,
    /// In order of acceptance; never removed, the ledger points in here.
    pub(crate) messages: Vec<Message>,
    pub(crate) sms_log: Vec<SmsEntry>,
    pub(crate) login: Login,
    /// User permissions that an administrator took away; everybody has all others.
    pub(crate) missing_permissions: Vec<String>,
    pub(crate) features: Vec<String>,
    /// Recipients that opted out; pairs with each number of this extension.
    pub(crate) opted_out: HashSet<Number>,
    /// How often each magic recipient has had its fault.
    pub(crate) magic_uses: HashMap<Number, u32>,
}

impl Default for Extension {
    fn default() -> Self {
        Self {
            lanes: Default::default(),
            sessions: Sessions::default(),
            messages: Vec::new(),
            sms_log: Vec::new(),
            login: Login::default(),
            missing_permissions: Vec::new(),
            features: DEFAULT_FEATURES.map(str::to_owned).into(),
            opted_out: HashSet::new(),
            magic_uses: HashMap::new(),
        }
    }
}

impl Extension {
    pub(crate) fn arrive(&mut self, group: Group, plan: &Plan, at: Nanos) -> Admission {
        self.lanes[group as usize].arrive(group, plan, at)
    }

    pub(crate) fn lane(&self, group: Group) -> &Lane {
        &self.lanes[group as usize]
    }

    pub(crate) fn lane_mut(&mut self, group: Group) -> &mut Lane {
        &mut self.lanes[group as usize]
    }

    pub(crate) fn lacks(&self, permission: &str) -> bool {
        self.missing_permissions.iter().any(|missing| missing == permission)
    }

    pub(crate) fn can_send(&self) -> bool {
        self.features.iter().any(|feature| feature == "SmsSender")
    }
}
