//! What the provider says of the app itself: with a wrong secret, or a grant that the app lacks, every login of every extension
//! would be refused. The first one that is tells the fleet, by a document, and nobody else tries; after ten minutes one login
//! does, so that an app which was mended in the developer console goes on by itself.
//!
//! A refusal names the app's id and secret, so that it does not hold for a process that has others.

use ringcentral::{Answer, CallError, TokenOutcome, classify_token};
use ringfleet_store::{DocKind, Expect, Millis, Put, SharedStore, StoreError};
use serde::{Deserialize, Serialize};

use super::Sessions;
use crate::{
    credential::{AppPrint, Credential, Login},
    metrics,
};

#[cfg(test)]
pub(super) mod tests;

/// One login tries so often whether it is over, and after this time if nothing has decided the last try.
const AGAIN: Millis = 600_000;
const UNDECIDED: Millis = 60_000;
/// Refusals that are remembered; secrets come and go.
const MOST: usize = 8;
/// Changes of the document by others in a row, after which a process leaves it to the next refusal.
const TRIES: u32 = 8;
/// Codes that are about one grant: the app may have another (documented and seen by users).
const OF_GRANT: [&str; 6] = ["OAU-112", "OAU-125", "OAU-151", "OAU-250", "OAU-251", "OAU-270"];

/// The wrong app (documented), which is the credential's fault where it is a refresh token: this one is of another app. The
/// simulator answers so after a change of the client id; what RingCentral does is not known.
const OF_ANOTHER_APP: &str = "OAU-121";

/// How a login asks: what an app can have or lack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grant {
    Jwt,
    Password,
    Refresh,
}

impl Grant {
    /// How this login asks; that of a connection is its refresh token.
    fn of(login: &Login) -> Self {
        match login {
            Login::Jwt(_) => Grant::Jwt,
            Login::Code { .. } => Grant::Refresh,
            Login::Password { .. } => Grant::Password,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Grant::Jwt => "jwt",
            Grant::Password => "password",
            Grant::Refresh => "refresh",
        }
    }
}

/// What became of a login. A connection that was left over from another app must not stop the logins of all.
pub(super) fn outcome_of<T>(answer: &Result<Answer<T>, CallError>, grant: Grant) -> TokenOutcome {
    match classify_token(answer) {
        TokenOutcome::AppDead { code: Some(code) } if grant == Grant::Refresh && code.as_str() == OF_ANOTHER_APP => {
            TokenOutcome::CredentialDead { code: Some(code) }
        }
        outcome => outcome,
    }
}

/// Who wants to log in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    Fleet,
    /// Wants to know what the provider says now.
    Person,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) grant: Grant,
    pub(super) asker: Asker,
}

/// Whether a login may be made, as far as the app is concerned.
pub(super) enum Admission {
    Free,
    /// To find out whether a refusal is over.
    Trial {
        of: String,
    },
    Refused {
        code: String,
        of: String,
    },
}

/// How a refusal of the app stands now, for one extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppStanding {
    /// It is over, or about another secret than this process has, or the extension has a login that it does not concern.
    Open,
    Refused,
    /// One login may try.
    DueForTrial,
}

#[derive(Serialize, Deserialize, Default)]
struct Refusals(Vec<AppRefusal>);

/// The provider has refused the app, for all logins or for those of one grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AppRefusal {
    /// The app's print, and the grant if it is about one.
    of: String,
    pub code: String,
    pub at: Millis,
    /// When a login tries whether it is over.
    pub again_at: Millis,
}

impl AppRefusal {
    /// All that hold for the app with this id and secret.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn all(store: &SharedStore, app: &str, print: &AppPrint) -> Result<Vec<Self>, StoreError> {
        let (_, Refusals(mut all)) = Refusals::read(store, app).await?;
        all.retain(|refusal| refusal.of.starts_with(&print.short()));
        Ok(all)
    }
}

impl Refusals {
    async fn read(store: &SharedStore, app: &str) -> Result<(Expect, Self), StoreError> {
        let doc = store.doc_get(DocKind::Setting, &key(app)).await?;
        let expect = doc.as_ref().map_or(Expect::Absent, |doc| Expect::Rev(doc.rev));
        // One that can't be read is as good as none: a login tells.
        Ok((expect, doc.and_then(|doc| serde_json::from_slice(&doc.body).ok()).unwrap_or_default()))
    }
}

fn key(app: &str) -> String {
    format!("{app}/app-refused")
}

impl Sessions {
    /// Asked once for each login, just before it: whoever is told [`Admission::Trial`] is the one that tries.
    pub(super) async fn admission(&self, Ask { grant, asker }: Ask) -> Result<Admission, StoreError> {
        let (expect, mut all) = self.refusals().await?;
        let keys = self.concerning(grant);
        let Some(refusal) = all.0.iter_mut().find(|refusal| keys.contains(&refusal.of)) else {
            return Ok(Admission::Free);
        };
        let (code, of) = (refusal.code.clone(), refusal.of.clone());
        let now = self.store().now().await?;
        if now < refusal.again_at && asker == Asker::Fleet {
            return Ok(Admission::Refused { code, of });
        }
        refusal.again_at = now + AGAIN;
        Ok(if self.write_refusals(expect, &all).await? {
            Admission::Trial { of }
        } else {
            Admission::Refused { code, of }
        })
    }

