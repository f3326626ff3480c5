//! The crypto provider of rustls.

use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};

/// Makes *ring* the process's crypto provider, once; does nothing if one is installed already. A program calls it at its
/// start, before it makes a client for an `https` server. It is left to the program because the choice is the whole
/// process's.
pub fn install_crypto() {
    if CryptoProvider::get_default().is_none() {
        // Losing a race against another thread is as good as winning it.
        let _ = ring::default_provider().install_default();
    }
}

pub(crate) fn crypto_is_installed() -> bool {
    CryptoProvider::get_default().is_some()
}

/// A TLS set-up that trusts nobody, for a client whose server is plain `http`: reqwest wants one even where none is used.
pub(crate) fn trusting_nobody() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into());
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}
