//! The overview, single requests and deployments, after traffic whose numbers are known.

use http::Method;
use serde_json::{Value, json};

use super::{Browser, MASTER, office, refused, user};
use crate::harness::*;

/// A group whose first deployment fails, with a fallback that serves, and a group that always does.
fn troubled() -> (Gateway, [Upstream; 3]) {
    let broken = upstream::openai().replies(status(500)).start();
    let spare = upstream::openai().replies(chat("spare")).start();
    let good = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("flaky").deployment(openai(&broken)))
        .and(group("spare").deployment(openai(&spare)))
        .and(group("gpt").deployment(openai(&good)))
        .router("num_retries: 0")
        .router("fallbacks: [{flaky: [spare]}]")
        .router("disable_cooldowns: true")
        .master_key(MASTER)
        .top("dashboard: {baseline_model: gpt-4o}")
        .start();
    (gateway, [broken, spare, good])
}

#[track_caller]
fn overview(browser: &Browser, query: &str, requests: u64) -> Value {
    eventually_some("all requests are in the sums", || {
        let told = browser.told(&format!("/ui/api/overview{query}"));
        // An overview is several statements: what was written between them is in some of its parts only.
        let all = told["totals"]["requests"] == requests;
        all.then(|| browser.told(&format!("/ui/api/overview{query}")))
    })
}

fn named<'a>(list: &'a Value, field: &str, name: impl Into<Value>) -> &'a Value {
    let name = name.into();
    let list = list.as_array().unwrap();
    list.iter().find(|it| it[field] == name).unwrap_or_else(|| panic!("{name} in {list:?}"))
}

