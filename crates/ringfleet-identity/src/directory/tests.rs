//! Whom a number means, from all that several sources say.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ringcentral::{AccountId, ExtensionId, ExtensionStatus, NumberFeature, PhoneNumber, ShortNumber};

use super::{AccountList, Book, Claim, Claims, ExtensionFacts, Failed, Gone, ListedNumber, NotASender, OwnNumber, Who};

fn id(text: &str) -> ExtensionId {
    ExtensionId::try_new(text).unwrap()
}

fn phone(n: u32) -> PhoneNumber {
    PhoneNumber::try_new(&format!("+1555010{n:04}")).unwrap()
}

fn account() -> AccountId {
    AccountId::try_new("1").unwrap()
}

/// `400102` is extension 102, and so on.
fn who(id_text: &str) -> Who {
    Who { id: id(id_text), short: ShortNumber::try_new(&id_text[3..]).ok() }
}

/// Connected, enabled, read at 100.
fn read(id_text: &str, numbers: &[(u32, NumberFeature)]) -> ExtensionFacts {
    let own =
        |(n, feature): &(u32, NumberFeature)| OwnNumber { number: phone(*n), features: vec![*feature], since: 100 };
    ExtensionFacts {
        account: Some(account()),
        short: who(id_text).short,
        status: ExtensionStatus::Enabled,
        connected_by: vec!["jwt".into()],
        numbers: numbers.iter().map(own).collect(),
        read_at: 100,
        ..ExtensionFacts::unread(id(id_text))
    }
}

const SMS: NumberFeature = NumberFeature::SmsSender;

#[derive(Default)]
struct Told {
    claims: Vec<Claim>,
    extensions: Vec<ExtensionFacts>,
    listed: Vec<(u32, Option<&'static str>)>,
    list_read_at: i64,
}

impl Told {
    fn book(self) -> Book {
        let listed = self
            .listed
            .into_iter()
            .map(|(n, owner)| (phone(n), ListedNumber { number: phone(n), account: account(), owner: owner.map(who) }));
        let list = AccountList { read_at: self.list_read_at, ..AccountList::unread(account()) };
        Book::new(
            Claims::try_new(self.claims).unwrap(),
            self.extensions.into_iter().map(|facts| (facts.extension.clone(), facts)).collect(),
            listed.collect::<HashMap<_, _>>(),
            BTreeMap::from([(account(), list)]),
        )
    }

