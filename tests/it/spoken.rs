//! What is said in requests, and who is told: traces, the database, the dashboard; what guardrails and the
//! operator's patterns keep from them, and who may say that nobody is to be told.

use prost::Message;
use serde_json::{Value, json};
use tollgate::telemetry::traces::otlp;

use crate::harness::gateway::Builder;
use crate::harness::*;

const MASTER: &str = "sk-master-of-this-test";
const PII: &str = "guardrail: pii, mode: pre_call";

/// Traces with all that is said.
fn told(builder: Builder, collector: &Upstream) -> Builder {
    builder
        .litellm("callbacks: [otel]")
        .top("callback_settings: {otel: {message_logging: true, service_name: gate, attributes: {zone: b}}}")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())
        .variable("OTEL_BSP_SCHEDULE_DELAY", "10")
}

/// Keeps what is said in the database.
fn kept(provider: &Upstream) -> Builder {
    gateway::with(group("gpt").deployment(openai(provider)))
        .router("num_retries: 0\ndisable_cooldowns: true")
        .master_key(MASTER)
        .general("store_prompts_in_spend_logs: true")
}

fn guardrail(params: &str) -> String {
    format!(
        "guardrails:\n- {{guardrail_name: g, litellm_params: {{default_on: true, {params}}}}}\n"
    )
}

/// The attributes of the request's own spans by now, each as one text.
fn spans(collector: &Upstream) -> Vec<Value> {
    let mut spans = Vec::new();
    for request in collector.requests() {
        let sent = otlp::Request::decode(request.body.clone()).unwrap();
        for span in
            sent.resource_spans.into_iter().flat_map(|it| it.scope_spans).flat_map(|it| it.spans)
        {
            if span.kind != i32::from(otlp::SpanKind::Server) {
                continue;
            }
            let mut texts = serde_json::Map::new();
            for one in span.attributes {
                if let Some(otlp::Value::Text(text)) = one.value.unwrap().value {
                    texts.insert(one.key, text.into());
                }
            }
            spans.push(texts.into());
        }
    }
    spans
}

/// The span of one request.
#[track_caller]
fn span_of(collector: &Upstream, id: &str) -> Value {
    eventually_some("the span arrives", || {
        spans(collector).into_iter().find(|span| span["tollgate.request_id"] == id)
    })
}

fn messages(span: &Value, name: &str) -> Value {
    serde_json::from_str(span[name].as_str().unwrap_or("null")).unwrap()
}

/// The row of a request, as soon as it is in the database; by its client's name for it.
#[track_caller]
fn row(gateway: &Gateway, call_id: &str) -> Value {
    eventually_some("the row is there", || {
        let found = gateway.client().get(&format!("/spend/logs?request_id={call_id}")).json();
        found.as_array()?.first().cloned()
    })
}

/// The same, as soon as what was said is there.
#[track_caller]
fn said(gateway: &Gateway, call_id: &str) -> Value {
    eventually_some("what was said is there", || {
        Some(row(gateway, call_id)).filter(|row| row["messages"] != json!({}))
    })
}

#[test]
fn spans_tell_prompts_and_replies_of_every_dialect() {
    let provider = upstream::openai().replies(echo()).start();
    let native = upstream::anthropic().replies(chat("hello")).start();
    let collector = collector();
    let gateway = gateway::with(group("gpt").deployment(openai(&provider)))
        .and(group("claude").deployment(anthropic(&native)));
    let gateway = told(gateway, &collector).start();
    let client = gateway.client();
    let asked = json!([{"role": "user", "content": "the plan"}]);
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "the plan"}]}]});
    let mut calls = Vec::new();
    for model in ["gpt", "claude"] {
        let answer = if model == "gpt" { "the plan" } else { "hello" };
        for stream in [false, true] {
            for (path, body) in [
                ("/v1/chat/completions", json!({"messages": asked})),
                ("/v1/messages", json!({"messages": asked, "max_tokens": 9})),
                ("/v1/responses", json!({"input": "the plan"})),
            ] {
                let sent = client.post(path).json(&body).set("model", model).set("stream", stream);
                calls.push((path.to_owned(), answer, sent.send()));
            }
            let way = match stream {
                true => "streamGenerateContent",
                false => "generateContent",
            };
            let path = format!("/v1beta/models/{model}:{way}");
            calls.push((path.clone(), answer, client.post(&path).json(&google).send()));
        }
    }
    let parts = |text: &str| json!([{"type": "text", "content": text}]);
    for (path, answer, reply) in calls {
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        let span = span_of(&collector, reply.request_id());
        let asked = messages(&span, "gen_ai.input.messages");
        assert_eq!(asked, json!([{"role": "user", "parts": parts("the plan")}]), "{path}");
        let told = messages(&span, "gen_ai.output.messages");
        assert_eq!(told[0]["role"], "assistant", "{path}: {span}");
        let text = told[0]["parts"][0]["content"].as_str().unwrap();
        assert!(text.contains(answer), "{path}: {told}");
        let end = told[0]["finish_reason"].as_str().unwrap();
        assert!(["stop", "end_turn", "completed"].contains(&end), "{path}: {told}");
    }
    let sent = otlp::Request::decode(collector.last_request().body).unwrap();
    let resource = format!("{:?}", sent.resource_spans[0].resource);
    assert!(resource.contains("\"gate\"") && resource.contains("\"zone\""), "{resource}");
}

