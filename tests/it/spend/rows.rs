//! One row for each request, whatever it asks for and however it ends.

use http::Method;
use serde_json::json;

use super::{Books, COST, PRICES};
use crate::harness::*;
use crate::media::form;

#[test]
fn whatever_is_asked_for_has_one_row() {
    let usage = || chat("hello").usage(11, 7);
    let upstream = upstream::openai().replies(usage()).start();
    let embedding = json!({"object": "list", "model": "e", "usage": {"prompt_tokens": 11, "total_tokens": 11},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]});
    let vectors = upstream::openai().replies(json(&embedding)).start();
    let picture = json!({"created": 1, "data": [{"b64_json": "AAAA"}],
        "usage": {"total_tokens": 18, "input_tokens": 11, "output_tokens": 7}});
    let pictures = upstream::openai().replies(json(&picture)).start();
    let words = upstream::openai().replies(json(&json!({"text": "hi"}))).start();
    let sounds = upstream::openai().replies(body_of("audio/mpeg", vec![1u8; 1_000])).start();
    let order =
        json!({"results": [{"index": 0, "relevance_score": 0.5}], "usage": {"total_tokens": 11}});
    let orders = upstream::openai().replies(json(&order)).start();
    let at =
        |model: &str, upstream: &Upstream| Deployment::at(model, &upstream.api_base()).with(PRICES);
    let gateway = gateway::with(group("gpt").deployment(openai(&upstream).with(PRICES)))
        .and(group("e").deployment(at("openai/text-embedding-3-small", &vectors)))
        .and(group("i").deployment(at("openai/gpt-image-1", &pictures)))
        .and(group("w").deployment(at("openai/whisper-1", &words)))
        .and(group("s").deployment(at("openai/tts-1", &sounds)))
        .and(group("r").deployment(at("jina_ai/jina-reranker-v2-base-multilingual", &orders)))
        .start();
    let (client, books) = (gateway.client(), Books::of(&gateway));
    let asked = json!([{"role": "user", "content": "hi"}]);

    let mut ids = Vec::new();
    let mut called = |path: &str, body: serde_json::Value| {
        let reply = client.post(path).json(&body).send();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        ids.push((reply.request_id().to_owned(), path.to_owned()));
    };
    called("/v1/chat/completions", json!({"model": "gpt", "messages": asked, "user": "ada"}));
    called("/v1/chat/completions", json!({"model": "gpt", "messages": asked, "stream": true}));
    called("/v1/messages", json!({"model": "gpt", "max_tokens": 9, "messages": asked}));
    called("/v1/responses", json!({"model": "gpt", "input": "hi"}));
    called(
        "/v1beta/models/gpt:generateContent",
        json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
    );
    called("/v1/embeddings", json!({"model": "e", "input": "hi"}));
    called("/v1/images/generations", json!({"model": "i", "prompt": "a cat"}));
    called("/v1/audio/speech", json!({"model": "s", "input": "hi", "voice": "alloy"}));
    called("/v1/rerank", json!({"model": "r", "query": "q", "documents": ["a"]}));
    let spoken =
        form(client.post("/v1/audio/transcriptions"), &[("model", "w")], Some(("file", &[1; 90])));
    ids.push((spoken.send().request_id().to_owned(), "/v1/audio/transcriptions".into()));

    for (id, path) in &ids {
        let row = books.row(id);
        assert_eq!((&*row.route, row.status, &row.error), (&**path, 200, &None), "{row:?}");
        assert!(row.deployment.is_some() && row.duration_us > 0, "{row:?}");
        assert!(row.usage != Default::default(), "{row:?}");
    }
    let chatted = books.row(&ids[0].0);
    assert_eq!((chatted.usage.input_tokens, chatted.usage.output_tokens), (11, 7));
    assert_eq!((chatted.cost_pico, chatted.end_user.as_deref()), (COST, Some("ada")));
    assert_eq!((&*chatted.model, chatted.group.as_deref()), ("gpt", Some("gpt")));
    assert_eq!(chatted.provider.as_deref(), Some("openai"));
    let streamed = books.row(&ids[1].0);
    assert!(streamed.stream && streamed.first_token_us.is_some(), "{streamed:?}");
    assert_eq!(streamed.cost_pico, COST);
    assert_eq!(books.rows().len(), ids.len(), "and no other has one");
    let all: u64 = books.rows().iter().map(|row| row.cost_pico).sum();
    assert_eq!(books.spent(), all);
}

