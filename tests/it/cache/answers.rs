use super::*;
use crate::spend::Books;

#[test]
fn the_same_request_is_answered_from_memory_whatever_its_spelling() {
    let provider = changing();
    let gateway = caching(&provider, "").start();
    let client = gateway.client();
    let ask = || client.ask("gpt", "hi").set("temperature", 1).set("max_tokens", 9);
    assert_eq!(told(ask()), pair("MISS", "one"));
    let spelt = r#"{ "max_tokens": 9, "user": "somebody", "temperature": 1.0,
        "messages": [{"content": "h\u0069", "role": "user"}], "model": "gpt" }"#;
    let again = client.post("/v1/chat/completions").header("content-type", "application/json");
    assert_eq!(told(again.bytes(spelt)), pair("HIT", "one"));
    assert_eq!(told(ask()), pair("HIT", "one"));
    assert_eq!(told(client.ask("gpt", "ho")), pair("MISS", "two"));
    assert_eq!(told(ask().set("temperature", 0.5)), pair("MISS", "three"));
    assert_eq!(provider.requests().len(), 3);
}

#[test]
fn a_hit_costs_nothing_and_says_what_it_saved() {
    let provider = changing();
    let gateway = caching(&provider, "").start();
    let limited = key(&gateway, json!({"rpm_limit": 3, "max_budget": 0.0015}));
    let client = holder(&gateway, &limited);
    let ask = || client.ask("gpt", "hi").set("max_tokens", 10);
    let first = ask().send();
    assert_eq!(first.header("x-litellm-response-cost"), "0.001");
    assert_eq!(first.header("x-litellm-cache-key"), "");
    let second = ask().send();
    assert_eq!(second.header("x-tollgate-cache"), "HIT");
    assert_eq!(second.header("x-litellm-response-cost"), "0");
    let name = second.header("x-litellm-cache-key").to_owned();
    assert_eq!(name.len(), 64, "{second:?}");
    assert_eq!(second.header("x-litellm-model-group"), "gpt");
    assert_eq!(second.header("x-litellm-model-id"), first.header("x-litellm-model-id"));
    assert_eq!(second.json(), first.json(), "byte for byte");

    let logged = gateway.logged(second.request_id());
    assert_eq!((&logged["cache"], &logged["cache_key"]), (&json!("hit"), &json!(name)));
    assert_eq!((&logged["cost_usd"], &logged["saved_usd"]), (&json!(0), &json!(0.001)));
    assert!(logged.get("usage").is_none(), "{logged}");
    assert_eq!(gateway.logged(first.request_id())["cache"], "miss");

    let books = Books::of(&gateway);
    eventually("both have rows", || books.rows().len() == 2);
    let row = books.row(second.request_id());
    assert!(row.cache_hit);
    assert_eq!((row.cost_pico, row.usage.total_tokens()), (0, 0));
    assert_eq!((row.saved_pico, row.saved_tokens), (1_000_000_000, 15));
    assert_eq!(row.cache_key.as_deref(), Some(&*name));
    assert_eq!(row.provider.as_deref(), Some("openai"));
    let miss = books.row(first.request_id());
    assert!(!miss.cache_hit && miss.cost_pico == 1_000_000_000);

    let labels = "requested_model=\"gpt\"";
    assert_eq!(metric(&gateway, "litellm_cache_hits_metric_total", labels), 1.0);
    assert_eq!(metric(&gateway, "litellm_cache_misses_metric_total", labels), 1.0);
    assert_eq!(metric(&gateway, "litellm_cached_tokens_metric_total", labels), 15.0);
    assert_eq!(metric(&gateway, "tollgate_cache_saved_dollars_total", labels), 0.001);
    assert_eq!(metric(&gateway, "tollgate_cache_entries", ""), 1.0);
    assert!(metric(&gateway, "tollgate_cache_bytes", "") > 100.0);

    // It counts as a request, and only as that: the budget has room for no second reply.
    assert_eq!(ask().send().header("x-tollgate-cache"), "HIT");
    assert_eq!(ask().send().status, 429);
    assert_eq!(provider.requests().len(), 1);
}

