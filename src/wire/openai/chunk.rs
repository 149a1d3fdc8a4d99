//! One chunk of a stream, scanned once and never built as a tree.
//!
//! The scan answers what the relay must know of every chunk: whether it generates anything, counts
//! tokens, ends a choice or is an error in disguise; and what the quirks need: whether it must be
//! rewritten at all.

use std::ops::Range;

use crate::wire::json::{Broken, Cursor};

/// What a chunk says. Spans are into the scanned text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// It generates something or ends a choice; a chunk with only a role does neither.
    pub(super) meaningful: bool,
    /// Bytes of generated text, as written: escapes included.
    pub(super) text_bytes: u64,
    /// A choice ends.
    pub(super) finish: bool,
    /// A choice has `""` for its finish reason.
    pub(super) blank_finish: bool,
    /// It holds an error.
    pub(super) error: bool,
    /// The usage object. Groq's own place for it counts too.
    pub(super) usage: Option<Range<usize>>,
    /// `"usage":null` with the comma that goes with it, as OpenAI sends it with every chunk of a
    /// stream whose usage was asked for.
    pub(super) null_usage: Option<Range<usize>>,
    /// There is at least one choice.
    pub(super) choices: bool,
    /// A choice has neither `delta` nor `text`.
    pub(super) bare_choice: bool,
    /// A choice has tool calls.
    pub(super) tool_calls: bool,
    /// Content is a list, or reasoning has another name than `reasoning_content`.
    pub(super) foreign_delta: bool,
    /// It carries results of Azure's content filter.
    pub(super) filter_results: bool,
    pub(super) id: Option<Range<usize>>,
    pub(super) model: Option<Range<usize>>,
    pub(super) created: Option<Range<usize>>,
    /// The text that was counted last, without its quotes, if it is a string.
    pub(super) text: Option<Range<usize>>,
    /// The padding with which OpenAI hides the length of a chunk, without its quotes.
    pub(super) padding: Option<Range<usize>>,
}

impl Chunk {
    /// Scans the data of one event.
    pub(super) fn scan(text: &[u8]) -> Result<Self, Broken> {
        let mut chunk = Self::default();
        let mut cursor = Cursor::new(text);
        cursor.open(b'{')?;
        let mut first = true;
        while let Some(name) = cursor.field(first)? {
            let leads = std::mem::take(&mut first);
            match &text[name.clone()] {
                b"choices" if cursor.peek() == Some(b'[') => chunk.choices(text, &mut cursor)?,
                b"x_groq" if cursor.peek() == Some(b'{') => chunk.groq(text, &mut cursor)?,
                b"usage" => {
                    let value = cursor.value()?;
                    match text[value.start] {
                        b'{' => chunk.usage = Some(value),
                        b'n' => {
                            chunk.null_usage = Some(member(text, name.start - 1..value.end, leads))
                        }
                        _ => {}
                    }
                }
                b"error" => chunk.error |= truthy(&text[cursor.value()?]),
                b"object" | b"type" => chunk.error |= text[cursor.value()?] == *b"\"error\"",
                b"id" => chunk.id = Some(cursor.value()?),
                b"model" => chunk.model = Some(cursor.value()?),
                b"created" => chunk.created = Some(cursor.value()?),
                b"obfuscation" if cursor.peek() == Some(b'"') => {
                    chunk.padding = Some(cursor.string()?);
                }
                b"prompt_filter_results" | b"prompt_annotations" => {
                    chunk.filter_results = true;
                    cursor.value()?;
                }
                _ => {
                    cursor.value()?;
                }
            }
        }
        cursor.space();
        if cursor.peek().is_some() {
            return Err(cursor.broken("something follows the object"));
        }
        Ok(chunk)
    }

    /// True if `id` is there and empty: Azure's own frames.
    pub(super) fn has_blank_id(&self, text: &[u8]) -> bool {
        self.id.clone().is_some_and(|id| text[id] == *b"\"\"")
    }

