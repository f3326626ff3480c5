//! Looks at a server that need no user's token: is it there, what time has it, does it take this app's login page?

use std::time::{Duration, Instant};

use http::StatusCode;
use jiff::Timestamp;
use reqwest::{Response, Url};

use super::authorize::AuthorizeRequest;
use crate::answer::{CallError, ConnectFault};
use crate::client::Client;
use crate::provider_error::{ErrorCode, ProviderError};
use crate::rate::http_date;
use crate::transport;

/// How a server answers somebody without a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerProbe {
    pub status: StatusCode,
    /// Its own time, to the second, if it told.
    pub date: Option<Timestamp>,
    pub elapsed: Duration,
    /// Whether it answered like RingCentral's API, with a list of versions.
    pub is_api: bool,
}

/// What the login page says to an authorization request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginPage {
    /// It lets a user sign in, or sends the browser to where one does.
    Shown,
    /// It refuses client id, response type, redirect URI or challenge; with RingCentral's code, if one stands in the answer.
    Refused { status: StatusCode, code: Option<ErrorCode> },
}

impl Client {
    /// Asks for the API's versions. Documented as free of any usage plan, and a good sign of life.
    ///
    /// # Errors
    /// [`CallError`] if no answer came; any status is an answer.
    pub async fn probe(&self) -> Result<ServerProbe, CallError> {
        let started = Instant::now();
        let request = self.get_public(self.config().server.at("/restapi"));
        let response = request.send().await.map_err(transport::failure)?;
        let date = response.headers().get(http::header::DATE).and_then(|value| value.to_str().ok()).and_then(http_date);
        let status = response.status();
        let body = transport::read_capped(response, self.config().answer_cap_bytes).await.unwrap_or_default();
        let versions = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let is_api =
            versions.is_some_and(|body| ["apiVersions", "uriString"].iter().any(|field| body.get(field).is_some()));
        Ok(ServerProbe { status, date, elapsed: started.elapsed(), is_api: is_api && status.is_success() })
    }

    /// Fetches the login page once, as a browser would, and follows no redirect. Nobody is signed in by that. Costs the
    /// server's Auth group (documented); whose budget is not said.
    ///
    /// # Errors
    /// [`CallError`] if no answer came, or a 429 or 5xx, which tells nothing of the request.
    pub async fn try_login_page(&self, request: AuthorizeRequest<'_>) -> Result<LoginPage, CallError> {
        let not_built = |_| CallError::Connect { fault: ConnectFault::NotBuilt, source: None };
        let url = Url::parse(&self.authorize_url(request)).map_err(not_built)?;
        let response = self.get_public(url).send().await.map_err(transport::failure)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let rate = crate::rate::RateHeaders::read(response.headers(), Timestamp::now());
            return Err(CallError::Status { status, error: Box::new(ProviderError::unread()), rate, request_id: None });
        }
        // A refusal may be told on the page, or to the redirect URI: `…?error=invalid_request` (RFC 6749 §4.1.2.1).
        let told = location(&response).filter(|to| to.contains("error=") || to.contains("OAU-"));
        if (status.is_success() || status.is_redirection()) && told.is_none() {
            return Ok(LoginPage::Shown);
        }
        let body = transport::read_capped(response, self.config().answer_cap_bytes).await.unwrap_or_default();
        let text = format!("{} {}", told.unwrap_or_default(), String::from_utf8_lossy(&body));
        Ok(LoginPage::Refused { status, code: first_code(&text) })
    }
}

fn location(response: &Response) -> Option<String> {
    Some(response.headers().get(http::header::LOCATION)?.to_str().ok()?.to_owned())
}

/// The first `OAU-…` in a page.
fn first_code(text: &str) -> Option<ErrorCode> {
    let at = text.find("OAU-")?;
    let digits: String = text[at + 4..].chars().take_while(char::is_ascii_digit).take(4).collect();
    ErrorCode::try_new(&format!("OAU-{digits}")).filter(|_| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_refusal_is_found_in_a_page_and_in_json() {
        let code = |text: &str| first_code(text).map(|code| code.as_str().to_owned());
        assert_eq!(code("<p><strong>OAU-113</strong> No redirect URI</p>").as_deref(), Some("OAU-113"));
        assert_eq!(code(r#"{"errors":[{"errorCode":"OAU-152"}]}"#).as_deref(), Some("OAU-152"));
        assert_eq!(code("an OAU- without a number, +15550100001"), None);
    }
}
