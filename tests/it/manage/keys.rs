//! Keys: made, used, shown, changed, replaced, ended.

use serde_json::{Value, json};
use tollgate::keys::KeyHash;

use super::{MASTER, Office, blamed};
use crate::harness::*;

#[test]
fn a_key_lives_from_its_making_to_its_end() {
    Office::on_each(|office| {
        let made = office.make(
            "/key/generate",
            &json!({"key_alias": "ci", "models": ["gpt"], "max_budget": 5, "budget_duration": "30d",
                "rpm_limit": 100, "duration": "1h", "metadata": {"team": "infra", "tags": ["x"]}}),
        );
        let key = made["key"].as_str().unwrap();
        let hash = made["token"].as_str().unwrap();
        assert_eq!((key.len(), hash.len()), (25, 64), "{made}");
        assert!(key.starts_with("sk-"));
        assert_eq!(made["key_name"], format!("sk-...{}", key.get(21..).unwrap()));
        assert_eq!((&made["max_budget"], &made["rpm_limit"]), (&json!(5.0), &json!(100)));
        assert!(made["expires"].is_string() && made["created_at"].is_string(), "{made}");

        assert_eq!(office.client(key).chat("gpt", "hi").text(), "hello");
        for named in [key, hash] {
            let shown = office.show(&format!("/key/info?key={named}"));
            assert_eq!(shown["key"], named);
            let info = &shown["info"];
            assert_eq!((&info["key_alias"], &info["status"]), (&json!("ci"), &json!("active")));
            assert_eq!(info["metadata"], json!({"team": "infra", "tags": ["x"]}));
            assert!(info["budget_reset_at"].is_string() && info["spend"].is_number(), "{info}");
            assert_eq!(info["token"], Value::Null, "the hash is not part of it");
        }
        let own = office.shown(key, "/key/info");
        assert_eq!(own["info"]["key_alias"], "ci");

        let changed = office.make(
            "/key/update",
            &json!({"key": key, "rpm_limit": null, "max_budget": 7.5, "metadata": {"team": "web"}}),
        );
        assert_eq!((&changed["key"], &changed["rpm_limit"]), (&json!(key), &Value::Null));
        assert_eq!((&changed["max_budget"], &changed["key_alias"]), (&json!(7.5), &json!("ci")));

        office.make("/key/block", &json!({"key": key}));
        let refused = office.client(key).chat("gpt", "hi");
        assert_eq!(refused.status, 401, "at once: {}", refused.body_text());
        assert_eq!(office.show(&format!("/key/info?key={hash}"))["info"]["blocked"], true);
        office.make("/key/unblock", &json!({"key": hash}));
        assert_eq!(office.client(key).chat("gpt", "hi").status, 200);

        assert_eq!(
            office.make("/key/delete", &json!({"keys": [key]}))["deleted_keys"],
            json!([key])
        );
        assert_eq!(office.client(key).chat("gpt", "hi").status, 401);
        let gone = office.get(MASTER, &format!("/key/info?key={hash}"));
        assert_eq!(
            (gone.status, gone.json()["error"]["type"].as_str()),
            (404, Some("not_found_error"))
        );
        let again = office.post(MASTER, "/key/delete", &json!({"keys": [key]}));
        assert_eq!(again.status, 404);
    });
}

