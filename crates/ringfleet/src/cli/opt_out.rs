//! What is typed about who wants no texts.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ringcentral::PhoneNumber;

use super::extensions::ShowOptions;

#[derive(Subcommand)]
pub(crate) enum OptOutCommand {
    /// Enters that somebody wants no more texts
    #[command(after_help = ADD)]
    Add(WhoOptions),
    /// Lifts an opt-out: exactly the one that is named
    #[command(after_help = REMOVE)]
    Remove(WhoOptions),
    /// Enters all opt-outs of a file, each as narrow as it stands there
    #[command(after_help = IMPORT)]
    Import {
        /// What `opt-out list --show-private --json` wrote, or a recipient a line; "-" is standard input
        file: PathBuf,
    },
    /// Lists who wants whose texts no more, the last first
    #[command(after_help = LIST)]
    List {
        /// Only of this recipient
        #[arg(long, value_name = "NUMBER")]
        to: Option<PhoneNumber>,
        /// How many to list
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        how: ShowOptions,
    },
}

#[derive(Args)]
pub(crate) struct WhoOptions {
    /// Who wants no texts, in E.164 such as +15550200001; several may be given
    #[arg(required = true, value_name = "TO")]
    pub to: Vec<PhoneNumber>,
    /// Only those from this number of yours; without --from and --extension, those of every extension
    #[arg(long, value_name = "NUMBER", conflicts_with = "extension")]
    pub from: Option<PhoneNumber>,
    /// Only those of this extension, from any of its numbers: its id, its extension number, or a phone number of it
    #[arg(long, value_name = "EXTENSION")]
    pub extension: Option<String>,
}

const ADD: &str = "\
A customer says by phone that they want no more texts, from nobody of yours:

  ringfleet opt-out add +15550200001

Or none from one of your numbers, whichever extension has it now or later; or none of one extension:

  ringfleet opt-out add +15550200001 --from +15550100001
  ringfleet opt-out add +15550200001 --extension 102

It counts from the moment in which the store has it: what waits is suppressed when its turn comes, what is handed in later at once.
What is being sent already is not stopped. Entered twice it stands once. docs/delivery-semantics.md tells more.";

const REMOVE: &str = "\
A STOP that came as ten digits without a plus counts for two numbers; the one that did not send it gets its texts again with

  ringfleet opt-out remove +4722334455 --from +15550100001

Without --from and --extension the one from every extension is lifted. A wider and a narrower one go on, and are named. It counts for
what comes and what still waits; what was suppressed stays so. RingCentral keeps opt-outs of its own, which only the recipient's
START lifts.

Exit code 1: there was no such opt-out; 3: there was one of some of the numbers only.";

const IMPORT: &str = "\
From another store of this fleet, whole, each with its extension and number:

  ringfleet opt-out list --limit 1000000 --show-private --json > opt-outs.json
  ringfleet opt-out import opt-outs.json

From another system, one number in E.164 a line; they get no texts of any extension:

  ringfleet opt-out import do-not-text.txt

Extensions and numbers that this fleet does not know (yet) are taken as they stand. If anything in the file is at fault, all faults are
told with their lines, and nothing is entered. Entered twice one stands once, so a file may be imported again.";

const LIST: &str = "\
Those that people entered, that came as a STOP, and that a delivery report told of. Numbers are shortened unless --show-private asks
for them.

  ringfleet opt-out list --to +15550200001
  ringfleet opt-out list --limit 1000000 --show-private --json > opt-outs.json";
