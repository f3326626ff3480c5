//! Who exists: one account, its extensions, their numbers and credentials. All of it is arithmetic on the seed; only what was handed
//! out is kept, and the numbers that an administrator has moved.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::lock;
use super::number::Number;
use super::seed::mix;
use crate::app::AppSettings;
use crate::config::SimulatorConfig;

const FIRST_EXTENSION_ID: u64 = 400_100_001;
const FIRST_EXTENSION_NUMBER: u64 = 101;
const FIRST_PHONE_NUMBER: u64 = 15_550_100_000;
/// The company's number: nobody's own, and one can't text from it.
pub(crate) const MAIN_NUMBER: Number = Number(15_550_099_999);
const FIRST_NAMES: [&str; 8] = ["Ada", "Boris", "Chen", "Dalia", "Emil", "Farah", "Goran", "Hana"];
const LAST_NAMES: [&str; 8] = ["Arden", "Brook", "Castle", "Dunn", "Ellis", "Frost", "Grove", "Hale"];

/// An extension as a test or a demo needs it. No `Debug`: it holds a JWT.
#[derive(Clone, Serialize, Deserialize)]
pub struct Account {
    pub account_id: String,
    pub extension_id: String,
    pub extension_number: String,
    pub name: String,
    /// E.164.
    pub numbers: Vec<String>,
    /// The JWT credential of the extension's user.
    pub jwt: String,
    /// The user's password, for the login page and the password grant; only on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// A token that cost no Auth request; only on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
    /// An authorization code.
    Code,
}

impl TokenKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Access => "SIMA",
            Self::Refresh => "SIMR",
            Self::Code => "SIMC",
        }
    }
}

pub(crate) struct Directory {
    extensions: u64,
    numbers_each: u64,
    seed: u64,
    /// Tokens and codes, in the order in which they were made.
    handed_out: Mutex<Vec<String>>,
    /// Numbers that belong to another extension than at first.
    moved: RwLock<BTreeMap<Number, usize>>,
}

impl Directory {
    pub(crate) fn new(config: &SimulatorConfig) -> Self {
        Self {
            extensions: u64::from(config.extensions),
            numbers_each: u64::from(config.numbers_per_extension.max(1)),
            seed: config.seed,
            handed_out: Mutex::default(),
            moved: RwLock::default(),
        }
    }

    /// The app with credentials in place of empty ones.
    pub(crate) fn registered(&self, app: &AppSettings) -> AppSettings {
        let mut app = app.clone();
        for (credential, salt) in [(&mut app.client_id, 0xc1), (&mut app.client_secret, 0x5e)] {
            if credential.is_empty() {
                let words = [mix(self.seed ^ salt), mix(self.seed ^ salt ^ 1)];
                *credential = URL_SAFE_NO_PAD.encode(words.map(u64::to_be_bytes).concat());
            }
        }
        app
    }

    pub(crate) fn account_id(&self) -> u64 {
        FIRST_EXTENSION_ID - 1
    }

    pub(crate) fn extension_id(&self, index: usize) -> u64 {
        FIRST_EXTENSION_ID + index as u64
    }

    pub(crate) fn extension_number(&self, index: usize) -> u64 {
        FIRST_EXTENSION_NUMBER + index as u64
    }

    pub(crate) fn index_of(&self, extension_id: u64) -> Option<usize> {
        let index = extension_id.checked_sub(FIRST_EXTENSION_ID)?;
        (index < self.extensions).then_some(index as usize)
    }

    pub(crate) fn name(&self, index: usize) -> String {
        let roll = mix(self.seed ^ index as u64) as usize;
        format!("{} {}", FIRST_NAMES[roll % 8], LAST_NAMES[roll / 8 % 8])
    }

    pub(crate) fn numbers(&self, index: usize) -> impl Iterator<Item = Number> + use<> {
        let first = self.first_number(index).0;
        let moved = self.moved();
        let stayed = (first..first + self.numbers_each).map(Number).filter(|number| !moved.contains_key(number));
        let came = moved.iter().filter(|(_, owner)| **owner == index).map(|(number, _)| *number);
        stayed.chain(came).collect::<Vec<_>>().into_iter()
    }

