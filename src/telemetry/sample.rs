//! Records for the tests of this folder.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::Method;

use super::record::{Attempt, ClientText, Durations, ErrorRecord, Outcome, RequestRecord, Route};
use crate::catalog::{Deployment, Served, sample};
use crate::dialect::{ClientDialect, Endpoint};
use crate::failure::FailureClass;
use crate::keys::Caller;
use crate::money::Usd;
use crate::usage::Usage;

/// A deployment of OpenAI's `model` in the group `gpt`.
pub(crate) fn deployment(id: &str, model: &str) -> Arc<Deployment> {
    Arc::new(sample::deployment(&format!("gpt = openai/{model} #{id}")))
}

fn attempt(deployment: &Arc<Deployment>, group: &str, outcome: Outcome, status: u16) -> Attempt {
    Attempt {
        deployment: Arc::clone(deployment),
        group: group.into(),
        outcome,
        status: Some(status),
        began: std::time::Instant::now(),
        duration: Duration::from_millis(200),
        cooled_down: matches!(outcome, Outcome::Failed(_)),
        remaining_requests: Some(99),
        remaining_tokens: None,
    }
}

/// A streamed chat completion that one attempt answered.
pub(crate) fn answered() -> RequestRecord {
    let deployment = deployment("dep-1", "gpt-4o");
    let started = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    let route = Route::Inference(Endpoint::Chat, ClientDialect::OpenAi);
    let mut record = RequestRecord::new(started, route, Method::POST);
    record.request_id = "req-1".into();
    record.call_id = "call-1".into();
    record.durations = Durations {
        total: Duration::from_millis(250),
        upstream: Some(Duration::from_millis(249)),
        overhead: Duration::from_micros(300),
        ttft: Some(Duration::from_millis(80)),
        queued: None,
    };
    record.path = "/chat/completions".into();
    record.status = 200;
    record.stream = true;
    record.model_asked = Some("gpt".into());
    record.group_asked = Some("gpt".into());
    record.attempts = vec![attempt(&deployment, "gpt", Outcome::Success, 200)];
    record.served = Some(Served { deployment, group: "gpt".into(), model: "gpt-4o".into() });
    record.usage = Some(Usage {
        input_tokens: 100,
        output_tokens: 20,
        cache_read_tokens: 30,
        ..Usage::default()
    });
    record.cost = Usd::from_dollars(0.000_375);
    record.client.ip = Some([192, 0, 2, 7].into());
    record.client.caller = Some(Caller::Master);
    record.bytes_in = 512;
    record.bytes_out = 4_096;
    record
}

/// A 429 of the first group, then a reply of the group `spare`.
pub(crate) fn after_fallback() -> RequestRecord {
    let mut record = answered();
    let busy = attempt(
        &deployment("dep-1", "gpt-4o"),
        "gpt",
        Outcome::Failed(FailureClass::RateLimited),
        429,
    );
    let spare = deployment("dep-2", "gpt-4o-mini");
    record.attempts = vec![busy, attempt(&spare, "spare", Outcome::Success, 200)];
    record.served =
        Some(Served { deployment: spare, group: "spare".into(), model: "gpt-4o-mini".into() });
    record.fallbacks = 1;
    record
}

/// A request for a model that nobody knows.
pub(crate) fn refused() -> RequestRecord {
    let mut record = answered();
    record.status = 404;
    record.stream = false;
    record.model_asked = Some("nope".into());
    record.group_asked = None;
    record.served = None;
    record.usage = None;
    record.cost = None;
    record.attempts = Vec::new();
    record.durations.upstream = None;
    record.durations.ttft = None;
    record.error =
        Some(ErrorRecord { class: "model_not_found", code: ClientText::new("model_not_found") });
    record
}
