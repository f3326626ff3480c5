//! CSV files: odd ones, broken ones, huge ones.

use std::{
    fmt::Write as _,
    io::{self, Cursor, Read},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use ringfleet_store::{IdempotencyKey, MessageId, OnUnknown};
use serde_json::json;

use super::{
    FROM, TO,
    fake::{FakeStore, Fault},
    moved, producer, producer_of, sqlite,
};
use crate::{
    BatchTold, Code, ImportError, ImportOptions, ImportProgress, ImportSummary, RowResult, SenderDirectory,
    csv_import::HeaderError, import_csv,
};

async fn import(store: Arc<FakeStore>, file: impl Into<Vec<u8>>) -> Result<ImportSummary, ImportError> {
    import_csv(&producer(store), Cursor::new(file.into()), ImportOptions::default(), |_, _| {}).await
}

fn lines(summary: &ImportSummary) -> Vec<(u64, &'static str, Code)> {
    summary.faults.iter().map(|fault| (fault.line, fault.refusal.field.as_str(), fault.refusal.code)).collect()
}

#[tokio::test]
async fn row_31_the_sample_file_goes_in_whole_and_only_once() {
    let sample = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/reminders.csv"));
    let (_folder, store) = sqlite().await;
    let producer = producer(store);
    let seen = Mutex::new(Vec::<ImportProgress>::new());
    let remember = |progress: &ImportProgress, _: &BatchTold| seen.lock().unwrap().push(*progress);
    let first = import_csv(&producer, &sample[..], ImportOptions::default(), remember).await.unwrap();
    assert_eq!((first.counts.accepted, first.counts.duplicates, first.counts.refused), (1_500, 0, 0));
    assert_eq!(first.counts.bytes, sample.len() as u64);
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted_by_key(|progress| (progress.rows, progress.bytes)) && seen.len() >= 3, "{seen:?}");

    let again = import_csv(&producer, &sample[..], ImportOptions::default(), |_, _| {}).await.unwrap();
    assert_eq!((again.counts.accepted, again.counts.duplicates), (0, 1_500));
}

#[tokio::test]
async fn same_row_under_another_scope_is_another_message() {
    let store = FakeStore::with_faults([]);
    let file = format!("from,to,text\n{FROM},{TO},hello\n{FROM},{TO},hello\n");
    let first = import(store.clone(), file.clone()).await.unwrap();
    assert_eq!((first.counts.accepted, first.counts.duplicates), (1, 1), "identical rows are one message");
    let options = ImportOptions { key_scope: "spring".into(), ..ImportOptions::default() };
    let other = import_csv(&producer(store), Cursor::new(file), options, |_, _| {}).await.unwrap();
    assert_eq!(other.counts.accepted, 1);
}

#[tokio::test]
async fn column_on_unknown_is_each_rows_policy_and_changes_no_key() {
    let (_folder, store) = sqlite().await;
    let producer = producer(store.clone()).with_on_unknown(OnUnknown::Hold);
    let file =
        format!("from,to,text,on_unknown,key\n{FROM},{TO},a,resend,k1\n{FROM},{TO},b,,k2\n{FROM},{TO},c,maybe,k3\n");
    let summary = import_csv(&producer, Cursor::new(file), ImportOptions::default(), |_, _| {}).await.unwrap();
    assert_eq!(lines(&summary), [(4, "on_unknown", Code::BadOnUnknown)]);
    for (key, policy) in [("k1", OnUnknown::Resend), ("k2", OnUnknown::Hold)] {
        let id = MessageId::from_key(&IdempotencyKey::try_new(key).unwrap());
        assert_eq!(store.get(&id).await.unwrap().unwrap().on_unknown, policy, "{key}");
    }
    let row = |policy: &str| Cursor::new(format!("from,to,text,on_unknown\n{FROM},{TO},hello,{policy}\n"));
    for (policy, taken) in [("hold", 1), ("resend", 0)] {
        let summary = import_csv(&producer, row(policy), ImportOptions::default(), |_, _| {}).await.unwrap();
        assert_eq!(summary.counts.accepted, taken, "the same row with another policy is the same message");
    }
}