    pub(crate) fn owner(&self, number: Number) -> Option<usize> {
        if let Some(owner) = self.moved().get(&number) {
            return Some(*owner);
        }
        let index = number.0.checked_sub(FIRST_PHONE_NUMBER)? / self.numbers_each;
        (index < self.extensions).then_some(index as usize)
    }

    /// From now on the number is this extension's.
    pub(crate) fn move_number(&self, number: Number, to: usize) {
        self.moved.write().unwrap_or_else(PoisonError::into_inner).insert(number, to);
    }

    fn moved(&self) -> RwLockReadGuard<'_, BTreeMap<Number, usize>> {
        self.moved.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that the extension was made with.
    pub(crate) fn first_number(&self, index: usize) -> Number {
        Number(FIRST_PHONE_NUMBER + index as u64 * self.numbers_each)
    }

    /// Whom a login names: an extension number or id, a phone number, or `+15550099999*101` (documented).
    pub(crate) fn user(&self, login: &str) -> Option<usize> {
        let (number, extension) = login.trim().split_once('*').map_or((login.trim(), None), |(n, e)| (n, Some(e)));
        if let Some(extension) = extension {
            let number = Number::parse(number).ok()?;
            let index = self.index_of_extension_number(extension.trim().parse().ok()?)?;
            return (number == MAIN_NUMBER || self.owner(number) == Some(index)).then_some(index);
        }
        let digits: Option<u64> = number.parse().ok();
        digits
            .and_then(|n| self.index_of(n).or_else(|| self.index_of_extension_number(n)))
            .or_else(|| self.owner(Number::parse(number).ok()?))
    }

    fn index_of_extension_number(&self, number: u64) -> Option<usize> {
        let index = number.checked_sub(FIRST_EXTENSION_NUMBER)?;
        (index < self.extensions).then_some(index as usize)
    }

    /// Shaped like a RingCentral JWT (header with `kid`, RS256, `sub`, `jti`), with a signature that only this simulator takes.
    pub(crate) fn jwt(&self, index: usize) -> String {
        let id = self.extension_id(index);
        let header = json!({"kid": "simulator", "typ": "JWT", "alg": "RS256"});
        let claims = json!({
            "aud": "https://simulator.invalid/restapi/oauth/token",
            "sub": id.to_string(),
            "iss": "https://simulator.invalid",
            "exp": 3_900_000_000u64,
            "jti": format!("{:016x}", mix(self.seed ^ id)),
        });
        let signature = [mix(self.seed.rotate_left(17) ^ id), mix(self.seed.rotate_left(31) ^ id)];
        format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string()),
            URL_SAFE_NO_PAD.encode(signature.map(u64::to_be_bytes).concat()),
        )
    }

    pub(crate) fn password(&self, index: usize) -> String {
        format!("pw-{:08x}", mix(self.seed ^ 0x9a55 ^ index as u64) as u32)
    }

    /// Opaque to clients; the extension's index inside saves this server a global table.
    pub(crate) fn token(&self, kind: TokenKind, index: usize, nonce: u64) -> String {
        let random = [mix(self.seed ^ nonce), mix(self.seed.rotate_left(9) ^ nonce)];
        let token = format!("{}{index:08x}{:016x}{:016x}", kind.prefix(), random[0], random[1]);
        lock(&self.handed_out).push(token.clone());
        token
    }

    /// What a client of this account must keep to itself: credentials, and all tokens and codes that there ever were.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut secrets = lock(&self.handed_out).clone();
        let users = 0..self.extensions as usize;
        secrets.extend(users.flat_map(|index| [self.jwt(index), self.password(index)]));
        secrets
    }

    /// Whose token it claims to be. Whether it lives, the extension's sessions say.
    pub(crate) fn token_owner(&self, kind: TokenKind, token: &str) -> Option<usize> {
        let index = token.strip_prefix(kind.prefix())?.get(..8)?;
        let index = usize::from_str_radix(index, 16).ok()?;
        ((index as u64) < self.extensions).then_some(index)
    }

    pub(crate) fn account(&self, index: usize) -> Account {
        Account {
            account_id: self.account_id().to_string(),
            extension_id: self.extension_id(index).to_string(),
            extension_number: self.extension_number(index).to_string(),
            name: self.name(index),
            numbers: self.numbers(index).map(|n| n.to_string()).collect(),
            jwt: self.jwt(index),
            password: None,
            access_token: None,
        }
    }
}