#[test]
fn spans_hold_what_guardrails_let_on() {
    let provider = upstream::openai().replies(echo()).start();
    let mail = "ann@mail.example";
    let collector = collector();
    let start = |guardrails: &str| {
        let gateway = gateway::with(group("gpt").deployment(openai(&provider)));
        told(gateway.router("num_retries: 0").top(guardrails), &collector).start()
    };
    let spoken = |reply: (u16, &str)| {
        assert_eq!(reply.0, 200);
        let span = span_of(&collector, reply.1);
        let of = |name: &str| messages(&span, name).to_string();
        (of("gen_ai.input.messages"), of("gen_ai.output.messages"))
    };
    // Hidden from the provider and put back for the client: hidden here.
    let gateway = start(&guardrail(PII));
    let whole = gateway.client().chat("gpt", &format!("I am {mail}"));
    assert!(whole.text().contains(mail), "{}", whole.body_text());
    let streamed = gateway.client().stream("gpt", &format!("I am {mail}"));
    assert!(streamed.text().contains(mail));
    for reply in [(whole.status, whole.request_id()), (streamed.status, streamed.request_id())] {
        let (asked, told) = spoken(reply);
        assert!(asked.contains("I am <EMAIL_ADDRESS_1>") && !asked.contains(mail), "{asked}");
        assert!(told.contains("I am <EMAIL_ADDRESS_1>") && !told.contains(mail), "{told}");
    }
    // Masked in replies.
    let gateway = start(&guardrail("guardrail: pii, mode: post_call"));
    let masked = gateway.client().chat("gpt", &format!("I am {mail}"));
    assert!(!masked.text().contains(mail));
    let (asked, told) = spoken((masked.status, masked.request_id()));
    assert!(asked.contains(mail), "nobody hides it: {asked}");
    assert!(told.contains("EMAIL_ADDRESS") && !told.contains(mail), "{told}");
    // Masked for the log only.
    let gateway = start(&guardrail("guardrail: pii, mode: logging_only"));
    let masked = gateway.client().chat("gpt", &format!("I am {mail}"));
    assert!(masked.text().contains(mail), "{}", masked.body_text());
    let streamed = gateway.client().stream("gpt", &format!("I am {mail}"));
    assert!(streamed.text().contains(mail));
    for reply in [(masked.status, masked.request_id()), (streamed.status, streamed.request_id())] {
        let (asked, told) = spoken(reply);
        assert!(asked.contains("EMAIL_ADDRESS") && !asked.contains(mail), "{asked}");
        assert!(told.contains("EMAIL_ADDRESS") && !told.contains(mail), "{told}");
    }
}

#[test]
fn of_what_a_guardrail_refuses_nobody_is_told() {
    let provider = upstream::openai().replies(echo()).start();
    let collector = collector();
    let words = "guardrail: litellm_content_filter, blocked_words: [{keyword: atlas}]";
    for mode in ["pre_call", "during_call", "post_call", "logging_only"] {
        let gateway = gateway::with(group("gpt").deployment(openai(&provider)))
            .router("num_retries: 0")
            .top(&guardrail(&format!("{words}, mode: {mode}")));
        let gateway = told(gateway, &collector).start();
        let refused = gateway.client().chat("gpt", "tell me of atlas");
        assert_eq!(refused.status, if mode == "logging_only" { 200 } else { 400 });
        let span = span_of(&collector, refused.request_id());
        assert!(!span.to_string().contains("atlas"), "{mode}: {span}");
        assert_eq!(span.get("gen_ai.input.messages"), None, "{mode}");
        let streamed = gateway.client().ask("gpt", "tell me of atlas").set("stream", true).send();
        let span = span_of(&collector, streamed.request_id());
        assert!(!span.to_string().contains("atlas"), "{mode}: {span}");
        let fine = gateway.client().chat("gpt", "tell me of rivers");
        let span = span_of(&collector, fine.request_id());
        assert!(messages(&span, "gen_ai.output.messages").to_string().contains("rivers"), "{mode}");
    }
}

