//! The one thread that touches the file for its handle. It drains what waits, runs it in one transaction with a
//! savepoint each, commits once, and only then replies: many callers share the price of one write to the disk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    fault::{Fault, Step, unavailable},
    place::Place,
    time::Mark,
    tx::Tx,
};
use crate::{clock::Clock, message::Millis, plan::LaneRules, store::StoreError};

/// Calls in one transaction at most, and how long they may gather.
const GROUP: usize = 64;
const GROUP_TIME: Duration = Duration::from_millis(20);
/// How long to sleep before the lock of another process is tried again.
const LOCK_RETRY: Duration = Duration::from_micros(500);
/// Where another process was seen writing lately, each commit is followed by a pause in which that one can get the lock;
/// SQLite's lock has no queue, and a busy process would keep it for ever.
const FAIR_PAUSE: Duration = Duration::from_micros(1_500);
const LATELY: Duration = Duration::from_secs(5);

pub(super) enum Command {
    Run(Box<dyn Job>),
    /// Has another process written? Sent by those who wait for work.
    Look,
    /// The process ends: what waits is run, and nothing more is taken.
    End,
}

/// A call on its way through the thread.
pub(super) trait Job: Send {
    /// `false` when it failed and must be rolled back alone.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// When it was asked for.
    fn asked(&self) -> Instant;
    /// Tells the caller, after the commit or the failure of the whole group.
    fn reply(self: Box<Self>, group: Result<(), &Fault>);
}

pub(super) struct Call<T, F> {
    name: &'static str,
    asked: Instant,
    work: Option<F>,
    answer: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F: FnOnce(&mut Tx<'_>) -> Step<T>> Call<T, F> {
    pub(super) fn new(name: &'static str, work: F) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (caller, answer) = oneshot::channel();
        (Self { name, asked: Instant::now(), work: Some(work), answer: None, caller }, answer)
    }
}

impl<T: Send, F: FnOnce(&mut Tx<'_>) -> Step<T> + Send> Job for Call<T, F> {
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let answer = work(tx).and_then(|answer| tx.save().map(|()| answer));
        let went_well = answer.is_ok();
        self.answer = Some(answer.map_err(|fault| fault.during(self.name)));
        went_well
    }

    fn asked(&self) -> Instant {
        self.asked
    }

    fn reply(self: Box<Self>, group: Result<(), &Fault>) {
        let answer = match (group, self.answer) {
            (Ok(()), Some(answer)) => answer,
            (Err(_), Some(Err(own))) => Err(own),
            (Err(fault), _) => Err(fault.during(self.name)),
            (Ok(()), None) => Err(unavailable(self.name, "the call was not run")),
        };
        // A caller that was dropped meanwhile hears nothing; what it asked for has happened all the same.
        let _ = self.caller.send(answer);
    }
}

pub(super) struct Writer {
    pub(super) conn: Connection,
    /// Where the file was when it was opened.
    pub(super) place: Place,
    pub(super) rules: LaneRules,
    pub(super) clock: Clock,
    pub(super) patience: Duration,
    pub(super) woken: watch::Sender<()>,
    /// Whether a `Look` is under way.
    pub(super) looking: Arc<AtomicBool>,
    pub(super) seen: Seen,
    /// The latest time that this handle has judged by.
    pub(super) latest: Millis,
    /// How far the fleet's time has come as this handle knows it, and whether the file is to be told with the next change.
    pub(super) mark: Mark,
    pub(super) mark_is_ahead: bool,
}

/// What this thread knows of the file.
#[derive(Default)]
pub(super) struct Seen {
    data_version: i64,
    wake: i64,
    foreign_commit: Option<Instant>,
    own_commit: Option<Instant>,
}

impl Writer {
    /// Remembers where the file stands, so that whatever comes later is news. Before the first handle is given out. Returns
    /// what the file is called.
    pub(super) fn look_first(&mut self) -> Result<String, StoreError> {
        self.look().and_then(|()| self.name()).map_err(|fault| fault.during("open"))
    }

