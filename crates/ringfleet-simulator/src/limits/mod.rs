//! The online limiter: one exact sliding window per lane, with a penalty that restarts.

mod closure;
mod lane;
mod window;

pub(crate) use closure::Closure;
pub(crate) use lane::{Admission, Lane, LaneArrival};
pub(crate) use window::Verdict;

use serde::{Deserialize, Serialize};

use crate::clock::{Nanos, nanos};
use crate::config::SimulatorConfig;

/// A usage-plan group (documented). In the headers it stands in lower case, as RingCentral's own samples have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Group {
    Heavy,
    Medium,
    Light,
    Auth,
}

impl Group {
    pub(crate) const ALL: [Self; 4] = [Self::Heavy, Self::Medium, Self::Light, Self::Auth];

    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Heavy => "heavy",
            Self::Medium => "medium",
            Self::Light => "light",
            Self::Auth => "auth",
        }
    }
}

/// What a lane may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) limit: u32,
    pub(crate) window: Nanos,
    pub(crate) penalty: Nanos,
}

impl Plan {
    pub(crate) fn of(config: &SimulatorConfig, group: Group) -> Self {
        let limit = match group {
            Group::Heavy => config.limits.heavy,
            Group::Medium => config.limits.medium,
            Group::Light => config.limits.light,
            Group::Auth => config.limits.auth,
        };
        let window = match group {
            Group::Auth => config.auth_window.unwrap_or(config.window),
            Group::Heavy | Group::Medium | Group::Light => config.window,
        };
        Self { limit, window: nanos(window), penalty: nanos(config.penalty.unwrap_or(window)) }
    }
}