#[tokio::test]
async fn edited_row_with_its_old_key_is_a_conflict() {
    let store = FakeStore::with_faults([]);
    let file = |text: &str| format!("key,from,to,text\nk1,{FROM},{TO},{text}\n");
    import(store.clone(), file("hello")).await.unwrap();
    let summary = import(store, file("hello, edited")).await.unwrap();
    assert_eq!(summary.counts.refused, 1, "a text with a comma makes one column too many");
    assert_eq!(lines(&summary), [(2, "message", Code::WrongColumnCount)]);
    let store = FakeStore::with_faults([]);
    import(store.clone(), file("hello")).await.unwrap();
    assert_eq!(lines(&import(store, file("edited")).await.unwrap()), [(2, "key", Code::KeyConflict)]);
}

#[tokio::test]
async fn line_numbers_hold_with_quoted_newlines_blank_lines_and_either_line_end() {
    for end in ["\n", "\r\n"] {
        let rows = [
            "\u{feff}To,FROM,text,send_at",
            "",
            "+1,bad-line-3,,",
            "",
            "",
            &format!("{TO},{FROM},\"two{end}lines\",\"\""),
            &format!("bad-line-8,,\"a \"\"quoted\"\" text{end}{end}with three lines\","),
            ",,,",
            &format!("  {TO} , {FROM} ,blanks around,  "),
            "bad-line-13,,x,tomorrow",
        ];
        let summary = import(FakeStore::with_faults([]), rows.join(end)).await.unwrap();
        assert_eq!((summary.counts.accepted, summary.counts.refused, summary.counts.rows), (2, 3, 5), "{summary:?}");
        let mut at: Vec<u64> = summary.faults.iter().map(|fault| fault.line).collect();
        at.dedup();
        assert_eq!(at, [3, 8, 13], "with {end:?}");
        assert!(lines(&summary).contains(&(13, "send_at", Code::BadDate)));
    }
}

#[tokio::test]
async fn bad_rows_are_listed_up_to_a_cap_and_good_rows_go_in() {
    let mut file = b"from,to,text\n".to_vec();
    for n in 0..50 {
        let to = if n % 2 == 0 { format!("+1555020{n:04}") } else { "nobody".into() };
        file.extend(format!("{FROM},{to},hello\n").bytes());
    }
    file.extend(b"+15550100001,+15550200001,caf\xe9\n");
    let options = ImportOptions { max_faults_listed: 10, ..ImportOptions::default() };
    let store = FakeStore::with_faults([]);
    let mut told = Vec::new();
    let summary = import_csv(&producer(store.clone()), Cursor::new(file.clone()), options, |_, batch| {
        told.extend_from_slice(&batch.faults);
    })
    .await
    .unwrap();
    assert_eq!((summary.counts.accepted, summary.counts.refused), (25, 26));
    assert_eq!((summary.faults.len(), summary.faults_not_listed), (10, 16));
    assert_eq!((told.len(), &told[..10]), (26, &summary.faults[..]), "each is told when it is met");
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["faults"][0]["line"], 3);
    assert_eq!((json["faults"][0]["field"].as_str(), json["accepted"].as_u64()), (Some("to"), Some(25)));

    let all = import(store, file).await.unwrap();
    let last = all.faults.last().unwrap();
    assert_eq!((last.line, last.refusal.code), (52, Code::NotUtf8));
    assert!(last.refusal.problem.contains("byte 4"), "{}", last.refusal);
}

#[tokio::test]
async fn segments_are_counted_of_what_goes_in_and_the_first_row_that_costs_more_is_told() {
    let rows = [
        format!("{FROM},{TO},{}", "a".repeat(161)),
        format!("{FROM},nobody,\u{2018}"),
        format!("{FROM},{TO},it\u{2019}s"),
        format!("{FROM},{TO},it\u{2019}s"),
        format!("{FROM},{TO},{}", "\u{e7}".repeat(71)),
    ];
    let summary = import(FakeStore::with_faults([]), format!("from,to,text\n{}\n", rows.join("\n"))).await.unwrap();
    assert_eq!((summary.counts.accepted, summary.counts.segments, summary.counts.outside_gsm7), (3, 5, 2));
    let json = serde_json::to_value(&summary).unwrap();
    let told = [&json["segments"], &json["outside_gsm7"], &json["first_outside_gsm7"]];
    assert_eq!(told, [&json!(5), &json!(2), &json!({"line": 4, "character": "U+2019"})]);
}

