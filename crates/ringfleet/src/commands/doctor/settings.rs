//! The settings and the accounts file; all their faults.

use super::finding::{Finding, Section};
use crate::{
    accounts::Accounts,
    config::{Faults, Layers, Settings},
};

pub(super) fn look(layers: &Layers) -> (Section, Option<(Settings, Accounts)>) {
    let from = match &layers.file {
        Some(file) => format!("{} and the environment", file.display()),
        None => "no file; defaults and the environment".to_owned(),
    };
    let settings = match layers.settings() {
        Ok(settings) => settings,
        Err(faults) => return (Section::new("Settings", told(&faults)), None),
    };
    let mut findings = vec![Finding::ok("settings", from)];
    let accounts = match Accounts::load(&settings) {
        Ok(accounts) => {
            if let Some(file) = &settings.provider.accounts_file {
                findings
                    .push(Finding::ok("accounts file", format!("{}: {} extensions", file.display(), accounts.0.len())));
            }
            accounts
        }
        Err(faults) => {
            findings.extend(told(&faults));
            Accounts(Vec::new())
        }
    };
    (Section::new("Settings", findings), Some((settings, accounts)))
}

fn told(faults: &Faults) -> Vec<Finding> {
    let step = "correct it; `ringfleet config reference` explains each setting";
    faults.0.iter().map(|fault| Finding::fail(&fault.at, fault.problem.clone(), step)).collect()
}
