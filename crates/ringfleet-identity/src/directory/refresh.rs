//! Keeps the directory up to date from the provider, in the background, and never at the cost of sends: all requests are
//! Light or Heavy ones, in their turn, and a login that would spend a budget which sends need waits until there is room.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use ringcentral::{AccountId, ExtensionId};
use ringfleet_store::{Millis, SharedStore, StoreError, WorkerId};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    book::Book,
    facts::ExtensionFacts,
    follower::Directory,
    plan::{Due, Rhythm},
    reading::Ended,
    register::Register,
};
use crate::{
    credential::{Credential, Source},
    jitter::jittered,
    lead::Lead,
    reader::Reader,
    sessions::{LOGIN_OF_ANOTHER, LoginBudget, NO_CREDENTIAL, Sessions},
    told::Told,
};

/// Readings at once, in the whole fleet.
const AT_ONCE: usize = 4;
const TICK: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// Reads what is due, as the one process of the fleet that does.
pub struct Refresher {
    reader: Reader,
    directory: Directory,
    register: Register,
    every: Duration,
    /// Extensions that can't be read.
    pub(super) refused: Told<ExtensionId>,
}

/// What can be read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Job {
    Extension(ExtensionId),
    Account { account: AccountId, by: ExtensionId },
}

/// A reading under way.
struct Running {
    job: Job,
    /// It may have to log in.
    logs_in: bool,
    /// Somebody waits for it.
    asked: bool,
}

/// What this process did lately.
#[derive(Default)]
struct Lately {
    running: HashMap<tokio::task::Id, Running>,
    /// Not again before this, after a failure.
    resting: HashMap<Job, (Instant, Duration)>,
    /// When what was told last was read. The directory shows it a moment later, and must not make it due again meanwhile.
    told: HashMap<Job, Millis>,
    /// The credentials with which an extension could not be logged in for, as this process saw them when it was tried last.
    refused: HashMap<ExtensionId, String>,
}

impl Refresher {
    /// `every`: how old what is known of an extension, or of an account's list, may grow.
    pub fn new(reader: Reader, directory: Directory, every: Duration) -> Self {
        let register = Register::new(reader.sessions().vault());
        Self { reader, directory, register, every, refused: Told::default() }
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(super) fn register(&self) -> &Register {
        &self.register
    }

    pub(super) fn book(&self) -> Arc<Book> {
        self.directory.book()
    }

    fn sessions(&self) -> &Sessions {
        self.reader.sessions()
    }

    pub(super) fn store(&self) -> &SharedStore {
        self.sessions().store()
    }

    /// Runs until `stop`; `process` tells it from the others. Readings under way are dropped then, which costs nothing
    /// but their repetition.
    pub async fn run(self, process: WorkerId, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut lead = Lead::new(this.store().clone(), this.sessions().app(), "directory", process.as_str());
        let mut readings: JoinSet<Ended> = JoinSet::new();
        let mut lately = Lately::default();
        let tick = TICK.min(this.every / 4);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(jittered(tick)) => {}
                Some(ended) = readings.join_next_with_id() => lately.note(ended),
            }
            let looked = match lead.have().await {
                Ok(true) => this.look(&mut readings, &mut lately).await,
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = looked {
                crate::metrics::store_error("directory", &error);
            }
        }
        lead.leave().await;
    }

    /// Begins what is due and notes who is connected.
    async fn look(self: &Arc<Self>, readings: &mut JoinSet<Ended>, lately: &mut Lately) -> Result<(), StoreError> {
        let book = self.book();
        let connected: BTreeSet<ExtensionId> =
            self.sessions().roster().extensions().iter().filter_map(|name| ExtensionId::try_new(name).ok()).collect();
        self.note_connections(&book, &connected).await?;
        let rhythm = Rhythm { now: self.store().now().await?, every: self.every };
        let logins = self.sessions().login_budget().await?;
        let mut due = self.due(&book, &connected, rhythm, logins, lately);
        due.sort_by_key(|(due, _)| *due);
        for (due, job) in due {
            let (logs_in, asked) = (self.logs_in(&job), matches!(due, Due::Asked(_)));
            if !lately.has_place(asked, logs_in) || (logs_in && !logins.roomy) {
                continue;
            }
            let this = self.clone();
            let reading = job.clone();
            let handle = readings.spawn(async move {
                match &reading {
                    Job::Extension(extension) => this.read_extension(extension).await,
                    Job::Account { account, by } => this.read_account(account, by).await,
                }
            });
            if let Job::Extension(extension) = &job {
                lately.refused.remove(extension);
            }
            lately.running.insert(handle.id(), Running { job, logs_in, asked });
        }
        Ok(())
    }

