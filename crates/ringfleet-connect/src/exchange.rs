//! What a browser brought back from the provider becomes a credential of the fleet.

use std::time::Duration;

use ringcentral::{
    AccessToken, AuthBudget, AuthorizationCode, CallError, CodeGrant, ExtensionId, Label, RefreshToken, ShortNumber,
    Token, TokenOptions, TokenOutcome, classify_token,
};
use ringfleet_identity::{AppPrint, Credential, Facts, Login, Method, Source, Vault, VaultError};
use ringfleet_store::Millis;

use crate::{login::Taken, provider::Provider, trouble::Trouble};

/// A connection that can't be made has not used the code up; a look into the store may be repeated anyway.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// Permissions that are kept of a connection. The provider has some sixty; a list without end would not fit into its document,
/// and the employee could never connect.
const MOST_PERMISSIONS: usize = 200;
/// The permission without which nothing can be sent.
const TEXTING: &str = "SMS";

/// An extension that is connected now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connected {
    pub(crate) extension: ExtensionId,
    /// The number that colleagues dial, where the provider told it.
    pub(crate) number: Option<ShortNumber>,
    pub(crate) can_text: bool,
}

/// What it takes to finish a login.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) provider: Provider,
    pub(crate) vault: Vault,
    /// The only account whose extensions may be connected.
    pub(crate) account: Option<ringcentral::AccountId>,
}

impl Exchange {
    /// Exchanges the code and keeps what comes of it. A session that may not be kept is ended again.
    pub(crate) async fn finish(&self, login: &Taken, code: &AuthorizationCode) -> Result<Connected, Trouble> {
        let token = self.token(login, code).await?;
        let owner = token.owner_id.clone().ok_or(Trouble::NoOwner)?;
        let (credential, number) = match self.credential(login, &owner, &token).await {
            Ok(made) => made,
            Err(trouble) => return Err(self.end(&owner, &token, trouble).await),
        };
        let mut before = None;
        if let Err(error) = self.keep(&credential, &mut before).await {
            match self.is_kept(&credential, &error).await {
                Some(true) => {}
                Some(false) => return Err(self.end(&owner, &token, error.into()).await),
                // Its session is left alone: ended, it would be a connection with which nobody can log in.
                None => return Err(error.into()),
            }
        }
        self.end_session_before(&owner, before).await;
        let can_text = token.scope.is_empty() || token.has_scope(TEXTING);
        Ok(Connected { extension: owner, number, can_text })
    }

    /// Keeps the new connection in the place of the one before, which `before` is told. What operators have set stays: an
    /// employee who connects anew does not undo a switch-off.
    async fn keep(&self, new: &Credential, before: &mut Option<Credential>) -> Result<(), VaultError> {
        let any = AppPrint::of("", "");
        let replace = |there: &mut Credential| {
            // A writing whose answer was lost meets itself.
            if there.login.print(&any) == new.login.print(&any) {
                return false;
            }
            let (prefer, enabled) = (there.prefer, there.enabled);
            *before = Some(std::mem::replace(there, Credential { prefer, enabled, ..new.clone() }));
            true
        };
        match self.vault.change(&new.extension, Method::Code, replace).await {
            // There was none, or one that can't be read: that is replaced all the same.
            Ok(None) | Err(VaultError::Record { .. }) => self.vault.put(new).await.map(drop),
            replaced => replaced.map(drop),
        }
    }

    /// Ends a session of which nothing is kept. How well that went changes nothing of what the person is told.
    async fn end(&self, owner: &ExtensionId, token: &Token, trouble: Trouble) -> Trouble {
        let _ = self.provider.revoke(owner, &token.access_token).await;
        trouble
    }

    /// Whether a credential lies in the store although the writing of it failed: the answer may have been lost. `None`: nobody
    /// can say.
    async fn is_kept(&self, credential: &Credential, error: &VaultError) -> Option<bool> {
        let VaultError::Store(_) = error else { return Some(false) };
        let any = AppPrint::of("", "");
        for _ in 0..TRIES {
            match self.vault.get(&credential.extension, Method::Code).await {
                Ok(found) => {
                    return Some(found.is_some_and(|found| found.login.print(&any) == credential.login.print(&any)));
                }
                Err(VaultError::Store(_)) => tokio::time::sleep(PAUSE).await,
                // Ours can be opened.
                Err(_) => return Some(false),
            }
        }
        None
    }

