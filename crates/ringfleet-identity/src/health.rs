//! How the fleet's logins stand, for operators: counted, never an extension's secret.

use std::collections::BTreeMap;

use ringcentral::ExtensionId;
use ringfleet_store::{Millis, SessionView, SharedStore, StoreError};

use crate::credential::{AppPrint, Credential, Method};

/// The session of one extension.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SessionState {
    Good,
    /// Lives, and is renewed by the next message that needs it.
    Ending,
    /// None: the next message logs in.
    None,
    /// Every credential was refused; one that lives is used to its end.
    Refused,
}

/// A connection's refresh token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConnectionState {
    Good,
    /// To be refreshed now, whether or not a message needs it: no worker has a reason to wait any longer.
    Due,
    /// It has run out: its employee has to connect the extension again.
    Ended,
    Refused,
}

impl SessionState {
    pub const ALL: [Self; 4] = [Self::Good, Self::Ending, Self::None, Self::Refused];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Ending => "ending",
            Self::None => "none",
            Self::Refused => "refused",
        }
    }
}

impl ConnectionState {
    pub const ALL: [Self; 4] = [Self::Good, Self::Due, Self::Ended, Self::Refused];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Due => "due",
            Self::Ended => "ended",
            Self::Refused => "refused",
        }
    }
}

/// A credential that the provider will not take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedLogin {
    pub extension: ExtensionId,
    pub method: Method,
    /// A code of the provider, or a reason of ours.
    pub code: String,
}

/// All extensions that the fleet has a credential for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Health {
    pub sessions: BTreeMap<ExtensionId, SessionState>,
    pub connections: Vec<ConnectionState>,
    /// When the first of the good connections ends, if nobody refreshes it.
    pub first_end: Option<Millis>,
    pub refused: Vec<RefusedLogin>,
}

impl Health {
    /// Reads how the sessions of `credentials` stand; those that are switched off are left out.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn read(store: &SharedStore, credentials: &[Credential], app: &AppPrint) -> Result<Self, StoreError> {
        let mut by_extension: BTreeMap<&ExtensionId, Vec<&Credential>> = BTreeMap::new();
        for credential in credentials.iter().filter(|credential| credential.enabled) {
            by_extension.entry(&credential.extension).or_default().push(credential);
        }
        let names: Vec<String> = by_extension.keys().map(|extension| extension.as_str().to_owned()).collect();
        let views = store.sessions(&names).await?;
        let now = store.now().await?;
        let mut health = Self::default();
        for ((extension, credentials), view) in by_extension.into_iter().zip(views) {
            let state = health.add(&credentials, &view, app, now);
            health.sessions.insert(extension.clone(), state);
        }
        Ok(health)
    }

    pub fn sessions(&self, state: SessionState) -> usize {
        self.sessions.values().filter(|one| **one == state).count()
    }

    pub fn connections(&self, state: ConnectionState) -> usize {
        self.connections.iter().filter(|one| **one == state).count()
    }

    fn add(&mut self, credentials: &[&Credential], view: &SessionView, app: &AppPrint, now: Millis) -> SessionState {
        let mut usable = false;
        for credential in credentials {
            let code = refusal(credential, view, app);
            usable |= code.is_none();
            if let Some(chain) = credential.chain() {
                let state = match code {
                    Some(_) => ConnectionState::Refused,
                    None if chain.ends_at <= now => ConnectionState::Ended,
                    None if chain.late_at <= now => ConnectionState::Due,
                    None => ConnectionState::Good,
                };
                if matches!(state, ConnectionState::Good | ConnectionState::Due) {
                    self.first_end = Some(self.first_end.map_or(chain.ends_at, |first| first.min(chain.ends_at)));
                }
                self.connections.push(state);
            }
            self.refused.extend(code.map(|code| RefusedLogin {
                extension: credential.extension.clone(),
                method: credential.login.method(),
                code,
            }));
        }
        match (view.lives.is_zero(), view.renew_in.is_zero()) {
            // Also while a session lives: the provider may have ended it with the credential, and nobody can renew it.
            _ if !usable => SessionState::Refused,
            (false, false) => SessionState::Good,
            (false, true) => SessionState::Ending,
            (true, _) => SessionState::None,
        }
    }
}

