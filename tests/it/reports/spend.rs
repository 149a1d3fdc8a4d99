//! The spend routes, asked of a gateway whose ledger is known.

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::keys::record::{Key, Member, MemberRole, Team, User};
use tollgate::keys::{Audit, Change, Directory as _, Entry, KeyHash, Role};
use tollgate::spend::{Ledger as _, SpendEvent};
use tollgate::store::{Database, Place};
use tollgate::usage::Usage;

use super::{MASTER, done, run, told};
use crate::harness::*;

const ADA: &str = "sk-ada-of-the-tests-0001";
const BOB: &str = "sk-bob-of-the-tests-0002";
const EVE: &str = "sk-eve-of-the-tests-0003";
/// 2026-03-10T12:00:00Z.
const NOON_US: i64 = 1_773_144_000_000_000;
const DAY_US: i64 = 86_400_000_000;
const DOLLAR: u64 = 1_000_000_000_000;

fn hash(key: &str) -> String {
    KeyHash::of(key.as_bytes()).to_string()
}

fn event(
    id: &str,
    day: i64,
    key: &str,
    user: &str,
    team: &str,
    model: &str,
    dollars: u64,
) -> SpendEvent {
    SpendEvent {
        request_id: id.into(),
        started_us: NOON_US + day * DAY_US,
        duration_us: 1_500_000,
        first_token_us: Some(200_000),
        key: hash(key).into(),
        user: Some(user.into()),
        team: (!team.is_empty()).then(|| team.into()),
        end_user: Some("customer-1".into()),
        tags: vec!["night".into()],
        route: "/v1/chat/completions".into(),
        model: model.into(),
        group: Some(model.into()),
        provider: Some("openai".into()),
        upstream_model: Some("gpt-4o-mini".into()),
        status: if id.ends_with('x') { 500 } else { 200 },
        usage: Usage { input_tokens: 100, output_tokens: 10, ..Usage::default() },
        cost_pico: dollars * DOLLAR,
        ..SpendEvent::default()
    }
}

/// Ada runs the red team, Bob is in it, Eve is in none. On two days: Ada 1 $, Bob 2 $ and 4 $ in red,
/// and Eve 8 $.
fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::new(Place::File(folder.path().join("t.db")));
    let events = [
        event("a", 0, ADA, "ada", "red", "gpt", 1),
        event("b", 0, BOB, "bob", "red", "gpt", 2),
        event("bx", 1, BOB, "bob", "red", "claude", 4),
        event("e", 1, EVE, "eve", "", "gpt", 8),
    ];
    let member = |user: &str, role| Member { user_id: user.into(), role, ..Member::default() };
    let team = Team {
        team_id: "red".into(),
        team_alias: Some("Red team".into()),
        members: vec![member("ada", MemberRole::Admin), member("bob", MemberRole::User)],
        ..Team::default()
    };
    let mut changes = vec![Change::Put(team_kind(), Entry::of(&team).unwrap())];
    for (key, user) in [(ADA, "ada"), (BOB, "bob"), (EVE, "eve")] {
        let team = (user != "eve").then_some("red");
        let role = Role::InternalUser;
        let record = User { user_id: user.into(), user_role: role, ..User::default() };
        changes.push(Change::Put(tollgate::keys::record::Kind::User, Entry::of(&record).unwrap()));
        let record =
            json!({"token": hash(key), "key_alias": user, "user_id": user, "team_id": team});
        let record: Key = serde_json::from_value(record).unwrap();
        changes.push(Change::Put(tollgate::keys::record::Kind::Key, Entry::of(&record).unwrap()));
    }
    let audit = |action: &'static str, id: &str| Audit {
        at: jiff::Timestamp::now(),
        by: "master".into(),
        key: None,
        action: action.into(),
        kind: team_kind(),
        id: id.into(),
        before: None,
        after: Some(json!({"team_id": id})),
    };
    let audits = vec![audit("created", "red"), audit("updated", "red"), audit("created", "blue")];
    run(async {
        database.append(&events).await.unwrap();
        database.change(changes, audits).await.unwrap();
    });
    folder
}

const fn team_kind() -> tollgate::keys::record::Kind {
    tollgate::keys::record::Kind::Team
}

fn gateway(folder: &TempDir) -> Gateway {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let database = folder.path().join("t.db");
    gateway::with(group("gpt").deployment(openai(&upstream)))
        .master_key(MASTER)
        .top(&format!("database: {{path: {}}}", database.display()))
        .start()
}

