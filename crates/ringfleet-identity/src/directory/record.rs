//! The directory's documents: what lies in the store, as JSON, sealed.
//!
//! | kind | key | what |
//! |---|---|---|
//! | extension | app`/`extension id | [`ExtensionFacts`] |
//! | number | app`/account/`account id | [`AccountList`] |
//! | number | app`/account/`account id`/`share | the [`ListedNumber`]s of one share of an account's list |
//!
//! The app is part of every key, because who is connected and what may be read differ from app to app. Keys are not sealed, so
//! no number stands in one: an account's list is cut into [`SHARES`] by a hash of the number, of which few change between two
//! readings.
//!
//! A body that can't be opened or read counts as missing: it is written anew with the next reading.

use std::sync::Arc;

use ringcentral::{AccountId, ExtensionId, ExtensionStatus, NumberFeature, PhoneNumber, ShortNumber};
use ringfleet_store::{DocKind, Millis, Private};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use super::facts::{AccountList, ExtensionFacts, Failed, ListedNumber, OwnNumber, Who};
use crate::seal::{KeyRing, OpenError, Purpose};

const FORMAT: u8 = 1;
/// A body holds 64 KiB; an extension with more numbers than this keeps those it can text from first.
pub(crate) const MOST_NUMBERS: usize = 400;
/// Parts of an account's list. As many as let the longest list that is read fit into documents.
pub(crate) const SHARES: u32 = 256;

#[derive(Serialize, Deserialize)]
struct Extension {
    v: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short: Option<String>,
    #[serde(default)]
    name: String,
    status: String,
    #[serde(default)]
    connected_by: Vec<String>,
    numbers: Vec<Own>,
    read_at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Failure>,
    #[serde(default)]
    asked_at: Millis,
}

#[derive(Serialize, Deserialize)]
struct Own {
    number: PhoneNumber,
    features: Vec<String>,
    since: Millis,
}

#[derive(Serialize, Deserialize)]
struct Failure {
    code: String,
    at: Millis,
}

#[derive(Serialize, Deserialize)]
struct Share {
    v: u8,
    /// Number, its owner's id, its owner's number.
    numbers: Vec<(PhoneNumber, Option<ExtensionId>, Option<String>)>,
}

#[derive(Serialize, Deserialize)]
struct Account {
    v: u8,
    read_at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_by: Option<ExtensionId>,
    numbers: u32,
    #[serde(default)]
    denied: Vec<(ExtensionId, Failure)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Failure>,
    #[serde(default)]
    asked_at: Millis,
}

/// What a key names.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Key {
    Extension(ExtensionId),
    Account(AccountId),
    Share { account: AccountId, share: u8 },
}

impl Key {
    /// `None` for one that is another app's, or not the directory's.
    pub(crate) fn parse(app: &str, kind: DocKind, key: &str) -> Option<Self> {
        let name = key.strip_prefix(app)?.strip_prefix('/')?;
        if kind == DocKind::Extension {
            return ExtensionId::try_new(name).ok().map(Key::Extension);
        }
        let name = name.strip_prefix("account/")?;
        match name.split_once('/') {
            None => AccountId::try_new(name).ok().map(Key::Account),
            Some((account, share)) => {
                let share = u8::from_str_radix(share, 16).ok()?;
                AccountId::try_new(account).ok().map(|account| Key::Share { account, share })
            }
        }
    }

    pub(crate) fn of(&self, app: &str) -> String {
        match self {
            Key::Extension(id) => format!("{app}/{id}"),
            Key::Account(account) => format!("{app}/account/{account}"),
            Key::Share { account, share } => format!("{app}/account/{account}/{share:02x}"),
        }
    }
}

/// The share of an account's list that a number is in. The same for all versions that share a store.
pub(crate) fn share_of(number: &PhoneNumber) -> u8 {
    (hash(number.expose()) % SHARES) as u8
}

/// FNV-1a, which spreads names that differ in their last digits only, and stays the same from version to version.
pub(crate) fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Seals and opens the documents of one app. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Seals {
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) app: Arc<str>,
}

impl Seals {
    pub(crate) fn seal(&self, key: &Key, plain: &[u8]) -> Vec<u8> {
        self.keys.seal(Purpose::Directory { key: &key.of(&self.app) }, plain)
    }

    pub(crate) fn open(&self, key: &Key, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.keys.open(Purpose::Directory { key: &key.of(&self.app) }, sealed)
    }
}

