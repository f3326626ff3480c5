//! What the provider's codes mean and what to do about them, in own words.
//!
//! The codes and their sense are documented (errors page, the 2021 specification) or seen in SDK tests and forum threads.

use crate::provider_error::ErrorCode;

/// The sense of a code and the next step for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    pub meaning: &'static str,
    pub remedy: &'static str,
}

/// Explains a code; `None` for one that is not in the table.
pub fn explain(code: &ErrorCode) -> Option<Explanation> {
    let row = TABLE.iter().find(|(known, _, _)| *known == code.as_str());
    row.map(|&(_, meaning, remedy)| Explanation { meaning, remedy })
}

const ACCOUNT: &str = "let the account's owner look into its state with RingCentral";
const ADMIN: &str = "let an administrator change the user's role or sign-in rules";
const ALLOTMENT: &str = "raise the account's message allotment, or wait for the next period";
const APP: &str = "look at the app's state in the RingCentral developer console";
const BUG: &str = "report it as a fault of this program, with the request id";
const CHECK_FIRST: &str = "look into the message store before sending again: the text may have gone out";
const CLIENT: &str = "check the client id and the client secret in the configuration";
const CONNECT_AGAIN: &str = "connect the extension again, with a new JWT or by signing in";
const ENABLE: &str = "enable the extension in the RingCentral admin portal";
const FEATURE: &str = "add the feature to the extension or the account, or send from another one";
const FULL_SYNC: &str = "begin with a full sync";
const GRANT: &str = "enable the way of signing in (JWT or 3-legged) in the app's settings";
const MESSAGE: &str = "correct the message; the same one fails again";
const NEW_JWT: &str = "make a new JWT for this app in the developer console, signed in as that user";
const OTHER_EXTENSION: &str = "use an extension of a real user that exists and may sign in";
const OWN_TOKEN: &str = "use the token of the extension that the call is about";
const PERMISSION: &str = "add the permission to the app (SMS, ReadMessages, ReadAccounts) and sign in again";
const RECIPIENT: &str = "remove or correct the recipient's number";
const REDIRECT: &str = "enter the exact redirect URI in the app's settings";
const RENEW: &str = "renew the token once; if it happens often, look for logins outside the fleet";
const SENDER: &str = "send from a number of this extension that has the SmsSender feature";
const SERVER: &str = "check the server URL in the configuration";
const UNLOCK: &str = "let the user unlock the login; attempts meanwhile prolong the lock";
const USE_JWT: &str = "use a JWT, or sign in through the browser";
const WAIT: &str = "nothing to do; it is tried again after the stated time";

