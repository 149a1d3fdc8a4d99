//! Google's clients at Google's own API: requests are edited in place, replies and streams are passed
//! on as they come, and only looked at for usage, errors, content and the end.
//!
//! Fields and parts that nobody here knows survive.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;

use super::super::error::{garbage, within};
use super::super::usage::Counts;
use super::read::camel;
use super::request::GATEWAYS;
use crate::failure::Failure;
use crate::usage::{BYTES_PER_TOKEN, Usage};
use crate::wire::chat::Raw;
use crate::wire::fields::Text;
use crate::wire::json::{Edits, Object};
use crate::wire::request::is_own;
use crate::wire::sse::{Fields, Splitter};
use crate::wire::{Ending, Progress, Reply, RequestOptions, Translate};

/// Answers that one stream may have; the API gives eight at most.
const MAX_CANDIDATES: usize = 64;

/// Parameters in OpenAI's spelling, as deployments have them, and Google's word in
/// `generationConfig`.
const GENERATION: [(&str, &str); 11] = [
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("max_tokens", "maxOutputTokens"),
    ("max_completion_tokens", "maxOutputTokens"),
    ("n", "candidateCount"),
    ("stop", "stopSequences"),
    ("seed", "seed"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
    ("logprobs", "responseLogprobs"),
];

/// Google's own parameters beside `generationConfig`, which deployments may have in either spelling.
const TOP: [&str; 4] = ["safetySettings", "cachedContent", "labels", "serviceTier"];

/// Writes the client's request for a deployment: with its parameters, and without what is for the
/// gateway. The model is in the path.
#[must_use]
pub fn request(body: &Object, options: &RequestOptions<'_>, counts: bool) -> Bytes {
    let mut edits = Edits::new();
    for name in body.names() {
        if is_own(name) || GATEWAYS.contains(&name) {
            edits.remove(name.to_owned());
        }
    }
    if counts {
        for name in ["generateContentRequest", "generate_content_request"] {
            if let Some(inner) = body.object(name) {
                let mut named = Edits::new();
                let model = options.model.unwrap_or_default();
                let model = model.strip_prefix("models/").unwrap_or(model);
                named.set("model", &format!("models/{model}"));
                edits.set_raw(name, inner.edit(&named).to_vec());
            }
        }
        return body.edit(&edits);
    }
    top(body, options, &mut edits);
    let written = written_as(body, "generationConfig");
    let config = body.object(&written);
    let empty = Bytes::from_static(b"{}");
    let config = config.or_else(|| Object::parse(empty).ok());
    if let Some(config) = config
        && let Some(changed) = generation(&config, options)
    {
        edits.set_raw(written, changed.to_vec());
    }
    body.edit(&edits)
}

/// The deployment's parameters beside `generationConfig`.
fn top(body: &Object, options: &RequestOptions<'_>, edits: &mut Edits<'_>) {
    for (overrides, parameters) in [(false, options.defaults), (true, options.overrides)] {
        for (name, value) in parameters {
            let name = camel(name);
            if TOP.contains(&&*name) {
                let written = written_as(body, &name);
                if overrides || !body.is_set(&written) {
                    edits.set_raw(written, value.get().as_bytes().to_vec());
                }
            }
        }
    }
    for dropped in options.drop {
        let written = written_as(body, &camel(dropped));
        if !matches!(&*written, "contents" | "generationConfig" | "generation_config") {
            edits.remove(written);
        }
    }
}

/// The parameters of generation; `None` if nothing changes.
fn generation(config: &Object, options: &RequestOptions<'_>) -> Option<Bytes> {
    let mut edits = Edits::new();
    let word = |name: &str| {
        let known = GENERATION.iter().find(|(openai, _)| *openai == name);
        known.map(|(_, google)| *google)
    };
    for (overrides, parameters) in [(false, options.defaults), (true, options.overrides)] {
        for (name, value) in parameters {
            let Some(google) = word(name) else { continue };
            let written = written_as(config, google);
            if !overrides && config.is_set(&written) {
                continue;
            }
            let value = value.get();
            let value = match google {
                // OpenAI takes a single one without brackets.
                "stopSequences" if value.starts_with('"') => format!("[{value}]"),
                _ => value.to_owned(),
            };
            edits.set_raw(written, value.into_bytes());
        }
    }
    for dropped in options.drop {
        let google = word(dropped).map_or_else(|| camel(dropped), Cow::Borrowed);
        edits.remove(written_as(config, &google));
    }
    config.changed(&edits)
}

/// The name of a field in the spelling that the client used.
fn written_as(object: &Object, google: &str) -> String {
    let known = object.names().find(|name| camel(name) == google);
    known.unwrap_or(google).to_owned()
}

/// What is looked at in a reply, and in each frame of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Frame<'a> {
    #[serde(borrow)]
    error: Option<Raw<'a>>,
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Option<Feedback<'a>>,
    usage_metadata: Option<Counts>,
    #[serde(borrow)]
    model_version: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Candidate<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Raw<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Feedback<'a> {
    #[serde(borrow)]
    block_reason: Option<Text<'a>>,
}

