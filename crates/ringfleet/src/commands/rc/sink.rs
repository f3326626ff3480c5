//! Where records go: a table, lines on standard output, or a file.

use std::io::Write;

use ringcentral::ExtensionId;
use serde_json::json;

use super::{
    columns::Column,
    file::OutFile,
    pages::PageOf,
    source::{Question, Range, Source},
};
use crate::{
    cli::ReadOptions,
    output::{self, remark, say, to_stdout},
    table::{self, Cell},
};

pub(super) struct Sink {
    way: Way,
    range: Range,
    records: u64,
    pages: u64,
    /// Every page is read.
    all: bool,
    /// Extensions that have more than is read.
    more: u64,
}

enum Way {
    /// Shown when all is there, because columns are as wide as their widest cell.
    Table {
        rows: Vec<Vec<Cell>>,
        private: bool,
    },
    Lines(Format),
    File {
        format: Format,
        file: OutFile,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// One JSON object a line.
    Json,
    Csv,
}

impl Sink {
    /// `range` is where a run begins; one that goes on keeps its own.
    pub(super) fn open(question: &Question, read: &ReadOptions, range: Range) -> anyhow::Result<Self> {
        let format = if read.csv { Format::Csv } else { Format::Json };
        let head = match format {
            Format::Json => Vec::new(),
            Format::Csv => csv_head(question.source(&range).columns)?,
        };
        let (way, range) = match &read.output {
            Some(path) => {
                let typed = json!({
                    "question": question.typed(), "extensions": read.extensions, "format": format!("{format:?}"),
                });
                let file = OutFile::open(path, typed, range, &head)?;
                let range = file.progress().range();
                (Way::File { format, file }, range)
            }
            None if read.csv || read.json => {
                print(&head);
                (Way::Lines(format), range)
            }
            None => (Way::Table { rows: Vec::new(), private: read.show_private }, range),
        };
        Ok(Self { way, range, records: 0, pages: 0, all: read.reads_all(), more: 0 })
    }

    pub(super) fn range(&self) -> Range {
        self.range
    }

    /// How many were taken.
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    /// With which page to begin; `None` if all of the extension is there.
    pub(super) fn next_page(&self, extension: &ExtensionId) -> Option<u32> {
        match &self.way {
            Way::Table { .. } | Way::Lines(_) => Some(1),
            Way::File { file, .. } => file.progress().next_page(extension.as_str()),
        }
    }

    pub(super) fn take(&mut self, source: &Source, page: PageOf) -> anyhow::Result<()> {
        self.records += page.records.len() as u64;
        self.pages += 1;
        self.more += u64::from(!page.last && !self.all);
        match &mut self.way {
            Way::Table { rows, private } => rows.extend(page.records.iter().map(|record| {
                let cell = |column: &Column| if *private { column.full(record) } else { column.shown(record) };
                let cells = source.columns.iter().map(|column| Cell::from(cell(column)));
                std::iter::once(Cell::from(page.extension.as_str())).chain(cells).collect()
            })),
            Way::Lines(format) => print(&encoded(*format, source, &page)?),
            Way::File { format, file } => {
                let records = encoded(*format, source, &page)?;
                file.add(page.extension.as_str(), page.number, page.last, &records)?;
            }
        }
        Ok(())
    }

    /// Nobody reads any more what is printed, and no page need be spent on it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.way, Way::Lines(_)) && output::is_over()
    }

    /// `complete`: no extension is missing, so a file is finished.
    pub(super) fn end(self, source: &Source, complete: bool) -> anyhow::Result<()> {
        let Self { way, records, pages, more, .. } = self;
        match way {
            Way::Table { rows, .. } => {
                let header: Vec<_> =
                    std::iter::once("extension").chain(source.columns.iter().map(|column| column.name)).collect();
                table::lines(header, &rows).iter().for_each(|line| say!("{line}"));
                if more > 0 {
                    remark!("{records} are shown, and there is more (extensions: {more}): --all reads every page");
                }
            }
            Way::Lines(_) if more > 0 => remark!("there is more (extensions: {more}): --all reads every page"),
            Way::Lines(_) => {}
            Way::File { file, .. } => {
                remark!("{records} records in {pages} pages were added");
                if complete {
                    file.end()?;
                }
            }
        }
        Ok(())
    }
}

fn print(bytes: &[u8]) {
    to_stdout(format_args!("{}", table::for_stdout(&String::from_utf8_lossy(bytes))));
}

fn csv_head(columns: &[Column]) -> anyhow::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(std::iter::once("extension").chain(columns.iter().map(|column| column.name)))?;
    Ok(csv.into_inner()?)
}

fn encoded(format: Format, source: &Source, page: &PageOf) -> anyhow::Result<Vec<u8>> {
    let extension = page.extension.as_str();
    match format {
        Format::Json => {
            let mut lines = Vec::new();
            for record in &page.records {
                serde_json::to_writer(&mut lines, &json!({"extension": extension, "record": record.expose()}))?;
                lines.write_all(b"\n")?;
            }
            Ok(lines)
        }
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(Vec::new());
            for record in &page.records {
                let cells = source.columns.iter().map(|column| column.inert(record));
                csv.write_record(std::iter::once(extension.to_owned()).chain(cells))?;
            }
            Ok(csv.into_inner()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::RangeOptions;

    #[test]
    fn a_strangers_words_are_no_formula_in_csv_and_unchanged_in_json() {
        let at = |text: &str| text.parse().unwrap();
        let within = Range { from: at("2026-11-01T00:00:00Z"), to: at("2026-11-02T00:00:00Z") };
        let range = RangeOptions { from: None, to: None, direction: None, per_page: None };
        let source = Question::Messages { kind: None, range, per_page: 1 }.source(&within);
        let record =
            json!({"from": {"phoneNumber": "+15550100001"}, "messageStatus": "Received", "subject": "=1+cmd|x"});
        let records = vec![serde_json::from_value(record).unwrap()];
        let page = PageOf { extension: "101".parse().unwrap(), number: 1, records, last: true };
        let told = |format| String::from_utf8(encoded(format, &source, &page).unwrap()).unwrap();
        assert_eq!(told(Format::Csv), "101,,,,+15550100001,,Received,,,'=1+cmd|x\n");
        assert!(told(Format::Json).contains(r#""subject":"=1+cmd|x""#), "{}", told(Format::Json));
    }
}