#[tokio::test]
async fn the_id_of_each_row_that_went_in_is_told_with_its_line_also_of_a_duplicate_and_before_a_failure() {
    let rows: String = (0..1_200).map(|n| format!("{FROM},+1555020{n:04},hello,k{n}\n")).collect();
    let file = format!("from,to,text,key\n{FROM},nobody,hello,bad\n{rows}");
    let store = FakeStore::with_faults([]);
    store.fail_after(1, Fault::HalfFull);
    let told = async |batches_in_flight| {
        let (mut told, options) = (Vec::<RowResult>::new(), ImportOptions { batches_in_flight, ..Default::default() });
        let file = Cursor::new(file.clone());
        let result = import_csv(&producer(store.clone()), file, options, |_, batch| {
            told.extend_from_slice(&batch.results);
        })
        .await;
        (told, result.is_ok())
    };
    let (first, ended) = told(1).await;
    assert_eq!((first.len(), ended), (499, false), "a batch has 500 rows, one of them refused");
    assert!(first.iter().all(|row| row.status == "accepted"));
    let (all, ended) = told(4).await;
    assert_eq!((all.len(), ended, &all[0].status), (1_200, true, &"duplicate"));
    for (n, row) in all.iter().enumerate() {
        let id = MessageId::from_key(&IdempotencyKey::try_new(format!("k{n}")).unwrap());
        assert_eq!((row.line, row.id), (n as u64 + 3, id));
    }
    assert_eq!(
        (all[1_199].status, &all[..499].iter().map(|row| row.id).collect::<Vec<_>>()),
        ("accepted", &first.iter().map(|row| row.id).collect())
    );
    let line = serde_json::to_value(&first[0]).unwrap();
    assert_eq!(line, serde_json::json!({"line": 3, "status": "accepted", "id": first[0].id.to_string()}));
}

#[tokio::test]
async fn unusable_header_is_one_error_before_any_row() {
    let row = format!("{FROM},{TO},hello\n");
    for header in ["from,to\n", "from,to,text,body\n", "from,to,text,TEXT\n", "from;to;text\n", "", "\u{feff}"] {
        let store = FakeStore::with_faults([]);
        let file = if header.len() > 3 { format!("{header}{row}") } else { header.into() };
        let error = import(store.clone(), file).await.unwrap_err();
        assert!(matches!(error, ImportError::Header(_)), "{header:?}: {error:?}");
        assert_eq!(store.calls.load(Ordering::SeqCst), 0);
    }
    let error = import(FakeStore::with_faults([]), row).await.unwrap_err();
    assert!(matches!(error, ImportError::Header(HeaderError::Unknown { position: 1, .. })), "{error:?}");
}

#[tokio::test]
async fn huge_field_is_refused_after_a_bounded_read() {
    struct Endless(u64, Arc<AtomicU64>);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = buffer.len().min(self.0 as usize);
            buffer[..n].fill(b'x');
            self.0 -= n as u64;
            self.1.fetch_add(n as u64, Ordering::SeqCst);
            Ok(n)
        }
    }
    let given = Arc::new(AtomicU64::new(0));
    let good = format!("from,to,text\n{FROM},{TO},hello\n{FROM},{TO},\"");
    let reader = Cursor::new(good).chain(Endless(10_000_000, given.clone()));
    let store = FakeStore::with_faults([]);
    let error = import_csv(&producer(store.clone()), reader, ImportOptions::default(), |_, _| {}).await.unwrap_err();
    assert!(matches!(error, ImportError::RowTooLong { line: 3, .. }), "{error:?}");
    assert_eq!(error.summary().unwrap().counts.accepted, 1, "the row before went in");
    assert!(given.load(Ordering::SeqCst) < 200_000);

    let long = format!("from,to,text\n{FROM},{TO},{}\n{FROM},{TO},hello\n", "x".repeat(20_000));
    let summary = import(store, long).await.unwrap();
    assert_eq!(lines(&summary), [(2, "text", Code::FieldTooLong)]);
    assert_eq!(summary.counts.rows, 2, "the import goes on");
}

