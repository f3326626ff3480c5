//! What spreadsheets make of a file, and whether its words lead to the mend.

use std::io::Cursor;

use super::{FROM, TO, draft, fake::FakeStore, now, producer};
use crate::{Code, Draft, Field, ImportError, ImportOptions, ImportSummary, import_csv};

async fn import(file: impl Into<Vec<u8>>) -> Result<ImportSummary, ImportError> {
    let producer = producer(FakeStore::with_faults([]));
    import_csv(&producer, Cursor::new(file.into()), ImportOptions::default(), |_, _| {}).await
}

async fn header_fault(file: impl Into<Vec<u8>>) -> String {
    let error = import(file).await.unwrap_err();
    assert!(matches!(error, ImportError::Header(_)), "{error:?}");
    error.to_string()
}

#[test]
fn a_number_that_a_spreadsheet_has_spoilt_is_told_with_what_is_wrong_and_what_to_do() {
    let producer = producer(FakeStore::with_faults([]));
    for (to, words) in [
        (
            "1.55502E+10",
            ["a spreadsheet has rounded it and digits are lost", "format the column as text and export again"],
        ),
        (
            "1,55502e10",
            ["a spreadsheet has rounded it and digits are lost", "format the column as text and export again"],
        ),
        ("'+15550200014", ["the sign ' stands before the +", "take it out"]),
        ("=\"+15550200014\"", ["the sign = stands before the +", "take it out"]),
        ("\u{202a}+15550200014\u{202c}", ["the sign U+202A stands before the +", "take it out"]),
        ("15550200014", ["the + is missing", "write it in front"]),
        ("5550200014", ["the + is missing, and perhaps the country code", "like +15550100123"]),
    ] {
        let faults = producer.check(&Draft { to: to.into(), ..draft() }, now()).unwrap_err();
        assert_eq!((faults.len(), faults[0].field, faults[0].code), (1, Field::To, Code::NotE164), "{to}");
        let told = faults[0].to_string();
        assert!(words.iter().all(|part| told.contains(part)), "{told}");
        assert!(!told.contains("5502") && !told.contains('\u{202a}'), "{told}");
    }
    // No sign of a number: nothing of it is told.
    for to in ["x+15550200014", "Anna + 1", "+"] {
        let told = producer.check(&Draft { to: to.into(), ..draft() }, now()).unwrap_err()[0].to_string();
        assert!(!told.contains("the sign"), "{told}");
    }
}

#[tokio::test]
async fn a_first_line_that_names_the_separator_is_followed_and_counted() {
    for separator in [",", ";", "\t", "|"] {
        for (start, end) in [("", "\n"), ("\u{feff}", "\r\n")] {
            let rows =
                ["sep=,", "from,to,text,key", &format!("{FROM},{TO},\"a, b; c\",k1"), &format!("{FROM},x,hi,k2"), ""];
            let file = rows.join(end).replace("\"a, b; c\"", "\"a; b\"").replace(',', separator);
            let summary = import(format!("{start}{file}")).await.unwrap();
            assert_eq!((summary.counts.accepted, summary.counts.refused), (1, 1), "{separator:?}");
            assert_eq!(summary.faults[0].line, 4, "{separator:?}");
            assert_eq!(summary.counts.bytes, (start.len() + file.len()) as u64);
        }
    }
    // Quotation marks are looked at with the same separator.
    let open = format!("sep=;\nfrom;to;text\n{FROM};{TO};\"1234\" ;\n");
    assert!(matches!(import(open).await.unwrap_err(), ImportError::Quotes { line: 3, .. }));
    let blank = format!("sep=;\nfrom;to;text\n{FROM};{TO}; \"1234\"\n");
    assert!(matches!(import(blank).await.unwrap_err(), ImportError::Quotes { line: 3, .. }));
    // No separator that is known: it is a header of one strange name.
    assert!(header_fault("sep=x\nfrom,to,text\n").await.contains("unknown name"));
    assert!(header_fault("sep=;\n").await.contains("the file is empty"));
}

#[tokio::test]
async fn line_ends_of_a_carriage_return_alone_are_told_whatever_else_they_make_of_the_file() {
    let row = format!("{FROM},{TO},hello\r");
    for file in [
        format!("from,to,text\r{row}"),
        format!("from,to,\"text\"\r{row}"),
        format!("sep=,\rfrom,to,text\r{row}"),
        format!("from,to,text\r{}", row.repeat(5_000)),
        format!("from,to,text\r{row}\n"),
    ] {
        let told = header_fault(file).await;
        assert!(told.contains("line ends") && told.contains("CR alone"), "{told}");
    }
    let utf16: Vec<u8> = "\u{feff}from,to,text\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(header_fault(utf16).await.contains("UTF-16"));
    assert_eq!(import("from,to,text\r").await.unwrap().counts.rows, 0);
}

#[tokio::test]
async fn columns_without_a_name_are_taken_while_they_are_empty() {
    let file =
        format!("from,to,text,\n{FROM},{TO},one,\n{FROM},{TO},two\n{FROM},{TO},three, \n{FROM},{TO},four, and five\n");
    let summary = import(file).await.unwrap();
    assert_eq!((summary.counts.accepted, summary.counts.refused), (3, 1));
    let fault = &summary.faults[0];
    assert_eq!((fault.line, fault.refusal.code), (5, Code::WrongColumnCount));
    assert!(fault.refusal.problem.contains("column 4 has no name"), "{}", fault.refusal);
    assert!(!fault.refusal.to_string().contains("five"));

    let amid =
        format!("from,,to,text,,\n{FROM},,{TO},one,,\n{FROM},x,{TO},two,,\n{FROM},,{TO}\n{FROM},,{TO},five,,,\n");
    let summary = import(amid).await.unwrap();
    assert_eq!((summary.counts.accepted, summary.faults[0].line), (1, 3));
    assert!(summary.faults[0].refusal.problem.contains("column 2 has no name"));
    assert_eq!(summary.faults[1..].iter().map(|fault| fault.line).collect::<Vec<_>>(), [4, 5]);
}

#[tokio::test]
async fn a_file_with_bars_is_told_its_separator() {
    assert!(header_fault("from|to|text\n").await.contains("separated by |"));
}

/// As a key it would let the row in a second time, once the formula is mended.
#[tokio::test]
async fn what_stands_for_a_formula_that_has_failed_is_no_key_and_no_text() {
    let file =
        format!("from,to,text,key\n{FROM},{TO},hello, #N/A \n{FROM},{TO}, #NAME?,k1\n{FROM},{TO},hello #NAME?,k2\n");
    let summary = import(file).await.unwrap();
    let faults: Vec<_> =
        summary.faults.iter().map(|fault| (fault.line, fault.refusal.field, fault.refusal.code)).collect();
    assert_eq!(faults, [(2, Field::Key, Code::BadKey), (3, Field::Text, Code::NoValue)]);
    assert_eq!(summary.counts.accepted, 1);
}
