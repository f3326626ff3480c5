//! `credentials rotate-key`: everything under the first key.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Context;
use ringfleet_identity::{RecordError, Vault, VaultError, directory::Register};
use ringfleet_worker::{Inbox, reseal_subscriptions};

use crate::{exit, output::say, progress};

pub(super) async fn run(vault: &Vault) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!vault.keys().is_makeshift(), VaultError::NoKey);
    let current = vault.keys().current().context("the key ring is empty")?;
    let before = vault.all().await?;
    let bar = progress::bar(before.len() as u64, "sealing anew");
    let count = vault.reseal(|_| bar.inc(1)).await?;
    bar.finish_and_clear();

    say!("key {current} seals from now on: {} sealed anew, {} had it already", count.resealed, count.current);
    let directory =
        Register::new(vault).reseal().await.context("the sender directory was not sealed anew; try again")?;
    say!("sender directory: {directory} of its records sealed anew");
    let subscriptions =
        reseal_subscriptions(vault).await.context("the webhooks' subscriptions were not sealed anew; try again")?;
    say!("subscriptions of webhooks: {subscriptions} of their records sealed anew");
    let mut unreadable: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut others: BTreeMap<String, u32> = BTreeMap::new();
    for kept in vault.all().await? {
        if let Err(error) = &kept.opened {
            let which = format!("{} of extension {}", kept.method, kept.extension);
            unreadable.entry(reason(error)).or_default().push(which);
        } else if let Some(key) = kept.key.filter(|key| *key != current) {
            *others.entry(key.to_string()).or_default() += 1;
        }
    }
    for (reason, which) in &unreadable {
        say!("{} could not be opened ({reason}):", which.len());
        for which in which {
            say!("  {which}");
        }
    }
    for (key, left) in &others {
        // Another process still seals with it.
        say!(
            "{left} were sealed with key {key} meanwhile: some machine of the fleet does not have {current} as its first key yet"
        );
    }
    // Not sealed anew: it is gone before long.
    let came_in = Inbox::new(vault).of_older_keys().await?;
    if came_in > 0 {
        say!("records of what came in that need the older keys until they end (inbound.retention): {came_in}");
    }
    if unreadable.is_empty() && others.is_empty() && came_in == 0 {
        say!("older keys are not needed for this store any more; keep them as long as you keep backups of it");
        return Ok(ExitCode::SUCCESS);
    }
    say!("keep the older keys until this command finds nothing left");
    Ok(ExitCode::from(exit::PARTLY))
}

fn reason(error: &RecordError) -> String {
    error.to_string()
}
