//! What an operator sees: each extension with its ways to log in, what is wrong with them, and what stands still for it.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use ringcentral::{ExtensionId, explain};
use ringfleet_identity::{
    AppPrint, Credential, Kept, Method, NO_LOGIN, RecordError,
    directory::{Book, Who},
};
use ringfleet_store::{Group, LaneId, LaneView, Millis};

use crate::{Site, page::capital, trouble::Trouble};

/// Rows of one page.
const PAGE: usize = 50;
/// Lanes looked at to find who has texts waiting.
const LANES: u32 = 500;
/// A chain of refresh tokens is renewed long before; one that comes so near its end is not.
const ENDS_SOON_MS: Millis = 2 * 86_400_000;

pub(crate) struct Overview {
    pub(crate) rows: Vec<Row>,
    pub(crate) extensions: usize,
    pub(crate) connected: usize,
    pub(crate) attention: usize,
    /// Counted from 0.
    pub(crate) page: usize,
    pub(crate) pages: usize,
    pub(crate) now: Millis,
}

pub(crate) struct Row {
    pub(crate) extension: ExtensionId,
    pub(crate) title: Title,
    pub(crate) health: Health,
    pub(crate) entries: Vec<Entry>,
    /// Lanes that stand still for it, and the reasons.
    pub(crate) parked: Vec<(Group, String)>,
    pub(crate) waiting: u64,
    /// What to do about it, if not about one of its credentials.
    pub(crate) problem: Option<Problem>,
}

/// An extension as people name it, as far as the directory knows.
pub(crate) struct Title {
    pub(crate) who: Who,
    /// The employee's name, where the extension was read.
    pub(crate) name: Option<String>,
}

/// In the order in which they are shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Health {
    Attention,
    SwitchedOff,
    Connected,
    /// Last: the account may have many numbers of queues and faxes, whose owners nobody will ever connect.
    NotConnected,
}

/// One way to log in.
pub(crate) struct Entry {
    pub(crate) method: Method,
    /// Of the accounts file: not to be changed here.
    pub(crate) fixed: bool,
    pub(crate) enabled: bool,
    pub(crate) since: Option<Millis>,
    pub(crate) until: Option<Millis>,
    pub(crate) problem: Option<Problem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) what: String,
    pub(crate) next: String,
    pub(crate) code: Option<String>,
    /// The extension can still log in.
    pub(crate) mild: bool,
}

/// The page of extensions whose id, number or name holds `search`, those with a trouble first.
pub(crate) async fn read(site: &Site, search: &str, page: usize) -> Result<Overview, Trouble> {
    let now = site.store.now().await?;
    let book = site.directory.book();
    let mut rows = BTreeMap::new();
    for extension in book.everybody() {
        row(&mut rows, &book, extension);
    }
    for credential in &site.fixed {
        let entry = entry_of(credential, &site.app, now);
        row(&mut rows, &book, &credential.extension).entries.push(Entry { fixed: true, ..entry });
    }
    for kept in site.vault.all().await? {
        let entries = &mut row(&mut rows, &book, &kept.extension).entries;
        // The store's takes the place of the file's.
        entries.retain(|entry| entry.method != kept.method);
        entries.push(entry_of_kept(&kept, &site.app, now));
    }
    for view in site.store.lanes(LANES).await? {
        let Some(lane) = view.lane.as_ref().filter(|lane| lane.app() == site.vault.app()) else { continue };
        if let Ok(extension) = ExtensionId::try_new(lane.extension()) {
            let row = row(&mut rows, &book, &extension);
            row.waiting += view.waiting;
            row.note(&view);
        }
    }
    let mut rows: Vec<Row> = rows.into_values().map(Row::judged).collect();
    let extensions = rows.len();
    let count = |health| rows.iter().filter(|row| row.health == health).count();
    let (connected, attention) = (count(Health::Connected), count(Health::Attention));
    rows.retain(|row| row.is_found(search.trim()));
    rows.sort_by(|a, b| (a.health, &a.extension).cmp(&(b.health, &b.extension)));
    let pages = rows.len().div_ceil(PAGE).max(1);
    let page = page.min(pages - 1);
    let mut rows: Vec<Row> = rows.into_iter().skip(page * PAGE).take(PAGE).collect();
    try_join_all(rows.iter_mut().map(|row| look_at_lanes(site, row))).await?;
    // What all lanes of a row show may be worse than what those that wait showed.
    let rows = rows.into_iter().map(Row::judged).collect();
    Ok(Overview { rows, extensions, connected, attention, page, pages, now })
}

fn row<'a>(rows: &'a mut BTreeMap<ExtensionId, Row>, book: &Book, extension: &ExtensionId) -> &'a mut Row {
    rows.entry(extension.clone()).or_insert_with(|| Row {
        extension: extension.clone(),
        title: title(book, extension),
        health: Health::NotConnected,
        entries: Vec::new(),
        parked: Vec::new(),
        waiting: 0,
        problem: None,
    })
}

pub(crate) fn title(book: &Book, extension: &ExtensionId) -> Title {
    let name = book.extension(extension).map(|facts| facts.name.expose()).filter(|name| !name.is_empty());
    Title { who: book.who(extension), name: name.map(str::to_owned) }
}