    async fn token(&self, login: &Taken, code: &AuthorizationCode) -> Result<Token, Trouble> {
        let grant = CodeGrant { code, redirect_uri: &login.redirect_uri, verifier: Some(&login.verifier) };
        let options = TokenOptions::default();
        let shared = self.provider.shared_logins().await?;
        let user = login.stand_in()?;
        let budget = if shared.is_some() { AuthBudget::App } else { AuthBudget::Extension(&user) };
        let mut tries = 1;
        loop {
            let call = self.provider.client.token_by_code(budget, grant, &options);
            let answer = self.provider.log_in(shared.as_ref(), call).await?;
            if let Err(CallError::Connect { .. }) = answer
                && tries < TRIES
            {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let outcome = classify_token(&answer);
            return answer.map(|answer| answer.value).map_err(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "a code could not be exchanged");
                refused(outcome, login.redirect_uri.as_str())
            });
        }
    }

    /// What is to be kept, and the number that colleagues dial.
    async fn credential(
        &self,
        login: &Taken,
        owner: &ExtensionId,
        token: &Token,
    ) -> Result<(Credential, Option<ShortNumber>), Trouble> {
        if let Some(invited) = login.invited.as_ref().filter(|invited| *invited != owner) {
            return Err(Trouble::OtherExtension { invited: invited.clone(), signed_in: owner.clone() });
        }
        let refresh = token.refresh_token.clone().ok_or(Trouble::NoRefreshToken)?;
        let number = self.look_at(owner, &token.access_token).await?;
        let now = self.vault.store().now().await?;
        let lives = token.refresh_token_expires_in.map(|lives| lives.as_millis() as Millis);
        let credential = Credential {
            extension: owner.clone(),
            login: Login::Code { connection: new_connection(), refresh },
            prefer: Method::Code.usual_preference(),
            enabled: true,
            source: Source::File,
            facts: Facts {
                added_at: now,
                refreshed_at: Some(now),
                ends_at: lives.map(|lives| now + lives),
                scope: token.scope.iter().take(MOST_PERMISSIONS).map(|word| word.as_str().to_owned()).collect(),
                refused: None,
            },
        };
        Ok((credential, number))
    }

    /// Reads the extension once, with its own new token: for its short number and, where only one account may be connected,
    /// for its account.
    async fn look_at(&self, owner: &ExtensionId, token: &AccessToken) -> Result<Option<ShortNumber>, Trouble> {
        let read = self.provider.extension(owner, token).await;
        let Some(expected) = &self.account else {
            return Ok(read.ok().and_then(Result::ok).and_then(|answer| answer.value.extension_number));
        };
        match read? {
            Ok(answer) if answer.value.account.as_ref().is_some_and(|account| account.id == *expected) => {
                Ok(answer.value.extension_number)
            }
            Ok(answer) if answer.value.account.is_some() => Err(Trouble::OtherAccount),
            Ok(_) => Err(Trouble::AccountUnread { code: None }),
            Err(error) => {
                let code = error.provider().and_then(|error| error.code.clone());
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the account of a new connection can't be read"
                );
                Err(Trouble::AccountUnread { code })
            }
        }
    }

    /// About five sessions of a user may live at a time, and a further one ends the oldest, wanted or not.
    async fn end_session_before(&self, owner: &ExtensionId, before: Option<Credential>) {
        let Some(Login::Code { refresh, .. }) = before.map(|before| before.login) else { return };
        if let Some(token) = as_revocable(&refresh) {
            let _ = self.provider.revoke(owner, &token).await;
        }
    }
}

/// The revoke call takes either token of a session, and ends both.
pub(crate) fn as_revocable(refresh: &RefreshToken) -> Option<AccessToken> {
    AccessToken::try_new(refresh.expose()).ok()
}

/// What a token call that granted nothing means for the person before the page.
fn refused(outcome: TokenOutcome, redirect_uri: &str) -> Trouble {
    let (code, of_app) = match outcome {
        TokenOutcome::CredentialDead { code } => (code, false),
        TokenOutcome::AppDead { code } => (code, true),
        TokenOutcome::Throttled { after, .. } => return Trouble::Busy { wait: after },
        TokenOutcome::Transient { .. } | TokenOutcome::Granted => return Trouble::ProviderAway,
    };
    let known = code.as_ref().map_or("-", Label::as_str).to_owned();
    match (known.as_str(), code) {
        ("OAU-109" | "OAU-113", Some(code)) => Trouble::RedirectUri { code, uri: redirect_uri.to_owned() },
        ("OAU-108", Some(code)) => Trouble::CodeExpired { code },
        ("OAU-106" | "OAU-110", Some(code)) => Trouble::CodeRefused { code },
        (_, code) if of_app => Trouble::App { code },
        (_, code) => Trouble::User { code },
    }
}

/// Names a chain of refresh tokens; nothing can be done with the name.
fn new_connection() -> String {
    let bytes: [u8; 8] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
