//! Exit codes that mean something, and how errors are told.

use std::{process::ExitCode, sync::Arc};

use ringfleet_identity::{KeyRingError, VaultError};
use ringfleet_store::StoreError;
use ringfleet_worker::{JournalError, WorkerError};

use crate::{config::Faults, output::remark};

pub(crate) const FAILED: u8 = 1;
/// Some rows, messages, extensions, credentials or codes were refused, are left or are not known; the others are done.
pub(crate) const PARTLY: u8 = 3;
/// `EX_CONFIG` would be 78; 64 is what supervisors of this field take for "don't restart, it can't help".
pub(crate) const CONFIG: u8 = 64;
/// `EX_DATAERR`: the store was flushed or exchanged. Nothing may go on before somebody has looked.
pub(crate) const REPLACED: u8 = 65;
/// `EX_UNAVAILABLE`.
pub(crate) const STORE: u8 = 69;

/// Prints the error with its causes, and says by the code whether a restart may help.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    remark!("ringfleet: {error:#}");
    if matches!(store_error(error), Some(StoreError::Unavailable { .. })) {
        remark!("`ringfleet doctor` looks at the store, and at all else that must be right");
    }
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<Faults>() {
        return CONFIG;
    }
    let journal = match error.downcast_ref() {
        Some(WorkerError::OtherApp { .. }) => return CONFIG,
        Some(WorkerError::Journal(journal)) => Some(journal),
        _ => error.downcast_ref::<JournalError>(),
    };
    match journal {
        Some(JournalError::OtherStore { .. }) => return REPLACED,
        Some(_) => return CONFIG,
        None => {}
    }
    if error.is::<KeyRingError>() || matches!(error.downcast_ref(), Some(VaultError::NoKey)) {
        return CONFIG;
    }
    match store_error(error) {
        Some(StoreError::Unfit { .. }) => CONFIG,
        Some(StoreError::Replaced { .. }) => REPLACED,
        Some(_) => STORE,
        None => FAILED,
    }
}

/// A store's error may lie below an import's or a worker's.
fn store_error(error: &anyhow::Error) -> Option<&StoreError> {
    error.chain().find_map(|cause| {
        cause.downcast_ref::<StoreError>().or_else(|| cause.downcast_ref::<Arc<StoreError>>().map(|e| &**e))
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use ringfleet_producer::EnqueueError;
    use ringfleet_store::MessageId;

    use super::*;

    #[test]
    fn exchanged_store_has_its_own_code_wherever_it_is_met() {
        let replaced = || StoreError::Replaced { call: "stats" };
        let import =
            EnqueueError::Unsettled { id: MessageId::random(), generated_key: None, source: Arc::new(replaced()) };
        let import: Result<(), _> = Err(Box::new(import));
        let other_store = || JournalError::OtherStore { path: "worker-0.journal".into() };
        let errors = [
            anyhow::Error::new(replaced()),
            anyhow::Error::new(WorkerError::Store(replaced())),
            anyhow::Error::new(WorkerError::from(other_store())),
            anyhow::Error::new(other_store()),
            import.context("import of x.csv stopped").unwrap_err(),
        ];
        for error in errors {
            assert_eq!(code(&error), REPLACED, "{error:#}");
            assert!(format!("{error:#}").contains("flushed or exchanged"), "{error:#}");
        }
    }

    #[test]
    fn only_a_store_that_is_away_is_worth_a_restart() {
        let away = StoreError::Unavailable { call: "stats", source: "connection refused".into() };
        assert_eq!(code(&anyhow::Error::new(away)), STORE);
        assert_eq!(code(&anyhow::Error::new(StoreError::Unfit { reason: "it evicts".into() })), CONFIG);
        let full = JournalError::Full { path: "journal".into() };
        assert_eq!(code(&anyhow::Error::new(WorkerError::from(full))), CONFIG);
        let other_app = WorkerError::OtherApp { others: "main".into(), app: "test".into() };
        assert_eq!(code(&anyhow::Error::new(other_app)), CONFIG);
        assert_eq!(code(&anyhow::anyhow!("other")), FAILED);
    }
}