/// Code, meaning, remedy.
const TABLE: &[(&str, &str, &str)] = &[
    // Sign-in and tokens
    ("OAU-101", "the brand id is not valid", APP),
    ("OAU-102", "no authorization code can be issued", APP),
    ("OAU-105", "this type of extension may not sign in", OTHER_EXTENSION),
    ("OAU-106", "the authorization code is not valid", CONNECT_AGAIN),
    ("OAU-108", "the authorization code has expired", CONNECT_AGAIN),
    ("OAU-109", "the redirect URI differs from the one of the login page", REDIRECT),
    ("OAU-110", "the authorization code belongs to another app", CONNECT_AGAIN),
    ("OAU-111", "a request parameter was sent twice", BUG),
    ("OAU-112", "the app may not use this way of signing in", GRANT),
    ("OAU-113", "the app has no redirect URI", REDIRECT),
    ("OAU-116", "the authorization method is not valid", BUG),
    ("OAU-117", "the app's permissions are narrower than needed", PERMISSION),
    ("OAU-119", "an international virtual number can't sign in", OTHER_EXTENSION),
    ("OAU-120", "the client id is wrong", CLIENT),
    ("OAU-121", "the client id is of the wrong app", CLIENT),
    ("OAU-123", "the client id and secret are missing or malformed", CLIENT),
    ("OAU-125", "the app may not use this way of signing in", GRANT),
    ("OAU-127", "the app is not active", APP),
    ("OAU-128", "the access token has expired", RENEW),
    ("OAU-129", "the access token was replaced by a newer one", RENEW),
    ("OAU-134", "the authorization header is malformed", BUG),
    ("OAU-136", "the extension does not exist", OTHER_EXTENSION),
    ("OAU-140", "the user's credentials are wrong", CONNECT_AGAIN),
    ("OAU-141", "the extension is disabled or not set up", ENABLE),
    ("OAU-142", "the account is disabled", ACCOUNT),
    ("OAU-146", "the client id or secret is wrong", CLIENT),
    ("OAU-147", "sign-in is locked after failed attempts", UNLOCK),
    ("OAU-148", "sign-in is locked after failed attempts", UNLOCK),
    ("OAU-149", "the access token can't be read", RENEW),
    ("OAU-150", "a parameter differs between address and body", BUG),
    ("OAU-151", "the authorization method is not supported", BUG),
    ("OAU-152", "the response type is not supported", BUG),
    ("OAU-153", "the client is not valid", CLIENT),
    ("OAU-155", "the client id is missing", CLIENT),
    ("OAU-165", "the app may not be used on this server", SERVER),
    ("OAU-167", "the user may not sign in from here", ADMIN),
    ("OAU-168", "the password sign-in needs a second factor", USE_JWT),
    ("OAU-210", "the refresh token has expired", CONNECT_AGAIN),
    ("OAU-211", "the session was ended", CONNECT_AGAIN),
    ("OAU-213", "the token is no longer known: ended, displaced or replaced", RENEW),
    ("OAU-222", "the account does not exist", ACCOUNT),
    ("OAU-232", "the extension does not exist", OTHER_EXTENSION),
    ("OAU-236", "the extension is disabled or frozen", ENABLE),
    ("OAU-250", "this way of signing in is not known", USE_JWT),
    ("OAU-251", "the app may not use this way of signing in", GRANT),
    ("OAU-270", "this way of signing in is for partner apps only", USE_JWT),
    ("OAU-331", "the JWT can't be read; was it cut when copied?", NEW_JWT),
    ("OAU-345", "the JWT's signature is not valid", NEW_JWT),
    ("OAU-473", "the JWT is restricted to another app", NEW_JWT),
    ("AGW-401", "the authorization header is missing", BUG),
    ("AGW-402", "the authorization header is not valid", RENEW),
    // Common
    ("CMN-100", "a required parameter is missing", MESSAGE),
    ("CMN-101", "a parameter has a value that is not allowed", MESSAGE),
    ("CMN-102", "the object does not exist", MESSAGE),
    ("CMN-103", "the request body can't be read", BUG),
    ("CMN-104", "the request can't be read", BUG),
    ("CMN-109", "the feature is not part of this extension", FEATURE),
    ("CMN-110", "a request header is missing", BUG),
    ("CMN-120", "the address does not exist on this server", SERVER),
    ("CMN-201", "the service is unavailable for the moment", WAIT),
    ("CMN-202", "the operation is not supported", BUG),
    ("CMN-203", "the service failed inside", CHECK_FIRST),
    ("CMN-301", "the usage plan is used up", WAIT),
    ("CMN-302", "the usage plan is used up", WAIT),
    ("CMN-303", "the app's usage plan is not known to the server", APP),
    ("CMN-304", "the same request is already running", WAIT),
    ("CMN-310", "the limit over all users is used up", WAIT),
    ("CMN-401", "the app lacks a permission", PERMISSION),
    ("CMN-402", "an administrator's rights are needed", ADMIN),
    ("CMN-403", "this type of extension can't do that", OTHER_EXTENSION),
    ("CMN-404", "the call is for another extension than the token's", OWN_TOKEN),
    ("CMN-405", "a sign-in to the extension is needed", CONNECT_AGAIN),
    ("CMN-406", "a value is used twice", MESSAGE),
    ("CMN-407", "a request header has a bad value", BUG),
    ("CMN-408", "the user lacks a permission", ADMIN),
    ("CMN-414", "the recipient is not valid", RECIPIENT),
    ("CMN-419", "the call is for another extension than the token's", OWN_TOKEN),
    ("BIL-103", "the account's plan does not hold this feature", FEATURE),
    // Messaging
    ("MSG-240", "international texts are not available to this extension", FEATURE),
    ("MSG-241", "the sender's number is a fax number", SENDER),
    ("MSG-242", "texting is not available to this extension", FEATURE),
    ("MSG-243", "the recipient's number is blocked", RECIPIENT),
    ("MSG-245", "the sender's number does not belong to this user", SENDER),
    ("MSG-246", "the recipient is an extension number", RECIPIENT),
    ("MSG-247", "the recipient is a short code", RECIPIENT),
    ("MSG-290", "the provider could not send, and says to try later", WAIT),
    ("MSG-304", "the sender's number does not belong to this extension", SENDER),
    ("MSG-305", "the limit for messages is used up", WAIT),
    ("MSG-310", "the sender's number is assigned to nobody", SENDER),
    ("MSG-314", "this type of extension can't text", OTHER_EXTENSION),
    ("MSG-333", "the sync token is no longer valid", FULL_SYNC),
    ("MSG-337", "the attachment is too large", MESSAGE),
    ("MSG-338", "the message is too large", MESSAGE),
    ("MSG-347", "the attachment is empty", MESSAGE),
    ("MSG-348", "the attachment's type is not allowed", MESSAGE),
    ("MSG-350", "the attachment has no disposition", BUG),
    ("MSG-351", "the attachment has no file name", BUG),
    ("MSG-352", "the messaging service failed inside", CHECK_FIRST),
    ("MSG-365", "the country is given twice", BUG),
    ("MSG-367", "the sender's number can't text", SENDER),
    ("MSG-380", "picture messages are not available", FEATURE),
    ("MSG-381", "a group message has more than ten recipients", MESSAGE),
    ("MSG-383", "picture messages can't go abroad", MESSAGE),
    ("MSG-384", "the account's message allotment is used up", ALLOTMENT),
    ("MSG-397", "texting from a toll-free number is not available", SENDER),
    ("MSG-403", "a toll-free number can't text abroad", SENDER),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_are_explained_once() {
        let code = ErrorCode::try_new("MSG-304").expect("a code");
        assert!(explain(&code).expect("known").remedy.contains("SmsSender"));
        assert_eq!(explain(&ErrorCode::try_new("XYZ-1").expect("a code")), None);
        for (index, (code, _, _)) in TABLE.iter().enumerate() {
            assert!(ErrorCode::try_new(code).is_some_and(|code| code.is_numbered()), "{code}");
            assert!(TABLE[index + 1..].iter().all(|(other, _, _)| other != code), "{code} twice");
        }
    }
}
