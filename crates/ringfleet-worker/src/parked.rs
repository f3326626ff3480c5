//! Reasons of parked lanes whose end the fleet notices by itself. What the caretaker needs to know stands behind a `#`.

use ringfleet_store::Millis;

/// How a reason begins when the extension's credential is the cause.
pub(crate) const CREDENTIAL: &str = "credential ";
/// How one begins when texts of a number don't leave from this extension.
const SENDER: &str = "sender ";

/// Codes for which the extension's own list tells whether the cause is gone: the number is not its own (MSG-245, MSG-304,
/// MSG-310), or can't text (MSG-241, MSG-242, MSG-367, MSG-397, CMN-109), or is refused as a parameter (CMN-100, CMN-101,
/// CMN-102; all documented).
const OF_SENDER: [&str; 11] = [
    "MSG-241", "MSG-242", "MSG-245", "MSG-304", "MSG-310", "MSG-367", "MSG-397", "CMN-100", "CMN-101", "CMN-102",
    "CMN-109",
];

/// `code` is of a refusal that every message of the extension would meet
/// ([`RejectScope::Extension`](ringcentral::RejectScope::Extension)): some of them may speak of a text alone, too.
pub(crate) fn is_of_sender(code: &str) -> bool {
    OF_SENDER.contains(&code)
}

/// `what` with the time at which the extension had been read last: a later reading ends it.
pub(crate) fn for_sender(what: impl std::fmt::Display, read_at: Millis) -> String {
    format!("{SENDER}{what} #{read_at}")
}

/// When the extension had been read last before its lane was parked for a sender; `None` for another reason.
pub(crate) fn sender_read_at(reason: &str) -> Option<Millis> {
    let (_, read_at) = reason.strip_prefix(SENDER)?.rsplit_once('#')?;
    read_at.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senders_reason_keeps_what_was_known() {
        let reason = for_sender("MSG-304", 1_764_000_000_000);
        assert_eq!(reason, "sender MSG-304 #1764000000000");
        assert_eq!(sender_read_at(&reason), Some(1_764_000_000_000));
        for other in ["credential OAU-211 #12", "MSG-304", "sender MSG-304", "sender x #y"] {
            assert_eq!(sender_read_at(other), None, "{other}");
        }
        assert!(is_of_sender("MSG-367") && !is_of_sender("CMN-408"));
    }
}