#[test]
fn what_is_passed_as_it_is_has_a_row() {
    let replies = chat("hello").usage(11, 7);
    let upstream = upstream::openai().replies(replies).start();
    let deployment = openai(&upstream).model("gpt-4o-mini").with(PRICES);
    let gateway = gateway::with(group("gpt").deployment(deployment)).start();
    let (client, books) = (gateway.client(), Books::of(&gateway));
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]});
    let path = "/openai_passthrough/v1/chat/completions";
    let whole = client.post(path).json(&body).send();
    let streamed = client.post(path).json(&body).set("stream", true).stream();
    assert_eq!(streamed.text(), "hello");
    for id in [whole.request_id(), streamed.request_id()] {
        let row = books.row(id);
        assert_eq!((&*row.route, row.status, &row.error), (path, 200, &None), "{row:?}");
        assert!(row.deployment.is_some());
        assert_eq!(row.upstream_model.as_deref(), Some("gpt-4o-mini"));
    }
    assert_eq!(books.row(whole.request_id()).cost_pico, COST);
}

#[test]
fn pages_and_strangers_have_no_row() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).master_key("sk-master-of-all").start();
    let client = gateway.client();
    for path in ["/health", "/v1/models", "/metrics", "/nothing"] {
        client.get(path);
    }
    assert_eq!(client.with_key(Some("sk-wrong")).chat("gpt", "hi").status, 401);
    let last = gateway.client().chat("gpt", "hi");
    let row = Books::of(&gateway).row(last.request_id());
    assert_eq!(&*row.key, "master");
    assert_eq!(Books::of(&gateway).rows().len(), 1);
}

#[test]
fn what_failed_says_why_and_what_it_took() {
    let busy = upstream::openai().replies(status(500)).start();
    let free = upstream::openai().replies(chat("hello").usage(11, 7)).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&busy).order(1)))
        .and(group("other").deployment(openai(&free).with(PRICES)))
        .router(
            "num_retries: 1\nretry_after: 0\ndisable_cooldowns: true\nfallbacks: [{gpt: [other]}]",
        )
        .start();
    let (client, books) = (gateway.client(), Books::of(&gateway));

    let fallen = books.row(client.chat("gpt", "hi").request_id());
    assert_eq!((fallen.status, fallen.retries, fallen.fallbacks), (200, 1, 1), "{fallen:?}");
    assert_eq!((&*fallen.model, fallen.group.as_deref()), ("gpt", Some("other")));
    assert_eq!(fallen.cost_pico, COST);

    let ask = client.ask("gpt", "hi").set("disable_fallbacks", true);
    let failed = books.row(ask.send().request_id());
    assert_eq!((failed.status, failed.error.as_deref()), (500, Some("server")), "{failed:?}");
    assert_eq!((failed.cost_pico, failed.group.as_deref()), (0, Some("gpt")));

    let unknown = books.row(client.chat("nobody", "hi").request_id());
    assert_eq!((unknown.error.as_deref(), &unknown.group), (Some("model"), &None));
    let reply = client.post("/v1/chat/completions").bytes("{").send();
    assert_eq!(books.row(reply.request_id()).error.as_deref(), Some("body"));
}

#[test]
fn failures_that_cost_nothing_may_be_left_out() {
    let upstream = upstream::openai().replies_in_turn([status(400), chat("hello")]).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .general("disable_error_logs: true")
        .start();
    assert_eq!(gateway.client().chat("gpt", "hi").status, 400);
    let reply = gateway.client().chat("gpt", "hi");
    let books = Books::of(&gateway);
    books.row(reply.request_id());
    assert_eq!(books.rows().len(), 1);
}

