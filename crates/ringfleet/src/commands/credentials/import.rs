//! `credentials import FILE.csv`.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use ringfleet_identity::{AppPrint, Credential, Facts, Method, Source, Stored, Vault, VaultError};
use secrecy::zeroize::Zeroizing;
use serde::Serialize;

use super::{
    login::PASSWORD_WARNING,
    number::Numbers,
    secret,
    sheet::{self, Row, Sheet},
};
use crate::{
    cli::ImportCredentials,
    exit,
    output::{remark, say},
    progress,
};

/// A list of logins is small; a larger file is another one.
const MAX_BYTES: u64 = 32 * 1_024 * 1_024;

/// What became of the rows, or would become of them.
#[derive(Debug, Default, Serialize)]
struct Summary {
    dry_run: bool,
    added: u64,
    replaced: u64,
    /// In the store already, the same.
    unchanged: u64,
    /// Rows that repeat an earlier one of the file.
    repeated: u64,
    refused: u64,
    faults: Vec<sheet::Fault>,
}

pub(super) async fn run(vault: &Vault, options: &ImportCredentials) -> anyhow::Result<ExitCode> {
    let name = options.file.display();
    let (text, folder) = text_of(&options.file).with_context(|| format!("{name} can't be read"))?;
    let mut sheet =
        sheet::read(&text, &folder, &secret::from_file).with_context(|| format!("{name}: nothing was imported"))?;
    let numbers = Numbers::known(vault, sheet.rows.iter().map(|row| &row.extension)).await?;
    sheet.refuse(|extension| numbers.fault(extension));
    let mut summary = Summary {
        dry_run: options.dry_run,
        repeated: sheet.repeated.len() as u64,
        refused: sheet.refused as u64,
        ..Summary::default()
    };
    let passwords = sheet.rows.iter().any(|row| row.login.method() == Method::Password);
    let taken = take_in(vault, &sheet, &mut summary).await;
    if passwords {
        remark!("warning: {PASSWORD_WARNING}");
    }
    summary.faults = sheet.faults;
    tell(&summary, &sheet.repeated, options.json)?;
    taken.context("the import stopped; the same file can be imported again")?;
    Ok(if summary.refused > 0 { ExitCode::from(exit::PARTLY) } else { ExitCode::SUCCESS })
}

/// The text of the file, and the folder that its secret files are seen from.
fn text_of(file: &Path) -> anyhow::Result<(Zeroizing<String>, PathBuf)> {
    let mut text = Zeroizing::new(String::new());
    let (mut from, folder): (Box<dyn Read>, _) = if file.as_os_str() == "-" {
        (Box::new(std::io::stdin()), PathBuf::new())
    } else {
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        (Box::new(std::fs::File::open(file)?), folder)
    };
    let read = from.by_ref().take(MAX_BYTES + 1).read_to_string(&mut text).context("is it saved as \"CSV UTF-8\"?")?;
    anyhow::ensure!(read as u64 <= MAX_BYTES, "it is longer than 32 MiB; is it the right file?");
    Ok((text, folder))
}

async fn take_in(vault: &Vault, sheet: &Sheet, summary: &mut Summary) -> Result<(), VaultError> {
    let bar = progress::bar(sheet.rows.len() as u64, "importing");
    let now = vault.store().now().await?;
    for row in &sheet.rows {
        let known = match vault.get(&row.extension, row.login.method()).await {
            Ok(known) => known,
            // One that nobody can open is replaced: that is how a lost key is mended.
            Err(VaultError::Record { .. }) => None,
            Err(error) => return Err(error),
        };
        let credential = merged(row, known.as_ref(), now);
        let stored =
            if summary.dry_run { foreseen(&credential, known.as_ref()) } else { vault.put(&credential).await? };
        match stored {
            Stored::Added => summary.added += 1,
            Stored::Replaced => summary.replaced += 1,
            Stored::Same => summary.unchanged += 1,
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// What the row leaves open stays as it is, so that an import does not undo what an operator has set since.
fn merged(row: &Row, known: Option<&Credential>, now: i64) -> Credential {
    let usual = row.login.method().usual_preference();
    Credential {
        extension: row.extension.clone(),
        login: row.login.clone(),
        prefer: row.prefer.or(known.map(|known| known.prefer)).unwrap_or(usual),
        enabled: row.enabled.or(known.map(|known| known.enabled)).unwrap_or(true),
        source: Source::Store { rev: 0 },
        facts: Facts { added_at: now, ..Facts::default() },
    }
}

fn foreseen(new: &Credential, known: Option<&Credential>) -> Stored {
    let any = AppPrint::of("", "");
    match known {
        None => Stored::Added,
        Some(known) if known.login.print(&any) == new.login.print(&any) => Stored::Same,
        Some(_) => Stored::Replaced,
    }
}

fn tell(summary: &Summary, repeated: &[(u64, u64)], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        say!("{}", serde_json::to_string_pretty(summary)?);
        return Ok(());
    }
    for fault in &summary.faults {
        say!("{fault}");
    }
    for (line, first) in repeated {
        say!("line {line}: says the same as line {first}; passed over");
    }
    let Summary { added, replaced, unchanged, repeated, refused, .. } = summary;
    let would = if summary.dry_run { "would be " } else { "" };
    say!(
        "{added} {would}added, {replaced} {would}replaced, {unchanged} unchanged, {repeated} repeated in the file, {refused} refused"
    );
    if added + replaced > 0 && !summary.dry_run {
        say!("running workers use them within seconds; `ringfleet credentials check --all` tries them now");
    }
    Ok(())
}
