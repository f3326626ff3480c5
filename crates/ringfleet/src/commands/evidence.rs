//! Everything that is known of one message, for a person. Numbers are shortened and the text is left out unless asked for.

use jiff::Timestamp;
use ringcentral::PhoneNumber;
use ringfleet_explain::{Sense, sense};
use ringfleet_store::{DeliveryReport, MessageView, Millis, Private, State};
use serde_json::{Value, json};

/// Nobody knows whether it was sent, so the evidence of its send is shown.
fn undecided(view: &MessageView) -> bool {
    matches!(view.state, State::Unknown | State::Held)
}

/// From when on an earlier attempt of a message may have arrived that has ended otherwise.
pub(super) fn in_doubt(view: &MessageView) -> Option<Millis> {
    view.may_have_arrived().filter(|_| !undecided(view))
}

/// In a list of those that can be sent again.
pub(super) fn reason_of(view: &MessageView) -> String {
    let doubt = if in_doubt(view).is_some() { "; an earlier attempt may have arrived" } else { "" };
    format!("{}{doubt}", view.reason)
}

/// What is to be done about its reason, or before.
///
/// SEND-SAFETY: of a code like MSG-290 it is said that nothing was sent. That is true of the last attempt only; of an earlier one
/// nobody knows, and whoever sends it again has to look first.
fn remedy(view: &MessageView, sense: Option<Sense>) -> Option<String> {
    let look = |at| {
        let extension = view.lane.extension();
        let from = time(Some(at));
        format!(
            "an earlier attempt may have arrived: look first among the texts that extension {extension} sent from {from} on"
        )
    };
    in_doubt(view).map(look).or_else(|| sense?.remedy.map(str::to_owned))
}

/// The store lost it together with the moment in which it was sent: only its key is left.
pub(super) fn content_is_gone(view: &MessageView) -> bool {
    view.to.expose().is_empty()
}

/// Where at the provider a text must stand if it was sent: between these times, to a number with these last digits.
pub(super) struct LookFor {
    pub from: Option<String>,
    pub to: Option<String>,
    pub ends_in: Option<String>,
}

impl LookFor {
    /// The times reach as far as the two clocks may differ.
    pub(super) fn of(view: &MessageView, clock_skew: Millis) -> Option<Self> {
        let digits = PhoneNumber::try_new(view.to.expose()).ok();
        (undecided(view) || in_doubt(view).is_some()).then(|| Self {
            from: view.intent_at.and_then(|at| rfc3339(at.saturating_sub(clock_skew))),
            to: view.finished_at.and_then(|at| rfc3339(at.saturating_add(clock_skew))),
            ends_in: digits.map(|number| number.expose().chars().skip(number.expose().len() - 4).collect()),
        })
    }

    pub(super) fn sentence(&self, extension: &str) -> String {
        let ends =
            self.ends_in.as_ref().map(|digits| format!(" to a number that ends in {digits}")).unwrap_or_default();
        let from = self.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
        let to = self.to.as_ref().map(|to| format!(" until {to}")).unwrap_or_default();
        format!("look among the texts that extension {extension} sent{from}{to}{ends}")
    }
}

pub(super) fn lines(view: &MessageView, private: bool) -> Vec<String> {
    let mut lines = vec![
        format!("id          {}", view.id),
        format!("state       {}", view.state.as_str()),
        format!("extension   {}", view.lane.extension()),
        format!("from        {}", number(&view.from, private)),
        format!("to          {}", number(&view.to, private)),
        format!("priority    {}", view.priority.as_str()),
        format!("if unknown  {}", view.on_unknown.as_str()),
        format!("attempts    {} failed, {} lost with a worker", view.attempt, view.recoveries),
        format!("created     {}", time(Some(view.created_at))),
    ];
    if private && !view.text.expose().is_empty() {
        // Quoted, so that no control character of a text reaches the terminal.
        lines.push(format!("text        {:?}", view.text.expose()));
    }
    let ended = if undecided(view) { "since" } else { "finished" };
    let began = view.may_have_arrived();
    let times =
        [("send at", view.send_at), ("send by", view.send_by), ("begun after", began), (ended, view.finished_at)];
    lines.extend(times.iter().filter(|(_, at)| at.is_some()).map(|(what, at)| format!("{what:<11} {}", time(*at))));
    if undecided(view) {
        lines.push(match view.reads {
            // SEND-SAFETY: whoever reads "not found" sends it again. It was read, and how often says nothing: only readings without a
            // match are counted.
            _ if view.reason == "unclear-match" => {
                "looked up   in the provider's message store: one that can't be compared may be it".to_owned()
            }
            _ if view.reason == "clocks-apart" => {
                "looked up   in vain: the store's clock was not the provider's".to_owned()
            }
            _ if view.reason == "several-matches" => {
                "looked up   in the provider's message store: several may be it".to_owned()
            }
            0 => "looked up   never in the provider's message store".to_owned(),
            reads => format!("looked up   {reads} times in the provider's message store, not found"),
        });
    }
    if !view.reason.is_empty() {
        lines.push(format!("reason      {}", view.reason));
        let sense = sense(&view.reason);
        let meaning = sense.map(|sense| sense.meaning.to_owned());
        let told: Vec<String> = meaning.into_iter().chain(remedy(view, sense)).collect();
        lines.extend((!told.is_empty()).then(|| format!("            {}", told.join("; "))));
    }
    lines.extend(view.delivery.iter().map(delivery_line));
    lines.extend(view.provider_id.iter().map(|id| format!("provider id {id}")));
    lines
}