#[tokio::test]
async fn an_unclosed_quotation_mark_never_gives_one_customer_the_text_of_another() {
    let good = format!("from,to,text,key\n{FROM},{TO},\"one, \"\"two\"\"\nthree\",v0\r\n{FROM},{TO},5\" pipe,v1\n");
    let other = "+15550100077";
    for (bad, line) in [
        // To the end of the file.
        (format!("{FROM},{TO},\"Your code is 1234,v2\n{FROM},{other},Your code is 5678,v3\n"), 5),
        // To the next mark: four columns in all, as the header has.
        (format!("{FROM},{TO},\"Your code is 1234,v2\n{FROM},{other},\"Your code is 5678\",v3\n"), 5),
        (format!("{FROM},{TO},\"1234\" ,v2\n{FROM},{other},5678,v3\n"), 5),
        (format!("{FROM},{TO},1234,\"v2\"\r{FROM},{other},5678,v3\n"), 5),
        (format!("{FROM},{TO},1234,v2\n\n{FROM},{other},5678,\""), 7),
    ] {
        let store = FakeStore::with_faults([]);
        let error = import(store.clone(), format!("{good}{bad}")).await.unwrap_err();
        assert!(matches!(error, ImportError::Quotes { line: at, .. } if at == line), "{bad:?}: {error:?}");
        assert!(!error.to_string().contains("1234"));
        let before = if line == 7 { 3 } else { 2 };
        assert_eq!((error.summary().unwrap().counts.accepted, store.len()), (before, before as usize), "{bad:?}");
    }
    let whole = format!("\u{feff}\"from\",to,text,key\r\n{FROM},{TO},\"\",v1\r\n{FROM},{TO},\"\"\"hi\"\"\",\"v2\"");
    let summary = import(FakeStore::with_faults([]), whole).await.unwrap();
    assert_eq!((summary.counts.rows, summary.counts.accepted), (2, 1), "an empty text is refused by itself");
}

#[tokio::test]
async fn blanks_before_an_opening_quotation_mark_never_cut_a_text() {
    let good =
        format!("from, to, text, key\n{FROM}, {TO},\" two, with a blank before\", v1\n{FROM}, {TO}, a 5\" pipe, v2\n");
    for blank in [" ", "\t", "  \t "] {
        // As many columns as the header has: the rest of the text would be the key.
        let bad = format!("{FROM}, {TO},{blank}\"Hi Anna, your order 300 is ready.\"\n{FROM}, {TO}, three, v4\n");
        let store = FakeStore::with_faults([]);
        let error = import(store.clone(), format!("{good}{bad}")).await.unwrap_err();
        assert!(matches!(error, ImportError::Quotes { line: 4, .. }), "{blank:?}: {error:?}");
        assert!(error.to_string().contains("blanks before") && !error.to_string().contains("Anna"), "{error}");
        assert_eq!(store.len(), 2);
    }
    let error = import(FakeStore::with_faults([]), "from, to, \"text\"\n").await.unwrap_err();
    assert!(matches!(error, ImportError::Quotes { line: 1, .. }), "{error:?}");
    let quoted = format!("from,to,text,key\n  ,,\t,\n{FROM},{TO},\" \"\"Hi\"\"\", v1\n");
    assert_eq!(import(FakeStore::with_faults([]), quoted).await.unwrap().counts.accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn failing_store_stops_the_import_which_can_be_repeated() {
    let mut file = String::from("from,to,text\n");
    for n in 0..2_000 {
        let _ = writeln!(file, "{FROM},+1555020{n:04},hello");
    }
    let store = FakeStore::with_faults([]);
    store.fail_after(2, Fault::HalfFull);
    let options = ImportOptions { batches_in_flight: 1, ..ImportOptions::default() };
    let error = import_csv(&producer(store.clone()), Cursor::new(file.clone()), options, |_, _| {}).await.unwrap_err();
    let ImportError::Store { line, summary, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*line, summary.counts.accepted, store.len()), (1_002, 1_000, 1_250));

    let summary = import(store.clone(), file).await.unwrap();
    assert_eq!((summary.counts.accepted, summary.counts.duplicates, store.len()), (750, 1_250, 2_000));
}

/// Makes rows as they are read, and remembers how far the reading ran ahead of the store.
struct Generator {
    next: u64,
    count: u64,
    pending: Vec<u8>,
    store: Arc<FakeStore>,
    most_ahead: Arc<AtomicU64>,
}

impl Read for Generator {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pending.len() < buffer.len() && self.next < self.count {
            let n = self.next;
            self.pending.extend(format!("{FROM},+1555{:07},reminder number {n}\n", n).bytes());
            self.next += 1;
        }
        self.most_ahead.fetch_max(self.next - self.store.len() as u64, Ordering::SeqCst);
        let n = buffer.len().min(self.pending.len());
        buffer[..n].copy_from_slice(&self.pending[..n]);
        self.pending.drain(..n);
        Ok(n)
    }
}