#[test]
fn what_the_request_says_of_the_cache_is_done() {
    let provider = changing();
    let gateway = caching(&provider, "").start();
    let client = gateway.client();
    let ask = |cache: Value| client.ask("gpt", "hi").set("cache", cache);
    assert_eq!(told(ask(json!({"no-store": true}))), pair("MISS", "one"));
    assert_eq!(told(ask(json!({}))), pair("MISS", "two"));
    assert_eq!(told(ask(json!({"s-maxage": 600}))), pair("HIT", "two"));
    assert_eq!(told(ask(json!({"no-cache": true}))), pair("BYPASS", "three"));
    assert_eq!(told(client.ask("gpt", "hi")), pair("HIT", "three"), "it was kept all the same");
    let header = client.ask("gpt", "hi").header("cache-control", "no-cache, no-store");
    assert_eq!(told(header), pair("BYPASS", "four"));
    assert_eq!(told(ask(json!({"namespace": "mine"}))), pair("MISS", "five"));
    let named = ask(json!({"namespace": "mine"})).send();
    assert!(named.header("x-litellm-cache-key").starts_with("mine:"), "{named:?}");
    assert_eq!(named.text(), "five");
    assert!(provider.requests().iter().all(|request| request.json().get("cache").is_none()));

    let refused = ask(json!({"ttl": "soon"})).send();
    assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some("cache")));
    let refused = client
        .post("/v1/messages")
        .json(&json!({"model": "gpt", "max_tokens": 5, "cache": [],
            "messages": [{"role": "user", "content": "hi"}]}))
        .send();
    assert_eq!((refused.status, &refused.json()["type"]), (400, &json!("error")));
}

#[test]
fn a_reply_is_kept_for_as_long_as_it_is_said() {
    let provider = changing();
    let gateway = caching(&provider, ", ttl: 3600").start();
    let client = gateway.client();
    let ask = |cache: Value| client.ask("gpt", "hi").set("cache", cache);
    assert_eq!(told(ask(json!({"ttl": 0.3}))), pair("MISS", "one"));
    let mut last = told(client.ask("gpt", "hi"));
    eventually("the reply is too old", || {
        if last.0 == "HIT" {
            last = told(client.ask("gpt", "hi"));
        }
        last.0 == "MISS"
    });
    assert_eq!(last, pair("MISS", "two"));
    assert_eq!(told(client.ask("gpt", "hi")), pair("HIT", "two"));
    eventually("it is older than is wanted", || {
        told(ask(json!({"s-maxage": 0.05, "no-store": true}))).0 == "MISS"
    });
}

#[test]
fn a_cache_that_is_off_by_default_has_to_be_asked_for() {
    let provider = changing();
    let gateway = caching(&provider, ", mode: default_off").start();
    let client = gateway.client();
    let ask = |cache: Value| client.ask("gpt", "hi").set("cache", cache);
    assert_eq!(told(client.ask("gpt", "hi")), pair("BYPASS", "one"));
    assert_eq!(told(ask(json!({"use-cache": true}))), pair("MISS", "two"));
    assert_eq!(told(ask(json!({"use-cache": true}))), pair("HIT", "two"));
    assert_eq!(told(client.ask("gpt", "hi")), pair("BYPASS", "three"));
}

#[test]
fn only_the_calls_that_are_named_are_kept_and_without_a_cache_nothing_is_said() {
    let provider = changing();
    let gateway = caching(&provider, ", supported_call_types: [aembedding]").start();
    assert_eq!(told(gateway.client().ask("gpt", "hi")), pair("", "one"));
    assert_eq!(told(gateway.client().ask("gpt", "hi")), pair("", "two"));
    let embed = || {
        let body = json!({"model": "gpt", "input": ["a", "b"]});
        gateway.client().post("/v1/embeddings").json(&body).send()
    };
    let (one, two) = (embed(), embed());
    assert_eq!(one.header("x-tollgate-cache"), "MISS", "{}", one.body_text());
    assert_eq!(two.header("x-tollgate-cache"), "HIT");
    assert_eq!(one.json(), two.json());

    let off = gateway::with(group("gpt").deployment(&provider)).start();
    let reply = off.client().ask("gpt", "hi").set("cache", json!({"no-cache": true})).send();
    assert_eq!((reply.status, reply.header("x-tollgate-cache")), (200, ""));
    assert!(provider.last_request().json().get("cache").is_none());
}

