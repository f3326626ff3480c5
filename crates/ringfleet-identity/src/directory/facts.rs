//! What the provider says of extensions and of the account's numbers.

use std::fmt;

use ringcentral::{AccountId, ExtensionId, ExtensionStatus, NumberFeature, PhoneNumber, ShortNumber};
use ringfleet_store::{Millis, Private};

/// One extension, as its own reading told it last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtensionFacts {
    pub extension: ExtensionId,
    pub account: Option<AccountId>,
    /// What colleagues dial.
    pub short: Option<ShortNumber>,
    pub name: Private,
    pub status: ExtensionStatus,
    /// How the fleet can log in for it, the preferred way first; empty: it is not connected.
    pub connected_by: Vec<String>,
    /// Its own list: those it can text from, and its direct numbers.
    pub numbers: Vec<OwnNumber>,
    /// When it was last read, by the store's clock; 0 if it never was.
    pub read_at: Millis,
    /// Why the last try failed, if that came after `read_at`.
    pub failed: Option<Failed>,
    /// Somebody wants it read again; done when `read_at` or the failure is later.
    pub asked_at: Millis,
}

impl ExtensionFacts {
    /// Of an extension that was not read yet.
    pub fn unread(extension: ExtensionId) -> Self {
        Self {
            extension,
            account: None,
            short: None,
            name: Private::default(),
            status: ExtensionStatus::Other,
            connected_by: Vec::new(),
            numbers: Vec::new(),
            read_at: 0,
            failed: None,
            asked_at: 0,
        }
    }

    pub fn who(&self) -> Who {
        Who { id: self.extension.clone(), short: self.short.clone() }
    }

    /// Nobody is logged in for it any more, and of its account, in which one extension has a number at a time, another one was
    /// read since, of those that have its extension number.
    pub fn has_passed_its_number_on_to(&self, other: &Self) -> bool {
        let same_account = self.account.is_some() && self.account == other.account;
        self.connected_by.is_empty() && same_account && other.read_at > self.read_at
    }

    pub fn number(&self, number: &PhoneNumber) -> Option<&OwnNumber> {
        self.numbers.iter().find(|own| own.number == *number)
    }

    /// When it was last tried, with or without success.
    pub fn tried_at(&self) -> Millis {
        self.failed.as_ref().map_or(self.read_at, |failed| failed.at.max(self.read_at))
    }

    /// Why nobody can text from it at all: its state, as read or as a refused login told it.
    pub fn inactive(&self) -> Option<ExtensionStatus> {
        if let Some(failed) = &self.failed
            && failed.at >= self.read_at
            && NO_LOGIN.contains(&failed.code.as_str())
        {
            return Some(ExtensionStatus::Disabled);
        }
        let active = matches!(self.status, ExtensionStatus::Enabled | ExtensionStatus::Other);
        (!active).then_some(self.status)
    }
}

/// What a login answers when the extension is disabled, frozen or gone (documented: errors page and 2021 specification).
const NO_LOGIN: [&str; 4] = ["OAU-136", "OAU-141", "OAU-232", "OAU-236"];

/// A number in the list of an extension.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnNumber {
    pub number: PhoneNumber,
    /// Of those that matter for texts: `SmsSender`, `MmsSender`, `A2PSmsSender`.
    pub features: Vec<NumberFeature>,
    /// When it was first seen there: of two extensions that both show a number, the later one has it.
    pub since: Millis,
}

impl OwnNumber {
    pub fn can(&self, feature: NumberFeature) -> bool {
        self.features.contains(&feature)
    }

    pub fn can_text(&self) -> bool {
        self.can(NumberFeature::SmsSender)
    }
}

/// A reading that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// A code of the provider, or a word of ours.
    pub code: String,
    pub at: Millis,
}

/// A number of the account's list, which tells owners and no features.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedNumber {
    pub number: PhoneNumber,
    pub account: AccountId,
    /// `None` for one that no extension has, such as the company's main number.
    pub owner: Option<Who>,
}

/// The list of an account's numbers as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountList {
    pub account: AccountId,
    /// When it was last read to its end; 0 if it never was.
    pub read_at: Millis,
    /// Whose session it was read with.
    pub read_by: Option<ExtensionId>,
    pub numbers: u32,
    /// Extensions that may not read it, so that others are asked.
    pub denied: Vec<(ExtensionId, Failed)>,
    pub failed: Option<Failed>,
    pub asked_at: Millis,
}

impl AccountList {
    pub fn unread(account: AccountId) -> Self {
        Self { account, read_at: 0, read_by: None, numbers: 0, denied: Vec::new(), failed: None, asked_at: 0 }
    }

    pub fn tried_at(&self) -> Millis {
        self.failed.as_ref().map_or(self.read_at, |failed| failed.at.max(self.read_at))
    }
}

/// An extension as people name it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Who {
    pub id: ExtensionId,
    pub short: Option<ShortNumber>,
}

/// `extension 102`, or its id where the number is not known.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.short {
            Some(short) => write!(f, "extension {short}"),
            None => write!(f, "extension {}", self.id),
        }
    }
}
