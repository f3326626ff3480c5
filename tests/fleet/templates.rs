//! Files whose texts a template makes, and what a dry run tells of the time that they take.

use std::time::Duration;

use crate::{
    credential_commands::told,
    rig::{Ends, Rig, RigOptions, Waiting},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_template_makes_texts_of_an_export_and_what_does_not_fit_is_told_before_any_row_goes_in() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let from = &rig.accounts[0].numbers[0];
    let rows =
        ["1,Annabelle,Monday,X", "2,,Wednesday,X", "3,Bertholdt,,X"].map(|row| format!("{from},+1555200000{row}\n"));
    std::fs::write(rig.path("export.csv"), format!("from,to,First Name,Date,Company\n{}", rows.concat())).unwrap();
    std::fs::write(rig.path("good.txt"), "\u{feff}Canary {first name|there},\r\nsee you on {date}.\r\n").unwrap();
    std::fs::write(rig.path("bad.txt"), "Canary {first nam},\nsee you on {{date}}, {").unwrap();
    rig.keep_secret([
        "+15552000001",
        "+15552000002",
        "+15552000003",
        "see you on",
        "Annabelle",
        "Bertholdt",
        "Wednesday",
    ]);
    let import = |template: &str, more: &[&str]| {
        rig.run(&[&["import", "export.csv", "--template", template][..], more].concat())
    };

    let bad = told(&import("bad.txt", &["--pass-over", "company,date"]));
    for part in
        ["nothing was imported", "line 1, column 8", "line 2, column 12", "line 2, column 22", "First Name (column 3)"]
    {
        assert!(bad.contains(part), "{part} is not told:\n{bad}");
    }
    let unused = import("good.txt", &[]);
    assert_eq!(unused.status.code(), Some(1), "{}", told(&unused));
    assert!(told(&unused).contains("--pass-over \"Company\""), "{}", told(&unused));
    let missing = import("none.txt", &[]);
    assert!(missing.status.code() == Some(1) && told(&missing).contains("can't open the template none.txt"));
    assert_eq!(rig.stats().await.total(), 0);

    let good = import("good.txt", &["--pass-over", "company", "--results", "ids.jsonl"]);
    assert_eq!(good.status.code(), Some(3), "{}", told(&good));
    assert!(told(&good).contains("line 4, text: the column date is empty"), "{}", told(&good));
    rig.handed_in_elsewhere(2);
    let ids = std::fs::read_to_string(rig.path("ids.jsonl")).unwrap();
    let texts = ["Canary Annabelle,\nsee you on Monday.", "Canary there,\nsee you on Wednesday."];
    assert_eq!(ids.lines().count(), texts.len(), "{ids}");
    for (line, text) in ids.lines().zip(texts) {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let message = rig.store.get(&row["id"].as_str().unwrap().parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(message.text.expose(), text);
    }
    rig.finish(Ends::waiting(Waiting::Exactly(2), "no worker is started")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_how_long_the_rows_take_by_the_plan_and_shows_a_text_only_if_asked() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let from = &rig.accounts[0].numbers[0];
    let limit = rig.options.medium;
    // Three windows: at once, and twice after 2 s, their margin of 2 ms and an answer of 300 ms.
    let texts = 2 * limit + 1;
    let rows: String = (0..texts).map(|n| format!("{from},+155520{n:05},visitor\n")).collect();
    std::fs::write(rig.path("many.csv"), format!("from,to,name\n{rows}")).unwrap();
    std::fs::write(rig.path("hello.txt"), "Hello {name}\u{2019}s friend").unwrap();
    rig.keep_secret(["+15552000000", "+15552000001"]);
    let dry = |more: &[&str]| {
        let output = rig.run(&[&["import", "many.csv", "--dry-run", "--template", "hello.txt"][..], more].concat());
        assert!(output.status.success(), "{}", told(&output));
        output
    };
    let quiet = told(&dry(&[]));
    let plan = format!("at {limit} texts in 2s for each extension (plans.medium)");
    let wait = format!("one of its {texts} texts waits 4s 604ms for its turn");
    for part in [&*plan, &*wait, "with an empty queue and no other traffic", "--show-private"] {
        assert!(quiet.contains(part), "{part} is not told:\n{quiet}");
    }
    assert!(!quiet.contains("visitor"), "{quiet}");
    let shown = told(&dry(&["--show-private"]));
    assert!(shown.contains("the text of line 2 is \"Hello visitor\u{2019}s friend\""), "{shown}");

    let json = |more: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&dry(&[&["--json"][..], more].concat()).stdout).unwrap()
    };
    let (quiet, shown) = (json(&[]), json(&["--show-private"]));
    let expected = serde_json::json!({
        "limit": limit,
        "window_ms": 2_000,
        "busiest": {"extension": rig.accounts[0].extension_id, "texts": texts, "longest_wait_ms": 4_604},
        "too_late": 0,
    });
    assert_eq!((&quiet["forecast"], &quiet["example"]), (&expected, &serde_json::Value::Null));
    assert_eq!(shown["example"], serde_json::json!({"line": 2, "text": "Hello visitor\u{2019}s friend"}));
    assert_eq!(rig.stats().await.total(), 0);
    rig.finish(Ends::all()).await;
}
