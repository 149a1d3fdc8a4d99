//! Which callbacks a file and its variables make, and what is said of those that they do not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::callbacks::{Format, Settings, SinkSettings, Target};
use crate::config::{Severity, load_text};

const FILE: &str =
    "model_list:\n  - {model_name: a, litellm_params: {model: openai/a, api_key: sk}}\n";

/// What the text and the variables make, and what is said about it.
fn read(text: &str, variables: &[(&str, &str)]) -> (Option<Arc<Settings>>, Vec<String>) {
    let env: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let loaded = load_text(Path::new("tollgate.yaml"), &format!("{FILE}{text}"), &env);
    let said = loaded.problems.iter().map(|problem| problem.message.clone());
    // That no master key is written is not what these tests are about.
    let said = said.filter(|message| !message.contains("master key")).collect();
    (loaded.snapshot.map(|snapshot| snapshot.callbacks), said)
}

#[track_caller]
fn good(text: &str, variables: &[(&str, &str)]) -> Arc<Settings> {
    let (settings, said) = read(text, variables);
    assert_eq!(said, Vec::<String>::new());
    settings.unwrap()
}

#[track_caller]
fn one(text: &str, variables: &[(&str, &str)]) -> Arc<SinkSettings> {
    let settings = good(text, variables);
    let [sink] = settings.sinks.as_slice() else { panic!("{settings:?}") };
    Arc::clone(sink)
}

fn header<'a>(post: &'a crate::callbacks::Post, name: &str) -> Option<&'a str> {
    let found = post.headers.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.to_str().unwrap())
}

#[test]
fn each_name_is_one_callback_that_hears_all_that_it_is_listed_for() {
    let text = "litellm_settings:\n  success_callback: [generic_api, prometheus]\n  \
                failure_callback: [generic_api, otel]\n";
    let sink = one(text, &[("GENERIC_LOGGER_ENDPOINT", "http://h/p")]);
    assert!(sink.successes && sink.failures);
    assert_eq!((sink.batch, sink.every), (512, Duration::from_secs(5)));
    let text = "litellm_settings: {success_callback: generic_api}\n";
    let variables = [
        ("GENERIC_LOGGER_ENDPOINT", "http://h/p"),
        ("GENERIC_LOGGER_HEADERS", "x-a=1, x-b=c=d"),
        ("DEFAULT_BATCH_SIZE", "7"),
        ("DEFAULT_FLUSH_INTERVAL_SECONDS", "0.5"),
    ];
    let sink = one(text, &variables);
    assert!(sink.successes && !sink.failures);
    assert_eq!((sink.batch, sink.every), (7, Duration::from_millis(500)));
    let Target::Generic { post, format: Format::JsonArray } = &sink.target else { panic!() };
    assert_eq!((header(post, "x-a"), header(post, "x-b")), (Some("1"), Some("c=d")));
    assert_eq!(header(post, "content-type"), Some("application/json"));
}

