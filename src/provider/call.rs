//! One call of a deployment: from a client's body to the provider's. The way back is `answer.rs`.
//!
//! Chooses the format by the deployment's dialect; the formats themselves are `wire`'s.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use serde_json::value::RawValue;

use super::bedrock;
use super::canonical;
use super::dots::ambiguity;
use super::media::{self, Sending, Stored};
use super::native::{self, Native, anthropic_headers, version_in_force};
use crate::catalog::{Deployment, PriceBook};
use crate::dialect::{ClientDialect, Dialect, Endpoint};
use crate::failure::{Failure, FailureClass};
use crate::wire::anthropic::native as messages_native;
use crate::wire::fields::invalid;
use crate::wire::form::Form;
use crate::wire::json::Object;
use crate::wire::{self, RequestOptions};

/// What stands for the model in a deployment's path.
const MODEL_PLACE: &str = "{model}";
/// What is encoded in a segment of a path: everything but RFC 3986's unreserved characters, and the
/// `@` before a version of a model.
pub(super) const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// What is asked of a deployment, besides the client's body.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The provider's model: see [`Deployment::upstream_model`].
    pub model: &'a str,
    pub endpoint: Endpoint,
    pub stream: bool,
    /// Parameters of the fallback that is being tried.
    pub overrides: &'a [(Box<str>, Box<RawValue>)],
    pub drop_params: bool,
    pub modify_params: bool,
    /// The request as a client of another dialect wrote it.
    pub native: Option<Native<'a>>,
    /// The request as a form, if it came as one.
    pub form: Option<&'a Form>,
    /// What of the things that a provider keeps is asked for.
    pub stored: Option<&'a Stored>,
}

impl<'a> Call<'a> {
    /// See [`RequestOptions::hints`].
    pub(super) fn has_hints(&self) -> bool {
        let dialect = self.native.map(|native| native.dialect);
        matches!(dialect, Some(ClientDialect::Anthropic | ClientDialect::Gemini))
    }

    /// How the request is written for a deployment, as far as the call and the configuration say.
    pub(super) fn options(&self, deployment: &'a Deployment) -> RequestOptions<'a> {
        RequestOptions {
            endpoint: self.endpoint,
            model: Some(self.model),
            stream: self.stream,
            quirks: deployment.quirks,
            defaults: &deployment.defaults,
            overrides: self.overrides,
            drop: &deployment.drop_params,
            allowed: &deployment.allowed_params,
            drop_params: self.drop_params,
            hints: self.has_hints(),
            modify_params: self.modify_params,
            max_output_tokens: None,
            model_hint: deployment.info.base_model.as_deref().unwrap_or(self.model),
        }
    }
}

/// How the answer to a request is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The API that was called.
    pub api: Endpoint,
    /// The answer is in the client's own dialect and is passed on.
    pub native: Option<ClientDialect>,
}

/// A request as the provider gets it.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Path and query.
    pub path: Cow<'a, str>,
    /// Headers of this request, which replace those of the same name in the deployment's target.
    /// Framing and content type are the connection's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    pub reading: Reading,
    /// `None`: a POST of `body` alone.
    pub sending: Option<Box<Sending>>,
}

impl Outgoing<'_> {
    /// Bytes of the whole body.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body.len() + self.rest().iter().map(Bytes::len).sum::<usize>()
    }

    /// What follows `body`.
    #[must_use]
    pub fn rest(&self) -> &[Bytes] {
        self.sending.as_ref().map_or(&[], |sending| &sending.rest)
    }

    #[must_use]
    pub fn method(&self) -> &Method {
        self.sending.as_ref().map_or(&Method::POST, |sending| &sending.method)
    }
}

