//! Opens the store that the settings name.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use ringfleet_store::{
    LaneRules, RedisStore, SharedStore, StoreError,
    redis::RedisOptions,
    sqlite::{self, SqliteOptions, SqliteStore, Synchronous},
};
use ringfleet_worker::{JournalError, check_journals};
use tempfile::TempDir;

use crate::config::{Faults, Settings, StoreSettings};

/// Between two tries to reach a store that is away. One takes up to ten seconds by itself.
const AGAIN_IN: Duration = Duration::from_secs(1);
/// Between two words about it.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// For moving some megabytes from the log of an SQLite file into the file, on a slow disk.
const CLOSING: Duration = Duration::from_secs(5);

/// Makes an SQLite file that isn't there yet: for the roles, and for what brings something in.
pub(crate) async fn open(settings: &StoreSettings, rules: LaneRules) -> Result<SharedStore, StoreError> {
    if settings.is_redis() {
        return Ok(Arc::new(RedisStore::connect(redis_options(settings, rules)).await?));
    }
    let synchronous = if settings.sqlite_full { Synchronous::Full } else { Synchronous::Normal };
    let options = SqliteOptions { rules, synchronous, ..SqliteOptions::default() };
    Ok(Arc::new(SqliteStore::open(&sqlite_path(settings), options).await?))
}

/// For all that looks or operates: a new, empty store would look like a fleet at rest, and who stops it would stop nobody.
pub(crate) async fn open_existing(settings: &StoreSettings, rules: LaneRules) -> anyhow::Result<SharedStore> {
    must_exist(settings)?;
    Ok(open(settings, rules).await?)
}

/// For a process that goes on until it is told to end: a Redis that can't be reached, or is reading its data still, is waited for.
pub(crate) async fn open_when_there(settings: &StoreSettings, rules: LaneRules) -> Result<SharedStore, StoreError> {
    let mut said: Option<Instant> = None;
    loop {
        match open(settings, rules).await {
            Err(error) if settings.is_redis() && is_away(&error) => {
                if said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the store can't be opened; it is tried until it can");
                    said = Some(Instant::now());
                }
                tokio::time::sleep(AGAIN_IN).await;
            }
            opened => {
                if said.is_some() && opened.is_ok() {
                    tracing::info!("the store is open");
                }
                return opened;
            }
        }
    }
}

/// What passes without anybody's help. A login that Redis refuses does not, and the client library tells it as a failed connection.
fn is_away(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { source, .. } if !source.to_string().contains("authentication failed"))
}

/// For a stop: a shard that does not answer must not keep it from the others.
pub(crate) async fn open_to_stop(settings: &StoreSettings, rules: LaneRules) -> anyhow::Result<SharedStore> {
    if settings.is_redis() {
        return Ok(Arc::new(RedisStore::connect_to_stop(redis_options(settings, rules)).await?));
    }
    open_existing(settings, rules).await
}

/// The fleet's store if there is one and it answers, for those who only want to know what it knows.
pub(crate) async fn open_to_ask(settings: &StoreSettings, rules: LaneRules) -> Option<SharedStore> {
    if !may_exist(settings) {
        return None;
    }
    match open(settings, rules).await {
        Ok(store) => Some(store),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store can't be asked what it knows");
            None
        }
    }
}

/// Refuses a store that was put in the place of another, as a worker does: for those who hand messages in.
///
/// SEND-SAFETY: it does not know what the other one has sent, and would take each repeat for a new text. Only the workers' journals
/// tell, where this process can see some; one that can't goes on.
pub(crate) async fn refuse_replaced(settings: &Settings, store: &SharedStore) -> Result<(), JournalError> {
    match ask_journals(settings, store).await {
        Err(error) if !matches!(error, JournalError::OtherStore { .. }) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the workers' journals can't be asked whether the store was flushed or exchanged");
            Ok(())
        }
        told => told,
    }
}

/// Whether the journals of this configuration's workers, as far as there are any on this machine, tell of this store.
pub(crate) async fn ask_journals(settings: &Settings, store: &SharedStore) -> Result<(), JournalError> {
    match &settings.worker.journal_dir {
        Some(dir) => check_journals(dir, &store.epoch()).await,
        None => Ok(()),
    }
}

/// The last thing that a process does. Without it an SQLite file that nobody uses any more would lack what was committed last.
pub(crate) fn close() {
    if !sqlite::close_all(CLOSING) {
        tracing::warn!("the database is not closed in time; what was committed last stands in the -wal beside it");
    }
}