    fn choices(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Broken> {
        cursor.open(b'[')?;
        let mut first = true;
        while cursor.element(first)? {
            first = false;
            self.choices = true;
            if cursor.peek() == Some(b'{') {
                self.choice(text, cursor)?;
            } else {
                cursor.value()?;
            }
        }
        Ok(())
    }

    fn choice(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Broken> {
        cursor.open(b'{')?;
        let (mut first, mut bare) = (true, true);
        while let Some(name) = cursor.field(first)? {
            first = false;
            match &text[name] {
                b"delta" if cursor.peek() == Some(b'{') => {
                    bare = false;
                    self.delta(text, cursor)?;
                }
                // The text completions have it instead of a delta.
                b"text" => {
                    bare = false;
                    let length = self.text(text, cursor.value()?);
                    self.text_bytes += length;
                    self.meaningful |= length > 0;
                }
                b"finish_reason" => match &text[cursor.value()?] {
                    b"null" => {}
                    b"\"\"" => self.blank_finish = true,
                    _ => {
                        self.finish = true;
                        self.meaningful = true;
                    }
                },
                b"error" => self.error |= truthy(&text[cursor.value()?]),
                b"content_filter_results"
                | b"content_filter_result"
                | b"content_filter_offsets" => {
                    self.filter_results = true;
                    cursor.value()?;
                }
                _ => {
                    cursor.value()?;
                }
            }
        }
        self.bare_choice |= bare;
        Ok(())
    }

    fn delta(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Broken> {
        cursor.open(b'{')?;
        let mut first = true;
        // Some servers send the same reasoning under two names.
        let mut reasoning = 0;
        while let Some(name) = cursor.field(first)? {
            first = false;
            let start = cursor.at();
            match &text[name] {
                b"role" | b"name" | b"id" | b"type" | b"index" => {
                    cursor.value()?;
                    continue;
                }
                b"content" => {
                    let value = cursor.value()?;
                    self.foreign_delta |= text[start] == b'[';
                    self.text_bytes += self.text(text, value);
                }
                b"reasoning_content" => {
                    reasoning = reasoning.max(self.text(text, cursor.value()?));
                }
                b"reasoning" | b"thinking" => {
                    let value = cursor.value()?;
                    self.foreign_delta |= text[start] == b'"';
                    reasoning = reasoning.max(self.text(text, value));
                }
                b"refusal" => self.text_bytes += self.text(text, cursor.value()?),
                b"tool_calls" if cursor.peek() == Some(b'[') => self.tool_calls(text, cursor)?,
                b"function_call" if cursor.peek() == Some(b'{') => self.function(text, cursor)?,
                _ => {
                    cursor.value()?;
                }
            }
            // A name that is not known here is taken for something generated.
            self.meaningful |= !empty(&text[start..cursor.at()]);
        }
        self.text_bytes += reasoning;
        Ok(())
    }

    fn tool_calls(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Broken> {
        cursor.open(b'[')?;
        let mut first = true;
        while cursor.element(first)? {
            first = false;
            self.tool_calls = true;
            if cursor.peek() != Some(b'{') {
                cursor.value()?;
                continue;
            }
            cursor.open(b'{')?;
            let mut first = true;
            while let Some(name) = cursor.field(first)? {
                first = false;
                if text[name] == *b"function" && cursor.peek() == Some(b'{') {
                    self.function(text, cursor)?;
                } else {
                    cursor.value()?;
                }
            }
        }
        Ok(())
    }

    fn function(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Broken> {
        cursor.open(b'{')?;
        let mut first = true;
        while let Some(name) = cursor.field(first)? {
            first = false;
            let counts = matches!(&text[name], b"name" | b"arguments");
            let value = cursor.value()?;
            if counts {
                self.text_bytes += self.text(text, value);
            }
        }
        Ok(())
    }

    /// The length of generated text: of a string without its quotes, of a list or object as written.
    fn text(&mut self, text: &[u8], value: Range<usize>) -> u64 {
        match text[value.start] {
            b'"' => {
                self.text = Some(value.start + 1..value.end - 1);
                value.len() as u64 - 2
            }
            b'[' | b'{' => value.len() as u64,
            _ => 0,
        }
    }

    fn groq(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Broken> {
        cursor.open(b'{')?;
        let mut first = true;
        while let Some(name) = cursor.field(first)? {
            first = false;
            let name = &text[name];
            let value = cursor.value()?;
            match name {
                b"usage" if text[value.start] == b'{' && self.usage.is_none() => {
                    self.usage = Some(value);
                }
                b"error" => self.error |= truthy(&text[value]),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A member of an object with the comma before it, or behind it if it is the first one.
fn member(text: &[u8], Range { start, end }: Range<usize>, leads: bool) -> Range<usize> {
    let blank = |byte: &&u8| byte.is_ascii_whitespace();
    if leads {
        let gap = text[end..].iter().take_while(blank).count();
        let comma = usize::from(text.get(end + gap) == Some(&b','));
        return start..end + (gap + 1) * comma;
    }
    let gap = text[..start].iter().rev().take_while(blank).count();
    // The cursor has stepped over a comma to get here.
    start - gap - 1..end
}

/// What Python calls true, which is how the official client looks at `error`.
fn truthy(value: &[u8]) -> bool {
    !empty(value) && !matches!(value, b"false" | b"0")
}

/// `null`, `""`, `[]` or `{}`.
fn empty(value: &[u8]) -> bool {
    matches!(value, b"null" | b"\"\"")
        || matches!(value, [b'[' | b'{', inner @ .., _] if inner.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(delta: &str) -> Chunk {
        let text = format!(
            r#"{{"id":"x","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}],"usage":null}}"#
        );
        Chunk::scan(text.as_bytes()).expect("valid JSON")
    }

    #[test]
    fn only_what_is_generated_is_meaningful() {
        for nothing in [
            "{}",
            r#"{"role":"assistant"}"#,
            r#"{"role":"assistant","content":""}"#,
            r#"{"role":"assistant","content":null,"refusal":null,"tool_calls":[ ],"audio":{}}"#,
            r#"{"role":"assistant","content":null,"reasoning_content":""}"#,
        ] {
            let chunk = delta(nothing);
            assert!(!chunk.meaningful && chunk.text_bytes == 0, "{nothing}");
        }
        for (something, bytes) in [
            (r#"{"content":" "}"#, 1),
            (r#"{"refusal":"no"}"#, 2),
            (r#"{"reasoning_content":"hm","reasoning":"hm"}"#, 2),
            (r#"{"audio":{"id":"a"}}"#, 0),
            (r#"{"content":[{"type":"text","text":"a"}]}"#, 28),
            (
                r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}"#,
                3,
            ),
            (r#"{"function_call":{"name":"f"}}"#, 1),
            (r#"{"something_new":1}"#, 0),
        ] {
            let chunk = delta(something);
            assert!(chunk.meaningful, "{something}");
            assert_eq!(chunk.text_bytes, bytes, "{something}");
        }
    }

    #[test]
    fn words_inside_generated_text_deceive_nobody() {
        let chunk = delta(r#"{"content":"\"error\":{}, \"usage\":{\"prompt_tokens\":1}, [DONE]"}"#);
        assert!(!chunk.error && chunk.usage.is_none());
    }

    #[test]
    fn errors_usage_and_ends_are_seen() {
        let scan = |text: &str| Chunk::scan(text.as_bytes()).expect("valid JSON");
        assert!(scan(r#"{"error":{"message":"m"}}"#).error);
        assert!(scan(r#"{"error":"text","code":"c"}"#).error);
        assert!(scan(r#"{"object":"error","message":"m"}"#).error);
        assert!(scan(r#"{"choices":[{"error":{"code":502}}]}"#).error);
        assert!(scan(r#"{"x_groq":{"error":"stopped"}}"#).error);
        assert!(!scan(r#"{"error":null,"object":"chat.completion.chunk"}"#).error);
        assert!(scan(r#"{"choices":[{"finish_reason":"stop","delta":{}}]}"#).finish);
        assert!(scan(r#"{"choices":[{"finish_reason":"","delta":{}}]}"#).blank_finish);
        assert!(scan(r#"{"choices":[{"text":"a"}]}"#).meaningful);
        assert!(scan(r#"{"choices":[{"index":0}]}"#).bare_choice);
        let usage = scan(r#"{"choices":[],"usage":{"total_tokens":1}}"#);
        assert_eq!((usage.usage, usage.choices), (Some(22..40), false));
        assert!(scan(r#"{"choices":[{"delta":{}}],"x_groq":{"usage":{}}}"#).usage.is_some());
    }

    #[test]
    fn a_null_usage_can_be_cut_out() {
        for (text, without) in [
            (r#"{"a":1,"usage":null}"#, r#"{"a":1}"#),
            (r#"{"a":1 , "usage" : null,"b":2}"#, r#"{"a":1 ,"b":2}"#),
            (r#"{"usage":null , "b":2}"#, r#"{ "b":2}"#),
            (r#"{ "usage":null }"#, r#"{  }"#),
        ] {
            let span = Chunk::scan(text.as_bytes()).unwrap().null_usage.expect(text);
            let bytes = text.as_bytes();
            let cut = [&bytes[..span.start], &bytes[span.end..]].concat();
            let cut = String::from_utf8(cut).unwrap();
            assert_eq!(cut.replace(" ,", ","), without.replace(" ,", ","), "{text}");
            serde_json::from_str::<serde_json::Value>(&cut).expect("still JSON");
        }
    }

    #[test]
    fn a_broken_chunk_is_an_error() {
        let text = r#"{"id":"x","choices":[{"index":0,"delta":{"content":"a","tool_calls":[{"function":{"arguments":""}}]},"finish_reason":null}],"x_groq":{"usage":null}}"#;
        let text = text.as_bytes();
        assert!(Chunk::scan(text).is_ok());
        for end in 0..text.len() {
            assert!(Chunk::scan(&text[..end]).is_err(), "cut at {end}");
        }
        assert!(Chunk::scan(b"ping").is_err());
        assert!(Chunk::scan(b"{} {}").is_err());
    }
}
