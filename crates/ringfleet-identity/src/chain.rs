//! How long a connection lasts without a refresh, and when it is refreshed although no message needs it.
//!
//! RingCentral's refresh token lives 7 days by default (documented; its answer tells), and each refresh begins its life anew. An
//! extension that sends nothing for a week would have to be connected again by its employee.

use ringfleet_store::{Fingerprint, Millis};

use crate::credential::{Credential, Login, Source};

/// Documented; for an answer that does not tell.
const USUAL_LIFE_MS: Millis = 7 * 86_400_000;
/// Part of its life after which it is refreshed: from 50 % on, spread over 15 %, so that extensions which were connected together
/// are not refreshed together.
const DUE: f64 = 0.50;
const SPREAD: f64 = 0.15;
/// From this part of its life on it takes a login like any other. An employee has to act when it is lost.
const URGENT: f64 = 0.85;

/// The newest refresh token of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chain {
    /// When it is due, the same for every process.
    pub due_at: Millis,
    /// By then the last of the workers has come to it too.
    pub late_at: Millis,
    pub urgent_at: Millis,
    pub ends_at: Millis,
    pub life_ms: Millis,
}

impl Chain {
    /// Each worker comes later by a part of its own of the life, up to this, so that they don't all ask at one moment.
    pub const LATEST: f64 = 0.05;
}

impl Credential {
    /// `None` for one that is no connection, or not kept in the store: its successor could not be written down.
    pub fn chain(&self) -> Option<Chain> {
        let Login::Code { connection, .. } = &self.login else { return None };
        if self.source == Source::File {
            return None;
        }
        let facts = &self.facts;
        // A record without the time of its last refresh is counted from its beginning, which makes its life seem longer than it
        // is: at least as much of the true one is left when it is due.
        let issued_at = facts.refreshed_at.unwrap_or(facts.added_at);
        let ends_at = facts.ends_at.unwrap_or(issued_at + USUAL_LIFE_MS);
        let life_ms = (ends_at - issued_at).max(1);
        let part = |part: f64| issued_at + (life_ms as f64 * part) as Millis;
        // Nobody knows how old one is that was brought in from elsewhere.
        let unknown = facts.refreshed_at.is_none() && facts.ends_at.is_none();
        let due_at = if unknown { issued_at } else { part(DUE + SPREAD * spread(connection, issued_at)) };
        let late_at = due_at + (life_ms as f64 * Chain::LATEST) as Millis;
        Some(Chain { due_at, late_at, urgent_at: part(URGENT), ends_at, life_ms })
    }
}

/// 0 to 1, the same in every process, another one after each refresh.
fn spread(connection: &str, issued_at: Millis) -> f64 {
    let print = Fingerprint::of(&[connection.as_bytes(), &issued_at.to_be_bytes()]);
    f64::from(u16::from_be_bytes([print.as_bytes()[0], print.as_bytes()[1]])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use ringcentral::{ExtensionId, RefreshToken};

    use super::*;
    use crate::credential::Facts;

    const WEEK: Millis = USUAL_LIFE_MS;

    fn chain(connection: &str, facts: Facts) -> Chain {
        let refresh = RefreshToken::try_new("r").unwrap();
        let login = Login::Code { connection: connection.to_owned(), refresh };
        let extension = ExtensionId::try_new("101").unwrap();
        let source = Source::Store { rev: 1 };
        Credential { extension, login, prefer: 20, enabled: true, source, facts }.chain().unwrap()
    }

    #[test]
    fn connections_of_one_moment_are_due_between_half_and_two_thirds_of_their_life_and_spread() {
        let facts = Facts { refreshed_at: Some(1_000), ends_at: Some(1_000 + WEEK), ..Facts::default() };
        let due: Vec<f64> = (0..200)
            .map(|n| chain(&format!("c{n}"), facts.clone()))
            .map(|chain| (chain.due_at - 1_000) as f64 / WEEK as f64)
            .collect();
        assert!(due.iter().all(|part| (0.499..=0.651).contains(part)), "{due:?}");
        assert!(due.iter().any(|part| *part < 0.52) && due.iter().any(|part| *part > 0.63), "{due:?}");
    }

    #[test]
    fn a_record_that_does_not_know_its_last_refresh_is_due_with_a_third_of_its_life_left() {
        let now = 100 * WEEK;
        let old = chain("c", Facts { added_at: 1, ends_at: Some(now + WEEK), ..Facts::default() });
        assert!(old.due_at < now);
        let new = chain("c", Facts { added_at: now, ends_at: Some(now + WEEK), ..Facts::default() });
        assert!(new.due_at < now + WEEK * 66 / 100 && new.due_at > now);
    }

    #[test]
    fn one_of_unknown_age_is_due_at_once() {
        assert_eq!(chain("c", Facts { added_at: 5, ..Facts::default() }).due_at, 5);
        // Refreshed by a server that does not tell how long it lives.
        let told_nothing = chain("c", Facts { refreshed_at: Some(5), ..Facts::default() });
        assert_eq!(told_nothing.ends_at, 5 + WEEK);
        assert!(told_nothing.due_at > WEEK / 2);
    }
}