#[test]
fn a_stream_is_replayed_as_a_stream_and_as_a_whole_and_the_reverse() {
    let answer = || stream(["hel", "lo ", "there"]).usage(5, 10);
    for (first_streams, say) in [(true, "a"), (false, "b")] {
        let provider = upstream::openai().replies(answer()).start();
        let gateway = caching(&provider, "").start();
        let client = gateway.client();
        if first_streams {
            let stream = client.ask("gpt", say).stream();
            assert_eq!((stream.text().as_str(), stream.usage()), ("hello there", None));
            assert_eq!(stream.header("x-tollgate-cache"), "MISS");
        } else {
            assert_eq!(told(client.ask("gpt", say)), pair("MISS", "hello there"));
        }
        let whole = client.ask("gpt", say).send();
        assert_eq!(whole.header("x-tollgate-cache"), "HIT");
        assert_eq!(
            (whole.text().as_str(), whole.header("content-type")),
            ("hello there", "application/json")
        );
        let body = whole.json();
        assert_eq!(body["object"], "chat.completion");
        assert_eq!(body["choices"][0]["finish_reason"], "stop");
        assert_eq!(body["usage"]["total_tokens"], 15);

        let plain = client.ask("gpt", say).stream();
        assert_eq!(plain.header("x-tollgate-cache"), "HIT");
        assert!(plain.header("content-type").starts_with("text/event-stream"));
        assert_eq!((plain.text().as_str(), plain.usage()), ("hello there", None));
        assert_eq!(plain.finish_reason(), Some("stop"));
        assert!(plain.ended_with_done && !plain.cut && plain.error.is_none(), "{plain:?}");
        for event in &plain.events {
            assert_eq!(event["object"], "chat.completion.chunk", "{event}");
            assert_eq!(event["id"], body["id"]);
        }
        let options = json!({"include_usage": true});
        let counted = client.ask("gpt", say).set("stream_options", options).stream();
        assert_eq!(counted.usage().unwrap()["total_tokens"], 15, "{counted:?}");
        assert_eq!(counted.events.last().unwrap()["choices"], json!([]));
        assert_eq!(provider.requests().len(), 1);
    }
}

