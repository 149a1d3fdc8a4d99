//! Replies that are found by what is meant. The model that makes vectors says what the test wants: in
//! two dimensions, by the words of the question.

use std::time::{Duration, Instant};

use super::*;
use crate::harness::raw;
use crate::harness::redis::Redis;
use crate::harness::searching::Searching;
use crate::spend::Books;

/// A hundred-thousandth of a dollar for a token of a question.
const VECTOR_PRICE: &str = "input_cost_per_token: 0.00001";

/// Whether somebody asks for the vector of a text with this in it.
fn about(what: &'static str) -> impl Fn(&Recorded) -> bool + Send + Sync + 'static {
    move |request| request.json()["input"].as_str().is_some_and(|text| text.contains(what))
}

/// A reply with this vector.
fn direction(x: f64, y: f64) -> mock::Reply {
    json(
        &json!({"object": "list", "model": "bge", "usage": {"prompt_tokens": 4, "total_tokens": 4},
        "data": [{"object": "embedding", "index": 0, "embedding": [x, y]}]}),
    )
}

/// The model that makes vectors: of two questions about Paris the cosine is 0.96, of any other and of
/// these it is 0 at most.
fn vectors() -> Upstream {
    upstream::openai()
        .when(about("capital of France"), direction(2.0, 0.0))
        .when(about("France's capital"), direction(0.96, 0.28))
        .when(about("weather"), direction(0.0, 1.0))
        .when(about("nowhere"), status(400).json_error("context_length_exceeded", "too long"))
        .replies(direction(-1.0, 0.0))
        .start()
}

/// The group that makes them.
fn embedding(vectors: &Upstream) -> Group {
    let model = openai(vectors).model("openai/bge").id("bge").with(VECTOR_PRICE);
    group("vectors").deployment(model)
}

fn builder(provider: &Upstream, vectors: &Upstream, kind: &str, params: &str) -> Builder {
    let params = format!(
        "cache: true\ncache_params: {{type: {kind}, similarity_threshold: 0.9, \
         semantic_cache_embedding_model: vectors{params}}}"
    );
    gateway::with(group("gpt").deployment(openai(provider).with(PRICE)))
        .and(group("other").deployment(openai(provider).model("openai/gpt-4.1")))
        .and(embedding(vectors))
        .litellm(&params)
        .router("num_retries: 0")
        .master_key(MASTER)
}

/// A gateway that finds replies by meaning.
fn semantic(provider: &Upstream, vectors: &Upstream, params: &str) -> Gateway {
    let params = format!(", semantic_cache_timeout: 20{params}");
    let builder = builder(provider, vectors, "local-semantic", &params);
    builder.router("disable_cooldowns: true").start()
}

const FIRST: &str = "What is the capital of France?";
const NEAR: &str = "Tell me France's capital.";
const FAR: &str = "How is the weather?";

#[test]
fn a_question_that_means_the_same_is_answered_from_the_cache() {
    let (provider, vectors) = (changing(), vectors());
    let gateway = semantic(&provider, &vectors, "");
    let client = gateway.client();
    let first = client.ask("gpt", FIRST).send();
    assert_eq!((first.header("x-tollgate-cache"), first.text().as_str()), ("MISS", "one"));
    assert_eq!(first.header("x-litellm-semantic-similarity"), "", "there was nothing to compare");
    assert_eq!(vectors.last_request().json()["input"], FIRST);
    assert_eq!(vectors.last_request().json()["model"], "bge");

    let near = client.ask("gpt", NEAR).send();
    assert_eq!((near.header("x-tollgate-cache"), near.text().as_str()), ("HIT", "one"));
    assert_eq!(near.header("x-litellm-semantic-similarity"), "0.9600");
    assert_eq!(near.header("x-litellm-response-cost"), "0");
    assert_eq!(near.json(), first.json(), "byte for byte");
    let far = client.ask("gpt", FAR).send();
    assert_eq!((far.header("x-tollgate-cache"), far.text().as_str()), ("MISS", "two"));
    assert_eq!(far.header("x-litellm-semantic-similarity"), "0.0000");

    // The very same needs no vector, and neither does what is known to be near.
    assert_eq!(vectors.request_count(), 3);
    let again = client.ask("gpt", FIRST).send();
    assert_eq!((again.header("x-tollgate-cache"), again.text().as_str()), ("HIT", "one"));
    assert_eq!(again.header("x-litellm-semantic-similarity"), "");
    let known = client.ask("gpt", NEAR).send();
    assert_eq!(known.header("x-litellm-semantic-similarity"), "0.9600");
    assert_eq!(known.header("x-litellm-cache-key"), again.header("x-litellm-cache-key"));
    assert_eq!((vectors.request_count(), provider.request_count()), (3, 2));
}

#[test]
fn nothing_but_the_question_may_differ() {
    let (provider, vectors) = (upstream::openai().replies(chat("yes")).start(), vectors());
    let gateway = semantic(&provider, &vectors, ", scope: key");
    let client = gateway.client();
    let asked = |said: &str| json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": said}]);
    let word = |ask: Ask| ask.send().header("x-tollgate-cache").to_owned();
    assert_eq!(word(client.ask("gpt", "x").set("messages", asked(FIRST))), "MISS");
    assert_eq!(word(client.ask("gpt", "x").set("messages", asked(NEAR))), "HIT");
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let other_system =
        json!([{"role": "system", "content": "be verbose"}, {"role": "user", "content": NEAR}]);
    let longer = json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"}, {"role": "user", "content": NEAR}]);
    let near = || client.ask("gpt", "x").set("messages", asked(NEAR));
    for (what, ask) in [
        ("another model", client.ask("other", "x").set("messages", asked(NEAR))),
        ("other instructions", near().set("messages", other_system)),
        ("earlier turns", near().set("messages", longer)),
        ("a tool", near().set("tools", tool)),
        ("a temperature", near().set("temperature", 0.5)),
        ("a format", near().set("response_format", json!({"type": "json_object"}))),
        ("a namespace", near().set("cache", json!({"namespace": "n"}))),
    ] {
        assert_eq!(word(ask), "MISS", "{what}");
    }
    let user = holder(&gateway, &key(&gateway, json!({})));
    assert_eq!(word(user.ask("gpt", "x").set("messages", asked(NEAR))), "MISS", "another key");
    let messages = client.post("/v1/messages").json(&json!({"model": "gpt", "max_tokens": 9,
        "system": "be brief", "messages": [{"role": "user", "content": NEAR}]}));
    assert_eq!(messages.send().header("x-tollgate-cache"), "MISS", "another API");
}

#[test]
fn what_is_not_asked_in_words_alone_is_not_compared() {
    let (provider, vectors) = (upstream::openai().replies(chat("yes")).start(), vectors());
    let gateway = semantic(&provider, &vectors, "");
    let client = gateway.client();
    let picture = json!([{"role": "user", "content": [{"type": "text", "text": FIRST},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]);
    let tool = json!([{"role": "user", "content": FIRST},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "Paris"}]);
    for messages in [picture, tool] {
        let ask = || client.ask("gpt", "x").set("messages", messages.clone()).send();
        assert_eq!(ask().header("x-tollgate-cache"), "MISS");
        assert_eq!(ask().header("x-tollgate-cache"), "HIT", "the very same is still the same");
    }
    let long = format!("{FIRST} {}", "why? ".repeat(10_000));
    assert_eq!(client.ask("gpt", &long).send().status, 200);
    assert_eq!(vectors.request_count(), 0);
}

#[test]
fn every_dialect_and_every_shape_is_answered() {
    let provider = upstream::openai().replies(stream(["hel", "lo"]).usage(5, 10)).start();
    let vectors = vectors();
    let gateway = semantic(&provider, &vectors, "");
    let client = gateway.client();
    let asked = |api: &str, said: &str, streams: bool| {
        let messages = json!([{"role": "user", "content": said}]);
        let ask = match api {
            "chat" => client.ask("gpt", said),
            "messages" => client
                .post("/v1/messages")
                .json(&json!({"model": "gpt", "max_tokens": 50, "messages": messages})),
            "responses" => {
                client.post("/v1/responses").json(&json!({"model": "gpt", "input": said}))
            }
            _ => {
                let method =
                    if streams { "streamGenerateContent?alt=sse" } else { "generateContent" };
                let body = json!({"contents": [{"parts": [{"text": said}]}]});
                return client.post(&format!("/v1beta/models/gpt:{method}")).json(&body).send();
            }
        };
        if streams { ask.set("stream", true).send() } else { ask.send() }
    };
    for api in ["chat", "messages", "responses", "generate"] {
        assert_eq!(asked(api, FIRST, true).header("x-tollgate-cache"), "MISS", "{api}");
        for streams in [false, true] {
            let near = asked(api, NEAR, streams);
            assert_eq!(near.header("x-tollgate-cache"), "HIT", "{api} {}", near.body_text());
            assert_eq!(near.header("x-litellm-semantic-similarity"), "0.9600", "{api}");
            let text = near.body_text();
            match streams {
                true => assert!(text.contains("hel") && text.contains("\"lo\""), "{api} {text}"),
                false => assert!(text.contains("\"hello\""), "{api} {text}"),
            }
        }
    }
    assert_eq!(provider.request_count(), 4);
}

#[test]
fn what_the_request_says_of_the_cache_is_done_by_meaning_too() {
    let (provider, vectors) = (changing(), vectors());
    let gateway = semantic(&provider, &vectors, "");
    let client = gateway.client();
    let ask = |said: &str, cache: Value| client.ask("gpt", said).set("cache", cache);
    // It is not answered, but kept and found.
    assert_eq!(told(ask(FIRST, json!({"no-cache": true}))), pair("BYPASS", "one"));
    eventually("its vector is there", || metric(&gateway, "tollgate_cache_vectors", "") == 1.0);
    assert_eq!(told(ask(NEAR, json!({"no-cache": true, "no-store": true}))), pair("BYPASS", "two"));
    assert_eq!(vectors.request_count(), 1, "nobody needs that one");
    assert_eq!(told(ask(NEAR, json!({"no-store": true}))), pair("HIT", "one"));
    assert_eq!(told(ask(FAR, json!({"no-store": true}))), pair("MISS", "three"));
    assert_eq!(told(client.ask("gpt", FAR)), pair("MISS", "four"), "it was not kept");
    assert_eq!(told(ask(NEAR, json!({"s-maxage": 600, "namespace": "n"}))), pair("MISS", "five"));
    eventually("the first is older than is wanted", || {
        told(ask("France's capital, once more", json!({"s-maxage": 0.05, "no-store": true}))).0
            == "MISS"
    });
    // A reply that is gone is found by nobody.
    let hit = client.ask("gpt", NEAR).send();
    assert_eq!(hit.header("x-tollgate-cache"), "HIT");
    let name = hit.header("x-litellm-cache-key").to_owned();
    assert_eq!(client.post("/cache/delete").json(&json!({"keys": [name]})).send().status, 200);
    assert_eq!(told(client.ask("gpt", NEAR)).0, "MISS");
    assert_eq!(told(client.ask("gpt", FIRST)).0, "HIT", "near to what was kept just now");
    assert_eq!(client.post("/cache/flushall").send().status, 200);
    assert_eq!(metric(&gateway, "tollgate_cache_vectors", ""), 0.0);
    assert_eq!(told(client.ask("gpt", FIRST)).0, "MISS");
}

#[test]
fn a_vector_is_paid_by_the_gateway_and_a_hit_by_nobody() {
    let (provider, vectors) = (changing(), vectors());
    let gateway = semantic(&provider, &vectors, "");
    // Enough for one reply, and not for a vector more.
    let limited = key(&gateway, json!({"max_budget": 0.00101, "models": ["gpt"]}));
    let client = holder(&gateway, &limited);
    let ask = |said: &str| client.ask("gpt", said).set("max_tokens", 10).send();
    let first = ask(FIRST);
    assert_eq!(first.header("x-litellm-response-cost"), "0.001", "{}", first.body_text());
    let near = ask(NEAR);
    assert_eq!(near.header("x-tollgate-cache"), "HIT", "{}", near.body_text());

    let logged = gateway.logged(near.request_id());
    assert_eq!((&logged["cache"], &logged["cache_similarity"]), (&json!("hit"), &json!(0.96)));
    assert_eq!((&logged["cost_usd"], &logged["saved_usd"]), (&json!(0), &json!(0.001)));
    let line = gateway.logged(&format!("{}.embedding", near.request_id()));
    assert_eq!((&line["for_cache"], &line["call_id"]), (&json!(true), &json!(near.request_id())));
    assert_eq!((&line["deployment"], &line["status"]), (&json!("bge"), &json!(200)), "{line}");
    assert!(!line.to_string().contains("capital"), "{line}");

    let books = Books::of(&gateway);
    eventually("all have rows", || books.rows().len() == 4);
    for reply in [&first, &near] {
        let row = books.row(&format!("{}.embedding", reply.request_id()));
        assert_eq!(
            (&*row.key, row.cost_pico, row.usage.input_tokens),
            ("", 40_000_000, 4),
            "{row:?}"
        );
        assert_eq!((&*row.route, row.status), ("cache-embedding", 200));
    }
    let row = books.row(near.request_id());
    assert!(row.cache_hit);
    assert_eq!((row.cost_pico, row.saved_pico, row.saved_tokens), (0, 1_000_000_000, 15));
    let labels = "requested_model=\"gpt\"";
    assert_eq!(metric(&gateway, "litellm_cache_hits_metric_total", labels), 1.0);
    assert_eq!(metric(&gateway, "tollgate_cache_semantic_hits_total", labels), 1.0);
    assert_eq!(metric(&gateway, "tollgate_cache_embeddings_total", "success"), 2.0);
    let logs = gateway.client().get(&format!("/spend/logs?request_id={}", row.request_id));
    assert!(logs.body_text().contains("\"semantic_similarity\":0.96"), "{}", logs.body_text());
}

#[test]
fn a_model_that_fails_is_a_miss_and_is_left_alone_for_a_while() {
    let provider = upstream::openai().replies(chat("yes")).start();
    let vectors = upstream::openai().replies(status(500)).start();
    let gateway = semantic(&provider, &vectors, "");
    let client = gateway.client();
    for number in 0..8 {
        assert_eq!(told(client.ask("gpt", &format!("question {number}"))), pair("MISS", "yes"));
    }
    assert!((3..8).contains(&vectors.request_count()), "{}", vectors.request_count());
    assert!(metric(&gateway, "tollgate_cache_embeddings_total", "failure") >= 3.0);
    assert!(metric(&gateway, "tollgate_cache_embeddings_total", "left_out") >= 1.0);
    assert_eq!(told(client.ask("gpt", "question 1")), pair("HIT", "yes"), "the very same is known");
    vectors.now_replies(direction(1.0, 0.0));
    let mut number = 8;
    eventually("it is asked again", || {
        number += 1;
        told(client.ask("gpt", &format!("question {number}"))).0 == "HIT"
    });
}

#[test]
fn a_question_that_no_vector_is_made_of_says_nothing_of_the_model() {
    let (provider, vectors) = (upstream::openai().replies(chat("yes")).start(), vectors());
    let gateway = semantic(&provider, &vectors, "");
    let client = gateway.client();
    for number in 0..6 {
        assert_eq!(told(client.ask("gpt", &format!("nowhere {number}"))), pair("MISS", "yes"));
    }
    assert_eq!(vectors.request_count(), 6);
    assert_eq!(told(client.ask("gpt", FIRST)), pair("MISS", "yes"));
    assert_eq!(told(client.ask("gpt", NEAR)), pair("HIT", "yes"));
}

#[test]
fn a_vector_that_does_not_come_is_not_waited_for() {
    let provider = upstream::openai().replies(chat("yes")).start();
    let vectors = upstream::openai().replies(never_answers()).start();
    let params = ", semantic_cache_timeout: 0.2";
    let gateway = builder(&provider, &vectors, "local-semantic", params).start();
    let client = gateway.client();
    let began = Instant::now();
    for number in 0..5 {
        assert_eq!(told(client.ask("gpt", &format!("question {number}"))), pair("MISS", "yes"));
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(vectors.request_count() < 5, "after three in a row nobody asks");
    assert_eq!(gateway.cooling("vectors"), 0, "it was our haste, not its fault");
}

#[test]
fn a_client_that_leaves_while_its_vector_is_made_leaves_at_once() {
    let provider = upstream::openai().replies(chat("yes")).start();
    let vectors =
        upstream::openai().replies(direction(1.0, 0.0).stall_after(Point::Bytes(3))).start();
    let gateway = semantic(&provider, &vectors, "");
    let body =
        json!({"model": "gpt", "messages": [{"role": "user", "content": FIRST}]}).to_string();
    let mut leaving = raw::connect(&gateway);
    leaving.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {MASTER}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert!(vectors.wait_for_stall(patience()));
    drop(leaving);
    eventually("it is noticed", || metric(&gateway, "litellm_in_flight_requests", "") == 0.0);
    assert_eq!(provider.request_count(), 0);
    vectors.release();
    eventually("what was asked is paid", || {
        metric(&gateway, "tollgate_cache_embeddings_total", "success") == 1.0
    });
}

#[test]
fn of_many_that_ask_the_same_one_asks_for_its_vector() {
    let (provider, vectors) = (upstream::openai().replies(chat("yes")).start(), vectors());
    let gateway = semantic(&provider, &vectors, "");
    assert_eq!(told(gateway.client().ask("gpt", FIRST)).0, "MISS");
    vectors.now_replies(direction(0.96, 0.28).stall_after(Point::Bytes(3)));
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let client = gateway.client().own_connections();
            meanwhile(move || {
                client.chat("gpt", NEAR).header("x-litellm-semantic-similarity").to_owned()
            })
        })
        .collect();
    eventually("all are in flight", || metric(&gateway, "litellm_in_flight_requests", "") == 6.0);
    assert!(vectors.wait_for_stall(patience()));
    vectors.release();
    for client in clients {
        assert_eq!(client.join().unwrap(), "0.9600");
    }
    assert_eq!((vectors.request_count(), provider.request_count()), (2, 1));
}

#[test]
fn a_reload_changes_how_near_is_near() {
    let (provider, vectors) = (changing(), vectors());
    let gateway = semantic(&provider, &vectors, "");
    let client = gateway.client();
    assert_eq!(told(client.ask("gpt", FIRST)), pair("MISS", "one"));
    assert_eq!(told(client.ask("gpt", NEAR)), pair("HIT", "one"));
    let path = gateway.config_path();
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.contains("similarity_threshold: 0.9,"), "{written}");
    std::fs::write(
        &path,
        written.replace("similarity_threshold: 0.9,", "similarity_threshold: 0.99,"),
    )
    .unwrap();
    gateway.signal("HUP");
    eventually("it is too far now", || told(client.ask("gpt", NEAR)).0 == "MISS");
}

