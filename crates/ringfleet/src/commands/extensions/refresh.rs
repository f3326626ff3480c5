//! `extensions refresh`: asks the fleet's reader, and waits for what it finds.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use ringcentral::{AccountId, ExtensionId};
use ringfleet_identity::directory::{AccountList, Book, ExtensionFacts, Register};
use ringfleet_store::Millis;

use super::Known;
use crate::{exit, output::say};

/// What was asked for, and when.
struct Asked {
    extensions: Vec<ExtensionId>,
    accounts: Vec<AccountId>,
    at: Millis,
}

pub(super) async fn run(known: &Known, which: &[String], wait: Duration) -> anyhow::Result<ExitCode> {
    let book = known.book();
    let mut wanted: Vec<ExtensionId> = Vec::new();
    for typed in which {
        wanted.extend(known.meant(typed)?);
    }
    let accounts = if which.is_empty() {
        wanted.extend(book.everybody().into_iter().cloned());
        book.accounts().map(|list| list.account.clone()).collect()
    } else {
        Vec::new()
    };
    let connected = |id: &ExtensionId| {
        let noted = book.extension(id).is_some_and(|facts| !facts.connected_by.is_empty());
        noted || !known.roster.of(id.as_str()).is_empty()
    };
    let (extensions, unconnected): (Vec<_>, Vec<_>) = wanted.into_iter().partition(connected);
    for id in unconnected.iter().filter(|_| !which.is_empty()) {
        say!("{} is not connected, so nobody can read it; the account's list tells its numbers", book.who(id));
    }
    anyhow::ensure!(!extensions.is_empty(), "there is no connected extension to read");
    let asked = Asked { extensions, accounts, at: known.vault.store().now().await? };
    let register = Register::new(&known.vault);
    for id in &asked.extensions {
        register.ask(id).await?;
    }
    for account in &asked.accounts {
        register.ask_account(account).await?;
    }
    say!("{} extensions and {} accounts are to be read", asked.extensions.len(), asked.accounts.len());
    if wait.is_zero() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut changes = known.directory.changes();
    let until = Instant::now() + wait;
    loop {
        let book = known.book();
        let (read, failed) = asked.told(&book);
        if read + failed.len() == asked.extensions.len() && asked.accounts_told(&book) {
            return Ok(tell(&book, read, &failed));
        }
        let left = until.saturating_duration_since(Instant::now());
        if tokio::time::timeout(left, changes.changed()).await.is_err() {
            let missing = asked.extensions.len() - read - failed.len();
            anyhow::bail!(
                "{read} were read, {} could not be, and {missing} were not within the time given by --wait; they are read as soon \
                 as a worker runs with directory.refresh on and the plans let it",
                failed.len()
            );
        }
    }
}

impl Asked {
    /// How many were read since, and who could not be.
    fn told<'a>(&self, book: &'a Book) -> (usize, Vec<&'a ExtensionFacts>) {
        let tried =
            self.extensions.iter().filter_map(|id| book.extension(id)).filter(|facts| facts.tried_at() >= self.at);
        let (read, failed): (Vec<_>, Vec<_>) = tried.partition(|facts| facts.read_at >= self.at);
        (read.len(), failed)
    }

    /// One whom nobody may read stays as it is.
    fn accounts_told(&self, book: &Book) -> bool {
        let told =
            |list: &AccountList| list.tried_at() >= self.at || list.denied.iter().any(|(_, why)| why.at >= self.at);
        self.accounts.iter().filter_map(|account| book.account(account)).all(|list| told(list) || list.tried_at() == 0)
    }
}

fn tell(book: &Book, read: usize, failed: &[&ExtensionFacts]) -> ExitCode {
    say!("{read} were read; {} numbers can be texted from", book.senders().len());
    for facts in failed {
        let code = facts.failed.as_ref().map_or("", |failed| failed.code.as_str());
        say!(
            "{} could not be read ({code}); `ringfleet extensions show {}` tells what to do",
            facts.who(),
            facts.extension
        );
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::PARTLY) }
}