#[test]
fn who_leaves_pays_for_what_was_streamed() {
    let upstream = upstream::openai().replies(stream(["hello ", "world"]).stall_after(1)).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&upstream).with(PRICES))).start();
    let mut open = gateway.client().ask("gpt", "hi").open();
    assert_eq!(open.next_text().as_deref(), Some("hello "));
    let id = open.header("x-request-id").to_owned();
    drop(open);
    let row = Books::of(&gateway).row(&id);
    assert!(row.client_gone && row.usage.estimated, "{row:?}");
    assert_eq!(row.error.as_deref(), Some("client_closed"));
    assert!(row.usage.input_tokens > 0 && row.usage.output_tokens > 0, "{row:?}");
    assert!(row.cost_pico > 0);
}

#[test]
fn a_stream_that_breaks_has_a_row_with_what_came() {
    let upstream = upstream::openai().replies(stream(["hello ", "world"]).cut_after(1)).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&upstream).with(PRICES))).start();
    let broken = gateway.client().stream("gpt", "hi");
    let row = Books::of(&gateway).row(broken.request_id());
    assert_eq!((row.status, row.error.as_deref()), (200, Some("connection")), "{row:?}");
    assert!(row.cost_pico > 0 && row.usage.output_tokens > 0);
}

#[test]
fn the_same_id_twice_is_two_requests() {
    let upstream = upstream::openai().replies(chat("hello").usage(11, 7)).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&upstream).with(PRICES))).start();
    for _ in 0..3 {
        gateway.client().ask("gpt", "hi").header("x-request-id", "mine").send();
    }
    let books = Books::of(&gateway);
    eventually("three rows", || books.rows_of("mine").len() == 3);
    assert_eq!(books.spent(), 3 * COST);
}

#[test]
fn rows_know_tags_sessions_and_what_clients_want_to_find() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let metadata = json!({"tags": ["a", "b", "a"], "spend_logs_metadata": {"job": "j1"}});
    let ask = gateway.client().ask("gpt", "hi").set("metadata", metadata);
    let reply =
        ask.header("x-litellm-session-id", "s1").header("x-litellm-customer-id", "bob").send();
    let row = Books::of(&gateway).row(reply.request_id());
    assert_eq!(row.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((row.session.as_deref(), row.end_user.as_deref()), (Some("s1"), Some("bob")));
    assert_eq!(row.metadata.as_deref(), Some(r#"{"job":"j1"}"#));
    assert_eq!(row.client_ip.as_deref(), Some("127.0.0.1"));
}

#[test]
fn shadows_are_paid_by_nobody_but_the_gateway() {
    let upstream = upstream::openai().replies(chat("hello").usage(11, 7)).start();
    let shown = openai(&upstream).with(PRICES).with("silent_model: shadow");
    let gateway = gateway::with(group("gpt").deployment(shown))
        .and(group("shadow").deployment(openai(&upstream).with(PRICES)))
        .master_key("sk-master-of-all")
        .start();
    let reply = gateway.client().chat("gpt", "hi");
    let books = Books::of(&gateway);
    assert_eq!(&*books.row(reply.request_id()).key, "master");
    let shadow = books.row(&format!("{}.shadow", reply.request_id()));
    assert_eq!((&*shadow.key, shadow.cost_pico, shadow.status), ("", COST, 200), "{shadow:?}");
}

#[test]
fn pages_tell_whether_the_database_is_there() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let ready = || gateway.get("/health/readiness").json();
    eventually("the database is connected", || ready()["db"] == "connected");
    gateway.client().chat("gpt", "hi");
    let metric = |line: &str| gateway.get("/metrics").body_text().lines().any(|it| it == line);
    eventually("the row is written", || {
        metric("tollgate_spend_records_total{result=\"written\"} 1")
            && metric("tollgate_spend_pending_records 0")
    });
    assert!(metric("tollgate_database_up 1") && metric("tollgate_spend_lag_seconds 0"));
    assert_eq!(gateway.client().request(Method::GET, "/health/readiness").send().status, 200);
}
