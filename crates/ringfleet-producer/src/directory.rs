//! Which extension a number sends for, so that a foreign sender is refused at the door and not by the provider
//! (`MSG-304`, after the message has waited its turn).

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_store::{Group, IdError, LaneId};

/// One connected extension and the numbers it may send from.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The app (client id, or its name in the configuration) whose usage plan the extension sends under.
    pub app: String,
    pub extension: ExtensionId,
    pub numbers: Vec<PhoneNumber>,
}

/// Number → lane. Built once; swap the `Arc` around it to change it.
#[derive(Clone)]
pub struct SenderDirectory {
    lanes: HashMap<PhoneNumber, LaneId>,
    numbers: HashMap<ExtensionId, Vec<PhoneNumber>>,
}

/// Whom a draft's `from` means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Sender(&'a PhoneNumber, &'a LaneId),
    /// An extension id; the number has to be named.
    Several(usize),
    Nobody,
}

/// Why no directory can be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// Two quotas for one number: nobody could say which one a text of it uses.
    #[error("number {number} is claimed by {first} and by {second}; leave it with one of them")]
    ClaimedTwice { number: PhoneNumber, first: String, second: String },
    #[error("extension {extension} can't have a lane")]
    Name {
        extension: ExtensionId,
        #[source]
        source: IdError,
    },
}

impl SenderDirectory {
    /// # Errors
    /// [`DirectoryError`] if a number belongs to two extensions, or to one extension under two apps.
    pub fn try_new(senders: impl IntoIterator<Item = Sender>) -> Result<Self, DirectoryError> {
        let mut directory = Self { lanes: HashMap::new(), numbers: HashMap::new() };
        for Sender { app, extension, numbers } in senders {
            // createSMSMessage counts against the Medium group.
            let lane = LaneId::try_new(&app, extension.as_str(), Group::Medium)
                .map_err(|source| DirectoryError::Name { extension: extension.clone(), source })?;
            for number in numbers {
                match directory.lanes.entry(number.clone()) {
                    Entry::Vacant(free) => {
                        free.insert(lane.clone());
                        directory.numbers.entry(extension.clone()).or_default().push(number);
                    }
                    Entry::Occupied(taken) if *taken.get() == lane => {}
                    Entry::Occupied(taken) => {
                        let name = |lane: &LaneId| format!("extension {} (app {})", lane.extension(), lane.app());
                        let (first, second) = (name(taken.get()), name(&lane));
                        return Err(DirectoryError::ClaimedTwice { number, first, second });
                    }
                }
            }
        }
        Ok(directory)
    }

    /// The lane in which texts from `number` wait.
    pub fn lane_of(&self, number: &PhoneNumber) -> Option<&LaneId> {
        self.lanes.get(number)
    }

    /// How many numbers can send.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub(crate) fn by_number(&self, number: &PhoneNumber) -> Found<'_> {
        self.lanes.get_key_value(number).map_or(Found::Nobody, |(number, lane)| Found::Sender(number, lane))
    }

    pub(crate) fn by_extension(&self, extension: &ExtensionId) -> Found<'_> {
        match self.numbers.get(extension).map(Vec::as_slice) {
            None | Some([]) => Found::Nobody,
            Some([number]) => self.by_number(number),
            Some(several) => Found::Several(several.len()),
        }
    }
}

impl fmt::Debug for SenderDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SenderDirectory({} numbers of {} extensions)", self.lanes.len(), self.numbers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> PhoneNumber {
        PhoneNumber::try_new(text).unwrap()
    }

    fn sender(app: &str, extension: &str, numbers: &[&str]) -> Sender {
        Sender {
            app: app.into(),
            extension: ExtensionId::try_new(extension).unwrap(),
            numbers: numbers.iter().map(|n| number(n)).collect(),
        }
    }

    #[test]
    fn number_leads_to_the_medium_lane_of_its_extension() {
        let directory = SenderDirectory::try_new([sender("main", "101", &["+15550100001", "+15550100002"])]).unwrap();
        assert_eq!(directory.lane_of(&number("+15550100002")).unwrap().as_str(), "main/101/medium");
        assert_eq!(directory.lane_of(&number("+15550100003")), None);
        assert_eq!(directory.len(), 2);
    }

    #[test]
    fn number_claimed_twice_names_both_extensions_and_not_the_number() {
        let twice = [sender("main", "101", &["+15550100001"]), sender("main", "102", &["+15550100001"])];
        let error = SenderDirectory::try_new(twice).unwrap_err().to_string();
        assert!(error.contains("extension 101 (app main)") && error.contains("extension 102 (app main)"), "{error}");
        assert!(!error.contains("+15550100001"), "{error}");
        let same = [sender("main", "101", &["+15550100001"]), sender("main", "101", &["+15550100001"])];
        assert_eq!(SenderDirectory::try_new(same).unwrap().len(), 1);
        let two_apps = [sender("main", "101", &["+15550100001"]), sender("other", "101", &["+15550100001"])];
        assert!(SenderDirectory::try_new(two_apps).is_err());
    }

    #[test]
    fn extension_with_one_number_needs_no_number() {
        let senders =
            [sender("main", "101", &["+15550100001"]), sender("main", "102", &["+15550100002", "+15550100003"])];
        let directory = SenderDirectory::try_new(senders).unwrap();
        let by = |id: &str| directory.by_extension(&ExtensionId::try_new(id).unwrap());
        assert!(matches!(by("101"), Found::Sender(n, _) if *n == number("+15550100001")));
        assert_eq!(by("102"), Found::Several(2));
        assert_eq!(by("103"), Found::Nobody);
    }

    #[test]
    fn an_app_that_is_no_lane_name_is_an_error() {
        assert!(matches!(SenderDirectory::try_new([sender("a/b", "101", &[])]), Err(DirectoryError::Name { .. })));
    }
}
