//! A reply means the same in every client's dialect, whole or streamed.
//!
//! What a client is told is read back by the translator for providers of its dialect: a whole reply
//! and a stream that is cut anywhere have to come to what was meant.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::dialect::{ClientDialect, Endpoint};
use tollgate::failure::Failure;
use tollgate::wire::client::{self, Telling};
use tollgate::wire::json::Object;
use tollgate::wire::{Ending, Reply, StreamOptions, StreamRelay, anthropic, gemini, responses};

use crate::source::Source;

const CREATED: u64 = 1_795_262_400;

/// What a reply says.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    thought: String,
    /// Anthropic's, of the thought.
    seal: String,
    text: String,
    calls: Vec<Call>,
    finish: String,
    /// Input, of it cached, output, of it reasoning.
    usage: [u64; 4],
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Call {
    id: String,
    name: String,
    /// JSON text.
    arguments: String,
    /// Google's.
    signature: Option<String>,
}

/// A dialect that is spoken by clients and by providers.
struct Spoken {
    dialect: ClientDialect,
    reply: fn(Bytes) -> Result<Reply, Failure>,
    stream: fn(StreamOptions) -> StreamRelay,
}

const SPOKEN: [Spoken; 3] = [
    Spoken {
        dialect: ClientDialect::Anthropic,
        reply: |body| anthropic::reply(body, CREATED),
        stream: StreamRelay::anthropic,
    },
    Spoken {
        dialect: ClientDialect::Responses,
        reply: |body| responses::reply(body, CREATED, None),
        stream: |options| StreamRelay::Translated(Box::new(responses::Bridge::new(options, None))),
    },
    Spoken {
        dialect: ClientDialect::Gemini,
        reply: |body| gemini::reply(body, Endpoint::Chat, CREATED),
        stream: |options| StreamRelay::gemini(options, "m"),
    },
];

/// For every choice of a reply and of the pieces in which it comes.
pub(crate) fn holds(input: &[u8]) {
    let source = &mut Source::new(input);
    let meant = said(source);
    let (body, events) = (whole(&meant), streamed(&meant, source));
    assert_eq!(read_whole(&body), meant, "the reader of this test reads what is meant");
    assert_eq!(read_stream(&events), meant, "and so it does in a stream");

    let request = br#"{"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}"#;
    let request = Object::parse(Bytes::from_static(request)).expect("an object");
    let telling = Telling {
        request: Some(&request),
        created: CREATED,
        model: "m",
        request_id: "0199-request",
        ..Telling::default()
    };
    for Spoken { dialect, reply, stream } in SPOKEN {
        let told = client::reply(dialect, body.clone(), &telling).expect("it is a reply");
        let shown = String::from_utf8_lossy(&told).into_owned();
        let back = reply(told).unwrap_or_else(|failure| panic!("{}: {shown}", failure.message));
        let wanted = meant.clone().in_words_of(dialect);
        assert_eq!(read_whole(&back.body).in_words_of(dialect), wanted, "{dialect:?}: {shown}");

        let mut teller = client::stream(dialect, &telling).expect("it has a stream");
        let mut events = events.clone();
        teller.pass(&mut events);
        let told = events.concat();
        let shown = String::from_utf8_lossy(&told).into_owned();
        let options = StreamOptions { show_usage: true, created: CREATED, ..Default::default() };
        let mut relay = stream(options);
        let mut out = Vec::new();
        let mut rest = Bytes::from(told);
        while !rest.is_empty() {
            let length = rest.len().min(1 + source.below(256));
            let progress = relay.push(rest.split_to(length), &mut out);
            assert_eq!(progress.failure, None, "{dialect:?}: {shown}");
        }
        assert_eq!(relay.finish(&mut out), Ending::Complete, "{dialect:?}: {shown}");
        assert_eq!(read_stream(&out).in_words_of(dialect), wanted, "{dialect:?}: {shown}");
        assert_eq!(relay.usage(), back.usage, "{dialect:?}: the same usage, streamed or not");
    }
}

impl Said {
    /// Without what a dialect has no words for, and with arguments as values.
    fn in_words_of(mut self, dialect: ClientDialect) -> Self {
        if dialect != ClientDialect::Anthropic {
            self.seal.clear();
        }
        for call in &mut self.calls {
            call.arguments = serde_json::from_str::<Value>(&call.arguments).unwrap().to_string();
            if dialect != ClientDialect::Gemini {
                call.signature = None;
            }
        }
        self
    }
}

fn said(source: &mut Source<'_>) -> Said {
    let mut said = Said::default();
    if source.once_in(2) {
        said.thought = format!("thinking {}", source.text());
        if source.once_in(2) {
            said.seal = source.data(0);
        }
    }
    if !source.once_in(4) {
        said.text = format!("saying {}", source.text());
    }
    for at in 0..source.below(4) {
        let name = source.pick(&["get_weather", "f", "Search-2"]).to_owned();
        let object = source.object();
        let arguments = match source.below(3) {
            0 => format!("{object:#}"),
            _ => object.to_string(),
        };
        let signature = (at == 0 && source.once_in(3)).then(|| source.data(0));
        said.calls.push(Call { id: format!("call_{at}"), name, arguments, signature });
    }
    let whole = if said.calls.is_empty() { "stop" } else { "tool_calls" };
    said.finish = if source.once_in(5) { "length" } else { whole }.to_owned();
    let cached = source.below(3) as u64;
    let thought = if said.thought.is_empty() { 0 } else { source.below(3) as u64 };
    said.usage = [10 + cached, cached, 5 + thought, thought];
    said
}