/// All lanes of an extension that is shown: also those where nothing waits now.
async fn look_at_lanes(site: &Site, row: &mut Row) -> Result<(), Trouble> {
    let lanes = Group::ALL.map(|group| LaneId::try_new(site.vault.app(), row.extension.as_str(), group));
    let views = try_join_all(lanes.iter().flatten().map(|lane| site.store.lane(lane))).await?;
    row.parked.clear();
    // It may have none among the first lanes of the fleet that wait.
    row.waiting = views.iter().map(|view| view.waiting).sum();
    views.iter().for_each(|view| row.note(view));
    Ok(())
}

impl Row {
    fn is_found(&self, search: &str) -> bool {
        let short = self.title.who.short.as_ref().is_some_and(|short| short.as_str().contains(search));
        let name = || self.title.name.as_ref().is_some_and(|name| name.to_lowercase().contains(&search.to_lowercase()));
        self.extension.as_str().contains(search) || short || name()
    }

    fn note(&mut self, view: &LaneView) {
        if let (Some(lane), Some(reason)) = (&view.lane, &view.parked) {
            self.parked.push((lane.group(), reason.clone()));
        }
    }

    fn judged(mut self) -> Self {
        let works = |entry: &&Entry| entry.enabled && entry.problem.as_ref().is_none_or(|problem| problem.mild);
        let troubled = self.entries.iter().any(|entry| entry.enabled && entry.problem.is_some());
        self.health = match self.entries.iter().find(works) {
            _ if troubled || !self.parked.is_empty() => Health::Attention,
            None if self.waiting > 0 => Health::Attention,
            Some(_) => Health::Connected,
            None if self.entries.is_empty() => Health::NotConnected,
            None => Health::SwitchedOff,
        };
        let nobody = self.health == Health::Attention && !self.entries.iter().any(|entry| entry.enabled);
        let of_lanes = self.parked.first().map(|(_, reason)| of_lane(reason));
        let of_row = of_lanes.or_else(|| nobody.then(|| of_lane("no-credential")));
        // What one of its credentials tells already is not told twice.
        let told = |problem: &Problem| self.entries.iter().any(|entry| entry.problem.as_ref() == Some(problem));
        self.problem = of_row.filter(|problem| !told(problem));
        self
    }
}

fn entry_of_kept(kept: &Kept, app: &AppPrint, now: Millis) -> Entry {
    match &kept.opened {
        Ok(credential) => entry_of(credential, app, now),
        Err(error) => Entry {
            method: kept.method,
            fixed: false,
            // Nobody can tell; a worker that has the key may use it.
            enabled: true,
            since: None,
            until: None,
            problem: Some(unreadable(error)),
        },
    }
}

fn entry_of(credential: &Credential, app: &AppPrint, now: Millis) -> Entry {
    let facts = &credential.facts;
    Entry {
        method: credential.login.method(),
        fixed: false,
        enabled: credential.enabled,
        since: Some(facts.added_at).filter(|at| *at > 0),
        until: facts.ends_at,
        problem: problem_of(credential, app, now),
    }
}

fn problem_of(credential: &Credential, app: &AppPrint, now: Millis) -> Option<Problem> {
    let facts = &credential.facts;
    if let Some(refused) = credential.refused(app) {
        return Some(explained(&refused.code, "RingCentral refuses it"));
    }
    let again = match credential.login.method() {
        Method::Code => "invite the employee to connect again",
        Method::Jwt | Method::Password => "put a new one in its place with `ringfleet credentials add`",
    };
    let problem =
        |what: &str, next: &str, mild| Problem { what: what.to_owned(), next: next.to_owned(), code: None, mild };
    match facts.ends_at {
        Some(end) if end <= now => return Some(problem("It has ended", again, false)),
        Some(end) if end - now < ENDS_SOON_MS => {
            return Some(problem("It ends soon and was not renewed", "look whether a worker runs", true));
        }
        _ => {}
    }
    let lacks = !facts.scope.is_empty() && !facts.scope.iter().any(|permission| permission == "SMS");
    lacks.then(|| {
        let next = "add SMS to the app's permissions in the RingCentral developer console, then connect again";
        problem("The app lacks the permission SMS", next, false)
    })
}

fn unreadable(error: &RecordError) -> Problem {
    let next = "check identity.key_file here, or remove it and connect again".to_owned();
    Problem { what: format!("It can't be opened: {error}"), next, code: None, mild: false }
}

/// The reason of a lane that stands still: a word of ours, a code of the provider, or both.
fn of_lane(reason: &str) -> Problem {
    let known =
        |what: &str, next: &str| Problem { what: what.to_owned(), next: next.to_owned(), code: None, mild: false };
    if let Some((_, what, next)) = NO_LOGIN.iter().find(|(word, ..)| reason.contains(word)) {
        return known(&capital(what), next);
    }
    let code = reason.split_ascii_whitespace().find(|word| explain(word).is_known());
    explained(code.unwrap_or(reason), "It stands still")
}

fn explained(code: &str, otherwise: &str) -> Problem {
    let code = code.split(" #").next().unwrap_or_default();
    let told = explain(code);
    let (what, next) = match told.is_known() {
        true => (capital(told.means), told.next_step.to_owned()),
        false => (otherwise.to_owned(), "ask `ringfleet status`, which tells more".to_owned()),
    };
    Problem { what, next, code: Some(code.to_owned()), mild: false }
}
