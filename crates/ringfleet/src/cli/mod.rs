//! What can be typed.

mod callbacks;
mod credentials;
mod discreet;
mod doctor;
mod explain;
mod extensions;
mod import;
mod inbound;
mod operate;
mod opt_out;
mod rc;
mod trial;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use self::{
    callbacks::CallbacksCommand,
    credentials::{AddOptions, CheckOptions, CredentialsCommand, ImportCredentials, MethodWord, Which},
    discreet::parse,
    doctor::DoctorOptions,
    explain::CodeOptions,
    extensions::{ExtensionsCommand, ShowOptions},
    import::ImportOptions,
    inbound::InboundCommand,
    operate::{CloseAs, ExplainOptions, FleetCommand, HeldCommand, LaneCommand, MessageCommand, StatusOptions, What},
    opt_out::{OptOutCommand, WhoOptions},
    rc::{DirectionWord, MessageWord, RangeOptions, RcCommand, ReadOptions, ViewWord},
    trial::{DemoOptions, SimulatorOptions},
};

/// Sends bulk SMS through RingCentral from each employee's own number: at the full speed of the usage plans, never over
/// them, without losing a message and without texting anybody twice.
///
/// Try `ringfleet demo`: it needs neither an account nor a server.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Settings file; default is ringfleet.toml, if there is one. `ringfleet config show` lists all settings.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 failed, or a promise was broken · 2 wrong arguments · 3 done in part: some were refused, are left or are not known ·
64 the configuration is at fault · 65 the store was flushed or exchanged · 69 the store can't be reached";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Shows the whole thing at work: a simulated RingCentral, a fleet of workers, 1,500 reminders, and the judge's table
    Demo(DemoOptions),
    /// Runs a stand-in for the RingCentral API, with its limits, its faults and a ledger of all it was asked
    Simulator(SimulatorOptions),
    /// Runs a worker: claims messages and sends them, until SIGTERM
    Worker,
    /// Runs the HTTP API that takes messages in
    Api,
    /// Runs the page on which employees connect their extensions; `api` and `up` serve it too, if connect.listen is set
    Connect,
    /// Runs API and worker in one process, over one store: the smallest complete set-up
    Up,
    /// Enqueues the rows of a CSV file: from,to,text[,send_at,send_by,priority,on_unknown,key], or with texts by a template
    #[command(after_help = import::HELP)]
    Import(ImportOptions),
    /// Tells what waits, what was sent, and which lanes stand still and why
    Status(StatusOptions),
    /// Tells why a message or an extension isn't moving, when it will, and what a person can do
    Explain(ExplainOptions),
    /// Shows or checks the settings
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// How each extension logs in: JWTs, authorization codes and passwords, sealed in the fleet's store
    Credentials {
        #[command(subcommand)]
        what: CredentialsCommand,
    },
    /// Who may text from which number, as the fleet has learnt it from RingCentral
    Extensions {
        #[command(subcommand)]
        what: ExtensionsCommand,
    },
    /// What came in at the fleet's extensions: texts, voicemails, missed calls
    Inbound {
        #[command(subcommand)]
        what: InboundCommand,
    },
    /// What has become of messages, told to an endpoint of yours: how that stands, telling once more, passing over, a test
    Callbacks {
        #[command(subcommand)]
        what: CallbacksCommand,
    },
    /// Who wants no more texts: enters it, lifts it, lists it
    OptOut {
        #[command(subcommand)]
        what: OptOutCommand,
    },
    /// Reads from RingCentral through the fleet: account, extensions, numbers, messages, call logs
    Rc {
        #[command(subcommand)]
        what: RcCommand,
    },
    /// Looks at all that must be right, from the settings to each extension's numbers, and says what to do about each fault
    Doctor(DoctorOptions),
    /// Tells what a code of RingCentral's, or a reason of this program's, means and what to do about it
    ExplainCode(CodeOptions),
    /// Stops one extension, or lets it go on
    Lane {
        #[command(subcommand)]
        what: LaneCommand,
    },
    /// Stops the whole fleet (kill switch), or lets it go on
    Fleet {
        #[command(subcommand)]
        what: FleetCommand,
    },
    /// Looks at one message, or takes it back
    Message {
        #[command(subcommand)]
        what: MessageCommand,
    },
    /// Messages of which nobody knows whether they were sent: a person looks, and decides
    Held {
        #[command(subcommand)]
        what: HeldCommand,
    },
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints the settings as they are after all layers; secrets as [set] or [unset]
    Show,
    /// Checks the settings and reports all faults at once
    Check,
    /// Prints the defaults with their explanations: the reference, and a start for a ringfleet.toml
    Reference,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    const ID: &str = "msg_00000000000000000000000000";

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(format!("ringfleet {line}").split(' '))
    }

    #[test]
    fn all_arguments_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_words_are_refused_before_anything_is_touched() {
        let two = format!("held close {ID} {ID} --as sent");
        let show = format!("message show {ID} --json");
        let explain = format!("explain {ID}");
        let good = [
            &show,
            &explain,
            "explain 102",
            "import x.csv --on-unknown resend",
            "held list --limit 3 --json",
            "message dead --limit 500 --json",
            "message waiting 102 --limit 1000 --json",
            "lane cancel 102 --due-before 2030-12-01T18:00:00-05:00 --yes",
            &two,
            "opt-out add +15550200001 +15550200002 --extension 102",
            "opt-out import -",
            "import x.csv --results r.jsonl --faults f.jsonl",
            "import --template t.txt --pass-over a,b --pass-over c x.csv",
            "import x.csv --dry-run --show-private",
            "message list --state delivery_failed --since 24h --limit 1000 --json",
            "message show --key visit-4712",
            "message cancel --key visit-4712 --key visit-4713",
            "explain --key visit-4712 --json",
            "callbacks replay --since 24h",
            "callbacks replay --since 2026-01-31T09:00:00-05:00",
            "callbacks status --json",
        ];
        for good in good {
            assert!(parsed(good).is_ok(), "{good}");
        }
        let by_both = ["message show", "message cancel", "explain"].map(|what| format!("{what} {ID} --key k"));
        let no_end = format!("held close {ID}");
        let wrong_end = format!("held close {ID} --as dead");
        let wrong = [
            "import x.csv --on-unknown guess",
            "held resend",
            "held show 12",
            "held list --limit 501",
            "held list --limit 0",
            "message dead --limit 501",
            "message held",
            "message show 12",
            "message cancel 12",
            "explain msg_12",
            "message waiting 102 --limit 0",
            "lane cancel",
            "lane cancel 102 --due-before tomorrow",
            "opt-out add",
            "opt-out import",
            "import x.csv --results r.jsonl --dry-run",
            "import x.csv --show-private",
            "message list",
            "callbacks",
            "callbacks replay",
            "callbacks replay --since yesterday",
            "message list --state ready",
            "message list --state dead --since yesterday",
            "message show",
            "message cancel",
            "explain",
            &by_both[0],
            &by_both[1],
            &by_both[2],
            "opt-out add 15550200001",
            "opt-out remove +15550200001 --from +15550100001 --extension 101",
            &no_end,
            &wrong_end,
        ];
        for wrong in wrong {
            assert_eq!(parsed(wrong).err().map(|error| error.exit_code()), Some(2), "{wrong}");
        }
    }

    #[test]
    fn a_secret_typed_where_none_belongs_is_refused_and_not_shown() {
        let mistakes = [
            "add 101 --method jwt canary.canary",
            "add 101 --method canary",
            "add 101 --method jwt --jwt canary",
            "add 101 --method jwt --jwt=canary",
            "add canary.canary --method jwt",
            "add 101 --method jwt --prefer canary",
            "add 101 --method=jwt --canary",
            "canary",
            "import a.csv canary",
            "prefer 101 jwt canary",
            "enable 101 canary",
            "list canary",
            "remove 101 jwt --yes=canary",
            "add 101 --method jwt --file a --file canary",
        ];
        for mistake in mistakes {
            let error = parsed(&format!("credentials {mistake}")).err().map(discreet::discreet).unwrap();
            let (told, shown) = (error.to_string(), error.render().ansi().to_string());
            assert_eq!(error.exit_code(), 2, "{mistake}");
            assert!(!told.contains("canary") && !shown.contains("canary"), "{mistake}: {told}");
        }
        let known = parsed("credentials add 101 --method canary").err().map(discreet::discreet).unwrap().to_string();
        assert!(known.contains("--method") && known.contains("jwt, code, password"), "{known}");
    }
}
