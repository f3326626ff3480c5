//! From what the provider's answer means to what the store is told. Pure.

use std::time::Duration;

use ringcentral::{Cure, ErrorCode, NotSentReason, Outcome as Meaning, RejectScope, ThrottleScope, UnauthorisedKind};
use ringfleet_store::Outcome;

use crate::parked::{CREDENTIAL, is_of_sender};

/// The lane waits this long after a connection could not be made: the server, or the way to it, is down.
const AFTER_NO_CONNECTION: Duration = Duration::from_secs(2);

/// The lane waits this long after a refusal that is not RingCentral's own.
const AFTER_GATEWAY: Duration = Duration::from_secs(60);

/// What else has to happen beside settling the message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    None,
    /// The session was refused; fetch another before the next send.
    ForgetSession {
        kind: UnauthorisedKind,
    },
    /// It was refused for a cause that another session would meet as well.
    Condemn {
        code: String,
    },
    /// The extension may not send from this number; its numbers are to be read again.
    AskForNumbers,
    /// The limit is wider than the lane: everything waits.
    CloseGate {
        delay: Duration,
    },
}

pub(crate) fn report(meaning: Meaning, max_attempts: u32) -> (Outcome, Consequence) {
    use Consequence::None as Nothing;
    match meaning {
        Meaning::Accepted { id, .. } => (Outcome::Sent { provider_id: id.get().to_string() }, Nothing),
        // SEND-SAFETY: these three go out again. For each of them `classify` has the proof that the provider has taken nothing.
        Meaning::NotSent { reason: NotSentReason::Connect(_) } => {
            (Outcome::NotSent { delay: AFTER_NO_CONNECTION }, Nothing)
        }
        Meaning::NotSent { reason: NotSentReason::Guard { wait } } => (Outcome::NotSent { delay: wait }, Nothing),
        Meaning::NotSent { reason: NotSentReason::Withheld } => (Outcome::NotSent { delay: Duration::ZERO }, Nothing),
        // SEND-SAFETY: it goes out again, at once or when the lane goes on: a token is refused before the message is looked at.
        Meaning::Unauthorised { kind, code } => match kind.cure() {
            Cure::Renew => {
                // Without a code it is most likely a gateway's, and the next session would meet it too.
                let delay = if kind == UnauthorisedKind::Unexplained { AFTER_GATEWAY } else { Duration::ZERO };
                (Outcome::NotSent { delay }, Consequence::ForgetSession { kind })
            }
            Cure::ParkExtension | Cure::ParkApp => {
                let code = word(code.as_ref());
                (Outcome::Parked { reason: format!("{CREDENTIAL}{code}") }, Consequence::Condemn { code })
            }
        },
        // SEND-SAFETY: these two go out again: a limit is checked before the message is taken (documented).
        Meaning::Throttled { scope: ThrottleScope::Lane, after } => {
            (Outcome::Throttled { retry_after: after }, Nothing)
        }
        Meaning::Throttled { scope: ThrottleScope::Wider, after } => {
            (Outcome::Throttled { retry_after: after }, Consequence::CloseGate { delay: after })
        }
        // SEND-SAFETY: these two go out again. A refusal without a code is a gateway's on the way, and is taken to stand in the place
        // of RingCentral's answer: a gateway that has passed the text on, and gets no answer, says 502 or 504, which is unknown.
        // It may be over soon.
        Meaning::Rejected { code: None, scope: RejectScope::Extension | RejectScope::App | RejectScope::Account } => {
            (Outcome::NotSent { delay: AFTER_GATEWAY }, Nothing)
        }
        // Of this message alone, as far as the status tells. Counted, so that a text which a gateway dislikes does not hold its lane
        // up for ever; it ends as one that a person can send again, as a rejected one is not.
        Meaning::Rejected { code: None, scope: RejectScope::Message } => {
            (Outcome::Retry { code: word(None), delay: AFTER_GATEWAY, max_attempts }, Nothing)
        }
        Meaning::Rejected { code, scope: RejectScope::Message } => {
            (Outcome::Rejected { code: word(code.as_ref()) }, Nothing)
        }
        // SEND-SAFETY: these two go out again when the lane goes on: the code shows that RingCentral itself has refused them.
        // So would other messages of this number: they wait until the provider says something else of it.
        Meaning::Rejected { code: Some(code), scope: RejectScope::Extension } if is_of_sender(code.as_str()) => {
            (Outcome::Parked { reason: code.as_str().to_owned() }, Consequence::AskForNumbers)
        }
        // Every other message of the lane would meet the same refusal: they wait until somebody acts, and none is lost.
        Meaning::Rejected { code, scope: RejectScope::Extension | RejectScope::App | RejectScope::Account } => {
            (Outcome::Parked { reason: word(code.as_ref()) }, Nothing)
        }
        // SEND-SAFETY: it goes out again: that it was not sent are RingCentral's own words (see `classify`).
        Meaning::RetryLater { code, after } => {
            (Outcome::Retry { code: word(Some(&code)), delay: after, max_attempts }, Nothing)
        }
        // SEND-SAFETY: nobody knows whether the text went out, so nobody sends it again.
        Meaning::Unknown { reason } => (Outcome::Unknown { reason: reason.to_string() }, Nothing),
    }
}

