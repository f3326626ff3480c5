//! Logging in: each credential of an extension in its turn, until one is taken.

use std::time::{Duration, Instant};

use ringcentral::{
    Answer, AuthBudget, CallError, ConnectFault, ErrorCode, ExtensionId, Password, PasswordGrant, RefreshToken,
    ShortNumber, Token, TokenOptions, TokenOutcome, TransientReason, Username,
};
use ringfleet_store::{Millis, RefusedCredential, StoreError};
use secrecy::ExposeSecret;

use super::{
    LOGIN_OF_ANOTHER, Sessions,
    app::{Admission, Ask, Asker, Grant, outcome_of},
    budget::{BUSY, Errand},
    fetch::Right,
    fresh::Fresh,
};
use crate::{
    credential::{Credential, Login, Method},
    failpoint, metrics,
    moment::Moment,
    vault::VaultError,
};

/// A session that the provider has granted, and only the provider knows yet.
pub(super) struct Granted {
    pub(super) token: Token,
    /// Its life is counted from here.
    pub(super) since: Instant,
    pub(super) login: Login,
    pub(super) print: String,
}

/// Why there is no session by a credential.
pub(super) enum NotIn {
    /// The provider will not take it any more.
    Refused {
        code: String,
    },
    /// The provider will not take the app: no credential is at fault. `of`: see [`super::app`].
    OfApp {
        code: String,
        of: String,
    },
    /// Certainly nothing has changed at the provider.
    Later {
        delay: Duration,
    },
    /// The answer was lost: the old token may be dead.
    Unsure,
    Store(StoreError),
}

impl From<StoreError> for NotIn {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Sessions {
    /// A session by the first credential that is taken. One that was refused is remembered, and not tried again until it
    /// changes.
    pub(super) async fn log_in(&self, right: &mut Right<'_>, credentials: &[Credential]) -> Result<Granted, NotIn> {
        let (mut code, mut of_app) = (String::new(), None);
        for credential in credentials {
            let print = credential.login.print(&self.app_print);
            if right.refused.iter().any(|refused| refused.print == print) {
                continue;
            }
            let began = Instant::now();
            match self.log_in_with(right, credential, &print).await {
                Ok((token, since)) => {
                    if credential.facts.refused.is_some() {
                        self.write_down(credential, &print, None).await;
                    }
                    return Ok(Granted { token, since, login: credential.login.clone(), print });
                }
                Err(NotIn::Refused { code: told }) => {
                    code.clone_from(&told);
                    let refused = RefusedCredential { print, reason: told };
                    self.refuse(right, &refused, began, Some(credential)).await?;
                    right.refused.push(refused);
                }
                // Another way to log in may be one that the app has.
                Err(NotIn::OfApp { code, of }) => of_app = Some((code, of)),
                Err(other) => return Err(other),
            }
        }
        Err(match of_app {
            Some((code, of)) => NotIn::OfApp { code, of },
            None => NotIn::Refused { code },
        })
    }

    pub(super) async fn log_in_with(
        &self,
        right: &Right<'_>,
        credential: &Credential,
        print: &str,
    ) -> Result<(Token, Instant), NotIn> {
        let refresh = right.old.as_ref().filter(|old| old.print == print).and_then(|old| old.refresh.as_ref());
        if let Some(refresh) = refresh {
            match self.refresh(right, refresh).await {
                // A refresh token that is no longer good says nothing of the credential.
                Err(NotIn::Refused { .. } | NotIn::OfApp { .. }) => {}
                other => return other,
            }
        }
        match &credential.login {
            Login::Code { .. } => self.next_of_chain(right, print).await,
            Login::Jwt(_) | Login::Password { .. } => self.log_in_anew(credential, Asker::Fleet).await,
        }
    }

