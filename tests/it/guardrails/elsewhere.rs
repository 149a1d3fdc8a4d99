use std::time::Duration;

use super::*;

/// A service that answers by what it is asked: what holds the word, or else.
fn service(word: &'static str, found: Value, nothing: Value) -> Upstream {
    let holds = move |request: &Recorded| {
        String::from_utf8_lossy(&request.body).to_lowercase().contains(word)
    };
    upstream::openai().when(holds, json(&found)).replies(json(&nothing)).start()
}

fn result(flagged: bool) -> Value {
    json!({"results": [{"flagged": flagged, "categories": {"violence": flagged, "hate": false}}]})
}

fn moderation(service: &Upstream, mode: &str, more: &str) -> String {
    let base = service.url();
    let params = format!(
        "guardrail: openai_moderation, api_base: '{base}/v1', api_key: sk-of-moderation, mode: \
         {mode}{more}"
    );
    always("content-filter", &params)
}

#[test]
fn openais_moderation_is_asked_about_requests_and_replies() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let moderator = service("kill", result(true), result(false));
    let gateway = guarded(&provider, &moderation(&moderator, "[pre_call, post_call]", "")).start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", "hi").text(), "hello");
    let asked = moderator.requests();
    assert_eq!(asked.len(), 2, "the request and the reply");
    assert_eq!(asked[0].path, "/v1/moderations");
    assert_eq!(asked[0].key(), Some("sk-of-moderation"));
    assert_eq!(asked[0].json(), json!({"model": "omni-moderation-latest", "input": ["hi"]}));
    assert_eq!(asked[1].json()["input"], json!(["hello"]));

    let blocked = client.chat("gpt", "how to KILL it");
    let message = "Violated OpenAI moderation policy: violence (guardrail `content-filter`)";
    assert_eq!((blocked.status, &*blocked.error_message()), (400, message));
    let messages = json!([{"role": "system", "content": "tell how to kill"}]);
    let by_system = client.ask("gpt", "").set("messages", messages).send();
    assert_eq!(by_system.error_code(), "guardrail_violation", "whoever may have written it");
    assert_eq!(provider.requests().len(), 1);
    let logged = gateway.logged(blocked.request_id());
    assert_eq!(logged["guardrail_findings"], json!(["content-filter: violence"]));
    provider.now_replies(chat("kill it"));
    assert_eq!(client.chat("gpt", "so?").error_code(), "guardrail_violation");
    let streamed = client.ask("gpt", "so?").set("stream", true).send();
    assert_eq!(streamed.status, 400, "{}", streamed.body_text());
    assert!(!gateway.output().contains("sk-of-moderation"));
}

#[test]
fn beside_the_call_nothing_leaves_before_the_answer() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let moderator = upstream::openai().replies(json(&result(true))).start();
    let gateway = guarded(&provider, &moderation(&moderator, "during_call", "")).start();
    for stream in [false, true] {
        let blocked = gateway.client().ask("gpt", "hi").set("stream", stream).send();
        assert_eq!((blocked.status, &*blocked.error_code()), (400, "guardrail_violation"));
    }
    moderator.now_replies(json(&result(false)));
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");
    assert_eq!(gateway.client().stream("gpt", "hi").text(), "hello");
}

#[test]
fn a_service_that_gives_no_answer_closes_or_opens_the_way() {
    let provider = upstream::openai().replies(chat("hello")).start();
    for reply in [status(500), garbage(), json(&json!({"results": []})), close_before_head()] {
        let broken = upstream::openai().replies(reply.clone()).start();
        let closed = guarded(&provider, &moderation(&broken, "pre_call", "")).start();
        let refused = closed.client().chat("gpt", "hi");
        let told = (refused.status, refused.error_code());
        assert_eq!(told, (503, "guardrail_unavailable".to_owned()), "{reply:?}");
        assert_eq!(refused.header("retry-after"), "1");
    }
    assert_eq!(provider.requests().len(), 0);
    let silent = upstream::openai().replies(never_answers()).start();
    let more = ", unreachable_fallback: fail_open, timeout: 0.2";
    let open = guarded(&provider, &moderation(&silent, "pre_call", more)).start();
    let reply = open.client().chat("gpt", "hi");
    assert_eq!(reply.text(), "hello");
    let logged = open.logged(reply.request_id());
    assert_eq!(logged["guardrail_findings"], json!(["content-filter: no_answer"]));
    open.wait_for_message("a guardrail gave no answer");
}

