//! What all benches of one sitting share: options, sizes, the book of figures, the terminal.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    figure::{Book, Case},
    growth, latency, limiter, machine,
    options::{Bench, Options},
    peers, queue, sends,
    size::Size,
};

pub(crate) struct Sitting {
    pub options: Options,
    pub size: Size,
    /// Peer -> the words that start it; one that could not be installed is missing.
    pub peers: BTreeMap<String, Vec<String>>,
    book: Mutex<Book>,
    bar: ProgressBar,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    Done,
    Interrupted,
}

impl Sitting {
    pub(crate) fn begin(mut options: Options) -> anyhow::Result<Self> {
        // It is started in other folders.
        options.ringfleet =
            options.ringfleet.canonicalize().with_context(|| options.ringfleet.display().to_string())?;
        let beside = options.json_folder();
        fs::create_dir_all(&beside).with_context(|| beside.display().to_string())?;
        // A part's report goes beside its figures, and this is where that of the whole stands.
        ensure!(
            beside.canonicalize()? != options.root.join("docs").canonicalize()?,
            "--json: figures don't go into docs/, as the report of a part would take the place of the whole's"
        );
        let peers = fs::read_to_string(&options.peers).with_context(|| options.peers.display().to_string())?;
        let peers = serde_json::from_str(&peers).context("the list of peers can't be read")?;
        let size = if options.quick { Size::quick() } else { Size::whole() };
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
        bar.enable_steady_tick(Duration::from_millis(200));
        let book = Mutex::new(Book::new(machine::describe(&options)));
        Ok(Self { options, size, peers, book, bar })
    }

    /// One round of a bench, perhaps its last. What goes wrong in it, a panic included, is written down and ends nothing else.
    pub(crate) async fn run(self: Arc<Self>, bench: Bench, last: bool) -> Ended {
        let deadline = bench.deadline(self.options.quick);
        let this = self.clone();
        let mut task = tokio::spawn(async move {
            match bench {
                Bench::Queue => queue::run(&this).await,
                Bench::Peers => peers::run(&this).await,
                Bench::Limiter => limiter::run(&this, last).await,
                Bench::Sends => sends::run(&this).await,
                Bench::Latency => latency::run(&this).await,
                Bench::Growth => growth::run(&this),
            }
        });
        let overdue = tokio::select! {
            ended = &mut task => {
                match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => self.failed(bench.name(), &format!("{error:#}")),
                    Err(panic) => self.failed(bench.name(), &panic.to_string()),
                }
                return Ended::Done;
            }
            () = tokio::time::sleep(deadline) => true,
            () = interrupted() => false,
        };
        self.say(if overdue {
            "  took too long: ending what was started"
        } else {
            "interrupted: ending what was started"
        });
        // Its guards end its processes.
        task.abort();
        let _ = task.await;
        if overdue {
            self.failed(bench.name(), &format!("was not over in {} min", deadline.as_secs() / 60));
            return Ended::Done;
        }
        Ended::Interrupted
    }

    /// Where figures of one peer and one case are noted.
    pub(crate) fn case(&self, bench: Bench, peer: &str) -> Case<'_> {
        Case::new(self, bench.name(), peer)
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn failed(&self, what: &str, why: &str) {
        self.say(&format!("  failed: {what}: {why}"));
        self.book().failures.push(format!("{what}: {why}"));
    }

    /// Does `work`; an error is written down, and the bench goes on.
    pub(crate) async fn attempt(&self, what: &str, work: impl Future<Output = anyhow::Result<()>>) {
        self.doing(what);
        if let Err(error) = work.await {
            self.failed(what, &format!("{error:#}"));
        }
        if let Err(error) = self.save() {
            self.say(&format!("  {error:#}"));
        }
    }

    pub(crate) fn took(&self, bench: Bench, time: Duration) {
        self.say(&format!("  {} took {:.0} s", bench.name(), time.as_secs_f64()));
        self.book().durations_s.entry(bench.name().to_owned()).or_default().push(time.as_secs_f64());
    }

    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(&*self.book())?;
        fs::write(&self.options.json, json + "\n").with_context(|| self.options.json.display().to_string())
    }

    pub(crate) fn headline(&self, text: &str) {
        self.say(&format!("\n{text}"));
    }

    pub(crate) fn doing(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// A line that stays; on a terminal above the spinner, elsewhere plainly.
    pub(crate) fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }
}

/// Ctrl-C, or the word of whoever runs this.
async fn interrupted() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}
