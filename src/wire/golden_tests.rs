//! Runs every case of `tests/golden` through the formats: request, reply and stream.
//!
//! A case is a folder: what the client sends, what the provider must get, what it answers, what the
//! client must see, and `meta.json`, which names the provider. Streams are also fed cut at every
//! byte. To cover another provider, copy its cases and add it to [`Provider::named`].

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::dialect::{Endpoint, Quirks};
use crate::failure::Failure;
use crate::usage::Usage;
use crate::wire::json::Object;
use crate::wire::{
    Ending, Origin, Reply, RequestOptions, StreamOptions, StreamRelay, anthropic, bedrock, gemini,
    openai, responses,
};

/// When every reply of the cases began.
const CREATED: u64 = 1_795_262_400;

/// What the cases of Cohere ask for; its replies do not name their model.
const COHERE_MODEL: &str = "command-a-03-2025";
/// What is known of the replies of cases that do not say it themselves.
const ORIGIN: Origin<'_> = Origin {
    model: "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    request_id: Some("00000000-0000-4000-8000-000000000030"),
    input_tokens: None,
    output_tokens: None,
};

/// Reads the body of an error response.
/// How a provider's format is called, as `provider` will call it.
struct Provider {
    quirks: Quirks,
    /// Same format on both sides: what is not changed must be the same bytes.
    passes_bytes: bool,
    request: fn(&Object, &RequestOptions<'_>) -> Result<Bytes, Failure>,
    reply: fn(Bytes, Quirks) -> Result<Reply, Failure>,
    stream: fn(StreamOptions) -> StreamRelay,
}

impl Provider {
    fn named(name: &str) -> Self {
        let openai = Self {
            quirks: Quirks::default(),
            passes_bytes: true,
            request: openai::request,
            reply: |body, quirks| openai::reply(body, quirks, Endpoint::Chat),
            stream: StreamRelay::openai,
        };
        match name {
            "openai" => openai,
            "azure" => Self { passes_bytes: false, stream: StreamRelay::azure, ..openai },
            "deepseek" => Self {
                passes_bytes: false,
                quirks: Quirks {
                    max_tokens_only: true,
                    null_content_with_tool_calls: true,
                    normalise_stream: true,
                    ..Quirks::default()
                },
                ..openai
            },
            "mistral" => Self {
                passes_bytes: false,
                quirks: Quirks {
                    mistral: true,
                    max_tokens_only: true,
                    no_stream_options: true,
                    normalise_stream: true,
                    ..Quirks::default()
                },
                ..openai
            },
            "responses" => Self {
                passes_bytes: false,
                request: |body, options| responses::request(body, options, None),
                reply: |body, _| responses::reply(body, CREATED, None),
                stream: |options| {
                    StreamRelay::Translated(Box::new(responses::Bridge::new(options, None)))
                },
                ..openai
            },
            "anthropic" => Self {
                passes_bytes: false,
                request: |body, options| {
                    Ok(anthropic::request(body, options, anthropic::VERSION)?.body)
                },
                reply: |body, _| anthropic::reply(body, CREATED),
                stream: StreamRelay::anthropic,
                ..openai
            },
            "bedrock" => Self {
                passes_bytes: false,
                request: bedrock::request,
                reply: |body, _| bedrock::reply(body, CREATED, &ORIGIN),
                stream: |options| StreamRelay::bedrock(options, &ORIGIN),
                ..openai
            },
            "cohere" => Self {
                passes_bytes: false,
                request: crate::wire::cohere::request,
                reply: |body, _| crate::wire::cohere::reply(body, COHERE_MODEL, CREATED),
                stream: |options| StreamRelay::cohere(options, COHERE_MODEL),
                ..openai
            },
            "ollama" => Self {
                passes_bytes: false,
                request: crate::wire::ollama::request,
                reply: |body, _| crate::wire::ollama::reply(body, CREATED),
                stream: StreamRelay::ollama,
                ..openai
            },
            "gemini" => Self {
                passes_bytes: false,
                request: gemini::request,
                reply: |body, _| gemini::reply(body, Endpoint::Chat, CREATED),
                stream: |options| StreamRelay::gemini(options, "m"),
                ..openai
            },
            other => panic!("no format for the provider `{other}`"),
        }
    }
}

struct Case {
    folder: PathBuf,
    meta: Value,
    client_request: Bytes,
}

impl Case {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut folders: Vec<_> =
            fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.retain(|folder| folder.join("meta.json").is_file());
        assert!(!folders.is_empty(), "there are cases");
        // Other clients' dialects have tests of their own, beside the dialect.
        let all = folders.into_iter().map(Self::read);
        all.filter(|case| case.meta["client_format"] == "openai-chat").collect()
    }

