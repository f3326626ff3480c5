//! The words for each trouble.

use std::time::Duration;

use axum::http::StatusCode;
use ringcentral::{ErrorCode, explain};

use super::{Step, Trouble};

impl Trouble {
    /// Status, title, what happened, the next step, and what the button leads to.
    pub(super) fn words(&self) -> (StatusCode, &'static str, String, String, Step) {
        use StatusCode as S;
        let begin_again = "Begin again, and sign in within a minute or two.";
        let again =
            |status, title, what: &str, next: &str| (status, title, what.to_owned(), next.to_owned(), Step::Again);
        let stop =
            |status, title, what: &str, next: &str| (status, title, what.to_owned(), next.to_owned(), Step::None);
        match self {
            Trouble::Denied => again(
                S::FORBIDDEN,
                "You did not allow access",
                "RingCentral says that you did not let Ringfleet use your extension. Nothing was connected.",
                "If you want to connect it after all, begin again and allow access. If not, you can close this page.",
            ),
            Trouble::SentBack { code } => {
                let (meaning, remedy) = meaning(code.as_ref());
                let what = format!("RingCentral did not let you through: {meaning}. Nothing was connected.");
                (S::BAD_GATEWAY, "RingCentral sent you back", what, for_operator(&remedy), Step::Again)
            }
            Trouble::NothingBack => again(
                S::BAD_REQUEST,
                "Something is missing",
                "You came back from RingCentral without its answer. Perhaps the address was cut when it was copied.",
                begin_again,
            ),
            Trouble::StateUnknown => again(
                S::BAD_REQUEST,
                "This sign-in is too old",
                "A sign-in must be finished within a quarter of an hour, and this one is older or was never begun here.",
                begin_again,
            ),
            Trouble::StateUsed { .. } => again(
                S::CONFLICT,
                "This sign-in was used already",
                "Each sign-in works once. If you saw that your extension is connected, everything is well.",
                "If you did not see that, begin again.",
            ),
            Trouble::OtherBrowser => again(
                S::FORBIDDEN,
                "Begun in another browser",
                "A sign-in must end in the browser in which it began, and this browser did not begin it. Cookies may also be \
                 switched off.",
                "Begin again here, with cookies allowed for this page.",
            ),
            Trouble::CodeExpired { .. } => again(
                S::BAD_REQUEST,
                "That took too long",
                "RingCentral's answer is good for about a minute, and the minute was over.",
                begin_again,
            ),
            Trouble::CodeRefused { .. } => again(
                S::BAD_REQUEST,
                "RingCentral did not accept the sign-in",
                "Its answer was used before, or was meant for another app.",
                begin_again,
            ),
            Trouble::RedirectUri { uri, .. } => (
                S::BAD_GATEWAY,
                "The app is not set up for this page",
                "RingCentral does not know the address that it should send you back to.".to_owned(),
                format!(
                    "Tell the person who runs Ringfleet: in the RingCentral developer console, in the app's settings, the OAuth \
                     redirect URI must be exactly {uri}"
                ),
                Step::None,
            ),
            Trouble::App { code } => {
                let (meaning, remedy) = meaning(code.as_ref());
                let what = format!("RingCentral does not accept the app that Ringfleet uses: {meaning}.");
                (S::BAD_GATEWAY, "The app is not set up right", what, for_operator(&remedy), Step::None)
            }
            Trouble::User { code } => {
                let (meaning, remedy) = meaning(code.as_ref());
                let what = format!("RingCentral does not let this user sign in: {meaning}.");
                (S::FORBIDDEN, "This user can't be connected", what, for_operator(&remedy), Step::Again)
            }
            Trouble::NoRefreshToken => stop(
                S::BAD_GATEWAY,
                "RingCentral gave no lasting connection",
                "You did everything right, but the app may not stay connected for longer than an hour.",
                "Tell the person who runs Ringfleet: in the RingCentral developer console, in the app's settings under Auth, switch \
                 on “Issue refresh tokens”. Then begin again.",
            ),
            Trouble::NoOwner => stop(
                S::BAD_GATEWAY,
                "RingCentral did not say whose extension it is",
                "You signed in, but the answer names no extension. Nothing was connected.",
                "Tell the person who runs Ringfleet to check the server's address in its settings.",
            ),
            Trouble::OtherAccount => again(
                S::FORBIDDEN,
                "This is another company's account",
                "You signed in to a RingCentral account that may not be connected here. Nothing was connected.",
                "Sign out at RingCentral, begin again, and sign in with your work account.",
            ),
            Trouble::AccountUnread { code } => {
                let (meaning, remedy) = meaning(code.as_ref());
                let what = format!("Ringfleet could not make sure that the account is the right one: {meaning}.");
                (S::BAD_GATEWAY, "The account could not be checked", what, for_operator(&remedy), Step::Again)
            }
            Trouble::OtherExtension { invited, signed_in } => (
                S::FORBIDDEN,
                "This is not the extension that was invited",
                format!(
                    "The invitation is for the extension with the id {invited}, and you signed in as {signed_in}. Nothing was connected."
                ),
                "Sign out at RingCentral, open the invitation again, and sign in as the one who was invited."
                    .to_owned(),
                Step::None,
            ),
            Trouble::InvitationOver => stop(
                S::GONE,
                "This invitation is over",
                "Invitations last a week, and the link must be whole.",
                "Ask the person who sent it for a new one.",
            ),
            Trouble::Busy { wait } | Trouble::TooMany { wait } => (
                S::TOO_MANY_REQUESTS,
                "Too many at once",
                "More people or programs are asking than may at a time.".to_owned(),
                format!("Wait {}, then begin again.", seconds(*wait)),
                Step::Again,
            ),
            Trouble::ProviderAway => again(
                S::BAD_GATEWAY,
                "RingCentral does not answer",
                "You signed in, but RingCentral could not be asked for the connection. Nothing was connected.",
                "Begin again in a few minutes.",
            ),
            Trouble::StoreAway => again(
                S::SERVICE_UNAVAILABLE,
                "Ringfleet's store does not answer",
                "Nothing is lost, but nothing can be written down right now.",
                "Try again in a few minutes. If it stays so, tell the person who runs Ringfleet.",
            ),
            Trouble::StoreReplaced => stop(
                S::SERVICE_UNAVAILABLE,
                "Ringfleet's store was flushed or exchanged",
                "What it held is gone, and with it the knowledge of what was sent.",
                "Tell the person who runs Ringfleet: stop the fleet, bring the data back or make sure that nothing is handed in again, \
                 then start it anew.",
            ),
            Trouble::Sealed(error) => (
                S::INTERNAL_SERVER_ERROR,
                "Ringfleet's keys don't fit",
                "This sign-in began on a server that has another key.".to_owned(),
                for_operator(&format!("it is {error}")),
                Step::Again,
            ),
            Trouble::NoKey => stop(
                S::INTERNAL_SERVER_ERROR,
                "Ringfleet has no key yet",
                "Connections are kept sealed, and the key for that is missing.",
                "Tell the person who runs Ringfleet to set identity.key_file (`ringfleet credentials new-key` makes one).",
            ),
            Trouble::Unreadable => stop(
                S::INTERNAL_SERVER_ERROR,
                "This credential can't be read",
                "It is in the store, but this server can't open it.",
                "Check identity.key_file, or remove the credential and connect again.",
            ),
            Trouble::NoRandomness => again(
                S::INTERNAL_SERVER_ERROR,
                "The server gives no random numbers",
                "Without them no sign-in is safe.",
                "Try again, or tell the person who runs Ringfleet.",
            ),
            Trouble::ForeignForm => again(
                S::FORBIDDEN,
                "This page was open too long",
                "The form did not come from a page that this browser was shown lately. Cookies may also be switched off.",
                "Go back, load the page again, and try once more.",
            ),
            Trouble::TooLarge => {
                stop(S::PAYLOAD_TOO_LARGE, "Too large", "The form holds too much.", "Go back and shorten it.")
            }
            Trouble::TooSlow => again(
                S::GATEWAY_TIMEOUT,
                "That took too long",
                "The answer did not come in time.",
                "If you saw RingCentral's page, look at the list of extensions, or begin again.",
            ),
            Trouble::NoSuchPage => again(
                S::NOT_FOUND,
                "No such page",
                "There is nothing at this address.",
                "To connect your extension, begin here.",
            ),
            Trouble::BadAddress => again(
                S::BAD_REQUEST,
                "This address can't be read",
                "Something in it stands there twice, or is not what belongs there. Perhaps it was changed when it was copied.",
                "If it is an invitation or a bookmark, open it again as you got it. If not, begin here.",
            ),
            Trouble::NoSuchCredential => stop(
                S::NOT_FOUND,
                "No such credential",
                "It was removed meanwhile, or never there.",
                "Go back to the list and load it again.",
            ),
            Trouble::WrongMethod => again(
                S::METHOD_NOT_ALLOWED,
                "Not that way",
                "This address is for a button of a page, not for the address bar.",
                "Begin here.",
            ),
            Trouble::OperatorOff => stop(
                S::NOT_FOUND,
                "This page is switched off",
                "The list of extensions is for the people who run Ringfleet, and no key was set for it.",
                "Set connect.operator_keys, or api.keys, in Ringfleet's settings and start it again.",
            ),
        }
    }
}