#[test]
fn callbacks_of_ones_own_have_an_address_headers_events_and_a_format() {
    let text = "litellm_settings: {callbacks: [mine]}\ncallback_settings:\n  mine:\n    \
                callback_type: generic_api\n    endpoint: https://h/p\n    headers: {X-Key: \
                s3cret-of-mine}\n    event_types: [llm_api_failure]\n    log_format: ndjson\n";
    let sink = one(text, &[("GENERIC_LOGGER_HEADERS", "x-key=other,x-a=1")]);
    assert!(!sink.successes && sink.failures);
    let Target::Generic { post, format: Format::Ndjson } = &sink.target else { panic!() };
    assert_eq!(header(post, "x-key"), Some("s3cret-of-mine"), "what is written outranks");
    assert_eq!(header(post, "x-a"), Some("1"));
    let shown = format!("{sink:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn langfuse_needs_both_of_its_keys() {
    let text = "litellm_settings: {callbacks: [langfuse]}\n";
    let keys = [("LANGFUSE_PUBLIC_KEY", "pk"), ("LANGFUSE_SECRET_KEY", "s3cret-key")];
    let sink = one(text, &keys);
    let Target::Langfuse { post, .. } = &sink.target else { panic!() };
    assert_eq!(&*post.url, "https://cloud.langfuse.com/api/public/ingestion");
    assert_eq!(header(post, "authorization"), Some("Basic cGs6czNjcmV0LWtleQ=="));
    let text = "litellm_settings: {callbacks: [langfuse], langfuse_public_key: pk, \
                langfuse_secret_key: s3cret-key, langfuse_host: 'lf:3000/'}\n";
    let sink = one(text, &[("LANGFUSE_HOST", "https://other")]);
    let Target::Langfuse { post, .. } = &sink.target else { panic!() };
    assert_eq!(&*post.url, "http://lf:3000/api/public/ingestion");
    let text = "litellm_settings: {callbacks: [langfuse]}\n";
    let (settings, said) = read(text, &[("LANGFUSE_PUBLIC_KEY", "pk")]);
    assert!(settings.unwrap().sinks.is_empty());
    assert_eq!(said, ["`langfuse` is not called: it has not got both of its keys"]);
}

#[test]
fn datadog_is_told_directly_or_by_its_agent() {
    let text = "litellm_settings: {callbacks: [datadog]}\n";
    let url = |variables: &[(&str, &str)]| {
        let sink = one(text, variables);
        let Target::Datadog { post, .. } = &sink.target else { panic!() };
        (post.url.to_string(), header(post, "dd-api-key").map(str::to_owned))
    };
    let site = [("DD_API_KEY", "k"), ("DD_SITE", "us5.datadoghq.com")];
    let direct = "https://http-intake.logs.us5.datadoghq.com/api/v2/logs";
    assert_eq!(url(&site), (direct.to_owned(), Some("k".to_owned())));
    let agent = [("LITELLM_DD_AGENT_HOST", "agent")];
    assert_eq!(url(&agent), ("http://agent:10518/api/v2/logs".to_owned(), None));
    let (_, said) = read(text, &[("DD_SITE", "datadoghq.com")]);
    assert_eq!(said, ["`datadog` is not called: it has not got a key and a site, or an agent"]);
    let sink = one(text, &[site[0], site[1], ("DD_BATCH_SIZE", "5000")]);
    assert_eq!(sink.batch, 1_000, "it takes no more");
}

#[test]
fn a_bucket_is_at_aws_or_where_it_is_said_to_be() {
    let base = |params: &str, variables: &[(&str, &str)]| {
        let text = format!(
            "litellm_settings: {{callbacks: [s3_v2], s3_callback_params: {{s3_bucket_name: b, {params}}}}}\n"
        );
        let sink = one(&text, variables);
        let Target::S3(bucket) = &sink.target else { panic!() };
        bucket.base.to_string()
    };
    let aws = "https://b.s3.eu-west-1.amazonaws.com";
    assert_eq!(base("s3_region_name: eu-west-1", &[]), aws);
    assert_eq!(base("", &[("AWS_REGION", "eu-west-1")]), aws);
    assert_eq!(base("s3_region_name: cn-north-1", &[]), "https://b.s3.cn-north-1.amazonaws.com.cn");
    assert_eq!(base("s3_endpoint_url: 'http://m:9000/'", &[]), "http://m:9000/b");
    let styled = "s3_endpoint_url: 'http://m:9000', s3_use_virtual_hosted_style: true";
    assert_eq!(base(styled, &[]), "http://b.m:9000");
    let (_, said) = read("litellm_settings: {callbacks: [s3]}\n", &[]);
    assert_eq!(said, ["`s3` is not called: it has not got a bucket"]);
}

#[test]
fn prompts_are_told_only_where_that_is_written() {
    let with = |more: &str| {
        let text = format!("litellm_settings: {{callbacks: [generic_api]{more}}}\n");
        good(&text, &[("GENERIC_LOGGER_ENDPOINT", "http://h/p")])
    };
    assert!(!with("").wants_text);
    assert!(!with(", turn_off_message_logging: true").wants_text);
    assert!(with(", turn_off_message_logging: false").wants_text);
    let alone = good("litellm_settings: {turn_off_message_logging: false}\n", &[]);
    assert!(alone.wants_text, "teams may have callbacks of their own");
}

#[test]
fn the_same_settings_are_the_same_and_a_secret_makes_a_difference() {
    let text = "litellm_settings: {callbacks: [langfuse, s3], s3_callback_params: {s3_bucket_name: \
                b, s3_region_name: r}}\n";
    let with = |secret: &str, aws: &str| {
        let variables = [
            ("LANGFUSE_PUBLIC_KEY", "pk"),
            ("LANGFUSE_SECRET_KEY", secret),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", aws),
        ];
        good(text, &variables)
    };
    let before = with("one", "one");
    assert_eq!(before.sinks, with("one", "one").sinks);
    assert_ne!(before.sinks[0], with("two", "one").sinks[0]);
    assert_ne!(before.sinks[1], with("one", "two").sinks[1]);
    assert_eq!(before.sinks[1], with("two", "one").sinks[1]);
}

#[test]
fn what_is_not_known_is_named() {
    for (text, message) in [
        ("litellm_settings: {callbacks: [langfus]}", "`langfus` is not called"),
        ("callback_settings: [a]", "must be a mapping"),
        ("callback_settings: {a: {callback_type: generic_api, endpoint: nowhere}}", "no address"),
        ("callback_settings: {a: {callback_type: other}}", "no callbacks of the type `other`"),
        ("callback_settings: {a: {endpoint: 'http://h', log_format: xml}}", "no `log_format`"),
        ("callback_settings: {a: {endpoint: 'http://h', event_types: [x]}}", "no event"),
        ("general_settings: {callback_disk_max_mb: 0}", "between 1 and"),
        (
            "litellm_settings: {s3_callback_params: {s3_aws_access_key_id: a}}",
            "one of them is missing",
        ),
        (
            "litellm_settings: {s3_callback_params: {s3_endpoint_url: nowhere}}",
            "`s3_endpoint_url` is no address",
        ),
    ] {
        let (_, said) = read(&format!("{text}\n"), &[]);
        assert!(said.iter().any(|it| it.contains(message)), "{text}: {said:?}");
    }
}

#[test]
fn an_address_with_a_password_is_not_shown() {
    let text = "litellm_settings: {callbacks: [generic_api]}\n";
    let variables = [("GENERIC_LOGGER_ENDPOINT", "https://u:s3cret@h/p?key=s3cret2")];
    let shown = format!("{:?}", good(text, &variables));
    assert!(!shown.contains("s3cret"), "{shown}");
    let loaded = load_text(
        Path::new("t.yaml"),
        &format!("{FILE}{text}"),
        &BTreeMap::from([("GENERIC_LOGGER_ENDPOINT".to_owned(), "s3cret-nowhere".to_owned())]),
    );
    let warned = loaded.problems.iter().find(|it| it.message.contains("its address is none"));
    let warned = warned.unwrap();
    assert_eq!(warned.severity, Severity::Warning);
    assert!(!format!("{warned:?}").contains("s3cret"));
}

#[test]
fn teams_get_projects_by_the_configuration() {
    let text = "litellm_settings:\n  default_team_settings:\n  - team_id: web\n    success_callback: \
                [langfuse]\n    failure_callback: langfuse\n    langfuse_public_key: pk-web\n    \
                langfuse_secret: os.environ/WEB_SECRET\n    langfuse_host: http://10.0.0.9:3000\n  \
                - team_id: app\n    success_callback: [langfuse]\n    callback_vars: \
                {langfuse_public_key: pk-app, langfuse_secret_key: s3cret-app}\n  - {team_id: quiet, \
                turn_off_message_logging: true}\n";
    let settings = good(text, &[("WEB_SECRET", "s3cret-web")]);
    let teams = &settings.own.teams;
    let silent: Vec<_> = teams.iter().map(|(id, team)| (&**id, team.is_silent)).collect();
    assert_eq!(silent, [("app", false), ("quiet", true), ("web", false)]);
    assert_eq!(teams["web"].callbacks.len(), 1, "one that hears of both");
    assert_eq!(teams["app"].callbacks.len(), 1);
    assert!(teams["quiet"].callbacks.is_empty());
    let shown = format!("{settings:?}");
    assert!(shown.contains("10.0.0.9") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn what_a_team_cannot_be_given_is_said() {
    let said = |entry: &str| {
        let text = format!("litellm_settings: {{default_team_settings: [{entry}]}}\n");
        let (settings, said) = read(&text, &[]);
        let count = settings.map(|it| it.own.teams.values().map(|team| team.callbacks.len()).sum());
        (count, said)
    };
    let keys = "langfuse_public_key: pk, langfuse_secret: sk-of-web";
    let cases: [(&str, Option<usize>, &str); 7] = [
        ("{team_id: t, success_callback: [gcs_bucket]}", Some(0), "cannot have the callback"),
        (&format!("{{team_id: t, {keys}}}"), Some(0), "none is named"),
        ("{team_id: t, success_callback: [langfuse]}", Some(0), "langfuse needs"),
        (
            &format!(
                "{{team_id: t, success_callback: [langfuse], langfuse_host: 'http://u:p@h', {keys}}}"
            ),
            Some(0),
            "must be an address",
        ),
        (
            &format!("{{team_id: t, gcs_bucket_name: b, success_callback: [langfuse], {keys}}}"),
            Some(1),
            "gcs_bucket_name",
        ),
        ("{team_id: t}, {team_id: t}", Some(0), "twice"),
        ("{success_callback: [langfuse]}", None, "no `team_id`"),
    ];
    for (entry, count, part) in cases {
        let (found, said) = said(entry);
        assert_eq!(found, count, "{entry}: {said:?}");
        assert!(said.iter().any(|message| message.contains(part)), "{entry}: {said:?}");
        assert!(!said.concat().contains("sk-of-web"), "{said:?}");
    }
}
