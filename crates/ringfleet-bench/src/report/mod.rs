//! The report of a sitting: `docs/benchmarks.md` with its plots, or the same beside the figures when it is no whole one.

mod pictures;
mod plot;
mod table;
mod targets;

use std::{fmt::Write, fs};

use anyhow::Context;

use crate::{
    figure::{Book, shown},
    growth,
    options::Bench,
    sitting::Sitting,
};

/// What stands above a bench's table.
fn introduction(bench: Bench) -> &'static str {
    match bench {
        Bench::Queue => {
            "No-op messages of 300 bytes. A message goes through as a worker takes it: `claim` (lease and a slot of the exact \
             window), `begin_send` (the intent), `settle` (the outcome), only without the POST. The plan's window is 50 ms here, so \
             that no lane waits for it: with windows that are nearly empty and full batches this is the best case of the queue. \"By backlog\" and \"by lanes\" drain a part of what is queued; the rest stays. \"Its commands \
             without scripts and rules\" are the commands that the scripts call, sent once more from outside: no way to send, but \
             what these records cost without the rules. \"A worker's own lanes\" is a sketch of another store, in which the worker \
             judges the rules in its own memory and Redis keeps what happened: it follows no rule, and shows the least that such a \
             store would cost."
        }
        Bench::Peers => {
            "The same bodies, 64 handlers each, each peer on a fresh Redis; apalis (tuned) fetches and acknowledges 200 a worker, \
             dramatiq prefetches twice its threads. What each of them promises, and how it is set \
             up, stands in [bench/peers](../bench/peers/README.md): none writes an intent down before the handler runs, or keeps an \
             exact window for each extension. apalis (default) is measured with a smaller backlog, as it slows down with it. BullMQ is measured as one process and as \
             two, and the better one counts."
        }
        Bench::Limiter => {
            "Quota use = window ÷ mean of (arrival of request k + limit − arrival of request k), over all requests of a lane that has a \
             backlog, as the simulator saw them: 1 is the whole plan. A refused request starts a penalty as long as the \
             window, and each request inside it starts it again, as at RingCentral. Peers obey `Retry-After`. A place of Ringfleet's \
             is free again one window after its response, and a little: it has a margin. What counts in windows by the clock is \
             measured without one and, in the last round, with one. The simulator answers at once but where a case says otherwise: a \
             place is taken for one response time more than a window. CPU and scripts are all that the workers ask of Redis while \
             they have less to do than they could: what comes alone pays for a whole script."
        }
        Bench::Sends => {
            "Worker processes of the release build against the simulator process, over HTTP on the loopback. CPU is what each \
             process used for one send; they share the machine's cores. The simulator answers at once: with its 64 hands a worker \
             sends 64 texts in the time of one answer at most, as the provider that takes 250 ms shows."
        }
        Bench::Latency => {
            "From the call of `enqueue`, or from the time at which a message is due, to the moment at which the simulator has read \
             the head of the request. Redis has its append-only file on the disk before it answers."
        }
        Bench::Growth => {
            "A model: each shard is a Redis with a core of its own, extensions are spread by their hash, all send at full \
             plan. \"By the model\" and \"simulated\" share what a message costs, so that they agree is no proof of it; \"simulated\" plays \
             the lanes and shards burst by burst. Not in it: delivery reports, saves of the data, and texts that come alone because \
             many workers share few of them (see the limiter's CPU of Redis). `store.shards` takes 64 at most today; 100 shows where that \
             leads. The wall is where a shard is busy for 70 % of its time."
        }
    }
}

pub(crate) fn write(sitting: &Sitting, interrupted: bool) -> anyhow::Result<()> {
    let book = sitting.book();
    let whole = sitting.options.only.is_empty() && !sitting.options.quick;
    let docs = whole && !interrupted && !book.figures.is_empty();
    let folder = if docs { sitting.options.root.join("docs") } else { sitting.options.json_folder() };
    let pictures = folder.join("benchmarks");
    fs::create_dir_all(&pictures).with_context(|| pictures.display().to_string())?;
    let drawn = pictures::draw(&book, &pictures)?;
    let text = document(&book, sitting, &drawn, interrupted);
    let file = folder.join("benchmarks.md");
    fs::write(&file, text).with_context(|| file.display().to_string())?;
    drop(book);
    sitting.say(&format!("\nreport: {}\nfigures: {}", file.display(), sitting.options.json.display()));
    Ok(())
}

fn document(book: &Book, sitting: &Sitting, drawn: &[pictures::Picture], interrupted: bool) -> String {
    let mut text = String::from("# Benchmarks\n\nWritten by `cargo xtask bench`; don't edit. ");
    text.push_str(if interrupted { "**The sitting was interrupted.** " } else { "" });
    text.push_str("All figures are from one sitting on one machine, with other people's work on it as the load says. ");
    text.push_str("Each is the median of its rounds; the spread is the least and the most of them. \"1 of 3\" are the rounds that gave it.\n\n");
    text.push_str("```sh\ncargo xtask bench                 # the whole, three rounds\n");
    text.push_str("cargo xtask bench --quick         # smaller, one round; the report goes to target/bench/\n");
    text.push_str("cargo xtask bench --only limiter  # one bench; the same\n```\n\n");
    text.push_str(
        "It builds the release binary and the peers, and starts every Redis and simulator by itself.\n\n## Machine\n\n",
    );
    text.push_str("| | |\n|---|---|\n");
    for (name, fact) in &book.machine {
        let _ = writeln!(text, "| {name} | {fact} |");
    }
    text.push_str("\n## What it must show\n\n");
    text.push_str(&targets::table(book));
    text.push_str("\nWhat limits a number that is missed, and what was tried: [performance.md](performance.md).\n");
    for bench in Bench::ALL.into_iter().filter(|bench| sitting.options.wants(*bench)) {
        let _ = write!(text, "\n## {}\n\n{}\n\n", title(bench), introduction(bench));
        for picture in drawn.iter().filter(|picture| picture.bench == bench) {
            let _ = writeln!(text, "![{}](benchmarks/{})\n", picture.title, picture.file);
        }
        text.push_str(&table::of(book, bench, if bench.repeats() { sitting.options.repeats() } else { 1 }));
        if let Some(verdict) = (bench == Bench::Growth).then(|| growth::verdict(book)).flatten() {
            let _ = writeln!(text, "\n{verdict}");
        }
        if let Some(times) = book.durations_s.get(bench.name()) {
            let times: Vec<_> = times.iter().map(|time| shown(time.round())).collect();
            let _ = writeln!(text, "\nA round took {} s.", times.join(", "));
        }
    }
    if !book.failures.is_empty() {
        text.push_str("\n## What could not be measured\n\n");
        for failure in &book.failures {
            let _ = writeln!(text, "- {}", failure.replace('\n', " "));
        }
    }
    text
}

fn title(bench: Bench) -> &'static str {
    match bench {
        Bench::Queue => "Queueing",
        Bench::Peers => "Peers at queueing",
        Bench::Limiter => "The limiter",
        Bench::Sends => "Real sends",
        Bench::Latency => "Latency",
        Bench::Growth => "Cost as it grows",
    }
}
