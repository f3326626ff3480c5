//! One reading from the provider: an extension, or an account's list of numbers.

use std::{collections::HashMap, time::Duration};

use ringcentral::{
    AccountId, Cure, ExtensionId, NextPage, Outcome, Page, PhoneNumber, Read, RejectScope, Whose, classify_read,
};
use ringfleet_store::{Millis, StoreError};
use serde::de::DeserializeOwned;

use super::{
    facts::{Failed, ListedNumber, Who},
    learn::Reading,
    refresh::Refresher,
};
use crate::{metrics, reader::ReadError, sessions::LOGIN_OF_ANOTHER};

/// How long one request waits for its turn; the window of a busy lane, and some more.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pages of a list: 1,000 numbers each.
const MOST_PAGES: usize = 200;
/// After a time-out, a 5xx, or a refusal that is not RingCentral's own.
const LATER: Duration = Duration::from_secs(15);

/// How a reading ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The store has what was told, or why nothing can be told for now; this old at most.
    Told { at: Millis },
    /// Try again after this time.
    Later { delay: Duration },
}

/// Why there is nothing to tell.
enum Failure {
    /// It stays so until somebody acts. `app`: nobody of the app fares better.
    Refused {
        code: String,
        app: bool,
    },
    Later {
        delay: Duration,
    },
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Refresher {
    /// Reads an extension: who it is, and its numbers with their features. Two requests of Light, more only for more than a
    /// thousand numbers.
    pub(super) async fn read_extension(&self, extension: &ExtensionId) -> Ended {
        let ended = self.try_extension(extension).await;
        self.end("extension", ended)
    }

    async fn try_extension(&self, extension: &ExtensionId) -> Result<(Millis, &'static str), Failure> {
        let at = self.store().now().await?;
        let connected_by = self.connected_by(extension);
        let numbers = match self.list(extension, &Read::extension_phone_numbers(Whose::Own)).await {
            Ok(numbers) => numbers,
            Err(Failure::Refused { code, .. }) => return self.extension_failed(extension, &code, at).await,
            Err(other) => return Err(other),
        };
        let info = match self.reader().read(extension, &Read::extension(Whose::Own), PATIENCE).await.map_err(failure) {
            Ok(answer) => Some(answer.value),
            Err(Failure::Refused { .. }) => None,
            Err(other) => return Err(other),
        };
        if info.as_ref().is_some_and(|info| info.id != *extension) {
            // SEND-SAFETY: read with a session of somebody else's, whose token did not say so: these are their numbers. Where the
            // user may not read who they are, the token's word must do; RingCentral's say it.
            return self.extension_failed(extension, LOGIN_OF_ANOTHER, at).await;
        }
        self.refused.is_over(extension);
        let reading = Reading { info, numbers, at };
        let before = self.book().extension(extension).cloned();
        let mut after = None;
        self.register()
            .change_extension(extension, |facts| {
                facts.learn(&reading);
                facts.connected_by.clone_from(&connected_by);
                after = Some(facts.clone());
                true
            })
            .await?;
        if let Some(after) = after {
            self.follow_numbers(before.as_ref(), &after).await?;
        }
        Ok((at, "read"))
    }

    /// Notes why an extension can't be read.
    async fn extension_failed(
        &self,
        extension: &ExtensionId,
        code: &str,
        at: Millis,
    ) -> Result<(Millis, &'static str), Failure> {
        if self.refused.is_news(extension.clone(), code) {
            tracing::warn!(extension.id = extension.as_str(), rc.error_code = %code, "numbers of an extension can't be read");
        }
        let connected_by = self.connected_by(extension);
        self.register()
            .change_extension(extension, |facts| {
                facts.learn_failure(code, at);
                facts.connected_by.clone_from(&connected_by);
                true
            })
            .await?;
        Ok((at, "refused"))
    }

    /// Reads an account's list with the session of `by`. One Heavy request for each thousand numbers.
    pub(super) async fn read_account(&self, account: &AccountId, by: &ExtensionId) -> Ended {
        let ended = self.try_account(account, by).await;
        self.end("account", ended)
    }

    async fn try_account(&self, account: &AccountId, by: &ExtensionId) -> Result<(Millis, &'static str), Failure> {
        let at = self.store().now().await?;
        let told = match self.list(by, &Read::account_phone_numbers()).await {
            Ok(told) => told,
            Err(Failure::Refused { code, app }) => return self.account_failed(account, by, code, app, at).await,
            Err(other) => return Err(other),
        };
        let listed = told.into_iter().filter_map(|told| {
            let number = told.number()?;
            let owner = told.extension.map(|owner| Who { id: owner.id, short: owner.extension_number });
            Some((number.clone(), ListedNumber { number, account: account.clone(), owner }))
        });
        let list: HashMap<PhoneNumber, ListedNumber> = listed.collect();
        if list.is_empty() {
            // An account has a main number at least; taken for true, an empty answer would make all numbers foreign.
            return self.account_failed(account, by, "empty-list".to_owned(), true, at).await;
        }
        let shares = self.register().take_list(account, &list, &self.book()).await?;
        tracing::info!(numbers = list.len(), changed_shares = shares, "read an account's list of numbers");
        self.register()
            .change_account(account, |known| {
                known.read_at = at;
                known.is_read_by(by);
                known.numbers = list.len() as u32;
                known.failed = None;
                true
            })
            .await?;
        Ok((at, "read"))
    }

    async fn account_failed(
        &self,
        account: &AccountId,
        by: &ExtensionId,
        code: String,
        app: bool,
        at: Millis,
    ) -> Result<(Millis, &'static str), Failure> {
        tracing::info!(extension.id = by.as_str(), rc.error_code = %code, "may not read the account's list of numbers");
        let failed = Failed { code, at };
        self.register()
            .change_account(account, |known| {
                if app {
                    known.failed = Some(failed.clone());
                } else {
                    known.deny(by, failed.clone());
                }
                true
            })
            .await?;
        Ok((at, "refused"))
    }

    /// A list to its last page.
    async fn list<T: DeserializeOwned>(
        &self,
        extension: &ExtensionId,
        read: &Read<Page<T>>,
    ) -> Result<Vec<T>, Failure> {
        let mut page = self.reader().read_page(extension, read, PATIENCE).await.map_err(failure)?.value;
        let mut records = Vec::new();
        for _ in 0..MOST_PAGES {
            records.append(&mut page.records);
            let Some(next): Option<NextPage<T>> = page.next else { return Ok(records) };
            page = self.reader().next_page(extension, &next, PATIENCE).await.map_err(failure)?.value;
        }
        Err(Failure::Refused { code: "too-many-pages".to_owned(), app: true })
    }

    fn end(&self, what: &'static str, ended: Result<(Millis, &'static str), Failure>) -> Ended {
        let (result, ended) = match ended {
            Ok((at, result)) => (result, Ended::Told { at }),
            Err(Failure::Later { delay }) => ("later", Ended::Later { delay }),
            Err(Failure::Refused { .. }) => ("later", Ended::Later { delay: LATER }),
            Err(Failure::Store(error)) => {
                metrics::store_error("doc_put", &error);
                ("later", Ended::Later { delay: LATER })
            }
        };
        metrics::directory_read(what, result);
        ended
    }
}

fn failure(error: ReadError) -> Failure {
    let refused = |code: &str, app| Failure::Refused { code: code.to_owned(), app };
    let error = match error {
        // Behind the `#` stand the prints of the credentials.
        ReadError::NoSession { reason } => return refused(reason.split(" #").next().unwrap_or(&reason), false),
        ReadError::NoTurn { wait } => return Failure::Later { delay: wait },
        ReadError::Store(error) => return Failure::Store(error),
        ReadError::Call(error) => error,
    };
    match classify_read(&error) {
        Outcome::Rejected { code: Some(code), scope } => refused(code.as_str(), scope == RejectScope::App),
        Outcome::Throttled { after, .. } | Outcome::RetryLater { after, .. } => Failure::Later { delay: after },
        Outcome::Unauthorised { kind, code } if kind.cure() != Cure::Renew => {
            refused(code.as_ref().map_or("unauthorised", |code| code.as_str()), kind.cure() == Cure::ParkApp)
        }
        _ => Failure::Later { delay: LATER },
    }
}