#[test]
fn a_new_secret_keeps_settings_and_what_was_spent() {
    Office::on_each(|office| {
        let old = office.key(&json!({"key_alias": "ci", "models": ["gpt"], "max_budget": 9,
            "budget_duration": "1d", "spend": 1.25}));
        let path = format!("/key/{old}/regenerate");
        let reply = office.post(MASTER, &path, &json!({}));
        assert_eq!(office.gateway.logged(reply.request_id())["path"], "/key/{key}/regenerate");
        let made = reply.json();
        let new = made["key"].as_str().unwrap();
        assert_ne!(new, old);
        assert_eq!((&made["key_alias"], &made["max_budget"]), (&json!("ci"), &json!(9.0)));
        assert_eq!(made["spend"], 1.25);
        assert_eq!(office.client(&old).chat("gpt", "hi").status, 401);
        assert_eq!(office.client(new).chat("gpt", "hi").status, 200);
        assert_eq!(office.show(&format!("/key/info?key={new}"))["info"]["models"], json!(["gpt"]));

        let chosen = "sk-chosen-by-the-client";
        let body = json!({"key": new, "new_key": chosen, "max_budget": 20});
        let made = office.make("/key/regenerate", &body);
        assert_eq!((&made["key"], &made["max_budget"]), (&json!(chosen), &json!(20.0)));
        // The call above costs next to nothing, and may reach the ledger only now.
        let about = |value: &Value, dollars: f64| {
            value.as_f64().is_some_and(|value| (dollars..dollars + 1e-4).contains(&value))
        };
        assert!(about(&made["spend"], 1.25), "kept twice: {made}");

        let reset = office.make(&format!("/key/{chosen}/reset_spend"), &json!({"reset_to": 0.25}));
        assert!(about(&reset["previous_spend"], 1.25) && reset["spend"] == 0.25, "{reset}");
        let shown = office.show(&format!("/key/info?key={chosen}"));
        assert!(about(&shown["info"]["spend"], 0.25), "{shown}");
        let more =
            office.post(MASTER, &format!("/key/{chosen}/reset_spend"), &json!({"reset_to": 1}));
        assert_eq!(blamed(&more), (400, "reset_to".to_owned()));
    });
}

#[test]
fn what_cannot_be_is_refused_by_the_name_of_its_field() {
    let office = Office::open();
    let taken = office.key(&json!({"key_alias": "taken"}));
    for (body, status, field) in [
        (json!({"max_budget": -1}), 400, "max_budget"),
        (json!({"max_budget": "much"}), 422, "max_budget"),
        (json!({"budget_duration": "soon"}), 400, "budget_duration"),
        (json!({"duration": "1 fortnight"}), 400, "duration"),
        (json!({"models": "gpt"}), 422, "models"),
        (json!({"rpm_limit": 1.5}), 422, "rpm_limit"),
        (json!({"key_alias": "taken"}), 400, "key_alias"),
        (json!({"key": "no-prefix-but-long-enough"}), 400, "key"),
        (json!({"key": "sk-short"}), 400, "key"),
        (json!({"key": taken}), 400, "key"),
        (json!({"key": MASTER}), 400, "key"),
        (json!({"team_id": "nowhere"}), 400, "team_id"),
        (json!({"organization_id": "nowhere"}), 404, "organization_id"),
        (json!({"budget_id": "nowhere"}), 400, "budget_id"),
        (json!({"guardrails": ["pii"]}), 400, "guardrails"),
        (json!({"key_type": "admin"}), 422, "key_type"),
        (json!([1]), 422, "request_body"),
    ] {
        let reply = office.post(MASTER, "/key/generate", &body);
        assert_eq!(blamed(&reply), (status, field.to_owned()), "{body}: {}", reply.body_text());
    }
    let broken = office.client(MASTER).post("/key/generate").bytes("{").send();
    assert_eq!(blamed(&broken), (400, "request_body".to_owned()));
    let list = office.show("/key/list");
    assert_eq!(list["total_count"], 1, "nothing was made: {list}");
    let unknown = office.post(MASTER, "/key/update", &json!({"key": "sk-unknown-to-all"}));
    assert_eq!(blamed(&unknown), (404, "key".to_owned()));
    let unnamed = office.post(MASTER, "/key/update", &json!({}));
    assert_eq!(blamed(&unnamed), (422, "key".to_owned()));
    // What nobody knows is tolerated, as by LiteLLM, and so is an empty body.
    office.make("/key/generate", &json!({"something_else": 1, "guardrails": []}));
    assert_eq!(office.client(MASTER).post("/key/generate").send().status, 200);
}

