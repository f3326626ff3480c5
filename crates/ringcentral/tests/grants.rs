//! Logins of people on the wire: authorization code, password; with and without a client secret.

mod support;

use ringcentral::*;
use support::{Stub, answer};

const GRANTED: &str = r#"{"access_token":"a","token_type":"bearer","expires_in":3600,"refresh_token":"r",
    "refresh_token_expires_in":604800,"scope":"ReadAccounts SMS","owner_id":"101","endpoint_id":"e-1"}"#;

async fn stub() -> Stub {
    Stub::start(vec![answer(200, &[], GRANTED)]).await
}

fn public(stub: &Stub) -> Client {
    let id = ClientId::try_new("app").expect("valid");
    let mut config = ClientConfig::public(stub.url.parse().expect("valid"), id);
    config.guard_mode = GuardMode::Backstop;
    Client::new(config).expect("a client")
}

fn callback() -> RedirectUri {
    RedirectUri::try_new("http://127.0.0.1:8480/callback").expect("valid")
}

#[tokio::test]
async fn login_page_is_asked_with_state_and_challenge() {
    let stub = stub().await;
    let (redirect_uri, state) = (callback(), LoginState::try_new("s-1").expect("valid"));
    let verifier = CodeVerifier::try_new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").expect("valid");
    let challenge = CodeChallenge::of(&verifier);
    let mut request = AuthorizeRequest { redirect_uri: &redirect_uri, state: &state, challenge: None };
    let bare = format!(
        "{}/restapi/oauth/authorize?response_type=code&client_id=app\
         &redirect_uri=http%3A%2F%2F127.0.0.1%3A8480%2Fcallback&state=s-1",
        stub.url
    );
    assert_eq!(stub.client().authorize_url(request), bare);
    request.challenge = Some(&challenge);
    let challenged = format!("{bare}&code_challenge={}&code_challenge_method=S256", challenge.as_str());
    assert_eq!(public(&stub).authorize_url(request), challenged);
    assert!(!format!("{request:?}").contains("s-1"));
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn code_grant_shows_its_secret_or_only_its_client_id() {
    let stub = stub().await;
    let code = AuthorizationCode::try_new("canary-code").expect("valid");
    let (redirect_uri, pkce) = (callback(), Pkce::generate().expect("random"));
    let mut grant = CodeGrant { code: &code, redirect_uri: &redirect_uri, verifier: None };
    let token = stub.client().token_by_code(AuthBudget::App, grant, &TokenOptions::default()).await.expect("granted");
    assert_eq!(token.value.owner_id.expect("an owner").as_str(), "101");
    grant.verifier = Some(&pkce.verifier);
    public(&stub).token_by_code(AuthBudget::App, grant, &TokenOptions::default()).await.expect("granted");
    let seen = stub.seen();
    let form = "grant_type=authorization_code&code=canary-code\
                &redirect_uri=http%3A%2F%2F127.0.0.1%3A8480%2Fcallback";
    assert_eq!(seen[0].body, form);
    assert!(seen[0].header("authorization").is_some_and(|value| value.starts_with("Basic ")));
    assert_eq!(seen[1].body, format!("{form}&code_verifier={}&client_id=app", pkce.verifier.expose()));
    assert_eq!(seen[1].header("authorization"), None);
    assert!(!format!("{grant:?}").contains("canary"));
}

#[tokio::test]
async fn password_grant_sends_name_password_and_extension() {
    let stub = stub().await;
    let username = Username::try_new("+15550100001").expect("valid");
    let password = Password::try_new("canary pass & wörd").expect("valid");
    let extension = ShortNumber::try_new("101").expect("valid");
    let mut grant = PasswordGrant { username: &username, password: &password, extension: None };
    let client = stub.client();
    client.token_by_password(AuthBudget::App, grant, &TokenOptions::default()).await.expect("granted");
    grant.extension = Some(&extension);
    client.token_by_password(AuthBudget::App, grant, &TokenOptions::default()).await.expect("granted");
    let form = "grant_type=password&username=%2B15550100001&password=canary+pass+%26+w%C3%B6rd";
    assert_eq!(stub.seen()[0].body, form);
    assert_eq!(stub.seen()[1].body, format!("{form}&extension=101"));
    let printed = format!("{grant:?}");
    assert!(!printed.contains("canary") && !printed.contains("5550100"), "{printed}");
}

#[tokio::test]
async fn public_client_names_itself_when_it_refreshes_and_revokes() {
    let stub = stub().await;
    let client = public(&stub);
    let refresh = RefreshToken::try_new("r1").expect("valid");
    let token = client.token_by_refresh(AuthBudget::App, &refresh, &TokenOptions::default()).await.expect("granted");
    assert_eq!(token.value.refresh_token_expires_in, Some(std::time::Duration::from_secs(604_800)));
    client.revoke(AuthBudget::App, &token.value.access_token).await.expect("revoked");
    let bodies: Vec<_> = stub.seen().iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(bodies, ["grant_type=refresh_token&refresh_token=r1&client_id=app", "token=a&client_id=app"]);
    assert!(stub.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn refused_code_is_told_by_its_code_and_never_shown() {
    let body = r#"{"error":"invalid_grant","error_description":"canary","errors":[{"errorCode":"OAU-108"}]}"#;
    let stub = Stub::start(vec![answer(403, &[], body)]).await;
    let code = AuthorizationCode::try_new("canary-code").expect("valid");
    let grant = CodeGrant { code: &code, redirect_uri: &callback(), verifier: None };
    let result = stub.client().token_by_code(AuthBudget::App, grant, &TokenOptions::default()).await;
    assert!(!format!("{result:?}").contains("canary"));
    let code = ErrorCode::try_new("OAU-108");
    assert_eq!(classify_token(&result), TokenOutcome::CredentialDead { code });
}
