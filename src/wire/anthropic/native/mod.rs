//! Anthropic's clients at Anthropic's own API: requests are edited in place, replies and streams are
//! passed on as they come, and only looked at for usage, errors, content and the end.
//!
//! Fields, events and types of blocks that nobody here knows survive.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;

use super::betas;
use super::client::sealed::MARK;
use super::content::Raw;
use super::error::{garbage, within};
use super::event::{BlockStart, DeltaFields, MessageDelta, MessageStart, event_kind, parse};
use super::models::Capabilities;
use super::reply::kind_of;
use super::usage::{Tally, Written};
use super::{PROVIDER, VERSION};
use crate::dialect::Endpoint;
use crate::failure::Failure;
use crate::usage::{BYTES_PER_TOKEN, Usage};
use crate::wire::fields::{Fields, Text};
use crate::wire::json::{Edits, Object, map_elements};
use crate::wire::request::is_own;
use crate::wire::sse::Splitter;
use crate::wire::{Ending, Progress, Reply, RequestOptions, Translate};

/// What a deployment's parameters may be in OpenAI's spelling, and Anthropic's word for it.
const RESPELLED: [(&str, &str); 2] =
    [("max_completion_tokens", "max_tokens"), ("stop", "stop_sequences")];

/// Parameters of OpenAI's that a deployment may have for its other clients; Anthropic refuses them.
const OPENAIS: [&str; 17] = [
    "audio",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "store",
    "stream_options",
    "top_logprobs",
    "user",
    "verbosity",
];

/// What newer models and newer versions of the API no longer take, not even at its default.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];

/// The event that ends every stream.
const END: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// Fields of a Messages request that `count_tokens` takes; it refuses all others.
const COUNTED: [&str; 14] = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "cache_control",
    "mcp_servers",
    "context_management",
    "container",
    "betas",
    "speed",
];

/// A client's own request for a deployment that speaks its dialect.
#[derive(Debug)]
pub struct NativeRequest {
    pub body: Bytes,
    /// For the header `anthropic-beta`: named in the body, where LiteLLM's clients write them.
    pub betas: Vec<String>,
}

/// Writes the client's request for a deployment: with its model, its parameters, and without what is
/// for the gateway. `version` is that of the API.
///
/// What the client wrote itself is Anthropic's to judge; what the gateway adds must not be refused.
#[must_use]
pub fn request(body: &Object, options: &RequestOptions<'_>, version: &[u8]) -> NativeRequest {
    let counts = options.endpoint == Endpoint::CountTokens;
    let samples = version == VERSION.as_bytes() && Capabilities::of(options.model_hint).sampling;
    let mut edits = Edits::new();
    for name in body.names() {
        if is_own(name) || (counts && !COUNTED.contains(&name)) {
            edits.remove(name.to_owned());
        }
    }
    let betas = betas::named(&Fields::gather(body, options));
    for name in ["betas", "anthropic_beta", "stream_options"] {
        edits.remove(name);
    }
    if body.contains("metadata") {
        keep_user_id(body, &mut edits);
    }
    for (overrides, written) in [(false, options.defaults), (true, options.overrides)] {
        for (name, value) in written {
            let name = RESPELLED
                .iter()
                .find(|(known, _)| **known == **name)
                .map_or(&**name, |(_, own)| own);
            let refused = is_own(name)
                || OPENAIS.contains(&name)
                || (counts && !COUNTED.contains(&name))
                || (!samples && SAMPLING.contains(&name));
            if !refused && (overrides || !body.is_set(name)) {
                edits.set_raw(name.to_owned(), value.get().as_bytes());
            }
        }
    }
    if !counts {
        if !body.is_set("max_tokens")
            && edits.get("max_tokens").is_none()
            && let Some(most) = options.max_output_tokens
        {
            edits.set("max_tokens", &most);
        }
        match (options.stream, body.bool("stream")) {
            (true, Some(true)) | (false, None | Some(false)) => {}
            (stream, _) => edits.set("stream", &stream),
        }
    }
    if let Some(messages) = body.slice("messages").and_then(|all| without_foreign_thoughts(&all)) {
        edits.set_raw("messages", messages.to_vec());
    }
    for name in options.drop {
        edits.remove(&**name);
    }
    match options.model {
        Some(model) => edits.set("model", model),
        None => edits.remove("model"),
    }
    NativeRequest { body: body.edit(&edits), betas }
}

