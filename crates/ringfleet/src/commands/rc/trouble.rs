//! Why an extension could not be read, and what to do about it.

use std::collections::BTreeMap;

use ringcentral::{CallError, ExtensionId};
use ringfleet_explain::sense;
use ringfleet_identity::ReadError;

use super::source::Source;
use crate::output::remark;

/// So many extensions with the same trouble are named.
const NAMED: usize = 5;

pub(super) struct Trouble {
    pub(super) extension: ExtensionId,
    what: String,
    next: String,
}

impl Trouble {
    pub(super) fn of(extension: &ExtensionId, source: &Source, error: ReadError) -> Self {
        let (what, next) = match error {
            // The first code is the preferred credential's; behind the `#` stand the prints of the credentials.
            ReadError::NoSession { reason } => coded(reason.split([',', '#']).next().unwrap_or(&reason).trim(), source),
            ReadError::NoTurn { wait } => (
                format!("its lane had no turn; the next one comes in {} s", wait.as_secs().max(1)),
                "run it again; if that is so again, look for another program that uses up the app's plan".to_owned(),
            ),
            ReadError::Call(CallError::Status { error, .. }) if error.code.is_some() => {
                coded(error.code.as_ref().map_or("no-code", |code| code.as_str()), source)
            }
            ReadError::Call(error) => {
                (chain(&error), "run it again; `ringfleet doctor` looks at the server".to_owned())
            }
            ReadError::Store(error) => (chain(&error), "run it again when the store is back".to_owned()),
        };
        Self { extension: extension.clone(), what, next }
    }

    /// `reason` is what the operator gave who stopped the fleet.
    pub(super) fn stopped(extension: &ExtensionId, reason: &str) -> Self {
        let next = "`ringfleet fleet resume` lets the fleet go on; then run it again".to_owned();
        Self { extension: extension.clone(), what: format!("the fleet is stopped: {reason}"), next }
    }
}

fn coded(code: &str, source: &Source) -> (String, String) {
    let operation = source.read.operation();
    let needs = match code {
        "CMN-401" => operation.app_permission.map(|name| format!(": the app needs {name}")),
        "CMN-408" => operation.user_permission.map(|name| format!(": the user needs {name}")),
        _ => None,
    };
    let needs = needs.unwrap_or_default();
    match sense(code) {
        Some(sense) => {
            let next = sense.remedy.unwrap_or("`ringfleet doctor` tells more");
            (format!("{}{needs} ({code})", sense.meaning), next.to_owned())
        }
        None => (format!("RingCentral refused it{needs} ({code})"), "`ringfleet doctor` tells more".to_owned()),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

/// Tells each trouble once, with those that have it. `goes_on`: the same command reads what is missing.
pub(super) fn tell(failed: &[Trouble], goes_on: bool) {
    let mut by_trouble: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for trouble in failed {
        by_trouble.entry((&trouble.what, &trouble.next)).or_default().push(trouble.extension.as_str());
    }
    for ((what, next), extensions) in by_trouble {
        let more = extensions.len().saturating_sub(NAMED);
        let named = extensions.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        remark!("could not be read: {named}{more}: {what}");
        remark!("  next step: {next}");
    }
    if goes_on && !failed.is_empty() {
        remark!("the same command reads what is missing");
    }
}