#[tokio::test]
async fn a_hundred_thousand_rows_never_lie_in_memory_together() {
    let store = FakeStore::slow(Duration::from_millis(1));
    let most_ahead = Arc::new(AtomicU64::new(0));
    let rows = Generator {
        next: 0,
        count: 100_000,
        pending: Vec::new(),
        store: store.clone(),
        most_ahead: most_ahead.clone(),
    };
    let file = Cursor::new("from,to,text\n").chain(rows);
    let summary = import_csv(&producer(store.clone()), file, ImportOptions::default(), |_, _| {}).await.unwrap();
    assert_eq!((summary.counts.accepted, store.len()), (100_000, 100_000));
    assert_eq!(store.most_in_flight.load(Ordering::SeqCst), 4);
    assert!(store.largest_batch.load(Ordering::SeqCst) <= 500);
    // Four batches with the store and one answered but not yet counted, two in the channel, one in the reader's hand,
    // and two blocks of 32 KiB.
    let ahead = most_ahead.load(Ordering::SeqCst);
    assert!(ahead < 8 * 500 + 2_000, "{ahead} rows were read ahead of the store");
}

#[tokio::test]
async fn a_row_that_names_an_extension_is_known_by_its_content_when_its_time_is_over() {
    let store = FakeStore::with_faults([]);
    let by = Timestamp::now() + SignedDuration::from_secs(1);
    let file = format!("from,to,text,send_by\n101,{TO},hello,{by}\n");
    assert_eq!(import(store.clone(), file.clone()).await.unwrap().counts.accepted, 1);
    while Timestamp::now() <= by {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let again = import(store, file).await.unwrap();
    assert_eq!((again.counts.duplicates, again.counts.refused), (1, 0), "{:?}", lines(&again));
}

#[tokio::test]
async fn a_file_whose_senders_are_gone_since_is_known_by_its_rows() {
    let store = FakeStore::with_faults([]);
    let by = "2999-01-01T00:00:00Z";
    let file = format!("from,to,text,send_by,key\n{FROM},{TO},hello,{by},\n{FROM},{TO},hello,{by},visit 1\n");
    assert_eq!(import(store.clone(), file.clone()).await.unwrap().counts.accepted, 2);
    let file = format!("{file}{FROM},{TO},new,,\n{FROM},{TO},new,,visit 2\n");
    let producer = producer_of(store, Arc::new(SenderDirectory::try_new([]).unwrap()));
    let again = import_csv(&producer, Cursor::new(file), ImportOptions::default(), |_, _| {}).await.unwrap();
    assert_eq!((again.counts.duplicates, again.counts.refused), (1, 3));
    let gone = |line| (line, "from", Code::UnknownSender);
    assert_eq!(lines(&again), [gone(3), (3, "key", Code::KeyTaken), gone(4), gone(5)]);
}

#[tokio::test]
async fn an_unchanged_file_whose_number_moved_to_another_extension_is_never_told_to_take_new_keys() {
    let (_folder, store) = sqlite().await;
    let file = format!("from,to,text,key\n{FROM},{TO},hello,\n{FROM},{TO},hello,visit 1\n{FROM},{TO},hello,visit 2\n");
    let import = async |directory, file: String| {
        let producer = producer_of(store.clone(), directory);
        import_csv(&producer, Cursor::new(file), ImportOptions::default(), |_, _| {}).await.unwrap()
    };
    assert_eq!(import(super::directory(), file.clone()).await.counts.accepted, 3);
    // The last one says something else by now.
    let edited = file.replace("hello,visit 2", "good-bye,visit 2");
    let again = import(moved(), edited).await;
    let taken = |line| (line, "key", Code::KeyTaken);
    // The first one has no key but its content.
    assert_eq!((again.counts.duplicates, lines(&again)), (1, vec![taken(3), (4, "key", Code::KeyConflict)]));
    let words = again.faults[0].refusal.to_string();
    assert!(words.contains("is ready") && words.contains("another extension") && !words.contains("new key"), "{words}");

    // Of what was sent the text is not kept.
    let store = FakeStore::with_faults([]);
    store.texts_forgotten.store(true, Ordering::SeqCst);
    let moved_in = async |directory| {
        let producer = producer_of(store.clone(), directory);
        import_csv(&producer, Cursor::new(file.clone()), ImportOptions::default(), |_, _| {}).await.unwrap()
    };
    assert_eq!(moved_in(super::directory()).await.counts.accepted, 3);
    assert_eq!(lines(&moved_in(moved()).await), [taken(3), taken(4)]);
}
