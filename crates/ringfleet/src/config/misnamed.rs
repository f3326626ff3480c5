//! Variables of the environment that look like a setting's and reach none: a process that reads past them runs with other
//! settings than somebody believes, such as an API without its keys.

use std::collections::BTreeSet;

use serde_json::Value;

use super::reader::{Fault, names};

const PREFIX: &str = "RINGFLEET_";

/// Of variables with these names. Only what begins with a section's name is one: others with our prefix are the tests' own, or of
/// whoever runs this.
pub(super) fn faults(variables: impl Iterator<Item = String>, known: &Value) -> Vec<Fault> {
    let known = names(known);
    let variables: BTreeSet<String> = variables.collect();
    variables.into_iter().filter_map(|name| problem(&name, &known).map(|problem| Fault { at: name, problem })).collect()
}

fn problem(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let rest = upper.strip_prefix(PREFIX).filter(|rest| !rest.starts_with('_'))?;
    let section = |key: &String| key.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let begins =
        |section: String| rest.strip_prefix(&section).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    if !known.iter().map(section).any(begins) || is_of_a_service(rest) {
        return None;
    }
    let meant = known.iter().find(|key| key.replace('.', "_").to_ascii_uppercase() == rest.replace("__", "_"));
    let write = meant.map_or_else(|| "SECTION__KEY".to_owned(), |key| key.replace('.', "__").to_ascii_uppercase());
    Some(format!("is no setting, as it has too few underscores; write {PREFIX}_{write}"))
}

/// Kubernetes and Docker set such for a service called ringfleet-api, in all that runs beside it.
fn is_of_a_service(rest: &str) -> bool {
    let has_port = rest.split_once("_PORT_").is_some_and(|(_, port)| port.starts_with(|c: char| c.is_ascii_digit()));
    rest.ends_with("_PORT") || rest.contains("_SERVICE_HOST") || rest.contains("_SERVICE_PORT") || has_port
}

#[cfg(test)]
mod tests {
    use super::super::layers_of;

    fn told(variables: &[&str]) -> String {
        let variables = variables.iter().map(|name| (*name).to_owned());
        let layers = layers_of(None, variables).unwrap();
        layers.settings().err().map_or_else(String::new, |faults| faults.to_string())
    }

    #[test]
    fn a_variable_with_too_few_underscores_is_told_with_the_name_that_counts() {
        let faults =
            told(&["RINGFLEET_API_KEYS", "RINGFLEET_STORE__URL", "ringfleet_worker_journal_dir", "RINGFLEET_LOG"]);
        for part in [
            "has 4 faults",
            "RINGFLEET_API_KEYS: is no setting, as it has too few underscores; write RINGFLEET__API__KEYS",
            "RINGFLEET_STORE__URL: is no setting, as it has too few underscores; write RINGFLEET__STORE__URL",
            "ringfleet_worker_journal_dir: is no setting, as it has too few underscores; write RINGFLEET__WORKER__JOURNAL_DIR",
            "RINGFLEET_LOG: is no setting, as it has too few underscores; write RINGFLEET__SECTION__KEY",
        ] {
            assert!(faults.contains(part), "{part} is missing in:\n{faults}");
        }
    }

    #[test]
    fn variables_of_others_that_begin_like_ours_stop_nobody() {
        let of_services = [
            "RINGFLEET_API_PORT",
            "RINGFLEET_API_PORT_8480_TCP_ADDR",
            "RINGFLEET_API_SERVICE_HOST",
            "RINGFLEET_CONNECT_SERVICE_PORT_HTTP",
        ];
        let others = [
            "RINGFLEET_FAILPOINT",
            "RINGFLEET_REDIS_SERVER",
            "RINGFLEET_LONG",
            "RINGFLEET_VERSION",
            "RINGFLEET__API__KEYS",
        ];
        assert_eq!(told(&[&of_services[..], &others].concat()), "");
    }
}
