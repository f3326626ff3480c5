//! The app: its id and secret, the ways it may log in, what it may do, and how often.

use std::time::Duration;

use ringcentral::{
    AuthBudget, AuthorizationCode, CodeGrant, Jwt, Label, LoginPage, RefreshToken, TokenOptions, TokenOutcome,
};
use ringfleet_identity::{Credential, Method, NoSession, Tried};
use ringfleet_store::Group;

use super::{
    case::Case,
    finding::{Finding, Level, Section},
};

/// Stands for a token that nobody has: the server looks at the app before it looks at this.
const NOBODYS: &str = "ringfleet-doctor";
/// A credential that gives a session tells what the app may do; so many are tried.
const MOST_TRIED: usize = 3;

const PERMISSIONS_CHECK: &str = "permissions";
const REFRESH_CHECK: &str = "refresh tokens";

/// What a permission of the app is for, and whether texts can go out without it.
const PERMISSIONS: [(&str, &str, Level); 4] = [
    ("SMS", "sends texts", Level::Fail),
    ("ReadMessages", "looks up sends whose fate is unknown, delivery states and opt-outs", Level::Fail),
    ("ReadAccounts", "reads numbers, their features and owners", Level::Warn),
    ("ReadCallLog", "reads call logs; nothing that sends needs it", Level::Skip),
];

pub(super) async fn look(case: &Case) -> Section {
    let mut findings = identity(case);
    if findings.is_empty() {
        let (client, known) = client(case).await;
        findings.push(client);
        match known {
            Ok(()) => {
                findings.extend(grants(case).await);
                findings.push(login_page(case).await);
                findings.extend(permissions(case).await);
            }
            Err(why) => findings.extend(unasked(why)),
        }
    } else {
        findings.extend(unasked("ringcentral.client_id has to be set first"));
    }
    findings.push(logins(case));
    Section::new("App", findings)
}

/// What the server is asked of the app only when it knows it.
fn unasked(why: &str) -> impl Iterator<Item = Finding> {
    ["grants", "login page", PERMISSIONS_CHECK, REFRESH_CHECK].into_iter().map(move |check| Finding::skip(check, why))
}

/// Settings without which nothing can be asked.
fn identity(case: &Case) -> Vec<Finding> {
    if case.settings.provider.client_id.is_some() {
        return Vec::new();
    }
    // Both are what a server would say: the token endpoint the one, the login page the other.
    let seen = "ringcentral.client_id is empty";
    vec![
        Finding::coded("client id", Level::Fail, "OAU-155", seen),
        Finding::coded("client id", Level::Fail, "OAU-123", seen),
    ]
}

/// Asks for a session with a refresh token that nobody has. Gives what the server said of the app, and if it did not say that it
/// knows it, why nothing more is asked.
async fn client(case: &Case) -> (Finding, Result<(), &'static str>) {
    const CHECK: &str = "client id and secret";
    let Ok(token) = RefreshToken::try_new(NOBODYS) else { return (Finding::skip(CHECK, "could not be tried"), Ok(())) };
    let options = TokenOptions::default();
    let call = case.client.token_by_refresh(AuthBudget::App, &token, &options);
    match case.sessions.ask(call).await {
        Ok(TokenOutcome::AppDead { code: Some(code) }) if is_grant(&code) => {
            (Finding::ok(CHECK, "taken by the server"), Ok(()))
        }
        Ok(TokenOutcome::AppDead { code }) => {
            let code = code.map_or_else(|| "no-code".to_owned(), |code| code.as_str().to_owned());
            let seen =
                if case.client.config().client_secret.is_none() { "ringcentral.client_secret is empty" } else { "" };
            (Finding::coded(CHECK, Level::Fail, &code, seen), Err("the server has to take client id and secret first"))
        }
        Ok(TokenOutcome::Granted | TokenOutcome::CredentialDead { .. }) => {
            (Finding::ok(CHECK, "taken by the server"), Ok(()))
        }
        Ok(TokenOutcome::Throttled { after, .. }) => (throttled(CHECK, after), Err("the token endpoint throttles")),
        Ok(TokenOutcome::Transient { reason }) => (
            Finding::fail(
                CHECK,
                format!("could not be tried: {reason}"),
                "try again; look at the server's answers above",
            ),
            Err("the token endpoint has to answer first"),
        ),
        Err(no) => (no_turn(CHECK, Level::Warn, &no), Err("not asked: it takes a free login too")),
    }
}

