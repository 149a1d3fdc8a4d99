//! What is secret, and what was said, stands nowhere: strings that occur in no other place are put wherever
//! secrets may be written, everything is made to happen that makes the program talk, and all that it has
//! written is looked through.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use http::Method;
use serde_json::json;
use tollgate::admin::rights;

use crate::harness::gateway::{Builder, TOLLGATE};
use crate::harness::redis::Redis;
use crate::harness::*;

const MASTER: &str = "sk-canary-master-0c51d7";
const VIRTUAL: &str = "sk-canary-virtual-1be2a9";
const WRONG: &str = "sk-canary-wrong-2d90f3";
const OF_FILE: &str = "sk-canary-of-file-39a77e";
const PROVIDER: &str = "sk-canary-provider-4e8c12";
const ADDED: &str = "sk-canary-added-5f19b0";
const SALT: &str = "canary-salt-6a4471";
const DATABASE: &str = "canary-database-7b23cd";
const REDIS: &str = "canary-redis-8c90e4";
const COLLECTOR: &str = "canary-collector-9d7f55";
const HOOK: &str = "canary-hook-a01b62";
const SLACK: &str = "canary-slack-b1f0c8";
const AWS: &str = "canary-aws-c28e97";
const TARGET: &str = "canary-target-d3a50b";
const GUARD: &str = "canary-guard-e47c1d";
const BODY: &str = "sk-canary-body-f5d2a8";

/// What a client says, and a model.
const PROMPT: &str = "canary-prompt-0715aa";
const REPLY: &str = "canary-reply-18f3bb";

const SECRETS: [&str; 16] = [
    MASTER, VIRTUAL, WRONG, OF_FILE, PROVIDER, ADDED, SALT, DATABASE, REDIS, COLLECTOR, HOOK,
    SLACK, AWS, TARGET, GUARD, BODY,
];

/// All that was written, by where it was.
#[derive(Default)]
struct Written(BTreeMap<String, Vec<u8>>);

impl Written {
    fn add(&mut self, place: impl Into<String>, bytes: impl AsRef<[u8]>) {
        self.0.entry(place.into()).or_default().extend_from_slice(bytes.as_ref());
    }

    /// Head and body, as a client sees them.
    fn reply(&mut self, place: &str, reply: &Reply) {
        self.add(
            format!("reply to {place}"),
            format!("{:?}\n{}", reply.headers, reply.body_text()),
        );
    }

