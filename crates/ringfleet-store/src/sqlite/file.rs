//! The database file: made with narrow rights, refused when it isn't ours, set up for durable small transactions.

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{Synchronous, disk, fault::Fault, place::Place, reap, time, workers};
use crate::store::StoreError;

const SCHEMA: &str = include_str!("schema.sql");
/// Grows with every change of `schema.sql`.
const SCHEMA_VERSION: i64 = 7;
/// Of a file that was begun, and whose schema stands in the log beside it.
const BEGUN: i64 = 0;
/// Until the process that has begun a file has made its schema, it is looked at so often.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// `RFLT`: tells this store's files from other programs' databases.
const APPLICATION_ID: i64 = 0x5246_4c54;

pub(super) fn open(
    path: &Path,
    synchronous: Synchronous,
    patience: Duration,
) -> Result<(Connection, Place), StoreError> {
    let unavailable = |error: io::Error| StoreError::Unavailable { call: "open", source: error.into() };
    make_file(path).map_err(unavailable)?;
    let unfit = |reason: &str| StoreError::Unfit { reason: format!("{}: {reason}", path.display()) };
    // SEND-SAFETY: of a link SQLite keeps the log beside the file that it leads to, and that is where it must be looked for.
    let target = fs::canonicalize(path).map_err(unavailable)?;
    disk::check(&target).map_err(unavailable)?.map_err(unfit_at(&unfit))?;
    if was_emptied(&target).map_err(unavailable)? {
        return Err(unfit("it is empty, but not the -wal beside it: it was emptied, and what it held is gone"));
    }
    let place = Place::of(path).map_err(unavailable)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> Result<Connection, Fault> {
        let conn = Connection::open_with_flags(&target, flags)?;
        conn.busy_timeout(patience)?;
        Ok(conn)
    };
    let conn = open().map_err(|fault| fault.during("open"))?;
    match schema_version(&conn) {
        Ok(_) => {}
        Err(fault) if is_no_database(&fault) => return Err(unfit("this file is not a database")),
        Err(fault) => return Err(fault.during("open")),
    }
    adopt(&conn, synchronous, patience).map_err(|fault| fault.during("open"))?.map_err(unfit_at(&unfit))?;
    Ok((conn, place))
}

fn unfit_at(unfit: impl Fn(&str) -> StoreError) -> impl FnOnce(String) -> StoreError {
    move |reason| unfit(&reason)
}

/// Texts and numbers lie in it: nobody else reads it. The files beside it (`-wal`, `-shm`) get the same rights.
fn make_file(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => file.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return tell_rights(path),
        Err(error) => return Err(error),
    }
    // The name must survive a power cut too, or everything that was acknowledged is gone with it.
    #[cfg(unix)]
    fs::File::open(parent)?.sync_all()?;
    Ok(())
}

/// One that was put there by hand, such as a backup, keeps the rights that it has.
fn tell_rights(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions());
        if mode & 0o077 != 0 {
            let (path, mode) = (path.display(), format!("{:o}", mode & 0o777));
            tracing::warn!(%path, mode, "others on this machine may read texts and numbers in the database: chmod 600");
        }
    }
    Ok(())
}

/// A file has a first page before it has a log.
///
/// SEND-SAFETY: asked before SQLite sees the file, which would remove the log of an empty one and make a new store of it.
fn was_emptied(path: &Path) -> io::Result<bool> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    // The log first: a process that makes the file meanwhile must not look like this.
    Ok(fs::metadata(log).is_ok_and(|log| log.len() > 0) && fs::metadata(path)?.len() == 0)
}

/// `None` for an empty file.
fn schema_version(conn: &Connection) -> Result<Option<Result<i64, &'static str>>, Fault> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    Ok(match (application, version, tables) {
        (0, 0, 0) => None,
        (APPLICATION_ID, version, _) => Some(Ok(version)),
        _ => Some(Err("this database belongs to another program")),
    })
}

/// Makes or checks the schema. The inner error says why the file can't be used; nothing was changed then.
fn adopt(conn: &Connection, synchronous: Synchronous, patience: Duration) -> Result<Result<(), String>, Fault> {
    let known = known_after(conn, patience)?;
    let is_new = known.is_none();
    match known.map(check) {
        Some(Err(reason)) => return Ok(Err(reason)),
        Some(Ok(())) => {}
        // SEND-SAFETY: there is no log yet, so this stands in the file itself. All else stays in the log until that is long: a
        // file that has lost it must not look like a new one, which takes each repeat of what was sent for a new text.
        None => conn.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID};"))?,
    }
    let started = Instant::now();
    let mode = loop {
        let asked = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match asked.map_err(Fault::from) {
            // Of two that change it at once SQLite lets one fail, without any patience.
            Err(fault) if fault.is_busy() && started.elapsed() < patience => thread::sleep(LOOK_AGAIN),
            answer => break answer?,
        }
    };
    if mode != "wal" {
        return Ok(Err("no write-ahead log is possible here; use a local disk".to_owned()));
    }
    // SEND-SAFETY: FULL forces the log to the disk with every commit. With NORMAL a power cut may take back an intent
    // whose POST was made, and the message would be sent again.
    let level = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    conn.execute_batch(&format!(
        "PRAGMA synchronous = {level}; PRAGMA fullfsync = ON; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST; \
         PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;"
    ))?;
    conn.set_prepared_statement_cache_capacity(128);
    // One plan a statement: without it every new parameter of a range makes SQLite parse and plan it again.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Two processes may open a new file at once: the second finds the schema that the first has made.
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let judged = match schema_version(conn)? {
        None => Ok(false),
        Some(Ok(BEGUN)) if is_new => Ok(false),
        Some(known) => check(known).map(|()| true),
    };
    if judged == Ok(false) {
        conn.execute_batch(SCHEMA)?;
        conn.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
        ))?;
    }
    if judged.is_ok() {
        workers::make_table(conn)?;
        time::make_table(conn)?;
        reap::make_indexes(conn)?;
    }
    conn.execute_batch("COMMIT")?;
    // From here on the writer waits for locks itself.
    conn.busy_timeout(Duration::ZERO)?;
    Ok(judged.map(drop))
}

/// Waits for one who makes the file right now.
fn known_after(conn: &Connection, patience: Duration) -> Result<Option<Result<i64, &'static str>>, Fault> {
    let started = Instant::now();
    loop {
        // In one transaction, or half of it may be of before.
        conn.execute_batch("BEGIN")?;
        let known = schema_version(conn);
        conn.execute_batch("COMMIT")?;
        let known = known?;
        if known != Some(Ok(BEGUN)) || started.elapsed() >= patience {
            return Ok(known);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn check(known: Result<i64, &'static str>) -> Result<(), String> {
    match known? {
        SCHEMA_VERSION => Ok(()),
        BEGUN => Err(
            "it holds nothing: the -wal that belongs beside it, with all that was committed, is missing; bring that \
             back, or a backup. If this store never was in use, remove the file"
                .to_owned(),
        ),
        newer if newer > SCHEMA_VERSION => Err(format!(
            "its schema {newer} was made by a newer ringfleet (this one knows {SCHEMA_VERSION}): update this program"
        )),
        other => Err(format!("its schema {other} is unknown to this ringfleet (it knows {SCHEMA_VERSION})")),
    }
}

fn is_no_database(fault: &Fault) -> bool {
    matches!(fault, Fault::Sql(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase))
}
