//! The files in `conf/` as they are, in front of scripted providers: each does what its comments say.
//!
//! Providers are put in their place by the variables that LiteLLM reads (`OPENAI_API_BASE`), so that
//! the files need no change; only local addresses are replaced.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::gateway::TOLLGATE;
use crate::harness::*;
use crate::media::form;

const KEY: &str = "sk-the-master-key-of-the-examples";

/// What a file that is tried here is served with.
struct Trial<'a> {
    file: &'a str,
    variables: Vec<(String, String)>,
    /// Texts of the file that stand for others.
    instead: Vec<(&'a str, String)>,
}

/// A file below `conf/`, with a key for every provider.
fn trial(file: &str) -> Trial<'_> {
    let keys = [
        ("LITELLM_MASTER_KEY", KEY),
        ("OPENAI_API_KEY", "sk-openai"),
        ("ANTHROPIC_API_KEY", "sk-anthropic"),
        ("GROQ_API_KEY", "sk-groq"),
        ("COHERE_API_KEY", "sk-cohere"),
        ("ACME_API_KEY", "sk-acme"),
        ("OPENAI_PASSED_KEY", "sk-passed"),
        ("SEARCH_API_KEY", "sk-search"),
        ("TEAM_A_KEY", "sk-team-a"),
        ("TEAM_B_KEY", "sk-team-b"),
        ("TEAM_C_KEY", "sk-team-c"),
        ("TEAM_D_KEY", "sk-team-d"),
        ("AZURE_API_KEY", "azure-west-key"),
        ("AZURE_API_KEY_SECONDARY", "azure-east-key"),
    ];
    let variables = keys.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Trial { file, variables, instead: Vec::new() }
}

impl<'a> Trial<'a> {
    /// Where the variable says that a provider is.
    fn at(mut self, variable: &str, upstream: &Upstream) -> Self {
        self.variables.push((variable.to_owned(), upstream.url()));
        self
    }

    fn instead(mut self, written: &'a str, upstream: &Upstream) -> Self {
        self.instead.push((written, upstream.url()));
        self
    }

    #[track_caller]
    fn start(self) -> Gateway {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(self.file);
        let mut text = fs::read_to_string(path).unwrap();
        for (written, new) in &self.instead {
            assert!(text.contains(written), "{} has no {written}", self.file);
            text = text.replace(written, new);
        }
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("tollgate.yaml");
        fs::write(&config, text).unwrap();
        let mut command = Command::new(TOLLGATE);
        command.arg("--config").arg(&config);
        command.args(["--host", "127.0.0.1", "--port", "0", "--num_workers", "1"]);
        Gateway::spawn(command, &self.variables, folder, Some(KEY.to_owned()))
    }
}

/// Which deployment answered, and with what.
#[track_caller]
fn answer(gateway: &Gateway, model: &str) -> (String, String) {
    let reply = gateway.client().chat(model, "hi");
    assert_eq!(reply.status, 200, "{reply:?}");
    (reply.header("x-litellm-model-group").to_owned(), reply.text())
}

fn says(group: &str, text: &str) -> (String, String) {
    (group.to_owned(), text.to_owned())
}

#[test]
fn every_example_has_a_test_here() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let this = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file!())).unwrap();
    for folder in [conf.clone(), conf.join("examples")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&conf).unwrap().to_str().unwrap().to_owned();
            // The one file that is `tollgate mock`'s.
            if name.ends_with(".yaml") && name != "mock-script.yaml" {
                assert!(this.contains(&format!("trial({name:?})")), "{name} is not tried");
            }
        }
    }
}

#[test]
fn the_smallest_file_serves_one_model() {
    let provider = upstream::openai().replies(chat("hello")).requires_key("sk-openai").start();
    let gateway = trial("tollgate.yaml").at("OPENAI_API_BASE", &provider).start();

    assert_eq!(answer(&gateway, "gpt-4o"), says("gpt-4o", "hello"));
    assert_eq!(gateway.client().with_key(None).chat("gpt-4o", "hi").status, 401);
}

