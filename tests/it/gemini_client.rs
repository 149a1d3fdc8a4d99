//! Clients that speak Google's `generateContent`: what they are told by each kind of provider, how
//! they show their key, and how their streams end.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::harness::client::Ask;
use crate::harness::*;

/// A gateway with a group for each provider: what is said of one holds for all.
struct Gateways {
    upstreams: BTreeMap<&'static str, Upstream>,
    gateway: Gateway,
}

impl Gateways {
    fn saying(reply: &mock::Reply) -> Self {
        Self::of("openai/gpt-4o-mini", reply)
    }

    fn of(openai_model: &str, reply: &mock::Reply) -> Self {
        let openai_upstream = upstream::openai().replies(reply.clone()).start();
        let anthropic_upstream = upstream::anthropic().replies(reply.clone()).start();
        let gateway =
            gateway::with(group("gpt").deployment(openai(&openai_upstream).model(openai_model)))
                .and(group("claude").deployment(anthropic(&anthropic_upstream)))
                .start();
        let upstreams = [("gpt", openai_upstream), ("claude", anthropic_upstream)].into();
        Self { upstreams, gateway }
    }

    fn each(&self, check: impl Fn(&'static str, &Upstream, &Client)) {
        let client = self.gateway.client();
        for (model, upstream) in &self.upstreams {
            check(model, upstream, &client);
        }
    }
}

fn generate(client: &Client, model: &str, body: &Value) -> Reply {
    client.post(&format!("/v1beta/models/{model}:generateContent")).json(body).send()
}

/// The frames of a stream, and its body as it came.
fn stream(client: &Client, model: &str, query: &str, body: &Value) -> (Vec<Value>, String) {
    let path = format!("/v1beta/models/{model}:streamGenerateContent{query}");
    let reply = client.post(&path).json(body).send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    let text = reply.body_text();
    if query.contains("alt=sse") {
        assert!(reply.header("content-type").starts_with("text/event-stream"));
        assert!(!text.contains("[DONE]"), "{text}");
        let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        return (events.map(|data| serde_json::from_str(data).unwrap()).collect(), text);
    }
    assert_eq!(reply.header("content-type"), "application/json");
    (serde_json::from_str(&text).unwrap(), text)
}

fn hi() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
}

fn text_of(frames: &[Value]) -> String {
    let parts = frames.iter().filter_map(|it| it["candidates"][0]["content"]["parts"].as_array());
    parts.flatten().filter_map(|part| part["text"].as_str()).collect()
}

fn weather() -> Value {
    json!([{"functionDeclarations": [{"name": "weather", "parameters":
        {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}}]}])
}

