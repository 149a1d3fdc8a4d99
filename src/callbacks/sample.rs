//! A request that is over, for tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::told::{CacheUse, Told};
use crate::catalog::Served;
use crate::catalog::sample::deployment;
use crate::keys::Caller;
use crate::money::Usd;
use crate::usage::Usage;

pub(super) fn told() -> Told {
    let deployment = Arc::new(deployment("gpt = openai/gpt-4o #d1"));
    Told {
        id: "id-1".into(),
        call_id: "call-1".into(),
        session: Some("session-1".into()),
        trace: None,
        call_type: "acompletion",
        route: "/v1/chat/completions".into(),
        // 2026-11-21T12:00:00Z
        started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400),
        total: Duration::from_secs(2),
        overhead: Duration::from_micros(1_500),
        ttft: Some(Duration::from_millis(500)),
        stream: true,
        status: 200,
        model: "asked".into(),
        group: Some("gpt".into()),
        served: Some(Served { deployment, group: "gpt".into(), model: "gpt-4o".into() }),
        usage: Some(Usage {
            input_tokens: 10,
            output_tokens: 5,
            cache_read_tokens: 4,
            ..Usage::default()
        }),
        cost: Usd::from_dollars(0.25),
        cache: Some(CacheUse::Miss),
        caller: Some(Caller::Master),
        end_user: Some("e".into()),
        ip: None,
        user_agent: None,
        tags: vec!["a".into()],
        parameters: vec![("temperature", "0.5".into())],
        metadata: Some(r#"{"job":"j","spend_logs_metadata":{"cost":"c"}}"#.into()),
        guardrails: Vec::new(),
        findings: Vec::new(),
        failed: None,
        retries: 0,
        fallbacks: 0,
        text: None,
        without: Vec::new(),
        is_shadow: false,
    }
}