    fn read(folder: PathBuf) -> Self {
        let meta = serde_json::from_slice(&fs::read(folder.join("meta.json")).unwrap()).unwrap();
        let client_request = fs::read(folder.join("client_request.json")).unwrap().into();
        Self { folder, meta, client_request }
    }

    fn file(&self, name: &str) -> Option<Bytes> {
        fs::read(self.folder.join(name)).ok().map(Bytes::from)
    }

    /// What the provider streams: events, or frames of its own.
    fn streamed(&self) -> Option<Bytes> {
        self.file("upstream_response.sse").or_else(|| self.file("upstream_response.bin"))
    }

    fn name(&self) -> String {
        self.folder.file_name().unwrap().to_string_lossy().into_owned()
    }

    fn provider(&self) -> Provider {
        let path = self.meta["upstream"]["path"].as_str().unwrap();
        let bridged = path.ends_with("/responses").then_some("responses");
        Provider::named(bridged.unwrap_or_else(|| self.meta["provider"].as_str().unwrap()))
    }

    fn request(&self) -> Object {
        Object::parse(self.client_request.clone()).expect("the client sends an object")
    }

    fn succeeds(&self) -> bool {
        self.meta["upstream"]["status"] == 200
    }

    /// Without what the gateway makes up, and without `null`: a missing key is the same.
    fn comparable(&self, text: &[u8]) -> Value {
        let mut value: Value =
            serde_json::from_slice(text).unwrap_or_else(|_| json!(String::from_utf8_lossy(text)));
        for path in self.meta["volatile"].as_array().unwrap() {
            let steps: Vec<&str> = path.as_str().unwrap().split('.').collect();
            remove(&mut value, &steps);
        }
        without_nulls(value)
    }

    fn events(&self, stream: &[u8]) -> Vec<Value> {
        let text = std::str::from_utf8(stream).expect("events are UTF-8");
        text.split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "))
            .map(|data| self.comparable(data.as_bytes()))
            .collect()
    }
}

/// Takes a field out: `id`, `error.message`, `choices[].delta.tool_calls[].id`.
fn remove(value: &mut Value, steps: &[&str]) {
    let Some((step, rest)) = steps.split_first() else { return };
    let Value::Object(object) = value else { return };
    match (step.strip_suffix("[]"), rest) {
        (None, []) => {
            object.remove(*step);
        }
        (None, rest) => object.get_mut(*step).into_iter().for_each(|inner| remove(inner, rest)),
        (Some(list), rest) => {
            let list = object.get_mut(list).and_then(Value::as_array_mut);
            list.into_iter().flatten().for_each(|inner| remove(inner, rest));
        }
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        value => value,
    }
}

#[test]
fn requests_become_what_the_provider_expects() {
    for case in Case::all() {
        let provider = case.provider();
        let body = case.request();
        let model = body.str("model").unwrap().into_owned();
        let in_path = case.meta["upstream"]["path"]
            .as_str()
            .unwrap()
            .split('/')
            .any(|part| matches!(part, "deployments" | "model"));
        let options = RequestOptions {
            model: (!in_path).then_some(model.as_str()),
            stream: body.bool("stream") == Some(true),
            quirks: provider.quirks,
            ..RequestOptions::plain(Endpoint::Chat, &model)
        };
        let sent = (provider.request)(&body, &options).expect("the request can be written");
        let expected = match case.file("upstream_request.json") {
            Some(expected) => case.comparable(&expected),
            None if !provider.passes_bytes => continue,
            None => {
                // The same request, except that usage is always asked for in a stream.
                let mut expected = case.comparable(body.bytes());
                if options.stream {
                    expected["stream_options"] = json!({"include_usage": true});
                }
                if expected == case.comparable(body.bytes()) && !body.contains("stream") {
                    assert_eq!(&sent, body.bytes(), "{}: unchanged bytes", case.name());
                }
                expected
            }
        };
        assert_eq!(case.comparable(&sent), expected, "{}", case.name());
    }
}

