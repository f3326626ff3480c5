//! What the provider says of extensions and of the account's numbers.

use std::{collections::BTreeSet, fmt};

use ringcentral::{AccountId, ExtensionId, ExtensionStatus, NumberFeature, PhoneNumber, ShortNumber};
use ringfleet_store::{Millis, Private};

/// So many that may not read an account's list are remembered by name, which fits into its document. Beyond that they are asked in
/// the order of their ids, and the last one tells how far that has come.
pub(crate) const MOST_DENIED: usize = 300;

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
    /// Extensions that may not read it, so that others are asked: the last [`MOST_DENIED`] of them, the latest one last.
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

    /// This one may not read it.
    pub(crate) fn deny(&mut self, id: &ExtensionId, failed: Failed) {
        self.denied.retain(|(known, _)| known != id);
        self.denied.push((id.clone(), failed));
        let over = self.denied.len().saturating_sub(MOST_DENIED);
        self.denied.drain(..over);
        // When it is forgotten again it has its turn with the others.
        self.read_by.take_if(|reader| reader == id);
    }

    /// This one has read it.
    pub(crate) fn is_read_by(&mut self, id: &ExtensionId) {
        // Should it lose that right, those before it may have got it.
        match self.denied.len() < MOST_DENIED {
            true => self.denied.retain(|(known, _)| known != id),
            false => self.denied.clear(),
        }
        self.read_by = Some(id.clone());
    }

    /// Who was denied after `since`; and, when there are too many to remember, the one of them up to which all were asked.
    pub(crate) fn denied_since(&self, since: Millis) -> (BTreeSet<&ExtensionId>, Option<&ExtensionId>) {
        let denied = || self.denied.iter().filter(|(_, failed)| failed.at > since).map(|(id, _)| id);
        let last = denied().next_back().filter(|_| denied().count() >= MOST_DENIED);
        (denied().collect(), last)
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
