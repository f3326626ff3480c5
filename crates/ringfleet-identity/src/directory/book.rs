//! All that is known of numbers and extensions at one moment, and whom a `from` means.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::OnceLock,
};

use ringcentral::{AccountId, ExtensionId, NumberFeature, PhoneNumber, ShortNumber};

use super::facts::{AccountList, ExtensionFacts, ListedNumber, OwnNumber, Who};

/// What a person wrote of an extension: it is connected, and these are its numbers. Counts until the provider says
/// otherwise.
#[derive(Clone, Debug)]
pub struct Claim {
    pub extension: ExtensionId,
    pub numbers: Vec<PhoneNumber>,
}

/// Two extensions claim one number: nobody could say whose quota a text of it uses.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("number {number} is claimed by extension {first} and by extension {second}; leave it with one of them")]
pub struct ClaimedTwice {
    pub number: PhoneNumber,
    pub first: ExtensionId,
    pub second: ExtensionId,
}

/// One moment of the directory. What the provider told comes before what a person wrote, and an extension's own list
/// before the account's: only the own list has features, and a queue's number is texted from by the one extension that
/// was given its feature, whoever owns it (documented).
#[derive(Clone, Default)]
pub struct Book {
    pub(super) claims: Claims,
    pub(super) extensions: BTreeMap<ExtensionId, ExtensionFacts>,
    listed: HashMap<PhoneNumber, ListedNumber>,
    accounts: BTreeMap<AccountId, AccountList>,
    pub(super) index: Index,
    senders: OnceLock<Vec<(PhoneNumber, ExtensionId)>>,
    complete: OnceLock<bool>,
}

/// What a person wrote of all extensions, as in the accounts file.
#[derive(Clone, Default)]
pub struct Claims {
    numbers: HashMap<PhoneNumber, ExtensionId>,
    pub(super) extensions: BTreeMap<ExtensionId, Vec<PhoneNumber>>,
}

/// Ways to find things, made anew whenever something has changed.
#[derive(Clone, Default)]
pub(super) struct Index {
    /// Those whose own list has the number; first the one to text from.
    own: HashMap<PhoneNumber, Vec<ExtensionId>>,
    pub(super) shorts: HashMap<ShortNumber, BTreeSet<ExtensionId>>,
    /// Owners of the account's list that are known from nowhere else.
    pub(super) owners: BTreeMap<ExtensionId, Who>,
}

/// Why a number, or an extension, can't be sent from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotASender {
    /// Nobody known has it. `complete`: the account's list was read, so it is not one of its numbers.
    Unknown {
        complete: bool,
    },
    /// Several extensions have this short number.
    Ambiguous {
        extensions: Vec<ExtensionId>,
    },
    /// An extension has several numbers it can text from.
    Several {
        who: Who,
        numbers: usize,
    },
    /// An extension has none.
    NoNumber {
        who: Who,
    },
    NotConnected {
        who: Who,
    },
    /// It is connected, and its numbers are not known yet. `why`: the code with which reading them failed.
    NotRead {
        who: Who,
        why: Option<String>,
    },
    /// Its number, without `SmsSender`. `high_volume`: it is for high-volume (A2P) texts only.
    CannotText {
        who: Who,
        high_volume: bool,
    },
    /// A number of the account that no extension has.
    Nobodys,
    /// The extension is disabled, frozen or not set up.
    Inactive {
        who: Who,
        status: &'static str,
    },
    /// A person wrote that it is the extension's, and the provider says that it is not.
    NotItsOwn {
        who: Who,
    },
}

impl Claims {
    /// # Errors
    /// [`ClaimedTwice`].
    pub fn try_new(claims: impl IntoIterator<Item = Claim>) -> Result<Self, ClaimedTwice> {
        let mut all = Self::default();
        for Claim { extension, numbers } in claims {
            all.extensions.entry(extension.clone()).or_default();
            for number in numbers {
                match all.numbers.entry(number.clone()) {
                    Entry::Vacant(free) => {
                        free.insert(extension.clone());
                        all.extensions.entry(extension.clone()).or_default().push(number);
                    }
                    Entry::Occupied(taken) if *taken.get() == extension => {}
                    Entry::Occupied(taken) => {
                        let (first, second) = (taken.get().clone(), extension);
                        return Err(ClaimedTwice { number, first, second });
                    }
                }
            }
        }
        Ok(all)
    }
}

