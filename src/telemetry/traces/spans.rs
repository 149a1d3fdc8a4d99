//! What a request was, as spans: OpenTelemetry's conventions for HTTP servers and for generative AI.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::otlp::{AnyValue, KeyValue, List, Span, SpanKind, Status, StatusCode, Value};
use super::{Answered, AttemptSpan, Traced};
use crate::catalog::Served;
use crate::dialect::{ClientDialect, Endpoint};
use crate::telemetry::record::{Attempt, CacheUse, Outcome, Route};
use crate::trace::SpanId;
use crate::usage::Usage;

/// The spans of a request, its own first.
pub(super) fn of(traced: &Traced) -> Vec<Span> {
    let mut spans = Vec::with_capacity(1 + traced.record.attempts.len());
    spans.push(request(traced));
    for (number, attempt) in traced.record.attempts.iter().enumerate() {
        let span = traced.attempts.get(number).copied();
        // One that nobody has noted began with the request; its id is as good as any.
        let span = span.unwrap_or_else(|| AttemptSpan {
            id: SpanId::new(fastrand::u64(..)),
            began: Duration::ZERO,
        });
        spans.push(of_attempt(traced, attempt, span, number));
    }
    spans
}

/// Attributes, each once; what is not known is left out.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn put(&mut self, key: &str, value: Value) {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: key.to_owned(), value });
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, Value::Text(text.to_owned()));
        }
    }

    fn int(&mut self, key: &str, number: u64) {
        self.put(key, Value::Int(i64::try_from(number).unwrap_or(i64::MAX)));
    }

    fn double(&mut self, key: &str, number: f64) {
        self.put(key, Value::Double(number));
    }

    fn answered(&mut self, answered: &Answered) {
        self.text("gen_ai.response.id", answered.id.as_deref().unwrap_or_default());
        if answered.finish_reasons.is_empty() {
            return;
        }
        let reasons = answered.finish_reasons.iter().map(ToString::to_string);
        let values = reasons.map(|it| AnyValue { value: Some(Value::Text(it)) }).collect();
        self.put("gen_ai.response.finish_reasons", Value::List(List { values }));
    }

    fn usage(&mut self, usage: &Usage) {
        self.int("gen_ai.usage.input_tokens", usage.input_tokens);
        self.int("gen_ai.usage.output_tokens", usage.output_tokens);
        for (key, tokens) in [
            ("gen_ai.usage.cache_read.input_tokens", usage.cache_read_tokens),
            ("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens),
            ("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens),
        ] {
            if tokens > 0 {
                self.int(key, tokens);
            }
        }
    }
}

fn request(traced: &Traced) -> Span {
    let Traced { record, context, parent, state, asked, answered, .. } = traced;
    let mut attributes = Attributes::default();
    attributes.text("http.request.method", record.method.as_str());
    attributes.text("http.route", record.route.name());
    attributes.text("url.path", record.path.as_str());
    attributes.text("url.scheme", if traced.secure { "https" } else { "http" });
    attributes.int("http.response.status_code", record.status.into());
    if let Some(ip) = record.client.ip {
        attributes.text("client.address", &ip.to_string());
    }
    if let Some(agent) = &record.client.user_agent {
        attributes.text("user_agent.original", agent.as_str());
    }
    attributes.text("gen_ai.operation.name", operation(record.route));
    let model = record.model_asked.as_ref().map_or("", |model| model.as_str());
    attributes.text("gen_ai.request.model", model);
    if let Some(Served { deployment, model, group }) = &record.served {
        attributes.text("gen_ai.provider.name", provider(&deployment.provider));
        attributes.text("gen_ai.response.model", model);
        attributes.text("tollgate.deployment.id", &deployment.id);
        attributes.text("tollgate.model_group", group);
    }
    attributes.answered(answered);
    if let Some(usage) = &record.usage {
        attributes.usage(usage);
    }
    if let Some(cost) = record.cost {
        attributes.double("tollgate.cost_usd", cost.dollars());
    }
    attributes.put("gen_ai.request.stream", Value::Bool(record.stream));
    for (key, number) in [
        ("gen_ai.request.temperature", asked.temperature),
        ("gen_ai.request.top_p", asked.top_p),
        ("gen_ai.response.time_to_first_chunk", record.durations.ttft.map(|it| it.as_secs_f64())),
    ] {
        if let Some(number) = number {
            attributes.double(key, number);
        }
    }
    if let Some(most) = asked.max_tokens {
        attributes.int("gen_ai.request.max_tokens", most);
    }
    if let Some(messages) = &asked.messages {
        attributes.text("gen_ai.input.messages", messages);
    }
    if let Some(answers) = &asked.answers {
        attributes.text("gen_ai.output.messages", answers);
    }
    attributes.text("tollgate.request_id", record.request_id.as_str());
    attributes.int("tollgate.retries", record.retries.into());
    attributes.int("tollgate.fallbacks", record.fallbacks.into());
    if let Some(cache) = &record.cache {
        let word = match cache {
            CacheUse::Miss => "miss",
            CacheUse::Hit { .. } => "hit",
        };
        attributes.text("tollgate.cache", word);
    }
    if let Some(holder) = record.client.holder() {
        attributes.text("tollgate.key.hash", holder.hash());
        attributes.text("tollgate.key.alias", holder.key.key_alias.as_deref().unwrap_or_default());
        attributes.text("tollgate.team.id", holder.team_id().unwrap_or_default());
        attributes.text("tollgate.team.alias", holder.team_alias().unwrap_or_default());
        attributes.text("tollgate.user.id", holder.user_id().unwrap_or_default());
    }
    if let Some(error) = &record.error {
        attributes.text("error.type", error.class);
        attributes.text("tollgate.error.code", error.code.as_str());
    }
    let is_error = record.is_servers_fault();
    let (start, end) = span_of(record.started, Duration::ZERO, record.durations.total);
    Span {
        trace_id: context.trace.bytes().to_vec(),
        span_id: context.span.bytes().to_vec(),
        trace_state: state.to_string(),
        parent_span_id: parent.map_or_else(Vec::new, |parent| parent.bytes().to_vec()),
        name: format!("{} {}", record.method, record.route.name()),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes: attributes.0,
        status: Some(status(is_error, record.error.as_ref().map(|error| error.class))),
        flags: u32::from(context.sampled),
    }
}

fn of_attempt(traced: &Traced, attempt: &Attempt, span: AttemptSpan, number: usize) -> Span {
    let Traced { record, context, state, .. } = traced;
    let Attempt { deployment, group, outcome, .. } = attempt;
    let is_last = number + 1 == record.attempts.len();
    let served = record.served.as_ref().filter(|_| is_last && *outcome == Outcome::Success);
    let operation = operation(record.route);
    let model = served.map_or(&*deployment.model, |served| &*served.model);
    let mut attributes = Attributes::default();
    attributes.text("gen_ai.operation.name", operation);
    attributes.text("gen_ai.provider.name", provider(&deployment.provider));
    attributes.text("gen_ai.request.model", model);
    let (host, port) = address(&deployment.target.api_base);
    attributes.text("server.address", host);
    if let Some(port) = port {
        attributes.int("server.port", port.into());
    }
    attributes.text("tollgate.deployment.id", &deployment.id);
    attributes.text("tollgate.model_group", group);
    attributes.int("tollgate.attempt", number as u64 + 1);
    attributes.text("tollgate.outcome", outcome.name());
    if number > 0 {
        attributes.int("http.request.resend_count", number as u64);
    }
    if let Some(status) = attempt.status {
        attributes.int("http.response.status_code", status.into());
    }
    if attempt.cooled_down {
        attributes.put("tollgate.cooled_down", Value::Bool(true));
    }
    if served.is_some() {
        attributes.text("gen_ai.response.model", model);
        attributes.answered(&traced.answered);
        if let Some(usage) = &record.usage {
            attributes.usage(usage);
        }
        if let Some(first) = record.durations.ttft.filter(|_| record.stream) {
            let first = first.saturating_sub(span.began).as_secs_f64();
            attributes.double("gen_ai.response.time_to_first_chunk", first);
        }
    }
    let class = match outcome {
        Outcome::Failed(_) => Some(outcome.name()),
        Outcome::Success | Outcome::Cancelled => None,
    };
    if let Some(class) = class {
        attributes.text("error.type", class);
    }
    let (start, end) = span_of(record.started, span.began, attempt.duration);
    Span {
        trace_id: context.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        trace_state: state.to_string(),
        parent_span_id: context.span.bytes().to_vec(),
        name: format!("{operation} {model}"),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes: attributes.0,
        status: Some(status(class.is_some(), class)),
        flags: u32::from(context.sampled),
    }
}

fn status(is_error: bool, class: Option<&str>) -> Status {
    match is_error {
        true => {
            Status { message: class.unwrap_or_default().to_owned(), code: StatusCode::Error.into() }
        }
        false => Status { message: String::new(), code: StatusCode::Unset.into() },
    }
}

/// Beginning and end, in nanoseconds since 1970.
fn span_of(started: SystemTime, after: Duration, lasted: Duration) -> (u64, u64) {
    let since = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let start = since.saturating_add(after);
    (nanos(start), nanos(start.saturating_add(lasted)))
}

/// `gen_ai.operation.name`: the standard's word where it has one.
const fn operation(route: Route) -> &'static str {
    let (endpoint, dialect) = match route {
        Route::Inference(endpoint, dialect) => (endpoint, dialect),
        Route::Realtime => return "realtime",
        Route::PassThrough => return "pass_through",
        Route::Models | Route::Health | Route::Metrics | Route::Other => return "page",
    };
    match endpoint {
        Endpoint::Chat if matches!(dialect, ClientDialect::Gemini) => "generate_content",
        Endpoint::Chat | Endpoint::Responses => "chat",
        Endpoint::Completions => "text_completion",
        Endpoint::Embeddings => "embeddings",
        Endpoint::CountTokens => "count_tokens",
        Endpoint::ImageGenerations | Endpoint::ImageEdits | Endpoint::ImageVariations => {
            "image_generation"
        }
        Endpoint::Transcriptions | Endpoint::Translations => "transcription",
        Endpoint::Speech => "speech",
        Endpoint::Rerank => "rerank",
        Endpoint::Moderations => "moderation",
        Endpoint::Files => "files",
        Endpoint::Batches => "batches",
    }
}

/// `gen_ai.provider.name`: the standard's word for those it knows, else ours.
fn provider(name: &str) -> &str {
    match name {
        "azure" => "azure.ai.openai",
        "azure_ai" => "azure.ai.inference",
        "bedrock" => "aws.bedrock",
        "gemini" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "vertex_ai" => "gcp.vertex_ai",
        "watsonx" => "ibm.watsonx.ai",
        "xai" => "x_ai",
        other => other,
    }
}

/// Host and port of an address. Nothing else of it is told: it may hold a password.
fn address(base: &str) -> (&str, Option<u16>) {
    let (scheme, rest) = base.split_once("://").unwrap_or(("https", base));
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let usual = match scheme {
        "http" => Some(80),
        _ => Some(443),
    };
    // An IPv6 address has colons of its own, within brackets.
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, usual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_host_and_port_are_told() {
        for (base, host, port) in [
            ("https://api.openai.com/v1", "api.openai.com", 443),
            ("http://user:secret@host:8080/v1?key=secret", "host", 8080),
            ("http://[::1]:4000", "[::1]", 4000),
            ("http://[::1]/v1", "[::1]", 80),
        ] {
            assert_eq!(address(base), (host, Some(port)), "{base}");
        }
    }
}
