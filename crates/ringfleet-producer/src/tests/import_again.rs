//! A file that is imported again: what was taken in before is known, whatever name its sender has and whatever its line ends.

use std::{io::Cursor, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use ringfleet_store::{Fingerprint, SharedStore};

use super::{FROM, TO, directory, draft, moved, producer_of, senders, sqlite};
use crate::{Draft, ImportOptions, SenderDirectory, import_csv};

/// One extension, by its number, by its id, and by the number that it texts from.
const NAMES: [&str; 3] = ["102", "400102", "+15550100002"];

/// How many rows were taken in, known already, and refused.
async fn import(store: &SharedStore, directory: &Arc<SenderDirectory>, file: &str) -> [u64; 3] {
    let producer = producer_of(store.clone(), directory.clone());
    let file = Cursor::new(file.to_owned());
    let counts = import_csv(&producer, file, ImportOptions::default(), |_, _| {}).await.unwrap().counts;
    [counts.accepted, counts.duplicates, counts.refused]
}

/// The key that a row without one has had since the first version.
fn first_key(text: &str) -> String {
    let content = Fingerprint::of(&[b"", FROM.as_bytes(), TO.as_bytes(), text.as_bytes(), &[0; 8], &[0; 8]]);
    content.as_bytes().iter().fold("csv-".to_owned(), |key, byte| format!("{key}{byte:02x}"))
}

#[tokio::test]
async fn a_row_is_the_same_whether_it_names_the_extension_its_id_or_its_number() {
    let mut sent_twice = Vec::new();
    for first in NAMES {
        for next in NAMES {
            let (_folder, store) = sqlite().await;
            let directory = senders::one_extension(&store).await;
            let file = |from: &str| format!("from,to,text\n{from},{TO},hello\n");
            assert_eq!(import(&store, &directory, &file(first)).await, [1, 0, 0]);
            if import(&store, &directory, &file(next)).await != [0, 1, 0] {
                sent_twice.push((first, next));
            }
        }
    }
    assert_eq!(sent_twice, []);
}

#[tokio::test]
async fn rows_of_one_file_that_name_one_sender_in_several_ways_are_one_message() {
    let (_folder, store) = sqlite().await;
    let directory = senders::one_extension(&store).await;
    let rows = NAMES.map(|from| format!("{from},{TO},\"two\nlines\"\n{from},{TO},\"two\r\nlines\"\n"));
    let file = format!("from,to,text\n{}", rows.concat());
    assert_eq!(import(&store, &directory, &file).await, [1, 5, 0]);
}

#[tokio::test]
async fn a_keyless_row_whose_number_moved_to_another_extension_counts_as_its_message() {
    let (_folder, store) = sqlite().await;
    let file = format!("from,to,text\n{FROM},{TO},hello\n");
    assert_eq!(import(&store, &directory(), &file).await, [1, 0, 0]);
    assert_eq!(import(&store, &moved(), &file).await, [0, 1, 0]);
}

#[tokio::test]
async fn line_ends_inside_of_texts_make_no_other_rows_whatever_name_their_sender_has() {
    for (from, next) in [(NAMES[0], NAMES[0]), (NAMES[2], NAMES[0]), (NAMES[1], NAMES[2])] {
        let (_folder, store) = sqlite().await;
        let directory = senders::one_extension(&store).await;
        let file = |from: &str| format!("from,to,text\n{from},{TO},\"two\nlines\"\n");
        assert_eq!(import(&store, &directory, &file(from)).await, [1, 0, 0]);
        assert_eq!(
            import(&store, &directory, &file(next).replace('\n', "\r\n")).await,
            [0, 1, 0],
            "{from}, then {next}"
        );
    }
}

#[tokio::test]
async fn a_keyless_row_whose_send_at_is_long_past_by_now_counts_as_its_message() {
    let (_folder, store) = sqlite().await;
    let at: Timestamp = "2025-02-01T09:00:00Z".parse().unwrap();
    let of_content = |text: &str| {
        let at = at.as_millisecond().to_be_bytes();
        let content = Fingerprint::of(&[b"", FROM.as_bytes(), TO.as_bytes(), text.as_bytes(), &at, &[0; 8]]);
        content.as_bytes().iter().fold("csv-".to_owned(), |key, byte| format!("{key}{byte:02x}"))
    };
    let taken =
        Draft { send_at: Some(at.to_string()), key: Some(of_content("hello")), text: "hello".into(), ..draft() };
    let then = at - SignedDuration::from_hours(24);
    store.enqueue(&[producer_of(store.clone(), directory()).check(&taken, then).unwrap()]).await.unwrap();
    let file = format!("from,to,text,send_at\n{FROM},{TO},hello,{at}\n{FROM},{TO},never taken,{at}\n");
    assert_eq!(import(&store, &directory(), &file).await, [0, 1, 1]);
}

/// They took the very bytes of a text into the key.
#[tokio::test]
async fn rows_that_older_versions_took_in_are_known() {
    let texts = ["two\nlines", "two\r\nlines"];
    for (then, now) in texts.into_iter().flat_map(|then| texts.map(|now| (then, now))) {
        let (_folder, store) = sqlite().await;
        let taken = format!("from,to,text,key\n{FROM},{TO},\"{then}\",{}\n", first_key(then));
        assert_eq!(import(&store, &directory(), &taken).await, [1, 0, 0]);
        let file = format!("from,to,text\n{FROM},{TO},\"{now}\"\n");
        assert_eq!(import(&store, &directory(), &file).await, [0, 1, 0], "{then:?}, {now:?}");
        assert_eq!(import(&store, &directory(), &file.replace(FROM, "101")).await, [0, 1, 0], "{then:?}, {now:?}");
    }
}