/// The codes that say "known, but not in this way".
fn is_grant(code: &Label) -> bool {
    matches!(code.as_str(), "OAU-112" | "OAU-125" | "OAU-250" | "OAU-251")
}

fn throttled(check: &str, after: Duration) -> Finding {
    Finding::warn(check, "the token endpoint throttles", again_in(after))
}

fn again_in(delay: Duration) -> String {
    format!("run it again in {} s", delay.as_secs().max(1))
}

/// The server was not asked. `level`: how bad it is that no login was free, which passes by itself.
fn no_turn(check: &str, level: Level, no: &NoSession) -> Finding {
    match no {
        NoSession::Later { delay } => Finding {
            level,
            ..Finding::warn(
                check,
                "not asked: no login is free now in the fleet's own budget (plans.auth)",
                again_in(*delay),
            )
        },
        NoSession::Dead { reason } => Finding::coded(check, Level::Fail, reason, ""),
        NoSession::Store(error) => Finding::fail(check, super::store::chain(error), "look at the store"),
    }
}

async fn grants(case: &Case) -> Vec<Finding> {
    let options = TokenOptions::default();
    let mut findings = Vec::new();
    if let Ok(jwt) = Jwt::try_new(NOBODYS) {
        let call = case.client.token_by_jwt(AuthBudget::App, &jwt, &options);
        findings.push(grant(case, "JWT", Method::Jwt, case.sessions.ask(call).await));
    }
    if let (Ok(code), Some(redirect)) = (AuthorizationCode::try_new(NOBODYS), &case.redirect_uri) {
        let grant_of = CodeGrant { code: &code, redirect_uri: redirect, verifier: None };
        let call = case.client.token_by_code(AuthBudget::App, grant_of, &options);
        findings.push(grant(case, "authorization code", Method::Code, case.sessions.ask(call).await));
    }
    if let Ok(token) = RefreshToken::try_new(NOBODYS) {
        let call = case.client.token_by_refresh(AuthBudget::App, &token, &options);
        findings.push(grant(case, "refresh token", Method::Code, case.sessions.ask(call).await));
    }
    findings
}

/// What the server said of one way to log in; how bad a refusal is depends on who needs it.
fn grant(case: &Case, name: &str, method: Method, asked: Result<TokenOutcome, NoSession>) -> Finding {
    let check = format!("grant: {name}");
    match asked {
        Ok(TokenOutcome::AppDead { code: Some(code) }) if is_grant(&code) => match case.with_method(method) {
            0 => Finding::ok(&check, format!("not allowed ({code}), and no credential needs it")),
            n => Finding::coded(&check, Level::Fail, code.as_str(), &format!("{n} credentials need it")),
        },
        // Many servers look at the token before they look at the grant, so this proves nothing yet.
        Ok(TokenOutcome::Granted | TokenOutcome::CredentialDead { .. }) => {
            Finding::ok(&check, "not refused as such; the logins of the extensions show whether it works")
        }
        Ok(TokenOutcome::AppDead { code }) => {
            Finding::coded(&check, Level::Fail, code.as_ref().map_or("no-code", Label::as_str), "")
        }
        Ok(TokenOutcome::Throttled { after, .. }) => throttled(&check, after),
        Ok(TokenOutcome::Transient { reason }) => Finding::skip(&check, format!("could not be tried: {reason}")),
        Err(no) => no_turn(&check, Level::Skip, &no),
    }
}

/// Whether the provider's login page takes this app's request, for set-ups in which employees connect themselves.
async fn login_page(case: &Case) -> Finding {
    const CHECK: &str = "login page";
    let Some(redirect) = &case.redirect_uri else {
        return match case.with_method(Method::Code) {
            0 => Finding::skip(CHECK, "no employee connects by authorization code here"),
            _ => Finding::skip(CHECK, "no address of a connect page is set, so its request can't be tried"),
        };
    };
    match case.sessions.ask_login_page(redirect).await {
        Ok(Ok(LoginPage::Shown)) => {
            Finding::ok(CHECK, format!("takes client id, response type and {}", redirect.as_str()))
        }
        Ok(Ok(LoginPage::Refused { code: Some(code), .. })) => Finding::coded(
            CHECK,
            Level::Fail,
            code.as_str(),
            &format!("refused, with the redirect URI {}", redirect.as_str()),
        ),
        Ok(Ok(LoginPage::Refused { status, code: None })) => Finding::fail(
            CHECK,
            format!("refused with {}, without a code", status.as_u16()),
            "open the connect page in a browser: the provider's page tells more",
        ),
        Ok(Err(error)) => Finding::of_call(CHECK, &error),
        Err(no) => no_turn(CHECK, Level::Skip, &no),
    }
}

