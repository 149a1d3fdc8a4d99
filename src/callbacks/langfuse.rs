//! Langfuse's ingestion API: each request is a trace and a generation in it.
//!
//! Ids are made of the request's, so that what is sent twice is one thing there. An answer tells of
//! each event by itself.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode, Uri};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::courier::{Delivery, Refused};
use super::payload::SHADOW;
use super::post::Answer;
use super::settings::Post;

/// Where Langfuse is, if nobody says another place.
pub const CLOUD: &str = "https://cloud.langfuse.com";

/// Kinds of events, and what their ids end with.
const TRACE: (&str, &str) = ("trace-create", "-trace");
const GENERATION: (&str, &str) = ("generation-create", "-generation");

/// Where a project's requests are told: its keys, and where its Langfuse is. `None`: that is no address, or
/// the keys cannot be sent.
#[must_use]
pub fn post(public: &str, secret: &str, host: &str) -> Option<Post> {
    let host = host.trim_end_matches('/');
    let scheme = if host.contains("://") { "" } else { "http://" };
    let url = format!("{scheme}{host}/api/public/ingestion");
    let basic = BASE64_STANDARD.encode(format!("{public}:{secret}"));
    let mut basic = HeaderValue::from_str(&format!("Basic {basic}")).ok()?;
    basic.set_sensitive(true);
    let headers =
        vec![(AUTHORIZATION, basic), (CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let uri: Uri = url.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    is_web.then(|| Post { url: url.into(), headers })
}

/// The body for a batch.
pub(super) fn body(payloads: &[Bytes], default_tags: &[Box<str>]) -> Bytes {
    let read = payloads.iter().filter_map(|payload| serde_json::from_slice(payload).ok());
    let events: Vec<Value> =
        read.flat_map(|payload: Value| events(&payload, default_tags)).collect();
    Bytes::from(json!({ "batch": events }).to_string())
}

/// What the answer says of the payloads of a batch: 207 tells of each event.
pub(super) fn judge(answer: &Answer, payloads: Vec<Bytes>) -> Delivery {
    let said: Value = match answer.status {
        StatusCode::MULTI_STATUS => serde_json::from_slice(&answer.body).unwrap_or_default(),
        _ => Value::Null,
    };
    let mut wrong: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for error in said["errors"].as_array().into_iter().flatten() {
        let id = error["id"].as_str().unwrap_or_default();
        let id = [TRACE.1, GENERATION.1].into_iter().find_map(|end| id.strip_suffix(end));
        let status = error["status"].as_u64().unwrap_or(400);
        let message = error["message"].as_str().unwrap_or_default();
        if let Some(id) = id {
            // If one of the two may be better later, both are sent again.
            let worst = wrong.entry(id).or_insert((status, message));
            if is_for_now(status) {
                *worst = (status, message);
            }
        }
    }
    if wrong.is_empty() {
        return Delivery::taken(payloads.len());
    }
    let mut all = Delivery::default();
    for payload in payloads {
        let read: Value = serde_json::from_slice(&payload).unwrap_or_default();
        let id = read["id"].as_str().unwrap_or_default();
        all.add(match wrong.get(id) {
            None => Delivery::taken(1),
            Some(&(status, message)) => {
                let refused = Refused::of(&payload, &status.to_string(), message);
                match is_for_now(status) {
                    true => Delivery::left(vec![payload], refused.why, None),
                    false => Delivery::refused(refused),
                }
            }
        });
    }
    all
}

const fn is_for_now(status: u64) -> bool {
    status == 429 || status >= 500
}

/// What a client may say of its trace, in `metadata` of its request.
struct Asked<'a>(&'a Value);

impl<'a> Asked<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0[name].as_str().filter(|text| !text.is_empty())
    }
}

