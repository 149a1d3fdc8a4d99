//! Long streams of every provider dialect, event by event as they would arrive: what the proof of
//! bounded memory and the benches are fed.

use bytes::Bytes;
use tollgate::dialect::{Dialect, Endpoint};

/// What a stream is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matter {
    Text,
    Reasoning,
    /// A tool call, or where a call comes in one piece, one after the other.
    Calls,
}

/// The JSON of an event, and its name where it has one.
type Event = (&'static str, &'static str);

/// A stream that can be as long as one likes.
pub(crate) struct Long {
    /// How events are told apart.
    framing: Framing,
    head: Vec<Event>,
    /// Comes again and again.
    piece: Event,
    tail: Vec<Event>,
}

#[derive(Clone, Copy)]
enum Framing {
    /// Server-sent events, named or not.
    Sse,
    /// The same, with `[DONE]` at the end.
    SseDone,
    Lines,
    Amazon,
}

impl Framing {
    fn write(self, (name, json): Event) -> Bytes {
        match self {
            Self::Sse | Self::SseDone if name.is_empty() => format!("data: {json}\n\n"),
            Self::Sse | Self::SseDone => format!("event: {name}\ndata: {json}\n\n"),
            Self::Lines => format!("{json}\n"),
            Self::Amazon => return frame(name, json.as_bytes()),
        }
        .into()
    }
}

impl Long {
    /// A stream of a provider, if its dialect has words for the matter. `api` is the one that is
    /// called.
    pub(crate) fn of(dialect: Dialect, api: Endpoint, matter: Matter) -> Option<Self> {
        let (framing, said) = match dialect {
            _ if api == Endpoint::Responses => (Framing::Sse, responses(matter)),
            Dialect::OpenAi | Dialect::Azure => (Framing::SseDone, openai(matter)),
            Dialect::Anthropic => (Framing::Sse, anthropic(matter)),
            Dialect::Gemini => (Framing::Sse, gemini(matter)),
            Dialect::Bedrock => (Framing::Amazon, bedrock(matter)),
            Dialect::Cohere => (Framing::Sse, cohere(matter)),
            Dialect::Ollama => (Framing::Lines, ollama(matter)),
            Dialect::Custom => (Framing::SseDone, custom(matter)?),
        };
        let (head, piece, tail) = said;
        Some(Self { framing, head, piece, tail })
    }

    /// Its first events.
    pub(crate) fn head(&self) -> Vec<Bytes> {
        self.head.iter().map(|event| self.framing.write(*event)).collect()
    }

    /// The event that comes again and again.
    pub(crate) fn piece(&self) -> Bytes {
        self.framing.write(self.piece)
    }

    /// Its last events.
    pub(crate) fn tail(&self) -> Vec<Bytes> {
        let mut events: Vec<Bytes> =
            self.tail.iter().map(|event| self.framing.write(*event)).collect();
        if matches!(self.framing, Framing::SseDone) {
            events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        }
        events
    }

    /// The JSON of the whole stream, with so many pieces.
    pub(crate) fn json(&self, pieces: usize) -> Vec<&'static str> {
        let pieces = std::iter::repeat_n(&self.piece, pieces);
        self.head.iter().chain(pieces).chain(&self.tail).map(|(_, json)| *json).collect()
    }
}