    /// Every file below a folder but those that the test has written.
    fn files(&mut self, folder: &Path, own: &[&str]) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                self.files(&path, own);
            } else if !own.contains(&&*name)
                && let Ok(bytes) = fs::read(&path)
            {
                self.add(path.display().to_string(), bytes);
            }
        }
    }

    /// Every table of a database.
    fn tables(&mut self, url: &str) {
        let tables =
            postgres::ask(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
        for table in tables.lines().filter(|name| !name.is_empty()) {
            self.add(
                format!("table {table}"),
                postgres::ask(url, &format!("SELECT t::text FROM {table} t")),
            );
        }
    }

    #[track_caller]
    fn holds_none_of(&self, secrets: &[&str]) {
        let mut found = Vec::new();
        for (place, bytes) in &self.0 {
            for secret in secrets {
                if let Some(at) = memchr::memmem::find(bytes, secret.as_bytes()) {
                    let around = &bytes[at.saturating_sub(120)..bytes.len().min(at + 120)];
                    found.push(format!("{secret} in {place}: {}", String::from_utf8_lossy(around)));
                }
            }
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    /// That the test looks where it believes to look.
    #[track_caller]
    fn has(&self, part: &str, what: &str) {
        let mut places = self.0.iter().filter(|(place, _)| place.contains(part));
        let has = places.any(|(_, bytes)| memchr::memmem::find(bytes, what.as_bytes()).is_some());
        assert!(has, "{what} in {part}: {:?}", self.0.keys());
    }
}

/// Providers: one that answers, one that tells the key it was shown, one that fails.
struct Providers {
    good: Upstream,
    telling: Upstream,
    failing: Upstream,
    collector: Upstream,
    hooks: Upstream,
}

impl Providers {
    fn start() -> Self {
        let told = json!({"error": {"message": format!("Incorrect API key provided: {PROVIDER}. You said {PROMPT}"),
            "type": "invalid_request_error", "code": "invalid_api_key"}});
        let failed = format!("<html>{PROVIDER} {PROMPT}</html>");
        Self {
            good: upstream::openai().replies(chat(REPLY).usage(11, 7)).start(),
            telling: upstream::openai().replies(json(&told).with_status(401)).start(),
            failing: upstream::openai().replies(status(500).body("text/html", failed)).start(),
            collector: upstream::openai().replies(body_of("application/x-protobuf", "")).start(),
            hooks: upstream::openai().replies(json(&json!({"ok": true}))).start(),
        }
    }

    /// What was sent to those who are no providers: bodies. They may know their own secrets, which stand
    /// in paths and headers.
    fn told(&self, written: &mut Written) {
        for (name, receiver) in [("collector", &self.collector), ("hooks", &self.hooks)] {
            for request in receiver.requests() {
                written.add(format!("body for the {name}"), &request.body);
            }
        }
    }

    /// What providers were sent, with their own keys left out.
    fn sent(&self, written: &mut Written) {
        for provider in [&self.good, &self.telling, &self.failing] {
            for request in provider.requests() {
                let mut sent = format!("{} {:?} ", request.path, request.headers);
                sent.push_str(&String::from_utf8_lossy(&request.body));
                for own in [PROVIDER, ADDED, TARGET] {
                    sent = sent.replace(own, "");
                }
                // What is said is what they are for.
                written.add("request to a provider", sent.replace(PROMPT, ""));
            }
        }
    }
}

fn everything(providers: &Providers, redis: &Redis) -> Builder {
    let of =
        |upstream: &Upstream| openai(upstream).key(PROVIDER).with("input_cost_per_token: 0.001");
    let bedrock = Deployment::at(
        "bedrock/anthropic.claude-3-haiku-20240307-v1:0",
        &providers.failing.url(),
    )
    .with(&format!(
        "aws_access_key_id: AKIA0000\naws_secret_access_key: {AWS}\naws_region_name: eu-west-1"
    ));
    gateway::with(group("gpt").deployment(of(&providers.good)))
        .and(group("telling").deployment(of(&providers.telling)))
        .and(group("failing").deployment(of(&providers.failing)))
        .and(group("claude").deployment(bedrock))
        .master_key(MASTER)
        .litellm("log_level: debug\njson_logs: true\nlog_to_file: true\nlog_file_path: access.log")
        .litellm("callbacks: [otel]\nnum_retries: 0\ncache: true")
        .litellm(&format!("cache_params: {{type: redis, host: 127.0.0.1, port: {}, password: {REDIS}}}", redis.port()))
        .general("alerting: [webhook, slack]\nalert_types: [budget_alerts]")
        .general(&format!(
            "pass_through_endpoints:\n- {{path: /own, target: '{}/v1', include_subpath: true, headers: {{x-secret: {TARGET}}}}}",
            providers.good.url()
        ))
        .top(&format!("key_settings: [{{api_key: {OF_FILE}, alias: file}}]"))
        .top(&format!(
            "guardrails: [{{guardrail_name: far, litellm_params: {{guardrail: generic_guardrail_api, mode: pre_call, \
             api_base: 'http://127.0.0.1:9/', api_key: {GUARD}, unreachable_fallback: fail_open}}}}]"
        ))
        .variable("LITELLM_SALT_KEY", SALT)
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &providers.collector.url())
        .variable("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization={COLLECTOR}"))
        .variable("OTEL_BSP_SCHEDULE_DELAY", "10")
        .variable("WEBHOOK_URL", &format!("{}/v1/{HOOK}", providers.hooks.url()))
        .variable("SLACK_WEBHOOK_URL", &format!("{}/v1/{SLACK}", providers.hooks.url()))
}

