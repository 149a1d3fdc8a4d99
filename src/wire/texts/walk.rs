//! The walk: which strings are texts, whose they are, and what of a stream belongs together.

use std::borrow::Cow;
use std::hash::Hasher as _;
use std::ops::Range;

use rustc_hash::FxHasher;

use super::{Role, Text, Texts};
use crate::wire::json::{Broken, Cursor, text};

pub(super) struct Walk<'b> {
    body: &'b [u8],
    /// Whose a text is if nothing says it.
    otherwise: Role,
    /// What stands in a text as JSON is looked into.
    opens: bool,
    found: Vec<Found<'b>>,
    has_tokens: bool,
    told_again: Vec<Range<usize>>,
}

struct Found<'b> {
    value: Cow<'b, str>,
    span: Range<usize>,
    inner: Option<Range<usize>>,
    role: Option<Role>,
    lane: u64,
    is_part: bool,
    is_json: bool,
}

/// What the fields of an object say of all that stands in it.
#[derive(Default)]
struct About<'b> {
    role: Option<Cow<'b, str>>,
    kind: Option<Cow<'b, str>>,
    lane: FxHasher,
    is_numbered: bool,
}

impl<'b> Walk<'b> {
    pub(super) const fn over(body: &'b [u8], otherwise: Role, opens: bool) -> Self {
        Self {
            body,
            otherwise,
            opens,
            found: Vec::new(),
            has_tokens: false,
            told_again: Vec::new(),
        }
    }

