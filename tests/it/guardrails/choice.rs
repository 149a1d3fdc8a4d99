use super::*;

#[test]
fn they_are_asked_for_by_requests_keys_teams_and_models() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let rails = on_request("words", &format!("{WORD}, mode: pre_call"));
    let gateway = guarded(&provider, &rails)
        .and(group("kept").deployment(openai(&provider).with("guardrails: [words]")))
        .and(group("other").deployment(openai(&provider)))
        .and(group("copied").deployment(openai(&provider).with("silent_model: kept")))
        .router("fallbacks: [{other: [kept]}]")
        .start();
    let client = gateway.client();
    let said = "of atlas";
    assert_eq!(client.chat("gpt", said).status, 200);
    assert_eq!(client.chat("gpt", said).header("x-litellm-applied-guardrails"), "");
    let asked = |named: Value| client.ask("gpt", said).set("guardrails", named).send();
    assert_eq!(asked(json!(["words"])).error_code(), "guardrail_violation");
    assert_eq!(asked(json!([{"words": {"extra_body": {"a": 1}}}])).status, 400);
    let metadata = json!({"guardrails": ["words"]});
    assert_eq!(client.ask("gpt", said).set("metadata", metadata).send().status, 400);
    let unknown = asked(json!(["worlds"]));
    assert_eq!((unknown.status, &*unknown.error_code()), (400, "guardrail_not_found"));
    assert_eq!(asked(json!("words")).error_code(), "invalid_type");
    assert_eq!(client.chat("kept", said).status, 400);
    assert_eq!(client.chat("other", said).status, 400, "it may come to one that asks for it");
    assert_eq!(client.chat("copied", said).status, 400, "and so may its copy");

    let holder = |secret: &str| client.own_connections().with_key(Some(secret));
    let guarded_key = key(&gateway, json!({"guardrails": ["words"]}));
    assert_eq!(holder(&guarded_key).chat("gpt", said).error_code(), "guardrail_violation");
    let info = client.get(&format!("/key/info?key={guarded_key}")).json();
    assert_eq!(info["info"]["metadata"]["guardrails"], json!(["words"]), "{info}");
    let team = client.post("/team/new").json(&json!({"guardrails": ["words"]})).send().json();
    let member = key(&gateway, json!({"team_id": team["team_id"]}));
    assert_eq!(holder(&member).chat("gpt", said).error_code(), "guardrail_violation");
    assert_eq!(holder(&key(&gateway, json!({}))).chat("gpt", said).status, 200);

    // Other metadata do not take them away, and nobody names what is not there.
    let update = json!({"key": guarded_key, "metadata": {"owner": "me"}});
    assert_eq!(client.post("/key/update").json(&update).send().status, 200);
    assert_eq!(holder(&guarded_key).chat("gpt", said).status, 400);
    let wrong = client.post("/key/generate").json(&json!({"guardrails": ["worlds"]})).send();
    assert_eq!((wrong.status, &wrong.json()["error"]["param"]), (400, &json!("guardrails")));
    let off = json!({"key": guarded_key, "guardrails": []});
    assert_eq!(client.post("/key/update").json(&off).send().status, 200);
    eventually("the key's requests go through", || {
        holder(&guarded_key).chat("gpt", said).status == 200
    });
}

#[test]
fn a_users_key_does_not_lose_its_guardrails_by_its_user() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let rails = on_request("words", &format!("{WORD}, mode: pre_call"));
    let gateway = guarded(&provider, &rails).start();
    let client = gateway.client();
    let user = json!({"user_id": "ann", "user_role": "internal_user", "auto_create_key": false});
    assert_eq!(client.post("/user/new").json(&user).send().status, 200);
    let own = key(&gateway, json!({"user_id": "ann"}));
    let ann = client.own_connections().with_key(Some(&own));
    let made = ann.post("/key/generate").json(&json!({"guardrails": ["words"]})).send();
    assert_eq!(made.status, 200, "{}", made.body_text());
    let secret = made.json()["key"].clone();
    for change in [json!({"guardrails": []}), json!({"metadata": {"guardrails": []}})] {
        let mut change = change;
        change["key"] = secret.clone();
        let refused = ann.post("/key/update").json(&change).send();
        assert_eq!(refused.status, 403, "{change}: {}", refused.body_text());
    }
}

#[test]
fn modes_follow_the_tags_of_a_request() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let mode = "mode: {default: logging_only, tags: {strict: pre_call}}";
    let gateway = guarded(&provider, &always("words", &format!("{WORD}, {mode}"))).start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", "of atlas").status, 200);
    assert_eq!(client.ask("gpt", "of atlas").set("tags", json!(["strict"])).send().status, 400);
}

#[test]
fn the_pages_say_which_there_are_and_what_they_do() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let rails = always("pii", "guardrail: pii, mode: pre_call")
        + &on_request("words", &format!("{WORD}, mode: pre_call"));
    let gateway = guarded(&provider, &rails).start();
    let client = gateway.client();
    let list = client.get("/guardrails/list").json();
    assert_eq!(list["guardrails"][0]["guardrail_name"], "pii");
    let params = &list["guardrails"][0]["litellm_params"];
    assert_eq!((&params["guardrail"], &params["mode"]), (&json!("pii"), &json!(["pre_call"])));
    let apply = |name: &str, text: &str| {
        let body = json!({"guardrail_name": name, "text": text});
        client.post("/guardrails/apply_guardrail").json(&body).send()
    };
    let masked = apply("pii", "to ann@mail.example").json();
    assert_eq!(masked["response_text"], "to <EMAIL_ADDRESS_1>");
    let told = |reply: Reply| (reply.status, reply.error_code());
    assert_eq!(told(apply("words", "of atlas")), (400, "guardrail_violation".to_owned()));
    assert_eq!(told(apply("nobody", "x")), (404, "not_found".to_owned()));
    let nothing = client.post("/guardrails/apply_guardrail").json(&json!({})).send();
    assert_eq!(told(nothing), (422, "invalid_type".to_owned()));
    let nobody = client.own_connections().with_key(None);
    assert_eq!(nobody.get("/guardrails/list").status, 401);

    let reply = client.chat("gpt", "hi");
    eventually("the row tells it", || {
        let rows = client.get("/spend/logs").json();
        let rows = rows.as_array().cloned().unwrap_or_default();
        rows.iter().any(|row| {
            row["metadata"]["applied_guardrails"] == json!(["pii"])
                && row["metadata"]["spend_logs_metadata"].is_null()
        })
    });
    assert_eq!(gateway.logged(reply.request_id())["guardrails"], json!(["pii"]));
}