    /// A session beside those that there may be; a connection has none to give.
    pub(super) async fn log_in_anew(&self, credential: &Credential, asker: Asker) -> Result<(Token, Instant), NotIn> {
        let (extension, options) = (&credential.extension, TokenOptions::default());
        let budget = AuthBudget::Extension(extension);
        let malformed = || NotIn::Refused { code: "malformed-credential".to_owned() };
        match &credential.login {
            Login::Jwt(jwt) => {
                let call = self.client.token_by_jwt(budget, jwt, &options);
                self.grant(extension, Ask { grant: Grant::Jwt, asker }, call).await
            }
            Login::Password { username, extension: number, password } => {
                let username = Username::try_new(username).map_err(|_| malformed())?;
                let password = Password::try_new(password.expose_secret()).map_err(|_| malformed())?;
                let number = number.as_deref().map(ShortNumber::try_new).transpose().map_err(|_| malformed())?;
                let grant = PasswordGrant { username: &username, password: &password, extension: number.as_ref() };
                let call = self.client.token_by_password(budget, grant, &options);
                self.grant(extension, Ask { grant: Grant::Password, asker }, call).await
            }
            Login::Code { .. } => Err(malformed()),
        }
    }

    /// Kills the access token before it, so the POSTs under way with that come to their end first.
    async fn refresh(&self, right: &Right<'_>, refresh: &RefreshToken) -> Result<(Token, Instant), NotIn> {
        let (budget, options) = (AuthBudget::Extension(right.extension), TokenOptions::default());
        let mut may = true;
        let call = async {
            may = self.drain(right).await;
            match may {
                true => self.client.token_by_refresh(budget, refresh, &options).await,
                false => Err(CallError::Withheld),
            }
        };
        let granted = self.grant(right.extension, Ask { grant: Grant::Refresh, asker: Asker::Fleet }, call).await;
        // Whoever has the right now renews, or has done so.
        if may { granted } else { Err(NotIn::Later { delay: Duration::ZERO }) }
    }

    /// Refreshes a connection. Its refresh token lies in the credential alone, and is asked for there: this process's roster
    /// may be a moment behind.
    ///
    /// The successor is written down before the access token is handed to anybody: as long as that was never used, the refresh
    /// token before it can be presented again (documented: for 60 minutes; from the first use on for about 10 s), so whoever
    /// dies between the provider's answer and the write costs nothing.
    pub(super) async fn next_of_chain(&self, right: &Right<'_>, print: &str) -> Result<(Token, Instant), NotIn> {
        let extension = right.extension;
        let known = self.newest(extension).await.map_err(not_now)?;
        let Some(known) = known.filter(|known| known.login.print(&self.app_print) == print) else {
            // Taken away or replaced just now; the roster will tell.
            return Err(NotIn::Later { delay: Duration::from_secs(1) });
        };
        let Login::Code { refresh: presented, .. } = &known.login else {
            return Err(NotIn::Refused { code: "malformed-credential".to_owned() });
        };
        let is_presented = |login: &Login| {
            matches!(login, Login::Code { refresh, .. } if refresh.expose() == presented.expose())
                && login.print(&self.app_print) == print
        };
        // Asked before: nothing stands between the answer and its being remembered.
        let now = self.store().now().await?;
        match self.refresh(right, presented).await {
            Ok((token, since)) => {
                let Some(next) = token.refresh_token.clone() else {
                    return Err(NotIn::Refused { code: "no-refresh-token".to_owned() });
                };
                let ends_at = token.refresh_token_expires_in.map(|life| now + life.as_millis() as Millis);
                let (print, presented) = (print.to_owned(), presented.clone());
                let fresh = Fresh { print, presented, next, refreshed_at: now, ends_at, kept_since: None };
                self.advance(extension, fresh).await.map_err(not_now)?;
                Ok((token, since))
            }
            Err(NotIn::Refused { code }) => {
                let now_there = self.vault.get(extension, Method::Code).await.map_err(not_now)?;
                match now_there {
                    Some(credential) if is_presented(&credential.login) => Err(NotIn::Refused { code }),
                    // Somebody else was quicker, and presented it first.
                    _ => Err(NotIn::Unsure),
                }
            }
            other => other,
        }
    }