pub(crate) fn redis_options(settings: &StoreSettings, rules: LaneRules) -> RedisOptions {
    RedisOptions {
        urls: settings.url.split(',').map(|url| url.trim().to_owned()).collect(),
        cluster: settings.cluster,
        prefix: settings.prefix.clone(),
        shards: settings.shards,
        rules,
        allow_plaintext: settings.allow_plaintext,
        allow_volatile: settings.allow_volatile,
        restart_patience: settings.restart_patience,
        ..RedisOptions::new("")
    }
}

fn sqlite_path(settings: &StoreSettings) -> PathBuf {
    path_of(&settings.url).unwrap_or_else(|| settings.data_dir.join("ringfleet.db"))
}

fn path_of(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    // SEND-SAFETY: two slashes at most: `sqlite:////var/lib/r.db` is how others write an absolute path, and made relative it would be
    // a store of its own in each folder, where a repeat is a second text.
    Some(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
}

/// `false` for an SQLite file that is not there yet.
pub(crate) fn may_exist(settings: &StoreSettings) -> bool {
    // Of one that can't be seen, opening it tells why.
    settings.is_redis() || sqlite_path(settings).try_exists().unwrap_or(true)
}

fn must_exist(settings: &StoreSettings) -> Result<(), Faults> {
    if may_exist(settings) {
        return Ok(());
    }
    let at = if settings.url.is_empty() { "store.data_dir" } else { "store.url" };
    let problem = format!(
        "there is no store at {}, and this command makes none; name the fleet's settings with --config FILE, or its store in \
         store.url. `ringfleet up`, a worker, or the first import makes a new one",
        describe(settings)
    );
    Err(Faults::one(at, problem))
}

/// The settings with a store of their own, which is there for as long as the folder is: for a dry run.
pub(crate) fn scratch(settings: &Settings) -> anyhow::Result<(TempDir, Settings)> {
    let folder = tempfile::tempdir().context("can't make a folder for the dry run")?;
    let mut own = settings.clone();
    own.store.url = format!("sqlite:{}", folder.path().join("dry-run.db").display());
    own.store.sqlite_full = false;
    Ok((folder, own))
}

/// How a person would name it; never shows a password.
pub(crate) fn describe(settings: &StoreSettings) -> String {
    if settings.is_redis() {
        crate::config::without_password(&settings.url)
    } else {
        let path = sqlite_path(settings);
        // Which folder a relative one is seen from decides whose store it is.
        format!("sqlite:{}", std::path::absolute(&path).unwrap_or(path).display())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    /// Quoted words in capitals that are no commands.
    const OTHERS: [&str; 10] =
        ["WITHSCORES", "LIMIT", "NX", "PX", "GT", "RANK", "MAXLEN", "EPOCH", "NOEPOCH", "WRONGTYPE"];

    /// Commands that a script names.
    fn named(script: &str) -> impl Iterator<Item = String> + '_ {
        let quoted = script.split('\'').skip(1).step_by(2);
        quoted
            .filter(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()))
            .filter(|word| !OTHERS.contains(word))
            .map(str::to_ascii_lowercase)
    }

    #[test]
    fn an_absolute_path_of_a_database_stays_absolute_however_many_slashes_are_before_it() {
        for (url, path) in [
            ("sqlite:r.db", "r.db"),
            ("sqlite://r.db", "r.db"),
            ("sqlite:/var/r.db", "/var/r.db"),
            ("sqlite:///var/r.db", "/var/r.db"),
            ("sqlite:////var/r.db", "/var/r.db"),
        ] {
            assert_eq!(super::path_of(url).as_deref(), Some(Path::new(path)), "{url}");
        }
    }

    #[test]
    fn user_of_the_sample_redis_conf_may_do_all_that_the_scripts_do() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let conf = fs::read_to_string(root.join("deploy/redis.conf")).unwrap();
        let user = conf.lines().find(|line| line.starts_with("# user ringfleet ")).unwrap();
        let rights: BTreeSet<&str> = user.split(' ').filter_map(|word| word.strip_prefix('+')).collect();
        let mut found = BTreeSet::new();
        let lua = root.join("crates/ringfleet-store/lua");
        let files = [lua.clone(), lua.join("lib")].map(|folder| fs::read_dir(folder).unwrap()).into_iter().flatten();
        let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
        for path in files {
            let script = fs::read_to_string(path).unwrap();
            // An apostrophe of a comment would turn the quotes inside out.
            let code: Vec<&str> = script.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
            found.extend(named(&code.join("\n")));
        }
        assert!(found.len() > 20, "the scripts are no longer read: {found:?}");
        let missing: Vec<&String> = found.iter().filter(|command| !rights.contains(command.as_str())).collect();
        assert!(missing.is_empty(), "deploy/redis.conf grants no {missing:?}");
        // Redis reads its append-only file as this user, and leaves out what it may not do.
        assert!(conf.contains("# user default off resetpass ~* &* +@all"));
    }
}
