use super::*;

/// The replies that two keys of a team, one of another and the master key get for the same request.
fn heard(params: &str) -> Vec<String> {
    let provider = changing();
    let gateway = caching(&provider, params).start();
    let team = |name: &str| {
        let made = gateway.client().post("/team/new").json(&json!({"team_alias": name})).send();
        made.json()["team_id"].as_str().unwrap().to_owned()
    };
    let (red, blue) = (team("red"), team("blue"));
    let clients =
        [&red, &red, &blue].map(|team| holder(&gateway, &key(&gateway, json!({"team_id": team}))));
    let all = clients.iter().chain([&clients[0]]);
    let mut said: Vec<_> = all.map(|client| told(client.ask("gpt", "hi")).1).collect();
    said.push(told(gateway.client().ask("gpt", "hi")).1);
    said
}

#[test]
fn nobody_gets_what_another_was_told_unless_that_is_said() {
    assert_eq!(heard(""), ["one", "two", "three", "one", "four"]);
    assert_eq!(heard(", scope: team"), ["one", "one", "two", "one", "three"]);
    assert_eq!(heard(", scope: global"), ["one", "one", "one", "one", "one"]);
}

#[test]
fn end_users_of_a_key_are_kept_apart_where_that_is_said() {
    let provider = changing();
    let gateway = caching(&provider, ", scope: end_user").start();
    let client = gateway.client();
    let ask = |user: &str| told(client.ask("gpt", "hi").set("user", user));
    assert_eq!(ask("ann"), pair("MISS", "one"));
    assert_eq!(ask("bob"), pair("MISS", "two"));
    assert_eq!(ask("ann"), pair("HIT", "one"));
}

#[test]
fn who_may_not_call_the_model_gets_nothing_from_the_cache() {
    let provider = changing();
    let gateway = caching(&provider, ", scope: global").start();
    assert_eq!(told(gateway.client().ask("gpt", "hi")), pair("MISS", "one"));
    let other = key(&gateway, json!({"models": ["another"]}));
    assert_eq!(holder(&gateway, &other).chat("gpt", "hi").status, 403);
    assert_eq!(holder(&gateway, "sk-nobody").chat("gpt", "hi").status, 401);
    let blocked = key(&gateway, json!({"blocked": true}));
    assert_eq!(holder(&gateway, &blocked).chat("gpt", "hi").status, 401);
    assert_eq!(provider.requests().len(), 1);
}

#[test]
fn a_key_may_be_kept_out_of_the_cache() {
    let provider = changing();
    let gateway = caching(&provider, "").start();
    let fresh = key(&gateway, json!({"metadata": {"cache": {"no-cache": true, "no-store": true}}}));
    let client = holder(&gateway, &fresh);
    assert_eq!(told(client.ask("gpt", "hi")), pair("BYPASS", "one"));
    let asking = client.ask("gpt", "hi").set("cache", json!({"no-cache": false}));
    assert_eq!(told(asking), pair("BYPASS", "two"));
}

#[test]
fn a_reply_to_half_a_request_is_not_given_to_who_asks_all_of_it() {
    let provider = changing();
    let gateway = caching(&provider, ", scope: global").start();
    let ask = || gateway.client().ask("gpt", "hi").set("stop", json!(["."]));
    let half = ask().set("additional_drop_params", json!(["stop"]));
    assert_eq!(told(half), pair("MISS", "one"));
    assert_eq!(provider.last_request().json().get("stop"), None);
    assert_eq!(told(ask()), pair("MISS", "two"));
    // Of what stands there twice a provider may read the first.
    let twice = |words: &str| {
        let message = format!(r#"{{"role":"user",{words}}}"#);
        let body = format!(r#"{{"model":"gpt","messages":[{message}]}}"#);
        let ask = gateway.client().post("/v1/chat/completions");
        told(ask.header("content-type", "application/json").bytes(body.into_bytes()))
    };
    assert_eq!(twice(r#""content":"other","content":"what?""#), pair("MISS", "three"));
    assert_eq!(twice(r#""content":"what?""#), pair("MISS", "four"));
}
