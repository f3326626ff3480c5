//! The login page: one plain form, no script, so that a browser, a test and curl can fill it in.

use std::fmt::Write;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::authorize_request::CARRIED;
use super::error::OauthError;
use crate::app::AppSettings;
use crate::query::Pairs;
use crate::world::World;

/// Extensions that the page suggests; any other can be typed.
const SUGGESTED: usize = 50;
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:4rem auto;padding:0 1rem}\
    label{display:block;margin:1rem 0}input{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.4rem}\
    button{font:inherit;padding:.5rem 1rem;margin-right:.5rem}[role=alert]{border-left:4px solid #b00;padding-left:.75rem}";

/// The page, again with what went wrong after a try that failed.
pub(super) fn login(
    world: &World,
    app: &AppSettings,
    parameters: &Pairs<'_>,
    problem: Option<&OauthError>,
) -> Response {
    let mut body = format!(
        "<h1>Sign in</h1><p>The app <code>{}</code> asks for: {}.</p>",
        escape(&app.client_id),
        escape(&app.permissions.join(", ")),
    );
    if let Some(error) = problem {
        alert(&mut body, error);
    }
    body.push_str("<form method=\"post\" action=\"/restapi/oauth/authorize\">");
    for name in CARRIED {
        if let Some(value) = parameters.first(name) {
            // Writing to a String never fails, here and below.
            let _ = write!(body, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
        }
    }
    let typed = parameters.first("login").or_else(|| parameters.first("login_hint")).unwrap_or_default();
    let _ = write!(
        body,
        "<label>Extension or phone number<input name=\"login\" list=\"extensions\" value=\"{}\" autocomplete=\"username\" \
         required autofocus></label><datalist id=\"extensions\">",
        escape(typed),
    );
    for index in 0..world.extensions.len().min(SUGGESTED) {
        let number = world.directory.extension_number(index);
        let _ = write!(body, "<option value=\"{number}\">{}</option>", escape(&world.directory.name(index)));
    }
    body.push_str(
        "</datalist><label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required>\
         </label><button name=\"decision\" value=\"allow\">Sign in and allow</button>\
         <button name=\"decision\" value=\"deny\" formnovalidate>Deny</button></form>",
    );
    page(problem.map_or(200, |error| error.status), &body)
}

/// For requests that can't be answered at the redirect URI.
pub(super) fn error(error: &OauthError) -> Response {
    let mut body = "<h1>Sign in is not possible</h1>".to_owned();
    alert(&mut body, error);
    page(error.status, &body)
}

fn alert(body: &mut String, error: &OauthError) {
    let _ = write!(body, "<p role=\"alert\"><strong>{}</strong> {}</p>", error.code, escape(error.message));
}

fn page(status: u16, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>RingCentral simulator</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>{body}</body></html>"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // No `form-action`: browsers would apply it to the redirect as well.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn escape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
