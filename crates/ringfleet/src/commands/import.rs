//! `import FILE.csv`.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use ringfleet_identity::directory::Directory;
use ringfleet_producer::{
    ImportOptions as Options, ImportSummary, Producer, SenderDirectory, import_csv, segments::OutsideGsm7,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::rc::of_owner;
use crate::{
    accounts::Accounts, cli::ImportOptions, config::Settings, directory, exit, keys, output::say, progress, store,
    telemetry,
};

pub(crate) async fn run(settings: Settings, options: ImportOptions) -> anyhow::Result<ExitCode> {
    telemetry::start(&settings.log_level, settings.log_format)?;
    let accounts = Accounts::load(&settings)?;
    // A dry run changes nothing, so a store of its own, for as long as it lasts, will do. Who may be sent from is read from
    // the fleet's, if there is one.
    let scratch = options.dry_run.then(|| store::scratch(&settings)).transpose()?;
    let (store, fleet) = if let Some((_, own)) = &scratch {
        (store::open(&own.store, own.rules).await?, store::open_to_ask(&settings.store, settings.rules).await)
    } else {
        let store = store::open(&settings.store, settings.rules).await?;
        store::refuse_replaced(&settings, &store).await?;
        (store.clone(), Some(store))
    };
    let on_unknown = options.on_unknown.unwrap_or(settings.on_unknown);
    let stop = CancellationToken::new();
    let _followed_until_the_end = stop.clone().drop_guard();
    let directory = match &fleet {
        Some(fleet) => {
            let (directory, follower) = directory::follow(&settings, &accounts, fleet, keys::ring_to_look).await?;
            if let Some(follower) = follower {
                tokio::spawn(follower.run(settings.identity.poll, stop));
            }
            directory
        }
        None => Directory::fixed(accounts.claims()?),
    };
    let directory = SenderDirectory::of(directory, &settings.provider.app)?;
    let producer = Producer::new(store, Arc::new(directory)).with_on_unknown(on_unknown);

    let (reader, size): (Box<dyn Read + Send>, u64) = if options.file.as_os_str() == "-" {
        (Box::new(std::io::stdin()), 0)
    } else {
        let file = File::open(&options.file).with_context(|| format!("can't open {}", options.file.display()))?;
        let size = file.metadata().map(|meta| meta.len()).unwrap_or(0);
        (Box::new(file), size)
    };
    let mut faults = options.faults.as_deref().map(|path| Lines::create(path, "--faults")).transpose()?;
    let mut results = options.results.as_deref().map(|path| Lines::create(path, "--results")).transpose()?;
    let bar = progress::bytes(size, "importing");
    let import = Options { key_scope: options.scope.clone(), ..Options::default() };
    let result = import_csv(&producer, reader, import, |now, told| {
        bar.set_length(size.max(now.bytes));
        bar.set_position(now.bytes);
        if let Some(faults) = &mut faults {
            faults.add(&told.faults);
        }
        if let Some(results) = &mut results {
            results.add(&told.results);
        }
    })
    .await;
    bar.finish_and_clear();
    let written = [faults, results].into_iter().flatten().try_for_each(Lines::end);
    match result {
        Ok(summary) => {
            let refused = summary.counts.refused > 0;
            tell(&summary, &options)?;
            written?;
            Ok(if refused { ExitCode::from(exit::PARTLY) } else { ExitCode::SUCCESS })
        }
        Err(error) => {
            if let Some(summary) = error.summary() {
                tell(summary, &options)?;
            }
            let what = if options.dry_run { "dry run of the import" } else { "import" };
            Err(error).with_context(|| format!("{what} of {} stopped", options.file.display()))
        }
    }
}

/// A file of lines about rows, written batch by batch, so that an import that is killed leaves those of all the batches before.
struct Lines {
    option: &'static str,
    file: File,
    /// The rows are taken in all the same; it is told at the end.
    failed: io::Result<()>,
}

impl Lines {
    fn create(path: &Path, option: &'static str) -> anyhow::Result<Self> {
        let file = of_owner().write(true).create_new(true).open(path);
        let file = file.with_context(|| {
            format!("can't make {}; if it is there already, name another {option}, or move it away", path.display())
        })?;
        Ok(Self { option, file, failed: Ok(()) })
    }

    fn add(&mut self, rows: &[impl Serialize]) {
        if self.failed.is_ok() && !rows.is_empty() {
            self.failed = lines(rows).and_then(|lines| self.file.write_all(&lines));
        }
    }

    fn end(self) -> anyhow::Result<()> {
        let option = self.option;
        self.failed
            .with_context(|| format!("the import went on, but not all lines could be written to the file of {option}"))
    }
}

fn segments(summary: &ImportSummary) -> String {
    let counts = &summary.counts;
    let all = format!("{} texts, {} segments", counts.accepted, counts.segments);
    let Some(OutsideGsm7 { line, character }) = summary.first_outside_gsm7 else { return all };
    let (more, first) = (counts.outside_gsm7, u32::from(character));
    format!("{all}; {more} hold characters outside GSM-7 (first: line {line}, U+{first:04X})")
}

fn lines(rows: &[impl Serialize]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn tell(summary: &ImportSummary, options: &ImportOptions) -> anyhow::Result<()> {
    if options.json {
        let mut told = serde_json::to_value(summary)?;
        told["dry_run"] = options.dry_run.into();
        say!("{}", serde_json::to_string_pretty(&told)?);
        return Ok(());
    }
    for fault in &summary.faults {
        say!("line {}, {}", fault.line, fault.refusal);
    }
    let counts = &summary.counts;
    if summary.faults_not_listed > 0 {
        let n = summary.faults_not_listed;
        match &options.faults {
            Some(file) => say!("… and {n} more faults, in {}", file.display()),
            None => say!("… and {n} more faults, not listed; --faults FILE writes down all of them"),
        }
    }
    if counts.accepted > 0 {
        say!("{}", segments(summary));
    }
    let (rows, refused) = (counts.rows, counts.refused);
    if options.dry_run {
        let (good, twice) = (counts.accepted, counts.duplicates);
        say!("{rows} rows read: {good} are good, {twice} more stand in the file twice, {refused} would be refused");
        say!("nothing was enqueued, and which of them were taken in before was not looked at");
    } else {
        let (enqueued, duplicates) = (counts.accepted, counts.duplicates);
        say!("{rows} rows read: {enqueued} enqueued, {duplicates} duplicates of earlier ones, {refused} refused");
    }
    Ok(())
}
