//! What no linter knows about the deployment files: this program's settings and its simulator.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::files;

pub(crate) const COMPOSE: &str = "docker-compose.yml";
const PREFIX: &str = "RINGFLEET__";

/// Every setting that `text` names as an environment variable exists.
pub(crate) fn unknown_settings(text: &str, defaults: &str) -> BTreeSet<String> {
    let known = settings(defaults);
    let named = text.split(PREFIX).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        rest[..end.unwrap_or(rest.len())].to_ascii_lowercase().replace("__", ".")
    });
    named.filter(|name| !known.contains(name)).collect()
}

/// `section.key` of each line of the defaults that sets something.
fn settings(defaults: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut known = BTreeSet::new();
    for line in defaults.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with('#')) {
            known.insert(format!("{section}.{key}"));
        }
    }
    known
}

/// The trial set-up needs no secrets, because the simulator's credentials follow from its seed; here is where it would be
/// seen if they changed. `simulator` is what it told at its start with the default seed.
pub(crate) fn knows_simulator(root: &Path, simulator: &Value) -> Result<()> {
    let compose = files::read(&root.join(COMPOSE))?;
    for key in ["client_id", "client_secret"] {
        let value = simulator[key].as_str().with_context(|| format!("the simulator tells no {key}"))?;
        ensure!(compose.contains(value), "{COMPOSE} must hold the simulator's {key}, {value}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_does_not_exist_is_found() {
        let defaults = "# x = 1\n[store]\nurl = \"\"\n[worker]\ndrain = \"20s\"\n";
        let text = "RINGFLEET__STORE__URL: a\nRINGFLEET__WORKER__DRAIN=1s RINGFLEET__WORKER__URL=$RINGFLEET__X";
        assert_eq!(unknown_settings(text, defaults), BTreeSet::from(["worker.url".to_owned(), "x".to_owned()]));
    }
}
