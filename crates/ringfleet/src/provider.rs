//! The provider's client as the fleet uses it: the store's exact window decides, the guard only catches bugs.

use std::time::Duration;

use ringcentral::{Client, ClientConfig, GuardMode, UsagePlan, UsagePlans};
use ringfleet_store::{Group, LaneRules};

use crate::config::{Faults, ProviderSettings};

pub(crate) fn client(settings: &ProviderSettings, rules: &LaneRules) -> anyhow::Result<Client> {
    let mut faults = Faults::default();
    let mut missing = |key: &str| {
        let problem = "is empty: the developer console shows it on the app's page".to_owned();
        faults.0.push(crate::config::Fault { at: format!("ringcentral.{key}"), problem });
    };
    if settings.client_id.is_none() {
        missing("client_id");
    }
    if settings.client_secret.is_none() {
        missing("client_secret");
    }
    let (Some(id), Some(secret)) = (&settings.client_id, &settings.client_secret) else { return Err(faults.into()) };
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
