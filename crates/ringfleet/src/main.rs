//! `ringfleet`: one binary, several roles. `--help` tells them.

mod accounts;
mod cli;
mod commands;
mod config;
mod core_dumps;
mod directory;
mod exit;
mod keys;
mod open_files;
mod output;
mod progress;
mod provider;
mod serve;
mod store;
mod table;
mod telemetry;

use std::process::ExitCode;

use crate::{
    cli::{Cli, Command, ConfigCommand, CredentialsCommand},
    output::remark,
};

fn main() -> ExitCode {
    core_dumps::write_none();
    let cli = cli::parse();
    open_files::take_all();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&anyhow::Error::new(error).context("can't start the runtime")),
    };
    let code = match runtime.block_on(run(cli)) {
        Ok(code) => output::failure().map_or(code, |error| {
            remark!("ringfleet: can't write the result: {error}");
            ExitCode::from(exit::FAILED)
        }),
        Err(error) => exit::report(&error),
    };
    // First whatever still works with the store.
    drop(runtime);
    store::close();
    code
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    ringcentral::install_crypto();
    let layers = || config::load(cli.config.as_deref());
    let settings = || layers()?.settings();
    match cli.command {
        // These need no settings, so that a file of them at fault is nothing to them.
        Command::Demo(options) => commands::demo::run(options).await,
        Command::Simulator(options) => commands::simulator::run(options).await,
        Command::ExplainCode(options) => commands::explain_code::run(&options),
        Command::Config { what: ConfigCommand::Reference } => commands::config::reference(),
        Command::Credentials { what: CredentialsCommand::NewKey } => commands::credentials::new_key(),
        Command::Config { what } => commands::config::run(&layers()?, what).await,
        Command::Worker => commands::fleet::worker(settings()?).await,
        Command::Api => commands::fleet::api(settings()?).await,
        Command::Connect => commands::fleet::connect(settings()?).await,
        Command::Up => commands::fleet::up(settings()?).await,
        Command::Import(options) => commands::import::run(settings()?, options).await,
        Command::Status(options) => commands::status::run(settings()?, options).await,
        Command::Explain(options) => commands::explain::run(settings()?, options).await,
        Command::Credentials { what } => commands::credentials::run(&layers()?, what).await,
        Command::Extensions { what } => commands::extensions::run(settings()?, what).await,
        Command::Inbound { what } => commands::inbound::run(settings()?, what).await,
        Command::Callbacks { what } => commands::callbacks::run(settings()?, what).await,
        Command::OptOut { what } => commands::opt_out::run(settings()?, what).await,
        Command::Rc { what } => commands::rc::run(settings()?, what).await,
        Command::Doctor(options) => commands::doctor::run(&layers()?, options).await,
        Command::Lane { what } => commands::operate::lane(settings()?, what).await,
        Command::Fleet { what } => commands::operate::fleet(settings()?, what).await,
        Command::Message { what } => commands::operate::message(settings()?, what).await,
        Command::Held { what } => commands::held::run(settings()?, what).await,
    }
}