    /// The provider has refused the app. Gives what the refusal is of. Whoever tells it first raises the one alert.
    pub(super) async fn app_refused(&self, grant: Grant, code: &str) -> Result<String, StoreError> {
        let of = if OF_GRANT.contains(&code) { self.of_grant(grant) } else { self.app_print.short() };
        for _ in 0..TRIES {
            let (expect, mut all) = self.refusals().await?;
            if all.0.iter().any(|refusal| refusal.of == of) {
                return Ok(of);
            }
            let at = self.store().now().await?;
            all.0.push(AppRefusal { of: of.clone(), code: code.to_owned(), at, again_at: at + AGAIN });
            let oldest = all.0.len().saturating_sub(MOST);
            all.0.drain(..oldest);
            if self.write_refusals(expect, &all).await? {
                metrics::token("app_refused");
                tracing::error!(
                    app = self.app(),
                    rc.error_code = code,
                    grant = grant.as_str(),
                    "the provider refuses the app: nobody logs in with it until its id, secret, grants or server are mended"
                );
                return Ok(of);
            }
        }
        Ok(of)
    }

    /// A login has tried whether the refusal `of` is over; `outcome` became of it.
    pub(super) async fn was_tried(&self, of: &str, outcome: &TokenOutcome) -> Result<(), StoreError> {
        let is_whole = of == self.app_print.short();
        let again_in = match outcome {
            TokenOutcome::Granted => None,
            // Whether it speaks of the connection or of the app is not known: see there.
            TokenOutcome::CredentialDead { code: Some(code) } if code.as_str() == OF_ANOTHER_APP => Some(UNDECIDED),
            // Whoever judges a credential or a grant has taken the app's id and secret.
            TokenOutcome::CredentialDead { .. } if is_whole => None,
            TokenOutcome::AppDead { code: Some(code) } if is_whole && OF_GRANT.contains(&code.as_str()) => None,
            TokenOutcome::AppDead { .. } => return Ok(()),
            // Which of the two is judged first is not known: the next login tells.
            TokenOutcome::CredentialDead { .. } => Some(0),
            TokenOutcome::Throttled { .. } | TokenOutcome::Transient { .. } => Some(UNDECIDED),
        };
        for _ in 0..TRIES {
            let (expect, mut all) = self.refusals().await?;
            match again_in {
                None => all.0.retain(|refusal| refusal.of != of),
                Some(wait) => {
                    let again_at = self.store().now().await? + wait;
                    all.0.iter_mut().filter(|refusal| refusal.of == of).for_each(|one| one.again_at = again_at);
                }
            }
            if self.write_refusals(expect, &all).await? {
                if again_in.is_none() {
                    tracing::info!(app = self.app(), "the provider takes the app again");
                }
                break;
            }
        }
        Ok(())
    }

    /// `of`: what stands in the reason for which the lane of `extension` was parked.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn app_standing(&self, extension: &str, of: &str) -> Result<AppStanding, StoreError> {
        if !of.starts_with(&self.app_print.short()) {
            return Ok(AppStanding::Open);
        }
        let (_, all) = self.refusals().await?;
        let Some(refusal) = all.0.iter().find(|refusal| refusal.of == of) else { return Ok(AppStanding::Open) };
        if self.has_way_beside(extension, &all).await? {
            return Ok(AppStanding::Open);
        }
        let due = self.store().now().await? >= refusal.again_at;
        Ok(if due { AppStanding::DueForTrial } else { AppStanding::Refused })
    }

    /// Whether the extension has a login that none of these refusals concerns, and that was not refused itself. An employee may
    /// have connected since.
    async fn has_way_beside(&self, extension: &str, all: &Refusals) -> Result<bool, StoreError> {
        let is_free = |one: &&Credential| {
            let keys = self.concerning(Grant::of(&one.login));
            all.0.iter().all(|refusal| !keys.contains(&refusal.of))
        };
        let credentials = self.roster.of(extension);
        let free: Vec<String> =
            credentials.iter().filter(is_free).map(|one| one.login.print(&self.app_print)).collect();
        if free.is_empty() {
            return Ok(false);
        }
        let views = self.store().sessions(&[extension.to_owned()]).await?;
        let is_refused = |print: &String| views.iter().flat_map(|view| &view.refused).any(|one| one.print == *print);
        Ok(!free.iter().all(is_refused))
    }

    /// What a refusal that concerns such a login is of.
    fn concerning(&self, grant: Grant) -> [String; 2] {
        [self.app_print.short(), self.of_grant(grant)]
    }

    fn of_grant(&self, grant: Grant) -> String {
        format!("{}.{}", self.app_print.short(), grant.as_str())
    }

    async fn refusals(&self) -> Result<(Expect, Refusals), StoreError> {
        Refusals::read(self.store(), self.app()).await
    }

    async fn write_refusals(&self, expect: Expect, all: &Refusals) -> Result<bool, StoreError> {
        let body = serde_json::to_vec(all).unwrap_or_default();
        let body = (!all.0.is_empty()).then_some(body.as_slice());
        let put = self.store().doc_put(DocKind::Setting, &key(self.app()), expect, body, None).await?;
        Ok(matches!(put, Put::Stored(_)))
    }
}
