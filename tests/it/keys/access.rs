//! What keys, teams, users and end users may call.

use serde_json::json;

use super::{holder, make, models, two_groups};
use crate::harness::*;

#[test]
fn a_team_shares_models_names_and_its_fate() {
    let (_one, _other, gateway) = two_groups();
    let gateway = gateway.start();
    let team = json!({"team_id": "research", "team_alias": "Research", "models": ["gpt"],
                      "model_aliases": {"best": "other"}});
    make(&gateway, "/team/new", &team);
    let (client, _) = holder(&gateway, &json!({"team_id": "research"}));

    assert_eq!(client.chat("gpt", "hi").status, 200);
    let denied = client.chat("other", "hi");
    assert_eq!(denied.status, 403);
    assert_eq!(denied.json()["error"]["type"], "team_model_access_denied");
    let logged = gateway.logged(denied.request_id());
    assert_eq!((&logged["team"], &logged["team_alias"]), (&json!("research"), &json!("Research")));

    make(&gateway, "/team/update", &json!({"team_id": "research", "models": ["gpt", "best"]}));
    let aliased = client.chat("best", "hi");
    assert_eq!((aliased.status, &*aliased.text()), (200, "other"), "{}", aliased.body_text());
    assert_eq!(models(&client), ["best", "gpt"]);

    make(&gateway, "/team/block", &json!({"team_id": "research"}));
    let blocked = client.chat("gpt", "hi");
    assert_eq!((blocked.status, &*blocked.error_code()), (401, "blocked_key"));
    make(&gateway, "/team/unblock", &json!({"team_id": "research"}));
    assert_eq!(client.chat("gpt", "hi").status, 200);
}

#[test]
fn wildcards_and_access_groups_stand_for_models() {
    let provider = upstream::openai().replies(chat("one")).start();
    let beta = group("new").deployment(openai(&provider).info("access_groups: [beta]"));
    let any = group("openai/*").deployment(openai(&provider).model("openai/*"));
    let gateway = gateway::with(beta).and(any).master_key(super::MASTER).start();
    let (of_group, _) = holder(&gateway, &json!({"models": ["beta"]}));
    let (wild, _) = holder(&gateway, &json!({"models": ["openai/gpt-*"]}));
    let (all, _) = holder(&gateway, &json!({"models": ["all-proxy-models"]}));
    for (client, allowed) in [
        (&of_group, [true, false, false]),
        (&wild, [false, true, false]),
        (&all, [true, true, true]),
    ] {
        let asked = ["new", "openai/gpt-4o", "openai/o3"];
        let found = asked.map(|model| client.chat(model, "hi").status == 200);
        assert_eq!(found, allowed);
    }
    let (one_of_many, _) = holder(&gateway, &json!({"models": ["openai/o3"]}));
    assert_eq!(models(&one_of_many), ["openai/o3"]);
    assert_eq!(one_of_many.chat("openai/o3", "hi").status, 200);
}

#[test]
fn fallbacks_that_the_client_names_must_be_allowed_and_the_operators_serve() {
    let broken = upstream::openai().replies(status(500)).start();
    let spare = upstream::openai().replies(chat("spare")).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&broken)))
        .and(group("other").deployment(openai(&spare)))
        .router("num_retries: 0")
        .master_key(super::MASTER)
        .start();
    let (client, _) = holder(&gateway, &json!({"models": ["gpt"]}));
    for name in ["fallbacks", "context_window_fallbacks"] {
        let named = client.ask("gpt", "hi").set(name, json!(["other"])).send();
        assert_eq!(named.status, 403, "{name}: {}", named.body_text());
    }
    assert!(spare.requests().is_empty());

    let broken = upstream::openai().replies(status(500)).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&broken)))
        .and(group("other").deployment(openai(&spare)))
        .router("num_retries: 0\nfallbacks: [{gpt: [other]}]")
        .master_key(super::MASTER)
        .start();
    let (client, _) = holder(&gateway, &json!({"models": ["gpt"]}));
    assert_eq!(client.chat("gpt", "hi").text(), "spare");
    let text = std::fs::read_to_string(gateway.config_path()).unwrap();
    let text = text.replace(
        "general_settings:\n",
        "general_settings:\n  enforce_fallback_model_access: true\n",
    );
    std::fs::write(gateway.config_path(), text).unwrap();
    assert_eq!(gateway.client().post("/config/reload").send().status, 200);
    assert_eq!(client.chat("gpt", "hi").status, 500, "only for those who may call it");
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "spare");
}