#[test]
fn every_dialect_has_its_own_replies_in_all_shapes() {
    let answer = || stream(["hel", "lo"]).usage(5, 10);
    let gpt = upstream::openai().replies(answer()).start();
    let claude = upstream::anthropic().replies(answer()).start();
    let flash = upstream::gemini().replies(answer()).start();
    for first_streams in [true, false] {
        let gateway = gateway::with(group("gpt").deployment(&gpt))
            .and(group("claude").deployment(anthropic(&claude)))
            .and(group("flash").deployment(gemini(&flash)))
            .litellm("cache: true")
            .start();
        let client = gateway.client();
        let asked = |model: &str, api: &str, streams: bool| {
            let said = json!([{"role": "user", "content": "hi"}]);
            let ask = match api {
                "chat" => client.ask(model, "hi"),
                "messages" => {
                    let body = json!({"model": model, "max_tokens": 50, "messages": said});
                    client.post("/v1/messages").json(&body)
                }
                "responses" => {
                    client.post("/v1/responses").json(&json!({"model": model, "input": "hi"}))
                }
                _ => {
                    let method =
                        if streams { "streamGenerateContent?alt=sse" } else { "generateContent" };
                    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
                    let path = format!("/v1beta/models/{model}:{method}");
                    return client.post(&path).json(&body).send();
                }
            };
            if streams { ask.set("stream", true).send() } else { ask.send() }
        };
        for model in ["gpt", "claude", "flash"] {
            for api in ["chat", "messages", "responses", "generate"] {
                let first = asked(model, api, first_streams);
                let what = format!("{model} {api}: {}", first.body_text());
                assert_eq!(
                    (first.status, first.header("x-tollgate-cache")),
                    (200, "MISS"),
                    "{what}"
                );
                let same = asked(model, api, first_streams);
                assert_eq!(same.header("x-tollgate-cache"), "HIT", "{what}");
                let other = asked(model, api, !first_streams);
                assert_eq!(other.header("x-tollgate-cache"), "HIT", "{what}");
                let (streamed, whole) = match first_streams {
                    true => (same, other),
                    false => (other, same),
                };
                let whole = whole.json();
                let place = match api {
                    "chat" => "/choices/0/message/content",
                    "messages" => "/content/0/text",
                    "responses" => "/output/0/content/0/text",
                    _ => "/candidates/0/content/parts/0/text",
                };
                let said = whole.pointer(place).and_then(Value::as_str);
                assert_eq!(said, Some("hello"), "{model} {api}: {whole}");
                // Google ends its lines as HTTP does.
                let text = streamed.body_text().replace("\r\n", "\n");
                let events = text.split("\n\n").filter_map(|event| {
                    let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
                    serde_json::from_str::<Value>(data).ok()
                });
                let pieces: String = events
                    .filter_map(|event| {
                        let place = match api {
                            "chat" => "/choices/0/delta/content",
                            "messages" => "/delta/text",
                            "responses" => "/delta",
                            _ => "/candidates/0/content/parts/0/text",
                        };
                        event.pointer(place)?.as_str().map(str::to_owned)
                    })
                    .collect();
                assert_eq!(pieces, "hello", "{model} {api}: {text}");
                let end = match api {
                    "chat" => "data: [DONE]\n\n",
                    _ => "\n\n",
                };
                assert!(text.ends_with(end), "{text}");
            }
        }
    }
}

#[test]
fn what_went_wrong_is_not_kept() {
    let gone_wrong = [
        status(500),
        content_filtered("I would"),
        chat("cut").finish_reason("error"),
        stream(["hel", "lo"]).cut_after(1),
        stream(["hel", "lo"]).error_frame_after(1, "overloaded", "too much"),
        content_filtered("I would"),
    ];
    for (number, reply) in gone_wrong.into_iter().enumerate() {
        let provider = upstream::openai().replies(reply).start();
        let gateway = caching(&provider, "").start();
        let client = gateway.client();
        let ask = || match number < 3 {
            true => client.ask("gpt", "hi").send().header("x-tollgate-cache").to_owned(),
            false => client.ask("gpt", "hi").stream().header("x-tollgate-cache").to_owned(),
        };
        assert_eq!((ask(), ask()), ("MISS".into(), "MISS".into()), "reply {number}");
        assert_eq!(provider.requests().len(), 2, "reply {number}");
        // A well-formed one is kept after that.
        provider.now_replies(chat("hello"));
        assert_eq!((ask(), ask()), ("MISS".into(), "HIT".into()), "reply {number}");
    }
}

#[test]
fn what_stood_in_for_another_group_is_not_kept() {
    let broken = upstream::openai().replies(status(500)).start();
    let spare = upstream::openai().replies(chat("spare")).start();
    let gateway = gateway::with(group("gpt").deployment(&broken))
        .and(group("spare").deployment(&spare))
        .litellm("cache: true\nfallbacks: [{gpt: [spare]}]")
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start();
    for _ in 0..2 {
        assert_eq!(told(gateway.client().ask("gpt", "hi")), pair("MISS", "spare"));
    }
    broken.now_replies(chat("itself"));
    assert_eq!(told(gateway.client().ask("gpt", "hi")), pair("MISS", "itself"));
    assert_eq!(told(gateway.client().ask("gpt", "hi")), pair("HIT", "itself"));
}

