//! A conversation means the same to every provider, whatever the client's dialect; and each provider
//! is sent one that it takes.
//!
//! What a provider is sent is read back, by the reader of clients of its dialect where there is one,
//! and compared with what was meant.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;
use tollgate::dialect::{ClientDialect, Endpoint};
use tollgate::failure::{Failure, FailureClass};
use tollgate::wire::client::{self, Asked};
use tollgate::wire::json::Object;
use tollgate::wire::{
    RequestOptions, anthropic, bedrock, cohere, gemini, ollama, openai, responses,
};

use crate::history::{self, Event, History, Sealed, Side, Turn};
use crate::source::Source;

/// What a provider has words for, and how what it is sent is read.
struct Provider {
    name: &'static str,
    model: &'static str,
    write: fn(&Object, &RequestOptions<'_>) -> Result<Bytes, Failure>,
    read: fn(Bytes) -> Vec<Turn>,
    /// What its API asks of a body.
    takes: fn(&Value),
    systems: Systems,
    files: bool,
    errors: bool,
    seals: Sealed,
    /// Images stand beside the text, not in it.
    media_apart: bool,
}

/// Where system messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Systems {
    InPlace,
    /// All of them to the front.
    Front,
    /// Those that are not at the front are said by the user.
    Said,
}

const OPENAI: Provider = Provider {
    name: "openai",
    model: "gpt-4o",
    write: openai::request,
    read: |body| chat(&json(&body)),
    takes: |_| (),
    systems: Systems::InPlace,
    files: true,
    errors: true,
    seals: Sealed::Nothing,
    media_apart: false,
};

const PROVIDERS: [Provider; 8] = [
    OPENAI,
    Provider {
        name: "anthropic",
        model: "claude-opus-4-5",
        write: |body, options| Ok(anthropic::request(body, options, anthropic::VERSION)?.body),
        read: |body| back(ClientDialect::Anthropic, body),
        takes: takes_anthropic,
        systems: Systems::Said,
        errors: true,
        seals: Sealed::Claude,
        ..OPENAI
    },
    Provider {
        name: "bedrock",
        model: "anthropic.claude-opus-4-5-20251101-v1:0",
        write: bedrock::request,
        read: |body| converse(&json(&body)),
        takes: takes_bedrock,
        systems: Systems::Said,
        errors: true,
        seals: Sealed::Claude,
        ..OPENAI
    },
    Provider {
        name: "gemini",
        model: "gemini-3.5-flash",
        write: gemini::request,
        read: |body| back(ClientDialect::Gemini, body),
        takes: takes_gemini,
        systems: Systems::Front,
        errors: true,
        seals: Sealed::Google,
        ..OPENAI
    },
    // It has no ids: calls and results meet by their order.
    Provider {
        name: "gemini 2.5",
        model: "gemini-2.5-flash",
        write: gemini::request,
        read: |body| back(ClientDialect::Gemini, body),
        takes: takes_gemini,
        systems: Systems::Front,
        errors: true,
        seals: Sealed::Google,
        ..OPENAI
    },
    Provider {
        name: "responses",
        write: |request, options| responses::request(request, options, None),
        read: |body| back(ClientDialect::Responses, body),
        takes: takes_responses,
        ..OPENAI
    },
    Provider { name: "cohere", model: "command-a", write: cohere::request, files: false, ..OPENAI },
    Provider {
        name: "ollama",
        model: "llama3",
        write: ollama::request,
        read: |body| chat_of_ollama(&json(&body)),
        takes: takes_ollama,
        files: false,
        media_apart: true,
        ..OPENAI
    },
];

