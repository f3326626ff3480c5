//! Every rule of a message, and what no input may do.

use proptest::prelude::*;
use ringfleet_store::{NewMessage, OnUnknown, Priority};

use super::{FROM, TO, codes, directory, draft, fake::FakeStore, now, producer};
use crate::{Code, Draft, Field, Refusal, check::check};

fn judged(draft: &Draft) -> Result<NewMessage, Vec<Refusal>> {
    check(&directory(), OnUnknown::Reconcile, draft, now())
}

fn faults(draft: &Draft) -> Vec<Refusal> {
    judged(draft).expect_err("a fault")
}

fn only_fault(draft: &Draft) -> Refusal {
    let mut faults = faults(draft);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn good_draft_becomes_a_message_of_its_lane() {
    let message = judged(&Draft { priority: Some("High".into()), ..draft() }).unwrap();
    assert_eq!(message.lane.as_str(), "main/101/medium");
    assert_eq!((message.from.expose(), message.to.expose(), message.priority), (FROM, TO, Priority::High));
    assert_eq!(message.key, None);
}

#[test]
fn extension_id_stands_for_its_only_number() {
    let message = judged(&Draft { from: "102".into(), ..draft() }).unwrap();
    assert_eq!(message.from.expose(), "+15550100002");
    let fault = only_fault(&Draft { from: "201".into(), ..draft() });
    assert_eq!(fault.code, Code::AmbiguousSender);
    assert!(fault.problem.contains('2'));
}

#[test]
fn texts_out_of_bounds_are_refused() {
    let text = |text: String| only_fault(&Draft { text, ..draft() });
    assert_eq!(text(String::new()).code, Code::TextEmpty);
    assert_eq!(text(" \n".into()).code, Code::TextEmpty);
    let long = text("😀".repeat(501));
    assert_eq!(long.code, Code::TextTooLong);
    assert!(long.problem.contains("1002"), "{long}");
    let control = text("a\u{1b}[31m".into());
    assert_eq!(control.code, Code::ControlCharacter);
    assert!(control.problem.contains("U+001B as character 2"), "{control}");
    let both = faults(&Draft { text: format!("\0{}", "a".repeat(1000)), ..draft() });
    assert_eq!(codes(&both), [Code::TextTooLong, Code::ControlCharacter]);
    assert!(judged(&Draft { text: "two\r\nlines\tand a tab".into(), ..draft() }).is_ok());
    assert!(judged(&Draft { text: "😀".repeat(500), ..draft() }).is_ok());
}

#[test]
fn numbers_that_are_not_e164_are_refused_masked() {
    let fault = only_fault(&Draft { to: "+1555020000000012".into(), ..draft() });
    assert_eq!((fault.field, fault.code), (Field::To, Code::NotE164));
    assert!(fault.to_string().starts_with("to: \"+1******12\" is not E.164: it has 16 digits; write +"), "{fault}");
    let hostile = ["15550200001", "+1 555 020 0001", "+05550200001", "+123456", ".;phone-context=", "+1555０200001"];
    for to in hostile.into_iter().chain(["+dwPAA;phone-context=AA", "\u{202e}+15550200001"]) {
        assert_eq!(only_fault(&Draft { to: to.into(), ..draft() }).code, Code::NotE164, "{to}");
        assert_eq!(only_fault(&Draft { from: to.into(), ..draft() }).code, Code::NotE164, "{to}");
    }
    assert_eq!(only_fault(&Draft { to: String::new(), ..draft() }).code, Code::Missing);
}

#[test]
fn recipient_of_the_north_american_plan_has_eleven_digits() {
    for (to, digits) in [("+1555020004", 10), ("+155502000401", 12), ("+1555020", 7), ("+155502000400000", 15)] {
        let fault = only_fault(&Draft { to: to.into(), ..draft() });
        assert_eq!((fault.field, fault.code), (Field::To, Code::NotE164), "{to}");
        let told = fault.to_string();
        assert!(told.contains(&format!("has {digits} digits; a number of +1 has 11")), "{told}");
        assert!(!told.contains("502"), "{told}");
    }
    for to in ["+15550200040", "+4479460000", "+35312345678901"] {
        assert!(judged(&Draft { to: to.into(), ..draft() }).is_ok(), "{to}");
    }
}

#[test]
fn sender_must_be_connected_and_another_than_the_recipient() {
    let unknown = only_fault(&Draft { from: "+15550109934".into(), ..draft() });
    assert_eq!(unknown.code, Code::UnknownSender);
    let expected = "from: +1******34 belongs to no connected extension; connect its extension (`ringfleet credentials add`) or \
                    add it to the accounts file, or send from extension 101, extension 102 or extension 103 (GET /v1/senders \
                    lists all)";
    assert_eq!(unknown.to_string(), expected);
    assert_eq!(only_fault(&Draft { to: FROM.into(), ..draft() }).code, Code::SameNumber);
    assert_eq!(only_fault(&Draft { from: "101".into(), to: FROM.into(), ..draft() }).code, Code::SameNumber);
}

#[test]
fn keys_and_priorities_out_of_bounds_are_refused() {
    let key = |key: &str| only_fault(&Draft { key: Some(key.into()), ..draft() }).code;
    assert_eq!(key(&"k".repeat(201)), Code::KeyTooLong);
    assert_eq!((key(""), key("a\nb")), (Code::BadKey, Code::BadKey));
    assert!(judged(&Draft { key: Some("k".repeat(200)), ..draft() }).is_ok());
    assert_eq!(only_fault(&Draft { priority: Some("urgent".into()), ..draft() }).code, Code::BadPriority);
}

#[test]
fn policy_for_an_unknown_fate_is_the_drafts_own_or_the_producers() {
    let policy = |word: &str| judged(&Draft { on_unknown: Some(word.into()), ..draft() }).unwrap().on_unknown;
    let policies = ["reconcile", "Hold", "resend"].map(policy);
    assert_eq!(policies, [OnUnknown::Reconcile, OnUnknown::Hold, OnUnknown::Resend]);
    assert_eq!(judged(&draft()).unwrap().on_unknown, OnUnknown::Reconcile);

    let producer = producer(FakeStore::with_faults([])).with_on_unknown(OnUnknown::Hold);
    assert_eq!(producer.check(&draft(), now()).unwrap().on_unknown, OnUnknown::Hold);
    let own = Draft { on_unknown: Some("resend".into()), ..draft() };
    assert_eq!(producer.check(&own, now()).unwrap().on_unknown, OnUnknown::Resend);

    let fault = only_fault(&Draft { on_unknown: Some("twice".into()), ..draft() });
    assert_eq!((fault.field, fault.code), (Field::OnUnknown, Code::BadOnUnknown));
    assert!(fault.to_string().ends_with("write reconcile, hold or resend, or leave it out"), "{fault}");
}

#[test]
fn all_faults_of_a_draft_are_told_at_once() {
    let bad = Draft {
        from: "+15550109999".into(),
        to: "5550200001".into(),
        text: String::new(),
        send_at: Some("2026-02-01T09:00:00".into()),
        send_by: Some("2020-01-01T00:00:00Z".into()),
        priority: Some("now".into()),
        on_unknown: Some("guess".into()),
        key: Some(String::new()),
    };
    let codes = codes(&faults(&bad));
    let expected = [
        Code::UnknownSender,
        Code::NotE164,
        Code::TextEmpty,
        Code::DateWithoutOffset,
        Code::SendByPast,
        Code::BadPriority,
        Code::BadOnUnknown,
        Code::BadKey,
    ];
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn refused_draft_reaches_no_store() {
    let store = FakeStore::with_faults([]);
    let error = producer(store.clone()).enqueue(Draft { text: String::new(), ..draft() }).await.unwrap_err();
    assert!(error.to_string().contains("text: is empty"), "{error}");
    assert_eq!(store.calls.load(std::sync::atomic::Ordering::SeqCst), 0);
}

proptest! {
    #[test]
    fn no_input_panics(from in ".{0,40}", to in "\\+?[0-9 ;=a-z]{0,20}", text in any::<String>(), date in ".{0,40}",
                       other in any::<Option<String>>()) {
        let draft = Draft {
            from, to, text, send_at: Some(date.clone()), send_by: Some(date), priority: other.clone(), on_unknown: other.clone(),
            key: other,
        };
        let _ = judged(&draft);
    }

    #[test]
    fn nothing_private_is_printed(canary in "[0-9]{9,15}", place in 0..8_usize, plus in any::<bool>()) {
        let raw = if plus { format!("+{canary}") } else { canary.clone() };
        let mut draft = Draft { text: "\u{7}".into(), ..draft() };
        let slots = [&mut draft.from, &mut draft.to, &mut draft.text];
        match place {
            0..=2 => for (index, slot) in slots.into_iter().enumerate() {
                if index == place { *slot = format!("{raw}\u{7}") }
            },
            3 => draft.send_at = Some(raw),
            4 => draft.send_by = Some(raw),
            5 => draft.priority = Some(raw),
            6 => draft.on_unknown = Some(raw),
            _ => draft.key = Some(format!("{raw}\u{7}")),
        }
        let shown = match judged(&draft) {
            Ok(message) => format!("{draft:?} {message:?}"),
            Err(faults) => {
                let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
                format!("{draft:?} {faults:?} {lines:?} {}", serde_json::to_string(&faults).unwrap())
            }
        };
        prop_assert!(!shown.contains(&canary), "{}", shown);
        prop_assert!(!shown.contains('\u{7}'), "{}", shown);
    }
}
