//! What a scrape shows after records of every kind.

use std::time::Duration;

use super::*;
use crate::failure::FailureClass;
use crate::keys::{self, Caller};
use crate::telemetry::record::ErrorRecord;
use crate::telemetry::sample;

fn metrics() -> Metrics {
    Metrics::new("1.2.3", UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

/// The value of the one line that starts with `name` and holds every one of `labels`.
fn value(page: &str, name: &str, labels: &[&str]) -> f64 {
    let found: Vec<&str> = page
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .collect();
    assert_eq!(found.len(), 1, "{name} {labels:?} in\n{page}");
    found[0].rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn an_answered_request_is_counted_everywhere_it_belongs() {
    let metrics = metrics();
    metrics.request(&sample::answered());
    metrics.request(&sample::answered());
    let page = metrics.render();

    let group = "requested_model=\"gpt\"";
    let model = "model=\"gpt-4o\"";
    let id = "model_id=\"dep-1\"";
    let count = |name: &str, labels: &[&str]| value(&page, name, labels);
    assert_eq!(
        count(
            "litellm_proxy_total_requests_metric_total",
            &[group, id, "status_code=\"200\"", "route=\"/v1/chat/completions\""]
        ),
        2.0
    );
    assert_eq!(count("litellm_input_tokens_metric_total", &[group, model, id]), 200.0);
    assert_eq!(count("litellm_output_tokens_metric_total", &[group]), 40.0);
    assert_eq!(count("litellm_total_tokens_metric_total", &[group]), 240.0);
    assert_eq!(count("litellm_input_cached_tokens_metric_total", &[group]), 60.0);
    assert!((count("litellm_spend_metric_total", &[group]) - 0.000_75).abs() < 1e-12);
    assert_eq!(count("litellm_request_total_latency_metric_count", &[group, model, id]), 2.0);
    assert_eq!(count("litellm_overhead_latency_metric_count", &[group]), 2.0);
    assert_eq!(count("litellm_llm_api_latency_metric_count", &[group]), 2.0);
    assert_eq!(count("litellm_llm_api_time_to_first_token_metric_count", &[group]), 2.0);
    assert_eq!(count("litellm_deployment_total_requests_total", &[group, id]), 2.0);
    assert_eq!(count("litellm_deployment_success_responses_total", &[group, id]), 2.0);
    assert_eq!(count("litellm_deployment_latency_per_output_token_count", &[id]), 2.0);
    assert_eq!(count("litellm_remaining_requests_metric", &["model_group=\"gpt\"", id]), 99.0);
    assert_eq!(count("tollgate_attempts_total", &["outcome=\"success\""]), 2.0);
    assert_eq!(count("tollgate_build_info", &["version=\"1.2.3\""]), 1.0);
    assert_eq!(count("process_start_time_seconds", &[]), 1_700_000_000.0);
    assert!(!page.contains("litellm_proxy_failed_requests_metric_total{"));
}

#[test]
fn a_fallback_is_counted_with_what_made_it_necessary() {
    let metrics = metrics();
    metrics.request(&sample::after_fallback());
    let page = metrics.render();
    let labels = [
        "requested_model=\"gpt\"",
        "fallback_model=\"spare\"",
        "exception_status=\"429\"",
        "exception_class=\"rate_limited\"",
    ];
    assert_eq!(value(&page, "litellm_deployment_successful_fallbacks_total", &labels), 1.0);
    let failure = ["model_id=\"dep-1\"", "exception_status=\"429\""];
    assert_eq!(value(&page, "litellm_deployment_failure_responses_total", &failure), 1.0);
    assert_eq!(value(&page, "litellm_deployment_cooled_down_total", &failure), 1.0);
    assert_eq!(value(&page, "tollgate_attempts_total", &["outcome=\"rate_limited\""]), 1.0);
}

#[test]
fn what_a_client_invents_does_not_become_a_label() {
    let metrics = metrics();
    for number in 0..50 {
        let mut record = sample::refused();
        record.model_asked = Some(format!("made-up-{number}").as_str().into());
        record.status = 600 + number;
        metrics.request(&record);
    }
    let page = metrics.render();
    assert!(!page.contains("made-up"));
    let labels = ["requested_model=\"other\"", "status_code=\"other\""];
    assert_eq!(value(&page, "litellm_proxy_total_requests_metric_total", &labels), 50.0);
}

#[test]
fn a_wildcards_models_are_shown_after_a_success_and_within_their_bound() {
    let metrics = metrics();
    let wildcard = sample::deployment("wild", "*");
    let ask = |model: &str, status: u16| {
        let mut record = sample::answered();
        record.group_asked = Some("openai/*".into());
        record.status = status;
        record.served = Some(Served {
            deployment: Arc::clone(&wildcard),
            group: "openai/*".into(),
            model: model.into(),
        });
        metrics.request(&record);
    };
    ask("invented", 404);
    for number in 0..WILDCARD_MODELS_MAX + 5 {
        ask(&format!("real-{number}"), 200);
    }
    let page = metrics.render();
    assert!(!page.contains("invented"));
    assert!(page.contains("model=\"real-0\""));
    assert_eq!(
        value(&page, "litellm_request_total_latency_metric_count", &["model=\"*\""]),
        6.0,
        "one failure and five beyond the bound"
    );
}

#[test]
fn other_routes_are_counted_apart() {
    let metrics = metrics();
    let mut record = sample::refused();
    record.route = Route::Health;
    record.status = 200;
    metrics.request(&record);
    let page = metrics.render();
    let labels = ["route=\"/health\"", "status_code=\"200\""];
    assert_eq!(value(&page, "tollgate_other_requests_total", &labels), 1.0);
    assert!(!page.contains("litellm_proxy_total_requests_metric_total{"));
}

#[test]
fn failures_carry_their_class_even_behind_a_200() {
    let metrics = metrics();
    let mut record = sample::answered();
    record.error = Some(ErrorRecord { class: "server", code: "upstream_cut".into() });
    record.client.disconnected = true;
    record.attempts[0].outcome = Outcome::Failed(FailureClass::Server);
    metrics.request(&record);
    let page = metrics.render();
    let labels = ["exception_status=\"200\"", "exception_class=\"server\""];
    assert_eq!(value(&page, "litellm_proxy_failed_requests_metric_total", &labels), 1.0);
    assert_eq!(value(&page, "tollgate_client_disconnects_total", &[]), 1.0);
}

#[test]
fn gauges_go_down_with_their_guards() {
    let metrics = metrics();
    let (first, second, stream) = (metrics.in_flight(), metrics.in_flight(), metrics.open_stream());
    drop(first);
    let page = metrics.render();
    assert_eq!(value(&page, "litellm_in_flight_requests", &[]), 1.0);
    assert_eq!(value(&page, "tollgate_open_streams", &[]), 1.0);
    drop((second, stream));
    assert_eq!(value(&metrics.render(), "litellm_in_flight_requests", &[]), 0.0);
}

#[test]
fn only_requests_that_went_well_count_as_answered_and_only_bounded_ones_as_queued() {
    let metrics = metrics();
    metrics.request(&sample::refused());
    assert!(!metrics.render().contains("litellm_request_queue_time_seconds"));
    let mut record = sample::answered();
    record.durations.queued = Some(Duration::from_millis(40));
    metrics.request(&record);
    let page = metrics.render();
    assert_eq!(value(&page, "litellm_requests_metric_total", &["model_id=\"dep-1\""]), 1.0);
    let waited = value(&page, "litellm_request_queue_time_seconds_sum", &["model_id=\"dep-1\""]);
    assert!((waited - 0.04).abs() < 1e-9, "{waited}");
}

#[test]
fn what_is_left_out_is_merged_into_what_stays() {
    let metrics = metrics();
    let shown = Arc::new(Mutex::new(Arc::new(Shown::default())));
    let asked = Arc::clone(&shown);
    metrics.shown_by(move || Arc::clone(&asked.lock()));
    let mut other = sample::answered();
    other.served = sample::after_fallback().served;
    metrics.request(&sample::answered());
    metrics.request(&other);
    let set = |new: Shown| *shown.lock() = Arc::new(new);
    let names = |all: &[&str]| all.iter().map(|&one| one.into()).collect::<Vec<Box<str>>>();
    let whole = metrics.render();
    assert_eq!(whole.matches("litellm_spend_metric_total{").count(), 2);

    set(Shown { without_labels: names(&["model", "model_id"]), ..Shown::default() });
    let page = metrics.render();
    assert!(!page.contains("model_id=") && page.contains("requested_model=\"gpt\""), "{page}");
    assert_eq!(value(&page, "litellm_input_tokens_metric_total", &[]), 200.0);
    assert_eq!(value(&page, "litellm_request_total_latency_metric_count", &[]), 2.0);
    assert_eq!(value(&page, "litellm_request_total_latency_metric_sum", &[]), 0.5);
    let bucket = value(&page, "litellm_request_total_latency_metric_bucket", &["le=\"0.25\""]);
    assert_eq!(bucket, 2.0);

    set(Shown { without_metrics: names(&["litellm_spend_metric"]), ..Shown::default() });
    let page = metrics.render();
    assert!(!page.contains("litellm_spend_metric") && page.contains("litellm_input_tokens"));

    let only = [("litellm_spend_metric".into(), crate::snapshot::Labels::Only(names(&["team"])))];
    set(Shown { only: Some(only.into()), ..Shown::default() });
    let page = metrics.render();
    let theirs: Vec<_> = page.lines().filter(|line| line.starts_with("litellm_")).collect();
    assert_eq!(theirs, ["litellm_spend_metric_total{team=\"\"} 0.00075"], "{page}");
    assert!(page.contains("tollgate_attempts_total"), "ours are not LiteLLM's to choose");
    set(Shown::default());
    assert_eq!(metrics.render().matches("litellm_spend_metric_total{").count(), 2);
}

#[test]
fn states_are_asked_for_at_each_scrape() {
    let metrics = metrics();
    let deployment = sample::deployment("dep-1", "gpt-4o");
    let rests = Arc::new(Mutex::new(true));
    let seen = Arc::clone(&rests);
    metrics.on_scrape(move |scrape| {
        let state = if *seen.lock() { DeploymentState::Down } else { DeploymentState::Healthy };
        let left = (state == DeploymentState::Down).then(|| Duration::from_millis(1_500));
        scrape.deployment(&deployment, state, left);
    });
    let state = |page: &str| value(page, "litellm_deployment_state", &["model_id=\"dep-1\""]);
    let left = |page: &str| value(page, "tollgate_deployment_cooldown_seconds", &[]);
    let page = metrics.render();
    assert_eq!((state(&page), left(&page)), (2.0, 1.5));
    *rests.lock() = false;
    let page = metrics.render();
    assert_eq!((state(&page), left(&page)), (0.0, 0.0));
}

#[test]
fn a_keys_labels_are_litellms_and_so_many_keys_have_them() {
    let metrics = metrics();
    let holder = |number: usize| {
        let more = serde_json::json!({"key_alias": format!("key-{number}"), "team_id": "t",
                                      "user_id": "u"});
        Some(Caller::Key(Arc::new(keys::sample::principal(&format!("sk-{number}"), &more))))
    };
    let mut record = sample::answered();
    for number in 0..KEYS_MAX + 2 {
        record.client.caller = holder(number);
        metrics.request(&record);
    }
    // One that has its labels keeps them.
    record.client.caller = holder(0);
    metrics.request(&record);
    let page = metrics.render();
    let hash = format!("hashed_api_key=\"{}\"", KeyHash::of(b"sk-0"));
    let of_key = [&*hash, "api_key_alias=\"key-0\"", "team=\"t\"", "user=\"u\""];
    let spent = "litellm_total_tokens_metric_total";
    assert_eq!(value(&page, spent, &of_key), 240.0);
    let beyond = ["api_key_alias=\"other\"", "user=\"other\"", "team=\"t\"", "model=\"gpt-4o\""];
    assert_eq!(value(&page, spent, &beyond), 240.0, "the sums of teams stay whole");
}