/// The two events of a request.
fn events(payload: &Value, default_tags: &[Box<str>]) -> [Value; 2] {
    let request = Request::of(payload);
    let (id, ended) = (request.id, request.at("endTime"));
    let event = |(kind, end): (&str, &str), body: Value| {
        let id = format!("{id}{end}");
        json!({ "id": id, "type": kind, "timestamp": ended, "body": body })
    };
    [event(TRACE, request.trace(default_tags)), event(GENERATION, request.generation())]
}

/// A request, with what its trace and its generation share.
struct Request<'a> {
    payload: &'a Value,
    asked: Asked<'a>,
    id: &'a str,
    trace: Option<&'a str>,
    /// What is called so that nobody has named.
    usual: String,
    input: Value,
    output: &'a Value,
    /// A copy stands beside what its request says of the trace, and in the place of none of it.
    is_copy: bool,
}

impl<'a> Request<'a> {
    fn of(payload: &'a Value) -> Self {
        let metadata = &payload["metadata"];
        let asked = Asked(&metadata["requester_metadata"]);
        let named = asked.text("existing_trace_id").or_else(|| asked.text("trace_id"));
        let response = &payload["response"];
        Self {
            payload,
            id: payload["id"].as_str().unwrap_or_default(),
            trace: named.or_else(|| payload["trace_id"].as_str()),
            usual: format!("litellm-{}", payload["call_type"].as_str().unwrap_or_default()),
            input: match &payload["messages"] {
                Value::Null => Value::Null,
                messages => json!({ "messages": messages }),
            },
            output: response.pointer("/choices/0/message").unwrap_or(response),
            is_copy: metadata[SHADOW] == true,
            asked,
        }
    }

    fn at(&self, name: &str) -> Option<String> {
        self.payload[name].as_f64().and_then(time)
    }

    fn trace(&self, default_tags: &[Box<str>]) -> Value {
        let Self { payload, asked, .. } = self;
        let mut trace = json!({ "id": self.trace, "timestamp": self.at("startTime") });
        // What is known of an existing trace stays as it is.
        if asked.text("existing_trace_id").is_some() || self.is_copy {
            return trace;
        }
        let end_user = || payload["metadata"]["user_api_key_end_user_id"].as_str();
        let more = json!({
            "name": asked.text("trace_name").unwrap_or(&self.usual),
            "userId": asked.text("trace_user_id").or_else(end_user),
            "sessionId": asked.text("session_id").or_else(|| payload["session_id"].as_str()),
            "version": asked.text("trace_version").or_else(|| asked.text("version")),
            "release": asked.text("trace_release"),
            "input": self.input,
            "output": self.output,
            "metadata": asked.0["trace_metadata"],
            "tags": tags(payload, asked.0, default_tags),
        });
        add(&mut trace, more);
        trace
    }

    fn generation(&self) -> Value {
        let Self { payload, asked, .. } = self;
        let alias = payload["metadata"]["user_api_key_alias"].as_str();
        let of_key = alias.map(|alias| format!("litellm:{alias}"));
        let name = asked.text("generation_name").or(of_key.as_deref()).unwrap_or(&self.usual);
        let failed = payload["status"] == "failure";
        let mut generation = json!({
            "id": asked.text("generation_id").filter(|_| !self.is_copy).unwrap_or(self.id),
            "traceId": self.trace,
            "name": name,
            "startTime": self.at("startTime"),
            "endTime": self.at("endTime"),
            "model": payload["model"],
            "modelParameters": payload["model_parameters"],
            "input": self.input,
            "output": self.output,
            "costDetails": { "total": payload["response_cost"] },
            "metadata": about(payload),
            "level": if failed { "ERROR" } else { "DEFAULT" },
        });
        add(&mut generation, usage(payload));
        let first = || self.at("completionStartTime");
        let more = json!({
            "completionStartTime": (payload["stream"] == true).then(first),
            "parentObservationId": asked.text("parent_observation_id"),
            "version": asked.text("version"),
            "statusMessage": failed.then_some(&payload["error_str"]),
        });
        add(&mut generation, more);
        generation
    }
}

