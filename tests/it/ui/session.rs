//! Sessions: who gets one, what it opens, and what it does not.

use http::Method;
use serde_json::json;

use super::{Browser, MASTER, office, refused, user};
use crate::harness::*;

#[test]
fn a_key_is_shown_once_and_the_cookie_stands_for_it() {
    let (gateway, _provider) = office();
    let ada = user(&gateway, "ada", "internal_user");
    let client = gateway.client().with_key(None);
    let reply = client.post("/ui/api/session").json(&json!({"key": ada})).send();
    let cookie = reply.header("set-cookie").to_owned();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(&ada) && !cookie.contains("Secure"), "{cookie}");
    assert_eq!(reply.header("cache-control"), "no-store");
    let told = reply.json();
    assert_eq!(told["role"], "internal_user");
    assert_eq!((&told["user_id"], &told["sees_all"]), (&json!("ada"), &json!(false)));
    assert_eq!(told["csrf"].as_str().unwrap().len(), 43);

    let browser = Browser::logged_in(&gateway, &ada);
    let again = browser.told("/ui/api/session");
    assert_eq!(again, browser.session);
    let info = browser.told("/key/info");
    assert_eq!(info["info"]["user_id"], "ada", "{info}");
    // Roles are those of the key.
    assert_eq!(refused(&browser.get("/global/spend/teams")).0, 403);
    let master = Browser::logged_in(&gateway, MASTER);
    assert_eq!(master.session["role"], "proxy_admin");
    assert_eq!(master.get("/global/spend/teams").status, 200);
}

#[test]
fn the_access_log_says_who_signed_in_and_what_they_did() {
    let (gateway, _provider) = office();
    let ada = user(&gateway, "ada", "internal_user");
    let browser = Browser::logged_in(&gateway, &ada);
    browser.told("/ui/api/overview");
    browser
        .bare(Method::DELETE, "/ui/api/session")
        .header("x-tollgate-csrf", browser.csrf())
        .send();
    let told = eventually_some("the lines are written", || {
        let mut lines = gateway.access_log();
        lines.retain(|line| line["path"].as_str().is_some_and(|path| path.starts_with("/ui/api/")));
        (lines.len() >= 3).then_some(lines)
    });
    for line in told {
        assert_eq!((&line["key"], &line["user"]), (&json!("virtual"), &json!("ada")), "{line}");
    }
}

#[test]
fn changes_need_the_token_of_the_session() {
    let (gateway, _provider) = office();
    let browser = Browser::logged_in(&gateway, MASTER);
    let other = Browser::logged_in(&gateway, MASTER);
    let body = json!({"key_alias": "made-in-a-browser"});
    let bare = browser.bare(Method::POST, "/key/generate").json(&body);
    assert_eq!(refused(&bare.clone().send()), (403, "csrf".into()));
    for wrong in ["", "x", other.csrf()] {
        let forged = bare.clone().header("x-tollgate-csrf", wrong).send();
        assert_eq!(refused(&forged), (403, "csrf".into()), "{wrong}");
    }
    // Nor may another page end it, or spend its money.
    let end = browser.bare(Method::DELETE, "/ui/api/session").send();
    assert_eq!(refused(&end), (403, "csrf".into()));
    let chat = json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}]});
    let spend = browser.bare(Method::POST, "/v1/chat/completions").json(&chat).send();
    assert_eq!(refused(&spend), (403, "csrf".into()));

    let made = browser.post("/key/generate", &body).send();
    assert_eq!(made.status, 200, "{}", made.body_text());
    assert_eq!(made.json()["key_alias"], "made-in-a-browser");
}

#[test]
fn the_playground_is_a_request_like_any_other() {
    let (gateway, provider) = office();
    let ada = user(&gateway, "ada", "internal_user");
    let browser = Browser::logged_in(&gateway, &ada);
    let chat = json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}]});
    let reply = browser.post("/v1/chat/completions", &chat).send();
    assert_eq!((reply.status, &*reply.text()), (200, "hello"));
    let sent = &provider.requests()[0];
    assert!(sent.header("cookie").is_none(), "the provider gets no session");
    let rows = eventually_some("the request is in the log", || {
        let rows = browser.told("/spend/logs");
        (rows.as_array().unwrap().len() == 1).then_some(rows)
    });
    assert_eq!(rows[0]["user"], "ada");
    let missing = json!({"model": "none", "messages": []});
    assert_eq!(browser.post("/v1/chat/completions", &missing).send().status, 404);
}

#[test]
fn a_cookie_that_was_made_up_or_logged_out_opens_nothing() {
    let (gateway, _provider) = office();
    let browser = Browser::logged_in(&gateway, MASTER);
    let (name, value) = browser.cookie.split_once('=').unwrap();
    let mut changed = value.to_owned();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.push(last);
    for forged in ["v1:AAAA", MASTER, "x", &*changed] {
        let ask = browser.client.request(Method::GET, "/key/list");
        let reply = ask.header("cookie", &format!("{name}={forged}")).send();
        assert_eq!(refused(&reply), (401, "session_ended".into()), "{forged}");
    }
    let none = browser.client.get("/key/list");
    assert_eq!(refused(&none), (401, "missing_api_key".into()));
    // A key in a header is what counts where there is one.
    let ask = browser.bare(Method::GET, "/key/list").header("authorization", "Bearer sk-wrong");
    assert_eq!(refused(&ask.send()), (401, "invalid_api_key".into()));

    let end = browser.bare(Method::DELETE, "/ui/api/session");
    let end = end.header("x-tollgate-csrf", browser.csrf()).send();
    assert_eq!(end.status, 204, "{}", end.body_text());
    assert!(end.header("set-cookie").contains("Max-Age=0"));
    for path in ["/key/list", "/ui/api/session"] {
        assert_eq!(refused(&browser.get(path)), (401, "session_ended".into()), "{path}");
    }
}

