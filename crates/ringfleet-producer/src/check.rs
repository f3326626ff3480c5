//! The rules of one message, as a pure function that tells all faults at once.

use jiff::Timestamp;
use ringcentral::{MessageText, MessageTextError, PhoneNumber, PhoneNumberError, ShortNumber};
use ringfleet_store::{IdempotencyKey, LaneId, NewMessage, OnUnknown, Priority, Private};

use crate::{
    directory::SenderDirectory,
    draft::{Draft, masked},
    refusal::{Code, Field, Refusal},
    spoilt, when,
};

pub(crate) const MOST_KEY_BYTES: usize = 200;
/// Of every number of the North American Numbering Plan, with its country code.
const DIGITS_OF_ONE: usize = 11;

/// Judges a draft; one that names no policy for an unknown fate gets `or_else`. A draft without a key stays without one
/// here; `Producer` gives it one before the store sees it.
pub(crate) fn check(
    directory: &SenderDirectory,
    or_else: OnUnknown,
    draft: &Draft,
    now: Timestamp,
) -> Result<NewMessage, Vec<Refusal>> {
    let mut faults = Vec::new();
    let sender = sender(directory, &draft.from, &mut faults);
    let to = recipient(draft, sender.as_ref().map(|(number, _)| number), &mut faults);
    let text = text(&draft.text, &mut faults);
    let date = |field, raw: &Option<String>| raw.as_deref().map(|raw| when::instant(field, raw)).transpose();
    let send_at = keep(date(Field::SendAt, &draft.send_at), &mut faults).flatten();
    let send_by = keep(date(Field::SendBy, &draft.send_by), &mut faults).flatten();
    faults.extend(when::faults(send_at, send_by, now));
    let priority = keep(priority(draft.priority.as_deref()), &mut faults);
    let on_unknown = keep(draft.on_unknown.as_deref().map_or(Ok(or_else), on_unknown), &mut faults);
    let key = keep(draft.key.as_deref().map(key).transpose(), &mut faults);

    match (sender, to, text, priority, on_unknown, key) {
        (Some((from, lane)), Some(to), Some(text), Some(priority), Some(on_unknown), Some(key))
            if faults.is_empty() =>
        {
            Ok(NewMessage {
                lane,
                key,
                from: Private::new(from.expose()),
                to: Private::new(to.expose()),
                text: Private::new(text.expose()),
                priority,
                on_unknown,
                send_at,
                send_by,
            })
        }
        _ => Err(faults),
    }
}

fn keep<T>(judged: Result<T, Refusal>, faults: &mut Vec<Refusal>) -> Option<T> {
    judged.map_err(|fault| faults.push(fault)).ok()
}

fn sender(directory: &SenderDirectory, raw: &str, faults: &mut Vec<Refusal>) -> Option<(PhoneNumber, LaneId)> {
    let error = match PhoneNumber::try_new(raw) {
        Ok(number) => return keep(directory.by_number(&number).map(|lane| (number, lane)), faults),
        Err(error) => error,
    };
    let found = directory.by_extension(raw).unwrap_or_else(|| {
        // More digits than an extension number has are more often a mistyped telephone number than an id that nobody knows.
        Err(match ShortNumber::try_new(raw) {
            Ok(short) => directory.unknown_extension(&short),
            Err(_) => not_e164(Field::From, raw, &error),
        })
    });
    keep(found, faults)
}

fn recipient(draft: &Draft, from: Option<&PhoneNumber>, faults: &mut Vec<Refusal>) -> Option<PhoneNumber> {
    let to = PhoneNumber::try_new(&draft.to).map_err(|error| not_e164(Field::To, &draft.to, &error));
    let to = keep(to.and_then(|to| whole(&to).map(|()| to)), faults)?;
    if from == Some(&to) || draft.from == to.expose() {
        let remedy = "name the customer's number in to";
        faults.push(Refusal::new(Field::To, Code::SameNumber, "is the same number as from", remedy));
    }
    Some(to)
}

/// Whether a recipient that somebody writes has all of its digits, as far as its plan tells. Not a rule of [`PhoneNumber`], which reads
/// what the provider has written too.
// SEND-SAFETY: a digit too few or too many is a slip, and what is meant is another customer: their text would be lost, and their
// opt-out would look like one and stop nothing.
pub(crate) fn whole(to: &PhoneNumber) -> Result<(), Refusal> {
    let digits = to.expose().len() - 1;
    if !to.expose().starts_with("+1") || digits == DIGITS_OF_ONE {
        return Ok(());
    }
    let problem = quoted(to.expose(), &format!("has {digits} digits; a number of +1 has {DIGITS_OF_ONE}"));
    Err(Refusal::new(
        Field::To,
        Code::NotE164,
        problem,
        "write +1, the area code and seven more digits, like +15550100123",
    ))
}

