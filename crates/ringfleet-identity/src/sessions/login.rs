//! Logging in: each credential of an extension in its turn, until one is taken.

use std::time::Duration;

use ringcentral::{
    Answer, AuthBudget, CallError, ExtensionId, Password, PasswordGrant, RefreshToken, ShortNumber, Token,
    TokenOptions, TokenOutcome, Username, classify_token,
};
use ringfleet_store::Millis;
use secrecy::ExposeSecret;

use super::{NoSession, Sessions, kept::Kept, lock};
use crate::{
    credential::{Credential, Login, Method, Refused, Source},
    failpoint, metrics,
    vault::VaultError,
};

/// Why one credential gave no session.
pub(super) enum NotIn {
    /// The provider will not take it any more.
    Refused { code: String },
    /// Not the credential's fault, so the next one would fare no better.
    No(NoSession),
}

impl From<NoSession> for NotIn {
    fn from(no: NoSession) -> Self {
        Self::No(no)
    }
}

impl Sessions {
    /// A session by the first credential that is taken. One that was refused is remembered, and not tried again until it
    /// changes.
    pub(super) async fn log_in(
        &self,
        extension: &ExtensionId,
        credentials: &[Credential],
        old: Option<Kept>,
    ) -> Result<(Token, Kept), NoSession> {
        let print = |credential: &Credential| credential.login.print(&self.app_print);
        let known = |credential: &Credential| {
            let written = credential.refused(&self.app_print).map(|refused| refused.code.clone());
            written.or_else(|| lock(&self.refused).get(&print(credential)).cloned())
        };
        let mut codes: Vec<String> = credentials.iter().filter_map(known).collect();
        // The store has not given the extension up, so somebody has let it go on: all are tried once more.
        let again = codes.len() == credentials.len();
        codes.retain(|_| !again);
        for credential in credentials.iter().filter(|credential| again || known(credential).is_none()) {
            let print = print(credential);
            let refresh = old.as_ref().filter(|old| old.print == print).and_then(|old| old.refresh.as_ref());
            match self.log_in_with(credential, &print, refresh).await {
                Ok(token) => {
                    lock(&self.refused).remove(&print);
                    if credential.facts.refused.is_some() {
                        self.write_down(credential, &print, None).await;
                    }
                    let kept = Kept::new(&token, &credential.login, &print);
                    return Ok((token, kept));
                }
                Err(NotIn::No(no)) => return Err(no),
                Err(NotIn::Refused { code }) => {
                    metrics::token("dead");
                    let (name, method) = (extension.as_str(), credential.login.method().as_str());
                    tracing::error!(extension.id = name, method, rc.error_code = %code, "credential refused");
                    lock(&self.refused).insert(print.clone(), code.clone());
                    self.write_down(credential, &print, Some(code.clone())).await;
                    codes.push(code);
                }
            }
        }
        codes.dedup();
        Err(NoSession::Dead { reason: codes.join(", ") })
    }

    async fn log_in_with(
        &self,
        credential: &Credential,
        print: &str,
        refresh: Option<&RefreshToken>,
    ) -> Result<Token, NotIn> {
        let (budget, options) = (AuthBudget::Extension(&credential.extension), TokenOptions::default());
        let extension = &credential.extension;
        if let Some(refresh) = refresh {
            let call = self.client.token_by_refresh(budget, refresh, &options);
            match self.grant(extension, call).await {
                // A refresh token that is no longer good says nothing of the credential.
                Err(NotIn::Refused { .. }) => {}
                other => return other,
            }
        }
        let token = match &credential.login {
            Login::Jwt(jwt) => self.grant(extension, self.client.token_by_jwt(budget, jwt, &options)).await?,
            Login::Password { username, extension: number, password } => {
                let malformed = || NotIn::Refused { code: "malformed-credential".to_owned() };
                let username = Username::try_new(username).map_err(|_| malformed())?;
                let password = Password::try_new(password.expose_secret()).map_err(|_| malformed())?;
                let number = number.as_deref().map(ShortNumber::try_new).transpose().map_err(|_| malformed())?;
                let grant = PasswordGrant { username: &username, password: &password, extension: number.as_ref() };
                self.grant(extension, self.client.token_by_password(budget, grant, &options)).await?
            }
            Login::Code { .. } => return self.next_of_chain(extension, print).await,
        };
        Ok(token)
    }