#[test]
fn the_reference_serves_requests() {
    let openai = upstream::openai().replies(chat("from OpenAI")).start();
    let azure = upstream::azure().replies(chat("from Azure")).start();
    let gateway = trial("reference.yaml")
        .at("OPENAI_API_BASE", &openai)
        .instead("https://example.openai.azure.com", &azure)
        .instead("https://api.openai.com/v1", &openai)
        .start();

    assert_eq!(answer(&gateway, "gpt-4o"), says("gpt-4o", "from Azure"));
    // The copy for the `silent_model` may come before or after it.
    let sent = azure.requests().into_iter().find(|it| it.path.contains("/my-gpt-4o-deployment/"));
    let sent = sent.expect("Azure answered");
    assert_eq!(sent.headers["x-department"], "research");
    let body = sent.json();
    assert_eq!((&body["temperature"], &body["seed"]), (&0.2.into(), &7.into()), "{body}");
    assert_eq!(answer(&gateway, "legacy"), says("gpt-4o-mini", "from Azure"));
    assert_eq!(answer(&gateway, "o3"), says("openai/*", "from OpenAI"));
}

#[test]
fn bedrock_is_called_with_its_key_before_anthropic() {
    // Its refusal is the same whoever speaks.
    let bedrock = upstream::openai().requires_key("bedrock-key").start();
    let anthropic = upstream::anthropic().replies(chat("from Anthropic")).start();
    let mut trial = trial("examples/bedrock.yaml")
        .at("AWS_BEDROCK_RUNTIME_ENDPOINT", &bedrock)
        .at("ANTHROPIC_API_BASE", &anthropic);
    trial.variables.push(("AWS_BEARER_TOKEN_BEDROCK".to_owned(), "bedrock-key".to_owned()));
    let gateway = trial.start();

    bedrock.now_replies(status(503));
    assert_eq!(answer(&gateway, "claude-sonnet"), says("claude-sonnet", "from Anthropic"));
    let path = &bedrock.last_request().path;
    assert!(path.starts_with("/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/"), "{path}");
}

#[test]
fn claude_on_vertex_says_what_is_missing() {
    // The metadata server is one that answers nothing of the kind.
    let nothing = upstream::openai().replies(status(404)).start();
    let mut trial = trial("examples/vertex.yaml").at("VERTEXAI_API_BASE", &nothing);
    let host = nothing.address().to_string();
    trial.variables.push(("GCE_METADATA_HOST".to_owned(), host));
    let gateway = trial.start();
    let reply = gateway.client().chat("claude-sonnet", "hi");
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (503, "upstream_credential_unavailable")
    );
    assert!(reply.error_message().contains("Google Cloud"), "{reply:?}");
}

#[test]
fn azure_without_keys_logs_in() {
    let azure = upstream::azure().replies(chat("never")).start();
    let login = upstream::openai().replies(status(401)).start();
    let mut trial = trial("examples/azure-entra.yaml")
        .at("AZURE_AUTHORITY_HOST", &login)
        .instead("https://example.openai.azure.com", &azure);
    for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"] {
        trial.variables.push((name.to_owned(), "x".to_owned()));
    }
    let gateway = trial.start();
    let reply = gateway.client().chat("gpt-4o", "hi");
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (503, "upstream_credential_unavailable")
    );
    assert!(reply.error_message().contains("Microsoft Entra ID"), "{reply:?}");
    assert_eq!(azure.request_count(), 0, "nothing is sent without a token");
}

#[test]
fn anthropic_answers_clients_of_openai() {
    let overloaded = status(529).header("retry-after", "0");
    let provider = upstream::anthropic().first_replies([overloaded]).replies(chat("hello")).start();
    let gateway = trial("examples/anthropic.yaml").at("ANTHROPIC_API_BASE", &provider).start();

    let ask = gateway.client().ask("gpt-4o", "hi").set("logprobs", true);
    let reply = ask.send();

    assert_eq!(reply.text(), "hello", "the overload was retried, the parameter dropped");
    assert_eq!(reply.header("x-litellm-model-group"), "claude-sonnet");
    let sent = provider.last_request();
    assert_eq!(sent.path, "/v1/messages");
    assert_eq!(sent.headers["x-api-key"], "sk-anthropic");
    assert_eq!(sent.json()["max_tokens"], 8192);
    assert_eq!(answer(&gateway, "claude-haiku"), says("claude-haiku", "hello"));
}