#[test]
fn an_overview_counts_requests_attempts_and_who_paid() {
    let (gateway, _upstreams) = troubled();
    let key = user(&gateway, "ada", "internal_user");
    let ada = gateway.client().with_key(Some(&key));
    for _ in 0..3 {
        assert_eq!(ada.chat("gpt", "hi").status, 200);
    }
    assert_eq!(ada.chat("flaky", "hi").text(), "spare");
    let alone = ada.ask("flaky", "hi").set("disable_fallbacks", true).send();
    assert_eq!(alone.status, 500, "{}", alone.body_text());
    let browser = Browser::logged_in(&gateway, MASTER);
    let told = overview(&browser, "", 5);
    let totals = &told["totals"];
    assert_eq!(totals["failures"], 1);
    assert_eq!((&totals["fallbacks"], &totals["fallbacks_succeeded"]), (&json!(1), &json!(1)));
    assert_eq!(totals["failure_rate"], 0.2);
    assert_eq!(totals["latency"]["count"], 4);
    assert!(totals["latency"]["p50"].as_f64().unwrap() > 0.0);
    assert_eq!(told["before"]["requests"], 0);

    let step = told["step"].as_i64().unwrap();
    assert_eq!(step, 900_000);
    let series = told["series"].as_array().unwrap();
    let (from, to) = (told["from"].as_i64().unwrap(), told["to"].as_i64().unwrap());
    assert_eq!(series.len() as i64, (to - from) / step);
    let sum: u64 = series.iter().map(|point| point["requests"].as_u64().unwrap()).sum();
    assert_eq!(sum, 5);

    // What is counted is found in the log.
    let failed = browser.told("/ui/api/requests?error=server");
    assert_eq!(failed["total"], 1);
    let failed = &failed["requests"][0];
    assert_eq!(
        (&failed["provider"], &failed["tried"]["provider"]),
        (&json!(null), &json!("openai"))
    );
    assert_eq!(browser.told("/ui/api/requests?error=timeout")["total"], 0);

    let deployments = &told["deployments"];
    let good = named(deployments, "group", "gpt")["id"].as_str().unwrap();
    assert_eq!(browser.told(&format!("/ui/api/requests?deployment={good}"))["total"], 3);
    let flaky = named(deployments, "group", "flaky");
    assert_eq!((&flaky["attempts"], &flaky["attempt_failures"]), (&json!(2), &json!(2)));
    assert_eq!(flaky["error_rate"], 1.0);
    let spare = named(deployments, "group", "spare");
    assert_eq!((&spare["attempts"], &spare["requests"]), (&json!(1), &json!(1)));
    let good = named(deployments, "group", "gpt");
    assert_eq!((&good["attempts"], &good["error_rate"]), (&json!(3), &json!(0.0)));
    assert_eq!((&good["configured"], &good["state"]), (&json!(true), &json!("healthy")));
    let strip = named(&told["uptime"], "provider", "openai");
    let cells = strip["cells"].as_array().unwrap();
    let sum = |field: &str| cells.iter().map(|cell| cell[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("attempts"), sum("failures")), (6, 2));

    assert_eq!(told["errors"], json!([{"class": "server", "count": 1}]));
    assert_eq!(named(&told["by_group"], "id", "gpt")["requests"], 3);
    assert_eq!(named(&told["by_user"], "id", "ada")["requests"], 5);
    assert_eq!(named(&told["by_team"], "id", "")["requests"], 5);
    assert_eq!(told["by_key"].as_array().unwrap().len(), 1);
    // The baseline has a price and the deployments of the tests have none.
    assert_eq!(told["savings"]["model"], "gpt-4o");
    assert!(told["savings"]["baseline_cost"].as_f64().unwrap() > 0.0, "{}", told["savings"]);

    let narrowed = overview(&browser, "?group=gpt", 3);
    assert_eq!(narrowed["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(narrowed["by_user"][0]["requests"], 3);
    let of_user = overview(&browser, "?user=ada", 5);
    assert_eq!((&of_user["step"], &of_user["own_only"]), (&json!(3_600_000), &json!(false)));
    assert_eq!(named(&of_user["by_group"], "id", "gpt")["requests"], 3);
    overview(&browser, "?user=nobody", 0);
    let week = format!("?from={}&to={to}", to - 7 * 86_400_000);
    let week = overview(&browser, &week, 5);
    assert_eq!((&week["step"], &week["by_user"][0]["requests"]), (&json!(3_600_000), &json!(5)));
    let month = overview(&browser, &format!("?from={}&to={to}", to - 30 * 86_400_000), 5);
    assert_eq!(month["step"], 86_400_000);
}

#[test]
fn replies_from_the_cache_are_counted_as_hits_and_not_as_attempts() {
    let provider = upstream::openai().replies(chat("hello").usage(5, 10)).start();
    let priced = openai(&provider).with("input_cost_per_token: 0\noutput_cost_per_token: 0.0001");
    let gateway = gateway::with(group("gpt").deployment(priced))
        .litellm("cache: true\ncache_params: {type: local}")
        .master_key(MASTER)
        .start();
    let client = gateway.client().with_key(Some(MASTER));
    for _ in 0..4 {
        assert_eq!(client.chat("gpt", "the same").status, 200);
    }
    assert_eq!(provider.requests().len(), 1);
    let browser = Browser::logged_in(&gateway, MASTER);
    let told = overview(&browser, "", 4);
    let totals = &told["totals"];
    assert_eq!((&totals["cache_hits"], &totals["cache_hit_rate"]), (&json!(3), &json!(0.75)));
    assert_eq!((&totals["cost"], &totals["cache_saved"]), (&json!(0.001), &json!(0.003)));
    assert_eq!(totals["latency"]["count"], 1, "of the provider's reply only");
    assert_eq!(told["deployments"][0]["attempts"], 1);
    let hits: u64 = told["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["cache_hits"].as_u64().unwrap())
        .sum();
    assert_eq!(hits, 3);
    let requests = browser.told("/ui/api/requests");
    let hit = named(&requests["requests"], "cache_hit", true);
    let id = hit["id"].as_str().unwrap();
    let hit = browser.told(&format!("/ui/api/requests/{id}"));
    assert_eq!((&hit["cost"], &hit["saved"]), (&json!(0.0), &json!(0.001)));
    assert_eq!(hit["attempts"], json!([]));
}

#[test]
fn a_user_sees_what_is_its_own_and_nothing_else() {
    let (gateway, _upstreams) = troubled();
    let (ada, eve) =
        (user(&gateway, "ada", "internal_user"), user(&gateway, "eve", "internal_user"));
    assert_eq!(gateway.client().with_key(Some(&ada)).chat("gpt", "hi").status, 200);
    for _ in 0..2 {
        assert_eq!(gateway.client().with_key(Some(&eve)).chat("gpt", "hi").status, 200);
    }
    let all = Browser::logged_in(&gateway, MASTER);
    overview(&all, "", 3);
    let browser = Browser::logged_in(&gateway, &ada);
    let own = overview(&browser, "", 1);
    assert_eq!(own["own_only"], true);
    for hidden in ["deployments", "uptime", "errors", "variants", "by_tag"] {
        assert_eq!(own[hidden], json!([]), "{hidden}");
    }
    assert_eq!(own["by_user"].as_array().unwrap().len(), 1);
    assert!(!own.to_string().contains("eve"), "{own}");
    assert_eq!(refused(&browser.get("/ui/api/overview?user=eve")).0, 403);
    assert_eq!(refused(&browser.get("/ui/api/overview?tag=x")).0, 403);

    let requests = browser.told("/ui/api/requests");
    assert_eq!((&requests["total"], &requests["requests"][0]["user"]), (&json!(1), &json!("ada")));
    let of_eve = all.told("/ui/api/requests?user=eve");
    let id = of_eve["requests"][0]["id"].as_str().unwrap();
    assert_eq!(all.get(&format!("/ui/api/requests/{id}")).status, 200);
    assert_eq!(refused(&browser.get(&format!("/ui/api/requests/{id}"))).0, 404);
    assert_eq!(refused(&browser.get("/ui/api/config")).0, 403);
    let deployments = browser.told("/ui/api/deployments");
    assert_eq!(deployments["deployments"][0]["api_base"], json!(null));

    // Viewers look and change nothing.
    let viewer = user(&gateway, "vera", "proxy_admin_viewer");
    let viewer = Browser::logged_in(&gateway, &viewer);
    overview(&viewer, "", 3);
    assert_eq!(viewer.get("/ui/api/config").status, 200);
    assert_eq!(refused(&viewer.post("/config/reload", &json!({})).send()).0, 403);
    assert_eq!(refused(&viewer.post("/team/new", &json!({"team_alias": "x"})).send()).0, 403);
}

#[test]
fn a_request_is_found_and_its_attempts_are_a_waterfall() {
    let (gateway, _upstreams) = troubled();
    let client = gateway.client();
    let ask = client.ask("flaky", "hi").header("x-request-id", "look-for-me");
    assert_eq!(ask.send().text(), "spare");
    assert_eq!(client.chat("gpt", "hi").status, 200);
    let browser = Browser::logged_in(&gateway, MASTER);
    let found = eventually_some("the request is in the log", || {
        let found = browser.told("/ui/api/requests?id=look-for-me");
        (found["total"] == 1).then_some(found)
    });
    let brief = &found["requests"][0];
    assert_eq!((&brief["model"], &brief["group"]), (&json!("flaky"), &json!("spare")));
    assert_eq!((&brief["fallbacks"], &brief["failed"]), (&json!(1), &json!(false)));
    let one = browser.told(&format!("/ui/api/requests/{}", brief["id"].as_str().unwrap()));
    assert_eq!((&one["asked"], &one["attempts_are_recorded"]), (&json!("flaky"), &json!(true)));
    let attempts = one["attempts"].as_array().unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|it| it["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["server", "success"]);
    let number = |at: usize, field: &str| attempts[at][field].as_f64().unwrap();
    assert!(number(0, "start") >= 0.0 && number(1, "start") >= number(0, "start"));
    assert!(number(1, "start") + number(1, "duration") <= one["duration"].as_f64().unwrap() + 1.0);
    assert_eq!((&attempts[0]["status"], &attempts[0]["group"]), (&json!(500), &json!("flaky")));

    let plain = eventually_some("the other one, too", || {
        let found = browser.told("/ui/api/requests?group=gpt&status=success");
        (found["total"] == 1).then_some(found)
    });
    let plain = plain["requests"][0]["id"].as_str().unwrap().to_owned();
    let plain = browser.told(&format!("/ui/api/requests/{plain}"));
    assert_eq!((&plain["attempts_are_recorded"], &plain["asked"]), (&json!(false), &json!(null)));
    assert_eq!(plain["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(browser.told("/ui/api/requests?status=failure")["total"], 0);
    assert_eq!(browser.get("/ui/api/requests/none").status, 404);
}

#[test]
fn every_page_of_the_log_knows_how_many_requests_there_are() {
    let (gateway, _provider) = office();
    for _ in 0..3 {
        assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
    }
    let browser = Browser::logged_in(&gateway, MASTER);
    eventually("all are in the log", || browser.told("/ui/api/requests")["total"] == 3);
    // Full, the last, behind the last; and one that has room for all.
    for (page, size, rows) in [(1, 2, 2), (2, 2, 1), (3, 2, 0), (1, 3, 3), (1, 50, 3)] {
        let path = format!("/ui/api/requests?page={page}&page_size={size}");
        let found = browser.told(&path);
        assert_eq!(found["requests"].as_array().unwrap().len(), rows, "{path}");
        assert_eq!(
            (&found["total"], &found["total_is_least"]),
            (&json!(3), &json!(false)),
            "{path}"
        );
    }
    assert_eq!(browser.told("/ui/api/requests?group=none")["total"], 0);
}

#[test]
fn a_request_names_its_guardrails_and_keeps_its_own_metadata() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let words = "guardrails: [{guardrail_name: words, litellm_params: {guardrail: litellm_content_filter, mode: \
                 pre_call, default_on: true, blocked_words: [{keyword: secret, action: BLOCK}]}}]";
    let gateway = gateway::with(group("gpt").deployment(openai(&provider)))
        .master_key(MASTER)
        .top(words)
        .start();
    let metadata = json!({"spend_logs_metadata": {"job": "nightly"}});
    let ask = gateway.client().ask("gpt", "hi").set("metadata", metadata);
    assert_eq!(ask.send().status, 200);
    let browser = Browser::logged_in(&gateway, MASTER);
    let found = eventually_some("the request is in the log", || {
        browser.told("/ui/api/requests")["requests"].get(0).cloned()
    });
    let one = browser.told(&format!("/ui/api/requests/{}", found["id"].as_str().unwrap()));
    assert_eq!(one["guardrails"], json!(["words"]));
    assert_eq!(one["metadata"], json!({"job": "nightly"}));
}

#[test]
fn questions_that_make_no_sense_are_told_so() {
    let (gateway, _upstreams) = troubled();
    let browser = Browser::logged_in(&gateway, MASTER);
    for (query, param) in [
        ("overview?from=5&to=5", "from"),
        ("overview?from=0", "from"),
        ("overview?from=x", "from"),
        ("overview?to=9007199254740992&from=9007199254700000", "to"),
        ("overview?tag=a&group=gpt", "tag"),
        ("overview?user=ada&deployment=x", "deployment"),
        ("requests?page=0", "page"),
        ("requests?page_size=101", "page_size"),
        ("requests?status=maybe", "status"),
    ] {
        let reply = browser.get(&format!("/ui/api/{query}"));
        assert!(matches!(reply.status, 400 | 422), "{query}: {}", reply.body_text());
        assert_eq!(reply.json()["error"]["param"], param, "{query}");
    }
    assert_eq!(browser.bare(Method::POST, "/ui/api/overview").send().status, 403);
}

#[test]
fn deployments_are_shown_with_their_state() {
    let broken = upstream::openai().replies(status(500)).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&broken)).deployment(&broken))
        .router("num_retries: 0")
        .router("allowed_fails: 0")
        .router("cooldown_time: 60")
        .master_key(MASTER)
        .start();
    let browser = Browser::logged_in(&gateway, MASTER);
    let list = browser.told("/ui/api/deployments");
    let all = list["deployments"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|one| one["state"] == "healthy" && one["cooldown_until"].is_null()));
    assert!(all[0]["api_base"].as_str().unwrap().starts_with("http://127.0.0.1"));
    assert_eq!(gateway.client().chat("gpt", "hi").status, 500);
    let list = browser.told("/ui/api/deployments");
    let resting: Vec<_> = list["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["state"] == "cooling")
        .collect();
    assert_eq!(resting.len(), 1, "{list}");
    let now = list["at"].as_i64().unwrap();
    let until = resting[0]["cooldown_until"].as_i64().unwrap();
    assert!(until > now + 50_000 && until <= now + 60_000, "{until} {now}");
    assert_eq!(resting[0]["last_failure"]["class"], "server");
    assert_eq!((&resting[0]["failures"], &resting[0]["cooldowns"]), (&json!(1), &json!(1)));
}

#[test]
fn variants_stand_side_by_side() {
    let (one, two) = (
        upstream::openai().replies(chat("one")).start(),
        upstream::openai().replies(chat("two")).start(),
    );
    let gateway = gateway::with(group("a").deployment(openai(&one)))
        .and(group("b").deployment(openai(&two)))
        .router(
            "model_group_alias: {assistant: [{model: a, weight: 0.75}, {model: b, weight: 0.25}]}",
        )
        .master_key(MASTER)
        .start();
    for _ in 0..8 {
        assert_eq!(gateway.client().chat("assistant", "hi").status, 200);
    }
    assert_eq!(gateway.client().chat("a", "hi").status, 200);
    let browser = Browser::logged_in(&gateway, MASTER);
    let told = overview(&browser, "", 9);
    let variant = named(&told["variants"], "name", "assistant");
    let members = variant["members"].as_array().unwrap();
    let requests: Vec<_> =
        members.iter().map(|it| it["totals"]["requests"].as_u64().unwrap()).collect();
    assert_eq!(requests.iter().sum::<u64>(), 8, "what was asked for directly is not in it");
    assert_eq!(members[0]["weight"], 0.75);
    assert_eq!(requests, [6, 2]);
    assert_eq!(members[0]["share"], 0.75);
}

#[test]
fn what_is_in_force_is_told_without_secrets() {
    let (gateway, _upstreams) = troubled();
    let browser = Browser::logged_in(&gateway, MASTER);
    let told = browser.told("/ui/api/config");
    assert!(told["file"].as_str().unwrap().ends_with(".yaml"), "{told}");
    let key = named(&told["options"], "name", "general_settings.master_key");
    assert_eq!(key["value"], "***", "{told}");
    assert!(!told.to_string().contains(MASTER));
    assert_eq!(told["last_reload"], json!(null));
    assert_eq!(browser.post("/config/reload", &json!({})).send().status, 200);
    assert_eq!(browser.told("/ui/api/config")["last_reload"]["result"], "success");
}
