//! What clients forget: fields of an assistant message that a provider wants to see again and that
//! most clients drop, kept by the ids of the tool calls they came with.
//!
//! ```text
//! canonical reply or chunks --Gatherer--> Kept --Memory--> a later request that names the same ids
//! ```
//!
//! It works on the canonical form (`wire::chat`) and knows no dialect: which fields a deployment
//! sends, and which it wants back, it is told. Entries belong to a caller, are bounded in bytes and in
//! age, and are lost with the process: then the client's own history is all there is.

mod gather;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use memchr::memmem;
use moka::Expiry;
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use crate::wire::json::{Edits, Object, elements, map_elements};

pub use gather::Gatherer;

/// What all entries together may take.
const MEMORY_BYTES: u64 = 64 * 1024 * 1024;

/// What the book-keeping of one entry takes, roughly.
const ENTRY_BYTES: usize = 128;

/// The fields of `wire::chat` that this is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// On tool calls and on the message.
    pub extra_content: bool,
    pub thinking_blocks: bool,
    pub reasoning_items: bool,
    pub reasoning_content: bool,
}

impl Fields {
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn has(self, name: &str) -> bool {
        match name {
            "extra_content" => self.extra_content,
            "thinking_blocks" => self.thinking_blocks,
            "reasoning_items" => self.reasoning_items,
            "reasoning_content" => self.reasoning_content,
            _ => false,
        }
    }
}

/// What one message came with, as JSON text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    message: Vec<(&'static str, Box<str>)>,
    /// Ids of the tool calls, and `extra_content` of those that had one.
    calls: Vec<(Box<str>, Option<Box<str>>)>,
}

impl Kept {
    fn bytes(&self) -> usize {
        let message = self.message.iter().map(|(_, value)| value.len());
        let extra = |extra: &Option<Box<str>>| extra.as_ref().map_or(0, |extra| extra.len());
        let calls = self.calls.iter().map(|(id, value)| id.len() + extra(value));
        message.chain(calls).sum()
    }
}

/// Who may be given what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audience<'a> {
    /// Whose reply it was.
    pub caller: &'a str,
    /// The deployment that made it, if no other can read it.
    pub maker: Option<&'a str>,
}

/// A caller's tool call, so that nobody finds another's.
type Key = [u8; 16];

fn key(audience: Audience<'_>, id: &str) -> Key {
    let mut hash = Sha256::new();
    for name in [audience.caller, audience.maker.unwrap_or_default()] {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
    }
    hash.update(id);
    let mut key = Key::default();
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}

#[derive(Clone)]
struct Entry {
    kept: Arc<Kept>,
    age: Duration,
}

struct ByAge;

impl Expiry<Key, Entry> for ByAge {
    fn expire_after_create(&self, _: &Key, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.age)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.age)
    }
}

/// What was kept of all replies.
pub struct Memory {
    entries: Cache<Key, Entry>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::bounded(MEMORY_BYTES)
    }
}

