//! The process of a server: ended with us, and asked whether it is still ours before it gets a signal.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{wait::wait_until, watchdog::Watchdog};

pub(super) struct Process {
    child: Child,
    pub(super) frozen: bool,
    watchdog: Watchdog,
}

impl Process {
    pub(super) fn spawn(command: &mut Command, dir: &Path) -> Self {
        let child = command.stdin(Stdio::null()).spawn().expect("redis-server can be executed");
        let watchdog = Watchdog::over(child.id(), dir).expect("a shell can be executed");
        Self { child, frozen: false, watchdog }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn kill(self) {
        let Self { mut child, watchdog, .. } = self;
        drop(watchdog);
        let _ = child.kill();
        let _ = child.wait();
    }

    pub(super) fn freeze(&mut self) {
        self.signal("STOP");
        self.frozen = true;
        let pid = self.id();
        assert!(wait_until(super::START_DEADLINE, || is_stopped(pid)), "redis-server does not stand still");
    }

    pub(super) fn thaw(&mut self) {
        self.signal("CONT");
        self.frozen = false;
    }

    /// One that has ended keeps its number until we have asked after it, so that no other process is hit.
    fn signal(&mut self, name: &str) {
        assert!(self.is_alive(), "redis-server has ended by itself");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", r#"kill -s "$1" "$2""#, "ringfleet-testkit", name, &self.id().to_string()]);
        assert!(shell.status().is_ok_and(|status| status.success()), "SIG{name} can't be sent");
    }
}

/// Where the system does not tell, the signal works all the same, perhaps a moment later.
fn is_stopped(pid: u32) -> bool {
    let Ok(told) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    // The name before it may contain anything.
    told.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'))
}