/// For every choice of a history and of the client that sends it.
pub(crate) fn holds(input: &[u8]) {
    let source = &mut Source::new(input);
    let dialect = source.pick(&[
        ClientDialect::OpenAi,
        ClientDialect::Anthropic,
        ClientDialect::Responses,
        ClientDialect::Gemini,
    ]);
    let history = history::history(source);
    let body = match dialect {
        ClientDialect::OpenAi => history::chat(&history, source),
        ClientDialect::Anthropic => history::messages(&history, source),
        ClientDialect::Responses => history::responses(&history, source),
        ClientDialect::Gemini => history::gemini(&history),
    };
    let asked = Asked { model: Some("m"), stream: Some(false), ..Asked::default() };
    let written = Object::parse(body.to_string().into()).expect("a client sends an object");
    let canonical = client::request(dialect, &written, asked)
        .unwrap_or_else(|failure| panic!("{dialect:?} {body:#}: {}", failure.message));
    assert!(canonical.obstacle.refusal(false).is_none(), "{body:#}");

    let events = || history.turns.iter().flat_map(|(_, events)| events);
    let has_file = events().any(|event| matches!(event, Event::File { .. }));
    for provider in PROVIDERS {
        let options = RequestOptions::plain(Endpoint::Chat, provider.model);
        let sent = match (provider.write)(&canonical.body, &options) {
            Ok(sent) => sent,
            Err(refusal) => {
                let is_known = has_file && !provider.files;
                assert!(is_known, "{}: {}\n{body:#}", provider.name, refusal.message);
                assert_eq!(refusal.class, FailureClass::BadRequest);
                continue;
            }
        };
        assert!(provider.files || !has_file, "{}: a file is lost", provider.name);
        let shown = json(&sent);
        (provider.takes)(&shown);
        let rules = Rules::of(&history, dialect, &provider);
        let (meant, told) = (rules.normal(&history.turns), rules.normal(&(provider.read)(sent)));
        assert_eq!(told, meant, "{dialect:?} to {}:\n{body:#}\n{shown:#}", provider.name);
    }
}

