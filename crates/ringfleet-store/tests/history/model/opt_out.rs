//! Who wants no texts.

use ringfleet_store::{Millis, NewMessage, OptOut, OptedOut};

use super::Model;

impl Model {
    /// One is lifted only if it was entered by `until`, where that is said.
    pub(crate) fn set_opt_out(&mut self, extension: Option<&str>, change: &OptOut, until: Option<Millis>) {
        let same = |known: &OptedOut| {
            (known.extension.as_deref(), &known.from, &known.to) == (extension, &change.from, &change.to)
        };
        let known = self.opted_out.iter().position(same);
        match (known, change.out) {
            (None, true) => self.opted_out.push(OptedOut {
                extension: extension.map(str::to_owned),
                from: change.from.clone(),
                to: change.to.clone(),
                since: self.now,
            }),
            (Some(at), false) if until.is_none_or(|until| self.opted_out[at].since <= until) => {
                self.opted_out.remove(at);
            }
            _ => {}
        }
    }

    pub(crate) fn is_out(&self, new: &NewMessage) -> bool {
        self.opted_out.iter().any(|entry| {
            entry.extension.as_deref().is_none_or(|extension| extension == new.lane.extension())
                && (entry.from.expose() == "*" || entry.from == new.from)
                && entry.to == new.to
        })
    }
}
