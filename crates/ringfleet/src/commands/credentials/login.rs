//! A login from what was typed or stands in a row, with a fault named for each field that is wrong.

use ringcentral::{Jwt, RefreshToken};
use ringfleet_identity::{Login, Method};
use ringfleet_store::Fingerprint;
use secrecy::zeroize::Zeroizing;

use crate::cli::MethodWord;

/// Longest user name or password; the provider's own bounds are lower.
const MAX_BYTES: usize = 1_024;

pub(super) const PASSWORD_WARNING: &str = "RingCentral ended the password grant on 2024-03-31 and refuses it since; \
                                           use a JWT or connect the extension by authorization code, unless your server is another one";

impl From<MethodWord> for Method {
    fn from(word: MethodWord) -> Self {
        match word {
            MethodWord::Jwt => Method::Jwt,
            MethodWord::Code => Method::Code,
            MethodWord::Password => Method::Password,
        }
    }
}

/// What belongs to a login beside its method.
pub(super) struct Parts {
    pub(super) secret: Zeroizing<String>,
    pub(super) username: Option<String>,
    pub(super) extension_number: Option<String>,
}

/// A field, and what is wrong with it; never its value.
pub(super) type FieldFault = (&'static str, String);

/// Checks all fields; their faults are told together.
pub(super) fn login(method: Method, parts: &Parts) -> Result<Login, Vec<FieldFault>> {
    let mut faults = foreign(method, parts);
    let secret = parts.secret.as_str();
    let login = match method {
        // No JWT has one; it comes from a file whose fields were cut apart in the wrong places.
        Method::Jwt if secret.contains('"') => {
            Err("has a quotation mark inside; was more than the JWT itself taken?".to_owned())
        }
        Method::Jwt => Jwt::try_new(secret).map(Login::Jwt).map_err(|error| error.to_string()),
        Method::Code => RefreshToken::try_new(secret).map_err(|error| error.to_string()).map(|refresh| {
            // Named by the token it began with, so that the same one brought in again is recognised as the same connection.
            let connection = Fingerprint::of(&[b"connection", refresh.expose().as_bytes()]);
            let connection = connection.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            Login::Code { connection, refresh }
        }),
        Method::Password => password(secret).map(|()| Login::Password {
            username: parts.username.clone().unwrap_or_default(),
            extension: parts.extension_number.clone(),
            password: secret.into(),
        }),
    };
    match login {
        Ok(login) if faults.is_empty() => Ok(login),
        Ok(_) => Err(faults),
        Err(problem) => {
            faults.insert(0, ("secret", problem));
            Err(faults)
        }
    }
}

/// Faults of the fields that only a password login has.
fn foreign(method: Method, parts: &Parts) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    let mut fault = |field, problem: &str| faults.push((field, problem.to_owned()));
    if method != Method::Password {
        if parts.username.is_some() {
            fault("username", "is for the method password only; leave it empty");
        }
        if parts.extension_number.is_some() {
            fault("extension_number", "is for the method password only; leave it empty");
        }
        return faults;
    }
    match &parts.username {
        None => fault("username", "is empty; the method password needs a phone number or an address"),
        Some(name) if name.len() > MAX_BYTES || name.chars().any(char::is_control) => {
            fault("username", "is too long or has a control character; was the right column taken?");
        }
        Some(_) => {}
    }
    let short = |digits: &String| (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if parts.extension_number.as_ref().is_some_and(|digits| !short(digits)) {
        fault("extension_number", "must be the short number, 1 to 8 digits");
    }
    faults
}

fn password(secret: &str) -> Result<(), String> {
    match secret {
        "" => Err("password is empty; is its file or variable set?".to_owned()),
        text if text.len() > MAX_BYTES => Err("password is longer than 1 KiB; is it the right file?".to_owned()),
        text if text.chars().any(char::is_control) => {
            Err("password has a line break or another control character inside".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(secret: &str, username: Option<&str>, number: Option<&str>) -> Parts {
        Parts {
            secret: Zeroizing::new(secret.to_owned()),
            username: username.map(str::to_owned),
            extension_number: number.map(str::to_owned),
        }
    }

    fn fields(method: Method, parts: &Parts) -> Vec<&'static str> {
        login(method, parts).err().unwrap_or_default().into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn all_wrong_fields_are_named_and_none_is_shown() {
        let bad = parts("canary\nsecret", None, Some("canary number"));
        let faults = login(Method::Password, &bad).err().unwrap();
        assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), ["secret", "username", "extension_number"]);
        assert!(!format!("{faults:?}").contains("canary"));
        assert_eq!(fields(Method::Jwt, &parts("a.b.c", Some("u"), Some("1"))), ["username", "extension_number"]);
        assert_eq!(fields(Method::Code, &parts("", None, None)), ["secret"]);
    }

    #[test]
    fn a_password_keeps_its_blanks_and_a_jwt_does_not() {
        let Ok(Login::Password { password, .. }) = login(Method::Password, &parts(" p ", Some("+1555"), None)) else {
            panic!("no password")
        };
        assert_eq!(secrecy::ExposeSecret::expose_secret(&password), " p ");
        let Ok(Login::Jwt(jwt)) = login(Method::Jwt, &parts(" a.b.c\n", None, None)) else { panic!("no JWT") };
        assert_eq!(jwt.expose(), "a.b.c");
    }

    #[test]
    fn the_same_refresh_token_is_the_same_connection() {
        let connection = |token: &str| match login(Method::Code, &parts(token, None, None)) {
            Ok(Login::Code { connection, .. }) => connection,
            _ => panic!("no code login"),
        };
        assert_eq!(connection("r1"), connection("r1"));
        assert_ne!(connection("r1"), connection("r2"));
    }
}
