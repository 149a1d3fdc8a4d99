//! Callbacks of single keys and teams: who is told by them, who may set them, what is shown and kept.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use std::path::Path;

use http::Method;
use serde_json::json;

use super::*;

pub(super) const MASTER: &str = "sk-right-master-key";
pub(super) const SECRET: &str = "sk-lf-the-secret-of-the-team";

/// Takes what Langfuse takes.
pub(super) fn langfuse() -> Upstream {
    upstream::openai()
        .replies(body_of("application/json", r#"{"successes":[],"errors":[]}"#))
        .start()
}

pub(super) fn gateway(upstream: &Upstream, settings: &str) -> gateway::Builder {
    told(group("gpt").deployment(upstream), settings).master_key(MASTER)
}

pub(super) fn entry(kind: &str, host: &str) -> Value {
    json!({"callback_name": "langfuse", "callback_type": kind, "callback_vars": vars(host)})
}

fn vars(host: &str) -> Value {
    json!({"langfuse_public_key": "pk-lf-1", "langfuse_secret_key": SECRET, "langfuse_host": host})
}

#[track_caller]
fn post(gateway: &Gateway, key: &str, path: &str, body: &Value) -> Reply {
    gateway.client().with_key(Some(key)).post(path).json(body).send()
}

#[track_caller]
pub(super) fn made(gateway: &Gateway, key: &str, path: &str, body: &Value) -> Value {
    let reply = post(gateway, key, path, body);
    assert_eq!(reply.status, 200, "{path} {body}: {}", reply.body_text());
    reply.json()
}

pub(super) fn key(gateway: &Gateway, body: &Value) -> String {
    made(gateway, MASTER, "/key/generate", body)["key"].as_str().unwrap().to_owned()
}

pub(super) fn chat_by(gateway: &Gateway, key: &str) -> Reply {
    let reply = gateway.client().with_key(Some(key)).chat("gpt", "the plan");
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    reply
}

/// Ids of the requests that a Langfuse was told of.
pub(super) fn ids(receiver: &Upstream) -> Vec<String> {
    let mut ids = Vec::new();
    for request in receiver.requests() {
        for event in request.json()["batch"].as_array().cloned().unwrap_or_default() {
            if event["type"] == "generation-create" {
                ids.push(event["body"]["traceId"].as_str().unwrap().to_owned());
            }
        }
    }
    ids
}

#[track_caller]
pub(super) fn hears_of(receiver: &Upstream, reply: &Reply) {
    eventually("it is told", || ids(receiver).iter().any(|id| id == reply.request_id()));
}

#[test]
fn a_keys_callback_stands_before_its_teams_and_its_teams_before_the_gateways() {
    let upstream = upstream::openai().replies(chat("hello").usage(3, 2)).start();
    let (proxys, teams, keys, generic) = (langfuse(), langfuse(), langfuse(), receiver());
    let gateway = gateway(&upstream, "callbacks: [langfuse, generic_api]")
        .variable("LANGFUSE_PUBLIC_KEY", "pk")
        .variable("LANGFUSE_SECRET_KEY", "sk-lf-of-the-gateway")
        .variable("LANGFUSE_HOST", &proxys.url())
        .variable("GENERIC_LOGGER_ENDPOINT", &generic.url())
        .start();
    let team = json!({"team_id": "web", "metadata": {"logging": [entry("success", &teams.url())]}});
    made(&gateway, MASTER, "/team/new", &team);
    let of_team = key(&gateway, &json!({"team_id": "web"}));
    let own = json!({"team_id": "web", "metadata": {"logging": [entry("success", &keys.url())]}});
    let of_key = key(&gateway, &own);
    let of_nobody = key(&gateway, &json!({}));
    let none = key(&gateway, &json!({"team_id": "web", "metadata": {"logging": []}}));

    let (one, two) = (chat_by(&gateway, &of_team), chat_by(&gateway, &of_key));
    let (three, four) = (chat_by(&gateway, &of_nobody), chat_by(&gateway, &none));
    hears_of(&teams, &one);
    hears_of(&keys, &two);
    hears_of(&proxys, &three);
    hears_of(&proxys, &four);
    wait_for(&generic, 4);
    assert_eq!((ids(&teams).len(), ids(&keys).len(), ids(&proxys).len()), (1, 1, 2));
    // What it is not told of goes where it would have gone.
    let lost = gateway.client().with_key(Some(&of_team)).chat("nope", "hi");
    assert_eq!(lost.status, 404);
    hears_of(&proxys, &lost);
    assert_eq!(ids(&teams).len(), 1);

    let sent = teams.last_request();
    let basic = BASE64_STANDARD.encode(format!("pk-lf-1:{SECRET}"));
    assert_eq!(sent.header("authorization"), Some(&*format!("Basic {basic}")));
    assert!(
        !String::from_utf8_lossy(&sent.body).contains("the plan"),
        "nobody has asked for prompts"
    );
    eventually("they are counted together", || counted(&gateway, "own:langfuse", "sent") == 2);
    // A client may not want it.
    let without = gateway.client().with_key(Some(&of_team)).ask("gpt", "hi");
    let without = without.header("x-litellm-disable-callbacks", "langfuse").send();
    hears_of_generic(&generic, &without);
    assert_eq!((ids(&teams).len(), ids(&proxys).len()), (1, 3));
}

#[track_caller]
fn hears_of_generic(receiver: &Upstream, reply: &Reply) {
    eventually("it is told", || {
        payloads(receiver).iter().any(|it| it["litellm_call_id"] == reply.request_id())
    });
}

#[test]
fn a_team_is_told_where_the_gateway_tells_nobody_and_can_stop_it() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let teams = langfuse();
    let gateway = gateway(&upstream, "turn_off_message_logging: false").start();
    made(&gateway, MASTER, "/team/new", &json!({"team_id": "web"}));
    let of_team = key(&gateway, &json!({"team_id": "web"}));
    let of_nobody = key(&gateway, &json!({}));
    chat_by(&gateway, &of_team);
    let added =
        made(&gateway, MASTER, "/team/web/callback", &entry("success_and_failure", &teams.url()));
    assert_eq!(added["status"], "success");
    chat_by(&gateway, &of_nobody);
    let told = chat_by(&gateway, &of_team);
    hears_of(&teams, &told);
    let body = teams.last_request().json();
    assert!(body.to_string().contains("the plan"), "where the operator lets prompts go: {body:#}");

    let same =
        post(&gateway, MASTER, "/team/web/callback", &entry("success_and_failure", &teams.url()));
    assert_eq!((same.status, same.error_code()), (400, "already_exists".to_owned()));
    let stopped = made(&gateway, MASTER, "/team/web/disable_logging", &json!({}));
    assert_eq!(stopped["data"]["success_callbacks"], json!([]));
    chat_by(&gateway, &of_team);
    made(&gateway, MASTER, "/team/web/callback", &entry("success", &teams.url()));
    let last = chat_by(&gateway, &of_team);
    hears_of(&teams, &last);
    assert_eq!(ids(&teams), [told.request_id(), last.request_id()], "and of nothing between");
    let client = gateway.client().with_key(Some(MASTER));
    let gone = client.request(Method::DELETE, "/team/web/callback/langfuse").send();
    assert_eq!((gone.status, &gone.json()["data"]["success_callbacks"]), (200, &json!([])));
    let again = client.request(Method::DELETE, "/team/web/callback/langfuse").send();
    assert_eq!(again.status, 404);
}

#[test]
fn variables_are_sealed_and_never_shown() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let teams = langfuse();
    let gateway = gateway(&upstream, "num_retries: 0").start();
    let team = json!({"team_id": "web", "metadata": {"owner": "me",
        "logging": [entry("success", &teams.url())]}});
    let mut said = made(&gateway, MASTER, "/team/new", &team).to_string();
    let own = json!({"key_alias": "k", "metadata": {"logging": [entry("failure", &teams.url())]}});
    said += &made(&gateway, MASTER, "/key/generate", &own).to_string();
    let client = gateway.client().with_key(Some(MASTER));
    for path in [
        "/team/info?team_id=web",
        "/team/list",
        "/v2/team/list",
        "/team/web/callback",
        "/key/list?return_full_object=true",
        "/audit",
        "/metrics",
    ] {
        let reply = client.get(path);
        assert_eq!(reply.status, 200, "{path}");
        said += &reply.body_text();
    }
    assert!(!said.contains(SECRET) && !said.contains("v1:"), "{said}");
    let listed = client.get("/team/web/callback").json();
    assert_eq!(
        listed["data"],
        json!({"team_id": "web", "success_callbacks": ["langfuse"], "failure_callbacks": [],
            "callback_vars": {"langfuse_public_key": "pk-lf-1", "langfuse_host": teams.url(),
                "langfuse_secret_key": "***REDACTED***"}})
    );
    let of_team = key(&gateway, &json!({"team_id": "web"}));
    let told = chat_by(&gateway, &of_team);
    hears_of(&teams, &told);
    let basic = BASE64_STANDARD.encode(format!("pk-lf-1:{SECRET}"));
    let held = |text: &[u8]| [SECRET, &basic].iter().any(|it| contains(text, it.as_bytes()));
    assert!(!held(gateway.output().as_bytes()), "in no log");
    for file in files(gateway.folder()) {
        let read = std::fs::read(&file).unwrap();
        assert!(!held(&read), "in the open in {}", file.display());
    }
    // What is shown can be sent back, and a stored secret goes to no other address by it.
    let shown = client.get("/team/info?team_id=web").json()["team_info"]["metadata"].clone();
    made(&gateway, MASTER, "/team/update", &json!({"team_id": "web", "metadata": shown}));
    hears_of(&teams, &chat_by(&gateway, &of_team));
    let mut moved = shown;
    moved["logging"][0]["callback_vars"]["langfuse_host"] = json!("http://127.0.0.1:9");
    let body = json!({"team_id": "web", "metadata": moved});
    let refused = post(&gateway, MASTER, "/team/update", &body);
    assert_eq!(refused.status, 400, "{}", refused.body_text());
    // Other metadata leave them alone.
    made(
        &gateway,
        MASTER,
        "/team/update",
        &json!({"team_id": "web", "metadata": {"owner": "you"}}),
    );
    hears_of(&teams, &chat_by(&gateway, &of_team));
    // And a key that is replaced keeps them.
    let before = key(&gateway, &json!({"metadata": {"logging": [entry("success", &teams.url())]}}));
    let after = made(&gateway, MASTER, "/key/regenerate", &json!({"key": before}));
    hears_of(&teams, &chat_by(&gateway, after["key"].as_str().unwrap()));
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().filter_map(Result::ok) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn who_runs_a_team_names_hosts_that_are_allowed_and_nobody_reads_the_environment() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let teams = langfuse();
    let host = teams.url().replace("http://", "");
    let gateway = gateway(&upstream, "num_retries: 0")
        .general(&format!("callback_allowed_hosts: ['{host}']"))
        .start();
    let user = |id: &str| {
        let body = json!({"user_id": id, "user_role": "internal_user"});
        made(&gateway, MASTER, "/user/new", &body)["key"].as_str().unwrap().to_owned()
    };
    let (ann, bob) = (user("ann"), user("bob"));
    made(
        &gateway,
        MASTER,
        "/team/new",
        &json!({"team_id": "web", "members_with_roles": [
        {"user_id": "ann", "role": "admin"}, {"user_id": "bob", "role": "user"}]}),
    );
    made(&gateway, MASTER, "/team/new", &json!({"team_id": "other"}));

    let answer = |key: &str, path: &str, body: &Value| {
        let reply = post(&gateway, key, path, body);
        (reply.status, reply.json()["error"]["param"].as_str().unwrap_or_default().to_owned())
    };
    let vars_refused = (403, "callback_vars".to_owned());
    for inside in ["http://169.254.169.254", "http://localhost:4000", "https://evil.example"] {
        let body = entry("success", inside);
        assert_eq!(answer(&ann, "/team/web/callback", &body), vars_refused, "{inside}");
        let body = json!({"team_id": "web", "metadata": {"logging": [body]}});
        assert_eq!(answer(&ann, "/team/update", &body), vars_refused, "{inside}");
        assert_eq!(answer(&ann, "/key/generate", &body), vars_refused, "{inside}");
    }
    let allowed = entry("success", &teams.url());
    assert_eq!(answer(&bob, "/team/web/callback", &allowed).0, 403, "a member is no admin");
    assert_eq!(answer(&ann, "/team/other/callback", &allowed).0, 403, "nor of another team");
    assert_eq!(answer(&ann, "/team/nowhere/callback", &allowed).0, 403);
    let own = json!({"metadata": {"logging": [allowed]}});
    assert_eq!(answer(&bob, "/key/generate", &own), (403, "metadata.logging".to_owned()));
    let plain = made(&gateway, &bob, "/key/generate", &json!({}));
    let body = json!({"key": plain["key"], "metadata": {"logging": [allowed]}});
    assert_eq!(answer(&bob, "/key/update", &body), (403, "metadata.logging".to_owned()));

    // Not even of an admin of all: what is sent is not looked up anywhere.
    let mut reading = entry("success", &teams.url());
    reading["callback_vars"]["langfuse_secret_key"] = json!("os.environ/TOLLGATE_MASTER_KEY");
    for who in [&*ann, MASTER] {
        assert_eq!(answer(who, "/team/web/callback", &reading), (400, "callback_vars".to_owned()));
    }
    for (wrong, param) in [
        (json!({"callback_name": "lunary", "callback_vars": {}}), "callback_name"),
        (json!({"callback_name": "langfuse", "callback_vars": {}}), "callback_vars"),
        (
            json!({"callback_name": "langfuse", "callback_vars": {"langfuse_colour": "red"}}),
            "callback_vars",
        ),
    ] {
        assert_eq!(
            answer(MASTER, "/team/web/callback", &wrong),
            (400, param.to_owned()),
            "{wrong}"
        );
    }
    let never = json!({"callback_name": "langfuse", "callback_type": "never", "callback_vars": {}});
    assert_eq!(answer(MASTER, "/team/web/callback", &never), (422, "callback_type".to_owned()));

    made(&gateway, &ann, "/team/web/callback", &allowed);
    let of_team = made(&gateway, &ann, "/key/generate", &json!({"team_id": "web"}));
    hears_of(&teams, &chat_by(&gateway, of_team["key"].as_str().unwrap()));
}

