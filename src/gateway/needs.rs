//! Reads from a body what the request needs of a deployment. Scans the text of the fields that
//! matter and builds no tree: a prompt of a megabyte costs a few hundred microseconds at most, and
//! nothing at all where no check asks for it.

use memchr::memmem;

use crate::dialect::Endpoint;
use crate::routing::{Needs, ReplyFormat};
use crate::usage::BYTES_PER_TOKEN;
use crate::wire::json::Object;

/// What an image comes to, about: OpenAI's count for 1024 x 1024 pixels.
const IMAGE_TOKENS: u64 = 765;

/// Bytes of encoded audio or of a file to a token, about.
const MEDIA_BYTES_PER_TOKEN: u64 = 100;

/// What a request of this endpoint needs.
pub(super) fn of(endpoint: Endpoint, body: &Object, stream: bool) -> Needs {
    let prompt = match endpoint {
        Endpoint::Chat => body.raw_bytes("messages"),
        Endpoint::Completions => body.raw_bytes("prompt"),
        Endpoint::Embeddings | Endpoint::Moderations | Endpoint::Speech => body.raw_bytes("input"),
        Endpoint::ImageGenerations => body.raw_bytes("prompt"),
        _ => None,
    };
    let prompt = Prompt::read(prompt.unwrap_or_default());
    let tools = ["tools", "functions"].into_iter().find_map(|name| body.raw_bytes(name));
    let tools = tools.filter(|tools| tools.len() > 2 && tools.starts_with(b"["));
    let format = body.object("response_format").map_or(ReplyFormat::Text, |format| {
        match format.str("type").as_deref() {
            Some("json_schema") => ReplyFormat::JsonSchema,
            Some("json_object") => ReplyFormat::JsonObject,
            _ => ReplyFormat::Text,
        }
    });
    let schema = body.raw_bytes("response_format").unwrap_or_default();
    let input_tokens = prompt.tokens + text_tokens(tools.unwrap_or_default()) + text_tokens(schema);
    Needs {
        input_tokens,
        is_counted: false,
        max_output_tokens: ["max_completion_tokens", "max_tokens", "max_output_tokens"]
            .into_iter()
            .find_map(|name| body.u64(name)),
        replies: replies(endpoint, body),
        stream,
        tools: tools.is_some(),
        parallel_tools: tools.is_some() && body.bool("parallel_tool_calls") == Some(true),
        images: prompt.images > 0,
        audio: prompt.audio,
        files: prompt.files,
        format,
        reasoning: reasons(body),
    }
}

/// How many replies are generated: for each prompt as many as are asked for, or chosen from.
fn replies(endpoint: Endpoint, body: &Object) -> u32 {
    let count = |name: &str| body.u64(name).and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1);
    if endpoint != Endpoint::Completions {
        return count("n");
    }
    // One list of numbers is one prompt, in tokens.
    let prompts = match body.value("prompt") {
        Some(serde_json::Value::Array(all)) if !all.iter().all(serde_json::Value::is_number) => {
            u32::try_from(all.len()).unwrap_or(u32::MAX)
        }
        _ => 1,
    };
    count("n").max(count("best_of")).saturating_mul(prompts)
}

fn reasons(body: &Object) -> bool {
    let off = |name: &str, words: &[&str]| {
        body.str(name).is_some_and(|written| words.contains(&&*written))
    };
    let effort = body.is_set("reasoning_effort") && !off("reasoning_effort", &["none"]);
    let thinking = body.object("thinking").is_some_and(|thinking| {
        thinking.str("type").is_some_and(|kind| matches!(&*kind, "enabled" | "adaptive"))
    });
    effort || thinking || body.object("reasoning").is_some()
}

/// A prompt as far as it was looked at.
struct Prompt {
    tokens: u64,
    images: u64,
    audio: bool,
    files: bool,
}

impl Prompt {
    /// A quote within a JSON text is written `\"`, so what is found between plain quotes is a name
    /// or a whole text, never a part of what somebody said.
    fn read(raw: &[u8]) -> Self {
        let images = fields(raw, b"\"image_url\"") + kinds(raw, b"\"image\"");
        let audio = fields(raw, b"\"input_audio\"") > 0;
        let files = fields(raw, b"\"file\"") + kinds(raw, b"\"document\"") > 0;
        let mut tokens = images * IMAGE_TOKENS;
        if images > 0 || audio || files {
            let (text, media) = without_media(raw);
            tokens += text;
            if audio || files {
                tokens += media / MEDIA_BYTES_PER_TOKEN;
            }
        } else {
            tokens += text_tokens(raw);
        }
        Self { tokens, images, audio, files }
    }
}

/// How often `name`, quotes included, stands before a colon.
fn fields(raw: &[u8], name: &[u8]) -> u64 {
    let follows = |at: usize| {
        let rest = raw.get(at + name.len()..).unwrap_or_default();
        rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
    };
    memmem::find_iter(raw, name).filter(|at| follows(*at)).count() as u64
}