    /// Refreshes a connection. Its refresh token lies in the credential alone, and is asked for there: this process's roster
    /// may be a moment behind.
    async fn next_of_chain(&self, extension: &ExtensionId, print: &str) -> Result<Token, NotIn> {
        let known = self.vault.get(extension, Method::Code).await.map_err(not_now)?;
        let Some(known) = known.filter(|known| known.login.print(&self.app_print) == print) else {
            // Taken away or replaced just now; the roster will tell.
            return Err(NotIn::No(NoSession::Later { delay: Duration::from_secs(1) }));
        };
        let Login::Code { refresh: presented, .. } = &known.login else {
            return Err(NotIn::Refused { code: "malformed-credential".to_owned() });
        };
        let (budget, options) = (AuthBudget::Extension(extension), TokenOptions::default());
        let granted = self.grant(extension, self.client.token_by_refresh(budget, presented, &options)).await;
        let now = self.store().now().await.map_err(NoSession::Store)?;
        let is_presented = |login: &Login| {
            matches!(login, Login::Code { refresh, .. } if refresh.expose() == presented.expose())
                && login.print(&self.app_print) == print
        };
        match granted {
            Ok(token) => {
                let Some(next) = token.refresh_token.clone() else {
                    return Err(NotIn::Refused { code: "no-refresh-token".to_owned() });
                };
                let ends_at = token.refresh_token_expires_in.map(|life| now + life.as_millis() as Millis);
                let advance = |credential: &mut Credential| {
                    if !is_presented(&credential.login) {
                        return false;
                    }
                    if let Login::Code { refresh, .. } = &mut credential.login {
                        *refresh = next.clone();
                    }
                    credential.facts.ends_at = ends_at;
                    credential.facts.refused = None;
                    true
                };
                // Before the access token is used: until then the old refresh token can be presented again.
                self.vault.change(extension, Method::Code, advance).await.map_err(not_now)?;
                Ok(token)
            }
            Err(NotIn::Refused { code }) => {
                let now_there = self.vault.get(extension, Method::Code).await.map_err(not_now)?;
                match now_there {
                    Some(credential) if is_presented(&credential.login) => Err(NotIn::Refused { code }),
                    // Somebody else was quicker, and presented it first.
                    _ => Err(NotIn::No(NoSession::Later { delay: Duration::from_millis(50) })),
                }
            }
            other => other,
        }
    }

    /// One request of the token endpoint, under a slot of the Auth lane.
    async fn grant(
        &self,
        extension: &ExtensionId,
        call: impl Future<Output = Result<Answer<Token>, CallError>>,
    ) -> Result<Token, NotIn> {
        let answer = self.with_slot(extension, call).await?;
        let outcome = classify_token(&answer);
        match (outcome, answer) {
            (TokenOutcome::Granted, Ok(Answer { value: token, .. })) => {
                failpoint::hit("refresh.after_response");
                let owner = token.owner_id.as_ref();
                if owner.is_some_and(|owner| owner.as_str() != extension.as_str()) {
                    // SEND-SAFETY: texts of this lane would leave from somebody else's extension.
                    return Err(NotIn::Refused { code: "login-of-another-extension".to_owned() });
                }
                Ok(token)
            }
            (TokenOutcome::CredentialDead { code } | TokenOutcome::AppDead { code }, _) => {
                Err(NotIn::Refused { code: code.map_or_else(|| "no-code".to_owned(), |code| code.as_str().to_owned()) })
            }
            (TokenOutcome::Throttled { after, .. }, _) => Err(NoSession::Later { delay: after }.into()),
            (TokenOutcome::Granted, Err(_)) => Err(NoSession::Later { delay: Duration::from_secs(2) }.into()),
            (TokenOutcome::Transient { reason }, _) => {
                tracing::warn!(extension.id = extension.as_str(), %reason, "no login; it is tried again");
                Err(NoSession::Later { delay: Duration::from_secs(2) }.into())
            }
        }
    }

    /// Tells the operator, and the processes that start later, whether a credential of the store was refused.
    async fn write_down(&self, credential: &Credential, print: &str, code: Option<String>) {
        if credential.source == Source::File {
            return;
        }
        let Ok(at) = self.store().now().await else { return };
        let refused = code.map(|code| Refused { print: print.to_owned(), code, at });
        let note = |known: &mut Credential| {
            let same = known.login.print(&self.app_print) == print;
            if same {
                known.facts.refused = refused.clone();
            }
            same
        };
        if let Err(error) = self.vault.change(&credential.extension, credential.login.method(), note).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refusal could not be written down");
        }
    }

    /// A refresh that fails and a login after it.
    pub(super) fn login_deadline(&self) -> Duration {
        let config = self.client.config();
        (config.connect_timeout + config.total_timeout) * 2
    }
}

/// The credential can't be read or written now.
fn not_now(error: VaultError) -> NotIn {
    NotIn::No(match error {
        VaultError::Store(error) => NoSession::Store(error),
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "a connection can't be renewed");
            NoSession::Later { delay: Duration::from_secs(5) }
        }
    })
}