/// Reads a provider's whole reply, which is passed on.
///
/// # Errors
/// The body is an error, or no reply at all.
pub fn reply(body: Bytes, counts: bool) -> Result<Reply, Failure> {
    let frame: Frame<'_> = serde_json::from_slice(&body).map_err(|_| {
        within(&body).unwrap_or_else(|| garbage("the provider's reply is not one of Gemini's API"))
    })?;
    if frame.error.is_some() {
        return Err(within(&body).unwrap_or_else(|| garbage("the provider failed")));
    }
    let usage = frame.usage_metadata.as_ref().map(Counts::usage);
    let model = frame.model_version.as_deref().map(Box::from);
    if counts {
        return Ok(Reply { body, usage: Some(Usage::default()), model });
    }
    if frame.candidates.is_none() && frame.prompt_feedback.is_none() {
        return Err(garbage("the provider's reply has no candidates"));
    }
    Ok(Reply { body, usage, model })
}

/// A stream that is passed on.
#[derive(Debug, Default)]
pub struct NativeStream {
    splitter: Splitter,
    /// The candidates that were seen, and whether they have ended.
    candidates: Vec<(u32, bool)>,
    blocked: bool,
    usage: Option<Usage>,
    text_bytes: u64,
    failed: bool,
}

impl NativeStream {
    /// Looks at one event. Its failure, and whether it has content.
    fn look(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let Some(data) = Fields::read(bytes).data else {
            // An error also comes as bare JSON.
            return within(bytes).map_or(Ok(false), Err);
        };
        let Ok(frame) = serde_json::from_slice::<Frame<'_>>(&data) else {
            return Err(within(&data)
                .unwrap_or_else(|| garbage("the provider sent a frame that cannot be read")));
        };
        if frame.error.is_some() {
            return Err(within(&data).unwrap_or_else(|| garbage("the provider failed")));
        }
        self.usage = frame.usage_metadata.map(|counts| counts.usage()).or(self.usage);
        let mut meaningful = false;
        if frame.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            self.blocked = true;
            meaningful = true;
        }
        for candidate in frame.candidates.into_iter().flatten() {
            let index = candidate.index.unwrap_or(0);
            let at = match self.candidates.iter().position(|(known, _)| *known == index) {
                Some(at) => at,
                None if self.candidates.len() == MAX_CANDIDATES => {
                    return Err(garbage("the provider sent too many answers"));
                }
                None => {
                    self.candidates.push((index, false));
                    self.candidates.len() - 1
                }
            };
            if candidate.finish_reason.is_some() {
                self.candidates[at].1 = true;
                meaningful = true;
            }
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                let generated = generated(part);
                self.text_bytes += generated as u64;
                meaningful |= generated > 0;
            }
        }
        Ok(meaningful)
    }

    fn is_whole(&self) -> bool {
        !self.failed
            && (self.blocked
                || !self.candidates.is_empty() && self.candidates.iter().all(|(_, ended)| *ended))
    }
}

