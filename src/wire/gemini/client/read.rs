//! Protocol buffers as JSON, as clients write them: names in camel or snake case, numbers also as
//! strings, a list of one also without its brackets.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::wire::chat::Raw;
use crate::wire::fields::{Text, invalid, mistyped, read};

/// The fields of an object in the order written, those that are `null` left out. Of fields with one
/// name the last counts.
#[derive(Debug, Default)]
pub(super) struct Message<'a>(Vec<(Cow<'a, str>, Raw<'a>)>);

impl<'a> Message<'a> {
    /// Reads the object at `param`.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn read(param: &str, raw: &'a str) -> Result<Self, Failure> {
        if !raw.starts_with('{') {
            return Err(mistyped(param, "an object", raw));
        }
        read(param, raw)
    }

    /// Names as written, and values.
    pub(super) fn written(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.0.iter().map(|(name, raw)| (&**name, *raw))
    }

    /// A field by its name in camel case, with the name as written.
    pub(super) fn find(&self, name: &str) -> Option<(&str, Raw<'a>)> {
        let found = self.0.iter().rev().find(|(written, _)| camel(written) == name)?;
        Some((&found.0, found.1))
    }

    pub(super) fn get(&self, name: &str) -> Option<Raw<'a>> {
        self.find(name).map(|(_, raw)| raw)
    }

    /// A field that is a string.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn text(&self, param: &str, name: &str) -> Result<Option<Cow<'a, str>>, Failure> {
        let Some((written, raw)) = self.find(name) else { return Ok(None) };
        let text: Text<'a> = read(&format!("{param}.{written}"), raw.get())?;
        Ok(Some(text.0))
    }

    /// A field that is `true`.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|raw| raw.get() == "true")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Message<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Text(name), raw)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    if raw.get() != "null" {
                        fields.push((name, raw));
                    }
                }
                Ok(Message(fields))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

/// `snake_case` as `snakeCase`.
pub(super) fn camel(name: &str) -> Cow<'_, str> {
    if !name.contains('_') {
        return Cow::Borrowed(name);
    }
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    Cow::Owned(out)
}

/// The elements of a list with their places; a value that is no list is its only element.
pub(super) fn list<'a>(param: &str, raw: Raw<'a>) -> Result<Vec<(String, Raw<'a>)>, Failure> {
    if !raw.get().starts_with('[') {
        return Ok(vec![(param.to_owned(), raw)]);
    }
    let elements: Vec<Raw<'a>> = read(param, raw.get())?;
    let placed = |(at, raw)| (format!("{param}[{at}]"), raw);
    Ok(elements.into_iter().enumerate().map(placed).collect())
}

/// The JSON text of a number, which may be written as a string.
pub(super) fn number<'a>(param: &str, raw: Raw<'a>) -> Result<Cow<'a, str>, Failure> {
    let written = raw.get();
    let text = match written.starts_with('"') {
        true => Cow::Owned(read::<Text<'_>>(param, written)?.trim().to_owned()),
        false => Cow::Borrowed(written),
    };
    match serde_json::from_str::<Number>(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(mistyped(param, "a number", written)),
    }
}

/// A whole number; `40.0` is one.
pub(super) fn integer(param: &str, raw: Raw<'_>) -> Result<i64, Failure> {
    let text = number(param, raw)?;
    let whole = text.parse().ok().or_else(|| text.strip_suffix(".0")?.parse().ok());
    whole.ok_or_else(|| mistyped(param, "an integer", raw.get()))
}

/// The word of an enumeration, in upper case.
pub(super) fn word(param: &str, raw: Raw<'_>) -> Result<String, Failure> {
    Ok(read::<Text<'_>>(param, raw.get())?.to_ascii_uppercase())
}

/// Bytes in base64 with the usual alphabet and its padding: Google takes the one for addresses too,
/// and its Python SDK writes that.
pub(super) fn standard_base64<'a>(
    param: &str,
    text: Cow<'a, str>,
) -> Result<Cow<'a, str>, Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let content = text.trim_end_matches('=').len();
    let plain = text.bytes().take(content).all(is_plain);
    if plain && text.len().is_multiple_of(4) {
        return Ok(text);
    }
    let mut out = String::with_capacity(text.len() + 3);
    for byte in text.bytes().take(content) {
        match byte {
            b'-' => out.push('+'),
            b'_' => out.push('/'),
            b'\r' | b'\n' => {}
            byte if is_plain(byte) => out.push(char::from(byte)),
            _ => return Err(invalid(param, format!("'{param}' is not in base64."))),
        }
    }
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn names_are_read_in_both_spellings() {
        for (written, read) in
            [("a_b_c", "aBC"), ("inline_data", "inlineData"), ("topK", "topK"), ("top_", "top")]
        {
            assert_eq!(camel(written), read);
        }
        let message = Message::read("p", r#"{"max_output_tokens":1,"topK":null}"#).unwrap();
        let (written, raw) = message.find("maxOutputTokens").unwrap();
        assert_eq!((written, raw.get()), ("max_output_tokens", "1"));
        assert!(message.find("topK").is_none());
    }

    #[test]
    fn numbers_may_be_strings() {
        assert_eq!(number("p", raw("\"12\"")).unwrap(), "12");
        assert_eq!(number("p", raw("0.20")).unwrap(), "0.20");
        assert_eq!(integer("p", raw("40.0")).unwrap(), 40);
        assert_eq!(integer("p", raw("\"-1\"")).unwrap(), -1);
        for wrong in ["\"x\"", "true", "[]", "\"\""] {
            assert!(number("p", raw(wrong)).is_err(), "{wrong}");
        }
        assert!(integer("p", raw("1.5")).is_err());
    }

    #[test]
    fn both_alphabets_of_base64_become_one() {
        for (written, expected) in
            [("-_-_", "+/+/"), ("AA", "AA=="), ("AAA=", "AAA="), ("a+b/", "a+b/"), ("", "")]
        {
            assert_eq!(standard_base64("p", written.into()).unwrap(), expected);
        }
        assert!(standard_base64("p", "a b!".into()).is_err());
    }
}
