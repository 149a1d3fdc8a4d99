//! Reload: by request, by signal, by a changed file; under load; of many deployments.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::gateway::Builder;
use crate::harness::load::{Asking, Load};
use crate::harness::*;

const KEY: &str = "sk-of-the-tests-1234";

fn post_reload(gateway: &Gateway) -> Reply {
    gateway.client().post("/config/reload").send()
}

/// A gateway on one provider, with a key.
fn keyed(upstream: &Upstream) -> Builder {
    gateway::with(group("gpt").deployment(openai(upstream).id("one"))).master_key(KEY)
}

#[test]
fn a_reload_by_request_answers_with_what_changed() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = keyed(&upstream).start();
    let none = json!([]);

    let same = post_reload(&gateway);
    assert_eq!(same.status, 200, "{}", same.body_text());
    assert_eq!(same.json()["unchanged"], true);
    assert_eq!(same.json()["changes"]["deployments_changed"], none);

    let rekeyed = openai(&upstream).id("one").key("sk-another-key-of-it");
    let changed = gateway::with(group("gpt").deployment(rekeyed))
        .and(group("new").deployment(openai(&upstream).id("two")))
        .master_key(KEY)
        .general("total_timeout: 60")
        .litellm("json_logs: true");
    fs::write(gateway.config_path(), changed.yaml()).unwrap();
    let reply = post_reload(&gateway);
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    assert_eq!(
        reply.json(),
        json!({"status": "reloaded", "unchanged": false, "changes": {
            "deployments_added": ["two"],
            "deployments_removed": [],
            "deployments_changed": ["one"],
            "options_changed": ["general_settings.total_timeout", "litellm_settings.json_logs"],
            "needs_restart": ["litellm_settings.json_logs"],
            "certificate_changed": false,
        }, "warnings": [after_restart("litellm_settings.json_logs")]})
    );
    assert_eq!(gateway.client().chat("new", "hi").text(), "hello", "it is in force");
    let told = gateway.messages();
    assert!(told.contains("added=two") && told.contains("changed=one"), "{told}");
    assert!(told.contains("options=general_settings.total_timeout"), "{told}");
    assert!(told.contains("after a restart"), "{told}");

    fs::write(gateway.config_path(), keyed(&upstream).yaml()).unwrap();
    assert_eq!(post_reload(&gateway).json()["changes"]["deployments_removed"], json!(["two"]));
    assert_eq!(gateway.client().chat("new", "hi").status, 404);
    for secret in [KEY, "sk-another-key-of-it", group_key()] {
        assert!(!gateway.messages().contains(secret), "{}", gateway.messages());
    }
}

fn after_restart(option: &str) -> String {
    format!("`{option}` was changed since the start: it takes effect after a restart")
}

#[test]
fn where_the_stores_are_is_looked_at_when_the_process_starts_and_a_reload_says_so() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = keyed(&upstream).start();
    let moved = keyed(&upstream)
        .litellm("cache_params: {type: redis, host: localhost, port: 1}")
        .top("database: {type: sqlite, path: /nowhere/tollgate.db}");
    fs::write(gateway.config_path(), moved.yaml()).unwrap();
    let expected = json!(["database", "litellm_settings.cache_params"]);
    assert_eq!(post_reload(&gateway).json()["changes"]["needs_restart"], expected);
    gateway.wait_for_message("take effect after a restart");
    // The next reload changes nothing, and both are still not in force.
    let again = post_reload(&gateway).json();
    assert_eq!(again["unchanged"], true);
    let warnings = ["database", "litellm_settings.cache_params"].map(after_restart);
    assert_eq!(again["warnings"], json!(warnings));
    fs::write(gateway.config_path(), keyed(&upstream).yaml()).unwrap();
    assert_eq!(post_reload(&gateway).json()["warnings"], json!([]));
}

#[test]
fn what_a_reloaded_file_is_warned_of_is_in_the_log_once() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = keyed(&upstream).start();
    let warned = keyed(&upstream).litellm("telemetry: false");
    fs::write(gateway.config_path(), warned.yaml()).unwrap();
    assert_eq!(post_reload(&gateway).status, 200);
    gateway.wait_for_message("`telemetry` has no effect");
    assert_eq!(post_reload(&gateway).status, 200);
    assert_eq!(gateway.messages().matches("`telemetry` has no effect").count(), 1);
}

fn group_key() -> &'static str {
    "sk-upstream-of-the-tests"
}

