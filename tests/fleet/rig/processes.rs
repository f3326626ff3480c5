//! Commands and workers of a rig, and all that they print.

use std::{
    fs::File,
    io::Write,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use ringfleet_testkit::{eventually, wait_until};

use super::{Rig, blocking, lock, ms, signal_process, terminate};

/// More than the default, so that what a person turns on to look into trouble is looked through too. The second part is for all
/// crates whose name begins so.
const LOG_LEVEL: &str = "info,ringfleet=debug,ringcentral=debug";
/// What a worker prints when it has come to its failpoint.
const MET: &str = "failpoint ";
/// What it prints when it gets a second SIGTERM, which ends it.
const SECOND_SIGNAL: &str = "second signal";

/// What the processes have printed. Those that go on print into files of the rig's folder.
#[derive(Default)]
pub(super) struct Said {
    /// Of commands that were run to their end.
    commands: Mutex<Vec<u8>>,
    files: Mutex<Vec<String>>,
    workers: Mutex<usize>,
}

/// A worker process.
pub(crate) struct Worker {
    pub child: Child,
    log: String,
    /// It has got a SIGTERM from here.
    told: bool,
    /// Its failpoint gives it one.
    tells_itself: bool,
}

impl Worker {
    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

/// A process that is ended with the test.
pub(crate) struct Running {
    pub child: Child,
    log: String,
}

impl Running {
    /// The name of the file that holds all it has printed.
    pub(crate) fn log(&self) -> &str {
        &self.log
    }

    /// SIGTERM, and its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        terminate(&self.child);
        let ended = blocking(|| wait_until(Duration::from_secs(20), || self.child.try_wait().unwrap().is_some()));
        assert!(ended, "it does not end");
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Rig {
    /// The program with this rig's settings in its environment. What it prints is only looked at when it is run by
    /// [`run`](Self::run), [`run_with`](Self::run_with) or [`spawn`](Self::spawn).
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfleet"));
        command
            .args(arguments)
            .env("RINGFLEET__STORE__URL", &self.store_url)
            .env("RINGFLEET__RINGCENTRAL__SERVER", format!("  {}/ ", self.api_url))
            .env("RINGFLEET__RINGCENTRAL__CLIENT_ID", self.simulator.client_id())
            .env("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", self.simulator.client_secret())
            .env("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", self.path("accounts.json"))
            .env("RINGFLEET__RINGCENTRAL__REQUEST_TIMEOUT", ms(self.options.request_timeout))
            .env("RINGFLEET__PLANS__WINDOW", ms(self.options.window))
            .env("RINGFLEET__PLANS__MEDIUM", self.options.medium.to_string())
            .env("RINGFLEET__WORKER__LEASE", ms(self.options.lease))
            .env("RINGFLEET__WORKER__REAP_EVERY", ms(self.options.lease / 5))
            .env("RINGFLEET__RECONCILE__SETTLE_TIME", ms(self.options.settle_time))
            .env("RINGFLEET__RECONCILE__EVERY", "100ms")
            .env("RINGFLEET__STORE__RESTART_PATIENCE", ms(3 * self.options.lease))
            .env("RINGFLEET__STORE__DATA_DIR", self.folder.path())
            // Most tests count requests; those of the directory turn it on.
            .env("RINGFLEET__DIRECTORY__REFRESH", "off")
            // The same with delivery reports, which would change `sent` into something else in a long test.
            .env("RINGFLEET__WORKER__DELIVERY_EVERY", "off")
            .env("RINGFLEET__INBOUND__POLL", "off")
            .env("RINGFLEET__METRICS__LISTEN", "")
            .env("RINGFLEET__LOG__LEVEL", LOG_LEVEL)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        if let Some(shards) = self.options.shards {
            command
                .env("RINGFLEET__STORE__CLUSTER", "true")
                .env("RINGFLEET__STORE__SHARDS", shards.to_string())
                // Its nodes keep nothing on disk: they are killed in no test.
                .env("RINGFLEET__STORE__ALLOW_VOLATILE", "true");
        }
        command
    }

    /// Runs a command of the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = self.command(arguments);
        let output = blocking(|| command.envs(environment.iter().copied()).output().unwrap());
        self.printed(&output.stdout);
        self.printed(&output.stderr);
        match arguments {
            ["fleet", "stop", ..] => lock(&self.stops).push((self.simulator_now(), None)),
            ["fleet", "resume", ..] => {
                if let Some((_, until @ None)) = lock(&self.stops).last_mut() {
                    *until = Some(self.simulator_now());
                }
            }
            _ => {}
        }
        output
    }

    /// The same of a command that is asked to show what is private.
    pub(crate) fn run_in_private(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        blocking(|| command.output().unwrap())
    }

    /// The same on a terminal.
    pub(crate) fn run_in_private_on_a_terminal(&self, arguments: &[&str]) -> Output {
        let plain = self.command(arguments);
        let words = std::iter::once(plain.get_program()).chain(plain.get_args());
        let line = words.map(|word| format!("'{}'", word.display())).collect::<Vec<_>>().join(" ");
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(self.folder.path()).stdin(Stdio::null());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        blocking(|| command.output().unwrap())
    }

    /// The same with something on its standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = blocking(|| {
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        });
        self.printed(&output.stdout);
        self.printed(&output.stderr);
        output
    }

    /// Runs a command whose reader has gone before it begins to print. Gives its exit and what stands on standard error beside
    /// logs.
    pub(crate) fn run_without_reader(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let mut command = self.command(arguments);
        command.env("RINGFLEET__LOG__LEVEL", "warn").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = blocking(|| child.wait_with_output().unwrap());
        self.printed(&output.stderr);
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Something of the program's that the test itself has read, and that must hold nothing private either.
    pub(crate) fn printed(&self, text: impl AsRef<[u8]>) {
        lock(&self.said.commands).extend(text.as_ref());
    }

    /// Starts a command that goes on, or that is to be watched.
    pub(crate) fn spawn(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let mut files = lock(&self.said.files);
        let log = format!("spawned-{}-{}.log", files.len() + 1, arguments[0]);
        files.push(log.clone());
        let file = File::create(self.path(&log)).unwrap();
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied()).stdout(file.try_clone().unwrap()).stderr(file);
        Running { child: command.spawn().unwrap(), log }
    }

    pub(crate) fn start_workers(&mut self, count: usize) {
        for _ in 0..count {
            self.start_worker(None);
        }
    }

    /// A worker that ends, stops or drains itself at a place of its code: `Some("intent.after=kill@3")`.
    pub(crate) fn start_worker(&mut self, failpoint: Option<&str>) {
        match failpoint {
            Some(failpoint) => {
                self.fault();
                self.start_worker_with(&[("RINGFLEET_FAILPOINT", failpoint)]);
            }
            None => self.start_worker_with(&[]),
        }
    }

    /// Waits until the `n`-th worker has come to its failpoint.
    pub(crate) async fn until_met(&self, n: usize) {
        eventually(Duration::from_secs(20), async || self.has_met(n)).await;
    }

    /// Whether the `n`-th worker has come to its failpoint.
    pub(crate) fn has_met(&self, n: usize) -> bool {
        self.log(&format!("worker-{}.log", n + 1)).contains(MET)
    }

    /// A worker with more in its environment.
    pub(crate) fn start_worker_with(&mut self, environment: &[(&str, &str)]) {
        let mut started = lock(&self.said.workers);
        *started += 1;
        let log = format!("worker-{started}.log");
        drop(started);
        let file = File::create(self.path(&log)).unwrap();
        let mut command = self.command(&["worker"]);
        // A free port of its own choice, which it tells.
        command.env("RINGFLEET__METRICS__LISTEN", "127.0.0.1:0");
        command.envs(environment.iter().copied());
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let tells_itself =
            environment.iter().any(|(name, value)| *name == "RINGFLEET_FAILPOINT" && value.contains("=term"));
        self.workers.push(Worker { child, log, told: false, tells_itself });
    }

    /// All that the workers have printed.
    pub(crate) fn logs(&self) -> String {
        (1..=*lock(&self.said.workers)).map(|n| self.log(&format!("worker-{n}.log"))).collect()
    }

    /// All that one process has printed.
    pub(crate) fn log(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// All that anybody has printed: where, and what.
    pub(super) fn all_said(&self) -> Vec<(String, String)> {
        let workers = (1..=*lock(&self.said.workers)).map(|n| format!("worker-{n}.log"));
        let files = workers.chain(lock(&self.said.files).clone());
        let mut said: Vec<_> = files.map(|name| (self.log(&name), name)).map(|(text, name)| (name, text)).collect();
        let commands = String::from_utf8_lossy(&lock(&self.said.commands)).into_owned();
        said.push(("the commands' output".to_owned(), commands));
        said
    }

    /// SIGSTOP, SIGCONT or SIGTERM to the `n`-th worker.
    pub(crate) fn signal_worker(&mut self, n: usize, signal: &str) {
        let mut worker = self.workers.remove(n);
        if signal == "TERM" {
            self.until_it_hears(&mut worker);
            worker.told = true;
        }
        signal_process(&worker.child, signal);
        self.workers.insert(n, worker);
        self.fault();
    }

    /// A process that has only just begun would be killed by a SIGTERM: the others may have done all the work without it.
    fn until_it_hears(&self, worker: &mut Worker) {
        let hears = || self.log(&worker.log).contains("metrics listens");
        blocking(|| wait_until(Duration::from_secs(20), || hears() || worker.child.try_wait().unwrap().is_some()));
    }

    /// Whether it is the log of a worker that has ended.
    pub(super) fn is_of_ended_worker(&mut self, log: &str) -> bool {
        log.starts_with("worker-") && !self.workers.iter_mut().any(|worker| worker.log == log && !worker.has_ended())
    }

    pub(crate) fn worker_has_ended(&mut self, n: usize) -> bool {
        self.workers[n].has_ended()
    }

    /// SIGKILL: the process gets no chance to give anything back.
    pub(crate) fn kill_worker(&mut self, n: usize) {
        let mut worker = self.workers.remove(n);
        worker.child.kill().unwrap();
        worker.child.wait().unwrap();
        self.fault();
    }

    /// SIGTERM to all; every one must end by itself with code 0 inside `budget`.
    pub(crate) fn drain_workers(&mut self, budget: Duration) {
        let bad = self.drain(budget);
        assert!(bad.is_empty(), "{bad:?}");
    }

    /// SIGTERM to all that are there and have not got one, be it from their failpoint: a second one ends a process at once.
    /// Gives what went wrong.
    pub(super) fn drain(&mut self, budget: Duration) -> Vec<String> {
        let mut living: Vec<Worker> = self.workers.drain(..).collect();
        living.retain_mut(|worker| !worker.has_ended());
        for worker in &mut living {
            // A stopped one hears nothing else.
            signal_process(&worker.child, "CONT");
            self.until_it_hears(worker);
            let told_itself = worker.tells_itself && self.log(&worker.log).contains(MET);
            if !worker.told && !told_itself {
                terminate(&worker.child);
            }
        }
        let deadline = Instant::now() + budget;
        let mut bad = Vec::new();
        for mut worker in living {
            let left = deadline.saturating_duration_since(Instant::now());
            if !blocking(|| wait_until(left, || worker.has_ended())) {
                let _ = worker.child.kill();
                bad.push(format!("a worker did not drain within {budget:?}"));
            }
            let status = worker.child.wait().unwrap();
            let log = self.log(&worker.log);
            // By its failpoint, while it drained: killed, or told a second time.
            let killed = worker.told && status.signal() == Some(9);
            let told_twice = worker.tells_itself && log.contains(SECOND_SIGNAL);
            if !status.success() && !(log.contains(MET) && (killed || told_twice)) {
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                bad.push(format!(
                    "a drained worker ended with {status}; the last lines of its log, the last first: {last:?}"
                ));
            }
        }
        bad
    }
}