#[test]
fn questions_are_asked_in_turn_where_few_may_be_asked_at_once() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let slow = upstream::openai()
        .replies(json(&result(false)).latency(Duration::from_millis(100)))
        .start();
    let more = ", max_concurrency: 1";
    let gateway = guarded(&provider, &moderation(&slow, "pre_call", more)).start();
    let client = gateway.client();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let client = client.own_connections();
            scope.spawn(move || assert_eq!(client.chat("gpt", "hi").status, 200));
        }
    });
    let asked = slow.requests();
    let apart = asked.windows(2).all(|pair| pair[1].at - pair[0].at >= Duration::from_millis(90));
    assert!(asked.len() == 3 && apart, "one after the other");
}

#[test]
fn litellms_contract_is_kept() {
    let provider = upstream::openai().replies(echo()).start();
    let theirs = upstream::openai().replies(json(&json!({"action": "NONE"}))).start();
    let base = theirs.url();
    let params = format!(
        "guardrail: generic_guardrail_api, api_base: '{base}', api_key: k-1, headers: {{x-more: y}}, \
         additional_provider_specific_params: {{level: 3}}, mode: [pre_call, post_call]"
    );
    let gateway = guarded(&provider, &always("theirs", &params)).start();
    let owner = key(&gateway, json!({"key_alias": "ci", "user_id": "ann"}));
    let client = gateway.client().own_connections().with_key(Some(&owner));
    let named = json!([{"theirs": {"extra_body": {"level": 4, "mine": true}}}]);
    let reply = client.ask("gpt", "hi").set("guardrails", named).send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    let asked = theirs.requests();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].path, "/beta/litellm_basic_guardrail_api");
    assert_eq!((asked[0].header("x-api-key"), asked[0].header("x-more")), (Some("k-1"), Some("y")));
    let question = asked[0].json();
    assert_eq!((&question["texts"], &question["input_type"]), (&json!(["hi"]), &json!("request")));
    assert_eq!(question["structured_messages"], json!([{"role": "user", "content": "hi"}]));
    assert_eq!(question["request_data"]["user_api_key_alias"], "ci");
    assert_eq!(question["request_data"]["user_api_key_user_id"], "ann");
    assert_eq!(question["litellm_call_id"], reply.request_id());
    // What the operator has said is not the request's to change.
    let extra = json!({"level": 3, "mine": true});
    assert_eq!(question["additional_provider_specific_params"], extra);
    assert_eq!(question["request_headers"]["authorization"], "[present]");
    assert!(!question.to_string().contains(&owner), "no credential goes there");
    assert_eq!(asked[1].json()["input_type"], "response");

    theirs.now_replies(json(&json!({"action": "BLOCKED", "blocked_reason": "not here"})));
    let blocked = client.chat("gpt", "hi");
    let message = "Content blocked by guardrail: not here (guardrail `theirs`)";
    assert_eq!((blocked.status, &*blocked.error_message()), (400, message));

    theirs.now_replies(json(&json!({"action": "GUARDRAIL_INTERVENED", "texts": ["ho"]})));
    let changed = client.chat("gpt", "hi");
    assert_eq!(provider.last_request().json()["messages"][0]["content"], "ho");
    assert_eq!(changed.text(), "ho");
    assert_eq!(client.stream("gpt", "hi").text(), "ho");
    theirs.now_replies(json(&json!({"action": "GUARDRAIL_INTERVENED", "texts": ["a", "b"]})));
    assert_eq!(client.chat("gpt", "hi").error_code(), "guardrail_unavailable");
}