/// Every route, as the master key sees it and as nobody does.
fn pages(gateway: &Gateway, written: &mut Written) {
    let nobody = gateway.client().with_key(None);
    let wrong = gateway.client().with_key(Some(WRONG));
    // The one does not end, the others change what is in force.
    let left = ["/ui/api/live", "/config/reload", "/ui/{*path}"];
    for path in rights::patterns().filter(|path| !left.contains(path)) {
        let path = path.replace("{id}", "x").replace("{key}", "x").replace("{*name}", "gpt");
        for client in [&gateway.client(), &nobody, &wrong] {
            written.reply(&path, &client.get(&path));
        }
        // Without anything in it: what is missing is told.
        written.reply(&path, &wrong.post(&path).json(&json!({})).send());
    }
    for query in [
        "/spend/logs?summarize=false&start_date=2020-01-01&end_date=2099-01-01",
        "/spend/logs/v2?start_date=2020-01-01&end_date=2099-01-01",
        "/ui/api/requests?from=0",
        "/key/list?return_full_object=true&size=100",
        "/audit?page_size=100",
    ] {
        written.reply(query, &gateway.client().get(query));
    }
}

/// Requests that succeed and that fail, in all dialects, with all kinds of keys.
fn requests(gateway: &Gateway, written: &mut Written) {
    let master = gateway.client();
    let keys = [MASTER, VIRTUAL, OF_FILE, WRONG];
    let clients = keys.map(|key| master.clone().with_key(Some(key)));
    for client in &clients {
        for model in ["gpt", "telling", "failing", "claude", "added", "nobody"] {
            for stream in [false, true] {
                let said = json!([{"role": "user", "content": PROMPT}]);
                for (path, body) in [
                    ("/v1/chat/completions", json!({"messages": said})),
                    ("/v1/messages", json!({"messages": said, "max_tokens": 9})),
                    ("/v1/responses", json!({"input": PROMPT})),
                ] {
                    let ask =
                        client.post(path).json(&body).set("model", model).set("stream", stream);
                    written.reply(path, &ask.send());
                }
            }
        }
        written.reply(
            "/own",
            &client
                .post("/own/chat/completions")
                .json(&json!({"model": "gpt", "messages": []}))
                .send(),
        );
        written.reply("/realtime", &client.get("/v1/realtime?model=gpt"));
        // Where keys do not belong.
        written.reply("query", &client.get(&format!("/v1/models?key={VIRTUAL}&api_key={BODY}")));
        let ask = client.ask("gpt", PROMPT).set("guardrails", json!(["far"])).set("api_key", BODY);
        written.reply("body", &ask.set("metadata", json!({"tags": ["a"]})).send());
        written.reply(
            "broken",
            &client.post("/v1/chat/completions").bytes(format!("{{\"{PROMPT}")).send(),
        );
        let cookie = client
            .request(Method::GET, "/key/list")
            .header("cookie", &format!("tollgate_session={BODY}"));
        written.reply("cookie", &cookie.send());
    }
}

/// What the other commands say.
fn commands(gateway: &Gateway, variables: &[(&str, String)], written: &mut Written) {
    let config = gateway.config_path();
    let config = config.to_str().unwrap();
    let request = gateway.folder().join("request.json");
    fs::write(&request, json!({"model": "gpt", "messages": []}).to_string()).unwrap();
    let request = request.to_string_lossy();
    for words in [
        &["check", "--config", config][..],
        &["check", "--strict", "--config", config],
        &["explain", "--config", config, "--request", &*request],
        &["options"],
    ] {
        let mut command = Command::new(TOLLGATE);
        command.args(words).env_clear().stdin(Stdio::null());
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        let output = command.output().unwrap();
        assert!(!output.stdout.is_empty() || !output.stderr.is_empty(), "{words:?} says something");
        written.add(format!("{words:?}"), output.stdout);
        written.add(format!("{words:?}"), output.stderr);
    }
}