/// A gateway whose replies are in the Redis at this port.
fn sharing(provider: &Upstream, vectors: &Upstream, port: u16) -> Gateway {
    let place = format!(
        ", semantic_cache_timeout: 20, host: 127.0.0.1, port: {port}, socket_timeout: 3, \
         namespace: test"
    );
    let gateway = builder(provider, vectors, "redis-semantic", &place).start();
    eventually("Redis is found", || gateway.get("/health").json()["limits"]["counted"] == "shared");
    gateway
}

#[test]
fn gateways_share_what_redis_compares() {
    let (provider, vectors, search) = (changing(), vectors(), Searching::start());
    let [one, other] = [(); 2].map(|()| sharing(&provider, &vectors, search.port()));
    assert_eq!(told(one.client().ask("gpt", FIRST)), pair("MISS", "one"));
    let hashes = || search.redis.ask("KEYS test:tollgate:vector:2:*").matches("vector:2:").count();
    eventually("it is marked", || hashes() == 1);
    let near = other.client().ask("gpt", NEAR).send();
    assert_eq!((near.header("x-tollgate-cache"), near.text().as_str()), ("HIT", "one"));
    assert_eq!(near.header("x-litellm-semantic-similarity"), "0.9600");
    assert_eq!(told(other.client().ask("gpt", FAR)), pair("MISS", "two"));
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    assert_eq!(told(one.client().ask("gpt", NEAR).set("tools", tools)), pair("MISS", "three"));
    assert_eq!(metric(&one, "tollgate_cache_vectors", ""), 0.0, "nothing is compared here");
    assert_eq!(search.indexes(), ["test:tollgate:vectors:2"], "made once");
    assert!(search.searched() >= 3, "{}", search.searched());
    one.wait_for_message("Redis compares the vectors of the cache");

    // A reply that is gone is no hit, and its question goes with it.
    let name = near.header("x-litellm-cache-key").to_owned();
    eventually("all are marked", || hashes() == 3);
    assert_eq!(
        one.client().post("/cache/delete").json(&json!({"keys": [name]})).send().status,
        200
    );
    assert_eq!(told(other.client().ask("gpt", "And France's capital?")).0, "MISS");
    eventually("one has gone and one has come", || hashes() == 3);
    let flushed = one.client().post("/cache/flushall").send();
    assert_eq!(flushed.status, 200, "{flushed:?}");
    assert_eq!(hashes(), 0);
}

#[test]
fn without_a_vector_search_in_redis_each_gateway_compares_by_itself() {
    let (provider, vectors, redis) = (changing(), vectors(), Redis::start());
    let [one, other] = [(); 2].map(|()| sharing(&provider, &vectors, redis.port()));
    assert_eq!(told(one.client().ask("gpt", FIRST)), pair("MISS", "one"));
    eventually("its vector is there", || metric(&one, "tollgate_cache_vectors", "") == 1.0);
    assert_eq!(told(one.client().ask("gpt", NEAR)), pair("HIT", "one"));
    assert_eq!(
        told(other.client().ask("gpt", FIRST)),
        pair("HIT", "one"),
        "the very same is shared"
    );
    let ping = one.get("/cache/ping").json();
    assert_eq!(ping["cache_type"], "redis-semantic", "{ping}");
    assert_eq!(ping["litellm_cache_params"]["similarity_threshold"], 0.9);
}
