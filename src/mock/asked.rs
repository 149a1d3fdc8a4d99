//! What a request asks for: the dialect and the operation from its path, the rest from its body.
//!
//! Only what shapes a reply is read. The messages are parsed shallowly, so a body of many
//! megabytes costs one pass.

use std::borrow::Cow;
use std::hash::Hasher;

use http::Method;
use rustc_hash::FxHasher;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::problem::Problem;
use super::record::Recorded;
use super::route::route;
use super::{bedrock, gemini, house, responses};
use crate::dialect::Dialect;

/// Bytes of text that count as one token. Rough on purpose: real tokenisers are megabytes.
const BYTES_PER_TOKEN: usize = 4;
/// How much of the prompt an echo repeats.
const ECHO_BYTES_MAX: usize = 200;
/// The most choices one request gets.
const CHOICES_MAX: u64 = 16;

/// The operation that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Chat completions, or Messages in Anthropic's dialect.
    Chat,
    Completions,
    /// OpenAI's Responses.
    Responses,
    Embeddings,
    Rerank,
    CountTokens,
    Models,
    Model(String),
    /// `/` and `/health`, for load balancers.
    Health,
    Unknown,
}

/// One request, understood.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) dialect: Dialect,
    pub(super) operation: Operation,
    /// From the body, or from Azure's path.
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) choices: u64,
    /// What the last message said, shortened.
    pub(super) said: String,
    /// The assistant's own words at the end of the conversation, which may wait to be continued: as
    /// the last message, or as the one before an instruction.
    pub(super) begun: Option<String>,
    /// The last message is the result of a tool.
    pub(super) tool_answered: bool,
    pub(super) images: usize,
    pub(super) prompt_tokens: u64,
    pub(super) max_tokens: Option<u64>,
    pub(super) tools: Vec<Tool>,
    pub(super) forced: Forced,
    /// The schema of the text that is wanted; `null` for any object.
    pub(super) schema: Option<Value>,
    pub(super) thinking: bool,
    pub(super) inputs: usize,
    /// Of Google's embeddings: several contents are asked about, in a list.
    pub(super) batch: bool,
    pub(super) dimensions: Option<usize>,
    pub(super) base64: bool,
    /// The same request gives the same id.
    pub(super) id: u64,
    /// What the provider would refuse about the request.
    pub(super) refused: Option<Problem>,
}

/// A tool that the model may call.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) schema: Value,
}

/// Whether the model must call a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Forced {
    #[default]
    No,
    Any,
    Named(String),
}

