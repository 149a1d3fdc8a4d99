use super::*;

const PII: &str = "guardrail: pii, mode: pre_call";

#[test]
fn the_client_gets_its_own_data_back_and_the_provider_never_has_it() {
    let provider = upstream::openai().replies(echo()).start();
    let gateway = guarded(&provider, &always("pii", PII)).start();
    let client = gateway.client();
    let said = "I am ann@mail.example, card 4111 1111 1111 1111, still ann@mail.example";
    let reply = client.chat("gpt", said);
    let sent = last_sent(&provider);
    assert!(!sent.contains("ann@") && !sent.contains("4111"), "{sent}");
    assert!(
        sent.contains("I am <EMAIL_ADDRESS_1>, card <CREDIT_CARD_1>, still <EMAIL_ADDRESS_1>"),
        "{sent}"
    );
    assert!(reply.text().ends_with(said), "{}", reply.body_text());
    assert!(client.stream("gpt", said).text().ends_with(said));
    assert!(!last_sent(&provider).contains("ann@"));

    let system = json!([{"role": "system", "content": "call \"+49 30 1234 5678\""},
        {"role": "user", "content": [{"type": "text", "text": "so \"ann@mail.example\"?"}]}]);
    let body = json!({"model": "gpt", "messages": system});
    assert_eq!(client.post("/v1/chat/completions").json(&body).send().status, 200);
    let sent = provider.last_request().json();
    assert_eq!(sent["messages"][0]["content"], "call \"<PHONE_NUMBER_1>\"");
    assert_eq!(sent["messages"][1]["content"][0]["text"], "so \"<EMAIL_ADDRESS_1>\"?");
}

#[test]
fn clients_of_every_dialect_get_theirs_back() {
    let mail = "ann@mail.example";
    let body = json!({"model": "claude", "max_tokens": 9,
        "messages": [{"role": "user", "content": format!("say {mail}")}]});
    let google =
        json!({"contents": [{"role": "user", "parts": [{"text": format!("say {mail}")}]}]});
    let native =
        upstream::anthropic().replies(stream(["it is <EMAIL_", "ADDRESS_1", ">!"])).start();
    let other = upstream::openai().replies(stream(["it is <EMAIL_", "ADDRESS_1", ">!"])).start();
    let gateway = guarded(&other, &always("pii", PII))
        .and(group("claude").deployment(anthropic(&native)))
        .start();
    let client = gateway.client();
    for model in ["claude", "gpt"] {
        let mut body = body.clone();
        body["model"] = model.into();
        let whole = client.post("/v1/messages").json(&body).send();
        assert!(whole.body_text().contains("it is ann@mail.example!"), "{}", whole.body_text());
        body["stream"] = true.into();
        let streamed = client.post("/v1/messages").json(&body).send().body_text();
        assert!(streamed.contains(mail) && !streamed.contains("EMAIL_"), "{streamed}");
        let responses = json!({"model": model, "input": format!("say {mail}"), "stream": true});
        let streamed = client.post("/v1/responses").json(&responses).send().body_text();
        assert!(streamed.contains(mail) && !streamed.contains("EMAIL_"), "{streamed}");
        for way in ["streamGenerateContent?alt=sse", "streamGenerateContent", "generateContent"] {
            let path = format!("/v1beta/models/{model}:{way}");
            let told = client.post(&path).json(&google).send().body_text();
            assert!(told.contains(mail) && !told.contains("EMAIL_"), "{path}: {told}");
        }
    }
    for provider in [&native, &other] {
        let sent = provider.requests().iter().map(|it| it.json().to_string()).collect::<String>();
        assert!(sent.contains("EMAIL_ADDRESS_1") && !sent.contains(mail), "{sent}");
    }
}

#[test]
fn what_a_tool_is_called_with_is_real() {
    let arguments = r#"{"to":"<EMAIL_ADDRESS_1>","note":"a \"<EMAIL_ADDRESS_1>\""}"#;
    let provider = upstream::openai().replies(tool_call("send", arguments)).start();
    let gateway = guarded(&provider, &always("pii", PII)).start();
    let tools = json!([{"type": "function", "function": {"name": "send", "parameters": {}}}]);
    let ask =
        || gateway.client().ask("gpt", "write to ann@mail.example").set("tools", tools.clone());
    let reply = ask().send().json();
    let told = &reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"];
    let told: Value = serde_json::from_str(told.as_str().unwrap()).unwrap();
    assert_eq!(told, json!({"to": "ann@mail.example", "note": "a \"ann@mail.example\""}));
    let streamed = ask().set("stream", true).send().body_text();
    assert!(streamed.contains("ann@mail.example") && !streamed.contains("EMAIL_"), "{streamed}");
}

#[test]
fn what_a_model_says_itself_is_masked_for_good() {
    let provider = upstream::openai().replies(chat("write to bob@mail.example")).start();
    let params = "guardrail: pii, mode: [pre_call, post_call], pii_entities_config: \
                  {EMAIL_ADDRESS: MASK, US_SSN: BLOCK}";
    let gateway = guarded(&provider, &always("pii", params)).start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", "hi").text(), "write to <EMAIL_ADDRESS>");
    let blocked = client.chat("gpt", "I am 123-45-6789");
    assert_eq!(blocked.status, 400);
    assert!(
        blocked.error_message().starts_with("Blocked entity detected: US_SSN by Guardrail: pii.")
    );
}

#[test]
fn a_kept_reply_is_looked_at_and_filled_in_for_whoever_gets_it() {
    let provider = upstream::openai().replies(echo()).start();
    let rails = always("pii", PII) + &on_request("words", &format!("{WORD}, mode: post_call"));
    let gateway = guarded(&provider, &rails)
        .litellm("cache: true\ncache_params: {type: local, scope: global}")
        .start();
    let client = gateway.client();
    let told = |prompt: &str, stream: bool| {
        let reply = client.ask("gpt", prompt).set("stream", stream).send();
        (reply.header("x-tollgate-cache").to_owned(), reply.body_text())
    };
    let first = told("atlas is ann@mail.example", false);
    assert!(first.0 == "MISS" && first.1.contains("ann@mail.example"), "{first:?}");
    let second = told("atlas is bob@mail.example", false);
    assert!(second.0 == "HIT" && second.1.contains("bob@mail.example"), "{second:?}");
    assert!(!second.1.contains("ann@"), "{second:?}");
    let streamed = told("atlas is eve@mail.example", true);
    assert!(streamed.0 == "HIT" && streamed.1.contains("eve@mail.example"), "{streamed:?}");
    let strict = client.ask("gpt", "atlas is eve@mail.example");
    let strict = strict.set("guardrails", json!(["words"]));
    for stream in [false, true] {
        let blocked = strict.clone().set("stream", stream).send();
        assert_eq!((blocked.status, &*blocked.error_code()), (400, "guardrail_violation"));
    }
    assert_eq!(provider.requests().len(), 1);
}
