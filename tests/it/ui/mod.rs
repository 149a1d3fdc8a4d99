//! The dashboard's side of the gateway: its files, sessions of browsers, and what its pages ask for.

mod live;
mod overview;
mod pages;
mod session;
mod speed;

use http::Method;
use serde_json::{Value, json};

use crate::harness::*;

const MASTER: &str = "sk-master-of-the-tests";

/// A browser: it keeps the cookie and the token that a login gave it.
struct Browser {
    client: Client,
    cookie: String,
    session: Value,
}

impl Browser {
    #[track_caller]
    fn logged_in(gateway: &Gateway, key: &str) -> Self {
        let client = gateway.client().with_key(None);
        let reply = client.post("/ui/api/session").json(&json!({"key": key})).send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
        Self { client, cookie, session: reply.json() }
    }

    fn csrf(&self) -> &str {
        self.session["csrf"].as_str().unwrap()
    }

    /// A request with the cookie and no token.
    fn bare(&self, method: Method, path: &str) -> client::Ask {
        self.client.request(method, path).header("cookie", &self.cookie)
    }

    #[track_caller]
    fn get(&self, path: &str) -> Reply {
        self.bare(Method::GET, path).send()
    }

    #[track_caller]
    fn told(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        reply.json()
    }

    fn post(&self, path: &str, body: &Value) -> client::Ask {
        self.bare(Method::POST, path).header("x-tollgate-csrf", self.csrf()).json(body)
    }
}

/// A gateway with one model, in front of a provider that always answers.
fn office() -> (Gateway, Upstream) {
    let provider = upstream::openai().replies(chat("hello")).start();
    let gateway =
        gateway::with(group("gpt").deployment(openai(&provider))).master_key(MASTER).start();
    (gateway, provider)
}

/// A user with a role, and the key that the user begins with.
#[track_caller]
fn user(gateway: &Gateway, id: &str, role: &str) -> String {
    let master = gateway.client().with_key(Some(MASTER));
    let body = json!({"user_id": id, "user_role": role});
    let reply = master.post("/user/new").json(&body).send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    reply.json()["key"].as_str().unwrap().to_owned()
}

/// The code of a refusal.
#[track_caller]
fn refused(reply: &Reply) -> (u16, String) {
    let error = &reply.json()["error"];
    assert!(error["message"].is_string(), "{}", reply.body_text());
    (reply.status, error["code"].as_str().unwrap_or_default().to_owned())
}
