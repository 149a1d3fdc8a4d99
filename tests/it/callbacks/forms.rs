//! What each kind of receiver is sent.

use std::io::Read as _;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::*;

#[test]
fn a_request_is_told_in_litellms_words_and_holds_no_prompt_and_no_key() {
    let upstream = upstream::openai().replies(chat("hello").usage(10, 5)).start();
    let receiver = receiver();
    let group = group("gpt").deployment(openai(&upstream).id("one").model("openai/gpt-4o"));
    let gateway = generic(group, &format!("{}/logs", receiver.url()))
        .variable("GENERIC_LOGGER_HEADERS", "authorization=Bearer for-you, x-team=a")
        .master_key("sk-right-master-key")
        .start();
    let asked = gateway.client().ask("gpt", "the secret plan").set("temperature", 0.5);
    let asked = asked.set("user", "end").set("metadata", json!({"tags": ["blue"], "job": "j1"}));
    let asked = asked.header("x-litellm-session-id", "s1").header("user-agent", "tester");
    let reply = asked.send();
    assert_eq!(reply.text(), "hello");

    let payload = wait_for(&receiver, 1).remove(0);
    for (pointer, value) in [
        ("/litellm_call_id", json!(reply.request_id())),
        ("/trace_id", json!(reply.request_id())),
        ("/session_id", json!("s1")),
        ("/call_type", json!("acompletion")),
        ("/status", json!("success")),
        ("/stream", json!(false)),
        ("/model", json!("gpt-4o")),
        ("/model_id", json!("one")),
        ("/model_group", json!("gpt")),
        ("/custom_llm_provider", json!("openai")),
        ("/prompt_tokens", json!(10)),
        ("/completion_tokens", json!(5)),
        ("/total_tokens", json!(15)),
        ("/request_tags", json!(["blue"])),
        ("/end_user", json!("end")),
        ("/user_agent", json!("tester")),
        ("/requester_ip_address", json!("127.0.0.1")),
        ("/model_parameters/temperature", json!(0.5)),
        ("/metadata/user_api_key_hash", json!("master")),
        ("/metadata/requester_metadata/job", json!("j1")),
        ("/messages/0/content", json!("redacted-by-litellm")),
        ("/error_str", Value::Null),
    ] {
        assert_eq!(payload.pointer(pointer), Some(&value), "{pointer} in {payload:#}");
    }
    let cost = payload["response_cost"].as_f64().unwrap();
    assert!(cost > 0.0 && payload["hidden_params"]["response_cost"] == cost);
    let (start, end) = (payload["startTime"].as_f64(), payload["endTime"].as_f64());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(start < end && end.unwrap() <= now && start.unwrap() > now - 60.0, "{payload:#}");

    let sent = receiver.last_request();
    assert_eq!((sent.method.as_str(), &*sent.path), ("POST", "/logs"));
    assert_eq!(sent.header("authorization"), Some("Bearer for-you"));
    assert_eq!(sent.header("x-team"), Some("a"));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    let raw = String::from_utf8_lossy(&sent.body);
    assert!(!raw.contains("secret plan") && !raw.contains("hello"), "nobody has asked for prompts");
    assert!(!raw.contains("sk-"), "nobody asks for keys: {raw}");
    let said = gateway.wait_for_message("requests are told to a callback");
    assert!(said.contains("turn_off_message_logging: false"), "{said}");
    eventually("it is counted", || counted(&gateway, "generic_api", "sent") == 1);
}

