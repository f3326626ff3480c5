//! What is typed to find out what a code means.

use clap::Args;

#[derive(Args)]
pub(crate) struct CodeOptions {
    /// Codes such as OAU-211, CMN-401 or MSG-304, or a reason as `ringfleet status` shows it
    #[arg(required = true, value_name = "CODE")]
    pub codes: Vec<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}
