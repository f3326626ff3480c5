//! Which extensions a word means that may be an id or an extension number.

use std::collections::BTreeSet;

use ringcentral::{ExtensionId, ShortNumber};

use super::{book::Book, facts::ExtensionFacts};

impl Book {
    /// The extensions that an extension number or an extension id means.
    pub fn named(&self, digits: &str) -> BTreeSet<&ExtensionId> {
        let mut named: BTreeSet<&ExtensionId> = self.numbered(digits).collect();
        if let Ok(id) = ExtensionId::try_new(digits) {
            // Documents are never removed: a login under a number that was typed for an id leaves one behind when it is taken out,
            // and the number would mean two for ever.
            let counts = |facts: &ExtensionFacts| named.is_empty() || !self.is_trace(facts);
            let known = self.extensions.get_key_value(&id).filter(|(_, facts)| counts(facts)).map(|(id, _)| id);
            let claimed = || self.claims.extensions.get_key_value(&id).map(|(id, _)| id);
            let owner = || self.index.owners.get_key_value(&id).map(|(id, _)| id);
            let own = known.or_else(claimed).or_else(owner);
            named.extend(own);
        }
        named
    }

    /// The extensions whose number stands where an id belongs; none if the provider has told of an extension with this id.
    pub fn number_taken_for_id(&self, id: &ExtensionId) -> BTreeSet<&ExtensionId> {
        if self.was_read(id) || self.index.owners.contains_key(id) {
            return BTreeSet::new();
        }
        self.numbered(id.as_str()).collect()
    }

    fn numbered(&self, digits: &str) -> impl Iterator<Item = &ExtensionId> {
        ShortNumber::try_new(digits).ok().and_then(|short| self.index.shorts.get(&short)).into_iter().flatten()
    }

    /// Nothing was ever read of it, and nobody can log in for it.
    fn is_trace(&self, facts: &ExtensionFacts) -> bool {
        let untold = facts.read_at == 0 && facts.short.is_none() && facts.numbers.is_empty();
        untold && !self.is_connected(&facts.extension)
    }
}