impl Book {
    pub(crate) fn new(
        claims: Claims,
        extensions: BTreeMap<ExtensionId, ExtensionFacts>,
        listed: HashMap<PhoneNumber, ListedNumber>,
        accounts: BTreeMap<AccountId, AccountList>,
    ) -> Self {
        let index = Index::of(&extensions, &listed);
        Self { claims, extensions, listed, accounts, index, senders: OnceLock::new(), complete: OnceLock::new() }
    }

    /// What the provider told of an extension.
    pub fn extension(&self, id: &ExtensionId) -> Option<&ExtensionFacts> {
        self.extensions.get(id)
    }

    pub fn extensions(&self) -> impl Iterator<Item = &ExtensionFacts> {
        self.extensions.values()
    }

    pub fn account(&self, id: &AccountId) -> Option<&AccountList> {
        self.accounts.get(id)
    }

    pub fn accounts(&self) -> impl Iterator<Item = &AccountList> {
        self.accounts.values()
    }

    pub fn listed(&self) -> impl Iterator<Item = &ListedNumber> {
        self.listed.values()
    }

    /// What a person wrote.
    pub fn claimed(&self) -> impl Iterator<Item = (&ExtensionId, &[PhoneNumber])> {
        self.claims.extensions.iter().map(|(id, numbers)| (id, numbers.as_slice()))
    }

    /// All extensions that any source names.
    pub fn everybody(&self) -> BTreeSet<&ExtensionId> {
        self.extensions.keys().chain(self.claims.extensions.keys()).chain(self.index.owners.keys()).collect()
    }

    /// Whether the fleet can log in for it, as far as this process knows.
    pub fn is_connected(&self, id: &ExtensionId) -> bool {
        self.claims.extensions.contains_key(id)
            || self.extensions.get(id).is_some_and(|facts| !facts.connected_by.is_empty())
    }

    /// The extension that a number can be texted from with.
    ///
    /// # Errors
    /// [`NotASender`].
    pub fn by_number(&self, number: &PhoneNumber) -> Result<&ExtensionId, NotASender> {
        let listed = self.listed.get(number);
        // The list of an extension that nobody is logged in for grows old; the account's may know better.
        let outdated =
            |facts: &ExtensionFacts| !self.is_connected(&facts.extension) && self.listed_later(listed, facts);
        let own = self.best_own(number).filter(|facts| !outdated(facts));
        if let Some(facts) = own.filter(|facts| facts.number(number).is_some_and(OwnNumber::can_text)) {
            return self.usable(facts.who()).map(|()| &facts.extension);
        }
        let claim = self.claims.numbers.get(number);
        if let Some(extension) = claim.filter(|extension| !self.was_read(extension)) {
            return self.usable(self.who(extension)).map(|()| extension);
        }
        let owner = listed.and_then(|listed| listed.owner.as_ref());
        Err(match (owner, own, claim) {
            (Some(owner), ..) => self.refusal_of_owner(owner, number),
            (None, Some(facts), _) => self.cannot_text(facts, number),
            (None, None, _) if listed.is_some() => NotASender::Nobodys,
            (None, None, Some(extension)) => NotASender::NotItsOwn { who: self.who(extension) },
            (None, None, None) => NotASender::Unknown { complete: self.is_complete() },
        })
    }