impl Memory {
    /// A memory of so many bytes; the oldest and least used goes first.
    #[must_use]
    pub fn bounded(bytes: u64) -> Self {
        let weigh = |_: &Key, entry: &Entry| {
            let shared = entry.kept.bytes() / entry.kept.calls.len().max(1);
            u32::try_from(shared + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        let entries =
            Cache::builder().max_capacity(bytes).weigher(weigh).expire_after(ByAge).build();
        Self { entries }
    }

    /// Keeps what a reply came with, for `age`.
    pub fn keep(&self, audience: Audience<'_>, kept: Kept, age: Duration) {
        let kept = Arc::new(kept);
        for (id, _) in &kept.calls {
            self.entries.insert(key(audience, id), Entry { kept: Arc::clone(&kept), age });
        }
    }

    /// The request with what its history lacks of `fields`; `None`: nothing is known to be missing.
    #[must_use]
    pub fn restore(
        &self,
        audience: Audience<'_>,
        fields: Fields,
        request: &Object,
    ) -> Option<Object> {
        let messages = request.slice("messages")?;
        memmem::find(&messages, b"\"tool_calls\"")?;
        let messages = map_elements(&messages, |message| self.mended(audience, fields, message))?;
        let mut edits = Edits::new();
        edits.set_raw("messages", &messages[..]);
        Object::parse(request.edit(&edits)).ok()
    }

    fn mended(&self, audience: Audience<'_>, fields: Fields, message: &Object) -> Option<Bytes> {
        if message.str("role").as_deref() != Some("assistant") {
            return None;
        }
        let calls = message.slice("tool_calls")?;
        let known = |call: &Object| self.entries.get(&key(audience, &call.str("id")?));
        let kept = elements(&calls).iter().find_map(known)?.kept;
        let mut edits = Edits::new();
        for (name, value) in &kept.message {
            if fields.has(name) && !message.is_set(name) {
                edits.set_raw(*name, value.as_bytes());
            }
        }
        let signed = |call: &Object| {
            let id = call.str("id")?;
            let (_, extra) = kept.calls.iter().find(|(known, _)| **known == *id)?;
            let mut edits = Edits::new();
            edits.set_raw("extra_content", extra.as_deref()?.as_bytes());
            (!call.is_set("extra_content")).then(|| call.edit(&edits))
        };
        let calls = map_elements(&calls, signed).filter(|_| fields.extra_content);
        if let Some(calls) = &calls {
            edits.set_raw("tool_calls", &calls[..]);
        }
        message.changed(&edits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Fields = Fields {
        extra_content: true,
        thinking_blocks: true,
        reasoning_items: true,
        reasoning_content: true,
    };
    const HOUR: Duration = Duration::from_secs(3_600);
    const ME: Audience<'_> = Audience { caller: "me", maker: None };

    fn kept(reply: &str) -> Option<Kept> {
        let mut gatherer = Gatherer::new(ALL);
        gatherer.reply(reply.as_bytes());
        gatherer.kept()
    }

    fn object(text: &str) -> Object {
        Object::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    const REPLY: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":null,
        "reasoning_content":"hm","thinking_blocks":[{"type":"thinking"}],
        "tool_calls":[{"id":"a","extra_content":{"google":{"thought_signature":"S"}}},{"id":"b"}]}}]}"#;
    const HISTORY: &str = r#"{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":[{"id":"a","function":{}},{"id":"b"}]},{"role":"tool","tool_call_id":"a"}]}"#;

    #[test]
    fn what_a_client_forgot_comes_back() {
        let memory = Memory::default();
        memory.keep(ME, kept(REPLY).unwrap(), HOUR);
        let restored = memory.restore(ME, ALL, &object(HISTORY)).unwrap();
        assert_eq!(
            restored.raw("messages").unwrap(),
            r#"[{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":[{"id":"a","function":{},"extra_content":{"google":{"thought_signature":"S"}}},{"id":"b"}],"reasoning_content":"hm","thinking_blocks":[{"type":"thinking"}]},{"role":"tool","tool_call_id":"a"}]"#
        );
        assert!(memory.restore(ME, ALL, &restored).is_none(), "nothing is missing any more");
        let reasoning = Fields { reasoning_content: true, ..Fields::default() };
        let restored = memory.restore(ME, reasoning, &object(HISTORY)).unwrap();
        let messages = restored.raw("messages").unwrap();
        assert!(messages.contains("reasoning_content") && !messages.contains("extra_content"));
        assert!(!messages.contains("thinking_blocks"), "only what the deployment wants");
    }

    #[test]
    fn nobody_gets_what_another_caller_was_told() {
        let memory = Memory::default();
        memory.keep(ME, kept(REPLY).unwrap(), HOUR);
        let you = Audience { caller: "you", maker: None };
        assert!(memory.restore(you, ALL, &object(HISTORY)).is_none());
    }

    #[test]
    fn what_only_its_maker_can_read_goes_to_no_other() {
        let memory = Memory::default();
        let by = |maker| Audience { maker: Some(maker), ..ME };
        memory.keep(by("one"), kept(REPLY).unwrap(), HOUR);
        assert!(memory.restore(by("one"), ALL, &object(HISTORY)).is_some());
        assert!(memory.restore(by("two"), ALL, &object(HISTORY)).is_none());
        assert!(memory.restore(ME, ALL, &object(HISTORY)).is_none());
    }

    #[test]
    fn what_the_client_sends_is_left_as_it_is() {
        let memory = Memory::default();
        memory.keep(ME, kept(REPLY).unwrap(), HOUR);
        let own = HISTORY.replace(r#""function":{}"#, r#""extra_content":{"own":1}"#);
        let restored = memory.restore(ME, ALL, &object(&own)).unwrap();
        assert!(restored.raw("messages").unwrap().contains(r#""extra_content":{"own":1}"#));
        for other in [
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"z"}]}]}"#,
            r#"{"messages":[{"role":"user","tool_calls":[{"id":"a"}]}]}"#,
            r#"{"messages":"tool_calls"}"#,
            r#"{"messages":[{"role":"assistant","tool_calls":"a"},7]}"#,
            "{}",
        ] {
            assert!(memory.restore(ME, ALL, &object(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn the_memory_is_bounded_in_bytes_and_in_age() {
        let memory = Memory::bounded(100 * 1_024);
        for at in 0..1_000 {
            let id = format!("\"id\":\"{at}\"");
            let reply = REPLY.replace("\"id\":\"a\"", &id).replace("hm", &"x".repeat(1_000));
            memory.keep(ME, kept(&reply).unwrap(), HOUR);
        }
        memory.entries.run_pending_tasks();
        assert!(memory.entries.weighted_size() <= 100 * 1_024);
        assert!(memory.entries.entry_count() > 0);

        let memory = Memory::default();
        memory.keep(ME, kept(REPLY).unwrap(), Duration::ZERO);
        assert!(memory.restore(ME, ALL, &object(HISTORY)).is_none(), "its age is over");
    }
}
