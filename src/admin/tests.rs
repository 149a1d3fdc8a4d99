//! The routes, asked as a client asks them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use http::HeaderValue;
use serde_json::{Value, json};

use super::*;
use crate::secret::Secret;
use crate::store::{Database, Place};

/// Two groups, the second with one deployment resting, and a key.
#[derive(Default)]
struct Fixed {
    access: Access,
    groups: Vec<GroupHealth>,
    draining: AtomicBool,
}

impl Source for Fixed {
    fn access(&self) -> Access {
        self.access.clone()
    }

    fn models(&self, _: &Caller) -> Vec<Model> {
        ["gpt-4o", "openai/*", "meta/llama/3"]
            .map(|name| Model { name: name.into(), owned_by: "openai".into() })
            .into()
    }

    fn model(&self, name: &str, caller: &Caller) -> Option<Model> {
        let listed = self.models(caller).into_iter().find(|model| *model.name == *name);
        let matched = || {
            let name = name.strip_prefix("openai/").map(|_| name.into())?;
            Some(Model { name, owned_by: "openai".into() })
        };
        listed.or_else(matched)
    }

    fn groups(&self) -> Vec<GroupHealth> {
        self.groups.clone()
    }

    fn issuing(&self) -> Arc<Issuing> {
        Arc::default()
    }

    fn zone(&self) -> TimeZone {
        TimeZone::UTC
    }

    fn dashboard(&self) -> Arc<Dashboard> {
        Arc::default()
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn explain(&self, _headers: &HeaderMap, body: Bytes) -> Result<Bytes, (u16, Bytes)> {
        if body.is_empty() { Err((400, Bytes::from_static(b"{}"))) } else { Ok(body) }
    }
}

#[async_trait::async_trait]
impl Insight for Fixed {
    fn priced(&self, _: &str) -> Option<insight::Priced> {
        None
    }

    async fn count(&self, counting: insight::Counting) -> insight::TokenCount {
        insight::TokenCount { tokens: 1, model: counting.model, tabled: false }
    }

    fn max_budget(&self) -> Option<f64> {
        None
    }

    fn provider_budgets(&self) -> Vec<insight::ProviderBudget> {
        Vec::new()
    }

    fn may_use(&self, _: &keys::Principal, _: &str) -> bool {
        true
    }

    fn deployments(&self) -> Vec<insight::DeploymentInfo> {
        Vec::new()
    }

    fn addresses(&self) -> HashMap<Arc<str>, String> {
        HashMap::new()
    }

    fn seen(&self, _: &str) -> insight::Seen {
        let (state, cooldown_left, well) = (DeploymentState::Healthy, None, None);
        insight::Seen { health: DeploymentHealth { state, cooldown_left, well }, view: None }
    }

