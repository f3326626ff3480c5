//! How pages look. Everything that comes from outside passes through maud, which escapes it.

pub(crate) mod employee;
pub(crate) mod explained;
pub(crate) mod fleet;
pub(crate) mod operator;
pub(crate) mod trouble;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use ringfleet_store::Millis;

/// Two linked rings.
const MARK: &str = r#"<svg class="mark" viewBox="0 0 40 24" width="40" height="24" aria-hidden="true" focusable="false"><g fill="none" stroke-width="4"><circle cx="13" cy="12" r="9"/><circle cx="27" cy="12" r="9"/></g></svg>"#;

/// A whole page with its title.
pub(crate) fn answer(status: StatusCode, title: &str, body: Markup) -> Response {
    respond(status, frame(title, &html! {}, &html! {}, body))
}

/// A page of the operator's, which is wider and has a way out.
pub(crate) fn operator_answer(status: StatusCode, title: &str, way_out: &Markup, body: Markup) -> Response {
    respond(status, frame(title, &html! {}, way_out, body))
}

/// A page of the operator's that the browser loads anew by itself after so many seconds; `None`: it stays as it is.
pub(crate) fn live_answer(
    status: StatusCode,
    title: &str,
    way_out: &Markup,
    again_s: Option<u64>,
    body: Markup,
) -> Response {
    let refresh = html! { @if let Some(seconds) = again_s { meta http-equiv="refresh" content=(seconds); } };
    respond(status, frame(title, &refresh, way_out, body))
}

/// A page that goes on to `address` by itself, and says so.
pub(crate) fn leading_to(address: &str, title: &str, body: Markup) -> Response {
    let refresh = html! { meta http-equiv="refresh" content={ "0;url=" (address) }; };
    respond(StatusCode::OK, frame(title, &refresh, &html! {}, body))
}

fn respond(status: StatusCode, page: Markup) -> Response {
    let mut response = (status, Html(page.into_string())).into_response();
    response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    response
}

fn frame(title: &str, head: &Markup, corner: &Markup, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · Ringfleet" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="stylesheet" href="/connect/style.css";
                link rel="icon" type="image/svg+xml" href="/connect/icon.svg";
                (head)
            }
            body {
                header {
                    div.brand { (PreEscaped(MARK)) span { "Ringfleet" } }
                    (corner)
                }
                main { (body) }
            }
        }
    }
}

/// A sentence in which backticks set commands off.
pub(crate) fn prose(text: &str) -> Markup {
    html! {
        @for (n, part) in text.split('`').enumerate() {
            @if n % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

/// With a capital letter, as a sentence begins.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A point of time for people, and for programs in its attribute.
pub(crate) fn date(at: Millis) -> Markup {
    let Ok(at) = Timestamp::from_millisecond(at) else { return html! { "–" } };
    let shown = at.strftime("%-d %b %Y, %H:%M UTC").to_string();
    html! { time datetime=(at) { (shown) } }
}

/// How far away, roughly: "in 6 days", "2 hours ago".
pub(crate) fn distance(from: Millis, to: Millis) -> String {
    let seconds = (to - from).unsigned_abs() / 1_000;
    let (number, unit) = match seconds {
        0..60 => return if to >= from { "in less than a minute" } else { "just now" }.to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let s = if number == 1 { "" } else { "s" };
    if to >= from { format!("in {number} {unit}{s}") } else { format!("{number} {unit}{s} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_a_person_would() {
        for (seconds, told) in [
            (3, "in less than a minute"),
            (-3, "just now"),
            (60, "in 1 minute"),
            (-7_300, "2 hours ago"),
            (604_700, "in 6 days"),
        ] {
            assert_eq!(distance(1_000_000_000, 1_000_000_000 + seconds * 1_000), told);
        }
        assert!(date(1_795_537_800_000).into_string().contains("2026"));
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let page = frame("<script>", &html! {}, &html! {}, html! { p { "\"><img src=x>" } }).into_string();
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert_eq!(prose("say `a <b>` twice").into_string(), "say <code>a &lt;b&gt;</code> twice");
    }
}
