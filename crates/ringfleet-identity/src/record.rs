//! A credential as it lies in the store: what is private sealed, the rest readable.

use base64::{Engine, engine::general_purpose::STANDARD};
use ringcentral::{ExtensionId, Jwt, RefreshToken};
use ringfleet_store::Doc;
use secrecy::{ExposeSecret, zeroize::Zeroizing};
use serde::{Deserialize, Serialize};

use crate::{
    credential::{Credential, Facts, Login, Method, Source},
    seal::{KeyRing, OpenError, Purpose},
};

/// The body of a document, as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) v: u8,
    pub(crate) method: Method,
    /// Base64 of what the key ring sealed.
    pub(crate) sealed: String,
    pub(crate) prefer: u8,
    pub(crate) enabled: bool,
    #[serde(flatten)]
    pub(crate) facts: Facts,
}

/// What is sealed, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Secret {
    Jwt(String),
    Code { connection: String, refresh: String },
    Password { username: String, extension: Option<String>, password: String },
}

/// A credential of the store that this process can't use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Sealed(#[from] OpenError),
    #[error("its record can't be read; remove the credential and add it again")]
    Malformed,
}

pub(crate) const FORMAT: u8 = 1;

/// `app/extension/method`.
pub(crate) fn key_of(app: &str, extension: &str, method: Method) -> String {
    format!("{app}/{extension}/{method}")
}

/// The parts of a key; `None` for one that is not ours.
pub(crate) fn parts_of(key: &str) -> Option<(&str, ExtensionId, Method)> {
    let (rest, method) = key.rsplit_once('/')?;
    let (app, extension) = rest.rsplit_once('/')?;
    Some((app, ExtensionId::try_new(extension).ok()?, Method::parse(method)?))
}

impl Record {
    pub(crate) fn seal(keys: &KeyRing, app: &str, credential: &Credential) -> Self {
        let secret = match &credential.login {
            Login::Jwt(jwt) => Secret::Jwt(jwt.expose().to_owned()),
            Login::Code { connection, refresh } => {
                Secret::Code { connection: connection.clone(), refresh: refresh.expose().to_owned() }
            }
            Login::Password { username, extension, password } => Secret::Password {
                username: username.clone(),
                extension: extension.clone(),
                password: password.expose_secret().to_owned(),
            },
        };
        let method = credential.login.method();
        let purpose = Purpose::Credential { app, extension: credential.extension.as_str(), method: method.as_str() };
        let plain = Zeroizing::new(serde_json::to_vec(&secret).unwrap_or_default());
        Self {
            v: FORMAT,
            method,
            sealed: STANDARD.encode(keys.seal(purpose, &plain)),
            prefer: credential.prefer,
            enabled: credential.enabled,
            facts: credential.facts.clone(),
        }
    }

    pub(crate) fn read(body: &[u8]) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_slice(body).map_err(|_| RecordError::Malformed)?;
        if record.v == FORMAT { Ok(record) } else { Err(OpenError::NewerFormat.into()) }
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn sealed_bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.sealed).unwrap_or_default()
    }

    fn open(&self, keys: &KeyRing, app: &str, extension: &ExtensionId) -> Result<Login, RecordError> {
        let purpose = Purpose::Credential { app, extension: extension.as_str(), method: self.method.as_str() };
        let plain = keys.open(purpose, &self.sealed_bytes())?;
        let secret: Secret = serde_json::from_slice(&plain).map_err(|_| RecordError::Malformed)?;
        Ok(match secret {
            Secret::Jwt(jwt) => Login::Jwt(Jwt::try_new(&jwt).map_err(|_| RecordError::Malformed)?),
            Secret::Code { connection, refresh } => Login::Code {
                connection,
                refresh: RefreshToken::try_new(&refresh).map_err(|_| RecordError::Malformed)?,
            },
            Secret::Password { username, extension, password } => {
                Login::Password { username, extension, password: password.into() }
            }
        })
    }
}

/// One document of the store, opened.
pub(crate) fn open(keys: &KeyRing, app: &str, extension: ExtensionId, doc: &Doc) -> Result<Credential, RecordError> {
    let record = Record::read(&doc.body)?;
    let login = record.open(keys, app, &extension)?;
    Ok(Credential {
        extension,
        login,
        prefer: record.prefer,
        enabled: record.enabled,
        source: Source::Store { rev: doc.rev },
        facts: record.facts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::new_key;

    fn credential(login: Login) -> Credential {
        Credential {
            extension: ExtensionId::try_new("101").unwrap(),
            login,
            prefer: 10,
            enabled: true,
            source: Source::File,
            facts: Facts::default(),
        }
    }

    #[test]
    fn every_login_comes_back_from_the_store_and_lies_there_sealed() {
        let keys = KeyRing::from_text(&new_key()).unwrap();
        let code = RefreshToken::try_new("canary-r").unwrap();
        let logins = [
            Login::Jwt(Jwt::try_new("canary-j").unwrap()),
            Login::Code { connection: "c1".to_owned(), refresh: code },
            Login::Password { username: "canary-u".into(), extension: Some("7".into()), password: "canary p".into() },
        ];
        let app = crate::AppPrint::of("id", "secret");
        for login in logins {
            let body = Record::seal(&keys, "main", &credential(login.clone())).body();
            assert!(!String::from_utf8_lossy(&body).contains("canary"), "{login:?}");
            let doc = Doc { key: key_of("main", "101", login.method()), rev: 7, body, changed_at: 1 };
            let (read_app, extension, method) = parts_of(&doc.key).unwrap();
            assert_eq!((read_app, method), ("main", login.method()));
            let back = open(&keys, "main", extension.clone(), &doc).unwrap();
            assert_eq!(back.login.print(&app), login.print(&app));
            assert_eq!(back.source, Source::Store { rev: 7 });
            let other = ExtensionId::try_new("102").unwrap();
            assert_eq!(open(&keys, "main", other, &doc).err(), Some(OpenError::Damaged.into()));
        }
    }

    #[test]
    fn a_record_of_another_format_is_told_apart_from_a_broken_one() {
        assert_eq!(Record::read(b"{}").err(), Some(RecordError::Malformed));
        let keys = KeyRing::from_text(&new_key()).unwrap();
        let mut record = Record::seal(&keys, "main", &credential(Login::Jwt(Jwt::try_new("x").unwrap())));
        record.v = 2;
        assert_eq!(Record::read(&record.body()).err(), Some(OpenError::NewerFormat.into()));
    }
}
