//! Child processes: run, streamed through, counted, and never left behind.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::tally::{Reading, Runner, Tally};

/// A command without what `cargo run` put into our environment for xtask alone: build scripts that look at these variables
/// (ring's does) would run again each time when cargo is called by hand and by xtask in turns.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// What it calls on this machine it calls directly, whatever proxy the environment names for calls to elsewhere.
pub(crate) fn without_proxy(command: &mut Command) -> &mut Command {
    let here = "127.0.0.1,localhost,::1";
    command.env("NO_PROXY", here).env("no_proxy", here)
}

/// Runs to the end; anything but exit code 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("can't run {}", shown(command)))?;
    ensure!(status.success(), "{} ended with {status}", shown(command));
    Ok(())
}

/// The same, and returns what it wrote on standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("can't run {}", shown(command)))?;
    ensure!(output.status.success(), "{} ended with {}", shown(command), output.status);
    String::from_utf8(output.stdout).with_context(|| format!("{} wrote no UTF-8", shown(command)))
}

/// Whether it runs and ends well; it stays silent.
pub(crate) fn works(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Runs a test runner, shows what it prints as it comes, and adds its summary to `tally`.
pub(crate) fn counted(command: &mut Command, runner: Runner, tally: &mut Tally) -> Result<()> {
    let before = *tally;
    let on_stderr = runner == Runner::Unittest;
    if on_stderr {
        command.stderr(Stdio::piped());
    } else {
        command.stdout(Stdio::piped());
    }
    let spawned = command.spawn().with_context(|| format!("can't run {}", shown(command)))?;
    let mut running = Running(spawned);
    let mut reading = Reading::new(runner);
    if let Some(out) = running.0.stdout.take() {
        copy(out, std::io::stdout(), |line| reading.line(line, tally))?;
    } else if let Some(err) = running.0.stderr.take() {
        copy(err, std::io::stderr(), |line| reading.line(line, tally))?;
    }
    let status = running.0.wait()?;
    ensure!(status.success(), "{} ended with {status}", shown(command));
    ensure!(tally.failed == before.failed, "{} ended well but reports failed tests", shown(command));
    // A runner that found no test at all is a broken selection, not a success.
    ensure!(tally.passed > before.passed, "{} ran no test", shown(command));
    Ok(())
}

fn copy(from: impl Read, mut to: impl Write, mut each: impl FnMut(&str)) -> Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        each(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

/// A process that ends with its guard, however the step ends.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        command.spawn().map(Self).with_context(|| format!("can't run {}", shown(command)))
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
