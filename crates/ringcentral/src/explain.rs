//! What the provider's codes mean and what to do about them, in own words.
//!
//! The codes and their sense are documented (errors page, SMS errors page, the 2021 specification) or seen in SDK tests and
//! forum threads.

mod common;
mod delivery;
mod messaging;
mod sign_in;
mod subscriptions;
#[cfg(test)]
mod tests;

/// Code, what it means, what to do.
type Row = (&'static str, &'static str, &'static str);

/// The sense of a code and the next step for a person: a sentence each, without a full stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    pub means: &'static str,
    pub next_step: &'static str,
    known: bool,
}

impl Explanation {
    /// Whether this version knows the code itself, and not only its family.
    pub fn is_known(&self) -> bool {
        self.known
    }
}

/// Explains a code such as `MSG-304`, or a word that the provider writes in the place of one, such as `TokenInvalid`. Blanks
/// around it and its case do not matter. Of an unknown code the explanation says that it is unknown, and what its family is
/// about.
pub fn explain(code: &str) -> Explanation {
    let code = code.trim();
    let row = tables().find(|(known, _, _)| known.eq_ignore_ascii_case(code));
    match row {
        Some(&(_, means, next_step)) => Explanation { means, next_step, known: true },
        None => {
            let means =
                FAMILIES.iter().find(|(family, _)| begins_with(code, family)).map_or(STRANGER, |(_, means)| means);
            Explanation { means, next_step: LOOK_UP, known: false }
        }
    }
}

fn tables() -> impl Iterator<Item = &'static Row> {
    let tables = [sign_in::TABLE, common::TABLE, messaging::TABLE, subscriptions::TABLE, delivery::TABLE];
    tables.into_iter().flatten()
}

fn begins_with(code: &str, family: &str) -> bool {
    code.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family))
}

const STRANGER: &str = "not a code that this version knows, nor of a family that it knows";
const LOOK_UP: &str = "look the code up on the errors page of RingCentral's developer guide, and have the request id ready for their support";

/// The longer beginning stands before the shorter.
const FAMILIES: &[(&str, &str)] = &[
    ("OAU-", "not known to this version; OAU codes are about signing in and tokens"),
    (
        "AGW-",
        "not known to this version; AGW codes come from the gateway before the API and are about the token's header",
    ),
    ("CMN-", "not known to this version; CMN codes are about requests, permissions and limits of any kind"),
    ("MSG-", "not known to this version; MSG codes are about sending and the message store"),
    ("SUB-", "not known to this version; SUB codes are about subscriptions and webhooks"),
    ("BIL-", "not known to this version; BIL codes are about what the account's plan holds"),
    ("SMS-RC-", "not known to this version; RingCentral reports it of a text that was accepted and failed later"),
    ("SMS-UP-", "not known to this version; the gateway behind RingCentral reports it of a text that failed later"),
    ("SMS-CAR-", "not known to this version; the carrier reports it of a text that failed later"),
];
