//! A block of the answer that is begun or waits.

use crate::wire::chat::arguments;

#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: Kind,
    /// Its start is out.
    pub(super) begun: bool,
    /// What waits to be sent.
    pub(super) held: String,
    pub(super) signature: String,
    /// Nothing will be added.
    pub(super) closed: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Thinking,
    Redacted(String),
    Tool { number: u32, id: String, name: String, json: Json },
}

/// How far a text of JSON has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Json {
    depth: u32,
    quoted: bool,
    escaped: bool,
    whole: bool,
    /// It begins as an object, as the input of a tool has to.
    object: bool,
}

impl Json {
    pub(super) fn take(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.quoted {
                self.quoted = self.escaped || byte != b'"';
                self.escaped = !self.escaped && byte == b'\\';
                continue;
            }
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.whole = self.depth == 0;
                }
                _ => {}
            }
        }
    }
}

impl Block {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, begun: false, held: String::new(), signature: String::new(), closed: false }
    }

    /// Whether the next block may begin.
    pub(super) const fn may_end(&self) -> bool {
        match &self.kind {
            Kind::Text | Kind::Thinking | Kind::Redacted(_) => true,
            Kind::Tool { json, .. } => self.closed || json.whole,
        }
    }

    /// What may be sent of what waits. Arguments that are no object wait for their end, where they are
    /// put into one: clients read nothing else.
    pub(super) fn ready(&mut self, ends: bool) -> String {
        let Kind::Tool { json, .. } = &mut self.kind else { return std::mem::take(&mut self.held) };
        let start = self.held.trim_ascii_start();
        json.object |= start.starts_with('{');
        if json.object || self.held.is_empty() {
            return std::mem::take(&mut self.held);
        }
        if !ends {
            return String::new();
        }
        let held = std::mem::take(&mut self.held);
        let written = serde_json::value::to_raw_value(&held).ok();
        arguments(written.as_deref()).get().to_owned()
    }
}
