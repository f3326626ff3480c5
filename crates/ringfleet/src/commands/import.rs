//! `import FILE.csv`.

mod told;

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use ringfleet_identity::directory::Directory;
use ringfleet_producer::{ImportOptions as Options, Producer, SenderDirectory, Template, import_csv};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::told::Told;
use super::rc::of_owner;
use crate::{
    accounts::Accounts, cli::ImportOptions, config::Settings, directory, exit, keys, progress, store, telemetry,
};

/// A text has 1,000 characters; the names of its columns may take more.
const MAX_TEMPLATE_BYTES: u64 = 16 * 1_024;

pub(crate) async fn run(settings: Settings, options: ImportOptions) -> anyhow::Result<ExitCode> {
    telemetry::start(&settings.log_level, settings.log_format)?;
    let accounts = Accounts::load(&settings)?;
    let template = options.template.as_deref().map(template).transpose()?;
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
    let (key_scope, pass_over) = (options.scope.clone(), options.pass_over.clone());
    let import = Options { key_scope, template, pass_over, ..Options::default() };
    let told = Told { options: &options, settings: &settings, producer: &producer };
    let result = import_csv(&producer, reader, import, |now, batch| {
        bar.set_length(size.max(now.bytes));
        bar.set_position(now.bytes);
        if let Some(faults) = &mut faults {
            faults.add(&batch.faults);
        }
        if let Some(results) = &mut results {
            results.add(&batch.results);
        }
    })
    .await;
    bar.finish_and_clear();
    let written = [faults, results].into_iter().flatten().try_for_each(Lines::end);
    match result {
        Ok(summary) => {
            let refused = summary.counts.refused > 0;
            told.summary(&summary)?;
            written?;
            Ok(if refused { ExitCode::from(exit::PARTLY) } else { ExitCode::SUCCESS })
        }
        Err(error) => {
            if let Some(summary) = error.summary() {
                told.summary(summary)?;
            }
            let what = if options.dry_run { "dry run of the import" } else { "import" };
            Err(error).with_context(|| format!("{what} of {} stopped", options.file.display()))
        }
    }
}

/// What is wrong with it the import tells, with what does not fit the file.
fn template(path: &Path) -> anyhow::Result<Template> {
    let mut bytes = Vec::new();
    let name = path.display();
    let file = File::open(path).with_context(|| format!("can't open the template {name}"))?;
    file.take(MAX_TEMPLATE_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("can't read the template {name}"))?;
    let fits = bytes.len() as u64 <= MAX_TEMPLATE_BYTES;
    anyhow::ensure!(fits, "the template {name} is longer than {MAX_TEMPLATE_BYTES} bytes; is it the right file?");
    Ok(Template::read(&bytes))
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

fn lines(rows: &[impl Serialize]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row)?;
        lines.push(b'\n');
    }
    Ok(lines)
}