/// In words, for the middle of a sentence.
fn meaning(code: Option<&ErrorCode>) -> (String, String) {
    match code.map(|code| explain(code.as_str())) {
        Some(told) => (told.means.to_owned(), told.next_step.to_owned()),
        None => (
            "it gives a reason that is not known here".to_owned(),
            "look the code up in RingCentral's documentation of errors".to_owned(),
        ),
    }
}

fn for_operator(remedy: &str) -> String {
    format!("Tell the person who runs Ringfleet: {remedy}.")
}

fn seconds(wait: Duration) -> String {
    match wait.as_secs_f64().ceil() as u64 {
        0 | 1 => "a second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use ringcentral::ExtensionId;

    use super::*;

    fn code(code: &str) -> ErrorCode {
        ErrorCode::try_new(code).unwrap()
    }

    #[test]
    fn each_trouble_tells_what_happened_and_the_next_step() {
        let wait = Duration::from_millis(41_300);
        let id = |id| ExtensionId::try_new(id).unwrap();
        let uri = "https://connect.example.com/connect/callback".to_owned();
        for (trouble, part) in [
            (Trouble::Denied, "allow access"),
            (Trouble::SentBack { code: None }, "documentation of errors"),
            (Trouble::User { code: Some(code("OAU-141")) }, "disabled or not set up"),
            (Trouble::App { code: Some(code("OAU-146")) }, "client secret"),
            (Trouble::RedirectUri { code: code("OAU-113"), uri: uri.clone() }, uri.as_str()),
            (Trouble::NoRefreshToken, "Issue refresh tokens"),
            (Trouble::StoreReplaced, "nothing is handed in again"),
            (Trouble::Busy { wait }, "42 seconds"),
            (Trouble::OtherExtension { invited: id("101"), signed_in: id("102") }, "101"),
        ] {
            let told = trouble.told();
            assert!(format!("{} {}", told.what, told.next).contains(part), "{told:?}");
            assert_eq!(told.code.as_ref(), trouble.code());
            assert!(!told.status.is_success() && told.next.ends_with(['.', 'k']), "{told:?}");
        }
    }
}