/// Writes a client's request for a deployment.
///
/// # Errors
/// [`FailureClass::BadRequest`]: this provider has no words for the request.
/// [`FailureClass::NotFound`]: the provider has no such API.
pub fn request<'a>(
    deployment: &'a Deployment,
    body: &Object,
    call: &Call<'_>,
) -> Result<Outgoing<'a>, Failure> {
    let whole = deployment.target.paths[call.endpoint.index()].as_deref();
    let whole = whole.filter(|_| !completes_by_chat(deployment, body, call));
    let streamed = deployment.target.stream_path.as_deref();
    let streamed = streamed.filter(|_| call.stream && call.endpoint == Endpoint::Chat);
    let Some(template) = streamed.or(whole) else {
        if let Some(outgoing) = as_chat(deployment, body, call)? {
            return Ok(outgoing);
        }
        let message =
            format!("the provider {} has no API for {}", deployment.provider, noun(call.endpoint));
        return Err(Failure::new(FailureClass::NotFound, message));
    };
    // Google's SDKs and lists name models `models/...`; the path has that word already.
    let model = match deployment.dialect {
        Dialect::Bedrock if call.endpoint == Endpoint::CountTokens => {
            bedrock::without_profile(bedrock::model_id(call.model))
        }
        Dialect::Gemini => call.model.strip_prefix("models/").unwrap_or(call.model),
        Dialect::Bedrock => bedrock::model_id(call.model),
        _ => call.model,
    };
    let path = path(template, model)?;
    // LiteLLM's clients may say these themselves.
    let drop_params = body.bool("drop_params").or(deployment.drops_refused);
    let call = &Call { drop_params: drop_params.unwrap_or(call.drop_params), ..*call };
    let drop = with_own(&deployment.drop_params, body, "additional_drop_params");
    let allowed = with_own(&deployment.allowed_params, body, "allowed_openai_params");
    let marks = |body: &Object| {
        let points = &deployment.cache_points;
        if points.is_empty() || !takes_marks(deployment) {
            return None;
        }
        wire::cache::inject(body, points)
    };
    let reading = Reading { api: call.endpoint, native: None };
    // A deployment in the path hides the model; Azure and Bedrock take no other word for it.
    let is_named_by_path = match deployment.dialect {
        Dialect::Azure => template.contains("/deployments/"),
        Dialect::Bedrock => true,
        // Where tokens are counted is one path for all models.
        Dialect::Anthropic => deployment.quirks.vertex && template.contains(MODEL_PLACE),
        _ => false,
    };
    let options = RequestOptions {
        model: (!is_named_by_path).then_some(call.model),
        drop: &drop,
        allowed: &allowed,
        max_output_tokens: deployment.max_output_tokens(call.model, &PriceBook::built_in()),
        ..call.options(deployment)
    };
    if !call.endpoint.is_text() {
        let body_to_come = Bytes::new();
        let outgoing =
            Outgoing { path, headers: Vec::new(), body: body_to_come, reading, sending: None };
        return media::request(deployment, outgoing, body, call, &options);
    }
    let gathered = canonical::thoughts(deployment, body, call);
    let body = gathered.as_ref().unwrap_or(body);
    if let Some(outgoing) = super::responses::request(deployment, body, call, &options)? {
        return Ok(outgoing);
    }
    if let Some(native) = call.native {
        if native::is_spoken(native.dialect, deployment, call.endpoint) {
            let marked = marks(native.body);
            let native = Native { body: marked.as_ref().unwrap_or(native.body), ..native };
            return native::request(deployment, native, &options, path, reading);
        }
        if let Some(refusal) =
            native::refusal(native, deployment, options.model_hint, call.drop_params)
        {
            return Err(refusal);
        }
    }
    if is_empty(deployment, body, call) {
        let message = "the conversation is empty: there must be a message";
        return Err(invalid("messages", message));
    }
    let passed = call.native.filter(|_| deployment.dialect == Dialect::Bedrock);
    let passed = passed.and_then(|it| native::for_converse(it, body, &options));
    let body = passed.as_ref().unwrap_or(body);
    let searching = call.native.and_then(|it| native::for_search(it, deployment, body));
    let body = searching.as_ref().unwrap_or(body);
    let bridged = canonical::functions(deployment, body, call);
    let body = bridged.as_ref().unwrap_or(body);
    let unthinking = canonical::without_thinking(deployment, body, call, options.model_hint);
    let body = unthinking.as_ref().unwrap_or(body);
    let marked = if call.endpoint == Endpoint::Chat { marks(body) } else { None };
    let body = marked.as_ref().unwrap_or(body);
    match deployment.dialect {
        Dialect::OpenAi | Dialect::Azure => {
            let body = wire::openai::request(body, &options)?;
            Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None })
        }
        Dialect::Anthropic if deployment.quirks.vertex => {
            let version = version_in_force(deployment);
            let outgoing = wire::anthropic::request(body, &options, version)?;
            let (body, mut betas) = (outgoing.body, outgoing.betas);
            let body = match call.endpoint {
                Endpoint::CountTokens => counted(body, version, &options),
                _ => body,
            };
            let named = options.model.is_some();
            let body = wire::anthropic::vertex(body, version, named, &mut betas)?;
            let headers = native::vertex_headers(deployment, &betas, call.endpoint);
            Ok(Outgoing { path, headers, body, reading, sending: None })
        }
        Dialect::Anthropic => {
            let version = version_in_force(deployment);
            let outgoing = wire::anthropic::request(body, &options, version)?;
            let own = HeaderValue::from_static(wire::anthropic::VERSION);
            let headers = anthropic_headers(deployment, own, &outgoing.betas);
            let mut body = outgoing.body;
            if call.endpoint == Endpoint::CountTokens {
                body = counted(body, version, &options);
            }
            Ok(Outgoing { path, headers, body, reading, sending: None })
        }
        Dialect::Bedrock if deployment.quirks.invoke && call.endpoint == Endpoint::Chat => {
            let outgoing = wire::anthropic::request(body, &options, wire::anthropic::VERSION)?;
            let body = wire::anthropic::bedrock(outgoing.body, &outgoing.betas)?;
            Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None })
        }
        Dialect::Bedrock => {
            let body = match call.endpoint {
                Endpoint::Embeddings => wire::bedrock::embed(body, &options)?,
                _ => wire::bedrock::request(body, &options)?,
            };
            Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None })
        }
        Dialect::Gemini => {
            let body = wire::gemini::request(body, &options)?;
            Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None })
        }
        Dialect::Cohere => {
            let body = match call.endpoint {
                Endpoint::Chat => wire::cohere::request(body, &options)?,
                Endpoint::Embeddings => wire::cohere::embed(body, &options)?,
                _ => wire::openai::request(body, &options)?,
            };
            Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None })
        }
        Dialect::Custom => {
            let template = deployment.mapping.as_ref().and_then(|map| map.request.as_ref());
            let body = match template {
                Some(template) => wire::custom::request(body, &options, template)?,
                None => wire::openai::request(body, &options)?,
            };
            Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None })
        }
        Dialect::Ollama => {
            let body = match call.endpoint {
                Endpoint::Chat => wire::ollama::request(body, &options)?,
                Endpoint::Embeddings => wire::ollama::embed(body, &options)?,
                _ => wire::openai::request(body, &options)?,
            };
            Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None })
        }
    }
}