/// What the session's record says of a credential, or what stands in the credential itself.
fn refusal(credential: &Credential, view: &SessionView, app: &AppPrint) -> Option<String> {
    let print = credential.login.print(app);
    let told = view.refused.iter().find(|refused| refused.print == print).map(|refused| refused.reason.clone());
    told.or_else(|| credential.refused(app).map(|refused| refused.code.clone()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ringcentral::{Jwt, RefreshToken};
    use ringfleet_store::RefusedCredential;

    use super::*;
    use crate::credential::{Facts, Login, Source};

    const NOW: Millis = 1_000_000;

    fn credential(login: Login, facts: Facts) -> Credential {
        let extension = ExtensionId::try_new("101").unwrap();
        Credential { extension, login, prefer: 10, enabled: true, source: Source::Store { rev: 1 }, facts }
    }

    fn jwt() -> Credential {
        credential(Login::Jwt(Jwt::try_new("j").unwrap()), Facts::default())
    }

    fn connection(refreshed_at: Millis, ends_at: Millis) -> Credential {
        let login = Login::Code { connection: "c".to_owned(), refresh: RefreshToken::try_new("r").unwrap() };
        let facts = Facts { refreshed_at: Some(refreshed_at), ends_at: Some(ends_at), ..Facts::default() };
        credential(login, facts)
    }

    fn view(lives: u64, renew_in: u64) -> SessionView {
        let (lives, renew_in) = (Duration::from_secs(lives), Duration::from_secs(renew_in));
        SessionView { generation: 7, lives, renew_in, ..SessionView::default() }
    }

    #[test]
    fn a_session_is_good_until_it_is_to_be_renewed_and_refused_only_without_another_way() {
        let app = AppPrint::of("id", "secret");
        let state =
            |credentials: &[&Credential], view: &SessionView| Health::default().add(credentials, view, &app, NOW);
        let (first, second) = (jwt(), connection(NOW, 2 * NOW));
        assert_eq!(state(&[&first], &view(9, 5)), SessionState::Good);
        assert_eq!(state(&[&first], &view(4, 0)), SessionState::Ending);
        assert_eq!(state(&[&first], &view(0, 0)), SessionState::None);
        let print = first.login.print(&app);
        let refused = vec![RefusedCredential { print, reason: "OAU-211".to_owned() }];
        let refused = SessionView { refused, ..view(0, 0) };
        assert_eq!(state(&[&first], &refused), SessionState::Refused);
        assert_eq!(state(&[&first, &second], &refused), SessionState::None);
        let living = SessionView { refused: refused.refused.clone(), ..view(9, 5) };
        assert_eq!(state(&[&first], &living), SessionState::Refused, "it ends, and there is no other way");
        assert_eq!(state(&[&first, &second], &living), SessionState::Good);
        let mut health = Health::default();
        health.add(&[&first, &second], &refused, &app, NOW);
        assert_eq!((health.refused.len(), health.refused[0].code.as_str()), (1, "OAU-211"));
    }

    #[test]
    fn a_connection_is_good_then_due_then_ended() {
        let app = AppPrint::of("id", "secret");
        let mut health = Health::default();
        for (refreshed_at, ends_at) in [(NOW - 10, NOW + 90), (NOW - 90, NOW + 10), (NOW - 200, NOW - 1)] {
            health.add(&[&connection(refreshed_at, ends_at)], &view(0, 0), &app, NOW);
        }
        assert_eq!(health.connections, [ConnectionState::Good, ConnectionState::Due, ConnectionState::Ended]);
        assert_eq!(health.first_end, Some(NOW + 10));
    }

    #[test]
    fn a_connection_is_due_when_the_last_of_the_workers_would_have_refreshed_it_and_not_before() {
        let app = AppPrint::of("id", "secret");
        let connection = connection(0, 1_000_000);
        let chain = connection.chain().unwrap();
        assert_eq!(chain.late_at - chain.due_at, 50_000, "a worker comes up to a twentieth of the life later");
        let state = |now| {
            let mut health = Health::default();
            health.add(&[&connection], &view(0, 0), &app, now);
            health.connections[0]
        };
        assert_eq!(state(chain.due_at), ConnectionState::Good);
        assert_eq!(state(chain.late_at - 1), ConnectionState::Good);
        assert_eq!(state(chain.late_at), ConnectionState::Due);
    }
}