#[test]
fn a_bad_file_changes_nothing_and_is_seen_everywhere() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = keyed(&upstream).start();
    let ready = || gateway.get("/health/readiness");
    assert_eq!(ready().json()["last_reload"], Value::Null);
    assert!(gateway.shows("tollgate_config_last_reload_successful 1"));

    let good = fs::read_to_string(gateway.config_path()).unwrap();
    fs::write(gateway.config_path(), good.replace("model_name", "model_nmae")).unwrap();
    let reply = post_reload(&gateway);
    assert_eq!(reply.status, 400);
    assert_eq!(reply.error_code(), "invalid_configuration");
    assert!(reply.error_message().contains("model_nmae"), "{}", reply.body_text());
    assert!(reply.error_message().contains("tollgate.yaml:2"), "{}", reply.body_text());
    assert!(!reply.body_text().contains(KEY), "{}", reply.body_text());
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");

    let still = ready();
    assert_eq!((still.status, &still.json()["status"]), (200, &json!("healthy")));
    assert_eq!(still.json()["last_reload"]["result"], "failure");
    let at = still.json()["last_reload"]["at"].as_str().unwrap().to_owned();
    assert!(at.ends_with('Z') && at.starts_with("20"), "{at}");
    assert!(!still.body_text().contains("nmae"), "the page is open to everybody");
    assert!(gateway.shows("tollgate_config_last_reload_successful 0"));
    assert!(gateway.shows("tollgate_config_reloads_total{result=\"failure\"} 1"));
    gateway.wait_for_message("reload refused");

    fs::write(gateway.config_path(), good).unwrap();
    assert_eq!(post_reload(&gateway).status, 200);
    assert_eq!(ready().json()["last_reload"]["result"], "success");
    assert!(gateway.shows("tollgate_config_last_reload_successful 1"));
    assert!(gateway.shows("tollgate_config_reloads_total{result=\"unchanged\"} 1"));
}

#[test]
fn a_reload_by_request_needs_the_key_and_a_file() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = keyed(&upstream).start();
    for key in [None, Some("sk-wrong")] {
        let reply = gateway.client().with_key(key).post("/config/reload").send();
        assert_eq!(reply.status, 401, "{}", reply.body_text());
    }
    let wrong = gateway.get("/config/reload");
    assert_eq!((wrong.status, wrong.header("allow")), (405, "POST"));
    assert!(gateway.shows("tollgate_config_reloads_total{result=\"unchanged\"} 0"));
}

// --- Changed files ---

fn watching(upstream: &Upstream, name: &str) -> Builder {
    gateway::with(group(name).deployment(upstream)).general("reload_on_change: true")
}

/// Replaces a file as editors and deployment tools do.
fn rename_over(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

#[track_caller]
fn serves(gateway: &Gateway, model: &str) {
    eventually("the new file is in force", || gateway.client().chat(model, "hi").status == 200);
}

#[test]
fn a_changed_file_is_read_again_where_that_is_asked_for() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = watching(&upstream, "gpt").start();
    rename_over(&gateway.config_path(), &watching(&upstream, "renamed").yaml());
    serves(&gateway, "renamed");
    fs::write(gateway.config_path(), watching(&upstream, "written").yaml()).unwrap();
    serves(&gateway, "written");

    rename_over(&gateway.config_path(), "model_list: [");
    gateway.wait_for_message("reload refused");
    assert_eq!(gateway.client().chat("written", "hi").status, 200);
    rename_over(&gateway.config_path(), &watching(&upstream, "mended").yaml());
    serves(&gateway, "mended");

    // Without the setting nothing is watched, from then on.
    let off = gateway::with(group("off").deployment(&upstream)).yaml();
    rename_over(&gateway.config_path(), &off);
    serves(&gateway, "off");
    rename_over(&gateway.config_path(), &watching(&upstream, "unseen").yaml());
    gateway.signal("HUP");
    serves(&gateway, "unseen");
    rename_over(&gateway.config_path(), &watching(&upstream, "seen").yaml());
    serves(&gateway, "seen");
    assert_eq!(gateway.messages().matches("cause=\"SIGHUP\"").count(), 1);
}

