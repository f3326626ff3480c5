//! Why a message is not taken: which field, what is wrong, what to do about it.

use std::fmt;

use ringfleet_store::{IdempotencyKey, MessageId, Private, State};
use serde::{Serialize, Serializer};

/// The part of a message, or the column of a file, that a refusal speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Field {
    From,
    To,
    Text,
    SendAt,
    SendBy,
    Priority,
    OnUnknown,
    Key,
    /// The message as a whole, or a row of a file.
    Message,
}

impl Field {
    /// The fields that a message can have, in the order in which they are documented.
    pub const NAMED: [Field; 8] = [
        Field::From,
        Field::To,
        Field::Text,
        Field::SendAt,
        Field::SendBy,
        Field::Priority,
        Field::OnUnknown,
        Field::Key,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Field::From => "from",
            Field::To => "to",
            Field::Text => "text",
            Field::SendAt => "send_at",
            Field::SendBy => "send_by",
            Field::Priority => "priority",
            Field::OnUnknown => "on_unknown",
            Field::Key => "key",
            Field::Message => "message",
        }
    }

    /// Without it there is no message.
    pub fn is_required(self) -> bool {
        matches!(self, Field::From | Field::To | Field::Text)
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|field| field.as_str() == name)
    }
}

/// What is wrong, for programs. These words are part of the API: they are added to, never changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Code {
    Missing,
    WrongType,
    UnknownField,
    FieldTwice,
    FieldTooLong,
    NotUtf8,
    WrongColumnCount,
    NoValue,
    NotE164,
    UnknownSender,
    AmbiguousSender,
    SenderNotConnected,
    SenderNotRead,
    SenderCannotText,
    SenderInactive,
    SameNumber,
    TextEmpty,
    TextTooLong,
    ControlCharacter,
    BadDate,
    DateWithoutOffset,
    SendAtTooFar,
    SendAtPast,
    SendByPast,
    SendByBeforeSendAt,
    BadPriority,
    BadOnUnknown,
    BadKey,
    KeyTooLong,
    KeyConflict,
    KeyTaken,
    Malformed,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Missing => "missing",
            Code::WrongType => "wrong-type",
            Code::UnknownField => "unknown-field",
            Code::FieldTwice => "field-twice",
            Code::FieldTooLong => "field-too-long",
            Code::NotUtf8 => "not-utf8",
            Code::WrongColumnCount => "wrong-column-count",
            Code::NoValue => "no-value",
            Code::NotE164 => "not-e164",
            Code::UnknownSender => "unknown-sender",
            Code::AmbiguousSender => "ambiguous-sender",
            Code::SenderNotConnected => "sender-not-connected",
            Code::SenderNotRead => "sender-not-read",
            Code::SenderCannotText => "sender-cannot-text",
            Code::SenderInactive => "sender-inactive",
            Code::SameNumber => "same-number",
            Code::TextEmpty => "text-empty",
            Code::TextTooLong => "text-too-long",
            Code::ControlCharacter => "control-character",
            Code::BadDate => "bad-date",
            Code::DateWithoutOffset => "date-without-offset",
            Code::SendAtTooFar => "send-at-too-far",
            Code::SendAtPast => "send-at-past",
            Code::SendByPast => "send-by-past",
            Code::SendByBeforeSendAt => "send-by-before-send-at",
            Code::BadPriority => "bad-priority",
            Code::BadOnUnknown => "bad-on-unknown",
            Code::BadKey => "bad-key",
            Code::KeyTooLong => "key-too-long",
            Code::KeyConflict => "key-conflict",
            Code::KeyTaken => "key-taken",
            Code::Malformed => "malformed",
        }
    }

    /// What is refused for it now may have been taken before.
    fn comes_with_time(self) -> bool {
        use Code::*;
        matches!(
            self,
            // Older versions took keys with blanks at their ends, and dates that are no RFC 3339. A key that no store takes is not
            // looked for.
            BadKey
                | BadDate
                | SendAtPast
                | SendByPast
                | UnknownSender
                | AmbiguousSender
                | SenderNotConnected
                | SenderNotRead
                | SenderCannotText
                | SenderInactive
        )
    }
}

/// One fault of one message. Its words mask numbers and leave texts out, so that they may be logged and shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Refusal {
    #[serde(serialize_with = "field_name")]
    pub field: Field,
    #[serde(serialize_with = "code_name")]
    pub code: Code,
    /// What is wrong, as the rest of a sentence that begins with the value.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
    /// The sender's number, or its extension's, as its producer wrote it: goes back to the producer alone (serialised), and is never printed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "for_the_producer")]
    pub value: Option<Private>,
    /// The message that has the key, where the refusal is about one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "id_text")]
    pub id: Option<MessageId>,
}