/// Tokens, in Langfuse's old form and in its new one.
fn usage(payload: &Value) -> Value {
    let usage = &payload["metadata"]["usage_object"];
    let detail = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let tokens = |name: &str| payload[name].as_u64().unwrap_or_default();
    let (prompt, completion) = (tokens("prompt_tokens"), tokens("completion_tokens"));
    let total = tokens("total_tokens");
    json!({
        "usage": {
            "input": prompt, "output": completion, "total": total, "unit": "TOKENS",
            "totalCost": payload["response_cost"],
        },
        "usageDetails": {
            "input": prompt,
            "output": completion,
            "total": total,
            "cache_read_input_tokens": detail("/prompt_tokens_details/cached_tokens"),
            "cache_creation_input_tokens": detail("/prompt_tokens_details/cache_creation_tokens"),
        },
    })
}

/// Adds those fields that say something.
fn add(to: &mut Value, more: Value) {
    let (Value::Object(to), Value::Object(more)) = (to, more) else { return };
    to.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
}

/// What else is known of a request.
fn about(payload: &Value) -> Value {
    let mut about = match &payload["metadata"] {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    about.retain(|_, value| !value.is_null());
    for (name, field) in [
        ("litellm_response_cost", "response_cost"),
        ("hidden_params", "hidden_params"),
        ("api_base", "api_base"),
        ("cache_hit", "cache_hit"),
        ("model_group", "model_group"),
        ("custom_llm_provider", "custom_llm_provider"),
    ] {
        about.insert(name.to_owned(), payload[field].clone());
    }
    Value::Object(about)
}

/// Tags of the request, those of its metadata, and those that the configuration names.
fn tags(payload: &Value, asked: &Value, default_tags: &[Box<str>]) -> Vec<String> {
    let listed = [&payload["request_tags"], &asked["tags"]];
    let listed = listed.into_iter().filter_map(Value::as_array).flatten();
    let mut tags: Vec<String> = Vec::new();
    let named = default_tags.iter().filter_map(|name| {
        let found = [&payload["metadata"][&**name], &payload[&**name]];
        let found = found.into_iter().find(|value| !value.is_null())?;
        let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
        Some(format!("{name}:{text}"))
    });
    for tag in listed.filter_map(Value::as_str).map(str::to_owned).chain(named) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// Seconds since 1970, as RFC 3339 writes them.
fn time(seconds: f64) -> Option<String> {
    // Microseconds of today have 51 bits, so none is lost.
    let at = Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()?;
    Some(format!("{at:.6}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(id: &str, more: Value) -> Value {
        let mut payload = json!({
            "id": id, "trace_id": "call-1", "call_type": "acompletion", "status": "success",
            "startTime": 1_795_262_400.25, "endTime": 1_795_262_401.5, "stream": false,
            "model": "gpt-4o", "response_cost": 0.5, "prompt_tokens": 10, "completion_tokens": 5,
            "total_tokens": 15, "messages": [{"role": "user", "content": "hi"}],
            "response": {"choices": [{"message": {"role": "assistant", "content": "ho"}}]},
            "request_tags": ["a"], "cache_hit": false,
            "metadata": {"user_api_key_alias": "k", "user_api_key_team_alias": "core",
                "usage_object": {"prompt_tokens_details": {"cached_tokens": 4}}},
        });
        add(&mut payload, more);
        payload
    }

    fn bytes(payload: &Value) -> Bytes {
        Bytes::from(payload.to_string())
    }

    #[test]
    fn a_request_is_a_trace_and_a_generation() {
        let tags = ["cache_hit".into(), "user_api_key_team_alias".into(), "unknown".into()];
        let sent: Value =
            serde_json::from_slice(&body(&[bytes(&payload("1", json!({})))], &tags)).unwrap();
        let [trace, generation] = sent["batch"].as_array().unwrap().as_slice() else { panic!() };
        assert_eq!((&trace["type"], &trace["id"]), (&json!("trace-create"), &json!("1-trace")));
        assert_eq!(trace["timestamp"], "2026-11-21T12:00:01.500000Z");
        let of = &trace["body"];
        assert_eq!((&of["id"], &of["name"]), (&json!("call-1"), &json!("litellm-acompletion")));
        assert_eq!(of["tags"], json!(["a", "cache_hit:false", "user_api_key_team_alias:core"]));
        assert_eq!(of["input"]["messages"][0]["content"], "hi");
        assert_eq!(of["output"]["content"], "ho");
        assert_eq!(of.get("userId"), None, "what is not known is not said");
        let of = &generation["body"];
        assert_eq!((&of["id"], &of["traceId"]), (&json!("1"), &json!("call-1")));
        assert_eq!((&of["name"], &of["level"]), (&json!("litellm:k"), &json!("DEFAULT")));
        assert_eq!(of["startTime"], "2026-11-21T12:00:00.250000Z");
        assert_eq!(of["usageDetails"]["cache_read_input_tokens"], 4);
        assert_eq!(of["costDetails"]["total"], 0.5);
        assert_eq!(of.get("completionStartTime"), None, "it was no stream");
    }

    #[test]
    fn clients_name_their_traces_and_join_existing_ones() {
        let metadata = json!({"trace_id": "t", "session_id": "s", "trace_name": "n",
            "trace_user_id": "u", "generation_name": "g", "tags": ["a", "b"]});
        let said = json!({"metadata": {"requester_metadata": metadata}, "status": "failure",
            "error_str": "rate_limited"});
        let [trace, generation] = events(&payload("1", said), &[]);
        let of = &trace["body"];
        for (name, value) in [("id", "t"), ("sessionId", "s"), ("name", "n"), ("userId", "u")] {
            assert_eq!(of[name], value);
        }
        assert_eq!(of["tags"], json!(["a", "b"]));
        assert_eq!(
            (&generation["body"]["name"], &generation["body"]["traceId"]),
            (&json!("g"), &json!("t"))
        );
        assert_eq!(generation["body"]["level"], "ERROR");
        assert_eq!(generation["body"]["statusMessage"], "rate_limited");
        let copied = json!({"id": "i", "trace_id": "t", "metadata": {"is_silent_experiment": true,
            "requester_metadata": {"generation_id": "g"}}, "request_tags": ["a"]});
        let [trace, generation] = events(&copied, &[]);
        assert_eq!(trace["body"], json!({"id": "t", "timestamp": null}), "the request's own stays");
        assert_eq!(
            (&generation["body"]["id"], &generation["body"]["traceId"]),
            (&json!("i"), &json!("t"))
        );
        let said = json!({"metadata": {"requester_metadata": {"existing_trace_id": "old"}}});
        let [trace, generation] = events(&payload("1", said), &[]);
        let fields: Vec<_> = trace["body"].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["id", "timestamp"], "it is not renamed");
        assert_eq!(generation["body"]["traceId"], "old");
    }

    #[test]
    fn an_answer_tells_of_each_event() {
        let payloads: Vec<_> = ["1", "2", "3"].map(|id| bytes(&payload(id, json!({})))).into();
        let answer = |status: u16, body: Value| Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.to_string().into(),
        };
        let all = judge(&answer(207, json!({"errors": []})), payloads.clone());
        assert_eq!((all.sent, all.refused.len(), all.left.len()), (3, 0, 0));
        let errors = json!({"successes": [], "errors": [
            {"id": "2-trace", "status": 400, "message": "bad"},
            {"id": "3-trace", "status": 400, "message": "bad"},
            {"id": "3-generation", "status": 500, "message": "busy"},
        ]});
        let some = judge(&answer(207, errors), payloads.clone());
        let [refused] = some.refused.as_slice() else { panic!("{some:?}") };
        assert_eq!((some.sent, &*refused.id), (1, "2"));
        assert!(refused.why.starts_with("400"), "{}", refused.why);
        assert_eq!(some.left, payloads.get(2..).unwrap());
        assert_eq!(judge(&answer(200, Value::Null), payloads).sent, 3);
    }
}
