//! What of a request is text to be counted, and what the rest of it comes to by rule.
//!
//! The rules are OpenAI's where it has published any, and they are in the documentation
//! (`docs/limits.md`). For other providers they are as good as others.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use super::{COUNTED_TEXT_BYTES, Counted, Encoding, estimate};
use crate::dialect::Endpoint;
use crate::wire::json::{Object, elements, text};

/// What frames a message beside its role and content.
const MESSAGE: u64 = 3;
/// A `name` of a message.
const NAME: u64 = 1;
/// What begins the reply.
const REPLY: u64 = 3;
/// What frames a call of a tool within a message.
const TOOL_CALL: u64 = 3;
/// What frames all definitions of tools, each of them, each of its properties and their values.
const TOOLS: u64 = 12;
const TOOL: u64 = 7;
const PROPERTY: u64 = 3;
const ENUM_VALUE: u64 = 3;
/// An image with `detail: low`.
const SMALL_IMAGE: u64 = 85;
/// Any other image, as if it had 1024 x 1024 pixels.
const IMAGE: u64 = 765;
/// A token of audio is 100 ms: of PCM with 24 kHz and 16 bits, or of what compresses it threefold.
const PCM_BYTES: u64 = 4_800;
const PACKED_BYTES: u64 = 1_600;
/// A file that is sent along; what is in it, only its provider knows.
const FILE_BYTES: u64 = 100;
/// A file that the provider has already.
const STORED_FILE: u64 = 1_000;

/// A prompt, taken apart. Shares the request's memory.
#[derive(Debug, Default)]
pub struct Prompt {
    texts: Vec<Text>,
    /// Tokens that are no text.
    fixed: u64,
    /// Some of it goes by rule and not by count.
    by_rule: bool,
}

#[derive(Debug)]
enum Text {
    /// A JSON string with its quotes, in the request's own memory.
    Written(Bytes),
    Own(String),
}

impl Text {
    fn len(&self) -> usize {
        match self {
            Self::Written(json) => json.len().saturating_sub(2),
            Self::Own(text) => text.len(),
        }
    }

    fn as_str(&self) -> Cow<'_, str> {
        match self {
            Self::Written(json) => text(json).unwrap_or_default(),
            Self::Own(text) => Cow::Borrowed(text),
        }
    }
}

impl Prompt {
    /// Takes a request apart. A body that makes no sense has no tokens; its provider will say so.
    #[must_use]
    pub fn read(body: &Object, endpoint: Endpoint) -> Self {
        let mut prompt = Self::default();
        match endpoint {
            Endpoint::Chat => prompt.chat(body),
            Endpoint::Completions => prompt.input(body.slice("prompt")),
            Endpoint::Embeddings | Endpoint::Moderations | Endpoint::Speech => {
                prompt.input(body.slice("input"));
            }
            Endpoint::ImageGenerations => prompt.input(body.slice("prompt")),
            _ => {}
        }
        prompt
    }

    /// Counts with this table, or estimates without one. Reads the table if it is not ready.
    #[must_use]
    pub fn count(&self, encoding: Option<Encoding>) -> Counted {
        match encoding {
            Some(encoding) => self.add_up(|text| encoding.count(text), true),
            None => self.add_up(estimate::tokens, false),
        }
    }

    fn add_up(&self, count: impl Fn(&str) -> u64, counts_exactly: bool) -> Counted {
        let (mut tokens, mut seen, mut unseen) = (0_u64, 0_usize, 0_usize);
        for text in &self.texts {
            let text = text.as_str();
            let room = COUNTED_TEXT_BYTES.saturating_sub(seen + unseen);
            let (looked_at, rest) = text.split_at(boundary(&text, room));
            tokens += count(looked_at);
            seen += looked_at.len();
            unseen += rest.len();
        }
        // Neither is larger than a body, so the product fits.
        let rest = tokens.saturating_mul(unseen as u64) / seen.max(1) as u64;
        let exact = counts_exactly && !self.by_rule && unseen == 0;
        Counted { tokens: tokens + rest + self.fixed, exact }
    }

