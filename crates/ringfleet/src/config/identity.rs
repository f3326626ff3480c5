//! The keys that seal what the fleet keeps of its logins.

use std::{path::PathBuf, time::Duration};

use super::{reader::Reader, settings::StoreSettings};

/// Where the keys come from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    File(PathBuf),
    /// Made when it is missing: the store is a file beside it.
    OwnFile(PathBuf),
    Text(String),
    /// A key made of the app's secret, fit for sessions only.
    App,
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            KeySource::File(_) => "File",
            KeySource::OwnFile(_) => "OwnFile",
            KeySource::Text(_) => "Text([redacted])",
            KeySource::App => "App",
        })
    }
}

impl KeySource {
    /// An embedded store belongs to one machine, so its key can be made there; the machines of a fleet must be given one.
    pub(super) fn beside(self, store: &StoreSettings) -> Self {
        match self {
            Self::App if !store.is_redis() => Self::OwnFile(store.data_dir.join("ringfleet.key")),
            given => given,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct IdentitySettings {
    pub keys: KeySource,
    /// How soon a process notices that credentials have changed.
    pub poll: Duration,
}

impl IdentitySettings {
    pub(super) fn beside(mut self, store: &StoreSettings) -> Self {
        self.keys = self.keys.beside(store);
        self
    }
}

pub(super) fn read_identity(r: &mut Reader<'_>) -> Option<IdentitySettings> {
    let keys = read_key_source(r);
    let poll = r.duration("identity.poll", Duration::from_millis(10), Duration::from_secs(3_600));
    Some(IdentitySettings { keys: keys?, poll: poll? })
}

pub(super) fn read_key_source(r: &mut Reader<'_>) -> Option<KeySource> {
    let file = r.text("identity.key_file");
    let text = r.text("identity.key");
    Some(match (file?, text?) {
        (file, text) if !file.is_empty() && !text.is_empty() => {
            r.fault("identity.key", "is set, and identity.key_file too; leave one of them empty");
            return None;
        }
        (file, _) if !file.is_empty() => KeySource::File(file.into()),
        (_, text) if !text.is_empty() => KeySource::Text(text),
        _ => KeySource::App,
    })
}

/// How old the sender directory may grow; `Some(None)`: it is off, and the accounts file alone counts.
pub(super) fn read_directory(r: &mut Reader<'_>) -> Option<Option<Duration>> {
    if r.text("directory.refresh")? == "off" {
        return Some(None);
    }
    r.duration("directory.refresh", Duration::from_secs(1), Duration::from_secs(30 * 86_400)).map(Some)
}
