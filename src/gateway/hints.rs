//! What a request says about its own routing: a strategy, a session, a region, capabilities; and
//! what ties it to a deployment without saying so.
//!
//! Header and body are looked at only for what the configuration uses; without affinity and
//! without `metadata` that is two headers.

use std::borrow::Cow;

use http::HeaderMap;
use serde_json::Value;

use super::error::GatewayError;
use super::payer::SESSION_HEADERS;
use crate::admin::shortened;
use crate::dialect::Endpoint;
use crate::routing::{Affinity, AffinityKeys, Settings, Strategy};
use crate::usage::BYTES_PER_TOKEN;
use crate::wire::json::Object;

/// Goes before the configuration's strategy.
const STRATEGY: &str = "x-tollgate-strategy";

/// Asks for the reasons of the choice in the response.
const EXPLAIN: &str = "x-tollgate-explain";

/// Headers by which Codex and other coding agents name a session.
const AGENTS_HEADERS: [&str; 5] =
    ["x-session-id", "session_id", "session-id", "conversation_id", "x-claude-code-session-id"];

/// What `metadata.priority` may be, and the strategy that it means.
const PRIORITIES: [(&str, Strategy); 3] =
    [("cost", Strategy::Cost), ("latency", Strategy::Latency), ("quality", Strategy::Quality)];

/// What a request says, and what it is known by.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    pub(super) strategy: Option<Strategy>,
    pub(super) affinity: AffinityKeys,
    pub(super) region: Option<Box<str>>,
    pub(super) capabilities: Vec<Box<str>>,
    /// The response shall say why its deployment was chosen.
    pub(super) explain: bool,
}

/// Reads them.
///
/// # Errors
/// `BadBody` for a strategy or priority that there is not.
pub(super) fn read(
    endpoint: Endpoint,
    body: &Object,
    headers: &HeaderMap,
    settings: &Settings,
) -> Result<Hints, GatewayError> {
    let metadata = body.object("metadata");
    let strategy = match headers.get(STRATEGY) {
        Some(written) => Some(strategy(&String::from_utf8_lossy(written.as_bytes()))?),
        None => match metadata.as_ref().and_then(|metadata| metadata.str("priority")) {
            Some(word) => Some(priority(&word)?),
            None => None,
        },
    };
    let capabilities = metadata.as_ref().and_then(|metadata| metadata.value("capabilities"));
    let capabilities = match capabilities {
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).map(Box::from).collect()
        }
        _ => Vec::new(),
    };
    Ok(Hints {
        strategy,
        affinity: if settings.affinity.is_on() {
            keys(endpoint, body, metadata.as_ref(), headers, settings.affinity)
        } else {
            AffinityKeys::default()
        },
        region: body.str("allowed_model_region").map(|region| region.as_ref().into()),
        capabilities,
        explain: headers.get(EXPLAIN).is_some_and(|value| value == "true" || value == "1"),
    })
}

fn strategy(written: &str) -> Result<Strategy, GatewayError> {
    Strategy::named(written).ok_or_else(|| GatewayError::BadBody {
        message: format!(
            "`{}` is not a strategy. The header {STRATEGY} takes one of: {}.",
            shortened(written),
            Strategy::ALL.map(Strategy::name).join(", ")
        ),
        param: None,
        code: "unknown_strategy",
    })
}

fn priority(written: &str) -> Result<Strategy, GatewayError> {
    let found = PRIORITIES.iter().find(|(word, _)| word.eq_ignore_ascii_case(written.trim()));
    found.map(|(_, strategy)| *strategy).ok_or_else(|| GatewayError::BadBody {
        message: format!(
            "`metadata.priority` must be one of: {}. It is `{}`.",
            PRIORITIES.map(|(word, _)| word).join(", "),
            shortened(written)
        ),
        param: Some("metadata"),
        code: "unknown_priority",
    })
}

fn keys(
    endpoint: Endpoint,
    body: &Object,
    metadata: Option<&Object>,
    headers: &HeaderMap,
    affinity: Affinity,
) -> AffinityKeys {
    let session = if affinity.session { session(body, metadata, headers) } else { None };
    let session = session.or_else(|| caller(headers).filter(|_| affinity.caller));
    let prefix = if affinity.prompt { prefix(endpoint, body, affinity) } else { None };
    AffinityKeys { session, prefix, prefix_tokens: u64::from(affinity.prefix_tokens) }
}

/// The session of the request: what a header names, `litellm_session_id`, what agents write into
/// `metadata`, the cache key of OpenAI's clients.
fn session(body: &Object, metadata: Option<&Object>, headers: &HeaderMap) -> Option<u64> {
    let mut names = SESSION_HEADERS.iter().chain(&AGENTS_HEADERS);
    let header = names.find_map(|name| headers.get(*name));
    if let Some(named) = header.filter(|value| !value.is_empty()) {
        return Some(AffinityKeys::hash(named.as_bytes()));
    }
    let in_metadata = |name: &str| metadata.and_then(|metadata| metadata.str(name));
    let named = body
        .str("litellm_session_id")
        .or_else(|| in_metadata("session_id"))
        .or_else(|| in_metadata("user_id").and_then(agent_session))
        .or_else(|| body.str("prompt_cache_key"));
    named.filter(|id| !id.is_empty()).map(|id| AffinityKeys::hash(id.as_bytes()))
}

