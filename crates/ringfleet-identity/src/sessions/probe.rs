//! Trying a login for a person who asks what is wrong, beside a fleet that must not notice.

use std::{sync::Arc, time::Duration};

use ringcentral::{
    Answer, AuthBudget, AuthorizeRequest, CallError, Label, LoginPage, LoginState, NoRandomness, Pkce, RateHeaders,
    RedirectUri, Token, TokenOutcome, classify_token,
};
use ringfleet_store::StoreError;

use super::{
    NoSession, Sessions,
    app::Asker,
    budget::{ALL_EXTENSIONS, Errand},
    login::NotIn,
};
use crate::credential::{Credential, Login};

/// What the provider says to one credential.
#[derive(Debug)]
pub enum Tried {
    In(Granted),
    /// With a code of the provider's, or a reason of ours.
    Refused {
        code: String,
    },
    /// A connection that another credential comes before: only its use would tell, and would spend its refresh token.
    StandsBy,
}

/// What a session carries.
#[derive(Debug)]
pub struct Granted {
    /// The permissions of the app.
    pub scope: Vec<Label>,
    /// Whether a refresh token came with it.
    pub refresh: bool,
}

impl Sessions {
    /// Logs in with this credential alone, also if it was refused before, under a slot of the Auth lane. The session of a JWT
    /// or a password is ended again, mostly: the fleet's own is another one, and five may live side by side (documented). A
    /// connection has one session only, so the fleet's is asked for where it is in use.
    ///
    /// # Errors
    /// [`NoSession`] if nothing was learnt of the credential.
    pub async fn try_login(self: &Arc<Self>, credential: &Credential) -> Result<Tried, NoSession> {
        let (extension, print) = (&credential.extension, credential.login.print(&self.app_print));
        if matches!(credential.login, Login::Code { .. }) {
            let first = self.roster.of(extension.as_str()).first().map(|c| c.login.print(&self.app_print));
            if first.as_ref() != Some(&print) {
                return Ok(Tried::StandsBy);
            }
            return match self.get(extension).await {
                Ok(_) => {
                    let scope = credential.facts.scope.iter().filter_map(|word| Label::try_new(word)).collect();
                    Ok(Tried::In(Granted { scope, refresh: true }))
                }
                Err(NoSession::Dead { reason }) => Ok(Tried::Refused { code: first_code(&reason) }),
                Err(other) => Err(other),
            };
        }
        match self.log_in_anew(credential, Asker::Person).await {
            Ok((token, _)) => {
                let granted = Granted { scope: token.scope.clone(), refresh: token.refresh_token.is_some() };
                if !self.needs_all_places().await {
                    // Documented: errors of this call are not worth a repeat. What is left then ends with its hour.
                    let call = self.client.revoke(AuthBudget::Extension(extension), &token.access_token);
                    drop(self.with_slot(extension.as_str(), Errand::Other, call).await);
                }
                Ok(Tried::In(granted))
            }
            Err(NotIn::Refused { code } | NotIn::OfApp { code, .. }) => Ok(Tried::Refused { code }),
            Err(other) => Err(no_session(other)),
        }
    }

    /// Nobody knows whose the budget of logins is, and the fleet is so large that it needs to: only its logins show it, each of which
    /// may then leave one session to end with its hour.
    async fn needs_all_places(&self) -> bool {
        let extensions = self.roster.extensions().len();
        let budget = self.login_budget().await;
        budget
            .is_ok_and(|known| known.of_the_app.is_none() && known.limit.is_some_and(|most| extensions > most as usize))
    }

    /// Whether the fleet remembers it as refused: then it tries it no more until somebody takes that back.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn is_passed_over(&self, credential: &Credential) -> Result<bool, StoreError> {
        let print = credential.login.print(&self.app_print);
        let views = self.store().sessions(&[credential.extension.as_str().to_owned()]).await?;
        Ok(views.iter().flat_map(|view| &view.refused).any(|refused| refused.print == print))
    }

    /// Makes one request of the token endpoint that is no extension's, under a slot of the lane that the app's logins share.
    ///
    /// # Errors
    /// [`NoSession`] if it got no turn.
    pub async fn ask(
        &self,
        call: impl Future<Output = Result<Answer<Token>, CallError>>,
    ) -> Result<TokenOutcome, NoSession> {
        let answer = self.with_slot(ALL_EXTENSIONS, Errand::Other, call).await.map_err(no_session)?;
        Ok(classify_token(&answer))
    }

    /// Shows the login page this app's request, as a browser would.
    ///
    /// # Errors
    /// [`NoSession`] if it got no turn.
    pub async fn ask_login_page(&self, redirect_uri: &RedirectUri) -> Result<Result<LoginPage, CallError>, NoSession> {
        let no_randomness = |error: NoRandomness| NoSession::Dead { reason: error.to_string() };
        let state = LoginState::generate().map_err(no_randomness)?;
        let pkce = Pkce::generate().map_err(no_randomness)?;
        let request = AuthorizeRequest { redirect_uri, state: &state, challenge: Some(&pkce.challenge) };
        let call = async {
            let page = self.client.try_login_page(request).await?;
            Ok(Answer {
                value: page,
                rate: RateHeaders::default(),
                date: None,
                request_id: None,
                elapsed: Default::default(),
            })
        };
        Ok(self.with_slot(ALL_EXTENSIONS, Errand::Other, call).await.map_err(no_session)?.map(|answer| answer.value))
    }
}

fn no_session(no: NotIn) -> NoSession {
    match no {
        NotIn::Refused { code } | NotIn::OfApp { code, .. } => NoSession::Dead { reason: code },
        NotIn::Later { delay } => NoSession::Later { delay },
        NotIn::Unsure => NoSession::Later { delay: Duration::from_secs(2) },
        NotIn::Store(error) => NoSession::Store(error),
    }
}

/// `OAU-211, OAU-473 #print`
fn first_code(reason: &str) -> String {
    reason.split([',', ' ', '#']).next().unwrap_or(reason).to_owned()
}

#[cfg(test)]
mod tests {
    use std::{
        array,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::{
        super::{
            app::tests::{by_jwt, provider, sessions},
            budget::LoginBudget,
        },
        *,
    };

    #[tokio::test]
    async fn a_check_of_a_large_fleet_finds_out_whose_the_budget_is_and_ends_its_sessions_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let ended = Arc::new(AtomicUsize::new(0));
        let seen = ended.clone();
        let client = provider(move |form| {
            seen.fetch_add(usize::from(!form.contains("grant_type")), Ordering::Relaxed);
            None
        });
        let logins: [Credential; 8] = array::from_fn(|n| by_jwt(&(101 + n).to_string()));
        let sessions = sessions(&folder, client, logins.clone()).await;
        LoginBudget::forget(sessions.store(), sessions.app()).await.unwrap();
        for login in &logins {
            let tried = sessions.try_login(login).await;
            assert!(matches!(tried, Ok(Tried::In(_))), "{tried:?}");
        }
        assert_eq!(sessions.login_budget().await.unwrap().of_the_app, Some(false));
        // The app's budget has five.
        assert_eq!(ended.load(Ordering::Relaxed), 3);
    }
}
