//! What a reading of an extension adds to what was known of it. Pure.

use ringcentral::{ExtensionInfo, ExtensionNumber, NumberFeature};
use ringfleet_store::{Millis, Private};

use super::{
    facts::{ExtensionFacts, Failed, OwnNumber},
    record::MOST_NUMBERS,
};

/// What a number may be texted with.
const FOR_TEXTS: [NumberFeature; 3] = [NumberFeature::SmsSender, NumberFeature::MmsSender, NumberFeature::A2pSmsSender];

/// Of an extension's name. The provider sets no bound, and a document that is too large is not written: the extension would be
/// known by what was read before, for good.
const MOST_NAME_BYTES: usize = 256;

/// A reading that came to its end.
pub(crate) struct Reading {
    /// `None` where the extension's user may read its numbers and not this.
    pub(crate) info: Option<ExtensionInfo>,
    pub(crate) numbers: Vec<ExtensionNumber>,
    /// When it began, by the store's clock: what is told is no older.
    pub(crate) at: Millis,
}

impl ExtensionFacts {
    /// Takes over a reading.
    pub(crate) fn learn(&mut self, reading: &Reading) {
        if let Some(info) = &reading.info {
            self.account = info.account.as_ref().map(|account| account.id.clone()).or(self.account.take());
            self.short = info.extension_number.clone();
            self.name = Private::new(info.name.as_ref().map_or("", |name| name.beginning(MOST_NAME_BYTES)));
            self.status = info.status;
        }
        let mut numbers: Vec<OwnNumber> = Vec::new();
        for told in &reading.numbers {
            let Some(number) = told.number() else { continue };
            let features: Vec<_> = FOR_TEXTS.into_iter().filter(|feature| told.features.contains(feature)).collect();
            // The list shows the company's numbers to everybody, as caller ids; they are not this extension's.
            let direct = told.usage_type.as_ref().is_some_and(|usage| usage.as_str() == "DirectNumber");
            if (features.is_empty() && !direct) || numbers.iter().any(|known| known.number == number) {
                continue;
            }
            let can_text = features.contains(&NumberFeature::SmsSender);
            let before = self.number(&number).filter(|before| before.can_text() == can_text);
            let since = before.map_or(reading.at, |before| before.since);
            numbers.push(OwnNumber { number, features, since });
        }
        numbers.sort_by(|a, b| (b.can_text(), &a.number).cmp(&(a.can_text(), &b.number)));
        numbers.truncate(MOST_NUMBERS);
        self.numbers = numbers;
        self.read_at = reading.at;
        self.failed = None;
    }

    /// Takes over that a reading failed, for good as far as can be told.
    pub(crate) fn learn_failure(&mut self, code: &str, at: Millis) {
        self.failed = Some(Failed { code: code.to_owned(), at });
    }
}

#[cfg(test)]
mod tests {
    use ringcentral::{ExtensionId, ExtensionStatus};
    use ringfleet_store::docs::MAX_BODY_BYTES;

    use super::*;

    fn reading(at: Millis, numbers: &[(&str, &str, &[&str])]) -> Reading {
        let number = |(number, usage, features): &(&str, &str, &[&str])| {
            let json = serde_json::json!({"phoneNumber": number, "usageType": usage, "features": features});
            serde_json::from_value(json).unwrap()
        };
        let info =
            r#"{"id":"400102","extensionNumber":"102","name":"Ada Brook","status":"Enabled","account":{"id":1}}"#;
        let info = Some(serde_json::from_str(info).unwrap());
        Reading { info, numbers: numbers.iter().map(number).collect(), at }
    }

    fn shown(facts: &ExtensionFacts) -> Vec<(&str, usize, Millis)> {
        facts.numbers.iter().map(|own| (own.number.expose(), own.features.len(), own.since)).collect()
    }

    #[test]
    fn a_reading_tells_who_it_is_and_what_its_numbers_can() {
        let mut facts = ExtensionFacts::unread(ExtensionId::try_new("400102").unwrap());
        facts.learn_failure("CMN-401", 5);
        facts.learn(&reading(
            7,
            &[
                ("+15550100002", "DirectNumber", &["CallerId"]),
                ("+15550100001", "DirectNumber", &["CallerId", "SmsSender", "MmsSender"]),
                ("+15550099999", "MainCompanyNumber", &["CallerId"]),
                ("+15550100003", "CompanyNumber", &["SmsSender"]),
                ("no number", "DirectNumber", &["SmsSender"]),
                ("+15550100001", "DirectNumber", &[]),
            ],
        ));
        assert_eq!((facts.who().to_string(), facts.name.expose()), ("extension 102".into(), "Ada Brook"));
        assert_eq!((facts.status, facts.failed.clone(), facts.read_at), (ExtensionStatus::Enabled, None, 7));
        assert_eq!(shown(&facts), [("+15550100001", 2, 7), ("+15550100003", 1, 7), ("+15550100002", 0, 7)]);
    }

    #[test]
    fn a_name_without_end_leaves_room_for_what_counts() {
        let mut facts = ExtensionFacts::unread(ExtensionId::try_new("400102").unwrap());
        let info = serde_json::json!({"id": "400102", "name": "é".repeat(50_000)});
        let numbers: Vec<_> = (0..500).map(|n| format!("+15550{n:06}")).collect();
        let numbers: Vec<(&str, &str, &[&str])> =
            numbers.iter().map(|number| (number.as_str(), "DirectNumber", ["SmsSender"].as_slice())).collect();
        facts.learn(&Reading { info: Some(serde_json::from_value(info).unwrap()), ..reading(1, &numbers) });
        assert_eq!((facts.name.expose().len(), facts.numbers.len()), (MOST_NAME_BYTES, MOST_NUMBERS));
        assert!(facts.body().len() < MAX_BODY_BYTES, "{} bytes", facts.body().len());
    }

    #[test]
    fn a_number_keeps_the_time_of_its_arrival_until_it_comes_back_or_its_feature_does() {
        let mut facts = ExtensionFacts::unread(ExtensionId::try_new("400102").unwrap());
        let with: (&str, &str, &[&str]) = ("+15550100001", "DirectNumber", &["SmsSender"]);
        let without: (&str, &str, &[&str]) = ("+15550100001", "DirectNumber", &[]);
        let mut seen = Vec::new();
        for (at, numbers) in
            [(1, vec![with]), (2, vec![with]), (3, vec![without]), (4, vec![with]), (5, vec![]), (6, vec![with])]
        {
            facts.learn(&reading(at, &numbers));
            seen.push(shown(&facts).first().map_or(0, |(.., since)| *since));
        }
        assert_eq!(seen, [1, 1, 3, 4, 0, 6]);
    }

    #[test]
    fn without_the_right_to_read_the_extension_itself_its_numbers_count_all_the_same() {
        let mut facts = ExtensionFacts::unread(ExtensionId::try_new("400102").unwrap());
        facts.learn(&Reading { info: None, ..reading(1, &[("+15550100001", "DirectNumber", &["SmsSender"])]) });
        assert_eq!((facts.read_at, facts.inactive(), facts.numbers.len()), (1, None, 1));
    }
}
