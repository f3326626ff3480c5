//! The key ring that the settings name.

use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use anyhow::Context;
use ringfleet_identity::{KeyRing, KeyRingError};

use crate::config::{Faults, KeySource, Settings, unreadable};

/// Makes the key of a store that is a file beside it: for what seals something.
pub(crate) fn ring(settings: &Settings) -> anyhow::Result<KeyRing> {
    let app = settings.provider.client_id.as_ref().zip(settings.provider.client_secret.as_ref());
    let given = match &settings.identity.keys {
        KeySource::File(path) => named(path)?,
        KeySource::OwnFile(path) => {
            provide(path).with_context(|| format!("can't make the key file {}", path.display()))?;
            return Ok(KeyRing::from_file(path.clone())?);
        }
        KeySource::Text(text) => KeyRing::from_text(text)?,
        KeySource::App => {
            let (id, secret) = app.ok_or_else(|| {
                Faults::one(
                    "identity.key_file",
                    "is empty, and there is no app secret to seal sessions with; make a key with `ringfleet credentials \
                     new-key` and name its file",
                )
            })?;
            return Ok(KeyRing::of_app(id.as_str(), secret.expose()));
        }
    };
    // It may have been given only now: the sessions of before go on.
    Ok(match app {
        Some((id, secret)) => given.also_of_app(id.as_str(), secret.expose()),
        None => given,
    })
}

/// For a command that only looks, and makes no key file. While there is none nothing was sealed, and a key that nobody keeps opens
/// nothing.
pub(crate) fn ring_to_look(settings: &Settings) -> anyhow::Result<KeyRing> {
    match missing(&settings.identity.keys) {
        Some(_) => Ok(KeyRing::from_text(&ringfleet_identity::new_key())?),
        None => ring(settings),
    }
}

/// The key file that [`ring`] would make.
pub(crate) fn missing(source: &KeySource) -> Option<&Path> {
    match source {
        KeySource::OwnFile(path) if !path.exists() => Some(path),
        _ => None,
    }
}

/// The file of `identity.key_file`.
fn named(path: &Path) -> anyhow::Result<KeyRing> {
    match KeyRing::from_file(path.to_owned()) {
        Err(KeyRingError::Unreadable { source, .. }) => {
            Err(Faults::one("identity.key_file", unreadable(&source)).into())
        }
        ring => Ok(ring?),
    }
}

/// What is wrong with keys that there are; makes none.
pub(crate) fn faults(source: &KeySource) -> Faults {
    const FILE: &str = "identity.key_file";
    let (at, ring) = match source {
        KeySource::File(path) => (FILE, named(path)),
        KeySource::OwnFile(path) if path.exists() => {
            (FILE, KeyRing::from_file(path.clone()).map_err(anyhow::Error::from))
        }
        KeySource::Text(text) => ("identity.key", KeyRing::from_text(text).map_err(anyhow::Error::from)),
        KeySource::OwnFile(_) | KeySource::App => return Faults::default(),
    };
    match ring.map_err(|error| error.downcast::<Faults>()) {
        Ok(_) => Faults::default(),
        Err(Ok(faults)) => faults,
        Err(Err(error)) => Faults::one(at, format!("{error:#}")),
    }
}

/// Makes the file if it is missing. Of several processes that start together one makes it, whole; the others take that one.
fn provide(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Readable by its owner only, as temporary files are.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "# Seals the logins in the store beside it. Without it they can't be read: keep a copy.")?;
    writeln!(file, "{}", *ringfleet_identity::new_key())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use ringfleet_identity::Purpose;

    use super::*;
    use crate::config::load;

    #[test]
    fn a_key_in_place_of_its_files_path_is_not_told() {
        let told = format!("{:#}", named(Path::new("canary")).err().unwrap());
        assert!(told.contains("identity.key_file: what it names can't be read") && !told.contains("canary"), "{told}");
    }

    #[test]
    fn keys_that_cannot_be_used_are_told_at_their_setting_and_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("short"), "canary=").unwrap();
        for (source, part) in [
            (KeySource::File(at("missing")), "identity.key_file: what it names can't be read"),
            (KeySource::File(at("short")), "identity.key_file: key file"),
            (KeySource::OwnFile(at("short")), "identity.key_file: key file"),
            (KeySource::OwnFile(at("short")), "key 1 is not base64"),
            (KeySource::Text("canary".to_owned()), "identity.key: the setting holds no usable key: key 1"),
        ] {
            let told = faults(&source).to_string();
            assert!(told.contains(part) && told.contains("1 fault:") && !told.contains("canary"), "{part}: {told}");
        }
        let key = KeySource::Text(ringfleet_identity::new_key().as_str().to_owned());
        for source in [KeySource::OwnFile(at("missing")), key, KeySource::App] {
            assert_eq!(faults(&source), Faults::default(), "{source:?}");
        }
        assert!(!at("missing").exists());
    }

    #[test]
    fn a_fleet_that_gets_a_key_opens_the_sessions_of_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ringfleet.key");
        std::fs::write(&file, &*ringfleet_identity::new_key()).unwrap();
        let settings = |identity: &str| {
            let path = folder.path().join("ringfleet.toml");
            let text = format!(
                "[ringcentral]\nclient_id = \"id\"\nclient_secret = \"secret\"\n\
                 [store]\nurl = \"redis://127.0.0.1\"\n[identity]\n{identity}"
            );
            std::fs::write(&path, text).unwrap();
            load(Some(&path)).unwrap().settings().unwrap()
        };
        let session = Purpose::Session { app: "main", extension: "101" };
        let sealed = ring(&settings("")).unwrap().seal(session, b"x");
        let (key, file) = (ringfleet_identity::new_key(), file.display());
        let named = settings(&format!("key_file = \"{file}\""));
        let text = settings(&format!("key = \"{}\"", *key));
        for with_key in [named, text] {
            assert_eq!(&**ring(&with_key).unwrap().open(session, &sealed).unwrap(), b"x");
        }
    }

    #[test]
    fn a_missing_key_file_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/ringfleet.key");
        provide(&path).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        provide(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
        assert!(KeyRing::from_file(path.clone()).unwrap().current().is_some());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
        }
    }
}