/// How often `word`, quotes included, stands after a colon.
fn kinds(raw: &[u8], word: &[u8]) -> u64 {
    let precedes = |at: usize| {
        let before = raw.get(..at).unwrap_or_default();
        before.iter().rev().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
    };
    memmem::find_iter(raw, word).filter(|at| precedes(*at)).count() as u64
}

/// Tokens of the text, and bytes of what is encoded in base64 within it.
fn without_media(raw: &[u8]) -> (u64, u64) {
    let (mut text, mut media, mut from) = (0, 0, 0);
    for quote in memchr::memchr_iter(b'"', raw) {
        if quote < from {
            continue;
        }
        let start = quote + 1;
        let rest = raw.get(start..).unwrap_or_default();
        let length = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        let string = rest.get(..length).unwrap_or_default();
        // Prose of that length has a space in it.
        if length >= MEDIA_MIN && memchr::memchr2(b' ', b'\\', string).is_none() {
            text += text_tokens(raw.get(from..start).unwrap_or_default());
            media += length as u64;
            from = start + length;
        }
    }
    text += text_tokens(raw.get(from..).unwrap_or_default());
    (text, media)
}

/// A string without a space that is longer than this is taken for encoded media.
const MEDIA_MIN: usize = 1024;

/// Four bytes of ASCII to a token; what is beyond ASCII takes about two bytes to a token.
fn text_tokens(text: &[u8]) -> u64 {
    let beyond = text.iter().filter(|byte| !byte.is_ascii()).count() as u64;
    (text.len() as u64 - beyond) / BYTES_PER_TOKEN + beyond / 2
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn needs(body: &str) -> Needs {
        let body = Object::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        of(Endpoint::Chat, &body, false)
    }

    #[test]
    fn plain_text_needs_nothing_but_room() {
        let text = "word ".repeat(400);
        let needs = needs(&format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}],"max_tokens":9}}"#
        ));
        assert!((500..520).contains(&needs.input_tokens), "{needs:?}");
        let plain = Needs {
            input_tokens: needs.input_tokens,
            max_output_tokens: Some(9),
            replies: 1,
            ..Needs::default()
        };
        assert_eq!(needs, plain);
    }

    #[test]
    fn what_a_prompt_talks_about_is_not_what_it_needs() {
        let needs = needs(
            r#"{"messages":[{"role":"user","content":"{\"type\":\"image_url\",\"image_url\":1,\"file\":3}"},
                {"role":"user","content":"{\"input_audio\":2}"}],"tools":[],"response_format":{"type":"text"}}"#,
        );
        assert!(!needs.images && !needs.audio && !needs.files && !needs.tools, "{needs:?}");
    }

    #[test]
    fn parts_and_parameters_are_needs() {
        let needs = needs(
            r#"{"messages":[{"role":"user","content":[
                {"type" : "image_url", "image_url" : {"url":"https://x/y.png"}},
                {"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},
                {"type":"file","file":{"file_id":"f"}}]}],
                "tools":[{"type":"function","function":{"name":"f"}}],"parallel_tool_calls":true,
                "response_format":{"type":"json_schema","json_schema":{}},"n":3,
                "reasoning_effort":"high"}"#,
        );
        assert!(needs.images && needs.audio && needs.files && needs.tools && needs.reasoning);
        assert!(needs.parallel_tools);
        assert_eq!((needs.replies, needs.format), (3, ReplyFormat::JsonSchema));
        assert!(needs.input_tokens > IMAGE_TOKENS);
    }

    #[test]
    fn an_encoded_image_is_not_read_as_text() {
        let image = "iVBORw0KGgo".repeat(100_000);
        let needs = needs(&format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":
                {{"url":"data:image/png;base64,{image}"}}}}]}}]}}"#
        ));
        assert!((IMAGE_TOKENS..IMAGE_TOKENS + 100).contains(&needs.input_tokens), "{needs:?}");
    }

    #[test]
    fn every_text_that_is_generated_counts() {
        for (prompt, replies) in [
            (r#""a""#, 20),
            (r#"["a","b"]"#, 40),
            ("[1,2,3]", 20),
            ("[[1],[2],[3]]", 60),
            ("[]", 20),
        ] {
            let body = format!(r#"{{"prompt":{prompt},"n":2,"best_of":20}}"#);
            let body = Object::parse(Bytes::from(body)).unwrap();
            assert_eq!(of(Endpoint::Completions, &body, false).replies, replies, "{prompt}");
        }
    }

    #[test]
    fn thinking_can_be_switched_off() {
        let asks = |fields: &str| needs(&format!(r#"{{"messages":[],{fields}}}"#)).reasoning;
        assert!(asks(r#""reasoning_effort":"low""#));
        assert!(asks(r#""thinking":{"type":"enabled","budget_tokens":1024}"#));
        assert!(!asks(r#""reasoning_effort":"none""#));
        assert!(!asks(r#""thinking":{"type":"disabled"}"#));
    }
}