/// The session part of Claude Code's `user_id`: `user_.._account_.._session_<id>`, or an object as
/// text with a `session_id`. Other user ids name a person, not a session.
fn agent_session(user_id: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if user_id.starts_with('{') {
        let fields: Value = serde_json::from_str(&user_id).ok()?;
        return fields.get("session_id")?.as_str().map(|id| Cow::Owned(id.to_owned()));
    }
    let (_, session) = user_id.rsplit_once("_session_")?;
    Some(Cow::Owned(session.to_owned()))
}

/// Who calls, by what was shown as a key.
fn caller(headers: &HeaderMap) -> Option<u64> {
    let key = ["authorization", "x-api-key", "api-key"].into_iter();
    key.filter_map(|name| headers.get(name)).next().map(|key| AffinityKeys::hash(key.as_bytes()))
}

/// The beginning of the prompt: tools, then messages, as providers put them together. `None` if it
/// is shorter than what must be alike.
fn prefix(endpoint: Endpoint, body: &Object, affinity: Affinity) -> Option<u64> {
    let text = match endpoint {
        Endpoint::Chat => body.raw_bytes("messages")?,
        Endpoint::Completions => body.raw_bytes("prompt")?,
        _ => return None,
    };
    let length = u64::from(affinity.prefix_tokens) * BYTES_PER_TOKEN;
    let tools = body.raw_bytes("tools").unwrap_or_default();
    let rest = usize::try_from(length).ok()?.saturating_sub(tools.len());
    let start = text.get(..rest)?;
    Some(AffinityKeys::hash(start) ^ AffinityKeys::hash(tools).rotate_left(1))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::provider::sample;

    fn hints(body: &str, headers: &[(&'static str, &'static str)]) -> Result<Hints, GatewayError> {
        let body = Object::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let affinity =
            Affinity { session: true, prompt: true, prefix_tokens: 8, ..Affinity::default() };
        let settings = Settings { affinity, ..Settings::default() };
        read(Endpoint::Chat, &body, &sample::headers(headers), &settings)
    }

    fn session(body: &str, headers: &[(&'static str, &'static str)]) -> Option<u64> {
        hints(body, headers).unwrap().affinity.session
    }

    #[test]
    fn a_strategy_is_known_by_every_name_and_the_header_goes_first() {
        let body = r#"{"metadata":{"priority":"Cost"}}"#;
        let asked = |headers: &[_]| hints(body, headers).unwrap().strategy;
        assert_eq!(asked(&[]), Some(Strategy::Cost));
        assert_eq!(asked(&[("x-tollgate-strategy", "least_latency")]), Some(Strategy::Latency));
        let unknown = hints("{}", &[("x-tollgate-strategy", "fastest")]).unwrap_err();
        assert!(unknown.message().contains("latency-based-routing"), "{unknown:?}");
        let unknown = hints(r#"{"metadata":{"priority":"speed"}}"#, &[]).unwrap_err();
        assert_eq!((unknown.status(), &*unknown.code()), (400, "unknown_priority"));
        assert!(unknown.message().contains("cost, latency, quality"));
        assert_eq!(hints(r#"{"metadata":{"priority":3}}"#, &[]).unwrap().strategy, None);
    }

    #[test]
    fn a_session_is_found_wherever_agents_write_it() {
        let id = Some(AffinityKeys::hash(b"s-1"));
        assert_eq!(session("{}", &[("x-tollgate-session", "s-1")]), id);
        assert_eq!(session("{}", &[("session_id", "s-1")]), id);
        let in_body = [
            r#"{"metadata":{"user_id":"user_0a_account__session_s-1"}}"#,
            r#"{"metadata":{"user_id":"{\"device_id\":\"d\",\"session_id\":\"s-1\"}"}}"#,
            r#"{"metadata":{"session_id":"s-1"}}"#,
            r#"{"litellm_session_id":"s-1"}"#,
            r#"{"prompt_cache_key":"s-1"}"#,
        ];
        for body in in_body {
            assert_eq!(session(body, &[]), id, "{body}");
        }
        assert_eq!(session(r#"{"metadata":{"user_id":"alice"}}"#, &[]), None);
    }

    #[test]
    fn prompts_that_begin_alike_have_one_prefix() {
        let prefix = |text: &str, tools: &str| {
            let body = format!(r#"{{"messages":["{text}"],"tools":{tools}}}"#);
            hints(&body, &[]).unwrap().affinity.prefix
        };
        let long = "the same beginning of more than eight tokens";
        assert!(prefix(long, "[]").is_some());
        assert_eq!(prefix(long, "[]"), prefix(&format!("{long} and another end"), "[]"));
        assert_ne!(prefix(long, "[]"), prefix(&format!("not {long}"), "[]"));
        assert_ne!(prefix(long, "[]"), prefix(long, "[1]"));
        assert_eq!(prefix("short", "[]"), None);
    }
}
