//! JSON to drafts, without serde's own error texts: they quote the values they met.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    draft::{Draft, shown_name},
    refusal::{Code, Field, Refusal},
};

/// A hostile object with thousands of unknown fields gets an answer of bounded size.
const MOST_FAULTS: usize = 20;

/// A draft, and what is wrong with its JSON. The faults of its content come on top.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) draft: Draft,
    pub(super) faults: Vec<Refusal>,
}

#[derive(Debug)]
pub(super) enum Body {
    One(Decoded),
    Many(Vec<Decoded>),
}

/// Why a body is neither; for the caller, without anything of the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    Malformed(String),
    WrongCount(usize),
}

/// The fields of an object as they stand there, doubled ones included.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Reads a body: one message, or `{"messages": […]}` with 1 to `most` of them.
pub(super) fn read(body: &[u8], most: usize) -> Result<Body, BodyError> {
    let Entries(entries) =
        serde_json::from_slice(body).map_err(|error| BodyError::Malformed(malformed(&error, MESSAGE)))?;
    let Some((_, many)) = entries.iter().find(|(name, _)| name == "messages") else {
        return Ok(Body::One(decode_message(&entries)));
    };
    if entries.len() > 1 {
        let detail = "beside messages no other field may stand; put each message into the list";
        return Err(BodyError::Malformed(detail.into()));
    }
    let items: Vec<&RawValue> = serde_json::from_str(many.get())
        .map_err(|_| BodyError::Malformed("messages is not a list; write {\"messages\": [{…}, {…}]}".into()))?;
    if items.is_empty() || items.len() > most {
        return Err(BodyError::WrongCount(items.len()));
    }
    Ok(Body::Many(items.into_iter().map(decode_item).collect()))
}

/// Reads the body of an opt-out: `to`, and `from` if it is not one from every extension. The text for the caller if it is none.
pub(super) fn read_opt_out(body: &[u8]) -> Result<Decoded, String> {
    let Entries(entries) = serde_json::from_slice(body).map_err(|error| malformed(&error, OPT_OUT))?;
    let mut decoded = decode(&entries, &[Field::From, Field::To], &[Field::To]);
    let told = decoded.faults.iter().any(|fault| fault.field == Field::From);
    if entries.iter().any(|(name, _)| name == "from") && decoded.draft.from.is_empty() && !told {
        // A caller who has forgotten to fill it in does not mean everybody.
        let remedy = "name one of your numbers or extensions, or leave it out: it is about every extension then";
        decoded.faults.push(Refusal::new(Field::From, Code::Missing, "is empty", remedy));
    }
    Ok(decoded)
}

/// What a body looks like, for those who send another.
const MESSAGE: &str = r#"{"from": …, "to": …, "text": …}"#;
const OPT_OUT: &str = r#"{"to": …, "from": …}"#;

fn malformed(error: &serde_json::Error, example: &str) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => format!("the body is no JSON object; write {example}"),
        serde_json::error::Category::Eof => format!("the JSON ends too early, at line {line}, column {column}"),
        _ => format!("the JSON is broken at line {line}, column {column}"),
    }
}

fn decode_item(item: &RawValue) -> Decoded {
    match serde_json::from_str::<Entries<'_>>(item.get()) {
        Ok(Entries(entries)) => decode_message(&entries),
        Err(_) => no_object(),
    }
}

/// Reads a line of NDJSON: one message.
pub(super) fn read_line(line: &[u8]) -> Decoded {
    match serde_json::from_slice(line) {
        Ok(Entries(entries)) => decode_message(&entries),
        Err(error) if error.is_data() => no_object(),
        Err(error) => {
            let problem = format!("is broken JSON, or ends too early, at column {}", error.column());
            let remedy = "write one object on the line, and a line break in a text as \\n";
            no_draft(Code::Malformed, problem, remedy)
        }
    }
}

/// One that was not kept to be read.
pub(super) fn line_too_long(most_bytes: usize) -> Decoded {
    let problem = format!("has more than {most_bytes} bytes");
    no_draft(Code::FieldTooLong, problem, "shorten it; is a line end missing between two messages?")
}

fn no_object() -> Decoded {
    no_draft(Code::WrongType, "is no object", "write an object with from, to and text")
}

fn no_draft(code: Code, problem: impl Into<String>, remedy: &str) -> Decoded {
    Decoded { draft: Draft::default(), faults: vec![Refusal::new(Field::Message, code, problem, remedy)] }
}

fn decode_message(entries: &[(String, &RawValue)]) -> Decoded {
    let required: Vec<Field> = Field::NAMED.into_iter().filter(|field| field.is_required()).collect();
    decode(entries, &Field::NAMED, &required)
}

fn decode(entries: &[(String, &RawValue)], fields: &[Field], required: &[Field]) -> Decoded {
    let mut draft = Draft::default();
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    for (name, value) in entries {
        // An object can have a hundred thousand wrong fields; what is not told is not made.
        let is_told = faults.len() < MOST_FAULTS;
        let Some(field) = Field::named(name).filter(|field| fields.contains(field)) else {
            if !is_told {
                continue;
            }
            let problem = format!("has the unknown field {}", shown_name(name));
            let known: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
            let remedy = format!("use {}", known.join(", "));
            faults.push(Refusal::new(Field::Message, Code::UnknownField, problem, remedy));
            continue;
        };
        if seen.contains(&field) {
            if is_told {
                faults.push(Refusal::new(field, Code::FieldTwice, "stands there twice", "leave one of them"));
            }
            continue;
        }
        seen.push(field);
        match serde_json::from_str::<Option<String>>(value.get()) {
            Ok(value) => set(&mut draft, field, value),
            // What was cut between the two halves of an emoji, as by a program that counts in UTF-16.
            Err(_) if value.get().starts_with('"') => {
                let problem = "holds half of a surrogate pair, or a broken escape";
                let remedy = "cut texts between whole characters; some are two units long in UTF-16";
                faults.push(Refusal::new(field, Code::WrongType, problem, remedy));
            }
            Err(_) => {
                let remedy = "put the value into quotation marks";
                faults.push(Refusal::new(field, Code::WrongType, "is no string", remedy));
            }
        }
    }
    for field in required.iter().filter(|field| !seen.contains(field)) {
        faults.push(Refusal::new(*field, Code::Missing, "is missing", "add it"));
    }
    faults.truncate(MOST_FAULTS);
    Decoded { draft, faults }
}