/// The longest start of a text that has at most `most` bytes and ends between two letters.
pub(super) fn first_bytes(text: &str, most: usize) -> &str {
    (0..=most.min(text.len())).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

/// Tokens of a text, roughly. Never zero for a text that is not empty.
pub(super) fn rough_tokens(text: &str) -> u64 {
    text.len().div_ceil(BYTES_PER_TOKEN) as u64
}

impl Asked {
    /// Reads a request. What the provider would refuse stands in `refused`.
    pub(super) fn read(request: &Recorded, usual: Dialect) -> Self {
        let path = request.path.split('?').next().unwrap_or_default();
        let (operation, dialect, deployment) = route(path, request, usual);
        let mut hasher = FxHasher::default();
        hasher.write(path.as_bytes());
        hasher.write(&request.body);
        let mut asked = Self {
            dialect,
            operation,
            model: deployment.clone().unwrap_or_default(),
            stream: false,
            include_usage: false,
            choices: 1,
            said: String::new(),
            begun: None,
            tool_answered: false,
            images: 0,
            prompt_tokens: 1,
            max_tokens: None,
            tools: Vec::new(),
            forced: Forced::No,
            schema: None,
            thinking: false,
            inputs: 1,
            batch: true,
            dimensions: None,
            base64: false,
            id: hasher.finish(),
            refused: None,
        };
        let method = match asked.operation {
            Operation::Chat
            | Operation::Completions
            | Operation::Responses
            | Operation::Embeddings
            | Operation::Rerank
            | Operation::CountTokens => Method::POST,
            Operation::Models | Operation::Model(_) | Operation::Health => Method::GET,
            Operation::Unknown => {
                asked.refused = Some(Problem::saying(404, format!("Unknown path {path}")));
                return asked;
            }
        };
        if request.method != method {
            asked.refused = Some(Problem::saying(
                405,
                format!("{path} takes {method}, not {}", request.method),
            ));
        } else if method == Method::POST {
            asked.stream = path.ends_with(":streamGenerateContent")
                || path.ends_with(":streamRawPredict")
                || path.ends_with("/converse-stream");
            match (dialect, &asked.operation) {
                (Dialect::Gemini, _) => gemini::read(&mut asked, &request.body),
                (Dialect::Bedrock, _) => bedrock::read(&mut asked, &request.body),
                (Dialect::Custom, _) => house::read(&mut asked, &request.body),
                (_, Operation::Responses) => responses::read(&mut asked, &request.body),
                _ => asked.read_body(request, dialect == Dialect::Azure && deployment.is_some()),
            }
        }
        asked
    }

    fn read_body(&mut self, request: &Recorded, dated_azure: bool) {
        let body: Body<'_> = match serde_json::from_slice(&request.body) {
            Ok(body) => body,
            Err(error) => {
                let message = format!("We could not parse the JSON body of your request: {error}");
                self.refused = Some(Problem::saying(400, message));
                return;
            }
        };
        if self.model.is_empty() {
            self.model = text(body.model).unwrap_or_default().into_owned();
        }
        // Ollama streams unless it is told not to.
        let usually = self.dialect == Dialect::Ollama && self.operation == Operation::Chat;
        self.stream |= parsed::<bool>(body.stream).unwrap_or(usually);
        self.include_usage = self.stream
            && parsed::<StreamOptions>(body.stream_options).is_some_and(|it| it.include_usage);
        self.choices = parsed::<u64>(body.n).unwrap_or(1).clamp(1, CHOICES_MAX);
        self.max_tokens = parsed(body.max_completion_tokens.or(body.max_tokens));
        self.thinking = parsed::<Value>(body.thinking)
            .is_some_and(|it| it["type"] == "enabled" || it["type"] == "adaptive");
        self.read_prompt(&body);
        self.read_tools(&body);
        self.schema = wanted_schema(&body);
        self.dimensions = parsed(body.dimensions);
        self.base64 = text(body.encoding_format).is_some_and(|it| it == "base64");
        self.refused = self.refusal(&body, request, dated_azure);
    }

    /// The body as one object; `None`, and a refusal, if it is none.
    pub(super) fn object(&mut self, body: &[u8]) -> Option<Value> {
        let object = serde_json::from_slice(body).ok().filter(Value::is_object);
        if object.is_none() {
            self.refused = Some(Problem::saying(400, "The body is no JSON object."));
        }
        object
    }

    fn read_prompt(&mut self, body: &Body<'_>) {
        let prompt = match self.operation {
            Operation::Embeddings => body.input,
            Operation::Completions => body.prompt,
            _ => body.messages,
        };
        let prompt = if self.operation == Operation::Rerank { body.documents } else { prompt };
        let Some(prompt) = prompt else { return };
        let system = body.system.map_or(0, |it| rough_tokens(it.get()));
        self.prompt_tokens = system + rough_tokens(prompt.get());
        if self.operation == Operation::Embeddings {
            self.inputs = match parsed::<Vec<&RawValue>>(Some(prompt)) {
                // One input may be written as a list of token numbers.
                Some(list) if list.iter().all(|it| !it.get().starts_with(['"', '['])) => 1,
                Some(list) => list.len(),
                None => 1,
            };
            return;
        }
        if self.operation == Operation::Rerank {
            self.inputs = parsed::<Vec<&RawValue>>(body.documents).map_or(0, |list| list.len());
            return;
        }
        if self.operation == Operation::Completions {
            self.said = shortened(text(Some(prompt)).unwrap_or_default());
            return;
        }
        let messages: Vec<Message<'_>> = parsed(Some(prompt)).unwrap_or_default();
        let Some(last) = messages.last() else { return };
        let assistant = |it: &&Message<'_>| text(it.role).is_some_and(|role| role == "assistant");
        self.begun = messages.iter().rev().take(2).find(assistant).map(|it| whole_text(it.content));
        self.tool_answered = text(last.role).is_some_and(|role| role == "tool");
        self.said = match text(last.content) {
            Some(content) => {
                self.images = last.images.len();
                shortened(content)
            }
            None => {
                let parts: Vec<Part<'_>> = parsed(last.content).unwrap_or_default();
                self.images = parts.iter().filter(|part| part.kind.contains("image")).count();
                self.tool_answered |= parts.iter().any(|part| part.kind == "tool_result");
                let said = parts.iter().find_map(|part| text(part.text.or(part.content)));
                shortened(said.unwrap_or_default())
            }
        };
    }

    fn read_tools(&mut self, body: &Body<'_>) {
        for tool in parsed::<Vec<Value>>(body.tools).unwrap_or_default() {
            let function = tool.get("function").unwrap_or(&tool);
            let Some(name) = function["name"].as_str() else { continue };
            let schema = function.get("parameters").or_else(|| function.get("input_schema"));
            self.tools
                .push(Tool { name: name.to_owned(), schema: schema.cloned().unwrap_or_default() });
        }
        self.forced = match parsed::<Value>(body.tool_choice) {
            Some(Value::String(word)) if word.eq_ignore_ascii_case("required") => Forced::Any,
            Some(Value::Object(choice)) => {
                let name = choice.get("function").and_then(|it| it["name"].as_str());
                match name.or_else(|| choice.get("name").and_then(Value::as_str)) {
                    Some(name) => Forced::Named(name.to_owned()),
                    None if choice.get("type").is_some_and(|it| it == "any") => Forced::Any,
                    None => Forced::No,
                }
            }
            _ => Forced::No,
        };
    }

    fn refusal(&self, body: &Body<'_>, request: &Recorded, dated_azure: bool) -> Option<Problem> {
        let missing = |field: &str| match self.dialect {
            Dialect::Anthropic => Problem::saying(400, format!("{field}: Field required")),
            _ => Problem {
                param: Some(field.to_owned()),
                ..Problem::saying(400, format!("Missing required parameter: '{field}'."))
            },
        };
        if dated_azure && !request.path.contains("api-version=") {
            return Some(Problem {
                code: Some("404".to_owned()),
                ..Problem::saying(404, "Resource not found: api-version is missing")
            });
        }
        if self.model.is_empty() {
            return Some(missing("model"));
        }
        let (field, given) = match self.operation {
            Operation::Rerank => ("documents", body.documents.is_some()),
            Operation::Embeddings => ("input", body.input.is_some()),
            Operation::Completions => ("prompt", body.prompt.is_some()),
            _ => ("messages", body.messages.is_some()),
        };
        if !given {
            return Some(missing(field));
        }
        if self.dialect == Dialect::Anthropic {
            // On Vertex the version stands in the body.
            if request.header("anthropic-version").is_none() && body.anthropic_version.is_none() {
                return Some(Problem::saying(400, "anthropic-version: header is required"));
            }
            if self.operation == Operation::Chat && self.max_tokens.is_none() {
                return Some(missing("max_tokens"));
            }
        }
        None
    }
}

