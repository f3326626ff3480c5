//! Ends a server when the test process ends without dropping its guard: killed, aborted, or the guard stands in a static.

use std::{
    io,
    path::Path,
    process::{Child, Command, Stdio},
};

/// A shell that waits for the end of its standard input. The kernel closes that when the test process is gone, and only
/// then does the script go on; a guard that is dropped ends the shell first.
const SCRIPT: &str = r#"cat >/dev/null; kill -9 "$1" 2>/dev/null; rm -rf -- "$2""#;

pub(crate) struct Watchdog(Child);

impl Watchdog {
    pub(crate) fn over(pid: u32, dir: &Path) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "ringfleet-testkit"]).arg(pid.to_string()).arg(dir);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Self)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Before its input is closed: a called-off watchdog must not bite.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
