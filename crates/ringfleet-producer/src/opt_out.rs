//! Opt-outs as people and programs name them: entered, lifted and looked up by whose texts are not wanted.
//!
//! The store keeps entries of extension, sender and recipient; here they are found by the words of a caller. Only `http` and the
//! command `ringfleet opt-out` come this way: what a recipient says by text is the worker's.

use std::{collections::BTreeSet, time::Duration};

use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_store::{MAX_BATCH, OptOut, OptOutCursor, OptedOut, Private, Store, StoreError, opt_out::ANY_NUMBER};

use crate::{check, refusal::Refusal, retry};

/// Of one call of the store; a walk through many has one for each.
const DEADLINE: Duration = Duration::from_secs(5);

/// Whose texts somebody does not want. The default: those of every extension.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Whose {
    #[default]
    Everyones,
    /// From all of its numbers.
    Extension(ExtensionId),
    /// One of our numbers, whichever extension has it now or later: who wants no texts from it will not want them from the
    /// employee who gets it next.
    Number(PhoneNumber),
}

/// What became of an opt-in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lifted {
    /// There was the opt-out that was named, and it counts no more.
    pub was_there: bool,
    /// Wider and narrower ones of the same recipient, which go on.
    pub standing: Vec<OptedOut>,
}

/// Whether somebody can have this number, so that an opt-out of theirs may be entered. What stands is found and lifted without.
///
/// # Errors
/// What is wrong with it.
pub fn may_enter(to: &PhoneNumber) -> Result<(), Refusal> {
    check::whole(to)
}

impl Whose {
    /// Enters that none of `to` want these texts. Entered twice it stands once, with its first time.
    ///
    /// # Errors
    /// [`StoreError`]. It may count for some extensions only then: enter it again.
    pub async fn note(&self, store: &dyn Store, to: &[PhoneNumber]) -> Result<(), StoreError> {
        let changes: Vec<OptOut> = to.iter().map(|to| self.change(to, true)).collect();
        // SEND-SAFETY: handed to the store also where it is listed already: with several shards a try that failed may have reached
        // the one that is listed from, and not those in which the texts wait.
        retry::within(DEADLINE, "set_opt_outs", store.set_opt_outs(self.extension(), &changes)).await
    }

    /// Lifts exactly the opt-out that is named, for all that is not suppressed yet.
    ///
    /// # Errors
    /// [`StoreError`]. It may still count for some extensions then: lift it again.
    pub async fn lift(&self, store: &dyn Store, to: &PhoneNumber) -> Result<Lifted, StoreError> {
        let (named, standing): (Vec<_>, Vec<_>) =
            standing(store, Some(to)).await?.into_iter().partition(|one| self.names(one));
        // Of a number a STOP is noted with the extension that heard it.
        let mut extensions: BTreeSet<Option<&str>> = named.iter().map(|one| one.extension.as_deref()).collect();
        // Also where it is not listed: see `note`.
        extensions.insert(self.extension());
        for extension in extensions {
            // SEND-SAFETY: nobody has asked for more than what is named here, so a wider and a narrower one go on.
            let change = [self.change(to, false)];
            retry::within(DEADLINE, "set_opt_outs", store.set_opt_outs(extension, &change)).await?;
        }
        Ok(Lifted { was_there: !named.is_empty(), standing })
    }

    /// Whether an entry is the one that is meant, whoever its recipient is.
    pub fn names(&self, one: &OptedOut) -> bool {
        let same_sender = one.from.expose() == self.sender();
        same_sender && (matches!(self, Self::Number(_)) || one.extension.as_deref() == self.extension())
    }

    fn change(&self, to: &PhoneNumber, out: bool) -> OptOut {
        OptOut { from: Private::new(self.sender()), to: Private::new(to.expose()), out }
    }

    fn sender(&self) -> &str {
        match self {
            Self::Number(number) => number.expose(),
            Self::Everyones | Self::Extension(_) => ANY_NUMBER,
        }
    }

    /// With which one it is noted.
    fn extension(&self) -> Option<&str> {
        match self {
            Self::Extension(id) => Some(id.as_str()),
            Self::Everyones | Self::Number(_) => None,
        }
    }
}

/// The opt-outs that stand, of one recipient or of all. All of them are read, 500 at a time.
///
/// # Errors
/// [`StoreError`].
pub async fn standing(store: &dyn Store, to: Option<&PhoneNumber>) -> Result<Vec<OptedOut>, StoreError> {
    let asked_for = |one: &OptedOut| to.is_none_or(|to| to.expose() == one.to.expose());
    let mut found = Vec::new();
    let mut cursor = OptOutCursor::default();
    loop {
        let page = retry::within(DEADLINE, "opt_outs", store.opt_outs(&cursor, MAX_BATCH as u32)).await?;
        found.extend(page.opted_out.into_iter().filter(asked_for));
        if !page.more {
            return Ok(found);
        }
        cursor = page.cursor;
    }
}
