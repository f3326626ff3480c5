//! How the provider took the sessions of one extension in this process.

use std::time::{Duration, Instant};

use ringcentral::UnauthorisedKind;

/// Sessions refused in a row, none of which was ever good, before their credential is given up.
const MOST_REFUSED: u32 = 2;

/// Of refusals without a code, one in this time costs a session: they are a gateway's, which refuses each session alike.
const UNEXPLAINED: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Trial {
    /// The newest generation that was answered with 401.
    pub(super) refused: u64,
    /// No login before this, after one that failed.
    pub(super) quiet_until: Option<Instant>,
    /// Generations refused in a row, and when the last of those requests was made.
    in_a_row: u32,
    last: Option<Instant>,
    /// When the request was made that was the last to cost a session without a code.
    unexplained: Option<Instant>,
}

impl Trial {
    /// A session was answered with 401; the request was made at `began`. Several requests of one session count once. Gives whether
    /// it is to be given up.
    pub(super) fn refuse(&mut self, generation: u64, kind: UnauthorisedKind, began: Instant) -> bool {
        if generation <= self.refused {
            return true;
        }
        if kind == UnauthorisedKind::Unexplained {
            // SEND-SAFETY: (of the plan) each session that is given up is a login, and a plan has five a minute.
            if self.unexplained.is_some_and(|last| began < last + UNEXPLAINED) {
                return false;
            }
            self.unexplained = Some(began);
        }
        self.refused = generation;
        // A token that lived its life says nothing of the next one, and a gateway nothing of any.
        if !matches!(kind, UnauthorisedKind::Expired | UnauthorisedKind::Unexplained) {
            self.in_a_row += 1;
            self.last = Some(began);
        }
        true
    }

    /// The provider took a session. One that is already known as refused proves nothing of those after it.
    pub(super) fn prove(&mut self, generation: u64) {
        if generation > self.refused {
            self.end_row();
        }
    }

    /// When the request was made with which it became clear that fresh sessions are refused one after the other, if they are. A
    /// credential is given up as of then, not as of now: what a person has mended since is not known by it.
    pub(super) fn hopeless_since(&self) -> Option<Instant> {
        self.last.filter(|_| self.in_a_row > MOST_REFUSED)
    }

    pub(super) fn end_row(&mut self) {
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: UnauthorisedKind = UnauthorisedKind::Displaced;

    fn at(seconds: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now) + Duration::from_secs(seconds)
    }

    fn refused(generations: &[u64]) -> Trial {
        let mut trial = Trial::default();
        for &generation in generations {
            trial.refuse(generation, GONE, at(generation));
        }
        trial
    }

    #[test]
    fn three_sessions_refused_in_a_row_are_hopeless_as_of_the_last_request() {
        assert_eq!(refused(&[1, 2]).hopeless_since(), None);
        assert_eq!(refused(&[1, 2, 3]).hopeless_since(), Some(at(3)));
    }

    /// The answer of a slow request may be read after a person has let the lane go on.
    #[test]
    fn a_row_is_as_old_as_its_request_and_not_as_the_reading_of_its_answer() {
        let mut trial = refused(&[4, 5]);
        trial.refuse(6, GONE, at(1));
        assert_eq!(trial.hopeless_since(), Some(at(1)));
    }

    #[test]
    fn an_expired_session_makes_a_row_neither_longer_nor_newer() {
        let mut trial = refused(&[1, 2]);
        trial.refuse(3, UnauthorisedKind::Expired, at(50));
        assert_eq!(trial.hopeless_since(), None);
        trial.refuse(4, GONE, at(4));
        trial.refuse(5, UnauthorisedKind::Expired, at(60));
        assert_eq!((trial.hopeless_since(), trial.refused), (Some(at(4)), 5));
    }

    #[test]
    fn a_refusal_without_a_code_costs_one_session_a_minute_and_makes_no_row() {
        let mut trial = refused(&[1, 2]);
        let given_up: Vec<u64> =
            (3..=200).filter(|&second| trial.refuse(second, UnauthorisedKind::Unexplained, at(second))).collect();
        assert_eq!(given_up, [3, 63, 123, 183]);
        assert_eq!((trial.hopeless_since(), trial.refused), (None, 183));
        assert!(trial.refuse(201, GONE, at(201)), "a code is told of the session itself");
        assert_eq!(trial.hopeless_since(), Some(at(201)));
    }

    #[test]
    fn requests_of_one_session_count_once_whatever_their_order() {
        let mut trial = refused(&[1, 2]);
        trial.refuse(2, GONE, at(9));
        trial.refuse(1, GONE, at(9));
        assert_eq!(trial.hopeless_since(), None);
    }

    #[test]
    fn a_session_that_is_taken_ends_the_row_unless_it_was_refused_meanwhile() {
        let mut trial = refused(&[1, 2, 3]);
        trial.prove(3);
        assert_eq!(trial.hopeless_since(), Some(at(3)));
        trial.prove(4);
        assert_eq!(trial.hopeless_since(), None);
    }
}
