//! Deployments that are added, changed and removed while gateways run.

use serde_json::{Value, json};

use super::{MASTER, done, told};
use crate::harness::gateway::Builder;
use crate::harness::*;

const PROVIDERS_KEY: &str = "sk-of-the-provider-4321";

fn on(upstream: &Upstream) -> Builder {
    gateway::with(group("gpt").deployment(openai(upstream).id("of-the-file"))).master_key(MASTER)
}

fn added(upstream: &Upstream, name: &str, id: &str) -> Value {
    let params = json!({"model": "openai/gpt-4o", "api_base": upstream.api_base(),
                        "api_key": PROVIDERS_KEY, "rpm": 60});
    json!({"model_name": name, "litellm_params": params,
           "model_info": {"id": id, "team": "red"}})
}

#[test]
fn deployments_come_change_and_go_while_the_gateway_runs() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = on(&upstream).start();
    let client = gateway.client();
    assert_eq!(client.chat("new", "hi").status, 404);

    let made = done(&client, "/model/new", &added(&upstream, "new", "of-the-database"));
    assert_eq!(
        (&made["model_id"], &made["model_name"]),
        (&json!("of-the-database"), &json!("new"))
    );
    assert_eq!(client.chat("new", "hi").text(), "hello", "it is in force at once");
    let asked = upstream.requests().last().unwrap().clone();
    assert_eq!(asked.header("authorization"), Some(&*format!("Bearer {PROVIDERS_KEY}")));

    let all = told(&client, "/model/info");
    let data = all["data"].as_array().unwrap();
    let ids: Vec<_> = data.iter().map(|one| &one["model_info"]["id"]).collect();
    assert_eq!(ids, [&json!("of-the-file"), &json!("of-the-database")]);
    let one = &told(&client, "/v1/model/info?litellm_model_id=of-the-database")["data"][0];
    assert_eq!(
        (&one["model_info"]["db_model"], &data[0]["model_info"]["db_model"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&one["model_info"]["team"], &one["litellm_params"]["rpm"]),
        (&json!("red"), &json!(60))
    );
    assert_eq!(one["model_info"]["mode"], "chat");
    assert!(one["model_info"]["input_cost_per_token"].as_f64().is_some_and(|cost| cost > 0.0));
    assert!(one["model_info"]["max_input_tokens"].as_u64().is_some());
    let page = told(&client, "/v2/model/info?search=NEW&size=1");
    assert_eq!((&page["total_count"], &page["data"][0]["model_name"]), (&json!(1), &json!("new")));
    let groups = told(&client, "/model_group/info?model_group=new");
    let group = &groups["data"][0];
    assert_eq!((&group["rpm"], &group["providers"]), (&json!(60), &json!(["openai"])));
    assert_eq!(group["supports_function_calling"], true);
    let shown = format!("{made} {all} {groups} {}", told(&client, "/audit"));
    assert!(!shown.contains(PROVIDERS_KEY) && !shown.contains("sealed"), "{shown}");

    let path = format!("/spend/logs?request_id={}", client.chat("new", "hi").request_id());
    let row = eventually_some("the request's row", || told(&client, &path).get(0).cloned());
    let address = format!("{}?code=of-the-provider", upstream.api_base());
    assert_eq!(
        (&row["model_id"], &row["api_base"]),
        (&json!("of-the-database"), &json!(upstream.api_base()))
    );
    let moved =
        json!({"model_info": {"id": "of-the-database"}, "litellm_params": {"api_base": address}});
    done(&client, "/model/update", &moved);
    assert_eq!(told(&client, &path)[0]["api_base"], upstream.api_base(), "without its secret");
    let key = done(&client, "/key/generate", &json!({}))["key"].as_str().unwrap().to_owned();
    let holder = gateway.client().with_key(Some(&key));
    let path_of_key = format!("/spend/logs?request_id={}", holder.chat("new", "hi").request_id());
    let row = eventually_some("the key's row", || told(&holder, &path_of_key).get(0).cloned());
    assert_eq!(row["api_base"], "", "how a model is called is the operators' business");

    let change = json!({"model_info": {"id": "of-the-database", "team": null},
                        "litellm_params": {"rpm": null, "weight": 2}, "model_name": "newer"});
    done(&client, "/model/update", &change);
    assert_eq!(client.chat("newer", "hi").text(), "hello", "the key is still known");
    assert_eq!(client.chat("new", "hi").status, 404);
    let one = &told(&client, "/model/info?litellm_model_id=of-the-database")["data"][0];
    let params = &one["litellm_params"];
    assert_eq!((&params["rpm"], &params["weight"]), (&Value::Null, &json!(2.0)));
    assert_eq!(one["model_info"]["team"], Value::Null);

    // A reload of the file keeps what is in the database.
    assert_eq!(client.post("/config/reload").send().status, 200);
    assert_eq!(client.chat("newer", "hi").text(), "hello");

    done(&client, "/model/delete", &json!({"id": "of-the-database"}));
    assert_eq!(client.chat("newer", "hi").status, 404);
    assert_eq!(told(&client, &path)[0]["api_base"], "", "nobody knows any more");
    assert_eq!(told(&client, "/audit?table_name=LiteLLM_ProxyModelTable")["total"], 4);
}

