//! Configuration: layers in, one checked value or *all* faults out.

mod callbacks;
mod callers_keys;
mod connect;
mod identity;
mod inbound;
mod misnamed;
mod needs;
mod quiet_hours;
mod reader;
mod reconcile;
mod settings;
mod unread;

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};

pub(crate) use self::{
    identity::KeySource,
    needs::Needs,
    reader::{Fault, Faults, parse_duration, without_password},
    settings::{LogFormat, ProviderSettings, Settings, StoreSettings, unreadable},
};

/// The defaults and the reference in one.
pub(crate) const DEFAULTS: &str = include_str!("../../config.default.toml");
/// Read when it is there and no other file is named.
const DEFAULT_FILE: &str = "ringfleet.toml";

/// The merged layers, not checked yet.
#[derive(Clone)]
pub(crate) struct Layers {
    merged: serde_json::Value,
    defaults: serde_json::Value,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// What reached no layer.
    misnamed: Vec<Fault>,
}

/// Reads the layers. A file that was named must be there; the default one need not.
pub(crate) fn load(named: Option<&Path>) -> Result<Layers, Faults> {
    layers_of(named, std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

/// With the names of the variables that there are.
fn layers_of(named: Option<&Path>, variables: impl Iterator<Item = String>) -> Result<Layers, Faults> {
    let file = match named {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(path) = &file {
        builder = builder.add_source(File::from(path.as_path()).format(FileFormat::Toml).required(true));
    }
    let environment = Environment::with_prefix("RINGFLEET").prefix_separator("__").separator("__");
    let merged = read(builder.add_source(environment)).map_err(|problem| {
        let at = file.as_ref().map_or_else(|| "environment".to_owned(), |path| path.display().to_string());
        Faults::one(&at, problem)
    })?;
    let defaults = read(Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml)))
        .map_err(|problem| Faults::one("embedded defaults", problem))?;
    let misnamed = misnamed::faults(variables, &defaults);
    Ok(Layers { merged, defaults, file, misnamed })
}

fn read(builder: config::ConfigBuilder<config::builder::DefaultState>) -> Result<serde_json::Value, String> {
    let built = builder.build().map_err(|error| unread::told(&error))?;
    built.try_deserialize().map_err(|error| unread::told(&error))
}

impl Layers {
    /// Checks everything and reports all faults together.
    pub(crate) fn settings(&self) -> Result<Settings, Faults> {
        let read = reader::read(&self.merged, &self.defaults, Settings::read);
        if self.misnamed.is_empty() {
            return read;
        }
        Err(Faults(read.err().into_iter().flat_map(|faults| faults.0).chain(self.misnamed.clone()).collect()))
    }

    /// Tells no faults of the settings themselves.
    pub(crate) fn needs(&self) -> Needs {
        Needs::read(&mut reader::Reader::new(&self.merged))
    }

    /// The merged settings as TOML-like lines, secrets as `[set]` or `[unset]`.
    pub(crate) fn shown(&self) -> String {
        reader::show(&self.merged, &self.defaults)
    }
}

#[cfg(test)]
mod tests {
    use ringfleet_store::OnUnknown;
    use ringfleet_worker::ReconcileOptions;

    use super::*;
    use crate::accounts::Accounts;

    fn layers(text: &str) -> Layers {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ringfleet.toml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path)).unwrap()
    }

    #[test]
    fn the_defaults_are_a_valid_configuration() {
        assert!(layers("").settings().is_ok(), "{:?}", layers("").settings().err());
    }

    #[test]
    fn all_faults_are_reported_at_once_with_key_value_and_remedy() {
        let bad = layers(
            "[worker]\nlease = \"soon\"\nconcurrency = 0\nconcurency = 5\n[ringcentral]\nserver = \"http://example.com\"\n\
             [api]\nlisten = \"nowhere\"\n",
        );
        let faults = bad.settings().unwrap_err().to_string();
        for part in
            ["worker.lease", "\"soon\"", "worker.concurrency", "worker.concurency", "ringcentral.server", "api.listen"]
        {
            assert!(faults.contains(part), "{part} is missing in:\n{faults}");
        }
    }

    #[test]
    fn wrong_values_of_reconcile_settings_are_told_with_what_to_write() {
        let bad = layers(
            "[reconcile]\non_unknown = \"guess\"\nsettle_time = \"10ms\"\nclock_skew = \"2h\"\ngive_up = \"8d\"\n\
             every = \"2m\"\n[store]\nallow_volatile = \"maybe\"\n",
        );
        let faults = bad.settings().unwrap_err().to_string();
        for part in [
            "reconcile.on_unknown: is \"guess\", must be \"reconcile\", \"hold\" or \"resend\"",
            "reconcile.settle_time: is \"10ms\"",
            "reconcile.clock_skew: is \"2h\"",
            "reconcile.give_up: is \"8d\"",
            "reconcile.every: is \"2m\"",
            "store.allow_volatile: is \"maybe\", must be true or false",
        ] {
            assert!(faults.contains(part), "{part} is missing in:\n{faults}");
        }
        let hasty =
            layers("[reconcile]\nsettle_time = \"1m\"\ngive_up = \"30s\"\n").settings().unwrap_err().to_string();
        assert!(
            hasty.contains("reconcile.give_up: is 30s, must be longer than reconcile.settle_time (60s)"),
            "{hasty}"
        );
        let blind = layers("[ringcentral]\nrequest_timeout = \"90s\"\n[worker]\ndrain = \"2m\"\n").settings();
        let blind = blind.unwrap_err().to_string();
        let told = "reconcile.settle_time: is 90s, must be longer than ringcentral.request_timeout (90s)";
        assert!(blind.contains(told), "{blind}");
    }

    #[test]
    fn a_level_that_would_silence_the_log_is_told() {
        for bad in ["warning", "verbose", "info,ringfleet_worker", "info,a=loud"] {
            let faults = layers(&format!("[log]\nlevel = \"{bad}\"\n")).settings().unwrap_err().to_string();
            assert!(faults.contains(&format!("log.level: is {bad:?}, must be off, error")), "{faults}");
        }
        for (good, level) in
            [("", "info"), ("WARN", "WARN"), ("info,ringfleet_worker=debug", "info,ringfleet_worker=debug")]
        {
            let settings = layers(&format!("[log]\nlevel = \"{good}\"\n")).settings().unwrap();
            assert_eq!(settings.log_level, level);
        }
    }

    #[test]
    fn a_secret_that_is_given_twice_is_told_as_nobody_could_know_which_counts() {
        let twice = "[ringcentral]\nclient_secret = \"canary\"\nclient_secret_file = \"client_secret\"\n";
        let faults = layers(twice).settings().unwrap_err().to_string();
        assert!(
            faults.contains("ringcentral.client_secret: is set, and ringcentral.client_secret_file too"),
            "{faults}"
        );
        assert!(!faults.contains("canary"), "{faults}");
    }

    #[test]
    fn an_api_key_that_can_stand_in_no_header_is_told_before_the_api_starts() {
        let faults = layers("[api]\nkeys = \"my secret key with blanks\"\n").settings().unwrap_err().to_string();
        assert!(faults.contains("api.keys: one has a blank"), "{faults}");
    }

    #[test]
    fn an_api_off_the_loopback_needs_a_key_and_one_that_may_only_read_is_one() {
        let open = "[api]\nlisten = \"0.0.0.0:8480\"\n";
        let faults = layers(open).settings().unwrap_err().to_string();
        assert!(faults.contains("api.listen: is 0.0.0.0:8480, and there is no api.keys"), "{faults}");
        let api = layers(&format!("{open}read_keys = \"0123456789abcdef\"\n")).settings().unwrap().api;
        assert_eq!((api.keys.len(), api.read_keys.as_slice()), (0, &["0123456789abcdef".to_owned()][..]));
    }

    #[test]
    fn settings_of_reconciling_reach_the_worker_as_written() {
        let defaults = layers("").settings().unwrap();
        assert_eq!(defaults.on_unknown, OnUnknown::Reconcile);
        assert_eq!(format!("{:?}", defaults.worker.reconcile), format!("{:?}", ReconcileOptions::default()));
        let own = layers("[reconcile]\non_unknown = \"hold\"\nsettle_time = \"30s\"\n").settings().unwrap();
        assert_eq!((own.on_unknown, own.worker.reconcile.settle_time.as_secs()), (OnUnknown::Hold, 30));
    }

    #[test]
    fn journal_lies_beside_the_data_with_redis_and_is_not_needed_with_sqlite() {
        let journal = |text: &str| layers(text).settings().unwrap().worker.journal_dir;
        let redis = "[store]\nurl = \"redis://127.0.0.1\"\ndata_dir = \"/data\"\n[worker]\n";
        assert_eq!(journal(redis), Some(PathBuf::from("/data/journal")));
        assert_eq!(journal(&format!("{redis}journal_dir = \"off\"\n")), None);
        assert_eq!(journal(&format!("{redis}journal_dir = \"/j\"\n")), Some(PathBuf::from("/j")));
        assert_eq!(journal(""), None);
    }

    #[test]
    fn connect_page_is_off_until_it_has_an_address_and_all_that_it_needs() {
        let connect = |text: &str| layers(text).settings().map(|settings| settings.connect);
        assert!(connect("").unwrap().is_none());
        let local =
            connect("[api]\nkeys = \"0123456789abcdef\"\n[connect]\nlisten = \"127.0.0.1:8482\"\n").unwrap().unwrap();
        assert_eq!(local.public_url.redirect_uri().as_str(), "http://127.0.0.1:8482/connect/callback");
        assert_eq!(local.operator_keys, ["0123456789abcdef"], "the API's keys open the list");
        let reading = "[api]\nread_keys = \"0123456789abcdef\"\n[connect]\nlisten = \"127.0.0.1:8482\"\n";
        assert!(connect(reading).unwrap().unwrap().operator_keys.is_empty(), "those that only read don't");
        let bad = "[store]\nurl = \"redis://127.0.0.1\"\n[connect]\nlisten = \"127.0.0.1:8480\"\naccount_id = \"a b\"\n\
                   operator_keys = \"canary\"\naddress_header = \"a b\"\npublic_url = \"http://example.com\"\n";
        let faults = connect(bad).unwrap_err().to_string();
        for part in
            ["account_id", "operator_keys: one is shorter", "address_header", "public_url: is \"http://example.com\""]
        {
            assert!(faults.contains(part) && !faults.contains("canary"), "{part} is missing in:\n{faults}");
        }
        let bad = "[store]\nurl = \"redis://127.0.0.1\"\n[connect]\nlisten = \"127.0.0.1:8480\"\n";
        let faults = connect(bad).unwrap_err().to_string();
        assert!(faults.contains("connect.listen: is 127.0.0.1:8480, which is api.listen too"), "{faults}");
        assert!(faults.contains("identity.key_file: is empty, and connect.listen is set"), "{faults}");
        let faults = connect("[connect]\nlisten = \"0.0.0.0:8482\"\n").unwrap_err().to_string();
        assert!(faults.contains("connect.public_url: is empty"), "{faults}");
    }

    #[test]
    fn blanks_around_the_server_url_do_no_harm() {
        let settings = layers("[ringcentral]\nserver = \"  http://127.0.0.1:8080/  \"\n").settings().unwrap();
        assert!(!settings.provider.server.is_https());
    }

    #[test]
    fn secrets_are_shown_as_set_or_unset_only() {
        let shown = layers("[ringcentral]\nclient_secret = \"canary-secret\"\n[api]\nkeys = \"canary-key\"\nread_keys = \"canary-key\"\n").shown();
        assert!(!shown.contains("canary") && shown.contains("client_secret = [set]"), "{shown}");
        assert!(shown.contains("\nread_keys = [set]\n") && shown.contains("\nread_keys_file = \"\"\n"), "{shown}");
        for (url, as_shown) in [
            ("https://shop.example/canary?key=canary", "\"https://shop.example/…\""),
            ("http://shop.example/canary", "[not shown]"),
            ("https://u:canary@shop.example/", "[not shown]"),
            ("canary", "[not shown]"),
            ("", "\"\""),
        ] {
            let shown = layers(&format!("[callbacks]\nurl = {url:?}\n")).shown();
            assert!(!shown.contains("canary") && shown.contains(&format!("\nurl = {as_shown}\n")), "{shown}");
        }
    }

    #[test]
    fn a_password_with_a_comma_is_told_how_to_write_it_and_shown_nowhere() {
        let bad = layers("[store]\nurl = \"redis://u:canary,songbird@127.0.0.1\"\n");
        let told = bad.settings().unwrap_err().to_string();
        assert!(told.contains("store.url: one address of the list") && told.contains("%2C"), "{told}");
        let told = told + &bad.shown();
        assert!(!told.contains("canary") && !told.contains("songbird"), "{told}");
        let good = "[store]\nurl = \"redis://u:a%2Cb@127.0.0.1, redis://127.0.0.2\"\ncluster = true\n";
        assert!(layers(good).settings().is_ok());
    }

    #[test]
    fn what_stands_under_a_name_that_is_no_setting_is_not_shown() {
        let shown = layers(
            "top = \"canary\"\n[api]\nkey = \"canary\"\n[ringcentrl]\nclient_secret = \"canary\"\n\
             [store]\nurl = [\"redis://u:canary@h\"]\nprefix = \"shown\"\n",
        )
        .shown();
        assert!(shown.contains("\nkey = [not shown: there is no such setting]\n"), "{shown}");
        assert!(shown.contains("\nurl = [not shown: must be text]\n"), "{shown}");
        assert!(shown.contains("\nprefix = \"shown\"\n"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_secret_in_place_of_its_files_path_is_not_told() {
        let bad = "[ringcentral]\nclient_secret_file = \"canary\"\n[api]\nkeys_file = \"canary\"\nread_keys_file = \"canary\"\n[connect]\n\
                   listen = \"127.0.0.1:8482\"\noperator_keys_file = \"canary\"\n";
        let faults = layers(bad).settings().unwrap_err().to_string();
        for setting in
            ["ringcentral.client_secret_file", "api.keys_file", "api.read_keys_file", "connect.operator_keys_file"]
        {
            assert!(faults.contains(&format!("{setting}: what it names can't be read")), "{faults}");
        }
        assert!(faults.contains("write the path of a file") && !faults.contains("canary"), "{faults}");
        assert!(!layers(bad).shown().contains("canary"));
        let list = layers("[ringcentral]\naccounts_file = '[{\"extension_id\":\"1\",\"jwt\":\"canary\"}]'\n");
        let faults = Accounts::load(&list.settings().unwrap()).err().unwrap().to_string();
        assert!(faults.contains("ringcentral.accounts_file: what it names can't be read"), "{faults}");
        assert!(faults.contains("write the path of a file") && !faults.contains("canary"), "{faults}");
        assert!(list.shown().contains("accounts_file = [not shown: no file of that name can be seen]"));
    }

    #[test]
    fn a_missing_file_that_was_named_is_told() {
        assert!(load(Some(Path::new("/nonexistent/ringfleet.toml"))).is_err());
    }
}