#[test]
fn secrets_stand_nowhere_in_what_is_written() {
    let redis = Redis::start();
    redis.ask(&format!("CONFIG SET requirepass {REDIS}"));
    for database in [None, Some(postgres::database())] {
        let providers = Providers::start();
        let mut builder = everything(&providers, &redis);
        if let Some(url) = &database {
            let url = url.replace("postgres@", &format!("postgres:{DATABASE}@"));
            builder = builder.general(&format!("database_url: {url}"));
        }
        let mut gateway = builder.start();
        let mut written = Written::default();
        let client = gateway.client();
        let key = json!({"key": VIRTUAL, "key_alias": "v", "user_id": "ada", "max_budget": 0.02, "soft_budget": 0.001});
        assert_eq!(client.post("/key/generate").json(&key).send().status, 200);
        let params = json!({"model": "openai/gpt-4o", "api_base": providers.good.api_base(), "api_key": ADDED});
        let added = client
            .post("/model/new")
            .json(&json!({"model_name": "added", "litellm_params": params}));
        let added = added.send();
        assert_eq!(added.status, 200, "{}", added.body_text());
        written.reply("/model/new", &added);
        let session = client
            .clone()
            .with_key(None)
            .post("/ui/api/session")
            .json(&json!({"key": MASTER}))
            .send();
        let cookie = session.header("set-cookie").split(';').next().unwrap().to_owned();
        let cookie = cookie.split_once('=').unwrap().1.to_owned();
        assert!(cookie.len() > 20, "{cookie}");

        requests(&gateway, &mut written);
        pages(&gateway, &mut written);
        // A file that is wrong, with a secret where it is wrong.
        let good = fs::read_to_string(gateway.config_path()).unwrap();
        let bad =
            good.replace("json_logs: true", &format!("json_logs: perhaps\n  master_kye: {BODY}"));
        fs::write(gateway.config_path(), bad).unwrap();
        written.reply("/config/reload", &client.post("/config/reload").send());
        gateway.signal("HUP");
        gateway.wait_for_message("json_logs");
        let environment = [
            ("LITELLM_SALT_KEY", SALT.to_owned()),
            ("WEBHOOK_URL", format!("http://127.0.0.1:9/{HOOK}")),
            ("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={COLLECTOR}")),
        ];
        commands(&gateway, &environment, &mut written);
        fs::write(gateway.config_path(), good).unwrap();
        commands(&gateway, &environment, &mut written);
        eventually("the budget's alerts are told", || !providers.hooks.requests().is_empty());
        eventually("traces are sent", || providers.collector.requests().len() > 1);

        gateway.signal("TERM");
        gateway.wait_for_end();
        written.add("standard output", gateway.output());
        written.add("standard error", gateway.messages());
        written.files(gateway.folder(), &["tollgate.yaml"]);
        if let Some(url) = &database {
            written.tables(url);
        }
        providers.told(&mut written);
        providers.sent(&mut written);

        written.has("standard error", "\"level\":\"DEBUG\"");
        written.has("access.log", "\"key_alias\":\"v\"");
        written.has("reply to /spend/logs", "\"prompt_tokens\":11");
        match &database {
            None => written.has("tollgate.db", "gpt"),
            Some(_) => written.has("table tollgate_spend_log", "gpt"),
        }
        written.has("body for the hooks", "budget");
        written.has("check", "json_logs");
        written.holds_none_of(&SECRETS);
        written.holds_none_of(&[&cookie]);
    }
}

#[test]
fn what_is_said_stands_nowhere_where_nobody_asks_for_it() {
    for database in [None, Some(postgres::database())] {
        let providers = Providers::start();
        let of = |upstream: &Upstream| openai(upstream).key(PROVIDER);
        let mut builder = gateway::with(group("gpt").deployment(of(&providers.good)))
            .and(group("telling").deployment(of(&providers.telling)))
            .and(group("failing").deployment(of(&providers.failing)))
            .master_key(MASTER)
            .litellm("log_level: debug\ncallbacks: [otel]\nnum_retries: 0\ncache: true")
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &providers.collector.url())
            .variable("OTEL_BSP_SCHEDULE_DELAY", "10");
        if let Some(url) = &database {
            builder = builder.general(&format!("database_url: {url}"));
        }
        let mut gateway = builder.start();
        let mut written = Written::default();
        // Replies are for those who asked.
        requests(&gateway, &mut Written::default());
        pages(&gateway, &mut written);
        eventually("traces are sent", || providers.collector.requests().len() > 1);
        gateway.signal("TERM");
        gateway.wait_for_end();
        written.add("standard output", gateway.output());
        written.add("standard error", gateway.messages());
        written.files(gateway.folder(), &["tollgate.yaml"]);
        if let Some(url) = &database {
            written.tables(url);
        }
        providers.told(&mut written);
        written.has("standard output", "\"model\":\"gpt\"");
        written.has("reply to /spend/logs", "\"prompt_tokens\":11");
        written.holds_none_of(&[PROMPT, REPLY]);
    }
}