/// A real login tells what the app may do. Its session is ended at once, unless it is a link of a connection's chain.
async fn permissions(case: &Case) -> Vec<Finding> {
    let (mut tried, mut wait) = (None, None);
    for credential in case.credentials().take(MOST_TRIED) {
        match case.sessions.try_login(&credential).await {
            Ok(Tried::In(granted)) => {
                tried = Some(granted);
                break;
            }
            Err(NoSession::Later { delay }) => wait = Some(delay),
            _ => {}
        }
    }
    let Some(granted) = tried else {
        let why = match wait {
            // The fleet's own budget, or the server that throttles.
            Some(delay) => format!("no login was to be had for them now; {}", again_in(delay)),
            None => "no credential gave a session that would tell them".to_owned(),
        };
        return [PERMISSIONS_CHECK, REFRESH_CHECK].map(|check| Finding::skip(check, why.as_str())).into();
    };
    let has = |name: &str| granted.scope.iter().any(|permission| permission.as_str() == name);
    let mut findings: Vec<_> = PERMISSIONS
        .into_iter()
        .map(|(name, purpose, level)| {
            let check = format!("permission: {name}");
            match (has(name), level) {
                (true, _) => Finding::ok(&check, purpose),
                (false, Level::Skip) => Finding::skip(&check, format!("missing; {purpose}")),
                (false, level) => Finding::coded(&check, level, "CMN-401", &format!("missing; {purpose}")),
            }
        })
        .collect();
    findings.push(match (granted.refresh, case.with_method(Method::Code)) {
        (true, _) => Finding::ok(REFRESH_CHECK, "issued"),
        (false, 0) => Finding::ok(REFRESH_CHECK, "not issued, and no credential needs them"),
        (false, _) => Finding::coded(REFRESH_CHECK, Level::Fail, "no-refresh-token", "not issued"),
    });
    findings
}

/// How many logins a minute there are, for how many extensions.
fn logins(case: &Case) -> Finding {
    let plan = case.settings.rules.plan(Group::Auth);
    let (window_s, extensions) = (plan.window_ms / 1_000, case.roster.extensions().len());
    // One login an hour for each extension that has something to send.
    let most = u64::from(plan.limit) * 3_600_000 / u64::from(plan.window_ms.max(1));
    Finding::ok(
        "logins",
        format!(
            "{} in {window_s} s for each extension; if RingCentral counts them for the whole app, that is enough for {most} busy \
             ones, and there are {extensions}",
            plan.limit
        ),
    )
}

impl Case {
    /// Credentials that are switched on, one extension after the other.
    fn credentials(&self) -> impl Iterator<Item = Credential> + '_ {
        self.chosen.iter().flat_map(|extension| self.roster.of(extension.as_str()).to_vec())
    }

    /// How many credentials of a method are switched on.
    fn with_method(&self, method: Method) -> usize {
        let of =
            |name: &std::sync::Arc<str>| self.roster.of(name).iter().filter(|c| c.login.method() == method).count();
        self.roster.extensions().iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_the_fleet_keeps_back_is_not_laid_at_the_providers_door() {
        let later = NoSession::Later { delay: Duration::from_secs(9) };
        for level in [Level::Warn, Level::Skip] {
            let finding = no_turn("client id and secret", level, &later);
            assert_eq!((finding.level, finding.next_step.as_deref()), (level, Some("run it again in 9 s")));
            assert!(
                finding.seen.contains("the fleet's own budget") && !finding.seen.contains("throttles"),
                "{finding:?}"
            );
        }
    }

    #[test]
    fn what_is_not_asked_of_an_app_is_listed() {
        let listed: Vec<_> = unasked("why").map(|finding| (finding.check, finding.level)).collect();
        let expected = ["grants", "login page", "permissions", "refresh tokens"];
        assert_eq!(listed, expected.map(|check| (check.to_owned(), Level::Skip)));
    }
}
