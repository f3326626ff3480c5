//! What callbacks are signed with.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;

/// As Standard Webhooks wants it: 24 to 64 random bytes.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Signatures of one header at most; two are enough to change a secret.
const MOST: usize = 8;
const PREFIX: &str = "whsec_";

/// The secrets of one endpoint: each signs, so that the endpoint may know the old one or the new one while they are changed.
#[derive(Clone)]
pub struct SigningSecrets(Vec<hmac::Key>);

/// What is wrong with a file of secrets; never what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    #[error(
        "line {line} of the file does not begin with whsec_; make a secret with `printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\"`"
    )]
    Prefix { line: usize },
    #[error("line {line} of the file is not base64 behind whsec_; copy the whole line")]
    Base64 { line: usize },
    #[error(
        "line {line} of the file is a secret of {bytes} bytes; 24 to 64 are taken, `openssl rand -base64 32` makes 32"
    )]
    Length { line: usize, bytes: usize },
    #[error("the file holds no secret; write one on a line, behind whsec_")]
    None,
    #[error("the file holds {count} secrets, and each signs every callback; leave 8 at most")]
    TooMany { count: usize },
}

impl SigningSecrets {
    /// Reads a file's text: a secret on each line, written `whsec_` and base64. Lines that begin with `#` say whose they are.
    ///
    /// # Errors
    /// All faults at once.
    pub fn read(text: &str) -> Result<Self, Vec<SecretFault>> {
        let lines = text.lines().map(str::trim).zip(1..);
        let (keys, mut faults): (Vec<_>, Vec<_>) = lines
            .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
            .map(|(secret, line)| key_of(secret, line))
            .partition(Result::is_ok);
        match keys.len() + faults.len() {
            0 => faults.push(Err(SecretFault::None)),
            count if count > MOST => faults.push(Err(SecretFault::TooMany { count })),
            _ => {}
        }
        if faults.is_empty() {
            Ok(Self(keys.into_iter().flatten().collect()))
        } else {
            Err(faults.into_iter().filter_map(Result::err).collect())
        }
    }

    /// The header `webhook-signature`: of each secret `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let one = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes())));
        self.0.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

fn key_of(secret: &str, line: usize) -> Result<hmac::Key, SecretFault> {
    let base64 = secret.strip_prefix(PREFIX).ok_or(SecretFault::Prefix { line })?;
    let secret = STANDARD.decode(base64).map_err(|_| SecretFault::Base64 { line })?;
    if !BYTES.contains(&secret.len()) {
        return Err(SecretFault::Length { line, bytes: secret.len() });
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &secret))
}

impl fmt::Debug for SigningSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningSecrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_callback_is_signed_as_the_specification_has_it_by_each_secret() {
        let other = "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";
        let (one, both) =
            (SigningSecrets::read(SECRET), SigningSecrets::read(&format!("# old\n{SECRET}\n\n {other}\n")));
        let sign = |secrets: Result<SigningSecrets, _>| {
            secrets.unwrap().sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#)
        };
        let (one, both) = (sign(one), sign(both));
        assert_eq!(one, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(both.starts_with(&format!("{one} v1,")) && both.len() == 2 * one.len() + 1, "{both}");
    }

    #[test]
    fn all_faults_of_a_file_are_told_at_once_and_without_what_stands_in_it() {
        let file = format!("{SECRET}\ncanary\nwhsec_canary!\n# fine\nwhsec_Y2FuYXJ5\n");
        let faults = SigningSecrets::read(&file).unwrap_err();
        let expected = [
            SecretFault::Prefix { line: 2 },
            SecretFault::Base64 { line: 3 },
            SecretFault::Length { line: 5, bytes: 6 },
        ];
        assert_eq!(faults, expected);
        assert!(!format!("{faults:?}").contains("canary"));
        assert_eq!(SigningSecrets::read("# none\n").unwrap_err(), [SecretFault::None]);
        let many = SigningSecrets::read(&[SECRET; 9].join("\n")).unwrap_err();
        assert_eq!(many, [SecretFault::TooMany { count: 9 }]);
        assert!(!format!("{:?}", SigningSecrets::read(SECRET).unwrap()).contains("MfKQ"));
    }
}
