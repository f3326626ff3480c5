//! `credentials`: how each extension logs in, sealed in the fleet's store.

mod change;
mod check;
mod import;
mod list;
mod login;
mod number;
mod rotate;
mod secret;
mod sheet;

use std::{process::ExitCode, sync::Arc};

use ringfleet_identity::{AppPrint, Follower, LoginBudget, Sessions, Vault};
use ringfleet_store::WorkerId;

use crate::{
    accounts::Accounts,
    cli::CredentialsCommand,
    config::{Layers, Settings},
    keys,
    output::{remark, say},
    provider, store, telemetry,
};

pub(crate) async fn run(layers: &Layers, what: CredentialsCommand) -> anyhow::Result<ExitCode> {
    let settings = layers.settings()?;
    telemetry::start(&settings.log_level, settings.log_format)?;
    let is_dry = matches!(&what, CredentialsCommand::Import(options) if options.dry_run);
    // Before there is a store, a dry run has none to look into.
    let scratch = (is_dry && !store::may_exist(&settings.store)).then(|| store::scratch(&settings)).transpose()?;
    let vault = match &scratch {
        Some((_, own)) => {
            let store = store::open(&own.store, own.rules).await?;
            Vault::new(store, Arc::new(keys::ring_to_look(own)?), &own.provider.app)
        }
        None => open(&settings, if is_dry { Makes::Nothing } else { makes(&what) }).await?,
    };
    // Whatever is wrong with it, it hinders no change of the store.
    let of_file = || Accounts::load(&settings).ok().map(|accounts| accounts.credentials());
    match what {
        CredentialsCommand::NewKey => new_key(),
        CredentialsCommand::Add(options) => change::add(&vault, options).await,
        CredentialsCommand::Import(options) => import::run(&vault, &options).await,
        CredentialsCommand::List { json } => {
            let accounts = Accounts::load(&settings)?;
            list::run(&vault, &accounts.credentials(), app_print(&settings).as_ref(), json).await
        }
        CredentialsCommand::Check(options) => {
            let client = provider::client(&settings.provider, &settings.rules)?;
            let accounts = Accounts::load(&settings)?;
            let (roster, _) = Follower::start(vault.clone(), accounts.credentials()).await?;
            let name = WorkerId::incarnation("check");
            let sessions = Arc::new(Sessions::new(vault.clone(), roster, client, name, settings.worker.lease));
            check::run(&sessions, &vault, &options).await
        }
        CredentialsCommand::Enable(which) => change::enable(&vault, &which, &of_file()).await,
        CredentialsCommand::Disable(which) => change::disable(&vault, &which, of_file()).await,
        CredentialsCommand::Prefer { which, number } => change::prefer(&vault, &which, number, &of_file()).await,
        CredentialsCommand::Remove { which, yes } => change::remove(&vault, &which, yes, of_file()).await,
        CredentialsCommand::ForgetBudget => {
            LoginBudget::forget(vault.store(), vault.app()).await?;
            say!(
                "forgotten; logins go one after the other now, and the first that is one too many for the app shows whose the budget is"
            );
            Ok(ExitCode::SUCCESS)
        }
        CredentialsCommand::RotateKey => rotate::run(&vault).await,
    }
}

/// What a command makes that isn't there yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Makes {
    /// It only looks.
    Nothing,
    /// It seals something.
    Key,
    /// It brings something in.
    Store,
}

fn makes(what: &CredentialsCommand) -> Makes {
    match what {
        CredentialsCommand::Add(_) | CredentialsCommand::Import(_) => Makes::Store,
        CredentialsCommand::NewKey
        | CredentialsCommand::List { .. }
        | CredentialsCommand::Remove { .. }
        | CredentialsCommand::ForgetBudget => Makes::Nothing,
        CredentialsCommand::Check(_)
        | CredentialsCommand::Enable(_)
        | CredentialsCommand::Disable(_)
        | CredentialsCommand::Prefer { .. }
        | CredentialsCommand::RotateKey => Makes::Key,
    }
}

/// The fleet's credentials as the settings name them.
pub(crate) async fn open(settings: &Settings, makes: Makes) -> anyhow::Result<Vault> {
    let store = match makes {
        Makes::Store => store::open(&settings.store, settings.rules).await?,
        Makes::Nothing | Makes::Key => store::open_existing(&settings.store, settings.rules).await?,
    };
    let keys = if makes == Makes::Nothing { keys::ring_to_look(settings)? } else { keys::ring(settings)? };
    Ok(Vault::new(store, Arc::new(keys), &settings.provider.app))
}

fn app_print(settings: &Settings) -> Option<AppPrint> {
    let (id, secret) = (settings.provider.client_id.as_ref()?, settings.provider.client_secret.as_ref()?);
    Some(AppPrint::of(id.as_str(), secret.expose()))
}

/// A key for a fleet; asks for no settings.
pub(crate) fn new_key() -> anyhow::Result<ExitCode> {
    say!("{}", *ringfleet_identity::new_key());
    remark!(
        "Put it into a file that only the fleet can read (chmod 600), name that in identity.key_file on every machine, and \
         keep a copy away from the store."
    );
    Ok(ExitCode::SUCCESS)
}
