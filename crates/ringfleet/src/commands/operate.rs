//! An operator's hand: lanes, the whole fleet, single messages.

use std::process::ExitCode;

use anyhow::Context;
use ringcentral::{ExtensionId, ShortNumber};
use ringfleet_explain::workers;
use ringfleet_store::{
    Cancelled, Gate, Group, IdempotencyKey, LaneId, LaneView, ListFrom, MessageId, MessageView, Millis, SharedStore,
    State, Store, StoreError, WaitingCursor,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    credentials::Makes,
    evidence::{self, reason_of, time},
    extensions::Known,
    held::more,
    listing, waiting,
};
use crate::{
    accounts::Accounts,
    cli::{FleetCommand, LaneCommand, MessageCommand},
    config::Settings,
    exit,
    output::{remark, say},
    store,
};

pub(crate) async fn lane(settings: Settings, what: LaneCommand) -> anyhow::Result<ExitCode> {
    let store = store::open_existing(&settings.store, settings.rules).await?;
    let place = store::describe(&settings.store);
    let (LaneCommand::Pause { extension: typed }
    | LaneCommand::Resume { extension: typed }
    | LaneCommand::Cancel { extension: typed, .. }) = &what;
    let mut code = ExitCode::SUCCESS;
    for lane in lanes(&settings, &store, typed).await.context("no lane was touched")? {
        let extension = lane.extension();
        match what {
            LaneCommand::Pause { .. } => {
                store.set_paused(&lane, true).await?;
                say!(
                    "extension {extension} is paused; what is under way is finished, nothing else begins (store {place})"
                );
            }
            LaneCommand::Resume { .. } => {
                store.set_paused(&lane, false).await?;
                store.set_parked(&lane, None).await?;
                say!("extension {extension} goes on (store {place})");
            }
            LaneCommand::Cancel { due_before, yes, .. } => {
                say!("store {place}");
                code = waiting::cancel(&store, &lane, due_before, yes).await?;
            }
        }
    }
    Ok(code)
}

/// The lanes that an operator means. One with something in it is meant by its extension's id even where nobody is known; any
/// other word would make a lane of its own, and the one that was meant would go on.
pub(super) async fn lanes(settings: &Settings, store: &SharedStore, typed: &str) -> anyhow::Result<Vec<LaneId>> {
    let lane = |extension: &str| LaneId::try_new(&settings.provider.app, extension, Group::Medium);
    let own = lane(typed).ok();
    let mut is_there = match &own {
        Some(own) => is_used(&store.lane(own).await?),
        None => false,
    };
    let meant = match known(settings, typed).await {
        Ok(meant) => meant,
        Err(error) => {
            if let Some(own) = own.as_ref().filter(|_| !is_there) {
                is_there = has_waiting(store, own).await?;
            }
            if !is_there {
                return Err(error);
            }
            Vec::new()
        }
    };
    let meant = only(meant, typed)?;
    let there = own.filter(|_| is_there && meant.as_ref().is_none_or(|id| id.as_str() != typed));
    let meant = meant.map(|id| lane(id.as_str())).transpose()?;
    Ok(meant.into_iter().chain(there).collect())
}

/// The one among those that a word means.
///
/// Not the one whose id it is, where others have it as their number: a number that was taken for an id when a login was added
/// would lead to a lane in which nothing ever waits, and the one that was meant would go on.
pub(super) fn only(mut meant: Vec<ExtensionId>, typed: &str) -> anyhow::Result<Option<ExtensionId>> {
    if meant.len() <= 1 {
        return Ok(meant.pop());
    }
    let (own, others): (Vec<&str>, Vec<&str>) = meant.iter().map(ExtensionId::as_str).partition(|id| *id == typed);
    let others = others.join(", ");
    anyhow::ensure!(
        own.is_empty(),
        "{typed} is the id of one extension and the number of another: {others}. Give that id, or a phone number of the one that is \
         meant; if a login was added under the number by mistake, `ringfleet credentials remove` takes it out"
    );
    anyhow::bail!("several extensions are known by what was typed; give the id of one: {others}")
}

/// A lane that nobody has used looks like this too: the store makes it when it is asked for.
fn is_used(view: &LaneView) -> bool {
    let stands = view.paused || view.parked.is_some() || view.penalty_until.is_some();
    stands || view.waiting > 0 || view.in_flight > 0 || view.slots_in_use > 0
}

/// What is scheduled counts too, which a look at the lane does not show; it is looked for among that of all lanes.
async fn has_waiting(store: &SharedStore, lane: &LaneId) -> Result<bool, StoreError> {
    let mut next = Some(WaitingCursor::default());
    while let Some(from) = next {
        let page = store.waiting(lane, from).await?;
        if !page.messages.is_empty() {
            return Ok(true);
        }
        next = page.next;
    }
    Ok(false)
}