#[test]
fn azure_regions_share_the_requests_and_openai_stands_by() {
    let [west, east] = ["west", "east"].map(|name| upstream::azure().replies(chat(name)).start());
    let openai = upstream::openai().replies(chat("openai")).start();
    let gateway = trial("examples/azure-openai-failover.yaml")
        .at("AZURE_API_BASE", &west)
        .at("AZURE_API_BASE_SECONDARY", &east)
        .at("OPENAI_API_BASE", &openai)
        .start();
    let answers = |count: usize| -> Vec<String> {
        (0..count).map(|_| answer(&gateway, "gpt-4o").1).collect()
    };

    let both = answers(30);
    assert!(both.contains(&"west".to_owned()) && both.contains(&"east".to_owned()), "{both:?}");
    assert!(!both.contains(&"openai".to_owned()), "{both:?}");
    west.now_replies(status(429).retry_after(60));
    eventually("the west rests", || {
        answers(1);
        gateway.cooling("gpt-4o") == 1
    });
    assert_eq!(answers(5), ["east"; 5]);
    east.now_replies(status(429).retry_after(60));
    assert_eq!(answers(5), ["openai"; 5]);
    assert_eq!(west.requests()[0].headers["api-key"], "azure-west-key");
}

#[test]
fn groups_fall_back_by_the_kind_of_failure() {
    let openai = upstream::openai().replies(chat("openai")).start();
    let anthropic = upstream::anthropic().replies(chat("anthropic")).start();
    let gateway = trial("examples/fallbacks.yaml")
        .at("OPENAI_API_BASE", &openai)
        .at("ANTHROPIC_API_BASE", &anthropic)
        .start();
    assert_eq!(answer(&gateway, "gpt-4o"), says("gpt-4o", "openai"));

    openai.now_replies(context_window_exceeded());
    assert_eq!(answer(&gateway, "gpt-4o-mini"), says("claude-sonnet", "anthropic"));
    openai.now_replies(content_policy_violation());
    assert_eq!(answer(&gateway, "gpt-4o"), says("claude-sonnet", "anthropic"));
    openai.now_replies(status(401));
    assert_eq!(answer(&gateway, "gpt-4o"), says("claude-sonnet", "anthropic"));

    openai.now_replies(chat("openai"));
    anthropic.now_replies(status(401));
    let gateway = trial("examples/fallbacks.yaml")
        .at("OPENAI_API_BASE", &openai)
        .at("ANTHROPIC_API_BASE", &anthropic)
        .start();
    let reply = gateway.client().ask("claude-sonnet", "hi").set("temperature", 1).send();
    assert_eq!(reply.header("x-litellm-model-group"), "gpt-4o");
    assert_eq!(openai.last_request().json()["temperature"], 0);
}

#[test]
fn local_servers_share_the_requests_and_ollama_stands_by() {
    let waiting = || stream(["one", "two"]).stall_after(1);
    let [first, second] = [(), ()].map(|()| upstream::openai().replies(waiting()).start());
    let said = serde_json::json!({"model": "llama3.2", "created_at": "2026-11-21T10:00:00.5Z", "done": true,
                      "message": {"role": "assistant", "content": "small"}});
    let ollama = upstream::openai().replies(json(&said)).start();
    let gateway = trial("examples/local-vllm.yaml")
        .instead("http://127.0.0.1:8001/v1", &first)
        .instead("http://127.0.0.1:8002/v1", &second)
        .instead("http://127.0.0.1:11434", &ollama)
        .start();
    let client = gateway.client();

    let mut open: Vec<_> = (0..4).map(|_| client.ask("llama", "hi").open()).collect();
    for stream in &mut open {
        assert_eq!(stream.next_text().as_deref(), Some("one"));
    }
    assert_eq!((first.request_count(), second.request_count()), (2, 2), "the fewest in flight");
    assert!(!first.last_request().headers.contains_key("authorization"), "no key is needed");
    drop(open);

    // Fast to say that they are gone.
    first.stop();
    second.stop();
    assert_eq!(answer(&gateway, "llama"), says("small", "small"));
}