#[test]
fn what_chooses_the_model_is_part_of_what_is_asked() {
    let provider = changing();
    let gateway = gateway::with(group("openai/*").deployment(openai(&provider).model("openai/*")))
        .and(group("gpt").deployment(&provider))
        .litellm("cache: true")
        .router("model_group_alias: {other: gpt}")
        .start();
    let client = gateway.client();
    assert_eq!(told(client.ask("openai/a", "hi")), pair("MISS", "one"));
    assert_eq!(told(client.ask("openai/b", "hi")), pair("MISS", "two"));
    assert_eq!(told(client.ask("gpt", "hi")), pair("MISS", "three"));
    assert_eq!(told(client.ask("other", "hi")), pair("HIT", "three"), "an alias is its group");
    assert_eq!(told(client.ask("openai/a", "hi")), pair("HIT", "one"));
    let tagged = client.ask("gpt", "hi").set("tags", json!(["job-7"]));
    assert_eq!(told(tagged), pair("HIT", "three"), "tags choose nothing here");
}

#[test]
fn what_stands_in_an_extra_body_is_part_of_what_is_asked() {
    let provider = changing();
    let gateway = caching(&provider, ", scope: global").start();
    let client = gateway.client();
    let other = json!({"messages": [{"role": "user", "content": "ho"}]});
    assert_eq!(told(client.ask("gpt", "hi").set("extra_body", other)), pair("MISS", "one"));
    assert_eq!(told(client.ask("gpt", "hi")), pair("MISS", "two"), "nobody answers for others");
    assert_eq!(told(client.ask("gpt", "ho")), pair("HIT", "one"));
    let warm = client.ask("gpt", "hi").set("extra_body", json!({"temperature": 0.5}));
    assert_eq!(told(warm), pair("MISS", "three"));
    let warm = client.ask("gpt", "hi").set("temperature", 0.5);
    assert_eq!(told(warm), pair("HIT", "three"));
    let fresh = json!({"cache": {"no-cache": true}});
    let fresh = client.ask("gpt", "hi").set("extra_body", fresh);
    assert_eq!(told(fresh), pair("BYPASS", "four"));
}

#[test]
fn text_completions_are_kept_in_both_shapes() {
    for first_streams in [true, false] {
        let provider = upstream::openai().replies(chat("hello there").usage(5, 10)).start();
        let gateway = caching(&provider, "").start();
        let ask = |streams: bool| {
            let body = json!({"model": "gpt", "prompt": "hi", "stream": streams});
            gateway.client().post("/v1/completions").json(&body).send()
        };
        assert_eq!(ask(first_streams).header("x-tollgate-cache"), "MISS");
        let whole = ask(false);
        assert_eq!(whole.header("x-tollgate-cache"), "HIT");
        let whole = whole.json();
        assert_eq!(
            (&whole["object"], &whole["choices"][0]["text"]),
            (&json!("text_completion"), &json!("hello there"))
        );
        let streamed = ask(true);
        assert_eq!(streamed.header("x-tollgate-cache"), "HIT");
        let text = streamed.body_text();
        let said: String = text
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: {"))
            .map(|rest| serde_json::from_str::<Value>(&format!("{{{rest}")).unwrap())
            .filter_map(|chunk| chunk["choices"][0]["text"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(said, "hello there", "{text}");
        assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("\"usage\":{"), "{text}");
        assert_eq!(provider.requests().len(), 1);
    }
}

#[test]
fn what_goes_on_from_what_a_provider_keeps_is_not_looked_up() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let gateway = caching(&provider, "").start();
    let client = gateway.client();
    for more in [json!({"conversation": "conv_1"}), json!({"background": true})] {
        let mut body = json!({"model": "gpt", "input": "hi"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        for _ in 0..2 {
            let reply = client.post("/v1/responses").json(&body).send();
            assert_eq!(reply.header("x-tollgate-cache"), "BYPASS", "{}", reply.body_text());
        }
    }
}
