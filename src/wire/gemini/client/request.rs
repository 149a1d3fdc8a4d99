//! A `GenerateContentRequest`, put into the canonical form.

use bytes::Bytes;
use serde::Serialize;

use super::contents::Conversation;
use super::read::{Message, camel};
use super::tools::Tooling;
use super::{config, embed};
use crate::failure::{Failure, FailureClass};
use crate::wire::chat::Raw;
use crate::wire::client::{Asked, Canonical, Obstacle};
use crate::wire::fields::{impossible, missing};
use crate::wire::json::{Object, quoted};
use crate::wire::request::is_own;

/// Further fields of the gateway's and of LiteLLM's clients, which no request of Google's has.
pub(super) const GATEWAYS: [&str; 5] = ["metadata", "user", "stream", "stream_options", "model"];

/// Puts a request into the canonical form.
///
/// # Errors
/// It is wrong: the client is told which of its fields, as it wrote it.
pub fn request(body: &Object, asked: Asked<'_>) -> Result<Canonical, Failure> {
    if asked.embeds {
        return embed::request(body, asked);
    }
    // Counting tokens takes either the contents alone, or a whole request in this field.
    for name in ["generateContentRequest", "generate_content_request"] {
        if let Some(inner) = body.object(name) {
            return translate(&inner, &format!("{name}."), asked);
        }
    }
    translate(body, "", asked)
}

fn translate(body: &Object, within: &str, asked: Asked<'_>) -> Result<Canonical, Failure> {
    let mut draft = Draft::new(body.bytes().len());
    let mut obstacle = Obstacle::default();
    if let Some(model) = asked.model {
        draft.set("model", model);
    }
    if asked.stream == Some(true) {
        draft.raw("stream", "true");
        // The last frame of a stream always tells what it used.
        draft.raw("stream_options", r#"{"include_usage":true}"#);
    }
    let fields = Message::read("body", text_of(body))?;
    let mut conversation = Conversation::default();
    let mut tooling = Tooling::default();
    let place = |written: &str| format!("{within}{written}");
    if let Some((written, raw)) = fields.find("systemInstruction") {
        conversation.system(&place(written), raw)?;
    }
    let Some((written, contents)) = fields.find("contents") else {
        return Err(missing(&place("contents")));
    };
    conversation.contents(&place(written), contents, &mut obstacle)?;
    draft.set("messages", &conversation.messages);
    if let Some((written, raw)) = fields.find("tools") {
        tooling.tools(&place(written), raw, &mut obstacle)?;
    }
    if let Some((written, raw)) = fields.find("toolConfig") {
        tooling.config(&place(written), raw, &mut obstacle)?;
    }
    if !tooling.tools.is_empty() {
        draft.set("tools", &tooling.tools);
        if let Some(choice) = &tooling.choice {
            draft.set("tool_choice", choice);
        }
    }
    for (written, raw) in fields.written() {
        let place = place(written);
        match &*camel(written) {
            "systemInstruction" | "contents" | "tools" | "toolConfig" => {}
            "generationConfig" => config::write(&place, raw, &mut draft, &mut obstacle)?,
            // What Google is to let through, and whom it is to charge: other providers have rules
            // and bills of their own.
            "safetySettings" | "labels" | "store" => {}
            "serviceTier" => service_tier(&place, raw, &mut draft)?,
            "cachedContent" => {
                let message =
                    format!("`{place}` is kept at Google: no other provider's model can read it");
                obstacle.content(impossible(&place, message));
            }
            _ if is_own(written) => draft.raw(written, raw.get()),
            "model" | "stream" | "streamOptions" => {}
            _ if GATEWAYS.contains(&written) => draft.raw(written, raw.get()),
            _ => {
                let message = format!("Unknown name {written:?}: this request has no such field");
                obstacle.parameter(impossible(&place, message));
            }
        }
    }
    Ok(Canonical { body: draft.finish()?, obstacle })
}

fn service_tier(param: &str, raw: Raw<'_>, draft: &mut Draft) -> Result<(), Failure> {
    let tier = super::read::word(param, raw)?;
    let tier = tier.strip_prefix("SERVICE_TIER_").unwrap_or(&tier).to_ascii_lowercase();
    match &*tier {
        "unspecified" => {}
        "standard" => draft.set("service_tier", "default"),
        tier => draft.set("service_tier", tier),
    }
    Ok(())
}

/// Whether the client wants to see what the model thought.
#[must_use]
pub(super) fn includes_thoughts(request: &Object) -> bool {
    let within = |object: &Object, names: [&str; 2]| names.iter().find_map(|it| object.object(it));
    within(request, ["generationConfig", "generation_config"])
        .and_then(|config| within(&config, ["thinkingConfig", "thinking_config"]))
        .is_some_and(|thinking| {
            let said = |name| thinking.bool(name) == Some(true);
            said("includeThoughts") || said("include_thoughts")
        })
}

pub(super) fn text_of(body: &Object) -> &str {
    // It was read as JSON, so it is text.
    std::str::from_utf8(body.bytes()).unwrap_or_default().trim()
}

/// A canonical request that is being written.
pub(super) struct Draft(Vec<u8>);

impl Draft {
    pub(super) fn new(room: usize) -> Self {
        Self(Vec::with_capacity(room + 256))
    }

    /// Adds a field whose value is JSON text already.
    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.extend_from_slice(quoted(name).as_bytes());
        self.0.push(b':');
        self.0.extend_from_slice(json.as_bytes());
    }

    /// Adds a field.
    pub(super) fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.raw(name, "");
        serde_json::to_writer(&mut self.0, value)
            .expect("a Vec takes every byte, and nothing here has keys that are no strings");
    }

    pub(super) fn finish(mut self) -> Result<Object, Failure> {
        self.0.extend_from_slice(if self.0.is_empty() { b"{}" } else { b"}" });
        Object::parse(Bytes::from(self.0)).map_err(|malformed| {
            Failure::new(FailureClass::BadRequest, format!("The request is malformed: {malformed}"))
        })
    }
}