#[test]
fn included_files_are_watched_too() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let part = |name: &str| gateway::with(group(name).deployment(&upstream)).yaml();
    let gateway = watching(&upstream, "gpt")
        .top("include: [part.yaml]")
        .file("part.yaml", &part("included"))
        .start();
    assert_eq!(gateway.client().chat("included", "hi").status, 200);
    rename_over(&gateway.folder().join("part.yaml"), &part("another"));
    serves(&gateway, "another");
    assert_eq!(gateway.client().chat("gpt", "hi").status, 200);

    // A file that is included from now on, and is not there yet.
    let main = watching(&upstream, "gpt").top("include: [later.yaml]").yaml();
    rename_over(&gateway.config_path(), &main);
    gateway.wait_for_message("reload refused");
    fs::write(gateway.folder().join("later.yaml"), part("late")).unwrap();
    serves(&gateway, "late");
}

/// Kubernetes: the file is a link into a folder that is a link, and that is what is replaced.
#[test]
fn the_swapped_link_of_a_config_map_is_noticed() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let publish = |version: &str, model: &str| {
        fs::create_dir(at(version)).unwrap();
        let yaml = watching(&upstream, model).yaml();
        fs::write(at(version).join("config.yaml"), yaml).unwrap();
        symlink(version, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    publish("..v1", "first");
    symlink("..data/config.yaml", at("config.yaml")).unwrap();
    let config = at("config.yaml").to_str().unwrap().to_owned();
    let mut command = std::process::Command::new(gateway::TOLLGATE);
    command.args(["--config", &config, "--port", "0", "--host", "127.0.0.1"]);
    let gateway = Gateway::spawn(command, &[], tempfile::tempdir().unwrap(), None);
    assert_eq!(gateway.client().chat("first", "hi").status, 200);

    publish("..v2", "second");
    fs::remove_dir_all(at("..v1")).unwrap();
    serves(&gateway, "second");
    publish("..v3", "third");
    serves(&gateway, "third");
}

// --- Under load ---

#[test]
fn ten_reloads_a_second_fail_no_request() {
    let replies = || {
        upstream::openai()
            .when(|request| request.json()["stream"] == true, slow_stream())
            .replies(chat("one two three"))
            .forgetful()
            .start()
    };
    let upstreams = [replies(), replies()];
    // Everything changes but the group's name.
    let yaml = |round: usize| {
        let deployment = openai(&upstreams[round % 2]).id(&format!("id-{round}"));
        gateway::with(group("gpt").deployment(deployment))
            .master_key(KEY)
            .router(&format!("num_retries: 0\nretry_after: {round}"))
            .yaml()
    };
    let gateway = keyed(&upstreams[0]).router("num_retries: 0").start();
    let clients = [Asking::Json, Asking::Json, Asking::Streams, Asking::Streams];
    let load = Load::start(&gateway.client(), "gpt", "one two three", &clients);
    load.goes_on(10);

    let (began, rounds) = (Instant::now(), 60);
    for round in 1..=rounds {
        rename_over(&gateway.config_path(), &yaml(round));
        let reply = post_reload(&gateway);
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        load.goes_on(1);
    }
    let rate = rounds as f64 / began.elapsed().as_secs_f64();
    load.goes_on(10);
    let answered = load.stop();
    assert!(rate >= 10.0, "{rate:.1} reloads a second, beside {answered} requests");
    assert!(gateway.shows("tollgate_config_reloads_total{result=\"success\"} 60"));
}

/// Long enough to be open while several configurations come and go.
fn slow_stream() -> mock::Reply {
    stream(["one ", "two ", "three"]).each_frame_alone().gap(Duration::from_millis(60))
}

#[test]
fn a_thousand_deployments_are_reloaded_under_load() {
    let upstream = upstream::openai().replies(chat("hello")).forgetful().start();
    let yaml = |weight: usize| {
        let mut many = group("gpt");
        for number in 0..1_000 {
            let weight = if number < 10 { weight as f64 } else { 1.0 };
            many = many.deployment(openai(&upstream).id(&format!("d-{number}")).weight(weight));
        }
        gateway::with(many).master_key(KEY).router("num_retries: 0").yaml()
    };
    let gateway = keyed(&upstream).router("num_retries: 0").start();
    let load = Load::start(&gateway.client(), "gpt", "hello", &[Asking::Json, Asking::Json]);
    load.goes_on(10);
    for round in 1..=5 {
        rename_over(&gateway.config_path(), &yaml(round));
        let reply = post_reload(&gateway);
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        let changed = reply.json()["changes"]["deployments_changed"].as_array().unwrap().len();
        assert_eq!(changed, if round == 1 { 0 } else { 10 }, "only what is different");
        load.goes_on(20);
    }
    load.stop();
    let said = gateway.wait_for_message("deployments_added=1000");
    assert!(said.contains("and 980 more") && said.len() < 1_000, "{said}");
}
