//! A deployment for tests and benchmarks: everything that they do not name has a plain value.

use std::sync::Arc;

use http::HeaderValue;

use super::{Caps, Deployment, ModelInfo, Target, Timeouts};
use crate::dialect::{Dialect, Quirks, ResponsesApi};

/// A deployment that speaks as OpenAI does and has no limits, from `group = provider/model #id`.
///
/// # Panics
/// If a part is missing.
#[must_use]
pub fn deployment(line: &str) -> Deployment {
    let parts = line.split_once(" = ").and_then(|(group, rest)| {
        let (upstream, id) = rest.split_once(" #")?;
        let (provider, model) = upstream.split_once('/')?;
        Some((group, provider, model, id))
    });
    let (group, provider, model, id) = parts.expect("`group = provider/model #id`");
    Deployment {
        passes_through: false,
        mapping: None,
        id: Arc::from(id),
        account: Arc::from(id),
        group: Arc::from(group),
        provider: Arc::from(provider),
        dialect: Dialect::OpenAi,
        quirks: Quirks::default(),
        responses: ResponsesApi::None,
        model: Arc::from(model),
        target: Target {
            tls: true,
            host: "api.example.com".into(),
            port: 443,
            authority: HeaderValue::from_static("api.example.com"),
            root: "".into(),
            paths: Default::default(),
            stream_path: None,
            headers: Vec::new(),
            authorisation: None,
            api_base: "https://api.example.com/v1".into(),
            verify_tls: true,
            ca_file: None,
            fleet: None,
            http2: false,
        },
        weight: None,
        order: None,
        rpm: None,
        tpm: None,
        max_parallel_requests: None,
        caps: Caps::default(),
        check: None,
        timeouts: Timeouts::default(),
        num_retries: None,
        cooldown: None,
        defaults: Vec::new(),
        drop_params: Vec::new(),
        allowed_params: Vec::new(),
        drops_refused: None,
        cache_points: Vec::new(),
        tags: Vec::new(),
        silent_model: None,
        info: ModelInfo::default(),
    }
}
