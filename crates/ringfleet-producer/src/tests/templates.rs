//! Files whose texts a template makes.

use std::{io::Cursor, sync::atomic::Ordering};

use jiff::{SignedDuration, Timestamp};
use ringfleet_store::{MessageId, Plan, SharedStore};

use super::{FROM, TO, fake::FakeStore, producer, sqlite};
use crate::{
    Code, ImportError, ImportOptions, ImportSummary, RowResult, Template, csv_import::HeaderError, import_csv,
};

fn options(template: &str) -> ImportOptions {
    ImportOptions { template: Some(Template::read(template.as_bytes())), ..ImportOptions::default() }
}

async fn import_all(
    store: SharedStore,
    options: ImportOptions,
    file: &str,
) -> (Result<ImportSummary, ImportError>, Vec<RowResult>) {
    let (mut results, file) = (Vec::new(), Cursor::new(file.to_owned()));
    let summary = import_csv(&producer(store), file, options, |_, told| results.extend_from_slice(&told.results)).await;
    (summary, results)
}

fn counts(summary: &ImportSummary) -> [u64; 3] {
    [summary.counts.accepted, summary.counts.duplicates, summary.counts.refused]
}

#[tokio::test]
async fn the_text_of_each_row_is_the_template_with_the_rows_values() {
    let (_folder, store) = sqlite().await;
    let file = format!(
        "Date,from,First Name,TO,key,Notes\n\"Mon, 3 May\",{FROM}, Zoë ,{TO},k1,\"x\ny\"\nTuesday,{FROM},,{TO},k2,z\n"
    );
    let options =
        ImportOptions { pass_over: vec!["notes".into()], ..options("Hello {first name|there}, {date}!\r\n{key}\r\n") };
    let (summary, results) = import_all(store.clone(), options, &file).await;
    let summary = summary.unwrap();
    assert_eq!(counts(&summary), [2, 0, 0], "{:?}", summary.faults);
    let texts = ["Hello Zoë, Mon, 3 May!\nk1", "Hello there, Tuesday!\nk2"];
    for (result, text) in results.iter().zip(texts) {
        assert_eq!(store.get(&result.id).await.unwrap().unwrap().text.expose(), text);
    }
    let (line, example) = summary.example.as_ref().unwrap();
    assert_eq!((*line, example.expose()), (2, texts[0]));
    let shown = format!("{summary:?} {}", serde_json::to_string(&summary).unwrap());
    assert!(!shown.contains("Zoë") && !shown.contains("Hello"), "{shown}");
}

#[tokio::test]
async fn a_row_whose_text_would_have_a_hole_is_refused_with_its_column_and_the_others_go_in() {
    let rows = ["Anna,1", ",2", "  ,3", "#N/A,4", "\u{200b},5", "Bert,6"].map(|cells| format!("{FROM},{TO},{cells}\n"));
    let file = format!("from,to,name,n\n{}", rows.concat());
    let (summary, _) = import_all(FakeStore::with_faults([]), options("Hello {name}, {n}"), &file).await;
    let summary = summary.unwrap();
    assert_eq!(counts(&summary), [2, 0, 4]);
    let told: Vec<_> = summary.faults.iter().map(|fault| (fault.line, fault.refusal.code)).collect();
    assert_eq!(told, [3, 4, 5, 6].map(|line| (line, Code::NoValue)));
    let words = summary.faults[0].refusal.to_string();
    assert!(words.starts_with("text: the column name is empty") && words.contains("{first_name|there}"), "{words}");
}

#[tokio::test]
async fn the_text_that_results_passes_all_checks_and_an_unreadable_value_is_told_of_its_column() {
    let long = "x".repeat(995);
    let rows = [&*long, "\u{7}", "it\u{2019}s", "y"].map(|value| format!("{FROM},{TO},{value}\n"));
    let mut file = format!("from,to,v\n{}", rows.concat()).into_bytes();
    file.extend(format!("{FROM},{TO},").bytes().chain(*b"caf\xe9\n"));
    file.extend(format!("{FROM},{TO},{}\n", "x".repeat(9_000)).bytes());
    let store = FakeStore::with_faults([]);
    let summary = import_csv(&producer(store), Cursor::new(file), options("See {v}!!"), |_, _| {}).await.unwrap();
    let told: Vec<_> = summary.faults.iter().map(|fault| (fault.line, fault.refusal.code)).collect();
    let codes = [(2, Code::TextTooLong), (3, Code::ControlCharacter), (6, Code::NotUtf8), (7, Code::FieldTooLong)];
    assert_eq!(told, codes);
    assert!(summary.faults[2].refusal.problem.starts_with("the column v is not UTF-8 from byte 4 on"));
    assert_eq!((summary.counts.segments, summary.counts.outside_gsm7), (2, 1), "of the texts, not of the values");
}