/// The provider's code, for notes and operators.
fn word(code: Option<&ErrorCode>) -> String {
    code.map_or_else(|| "no-code".to_owned(), |code| code.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_fate_is_reported_as_unknown_and_only_sure_ones_requeue() {
        let refused = Meaning::NotSent { reason: NotSentReason::Guard { wait: Duration::from_secs(3) } };
        assert_eq!(report(refused, 5).0, Outcome::NotSent { delay: Duration::from_secs(3) });
        let withheld = Meaning::NotSent { reason: NotSentReason::Withheld };
        assert_eq!(report(withheld, 5).0, Outcome::NotSent { delay: Duration::ZERO });
        let lost = Meaning::Unknown { reason: ringcentral::UnknownReason::Lost(ringcentral::LostFault::Timeout) };
        assert!(matches!(report(lost, 5), (Outcome::Unknown { .. }, Consequence::None)));
        let expired = Meaning::Unauthorised { code: None, kind: UnauthorisedKind::Expired };
        let requeued = Outcome::NotSent { delay: Duration::ZERO };
        let forget = Consequence::ForgetSession { kind: UnauthorisedKind::Expired };
        assert_eq!(report(expired, 5), (requeued, forget));
        let code = ErrorCode::try_new("OAU-141");
        let disabled = Meaning::Unauthorised { code, kind: UnauthorisedKind::ExtensionDisabled };
        let parked = Outcome::Parked { reason: "credential OAU-141".to_owned() };
        assert_eq!(report(disabled, 5), (parked, Consequence::Condemn { code: "OAU-141".to_owned() }));
    }

    #[test]
    fn a_limit_that_was_met_keeps_the_lane_until_it_is_over_and_a_wider_one_the_fleet() {
        let after = Duration::from_secs(30);
        let met = |scope| report(Meaning::Throttled { scope, after }, 5);
        let throttled = Outcome::Throttled { retry_after: after };
        assert_eq!(met(ThrottleScope::Lane), (throttled.clone(), Consequence::None));
        assert_eq!(met(ThrottleScope::Wider), (throttled, Consequence::CloseGate { delay: after }));
    }

    #[test]
    fn a_refusal_that_every_message_would_meet_parks_the_lane_instead_of_using_messages_up() {
        let code = ErrorCode::try_new("MSG-304");
        let all = Meaning::Rejected { code: code.clone(), scope: RejectScope::Extension };
        let parked = |reason: &str| Outcome::Parked { reason: reason.to_owned() };
        assert_eq!(report(all, 5), (parked("MSG-304"), Consequence::AskForNumbers));
        let permission = ErrorCode::try_new("CMN-408");
        let all = Meaning::Rejected { code: permission, scope: RejectScope::Extension };
        assert_eq!(report(all, 5), (parked("CMN-408"), Consequence::None));
        let one = Meaning::Rejected { code, scope: RejectScope::Message };
        assert_eq!(report(one, 5).0, Outcome::Rejected { code: "MSG-304".to_owned() });
    }

    #[test]
    fn a_number_that_is_refused_as_a_parameter_is_read_again_like_one_that_moved() {
        for name in ["CMN-100", "CMN-101", "CMN-102"] {
            let refused = |scope| report(Meaning::Rejected { code: ErrorCode::try_new(name), scope }, 5);
            let parked = Outcome::Parked { reason: name.to_owned() };
            assert_eq!(refused(RejectScope::Extension), (parked, Consequence::AskForNumbers));
            let of_its_text = Outcome::Rejected { code: name.to_owned() };
            assert_eq!(refused(RejectScope::Message), (of_its_text, Consequence::None));
        }
    }

    #[test]
    fn a_refusal_without_a_code_uses_no_message_up_for_good() {
        let of = |scope| report(Meaning::Rejected { code: None, scope }, 5);
        for scope in [RejectScope::Extension, RejectScope::App, RejectScope::Account] {
            assert_eq!(of(scope), (Outcome::NotSent { delay: AFTER_GATEWAY }, Consequence::None));
        }
        let kind = UnauthorisedKind::Unexplained;
        let waits = (Outcome::NotSent { delay: AFTER_GATEWAY }, Consequence::ForgetSession { kind });
        assert_eq!(report(Meaning::Unauthorised { code: None, kind }, 5), waits);
        let again = Outcome::Retry { code: "no-code".to_owned(), delay: AFTER_GATEWAY, max_attempts: 5 };
        assert_eq!(of(RejectScope::Message), (again, Consequence::None));
    }

    #[test]
    fn a_text_that_the_provider_could_not_send_now_is_tried_again_later() {
        let (code, after) = (ErrorCode::try_new("MSG-290").unwrap(), Duration::from_secs(30));
        let again = Outcome::Retry { code: "MSG-290".to_owned(), delay: after, max_attempts: 5 };
        assert_eq!(report(Meaning::RetryLater { code, after }, 5), (again, Consequence::None));
    }
}
