//! Why a message or an extension isn't moving, as a page: what `ringfleet explain` tells.

use maud::{Markup, html};
use ringcentral::PhoneNumber;
use ringfleet_explain::{Told, ToldEta, ToldLane, ToldWhy};
use ringfleet_store::{Explained, MessageId, MessageView, Millis, Private, Stand, State};

use super::{
    capital, date,
    fleet::way,
    operator::{heading, parts},
};
use crate::{
    browser::{Browser, FORM_FIELD},
    operator::{EXTENSION, MESSAGE, Title},
};

/// Asks which one is meant.
pub(crate) fn ask(browser: &Browser) -> Markup {
    html! {
        div.wide {
            (parts(MESSAGE))
            h1 { "Why isn't it moving?" }
            p.lead { "What stands in the way of a message or of an extension, since and until when, and what a person can do." }
            (forms(browser))
        }
    }
}

/// By POST: what is typed may be made of a customer's data.
fn forms(browser: &Browser) -> Markup {
    html! {
        form.search method="post" action=(MESSAGE) {
            input type="hidden" name=(FORM_FIELD) value=(browser.form_token());
            label for="message" { "Message" }
            input id="message" name="what" placeholder="Id (msg_…) or key" required maxlength="200" autocomplete="off";
            button type="submit" { "Explain" }
        }
        form.search method="post" action=(EXTENSION) {
            input type="hidden" name=(FORM_FIELD) value=(browser.form_token());
            label for="extension" { "Extension" }
            input id="extension" name="what" placeholder="Number, id or phone number" required maxlength="64" autocomplete="off";
            button type="submit" { "Explain" }
        }
    }
}

pub(crate) fn no_message(browser: &Browser, id: Option<MessageId>) -> Markup {
    html! {
        div.wide {
            (parts(MESSAGE))
            h1 { "No such message" }
            @match id {
                Some(id) => {
                    p.address { (id) }
                    p.lead { "No message has this id. It was pruned when its time was over, or never handed in; or the id or the key was written otherwise." }
                },
                None => { p.lead { "An id is msg_ and 26 characters; a key has 200 bytes at most." } },
            }
            (forms(browser))
        }
    }
}

pub(crate) fn no_extension(browser: &Browser) -> Markup {
    html! {
        div.wide {
            (parts(MESSAGE))
            h1 { "No such extension" }
            p.lead { "Nobody is known by what was typed, or several are. Take the id, which has nine digits or more: the list of extensions shows it." }
            (forms(browser))
        }
    }
}

/// `title`: of its extension. The text is left out, and numbers are shortened.
pub(crate) fn message(
    view: &MessageView,
    explained: &Explained,
    told: &Told,
    title: Option<&Title>,
    browser: &Browser,
) -> Markup {
    let extension = view.lane.extension();
    let due = match &explained.stand {
        Stand::Waiting { due_at, .. } => Some(*due_at),
        _ => view.send_at,
    };
    html! {
        div.wide {
            (parts(""))
            h1 { "Message" }
            p.address { (view.id) }
            p.gate { span class={ "badge " (class(view.state)) } { (view.state.as_str()) } }
            (whys(&told.why))
            (when("When", told.eta.as_ref()))
            @if let Some(quiet) = &told.quiet_hours { p { (capital(&quiet.text)) "." } }
            dl.counts {
                div {
                    dt { "extension" }
                    dd { a href={ (EXTENSION) "?id=" (extension) } { @match title { Some(title) => { (heading(title)) }, None => { (extension) } } } }
                }
                div { dt { "from" } dd { (shortened(&view.from)) } }
                div { dt { "to" } dd { (shortened(&view.to)) } }
                div { dt { "priority" } dd { (view.priority.as_str()) } }
                div { dt { "failed attempts" } dd { (view.attempt) } }
                (at("handed in", Some(view.created_at)))
                (at("due", due))
                (at("to be sent by", view.send_by))
                (at("in this state since", view.came_into_state()))
            }
            (forms(browser))
        }
    }
}

pub(crate) fn extension(told: &ToldLane, title: &Title, is_known: bool, browser: &Browser) -> Markup {
    let last = told.last.as_ref().filter(|_| told.ready > 1);
    html! {
        div.wide {
            (parts(""))
            h1 { "Extension " (heading(title)) }
            p.small { "Id " (told.extension) }
            @if !is_known { p.note { "The sender directory does not know this extension." } }
            ul.totals {
                li { strong { (told.ready) } " due and waiting" }
                li { strong { (told.in_flight) } " under way" }
            }
            @if let Some(since) = &told.oldest_due { p { "The longest waits since " (since) "." } }
            (whys(&told.why))
            (when("The first of them", told.next.as_ref()))
            (when("The last of them", last))
            p.small {
                "What is not due yet is not counted: " code { "ringfleet message waiting " (told.extension) } " lists it."
            }
            (forms(browser))
        }
    }
}

fn whys(all: &[ToldWhy]) -> Markup {
    html! { @for why in all { (way(&why.sentence(), why)) } }
}

fn when(which: &str, eta: Option<&ToldEta>) -> Markup {
    html! {
        @if let Some(eta) = eta {
            div.next {
                h2 { (which) }
                p { (capital(&eta.text)) "." }
            }
        }
    }
}

fn at(what: &str, at: Option<Millis>) -> Markup {
    html! { @if let Some(at) = at { div { dt { (what) } dd { (date(at)) } } } }
}

/// `+1******0123`, as the API and the command line show numbers.
fn shortened(number: &Private) -> String {
    match PhoneNumber::try_new(number.expose()) {
        Ok(number) => number.to_string(),
        Err(_) => "can't be read".to_owned(),
    }
}

fn class(state: State) -> &'static str {
    match state {
        State::Held | State::Dead | State::Rejected | State::DeliveryFailed | State::Unknown => "bad",
        state if state.was_sent() => "good",
        _ => "off",
    }
}