fn usage(said: &Said) -> Value {
    let [input, cached, output, reasoning] = said.usage;
    json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    })
}

fn blocks(said: &Said) -> Option<Value> {
    let block = json!([{"type": "thinking", "thinking": said.thought, "signature": said.seal}]);
    (!said.seal.is_empty()).then_some(block)
}

fn google(call: &Call) -> Option<Value> {
    call.signature.as_ref().map(|text| json!({"google": {"thought_signature": text}}))
}

/// The whole reply in the canonical form.
fn whole(said: &Said) -> Bytes {
    let mut message = json!({"role": "assistant", "content": said.text});
    if said.text.is_empty() {
        message["content"] = Value::Null;
    }
    if !said.thought.is_empty() {
        message["reasoning_content"] = said.thought.as_str().into();
    }
    if let Some(blocks) = blocks(said) {
        message["thinking_blocks"] = blocks;
    }
    let calls = said.calls.iter().map(|call| {
        let function = json!({"name": call.name, "arguments": call.arguments});
        let mut written = json!({"id": call.id, "type": "function", "function": function});
        if let Some(extra) = google(call) {
            written["extra_content"] = extra;
        }
        written
    });
    let calls: Vec<Value> = calls.collect();
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    let choice = json!({"index": 0, "message": message, "finish_reason": said.finish});
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": "m",
        "choices": [choice], "usage": usage(said),
    });
    body.to_string().into()
}

/// The text in pieces.
fn pieces<'t>(text: &'t str, source: &mut Source<'_>) -> Vec<&'t str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let letters = 1 + source.below(12);
        let end = rest.char_indices().nth(letters).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The same reply as canonical events.
fn streamed(said: &Said, source: &mut Source<'_>) -> Vec<Bytes> {
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    for piece in pieces(&said.thought, source) {
        deltas.push(json!({ "reasoning_content": piece }));
    }
    deltas.extend(blocks(said).map(|blocks| json!({ "thinking_blocks": blocks })));
    for piece in pieces(&said.text, source) {
        deltas.push(json!({ "content": piece }));
    }
    for (index, call) in said.calls.iter().enumerate() {
        let function = json!({"name": call.name, "arguments": ""});
        let mut first =
            json!({"index": index, "id": call.id, "type": "function", "function": function});
        if let Some(extra) = google(call) {
            first["extra_content"] = extra;
        }
        deltas.push(json!({ "tool_calls": [first] }));
        for piece in pieces(&call.arguments, source) {
            let more = json!({"index": index, "function": {"arguments": piece}});
            deltas.push(json!({ "tool_calls": [more] }));
        }
    }
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": "m",
            "choices": choices, "usage": usage,
        });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut events: Vec<Bytes> =
        deltas.into_iter().map(|delta| chunk(choice(delta, Value::Null), Value::Null)).collect();
    events.push(chunk(choice(json!({}), said.finish.as_str().into()), Value::Null));
    events.push(chunk(json!([]), usage(said)));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl Said {
    /// Takes what a message or a delta of one says.
    fn take(&mut self, said: &Value) {
        self.thought.push_str(text(&said["reasoning_content"]));
        self.text.push_str(text(&said["content"]));
        for block in list(&said["thinking_blocks"]) {
            self.seal.push_str(text(&block["signature"]));
        }
        for (at, piece) in list(&said["tool_calls"]).iter().enumerate() {
            let at = piece["index"].as_u64().map_or(at, |index| index as usize);
            if self.calls.len() <= at {
                self.calls.resize(at + 1, Call::default());
            }
            let call = &mut self.calls[at];
            call.id.push_str(text(&piece["id"]));
            call.name.push_str(text(&piece["function"]["name"]));
            call.arguments.push_str(text(&piece["function"]["arguments"]));
            let signature = piece["extra_content"]["google"]["thought_signature"].as_str();
            call.signature = call.signature.take().or_else(|| signature.map(str::to_owned));
        }
    }

    fn used(&mut self, usage: &Value) {
        if usage.is_object() {
            let details = [
                &usage["prompt_tokens"],
                &usage["prompt_tokens_details"]["cached_tokens"],
                &usage["completion_tokens"],
                &usage["completion_tokens_details"]["reasoning_tokens"],
            ];
            self.usage = details.map(|count| count.as_u64().unwrap_or(0));
        }
    }
}

fn read_whole(body: &Bytes) -> Said {
    let body: Value = serde_json::from_slice(body).expect("a reply is JSON");
    let mut said = Said::default();
    let choice = &body["choices"][0];
    said.take(&choice["message"]);
    said.finish = text(&choice["finish_reason"]).to_owned();
    said.used(&body["usage"]);
    said
}

fn read_stream(events: &[Bytes]) -> Said {
    let text_of = String::from_utf8(events.concat()).expect("events are text");
    let mut said = Said::default();
    let mut done = false;
    for event in text_of.split_terminator("\n\n") {
        assert!(!done, "nothing follows the end: {event}");
        let data = event.strip_prefix("data: ").expect("an event has data");
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).expect("a chunk is JSON");
        for choice in list(&chunk["choices"]) {
            assert!(said.finish.is_empty(), "nothing follows the end of an answer: {event}");
            said.take(&choice["delta"]);
            said.finish.push_str(text(&choice["finish_reason"]));
        }
        said.used(&chunk["usage"]);
    }
    assert!(done, "a stream ends: {text_of}");
    said
}