pub(crate) fn extension(id: ExtensionId, body: &[u8]) -> Option<ExtensionFacts> {
    let record: Extension = serde_json::from_slice(body).ok().filter(|record: &Extension| record.v == FORMAT)?;
    Some(ExtensionFacts {
        extension: id,
        account: record.account,
        short: short(record.short),
        name: Private::new(record.name),
        status: ExtensionStatus::from_word(&record.status),
        connected_by: record.connected_by,
        numbers: record.numbers.into_iter().map(OwnNumber::from).collect(),
        read_at: record.read_at,
        failed: record.failed.map(Failed::from),
        asked_at: record.asked_at,
    })
}

pub(crate) fn share(account: &AccountId, body: &[u8]) -> Option<Vec<ListedNumber>> {
    let record: Share = serde_json::from_slice(body).ok().filter(|record: &Share| record.v == FORMAT)?;
    let listed = record.numbers.into_iter().map(|(number, extension, word)| {
        let owner = extension.map(|id| Who { id, short: short(word) });
        ListedNumber { number, account: account.clone(), owner }
    });
    Some(listed.collect())
}

pub(crate) fn share_body(listed: &[&ListedNumber]) -> Vec<u8> {
    let row = |listed: &&ListedNumber| {
        let owner = listed.owner.as_ref();
        let short = owner.and_then(|who| who.short.as_ref()).map(ToString::to_string);
        (listed.number.clone(), owner.map(|who| who.id.clone()), short)
    };
    json(&Share { v: FORMAT, numbers: listed.iter().map(row).collect() })
}

pub(crate) fn account(account: AccountId, body: &[u8]) -> Option<AccountList> {
    let record: Account = serde_json::from_slice(body).ok().filter(|record: &Account| record.v == FORMAT)?;
    Some(AccountList {
        account,
        read_at: record.read_at,
        read_by: record.read_by,
        numbers: record.numbers,
        denied: record.denied.into_iter().map(|(id, failure)| (id, failure.into())).collect(),
        failed: record.failed.map(Failed::from),
        asked_at: record.asked_at,
    })
}

impl ExtensionFacts {
    pub(crate) fn body(&self) -> Vec<u8> {
        json(&Extension {
            v: FORMAT,
            account: self.account.clone(),
            short: self.short.as_ref().map(ToString::to_string),
            name: self.name.expose().to_owned(),
            status: self.status.as_str().to_owned(),
            connected_by: self.connected_by.clone(),
            numbers: self.numbers.iter().take(MOST_NUMBERS).map(Own::from).collect(),
            read_at: self.read_at,
            failed: self.failed.as_ref().map(Failure::from),
            asked_at: self.asked_at,
        })
    }
}

impl AccountList {
    pub(crate) fn body(&self) -> Vec<u8> {
        json(&Account {
            v: FORMAT,
            read_at: self.read_at,
            read_by: self.read_by.clone(),
            numbers: self.numbers,
            denied: self.denied.iter().map(|(id, failed)| (id.clone(), failed.into())).collect(),
            failed: self.failed.as_ref().map(Failure::from),
            asked_at: self.asked_at,
        })
    }
}

impl From<Own> for OwnNumber {
    fn from(own: Own) -> Self {
        let features = own.features.iter().map(|word| NumberFeature::from_word(word)).collect();
        Self { number: own.number, features, since: own.since }
    }
}

impl From<&OwnNumber> for Own {
    fn from(own: &OwnNumber) -> Self {
        let features = own.features.iter().map(|feature| feature.as_str().to_owned()).collect();
        Self { number: own.number.clone(), features, since: own.since }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { code: failure.code, at: failure.at }
    }
}

impl From<&Failed> for Failure {
    fn from(failed: &Failed) -> Self {
        Self { code: failed.code.clone(), at: failed.at }
    }
}

fn short(text: Option<String>) -> Option<ShortNumber> {
    ShortNumber::try_new(&text?).ok()
}