/// The extensions that the accounts file, the roster or the directory knows by a word.
pub(super) async fn known(settings: &Settings, typed: &str) -> anyhow::Result<Vec<ExtensionId>> {
    let accounts = Accounts::load(settings)?;
    let of_file = accounts.0.iter().map(|account| &account.extension).find(|id| id.as_str() == typed).cloned();
    // Needs no key, unless it may be another one's number too.
    if let Some(id) = of_file.iter().find(|_| ShortNumber::try_new(typed).is_err()) {
        return Ok(vec![id.clone()]);
    }
    let stop = CancellationToken::new();
    let _followed_until_the_end = stop.clone().drop_guard();
    match (Known::open(settings, &accounts, Makes::Nothing, stop).await, of_file) {
        // Without a key nobody's number can be known here.
        (Err(_), Some(id)) => Ok(vec![id]),
        (known, _) => known?.meant(typed),
    }
}

pub(crate) async fn fleet(settings: Settings, what: FleetCommand) -> anyhow::Result<ExitCode> {
    let place = store::describe(&settings.store);
    match what {
        FleetCommand::Stop { reason } => {
            let store = store::open_to_stop(&settings.store, settings.rules).await?;
            let stopped = store.set_gate(&Gate::Stopped { reason }).await;
            stopped.context("the fleet may go on, in part or as a whole; stop it again")?;
            say!(
                "the fleet is stopped: nothing is claimed or begun; `ringfleet fleet resume` lets it go on (store {place})"
            );
            if nobody_is_there(&settings, &*store).await {
                remark!(
                    "warning: no worker has shown itself in this store lately; if workers run, they have another one and go on: \
                     name the settings of their fleet with --config"
                );
            }
        }
        FleetCommand::Resume => {
            let store = store::open_existing(&settings.store, settings.rules).await?;
            store.set_gate(&Gate::Open).await?;
            say!("the fleet goes on (store {place})");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether no worker uses this store, as far as it can tell.
async fn nobody_is_there(settings: &Settings, store: &dyn Store) -> bool {
    workers(store, &settings.provider.app).await.is_ok_and(|there| there == Some(0))
}

pub(crate) async fn message(settings: Settings, what: MessageCommand) -> anyhow::Result<ExitCode> {
    let store = store::open_existing(&settings.store, settings.rules).await?;
    match what {
        MessageCommand::Show { id, key, json } => {
            let id = which(id, key.as_deref())?;
            let view = store.get(&id).await?.with_context(|| format!("there is no message {id}; was it pruned?"))?;
            if json {
                let skew = settings.worker.reconcile.clock_skew.as_millis() as Millis;
                say!("{}", serde_json::to_string_pretty(&evidence::as_json(&view, false, skew))?);
                return Ok(ExitCode::SUCCESS);
            }
            for line in evidence::lines(&view, false) {
                say!("{line}");
            }
        }
        MessageCommand::Waiting { extension, limit, json } => {
            for lane in lanes(&settings, &store, &extension).await? {
                waiting::list(&store, &lane, limit as usize, json).await?;
            }
        }
        MessageCommand::Cancel { mut ids, keys } => {
            for key in &keys {
                ids.push(of_key(key)?);
            }
            return cancel(&*store, &ids).await;
        }
        MessageCommand::List { state, since, limit, json } => {
            listing::list(&*store, state, since, limit as usize, json).await?;
        }
        MessageCommand::Dead { limit, json } => {
            let dead = store.list(&ListFrom::newest(State::Dead), limit).await?.messages;
            let all = store.stats().await?.count(State::Dead);
            if json {
                let rows: Vec<_> = dead.iter().map(evidence::listed).collect();
                say!("{}", serde_json::to_string_pretty(&json!({"dead": all, "messages": rows}))?);
                return Ok(ExitCode::SUCCESS);
            }
            list(&dead);
            if let Some(more) = more(dead.len(), all) {
                say!("{more}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A message that is named by its id or by its key.
fn which(id: Option<MessageId>, key: Option<&str>) -> anyhow::Result<MessageId> {
    match (id, key) {
        (Some(id), _) => Ok(id),
        (None, Some(key)) => of_key(key),
        (None, None) => anyhow::bail!("name a message by its id, or by its key"),
    }
}

/// The key itself is not told again: it may be made of a customer's data.
pub(super) fn of_key(key: &str) -> anyhow::Result<MessageId> {
    Ok(MessageId::from_key(&IdempotencyKey::try_new(key)?))
}

/// One answer a message; the code says whether all, some or none are cancelled. One that was cancelled before is.
async fn cancel(store: &dyn Store, ids: &[MessageId]) -> anyhow::Result<ExitCode> {
    let (mut done, mut left) = (0, 0);
    for id in ids {
        match store.cancel(id).await? {
            Cancelled::Done | Cancelled::TooLate(State::Cancelled) => {
                done += 1;
                say!("{id} is cancelled");
            }
            Cancelled::TooLate(state) => {
                left += 1;
                say!("too late: {id} is {}", state.as_str());
            }
            Cancelled::Missing => {
                left += 1;
                say!("there is no message {id}; was it pruned?");
            }
        }
    }
    Ok(match (done, left) {
        (_, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(exit::FAILED),
        _ => ExitCode::from(exit::PARTLY),
    })
}

fn list(views: &[MessageView]) {
    if views.is_empty() {
        say!("no message is dead");
    }
    for view in views {
        say!("{}  {}  {}  {}", view.id, view.lane.extension(), time(view.finished_at), reason_of(view));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use ringcentral::Jwt;
    use ringfleet_identity::{Credential, Method, Source, new_key};

    use super::*;
    use crate::{accounts, commands::credentials, config, directory::tests::has_read};

    /// Of a fleet with a key and these extensions in its accounts file.
    pub(crate) fn settings(folder: &Path, accounts: &str) -> Settings {
        let path = |name: &str| folder.join(name);
        std::fs::write(path("accounts.json"), accounts).unwrap();
        std::fs::write(path("keys"), new_key().as_bytes()).unwrap();
        let text = format!(
            "[store]\ndata_dir = '{}'\n[ringcentral]\naccounts_file = '{}'\n[identity]\nkey_file = '{}'\n",
            folder.display(),
            path("accounts.json").display(),
            path("keys").display()
        );
        std::fs::write(path("ringfleet.toml"), text).unwrap();
        config::load(Some(&path("ringfleet.toml"))).unwrap().settings().unwrap()
    }

    fn id(text: &str) -> ExtensionId {
        ExtensionId::try_new(text).unwrap()
    }

    async fn is_paused(store: &SharedStore, extension: &str) -> bool {
        store.lane(&LaneId::try_new("main", extension, Group::Medium).unwrap()).await.unwrap().paused
    }

    /// Whether a number was taken for an id in the accounts file, or when a login was added.
    #[tokio::test]
    async fn no_lane_is_touched_by_a_word_that_is_one_extensions_id_and_another_ones_number() {
        for of_file in [r#"[{"extension_id": "101", "numbers": []}]"#, "[]"] {
            let folder = tempfile::tempdir().unwrap();
            let settings = settings(folder.path(), of_file);
            let vault = credentials::open(&settings, Makes::Store).await.unwrap();
            let store = vault.store();
            has_read(&vault, "400100001", "101").await;
            if of_file == "[]" {
                let of_store = accounts::of_file(&id("101"), &Jwt::try_new("a.b.c").unwrap());
                vault.put(&Credential { source: Source::Store { rev: 0 }, ..of_store }).await.unwrap();
            }
            let pause = |word: &str| lane(settings.clone(), LaneCommand::Pause { extension: word.to_owned() });
            let told = format!("{:#}", pause("101").await.unwrap_err());
            for part in ["no lane was touched", "101 is the id of one extension", "another: 400100001"] {
                assert!(told.contains(part), "{part} is missing in {told}");
            }
            assert!(!is_paused(store, "101").await && !is_paused(store, "400100001").await);
            pause("400100001").await.unwrap();
            assert!(!is_paused(store, "101").await && is_paused(store, "400100001").await);

            // The mistake is taken back.
            std::fs::write(folder.path().join("accounts.json"), "[]").unwrap();
            vault.remove(&id("101"), Method::Jwt).await.unwrap();
            lane(settings.clone(), LaneCommand::Resume { extension: "101".to_owned() }).await.unwrap();
            assert!(!is_paused(store, "400100001").await);
        }
    }

    #[test]
    fn a_word_that_means_several_means_none() {
        let only = |ids: &[&str], typed| only(ids.iter().map(|one| id(one)).collect(), typed);
        assert_eq!(only(&[], "101").unwrap(), None);
        assert_eq!(only(&["400100001"], "101").unwrap(), Some(id("400100001")));
        assert_eq!(only(&["101"], "101").unwrap(), Some(id("101")));
        let told = |ids: &[&str]| only(ids, "101").unwrap_err().to_string();
        assert!(
            told(&["101", "400100001"]).contains("the number of another: 400100001."),
            "{}",
            told(&["101", "400100001"])
        );
        assert!(told(&["400100001", "500100001"]).ends_with("the id of one: 400100001, 500100001"));
    }
}
