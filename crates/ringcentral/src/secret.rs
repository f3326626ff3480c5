//! Secrets: wiped from memory on drop, never printed.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::serde_text;

/// Far above any token seen, far below what a header may hold.
const MAX_SECRET_BYTES: usize = 16 * 1024;

/// Why a text can't be a secret of this kind. Never holds the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("{kind} is empty; is its file or variable set?")]
    Empty { kind: &'static str },
    #[error("{kind} has a blank or a non-ASCII character inside; was it pasted with a line break?")]
    Character { kind: &'static str },
    #[error("{kind} is longer than 16 KiB; is it the right file?")]
    TooLong { kind: &'static str },
}

/// Blanks around a pasted secret are dropped; one inside means that it was cut or joined, and would break a header.
fn check(kind: &'static str, value: &str) -> Result<SecretString, SecretError> {
    let value = value.trim();
    if value.is_empty() {
        return Err(SecretError::Empty { kind });
    }
    if value.len() > MAX_SECRET_BYTES {
        return Err(SecretError::TooLong { kind });
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SecretError::Character { kind });
    }
    Ok(SecretString::from(value))
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// Takes visible ASCII; blanks around it are dropped.
            ///
            /// # Errors
            /// [`SecretError`] says what is wrong, without the value.
            pub fn try_new(value: &str) -> Result<Self, SecretError> {
                check($kind, value).map(Self)
            }

            /// The value itself. For the wire and for sealing; never for a log or an error.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl FromStr for $name {
            type Err = SecretError;

            fn from_str(value: &str) -> Result<Self, SecretError> {
                Self::try_new(value)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde_text::parsed(deserializer)
            }
        }
    };
}

secret!(
    /// Bearer of API calls; documented to live an hour, `expires_in` says how long in truth.
    AccessToken,
    "access token"
);
secret!(
    /// Single use: every refresh yields another one, and the access token beside it dies at once (documented).
    RefreshToken,
    "refresh token"
);
secret!(
    /// A credential made by one user in the developer console; stands for that user's extension alone (documented).
    Jwt,
    "JWT"
);
secret!(
    /// The app's secret.
    ClientSecret,
    "client secret"
);

/// The app's client id. Not secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientId(Box<str>);

impl ClientId {
    /// # Errors
    /// [`SecretError`] if it is empty, too long, or has blanks or a colon inside (Basic authentication can't carry one).
    pub fn try_new(id: &str) -> Result<Self, SecretError> {
        let id = id.trim();
        check("client id", id)?;
        if id.contains(':') {
            return Err(SecretError::Character { kind: "client id" });
        }
        Ok(Self(id.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientId {
    type Err = SecretError;

    fn from_str(id: &str) -> Result<Self, SecretError> {
        Self::try_new(id)
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_printed() {
        let token = AccessToken::try_new(" canary-token\n").expect("valid");
        assert_eq!(format!("{token:?}"), "AccessToken([redacted])");
        assert_eq!(token.expose(), "canary-token");
        assert_eq!(format!("{:?}", token.clone()), "AccessToken([redacted])");
    }

    #[test]
    fn refusal_never_repeats_the_secret() {
        for refused in ["", "  ", "canary secret", "canary\r\nX-Evil: 1", "canaryé"] {
            let error = Jwt::try_new(refused).expect_err(refused);
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
        assert!(ClientId::try_new("a:b").is_err());
    }
}