const DAYS: &str = "start_date=2026-03-10&end_date=2026-03-11";

/// The numbers of a list, by another field.
fn by(list: &Value, name: &str, number: &str) -> Vec<(String, f64)> {
    let entries = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    let text = |entry: &Value| entry[name].as_str().unwrap_or_default().to_owned();
    entries.iter().map(|entry| (text(entry), entry[number].as_f64().unwrap())).collect()
}

fn pairs(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
    expected.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

#[test]
fn rows_and_sums_of_the_spend_log_are_as_litellm_shows_them() {
    let folder = filled();
    let gateway = gateway(&folder);
    let client = gateway.client();

    let rows = told(&client, "/spend/logs?request_id=b");
    let row = &rows[0];
    assert_eq!(rows.as_array().unwrap().len(), 1);
    for (field, value) in [
        ("request_id", json!("b")),
        ("call_type", json!("acompletion")),
        ("api_key", json!(hash(BOB))),
        ("spend", json!(2.0)),
        ("total_tokens", json!(110)),
        ("prompt_tokens", json!(100)),
        ("completion_tokens", json!(10)),
        ("startTime", json!("2026-03-10T12:00:00Z")),
        ("endTime", json!("2026-03-10T12:00:01.5Z")),
        ("completionStartTime", json!("2026-03-10T12:00:00.2Z")),
        ("model", json!("gpt-4o-mini")),
        ("model_group", json!("gpt")),
        ("custom_llm_provider", json!("openai")),
        ("user", json!("bob")),
        ("team_id", json!("red")),
        ("end_user", json!("customer-1")),
        ("request_tags", json!(["night"])),
        ("cache_hit", json!("False")),
        ("status", json!("success")),
    ] {
        assert_eq!(row[field], value, "{field}");
    }
    // A key may be named as it is.
    for key in [BOB.to_owned(), hash(BOB)] {
        let rows = told(&client, &format!("/spend/logs?api_key={key}"));
        assert_eq!(by(&rows, "request_id", "spend"), pairs(&[("bx", 4.0), ("b", 2.0)]));
    }
    let days = told(&client, &format!("/spend/logs?{DAYS}"));
    assert_eq!(
        by(&days, "startTime", "spend"),
        pairs(&[("2026-03-10", 3.0), ("2026-03-11", 12.0)])
    );
    assert_eq!(days[1]["models"], json!({"claude": 4.0, "gpt": 8.0}));
    assert_eq!(days[1]["users"], json!({"bob": 4.0, "eve": 8.0}));
    assert_eq!(days[0][hash(ADA)], 1.0);
    let rows = told(&client, &format!("/spend/logs?{DAYS}&summarize=false"));
    assert_eq!(rows.as_array().unwrap().len(), 4);

    let page = told(&client, &format!("/spend/logs/v2?{DAYS}&page=2&page_size=3"));
    assert_eq!((&page["total"], &page["total_pages"]), (&json!(4), &json!(2)));
    assert_eq!(by(&page["data"], "request_id", "spend"), pairs(&[("a", 1.0)]));
    for (filter, ids) in [
        ("status_filter=failure", &["bx"][..]),
        ("min_spend=2&max_spend=4", &["bx", "b"]),
        ("model=claude", &["bx"]),
        ("user_id=eve", &["e"]),
        ("team_id=red&user_id=ada", &["a"]),
        ("end_user=nobody", &[]),
    ] {
        let page = told(&client, &format!("/spend/logs/v2?{DAYS}&{filter}"));
        let found: Vec<_> = by(&page["data"], "request_id", "spend");
        let found: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(found, ids, "{filter}");
        assert_eq!(page["total"], ids.len(), "{filter}");
    }
    for wrong in ["page=0", "page_size=101", "status_filter=odd", "min_spend=x"] {
        let refused = client.get(&format!("/spend/logs/v2?{DAYS}&{wrong}"));
        assert!((400..500).contains(&refused.status), "{wrong}: {}", refused.status);
    }
    assert_eq!(client.get("/spend/logs/v2").status, 400, "a time is needed");
}

#[test]
fn sums_are_those_of_the_ledger() {
    let folder = filled();
    let gateway = gateway(&folder);
    let client = gateway.client();
    assert_eq!(told(&client, "/global/spend")["spend"], 15.0);
    for (path, name, number, expected) in [
        (
            "/global/spend/keys",
            "key_alias",
            "total_spend",
            &[("eve", 8.0), ("bob", 6.0), ("ada", 1.0)][..],
        ),
        (
            "/global/spend/keys",
            "key_alias",
            "total_spend",
            &[("eve", 8.0), ("bob", 6.0), ("ada", 1.0)],
        ),
        ("/global/spend/models", "model", "total_spend", &[("gpt", 11.0), ("claude", 4.0)]),
        ("/global/spend/provider", "provider", "spend", &[("openai", 15.0)]),
        ("/global/spend/logs", "date", "spend", &[("2026-03-10", 3.0), ("2026-03-11", 12.0)]),
        ("/spend/tags", "individual_request_tag", "total_spend", &[("night", 15.0)]),
        ("/spend/keys", "key_alias", "spend", &[("eve", 8.0), ("bob", 6.0), ("ada", 1.0)]),
        ("/spend/users", "user_id", "spend", &[("eve", 8.0), ("bob", 6.0), ("ada", 1.0)]),
    ] {
        let list = told(&client, &format!("{path}?{DAYS}"));
        assert_eq!(by(&list, name, number), pairs(expected), "{path}");
    }
    let tags = told(&client, &format!("/global/spend/tags?{DAYS}"));
    assert_eq!(tags["spend_per_tag"], json!([{"name": "night", "log_count": 4, "spend": 15.0}]));
    let teams = told(&client, &format!("/global/spend/teams?{DAYS}"));
    let totals = by(&teams["total_spend_per_team"], "team_id", "total_spend");
    assert_eq!(totals, pairs(&[("Unassigned", 8.0), ("Red team", 7.0)]));
    let span = json!({"startTime": "2026-03-10", "endTime": "2026-03-11"});
    let customers = done(&client, "/global/spend/end_users", &span);
    assert_eq!(
        customers,
        json!([{"end_user": "customer-1", "total_count": 4, "total_spend": 15.0}])
    );

    let report = told(&client, &format!("/global/spend/report?{DAYS}"));
    assert_eq!(report[0]["group_by_day"], "2026-03-10T00:00:00+00:00");
    assert_eq!(report[0]["teams"][0]["team_name"], "Red team");
    assert_eq!(report[0]["teams"][0]["total_spend"], 3.0);
    let details = report[0]["teams"][0]["metadata"].as_array().unwrap();
    assert_eq!(details.iter().map(|it| it["spend"].as_f64().unwrap()).sum::<f64>(), 3.0);
    assert_eq!(details[0]["total_tokens"], 110);
    let report = told(&client, &format!("/global/spend/report?{DAYS}&group_by=customer"));
    assert_eq!(report[1]["customers"][0]["total_spend"], 12.0);
    let report = told(&client, &format!("/global/spend/report?{DAYS}&api_key={BOB}"));
    assert_eq!((&report[0]["api_key"], &report[0]["total_cost"]), (&json!(hash(BOB)), &json!(6.0)));
    assert_eq!(report[0]["model_details"].as_array().unwrap().len(), 2);
    let report = told(&client, &format!("/global/spend/report?{DAYS}&group_by=internal_user_id"));
    assert_eq!(
        by(&report, "user_id", "total_cost"),
        pairs(&[("ada", 1.0), ("bob", 6.0), ("eve", 8.0)])
    );
    assert_eq!(client.get(&format!("/global/spend/report?{DAYS}&group_by=moon")).status, 400);

    let activity = told(&client, &format!("/global/activity?{DAYS}"));
    assert_eq!(
        (&activity["sum_api_requests"], &activity["sum_total_tokens"]),
        (&json!(4), &json!(440))
    );
    assert_eq!(
        activity["daily_data"][0],
        json!({"date": "Mar 10", "api_requests": 2, "total_tokens": 220})
    );
    let models = told(&client, &format!("/global/activity/model?{DAYS}"));
    assert_eq!(by(&models, "model", "sum_api_requests"), pairs(&[("gpt", 3.0), ("claude", 1.0)]));

    let daily = told(&client, &format!("/user/daily/activity?{DAYS}"));
    let newest = &daily["results"][0];
    assert_eq!(
        (&newest["date"], &newest["metrics"]["spend"]),
        (&json!("2026-03-11"), &json!(12.0))
    );
    assert_eq!(newest["metrics"]["failed_requests"], 1);
    assert_eq!(newest["breakdown"]["models"]["claude"]["metrics"]["spend"], 4.0);
    assert_eq!(newest["breakdown"]["providers"]["openai"]["metrics"]["api_requests"], 2);
    assert_eq!(newest["breakdown"]["api_keys"][hash(BOB)]["metadata"]["key_alias"], "bob");
    assert_eq!(daily["metadata"]["total_spend"], 15.0);
    let page = told(&client, &format!("/user/daily/activity?{DAYS}&page=2&page_size=1"));
    assert_eq!(
        (&page["results"][0]["date"], &page["metadata"]["has_more"]),
        (&json!("2026-03-10"), &json!(false))
    );
    let team = told(&client, &format!("/team/daily/activity?{DAYS}&team_ids=red"));
    assert_eq!(team["metadata"]["total_spend"], 7.0);
    let red = &team["results"][0]["breakdown"]["entities"]["red"];
    assert_eq!(red["metadata"]["team_alias"], "Red team");
    let without = told(&client, &format!("/team/daily/activity?{DAYS}&exclude_team_ids=red"));
    assert_eq!(without["metadata"]["total_spend"], 8.0);
    let tag = told(&client, &format!("/tag/daily/activity?{DAYS}&tags=night"));
    assert_eq!(tag["metadata"]["total_spend"], 15.0);

    let log = told(&client, "/audit?page_size=2");
    assert_eq!((&log["total"], log["audit_logs"].as_array().unwrap().len()), (&json!(3), 2));
    let log = told(&client, "/audit?object_id=red&action=updated&table_name=LiteLLM_TeamTable");
    assert_eq!(log["total"], 1);
    assert_eq!(log["audit_logs"][0]["updated_values"], json!({"team_id": "red"}));
    assert_eq!(client.get("/audit?table_name=pg_user").status, 400);
}

#[test]
fn sums_of_teams_with_one_name_are_added_up() {
    let folder = filled();
    let gateway = gateway(&folder);
    let client = gateway.client();
    // As those without a team are called.
    done(&client, "/team/update", &json!({"team_id": "red", "team_alias": "Unassigned"}));
    let teams = told(&client, &format!("/global/spend/teams?{DAYS}"));
    let days = by(&teams["daily_spend"], "date", "Unassigned");
    assert_eq!(days, pairs(&[("2026-03-10", 3.0), ("2026-03-11", 12.0)]));
    let totals = by(&teams["total_spend_per_team"], "team_id", "total_spend");
    assert_eq!(totals, pairs(&[("Unassigned", 15.0)]));
}

#[test]
fn each_sees_what_is_theirs_to_see() {
    let folder = filled();
    let gateway = gateway(&folder);
    let as_key = |key: &str| gateway.client().with_key(Some(key));
    let (ada, bob, eve) = (as_key(ADA), as_key(BOB), as_key(EVE));
    let total = |client: &Client, query: &str| {
        let daily = told(client, &format!("/user/daily/activity?{DAYS}{query}"));
        daily["metadata"]["total_spend"].as_f64().unwrap()
    };
    // Who asks for nothing in particular sees what is their own.
    assert_eq!([total(&ada, ""), total(&bob, ""), total(&eve, "")], [1.0, 6.0, 8.0]);
    // The admin of a team sees the team, a member the own part of it, others nothing.
    assert_eq!(total(&ada, "&team_id=red"), 7.0);
    assert_eq!(total(&bob, "&team_id=red"), 6.0);
    assert_eq!(total(&ada, &format!("&api_key={BOB}")), 6.0);
    for (client, path) in [
        (&bob, format!("/spend/logs?api_key={ADA}")),
        (&bob, "/spend/logs?user_id=eve".to_owned()),
        (&eve, "/spend/logs?team_id=red".to_owned()),
        (&eve, format!("/team/daily/activity?{DAYS}&team_ids=red")),
        (&bob, format!("/global/spend/report?{DAYS}&group_by=customer")),
        (&ada, "/global/spend".to_owned()),
        (&ada, "/global/spend/tags".to_owned()),
        (&ada, "/spend/users".to_owned()),
        (&ada, "/spend/keys".to_owned()),
        (&ada, "/audit".to_owned()),
        (&ada, "/provider/budgets".to_owned()),
    ] {
        let refused = client.get(&path);
        assert_eq!(refused.status, 403, "{path}: {}", refused.body_text());
    }
    let ids = |client: &Client, path: &str| -> Vec<String> {
        by(&told(client, path), "request_id", "spend").into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(ids(&bob, "/spend/logs"), ["bx", "b"]);
    assert_eq!(ids(&ada, "/spend/logs?request_id=b"), ["b"]);
    assert!(ids(&eve, "/spend/logs?request_id=b").is_empty());
    let report = told(&ada, &format!("/global/spend/report?{DAYS}"));
    assert_eq!(report[1]["teams"][0]["total_spend"], 4.0);
    assert_eq!(told(&eve, &format!("/global/spend/report?{DAYS}")), json!([]));
    assert_eq!(gateway.client().with_key(None).get("/spend/logs").status, 401);
}

#[test]
fn what_a_call_costs_is_told_beforehand_and_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(&folder);
    let client = gateway.client();
    let body = json!({"completion_response": {"model": "gpt", "usage":
        {"prompt_tokens": 1_000_000, "completion_tokens": 100_000}}});
    // 0.15 $ and 0.60 $ for a million tokens of gpt-4o-mini.
    let cost = done(&client, "/spend/calculate", &body)["cost"].as_f64().unwrap();
    assert!((cost - 0.21).abs() < 1e-9, "{cost}");
    let messages = json!([{"role": "user", "content": "How much is the fish?"}]);
    let asked = done(&client, "/spend/calculate", &json!({"model": "gpt", "messages": messages}));
    assert!(asked["cost"].as_f64().is_some_and(|cost| cost > 0.0 && cost < 0.0001), "{asked}");
    let estimate = json!({"model": "gpt-4o-mini", "input_tokens": 1000, "output_tokens": 500,
                          "num_requests_per_day": 100});
    let estimate = done(&client, "/cost/estimate", &estimate);
    let near = |field: &str, expected: f64| {
        let found = estimate[field].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-9, "{field}: {found}");
    };
    near("cost_per_request", 0.000_45);
    near("input_cost_per_request", 0.000_15);
    near("daily_cost", 0.045);
    assert_eq!(estimate["monthly_cost"], Value::Null);
    for (path, body) in [
        ("/spend/calculate", json!({})),
        ("/spend/calculate", json!({"model": "no-such-model", "messages": []})),
        ("/spend/calculate", json!({"model": "gpt", "messages": "text"})),
        ("/spend/calculate", json!({"model": "gpt", "completion_response": 5})),
        ("/cost/estimate", json!({"model": "gpt", "input_tokens": -1, "output_tokens": 1})),
        ("/cost/estimate", json!({"model": "gpt"})),
    ] {
        let status = client.post(path).json(&body).send().status;
        assert!((400..500).contains(&status), "{path} {body}: {status}");
    }
    let counted =
        done(&client, "/utils/token_counter", &json!({"model": "gpt", "messages": messages}));
    assert_eq!(counted["model_used"], "gpt-4o-mini");
    assert_eq!(counted["tokenizer_type"], "openai_tokenizer");
    assert_eq!(counted["request_model"], "gpt");
    let tokens = counted["total_tokens"].as_u64().unwrap();
    assert!((8..20).contains(&tokens), "{tokens}");
    let prompt = json!({"model": "unknown/model", "prompt": "How much is the fish?"});
    let counted = done(&client, "/utils/token_counter", &prompt);
    assert_eq!(counted["tokenizer_type"], "estimate");
    assert_eq!(
        client.post("/utils/token_counter").json(&json!({"model": "gpt"})).send().status,
        400
    );
}