    /// Walks over those fields of the outermost object that are meant. What is broken ends the walk: the
    /// bodies that come here were read before, and an event that is no JSON has no texts.
    pub(super) fn fields(mut self, is_meant: impl Fn(&str) -> bool) -> Texts<'b> {
        let is_broken = self.outermost(is_meant).is_err();
        let otherwise = self.otherwise;
        let text = |found: Found<'b>| Text {
            role: found.role.unwrap_or(otherwise),
            value: found.value,
            lane: found.is_part.then_some(found.lane),
            is_json: found.is_json,
            span: found.span,
            inner: found.inner,
        };
        let list = self.found.into_iter().map(text).collect();
        Texts { list, has_tokens: self.has_tokens, is_broken, told_again: self.told_again }
    }

    fn outermost(&mut self, is_meant: impl Fn(&str) -> bool) -> Result<(), Broken> {
        let mut cursor = Cursor::new(self.body);
        let mut about = About::default();
        cursor.open(b'{')?;
        let mut first = true;
        while let Some(name) = cursor.field(first)? {
            first = false;
            let name = self.name(name);
            self.notice(&name, &cursor, &mut about);
            if !is_meant(&name) {
                cursor.value()?;
                continue;
            }
            let from = self.found.len();
            match &*name {
                // Of a response that is told whole, what its client said itself is no news.
                "response" => self.response(&mut cursor)?,
                _ => self.value(&mut cursor, &name, false, 0)?,
            }
            if matches!(
                &*name,
                "system" | "instructions" | "systemInstruction" | "system_instruction"
            ) {
                self.found[from..].iter_mut().for_each(|found| found.role = Some(Role::System));
            }
        }
        self.belongs(0, &about, 0);
        let kind = about.kind.as_deref().unwrap_or_default();
        if kind.starts_with("response.") && !kind.ends_with(".delta") {
            // What was told in pieces is told once more, whole.
            self.found.iter_mut().for_each(|found| found.is_part = false);
        }
        Ok(())
    }

    fn response(&mut self, cursor: &mut Cursor<'b>) -> Result<(), Broken> {
        if cursor.peek() != Some(b'{') {
            cursor.value()?;
            return Ok(());
        }
        cursor.open(b'{')?;
        let mut first = true;
        while let Some(name) = cursor.field(first)? {
            first = false;
            match &*self.name(name) {
                "output" => self.value(cursor, "output", false, 1)?,
                _ => {
                    cursor.value()?;
                }
            }
        }
        Ok(())
    }

    fn name(&self, span: Range<usize>) -> Cow<'b, str> {
        // The quotes stand around it.
        meant(self.body.get(span.start - 1..=span.end).unwrap_or_default())
    }

    /// `all`: every string is a text, because the names around it are somebody's own.
    fn value(
        &mut self,
        cursor: &mut Cursor<'b>,
        name: &str,
        all: bool,
        depth: u32,
    ) -> Result<(), Broken> {
        match cursor.peek() {
            Some(b'{') => self.object(cursor, all, depth),
            Some(b'[') => {
                cursor.open(b'[')?;
                let mut first = true;
                while cursor.element(first)? {
                    first = false;
                    let is_number = cursor.peek().is_some_and(|byte| byte.is_ascii_digit());
                    self.has_tokens |= is_number && !all && matches!(name, "prompt" | "input");
                    self.value(cursor, name, all, depth + 1)?;
                }
                Ok(())
            }
            Some(b'"') => {
                let start = cursor.at();
                cursor.string()?;
                self.string(start..cursor.at(), name, all);
                Ok(())
            }
            _ => cursor.value().map(|_| ()),
        }
    }

    fn object(&mut self, cursor: &mut Cursor<'b>, all: bool, depth: u32) -> Result<(), Broken> {
        let from = self.found.len();
        let mut about = About::default();
        cursor.open(b'{')?;
        let mut first = true;
        while let Some(name) = cursor.field(first)? {
            first = false;
            let name = self.name(name);
            if !all {
                self.notice(&name, cursor, &mut about);
                if matches!(&*name, "logprobs" | "logprobsResult") {
                    let span = cursor.value()?;
                    if self.body.get(span.clone()) != Some(b"null") {
                        self.told_again.push(span);
                    }
                    continue;
                }
            }
            let is_free = cursor.peek() == Some(b'{')
                && matches!(&*name, "input" | "args" | "response" | "arguments" | "variables");
            self.value(cursor, &name, all || is_free, depth + 1)?;
        }
        self.belongs(from, &about, depth + 1);
        Ok(())
    }

    /// Takes down what a field says of its object.
    fn notice(&self, name: &str, cursor: &Cursor<'b>, about: &mut About<'b>) {
        match name {
            "role" => about.role = self.peeked(cursor),
            "type" => about.kind = self.peeked(cursor),
            "index" | "output_index" | "content_index" | "summary_index" => {
                let mut ahead = *cursor;
                let Ok(span) = ahead.value() else { return };
                let digits = self.body.get(span).unwrap_or_default();
                // Some leave a zero out.
                if digits != b"0" && digits != b"null" {
                    about.lane.write(name.as_bytes());
                    about.lane.write(digits);
                    about.is_numbered = true;
                }
            }
            _ => {}
        }
    }

    fn peeked(&self, cursor: &Cursor<'b>) -> Option<Cow<'b, str>> {
        let mut ahead = *cursor;
        let start = (ahead.peek() == Some(b'"')).then(|| ahead.at())?;
        ahead.string().ok()?;
        Some(meant(self.body.get(start..ahead.at())?))
    }

    /// What an object says of the texts in it, from the inside out.
    fn belongs(&mut self, from: usize, about: &About<'b>, depth: u32) {
        let kind = about.kind.as_deref().unwrap_or_default();
        let is_result = kind == "tool_result"
            || kind.ends_with("_call_output")
            || kind.ends_with("_tool_result");
        let role = match about.role.as_deref() {
            _ if is_result => Some(Role::Tool),
            Some("system" | "developer") => Some(Role::System),
            Some("assistant" | "model" | "CHATBOT") => Some(Role::Assistant),
            Some("tool" | "function") => Some(Role::Tool),
            Some("user") => Some(Role::User),
            _ => None,
        };
        let is_json = kind.contains("function_call_arguments");
        if role.is_none() && !is_json && !about.is_numbered {
            return;
        }
        for found in &mut self.found[from..] {
            found.role = found.role.or(role);
            found.is_json |= is_json;
            if about.is_numbered {
                let mut lane = about.lane.clone();
                lane.write_u32(depth);
                lane.write_u64(found.lane);
                found.lane = lane.finish();
            }
        }
    }

    fn string(&mut self, span: Range<usize>, name: &str, all: bool) {
        if !all && is_no_text(name) {
            return;
        }
        let value = meant(self.body.get(span.clone()).unwrap_or_default());
        if value.is_empty() || may_be_data(name) && is_data(&value) {
            return;
        }
        let is_json = !all && matches!(name, "arguments" | "partial_json");
        if self.opens && is_json && self.open(&value, &span) {
            return;
        }
        let mut lane = FxHasher::default();
        lane.write(name.as_bytes());
        lane.write_u8(u8::from(all));
        let lane = lane.finish();
        let is_part = !all && comes_in_parts(name);
        self.found.push(Found { value, span, inner: None, role: None, lane, is_part, is_json });
    }

    /// Looks into a text that is JSON itself. False: it is none.
    fn open(&mut self, json: &str, span: &Range<usize>) -> bool {
        let mut cursor = Cursor::new(json.as_bytes());
        cursor.space();
        if !matches!(cursor.peek(), Some(b'{' | b'[')) {
            return false;
        }
        let mut within = Walk::over(json.as_bytes(), self.otherwise, false);
        let walked = within.value(&mut cursor, "arguments", true, 0);
        cursor.space();
        if walked.is_err() || cursor.peek().is_some() {
            return false;
        }
        self.found.extend(within.found.into_iter().map(|found| Found {
            value: Cow::Owned(found.value.into_owned()),
            inner: Some(found.span),
            span: span.clone(),
            role: None,
            lane: found.lane,
            is_part: false,
            is_json: false,
        }));
        true
    }
}