fn delivery_line(report: &DeliveryReport) -> String {
    let code = Some(&report.code).filter(|code| !code.is_empty()).map(|code| format!(", {code}")).unwrap_or_default();
    format!("told        {}{code}", time(Some(report.at)))
}

pub(super) fn as_json(view: &MessageView, private: bool, clock_skew: Millis) -> Value {
    let sense = sense(&view.reason);
    let mut whole = json!({
        "id": view.id.to_string(),
        "state": view.state.as_str(),
        "extension": view.lane.extension(),
        "from": number(&view.from, private),
        "to": number(&view.to, private),
        "priority": view.priority.as_str(),
        "on_unknown": view.on_unknown.as_str(),
        "attempts": view.attempt,
        "recoveries": view.recoveries,
        "created_at": rfc3339(view.created_at),
        "send_at": view.send_at.and_then(rfc3339),
        "send_by": view.send_by.and_then(rfc3339),
        "finished_at": view.finished_at.and_then(rfc3339),
        "intent_at": view.intent_at.and_then(rfc3339),
        "reads": view.reads,
        "reason": Some(&view.reason).filter(|reason| !reason.is_empty()),
        "meaning": sense.map(|sense| sense.meaning),
        "remedy": remedy(view, sense),
        "provider_message_id": view.provider_id,
        "delivery": view.delivery.as_ref().map(|report| json!({"at": rfc3339(report.at), "code": report.code})),
        "look_for": LookFor::of(view, clock_skew).map(|look| json!({
            "extension": view.lane.extension(), "from": look.from, "to": look.to, "recipient_ends_in": look.ends_in,
        })),
    });
    if private {
        whole["text"] = json!(view.text.expose());
    }
    whole
}

/// One of a list, for programs.
pub(super) fn listed(view: &MessageView) -> Value {
    let sense = sense(&view.reason);
    json!({
        "id": view.id.to_string(),
        "extension": view.lane.extension(),
        "since": time(view.came_into_state()),
        "attempts": view.attempt,
        "reason": view.reason,
        "meaning": sense.map(|sense| sense.meaning),
        // SEND-SAFETY: beside the code of the last attempt it is said that an earlier one may have arrived.
        "remedy": remedy(view, sense),
    })
}

pub(super) fn number(number: &Private, private: bool) -> String {
    match PhoneNumber::try_new(number.expose()) {
        Ok(number) if private => number.expose().to_owned(),
        Ok(number) => number.to_string(),
        Err(_) if number.expose().is_empty() => "[lost]".to_owned(),
        Err(_) => "[unreadable]".to_owned(),
    }
}

pub(super) fn time(at: Option<Millis>) -> String {
    at.and_then(rfc3339).unwrap_or_else(|| "-".to_owned())
}

