//! `config show|check|reference`.

use std::process::ExitCode;

use crate::{
    accounts::Accounts,
    cli::ConfigCommand,
    config::{DEFAULTS, Layers},
};

#[allow(clippy::print_stdout, reason = "the result of the command")]
pub(crate) fn run(layers: &Layers, what: ConfigCommand) -> anyhow::Result<ExitCode> {
    match what {
        ConfigCommand::Show => print!("{}", layers.shown()),
        ConfigCommand::Reference => print!("{DEFAULTS}"),
        ConfigCommand::Check => {
            let mut faults = crate::config::Faults::default();
            match layers.settings() {
                Ok(settings) => {
                    if settings.provider.accounts_file.is_some()
                        && let Err(found) = Accounts::load(&settings)
                    {
                        faults.0.extend(found.0);
                    }
                }
                Err(found) => faults.0.extend(found.0),
            }
            if !faults.0.is_empty() {
                return Err(faults.into());
            }
            match &layers.file {
                Some(file) => println!("{} is in order", file.display()),
                None => println!("the settings are in order (no file was read, only defaults and environment)"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
