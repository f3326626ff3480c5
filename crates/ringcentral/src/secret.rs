//! Secrets: wiped from memory on drop, never printed.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
    #[error("{kind} has a control character inside; was more than one line pasted?")]
    ControlCharacter { kind: &'static str },
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

/// A password is taken as it is, blanks and letters of any language included; only the line end of a file is dropped.
fn check_password(kind: &'static str, value: &str) -> Result<SecretString, SecretError> {
    let value = value.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(SecretError::Empty { kind });
    }
    if value.len() > MAX_SECRET_BYTES {
        return Err(SecretError::TooLong { kind });
    }
    if value.chars().any(char::is_control) {
        return Err(SecretError::ControlCharacter { kind });
    }
    Ok(SecretString::from(value))
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        secret!($(#[$doc])* #[doc = ""] #[doc = "Visible ASCII; blanks around it are dropped."] $name, $kind, check);
    };
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// # Errors
            /// [`SecretError`] says what is wrong, without the value.
            pub fn try_new(value: &str) -> Result<Self, SecretError> {
                $check($kind, value).map(Self)
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
secret!(
    /// What the login page hands back for one token call; it lives about a minute (seen in a documented sample redirect).
    AuthorizationCode,
    "authorization code"
);
secret!(
    /// The half of [`Pkce`](crate::Pkce) that stays here until the code is exchanged (RFC 7636).
    CodeVerifier,
    "code verifier"
);
secret!(
    /// Ties the browser's return to the login that began here, so that nobody can slip in a login of their own (RFC 6749
    /// §10.12). [`LoginState::generate`] makes one.
    LoginState,
    "login state"
);
secret!(
    /// Who logs in by password: a phone number, with `*` and the extension number behind it, or an e-mail address
    /// (documented). Hidden like a secret, because it is somebody's number or address.
    Username,
    "user name"
);
secret!(
    /// Says up to where a message sync has read. Opaque, and of a size that a log should not hold.
    SyncToken,
    "sync token"
);
secret!(
    /// Comes back in a header of each notification, so that the receiver knows who called.
    VerificationToken,
    "verification token"
);
secret!(
    /// A user's password, for servers that still take one.
    Password,
    "password",
    check_password
);

impl CodeVerifier {
    pub(crate) fn of_bytes(random: &[u8; 32]) -> Self {
        Self(SecretString::from(URL_SAFE_NO_PAD.encode(random)))
    }
}

impl LoginState {
    pub(crate) fn of_bytes(random: &[u8; 32]) -> Self {
        Self(SecretString::from(URL_SAFE_NO_PAD.encode(random)))
    }
}

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

    #[test]
    fn password_keeps_its_blanks_and_letters() {
        assert_eq!(Password::try_new(" pass wörd \r\n").expect("valid").expose(), " pass wörd ");
        assert_eq!(format!("{:?}", Password::try_new("canary").expect("valid")), "Password([redacted])");
        for refused in ["", "\n", "canary\ncanary"] {
            let error = Password::try_new(refused).expect_err("empty or two lines");
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }
}