/// Anthropic takes nothing but `user_id`; the rest was written for the gateway.
fn keep_user_id(body: &Object, edits: &mut Edits<'_>) {
    match body.object("metadata") {
        Some(metadata) => {
            let mut inner = Edits::new();
            metadata.names().filter(|name| *name != "user_id").for_each(|name| {
                inner.remove(name.to_owned());
            });
            if !metadata.is_set("user_id") {
                edits.remove("metadata");
            } else if let Some(changed) = metadata.changed(&inner) {
                edits.set_raw("metadata", changed.to_vec());
            }
        }
        None => edits.remove("metadata"),
    }
}

/// The messages without thoughts of other providers, which the API refuses: those without a
/// signature, and those in which something of another provider is sealed. `None`: there are none.
fn without_foreign_thoughts(messages: &Bytes) -> Option<Bytes> {
    let sealed = memmem::find(messages, MARK.as_bytes()).is_some();
    if !sealed && !has_unsigned(messages) {
        return None;
    }
    map_elements(messages, |message| {
        if message.str("role").as_deref() != Some("assistant") {
            return None;
        }
        let content = message.slice("content").filter(|content| content.starts_with(b"["))?;
        let blocks: Vec<Raw<'_>> = serde_json::from_slice(&content).ok()?;
        let kept: Vec<Raw<'_>> =
            blocks.iter().copied().filter(|block| !is_foreign(block)).collect();
        if kept.len() == blocks.len() {
            return None;
        }
        let mut edits = Edits::new();
        if kept.is_empty() {
            // A turn has to say something.
            edits.set("content", ".");
        } else {
            edits.set("content", &kept);
        }
        message.changed(&edits)
    })
}

/// Whether some `"signature"` is followed by an empty string, or a thought may have none.
fn has_unsigned(messages: &[u8]) -> bool {
    let thoughts = memmem::find_iter(messages, b"\"thinking\":").count()
        + memmem::find_iter(messages, b"\"thinking\" :").count();
    if thoughts == 0 {
        return false;
    }
    const NAME: &[u8] = b"\"signature\"";
    let signed = memmem::find_iter(messages, NAME).filter(|at| {
        let rest = messages.get(at + NAME.len()..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        value.starts_with(b"\"") && !value.starts_with(b"\"\"")
    });
    signed.count() < thoughts
}

fn is_foreign(block: &Raw<'_>) -> bool {
    #[derive(Deserialize)]
    struct Thought<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
        #[serde(borrow, default)]
        signature: Option<Text<'a>>,
        #[serde(borrow, default)]
        data: Option<Text<'a>>,
    }

    serde_json::from_str::<Thought<'_>>(block.get()).is_ok_and(|thought| match &*thought.kind.0 {
        "thinking" => thought.signature.is_none_or(|signature| signature.is_empty()),
        "redacted_thinking" => thought.data.is_some_and(|data| data.starts_with(MARK)),
        _ => false,
    })
}

/// A whole reply: the bytes as they came, and what it used.
///
/// # Errors
/// It is an error, or no message.
pub fn reply(body: Bytes) -> Result<Reply, Failure> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        #[expect(dead_code, reason = "a message has content")]
        content: Raw<'a>,
        #[serde(borrow, default)]
        model: Option<Text<'a>>,
        #[serde(default)]
        usage: Option<Written>,
    }

    let (usage, model) = match serde_json::from_slice::<Message<'_>>(&body) {
        Ok(message) => {
            let mut tally = Tally::new();
            if let Some(usage) = &message.usage {
                tally.update(usage);
            }
            (tally.usage(), message.model.map(|model| model.0.into()))
        }
        Err(_) => {
            let unreadable = || garbage(format!("the reply of {PROVIDER} is not a message"));
            return Err(within(&body).unwrap_or_else(unreadable));
        }
    };
    Ok(Reply { body, usage, model })
}

/// The answer to `count_tokens`, as it came.
///
/// # Errors
/// It is an error, or no count.
pub fn count(body: &Bytes) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Count {
        input_tokens: u64,
    }
    serde_json::from_slice::<Count>(body)
        .map(|count| count.input_tokens)
        .map_err(|_| within(body).unwrap_or_else(|| garbage("the provider's reply is no count")))
}