    /// Ends when the last handle is dropped, or the process ends.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            match command {
                Command::Run(job) => self.run_group(job, &mut commands),
                Command::Look => {
                    self.looking.store(false, Ordering::Release);
                    if let Err(fault) = self.look() {
                        tracing::debug!(error = ?fault, "can't see whether another process has written");
                    }
                }
                Command::End => commands.close(),
            }
        }
    }

    fn run_group(&mut self, first: Box<dyn Job>, commands: &mut mpsc::Receiver<Command>) {
        if let Err(fault) = self.begin(first.asked()) {
            self.roll_back();
            first.reply(Err(&fault));
            return;
        }
        let started = Instant::now();
        let changes = self.conn.total_changes();
        let mut jobs = Vec::new();
        let mut wake = false;
        let mut group = Ok(());
        let mut next = Some(first);
        while let Some(mut job) = next.take() {
            let ran = self.run_one(&mut *job);
            jobs.push(job);
            match ran {
                Ok(wakes) => wake |= wakes,
                Err(fault) => {
                    group = Err(fault);
                    break;
                }
            }
            if jobs.len() < GROUP && started.elapsed() < GROUP_TIME {
                next = self.waiting(commands);
            }
        }
        // SEND-SAFETY: nobody hears an answer before it is on the disk. A "go" that a power cut could take back would
        // let another worker send the same message again.
        let group = group.and_then(|()| self.commit(wake, self.conn.total_changes() != changes));
        if group.is_err() {
            self.roll_back();
        }
        for job in jobs {
            job.reply(match &group {
                Ok(()) => Ok(()),
                Err(fault) => Err(fault),
            });
        }
    }

    /// Leaves no transaction open behind a failure, or none could begin any more.
    fn roll_back(&self) {
        if !self.conn.is_autocommit()
            && let Err(fault) = self.exec("ROLLBACK")
        {
            tracing::warn!(error = ?fault, "can't roll back");
        }
    }

    fn waiting(&self, commands: &mut mpsc::Receiver<Command>) -> Option<Box<dyn Job>> {
        loop {
            match commands.try_recv().ok()? {
                Command::Run(job) => return Some(job),
                // Every transaction begins with a look.
                Command::Look => self.looking.store(false, Ordering::Release),
                Command::End => commands.close(),
            }
        }
    }

    /// Runs one call in its savepoint and says whether others should wake up. An error ends the whole group.
    fn run_one(&mut self, job: &mut dyn Job) -> Step<bool> {
        let waited = match self.clock.set_time() {
            Some(_) => 0,
            None => super::millis(job.asked().elapsed()),
        };
        let now = self.now()?;
        self.exec("SAVEPOINT call")?;
        let mut tx = Tx::new(&self.conn, &self.rules, now, waited);
        let went_well = job.run(&mut tx);
        let wake = tx.wake;
        if went_well {
            self.exec("RELEASE call")?;
            return Ok(wake);
        }
        if self.conn.is_autocommit() {
            // A full disk or a failing one has ended the transaction, with everybody else's work in it.
            return Err(Fault::RolledBack);
        }
        self.exec("ROLLBACK TO call")?;
        self.exec("RELEASE call")?;
        Ok(false)
    }

    /// Takes the write lock. Patience counts from when the call was asked for: whoever waited behind one that got no
    /// lock doesn't wait as long once more.
    fn begin(&mut self, asked: Instant) -> Step<()> {
        self.place.look()?;
        let busy_file = self.seen.foreign_commit.is_some_and(|at| at.elapsed() < LATELY);
        if let Some(own) = self.seen.own_commit.filter(|_| busy_file) {
            thread::sleep(FAIR_PAUSE.saturating_sub(own.elapsed()));
        }
        loop {
            match self.exec("BEGIN IMMEDIATE") {
                Ok(()) => break,
                Err(fault) if fault.is_busy() && asked.elapsed() < self.patience => thread::sleep(LOCK_RETRY),
                Err(fault) => return Err(fault),
            }
        }
        self.look()
    }

    fn commit(&mut self, wake: bool, changed: bool) -> Step<()> {
        if wake || changed {
            self.keep_mark()?;
        }
        let mut counter = self.seen.wake;
        if wake {
            let sql = "UPDATE store SET wake = wake + 1 RETURNING wake";
            counter = self.conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        }
        self.exec("COMMIT")?;
        self.seen.own_commit = Some(Instant::now());
        if wake {
            self.seen.wake = counter;
            self.woken.send_replace(());
        }
        Ok(())
    }

    /// Wakes the sleepers of this handle when another process (or handle) has brought work. `data_version` moves with
    /// every foreign commit and costs next to nothing; the counter tells work from the rest.
    fn look(&mut self) -> Step<()> {
        let version = self.conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if version == self.seen.data_version {
            return Ok(());
        }
        let wake = self.conn.prepare_cached("SELECT wake FROM store")?.query_row([], |row| row.get(0))?;
        let first_look = std::mem::replace(&mut self.seen.data_version, version) == 0;
        if !first_look {
            self.seen.foreign_commit = Some(Instant::now());
        }
        if std::mem::replace(&mut self.seen.wake, wake) != wake && !first_look {
            self.woken.send_replace(());
        }
        Ok(())
    }

    fn exec(&self, sql: &'static str) -> Step<()> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