    /// How much text a count would look at, and a little more.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.texts.iter().map(Text::len).sum()
    }

    fn chat(&mut self, body: &Object) {
        self.fixed += REPLY;
        if let Some(system) = body.slice("system") {
            self.fixed += MESSAGE;
            self.content(&system);
        }
        for message in body.slice("messages").map(|all| elements(&all)).unwrap_or_default() {
            self.message(&message);
        }
        let tools = ["tools", "functions"].into_iter().find_map(|name| body.value(name));
        if let Some(Value::Array(tools)) = tools.filter(|tools| *tools != Value::Array(Vec::new()))
        {
            self.by_rule = true;
            self.fixed += TOOLS;
            tools.iter().for_each(|tool| self.tool(tool));
        }
        if let Some(schema) = body
            .object("response_format")
            .filter(|format| format.contains("json_schema"))
            .and_then(|format| format.raw("json_schema").map(str::to_owned))
        {
            self.by_rule = true;
            self.texts.push(Text::Own(schema));
        }
    }

    fn message(&mut self, message: &Object) {
        self.fixed += MESSAGE;
        for name in ["role", "content", "refusal"] {
            if let Some(value) = message.slice(name) {
                self.content(&value);
            }
        }
        if let Some(name) = message.slice("name").filter(|name| name.starts_with(b"\"")) {
            self.fixed += NAME;
            self.texts.push(Text::Written(name));
        }
        for call in message.slice("tool_calls").map(|all| elements(&all)).unwrap_or_default() {
            self.by_rule = true;
            self.fixed += TOOL_CALL;
            self.call(call.object("function").as_ref());
        }
        if let Some(call) = message.object("function_call") {
            self.by_rule = true;
            self.call(Some(&call));
        }
    }

    fn call(&mut self, function: Option<&Object>) {
        for name in ["name", "arguments"] {
            let value = function.and_then(|function| function.slice(name));
            self.texts.extend(value.filter(|value| value.starts_with(b"\"")).map(Text::Written));
        }
    }

    /// A text, or parts.
    fn content(&mut self, content: &Bytes) {
        if content.starts_with(b"\"") {
            self.texts.push(Text::Written(content.clone()));
        } else if content.starts_with(b"[") {
            elements(content).iter().for_each(|part| self.part(part));
        }
    }

    fn part(&mut self, part: &Object) {
        let kind = part.str("type").unwrap_or_default();
        let length = |object: Option<Object>, name: &str| {
            object.and_then(|object| object.raw_bytes(name).map(<[u8]>::len)).unwrap_or(0) as u64
        };
        match &*kind {
            "image_url" | "image" | "input_image" => {
                let image = part.object("image_url");
                let detail = image.as_ref().and_then(|image| image.str("detail"));
                self.fixed += if detail.as_deref() == Some("low") { SMALL_IMAGE } else { IMAGE };
                self.by_rule = true;
            }
            "input_audio" => {
                let audio = part.object("input_audio");
                let format = audio.as_ref().and_then(|audio| audio.str("format"));
                let pcm = format.is_none_or(|format| matches!(&*format, "wav" | "pcm16"));
                let bytes = decoded(length(part.object("input_audio"), "data"));
                self.fixed += bytes.div_ceil(if pcm { PCM_BYTES } else { PACKED_BYTES });
                self.by_rule = true;
            }
            "file" | "document" | "input_file" => {
                let inner = part.object("file").or_else(|| part.object("source"));
                let bytes = ["file_data", "data"].map(|name| length(inner.clone(), name));
                let bytes = decoded(bytes.into_iter().max().unwrap_or(0));
                self.fixed += if bytes == 0 { STORED_FILE } else { bytes.div_ceil(FILE_BYTES) };
                self.by_rule = true;
            }
            "tool_use" => {
                self.by_rule = true;
                self.fixed += TOOL_CALL;
                self.texts.extend(part.slice("name").map(Text::Written));
                let input = part.raw("input").map(str::to_owned);
                self.texts.extend(input.map(Text::Own));
            }
            "tool_result" => {
                self.by_rule = true;
                self.fixed += MESSAGE;
                if let Some(content) = part.slice("content") {
                    self.content(&content);
                }
            }
            // `text`, `refusal`, `thinking` and what providers add: a text is under one of these.
            _ => {
                for name in ["text", "refusal", "thinking"] {
                    let value = part.slice(name).filter(|value| value.starts_with(b"\""));
                    self.texts.extend(value.map(Text::Written));
                }
            }
        }
    }

    /// The rule of OpenAI's cookbook: names, types and descriptions are text, and each has a frame.
    fn tool(&mut self, tool: &Value) {
        let function = tool.get("function").unwrap_or(tool);
        self.fixed += TOOL;
        self.own(function.get("name"));
        self.own(function.get("description"));
        let parameters = function.get("parameters").or_else(|| function.get("input_schema"));
        if let Some(parameters) = parameters {
            self.schema(parameters, SCHEMA_DEPTH);
        }
    }

    fn schema(&mut self, schema: &Value, depth: u32) {
        if depth == 0 {
            return;
        }
        for (name, property) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            self.fixed += PROPERTY;
            self.texts.push(Text::Own(name.clone()));
            self.own(property.get("type"));
            self.own(property.get("description"));
            for value in property.get("enum").and_then(Value::as_array).into_iter().flatten() {
                self.fixed += ENUM_VALUE;
                self.own(Some(value));
            }
            self.schema(property, depth - 1);
        }
        if let Some(items) = schema.get("items") {
            self.own(items.get("type"));
            self.schema(items, depth - 1);
        }
    }

    fn own(&mut self, value: Option<&Value>) {
        self.texts.extend(value.and_then(Value::as_str).map(|text| Text::Own(text.to_owned())));
    }

    /// A text, texts, or tokens that were counted by the client; arrays of any of them.
    fn input(&mut self, input: Option<Bytes>) {
        let Some(input) = input else { return };
        if input.starts_with(b"\"") {
            return self.texts.push(Text::Written(input));
        }
        let mut waiting = vec![serde_json::from_slice::<Value>(&input).unwrap_or_default()];
        while let Some(value) = waiting.pop() {
            match value {
                Value::String(text) => self.texts.push(Text::Own(text)),
                Value::Number(_) => self.fixed += 1,
                Value::Array(values) => waiting.extend(values),
                Value::Null | Value::Bool(_) | Value::Object(_) => {}
            }
        }
    }
}

/// The last place up to `at` where a text may be cut.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The bytes behind so many of base64.
const fn decoded(base64_bytes: u64) -> u64 {
    base64_bytes / 4 * 3
}

/// Schemas may name themselves.
const SCHEMA_DEPTH: u32 = 16;