#[test]
fn a_keys_own_names_open_nothing_that_it_may_not_call() {
    let (_one, _other, gateway) = two_groups();
    let gateway = gateway.start();
    let key = json!({"models": ["gpt"], "aliases": {"fast": "gpt", "gpt": "other"}});
    let (client, _) = holder(&gateway, &key);
    assert_eq!(client.chat("fast", "hi").text(), "one");
    assert_eq!(client.chat("gpt", "hi").status, 403, "it stands for another model");
}

#[test]
fn end_users_are_blocked_and_named_in_the_log() {
    let (one, _other, gateway) = two_groups();
    let gateway = gateway.start();
    let (client, _) = holder(&gateway, &json!({}));
    let as_user = |user: &str| client.ask("gpt", "hi").set("user", user).send();
    let reply = as_user("bob");
    assert_eq!(reply.status, 200);
    assert_eq!(gateway.logged(reply.request_id())["end_user"], "bob");
    make(&gateway, "/customer/new", &json!({"user_id": "bob"}));
    make(&gateway, "/customer/block", &json!({"user_ids": ["bob"]}));
    let refused = as_user("bob");
    assert_eq!((refused.status, &*refused.error_code()), (400, "end_user_blocked"));
    let by_header = client.ask("gpt", "hi").header("x-litellm-end-user-id", "bob").send();
    assert_eq!(by_header.status, 400);
    assert_eq!(as_user("eve").status, 200);
    assert_eq!(one.requests().len(), 2);
}

#[test]
fn an_end_user_stays_in_a_region_or_gets_the_default_model() {
    let east = upstream::openai().replies(chat("eu")).start();
    let west = upstream::openai().replies(chat("us")).start();
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&east).with("region_name: eu-west-1").id("east"))
            .deployment(openai(&west).with("region_name: us-east-1").id("west")),
    )
    .and(group("american").deployment(openai(&west).with("region_name: us-east-1")))
    .master_key(super::MASTER)
    .start();
    let customer = json!({"user_id": "eva", "allowed_model_region": "eu", "default_model": "gpt"});
    make(&gateway, "/customer/new", &customer);
    let (client, _) = holder(&gateway, &json!({}));
    for model in ["gpt", "gpt", "gpt", "american"] {
        let reply = client.ask(model, "hi").set("user", "eva").send();
        assert_eq!(reply.text(), "eu", "{model}: {}", reply.body_text());
    }
}

#[test]
fn tags_of_keys_choose_deployments() {
    let (paid, free) = (
        upstream::openai().replies(chat("paid")).start(),
        upstream::openai().replies(chat("free")).start(),
    );
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&paid).with("tags: [paid]").id("p"))
            .deployment(openai(&free).with("tags: [free]").id("f")),
    )
    .router("enable_tag_filtering: true")
    .master_key(super::MASTER)
    .start();
    let (client, _) = holder(&gateway, &json!({"tags": ["paid"]}));
    for _ in 0..5 {
        assert_eq!(client.chat("gpt", "hi").text(), "paid");
    }
}

#[test]
fn a_key_is_for_calls_or_for_management_as_it_was_made() {
    let (_one, _other, gateway) = two_groups();
    let gateway = gateway.start();
    make(
        &gateway,
        "/user/new",
        &json!({"user_id": "boss", "user_role": "proxy_admin",
                                        "auto_create_key": false}),
    );
    let made = |kind: &str| json!({"user_id": "boss", "key_type": kind});
    let (calls, _) = holder(&gateway, &made("llm_api"));
    let (manages, _) = holder(&gateway, &made("management"));
    let generate = |client: &Client| client.post("/key/generate").json(&json!({})).send();
    assert_eq!(calls.chat("gpt", "hi").status, 200);
    assert_eq!(
        (generate(&calls).status, &*generate(&calls).error_code()),
        (403, "route_not_allowed")
    );
    assert_eq!(manages.chat("gpt", "hi").status, 403);
    assert_eq!(generate(&manages).status, 200);
    let (only, _) = holder(&gateway, &json!({"allowed_routes": ["/v1/chat/completions"]}));
    assert_eq!(only.chat("gpt", "hi").status, 200);
    let embeds = only.post("/v1/embeddings").json(&json!({"model": "gpt", "input": "x"})).send();
    assert_eq!((embeds.status, &*embeds.error_code()), (403, "route_not_allowed"));
}