    /// One request of the token endpoint, under a slot of the Auth lane.
    async fn grant(
        &self,
        extension: &ExtensionId,
        ask: Ask,
        call: impl Future<Output = Result<Answer<Token>, CallError>>,
    ) -> Result<(Token, Instant), NotIn> {
        let (mut admission, mut refused, mut late) = (None, None, false);
        // Asked when it has its slot: logins that waited meanwhile may have found out that the app is refused.
        let admitted = async {
            let asked = Moment::now();
            let admitted = self.admission(ask).await;
            let may = matches!(admitted, Ok(Admission::Free | Admission::Trial { .. }));
            admission = Some(admitted);
            // SEND-SAFETY: (of the plan) as for the slot itself: a process that was stopped meanwhile has lost it.
            late = self.is_late(asked);
            if !may || late {
                return Err(CallError::Withheld);
            }
            let answer = call.await;
            // Told before another one may get its slot.
            if let TokenOutcome::AppDead { code } = outcome_of(&answer, ask.grant) {
                let code = named(code);
                refused = Some(self.app_refused(ask.grant, &code).await.map(|of| NotIn::OfApp { code, of }));
            }
            answer
        };
        let errand = if ask.asker == Asker::Person { Errand::Asked } else { Errand::Login };
        let answer = self.with_slot(extension.as_str(), errand, admitted).await?;
        let outcome = outcome_of(&answer, ask.grant);
        match admission {
            Some(Ok(Admission::Refused { code, of })) => return Err(NotIn::OfApp { code, of }),
            Some(Ok(Admission::Trial { of })) => {
                // A session that was granted must not be thrown away for that; the next trial tells.
                if let Err(error) = self.was_tried(&of, &outcome).await {
                    metrics::store_error("doc_put", &error);
                }
            }
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(Admission::Free)) | None => {}
        }
        if late {
            return Err(NotIn::Later { delay: BUSY });
        }
        if let Some(refused) = refused {
            return Err(refused?);
        }
        match (outcome, answer) {
            (TokenOutcome::Granted, Ok(Answer { value: token, elapsed, .. })) => {
                failpoint::hit("refresh.after_response");
                self.told_of_failing.is_over(extension);
                let owner = token.owner_id.as_ref();
                if owner.is_some_and(|owner| owner.as_str() != extension.as_str()) {
                    // SEND-SAFETY: texts of this lane would leave from somebody else's extension.
                    return Err(NotIn::Refused { code: LOGIN_OF_ANOTHER.to_owned() });
                }
                let now = Instant::now();
                Ok((token, now.checked_sub(elapsed).unwrap_or(now)))
            }
            (TokenOutcome::CredentialDead { code } | TokenOutcome::AppDead { code }, _) => {
                Err(NotIn::Refused { code: named(code) })
            }
            (TokenOutcome::Throttled { after, .. }, _) => Err(NotIn::Later { delay: after }),
            (TokenOutcome::Granted, Err(_)) => Err(NotIn::Unsure),
            (TokenOutcome::Transient { reason }, _) => {
                if self.told_of_failing.is_news(extension.clone(), &reason.to_string()) {
                    tracing::warn!(extension.id = extension.as_str(), %reason, "no login; it is tried again");
                }
                match reason {
                    TransientReason::Connect(
                        ConnectFault::Dns | ConnectFault::Refused | ConnectFault::Timeout | ConnectFault::Tls,
                    ) => Err(NotIn::Later { delay: Duration::from_secs(2) }),
                    _ => Err(NotIn::Unsure),
                }
            }
        }
    }
}

fn named(code: Option<ErrorCode>) -> String {
    code.map_or_else(|| "no-code".to_owned(), |code| code.as_str().to_owned())
}

/// The credential can't be read or written now.
fn not_now(error: VaultError) -> NotIn {
    match error {
        VaultError::Store(error) => NotIn::Store(error),
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "a connection can't be renewed");
            NotIn::Unsure
        }
    }
}
