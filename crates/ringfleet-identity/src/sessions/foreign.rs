//! What shows that this process was given other keys or logins than the rest of the fleet.

use ringcentral::ExtensionId;

use super::{Sessions, lock};
use crate::key::KeyId;

impl Sessions {
    /// The fleet's session is sealed with this key, which is not here. Without a word such processes would log in one after the
    /// other, each in the place of the one before, until no login is left.
    pub(super) fn tell_of_key(&self, id: KeyId) {
        if lock(&self.foreign).insert(id) {
            tracing::error!(
                app = self.app(),
                key = %id,
                "the fleet's sessions are sealed with a key that this process does not have, so it logs in anew, and others after \
                 it: all processes need the same identity.key_file, or none and the same app secret"
            );
        }
    }

    /// A message came to this process, which has no login of its extension, so the lane is parked. A worker that has one lets it
    /// go on, and it runs far below its plan without a word of who parks it. Told once a minute at most.
    pub fn tell_of_no_login(&self, extension: &ExtensionId) {
        let Some(times) = self.told_of_no_login.happened() else { return };
        tracing::warn!(
            times,
            worker = self.worker.as_str(),
            extension.id = extension.as_str(),
            "this worker has no login of the extension and parks its lane; if the lane goes on again, another worker has one: give \
             all the same accounts file, or bring the login into the store"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use std::time::Duration;

    use ringcentral::{Client, ClientConfig, ClientId, ClientSecret, ExtensionId, ServerUrl, install_crypto};
    use ringfleet_store::{
        SharedStore, TokenRecord, WorkerId,
        sqlite::{SqliteOptions, SqliteStore},
    };
    use tracing::{Event, Level, Metadata, Subscriber, span};

    use crate::{KeyRing, Roster, Sessions, Vault, new_key, seal::Purpose};

    /// Counts errors and warnings.
    struct Log(Arc<AtomicUsize>);

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            self.0.fetch_add(usize::from(*event.metadata().level() <= Level::WARN), Ordering::Relaxed);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    fn sessions(store: &SharedStore, keys: KeyRing) -> Sessions {
        install_crypto();
        let (id, secret) = (ClientId::try_new("id").unwrap(), ClientSecret::try_new("secret").unwrap());
        let server = ServerUrl::try_new("http://127.0.0.1:1").unwrap();
        let client = Client::new(ClientConfig::new(server, id, secret)).unwrap();
        let vault = Vault::new(store.clone(), Arc::new(keys), "main");
        Sessions::new(vault, Roster::fixed([]), client, WorkerId::incarnation("w"), Duration::from_secs(10))
    }

    #[tokio::test]
    async fn a_process_that_cannot_open_the_fleets_sessions_says_so_once_for_each_key() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::default();
        let store: SharedStore = Arc::new(SqliteStore::open(&folder.path().join("fleet.db"), options).await.unwrap());
        let (one, other) = (sessions(&store, ring()), sessions(&store, ring()));
        let errors = Arc::new(AtomicUsize::new(0));
        let _log = tracing::subscriber::set_default(Log(errors.clone()));
        let told = || errors.swap(0, Ordering::Relaxed);
        let extension = ExtensionId::try_new("101").unwrap();
        let session = |keys: &KeyRing| TokenRecord {
            generation: 1,
            sealed: keys.seal(Purpose::Session { app: "main", extension: "101" }, b"x"),
            lives: Duration::from_secs(60),
            renew_in: Duration::from_secs(60),
        };
        for (reader, writer, errors) in [(&one, &other, 1), (&one, &other, 0), (&other, &one, 1), (&other, &one, 0)] {
            assert!(reader.unseal(&extension, &session(writer.vault().keys())).is_none());
            assert_eq!(told(), errors);
        }
        assert!(one.unseal(&extension, &session(&ring())).is_none());
        assert_eq!(told(), 1, "a third key");
        assert!(one.unseal(&extension, &session(one.vault().keys())).is_none());
        assert_eq!(told(), 0, "what is damaged is told by nobody: it is made anew, and the others can read that");
    }

    #[tokio::test]
    async fn a_worker_that_lacks_logins_says_so_once_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::default();
        let store: SharedStore = Arc::new(SqliteStore::open(&folder.path().join("fleet.db"), options).await.unwrap());
        let sessions = sessions(&store, ring());
        let warnings = Arc::new(AtomicUsize::new(0));
        let _log = tracing::subscriber::set_default(Log(warnings.clone()));
        for extension in ["101", "102", "101"] {
            sessions.tell_of_no_login(&ExtensionId::try_new(extension).unwrap());
        }
        assert_eq!(warnings.load(Ordering::Relaxed), 1);
    }

    fn ring() -> KeyRing {
        KeyRing::from_text(&new_key()).unwrap()
    }
}
