//! The provider's client as the fleet uses it: the store's exact window decides, the guard only catches bugs.

use std::time::Duration;

use ringcentral::{Client, ClientConfig, GuardMode, UsagePlan, UsagePlans};
use ringfleet_store::{Group, LaneRules};

use crate::config::{Fault, Faults, ProviderSettings};

/// What the settings lack for anybody to be logged in.
pub(crate) fn lacks(no_id: bool, no_secret: bool) -> Faults {
    let empty = [("ringcentral.client_id", no_id), ("ringcentral.client_secret", no_secret)];
    let fault = |at: &str| Fault {
        at: at.to_owned(),
        problem: "is empty: the developer console shows it on the app's page".to_owned(),
    };
    Faults(empty.into_iter().filter(|(_, is_empty)| *is_empty).map(|(at, _)| fault(at)).collect())
}

pub(crate) fn client(settings: &ProviderSettings, rules: &LaneRules) -> anyhow::Result<Client> {
    let (Some(id), Some(secret)) = (&settings.client_id, &settings.client_secret) else {
        return Err(lacks(settings.client_id.is_none(), settings.client_secret.is_none()).into());
    };
    let mut config = ClientConfig::new(settings.server.clone(), id.clone(), secret.clone());
    config.connect_timeout = settings.connect_timeout;
    config.total_timeout = settings.request_timeout;
    config.guard_mode = GuardMode::Backstop;
    let plan = |group| {
        let plan = rules.plan(group);
        UsagePlan { limit: plan.limit, window: Duration::from_millis(plan.window_ms.into()) }
    };
    config.plans = UsagePlans {
        heavy: plan(Group::Heavy),
        medium: plan(Group::Medium),
        light: plan(Group::Light),
        auth: plan(Group::Auth),
    };
    Ok(Client::new(config)?)
}