/// A frame of AWS's event stream.
fn frame(kind: &str, payload: &[u8]) -> Bytes {
    let mut headers = Vec::new();
    for (name, value) in [(":message-type", "event"), (":event-type", kind)] {
        headers.push(u8::try_from(name.len()).expect("names are short"));
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        let length = u16::try_from(value.len()).expect("values are short");
        headers.extend_from_slice(&length.to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).expect("frames are short").to_be_bytes();
    let mut frame = length(16 + headers.len() + payload.len()).to_vec();
    frame.extend_from_slice(&length(headers.len()));
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.into()
}

type Said = (Vec<Event>, Event, Vec<Event>);

/// Nameless events.
fn plain(head: &[&'static str], piece: &'static str, tail: &[&'static str]) -> Said {
    let events = |list: &[&'static str]| list.iter().map(|json| ("", *json)).collect();
    (events(head), ("", piece), events(tail))
}

/// A chunk as OpenAI writes it, with this delta and this reason.
macro_rules! chunk {
    ($delta:literal, $reason:literal) => {
        concat!(
            r#"{"id":"chatcmpl-B0","object":"chat.completion.chunk","created":1795262400,"#,
            r#""model":"gpt-4o-2024-11-20","service_tier":"default","system_fingerprint":"fp_1","#,
            r#""choices":[{"index":0,"delta":"#,
            $delta,
            r#","logprobs":null,"finish_reason":"#,
            $reason,
            r#"}],"usage":null}"#
        )
    };
}

fn openai(matter: Matter) -> Said {
    let role = chunk!(r#"{"role":"assistant","content":""}"#, "null");
    let usage = concat!(
        r#"{"id":"chatcmpl-B0","object":"chat.completion.chunk","created":1795262400,"#,
        r#""model":"gpt-4o-2024-11-20","choices":[],"usage":{"prompt_tokens":21,"#,
        r#""completion_tokens":1000,"total_tokens":1021}}"#
    );
    match matter {
        Matter::Text => plain(
            &[role],
            chunk!(r#"{"content":" some words"}"#, "null"),
            &[chunk!("{}", r#""stop""#), usage],
        ),
        Matter::Reasoning => plain(
            &[role],
            chunk!(r#"{"reasoning_content":" some words"}"#, "null"),
            &[chunk!(r#"{"content":"x"}"#, "null"), chunk!("{}", r#""stop""#), usage],
        ),
        Matter::Calls => plain(
            &[
                role,
                chunk!(
                    r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":[1"}}]}"#,
                    "null"
                ),
            ],
            chunk!(r#"{"tool_calls":[{"index":0,"function":{"arguments":", 123456"}}]}"#, "null"),
            &[
                chunk!(r#"{"tool_calls":[{"index":0,"function":{"arguments":"]}"}}]}"#, "null"),
                chunk!("{}", r#""tool_calls""#),
                usage,
            ],
        ),
    }
}

fn anthropic(matter: Matter) -> Said {
    let start = (
        "message_start",
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5-20251001","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":21,"output_tokens":1}}}"#,
    );
    let stop = ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#);
    let end = |json: &'static str| {
        [stop, ("message_delta", json), ("message_stop", r#"{"type":"message_stop"}"#)]
    };
    let end_turn = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1000}}"#;
    let tool_use = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":1000}}"#;
    let begin = |json: &'static str| ("content_block_start", json);
    let delta = |json: &'static str| ("content_block_delta", json);
    match matter {
        Matter::Text => (
            vec![start, begin(r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#)],
            delta(r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" some words"}}"#),
            end(end_turn).to_vec(),
        ),
        Matter::Reasoning => (
            vec![start, begin(r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#)],
            delta(r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":" some words"}}"#),
            [&[delta(r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#)][..], &end(end_turn)].concat(),
        ),
        Matter::Calls => (
            vec![
                start,
                begin(r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}"#),
                delta(r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":[1"}}"#),
            ],
            delta(r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":", 123456"}}"#),
            [&[delta(r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"]}"}}"#)][..], &end(tool_use)].concat(),
        ),
    }
}

/// A frame of Gemini's with one part.
macro_rules! frame_of {
    ($part:literal, $more:literal) => {
        concat!(
            r#"{"candidates":[{"content":{"parts":["#,
            $part,
            r#"],"role":"model"},"index":0"#,
            $more,
            r#"}],"usageMetadata":{"promptTokenCount":13,"candidatesTokenCount":4,"thoughtsTokenCount":20,"totalTokenCount":37},"modelVersion":"gemini-3.5-flash","responseId":"r1"}"#
        )
    };
}

fn gemini(matter: Matter) -> Said {
    let end = frame_of!(r#"{"text":""}"#, r#","finishReason":"STOP""#);
    let piece = match matter {
        Matter::Text => frame_of!(r#"{"text":" some words"}"#, ""),
        Matter::Reasoning => frame_of!(r#"{"text":" some words","thought":true}"#, ""),
        Matter::Calls => {
            frame_of!(r#"{"functionCall":{"name":"f","args":{"a":[1,2],"b":"words"}}}"#, "")
        }
    };
    plain(&[], piece, &[end])
}

fn bedrock(matter: Matter) -> Said {
    let start = ("messageStart", r#"{"role":"assistant"}"#);
    let stop = ("contentBlockStop", r#"{"contentBlockIndex":0}"#);
    let usage = (
        "metadata",
        r#"{"usage":{"inputTokens":21,"outputTokens":1000,"totalTokens":1021},"metrics":{"latencyMs":551}}"#,
    );
    let end = [stop, ("messageStop", r#"{"stopReason":"end_turn"}"#), usage];
    let delta = |json: &'static str| ("contentBlockDelta", json);
    match matter {
        Matter::Text => (
            vec![start],
            delta(r#"{"contentBlockIndex":0,"delta":{"text":" some words"},"p":"abcdefgh"}"#),
            end.to_vec(),
        ),
        Matter::Reasoning => (
            vec![start],
            delta(
                r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":" some words"}},"p":"abcdefgh"}"#,
            ),
            [
                &[delta(
                    r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}"#,
                )][..],
                &end,
            ]
            .concat(),
        ),
        Matter::Calls => (
            vec![
                start,
                (
                    "contentBlockStart",
                    r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"tooluse_1","name":"f"}}}"#,
                ),
                delta(r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"a\":[1"}}}"#),
            ],
            delta(
                r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":", 123456"}},"p":"abcdefgh"}"#,
            ),
            vec![
                delta(r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"]}"}}}"#),
                stop,
                ("messageStop", r#"{"stopReason":"tool_use"}"#),
                usage,
            ],
        ),
    }
}

fn cohere(matter: Matter) -> Said {
    let start = (
        "message-start",
        r#"{"type":"message-start","id":"29f14a5a","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
    );
    let end = |json: &'static str| ("message-end", json);
    let complete = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":20,"output_tokens":12},"tokens":{"input_tokens":900,"output_tokens":40}}}}"#;
    let called = r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":20,"output_tokens":12},"tokens":{"input_tokens":900,"output_tokens":40}}}}"#;
    match matter {
        Matter::Text => (
            vec![
                start,
                (
                    "content-start",
                    r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
                ),
            ],
            (
                "content-delta",
                r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":" some words"}}}}"#,
            ),
            vec![("content-end", r#"{"type":"content-end","index":0}"#), end(complete)],
        ),
        Matter::Reasoning => (
            vec![
                start,
                (
                    "content-start",
                    r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
                ),
            ],
            (
                "content-delta",
                r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":" some words"}}}}"#,
            ),
            vec![("content-end", r#"{"type":"content-end","index":0}"#), end(complete)],
        ),
        Matter::Calls => (
            vec![
                start,
                (
                    "tool-call-start",
                    r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"f_1","type":"function","function":{"name":"f","arguments":"{\"a\":[1"}}}}}"#,
                ),
            ],
            (
                "tool-call-delta",
                r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":", 123456"}}}}}"#,
            ),
            vec![
                (
                    "tool-call-delta",
                    r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"]}"}}}}}"#,
                ),
                ("tool-call-end", r#"{"type":"tool-call-end","index":0}"#),
                end(called),
            ],
        ),
    }
}

/// A line of Ollama's with this message.
macro_rules! line {
    ($message:literal, $more:literal) => {
        concat!(
            r#"{"model":"llama3.2","created_at":"2026-11-21T12:00:00.123456Z","message":"#,
            $message,
            $more,
            "}"
        )
    };
}

fn ollama(matter: Matter) -> Said {
    let piece = match matter {
        Matter::Text => {
            line!(r#"{"role":"assistant","content":" some words"}"#, r#","done":false"#)
        }
        Matter::Reasoning => line!(
            r#"{"role":"assistant","content":"","thinking":" some words"}"#,
            r#","done":false"#
        ),
        Matter::Calls => line!(
            r#"{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":[1,2],"b":"words"}}}]}"#,
            r#","done":false"#
        ),
    };
    let end = line!(
        r#"{"role":"assistant","content":""}"#,
        r#","done":true,"done_reason":"stop","total_duration":4883583458,"prompt_eval_count":26,"eval_count":282"#
    );
    plain(&[], piece, &[end])
}

fn responses(matter: Matter) -> Said {
    let created = (
        "response.created",
        r#"{"type":"response.created","response":{"id":"resp_1","object":"response","created_at":1795262400,"status":"in_progress","error":null,"incomplete_details":null,"model":"gpt-5","output":[],"usage":null},"sequence_number":0}"#,
    );
    let completed = (
        "response.completed",
        r#"{"type":"response.completed","response":{"id":"resp_1","object":"response","created_at":1795262400,"status":"completed","error":null,"incomplete_details":null,"model":"gpt-5","output":[],"usage":{"input_tokens":21,"input_tokens_details":{"cached_tokens":0},"output_tokens":1000,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":1021}},"sequence_number":9}"#,
    );
    let added = |json: &'static str| ("response.output_item.added", json);
    match matter {
        Matter::Text => (
            vec![
                created,
                added(
                    r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]},"sequence_number":2}"#,
                ),
                (
                    "response.content_part.added",
                    r#"{"type":"response.content_part.added","item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]},"sequence_number":3}"#,
                ),
            ],
            (
                "response.output_text.delta",
                r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":" some words","logprobs":[],"sequence_number":4,"obfuscation":"qP7wT"}"#,
            ),
            vec![completed],
        ),
        Matter::Reasoning => (
            vec![
                created,
                added(
                    r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]},"sequence_number":2}"#,
                ),
            ],
            (
                "response.reasoning_summary_text.delta",
                r#"{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":0,"delta":" some words","sequence_number":4,"obfuscation":"qP7wT"}"#,
            ),
            vec![completed],
        ),
        Matter::Calls => (
            vec![
                created,
                added(
                    r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"call_1","name":"f"},"sequence_number":2}"#,
                ),
                (
                    "response.function_call_arguments.delta",
                    r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"{\"a\":[1","sequence_number":3}"#,
                ),
            ],
            (
                "response.function_call_arguments.delta",
                r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":", 123456","sequence_number":4,"obfuscation":"qP7wT"}"#,
            ),
            vec![
                (
                    "response.function_call_arguments.delta",
                    r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"]}","sequence_number":5}"#,
                ),
                completed,
            ],
        ),
    }
}

/// The API of the configuration of `providers.rs`, which has words for text only.
fn custom(matter: Matter) -> Option<Said> {
    let said = plain(
        &[],
        r#"{"out":" some words","id":"a-1"}"#,
        &[r#"{"out":"","end":"stop","id":"a-1"}"#],
    );
    (matter == Matter::Text).then_some(said)
}
