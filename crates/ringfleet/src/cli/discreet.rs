//! Errors about arguments, without the arguments themselves where they may be private.

use clap::{
    Parser,
    error::{ContextKind, ContextValue},
};

use super::Cli;

/// Commands whose users may put a secret or a number where none belongs.
const PRIVATE: [&str; 4] = ["credentials", "doctor", "extensions", "opt-out"];
const HIDDEN: &str = "[not shown]";

/// Parses the process's arguments; ends the process with code 2 on a fault, and with 0 after `--help`.
pub(crate) fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let private = std::env::args_os().any(|argument| PRIVATE.iter().any(|command| argument == *command));
        if private { discreet(error) } else { error }.exit()
    })
}

/// The same error without any word that was typed: a JWT pasted behind the command would stand in the shell's log.
pub(super) fn discreet(mut error: clap::Error) -> clap::Error {
    let typed = [ContextKind::InvalidValue, ContextKind::InvalidSubcommand];
    for kind in typed {
        if error.get(kind).is_some() {
            error.insert(kind, ContextValue::String(HIDDEN.to_owned()));
        }
    }
    // Where an argument is not known it is quoted; elsewhere the word is the name of one of ours.
    if error.kind() == clap::error::ErrorKind::UnknownArgument {
        error.insert(ContextKind::InvalidArg, ContextValue::String(HIDDEN.to_owned()));
    }
    // Tips quote too.
    for kind in [ContextKind::Suggested, ContextKind::TrailingArg] {
        error.remove(kind);
    }
    error
}
