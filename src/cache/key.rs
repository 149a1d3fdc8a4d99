//! Which requests ask the same: the name of an entry.
//!
//! The name is a hash over the request in one spelling: the order of fields, white space, escapes and
//! the way of writing a number do not matter, the order of a list does. What is addressed to the gateway,
//! how the reply is to be sent, and what the client wants to find the request by is left out.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

use super::Scope;
use crate::wire::is_own;
use crate::wire::json::Object;

/// Changes whenever names or entries do, so that gateways of two versions may share one Redis.
const VERSION: &str = "2";

/// Fields that do not change what is answered.
const BESIDE: [&str; 9] = [
    "labels",
    "metadata",
    "model",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "stream",
    "stream_options",
    "user",
];

/// Fields that are addressed to the gateway and decide what a provider is sent.
const DECIDING: [&str; 5] = [
    "additional_drop_params",
    "allowed_openai_params",
    "drop_params",
    "extra_body",
    "extra_headers",
];

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Tenant<'a> {
    pub key: &'a str,
    pub team: Option<&'a str>,
    pub end_user: Option<&'a str>,
}

/// A request, as far as it decides what is answered.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub tenant: Tenant<'a>,
    pub scope: Scope,
    /// The name under which deployments are chosen.
    pub group: &'a str,
    /// What besides the body decides it: first of all whose format it is, and what is asked for.
    pub beside: &'a str,
    /// As the client wrote it.
    pub body: &'a Object,
}

impl Question<'_> {
    /// The name of its entry: 64 digits, after the namespace and a colon if there is one. `None`: the
    /// body cannot be read.
    #[must_use]
    pub fn name(&self, namespace: Option<&str>) -> Option<String> {
        let mut text = Vec::with_capacity(self.body.bytes().len() + 256);
        put(&mut text, VERSION);
        let Tenant { key, team, end_user } = self.tenant;
        match (self.scope, team) {
            (Scope::Global, _) => put(&mut text, "global"),
            (Scope::Team, Some(team)) => {
                put(&mut text, "team");
                put(&mut text, team);
            }
            // Who is in no team shares nothing.
            (Scope::Team | Scope::Key, _) => {
                put(&mut text, "key");
                put(&mut text, key);
            }
            (Scope::EndUser, _) => {
                put(&mut text, "end user");
                put(&mut text, key);
                put(&mut text, end_user.unwrap_or_default());
            }
        }
        put(&mut text, self.group);
        put(&mut text, self.beside);
        let mut fields: Vec<_> = self
            .body
            .iter()
            .filter(|(name, raw)| *raw != "null" && !BESIDE.contains(name))
            .filter(|(name, _)| !is_own(name) || DECIDING.contains(name))
            .collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        for (name, raw) in fields {
            put(&mut text, name);
            spell(raw, &mut text)?;
        }
        let digest = Sha256::digest(&text);
        let mut name = String::with_capacity(64 + namespace.map_or(0, |it| it.len() + 1));
        if let Some(namespace) = namespace {
            name.push_str(namespace);
            name.push(':');
        }
        for byte in digest {
            for digit in [byte >> 4, byte & 15] {
                name.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        Some(name)
    }
}

/// A text with its length before it, so that two texts never read as two others.
fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(itoa::Buffer::new().format(text.len()).as_bytes());
    out.push(b':');
    out.extend_from_slice(text.as_bytes());
}

/// Appends the one spelling of a JSON value.
fn spell(raw: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    Speller { out }.deserialize(&mut deserializer).ok()
}