    /// The number and extension that an extension number or an extension id means. `None` if it is neither.
    ///
    /// # Errors
    /// [`NotASender`].
    pub fn by_extension(&self, digits: &str) -> Option<Result<(&PhoneNumber, &ExtensionId), NotASender>> {
        let mut named = self.named(digits).into_iter();
        let first = named.next()?;
        let others: Vec<_> = named.cloned().collect();
        if !others.is_empty() {
            let extensions = std::iter::once(first.clone()).chain(others).collect();
            return Some(Err(NotASender::Ambiguous { extensions }));
        }
        let only = || {
            self.usable(self.who(first))?;
            let mut numbers = self.numbers_of(first);
            let number = numbers.next().ok_or_else(|| self.no_number(first))?;
            match numbers.count() {
                0 => Ok((number, first)),
                more => Err(NotASender::Several { who: self.who(first), numbers: more + 1 }),
            }
        };
        Some(only())
    }

    /// All numbers that texts can be sent from now, with their extensions, ordered by number.
    pub fn senders(&self) -> &[(PhoneNumber, ExtensionId)] {
        self.senders.get_or_init(|| {
            let known: BTreeSet<&ExtensionId> = self.extensions.keys().chain(self.claims.extensions.keys()).collect();
            let usable = known.into_iter().filter(|id| self.usable(self.who(id)).is_ok());
            let mut senders: Vec<_> =
                usable.flat_map(|id| self.numbers_of(id).map(|number| (number.clone(), id.clone()))).collect();
            senders.sort_unstable();
            senders
        })
    }

    /// The extension that texts of a number leave from, or else its owner, connected or not.
    pub fn owner(&self, number: &PhoneNumber) -> Option<Who> {
        let listed = || self.listed.get(number).and_then(|listed| listed.owner.clone());
        match self.by_number(number) {
            Ok(extension) => Some(self.who(extension)),
            Err(NotASender::NotConnected { who } | NotASender::NotRead { who, .. }) => Some(who),
            Err(_) => listed(),
        }
    }

    /// Extensions whose own list shows a number, as one to text from or not.
    pub(crate) fn holders(&self, number: &PhoneNumber) -> impl Iterator<Item = &ExtensionId> {
        self.index.own.get(number).into_iter().flatten()
    }

    /// Whether all accounts' lists and all connected extensions were read, so that a number that is in none belongs to none.
    pub fn is_complete(&self) -> bool {
        // Asked for every number that nobody has, and a book never changes.
        *self.complete.get_or_init(|| self.all_was_read())
    }

    fn all_was_read(&self) -> bool {
        let list_read = |account: &AccountId| self.accounts.get(account).is_some_and(|list| list.read_at > 0);
        let read = |facts: &ExtensionFacts| facts.read_at > 0 && facts.account.as_ref().is_some_and(list_read);
        let mut connected = self.extensions.values().filter(|facts| !facts.connected_by.is_empty()).peekable();
        connected.peek().is_some()
            && connected.all(read)
            && self.claims.extensions.keys().all(|extension| self.was_read(extension))
    }

    /// The extension as people name it.
    pub fn who(&self, id: &ExtensionId) -> Who {
        let own = self.extensions.get(id).and_then(|facts| facts.short.as_ref());
        let listed = || self.index.owners.get(id).and_then(|who| who.short.as_ref());
        Who { id: id.clone(), short: own.or_else(listed).cloned() }
    }

    pub(super) fn was_read(&self, id: &ExtensionId) -> bool {
        self.extensions.get(id).is_some_and(|facts| facts.read_at > 0)
    }

    /// The extension whose own list has the number: one that can text from it if there is one, and best a connected one.
    fn best_own(&self, number: &PhoneNumber) -> Option<&ExtensionFacts> {
        let own = || self.index.own.get(number).into_iter().flatten().filter_map(|id| self.extensions.get(id));
        let can_text = |facts: &&ExtensionFacts| facts.number(number).is_some_and(OwnNumber::can_text);
        let connected = own().filter(can_text).find(|facts| self.is_connected(&facts.extension));
        connected.or_else(|| own().next())
    }

    /// Those of its numbers that it, and no other extension, is to text from.
    fn numbers_of<'a>(&'a self, id: &'a ExtensionId) -> impl Iterator<Item = &'a PhoneNumber> {
        let own = self.extensions.get(id).into_iter().flat_map(|facts| &facts.numbers).map(|own| &own.number);
        let claimed = self.claims.extensions.get(id).into_iter().flatten();
        let unread = claimed.filter(|_| !self.was_read(id));
        own.chain(unread).filter(move |number| self.by_number(number) == Ok(id))
    }

