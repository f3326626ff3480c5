//! Logs of this process: to standard error, so that standard output stays for results.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::{Faults, LogFormat};

/// HTTP libraries may show a request's query at their finest level, and that holds numbers.
const QUIET: [&str; 4] = ["h2=info", "hyper=info", "hyper_util=info", "reqwest=info"];

pub(crate) fn start(level: &str, format: LogFormat) -> Result<(), Faults> {
    let mut filter = level.parse::<EnvFilter>().map_err(|_| Faults::one("log.level", "is no filter"))?;
    for directive in QUIET {
        filter = filter.add_directive(directive.parse().map_err(|_| Faults::one("log.level", "can't be combined"))?);
    }
    let registry = tracing_subscriber::registry().with(filter);
    // A second start in one process (tests) keeps the first.
    let _ = match format {
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false)).try_init()
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
    Ok(())
}