#[test]
fn what_is_said_is_kept_and_shown_with_its_row() {
    let provider = upstream::openai().replies(echo()).start();
    for database in [None, Some(postgres::database())] {
        let builder = kept(&provider);
        let gateway = match &database {
            None => builder,
            Some(url) => builder.general(&format!("database_url: {url}")),
        };
        let gateway = gateway.start();
        let client = gateway.client();
        let whole = client.chat("gpt", "the plan");
        let row = said(&gateway, whole.request_id());
        let asked = json!([{"role": "user", "content": "the plan"}]);
        assert_eq!(row["messages"], asked);
        assert_eq!(row["proxy_server_request"]["model"], "gpt");
        assert_eq!(row["response"], whole.json());
        let streamed = client.stream("gpt", "the plan");
        let row = said(&gateway, streamed.request_id());
        assert_eq!(row["response"]["choices"][0]["message"]["content"], streamed.text());
        assert_eq!(row["response"]["object"], "chat.completion");
        // The dashboard shows the same.
        let id = row["request_id"].as_str().unwrap();
        let shown = client.get(&format!("/ui/api/requests/{id}")).json();
        assert_eq!(shown["said"]["request"]["messages"], asked);
        assert_eq!(shown["said"]["reply"], row["response"]);
        // Lists do not.
        let list = client.get("/spend/logs").json();
        assert!(list.as_array().unwrap().len() >= 2, "{list}");
        assert!(!list.to_string().contains("the plan"), "{list}");
        let stored = "tollgate_stored_prompts_total{result=\"stored\"} 2";
        eventually("both are counted", || gateway.shows(stored));
    }
}

#[test]
fn only_who_may_see_a_request_is_told_what_was_said() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let gateway = kept(&provider).start();
    let client = gateway.client();
    let key = |user: &str| {
        let made = client.post("/key/generate").json(&json!({"user_id": user})).send();
        made.json()["key"].as_str().unwrap().to_owned()
    };
    let (ada, bob) = (key("ada"), key("bob"));
    let asked = client.clone().with_key(Some(&ada)).chat("gpt", "the plan");
    let id = said(&gateway, asked.request_id())["request_id"].as_str().unwrap().to_owned();
    let look = |key: &str, path: &str| {
        let url = format!("{path}{id}");
        let seen = client.clone().with_key(Some(key)).get(&url);
        (seen.status, seen.body_text())
    };
    for path in ["/spend/logs?request_id=", "/ui/api/requests/"] {
        let (status, seen) = look(&ada, path);
        assert!(status == 200 && seen.contains("the plan"), "{path}: {seen}");
        let (_, seen) = look(&bob, path);
        assert!(!seen.contains("the plan"), "{path}: {seen}");
        let (status, seen) = look("sk-nobody", path);
        assert!(status == 401 && !seen.contains("the plan"), "{path}: {seen}");
    }
}

#[test]
fn a_request_a_key_or_a_team_may_keep_it_to_itself() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let collector = collector();
    let start = |yaml: &str| told(kept(&provider).litellm(yaml), &collector).start();
    let gateway = start("global_disable_no_log_param: false");
    let client = gateway.client();
    let made = |path: &str, what: Value| client.post(path).json(&what).send().json();
    let silent = json!({"turn_off_message_logging": true});
    let by_callback = json!({"logging": [{"callback_name": "langfuse", "callback_vars": silent}]});
    let quiet = made("/key/generate", json!({"metadata": silent}));
    let vars = made("/key/generate", json!({"metadata": by_callback}));
    let team = made("/team/new", json!({"metadata": silent}));
    let member = made("/key/generate", json!({"team_id": team["team_id"]}));
    let ask = || client.ask("gpt", "the quiet plan");
    let by =
        |key: &Value| client.clone().with_key(key["key"].as_str()).ask("gpt", "the quiet plan");
    let quiet = [
        ask().set("no-log", true),
        ask().set("turn_off_message_logging", true),
        ask().set("metadata", json!({"no-log": "true"})),
        ask().header("x-litellm-enable-message-redaction", "true"),
        by(&quiet),
        by(&vars),
        by(&member),
    ];
    let ids: Vec<_> = quiet.into_iter().map(|ask| ask.send().request_id().to_owned()).collect();
    // What comes behind them is told: nothing is still on its way.
    let loud = ask().set("no-log", false).header("litellm-enable-message-redaction", "false");
    let loud = loud.send();
    assert_eq!(
        said(&gateway, loud.request_id())["response"]["choices"][0]["message"]["content"],
        "hello"
    );
    let span = span_of(&collector, loud.request_id());
    assert!(span.to_string().contains("the quiet plan"), "{span}");
    for (at, id) in ids.iter().enumerate() {
        let row = row(&gateway, id);
        assert_eq!((&row["messages"], &row["response"]), (&json!({}), &json!({})), "{at}");
        let span = span_of(&collector, id);
        assert!(!span.to_string().contains("quiet plan"), "{at}: {span}");
    }
    for request in provider.requests() {
        let sent = request.json();
        assert_eq!((sent.get("no-log"), sent.get("turn_off_message_logging")), (None, None));
    }

    // The operator may not care, and has the last word.
    let gateway = start("global_disable_no_log_param: true");
    let told = gateway.client().ask("gpt", "the quiet plan").set("no-log", true).send();
    said(&gateway, told.request_id());
    let gateway = start("turn_off_message_logging: true");
    let asked = gateway.client().chat("gpt", "the quiet plan");
    let span = span_of(&collector, asked.request_id());
    assert!(!span.to_string().contains("quiet plan"), "{span}");
    assert_eq!(row(&gateway, asked.request_id())["messages"], json!({}));
    assert!(gateway.shows("tollgate_stored_prompts_total{result=\"stored\"} 0"));
}