/// Whether a text is wanted of a model that is known to chat only. What comes after the text
/// (`suffix`) is asked of no chat: whoever sends it knows the server better.
fn completes_by_chat(deployment: &Deployment, body: &Object, call: &Call<'_>) -> bool {
    const MODE: &str = "chat";
    if call.endpoint != Endpoint::Completions || body.is_set("suffix") {
        return false;
    }
    match deployment.info.mode.as_deref() {
        Some(mode) => mode == MODE,
        None => {
            deployment.is_wildcard()
                && PriceBook::built_in()
                    .get(&deployment.provider, call.model)
                    .is_some_and(|listed| listed.mode.as_deref() == Some(MODE))
        }
    }
}

/// A text completion of a provider that only chats: `Reading::api` says so of its answer.
fn as_chat<'a>(
    deployment: &'a Deployment,
    body: &Object,
    call: &Call<'_>,
) -> Result<Option<Outgoing<'a>>, Failure> {
    let chats = deployment.target.paths[Endpoint::Chat.index()].is_some();
    if call.endpoint != Endpoint::Completions || !chats {
        return Ok(None);
    }
    let drop_params = body.bool("drop_params").or(deployment.drops_refused);
    let chat = wire::completions::request(body, drop_params.unwrap_or(call.drop_params))?;
    request(deployment, &chat, &Call { endpoint: Endpoint::Chat, ..*call }).map(Some)
}

/// A conversation without a message, where another API would be asked in other words for it. Those
/// that speak the client's own say so themselves.
fn is_empty(deployment: &Deployment, body: &Object, call: &Call<'_>) -> bool {
    let own = matches!(deployment.dialect, Dialect::OpenAi | Dialect::Azure);
    let is_translated = !own || call.native.is_some();
    let messages = body.raw_bytes("messages").and_then(|raw| raw.strip_prefix(b"["));
    call.endpoint == Endpoint::Chat
        && is_translated
        && messages.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"]"))
}