fn set(draft: &mut Draft, field: Field, value: Option<String>) {
    match field {
        Field::From => draft.from = value.unwrap_or_default(),
        Field::To => draft.to = value.unwrap_or_default(),
        Field::Text => draft.text = value.unwrap_or_default(),
        Field::SendAt => draft.send_at = value,
        Field::SendBy => draft.send_by = value,
        Field::Priority => draft.priority = value,
        Field::OnUnknown => draft.on_unknown = value,
        Field::Key => draft.key = value,
        // No field has this name.
        Field::Message => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> Decoded {
        match read(json.as_bytes(), 3) {
            Ok(Body::One(decoded)) => decoded,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_message_or_a_list() {
        let decoded = one(r#"{"from":"a","to":"b","text":"c","key":null}"#);
        assert_eq!((decoded.draft.text.as_str(), decoded.draft.key, decoded.faults.len()), ("c", None, 0));
        let many = read(br#"{"messages":[{"from":"a","to":"b","text":"c"}, 1]}"#, 3).unwrap();
        let Body::Many(items) = many else { panic!("{many:?}") };
        assert_eq!(items[0].faults, []);
        assert_eq!(items[1].faults[0].code, Code::WrongType);
    }

    #[test]
    fn wrong_fields_are_named_one_by_one() {
        let decoded = one(r#"{"from":15550100001,"text":"a","text":"b","body":"c","+15550200001":1}"#);
        let faults: Vec<_> = decoded.faults.iter().map(|fault| (fault.field, fault.code)).collect();
        let (unknown, twice) = ((Field::Message, Code::UnknownField), (Field::Text, Code::FieldTwice));
        let expected = [(Field::From, Code::WrongType), twice, unknown, unknown, (Field::To, Code::Missing)];
        assert_eq!(faults, expected);
        assert!(!format!("{:?}", decoded.faults).contains("5550"));
        let cut = one(r#"{"from":"a","to":"b","text":"See you \ud83d"}"#).faults.remove(0);
        assert_eq!((cut.field, cut.code), (Field::Text, Code::WrongType));
        assert!(cut.to_string().contains("half of a surrogate pair") && !cut.to_string().contains("See you"), "{cut}");
    }

    #[test]
    fn broken_json_is_placed_and_not_repeated() {
        let error = read(b"{\n\"to\": +15550100001}", 3).unwrap_err();
        assert_eq!(error, BodyError::Malformed("the JSON is broken at line 2, column 7".into()));
        for body in [&b""[..], b"[]", b"\"x\"", b"{\"messages\":3}", b"{\"messages\":[],\"to\":\"\"}", b"\xff", b"{}{}"]
        {
            assert!(matches!(read(body, 3), Err(BodyError::Malformed(_))), "{body:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_object_or_no_json_has_a_fault_of_its_own_and_is_not_repeated() {
        assert_eq!(read_line(br#"{"from":"a","to":"b","text":"c"}"#).faults, []);
        let lines: [(&[u8], Code); 7] = [
            (b"[1]", Code::WrongType),
            (b"\"canary\"", Code::WrongType),
            (b"{\"to\": +1canary}", Code::Malformed),
            (b"{\"to\": \"canary", Code::Malformed),
            (b"{\"to\": \"\xff\"}", Code::Malformed),
            (b"{}{}", Code::Malformed),
            (b"{\"messages\": []}", Code::UnknownField),
        ];
        for (line, code) in lines {
            let faults = read_line(line).faults;
            assert_eq!((faults[0].field, faults[0].code), (Field::Message, code), "{line:?}");
            assert!(!faults[0].to_string().contains("canary"), "{}", faults[0]);
        }
    }

    #[test]
    fn the_list_is_bounded_and_so_are_the_faults() {
        assert_eq!(read(br#"{"messages":[]}"#, 3).unwrap_err(), BodyError::WrongCount(0));
        assert_eq!(read(br#"{"messages":[1,1,1,1]}"#, 3).unwrap_err(), BodyError::WrongCount(4));
        let many: String = (0..1_000).map(|n| format!("\"x{n}\":1,")).collect();
        assert_eq!(one(&format!("{{{many}\"to\":\"\"}}")).faults.len(), MOST_FAULTS);
    }

    #[test]
    fn faults_that_are_not_told_are_not_made_and_the_fields_behind_them_are_read() {
        for wrong in ["\"x\":1,", "\"to\":1,"] {
            let decoded = one(&format!("{{{}\"key\":\"visit-1\"}}", wrong.repeat(10_000)));
            assert_eq!((decoded.faults.len(), decoded.draft.key.as_deref()), (MOST_FAULTS, Some("visit-1")));
            assert!(decoded.faults.capacity() < 10 * MOST_FAULTS, "{}", decoded.faults.capacity());
        }
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        let deep = format!("{{\"to\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let accepted =
            read(deep.as_bytes(), 3).is_ok_and(|body| matches!(body, Body::One(one) if one.faults.is_empty()));
        assert!(!accepted);
    }
}
