//! The directory's documents: what lies in the store, as JSON.
//!
//! | kind | key | what |
//! |---|---|---|
//! | extension | app`/`extension id | [`ExtensionFacts`] |
//! | number | app`/`number | [`ListedNumber`] |
//! | number | app`/account/`account id | [`AccountList`] |
//!
//! The app is part of every key, because who is connected and what may be read differ from app to app.
//!
//! A body that can't be read counts as missing: it is written anew with the next reading.

use ringcentral::{AccountId, ExtensionId, ExtensionStatus, NumberFeature, PhoneNumber, ShortNumber};
use ringfleet_store::{DocKind, Millis, Private};
use serde::{Deserialize, Serialize};

use super::facts::{AccountList, ExtensionFacts, Failed, ListedNumber, OwnNumber, Who};

const FORMAT: u8 = 1;
/// A body holds 64 KiB; an extension with more numbers than this keeps those it can text from first.
pub(crate) const MOST_NUMBERS: usize = 400;

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
struct Number {
    v: u8,
    account: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<ExtensionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short: Option<String>,
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
    Number(PhoneNumber),
    Account(AccountId),
}

impl Key {
    /// `None` for one that is another app's, or not the directory's.
    pub(crate) fn parse(app: &str, kind: DocKind, key: &str) -> Option<Self> {
        let name = key.strip_prefix(app)?.strip_prefix('/')?;
        match (kind, name.strip_prefix("account/")) {
            (DocKind::Extension, _) => ExtensionId::try_new(name).ok().map(Key::Extension),
            (_, Some(account)) => AccountId::try_new(account).ok().map(Key::Account),
            (_, None) => PhoneNumber::try_new(name).ok().map(Key::Number),
        }
    }

    pub(crate) fn of(&self, app: &str) -> String {
        match self {
            Key::Extension(id) => format!("{app}/{id}"),
            Key::Number(number) => format!("{app}/{}", number.expose()),
            Key::Account(account) => format!("{app}/account/{account}"),
        }
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

pub(crate) fn number(number: PhoneNumber, body: &[u8]) -> Option<ListedNumber> {
    let record: Number = serde_json::from_slice(body).ok().filter(|record: &Number| record.v == FORMAT)?;
    let owner = record.extension.map(|id| Who { id, short: short(record.short) });
    Some(ListedNumber { number, account: record.account, owner })
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

impl ListedNumber {
    pub(crate) fn body(&self) -> Vec<u8> {
        let owner = self.owner.as_ref();
        json(&Number {
            v: FORMAT,
            account: self.account.clone(),
            extension: owner.map(|who| who.id.clone()),
            short: owner.and_then(|who| who.short.as_ref()).map(ToString::to_string),
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
        for owner in [Some(who.clone()), None] {
            let listed = ListedNumber { number: phone(1), account: of.clone(), owner };
            assert_eq!(number(phone(1), &listed.body()), Some(listed));
        }
        let denied = vec![(who.id.clone(), Failed { code: "CMN-408".into(), at: 3 })];
        let list = AccountList { read_at: 5, read_by: Some(who.id), numbers: 7, denied, ..AccountList::unread(of) };
        assert_eq!(account(list.account.clone(), &list.body()), Some(list));
    }

    #[test]
    fn keys_name_one_thing_of_one_app() {
        let account = AccountId::try_new(&"a".repeat(64)).unwrap();
        let keys = [
            (DocKind::Extension, Key::Extension(id("400129284008"))),
            (DocKind::Number, Key::Number(phone(1))),
            (DocKind::Number, Key::Account(account)),
        ];
        for (kind, key) in keys {
            let text = key.of("main");
            assert!(text.len() < MAX_KEY_BYTES);
            assert_eq!(Key::parse("main", kind, &text), Some(key));
            assert_eq!(Key::parse("mai", kind, &text), None);
        }
        assert_eq!(Key::parse("main", DocKind::Number, "main/elsewhere/1"), None);
    }

    #[test]
    fn the_largest_extension_fits_into_a_document() {
        let body = full(10_000).body();
        assert!(body.len() < MAX_BODY_BYTES, "{}", body.len());
        assert_eq!(extension(id("1"), &body).unwrap().numbers.len(), MOST_NUMBERS);
    }

    #[test]
    fn what_is_not_ours_counts_as_missing_and_nothing_private_is_printed() {
        assert!(extension(id("1"), b"{}").is_none() && number(phone(1), b"[]").is_none());
        let newer = String::from_utf8(full(0).body()).unwrap().replace("\"v\":1", "\"v\":2");
        assert!(extension(id("1"), newer.as_bytes()).is_none());
        let printed = format!("{:?}", full(1));
        assert!(!printed.contains("Brook") && !printed.contains("+15550000"), "{printed}");
    }
}