#[test]
fn what_was_just_spent_is_in_the_reports() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&upstream)))
        .master_key(MASTER)
        .router("provider_budget_config: {openai: {budget_limit: 5, time_period: 1d}}")
        .litellm("max_budget: 100\nbudget_duration: 30d")
        .start();
    let client = gateway.client();
    let reply = client.chat("gpt", "hi");
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    let path = format!("/spend/logs?request_id={}", reply.request_id());
    eventually("the request is in the log", || told(&client, &path)[0]["model_group"] == "gpt");
    let row = &told(&client, &path)[0];
    let spend = row["spend"].as_f64().unwrap();
    assert!(spend > 0.0 && row["total_tokens"].as_u64() > Some(0), "{row}");
    assert_eq!(row["call_type"], "acompletion");
    let all = told(&client, "/global/spend");
    assert_eq!((&all["spend"], &all["max_budget"]), (&json!(spend), &json!(100.0)));
    let budget = &told(&client, "/provider/budgets")["providers"]["openai"];
    assert_eq!((&budget["budget_limit"], &budget["spend"]), (&json!(5.0), &json!(spend)));
    assert_eq!(budget["time_period"], "1d");
    assert!(budget["budget_reset_at"].as_str().is_some_and(|at| at.ends_with("T00:00:00Z")));
    let today = told(&client, "/global/spend/models");
    assert_eq!(by(&today, "model", "total_spend"), pairs(&[("gpt", spend)]));
}
