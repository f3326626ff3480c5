//! A file that is imported again: what was taken in before is known, whatever has changed around it.

use std::{io::Cursor, sync::Arc};

use ringfleet_store::SharedStore;

use super::{FROM, TO, producer_of, sqlite};
use crate::{ImportOptions, Sender, SenderDirectory, import_csv};

/// Of extension 102.
const OTHER: &str = "+15550100002";

fn numbered(number: &str) -> Arc<SenderDirectory> {
    let (app, numbers) = ("main".into(), vec![number.parse().unwrap()]);
    Arc::new(SenderDirectory::try_new([Sender { app, extension: "102".parse().unwrap(), numbers }]).unwrap())
}

/// How many rows were taken in, known already, and refused.
async fn import(store: &SharedStore, directory: Arc<SenderDirectory>, file: &str) -> [u64; 3] {
    let producer = producer_of(store.clone(), directory);
    let file = Cursor::new(file.to_owned());
    let counts = import_csv(&producer, file, ImportOptions::default(), |_, _| {}).await.unwrap().counts;
    [counts.accepted, counts.duplicates, counts.refused]
}

#[tokio::test]
async fn rows_that_name_an_extension_are_known_when_it_has_another_number_or_is_gone() {
    let (_folder, store) = sqlite().await;
    let file = format!("from,to,text\n102,{TO},hello\n");
    assert_eq!(import(&store, numbered(OTHER), &file).await, [1, 0, 0]);
    assert_eq!(import(&store, numbered(FROM), &file).await, [0, 1, 0]);
    let nobody = Arc::new(SenderDirectory::try_new([]).unwrap());
    assert_eq!(import(&store, nobody, &file).await, [0, 1, 0]);
}

/// Versions before this one knew them only so.
#[tokio::test]
async fn rows_that_were_taken_in_by_the_number_are_known_when_they_name_its_extension() {
    let (_folder, store) = sqlite().await;
    let rows = |from: &str| format!("from,to,text,send_by\n{from},{TO},hello,2999-01-01T00:00:00Z\n");
    assert_eq!(import(&store, numbered(OTHER), &rows(OTHER)).await, [1, 0, 0]);
    assert_eq!(import(&store, numbered(OTHER), &rows("102")).await, [0, 1, 0]);
}

#[tokio::test]
async fn a_keyless_row_whose_number_moved_to_another_extension_counts_as_its_message() {
    let (_folder, store) = sqlite().await;
    let file = format!("from,to,text\n{FROM},{TO},hello\n");
    assert_eq!(import(&store, super::directory(), &file).await, [1, 0, 0]);
    assert_eq!(import(&store, super::moved(), &file).await, [0, 1, 0]);
}

#[tokio::test]
async fn line_ends_inside_of_texts_make_no_other_rows() {
    let (_folder, store) = sqlite().await;
    let file = format!("from,to,text\n{FROM},{TO},\"two\nlines\"\n");
    assert_eq!(import(&store, super::directory(), &file).await, [1, 0, 0]);
    assert_eq!(import(&store, super::directory(), &file.replace('\n', "\r\n")).await, [0, 1, 0]);
}