fn rfc3339(at: Millis) -> Option<String> {
    Timestamp::from_millisecond(at).ok().map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use ringfleet_store::{MessageId, OnUnknown, Priority};

    use super::*;

    fn held() -> MessageView {
        MessageView {
            id: MessageId::random(),
            lane: "main/101/medium".parse().unwrap(),
            state: State::Held,
            from: Private::new("+15550100001"),
            to: Private::new("+15550207788"),
            text: Private::new("canary\u{1b}"),
            priority: Priority::Normal,
            attempt: 1,
            recoveries: 0,
            created_at: 1_000,
            send_at: None,
            send_by: None,
            on_unknown: OnUnknown::Reconcile,
            reason: "several-matches".into(),
            provider_id: None,
            finished_at: Some(200_000),
            intent_at: Some(150_000),
            reads: 2,
            delivery: None,
        }
    }

    #[test]
    fn nothing_private_is_shown_unless_asked_for() {
        let view = held();
        let quiet = lines(&view, false).join("\n") + &as_json(&view, false, 0).to_string();
        assert!(!quiet.contains("canary") && !quiet.contains("555020"), "{quiet}");
        let told = lines(&view, true).join("\n");
        assert!(told.contains("+15550207788") && told.contains(r#""canary\u{1b}""#), "{told}");
        assert_eq!(as_json(&view, true, 0)["text"], "canary\u{1b}");
    }

    #[test]
    fn a_person_is_told_where_and_when_to_look() {
        let look = LookFor::of(&held(), 30_000).unwrap().sentence("101");
        let expected = "look among the texts that extension 101 sent from 1970-01-01T00:02:00Z until 1970-01-01T00:03:50Z to \
                        a number that ends in 7788";
        assert_eq!(look, expected);
        let shown = lines(&held(), false).join("\n");
        for part in ["if unknown  reconcile", "begun after 1970-01-01T00:02:30Z", "several texts"] {
            assert!(shown.contains(part), "{part} is missing in:\n{shown}");
        }
        let looked_up = |reason: &str, reads| {
            let view = MessageView { reason: reason.into(), reads, ..held() };
            lines(&view, false).into_iter().find(|line| line.starts_with("looked up")).unwrap()
        };
        for reads in [0, 2] {
            let several = "looked up   in the provider's message store: several may be it";
            assert_eq!(looked_up("several-matches", reads), several);
            let unclear = "looked up   in the provider's message store: one that can't be compared may be it";
            assert_eq!(looked_up("unclear-match", reads), unclear);
        }
        let apart = "looked up   in vain: the store's clock was not the provider's";
        assert_eq!(looked_up("clocks-apart", 1), apart);
        let never = "looked up   never in the provider's message store";
        assert_eq!(looked_up("worker-lost", 0), never);
        let not_found = "looked up   2 times in the provider's message store, not found";
        assert_eq!(looked_up("unreadable for too long", 2), not_found);
        // The fifth send of a message that is sent again at once: it may have been any of them.
        let again = MessageView { on_unknown: OnUnknown::Resend, reason: "worker-lost".into(), reads: 0, ..held() };
        assert_eq!(LookFor::of(&again, 30_000).unwrap().sentence("101"), expected);
        let sent = MessageView { state: State::Sent, ..held() };
        assert!(LookFor::of(&sent, 0).is_none() && !lines(&sent, false).join("\n").contains("looked up"));
    }

    #[test]
    fn what_the_provider_says_of_the_last_attempt_is_not_told_of_an_earlier_one_that_may_have_arrived() {
        let dead = |on_unknown| MessageView {
            state: State::Dead,
            on_unknown,
            reason: "MSG-290".into(),
            attempt: 5,
            reads: 0,
            ..held()
        };
        let unsure = dead(OnUnknown::Resend);
        let (shown, whole) = (lines(&unsure, false).join("\n"), as_json(&unsure, false, 30_000));
        let doubt = "an earlier attempt may have arrived: look first among the texts that extension 101 sent from \
                     1970-01-01T00:02:30Z on";
        for part in ["begun after 1970-01-01T00:02:30Z", "finished    1970-01-01T00:03:20Z", "could not send", doubt] {
            assert!(shown.contains(part), "{part} is missing in:\n{shown}");
        }
        assert_eq!((&whole["remedy"], &whole["look_for"]["from"]), (&json!(doubt), &json!("1970-01-01T00:02:00Z")));
        assert!(!shown.contains("not sent") && !whole.to_string().contains("not sent"), "{shown}\n{whole}");
        // Each attempt's fate was found out before the next.
        let sure = dead(OnUnknown::Reconcile);
        let (shown, whole) = (lines(&sure, false).join("\n"), as_json(&sure, false, 30_000));
        assert!(shown.contains("states that it was not sent") && !shown.contains("begun after"), "{shown}");
        assert!(whole["look_for"].is_null() && LookFor::of(&sure, 0).is_none(), "{whole}");
    }
}
