//! How an extension logs in.

use std::fmt;

use ringcentral::{ExtensionId, Jwt, RefreshToken};
use ringfleet_store::{Fingerprint, Millis};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Which of RingCentral's grants. An extension may have one credential of each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A JWT that the extension's user made in the developer console.
    Jwt,
    /// Authorization code: the user has connected the extension, and a chain of refresh tokens keeps it connected.
    Code,
    /// User name and password, for servers that still take it. RingCentral ended it on 2024-03-31.
    Password,
}

impl Method {
    pub const ALL: [Method; 3] = [Method::Jwt, Method::Code, Method::Password];

    pub fn as_str(self) -> &'static str {
        match self {
            Method::Jwt => "jwt",
            Method::Code => "code",
            Method::Password => "password",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }

    /// Which comes first where nobody has said: lower is earlier.
    pub fn usual_preference(self) -> u8 {
        match self {
            Method::Jwt => 10,
            Method::Code => 20,
            Method::Password => 30,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Login data. Never printed.
#[derive(Clone)]
pub enum Login {
    Jwt(Jwt),
    Code {
        /// Names the connection that the employee made: its refresh tokens follow one upon another.
        connection: String,
        refresh: RefreshToken,
    },
    Password {
        /// A number or an address.
        username: String,
        extension: Option<String>,
        password: SecretString,
    },
}

impl Login {
    pub fn method(&self) -> Method {
        match self {
            Login::Jwt(_) => Method::Jwt,
            Login::Code { .. } => Method::Code,
            Login::Password { .. } => Method::Password,
        }
    }

    /// Names the credential without giving it away, so that a refused one stays refused and a changed one does not. The
    /// app's own id and secret belong to it, because a login fails with wrong ones as well. A connection keeps its print
    /// from one refresh token to the next.
    pub fn print(&self, app: &AppPrint) -> String {
        let empty: &[u8] = b"";
        let (a, b, c): (&[u8], &[u8], &[u8]) = match self {
            Login::Jwt(jwt) => (jwt.expose().as_bytes(), empty, empty),
            Login::Code { connection, .. } => (connection.as_bytes(), empty, empty),
            Login::Password { username, extension, password } => (
                username.as_bytes(),
                extension.as_deref().unwrap_or_default().as_bytes(),
                password.expose_secret().as_bytes(),
            ),
        };
        let print = Fingerprint::of(&[app.0.as_bytes(), self.method().as_str().as_bytes(), a, b, c]);
        print.as_bytes().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.method())
    }
}

/// Stands for an app's id and secret in [`Login::print`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPrint(String);

impl AppPrint {
    pub fn of(client_id: &str, client_secret: &str) -> Self {
        let print = Fingerprint::of(&[client_id.as_bytes(), client_secret.as_bytes()]);
        Self(print.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl AppPrint {
    /// Enough of it to tell apps and their secrets apart, for reasons and documents.
    pub(crate) fn short(&self) -> String {
        self.0.chars().take(12).collect()
    }
}

/// One way to log in for one extension.
#[derive(Clone, Debug)]
pub struct Credential {
    pub extension: ExtensionId,
    pub login: Login,
    /// Lower is tried first.
    pub prefer: u8,
    /// One that is switched off waits and is not tried.
    pub enabled: bool,
    pub source: Source,
    pub facts: Facts,
}

/// Where a credential comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The accounts file of this process.
    File,
    /// The fleet's store, where it has this revision.
    Store { rev: u64 },
}

/// What is known of a credential beside its secret. Nothing in here is private.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub added_at: Millis,
    /// When its refresh token was issued, if it is one and that is known.
    pub refreshed_at: Option<Millis>,
    /// When its refresh token ends, if it is one.
    pub ends_at: Option<Millis>,
    /// The permissions that its last session carried.
    pub scope: Vec<String>,
    pub refused: Option<Refused>,
}

/// The provider will not take a credential any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// [`Login::print`] of what was refused; of another it says nothing.
    pub print: String,
    /// A code of the provider, e.g. `OAU-211`, or a reason of ours.
    pub code: String,
    pub at: Millis,
}

impl Credential {
    /// The reason for which it is not worth a try.
    pub fn refused(&self, app: &AppPrint) -> Option<&Refused> {
        self.facts.refused.as_ref().filter(|refused| refused.print == self.login.print(app))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(text: &str) -> Login {
        Login::Jwt(Jwt::try_new(text).unwrap())
    }

    #[test]
    fn print_changes_with_the_secret_and_the_app_and_not_with_a_refresh() {
        let app = AppPrint::of("id", "secret");
        assert_ne!(jwt("a").print(&app), jwt("b").print(&app));
        assert_ne!(jwt("a").print(&app), jwt("a").print(&AppPrint::of("id", "other")));
        let code =
            |refresh| Login::Code { connection: "c1".to_owned(), refresh: RefreshToken::try_new(refresh).unwrap() };
        assert_eq!(code("r1").print(&app), code("r2").print(&app));
    }

    #[test]
    fn nothing_of_a_login_is_printed() {
        let password = Login::Password {
            username: "canary".to_owned(),
            extension: Some("canary".to_owned()),
            password: "canary".into(),
        };
        assert!(!format!("{:?} {password:?}", jwt("canary")).contains("canary"));
    }
}
