//! The employee's pages.

use maud::{Markup, PreEscaped, html};
use ringcentral::ExtensionId;

use crate::{
    browser::{Browser, FORM_FIELD},
    exchange::Connected,
};

/// A tick in a ring.
const DONE: &str = r#"<svg class="sign good" viewBox="0 0 48 48" width="48" height="48" aria-hidden="true" focusable="false"><circle cx="24" cy="24" r="21" fill="none" stroke-width="4"/><path d="M15 25l6 6 12-14" fill="none" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/></svg>"#;

/// What it is about, and the button. `server` is where it leads.
pub(crate) fn begin(browser: &Browser, invite: Option<&str>, invited: Option<&ExtensionId>, server: &str) -> Markup {
    html! {
        h1 { "Connect your extension" }
        @if let Some(extension) = invited {
            p.note { "You are invited to connect the extension with the id " strong { (extension) } "." }
        }
        p.lead { "Ringfleet sends text messages for your company from your own RingCentral number. It needs your permission for that, once." }
        ol.steps {
            li { "Press the button. It takes you to RingCentral." }
            li { "Sign in there as always. Ringfleet never sees your password." }
            li { "Allow access. You come back here, and you are done." }
        }
        form method="post" action="/connect/start" {
            input type="hidden" name=(FORM_FIELD) value=(browser.form_token());
            @if let Some(invite) = invite {
                input type="hidden" name="invite" value=(invite);
            }
            button.main type="submit" { "Connect my extension" }
        }
        p.small { "The sign-in page is at " span.address { (server) } ". Check the address before you type your password." }
    }
}

/// Shown for the moment that a browser takes to go on.
pub(crate) fn leave(address: &str) -> Markup {
    html! {
        h1 { "Taking you to RingCentral…" }
        p { "If nothing happens, go on by yourself:" }
        p { a.button.main href=(address) rel="noreferrer" { "Sign in at RingCentral" } }
    }
}

/// `off`: an operator keeps the connection from being used.
pub(crate) fn connected(connected: &Connected, off: bool) -> Markup {
    let name = match &connected.number {
        Some(number) => html! { "Extension " (number) },
        None => html! { "The extension with the id " (connected.extension) },
    };
    html! {
        (PreEscaped(DONE))
        h1 { (name) " is connected" }
        @if off { (switched_off()) }
        @if connected.can_text {
            @if !off { p.lead { "Ringfleet can now send texts from your number." } }
        } @else {
            div.warn role="alert" {
                p { strong { "It can't send texts yet." } " The app that Ringfleet uses at RingCentral lacks the permission SMS." }
                p { "Tell the person who runs Ringfleet to add it in the app's settings; then connect once more." }
            }
        }
        @if !off { p { "There is nothing else to do: the connection renews itself. You can close this page." } }
        p.small { "Should you leave the company or change your mind, tell the person who runs Ringfleet. A new RingCentral password ends the connection too." }
    }
}

/// The page of a good end, loaded again.
pub(crate) fn connected_before(extension: &ExtensionId, off: bool) -> Markup {
    html! {
        (PreEscaped(DONE))
        h1 { "Your extension is connected" }
        @if off { (switched_off()) }
        p { "It is the one with the id " (extension) "." @if !off { " There is nothing else to do; you can close this page." } }
    }
}

fn switched_off() -> Markup {
    html! {
        div.warn role="alert" {
            p { strong { "An operator has switched this connection off." } " It will be used only when they switch it on again." }
            p { "Operators are the people who run Ringfleet. Tell them that you have connected; then you can close this page." }
        }
    }
}