    fn variants(&self) -> Vec<insight::Variant> {
        Vec::new()
    }
}

fn group(name: &str, states: &[DeploymentState]) -> GroupHealth {
    let deployments = states
        .iter()
        .map(|&state| DeploymentHealth {
            state,
            cooldown_left: (state == DeploymentState::Down).then(|| Duration::from_millis(4_200)),
            well: None,
        })
        .collect();
    GroupHealth { name: name.into(), deployments }
}

fn guarded() -> Access {
    Access {
        master_key: Some(Secret::new("sk-right")),
        require_auth_for_metrics: true,
        cors_origins: vec!["https://app.example".into()],
        ..Access::default()
    }
}

fn admin(source: Fixed) -> Admin {
    let metrics = Arc::new(Metrics::new("1.2.3", SystemTime::UNIX_EPOCH));
    // A file that is never made: there is nothing in it.
    let database = Arc::new(Database::new(Place::File("/nonexistent/t.db".into())));
    let keys = keys::sample::empty_ring();
    let directory = Arc::clone(&keys) as _;
    let stores = Stores { keys, directory, ledger: database, books: Arc::default() };
    Admin::new(Arc::new(source), stores, metrics, 1_700_000_000)
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn ask(admin: &Admin, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, body) = admin.open(request.body(Bytes::new()).unwrap()).await.into_parts();
    let super::Answer::Whole(body) = body else { panic!("{path} is a stream") };
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

async fn get(admin: &Admin, path: &str) -> Answer {
    ask(admin, "GET", path, &[]).await
}

#[tokio::test]
async fn probes_are_answered_as_litellm_does() {
    let admin = admin(Fixed { access: guarded(), ..Fixed::default() });
    for path in ["/health/liveliness", "/health/liveness"] {
        let answer = get(&admin, path).await;
        assert_eq!((answer.status, &*answer.body), (200, &b"\"I'm alive!\""[..]));
    }
    let ready = get(&admin, "/health/readiness").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["status"], "healthy");
    assert_eq!(ready.json()["db"], "Not connected");
}

#[tokio::test]
async fn a_draining_process_is_not_ready_but_alive() {
    let source = Fixed { draining: true.into(), ..Fixed::default() };
    let admin = admin(source);
    assert_eq!(get(&admin, "/health/readiness").await.status, 503);
    assert_eq!(get(&admin, "/health").await.status, 503);
    assert_eq!(get(&admin, "/health/liveness").await.status, 200);
}

#[tokio::test]
async fn health_sums_up_the_groups() {
    use DeploymentState::{Down, Healthy, Partial};
    let cases = [
        (vec![group("a", &[Healthy]), group("b", &[Healthy, Healthy])], "healthy", 3, 0),
        (vec![group("a", &[Healthy]), group("b", &[Healthy, Down])], "degraded", 2, 1),
        (vec![group("a", &[Partial])], "degraded", 1, 0),
        (vec![group("a", &[Healthy]), group("b", &[Down])], "degraded", 1, 1),
        (vec![group("a", &[Down]), group("b", &[Down, Down])], "unhealthy", 0, 3),
        (vec![], "healthy", 0, 0),
    ];
    for (groups, status, healthy, unhealthy) in cases {
        let source = Fixed { access: guarded(), groups, ..Fixed::default() };
        let answer = get(&admin(source), "/health").await;
        assert_eq!(answer.status, 200, "no restart heals a provider");
        let body = answer.json();
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["healthy_endpoints"], healthy, "{body}");
        assert_eq!(body["unhealthy_endpoints"], unhealthy, "{body}");
    }
}

#[tokio::test]
async fn a_group_at_rest_says_when_it_is_back() {
    let groups = vec![group("gpt", &[DeploymentState::Down])];
    let body = get(&admin(Fixed { groups, ..Fixed::default() }), "/health").await.json();
    assert_eq!(
        body["groups"]["gpt"],
        json!({"status": "unhealthy", "deployments": 1, "healthy": 0, "partial": 0,
               "cooling": 1, "retry_after_seconds": 5})
    );
}

