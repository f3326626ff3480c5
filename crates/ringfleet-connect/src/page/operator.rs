//! The operator's pages.

use maud::{Markup, html};
use ringfleet_identity::Method;
use ringfleet_store::{Group, Millis};

use super::{date, distance, prose};
use crate::{
    browser::{Browser, FORM_FIELD},
    operator::{Entry, FLEET, Health, LIST, MESSAGE, Overview, Problem, Row, Title},
};

/// `to`: the page that it leads to.
pub(crate) fn sign_in(browser: &Browser, wrong: bool, to: &str) -> Markup {
    html! {
        h1 { "For operators" }
        p.lead { "The list of extensions and the page of the fleet are for the people who run Ringfleet." }
        @if wrong {
            p.warn role="alert" { "This is none of the keys. Keys stand in Ringfleet's settings: connect.operator_keys, or else api.keys." }
        }
        form method="post" action="/connect/operator" {
            input type="hidden" name=(FORM_FIELD) value=(browser.form_token());
            input type="hidden" name="to" value=(to);
            label for="key" { "Key" }
            input id="key" name="key" type="password" autocomplete="current-password" required maxlength="1000" autofocus;
            button.main type="submit" { "Sign in" }
        }
        p.small { "To connect your own extension you need no key: " a href="/connect" { "begin here" } "." }
    }
}

/// The button in the corner.
pub(crate) fn way_out(browser: &Browser) -> Markup {
    html! {
        form.corner method="post" action="/connect/operator/leave" {
            input type="hidden" name=(FORM_FIELD) value=(browser.form_token());
            button.quiet type="submit" { "Sign out" }
        }
    }
}

/// The way to the operator's other pages.
pub(super) fn parts(here: &str) -> Markup {
    let all = [(LIST, "Extensions"), (FLEET, "Fleet"), (MESSAGE, "Explain")];
    html! {
        nav.parts aria-label="Pages for operators" {
            @for (address, name) in all {
                a href=(address) aria-current=[(address == here).then_some("page")] { (name) }
            }
        }
    }
}

pub(crate) fn list(overview: &Overview, browser: &Browser, search: &str, done: Option<&str>) -> Markup {
    html! {
        div.wide {
            (parts(LIST))
            h1 { "Extensions" }
            @if let Some(done) = done {
                p.note role="status" { (done) }
            }
            ul.totals {
                li { strong { (overview.extensions) } " in all" }
                li.good { strong { (overview.connected) } " connected" }
                li.bad[overview.attention > 0] { strong { (overview.attention) } " need attention" }
            }
            form.search method="get" action=(LIST) role="search" {
                label.hidden for="q" { "Extension number, name or id" }
                input id="q" name="q" type="search" value=(search) placeholder="Number, name or id" maxlength="64";
                button type="submit" { "Find" }
            }
            @if overview.rows.is_empty() {
                (nobody(search))
            } @else {
                ul.rows { @for row in &overview.rows { (one(row, browser, overview.now)) } }
            }
            (pages(overview, search))
            section.invite {
                h2 { "Invite an employee" }
                p { "Makes a link for one extension, good for a week. Send it to the employee; whoever signs in as somebody else with it connects nothing." }
                (invite_form(browser))
            }
        }
    }
}

fn nobody(search: &str) -> Markup {
    html! {
        @if search.trim().is_empty() {
            p.empty { "No extension is connected yet. Invite somebody below, or add JWTs with " code { "ringfleet credentials import" } "." }
        } @else {
            p.empty { "No extension's number, name or id holds “" (search) "”. " a href=(LIST) { "Show all" } }
        }
    }
}

fn one(row: &Row, browser: &Browser, now: Millis) -> Markup {
    let (class, word) = match row.health {
        Health::Connected => ("good", "Connected"),
        Health::Attention => ("bad", "Needs attention"),
        Health::SwitchedOff => ("off", "Switched off"),
        Health::NotConnected => ("off", "Not connected"),
    };
    html! {
        li.row id={ "e" (row.extension) } {
            div.head {
                h2 { (heading(&row.title)) }
                span class={ "badge " (class) } { (word) }
            }
            @if row.title.who.short.is_some() { p.small { "Id " (row.extension) } }
            @if let Some(problem) = &row.problem { (trouble(problem)) }
            @if row.waiting > 0 || !row.parked.is_empty() { p.lanes { (lanes(row)) } }
            @for entry in &row.entries { (credential(row, entry, browser, now)) }
            @if row.health == Health::Attention || row.entries.is_empty() {
                form.inline method="post" action="/connect/invitations" {
                    input type="hidden" name=(FORM_FIELD) value=(browser.form_token());
                    input type="hidden" name="extension" value=(row.extension);
                    button type="submit" { "Invitation link" }
                }
            }
        }
    }
}

/// `102 · Ada Brook`, or the id where nothing more is known.
pub(super) fn heading(title: &Title) -> Markup {
    html! {
        @match &title.who.short { Some(short) => { (short) }, None => { (title.who.id) } }
        @if let Some(name) = &title.name { " · " (name) }
    }
}

fn lanes(row: &Row) -> Markup {
    let parked: Vec<&str> = row.parked.iter().map(|(group, _)| Group::as_str(*group)).collect();
    html! {
        @if row.waiting > 0 {
            (row.waiting) @if row.waiting == 1 { " text waits. " } @else { " texts wait. " }
        }
        @match parked.as_slice() {
            [] => {},
            [one] => { "1 lane stands still (" (one) ")." },
            more => { (more.len()) " lanes stand still (" (more.join(", ")) ")." },
        }
    }
}

