//! Processes that are measured: ended with their guard, and asked what they have used.

use std::{fs, process::Stdio, time::Duration};

use anyhow::Context;
use tokio::process::{Child, Command};

/// The unit of times in /proc on all systems that Linux runs on today.
const TICKS_PER_S: f64 = 100.0;
const END_DEADLINE: Duration = Duration::from_secs(25);

/// A process in a group of its own, so that its children end with it and Ctrl-C reaches it by us alone.
pub(crate) struct Process {
    child: Child,
    pid: u32,
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        let what = command.as_std().get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("{what} can't be started"))?;
        let pid = child.id().context("it ended at once")?;
        Ok(Self { child, pid })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Seconds of a processor's time that it has used so far.
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        let told = fs::read_to_string(format!("/proc/{}/stat", self.pid)).context("the process has ended")?;
        // The name before it may contain anything. The 14th and 15th field of the line are the times in program and kernel.
        let rest = told.rsplit_once(") ").context("its times can't be read")?.1;
        let field = |at: usize| rest.split(' ').nth(at).and_then(|text| text.parse::<f64>().ok());
        Ok((field(11).context("no time")? + field(12).context("no time")?) / TICKS_PER_S)
    }

    /// Memory that it holds now.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<f64> {
        let told = fs::read_to_string(format!("/proc/{}/status", self.pid)).context("the process has ended")?;
        let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("its memory can't be read")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0)
    }

    /// SIGTERM, its end, or SIGKILL when it takes too long.
    pub(crate) async fn end(mut self) {
        self.signal("TERM");
        let _ = tokio::time::timeout(END_DEADLINE, self.child.wait()).await;
    }

    fn signal(&self, name: &str) {
        let group = format!("-{}", self.pid);
        let _ = std::process::Command::new("kill").args(["-s", name, "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The number of one that was waited for may be another's by now; a group that is left has children of ours in it.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("KILL");
        }
    }
}
