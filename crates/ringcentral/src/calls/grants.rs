//! Token endpoint: JWT, authorization code, password and refresh grants; revoke. All of group Auth.

use reqwest::RequestBuilder;

use super::authorize::RedirectUri;
use super::token::{AuthBudget, Token, TokenOptions, token};
use crate::answer::{Answer, CallError};
use crate::client::Client;
use crate::secret::{AccessToken, AuthorizationCode, CodeVerifier, Jwt, Password, RefreshToken, Username};
use crate::short_number::ShortNumber;

const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What the browser brought back from the login page, with what was kept here meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct CodeGrant<'a> {
    pub code: &'a AuthorizationCode,
    /// The one that the login page was asked with; another one is refused with `OAU-109` (documented).
    pub redirect_uri: &'a RedirectUri,
    /// Needed if the login page was asked with a challenge.
    pub verifier: Option<&'a CodeVerifier>,
}

/// A login by password. RingCentral took this grant off its platform on 2024-03-31 (told by its staff in the community);
/// it is for servers that still have it.
#[derive(Debug, Clone, Copy)]
pub struct PasswordGrant<'a> {
    pub username: &'a Username,
    pub password: &'a Password,
    /// If the user name is the company's number, and no `*` and extension number stand behind it.
    pub extension: Option<&'a ShortNumber>,
}

impl Client {
    /// Exchanges a JWT for a session. Costs one Auth request. About five sessions of one extension and app may live at a
    /// time; a further one ends the oldest (documented), so share the token.
    ///
    /// # Errors
    /// [`CallError`]; see [`classify_token`](crate::classify_token). After `Lost` or `Unreadable` a session may exist.
    pub async fn token_by_jwt(
        &self,
        budget: AuthBudget<'_>,
        jwt: &Jwt,
        options: &TokenOptions,
    ) -> Result<Answer<Token>, CallError> {
        self.grant(budget, vec![("grant_type", JWT_GRANT), ("assertion", jwt.expose())], options).await
    }

    /// Exchanges the code of a login page for a session. Costs one Auth request. Whose session it is shows in
    /// [`Token::owner_id`] only. A code is good for one exchange: after a lost answer the user signs in once more.
    ///
    /// # Errors
    /// [`CallError`]; see [`classify_token`](crate::classify_token). After `Lost` or `Unreadable` a session may exist.
    pub async fn token_by_code(
        &self,
        budget: AuthBudget<'_>,
        grant: CodeGrant<'_>,
        options: &TokenOptions,
    ) -> Result<Answer<Token>, CallError> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", grant.code.expose()),
            ("redirect_uri", grant.redirect_uri.as_str()),
        ];
        form.extend(grant.verifier.map(|verifier| ("code_verifier", verifier.expose())));
        self.grant(budget, form, options).await
    }

    /// Exchanges a user's password for a session. Costs one Auth request.
    ///
    /// # Errors
    /// [`CallError`]; see [`classify_token`](crate::classify_token). Each refused password counts towards a lock of the
    /// user's login (`OAU-147`, documented), so a refused one must not be tried again.
    pub async fn token_by_password(
        &self,
        budget: AuthBudget<'_>,
        grant: PasswordGrant<'_>,
        options: &TokenOptions,
    ) -> Result<Answer<Token>, CallError> {
        let mut form = vec![
            ("grant_type", "password"),
            ("username", grant.username.expose()),
            ("password", grant.password.expose()),
        ];
        form.extend(grant.extension.map(|extension| ("extension", extension.as_str())));
        self.grant(budget, form, options).await
    }

    /// Exchanges a refresh token. Costs one Auth request, and the access token issued beside it dies at once (documented).
    ///
    /// After a lost answer the same refresh token may be presented again for an hour, as long as the new access token was
    /// not used, and yields the same pair (documented, and seen in RingCentral's own experiment).
    ///
    /// # Errors
    /// [`CallError`]; see [`classify_token`](crate::classify_token).
    pub async fn token_by_refresh(
        &self,
        budget: AuthBudget<'_>,
        refresh_token: &RefreshToken,
        options: &TokenOptions,
    ) -> Result<Answer<Token>, CallError> {
        let form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        self.grant(budget, form, options).await
    }

    /// Ends the whole session: this token, its refresh token and every copy held elsewhere (documented). Costs one Auth
    /// request. Errors are not worth a repeat (documented).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn revoke(&self, budget: AuthBudget<'_>, token: &AccessToken) -> Result<Answer<()>, CallError> {
        let request = self.app_post("/restapi/oauth/revoke", vec![("token", token.expose())]);
        let reply = self.exchange(&budget.key(), request, self.config().answer_cap_bytes).await?;
        Ok(reply.without_body())
    }

    async fn grant(
        &self,
        budget: AuthBudget<'_>,
        mut form: Vec<(&str, &str)>,
        options: &TokenOptions,
    ) -> Result<Answer<Token>, CallError> {
        let access_ttl = options.access_token_ttl.map(|ttl| ttl.as_secs().to_string());
        let refresh_ttl = options.refresh_token_ttl.map(|ttl| ttl.as_secs().to_string());
        form.extend(access_ttl.as_deref().map(|ttl| ("access_token_ttl", ttl)));
        form.extend(refresh_ttl.as_deref().map(|ttl| ("refresh_token_ttl", ttl)));
        form.extend(options.endpoint_id.as_deref().map(|id| ("endpoint_id", id)));
        let request = self.app_post("/restapi/oauth/token", form);
        let reply = self.exchange(&budget.key(), request, self.config().answer_cap_bytes).await?;
        reply.answer(token)
    }

    /// A form with the app's own credentials: Basic where there is a secret (documented as `client_secret_basic`), else the
    /// client id in the body, which is how a public client names itself (documented).
    fn app_post<'a>(&'a self, path: &str, mut form: Vec<(&'a str, &'a str)>) -> RequestBuilder {
        let config = self.config();
        let request = self.post(path).header(http::header::ACCEPT, "application/json");
        match &config.client_secret {
            Some(secret) => request.basic_auth(config.client_id.as_str(), Some(secret.expose())).form(&form),
            None => {
                form.push(("client_id", config.client_id.as_str()));
                request.form(&form)
            }
        }
    }
}