    /// With one number of the account's list, whose owner has no extension number.
    fn listed_for(self, id_text: &str) -> Book {
        let owner = Some(Who { id: id(id_text), short: None });
        let listed = HashMap::from([(phone(5), ListedNumber { number: phone(5), account: account(), owner })]);
        let extensions = self.extensions.into_iter().map(|facts| (facts.extension.clone(), facts)).collect();
        Book::new(Claims::default(), extensions, listed, BTreeMap::new())
    }
}

fn claim(id_text: &str, numbers: &[u32]) -> Claim {
    Claim { extension: id(id_text), numbers: numbers.iter().map(|n| phone(*n)).collect() }
}

#[test]
fn what_a_person_wrote_counts_until_the_provider_has_spoken() {
    let claims = vec![claim("400101", &[1]), claim("400102", &[2])];
    let book = Told { claims: claims.clone(), ..Told::default() }.book();
    assert_eq!(book.by_number(&phone(1)), Ok(&id("400101")));
    assert_eq!(book.by_number(&phone(3)), Err(NotASender::Unknown { complete: false }));

    // 101's own list shows another number; nothing was told of 102.
    let extensions = vec![read("400101", &[(3, SMS)])];
    let book = Told { claims, extensions, ..Told::default() }.book();
    assert_eq!(book.by_number(&phone(1)), Err(NotASender::NotItsOwn { who: who("400101") }));
    assert_eq!(book.by_number(&phone(3)), Ok(&id("400101")));
    assert_eq!(book.by_number(&phone(2)), Ok(&id("400102")));
}

#[test]
fn a_reading_that_failed_leaves_what_a_person_wrote() {
    let failed = Some(Failed { code: "CMN-401".into(), at: 7 });
    let unread = ExtensionFacts { failed, ..ExtensionFacts::unread(id("400101")) };
    let told = Told { claims: vec![claim("400101", &[1])], extensions: vec![unread], ..Told::default() };
    assert_eq!(told.book().by_number(&phone(1)), Ok(&id("400101")));
}

#[test]
fn the_accounts_list_tells_owners_that_are_not_connected_and_numbers_of_nobody() {
    let told = Told {
        extensions: vec![read("400101", &[(1, SMS)])],
        listed: vec![(1, Some("400101")), (2, Some("400102")), (9, None)],
        list_read_at: 100,
        ..Told::default()
    };
    let book = told.book();
    assert_eq!(book.by_number(&phone(2)), Err(NotASender::NotConnected { who: who("400102") }));
    assert_eq!(book.by_number(&phone(9)), Err(NotASender::Nobodys));
    assert_eq!(book.by_number(&phone(3)), Err(NotASender::Unknown { complete: true }));
    assert_eq!(who("400102").to_string(), "extension 102");
}

#[test]
fn a_queues_number_is_sent_from_by_the_extension_that_has_its_feature() {
    let told = Told {
        extensions: vec![read("400101", &[(7, SMS)])],
        listed: vec![(7, Some("400500"))],
        list_read_at: 200,
        ..Told::default()
    };
    assert_eq!(told.book().by_number(&phone(7)), Ok(&id("400101")));
}

#[test]
fn a_number_without_the_feature_cant_send_and_a_high_volume_one_neither() {
    let (fax, bulk) = ((1, NumberFeature::MmsSender), (2, NumberFeature::A2pSmsSender));
    let book = Told { extensions: vec![read("400101", &[fax, bulk])], ..Told::default() }.book();
    let refused = |high_volume| Err(NotASender::CannotText { who: who("400101"), high_volume });
    assert_eq!(book.by_number(&phone(1)), refused(false));
    assert_eq!(book.by_number(&phone(2)), refused(true));
    assert_eq!(book.by_extension("101"), Some(Err(NotASender::NoNumber { who: who("400101") })));
}

#[test]
fn of_two_lists_with_one_number_the_later_arrival_has_it() {
    let mut new = read("400102", &[(1, SMS)]);
    new.numbers[0].since = 200;
    let book = Told { extensions: vec![read("400101", &[(1, SMS)]), new], ..Told::default() }.book();
    assert_eq!(book.by_number(&phone(1)), Ok(&id("400102")));
    assert_eq!(book.by_extension("101"), Some(Err(NotASender::NoNumber { who: who("400101") })));
    assert_eq!(book.by_extension("102"), Some(Ok((&phone(1), &id("400102")))));
    assert_eq!(book.senders(), [(phone(1), id("400102"))]);
}

#[test]
fn an_extension_that_is_not_connected_any_more_is_told_by_its_present_owner() {
    let left = ExtensionFacts { connected_by: Vec::new(), ..read("400101", &[(1, SMS)]) };
    let before =
        Told { extensions: vec![left.clone()], listed: vec![(1, Some("400102"))], list_read_at: 50, ..Told::default() };
    assert_eq!(before.book().by_number(&phone(1)), Err(NotASender::NotConnected { who: who("400101") }));
    let after =
        Told { extensions: vec![left], listed: vec![(1, Some("400102"))], list_read_at: 200, ..Told::default() };
    assert_eq!(after.book().by_number(&phone(1)), Err(NotASender::NotConnected { who: who("400102") }));
}

#[test]
fn disabled_extensions_are_told_by_their_status_and_by_a_refused_login() {
    let by_status = ExtensionFacts { status: ExtensionStatus::Frozen, ..read("400101", &[(1, SMS)]) };
    let failed = Some(Failed { code: "OAU-236".into(), at: 101 });
    let by_login = ExtensionFacts { failed, ..read("400102", &[(2, SMS)]) };
    let book = Told { extensions: vec![by_status, by_login], ..Told::default() }.book();
    let refused = |who, status| Err(NotASender::Inactive { who, status });
    assert_eq!(book.by_number(&phone(1)), refused(who("400101"), "Frozen"));
    assert_eq!(book.by_number(&phone(2)), refused(who("400102"), "Disabled"));
    assert!(book.senders().is_empty());
}

#[test]
fn extension_numbers_and_ids_name_an_extension_with_one_number_to_send_from() {
    let extensions = vec![read("400101", &[(1, SMS)]), read("400102", &[(2, SMS), (3, SMS)])];
    let listed = vec![(4, Some("400103"))];
    let book = Told { claims: vec![claim("777", &[8])], extensions, listed, ..Told::default() }.book();
    for name in ["101", "400101"] {
        assert_eq!(book.by_extension(name), Some(Ok((&phone(1), &id("400101")))), "{name}");
    }
    assert_eq!(book.by_extension("777"), Some(Ok((&phone(8), &id("777")))));
    assert_eq!(book.by_extension("102"), Some(Err(NotASender::Several { who: who("400102"), numbers: 2 })));
    for name in ["103", "400103"] {
        assert_eq!(book.by_extension(name), Some(Err(NotASender::NotConnected { who: who("400103") })), "{name}");
    }
    assert_eq!(book.by_extension("104"), None);
    assert_eq!(book.by_extension("Dear Ms Miller"), None);
}

#[test]
fn a_short_number_of_two_extensions_is_ambiguous_even_if_one_is_not_connected() {
    let other = ExtensionFacts { connected_by: Vec::new(), ..read("500101", &[(2, SMS)]) };
    let book = Told { extensions: vec![read("400101", &[(1, SMS)]), other], ..Told::default() }.book();
    let extensions = vec![id("400101"), id("500101")];
    assert_eq!(book.by_extension("101"), Some(Err(NotASender::Ambiguous { extensions })));
    // The id of one is the short number of another.
    let claims = vec![claim("101", &[9])];
    let book = Told { claims, extensions: vec![read("400101", &[(1, SMS)])], ..Told::default() }.book();
    assert!(matches!(book.by_extension("101"), Some(Err(NotASender::Ambiguous { .. }))));
}

#[test]
fn who_has_left_leaves_the_extension_number_to_the_next_one_of_the_account() {
    let left = ExtensionFacts { connected_by: Vec::new(), ..read("400101", &[(1, SMS)]) };
    let new = ExtensionFacts { read_at: 200, ..read("500101", &[(2, SMS)]) };
    let named = |left: &ExtensionFacts, new: &ExtensionFacts| {
        let book = Told { extensions: vec![left.clone(), new.clone()], ..Told::default() }.book();
        book.by_extension("101").map(|found| found.map(|(number, _)| number.clone()))
    };
    assert_eq!(named(&left, &new), Some(Ok(phone(2))));
    let ambiguous = Some(Err(NotASender::Ambiguous { extensions: vec![id("400101"), id("500101")] }));
    let elsewhere = ExtensionFacts { account: None, ..new.clone() };
    assert_eq!(named(&left, &elsewhere), ambiguous, "of another account");
    let still_there = ExtensionFacts { connected_by: vec!["jwt".into()], ..left };
    assert_eq!(named(&still_there, &new), ambiguous);
}

/// RingCentral shows a number with its feature to several extensions for a while after it was given on.
#[test]
fn a_number_that_several_lists_show_is_sent_from_by_one_that_is_connected_and_can_text() {
    let mut new = read("400102", &[(1, SMS)]);
    new.numbers[0].since = 200;
    let gone = ExtensionFacts { connected_by: Vec::new(), ..new.clone() };
    let book = Told { extensions: vec![read("400101", &[(1, SMS)]), gone], ..Told::default() }.book();
    assert_eq!(book.by_number(&phone(1)), Ok(&id("400101")), "the later one is not connected");
    new.numbers[0].features = vec![NumberFeature::MmsSender];
    let book = Told { extensions: vec![read("400101", &[(1, SMS)]), new], ..Told::default() }.book();
    assert_eq!(book.by_number(&phone(1)), Ok(&id("400101")), "the later one can't text");
    assert_eq!(book.by_extension("102"), Some(Err(NotASender::NoNumber { who: who("400102") })));
    assert_eq!(book.senders(), [(phone(1), id("400101"))]);
}

#[test]
fn a_companys_number_is_sent_from_by_the_extension_that_may_and_by_nobody_when_it_has_left() {
    let with = read("400101", &[(9, SMS)]);
    let listed = vec![(9, None)];
    let book =
        Told { extensions: vec![with.clone()], listed: listed.clone(), list_read_at: 200, ..Told::default() }.book();
    assert_eq!(book.by_number(&phone(9)), Ok(&id("400101")));
    let left = ExtensionFacts { connected_by: Vec::new(), ..with };
    let book = Told { extensions: vec![left], listed, list_read_at: 200, ..Told::default() }.book();
    assert_eq!(book.by_number(&phone(9)), Err(NotASender::Nobodys));
}

#[test]
fn an_id_that_is_another_ones_short_number_means_both_until_it_is_written_in_full() {
    let other = read("101", &[(2, SMS)]);
    let other = ExtensionFacts { short: ShortNumber::try_new("900").ok(), ..other };
    let book = Told { extensions: vec![read("400101", &[(1, SMS)]), other], ..Told::default() }.book();
    assert_eq!(book.named("101").into_iter().collect::<Vec<_>>(), [&id("101"), &id("400101")]);
    let extensions = vec![id("101"), id("400101")];
    assert_eq!(book.by_extension("101"), Some(Err(NotASender::Ambiguous { extensions })));
    assert_eq!(book.by_extension("400101"), Some(Ok((&phone(1), &id("400101")))));
    assert_eq!(book.by_extension("900"), Some(Ok((&phone(2), &id("101")))));
    assert_eq!(book.by_number(&phone(2)), Ok(&id("101")));
}

#[test]
fn an_id_that_was_never_read_and_has_no_login_any_more_is_not_meant_where_it_is_another_ones_number() {
    let failed = Some(Failed { code: "login-of-another-extension".into(), at: 7 });
    let left = ExtensionFacts { failed, ..ExtensionFacts::unread(id("101")) };
    let connected = ExtensionFacts { connected_by: vec!["jwt".into()], ..left.clone() };
    let book = |mistake: &ExtensionFacts, claims: Vec<Claim>| {
        Told { extensions: vec![read("400101", &[(1, SMS)]), mistake.clone()], claims, ..Told::default() }.book()
    };
    let both = Some(Err(NotASender::Ambiguous { extensions: vec![id("101"), id("400101")] }));
    assert_eq!(book(&left, vec![]).by_extension("101"), Some(Ok((&phone(1), &id("400101")))));
    assert_eq!(book(&connected, vec![]).by_extension("101"), both, "connected, and not read yet");
    assert_eq!(book(&left, vec![claim("101", &[9])]).by_extension("101"), both, "a person wrote of it");
    let listed =
        Told { extensions: vec![left.clone(), read("400101", &[(1, SMS)])], ..Told::default() }.listed_for("101");
    assert_eq!(listed.by_extension("101"), both, "the account's list has it");
    assert_eq!(listed.number_taken_for_id(&id("101")), BTreeSet::new(), "the account's list has it");
    // Where nobody else is meant it is still known by its id.
    let alone = Told { extensions: vec![left], ..Told::default() }.book();
    assert_eq!(
        alone.by_extension("101"),
        Some(Err(NotASender::NotConnected { who: Who { id: id("101"), short: None } }))
    );
}

#[test]
fn a_number_that_stands_where_an_id_belongs_is_known_by_the_extensions_that_have_it() {
    let other = ExtensionFacts { account: None, ..read("500102", &[]) };
    let short = ShortNumber::try_new("900").ok();
    let read_itself = ExtensionFacts { short, ..read("103", &[]) };
    let unread = ExtensionFacts { connected_by: vec!["jwt".into()], ..ExtensionFacts::unread(id("101")) };
    let extensions = ["400101", "400102", "400103"].map(|id| read(id, &[]));
    let extensions = extensions.into_iter().chain([other, read_itself, unread]).collect();
    let book = Told { extensions, claims: vec![claim("101", &[9])], ..Told::default() }.book();
    let taken = |word: &str| book.number_taken_for_id(&id(word)).into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(taken("101"), [id("400101")]);
    assert_eq!(taken("102"), [id("400102"), id("500102")]);
    for fine in ["103", "104", "400101", "not-a-number"] {
        assert_eq!(taken(fine), [], "{fine}");
    }
}

#[test]
fn a_connected_extension_whose_numbers_are_unknown_is_told_so() {
    let failed = Some(Failed { code: "CMN-401".into(), at: 7 });
    let unread = ExtensionFacts { failed, connected_by: vec!["jwt".into()], ..ExtensionFacts::unread(id("400102")) };
    let told = Told { extensions: vec![unread], listed: vec![(2, Some("400102"))], list_read_at: 9, ..Told::default() };
    let book = told.book();
    let refused = NotASender::NotRead { who: who("400102"), why: Some("CMN-401".into()) };
    assert_eq!(book.by_number(&phone(2)), Err(refused.clone()));
    assert_eq!(book.by_extension("400102"), Some(Err(refused)));
    assert_eq!(book.by_number(&phone(3)), Err(NotASender::Unknown { complete: false }));
}

#[test]
fn a_message_is_gone_by_what_was_read_after_it_was_accepted_only() {
    let extensions = vec![read("400101", &[(1, NumberFeature::MmsSender)]), read("400102", &[(2, SMS)])];
    let book = Told { extensions, listed: vec![(5, Some("400103"))], ..Told::default() }.book();
    let gone = |n, accepted_at| book.gone(&id("400101"), &phone(n), accepted_at);
    assert_eq!(gone(1, 100), None);
    assert_eq!(gone(1, 99), Some(Gone::Feature));
    assert_eq!(gone(2, 99), Some(Gone::To(who("400102"))));
    assert_eq!(gone(5, 99), Some(Gone::To(who("400103"))));
    assert_eq!(gone(6, 99), Some(Gone::Away));
    assert_eq!(book.gone(&id("400102"), &phone(2), 99), None);
    assert_eq!(book.gone(&id("400999"), &phone(2), 99), None, "nothing is known of it");
}

#[test]
fn a_number_claimed_twice_names_both_extensions_and_not_the_number() {
    let error = Claims::try_new([claim("101", &[1]), claim("102", &[1])]).err().unwrap().to_string();
    assert!(error.contains("extension 101") && error.contains("extension 102"), "{error}");
    assert!(!error.contains("5550100001"), "{error}");
    assert!(Claims::try_new([claim("101", &[1]), claim("101", &[1])]).is_ok());
}