#[test]
fn the_cheapest_serves_and_a_request_in_a_hurry_asks_for_the_fastest() {
    let openai = upstream::openai().replies(chat("openai")).start();
    let anthropic = upstream::anthropic().replies(chat("anthropic")).start();
    let groq = upstream::openai().replies(chat("groq")).start();
    let gateway = trial("examples/strategies.yaml")
        .at("OPENAI_API_BASE", &openai)
        .at("ANTHROPIC_API_BASE", &anthropic)
        .at("GROQ_API_BASE", &groq)
        .start();
    let client = gateway.client();

    assert_eq!(answer(&gateway, "chat"), says("chat", "openai"), "the cheapest of the three");
    let hurried = client.ask("chat", "hi").header("x-tollgate-strategy", "latency").stream();
    assert_eq!(hurried.status, 200);
    let session = || client.ask("chat", "hi").header("x-tollgate-session", "s").send().text();
    let home = session();
    openai.now_replies(status(401));
    assert_eq!(home, "openai");
    assert_ne!(session(), "openai", "it is left when it cannot serve");
    assert_eq!(session(), session(), "and the session stays where it went");
}

#[test]
fn wildcards_pass_on_what_their_star_stands_for() {
    let openai = upstream::openai().replies(chat("openai")).start();
    let anthropic = upstream::anthropic().replies(chat("anthropic")).start();
    let groq = upstream::openai().replies(chat("groq")).start();
    let gateway = trial("examples/wildcards.yaml")
        .at("OPENAI_API_BASE", &openai)
        .at("ANTHROPIC_API_BASE", &anthropic)
        .at("GROQ_API_BASE", &groq)
        .start();

    for (model, group, provider, asked_for) in [
        ("openai/gpt-4o", "openai/*", &openai, "gpt-4o"),
        ("gpt-4o", "openai/*", &openai, "gpt-4o"),
        ("anthropic/claude-haiku-4-5", "anthropic/*", &anthropic, "claude-haiku-4-5"),
        ("claude-haiku-4-5", "anthropic/*", &anthropic, "claude-haiku-4-5"),
        ("fast/llama-3.3-70b", "fast/*", &groq, "llama-3.3-70b"),
        ("whatever", "*", &openai, "gpt-4o-mini"),
    ] {
        assert_eq!(answer(&gateway, model).0, group, "{model}");
        assert_eq!(provider.last_request().json()["model"], asked_for, "{model}");
    }
}

#[test]
fn rules_choose_the_model_and_the_other_one_stands_by() {
    let openai = upstream::openai().replies(chat("openai")).start();
    let anthropic = upstream::anthropic().replies(chat("anthropic")).start();
    let gateway = trial("examples/routing-rules.yaml")
        .at("OPENAI_API_BASE", &openai)
        .at("ANTHROPIC_API_BASE", &anthropic)
        .start();
    let client = gateway.client();

    assert_eq!(answer(&gateway, "auto"), says("gpt-4o-mini", "openai"));
    assert_eq!(answer(&gateway, "claude"), says("gpt-4o-mini", "openai"), "the rules mention it");
    let gold = client.ask("auto", "hi").header("x-tier", "gold").send();
    assert_eq!(gold.text(), "anthropic");
    let metadata = serde_json::json!({"priority": "quality"});
    assert_eq!(client.ask("auto", "hi").set("metadata", metadata).send().text(), "anthropic");
    assert_eq!(client.chat("auto", &"many words ".repeat(20_000)).text(), "anthropic");

    openai.now_replies(status(401));
    assert_eq!(answer(&gateway, "auto"), says("claude", "anthropic"));
}

