//! `extensions`: who may text from which number, as the fleet knows it.

mod entry;
mod list;
mod refresh;
mod show;

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_identity::{
    Follower, Roster, Vault,
    directory::{Book, Directory},
};
use ringfleet_producer::SenderDirectory;
use tokio_util::sync::CancellationToken;

use super::credentials::{self, Makes};
use crate::{accounts::Accounts, cli::ExtensionsCommand, config::Settings, directory, keys, output::remark, telemetry};

/// What the fleet knows, followed while the command runs.
pub(super) struct Known {
    pub(super) vault: Vault,
    pub(super) roster: Roster,
    directory: Directory,
    /// Judges numbers in the words that producers are told.
    senders: SenderDirectory,
}

pub(crate) async fn run(settings: Settings, what: ExtensionsCommand) -> anyhow::Result<ExitCode> {
    telemetry::start(&settings.log_level, settings.log_format)?;
    if settings.worker.directory_refresh.is_none() {
        remark!("directory.refresh is off here: only what the accounts file says is shown");
    }
    let accounts = Accounts::load(&settings)?;
    let stop = CancellationToken::new();
    let _followed_until_the_end = stop.clone().drop_guard();
    let makes = match &what {
        ExtensionsCommand::List { .. } | ExtensionsCommand::Show { .. } => Makes::Nothing,
        ExtensionsCommand::Refresh { .. } => Makes::Key,
    };
    let known = Known::open(&settings, &accounts, makes, stop).await?;
    match what {
        ExtensionsCommand::List { wrong, how } => list::run(&known, wrong, &how).await,
        ExtensionsCommand::Show { which, how } => show::run(&known, &which, &how).await,
        ExtensionsCommand::Refresh { which, wait } => refresh::run(&known, &which, wait).await,
    }
}

impl Known {
    /// Reads what there is, and follows it until `stop`.
    pub(super) async fn open(
        settings: &Settings,
        accounts: &Accounts,
        makes: Makes,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let vault = credentials::open(settings, makes).await?;
        let (roster, follower) = Follower::start(vault.clone(), accounts.credentials()).await?;
        tokio::spawn(follower.run(settings.identity.poll, stop.clone()));
        let (directory, follower) = directory::follow(settings, accounts, vault.store(), keys::ring_to_look).await?;
        if let Some(follower) = follower {
            tokio::spawn(follower.run(settings.identity.poll, stop));
        }
        let connect_page = settings.connect.as_ref().map(|connect| format!("{}/connect", connect.public_url));
        let senders = SenderDirectory::of(directory.clone(), &settings.provider.app)?;
        Ok(Self { vault, roster, directory, senders: senders.with_connect_page(connect_page.as_deref()) })
    }

    fn book(&self) -> Arc<Book> {
        self.directory.book()
    }

    /// The extensions that a number, an extension number or an id means; several share an extension number at times.
    pub(super) fn meant(&self, typed: &str) -> anyhow::Result<Vec<ExtensionId>> {
        let book = self.book();
        if let Ok(number) = PhoneNumber::try_new(typed) {
            let owner = book.owner(&number).with_context(|| {
                format!("{number} belongs to no extension that is known; `ringfleet extensions list` shows all")
            })?;
            return Ok(vec![owner.id]);
        }
        let mut meant: Vec<ExtensionId> = book.named(typed).into_iter().cloned().collect();
        // Connected a moment ago, and read by nobody yet.
        let unread = ExtensionId::try_new(typed).ok().filter(|id| !self.roster.of(id.as_str()).is_empty());
        meant.extend(unread.filter(|id| !meant.contains(id)));
        let unread = |id: &Arc<str>| {
            ExtensionId::try_new(id).is_ok_and(|id| book.extension(&id).is_none_or(|one| one.read_at == 0))
        };
        match self.roster.extensions().iter().filter(|id| unread(id)).count() {
            _ if !meant.is_empty() => Ok(meant),
            0 => anyhow::bail!(
                "no extension is known by what was typed; `ringfleet extensions list` shows all with number and id"
            ),
            unread => anyhow::bail!(
                "no extension is known by what was typed, and of {unread} that are connected the number was not read yet: give \
                 the id, or let a worker run with directory.refresh on"
            ),
        }
    }
}