fn json(body: &Bytes) -> Value {
    serde_json::from_slice(body).expect("what is sent is JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What one event says: its class and its place within that, which order it, and its words.
type Said = (u8, usize, String);

/// What two histories have to have in common.
struct Rules {
    systems: Systems,
    errors: bool,
    thoughts: bool,
    signatures: bool,
    media_apart: bool,
    /// A text of blanks alone may be left out, also where it would be part of a longer one.
    blanks: bool,
}

impl Rules {
    fn of(history: &History, dialect: ClientDialect, provider: &Provider) -> Self {
        let is_blank = |text: &str| !text.is_empty() && text.trim().is_empty();
        let mut events = history.turns.iter().flat_map(|(_, events)| events);
        let blank = events.any(|event| matches!(event, Event::Text(text) if is_blank(text)));
        let kept = history.sealed == provider.seals;
        Self {
            systems: provider.systems,
            errors: provider.errors && dialect != ClientDialect::Responses,
            thoughts: kept && provider.seals == Sealed::Claude && dialect != ClientDialect::Gemini,
            signatures: kept
                && provider.seals == Sealed::Google
                && dialect != ClientDialect::Anthropic,
            media_apart: provider.media_apart,
            blanks: !blank,
        }
    }

    /// Words without what joins them.
    fn words(&self, text: &str) -> String {
        let kept = |c: &char| if self.blanks { *c != '\n' } else { !c.is_whitespace() };
        text.chars().filter(kept).collect()
    }

    /// What is said, side by side, in an order and in words that do not depend on the dialect.
    fn normal(&self, turns: &[Turn]) -> Vec<(Side, Vec<String>)> {
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut calls = 0;
        let mut system = Vec::new();
        let mut runs: Vec<(Side, Vec<Said>)> = Vec::new();
        for (side, events) in turns {
            let mut said = Vec::new();
            for event in events {
                // Thoughts, words, calls; what tools returned, words.
                let (class, order, text) = match event {
                    Event::Text(text) if matches!(text.trim(), "" | ".") => continue,
                    Event::Text(text) => (2, 0, format!("\"{}", self.words(text))),
                    Event::Image { media_type, data } => {
                        (if self.media_apart { 3 } else { 2 }, 0, {
                            let kind = if self.media_apart { "image" } else { media_type };
                            format!("{kind} {data}")
                        })
                    }
                    Event::File { data } => (2, 0, format!("file {data}")),
                    Event::Thought { .. } if !self.thoughts => continue,
                    Event::Thought { text, signature } => (1, 0, format!("{text:?} {signature}")),
                    Event::Call { id, name, input, signature } => {
                        calls += 1;
                        numbers.insert(id.clone(), calls);
                        let known = |it: &&String| *it != "skip_thought_signature_validator";
                        let signature = signature.as_ref().filter(known);
                        let signature = signature.filter(|_| self.signatures);
                        (4, calls, format!("call {calls}: {name} {input} {signature:?}"))
                    }
                    Event::Result { id, text, is_error } => {
                        let number = numbers.get(id);
                        let number = *number.unwrap_or_else(|| panic!("{id:?} answers no call"));
                        // So it is said where there is no field for it.
                        let failed = text.strip_prefix("Error: ");
                        let is_error = *is_error || failed.is_some();
                        let text = failed.unwrap_or(text);
                        let text = text.trim();
                        let is_object = text.starts_with('{');
                        let value = is_object.then(|| serde_json::from_str::<Value>(text).ok());
                        let text = match value.flatten() {
                            Some(value) => value.to_string(),
                            None => self.words(text),
                        };
                        let text = if matches!(text.trim(), "" | ".") { "" } else { &text };
                        let is_error = is_error && self.errors;
                        (1, number, format!("result {number}: {text} {is_error}"))
                    }
                };
                said.push((class, order, text));
            }
            let side = match (side, self.systems) {
                (Side::System, Systems::Front) => {
                    system.append(&mut said);
                    continue;
                }
                (Side::System, Systems::Said) if !runs.is_empty() => Side::User,
                (Side::System, Systems::Said) => {
                    system.append(&mut said);
                    continue;
                }
                (side, _) => *side,
            };
            match runs.last_mut() {
                _ if said.is_empty() => {}
                Some((last, events)) if *last == side => events.append(&mut said),
                _ => runs.push((side, said)),
            }
        }
        if !system.is_empty() {
            runs.insert(0, (Side::System, system));
        }
        runs.into_iter().map(|(side, events)| (side, gathered(events))).collect()
    }
}

/// In order, and with adjacent texts as one.
fn gathered(mut events: Vec<(u8, usize, String)>) -> Vec<String> {
    events.sort_by_key(|(class, order, _)| (*class, *order));
    let mut all: Vec<String> = Vec::new();
    for (_, _, text) in events {
        match (all.last_mut(), text.strip_prefix('"')) {
            (Some(last), Some(more)) if last.starts_with('"') => last.push_str(more),
            _ => all.push(text),
        }
    }
    all
}

/// Read by the gateway itself, as if a client had sent it.
fn back(dialect: ClientDialect, body: Bytes) -> Vec<Turn> {
    let sent = Object::parse(body).expect("an object is sent");
    let asked = Asked { model: Some("m"), stream: Some(false), ..Asked::default() };
    let canonical = client::request(dialect, &sent, asked).unwrap_or_else(|failure| {
        panic!("{}: {}", sent.raw("model").unwrap_or("?"), failure.message)
    });
    chat(&json(canonical.body.bytes()))
}

fn from_data_url(url: &str) -> (String, String) {
    let (media_type, data) = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"))
        .unwrap_or_else(|| panic!("{url} is a data URL"));
    (media_type.to_owned(), data.to_owned())
}

fn parts(content: &Value) -> Vec<Event> {
    if let Value::String(text) = content {
        return vec![Event::Text(text.clone())];
    }
    let part = |part: &Value| match part["type"].as_str() {
        Some("text") => Event::Text(text(&part["text"])),
        Some("image_url") => {
            let (media_type, data) = from_data_url(&text(&part["image_url"]["url"]));
            Event::Image { media_type, data }
        }
        Some("file") => Event::File { data: from_data_url(&text(&part["file"]["file_data"])).1 },
        _ => panic!("no such part: {part}"),
    };
    list(content).iter().map(part).collect()
}

fn words_of(events: &[Event]) -> String {
    let texts = events.iter().map(|event| match event {
        Event::Text(text) => text.as_str(),
        _ => panic!("a text, not {event:?}"),
    });
    texts.collect()
}

/// Messages of a chat.
fn chat(body: &Value) -> Vec<Turn> {
    let mut turns = Vec::new();
    for message in list(&body["messages"]) {
        let mut said = parts(&message["content"]);
        let side = match message["role"].as_str() {
            Some("system" | "developer") => Side::System,
            Some("user") => Side::User,
            Some("assistant") => Side::Assistant,
            Some("tool") => {
                let is_error = message["is_error"] == true;
                let (id, text) = (text(&message["tool_call_id"]), words_of(&said));
                turns.push((Side::User, vec![Event::Result { id, text, is_error }]));
                continue;
            }
            _ => panic!("no such role: {message}"),
        };
        let thoughts = list(&message["thinking_blocks"]).iter().map(|block| Event::Thought {
            text: text(&block["thinking"]),
            signature: text(&block["signature"]),
        });
        said.splice(0..0, thoughts);
        for call in list(&message["tool_calls"]) {
            let google = &call["extra_content"]["google"]["thought_signature"];
            said.push(Event::Call {
                id: text(&call["id"]),
                name: text(&call["function"]["name"]),
                input: serde_json::from_str(&text(&call["function"]["arguments"])).unwrap(),
                signature: google.as_str().map(str::to_owned),
            });
        }
        turns.push((side, said));
    }
    turns
}

/// Ollama's messages: text, images beside it, arguments as objects.
fn chat_of_ollama(body: &Value) -> Vec<Turn> {
    let mut turns = Vec::new();
    for message in list(&body["messages"]) {
        let content = text(&message["content"]);
        let side = match message["role"].as_str() {
            Some("system") => Side::System,
            Some("user") => Side::User,
            Some("assistant") => Side::Assistant,
            Some("tool") => {
                let id = text(&message["tool_call_id"]);
                let result = Event::Result { id, text: content, is_error: false };
                turns.push((Side::User, vec![result]));
                continue;
            }
            _ => panic!("no such role: {message}"),
        };
        let mut said = vec![Event::Text(content)];
        for image in list(&message["images"]) {
            // It has no types of images.
            said.push(Event::Image { media_type: String::new(), data: text(image) });
        }
        for call in list(&message["tool_calls"]) {
            let (id, name) = (text(&call["id"]), text(&call["function"]["name"]));
            let input = call["function"]["arguments"].clone();
            said.push(Event::Call { id, name, input, signature: None });
        }
        turns.push((side, said));
    }
    turns
}

/// Converse's `system` and `messages`.
fn converse(body: &Value) -> Vec<Turn> {
    let event = |block: &Value| {
        let (kind, inner) = block.as_object().and_then(|fields| fields.iter().next()).unwrap();
        match kind.as_str() {
            "text" => Event::Text(text(inner)),
            "image" => Event::Image {
                media_type: format!("image/{}", text(&inner["format"])),
                data: text(&inner["source"]["bytes"]),
            },
            "document" => Event::File { data: text(&inner["source"]["bytes"]) },
            "reasoningContent" => Event::Thought {
                text: text(&inner["reasoningText"]["text"]),
                signature: text(&inner["reasoningText"]["signature"]),
            },
            "toolUse" => Event::Call {
                id: text(&inner["toolUseId"]),
                name: text(&inner["name"]),
                input: inner["input"].clone(),
                signature: None,
            },
            "toolResult" => {
                let texts = list(&inner["content"]).iter().map(|block| match &block["json"] {
                    Value::Null => text(&block["text"]),
                    value => value.to_string(),
                });
                let is_error = inner["status"] == "error";
                Event::Result { id: text(&inner["toolUseId"]), text: texts.collect(), is_error }
            }
            _ => panic!("no such block: {block}"),
        }
    };
    let turn = |message: &Value| {
        let side = if message["role"] == "user" { Side::User } else { Side::Assistant };
        (side, list(&message["content"]).iter().map(event).collect())
    };
    let mut turns = vec![(Side::System, list(&body["system"]).iter().map(event).collect())];
    turns.extend(list(&body["messages"]).iter().map(turn));
    turns
}

/// The sides alternate, the user begins and ends, and every call of a turn is answered at the very
/// start of the next one. `call` and `result` find the id in a block of its kind.
fn takes_turns(
    turns: &[Value],
    blocks: &str,
    call: fn(&Value) -> Option<String>,
    result: fn(&Value) -> Option<String>,
) {
    let mut called: Vec<String> = Vec::new();
    for (at, turn) in turns.iter().enumerate() {
        assert_eq!(turn["role"] == "user", at % 2 == 0, "sides alternate: {turns:#?}");
        let blocks = list(&turn[blocks]);
        assert!(!blocks.is_empty(), "nobody says nothing");
        let mut answered: Vec<String> = blocks.iter().map_while(result).collect();
        assert_eq!(answered.len(), blocks.iter().filter_map(result).count(), "results come first");
        answered.sort();
        called.sort();
        assert_eq!(answered, called, "what was called is answered: {turns:#?}");
        called = blocks.iter().filter_map(call).collect();
        let known = called.len();
        called.sort();
        called.dedup();
        assert_eq!(known, called.len(), "two calls have two ids");
    }
    assert!(turns.len() % 2 == 1, "the user has the last word");
}

fn takes_id(id: &Value, longest: usize, marks: &[u8]) -> Option<String> {
    let id = id.as_str()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    assert!((1..=longest).contains(&id.len()) && id.bytes().all(is_plain), "{id:?} is an id");
    Some(id.to_owned())
}

fn takes_anthropic(body: &Value) {
    takes_turns(
        list(&body["messages"]),
        "content",
        |block| takes_id(block.get("id")?, 128, b"_-"),
        |block| takes_id(block.get("tool_use_id")?, 128, b"_-"),
    );
    let said = list(&body["messages"]).iter().flat_map(|turn| list(&turn["content"]));
    for block in said.chain(list(&body["system"])).filter(|block| block["type"] == "text") {
        assert!(!text(&block["text"]).trim().is_empty(), "a text says something: {body:#}");
    }
}

fn takes_bedrock(body: &Value) {
    takes_turns(
        list(&body["messages"]),
        "content",
        |block| takes_id(&block.get("toolUse")?["toolUseId"], 64, b"_-.:"),
        |block| takes_id(&block.get("toolResult")?["toolUseId"], 64, b"_-.:"),
    );
    for turn in list(&body["messages"]) {
        let blocks = list(&turn["content"]);
        let texts: Vec<&Value> = blocks.iter().filter_map(|block| block.get("text")).collect();
        assert!(texts.iter().all(|it| !text(it).trim().is_empty()), "a text says something");
        let has_file = blocks.iter().any(|block| block.get("document").is_some());
        assert!(!has_file || !texts.is_empty(), "a document needs a text: {body:#}");
        let results = blocks.iter().filter_map(|block| block.get("toolResult"));
        assert!(results.into_iter().all(|result| !list(&result["content"]).is_empty()));
    }
}

fn takes_gemini(body: &Value) {
    let turns = list(&body["contents"]);
    takes_turns(turns, "parts", |_| None, |_| None);
    let named = |turn: &Value, kind: &str| -> Vec<String> {
        let parts = list(&turn["parts"]).iter().filter_map(|part| part.get(kind));
        parts.map(|part| format!("{} {}", part["id"], part["name"])).collect()
    };
    for pair in turns.windows(2) {
        let (called, answered) =
            (named(&pair[0], "functionCall"), named(&pair[1], "functionResponse"));
        assert_eq!(called, answered, "as many results as calls, in their order: {body:#}");
        let first = list(&pair[1]["parts"]).iter().take(answered.len());
        assert!(first.into_iter().all(|part| part.get("functionResponse").is_some()));
    }
}

fn takes_responses(body: &Value) {
    let mut called = Vec::new();
    for item in list(&body["input"]) {
        match item["type"].as_str() {
            Some("function_call") => {
                let id = text(&item["call_id"]);
                assert!(id.len() <= 64 && !id.is_empty(), "{id:?} is an id");
                called.push(id);
            }
            Some("function_call_output") => {
                let id = text(&item["call_id"]);
                assert!(called.contains(&id), "{id:?} was called");
            }
            _ => {}
        }
    }
}

fn takes_ollama(body: &Value) {
    for message in list(&body["messages"]) {
        let calls = list(&message["tool_calls"]);
        assert!(calls.iter().all(|call| call["function"]["arguments"].is_object()));
        assert!(message["role"] != "tool" || message["tool_name"].is_string(), "{message}");
    }
}