#[tokio::test]
async fn what_does_not_fit_together_is_told_before_any_row_goes_in() {
    let file = |header: &str| format!("{header}\n{FROM},{TO},Anna,x\n");
    for (template, header) in [
        ("Hello {nam}", "from,to,name,send_by"),
        ("Hello {name}", "from,to,name,sendby"),
        ("Hello {name}", "from,to,name,name"),
        ("Hello {name}", "from,to,name,text"),
        ("Hello {{name}} {x}", "from,to,name,x"),
        ("Hello {{nam}} {name}", "from,to,name,key"),
        ("Hello {name} {send at}", "from,to,name,Send At"),
        ("Hello {name", "from,to,name,key"),
        ("{name}", "from,recipient,name,key"),
        (" ", "from,to,key,priority"),
    ] {
        let store = FakeStore::with_faults([]);
        let (result, _) = import_all(store.clone(), options(template), &file(header)).await;
        let error = result.unwrap_err();
        assert!(matches!(error, ImportError::Header(_)), "{header}: {error:?}");
        assert!(
            error.to_string().starts_with("nothing was imported") && !error.to_string().contains("Anna"),
            "{error}"
        );
        assert_eq!((store.len(), store.calls.load(Ordering::SeqCst)), (0, 0), "{header}");
    }
    // Without a template the same columns are no less unknown.
    let (result, _) =
        import_all(FakeStore::with_faults([]), ImportOptions::default(), &file("from,to,text,name")).await;
    let error = result.unwrap_err();
    assert!(
        matches!(error, ImportError::Header(HeaderError::Unmatched(_))) && error.to_string().contains("--template")
    );
}

#[tokio::test]
async fn a_row_without_a_key_is_known_by_the_text_that_results_and_one_with_a_key_is_never_sent_anew() {
    let store = FakeStore::with_faults([]);
    let file = |extra: &str, key: &str| {
        format!("from,to,name,{extra},key\n{FROM},{TO},Anna,1,{key}\n{FROM},+15550200002,Bert,2,{key}\n")
    };
    let import = async |template: &str, file: String| {
        let options = ImportOptions { pass_over: vec!["a".into(), "b".into()], ..options(template) };
        let summary = import_all(store.clone(), options, &file).await.0.unwrap();
        (counts(&summary), summary.faults.first().map(|fault| fault.refusal.code))
    };
    assert_eq!(import("Hello {name}", file("a", "")).await, ([2, 0, 0], None));
    // Columns that are passed over, and how the template writes the same text, change nothing.
    assert_eq!(import("Hello {NAME|you}\r\n", file("b", "")).await, ([0, 2, 0], None));
    assert_eq!(import("Good-bye {name}", file("a", "")).await, ([2, 0, 0], None), "another text is another message");
    let keyed = |key: &str| format!("from,to,name,key\n{FROM},{TO},Anna,{key}\n");
    assert_eq!(import("Hello {name}", keyed("visit 1")).await, ([1, 0, 0], None));
    assert_eq!(import("Good-bye {name}", keyed("visit 1")).await, ([0, 0, 1], Some(Code::KeyConflict)));
    // The text is the same one that a column would have had.
    let plain = format!("from,to,text\n{FROM},{TO},Hello Anna\n");
    let (summary, results) = import_all(store.clone(), ImportOptions::default(), &plain).await;
    assert_eq!((counts(&summary.unwrap()), results[0].status), ([0, 1, 0], "duplicate"));
}

#[tokio::test]
async fn how_long_the_rows_take_is_reckoned_of_those_that_go_in() {
    let (plan, now) = (Plan { limit: 40, window_ms: 60_000 }, Timestamp::now());
    let soon = now + SignedDuration::from_secs(90);
    let row = |n: u32, from: &str, by: &str| format!("{from},+1555020{n:04},hello,{by}\n");
    let (first, second) = (FROM, "+15550100002");
    let late = (0..85).map(|n| row(n, second, &soon.to_string()));
    let rows: String = (0..100).map(|n| row(n, first, "")).chain(late).collect();
    let file = format!("from,to,text,send_by\n{rows}{second},nobody,hello,\n{}", row(7, first, ""));
    let store = FakeStore::with_faults([]);
    let (summary, _) = import_all(store.clone(), ImportOptions::default(), &file).await;
    let summary = summary.unwrap();
    assert_eq!(counts(&summary), [185, 1, 1], "{:?}", summary.faults);
    let forecast = summary.forecast(plan, now.as_millisecond()).unwrap();
    let busiest = (&*forecast.busiest.extension, forecast.busiest.texts, forecast.busiest.longest_wait_ms);
    assert_eq!((busiest, forecast.too_late), (("101", 100, 120_720), 5));
    let (again, _) = import_all(store, ImportOptions::default(), &file).await;
    assert_eq!(again.unwrap().forecast(plan, now.as_millisecond()), None, "what was there before takes no time");
}

#[tokio::test]
async fn same_template_and_file_twice_enqueue_nothing_twice_on_a_real_store() {
    let (_folder, store) = sqlite().await;
    let rows: String = (0..600).map(|n| format!("{FROM},+1555020{n:04},visitor {n}\n")).collect();
    let file = format!("from,to,name\n{rows}");
    let ids = async || {
        let (summary, results) = import_all(store.clone(), options("Hello {name}"), &file).await;
        let summary = summary.unwrap();
        assert_eq!(summary.example.as_ref().map(|(line, _)| *line), Some(2), "there is a second batch");
        (results.iter().map(|result| result.id).collect::<Vec<MessageId>>(), counts(&summary))
    };
    let (first, again) = (ids().await, ids().await);
    assert_eq!((first.1, again.1, first.0 == again.0), ([600, 0, 0], [0, 600, 0], true));
}