#[tokio::test]
async fn models_are_listed_for_those_who_have_the_key() {
    let admin = admin(Fixed { access: guarded(), ..Fixed::default() });
    for path in ["/v1/models", "/models", "/v1/models/"] {
        let refused = get(&admin, path).await;
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
        assert_eq!(refused.json()["error"]["code"], "missing_api_key");
        for header in [("authorization", "Bearer sk-right"), ("x-api-key", "sk-right")] {
            let answer = ask(&admin, "GET", path, &[header]).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.json()["object"], "list");
            assert_eq!(
                answer.json()["data"][0],
                json!({"id": "gpt-4o", "object": "model", "created": 1_700_000_000,
                       "owned_by": "openai"})
            );
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_without_being_repeated() {
    let admin = admin(Fixed { access: guarded(), ..Fixed::default() });
    let headers = [("authorization", "Bearer sk-wrong"), ("x-request-id", "req-7")];
    let answer = ask(&admin, "GET", "/v1/models", &headers).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["x-request-id"], "req-7");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(!text.contains("wrong") && !text.contains("right"), "{text}");
    assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
    assert_eq!(answer.json()["error"]["request_id"], "req-7");
}

#[tokio::test]
async fn one_model_is_found_by_its_name_as_listed() {
    let admin = admin(Fixed::default());
    for name in ["gpt-4o", "openai/*", "meta/llama/3", "meta%2Fllama%2F3"] {
        let answer = get(&admin, &format!("/v1/models/{name}")).await;
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(answer.json()["id"], name.replace("%2F", "/"));
    }
    let answer = get(&admin, "/models/nope").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
}

#[tokio::test]
async fn metrics_ask_for_a_key_only_where_it_is_configured() {
    for path in ["/metrics", "/metrics/"] {
        let closed = admin(Fixed { access: guarded(), ..Fixed::default() });
        assert_eq!(get(&closed, path).await.status, 401);
        let key = [("authorization", "Bearer sk-right")];
        assert_eq!(ask(&closed, "GET", path, &key).await.status, 200);

        let open = admin(Fixed {
            access: Access { require_auth_for_metrics: false, ..guarded() },
            ..Fixed::default()
        });
        let answer = get(&open, path).await;
        assert_eq!(answer.headers["content-type"], Metrics::CONTENT_TYPE);
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(page.contains("tollgate_build_info{version=\"1.2.3\"} 1"), "{page}");
    }
}

#[tokio::test]
async fn the_landing_page_speaks_html_to_browsers() {
    let admin = admin(Fixed::default());
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let html = ask(&admin, "GET", "/", &browser).await;
    assert_eq!(html.headers["content-type"], "text/html; charset=utf-8");
    assert!(String::from_utf8_lossy(&html.body).contains("<a href=\"/metrics\">"));
    let json = get(&admin, "/").await.json();
    assert_eq!(json["name"], "tollgate");
    assert!(json["routes"].as_array().unwrap().len() > 5);
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let admin = admin(Fixed::default());
    for path in ["/", "/health", "/health/liveliness", "/metrics", "/v1/models"] {
        let answer = ask(&admin, "HEAD", path, &[]).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
    }
}

#[tokio::test]
async fn unknown_routes_and_wrong_methods_are_refused_in_the_shape_clients_know() {
    let admin = admin(Fixed::default());
    let answer = get(&admin, "/v1/nothing?key=secret").await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.json(),
        json!({"error": {"message": "Unknown route: GET /v1/nothing",
                         "type": "invalid_request_error", "param": null,
                         "code": "unknown_route"}})
    );
    for (method, path, allow) in [
        ("POST", "/health", "GET,HEAD"),
        ("DELETE", "/v1/models", "GET,HEAD"),
        ("GET", "/v1/chat/completions", "POST, OPTIONS"),
        ("PUT", "/openai/deployments/gpt/chat/completions", "POST, OPTIONS"),
    ] {
        let answer = ask(&admin, method, path, &[]).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.headers["allow"], allow, "{method} {path}");
        assert_eq!(answer.json()["error"]["code"], "method_not_allowed");
    }
}

#[tokio::test]
async fn browsers_of_allowed_origins_may_read_answers_and_refusals() {
    let admin = admin(Fixed { access: guarded(), ..Fixed::default() });
    let origin = ("origin", "https://app.example");
    for path in ["/health", "/v1/models", "/nothing"] {
        let answer = ask(&admin, "GET", path, &[origin]).await;
        let allowed = &answer.headers["access-control-allow-origin"];
        assert_eq!(allowed, &HeaderValue::from_static("https://app.example"), "{path}");
    }
    let preflight = [
        origin,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ];
    for path in ["/v1/chat/completions", "/v1/models", "/nothing"] {
        let answer = ask(&admin, "OPTIONS", path, &preflight).await;
        assert_eq!(answer.status, 204, "{path}");
        assert!(!answer.headers.contains_key("content-length"), "{path}");
        assert_eq!(answer.headers["access-control-allow-headers"], "authorization", "{path}");
    }
    let stranger = ask(&admin, "GET", "/health", &[("origin", "https://evil.example")]).await;
    assert!(!stranger.headers.contains_key("access-control-allow-origin"));
}