#[test]
fn successes_failures_and_what_clients_do_not_want_go_different_ways() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let (good, bad, both) = (receiver(), receiver(), receiver());
    let settings = "success_callback: [good]\nfailure_callback: [bad]\ncallbacks: [both]";
    let mut callbacks = String::from("callback_settings:\n");
    for (name, receiver) in [("good", &good), ("bad", &bad), ("both", &both)] {
        let url = receiver.url();
        callbacks += &format!("  {name}: {{callback_type: generic_api, endpoint: '{url}/x'}}\n");
    }
    let gateway = told(group("gpt").deployment(&upstream), settings).top(&callbacks).start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", "hi").status, 200);
    assert_eq!(client.chat("nope", "hi").status, 404);
    let unwanted = client.ask("gpt", "hi").header("x-litellm-disable-callbacks", "both, langfuse");
    assert_eq!(unwanted.send().status, 200);

    let statuses = |receiver: &Upstream, count| -> Vec<String> {
        let payloads = wait_for(receiver, count);
        payloads.iter().map(|it| it["status"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(statuses(&good, 2), ["success", "success"]);
    assert_eq!(statuses(&bad, 1), ["failure"]);
    assert_eq!(statuses(&both, 2), ["success", "failure"]);
    let failed = payloads(&bad).remove(0);
    assert_eq!(failed["error_information"]["error_class"], "NotFoundError");
    assert_eq!(failed["error_information"]["error_code"], "404");
    assert_eq!(failed["model"], "nope");
}

#[test]
fn strangers_are_not_told_of_and_pages_neither() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let receiver = receiver();
    let gateway = generic(group("gpt").deployment(&upstream), &receiver.url())
        .master_key("sk-right-master-key")
        .start();
    let stranger = gateway.client().with_key(Some("sk-wrong"));
    assert_eq!(stranger.chat("gpt", "hi").status, 401);
    gateway.get("/v1/models");
    gateway.get("/health");
    gateway.client().stream("gpt", "hi");
    let payload = wait_for(&receiver, 1).remove(0);
    assert_eq!((&payload["stream"], &payload["status"]), (&json!(true), &json!("success")));
    let time = |name: &str| payload[name].as_f64().unwrap();
    assert!(time("startTime") < time("completionStartTime"), "{payload:#}");
    assert!(time("completionStartTime") <= time("endTime"), "{payload:#}");
}

#[test]
fn requests_of_one_moment_go_together_and_a_format_is_chosen() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let (lines, single) = (receiver(), receiver());
    let callbacks = format!(
        "callback_settings:\n  lines: {{endpoint: '{}', log_format: ndjson, event_types: \
         [llm_api_success]}}\n  single: {{endpoint: '{}', log_format: single}}\n",
        lines.url(),
        single.url()
    );
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .litellm("callbacks: [lines, single]")
        .variable("DEFAULT_BATCH_SIZE", "3")
        .variable("DEFAULT_FLUSH_INTERVAL_SECONDS", "3600")
        .top(&callbacks)
        .start();
    let client = gateway.client();
    assert_eq!(client.chat("nope", "hi").status, 404);
    for _ in 0..3 {
        client.chat("gpt", "hi");
    }
    eventually("a batch is complete", || lines.requests().len() == 1);
    let body = String::from_utf8(lines.last_request().body.to_vec()).unwrap();
    let read: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read.len(), 3, "the failure is no event of this one");
    // Of four the first three are a batch.
    eventually("each is by itself", || single.requests().len() == 3);
    assert!(single.requests().iter().all(|request| request.json()["id"].is_string()));
}