#[test]
fn what_would_not_work_is_refused_and_changes_nothing() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = on(&upstream).start();
    let client = gateway.client();
    let with = |name: &str, value: Value| {
        let mut body = added(&upstream, "new", "one");
        body["litellm_params"][name] = value;
        body
    };
    let mut nameless = added(&upstream, "new", "one");
    nameless.as_object_mut().unwrap().remove("model_name");
    for body in [
        with("model", json!("no-such-provider/model")),
        with("rpm", json!("many")),
        with("api_base", json!("not a url")),
        added(&upstream, "new", "of-the-file"),
        added(&upstream, "new", ""),
        nameless,
        json!({"model_name": "new"}),
        json!({"model_name": "new", "litellm_params": []}),
    ] {
        let refused = client.post("/model/new").json(&body).send();
        assert!((400..500).contains(&refused.status), "{body}: {}", refused.body_text());
        assert!(!refused.body_text().contains(PROVIDERS_KEY), "{}", refused.body_text());
    }
    assert_eq!(told(&client, "/model/info")["data"].as_array().unwrap().len(), 1);
    let of_file = json!({"id": "of-the-file"});
    let refused = client.post("/model/delete").json(&of_file).send();
    assert_eq!(refused.status, 400);
    assert!(refused.body_text().contains("configuration file"));
    assert_eq!(client.post("/model/delete").json(&json!({"id": "none"})).send().status, 404);
    assert_eq!(client.chat("gpt", "hi").text(), "hello");
}

#[test]
fn other_gateways_follow_and_a_restart_finds_them_again() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let url = postgres::database();
    let start = || {
        let database = format!("database: {{type: postgres, connection_string: '{url}'}}");
        on(&upstream).top(&database).variable("LITELLM_SALT_KEY", "salt-of-the-tests").start()
    };
    let (here, there) = (start(), start());
    done(&here.client(), "/model/new", &added(&upstream, "new", "one"));
    eventually("the other gateway calls it", || there.client().chat("new", "hi").status == 200);
    let kept = postgres::ask(&url, "SELECT record FROM tollgate_models");
    assert!(kept.contains("sealed") && !kept.contains(PROVIDERS_KEY), "{kept}");
    drop(here);
    let again = start();
    eventually("a new gateway calls it", || again.client().chat("new", "hi").status == 200);
    done(&again.client(), "/model/delete", &json!({"id": "one"}));
    eventually("the other gateway forgets it", || there.client().chat("new", "hi").status == 404);

    // What a gateway cannot open, it leaves out, and serves on.
    done(&again.client(), "/model/new", &added(&upstream, "new", "two"));
    let database = format!("database: {{type: postgres, connection_string: '{url}'}}");
    let other = on(&upstream).top(&database).variable("LITELLM_SALT_KEY", "another").start();
    other.wait_for_message("a model of the database is left out");
    assert_eq!(other.client().chat("gpt", "hi").text(), "hello");
}

/// Models of the database that do not work any more keep nobody from working with the others.
#[test]
fn faulty_models_of_the_database_are_left_out_and_can_be_repaired_or_removed() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let url = postgres::database();
    let start = |more: &str| {
        let top = format!("database: {{type: postgres, connection_string: '{url}'}}\n{more}");
        on(&upstream).top(&top).variable("LITELLM_SALT_KEY", "salt-of-the-tests").start()
    };
    let shared = "credential_list:\n\
                  - credential_name: shared\n  credential_values: {api_key: sk-of-the-file}";
    let first = start(shared);
    for id in ["one", "two"] {
        let mut body = added(&upstream, id, id);
        let params = body["litellm_params"].as_object_mut().unwrap();
        params.remove("api_key");
        params.insert("litellm_credential_name".into(), json!("shared"));
        done(&first.client(), "/model/new", &body);
    }
    done(&first.client(), "/model/new", &added(&upstream, "good", "good"));
    drop(first);
    postgres::ask(
        &url,
        "INSERT INTO tollgate_models (id, record) VALUES ('three', '{\"model_name\": 3}')",
    );

    let gateway = start("");
    let client = gateway.client();
    gateway.wait_for_message("a model of the database is left out");
    eventually("the good one is called", || client.chat("good", "hi").status == 200);
    assert_eq!(client.chat("one", "hi").status, 404);
    let warnings = client.post("/config/reload").send().json()["warnings"].to_string();
    for part in ["the model one of the database is left out", "the model two", "shared"] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }

    done(&client, "/model/new", &added(&upstream, "more", "more"));
    assert_eq!(client.chat("more", "hi").status, 200);
    let repair = json!({"model_info": {"id": "one"}, "litellm_params": {
                        "litellm_credential_name": null, "api_key": PROVIDERS_KEY}});
    let half = json!({"model_info": {"id": "two"}, "litellm_params": {"rpm": 7}});
    let refused = client.post("/model/update").json(&half).send();
    assert_eq!(refused.status, 400, "{}", refused.body_text());
    assert!(refused.body_text().contains("shared"), "{}", refused.body_text());
    done(&client, "/model/update", &repair);
    assert_eq!(client.chat("one", "hi").status, 200, "it is repaired");
    for id in ["two", "three"] {
        done(&client, "/model/delete", &json!({ "id": id }));
    }
    let warnings = client.post("/config/reload").send().json()["warnings"].to_string();
    assert!(!warnings.contains("database"), "{warnings}");
    assert_eq!(
        postgres::ask(&url, "SELECT id FROM tollgate_models ORDER BY id"),
        "good\nmore\none"
    );
}
