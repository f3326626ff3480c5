//! What a role needs beside settings that can be read. `config check` looks at it together with them, so that all faults are told
//! at once.

use std::path::PathBuf;

use ringcentral::ClientId;

use super::{
    identity::{KeySource, read_key_source},
    reader::Reader,
    settings::{optional, read_accounts_file, read_secret, read_store},
};

/// Each as far as it can be read, whatever is wrong elsewhere.
pub(crate) struct Needs {
    /// Left empty, as other than at fault.
    pub no_client_id: bool,
    pub no_client_secret: bool,
    pub accounts_file: Option<PathBuf>,
    pub keys: Option<KeySource>,
}

impl Needs {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let store = read_store(r);
        let keys = read_key_source(r);
        Self {
            no_client_id: matches!(optional(r, "ringcentral.client_id", ClientId::try_new), Some(None)),
            no_client_secret: matches!(read_secret(r), Some(None)),
            accounts_file: read_accounts_file(r),
            keys: match (keys, store) {
                (Some(keys), Some(store)) => Some(keys.beside(&store)),
                (keys, _) => keys,
            },
        }
    }
}
