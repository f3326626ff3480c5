//! The page of a trouble.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use maud::{Markup, PreEscaped, html};

use crate::trouble::{Step, Told, Trouble};

/// An exclamation mark in a ring.
const SIGN: &str = r#"<svg class="sign bad" viewBox="0 0 48 48" width="48" height="48" aria-hidden="true" focusable="false"><circle cx="24" cy="24" r="21" fill="none" stroke-width="4"/><path d="M24 13v14" fill="none" stroke-width="4" stroke-linecap="round"/><circle class="dot" cx="24" cy="34" r="2.5"/></svg>"#;

/// `back` is where a person can go on, and what it is called.
pub(crate) fn page(told: &Told, back: Option<(&str, &str)>) -> Markup {
    html! {
        (PreEscaped(SIGN))
        h1 { (told.title) }
        p.lead { (told.what) }
        div.next {
            h2 { "What to do" }
            p { (super::prose(&told.next)) }
        }
        @if let Some((address, name)) = back {
            p { a.button.main href=(address) { (name) } }
        }
        @if let Some(code) = &told.code {
            p.small { "RingCentral's code: " code { (code) } }
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let told = self.told();
        let back = match told.step {
            Step::Again => Some(("/connect", "Begin again")),
            Step::None => None,
        };
        with_retry(&self, super::answer(told.status, told.title, page(&told, back)))
    }
}

/// Says to programs too how long to wait.
pub(crate) fn with_retry(trouble: &Trouble, mut response: Response) -> Response {
    if let Trouble::Busy { wait } | Trouble::TooMany { wait } = trouble {
        let seconds = HeaderValue::from(wait.as_secs_f64().ceil() as u64);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}