#[test]
fn replies_become_what_the_client_expects() {
    for case in Case::all().iter().filter(|case| case.succeeds()) {
        let Some(upstream) = case.file("upstream_response.json") else { continue };
        let client = case.file("client_response.json").unwrap();
        let provider = case.provider();
        let reply = (provider.reply)(upstream.clone(), provider.quirks).expect("a reply");
        assert!(reply.usage.is_some() && reply.model.is_some(), "{}", case.name());
        assert_eq!(case.comparable(&reply.body), case.comparable(&client), "{}", case.name());
        if provider.passes_bytes {
            assert_eq!(reply.body, client, "{}: the same bytes", case.name());
        }
    }
}

/// The failure as a client of OpenAI reads it.
fn error_body(failure: &Failure) -> String {
    let Failure { message, kind, param, code, .. } = failure;
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}}).to_string()
}

/// Everything a stream brought.
#[derive(Debug, PartialEq, Eq)]
struct Streamed {
    bytes: Vec<u8>,
    usage: Option<Usage>,
    text_bytes: u64,
    meaningful: bool,
    ending: Ending,
}

fn relay<'a>(
    case: &Case,
    show_usage: bool,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Streamed {
    let provider = case.provider();
    let options = StreamOptions { show_usage, created: CREATED, quirks: provider.quirks };
    let mut relay = (provider.stream)(options);
    let mut out = Vec::new();
    let (mut meaningful, mut failure) = (false, None);
    for piece in pieces {
        let progress = relay.push(Bytes::copy_from_slice(piece), &mut out);
        meaningful |= progress.meaningful;
        assert!(failure.is_none() || progress.failure.is_none(), "one failure is told once");
        failure = failure.or(progress.failure);
    }
    let ending = relay.finish(&mut out);
    if let Some(failure) = failure {
        assert_eq!(ending, Ending::Cut);
        out.push(format!("data: {}\n\n", error_body(&failure)).into());
    }
    Streamed {
        bytes: out.concat(),
        usage: relay.usage(),
        text_bytes: relay.text_bytes(),
        meaningful,
        ending,
    }
}

#[test]
fn streams_become_what_the_client_expects_wherever_they_are_cut() {
    for case in Case::all() {
        let Some(upstream) = case.streamed() else { continue };
        let client = case.file("client_response.sse").unwrap();
        let show_usage = case
            .request()
            .object("stream_options")
            .is_some_and(|options| options.bool("include_usage") == Some(true));
        let whole = relay(&case, show_usage, [&upstream[..]]);
        assert_eq!(case.events(&whole.bytes), case.events(&client), "{}", case.name());
        assert!(whole.meaningful, "{}", case.name());
        if case.provider().passes_bytes && whole.ending == Ending::Complete {
            assert_eq!(whole.bytes, client, "{}: the same bytes", case.name());
        }
        for first in 0..=upstream.len() {
            for second in [0, 1, 2, 3].map(|gap| (first + gap).min(upstream.len())) {
                let pieces = [&upstream[..first], &upstream[first..second], &upstream[second..]];
                let cut = relay(&case, show_usage, pieces);
                assert_eq!(cut, whole, "{} cut at {first} and {second}", case.name());
            }
        }
        assert_eq!(relay(&case, show_usage, upstream.chunks(1)), whole, "{}", case.name());
    }
}

#[test]
fn a_stream_that_breaks_off_is_never_complete_before_its_end() {
    for case in Case::all() {
        let Some(upstream) = case.streamed() else { continue };
        let whole = relay(&case, false, [&upstream[..]]);
        for end in 0..upstream.len() {
            let part = relay(&case, false, [&upstream[..end]]);
            let ended = part.bytes.ends_with(b"data: [DONE]\n\n");
            assert_eq!(ended, part.ending == Ending::Complete, "{} at {end}", case.name());
            assert!(part.text_bytes <= whole.text_bytes);
            if ended {
                assert_eq!(part.text_bytes, whole.text_bytes, "{} at {end}", case.name());
            }
        }
    }
}