/// What of a translated request is counted. Its defaults are in it already.
fn counted(body: Bytes, version: &str, options: &RequestOptions<'_>) -> Bytes {
    let options = RequestOptions { defaults: &[], overrides: &[], ..*options };
    let request =
        |written: &Object| messages_native::request(written, &options, version.as_bytes());
    Object::parse(body.clone()).map_or(body, |written| request(&written).body)
}

/// A deployment's list of parameters, with what the request adds to it under `name`.
fn with_own<'a>(list: &'a [Box<str>], body: &Object, name: &str) -> Cow<'a, [Box<str>]> {
    let added = body.value(name);
    let Some(added) = added.as_ref().and_then(Value::as_array) else { return list.into() };
    let added = added.iter().filter_map(Value::as_str).map(Box::from);
    list.iter().cloned().chain(added).collect()
}

/// Whether a provider caches where it is told to by `cache_control`. From what is sent to others of
/// OpenAI's dialect the client's markers are taken out, too (`wire/openai/foreign.rs`).
const fn takes_marks(deployment: &Deployment) -> bool {
    match deployment.dialect {
        // Bedrock's requests turn them into `cachePoint`s, where the model knows these.
        Dialect::Anthropic | Dialect::Bedrock => true,
        Dialect::OpenAi => deployment.quirks.cache_markers,
        Dialect::Azure | Dialect::Gemini | Dialect::Cohere | Dialect::Ollama | Dialect::Custom => {
            false
        }
    }
}

/// The path with the model in it. The model may come from a client (by a wildcard), so it must not
/// lead to another path.
fn path<'a>(template: &'a str, model: &str) -> Result<Cow<'a, str>, Failure> {
    if !template.contains(MODEL_PLACE) {
        return Ok(Cow::Borrowed(template));
    }
    // Its place is a part of the path, which must stay the one that the operator means.
    let problem = if model.is_empty() { Some("is empty") } else { ambiguity(model) };
    if let Some(problem) = problem {
        let message = format!("{model:?} is not a model: the name {problem}");
        let param = Some("model".into());
        return Err(Failure { param, ..Failure::new(FailureClass::BadRequest, message) });
    }
    let segment = utf8_percent_encode(model, SEGMENT).to_string();
    Ok(Cow::Owned(template.replacen(MODEL_PLACE, &segment, 1)))
}