struct Speller<'o> {
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Speller<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Speller<'_> {
    fn whole(self, number: impl itoa::Integer) {
        self.out.push(b'#');
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

impl<'de> Visitor<'de> for Speller<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.push(if value { b't' } else { b'f' });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.whole(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.whole(value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        // 2^53: up to there `1.0` and `1` are the same number.
        if value.fract() == 0.0 && value.abs() < 9.0e15 {
            self.whole(value as i64);
            return Ok(());
        }
        self.out.push(b'.');
        self.out.extend_from_slice(&value.to_bits().to_be_bytes());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.out.push(b'"');
        put(self.out, value);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push(b'n');
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        while list.next_element_seed(Speller { out: &mut *self.out })?.is_some() {}
        self.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.out.push(b'{');
        let start = self.out.len();
        // Small, and mostly in order already.
        let mut fields: Vec<(Name<'de>, Range<usize>)> = Vec::new();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let begins = self.out.len();
            put(self.out, &name.0);
            map.next_value_seed(Speller { out: &mut *self.out })?;
            fields.push((name, begins..self.out.len()));
        }
        if !fields.is_sorted_by(|(one, _), (other, _)| one.0 < other.0) {
            let written = self.out.split_off(start);
            // All of one name count, in their order: which of them does is not the same for all providers.
            fields.sort_by(|(one, _), (other, _)| one.0.cmp(&other.0));
            for (_, Range { start: from, end }) in fields {
                self.out.extend_from_slice(&written[from - start..end - start]);
            }
        }
        self.out.push(b'}');
        Ok(())
    }
}

/// A name that is borrowed where it is written without escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Name<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Tenant<'static> = Tenant { key: "me", team: Some("t"), end_user: Some("e") };

    fn object(text: &str) -> Object {
        Object::parse(text.to_owned().into()).unwrap()
    }

    fn asked(body: &Object) -> Question<'_> {
        Question { tenant: ME, scope: Scope::Key, group: "g", beside: "chat", body }
    }

    fn name(body: &str) -> String {
        asked(&object(body)).name(None).unwrap()
    }

    #[test]
    fn the_spelling_of_a_request_does_not_matter() {
        let one = name(
            r#"{"model":"m","messages":[{"role":"user","content":"é\n"}],"temperature":1,"n":null}"#,
        );
        for other in [
            r#"{"temperature":1.0,"messages":[{"content":"\u00e9\u000a","role":"user"}],"model":"x"}"#,
            r#"{ "messages" : [ {"content":"é\n", "role":"user"} ] , "temperature":1e0, "stream":true }"#,
            r#"{"messages":[{"role":"user","content":"é\n"}],"temperature":1,"user":"u","metadata":{"a":1},"stream_options":{"include_usage":true},"cache":{"ttl":5},"tags":["x"],"litellm_session_id":"s"}"#,
        ] {
            assert_eq!(name(other), one, "{other}");
        }
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn what_is_asked_does() {
        let bodies = [
            r#"{"messages":[{"role":"user","content":"a"}]}"#,
            r#"{"messages":[{"role":"user","content":"b"}]}"#,
            // Who answers may read the first.
            r#"{"messages":[{"role":"user","content":"a","content":"b"}]}"#,
            r#"{"messages":[{"role":"user","content":"b","content":"a"}]}"#,
            r#"{"messages":[{"role":"user","content":["a"]}]}"#,
            r#"{"messages":[{"role":"user","content":null}]}"#,
            r#"{"messages":[{"role":"user","content":"null"}]}"#,
            r#"{"messages":[{"role":"user","content":1}]}"#,
            r#"{"messages":[{"role":"user","content":1.5}]}"#,
            r#"{"messages":[{"role":"user","content":"1"}]}"#,
            r#"{"messages":[{"role":"user","content":true}]}"#,
            r#"{"messages":[{"role":"user","content":["a","b"]}]}"#,
            r#"{"messages":[{"role":"user","content":["b","a"]}]}"#,
            r#"{"messages":[{"role":"user","content":["ab"]}]}"#,
            r#"{"messages":[{"role":"user"},{"content":"a"}]}"#,
            r#"{"messages":[{"role":"user","content":"a"}],"tools":[]}"#,
            r#"{"messages":[{"role":"user","content":"a"}],"extra_body":{"google":{"a":1}}}"#,
            r#"{"messages":[{"role":"user","content":"a"}],"extra_headers":{"anthropic-beta":"x"}}"#,
            r#"{"messages":[{"role":"user","content":"a"}],"drop_params":true}"#,
            r#"{"messages":[{"role":"user","content":"a"}],"additional_drop_params":["messages"]}"#,
            r#"{"messages":[{"role":"user","content":"a"}],"allowed_openai_params":["seed"]}"#,
            r#"{"messages":[{"role":"user","content":"a"}],"seed":9007199254740993}"#,
            r#"{"messages":[{"role":"user","content":"a"}],"seed":9007199254740992}"#,
        ];
        let names: std::collections::BTreeSet<_> = bodies.iter().map(|body| name(body)).collect();
        assert_eq!(names.len(), bodies.len());
    }

    #[test]
    fn who_asks_for_what_does() {
        let body = object(r#"{"messages":[]}"#);
        let mine = asked(&body);
        let you = Tenant { key: "you", ..ME };
        let alone = Tenant { team: None, ..you };
        let other_user = Tenant { end_user: Some("f"), ..ME };
        let named = |tenant, scope| Question { tenant, scope, ..mine }.name(None).unwrap();
        assert_ne!(named(ME, Scope::Key), named(you, Scope::Key));
        assert_eq!(named(ME, Scope::Key), named(other_user, Scope::Key));
        assert_eq!(named(ME, Scope::Team), named(you, Scope::Team));
        assert_ne!(named(ME, Scope::Team), named(alone, Scope::Team));
        assert_ne!(named(ME, Scope::EndUser), named(other_user, Scope::EndUser));
        assert_eq!(named(ME, Scope::Global), named(alone, Scope::Global));
        // The key of one is the team of the other.
        let odd = Tenant { key: "t", team: None, end_user: None };
        assert_ne!(named(ME, Scope::Team), named(odd, Scope::Team));

        let question = |beside, group| Question { group, beside, ..mine }.name(None);
        let plain = question("chat", "g");
        assert_ne!(plain, question("messages", "g"));
        assert_ne!(plain, question("chat", "h"));
        assert_eq!(mine.name(Some("ns")), plain.map(|name| format!("ns:{name}")));
    }
}