    fn due(
        &self,
        book: &Book,
        connected: &BTreeSet<ExtensionId>,
        rhythm: Rhythm,
        logins: LoginBudget,
        lately: &mut Lately,
    ) -> Vec<(Due, Job)> {
        let mut due = Vec::new();
        for account in accounts(book) {
            if let Some(by) = rhythm.account(book, account) {
                let shown = book.account(account).map_or(0, |list| list.tried_at().max(latest_denial(list)));
                due.push((Due::Since(0), shown, Job::Account { account: account.clone(), by: by.clone() }));
            }
        }
        for extension in connected {
            let facts = book.extension(extension);
            let costly = logins.shared && self.sessions().remembered(extension.as_str()).is_none();
            let since = match facts {
                Some(facts) if self.login_changed(facts, lately) => Some(Due::Asked(rhythm.now)),
                facts => rhythm.extension(extension, facts, costly),
            };
            let shown = facts.map_or(0, ExtensionFacts::tried_at);
            due.extend(since.map(|since| (since, shown, Job::Extension(extension.clone()))));
        }
        let ready = due.into_iter().filter(|(_, shown, job)| lately.may_begin(job, *shown));
        ready.map(|(since, _, job)| (since, job)).collect()
    }

    /// An extension that could not be logged in for is tried again when its credentials are others.
    fn login_changed(&self, facts: &ExtensionFacts, lately: &mut Lately) -> bool {
        let Some(failed) = facts.failed.as_ref().filter(|failed| failed.at >= facts.read_at) else { return false };
        if !failed.code.starts_with("OAU-") && ![NO_CREDENTIAL, LOGIN_OF_ANOTHER].contains(&failed.code.as_str()) {
            return false;
        }
        let now = self.sessions().prints(facts.extension.as_str());
        let before = lately.refused.entry(facts.extension.clone()).or_insert_with(|| now.clone());
        *before != now
    }

    fn logs_in(&self, job: &Job) -> bool {
        let (Job::Extension(extension) | Job::Account { by: extension, .. }) = job;
        self.sessions().remembered(extension.as_str()).is_none()
    }

    /// How the fleet can log in for an extension, the preferred way first.
    pub(super) fn connected_by(&self, extension: &ExtensionId) -> Vec<String> {
        ways(&self.sessions().roster().of(extension.as_str()))
    }

    /// Writes down who can be logged in for, where that has changed.
    async fn note_connections(&self, book: &Book, connected: &BTreeSet<ExtensionId>) -> Result<(), StoreError> {
        for facts in book.extensions() {
            let extension = &facts.extension;
            let ways = if connected.contains(extension) { self.connected_by(extension) } else { Vec::new() };
            if facts.connected_by == ways || (ways.is_empty() && self.is_kept(extension).await?) {
                continue;
            }
            self.register
                .change_extension(extension, |facts| {
                    let other = facts.connected_by != ways;
                    facts.connected_by.clone_from(&ways);
                    other
                })
                .await?;
        }
        Ok(())
    }

    /// Whether the store holds a credential that is switched on, though this process can't open it: another one can.
    async fn is_kept(&self, extension: &ExtensionId) -> Result<bool, StoreError> {
        self.sessions().vault().holds_enabled(extension).await
    }

    /// A number that has come is looked for where it was, and one that has gone where it may be: who had it may not know yet.
    pub(super) async fn follow_numbers(
        &self,
        before: Option<&ExtensionFacts>,
        after: &ExtensionFacts,
    ) -> Result<(), StoreError> {
        let book = self.book();
        let came = after.numbers.iter().filter(|own| own.can_text() && own.since == after.read_at);
        let holders: BTreeSet<&ExtensionId> =
            came.flat_map(|own| book.holders(&own.number)).filter(|id| **id != after.extension).collect();
        for holder in holders {
            self.register.ask(holder).await?;
        }
        let could = |facts: &ExtensionFacts| {
            let numbers = facts.numbers.iter().filter(|own| own.can_text());
            numbers.map(|own| own.number.clone()).collect::<BTreeSet<_>>()
        };
        let lost = before.is_some_and(|before| !could(before).is_subset(&could(after)));
        match &after.account {
            Some(account) if lost => self.register.ask_account(account).await,
            _ => Ok(()),
        }
    }
}