#[test]
fn a_receiver_that_is_away_slows_nobody_and_what_waits_outlives_the_process() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let (well, silent) = (langfuse(), upstream::openai().replies(never_answers()).start());
    let gone = upstream::openai().refuses_connections().start();
    let state = tempfile::tempdir().unwrap();
    let at = state.path().display();
    let database = format!("database: {{path: {at}/keys.db, journal: {at}/journal}}\n");
    let begin = || gateway(&upstream, "num_retries: 0").top(&database).start();
    let mut first = begin();
    let of = |gateway: &Gateway, receiver: &Upstream| {
        key(gateway, &json!({"metadata": {"logging": [entry("success", &receiver.url())]}}))
    };
    let keys = [of(&first, &silent), of(&first, &gone), of(&first, &well)];
    for _ in 0..3 {
        keys.iter().for_each(|key| drop(chat_by(&first, key)));
    }
    eventually("the one that is well hears all", || ids(&well).len() == 3);
    first.signal("TERM");
    assert!(first.wait_for_end().success());
    let folders = std::fs::read_dir(state.path().join("callbacks/own")).unwrap().count();
    assert_eq!(folders, 2, "what two of them were not told");

    let port = gone.url().rsplit_once(':').unwrap().1.parse().unwrap();
    drop(gone);
    let taken = body_of("application/json", r#"{"successes":[],"errors":[]}"#);
    let back = upstream::openai().on_port(port).replies(taken).start();
    let second = begin();
    // The next request of the key brings what has waited.
    let next = chat_by(&second, &keys[1]);
    hears_of(&back, &next);
    eventually("all of it is told", || ids(&back).len() == 4);
}