    fn usable(&self, who: Who) -> Result<(), NotASender> {
        if let Some(status) = self.extensions.get(&who.id).and_then(ExtensionFacts::inactive) {
            return Err(NotASender::Inactive { who, status: status.as_str() });
        }
        if self.is_connected(&who.id) { Ok(()) } else { Err(NotASender::NotConnected { who }) }
    }

    fn refusal_of_owner(&self, owner: &Who, number: &PhoneNumber) -> NotASender {
        if let Err(unusable) = self.usable(owner.clone()) {
            return unusable;
        }
        match self.extensions.get(&owner.id) {
            Some(facts) if facts.read_at > 0 => self.cannot_text(facts, number),
            facts => {
                let why = facts.and_then(|facts| facts.failed.as_ref()).map(|failed| failed.code.clone());
                NotASender::NotRead { who: owner.clone(), why }
            }
        }
    }

    fn cannot_text(&self, facts: &ExtensionFacts, number: &PhoneNumber) -> NotASender {
        let high_volume = facts.number(number).is_some_and(|own| own.can(NumberFeature::A2pSmsSender));
        NotASender::CannotText { who: facts.who(), high_volume }
    }

    fn no_number(&self, id: &ExtensionId) -> NotASender {
        let who = self.who(id);
        if self.was_read(id) {
            return NotASender::NoNumber { who };
        }
        let failed = self.extensions.get(id).and_then(|facts| facts.failed.as_ref());
        NotASender::NotRead { who, why: failed.map(|failed| failed.code.clone()) }
    }

    /// Whether the account's list was read after the extension's own one, and gives the number to another.
    fn listed_later(&self, listed: Option<&ListedNumber>, facts: &ExtensionFacts) -> bool {
        let Some(listed) = listed else { return false };
        let read_at = self.accounts.get(&listed.account).map_or(0, |list| list.read_at);
        read_at > facts.read_at && listed.owner.as_ref().is_none_or(|owner| owner.id != facts.extension)
    }
}

impl Index {
    fn of(extensions: &BTreeMap<ExtensionId, ExtensionFacts>, listed: &HashMap<PhoneNumber, ListedNumber>) -> Self {
        let mut index = Self::default();
        let mut found: HashMap<&PhoneNumber, Vec<(bool, i64, &ExtensionId)>> = HashMap::new();
        for facts in extensions.values() {
            for own in &facts.numbers {
                found.entry(&own.number).or_default().push((own.can_text(), own.since, &facts.extension));
            }
            if let Some(short) = &facts.short {
                index.shorts.entry(short.clone()).or_default().insert(facts.extension.clone());
            }
        }
        for sharers in index.shorts.values_mut().filter(|sharers| sharers.len() > 1) {
            let all: Vec<_> = sharers.iter().filter_map(|id| extensions.get(id)).collect();
            let had = |one: &ExtensionFacts| all.iter().any(|other| one.has_passed_its_number_on_to(other));
            sharers.retain(|id| !extensions.get(id).is_some_and(had));
        }
        for (number, mut by) in found {
            by.sort_unstable_by(|a, b| b.cmp(a));
            index.own.insert(number.clone(), by.into_iter().map(|(.., extension)| extension.clone()).collect());
        }
        for who in listed.values().filter_map(|listed| listed.owner.as_ref()) {
            if extensions.get(&who.id).is_some_and(|facts| facts.short.is_some()) {
                continue;
            }
            if let Some(short) = &who.short {
                index.shorts.entry(short.clone()).or_default().insert(who.id.clone());
            }
            index.owners.entry(who.id.clone()).or_insert_with(|| who.clone());
        }
        index
    }
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (extensions, listed) = (self.extensions.len(), self.listed.len());
        let claimed = self.claims.numbers.len();
        write!(f, "Book({extensions} extensions, {listed} numbers of accounts, {claimed} claimed)")
    }
}
