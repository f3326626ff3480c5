//! The database file: made with narrow rights, refused when it isn't ours, set up for durable small transactions.

use std::{fs, io, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{Synchronous, fault::Fault, time, workers};
use crate::store::StoreError;

const SCHEMA: &str = include_str!("schema.sql");
/// Grows with every change of `schema.sql`.
const SCHEMA_VERSION: i64 = 7;
/// `RFLT`: tells this store's files from other programs' databases.
const APPLICATION_ID: i64 = 0x5246_4c54;

pub(super) fn open(path: &Path, synchronous: Synchronous, patience: Duration) -> Result<Connection, StoreError> {
    make_file(path).map_err(|error| StoreError::Unavailable { call: "open", source: error.into() })?;
    let unfit = |reason: &str| StoreError::Unfit { reason: format!("{}: {reason}", path.display()) };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> Result<Connection, Fault> {
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(patience)?;
        Ok(conn)
    };
    let conn = open().map_err(|fault| fault.during("open"))?;
    match schema_version(&conn) {
        Ok(_) => {}
        Err(fault) if is_no_database(&fault) => return Err(unfit("this file is not a database")),
        Err(fault) => return Err(fault.during("open")),
    }
    adopt(&conn, synchronous).map_err(|fault| fault.during("open"))?.map_err(unfit_at(&unfit))?;
    Ok(conn)
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
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    // The name must survive a power cut too, or everything that was acknowledged is gone with it.
    #[cfg(unix)]
    fs::File::open(parent)?.sync_all()?;
    Ok(())
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
fn adopt(conn: &Connection, synchronous: Synchronous) -> Result<Result<(), String>, Fault> {
    if let Some(known) = schema_version(conn)?
        && let Err(reason) = check(known)
    {
        return Ok(Err(reason));
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
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
    let judged = schema_version(conn)?.map_or(Ok(false), |known| check(known).map(|()| true));
    if judged == Ok(false) {
        conn.execute_batch(SCHEMA)?;
        conn.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
        ))?;
    }
    if judged.is_ok() {
        workers::make_table(conn)?;
        time::make_table(conn)?;
    }
    conn.execute_batch("COMMIT")?;
    // From here on the writer waits for locks itself.
    conn.busy_timeout(Duration::ZERO)?;
    Ok(judged.map(drop))
}

fn check(known: Result<i64, &'static str>) -> Result<(), String> {
    match known? {
        SCHEMA_VERSION => Ok(()),
        newer if newer > SCHEMA_VERSION => Err(format!(
            "its schema {newer} was made by a newer ringfleet (this one knows {SCHEMA_VERSION}): update this program"
        )),
        other => Err(format!("its schema {other} is unknown to this ringfleet (it knows {SCHEMA_VERSION})")),
    }
}

fn is_no_database(fault: &Fault) -> bool {
    matches!(fault, Fault::Sql(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase))
}