fn wanted_schema(body: &Body<'_>) -> Option<Value> {
    if let Some(format) = parsed::<Value>(body.format) {
        return Some(if format.is_object() { format } else { Value::Null });
    }
    let format = match parsed::<Value>(body.output_config) {
        Some(config) => config.get("format").cloned(),
        None => parsed::<Value>(body.response_format),
    }?;
    match format["type"].as_str()? {
        // Cohere's place for a schema.
        "json_object" if format["json_schema"].is_object() => Some(format["json_schema"].clone()),
        "json_schema" => {
            let schema = format.get("json_schema").map_or(&format["schema"], |it| &it["schema"]);
            Some(schema.clone())
        }
        "json_object" => Some(Value::Null),
        _ => None,
    }
}

/// A message's text, whether it is written as one or in parts.
fn whole_text(content: Option<&RawValue>) -> String {
    if let Some(text) = text(content) {
        return text.into_owned();
    }
    let parts: Vec<Part<'_>> = parsed(content).unwrap_or_default();
    parts.iter().filter_map(|part| text(part.text)).collect()
}

pub(super) fn shortened(text: Cow<'_, str>) -> String {
    if text.len() <= ECHO_BYTES_MAX {
        return text.into_owned();
    }
    let start = first_bytes(&text, ECHO_BYTES_MAX);
    format!("{start}...")
}

/// The body's fields, each unparsed: a field of the wrong type is as good as absent.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow)]
    n: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, alias = "texts", alias = "inputs")]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    documents: Option<&'a RawValue>,
    /// Ollama's: a schema, or the word for any object.
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow)]
    anthropic_version: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
    #[serde(borrow)]
    response_format: Option<&'a RawValue>,
    #[serde(borrow)]
    output_config: Option<&'a RawValue>,
    #[serde(borrow)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    dimensions: Option<&'a RawValue>,
    #[serde(borrow)]
    encoding_format: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    /// Ollama's stand beside the text.
    #[serde(borrow)]
    images: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

fn parsed<'a, T: Deserialize<'a>>(field: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(field?.get()).ok()
}

fn text(field: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let field = field?.get();
    match serde_json::from_str::<&str>(field) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(_) => serde_json::from_str::<String>(field).ok().map(Cow::Owned),
    }
}
