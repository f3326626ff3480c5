//! Who exists: one account, its extensions, their numbers and credentials. All of it is arithmetic on the seed, so nothing is stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::number::Number;
use super::seed::mix;
use crate::config::SimulatorConfig;

const FIRST_EXTENSION_ID: u64 = 400_100_001;
const FIRST_EXTENSION_NUMBER: u64 = 101;
const FIRST_PHONE_NUMBER: u64 = 15_550_100_000;
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
    /// A token that cost no Auth request; only on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
}

impl TokenKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Access => "SIMA",
            Self::Refresh => "SIMR",
        }
    }
}

pub(crate) struct Directory {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    extensions: u64,
    numbers_each: u64,
    seed: u64,
}

impl Directory {
    pub(crate) fn new(config: &SimulatorConfig) -> Self {
        let credential = |salt: u64| {
            let words = [mix(config.seed ^ salt), mix(config.seed ^ salt ^ 1)];
            URL_SAFE_NO_PAD.encode(words.map(u64::to_be_bytes).concat())
        };
        Self {
            client_id: config.client_id.clone().unwrap_or_else(|| credential(0xc1)),
            client_secret: config.client_secret.clone().unwrap_or_else(|| credential(0x5e)),
            extensions: u64::from(config.extensions),
            numbers_each: u64::from(config.numbers_per_extension.max(1)),
            seed: config.seed,
        }
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
        let first = FIRST_PHONE_NUMBER + index as u64 * self.numbers_each;
        (first..first + self.numbers_each).map(Number)
    }

    pub(crate) fn owner(&self, number: Number) -> Option<usize> {
        let index = number.0.checked_sub(FIRST_PHONE_NUMBER)? / self.numbers_each;
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
        format!("{}{index:08x}{:016x}{:016x}", kind.prefix(), random[0], random[1])
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
            access_token: None,
        }
    }
}