/// Bytes that the model generated in a part: of a text, the text; of anything else, all of it.
fn generated(part: Raw<'_>) -> usize {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow, default)]
        text: Option<Text<'a>>,
    }
    match serde_json::from_str(part.get()) {
        Ok(Said { text: Some(text) }) => text.len(),
        Ok(Said { text: None }) | Err(_) => part.get().len(),
    }
}

impl Translate for NativeStream {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let mut progress = Progress::default();
        self.splitter.push(chunk);
        while !self.failed {
            let event = match self.splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => {
                    // An error may be a line that no blank line follows.
                    progress.failure = within(self.splitter.pending());
                    break;
                }
                Err(too_large) => {
                    progress.failure = Some(garbage(too_large.to_string()));
                    break;
                }
            };
            let bytes = self.splitter.take(&event);
            match self.look(&bytes) {
                Ok(meaningful) => progress.meaningful |= meaningful,
                Err(failure) => {
                    progress.failure = Some(failure);
                    break;
                }
            }
            out.push(bytes);
        }
        self.failed |= progress.failure.is_some();
        progress
    }

    /// Nothing but the end of the body marks the end: it is whole if every candidate said why it
    /// ended.
    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let rest = self.splitter.rest();
        if !self.failed && !rest.is_empty() {
            let is_event = Fields::read(&rest).data.is_some();
            match self.look(&rest) {
                Ok(_) if is_event => out.push([&rest, &b"\n\n"[..]].concat().into()),
                // The end of a line whose start was read with the event before.
                Ok(_) => out.push(rest),
                Err(_) => self.failed = true,
            }
        }
        if self.is_whole() { Ending::Complete } else { Ending::Cut }
    }

    fn usage(&self) -> Option<Usage> {
        let usage = self.usage?;
        if self.is_whole() {
            return Some(usage);
        }
        let output_tokens = usage.output_tokens.max(self.text_bytes / BYTES_PER_TOKEN);
        Some(Usage { output_tokens, ..usage })
    }

    fn text_bytes(&self) -> u64 {
        self.text_bytes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::dialect::{Endpoint, Quirks};

    type Parameters = Vec<(Box<str>, Box<RawValue>)>;

    fn parameters(list: &[(&str, &str)]) -> Parameters {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        list.iter().map(|(name, value)| ((*name).into(), raw(value))).collect()
    }

    fn options<'a>(
        defaults: &'a Parameters,
        overrides: &'a Parameters,
        drop: &'a [Box<str>],
    ) -> RequestOptions<'a> {
        RequestOptions {
            endpoint: Endpoint::Chat,
            model: Some("gemini-3-flash"),
            stream: false,
            quirks: Quirks::default(),
            defaults,
            overrides,
            drop,
            allowed: &[],
            drop_params: false,
            modify_params: false,
            max_output_tokens: None,
            model_hint: "gemini-3-flash",
        }
    }

    fn sent(body: &str, options: &RequestOptions<'_>, counts: bool) -> String {
        let body = Object::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        String::from_utf8(request(&body, options, counts).to_vec()).unwrap()
    }

    #[test]
    fn a_request_stays_as_it_is_but_for_what_is_the_gateways() {
        let none = Vec::new();
        let body = r#"{"contents": [ {"new":1.50} ], "brandNew":{}, "num_retries":2,
            "metadata":{"tags":[]}, "generation_config":{"top_k":40.0}}"#;
        let expected =
            r#"{"contents": [ {"new":1.50} ], "brandNew":{}, "generation_config":{"top_k":40.0}}"#;
        let seen = sent(body, &options(&none, &none, &[]), false);
        let squeeze = |text: &str| text.replace(['\n', ' '], "");
        assert_eq!(squeeze(&seen), squeeze(expected));
    }

    #[test]
    fn parameters_of_the_deployment_find_their_place() {
        let defaults = parameters(&[
            ("temperature", "0.1"),
            ("max_tokens", "7"),
            ("stop", "\"x\""),
            ("safety_settings", "[]"),
            ("rpm", "5"),
        ]);
        let overrides = parameters(&[("top_p", "0.5")]);
        let drop = ["seed".into(), "labels".into()];
        let options = options(&defaults, &overrides, &drop);
        assert_eq!(
            sent(
                r#"{"contents":[],"labels":{},"generation_config":{"max_output_tokens":9,"topP":1,"seed":3}}"#,
                &options,
                false
            ),
            concat!(
                r#"{"contents":[],"generation_config":{"max_output_tokens":9,"topP":0.5,"#,
                r#""temperature":0.1,"stopSequences":["x"]},"safetySettings":[]}"#
            )
        );
        assert_eq!(
            sent(r#"{"contents":[]}"#, &options, true),
            r#"{"contents":[]}"#,
            "counting knows none"
        );
        assert_eq!(
            sent(r#"{"generateContentRequest":{"model":"models/public"}}"#, &options, true),
            r#"{"generateContentRequest":{"model":"models/gemini-3-flash"}}"#
        );
    }

    #[test]
    fn a_reply_is_passed_on_and_read() {
        let body = Bytes::from_static(
            br#"{"candidates":[{"new":1}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"thoughtsTokenCount":4,"totalTokenCount":9},"modelVersion":"g"}"#,
        );
        let seen = reply(body.clone(), false).unwrap();
        assert_eq!(seen.body, body);
        let usage = seen.usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (3, 6));
        assert_eq!(seen.model.as_deref(), Some("g"));
        for wrong in [
            "<html>",
            "{}",
            r#"{"error":{"code":503,"message":"The model is overloaded","status":"UNAVAILABLE"}}"#,
        ] {
            assert!(reply(Bytes::from_static(wrong.as_bytes()), false).is_err(), "{wrong}");
        }
    }

    const STREAM: &str = concat!(
        "data: {\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{\"text\":\"Gr\u{fc}\"}]}}],\"new\":[1.50],",
        "\"usageMetadata\":{\"promptTokenCount\":3,\"totalTokenCount\":3}}\r\n\r\n",
        "data: {\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{\"newPart\":{}}]},\"finishReason\":\"STOP\"}],",
        "\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":5,\"totalTokenCount\":8}}\r\n\r\n",
    );

    fn read(pieces: &[&str]) -> (String, Vec<Failure>, Ending, Option<Usage>) {
        let mut stream = NativeStream::default();
        let (mut out, mut failures) = (Vec::new(), Vec::new());
        for piece in pieces {
            let progress = stream.push(Bytes::copy_from_slice(piece.as_bytes()), &mut out);
            failures.extend(progress.failure);
        }
        let ending = stream.finish(&mut out);
        (String::from_utf8(out.concat()).unwrap(), failures, ending, stream.usage())
    }

    #[test]
    fn a_stream_passes_byte_for_byte_wherever_it_is_cut() {
        for cut in (0..=STREAM.len()).filter(|cut| STREAM.is_char_boundary(*cut)) {
            let (first, second) = STREAM.split_at(cut);
            let (seen, failures, ending, usage) = read(&[first, second]);
            assert_eq!((seen.as_str(), ending), (STREAM, Ending::Complete), "cut at {cut}");
            assert!(failures.is_empty());
            assert_eq!(usage.unwrap().output_tokens, 5);
        }
    }

    #[test]
    fn a_stream_without_its_end_is_cut_and_errors_are_seen() {
        let first = STREAM.get(..STREAM.find("\r\n\r\n").unwrap() + 4).unwrap();
        assert_eq!(read(&[first]).2, Ending::Cut);
        assert_eq!(read(&[""]).2, Ending::Cut);
        let error = r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#;
        for end in [format!("data: {error}\r\n\r\n"), format!("{error}\r\n\r\n"), error.to_owned()]
        {
            let (seen, failures, ending, _) = read(&[first, &end]);
            assert_eq!(seen, first, "{end}");
            assert_eq!(failures.len(), 1, "{end}");
            assert_eq!(failures[0].class, crate::failure::FailureClass::Overloaded);
            assert_eq!(ending, Ending::Cut);
        }
    }

    #[test]
    fn a_refused_prompt_is_a_whole_stream() {
        let refused = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n";
        let (seen, failures, ending, _) = read(&[refused]);
        assert_eq!((seen.as_str(), failures.len(), ending), (refused, 0, Ending::Complete));
    }
}
