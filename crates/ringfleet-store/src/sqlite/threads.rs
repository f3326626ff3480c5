//! The threads of this process's handles. When the last connection of all processes is closed, SQLite moves what stands in the
//! `-wal` into the database and removes it; a process that ends without waiting for that leaves a file which lacks all that
//! was committed last, to be missed by who copies it.

use std::{
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::writer::Command;

/// Between two looks whether they have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

static THREADS: Mutex<Vec<Running>> = Mutex::new(Vec::new());

struct Running {
    thread: JoinHandle<()>,
    commands: mpsc::WeakSender<Command>,
}

pub(super) fn remember(thread: JoinHandle<()>, commands: &mpsc::Sender<Command>) {
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    threads.retain(|running| !running.thread.is_finished());
    threads.push(Running { thread, commands: commands.downgrade() });
}

/// Closes all files that this process has open, for a process that ends: handles that somebody still has are of no use any
/// more. Calls that wait are run first. `false`: not all were closed in that time, as when a disk hangs. What was committed is
/// safe in the `-wal` then, as after a crash.
pub fn close_all(patience: Duration) -> bool {
    let give_up = Instant::now() + patience;
    let mut threads = std::mem::take(&mut *THREADS.lock().unwrap_or_else(PoisonError::into_inner));
    loop {
        threads.retain(|running| !running.thread.is_finished());
        if threads.is_empty() {
            return true;
        }
        if Instant::now() >= give_up {
            return false;
        }
        for commands in threads.iter().filter_map(|running| running.commands.upgrade()) {
            // Where as many calls as may wait are waiting, at the next look.
            let _ = commands.try_send(Command::End);
        }
        thread::sleep(LOOK_AGAIN);
    }
}