#[test]
fn patterns_of_the_operator_are_redacted_wherever_what_was_said_goes() {
    let provider = upstream::openai().replies(echo()).start();
    let collector = collector();
    let rules = "redact: [email, {pattern: 'CUST-\\d+', replacement: '<customer>'}]";
    let gateway = told(kept(&provider).general(rules), &collector).start();
    let said_it = "CUST-12 is ann@mail.example";
    let ask = gateway.client().ask("gpt", said_it).set("user", "bob@mail.example");
    let reply = ask.send();
    assert!(reply.text().contains(said_it), "the client is told all: {}", reply.body_text());
    assert!(provider.last_request().json().to_string().contains(said_it));
    let row = said(&gateway, reply.request_id());
    let [asked, told] = ["proxy_server_request", "response"].map(|name| row[name].to_string());
    for text in [&asked, &told, &span_of(&collector, reply.request_id()).to_string()] {
        assert!(text.contains("<customer> is [EMAIL]"), "{text}");
        assert!(!text.contains("CUST-12") && !text.contains("mail.example"), "{text}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let provider = upstream::openai().replies(chat(&"b".repeat(4000))).start();
    let gateway = kept(&provider).variable("MAX_STRING_LENGTH_PROMPT_IN_DB", "100").start();
    let reply = gateway.client().chat("gpt", &"a".repeat(5000));
    let row = said(&gateway, reply.request_id());
    let asked = row["messages"][0]["content"].as_str().unwrap();
    assert!(asked.starts_with("aaa") && asked.ends_with("aaa") && asked.len() < 200, "{asked}");
    assert!(asked.contains("... (litellm_truncated skipped 4900 chars) ..."), "{asked}");
    let told = row["response"]["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(told.contains("litellm_truncated") && told.len() < 200, "{told}");
    // Pictures are no words: they do not keep a request from being taken down.
    let picture = format!("data:image/png;base64,{}", "A".repeat(3 * 1024 * 1024));
    let content = json!([{"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": picture}}]);
    let messages = json!([{"role": "user", "content": content}]);
    let ask = gateway.client().post("/v1/chat/completions");
    let reply = ask.json(&json!({"model": "gpt", "messages": messages})).send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    let row = said(&gateway, reply.request_id());
    assert_eq!(row["messages"][0]["content"][0]["text"], "what is this?");
    assert!(row.to_string().len() < 4000);
}

#[test]
fn of_a_reply_is_kept_what_the_client_was_sent_of_it() {
    let failing = upstream::openai().replies(status(500)).start();
    let gateway = kept(&failing).start();
    let failed = gateway.client().chat("gpt", "the plan");
    assert_eq!(failed.status, 500);
    let row = said(&gateway, failed.request_id());
    assert_eq!(row["messages"][0]["content"], "the plan");
    assert_eq!(row["response"], json!({}));

    let breaking = upstream::openai().replies(stream(["one", "two"]).cut_after(1)).start();
    let gateway = kept(&breaking).start();
    let broken = gateway.client().ask("gpt", "the plan").stream();
    assert!(broken.error_code().is_some());
    let row = said(&gateway, broken.request_id());
    let choice = &row["response"]["choices"][0];
    assert_eq!(choice["message"]["content"], "one", "what was seen of it: {row}");
    assert!(choice["finish_reason"].is_null() && row["response"].get("error").is_none(), "{row}");
}

#[test]
fn a_reply_from_the_cache_is_told_like_any() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let gateway = kept(&provider).litellm("cache: true").start();
    let first = gateway.client().chat("gpt", "the plan");
    let second = gateway.client().chat("gpt", "the plan");
    let third = gateway.client().stream("gpt", "the plan");
    assert_eq!(provider.requests().len(), 1, "the others are hits");
    for id in [first.request_id(), second.request_id(), third.request_id()] {
        let row = said(&gateway, id);
        assert_eq!(row["response"]["choices"][0]["message"]["content"], "hello", "{row}");
    }
}
