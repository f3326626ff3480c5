//! Authorization codes: single-use, short-lived, bound to the app and the redirect URI they were given for.

use std::collections::HashMap;

use crate::clock::Nanos;

/// Spent and expired codes are remembered so that they can be told apart, the oldest forgotten first.
const REMEMBERED: usize = 10_000;

pub(crate) struct AuthorizationCode {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) issued_at: Nanos,
    pub(crate) spent: bool,
}

/// PKCE (RFC 7636): what the code verifier has to turn into.
///
/// No `Debug`: a plain challenge is the verifier itself.
#[derive(Clone)]
pub(crate) enum Challenge {
    Plain(String),
    S256(String),
}

#[derive(Default)]
pub(crate) struct AuthorizationCodes(HashMap<String, AuthorizationCode>);

impl AuthorizationCodes {
    pub(crate) fn add(&mut self, code: String, details: AuthorizationCode) {
        if self.0.len() >= REMEMBERED
            && let Some(oldest) = self.0.iter().min_by_key(|(_, code)| code.issued_at).map(|(code, _)| code.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(code, details);
    }

    pub(crate) fn find(&mut self, code: &str) -> Option<&mut AuthorizationCode> {
        self.0.get_mut(code)
    }
}
