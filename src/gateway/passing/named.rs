//! The model that a passed request names: the field `model` of its JSON body, read as the body goes by.
//!
//! Nothing of the body is kept but the text that is being read, and no more of that than a name has.

/// A longer text is no model's name.
const MAX_NAME_BYTES: usize = 256;

/// Looks for the field `model` of the outermost object.
#[derive(Debug, Default)]
pub(super) struct NamedModel {
    state: State,
    /// How many objects and lists are open.
    depth: usize,
    /// The text that is being read, where it may matter, without its quotes.
    text: Vec<u8>,
    /// The last key of the outermost object was `model`.
    is_model: bool,
    found: Option<Box<str>>,
    /// The whole body is read, also after a name was found.
    whole: bool,
    /// How many keys of the outermost object are `model`.
    keys: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but white space came.
    #[default]
    Start,
    Key,
    Value,
    Text {
        escaped: bool,
        is_key: bool,
    },
    /// It is found, or the body is over, or it is no object.
    Over,
}

impl NamedModel {
    /// Takes a piece of the body.
    pub(super) fn push(&mut self, piece: &[u8]) {
        if self.state == State::Over {
            return;
        }
        for byte in piece {
            self.take(*byte);
        }
    }

    /// One that reads on, because of two names a provider may take the last.
    pub(super) fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Whether there is more than one field of that name.
    pub(super) const fn is_ambiguous(&self) -> bool {
        self.keys > 1
    }

    /// The name, if it came.
    pub(super) fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }

    fn take(&mut self, byte: u8) {
        match (&mut self.state, byte) {
            (State::Over, _) | (State::Start, b' ' | b'\t' | b'\r' | b'\n') => {}
            (State::Start, b'{') => (self.state, self.depth) = (State::Key, 1),
            (State::Start, _) => self.state = State::Over,
            (State::Text { escaped: escaped @ true, .. }, _) => {
                *escaped = false;
                self.keep(byte);
            }
            (State::Text { escaped, .. }, b'\\') => {
                *escaped = true;
                self.keep(byte);
            }
            (State::Text { is_key, .. }, b'"') => {
                let is_key = *is_key;
                self.end_text(is_key);
            }
            (State::Text { .. }, _) => self.keep(byte),
            (state, b'"') => {
                let is_key = *state == State::Key;
                self.text.clear();
                self.state = State::Text { escaped: false, is_key };
            }
            (_, b'{' | b'[') => self.depth += 1,
            (_, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.state = State::Over;
                }
            }
            (state, b':') if self.depth == 1 => *state = State::Value,
            (state, b',') if self.depth == 1 => *state = State::Key,
            _ => {}
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.text.len() <= MAX_NAME_BYTES {
            self.text.push(byte);
        }
    }

    /// The text that was read; `None` if it is too long, or none.
    fn unquoted(&self) -> Option<Box<str>> {
        if self.text.len() > MAX_NAME_BYTES {
            return None;
        }
        if !self.text.contains(&b'\\') {
            return std::str::from_utf8(&self.text).ok().map(Box::from);
        }
        let quoted = [b"\"", &self.text[..], b"\""].concat();
        serde_json::from_slice(&quoted).ok()
    }

    fn end_text(&mut self, is_key: bool) {
        if self.depth == 1 && is_key {
            self.is_model = self.unquoted().as_deref() == Some("model");
            self.keys += u32::from(self.is_model);
        } else if self.depth == 1 && self.is_model {
            let name = self.unquoted().filter(|name| !name.is_empty());
            self.found = self.found.take().or(name);
            self.is_model = false;
            if !self.whole {
                self.state = State::Over;
                return;
            }
        }
        // Below the outermost object keys and values are all the same here.
        self.state = State::Value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_field_names_the_model() {
        let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(300));
        for (body, name) in [
            (r#"{"model":"a"}"#, Some("a")),
            (" {\n\"x\" : [1, {\"model\":\"no\"}], \"model\" : \"a\\/b\" , \"y\":2}", Some("a/b")),
            (
                r#"{"text":"\"model\":\"no\",","messages":[{"a":"\\"}],"model":"m\u00e9"}"#,
                Some("mé"),
            ),
            (r#"{"model":{"model":"no"},"x":"model","y":"no"}"#, None),
            (r#"{"x":"model","model":"a"}"#, Some("a")),
            (r#"{"model":7,"x":"no"}"#, None),
            (r#"{"models":"no"}"#, None),
            (r#"[{"model":"no"}]"#, None),
            (r#"{"a":1}{"model":"no"}"#, None),
            (r#"{"mod\u0065l":"a"}"#, Some("a")),
            ("--boundary {\"model\":\"no\"}", None),
            (&long, None),
            ("", None),
        ] {
            for size in 1..=body.len().max(1) {
                let mut named = NamedModel::default();
                body.as_bytes().chunks(size).for_each(|piece| named.push(piece));
                assert_eq!(named.found(), name, "{body} in pieces of {size}");
            }
        }
    }

    #[test]
    fn two_names_are_one_too_many() {
        for (body, ambiguous) in [
            (r#"{"model":"a","x":{"model":"b"},"y":["model"]}"#, false),
            (r#"{"model":"a","model":"b"}"#, true),
            (r#"{"model":7,"model":"b"}"#, true),
            (r#"{"model":"a","mod\u0065l":"b"}"#, true),
        ] {
            let mut named = NamedModel::whole();
            body.as_bytes().chunks(3).for_each(|piece| named.push(piece));
            assert_eq!(named.is_ambiguous(), ambiguous, "{body}");
        }
    }
}
