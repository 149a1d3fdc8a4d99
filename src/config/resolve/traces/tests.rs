//! What the variables mean, and what is said about those that mean nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::load_text;
use crate::trace::{Root, Sampler, Settings};

const FILE: &str =
    "model_list:\n  - {model_name: a, litellm_params: {model: openai/a, api_key: sk}}\n";

/// The settings that these variables make, and what is warned about.
fn with(variables: &[(&str, &str)]) -> (Option<Arc<Settings>>, Vec<String>) {
    let text = format!("{FILE}litellm_settings: {{callbacks: [otel]}}\n");
    let env: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let loaded = load_text(Path::new("tollgate.yaml"), &text, &env);
    let warned = loaded.problems.iter().map(|problem| problem.message.clone());
    // That no master key is written is not what these tests are about.
    let warned = warned.filter(|message| message.contains("OTEL_") || message.contains("trace"));
    let warned: Vec<_> = warned.collect();
    (loaded.snapshot.expect("the file is good").traces, warned)
}

fn settings(variables: &[(&str, &str)]) -> Arc<Settings> {
    let (settings, warned) = with(variables);
    assert_eq!(warned, Vec::<String>::new());
    settings.expect("traces are sent")
}

#[test]
fn nothing_is_sent_without_the_callback() {
    let env = BTreeMap::from([(
        "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
        "http://collector:4318".to_owned(),
    )]);
    let loaded = load_text(Path::new("tollgate.yaml"), FILE, &env);
    assert!(loaded.snapshot.unwrap().traces.is_none());
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        assert!(with(&[off]).0.is_none(), "{off:?}");
    }
}

#[test]
fn without_variables_a_collector_of_this_machine_gets_everything_but_prompts() {
    let settings = settings(&[]);
    assert_eq!(settings.endpoint.expose(), "http://localhost:4318/v1/traces");
    assert_eq!(settings.sampler, Sampler::default());
    assert!(!settings.content && settings.forwards);
    assert_eq!((settings.queue, settings.batch), (2_048, 512));
    assert_eq!(settings.timeout, Duration::from_secs(10));
    assert_eq!(settings.delay, Duration::from_secs(5));
}

#[test]
fn addresses_are_those_of_opentelemetry_and_then_litellms() {
    for (variables, address) in [
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:1/base/")][..], "https://c:1/base/v1/traces"),
        (&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/x")], "http://c/x"),
        (
            &[
                ("OTEL_ENDPOINT", "http://litellm:4318"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4318"),
            ],
            "http://standard:4318/v1/traces",
        ),
        (&[("OTEL_ENDPOINT", "http://c:4318/v1/traces")], "http://c:4318/v1/traces"),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], "http://localhost:4318/v1/traces"),
    ] {
        assert_eq!(settings(variables).endpoint.expose(), address, "{variables:?}");
    }
}

#[test]
fn headers_and_attributes_are_lists_of_pairs() {
    let settings = settings(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc, x-tenant = one"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=of-the-list,host.name=a%2Cb"),
        ("OTEL_ENVIRONMENT_NAME", "production"),
    ]);
    let headers: Vec<_> =
        settings.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("authorization", "Basic abc"), ("x-tenant", "one")]);
    let of = |key: &str| {
        let mut found = settings.resource.iter().filter(|(other, _)| **other == *key);
        let first = found.next().map(|(_, value)| &**value);
        assert!(found.next().is_none(), "{key}");
        first
    };
    assert_eq!(of("service.name"), Some("of-the-list"));
    assert_eq!(of("host.name"), Some("a,b"));
    assert_eq!(of("deployment.environment.name"), Some("production"));
    assert!(!format!("{settings:?}").contains("abc"), "what opens a collector is not shown");
}

#[test]
fn sampling_queue_and_content_are_read() {
    let settings = settings(&[
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
        ("OTEL_BSP_SCHEDULE_DELAY", "250"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY"),
        ("OTEL_SERVICE_NAME", "mine"),
        ("OTEL_EXPORTER", "otlp_http"),
    ]);
    assert_eq!(settings.sampler, Sampler { follows_parent: false, root: Root::Share(0.5) });
    assert_eq!((settings.queue, settings.batch), (10, 2));
    assert_eq!(settings.delay, Duration::from_millis(250));
    assert_eq!(settings.timeout, Duration::from_millis(1_500));
    assert!(settings.content);
    assert!(settings.resource.contains(&("service.name".into(), "mine".into())));
}

#[test]
fn what_cannot_be_read_is_warned_about_and_the_default_holds() {
    for (variables, part, is_sent) in [
        (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")][..], "`grpc`", false),
        (&[("OTEL_EXPORTER", "console")], "`console`", false),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")], "address", false),
        (&[("OTEL_TRACES_SAMPLER", "sometimes")], "`sometimes`", true),
        (&[("OTEL_BSP_SCHEDULE_DELAY", "soon")], "`soon`", true),
        (&[("OTEL_BSP_MAX_QUEUE_SIZE", "0")], "`0`", true),
        (&[("OTEL_EXPORTER_OTLP_HEADERS", "a b=c")], "HEADERS", true),
        (&[("OTEL_RESOURCE_ATTRIBUTES", "alone")], "ATTRIBUTES", true),
    ] {
        let (settings, warned) = with(variables);
        assert_eq!(warned.len(), 1, "{variables:?}: {warned:?}");
        assert!(warned[0].contains(part), "{warned:?}");
        assert_eq!(settings.is_some(), is_sent, "{variables:?}");
    }
}