/// Names of fields whose strings nobody says to anybody.
fn is_no_text(name: &str) -> bool {
    matches!(
        name,
        "type"
            | "role"
            | "id"
            | "name"
            | "model"
            | "object"
            | "status"
            | "index"
            | "tool_call_id"
            | "tool_use_id"
            | "call_id"
            | "item_id"
            | "response_id"
            | "previous_response_id"
            | "container_id"
            | "file_id"
            | "url"
            | "uri"
            | "fileUri"
            | "file_uri"
            | "file_url"
            | "image_url"
            | "audio_url"
            | "signature"
            | "thoughtSignature"
            | "thought_signature"
            | "encrypted_content"
            | "encrypted_index"
            | "media_type"
            | "mime_type"
            | "mimeType"
            | "format"
            | "detail"
            | "finish_reason"
            | "finishReason"
            | "native_finish_reason"
            | "stop_reason"
            | "service_tier"
            | "system_fingerprint"
            | "ttl"
            | "obfuscation"
            | "server_label"
            | "responseId"
            | "modelVersion"
            | "taskType"
            | "input_type"
            | "encoding_format"
    )
}

/// Names of fields that a stream tells in pieces.
fn comes_in_parts(name: &str) -> bool {
    matches!(
        name,
        "content"
            | "text"
            | "delta"
            | "reasoning"
            | "reasoning_content"
            | "refusal"
            | "thinking"
            | "arguments"
            | "partial_json"
            | "transcript"
    )
}

/// Names of fields that hold data, or a text.
fn may_be_data(name: &str) -> bool {
    matches!(
        name,
        "data" | "file_data" | "b64_json" | "result" | "partial_image_b64" | "audio" | "bytes"
    )
}

fn is_data(value: &str) -> bool {
    /// Nobody writes so much without a space.
    const WORD_MAX: usize = 256;
    let is_letter =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    value.starts_with("data:") || value.len() > WORD_MAX && value.bytes().all(is_letter)
}

/// What a JSON string means. Half a pair of surrogates means nothing, and must not hide what stands
/// around it.
pub(super) fn meant(raw: &[u8]) -> Cow<'_, str> {
    if let Some(text) = text(raw) {
        return text;
    }
    let inner = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\""));
    let inner = String::from_utf8_lossy(inner.unwrap_or_default());
    let mut out = String::with_capacity(inner.len());
    let mut rest = &*inner;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        // An escape is at most a pair of surrogates: twelve characters of ASCII.
        let lengths = [12, 6, 2].into_iter().filter(|length| *length <= behind.len() + 1);
        let escape = lengths.filter_map(|length| {
            let raw = rest.get(before.len()..before.len() + length)?;
            let text: String = serde_json::from_str(&format!("\"{raw}\"")).ok()?;
            // Longer ones may hold more than the escape; that is decoded in its turn.
            (length == 2 || text.chars().count() == 1).then_some((text, length))
        });
        let (text, length) = escape.into_iter().next().unwrap_or_else(|| {
            let is_half = behind.starts_with('u') && behind.len() >= 5;
            ('\u{fffd}'.to_string(), if is_half { 6 } else { 1 })
        });
        out.push_str(&text);
        rest = rest.get(before.len() + length..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}
