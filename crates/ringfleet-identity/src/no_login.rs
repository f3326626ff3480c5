//! The fleet's own words for why nobody can log in, as operators are told wherever they look.

/// Why nobody can log in for an extension, where it is not the provider that says so: word, meaning, remedy.
pub const NO_LOGIN: [(&str, &str, &str); 5] = [
    (
        "no-credential",
        "nobody can log in for the extension",
        "bring a login in with `ringfleet credentials add`, or let the employee connect the extension",
    ),
    (
        "login-of-another-extension",
        "the credential logs in as another extension than the one that it stands for",
        "put it in for its own extension, and bring one in that this extension's user has made",
    ),
    (
        "no-refresh-token",
        "the app issues no refresh tokens, so a connection can't be kept alive",
        "switch on \"issue refresh tokens\" in the app's settings in the developer console, and connect the extension again",
    ),
    ("malformed-credential", "the credential has characters that can't be sent", "bring the credential in again"),
    (
        "refused-when-fresh",
        "new sessions were refused one after another",
        "look for another program that logs in with the same credential; then `ringfleet lane resume EXTENSION`",
    ),
];