#[test]
fn langfuse_gets_a_trace_and_a_generation() {
    let upstream = upstream::openai().replies(chat("hello").usage(10, 5)).start();
    let answer = body_of("application/json", r#"{"successes":[],"errors":[]}"#).with_status(207);
    let langfuse = upstream::openai().replies(answer).start();
    let group = group("gpt").deployment(openai(&upstream).model("openai/gpt-4o"));
    let gateway = told(group, "success_callback: [langfuse]\nlangfuse_default_tags: [cache_hit]")
        .variable("LANGFUSE_PUBLIC_KEY", "pk-lf-1")
        .variable("LANGFUSE_SECRET_KEY", "sk-lf-secret")
        .variable("LANGFUSE_HOST", &langfuse.url())
        .start();
    let metadata = json!({"trace_id": "mine", "session_id": "s", "generation_name": "g"});
    gateway.client().ask("gpt", "hi").set("metadata", metadata).send();
    let sent = eventually_some("the events arrive", || langfuse.requests().pop());
    assert_eq!((sent.method.as_str(), &*sent.path), ("POST", "/api/public/ingestion"));
    // pk-lf-1:sk-lf-secret
    assert_eq!(sent.header("authorization"), Some("Basic cGstbGYtMTpzay1sZi1zZWNyZXQ="));
    let batch = sent.json()["batch"].as_array().unwrap().clone();
    let [trace, generation] = batch.as_slice() else { panic!("{batch:#?}") };
    assert_eq!(trace["type"], "trace-create");
    assert_eq!((&trace["body"]["id"], &trace["body"]["sessionId"]), (&json!("mine"), &json!("s")));
    assert_eq!(generation["type"], "generation-create");
    assert_eq!(generation["body"]["traceId"], "mine");
    assert_eq!(generation["body"]["name"], "g");
    assert_eq!(generation["body"]["model"], "gpt-4o");
    assert_eq!(generation["body"]["usageDetails"]["input"], 10);
    assert!(generation["body"]["costDetails"]["total"].as_f64().unwrap() > 0.0);
    assert!(!sent.body.windows(5).any(|part| part == b"hello"), "nobody has asked for replies");
    eventually("it is counted", || counted(&gateway, "langfuse", "sent") == 1);
}

#[test]
fn langfuse_tells_of_each_event_and_what_it_cannot_take_now_is_sent_again() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let langfuse = stepped::Stepped::start();
    let gateway = told(group("gpt").deployment(&upstream), "callbacks: [langfuse]")
        .variable("LANGFUSE_PUBLIC_KEY", "pk")
        .variable("LANGFUSE_SECRET_KEY", "sk-lf-secret")
        .variable("LANGFUSE_HOST", &format!("http://{}", langfuse.address()))
        .variable("DEFAULT_BATCH_SIZE", "3")
        .variable("DEFAULT_FLUSH_INTERVAL_SECONDS", "3600")
        .start();
    for name in ["fine", "wrong", "later"] {
        let metadata = json!({ "generation_id": name });
        gateway.client().ask("gpt", "hi").set("metadata", metadata).send();
    }
    let answer = |mut called: stepped::Called, errors: &Value| {
        let body = json!({"successes": [], "errors": errors}).to_string();
        let head = "HTTP/1.1 207 Multi-Status\r\nconnection: close\r\ncontent-length: ";
        called.send(format!("{head}{}\r\n\r\n{body}", body.len()));
        called.end();
    };
    let events = |called: &stepped::Called| {
        let sent: Value = serde_json::from_slice(&called.body).unwrap();
        sent["batch"].as_array().unwrap().clone()
    };
    let first = langfuse.called();
    let sent = events(&first);
    assert_eq!(sent.len(), 6);
    let id = |name: &str| {
        let mine = sent.iter().find(|event| event["body"]["id"] == name).unwrap();
        mine["id"].clone()
    };
    let errors = json!([
        {"id": id("wrong"), "status": 400, "message": "bad"},
        {"id": id("later"), "status": 500, "message": "busy"},
    ]);
    answer(first, &errors);
    let second = langfuse.called();
    let names: Vec<_> = events(&second).iter().map(|event| event["body"]["id"].clone()).collect();
    assert_eq!(names.len(), 2, "one trace and its generation: {names:?}");
    assert_eq!(names[1], "later");
    answer(second, &json!([]));
    eventually("all are counted", || {
        counted(&gateway, "langfuse", "sent") == 2 && counted(&gateway, "langfuse", "failed") == 1
    });
}