#[test]
fn a_session_ends_with_its_key_and_with_its_time() {
    let (gateway, _provider) = office();
    let master = gateway.client().with_key(Some(MASTER));
    let ada = user(&gateway, "ada", "internal_user");
    let (blocked, deleted) = (Browser::logged_in(&gateway, &ada), {
        let key = user(&gateway, "bob", "internal_user");
        let browser = Browser::logged_in(&gateway, &key);
        let gone = master.post("/key/delete").json(&json!({"keys": [key]})).send();
        assert_eq!(gone.status, 200, "{}", gone.body_text());
        browser
    });
    assert_eq!(refused(&deleted.get("/key/list")), (401, "session_ended".into()));
    assert_eq!(blocked.get("/key/list").status, 200);
    assert_eq!(master.post("/key/block").json(&json!({"key": ada})).send().status, 200);
    assert_eq!(refused(&blocked.get("/key/list")), (401, "session_ended".into()));
    let body = json!({"duration": "2s"});
    let short = master.post("/key/generate").json(&body).send().json();
    let short = Browser::logged_in(&gateway, short["key"].as_str().unwrap());
    eventually("the key and its session expire", || short.get("/key/info").status == 401);
}

#[test]
fn wrong_keys_are_told_so_and_not_very_often() {
    let (gateway, _provider) = office();
    let client = gateway.client().with_key(None);
    let login = |key: &str| client.post("/ui/api/session").json(&json!({"key": key})).send();
    for _ in 0..20 {
        assert_eq!(login(MASTER).status, 200, "right keys do not count");
    }
    for _ in 0..10 {
        let reply = login("sk-wrong");
        assert_eq!(refused(&reply), (401, "invalid_api_key".into()));
        assert_eq!(reply.header("set-cookie"), "");
    }
    let stopped = login("sk-wrong");
    assert_eq!(refused(&stopped), (429, "too_many_logins".into()));
    let wait: u64 = stopped.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(login(MASTER).status, 429, "whether it is right is not told either");
}

#[test]
fn a_login_is_json_of_our_own_page() {
    let (gateway, _provider) = office();
    let client = gateway.client().with_key(None);
    let body = json!({"key": MASTER}).to_string();
    let form = client.post("/ui/api/session").header("content-type", "text/plain");
    assert_eq!(form.bytes(body.clone()).send().status, 415);
    let typed = || client.post("/ui/api/session").header("content-type", "application/json");
    let foreign = typed().header("sec-fetch-site", "cross-site").bytes(body.clone()).send();
    assert_eq!(foreign.status, 415);
    for wrong in ["", "{}", "{\"key\": 1}", "[]"] {
        assert_eq!(typed().bytes(wrong).send().status, 400, "{wrong}");
    }
    let huge = json!({"key": "x".repeat(5000)}).to_string();
    assert_eq!(typed().bytes(huge).send().status, 400);
    assert_eq!(typed().bytes("{\"key\": \"  \"}").send().status, 401);
    let own = typed().header("sec-fetch-site", "same-origin").bytes(body).send();
    assert_eq!(own.status, 200, "{}", own.body_text());
}

#[test]
fn behind_a_proxy_with_tls_the_cookie_is_bound_to_it() {
    let (gateway, _provider) = office();
    let client = gateway.client().with_key(None);
    let login = client.post("/ui/api/session").header("x-forwarded-proto", "https");
    let reply = login.json(&json!({"key": MASTER})).send();
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("__Host-tollgate=") && cookie.ends_with("; Secure"), "{cookie}");
    let (cookie, _) = cookie.split_once(';').unwrap();
    let ask = |ask: client::Ask| ask.header("cookie", cookie).send();
    let https = client.request(Method::GET, "/key/list").header("x-forwarded-proto", "https");
    assert_eq!(ask(https).status, 200);
    // The same without TLS is not the browser's doing.
    assert_eq!(ask(client.request(Method::GET, "/key/list")).status, 401);
}

#[test]
fn a_gateway_without_a_key_needs_no_login() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&provider)).start();
    let client = gateway.client().with_key(None);
    let session = client.get("/ui/api/session");
    assert_eq!(session.status, 200, "{}", session.body_text());
    assert_eq!(session.json()["role"], "proxy_admin");
    assert_eq!(session.json()["csrf"], json!(null));
    // What another gateway of this machine left in the browser is in nobody's way.
    let stale = client.request(Method::GET, "/key/list").header("cookie", "tollgate=v1:AAAA");
    assert_eq!(stale.send().status, 200);
}

#[test]
fn a_key_for_other_routes_gets_no_session() {
    let (gateway, _provider) = office();
    let master = gateway.client().with_key(Some(MASTER));
    let made = master.post("/key/generate").json(&json!({"key_type": "llm_api"})).send().json();
    let client = gateway.client().with_key(None);
    let reply = client.post("/ui/api/session").json(&json!({"key": made["key"]})).send();
    assert_eq!(refused(&reply), (403, "not_allowed".into()));
}
