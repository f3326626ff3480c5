//! What is typed about logins. A secret is never an argument: arguments stand in the shell's history and in `ps`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ringcentral::ExtensionId;

#[derive(Subcommand)]
pub(crate) enum CredentialsCommand {
    /// Makes a key that seals credentials in the store, and prints it
    #[command(after_help = "\
Put it where only the fleet can read it, and name the file in identity.key_file on every machine of the fleet:

  umask 077; ringfleet credentials new-key > /etc/ringfleet/ringfleet.key

Keep a copy away from the store: without the key, nobody can read the credentials in it again.")]
    NewKey,
    /// Adds an extension's login, or replaces the one of the same method
    #[command(after_help = ADD)]
    Add(AddOptions),
    /// Adds the logins of a CSV file; the same file twice changes nothing
    #[command(after_help = IMPORT)]
    Import(ImportCredentials),
    /// Lists all logins: where each comes from, whether it is usable, and what is wrong with it. Never a secret
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Really logs in with each login alone, and says what is wrong with it; beside a running fleet, under the Auth plan
    Check(CheckOptions),
    /// Lets a login that was switched off be used again; running workers notice within seconds
    Enable(Which),
    /// Switches a login off without forgetting it: the extension's next one is used
    Disable(Which),
    /// Sets which login of an extension comes first: the lowest number does
    Prefer {
        #[command(flatten)]
        which: Which,
        /// 0 to 255; without a word, JWT has 10, code 20, password 30
        number: u8,
    },
    /// Forgets a login for good
    Remove {
        #[command(flatten)]
        which: Which,
        /// Don't ask before
        #[arg(long)]
        yes: bool,
    },
    /// Forgets whose the budget of logins is, should the fleet have learnt it wrongly; the next logins find it out again
    ForgetBudget,
    /// Seals credentials, sender directory and webhook secrets anew with the first key of the key file; what came in keeps its key
    #[command(after_help = ROTATE)]
    RotateKey,
}

const ADD: &str = "\
The secret is read from a terminal without showing it, from standard input, or from a file:

  ringfleet credentials add 400129284008 --method jwt
  ringfleet credentials add 400129284008 --method jwt --file anna.jwt
  vault read -field=jwt ringcentral/anna | ringfleet credentials add 400129284008 --method jwt

jwt       a JWT that the extension's own user made in the developer console; one JWT is one user
code      a refresh token of an authorization-code login that was made elsewhere; it must come from the same app
password  for servers that still take it; RingCentral ended it on 2024-03-31

An extension may have one of each. The lowest --prefer comes first, the others stand in when it is refused.";

const IMPORT: &str = "\
The first row names the columns, in any order:

  extension_id      the extension's id (not its short number)
  method            jwt, code or password
  secret            the JWT, the refresh token or the password, or instead
  secret_file       a file that holds it, seen from the CSV file's folder
  username          for password: a phone number or an address
  extension_number  for password: the short number, if the user name is the company's number
  prefer            0 to 255, the lowest comes first; empty leaves it as it is
  enabled           yes or no; empty leaves it as it is

Good rows go in; faulty ones are told together with line and column, and never with a secret (exit code 3). A quotation mark that is
not closed, or has blanks before it, refuses the whole file.";

const ROTATE: &str = "\
How to change the key while the fleet runs; a changed key file is noticed within seconds:

  1. make a key: ringfleet credentials new-key
  2. add it as the SECOND line of the key file on every machine: now all can open what it seals
  3. move it to the FIRST line on every machine: now it seals all that is written
  4. ringfleet credentials rotate-key: seals the rest with it
  5. take the old key out everywhere, once rotate-key finds nothing left; keep it as long as you keep old backups of the store";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum MethodWord {
    /// A JWT of the extension's user
    Jwt,
    /// A refresh token of an authorization-code login
    Code,
    /// User name and password, where the server still takes them
    Password,
}

#[derive(Args)]
pub(crate) struct Which {
    /// The extension's id
    pub extension: ExtensionId,
    /// Which of its logins
    #[arg(value_enum)]
    pub method: MethodWord,
}

#[derive(Args)]
pub(crate) struct AddOptions {
    /// The extension's id: the owner_id of its tokens, not the short number
    pub extension: ExtensionId,
    /// How it logs in
    #[arg(long, value_enum)]
    pub method: MethodWord,
    /// Read the secret from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Its place among the extension's logins, 0 to 255; the lowest comes first
    #[arg(long, value_name = "N")]
    pub prefer: Option<u8>,
    /// Keep it, but don't use it yet
    #[arg(long)]
    pub disabled: bool,
    /// For password: a phone number or an address
    #[arg(long, value_name = "NAME", required_if_eq("method", "password"))]
    pub username: Option<String>,
    /// For password: the short number, if the user name is the company's number
    #[arg(long, value_name = "DIGITS", requires = "username")]
    pub extension_number: Option<String>,
}

#[derive(Args)]
pub(crate) struct CheckOptions {
    /// Extensions to check
    #[arg(required_unless_present = "all", value_name = "EXTENSION")]
    pub extensions: Vec<ExtensionId>,
    /// Check all that have a login which is switched on
    #[arg(long, conflicts_with = "extensions")]
    pub all: bool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub(crate) struct ImportCredentials {
    /// The CSV file, or "-" for standard input
    pub file: PathBuf,
    /// Only check the rows and say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}
