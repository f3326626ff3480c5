//! What the developer console holds about the app.

use serde::{Deserialize, Serialize};

/// A way to get a token, as an app can be allowed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantKind {
    Jwt,
    AuthorizationCode,
    RefreshToken,
    /// Removed from RingCentral's platform in 2024.
    Password,
}

/// The app's settings: given at the start, changed while running by `PATCH /simulator/app`.
///
/// No `Debug`: it holds the client secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSettings {
    /// Generated from the seed when empty. After a change, codes and refresh tokens of the old id belong to another app.
    pub client_id: String,
    /// Generated from the seed when empty.
    pub client_secret: String,
    /// A public client ("client-side web app") shows no secret, and may.
    pub public_client: bool,
    pub grants: Vec<GrantKind>,
    /// "Issue refresh tokens". RingCentral's default is off (documented).
    pub refresh_tokens: bool,
    /// An authorization request must name one of them, letter by letter (documented).
    pub redirect_uris: Vec<String>,
    /// App permissions, which the token endpoint calls scopes. They are judged when a request arrives, not when its token was issued.
    pub permissions: Vec<String>,
    /// The app lives in the other environment: the token endpoint refuses it with OAU-165.
    pub other_environment: bool,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            client_secret: String::new(),
            public_client: false,
            grants: vec![GrantKind::Jwt, GrantKind::AuthorizationCode, GrantKind::RefreshToken],
            refresh_tokens: false,
            redirect_uris: Vec::new(),
            permissions: ["ReadAccounts", "ReadCallLog", "ReadMessages", "SMS"].map(str::to_owned).into(),
            other_environment: false,
        }
    }
}

impl AppSettings {
    pub(crate) fn allows(&self, grant: GrantKind) -> bool {
        self.grants.contains(&grant)
    }

    /// The permissions of a token that was asked for with `scope`; without one it has all (documented).
    pub(crate) fn scope(&self, asked: Option<&str>) -> String {
        let wanted = |name: &&String| asked.is_none_or(|asked| asked.split(' ').any(|one| one == name.as_str()));
        self.permissions.iter().filter(wanted).map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Replaces what `changes` names.
    ///
    /// # Errors
    /// A key or a value that is none of these settings, in words.
    pub(crate) fn changed(&self, changes: serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        let told = |error: serde_json::Error| error.to_string();
        let mut all = serde_json::to_value(self).map_err(told)?;
        for (key, value) in changes {
            all[key] = value;
        }
        let changed: Self = serde_json::from_value(all).map_err(told)?;
        if changed.client_id.is_empty() || changed.client_secret.is_empty() {
            return Err("client_id and client_secret can't be empty".to_owned());
        }
        Ok(changed)
    }
}
