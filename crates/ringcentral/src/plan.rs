//! Usage plans: how many requests each group may take.

use std::fmt;
use std::time::Duration;

/// The usage-plan group of an operation. All operations of one group share one quota per extension and app (documented).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UsageGroup {
    Heavy,
    /// The group of `POST /sms`.
    Medium,
    Light,
    /// Token endpoint. Documented per user; a platform announcement says per application.
    Auth,
}

impl UsageGroup {
    pub const ALL: [Self; 4] = [Self::Heavy, Self::Medium, Self::Light, Self::Auth];

    /// Lower case, as the provider's `X-Rate-Limit-Group` header has it in practice.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heavy => "heavy",
            Self::Medium => "medium",
            Self::Light => "light",
            Self::Auth => "auth",
        }
    }
}

impl fmt::Display for UsageGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Quota of one group: at most `limit` requests in any `window`; going over closes the group for a penalty, and each
/// request sent meanwhile begins the penalty anew (documented).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsagePlan {
    pub limit: u32,
    pub window: Duration,
}

impl UsagePlan {
    /// `limit` requests in 60 s: the documented window.
    pub const fn per_minute(limit: u32) -> Self {
        Self { limit, window: Duration::from_secs(60) }
    }
}

/// The plans of an app. Real ones are set per app and shown in the developer console, hence configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsagePlans {
    pub heavy: UsagePlan,
    pub medium: UsagePlan,
    pub light: UsagePlan,
    pub auth: UsagePlan,
}

impl UsagePlans {
    pub fn of(&self, group: UsageGroup) -> UsagePlan {
        match group {
            UsageGroup::Heavy => self.heavy,
            UsageGroup::Medium => self.medium,
            UsageGroup::Light => self.light,
            UsageGroup::Auth => self.auth,
        }
    }
}

impl Default for UsagePlans {
    /// Heavy 10, Medium 40, Light 50, Auth 5 in 60 s (documented: rate limits page).
    fn default() -> Self {
        Self {
            heavy: UsagePlan::per_minute(10),
            medium: UsagePlan::per_minute(40),
            light: UsagePlan::per_minute(50),
            auth: UsagePlan::per_minute(5),
        }
    }
}