#[test]
fn the_own_region_goes_first_and_weights_divide() {
    let [us, eu] = ["us", "eu"].map(|name| upstream::azure().replies(chat(name)).start());
    let openai = upstream::openai().replies(chat("openai")).start();
    let anthropic = upstream::anthropic().replies(chat("anthropic")).start();
    let gateway = trial("examples/regions-and-weights.yaml")
        .at("AZURE_API_BASE", &us)
        .at("AZURE_API_BASE_SECONDARY", &eu)
        .at("OPENAI_API_BASE", &openai)
        .at("ANTHROPIC_API_BASE", &anthropic)
        .start();

    for model in ["auto", "regional", "gpt-4o-us", "gpt-4o-eu"] {
        assert_eq!(answer(&gateway, model), says("gpt-4o-eu", "eu"), "{model}");
    }
    eu.now_replies(status(401));
    assert_eq!(answer(&gateway, "regional"), says("gpt-4o-us", "us"));

    let answers: Vec<_> = (0..10).map(|_| answer(&gateway, "claude-haiku").1).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "anthropic").count(), 2, "{answers:?}");
}

#[test]
fn cohere_chats_embeds_and_ranks_with_one_key() {
    let reply = json!({"id": "c", "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "from Cohere"}]},
        "usage": {"tokens": {"input_tokens": 3, "output_tokens": 2}}});
    let ranked = json!({"id": "r", "results": [{"index": 1, "relevance_score": 0.9}],
        "meta": {"billed_units": {"search_units": 1}}});
    let embedded = json!({"id": "e", "embeddings": {"float": [[0.5, 1.0]]}, "texts": ["hi"],
        "meta": {"billed_units": {"input_tokens": 2}}});
    let cohere = upstream::openai()
        .requires_key("sk-cohere")
        .when(|it| it.path == "/v2/rerank", json(&ranked))
        .when(|it| it.path == "/v2/embed", json(&embedded))
        .replies(json(&reply))
        .start();
    let openai = upstream::openai().replies(chat("from OpenAI")).start();
    let gateway = trial("examples/cohere.yaml")
        .at("COHERE_API_BASE", &cohere)
        .at("OPENAI_API_BASE", &openai)
        .start();
    let client = gateway.client();

    assert_eq!(answer(&gateway, "assistant"), says("assistant", "from Cohere"));
    let asked = json!({"model": "embeddings", "input": "hi"});
    let vectors = client.post("/v1/embeddings").json(&asked).send();
    assert_eq!(vectors.json()["data"][0]["embedding"], json!([0.5, 1.0]), "{vectors:?}");
    assert_eq!(cohere.last_request().json()["input_type"], "search_document");
    let query = json!({"model": "rerank", "query": "q", "documents": ["a", "b"]});
    let order = client.post("/v2/rerank").json(&query).send();
    assert_eq!(order.json()["results"][0]["index"], 1, "{order:?}");

    cohere.now_replies(overloaded());
    assert_eq!(answer(&gateway, "assistant"), says("assistant-standby", "from OpenAI"));
}

#[test]
fn media_go_to_the_own_server_or_to_openai() {
    let heard = json!({"text": "hello", "duration": 2.0});
    let own = upstream::openai().replies(json(&heard)).start();
    let verdict = json!({"id": "m", "model": "omni-moderation-latest",
        "results": [{"flagged": false, "categories": {}, "category_scores": {}}]});
    let picture = json!({"created": 1, "data": [{"b64_json": "AAAA"}]});
    let file = json!({"id": "file-abc", "object": "file", "bytes": 3, "filename": "a.bin",
        "purpose": "batch"});
    let openai = upstream::openai()
        .requires_key("sk-openai")
        .when(|it| it.path == "/v1/moderations", json(&verdict))
        .when(|it| it.path == "/v1/images/generations", json(&picture))
        .when(|it| it.path == "/v1/audio/speech", body_of("audio/mpeg", "sound"))
        .when(|it| it.path == "/v1/audio/transcriptions", json(&heard))
        .replies(json(&file))
        .start();
    let gateway = trial("examples/media.yaml")
        .at("OPENAI_API_BASE", &openai)
        .instead("http://127.0.0.1:8001", &own)
        .start();
    let client = gateway.client();
    let asked = |path: &str, body: serde_json::Value| {
        let reply = client.post(path).json(&body).send();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        reply
    };
    let reply = asked("/v1/images/generations", json!({"model": "pictures", "prompt": "a cat"}));
    assert_eq!(reply.json()["data"][0]["b64_json"], "AAAA");
    let speech = json!({"model": "voice", "input": "hi", "voice": "alloy"});
    assert_eq!(asked("/v1/audio/speech", speech).body, b"sound");
    asked("/v1/moderations", json!({"input": "hi"}));
    assert_eq!(openai.last_request().json()["model"], "omni-moderation-latest");

    let dictate = || {
        let fields = [("model", "dictation")];
        form(client.post("/v1/audio/transcriptions"), &fields, Some(("file", b"wave"))).send()
    };
    let before = openai.request_count();
    assert_eq!(dictate().json()["text"], "hello");
    assert_eq!((own.request_count(), openai.request_count()), (1, before), "the own server first");
    own.now_replies(overloaded());
    assert_eq!(dictate().json()["text"], "hello");
    assert_eq!(openai.last_request().path, "/v1/audio/transcriptions");

    let fields = [("purpose", "batch"), ("target_model_names", "batch")];
    let kept = form(client.post("/v1/files"), &fields, Some(("file", b"{}\n"))).send();
    let id = kept.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&format!("/v1/files/{id}")).status, 200);
    assert_eq!(openai.last_request().path, "/v1/files/file-abc");
}

