//! What is typed to send a file of reminders.

use std::path::PathBuf;

use clap::Args;
use ringfleet_store::OnUnknown;

pub(super) const HELP: &str = "\
The first row names the columns, in any order: from, to and text, and where they are wanted send_at, send_by, priority, on_unknown, key.

A template makes the texts from other columns, such as those of a CRM's export. It is a file:

  Hello {first name|there}, your appointment is on {date} at {time}.

  ringfleet import --dry-run --show-private --template reminder.txt export.csv
  ringfleet import --template reminder.txt --pass-over company,e-mail export.csv

{date} is what stands in the column date. If that is empty the row is refused, unless the place has a default: {first name|there}, or
{title|} for nothing. A brace of the text is written twice, {{ or }}; {{date}} is refused. The file has from and to then, and no text:
rename the export's column of numbers to \"to\", and add from. A column that the template does not use refuses the file, since it may
be a misspelt send_at; --pass-over names those that are not wanted. One that is nearly named send_at, send_by, priority, on_unknown or
key has to be renamed.

A row without a key is known by its text: another template, or another value in it, makes another message, and the customer gets one
more. Give rows keys.

How long the rows take is reckoned from plans.medium and plans.window. docs/importing.md tells more.";

#[derive(Args)]
pub(crate) struct ImportOptions {
    /// The CSV file, or "-" for standard input
    pub file: PathBuf,
    /// Make each text from this file of UTF-8, with the values of the row in the places of the {columns} that it names
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// Columns to pass over, with commas between their names; may be given several times
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub pass_over: Vec<String>,
    /// A row without a key of its own is never a duplicate of one in another scope: use one for each campaign. A row's own
    /// key counts in all scopes
    #[arg(long, default_value = "")]
    pub scope: String,
    /// What becomes of a row's send when nobody knows its fate, where the row does not say: reconcile, hold or resend;
    /// default is the setting reconcile.on_unknown
    #[arg(long, value_name = "WORD", value_parser = on_unknown)]
    pub on_unknown: Option<OnUnknown>,
    /// Write all faults to this new file, one JSON object a line, in the order of the CSV file; the summary lists no more than 100
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// Write the id of each row that went in to this new file, one JSON object a line, in the order of the CSV file, as it goes
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub results: Option<PathBuf>,
    /// Only check the rows, and count the segments of their texts and the time that they take; enqueue nothing, and don't look for
    /// those that were taken in before
    #[arg(long)]
    pub dry_run: bool,
    /// Show the text of the first good row, as it would go out
    #[arg(long, requires = "dry_run")]
    pub show_private: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

fn on_unknown(word: &str) -> Result<OnUnknown, String> {
    OnUnknown::parse(word).ok_or_else(|| "write reconcile, hold or resend".to_owned())
}