/// A stream that is passed on as it comes.
#[derive(Debug)]
pub struct NativeStream {
    splitter: Splitter,
    tally: Tally,
    output_counted: bool,
    text_bytes: u64,
    /// A stop reason has come: the answer is whole even if the last event is missing.
    stopped: bool,
    done: bool,
    failed: bool,
}

impl Default for NativeStream {
    fn default() -> Self {
        Self {
            splitter: Splitter::new(),
            tally: Tally::new(),
            output_counted: false,
            text_bytes: 0,
            stopped: false,
            done: false,
            failed: false,
        }
    }
}

impl NativeStream {
    /// Looks at one event; true if it brings something of the answer.
    fn look(&mut self, name: Option<&[u8]>, data: &[u8]) -> Result<bool, Failure> {
        #[derive(Deserialize)]
        struct Filled<'a> {
            #[serde(borrow, default)]
            text: Option<Text<'a>>,
            #[serde(borrow, default)]
            thinking: Option<Text<'a>>,
        }
        #[derive(Deserialize)]
        struct AnyDelta<'a> {
            #[serde(borrow)]
            delta: DeltaFields<'a>,
        }

        let Some(kind) = event_kind(name, data)? else { return Ok(false) };
        Ok(match &*kind {
            b"content_block_delta" => {
                let AnyDelta { delta } = parse(data)?;
                let DeltaFields { text, partial_json, thinking, signature, .. } = delta;
                let generated = [text, partial_json, thinking].into_iter().flatten();
                let bytes: usize = generated.map(|text| text.len()).sum();
                self.text_bytes = self.text_bytes.saturating_add(bytes as u64);
                bytes > 0 || signature.is_some_and(|signature| !signature.is_empty())
            }
            b"content_block_start" => {
                let start: BlockStart<'_> = parse(data)?;
                match &*kind_of(start.content_block)? {
                    "text" | "thinking" => {
                        let filled: Filled<'_> = parse(start.content_block.get().as_bytes())?;
                        let texts = [filled.text, filled.thinking].into_iter().flatten();
                        let bytes: usize = texts.map(|text| text.len()).sum();
                        self.text_bytes = self.text_bytes.saturating_add(bytes as u64);
                        bytes > 0
                    }
                    _ => true,
                }
            }
            b"message_start" => {
                if let Some(usage) = &parse::<MessageStart<'_>>(data)?.message.usage {
                    self.tally.update(usage);
                }
                false
            }
            b"message_delta" => {
                let delta: MessageDelta<'_> = parse(data)?;
                if let Some(usage) = &delta.usage {
                    self.tally.update(usage);
                    self.output_counted = true;
                }
                self.stopped |= delta.delta.stop_reason.is_some();
                self.stopped
            }
            b"message_stop" => {
                self.done = true;
                true
            }
            b"error" => {
                let unreadable = || garbage("the provider sent an error that cannot be read");
                return Err(within(data).unwrap_or_else(unreadable));
            }
            _ => false,
        })
    }
}

impl Translate for NativeStream {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let mut progress = Progress::default();
        self.splitter.push(chunk);
        while !self.done && !self.failed {
            let event = match self.splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(too_large) => {
                    self.failed = true;
                    progress.failure = Some(garbage(too_large.to_string()));
                    break;
                }
            };
            let bytes = self.splitter.take(&event);
            let fields = crate::wire::sse::Fields::read(&bytes);
            let data = fields.data.as_deref();
            match data.map_or(Ok(false), |data| self.look(fields.name, data)) {
                Ok(meaningful) => progress.meaningful |= meaningful,
                Err(failure) => {
                    self.failed = true;
                    progress.failure = Some(failure);
                    break;
                }
            }
            out.push(bytes);
        }
        progress.done = self.done;
        progress
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        if !self.done && !self.failed && self.stopped {
            self.done = true;
            out.push(Bytes::from_static(END));
        }
        if self.done { Ending::Complete } else { Ending::Cut }
    }

    fn usage(&self) -> Option<Usage> {
        let usage = self.tally.usage()?;
        if self.output_counted {
            return Some(usage);
        }
        let output_tokens = usage.output_tokens.max(self.text_bytes / BYTES_PER_TOKEN);
        Some(Usage { output_tokens, estimated: true, ..usage })
    }

    fn text_bytes(&self) -> u64 {
        self.text_bytes
    }
}