#[test]
fn datadog_gets_log_entries_packed_and_with_its_key() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let datadog = upstream::openai().replies(body_of("application/json", "{}").with_status(202));
    let datadog = datadog.start();
    let gateway = told(group("gpt").deployment(&upstream), "callbacks: [datadog]")
        .variable("DD_API_KEY", "dd-secret-key")
        .variable("DD_SITE", "us5.datadoghq.com")
        .variable("DD_BASE_URL", &datadog.url())
        .variable("DD_ENV", "prod")
        .start();
    let asked = gateway.client().ask("gpt", "hi").set("metadata", json!({"tags": ["blue"]}));
    asked.send();
    gateway.client().chat("nope", "hi");
    let entries = eventually_some("the entries arrive", || {
        let mut entries = Vec::new();
        for sent in datadog.requests() {
            assert_eq!((sent.method.as_str(), &*sent.path), ("POST", "/api/v2/logs"));
            assert_eq!(sent.header("dd-api-key"), Some("dd-secret-key"));
            assert_eq!(sent.header("content-encoding"), Some("gzip"));
            let mut text = String::new();
            GzDecoder::new(&*sent.body).read_to_string(&mut text).unwrap();
            let list: Vec<Value> = serde_json::from_str(&text).unwrap();
            entries.extend(list);
        }
        (entries.len() == 2).then_some(entries)
    });
    assert_eq!((&entries[0]["status"], &entries[1]["status"]), (&json!("info"), &json!("error")));
    let tags = entries[0]["ddtags"].as_str().unwrap();
    assert!(tags.contains("env:prod") && tags.contains("request_tag:blue"), "{tags}");
    let message: Value = serde_json::from_str(entries[0]["message"].as_str().unwrap()).unwrap();
    assert_eq!((&message["model_group"], &message["status"]), (&json!("gpt"), &json!("success")));
}

#[test]
fn s3_gets_an_object_for_each_request_under_litellms_key_and_with_a_right_signature() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let s3 = receiver();
    let params = format!(
        "callbacks: [s3_v2]\ns3_callback_params:\n  s3_bucket_name: logs\n  s3_region_name: \
         eu-west-1\n  s3_endpoint_url: {}\n  s3_path: gw/live\n  s3_aws_access_key_id: \
         AKIDEXAMPLE\n  s3_aws_secret_access_key: wJalrXUtnFEMI\n  s3_use_key_prefix: true",
        s3.url()
    );
    let gateway = told(group("gpt").deployment(&upstream), &params)
        .master_key("sk-right-master-key")
        .top("key_settings:\n  - {api_key: sk-of-the-key-of-the-tests, alias: 'my key'}\n")
        .start();
    gateway.client().with_key(Some("sk-of-the-key-of-the-tests")).chat("gpt", "hi");
    let sent = eventually_some("the object arrives", || s3.requests().pop());
    assert_eq!(sent.method.as_str(), "PUT");
    let payload = sent.json();
    let id = payload["id"].as_str().unwrap();
    let (folder, name) = sent.path.rsplit_once('/').unwrap();
    let date = folder.strip_prefix("/logs/gw/live/my%20key/").unwrap();
    assert_eq!(date.len(), "2026-11-21".len(), "{date}");
    let time = name.strip_prefix("time-").unwrap().strip_suffix(&format!("_{id}.json")).unwrap();
    let lengths: Vec<_> = time.split('-').map(str::len).collect();
    assert_eq!(lengths, [2, 2, 2, 6], "{time}");
    assert_eq!(payload["metadata"]["user_api_key_alias"], "my key");

    let date = sent.header("x-amz-date").unwrap();
    let time = time_of(date);
    let now = SystemTime::now();
    assert!(now.duration_since(time).is_ok_and(|age| age < Duration::from_secs(120)), "{date}");
    let signed = signature(&sent, time, SigningSettings::default());
    assert_eq!(sent.header("authorization"), Some(&*signed));
    eventually("it is counted", || counted(&gateway, "s3_v2", "sent") == 1);
}

/// `20261121T120000Z`.
fn time_of(date: &str) -> SystemTime {
    let parsed = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", date).unwrap();
    let time = parsed.to_datetime().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    time.timestamp().into()
}

/// What `Authorization` has to say, by AWS's own code.
fn signature(sent: &Recorded, time: SystemTime, mut settings: SigningSettings) -> String {
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI", None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("s3")
        .time(time)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let host = sent.header("host").unwrap();
    let headers = [("content-type", "application/json"), ("host", host)];
    let uri = format!("http://{host}{}", sent.path);
    let body = SignableBody::Bytes(&sent.body);
    let request = SignableRequest::new("PUT", uri, headers.into_iter(), body).unwrap();
    let (instructions, _) = sign(request, &params).unwrap().into_parts();
    let (headers, _) = instructions.into_parts();
    let found = headers.iter().find(|header| header.name() == "authorization");
    found.unwrap().value().to_owned()
}