pub(crate) fn not_e164(field: Field, raw: &str, error: &PhoneNumberError) -> Refusal {
    let (code, problem) = match error {
        PhoneNumberError::Empty => (Code::Missing, "is empty".to_owned()),
        PhoneNumberError::NoPlus => (Code::NotE164, quoted(raw, "is not E.164: it does not begin with +")),
        PhoneNumberError::NotADigit { position } => {
            (Code::NotE164, quoted(raw, &format!("is not E.164: byte {position} is no digit")))
        }
        PhoneNumberError::LeadingZero => (Code::NotE164, quoted(raw, "is not E.164: no country code begins with 0")),
        PhoneNumberError::Length { digits } => {
            (Code::NotE164, quoted(raw, &format!("is not E.164: it has {digits} digits")))
        }
    };
    let (problem, remedy) = match spoilt::told(field, raw) {
        Some((how, remedy)) if code == Code::NotE164 => (quoted(raw, &format!("is not E.164: {how}")), remedy),
        _ => (problem, "write + and 7 to 15 digits, without blanks, like +15550100123"),
    };
    let refusal = Refusal::new(field, code, problem, remedy);
    // What has slipped into the sender's place from another column is no number, and may be a customer's text.
    let is_number = |c: char| c.is_ascii_digit() || "+-.() ".contains(c);
    let shown = field == Field::From && code == Code::NotE164 && raw.chars().all(is_number);
    if shown { refusal.with_value(Private::new(raw)) } else { refusal }
}

fn quoted(raw: &str, rest: &str) -> String {
    format!("\"{}\" {rest}", masked(raw))
}

fn text(raw: &str, faults: &mut Vec<Refusal>) -> Option<MessageText> {
    let error = match MessageText::try_new(raw) {
        Ok(_) if raw.chars().all(is_unseen) => MessageTextError::Blank,
        Ok(text) => return Some(text),
        Err(error) => error,
    };
    faults.push(match error {
        MessageTextError::Blank => {
            let remedy = "write at least one visible character";
            Refusal::new(Field::Text, Code::TextEmpty, "is empty", remedy)
        }
        MessageTextError::TooLong { utf16_len } => {
            let problem = format!("has {utf16_len} UTF-16 units; 1000 is the most (an emoji counts 2 or more)");
            Refusal::new(Field::Text, Code::TextTooLong, problem, "shorten it, or split it into several messages")
        }
        MessageTextError::ControlCharacter { .. } => control_character(raw),
    });
    // The first fault hides the second one in a text that is both.
    let too_long = matches!(error, MessageTextError::TooLong { .. });
    if too_long && raw.chars().any(is_refused_control) {
        faults.push(control_character(raw));
    }
    None
}

/// Blanks, and what editors and chat programs leave behind without anybody seeing it.
pub(crate) fn is_unseen(c: char) -> bool {
    let fillers = ['\u{ad}', '\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];
    c.is_whitespace() || fillers.contains(&c) || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

pub(crate) fn is_refused_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

fn control_character(raw: &str) -> Refusal {
    let found = raw.chars().enumerate().find(|(_, c)| is_refused_control(*c));
    let problem = match found {
        Some((index, c)) => format!("has the control character U+{:04X} as character {}", u32::from(c), index + 1),
        None => "has a control character".to_owned(),
    };
    Refusal::new(Field::Text, Code::ControlCharacter, problem, "remove it; only line breaks and tabs are allowed")
}

fn priority(raw: Option<&str>) -> Result<Priority, Refusal> {
    let Some(raw) = raw else { return Ok(Priority::Normal) };
    Priority::ALL.into_iter().find(|priority| priority.as_str().eq_ignore_ascii_case(raw)).ok_or_else(|| {
        Refusal::new(
            Field::Priority,
            Code::BadPriority,
            "is not a priority",
            "write high, normal or low, or leave it out",
        )
    })
}

fn on_unknown(raw: &str) -> Result<OnUnknown, Refusal> {
    OnUnknown::parse(&raw.to_ascii_lowercase()).ok_or_else(|| {
        Refusal::new(
            Field::OnUnknown,
            Code::BadOnUnknown,
            "is not a policy for a send of unknown fate",
            "write reconcile, hold or resend, or leave it out",
        )
    })
}

fn key(raw: &str) -> Result<IdempotencyKey, Refusal> {
    // SEND-SAFETY: files and headers lose such blanks on their way, so the same key by another door would be a second text.
    if raw.trim() != raw {
        let remedy = "take them off: the header Idempotency-Key and CSV files do";
        return Err(Refusal::new(Field::Key, Code::BadKey, "has blanks at its ends", remedy));
    }
    IdempotencyKey::try_new(raw).map_err(|_| {
        if raw.len() > MOST_KEY_BYTES {
            let problem = format!("has {} bytes; {MOST_KEY_BYTES} is the most", raw.len());
            return Refusal::new(Field::Key, Code::KeyTooLong, problem, "shorten it, or use a hash of it");
        }
        let problem = "is empty or has a control character";
        Refusal::new(Field::Key, Code::BadKey, problem, "write 1 to 200 printable bytes, or leave it out")
    })
}