#[test]
fn an_api_of_ones_own_is_described_and_openai_stands_by() {
    let whole =
        json!({"output": "from the house", "why": "end", "cost": {"read": 4, "written": 3}});
    let pieces = [
        json!({"piece": "from ", "last": false}),
        json!({"piece": "the house", "last": true, "cost": {"read": 4, "written": 3}}),
    ];
    let lines: String = pieces.iter().map(|piece| format!("{piece}\n")).collect();
    let acme = upstream::openai()
        .requires_key("sk-acme")
        .when(|it| it.json()["stream"] == true, body_of("application/x-ndjson", lines))
        .replies(json(&whole))
        .start();
    let openai = upstream::openai().replies(chat("from OpenAI")).start();
    let gateway = trial("examples/custom-provider.yaml")
        .instead("http://127.0.0.1:8100", &acme)
        .at("OPENAI_API_BASE", &openai)
        .start();

    assert_eq!(answer(&gateway, "house-model"), says("house-model", "from the house"));
    let sent = acme.last_request();
    assert_eq!((sent.path.as_str(), &sent.json()["engine"]), ("/v2/generate", &json!("large-2")));
    assert_eq!(sent.json()["input"], "hi");
    let stream = gateway.client().stream("house-model", "hi");
    assert_eq!(stream.text(), "from the house");
    let cost = gateway.logged(stream.request_id())["cost_usd"].as_f64().unwrap();
    assert!((cost - 0.000_01).abs() < 1e-12, "4 tokens read, 3 written: {cost}");

    acme.now_replies(overloaded());
    assert_eq!(answer(&gateway, "house-model"), says("house-model", "from OpenAI"));
}

#[test]
fn what_is_passed_goes_with_keys_that_clients_never_see() {
    let openai = upstream::openai()
        .when(|it| it.path.contains("/assistants"), json(&json!({"data": []})))
        .replies(chat("hello"))
        .start();
    let search = upstream::openai().replies(json(&json!({"found": 1}))).start();
    let gateway = trial("examples/pass-through.yaml")
        .at("OPENAI_API_BASE", &openai)
        .instead("http://127.0.0.1:8200", &search)
        .start();
    let client = gateway.client();

    assert_eq!(client.get("/openai/v1/assistants?limit=1").json(), json!({"data": []}));
    assert_eq!(openai.last_request().key(), Some("sk-passed"));
    assert_eq!(answer(&gateway, "gpt-4o-mini"), says("gpt-4o-mini", "hello"));
    assert_eq!(openai.last_request().key(), Some("sk-openai"));
    assert_eq!(client.get("/anthropic/v1/models").status, 404);

    let found = client.post("/search?q=x").json(&json!({})).send();
    assert_eq!(found.json(), json!({"found": 1}));
    let sent = search.last_request();
    assert_eq!((&*sent.path, sent.key()), ("/v2/search?q=x&market=en", Some("sk-search")));
    assert_eq!(gateway.logged(found.request_id())["cost_usd"], 0.005);
    assert_eq!(client.get("/search").status, 404);
}