#[test]
fn a_text_is_told_whole_as_events_and_as_an_array() {
    Gateways::saying(&chat("hello there").usage(7, 3)).each(|model, _, client| {
        let reply = generate(client, model, &hi());
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        let body = reply.json();
        let candidate = &body["candidates"][0];
        assert_eq!(
            candidate["content"],
            json!({"role": "model", "parts": [{"text": "hello there"}]})
        );
        assert_eq!(candidate["finishReason"], "STOP");
        let usage =
            json!({"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10});
        assert_eq!(body["usageMetadata"], usage, "{model}");
        assert!(body["modelVersion"].is_string() && body["responseId"].is_string());

        for query in ["?alt=sse", "", "?alt=json"] {
            let (frames, _) = stream(client, model, query, &hi());
            assert_eq!(text_of(&frames), "hello there", "{model} {query}");
            let ends = frames.iter().map(|it| &it["candidates"][0]["finishReason"]);
            assert_eq!(ends.filter(|reason| reason.is_string()).count(), 1);
            let last = frames.last().unwrap();
            assert_eq!(last["candidates"][0]["finishReason"], "STOP");
            assert_eq!(last["usageMetadata"], usage, "{model} {query}");
        }
    });
}

#[test]
fn parallel_calls_come_whole_and_their_results_go_back() {
    let calls = [("weather", r#"{"city":"Oslo"}"#), ("weather", r#"{"city":"Rome"}"#)];
    Gateways::saying(&tool_calls(calls)).each(|model, upstream, client| {
        let mut body = hi();
        body["tools"] = weather();
        let whole = generate(client, model, &body).json();
        let (frames, _) = stream(client, model, "?alt=sse", &body);
        let all = [vec![whole.clone()], frames];
        for frames in &all {
            let parts = frames.iter().flat_map(|frame| {
                frame["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default()
            });
            let calls: Vec<Value> =
                parts.filter(|part| part.get("functionCall").is_some()).collect();
            let cities: Vec<_> =
                calls.iter().map(|part| &part["functionCall"]["args"]["city"]).collect();
            assert_eq!(cities, ["Oslo", "Rome"], "{model}");
            assert_ne!(calls[0]["functionCall"]["id"], calls[1]["functionCall"]["id"]);
            let last = frames.last().unwrap();
            assert_eq!(last["candidates"][0]["finishReason"], "STOP");
        }

        // The SDKs send the turn back as it came, and the results in one turn of the user.
        let turn = whole["candidates"][0]["content"].clone();
        let result = |part: &Value, output: &str| {
            let call = &part["functionCall"];
            json!({"functionResponse": {"id": call["id"], "name": call["name"],
                                        "response": {"output": output}}})
        };
        let results = json!([result(&turn["parts"][1], "sun"), result(&turn["parts"][0], "rain")]);
        body["contents"] = json!([
            {"role": "user", "parts": [{"text": "hi"}]}, turn, {"role": "user", "parts": results},
        ]);
        assert_eq!(generate(client, model, &body).status, 200);
        let sent = upstream.last_request().json();
        let expected = if model == "gpt" {
            sent["messages"][1]["tool_calls"][0]["id"].clone()
        } else {
            sent["messages"][1]["content"][0]["id"].clone()
        };
        assert_eq!(expected, turn["parts"][0]["functionCall"]["id"]);
        let sent = sent["messages"].to_string();
        assert!(sent.contains("sun") && sent.contains("rain"), "{sent}");

        // Where the SDK calls the functions itself, it leaves the ids out: the order counts.
        let results = body["contents"][2]["parts"].as_array_mut().unwrap();
        for result in results {
            result["functionResponse"].as_object_mut().unwrap().remove("id");
        }
        assert_eq!(generate(client, model, &body).status, 200);
        let sent = upstream.last_request().json();
        let answered = if model == "gpt" {
            [&sent["messages"][2]["tool_call_id"], &sent["messages"][3]["tool_call_id"]]
        } else {
            let results = &sent["messages"][2]["content"];
            [&results[0]["tool_use_id"], &results[1]["tool_use_id"]]
        };
        let called = [0, 1].map(|at| &turn["parts"][at]["functionCall"]["id"]);
        assert_eq!(answered, called, "{model}: {sent}");
    });
}

#[test]
fn images_and_schemas_reach_the_provider_in_its_words() {
    Gateways::saying(&chat("{}")).each(|model, upstream, client| {
        let body = json!({
            "contents": [{"parts": [
                {"text": "what is it?"},
                // As Google's Python SDK writes bytes.
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo_-A=="}},
            ]}],
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "generationConfig": {
                "responseMimeType": "application/json", "maxOutputTokens": 50,
                "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            },
            "safetySettings": [{"category": "x", "threshold": "BLOCK_NONE"}],
        });
        let reply = generate(client, model, &body);
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        let sent = upstream.last_request().json();
        let text = sent.to_string();
        assert!(text.contains("iVBORw0KGgo/+A=="), "{text}");
        assert!(text.contains(r#""type":"object""#) && text.contains("be brief"), "{text}");
        assert!(!text.contains("OBJECT") && !text.contains("safety"), "{text}");
        if model == "gpt" {
            assert_eq!(sent["response_format"]["json_schema"]["schema"]["type"], "object");
            assert_eq!(sent["max_completion_tokens"], 50);
        }
    });
}

#[test]
fn thoughts_are_told_to_those_who_ask() {
    let thinking = stream_of_thought();
    Gateways::of("openai/gpt-5-mini", &thinking).each(|model, _, client| {
        let mut body = hi();
        body["generationConfig"] =
            json!({"thinkingConfig": {"includeThoughts": true, "thinkingBudget": 2000}});
        let (frames, _) = stream(client, model, "?alt=sse", &body);
        let parts =
            frames.iter().filter_map(|it| it["candidates"][0]["content"]["parts"].as_array());
        let thoughts: String = parts
            .flatten()
            .filter(|part| part["thought"] == true)
            .filter_map(|part| part["text"].as_str())
            .collect();
        assert_eq!(thoughts, "hm, well", "{model}: {frames:?}");
        let (frames, _) = stream(client, model, "?alt=sse", &hi());
        assert_eq!(text_of(&frames), "yes", "{model}");
    });
}

fn stream_of_thought() -> mock::Reply {
    chat("yes").reasoning(["hm, ", "well"])
}

#[test]
fn errors_come_in_googles_shape() {
    Gateways::saying(&status(429).retry_after(7)).each(|model, _, client| {
        for method in ["generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent"]
        {
            let reply = client.post(&format!("/v1beta/models/{model}:{method}")).json(&hi()).send();
            assert_eq!(reply.status, 429, "{method}");
            assert_eq!(reply.json()["error"]["status"], "RESOURCE_EXHAUSTED");
            assert_eq!(reply.json()["error"]["code"], 429);
            assert_eq!(reply.header("retry-after"), "7");
        }
    });
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let client = gateway.client();
    for (body, param) in [
        (json!({}), "contents"),
        (json!({"contents": "a", "tools": [{"googleSearch": {}}]}), "tools[0].googleSearch"),
        (json!({"contents": "a", "brand_new": 1}), "brand_new"),
    ] {
        let reply = generate(&client, "gpt", &body);
        assert_eq!(reply.status, 400, "{}", reply.body_text());
        let error = &reply.json()["error"];
        assert_eq!(error["status"], "INVALID_ARGUMENT");
        assert_eq!(error["details"][0]["metadata"]["param"], param);
    }
    assert_eq!(generate(&client, "nobody", &hi()).json()["error"]["status"], "NOT_FOUND");
    assert_eq!(upstream.requests().len(), 0, "nothing of it was sent");
    let unknown = client.post("/v1beta/models/gpt:doMagic").json(&hi()).send();
    assert_eq!((unknown.status, unknown.json()["error"]["code"].clone()), (404, json!(404)));
}

#[test]
fn a_stream_that_breaks_ends_with_an_error_that_is_well_formed() {
    let broken = [
        chat("one two three four").error_frame_after(2, "overloaded_error", "too much"),
        chat("one two three four").cut_after(2),
    ];
    for reply in &broken {
        Gateways::saying(reply).each(|model, _, client| {
            for query in ["?alt=sse", ""] {
                let (frames, text) = stream(client, model, query, &hi());
                let (last, before) = frames.split_last().unwrap();
                assert!(last["error"]["code"].as_u64() >= Some(500), "{model} {text}");
                assert!(last["error"]["status"].is_string(), "{model} {text}");
                assert!(text_of(before).starts_with("one"), "{model} {text}");
                assert!(before.iter().all(|it| it["candidates"][0]["finishReason"].is_null()));
            }
        });
    }
}

#[test]
fn keys_are_taken_where_googles_clients_put_them() {
    const KEY: &str = "sk-google-style-1234";
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .general(&format!("master_key: {KEY}"))
        .start();
    let client = gateway.client().with_key(None);
    let ask = |query: &str| {
        client.post(&format!("/v1beta/models/gpt:generateContent{query}")).json(&hi())
    };
    let ok = |ask: Ask| {
        let reply = ask.send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        reply.request_id().to_owned()
    };
    ok(ask("").header("x-goog-api-key", KEY));
    ok(ask("").header("authorization", &format!("Bearer {KEY}")));
    ok(ask("").header("x-api-key", KEY));
    let with_query = ok(ask(&format!("?key={KEY}")));
    for reply in
        [ask("").send(), ask("?key=sk-wrong").send(), ask("").header("x-goog-api-key", "no").send()]
    {
        assert_eq!(reply.status, 401);
        assert_eq!(reply.json()["error"]["status"], "UNAUTHENTICATED");
    }
    // In the path of others it is no key.
    let other = client.post(&format!("/v1/chat/completions?key={KEY}")).json(&json!({})).send();
    assert_eq!(other.status, 401);
    // Neither the log nor the metrics nor the provider ever see it.
    let log = gateway.logged(&with_query);
    assert!(!log.to_string().contains(KEY), "{log}");
    let metrics = client.get(&format!("/metrics?key={KEY}")).body_text();
    assert!(!metrics.contains(KEY));
    assert!(upstream.requests().iter().all(|sent| !sent.path.contains(KEY)));

    let models = client.get(&format!("/v1beta/models?key={KEY}"));
    assert_eq!(models.json()["models"][0]["name"], "models/gpt");
    assert_eq!(client.get("/v1beta/models").status, 401);

    // Google's SDKs ask below `/v1/` too.
    let get = |path: &str| client.request(Method::GET, path);
    for base in ["/v1/models", "/models"] {
        let list = get(&format!("{base}?pageSize=2")).header("x-goog-api-key", KEY).send();
        assert_eq!(list.json()["models"][0]["name"], "models/gpt", "{base}");
        let one = get(&format!("{base}/gpt")).header("x-goog-api-key", KEY).send();
        assert_eq!(one.json()["name"], "models/gpt", "{base}");
        let queried = get(&format!("{base}/gpt?key={KEY}")).send();
        assert_eq!(queried.json()["name"], "models/gpt", "{base}");
        let wrong = get(base).header("x-goog-api-key", "no").send();
        assert_eq!(
            (wrong.status, &wrong.json()["error"]["status"]),
            (401, &json!("UNAUTHENTICATED"))
        );
        // With a token in the place of a key, the SDK is known by its name.
        let named = get(base).header("authorization", &format!("Bearer {KEY}"));
        let named = named.header("x-goog-api-client", "google-genai-sdk/1").send();
        assert_eq!(named.json()["models"][0]["name"], "models/gpt", "{base}");
        let others = get(base).header("authorization", &format!("Bearer {KEY}")).send();
        assert_eq!(others.json()["data"][0]["id"], "gpt", "{base}");
    }
}

#[test]
fn models_are_listed_in_googles_shape_by_the_page() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("a").deployment(&upstream))
        .and(group("team/b").deployment(&upstream))
        .and(group("c").deployment(&upstream))
        .start();
    let client = gateway.client();
    let page = client.get("/v1beta/models?pageSize=2").json();
    assert_eq!(page["models"].as_array().map(Vec::len), Some(2));
    let token = page["nextPageToken"].as_str().unwrap();
    let rest = client.get(&format!("/v1beta/models?pageSize=2&pageToken={token}")).json();
    assert_eq!(rest["models"].as_array().map(Vec::len), Some(1));
    assert!(rest.get("nextPageToken").is_none());
    assert_eq!(client.get("/v1beta/models?pageToken=x").status, 400);

    let one = client.get("/v1beta/models/team/b").json();
    assert_eq!(one["name"], "models/team/b");
    assert!(one["supportedGenerationMethods"].as_array().unwrap().contains(&json!("countTokens")));
    let none = client.get("/v1beta/models/nobody");
    assert_eq!((none.status, none.json()["error"]["status"].clone()), (404, json!("NOT_FOUND")));
}

#[test]
fn tokens_are_counted_for_every_provider() {
    Gateways::saying(&chat("x")).each(|model, _, client| {
        let path = format!("/v1beta/models/{model}:countTokens");
        let alone = client.post(&path).json(&hi()).send();
        assert_eq!(alone.status, 200, "{}", alone.body_text());
        let alone = alone.json()["totalTokens"].as_u64().unwrap();
        assert!(alone > 0);
        if model == "gpt" {
            let whole = json!({"generateContentRequest": {"model": "models/gpt",
                "contents": hi()["contents"],
                "systemInstruction": {"parts": [{"text": "a much longer instruction than that"}]}}});
            let more = client.post(&path).json(&whole).send().json()["totalTokens"].as_u64();
            assert!(more > Some(alone));
        }
    });
}

#[test]
fn every_path_of_googles_is_served() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let client = gateway.client();
    for base in ["/v1beta/models", "/v1/models", "/models"] {
        let reply = client.post(&format!("{base}/gpt:generateContent")).json(&hi()).send();
        assert_eq!(text_of(&[reply.json()]), "hello", "{base}");
        let wrong = client.post(&format!("{base}/gpt:generateContent")).json(&json!({})).send();
        assert_eq!(wrong.json()["error"]["status"], "INVALID_ARGUMENT", "{base}");
    }
    assert_eq!(
        client.request(Method::GET, "/v1beta/models/gpt:generateContent").send().status,
        404
    );
}

// --- Google behind Google's clients ---

fn google(upstream: &Upstream) -> Deployment {
    Deployment::at("gemini/gemini-3-flash", &upstream.api_base())
}

/// Frames as no serialiser writes them: what arrives unchanged was never written anew.
const ODD: &str = concat!(
    "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Gr\\u00fc\",\"new\":1.50}],\"role\": \"model\"},",
    "\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 4,\"totalTokenCount\": 4}}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"newPart\":{}}]},\"finishReason\":\"STOP\",\"index\":0}],",
    "\"usageMetadata\":{\"promptTokenCount\":4,\"candidatesTokenCount\":2,\"thoughtsTokenCount\":3,\"totalTokenCount\":9},",
    "\"brandNew\":[]}\r\n\r\n",
);

#[test]
fn google_itself_is_passed_through() {
    let upstream = Upstream::gemini().start();
    let gateway = gateway::with(
        group("flash")
            .deployment(google(&upstream).with("temperature: 0.5").with("max_tokens: 99")),
    )
    .start();
    let client = gateway.client();

    upstream.now_replies(frames([ODD]));
    let path = "/v1beta/models/flash:streamGenerateContent";
    let body = json!({
        "contents": [{"parts": [{"text": "hi", "brandNew": {}}]}], "newField": [1],
        "tools": [{"googleSearch": {}}], "cachedContent": "cachedContents/x",
        "generationConfig": {"temperature": 1, "thinkingConfig": {"thinkingBudget": 5}},
        "num_retries": 1, "metadata": {"tags": []},
    });
    let reply = client.post(&format!("{path}?alt=sse")).json(&body).send();
    assert_eq!((reply.status, reply.body_text().as_str()), (200, ODD));
    let log = gateway.logged(reply.request_id());
    assert_eq!(log["usage"]["output_tokens"], 5, "{log}");
    let sent = upstream.last_request();
    assert_eq!(sent.path, "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse");
    let mut expected = body;
    expected["generationConfig"]["maxOutputTokens"] = json!(99);
    let fields = expected.as_object_mut().unwrap();
    fields.remove("num_retries");
    fields.remove("metadata");
    assert_eq!(sent.json(), expected);

    let reply = client.post(path).json(&hi()).send();
    assert_eq!(reply.header("content-type"), "application/json");
    let elements: Vec<Value> = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(elements.len(), 2);
    assert_eq!(elements[1]["brandNew"], json!([]));

    let whole = json!({"candidates": [{"finishReason": "STOP", "new": 1}], "usageMetadata":
        {"promptTokenCount": 2, "totalTokenCount": 2}});
    upstream.now_replies(json(&whole));
    assert_eq!(generate(&client, "flash", &hi()).json(), whole);

    upstream.now_replies(json(&json!({"totalTokens": 31, "new": 1})));
    let counted = client.post("/v1beta/models/flash:countTokens").json(&hi()).send().json();
    assert_eq!(counted, json!({"totalTokens": 31, "new": 1}));
    assert_eq!(upstream.last_request().path, "/v1beta/models/gemini-3-flash:countTokens");
}

#[test]
fn texts_are_embedded_by_every_provider() {
    let flash = Upstream::gemini().start();
    let gpt = upstream::openai().start();
    let claude = upstream::anthropic().start();
    let gateway = gateway::with(group("google").deployment(google(&flash)))
        .and(group("small").deployment(openai(&gpt).model("openai/text-embedding-3-small")))
        .and(group("claude").deployment(anthropic(&claude)))
        .start();
    let client = gateway.client();
    let content = |text: &str| json!({"parts": [{"text": text}]});
    let one = json!({"content": content("a"), "outputDimensionality": 3});
    let batch = json!({"requests": [one, one]});
    for model in ["google", "small"] {
        let ask = |method: &str, body: &Value| {
            let reply = client.post(&format!("/v1beta/models/{model}:{method}")).json(body).send();
            assert_eq!(reply.status, 200, "{model} {}", reply.body_text());
            reply
        };
        let single = ask("embedContent", &one);
        assert_eq!(single.json()["embedding"]["values"].as_array().unwrap().len(), 3, "{model}");
        let log = gateway.logged(single.request_id());
        assert!(log["usage"]["input_tokens"].as_u64() > Some(0), "{log}");
        assert_eq!(log["usage"]["output_tokens"], 0, "{log}");
        let several = ask("batchEmbedContents", &batch).json();
        assert_eq!(several["embeddings"].as_array().unwrap().len(), 2, "{model}");
    }
    let sent: Vec<_> = flash.requests().iter().map(|sent| sent.path.clone()).collect();
    let path = |method: &str| format!("/v1beta/models/gemini-3-flash:{method}");
    assert_eq!(sent, [path("embedContent"), path("batchEmbedContents")]);
    assert_eq!(
        gpt.last_request().json(),
        json!({"model": "text-embedding-3-small", "input": ["a", "a"], "dimensions": 3})
    );
    let mut told = one.clone();
    told["taskType"] = json!("CLUSTERING");
    for (model, body, status) in
        [("small", &told, 400), ("small", &hi(), 400), ("claude", &one, 404)]
    {
        let reply = client.post(&format!("/v1beta/models/{model}:embedContent")).json(body).send();
        assert_eq!(reply.status, status, "{}", reply.body_text());
        assert!(reply.json()["error"]["status"].is_string(), "{}", reply.body_text());
    }
}

#[test]
fn another_provider_goes_on_where_google_broke_off() {
    for google_is_first in [true, false] {
        let flash = Upstream::gemini().start();
        let gpt = upstream::openai().start();
        let (first, second) = if google_is_first { (&flash, &gpt) } else { (&gpt, &flash) };
        first.now_replies(chat("one two ").each_frame_alone().cut_after(2));
        second.now_replies(chat("three four"));
        let order = |first: bool| if first { "order: 1" } else { "order: 2" };
        let gateway = gateway::with(
            group("both")
                .deployment(google(&flash).with(order(google_is_first)))
                .deployment(openai(&gpt).with(order(!google_is_first))),
        )
        .router("mid_stream_failover: true\nnum_retries: 2")
        .start();
        for query in ["?alt=sse", ""] {
            first.now_replies(chat("one two ").each_frame_alone().cut_after(2));
            let path = format!("/v1beta/models/both:streamGenerateContent{query}");
            let text = gateway.client().post(&path).json(&hi()).send().body_text();
            let seen: Vec<Value> = if query.is_empty() {
                serde_json::from_str(&text).unwrap()
            } else {
                let events = text.split("data: ").skip(1);
                events.map(|data| serde_json::from_str(data).unwrap()).collect()
            };
            assert_eq!(text_of(&seen), "one two three four", "{text}");
            assert!(
                seen.iter().all(|frame| frame["responseId"] == seen[0]["responseId"]),
                "{text}"
            );
            let last = seen.last().unwrap();
            assert_eq!(last["candidates"][0]["finishReason"], "STOP", "{text}");
            assert!(last["usageMetadata"]["totalTokenCount"].as_u64() > Some(0), "{text}");
        }
    }
}

#[test]
fn google_that_breaks_off_is_told_and_another_provider_takes_over_before() {
    let error =
        r#"{"error":{"code":503,"message":"The model is overloaded","status":"UNAVAILABLE"}}"#;
    let first = ODD.split("data: ").nth(1).unwrap();
    let google_upstream = Upstream::gemini().start();
    let spare = upstream::openai().replies(chat("from elsewhere")).start();
    let gateway = gateway::with(group("flash").deployment(google(&google_upstream)))
        .and(group("gpt").deployment(&spare))
        .router("fallbacks: [{flash: [gpt]}]")
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start();
    let client = gateway.client();

    for end in [format!("data: {error}\r\n\r\n"), format!("{error}\r\n"), String::new()] {
        google_upstream.now_replies(frames([format!("data: {first}{end}")]));
        for query in ["?alt=sse", ""] {
            let path = format!("/v1beta/models/flash:streamGenerateContent{query}");
            let text = client.post(&path).json(&hi()).send().body_text();
            let seen: Vec<Value> = if query.is_empty() {
                serde_json::from_str(&text).unwrap()
            } else {
                let events = text.split("data: ").skip(1);
                events.map(|data| serde_json::from_str(data).unwrap()).collect()
            };
            assert_eq!(seen.len(), 2, "{text}");
            assert_eq!(text_of(&seen), "Grü");
            assert!(seen[1]["error"]["code"].as_u64() >= Some(500), "{text}");
        }
    }
    google_upstream.now_replies(status(503));
    for query in ["?alt=sse", ""] {
        let (frames, _) = stream(&client, "flash", query, &hi());
        assert_eq!(text_of(&frames), "from elsewhere");
    }
    // What only Google can do is not sent elsewhere.
    let mut search = hi();
    search["tools"] = json!([{"googleSearch": {}}]);
    let before = spare.requests().len();
    let refused = generate(&client, "flash", &search);
    assert_eq!(refused.status, 503, "it can be asked again: {}", refused.body_text());
    assert_eq!(spare.requests().len(), before);
}