fn json(record: &impl Serialize) -> Vec<u8> {
    // Own types with string keys always serialise.
    serde_json::to_vec(record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use ringfleet_store::docs::{MAX_BODY_BYTES, MAX_KEY_BYTES};

    use super::*;
    use crate::key::new_key;

    fn phone(n: usize) -> PhoneNumber {
        PhoneNumber::try_new(&format!("+1555{n:011}")).unwrap()
    }

    fn id(text: &str) -> ExtensionId {
        ExtensionId::try_new(text).unwrap()
    }

    fn full(numbers: usize) -> ExtensionFacts {
        let features = vec![NumberFeature::SmsSender, NumberFeature::MmsSender, NumberFeature::A2pSmsSender];
        let own = |n| OwnNumber { number: phone(n), features: features.clone(), since: 1_764_000_000_000 };
        ExtensionFacts {
            account: AccountId::try_new("37439510").ok(),
            short: ShortNumber::try_new("102").ok(),
            name: Private::new("Ada Brook"),
            status: ExtensionStatus::Enabled,
            connected_by: vec!["jwt".into()],
            numbers: (0..numbers).map(own).collect(),
            read_at: 1_764_000_000_000,
            failed: Some(Failed { code: "CMN-401".into(), at: 7 }),
            asked_at: 5,
            ..ExtensionFacts::unread(id("400129284008"))
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let facts = full(2);
        assert_eq!(extension(facts.extension.clone(), &facts.body()), Some(facts));
        let of = AccountId::try_new("37439510").unwrap();
        let who = Who { id: id("9"), short: ShortNumber::try_new("102").ok() };
        let listed = |n, owner| ListedNumber { number: phone(n), account: of.clone(), owner };
        let numbers = [listed(1, Some(who.clone())), listed(2, None)];
        assert_eq!(share(&of, &share_body(&numbers.iter().collect::<Vec<_>>())).as_deref(), Some(&numbers[..]));
        let denied = vec![(who.id.clone(), Failed { code: "CMN-408".into(), at: 3 })];
        let list = AccountList { read_at: 5, read_by: Some(who.id), numbers: 7, denied, ..AccountList::unread(of) };
        assert_eq!(account(list.account.clone(), &list.body()), Some(list));
    }

    #[test]
    fn keys_name_one_thing_of_one_app() {
        let account = AccountId::try_new(&"a".repeat(64)).unwrap();
        let keys = [
            (DocKind::Extension, Key::Extension(id("400129284008"))),
            (DocKind::Number, Key::Account(account.clone())),
            (DocKind::Number, Key::Share { account, share: 0x0f }),
        ];
        for (kind, key) in keys {
            let text = key.of("main");
            assert!(text.len() < MAX_KEY_BYTES);
            assert_eq!(Key::parse("main", kind, &text), Some(key));
            assert_eq!(Key::parse("mai", kind, &text), None);
        }
        for none in ["main/elsewhere/1", "main/account/1/xyz", "main/account/1/100", "main/account/1/0f/1"] {
            assert_eq!(Key::parse("main", DocKind::Number, none), None, "{none}");
        }
    }

    #[test]
    fn a_sealed_document_hides_what_it_says_and_opens_as_itself_only() {
        let seals = Seals { keys: Arc::new(KeyRing::from_text(&new_key()).unwrap()), app: "main".into() };
        let (key, other) = (Key::Extension(id("1")), Key::Extension(id("2")));
        let plain = full(1).body();
        let sealed = seals.seal(&key, &plain);
        assert_eq!(seals.open(&key, &sealed).unwrap().as_slice(), plain);
        assert!(seals.open(&other, &sealed).is_err());
        let shown = String::from_utf8_lossy(&sealed);
        assert!(!shown.contains("Brook") && !shown.contains(phone(0).expose()), "{shown}");
    }

    /// The list is read up to 200 pages of 1,000 numbers.
    #[test]
    fn the_longest_list_fits_into_its_shares() {
        let account = AccountId::try_new("37439510").unwrap();
        let owner = Some(Who { id: id("400129284008"), short: ShortNumber::try_new("10212").ok() });
        let list: Vec<_> = (0..200_000)
            .map(|n| ListedNumber { number: phone(n), account: account.clone(), owner: owner.clone() })
            .collect();
        let mut shares: Vec<Vec<&ListedNumber>> = vec![Vec::new(); SHARES as usize];
        list.iter().for_each(|listed| shares[usize::from(share_of(&listed.number))].push(listed));
        let largest = shares.iter().map(|share| share_body(share).len()).max().unwrap();
        assert!(largest + 100 < MAX_BODY_BYTES, "{largest}");
    }

    #[test]
    fn the_largest_extension_fits_into_a_document() {
        let body = full(10_000).body();
        assert!(body.len() + 100 < MAX_BODY_BYTES, "{}", body.len());
        assert_eq!(extension(id("1"), &body).unwrap().numbers.len(), MOST_NUMBERS);
    }

    #[test]
    fn what_is_not_ours_counts_as_missing_and_nothing_private_is_printed() {
        let none = AccountId::try_new("1").unwrap();
        assert!(extension(id("1"), b"{}").is_none() && share(&none, b"[]").is_none() && account(none, b"").is_none());
        let newer = String::from_utf8(full(0).body()).unwrap().replace("\"v\":1", "\"v\":2");
        assert!(extension(id("1"), newer.as_bytes()).is_none());
        let printed = format!("{:?}", full(1));
        assert!(!printed.contains("Brook") && !printed.contains("+15550000"), "{printed}");
    }
}