impl Lately {
    /// Logins go one after the other: when the app shares a budget, the first refusal tells. And however many are asked for, one
    /// place is left to the others.
    fn has_place(&self, asked: bool, logs_in: bool) -> bool {
        let running = |which: fn(&Running) -> bool| self.running.values().filter(|one| which(one)).count();
        self.running.len() < AT_ONCE
            && !(logs_in && running(|one| one.logs_in) > 0)
            && !(asked && running(|one| one.asked) >= AT_ONCE - 1)
    }

    fn may_begin(&self, job: &Job, shown: Millis) -> bool {
        self.running.values().all(|running| running.job != *job)
            && self.resting.get(job).is_none_or(|(until, _)| *until <= Instant::now())
            && self.told.get(job).is_none_or(|told| shown >= *told)
    }

    fn note(&mut self, ended: Result<(tokio::task::Id, Ended), tokio::task::JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, ended),
            // A panic stays with its reading.
            Err(error) => (error.id(), Ended::Later { delay: LONGEST_REST }),
        };
        let Some(Running { job, .. }) = self.running.remove(&id) else { return };
        match ended {
            Ended::Told { at } => {
                self.resting.remove(&job);
                self.told.insert(job, at);
            }
            Ended::Later { delay } => {
                let longer = self.resting.get(&job).map_or(delay, |(_, last)| delay.max(*last * 2));
                let rest = longer.min(LONGEST_REST).max(delay);
                self.resting.insert(job, (Instant::now() + rest, rest));
            }
        }
    }
}

/// How these credentials log in, as it is noted and shown.
pub fn ways(credentials: &[Credential]) -> Vec<String> {
    let way = |credential: &Credential| match credential.source {
        Source::File => format!("{} of the accounts file", credential.login.method()),
        Source::Store { .. } => credential.login.method().to_string(),
    };
    credentials.iter().map(way).collect()
}

/// All accounts that extensions are known to belong to.
fn accounts(book: &Book) -> BTreeSet<&AccountId> {
    book.extensions().filter_map(|facts| facts.account.as_ref()).collect()
}

fn latest_denial(list: &super::facts::AccountList) -> Millis {
    list.denied.iter().map(|(_, failed)| failed.at).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{super::facts::Failed, *};
    use crate::sessions::tests::fleet;

    fn id(extension: &str) -> ExtensionId {
        ExtensionId::try_new(extension).unwrap()
    }

    #[tokio::test]
    async fn one_place_is_left_to_readings_that_nobody_asked_for_and_one_of_all_logs_in() {
        let mut lately = Lately::default();
        let begins = |lately: &mut Lately, extension: &str, asked, logs_in| {
            let running = Running { job: Job::Extension(id(extension)), logs_in, asked };
            lately.running.insert(tokio::spawn(async {}).id(), running);
        };
        begins(&mut lately, "1", true, true);
        assert!(lately.has_place(true, false) && !lately.has_place(true, true) && !lately.has_place(false, true));
        begins(&mut lately, "2", true, false);
        assert!(lately.has_place(true, false));
        begins(&mut lately, "3", true, false);
        assert!(!lately.has_place(true, false) && lately.has_place(false, false));
        begins(&mut lately, "4", false, false);
        assert!(!lately.has_place(false, false));
    }

    #[tokio::test]
    async fn a_login_that_has_changed_is_due_until_it_is_tried() {
        let folder = tempfile::tempdir().unwrap();
        let reader = Reader::new(Arc::new(fleet(&folder, Duration::from_secs(60)).await));
        let refresher = Refresher::new(reader, Directory::fixed(Default::default()), Duration::from_secs(60));
        let failed = Some(Failed { code: NO_CREDENTIAL.to_owned(), at: 5 });
        let facts = ExtensionFacts { failed, ..ExtensionFacts::unread(id("101")) };
        let mut lately = Lately::default();
        assert!(!refresher.login_changed(&facts, &mut lately), "nothing is known of the one before");
        lately.refused.insert(id("101"), "another".to_owned());
        for _ in 0..2 {
            assert!(refresher.login_changed(&facts, &mut lately));
        }
        lately.refused.remove(&id("101"));
        assert!(!refresher.login_changed(&facts, &mut lately));
    }
}
