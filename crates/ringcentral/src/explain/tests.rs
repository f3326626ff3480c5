use super::*;
use crate::label::Label;

/// Every code of which it is known what it means, by family.
const CODES: &[(&str, &[u16])] = &[
    (
        "OAU",
        &[
            101, 102, 105, 106, 108, 109, 110, 111, 112, 113, 116, 117, 119, 120, 121, 123, 125, 127, 128, 129, 134,
            136, 140, 141, 142, 146, 147, 148, 149, 150, 151, 152, 153, 155, 165, 167, 168, 210, 211, 213, 222, 232,
            236, 250, 251, 270, 331, 345, 473,
        ],
    ),
    ("AGW", &[401, 402]),
    (
        "CMN",
        &[
            100, 101, 102, 103, 104, 109, 110, 120, 201, 202, 203, 301, 302, 303, 304, 310, 401, 402, 403, 404, 405,
            406, 407, 408, 414, 419,
        ],
    ),
    ("BIL", &[103]),
    (
        "MSG",
        &[
            240, 241, 242, 243, 245, 246, 247, 290, 304, 305, 310, 314, 333, 337, 338, 347, 348, 350, 351, 352, 365,
            367, 380, 381, 383, 384, 397, 403,
        ],
    ),
    ("SUB", &[405, 505, 508, 515, 516, 520, 521, 522, 523, 524, 525]),
    ("SMS-RC", &[403, 410, 413, 430, 500, 501, 503, 504]),
    ("SMS-UP", &[410, 413, 414, 430, 431, 432, 433, 500]),
    ("SMS-CAR", &[104, 199, 400, 410, 411, 412, 413, 414, 430, 431, 432, 433, 434, 435, 450, 451, 452, 460, 461, 500]),
];

fn codes() -> impl Iterator<Item = String> {
    CODES.iter().flat_map(|(family, numbers)| numbers.iter().map(move |number| format!("{family}-{number}")))
}

#[test]
fn every_listed_code_has_a_sense_and_a_next_step() {
    for code in codes() {
        let Explanation { means, next_step, known } = explain(&code);
        assert!(known, "{code}");
        for sentence in [means, next_step] {
            assert!(sentence.split_whitespace().count() >= 4, "{code}: {sentence}");
            assert!(!sentence.contains(". ") && !sentence.ends_with('.'), "{code}: one sentence, {sentence}");
            assert!(!sentence.contains(&code), "{code}: its own name explains nothing");
        }
    }
    let numbered = tables().filter(|(code, _, _)| Label::try_new(code).is_some_and(|code| code.is_numbered()));
    assert_eq!(numbered.count(), codes().count(), "a code that is not listed here");
}

#[test]
fn no_next_step_is_filler() {
    let filler = [
        "contact support",
        "try again",
        "check your",
        "check the documentation",
        "see the documentation",
        "fix the request",
        "if the problem persists",
        "please",
        "something went wrong",
    ];
    for (code, means, next_step) in tables() {
        let told = next_step.to_lowercase();
        assert!(filler.iter().all(|phrase| !told.contains(phrase)), "{code}: {next_step}");
        // What serves for anything says nothing: only codes with one cause may share a step.
        let sharing: Vec<_> = tables().filter(|(_, _, other)| other == next_step).map(|(code, _, _)| code).collect();
        assert!(sharing.len() <= 3, "{sharing:?} share: {next_step}");
        assert_ne!(means, next_step, "{code}");
    }
}

#[test]
fn the_codes_that_people_ask_about_name_their_remedy() {
    let cases = [
        ("OAU-112", "flow"),
        ("OAU-113", "redirect URI"),
        ("OAU-123", "Basic"),
        ("OAU-125", "JWT auth flow"),
        ("OAU-146", "one app"),
        ("OAU-152", "response_type=code"),
        ("OAU-155", "client_id"),
        ("OAU-210", "refresh"),
        ("OAU-211", "new one"),
        ("OAU-213", "five sessions"),
        ("OAU-251", "JWT auth flow"),
        ("OAU-331", "three parts"),
        ("OAU-473", "this client id"),
        ("CMN-401", "ReadMessages"),
        ("CMN-408", "role"),
        ("MSG-304", "own JWT"),
        ("MSG-304", "SmsSender"),
        ("MSG-367", "SmsSender"),
        ("SMS-CAR-413", "never"),
    ];
    for (code, remedy) in cases {
        assert!(explain(code).next_step.contains(remedy), "{code}: {}", explain(code).next_step);
    }
}

#[test]
fn each_code_stands_once_and_is_fit_for_a_log() {
    for (index, (code, _, _)) in tables().enumerate() {
        assert!(Label::try_new(code).is_some(), "{code}");
        assert!(tables().skip(index + 1).all(|(other, _, _)| !other.eq_ignore_ascii_case(code)), "{code} twice");
    }
}

#[test]
fn unknown_codes_are_told_as_unknown_with_their_family() {
    let cases = [
        ("OAU-999", "signing in"),
        ("cmn-999", "permissions"),
        ("MSG-999", "message store"),
        ("SUB-999", "webhooks"),
        ("SMS-CAR-999", "carrier"),
        ("SMS-RC-999", "RingCentral reports"),
        ("XYZ-1", "nor of a family"),
        ("", "nor of a family"),
        ("é", "nor of a family"),
    ];
    for (code, family) in cases {
        let told = explain(code);
        assert!(!told.is_known() && told.means.contains(family), "{code}: {}", told.means);
        assert!(!told.next_step.is_empty());
    }
    assert_eq!(explain(" msg-304\n"), explain("MSG-304"));
    assert!(explain("tokeninvalid").is_known());
}
