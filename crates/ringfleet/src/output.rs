//! What a command prints.
//!
//! A reader that has gone (`ringfleet status | head -1`) is no error: the rest is not printed, and whatever else the command
//! does is done all the same. `println!` would panic, half way.

use std::{
    fmt,
    io::{self, ErrorKind, IsTerminal, Write},
    sync::OnceLock,
};

/// The first failure; nothing is printed after it.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// A line on standard output: the result of the command.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::to_stdout(format_args!("{}\n", format_args!($($text)*))) };
}

/// A line on standard error, for the person at the terminal.
macro_rules! remark {
    ($($text:tt)*) => { $crate::output::to_stderr(format_args!("{}\n", format_args!($($text)*))) };
}

pub(crate) use {remark, say};

/// Text as it stands.
pub(crate) fn to_stdout(text: fmt::Arguments<'_>) {
    if FAILED.get().is_some() {
        return;
    }
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) {
        let _ = FAILED.set(error);
    }
}

/// Before what is shown in the place of what was shown before: a terminal is cleared; elsewhere an empty line parts the two.
pub(crate) fn begin_page() {
    let parted = if io::stdout().is_terminal() { "\x1b[2J\x1b[H" } else { "\n" };
    to_stdout(format_args!("{parted}"));
}

pub(crate) fn to_stderr(text: fmt::Arguments<'_>) {
    // Nobody is left who could be told that this failed.
    let _ = io::stderr().lock().write_fmt(text);
}

/// Whether somebody may be asked; `undone` is what --yes would do.
///
/// # Errors
/// Nobody is there.
pub(crate) fn must_be_there(undone: fmt::Arguments<'_>) -> anyhow::Result<()> {
    anyhow::ensure!(io::stdin().is_terminal(), "nobody is there to be asked, nothing was done; add --yes to {undone}");
    Ok(())
}

/// Asks the person at the terminal. Anything but a yes is a no.
pub(crate) fn confirmed(question: fmt::Arguments<'_>) -> anyhow::Result<bool> {
    to_stdout(format_args!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        say!("nothing was done");
    }
    Ok(yes)
}

/// Whether nothing more is printed: what would be done for the output alone need not be done.
pub(crate) fn is_over() -> bool {
    FAILED.get().is_some()
}

/// Why the result could not be printed, where somebody was there to read it: a full disk, for instance.
pub(crate) fn failure() -> Option<&'static io::Error> {
    FAILED.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}