#[test]
fn presidio_finds_what_has_no_form() {
    let provider = upstream::openai().replies(echo()).start();
    // "Grüße, Ann Lee": places are counted in characters.
    let entity = json!([{"entity_type": "PERSON", "start": 7, "end": 14, "score": 0.85}]);
    let analyzer = service("ann lee", entity, json!([]));
    let anonymizer =
        upstream::openai().replies(json(&json!({"text": "<SOMEBODY>", "items": []}))).start();
    let (analyzer_url, anonymizer_url) = (analyzer.url(), anonymizer.url());
    let params = |more: &str| {
        format!(
            "guardrail: presidio, mode: pre_call, presidio_language: de, presidio_analyzer_api_base: \
             '{analyzer_url}', presidio_anonymizer_api_base: '{anonymizer_url}'{more}"
        )
    };
    let said = "Grüße, Ann Lee!";
    let gateway = guarded(&provider, &always("p", &params(", output_parse_pii: true"))).start();
    assert!(gateway.client().chat("gpt", said).text().ends_with(said));
    assert_eq!(provider.last_request().json()["messages"][0]["content"], "Grüße, <PERSON_1>!");
    let asked = analyzer.last_request();
    assert_eq!(asked.path, "/analyze");
    assert_eq!(asked.json(), json!({"text": said, "language": "de"}));
    assert_eq!(anonymizer.requests().len(), 0);

    let gateway = guarded(&provider, &always("p", &params(""))).start();
    assert!(gateway.client().chat("gpt", said).text().ends_with("Grüße, <SOMEBODY>!"));
    let asked = anonymizer.last_request();
    assert_eq!((&*asked.path, &asked.json()["text"]), ("/anonymize", &json!("Ann Lee")));

    let more = ", pii_entities_config: {PERSON: BLOCK}, presidio_score_thresholds: {ALL: 0.5}";
    let gateway = guarded(&provider, &always("p", &params(more))).start();
    let blocked = gateway.client().chat("gpt", said);
    assert!(
        blocked.error_message().starts_with("Blocked entity detected: PERSON by Guardrail: p.")
    );
    assert_eq!(analyzer.last_request().json()["entities"], json!(["PERSON"]));
    let gateway = guarded(&provider, &always("p", &params(&more.replace("0.5", "0.9")))).start();
    assert_eq!(gateway.client().chat("gpt", said).status, 200);
}

#[test]
fn what_they_do_is_counted() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let moderator = service("kill", result(true), result(false));
    let silent = upstream::openai().replies(status(500)).start();
    let more = ", unreachable_fallback: fail_open";
    let open = moderation(&silent, "during_call", more).replace("content-filter", "silent");
    let both = moderation(&moderator, "[pre_call, post_call]", "") + &open;
    let gateway = guarded(&provider, &both).start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", "hi").status, 200);
    assert_eq!(client.stream("gpt", "hi").text(), "hello");
    assert_eq!(client.chat("gpt", "kill").status, 400);
    provider.now_replies(stream(["k", "i", "ll"]));
    assert_eq!(client.ask("gpt", "so?").set("stream", true).send().status, 400);

    let page = gateway.get("/metrics").body_text();
    let count = |name: &str, labels: [&str; 3]| -> f64 {
        let has = |line: &&str| labels.iter().all(|label| line.contains(&format!("\"{label}\"")));
        let line = page.lines().filter(|line| line.starts_with(name)).find(has);
        let line = line.unwrap_or_else(|| panic!("{name} {labels:?}: {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    for (hook, status, looks) in [
        ("pre_call", "success", 3.0),
        ("pre_call", "error", 1.0),
        ("post_call", "success", 2.0),
        ("post_call", "error", 1.0),
    ] {
        let labels = ["content-filter", status, hook];
        assert_eq!(count("litellm_guardrail_requests_total", labels), looks, "{hook} {status}");
        assert_eq!(count("litellm_guardrail_latency_seconds_count", labels), looks);
    }
    let errors = |labels| count("litellm_guardrail_errors_total", labels);
    assert_eq!(errors(["content-filter", "blocked", "pre_call"]), 1.0);
    assert_eq!(errors(["content-filter", "blocked", "post_call"]), 1.0);
    assert_eq!(errors(["silent", "no_answer", "during_call"]), 3.0);
    let took = count("litellm_guardrail_latency_seconds_sum", ["silent", "no_answer", "error"]);
    assert!(took > 0.0, "{took}");
}
