//! What can go wrong inside a transition, and what the caller hears of it. Never a parameter's value: those are private.

use rusqlite::ErrorCode;

use crate::store::StoreError;

#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    /// A stored value that this version can't read.
    Unreadable(&'static str),
    /// Another call's failure has ended the transaction they shared.
    RolledBack,
    /// The file is not the one that lies at its path any more.
    Replaced,
    /// What was asked can't be done; nothing was changed.
    Refused(&'static str),
}

pub(super) type Step<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl Fault {
    pub(super) fn during(&self, call: &'static str) -> StoreError {
        let error = match self {
            Fault::Sql(error) => error,
            Fault::Unreadable(what) => return StoreError::Unreadable { call, what: (*what).to_owned() },
            Fault::RolledBack => return unavailable(call, "the transaction was rolled back with another call's"),
            Fault::Replaced => return StoreError::Replaced { call },
            Fault::Refused(reason) => return StoreError::Refused { call, reason: (*reason).to_owned() },
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full { call },
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::OperationAborted
                | ErrorCode::OperationInterrupted
                | ErrorCode::OutOfMemory,
            ) => StoreError::Unavailable { call, source: error.to_string().into() },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => {
                StoreError::Unreadable { call, what: error.to_string() }
            }
            Some(_) => StoreError::Refused { call, reason: error.to_string() },
        }
    }

    /// The file answers; what it holds there makes no sense to this version.
    pub(super) fn is_of_the_row(&self) -> bool {
        match self {
            Fault::Unreadable(_) => true,
            Fault::Sql(error) => error.sqlite_error_code().is_none(),
            _ => false,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Fault::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
    }
}

pub(super) fn unavailable(call: &'static str, why: &'static str) -> StoreError {
    StoreError::Unavailable { call, source: why.into() }
}
