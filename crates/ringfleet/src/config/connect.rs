//! The page on which employees connect their extensions.

use std::net::SocketAddr;

use axum::http::HeaderName;
use ringcentral::AccountId;
use ringfleet_connect::PublicUrl;

use super::{
    callers_keys::{read_keys, refuse_reading_ones},
    identity::{IdentitySettings, KeySource},
    reader::Reader,
    settings::{ApiSettings, optional},
};

#[derive(Clone)]
pub(crate) struct ConnectSettings {
    pub listen: SocketAddr,
    pub public_url: PublicUrl,
    pub account: Option<AccountId>,
    pub operator_keys: Vec<String>,
    pub address_header: Option<HeaderName>,
}

impl std::fmt::Debug for ConnectSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.operator_keys.len();
        f.debug_struct("ConnectSettings")
            .field("listen", &self.listen)
            .field("public_url", &self.public_url)
            .field("operator_keys", &keys)
            .finish_non_exhaustive()
    }
}

/// `Some(None)` is a page that is switched off; `None` are settings at fault.
pub(super) fn read_connect(r: &mut Reader<'_>, api: Option<&ApiSettings>) -> Option<Option<ConnectSettings>> {
    let on = !r.text("connect.listen")?.is_empty();
    let listen = if on { Some(r.address("connect.listen")) } else { None };
    let url = optional(r, "connect.public_url", PublicUrl::try_new);
    let account = optional(r, "connect.account_id", AccountId::try_new);
    let own = read_keys(r, "connect.operator_keys", "connect.operator_keys_file");
    let header = optional(r, "connect.address_header", |name: &str| {
        name.parse::<HeaderName>()
            .map_err(|_| format!("is {name:?}, must be the name of a header such as \"X-Forwarded-For\""))
    });
    if let (Some(own), Some(api)) = (&own, api) {
        refuse_reading_ones(r, "connect.operator_keys", own, &api.read_keys);
    }
    let (url, account, mut operator_keys, address_header) = (url?, account?, own?, header?);
    let Some(listen) = listen else { return Some(None) };
    let listen = listen?;
    if api.is_some_and(|api| api.listen == listen && listen.port() != 0) {
        r.fault("connect.listen", format!("is {listen}, which is api.listen too; give the page a port of its own"));
    }
    let public_url = match url {
        Some(url) => url,
        None if listen.ip().is_loopback() && listen.port() != 0 => PublicUrl::try_new(&format!("http://{listen}"))
            .map_err(|e| r.fault("connect.public_url", e.to_string()))
            .ok()?,
        None => {
            let problem =
                "is empty: name the address under which people reach the page, such as \"https://connect.example.com\"";
            r.fault("connect.public_url", problem);
            return None;
        }
    };
    // As it always was: else the operators of a fleet that names no keys of theirs would be shut out. Those that only read don't.
    if operator_keys.is_empty() {
        operator_keys = api.map_or_else(Vec::new, |api| api.keys.clone());
    }
    Some(Some(ConnectSettings { listen, public_url, account, operator_keys, address_header }))
}

/// What the page is given to keep must be sealed with a key that outlives the app's secret.
pub(super) fn needs_a_key(r: &mut Reader<'_>, connect: Option<&ConnectSettings>, identity: &IdentitySettings) {
    if connect.is_some() && identity.keys == KeySource::App {
        r.fault(
            "identity.key_file",
            "is empty, and connect.listen is set: connections are kept sealed; make a key with `ringfleet credentials new-key` \
             and name its file",
        );
    }
}
