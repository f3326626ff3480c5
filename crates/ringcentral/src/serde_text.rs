//! Deserialising validated text without ever printing it.
//!
//! serde's own "invalid type" errors quote the value they met, which for a phone number typed without quotation marks
//! would put it into a log. This visitor takes strings and whole numbers and quotes nothing.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Most entries of one list, ten times what a page has at most: small entries take much more room read than written.
const MAX_ENTRIES: usize = 10_000;

/// Reads a string (or a whole number, as its digits) and parses it with `T::from_str`.
pub(crate) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    deserializer.deserialize_any(TextVisitor(PhantomData))
}

/// Reads anything; what is not a `T` counts as missing instead of failing the whole answer. It is kept as text until
/// then: as a tree of values it could take up to eighty times its room.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).ok())
}

/// Reads a list of `T`, and fails where it is longer than any true one: whoever looks for something in a list must not
/// take one that was cut short for all of it.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(ListVisitor(PhantomData))
}

/// Reads a list; entries that are not a `T` are left out. What is no list, or too long a one, counts as empty.
pub(crate) fn lenient_list<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let entries: Option<Entries<T>> = lenient(deserializer)?;
    Ok(entries.into_iter().flat_map(|entries| entries.0).filter_map(|entry| entry.0).collect())
}

struct Entries<T>(Vec<Entry<T>>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        list(deserializer).map(Self)
    }
}

/// `None` for what is not a `T`.
struct Entry<T>(Option<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient(deserializer).map(Self)
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element::<T>()? {
            if list.len() == MAX_ENTRIES {
                return Err(A::Error::custom("too many entries"));
            }
            list.push(entry);
        }
        Ok(list)
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T> Visitor<'_> for TextVisitor<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Err(E::custom("expected a string, found a fraction"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Answer {
        #[serde(default, deserialize_with = "lenient")]
        one: Option<u8>,
        #[serde(default, deserialize_with = "lenient_list")]
        some: Vec<u8>,
        #[serde(default, deserialize_with = "list")]
        all: Vec<u8>,
    }

    fn read(json: &str) -> Option<Answer> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn odd_fields_and_entries_are_forgiven() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        for odd in ["null", "{}", r#"{"":0}"#, r#""text""#, "300", "1.5", "[{}]", deep.as_str()] {
            let answer = read(&format!(r#"{{"one":{odd},"some":{odd},"all":[7]}}"#)).expect(odd);
            assert!(answer.one.is_none() && answer.some.is_empty() && answer.all == [7], "{odd}");
            let answer = read(&format!(r#"{{"one":5,"some":[1, {odd} ,2]}}"#)).expect(odd);
            assert_eq!((answer.one, answer.some), (Some(5), vec![1, 2]), "{odd}");
        }
        assert!(read(r#"{"one":[}"#).is_none());
        assert!(read(r#"{"all":[1,{}]}"#).is_none());
    }

    #[test]
    fn list_that_is_too_long_is_refused_or_counts_as_empty() {
        let of = |entries: usize| format!("[{}7]", "7,".repeat(entries - 1));
        let (longest, longer) = (of(MAX_ENTRIES), of(MAX_ENTRIES + 1));
        let answer = read(&format!(r#"{{"some":{longest},"all":{longest}}}"#)).expect("an answer");
        assert_eq!((answer.some.len(), answer.all.len()), (MAX_ENTRIES, MAX_ENTRIES));
        assert!(read(&format!(r#"{{"some":{longer}}}"#)).expect("an answer").some.is_empty());
        assert!(read(&format!(r#"{{"all":{longer}}}"#)).is_none());
    }
}
