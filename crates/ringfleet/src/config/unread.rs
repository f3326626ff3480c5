//! Why the layers can't be read, without what stands in them: any of it may be a secret.

use config::ConfigError;

pub(super) fn told(error: &ConfigError) -> String {
    match error {
        ConfigError::FileParse { cause, .. } => no_toml(&cause.to_string()),
        // Such as "not found"; nothing was read yet.
        ConfigError::Foreign(cause) => format!("can't be read: {cause}"),
        // It quotes the name of a variable.
        ConfigError::PathParse { cause } => format!("a variable of the environment names no setting: {cause}"),
        // It quotes the value of a variable.
        _ => "can't be merged: a variable RINGFLEET__… of the environment holds what is no UTF-8, or has the name of a whole \
              section"
            .to_owned(),
    }
}

/// Of `report` the place and the message. Between them it quotes the file.
fn no_toml(report: &str) -> String {
    const REMEDY: &str = "mend the file there; `ringfleet config reference` shows how settings are written";
    match report.trim_end().split('\n').collect::<Vec<_>>()[..] {
        [message] => format!("is no valid TOML: {message}; {REMEDY}"),
        [place, _, _, _, message] => {
            let place = place.strip_prefix("TOML parse error ").unwrap_or_default();
            format!("is no valid TOML {place}: {message}; {REMEDY}")
        }
        _ => format!("is no valid TOML; {REMEDY}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::load, *};

    #[test]
    fn a_file_that_is_no_toml_is_told_by_place_and_reason_and_nothing_of_it_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ringfleet.toml");
        for (text, place, reason) in [
            (
                "[ringcentral]\nclient_secret = \"canary\"\nclient_secret = \"canary\"\n",
                "line 3, column 1",
                "duplicate key",
            ),
            ("[api]\nkeys = canary\n", "line 2, column 8", "quoted"),
            ("[api]\nkeys = \"canary\n", "line 2, column", "\""),
            ("[store]\nurl = \"redis://u:canary@h\n", "line 2, column", "\""),
            ("[store]\nurl = \"redis://u:canary@h\"x\r\r\n", "line 2, column", ""),
            ("api keys = \"canary\"\n", "line 1, column", ""),
            ("[api]\nkeys = \"\"\"\ncanary\ncanary\n", "line", ""),
            ("[api]\nkeys = 123456789012345678901\n", "", "number too large"),
        ] {
            std::fs::write(&path, text).unwrap();
            let told = load(Some(&path)).err().unwrap().to_string();
            let asked_for = [place, reason, path.to_str().unwrap(), "config reference"];
            assert!(asked_for.iter().all(|part| told.contains(part)), "{told}");
            assert!(!told.contains("canary") && !told.contains("123456") && !told.contains('|'), "{told}");
        }
    }

    #[test]
    fn a_variable_that_is_no_utf8_is_not_quoted() {
        let told = told(&ConfigError::Message("env variable \"x\" contains non-Unicode data: \"canary\"".to_owned()));
        assert!(told.contains("no UTF-8") && !told.contains("canary"), "{told}");
    }
}
