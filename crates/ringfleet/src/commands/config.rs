//! `config show|check|reference`.

use std::process::ExitCode;

use crate::{
    accounts::Accounts,
    cli::ConfigCommand,
    config::{DEFAULTS, Layers},
    output::{self, say},
};

pub(crate) fn run(layers: &Layers, what: ConfigCommand) -> anyhow::Result<ExitCode> {
    match what {
        ConfigCommand::Show => output::to_stdout(format_args!("{}", layers.shown())),
        ConfigCommand::Reference => output::to_stdout(format_args!("{DEFAULTS}")),
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
                Some(file) => say!("{} is in order", file.display()),
                None => say!("the settings are in order (no file was read, only defaults and environment)"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