#[test]
fn lists_come_in_pages_and_are_filtered() {
    let office = Office::open();
    let body = json!({"user_id": "ann", "auto_create_key": false});
    assert_eq!(office.make("/user/new", &body)["key"], Value::Null);
    let keys: Vec<String> = (0..5)
        .map(|number| office.key(&json!({"key_alias": format!("k{number}"), "user_id": "ann"})))
        .collect();
    office.key(&json!({"key_alias": "other"}));
    let page = office.show("/key/list?page=2&size=2&user_id=ann");
    assert_eq!((&page["total_count"], &page["total_pages"]), (&json!(5), &json!(3)));
    assert_eq!((&page["current_page"], page["keys"].as_array().unwrap().len()), (&json!(2), 2));
    assert!(page["keys"][0].is_string(), "hashes only: {page}");
    let sorted =
        office.show("/key/list?return_full_object=true&sort_by=key_alias&sort_order=asc&size=100");
    let aliases: Vec<&str> = sorted["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["key_alias"].as_str().unwrap())
        .collect();
    assert_eq!(aliases, ["k0", "k1", "k2", "k3", "k4", "other"]);
    let one = office.show("/key/list?key_alias=k3");
    let hash = office.show(&format!("/key/info?key={}", keys[3]))["info"].clone();
    assert_eq!(one["total_count"], 1, "{hash}");
    let by_hash = one["keys"][0].as_str().unwrap();
    assert_eq!(office.show(&format!("/key/list?key_hash={by_hash}"))["total_count"], 1);
    let aliases = office.show("/key/aliases?search=K&size=2");
    assert_eq!((&aliases["aliases"], &aliases["total_count"]), (&json!(["k0", "k1"]), &json!(5)));
    for wrong in ["page=0", "size=1000", "sort_by=secret", "sort_order=up"] {
        let reply = office.get(MASTER, &format!("/key/list?{wrong}"));
        assert!(matches!(reply.status, 400 | 422), "{wrong}: {}", reply.status);
    }
    let deleted = office.make("/key/delete", &json!({"key_aliases": ["k0", "k1"]}));
    assert_eq!(deleted["deleted_keys"], json!(["k0", "k1"]));
    assert_eq!(office.show("/key/list?user_id=ann")["total_count"], 3);
}

#[test]
fn several_keys_are_changed_at_once_and_what_was_not_is_told() {
    let office = Office::open();
    let key = office.key(&json!({}));
    let body = json!({"keys": [{"key": key, "max_budget": 3}, {"key": "sk-unknown-to-all"}]});
    let done = office.make("/key/bulk_update", &body);
    assert_eq!(done["total_requested"], 2);
    assert_eq!(done["successful_updates"][0]["key_info"]["max_budget"], 3.0);
    assert_eq!(done["failed_updates"][0]["key"], "sk-unknown-to-all");
    let infos = office.make("/v2/key/info", &json!({"keys": [key, "sk-unknown-to-all"]}));
    assert_eq!(infos["info"].as_array().unwrap().len(), 1);
}

#[test]
fn what_the_configuration_wants_of_keys_is_given_and_held() {
    let office = Office::with(|builder| {
        builder.litellm(
            "default_key_generate_params:\n  max_budget: 2\n  models: [gpt]\n  metadata: {made: here}\n\
             upperbound_key_generate_params:\n  max_budget: 10\n  budget_duration: 30d\n  \
             duration: 7d\n  rpm_limit: 50\n\
             default_internal_user_params:\n  max_budget: 3\n  budget_duration: 1d\n  models: [gpt]\n\
             default_team_params:\n  tpm_limit: 1000",
        )
    });
    let made = office.make("/key/generate", &json!({}));
    assert_eq!((&made["max_budget"], &made["models"]), (&json!(2.0), &json!(["gpt"])));
    assert_eq!((&made["rpm_limit"], &made["budget_duration"]), (&json!(50), &json!("30d")));
    assert_eq!(made["metadata"], json!({"made": "here"}));
    assert!(made["expires"].is_string(), "at most seven days: {made}");
    for (body, field) in [
        (json!({"max_budget": 11}), "max_budget"),
        (json!({"duration": "8d"}), "duration"),
        (json!({"budget_duration": "60d"}), "budget_duration"),
        (json!({"rpm_limit": 51}), "rpm_limit"),
    ] {
        let reply = office.post(MASTER, "/key/generate", &body);
        assert_eq!(blamed(&reply), (400, field.to_owned()), "{body}");
        assert!(reply.error_message().contains("over max limit"), "{}", reply.body_text());
        let mut update = body.clone();
        update["key"] = made["key"].clone();
        let reply = office.post(MASTER, "/key/update", &update);
        assert_eq!(blamed(&reply), (400, field.to_owned()), "{update}");
    }
    // No bound is as much as there is.
    let lifted = json!({"key": made["key"], "max_budget": null});
    assert_eq!(office.post(MASTER, "/key/update", &lifted).status, 400);
    let user = office.make("/user/new", &json!({"user_role": "internal_user"}));
    assert_eq!((&user["max_budget"], &user["models"]), (&json!(3.0), &json!(["gpt"])));
    let admin = office.make("/user/new", &json!({"user_role": "proxy_admin"}));
    assert_eq!(admin["max_budget"], Value::Null);
    assert_eq!(office.make("/team/new", &json!({}))["tpm_limit"], 1000);
}

#[test]
fn gateways_that_share_a_database_hear_of_each_others_changes() {
    let url = postgres::database();
    let office = || Office::with(|builder| builder.general(&format!("database_url: {url}")));
    let (one, other) = (office(), office());
    let key = one.key(&json!({"models": ["gpt"]}));
    assert_eq!(other.client(&key).chat("gpt", "hi").status, 200);
    one.make("/key/block", &json!({"key": key}));
    eventually("the other gateway knows", || other.client(&key).chat("gpt", "hi").status == 401);
    other.make("/key/unblock", &json!({"key": key}));
    assert_eq!(other.client(&key).chat("gpt", "hi").status, 200, "at once");
    eventually("the first gateway knows", || one.client(&key).chat("gpt", "hi").status == 200);
}

#[test]
fn without_a_database_nothing_is_changed_and_that_is_told() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgresql://nobody:secret-word@127.0.0.1:{port}/nothing");
    let office = Office::with(|builder| builder.general(&format!("database_url: {url}")));
    let reply = office.post(MASTER, "/key/generate", &json!({}));
    assert_eq!((reply.status, reply.error_code()), (503, "database_unavailable".to_owned()));
    assert!(!reply.body_text().contains("secret-word") && !reply.body_text().contains("nobody"));
    assert_eq!(office.client(MASTER).chat("gpt", "hi").text(), "hello", "the master key goes on");
}

#[test]
fn a_key_of_the_file_is_seen_and_forgiven_but_not_changed() {
    let office = Office::with(|builder| {
        builder.top("key_settings:\n- {api_key: of-the-file, budget: {monthly_limit: 3}}")
    });
    let hash = KeyHash::of(b"of-the-file").to_string();
    for named in ["of-the-file", &hash] {
        let info = &office.show(&format!("/key/info?key={named}"))["info"];
        assert_eq!((&info["max_budget"], &info["remaining"]), (&json!(3.0), &json!(3.0)));
        let reset = format!("/key/{named}/reset_spend");
        assert_eq!(office.make(&reset, &json!({"reset_to": 0}))["max_budget"], 3.0);
    }
    let ann = office.user("ann", "internal_user", &json!({}));
    assert_eq!(office.get(&ann, &format!("/key/info?key={hash}")).status, 403);
    let path = format!("/key/{hash}/reset_spend");
    assert_eq!(office.post(&ann, &path, &json!({"reset_to": 0})).status, 403);
    let changed = office.post(MASTER, "/key/update", &json!({"key": hash, "max_budget": 9}));
    assert_eq!(blamed(&changed), (400, "key".to_owned()));
}