fn credential(row: &Row, entry: &Entry, browser: &Browser, now: Millis) -> Markup {
    let path = format!("{LIST}/{}/{}", row.extension, entry.method);
    let subject = format!("{} of {}", name(entry.method), row.title.who);
    html! {
        div.credential {
            div.facts {
                h3 {
                    (name(entry.method))
                    @if !entry.enabled { " " span.badge.off { "Switched off" } }
                }
                p.small {
                    @if entry.fixed { "From the accounts file. " }
                    @if let Some(since) = entry.since { "Since " (date(since)) ". " }
                    @if let Some(until) = entry.until {
                        @if until > now {
                            "Lasts until " (date(until)) " (" (distance(now, until)) ")"
                            @if entry.method == Method::Code { ", and is renewed before" }
                            "."
                        } @else { "Ended " (date(until)) " (" (distance(now, until)) ")." }
                    }
                }
                @if let Some(problem) = &entry.problem { (trouble(problem)) }
            }
            @if !entry.fixed {
                div.buttons {
                    form method="post" action={ (path) "/switch" } {
                        input type="hidden" name=(FORM_FIELD) value=(browser.form_token());
                        input type="hidden" name="on" value=(!entry.enabled);
                        button type="submit" aria-label={ (if entry.enabled { "Switch off " } else { "Switch on " }) (subject) } {
                            (if entry.enabled { "Switch off" } else { "Switch on" })
                        }
                    }
                    a.button.danger href={ (path) "/disconnect" } aria-label={ "Disconnect " (subject) } { "Disconnect…" }
                }
            }
        }
    }
}

fn trouble(problem: &Problem) -> Markup {
    html! {
        p.warn.mild[problem.mild] {
            strong { (problem.what) "." } " To do: " (prose(&problem.next)) "."
            @if let Some(code) = &problem.code { " " code { (code) } }
        }
    }
}

fn pages(overview: &Overview, search: &str) -> Markup {
    let link = |page: usize, rel: &str, name: &str| {
        html! { a.button rel=(rel) href={ (LIST) "?page=" (page) "&q=" (in_query(search)) } { (name) } }
    };
    html! {
        @if overview.pages > 1 {
            nav.pages aria-label="Pages" {
                @if overview.page > 0 { (link(overview.page - 1, "prev", "← Before")) }
                span { "Page " (overview.page + 1) " of " (overview.pages) }
                @if overview.page + 1 < overview.pages { (link(overview.page + 1, "next", "After →")) }
            }
        }
    }
}

/// Text as a value of a query.
fn in_query(text: &str) -> String {
    let one = |byte: u8| match byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn invite_form(browser: &Browser) -> Markup {
    html! {
        form.search method="post" action="/connect/invitations" {
            input type="hidden" name=(FORM_FIELD) value=(browser.form_token());
            label for="extension" { "Extension number or id" }
            input id="extension" name="extension" inputmode="numeric" required maxlength="64" autocomplete="off";
            button type="submit" { "Make a link" }
        }
    }
}

pub(crate) fn invitation(title: &Title, link: &str, until: Millis) -> Markup {
    html! {
        h1 { "Invitation for " (heading(title)) }
        p.small { "Extension id " (title.who.id) }
        p.lead { "Send this link to the employee who has this extension." }
        p.copy { (link) }
        p.small { "Good until " (date(until)) ". It connects this extension and no other." }
        p { a.button href=(LIST) { "To the list" } }
    }
}

pub(crate) fn no_such_extension(browser: &Browser) -> Markup {
    html! {
        h1 { "That is no extension id" }
        p.lead { "An id has nine digits or more, such as 400129284008; RingCentral's list of users shows it in the address of a user's page. The number that colleagues dial will do where the fleet knows it and only one extension has it." }
        (invite_form(browser))
        p { a.button href=(LIST) { "To the list" } }
    }
}

pub(crate) fn ask_disconnect(browser: &Browser, title: &Title, method: Method) -> Markup {
    html! {
        h1 { "Disconnect " (heading(title)) "?" }
        p.lead {
            @match method {
                Method::Code => { "The session at RingCentral ends, and the connection is forgotten. The employee can connect again at any time." },
                Method::Jwt => { "The JWT is forgotten here. It stays good at RingCentral until its owner revokes it in the developer console." },
                Method::Password => { "The password is forgotten here." },
            }
        }
        p { "If this extension has no other way to log in, its texts wait until it has one. To stop using it for a while, switch it off instead." }
        form method="post" action={ (LIST) "/" (title.who.id) "/" (method) "/disconnect" } {
            input type="hidden" name=(FORM_FIELD) value=(browser.form_token());
            div.buttons {
                button.danger type="submit" { "Disconnect" }
                a.button href=(LIST) { "Keep it" }
            }
        }
    }
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Jwt => "JWT",
        Method::Code => "Connected by the employee",
        Method::Password => "Password",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_of_the_same_search() {
        let (extensions, connected, attention) = (60, 60, 0);
        let overview = Overview { rows: Vec::new(), extensions, connected, attention, page: 1, pages: 3, now: 0 };
        let told = pages(&overview, "Ada Brück&page=9").into_string();
        assert!(told.contains("?page=2&amp;q=Ada%20Br%C3%BCck%26page%3D9\""), "{told}");
        assert!(told.contains("?page=0&amp;q=Ada%20Br%C3%BCck%26page%3D9\""), "{told}");
    }
}
