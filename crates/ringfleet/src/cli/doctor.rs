//! What is typed to find out what is wrong, and what to do about it.

use clap::Args;
use ringcentral::{ExtensionId, PhoneNumber, RedirectUri};

#[derive(Args)]
#[command(after_help = DOCTOR)]
pub(crate) struct DoctorOptions {
    /// Look at this extension only (its id, or its number once the fleet has read it); may be given several times. Without it,
    /// at all
    #[arg(long = "extension", value_name = "EXTENSION")]
    pub extensions: Vec<ExtensionId>,
    /// Send one test text to this number, through the fleet, from the extension named with --extension
    #[arg(long, value_name = "NUMBER", requires = "extensions")]
    pub send_test_to: Option<PhoneNumber>,
    /// Where the login page sends employees back to: try whether it takes this app's request. Without it, that of the connect
    /// page, if it is switched on
    #[arg(long, value_name = "URI")]
    pub redirect_uri: Option<RedirectUri>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

const DOCTOR: &str = "\
It reads through the fleet's own sessions and under the fleet's usage plans, so it may be run beside a busy fleet. Nothing is
changed. Exit code 0: nothing is broken (there may be warnings); 1: something is; 64: the settings are at fault.";
