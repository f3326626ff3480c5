//! Doubt in what is known, that each extension has its own budget of logins, or in a 429 while nobody knows whose it is.
//!
//! A refusal for the rate may be that extension's: its user has spent the budget on the connect page, or another program has
//! with the same credential. Two extensions that are refused within one window show that they share it. While nobody knows, all
//! wait for the first one's penalty, and the window begins after that.

use std::time::Duration;

use ringfleet_store::{DocKind, Expect, Put, SharedStore, StoreError};

use super::Sessions;

/// Changes by others in a row, after which it is left to the next refusal.
const TRIES: u32 = 3;

fn key(app: &str) -> String {
    format!("{app}/login-throttled")
}

/// Nobody was refused.
pub(super) async fn forget(store: &SharedStore, app: &str) -> Result<(), StoreError> {
    store.doc_put(DocKind::Setting, &key(app), Expect::Anything, None, None).await.map(drop)
}

impl Sessions {
    /// Notes for as long as `lasts` that a login of `extension` was refused for the rate; gives whether another extension's was.
    pub(super) async fn another_was_refused(&self, extension: &str, lasts: Duration) -> Result<bool, StoreError> {
        let (key, body) = (key(self.app()), extension.as_bytes());
        for _ in 0..TRIES {
            let doc = self.store().doc_get(DocKind::Setting, &key).await?;
            let expect = match &doc {
                Some(doc) if doc.body != body => return Ok(true),
                Some(doc) => Expect::Rev(doc.rev),
                None => Expect::Absent,
            };
            let put = self.store().doc_put(DocKind::Setting, &key, expect, Some(body), Some(lasts)).await?;
            if let Put::Stored(_) = put {
                return Ok(false);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        sync::{Arc, atomic::Ordering},
        time::Instant,
    };

    use ringcentral::{
        Answer, CallError, Client, ClientConfig, ClientId, ClientSecret, ProviderError, RateHeaders, ServerUrl,
        install_crypto,
    };
    use ringfleet_store::{
        Clock, Group, LaneId, LaneRules, WorkerId,
        sqlite::{SqliteOptions, SqliteStore},
    };
    use rusqlite::Connection;

    use super::*;
    use crate::{
        KeyRing, Roster, Vault, new_key,
        sessions::{
            budget::{ALL_EXTENSIONS, Errand, LoginBudget, OF_EACH},
            login::NotIn,
        },
    };

    const SOON: Duration = Duration::from_secs(20);

    /// A fleet that has found each extension to have its own budget.
    pub(crate) async fn fleet(folder: &tempfile::TempDir, window: Duration) -> Sessions {
        fleet_by(Clock::default(), folder, window).await
    }

    async fn fleet_by(clock: Clock, folder: &tempfile::TempDir, window: Duration) -> Sessions {
        install_crypto();
        let options = SqliteOptions { rules: LaneRules::with_window(window), clock, ..SqliteOptions::default() };
        let store: SharedStore = Arc::new(SqliteStore::open(&folder.path().join("fleet.db"), options).await.unwrap());
        let (id, secret) = (ClientId::try_new("id").unwrap(), ClientSecret::try_new("secret").unwrap());
        let server = ServerUrl::try_new("http://127.0.0.1:1").unwrap();
        let client = Client::new(ClientConfig::new(server, id, secret)).unwrap();
        let vault = Vault::new(store, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
        let sessions = Sessions::new(vault, Roster::fixed([]), client, WorkerId::incarnation("w"), window);
        sessions.store().set_parked(&lane(&sessions, ALL_EXTENSIONS), Some(OF_EACH)).await.unwrap();
        sessions
    }

    fn lane(sessions: &Sessions, whose: &str) -> LaneId {
        LaneId::try_new(sessions.app(), whose, Group::Auth).unwrap()
    }

    /// Whether the login was made.
    async fn refused(sessions: &Sessions, extension: &str) -> bool {
        let rate = RateHeaders { retry_after: Some(Duration::from_secs(1)), ..RateHeaders::default() };
        let error = Box::new(ProviderError::parse(br#"{"errorCode":"CMN-301","message":"m"}"#));
        let status = 429.try_into().unwrap();
        let answer = Err::<Answer<()>, _>(CallError::Status { status, error, rate, request_id: None });
        match sessions.with_slot(extension, Errand::Login, async { answer }).await {
            Ok(_) => true,
            Err(NotIn::Later { .. }) => false,
            Err(_) => panic!("the store is there"),
        }
    }

    async fn in_penalty(sessions: &Sessions, whose: &str) -> bool {
        sessions.store().lane(&lane(sessions, whose)).await.unwrap().penalty_until.is_some()
    }

    async fn until_its_penalty_is_over(sessions: &Sessions, whose: &str) {
        let give_up = Instant::now() + SOON;
        while in_penalty(sessions, whose).await {
            assert!(Instant::now() < give_up);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn one_extension_that_is_refused_again_and_again_leaves_the_others_their_budgets() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = fleet(&folder, Duration::from_secs(60)).await;
        for _ in 0..2 {
            assert!(refused(&sessions, "101").await);
            assert_eq!(sessions.login_budget().await.unwrap().of_the_app, Some(false));
            assert!(in_penalty(&sessions, "101").await && !in_penalty(&sessions, ALL_EXTENSIONS).await);
            assert!(!refused(&sessions, "101").await, "in its penalty");
            until_its_penalty_is_over(&sessions, "101").await;
        }
    }

    #[tokio::test]
    async fn two_extensions_that_are_refused_in_one_window_show_the_apps_budget() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = fleet(&folder, Duration::from_secs(60)).await;
        assert!(refused(&sessions, "101").await && refused(&sessions, "102").await);
        assert_eq!(sessions.login_budget().await.unwrap().of_the_app, Some(true));
        assert!(in_penalty(&sessions, ALL_EXTENSIONS).await);

        LoginBudget::forget(sessions.store(), sessions.app()).await.unwrap();
        assert_eq!(sessions.login_budget().await.unwrap().of_the_app, None);
        assert!(in_penalty(&sessions, ALL_EXTENSIONS).await, "what is forgotten is not forgiven");
        assert!(!sessions.another_was_refused("103", Duration::from_secs(60)).await.unwrap());
    }

    #[tokio::test]
    async fn two_extensions_that_are_refused_in_two_windows_show_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = fleet(&folder, Duration::from_millis(200)).await;
        assert!(refused(&sessions, "101").await);
        // Longer than the window.
        until_its_penalty_is_over(&sessions, "101").await;
        assert!(refused(&sessions, "102").await);
        assert_eq!(sessions.login_budget().await.unwrap().of_the_app, Some(false));
    }

    #[tokio::test]
    async fn before_anybody_knows_one_extension_that_is_refused_makes_all_wait_and_shows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = fleet(&folder, Duration::from_secs(60)).await;
        LoginBudget::forget(sessions.store(), sessions.app()).await.unwrap();
        for _ in 0..2 {
            assert!(refused(&sessions, "101").await);
            assert_eq!(sessions.login_budget().await.unwrap().of_the_app, None);
            assert!(in_penalty(&sessions, ALL_EXTENSIONS).await && !refused(&sessions, "102").await);
            until_its_penalty_is_over(&sessions, "101").await;
            until_its_penalty_is_over(&sessions, ALL_EXTENSIONS).await;
        }
        assert!(refused(&sessions, "102").await);
        assert_eq!(sessions.login_budget().await.unwrap().of_the_app, Some(true), "of two extensions");
    }

    /// The provider's usual one.
    #[tokio::test]
    async fn before_anybody_knows_a_penalty_as_long_as_the_window_hides_no_second_extension_that_is_refused() {
        let (folder, (clock, hand)) = (tempfile::tempdir().unwrap(), Clock::by_hand(1_764_000_000_000));
        let sessions = fleet_by(clock, &folder, Duration::from_secs(1)).await;
        LoginBudget::forget(sessions.store(), sessions.app()).await.unwrap();
        assert!(refused(&sessions, "101").await);
        assert!(!refused(&sessions, "102").await, "all wait");
        // It asks at the end of that, and the answer takes its time.
        hand.fetch_add(1_100, Ordering::SeqCst);
        assert!(refused(&sessions, "102").await);
        assert_eq!(sessions.login_budget().await.unwrap().of_the_app, Some(true));
    }

    #[tokio::test]
    async fn a_login_that_was_granted_is_not_thrown_away_because_the_lock_of_all_logins_cant_be_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = fleet(&folder, Duration::from_secs(60)).await;
        LoginBudget::forget(sessions.store(), sessions.app()).await.unwrap();
        let call = async {
            // From now on the store fails in it.
            let other = Connection::open(folder.path().join("fleet.db")).unwrap();
            let no_release = "CREATE TRIGGER no_release BEFORE UPDATE ON sessions WHEN NEW.renewer IS NULL \
                              BEGIN SELECT RAISE(ABORT, 'no'); END";
            other.execute_batch(no_release).unwrap();
            Ok(Answer {
                value: (),
                rate: RateHeaders::default(),
                date: None,
                request_id: None,
                elapsed: Duration::ZERO,
            })
        };
        let answer = sessions.with_slot("101", Errand::Login, call).await;
        assert!(matches!(answer, Ok(Ok(_))));
        let release = sessions.store().token_release(ALL_EXTENSIONS, &sessions.worker, Duration::ZERO).await;
        assert!(release.is_err(), "the store did not fail, so this shows nothing");
    }
}