const fn noun(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat => "chat completions",
        Endpoint::Completions => "text completions",
        Endpoint::Embeddings => "embeddings",
        Endpoint::Responses => "responses",
        Endpoint::CountTokens => "counting tokens",
        Endpoint::ImageGenerations => "image generation",
        Endpoint::ImageEdits => "image edits",
        Endpoint::ImageVariations => "image variations",
        Endpoint::Transcriptions => "transcription",
        Endpoint::Translations => "audio translation",
        Endpoint::Speech => "speech",
        Endpoint::Rerank => "reranking",
        Endpoint::Moderations => "moderation",
        Endpoint::Files => "files",
        Endpoint::Batches => "batches",
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::provider::sample::deployment;

    fn call(model: &str, endpoint: Endpoint) -> Call<'_> {
        Call {
            model,
            endpoint,
            stream: false,
            overrides: &[],
            drop_params: false,
            modify_params: false,
            native: None,
            form: None,
            stored: None,
        }
    }

    fn chat() -> Object {
        let body = br#"{"model":"public","messages":[{"role":"user","content":"hi"}]}"#;
        Object::parse(Bytes::from_static(body)).unwrap()
    }

    #[test]
    fn the_model_goes_where_the_provider_looks_for_it() {
        for (provider, model, path, in_body) in [
            ("openai", "gpt-4o", "/v1/chat/completions", Some("gpt-4o")),
            ("groq", "a/b", "/openai/v1/chat/completions", Some("a/b")),
            ("anthropic", "claude-haiku-4-5", "/v1/messages", Some("claude-haiku-4-5")),
            (
                "azure",
                "my dep/x",
                "/openai/deployments/my%20dep%2Fx/chat/completions?api-version=2024-10-21",
                None,
            ),
        ] {
            let deployment = deployment(provider, model, &[]);
            let outgoing = request(&deployment, &chat(), &call(model, Endpoint::Chat)).unwrap();
            assert_eq!(outgoing.path, path);
            let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
            assert_eq!(body.get("model").and_then(|model| model.as_str()), in_body, "{provider}");
        }
    }

    #[test]
    fn what_is_refused_is_dropped_where_anyone_says_so() {
        let body = |more: &str| {
            let body = format!(r#"{{"messages":[],"temperature":0.5{more}}}"#);
            Object::parse(body.into()).unwrap()
        };
        let of = |drops_refused, allowed: &[&str]| Deployment {
            drops_refused,
            allowed_params: allowed.iter().map(|name| Box::from(*name)).collect(),
            ..deployment("openai", "o3", &[])
        };
        let for_all = |drop_params| Call { drop_params, ..call("o3", Endpoint::Chat) };
        let (dropped, kept) = (Some(false), Some(true));
        for (deployment, more, drop_params, expected) in [
            (of(None, &[]), "", false, None),
            (of(None, &[]), "", true, dropped),
            (of(Some(true), &[]), "", false, dropped),
            (of(Some(false), &[]), "", true, None),
            (of(Some(false), &[]), r#","drop_params":true"#, false, dropped),
            (of(None, &[]), r#","drop_params":false"#, true, None),
            (of(None, &[]), r#","additional_drop_params":["temperature"]"#, false, dropped),
            (of(None, &[]), r#","allowed_openai_params":["temperature"]"#, true, kept),
            (of(None, &["temperature"]), "", true, kept),
        ] {
            let body = body(more);
            let seen = request(&deployment, &body, &for_all(drop_params)).ok().map(|outgoing| {
                let sent: Value = serde_json::from_slice(&outgoing.body).unwrap();
                let left = sent
                    .as_object()
                    .unwrap()
                    .keys()
                    .all(|name| ["messages", "temperature", "model"].contains(&name.as_str()));
                assert!(left, "{sent}");
                sent.get("temperature").is_some()
            });
            assert_eq!(seen, expected, "{more} {drop_params}");
        }
    }

    #[test]
    fn a_clients_model_does_not_lead_to_another_path() {
        let deployment = deployment("azure", "*", &[]);
        for model in ["..", ".", "", "../..", "../../x", "a/../../b", "a%2F..%2Fb", "a\\..\\b"] {
            let refused = request(&deployment, &chat(), &call(model, Endpoint::Chat)).unwrap_err();
            assert_eq!(refused.class, FailureClass::BadRequest);
        }
        let outgoing = request(&deployment, &chat(), &call("x/y?z#..a", Endpoint::Chat)).unwrap();
        assert!(outgoing.path.starts_with("/openai/deployments/x%2Fy%3Fz%23..a/"), "{outgoing:?}");
    }

    #[test]
    fn a_text_is_completed_by_a_conversation_where_there_is_no_other_api() {
        let body = Object::parse(Bytes::from_static(br#"{"model":"p","prompt":"x"}"#)).unwrap();
        for (provider, path) in [("anthropic", "/v1/messages"), ("cohere", "/v2/chat")] {
            let deployment = deployment(provider, "m", &[]);
            let outgoing = request(&deployment, &body, &call("m", Endpoint::Completions)).unwrap();
            assert_eq!((&*outgoing.path, outgoing.reading.api), (path, Endpoint::Chat));
        }
        let own = deployment("openai", "m", &[]);
        let outgoing = request(&own, &body, &call("m", Endpoint::Completions)).unwrap();
        assert_eq!(outgoing.reading.api, Endpoint::Completions);
    }

    #[test]
    fn an_empty_conversation_is_not_sent_in_other_words() {
        let empty = Object::parse(Bytes::from_static(br#"{"messages":[ ]}"#)).unwrap();
        for provider in ["anthropic", "cohere", "gemini", "ollama_chat", "bedrock"] {
            let deployment = deployment(provider, "m", &[]);
            let refused = request(&deployment, &empty, &call("m", Endpoint::Chat)).unwrap_err();
            assert_eq!(refused.class, FailureClass::BadRequest, "{provider}");
            assert_eq!(refused.param.as_deref(), Some("messages"), "{provider}");
        }
        let own = deployment("openai", "m", &[]);
        assert!(request(&own, &empty, &call("m", Endpoint::Chat)).is_ok());
    }

    #[test]
    fn an_api_that_the_provider_lacks_is_not_found_there() {
        let deployment = deployment("anthropic", "m", &[]);
        let refused = request(&deployment, &chat(), &call("m", Endpoint::Embeddings)).unwrap_err();
        assert_eq!(refused.class, FailureClass::NotFound);
        assert!(refused.message.contains("embeddings"));
    }
}