impl Refusal {
    pub(crate) fn new(field: Field, code: Code, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field, code, problem: problem.into(), remedy: remedy.into(), value: None, id: None }
    }

    pub(crate) fn with_value(self, value: Private) -> Self {
        Self { value: Some(value), ..self }
    }

    /// An extension id that is known no longer can't be told from a mistyped number, but is digits and nothing else.
    fn comes_with_time(&self) -> bool {
        let is_digits = |value: &Private| value.expose().bytes().all(|byte| byte.is_ascii_digit());
        self.code.comes_with_time() || (self.code == Code::NotE164 && self.value.as_ref().is_some_and(is_digits))
    }

    fn of_message(self, id: &MessageId) -> Self {
        Self { id: Some(*id), ..self }
    }

    pub(crate) fn key_conflict(id: &MessageId) -> Self {
        let problem = format!("this key was used before for a message with another recipient or another text: {id}");
        let remedy = "give the new message a new key, or send the old content to repeat the old request";
        Self::new(Field::Key, Code::KeyConflict, problem, remedy).of_message(id)
    }

    /// What the key was used for can't be read.
    pub(crate) fn key_unread(id: &MessageId) -> Self {
        let problem = format!("this key was used before, and what for can't be read now: it is the key of {id}");
        let remedy = "look that message up by its id; give a new key only to a message that is another one";
        Self::new(Field::Key, Code::KeyConflict, problem, remedy).of_message(id)
    }

    /// Comes on top of what is wrong with a repeat. Whether the content is the same can't be told of one without a lane.
    pub(crate) fn key_taken(id: &MessageId, state: State) -> Self {
        let what = "this key's message was taken before";
        Self::taken(what, id, state, "this repeat has changed nothing of it")
    }

    /// The same message, of when its number was another extension's (or its app had another name).
    pub(crate) fn key_taken_elsewhere(id: &MessageId, state: State) -> Self {
        let what = "this key's message was taken before, when its number was another extension's";
        Self::taken(what, id, state, "this repeat has changed nothing of it")
    }

    /// A message to the same recipient, and nothing shows that its text was another one.
    pub(crate) fn key_taken_otherwise(id: &MessageId, state: State, same_text: bool) -> Self {
        let what = if same_text {
            "this key's message was taken before, with the same recipient and text and another sender, other times or \
             other line ends"
        } else {
            "this key's message was taken before, for the same recipient; its text is no longer kept, so whether it was \
             this one can't be told"
        };
        Self::taken(what, id, state, "give a new key only to a message that is another one")
    }

    fn taken(what: &str, id: &MessageId, state: State, more: &str) -> Self {
        let problem = format!("{what}: {id} is {}", state.as_str());
        let remedy = format!("look that message up by its id instead of repeating it; {more}");
        Self::new(Field::Key, Code::KeyTaken, problem, remedy).of_message(id)
    }
}

/// What is wrong with a message, and where it is found if it was taken when this was not wrong yet.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) key: Option<IdempotencyKey>,
    /// The key was made of the content, so what has it is the same message.
    pub(crate) is_content: bool,
}

impl Refused {
    pub(crate) fn of(refusals: Vec<Refusal>, key: Option<&str>) -> Self {
        let mut this = Self::from(refusals);
        this.key = key.and_then(|key| IdempotencyKey::try_new(key).ok()).filter(|_| this.comes_with_time());
        this
    }

    pub(crate) fn comes_with_time(&self) -> bool {
        self.refusals.iter().all(Refusal::comes_with_time)
    }
}

impl From<Vec<Refusal>> for Refused {
    fn from(refusals: Vec<Refusal>) -> Self {
        Self { refusals, key: None, is_content: false }
    }
}

/// `to: "+1******12" is not E.164; write + and 7 to 15 digits`
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.field.as_str(), self.problem, self.remedy)
    }
}

fn field_name<S: Serializer>(field: &Field, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(field.as_str())
}

fn for_the_producer<S: Serializer>(value: &Option<Private>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.as_ref().map_or("", Private::expose))
}

fn id_text<S: Serializer>(id: &Option<MessageId>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id.map(|id| id.to_string()).unwrap_or_default())
}

fn code_name<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

/// Several refusals in one line, for an error message.
pub(crate) fn in_one_line(refusals: &[Refusal]) -> String {
    refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join(" | ")
}
