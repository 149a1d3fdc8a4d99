//! Every configuration of `tests/config/good/seeds` does what it says: the executable runs on the
//! file as it is written. Only addresses are others: by the providers' own variables (`OPENAI_BASE_URL`
//! and the like) where the file names none, and replaced in the text where it does.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;
use tollgate::dialect::Endpoint;
use tollgate::wire::json::Object;

use crate::harness::*;

/// The text of a seed.
fn seed(name: &str) -> String {
    let path = format!("{}/tests/config/good/seeds/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text of a seed with other addresses in it; each has to be there.
fn at(name: &str, addresses: &[(&str, &str)]) -> String {
    addresses.iter().fold(seed(name), |text, (written, other)| {
        assert!(text.contains(written), "{name} does not hold {written}");
        text.replace(written, other)
    })
}

/// The providers that a seed may call, each saying its own name.
struct Providers {
    openai: Upstream,
    anthropic: Upstream,
    azure: Upstream,
}

impl Providers {
    fn start() -> Self {
        Self {
            openai: upstream::openai().replies(chat("openai")).start(),
            anthropic: upstream::anthropic().replies(chat("anthropic")).start(),
            azure: upstream::azure().replies(chat("azure")).start(),
        }
    }

    /// A gateway on this text, with the keys and addresses of the providers in its environment.
    fn gateway(&self, text: &str) -> gateway::Builder {
        let mut builder = gateway::empty().top(text);
        for name in ["OPENAI", "OPENAI_EU", "ANTHROPIC", "AZURE", "COHERE"] {
            builder = builder.variable(&format!("{name}_API_KEY"), "sk-of-the-seed");
        }
        builder
            .variable("AZURE_API_KEY_SECONDARY", "sk-of-the-seed")
            .variable("LITELLM_MASTER_KEY", MASTER)
            .variable("DATABASE_URL", "postgresql://localhost/none")
            .variable("OPENAI_BASE_URL", &self.openai.api_base())
            .variable("ANTHROPIC_API_BASE", &self.anthropic.api_base())
            .variable("AZURE_API_BASE", &self.azure.api_base())
            .variable("LANGFUSE_PUBLIC_KEY", "pk")
            .variable("LANGFUSE_SECRET_KEY", "sk")
    }

    fn forget(&self) {
        [&self.openai, &self.anthropic, &self.azure].into_iter().for_each(Upstream::forget);
    }
}

/// `LITELLM_MASTER_KEY` of every gateway here.
const MASTER: &str = "sk-master-of-the-seeds";

/// The key that the file of the guide writes.
const GUIDE_KEY: &str = "your-secret-key-here";

/// A client that shows this key.
fn client(gateway: &Gateway, key: &str) -> Client {
    gateway.client().with_key(Some(key))
}

/// A prompt of exactly so many tokens for `gpt-4o-mini`, as the gateway counts them.
fn prompt_of(tokens: u64) -> String {
    let count = |words: usize| {
        let prompt = "word ".repeat(words);
        let body = json!({"messages": [{"role": "user", "content": prompt}]}).to_string();
        let body = Object::parse(body.into()).unwrap();
        (tollgate::tokens::count(&body, Endpoint::Chat, "gpt-4o-mini"), prompt)
    };
    let words = (0..).find(|&words| count(words).0.tokens >= tokens).unwrap();
    let (counted, prompt) = count(words);
    assert_eq!((counted.tokens, counted.exact), (tokens, true));
    prompt
}

/// How often each answer came.
fn tally(answers: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    answers.for_each(|answer| *tally.entry(answer).or_default() += 1);
    tally
}

#[test]
fn a1_routes_to_the_named_provider_and_falls_back_in_the_order_written() {
    let providers = Providers::start();
    let gateway = providers.gateway(&seed("a1-edge-proxy-guide")).start();
    let client = client(&gateway, GUIDE_KEY);

    for (model, answer, upstream, name) in [
        ("gpt-4o-mini", "openai", &providers.openai, "gpt-4o-mini"),
        ("claude-3-5-sonnet", "anthropic", &providers.anthropic, "claude-3-5-sonnet-20241022"),
    ] {
        assert_eq!(client.chat(model, "hi").text(), answer, "{model}");
        assert_eq!(model_asked(upstream), name, "{model}");
    }
    assert_eq!(client.chat("gpt-4o-azure", "hi").text(), "azure");
    let path = &providers.azure.last_request().path;
    assert!(path.contains("/deployments/gpt-4o/chat/completions"), "{path}");
    assert!(path.contains("api-version=2024-02-15-preview"), "{path}");

    // Without the key of the file nobody gets in.
    assert_eq!(gateway.client().with_key(Some("other")).chat("gpt-4o-mini", "hi").status, 401);

    providers.openai.now_replies(status(404));
    let reply = client.chat("gpt-4o-mini", "hi");
    assert_eq!(
        (reply.text().as_str(), reply.number("x-litellm-attempted-fallbacks")),
        ("anthropic", 1)
    );
    providers.anthropic.now_replies(status(404));
    assert_eq!(client.chat("gpt-4o-mini", "hi").text(), "azure");
    providers.openai.now_replies(chat("openai"));
    providers.azure.now_replies(status(404));
    eventually("the first of the list serves again", || {
        client.chat("gpt-4o-azure", "hi").status == 200
    });
}

#[test]
fn a1_picks_the_cheapest_deployment_of_a_group() {
    let providers = Providers::start();
    // The guide's own words for prices, on two deployments of one name.
    let text = seed("a1-edge-proxy-guide")
        .replace("model_name: claude-3-5-sonnet", "model_name: gpt-4o-mini")
        .replace("    - claude-3-5-sonnet\n", "");
    let gateway = providers.gateway(&text).start();
    let client = client(&gateway, GUIDE_KEY);
    for _ in 0..20 {
        assert_eq!(client.chat("gpt-4o-mini", "hi").text(), "openai", "a twentieth of the price");
    }
    providers.openai.now_replies(status(500));
    assert_eq!(client.chat("gpt-4o-mini", "hi").text(), "anthropic");
}

#[test]
fn a2_rules_decide_by_the_tokens_of_the_prompt() {
    let providers = Providers::start();
    let gateway = providers
        .gateway("include: [a1.yaml, a2.yaml]")
        .file("a1.yaml", &seed("a1-edge-proxy-guide"))
        .file("a2.yaml", &seed("a2-custom-routing"))
        .start();
    let client = client(&gateway, GUIDE_KEY);

    let (short, long) = (prompt_of(100), prompt_of(1001));
    // Until the table of tokens is read, prompts are estimated.
    eventually("the tokens are counted", || {
        client.chat("auto", &long).text() == "anthropic"
            && client.chat("auto", &short).status == 200
    });
    for (tokens, answer) in [
        (99, "openai"),
        (100, "openai"),
        (1000, "openai"),
        (1001, "anthropic"),
        (1500, "anthropic"),
    ] {
        for model in ["auto", "gpt-4o-mini", "claude-3-5-sonnet"] {
            let prompt = prompt_of(tokens);
            assert_eq!(client.chat(model, &prompt).text(), answer, "{tokens} tokens to {model}");
        }
    }
    // Not a model that the rules mention.
    assert_eq!(client.chat("gpt-4o-azure", &long).text(), "azure");
    let models = gateway.client().with_key(Some(GUIDE_KEY)).get("/v1/models").json();
    let listed = models["data"].as_array().unwrap().iter().any(|model| model["id"] == "auto");
    assert!(listed, "{models}");
}

#[test]
fn a2_alone_is_served_with_the_keys_of_the_environment() {
    let providers = Providers::start();
    let gateway = providers.gateway(&seed("a2-custom-routing")).start();
    assert_eq!(client(&gateway, MASTER).chat("auto", "hi").text(), "openai");
    let long = "a long story ".repeat(2_000);
    assert_eq!(client(&gateway, MASTER).chat("gpt-4o-mini", &long).text(), "anthropic");
    assert_eq!(model_asked(&providers.anthropic), "claude-3-5-sonnet");
}

#[test]
fn a3_eighty_of_a_hundred_requests_go_to_one_and_twenty_to_the_other() {
    let providers = Providers::start();
    let gateway = providers
        .gateway("include: [a1.yaml, a3.yaml]")
        .file("a1.yaml", &seed("a1-edge-proxy-guide"))
        .file("a3.yaml", &seed("a3-ab-testing"))
        .start();
    let client = client(&gateway, GUIDE_KEY);

    for model in ["gpt-4o-mini", "claude-3-5-haiku"] {
        let found = tally((0..100).map(|_| client.chat(model, "hi").text()));
        let expected = [("anthropic".to_owned(), 20), ("openai".to_owned(), 80)];
        assert_eq!(found, expected.into(), "{model}: in turns, so exactly");
    }
    assert_eq!(model_asked(&providers.anthropic), "claude-3-5-haiku");

    // When one fails, the other serves all.
    providers.openai.now_replies(status(500));
    for _ in 0..10 {
        assert_eq!(client.chat("gpt-4o-mini", "hi").text(), "anthropic");
    }
}

#[test]
fn a4_the_nearest_region_serves_and_the_others_stand_behind_it() {
    let providers = Providers::start();
    for (region, deployment) in [
        ("us-east", Some("gpt-4o-us-east")),
        ("us-east-1", Some("gpt-4o-us-east")),
        ("eu-west", Some("gpt-4o-eu-west")),
        ("asia-east1", None),
        // Far from all: the first one that is written.
        ("sa-east-1", Some("gpt-4o-us-east")),
    ] {
        let gateway =
            providers.gateway(&seed("a4-regional")).variable("TOLLGATE_REGION", region).start();
        let client = client(&gateway, MASTER);
        for model in ["azure/gpt-4o-us-east", "anthropic/claude-3-5-sonnet", "regional", "auto"] {
            let reply = client.chat(model, "hi");
            match deployment {
                Some(name) => {
                    assert_eq!(reply.text(), "azure", "{region} {model}");
                    let path = &providers.azure.last_request().path;
                    assert!(path.contains(&format!("/deployments/{name}/")), "{region}: {path}");
                }
                None => assert_eq!(reply.text(), "anthropic", "{region} {model}"),
            }
        }
    }
    // The others in the order written, each once.
    providers.forget();
    providers.anthropic.now_replies(status(401));
    let gateway =
        providers.gateway(&seed("a4-regional")).variable("TOLLGATE_REGION", "asia-east1").start();
    assert_eq!(client(&gateway, MASTER).chat("regional", "hi").text(), "azure");
    assert_eq!(providers.anthropic.request_count(), 1);
    assert!(providers.azure.last_request().path.contains("gpt-4o-us-east"));
    providers.azure.now_replies(status(401));
    assert_eq!(client(&gateway, MASTER).chat("regional", "hi").status, 401);
    let paths: Vec<String> =
        providers.azure.requests().iter().skip(1).map(|request| request.path.clone()).collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(paths[0].contains("us-east") && paths[1].contains("eu-west"), "{paths:?}");
}

#[test]
fn a4_the_header_names_the_region_only_where_it_is_trusted() {
    let providers = Providers::start();
    let from = |gateway: &Gateway, region: &str| {
        let ask = client(gateway, MASTER).ask("regional", "hi");
        ask.header("x-tollgate-region", region).send().text()
    };
    let trusting = format!(
        "{}general_settings: {{trust_region_header: true, region: us-east}}",
        seed("a4-regional")
    );
    let gateway = providers.gateway(&trusting).start();
    assert_eq!(from(&gateway, "asia-south1"), "anthropic");
    assert_eq!(from(&gateway, "eu-west-3"), "azure");
    assert_eq!(from(&gateway, "not a region!"), "azure", "the gateway's own");

    let careful = format!("{}general_settings: {{region: us-east}}", seed("a4-regional"));
    let gateway = providers.gateway(&careful).start();
    assert_eq!(from(&gateway, "asia-south1"), "azure");
}

#[test]
fn a5_traffic_moves_to_the_other_provider_near_the_limit() {
    let providers = Providers::start();
    let group = "model_list:\n\
                 - {model_name: chat, litellm_params: {model: openai/gpt-4o-mini}}\n\
                 - {model_name: chat, litellm_params: {model: anthropic/claude-haiku-4-5}}\n\
                 router_settings: {routing_strategy: least-busy}\n";
    let gateway = providers.gateway(&format!("{}\n{group}", seed("a5-rate-limits"))).start();

    // The provider counts some 11,000 tokens for each, of the 90,000 a minute that OpenAI has.
    let prompt = "word ".repeat(9_000);
    let answers: Vec<_> =
        (0..14).map(|_| client(&gateway, MASTER).chat("chat", &prompt).text()).collect();
    let moved = answers.iter().position(|answer| answer == "anthropic").unwrap();
    assert!((6..=9).contains(&moved), "{answers:?}");
    assert!(answers[moved..].iter().all(|answer| answer == "anthropic"), "{answers:?}");
}

#[test]
fn b1_azure_west_then_azure_east_then_openai_then_anthropic() {
    let providers = Providers::start();
    let [west, east] = ["west", "east"].map(|name| upstream::azure().replies(chat(name)).start());
    let text = at(
        "b1-failover",
        &[
            ("https://westus-primary.openai.azure.com/", &west.api_base()),
            ("https://eastus-secondary.openai.azure.com/", &east.api_base()),
        ],
    );
    let gateway = providers.gateway(&text).start();
    let client = client(&gateway, MASTER);
    let answer = || {
        let reply = client.chat("gpt-4o", "hi");
        (reply.text(), reply.header("x-litellm-model-id").to_owned())
    };

    assert_eq!(answer(), ("west".into(), "azure-westus-gpt4o".into()));
    west.now_replies(status(503));
    assert_eq!(answer(), ("east".into(), "azure-eastus-gpt4o".into()));
    east.now_replies(status(500));
    assert_eq!(answer(), ("openai".into(), "openai-direct-gpt4o".into()));
    providers.openai.now_replies(status(502));
    assert_eq!(answer(), ("anthropic".into(), "anthropic-claude-sonnet".into()));
    assert_eq!(model_asked(&providers.anthropic), "claude-3-5-sonnet-20241022");

    // Also a client that streams notices nothing.
    let stream = client.stream("gpt-4o", "hi");
    assert_eq!((stream.status, stream.text().as_str()), (200, "anthropic"));
}

#[test]
fn b2_seven_of_ten_go_to_azure_whatever_the_strategy() {
    let providers = Providers::start();
    let gateway = providers.gateway(&seed("b2-weighted-alias")).start();
    let client = client(&gateway, MASTER);
    let found = tally((0..100).map(|_| client.chat("gpt-4o", "hi").text()));
    assert_eq!(found, [("azure".to_owned(), 70), ("openai".to_owned(), 30)].into());

    providers.azure.now_replies(status(503));
    for _ in 0..10 {
        assert_eq!(client.chat("gpt-4o", "hi").text(), "openai");
    }
}

#[test]
fn b3_starts_with_its_master_key_and_tells_langfuse_and_slack() {
    let providers = Providers::start();
    let broken = upstream::openai().replies(status(500)).start();
    let models = seed("b3-budgets-cache-callbacks-guardrails")
        + &format!(
            "model_list:\n- {{model_name: m, litellm_params: {{model: openai/gpt-4o-mini}}}}\n\
             - {{model_name: bad, litellm_params: {{model: openai/bad, api_base: '{}'}}}}\n",
            broken.api_base()
        );
    let langfuse = upstream::openai().replies(body_of("application/json", "{}")).start();
    let slack = upstream::openai().replies(body_of("text/plain", "ok")).start();
    let gateway = providers.gateway(&models).variable("LANGFUSE_HOST", &langfuse.url());
    let gateway = gateway.variable("SLACK_WEBHOOK_URL", &format!("{}/hook", slack.url()));
    let gateway = gateway.variable("DEFAULT_FLUSH_INTERVAL_SECONDS", "0.05").start();
    assert_eq!(client(&gateway, "sk-your-master-key").chat("m", "hi").text(), "openai");
    let told = eventually_some("langfuse is told", || langfuse.requests().pop());
    // pk:sk
    assert_eq!(told.header("authorization"), Some("Basic cGs6c2s="));
    assert_eq!(told.json()["batch"].as_array().map(Vec::len), Some(2));
    assert!(client(&gateway, "sk-your-master-key").chat("bad", "hi").status >= 500);
    let alert = eventually_some("Slack is told", || slack.requests().pop());
    assert!(alert.json()["text"].as_str().unwrap().contains("bad"), "{}", alert.json());
    // It may be one of the database's, which is not there.
    assert_eq!(client(&gateway, "sk-other").chat("m", "hi").status, 503);
}

#[test]
fn c1_serves_each_provider_under_its_name() {
    let providers = Providers::start();
    let vllm = upstream::openai().replies(chat("vllm")).start();
    let text = at("c1-multi-provider", &[("http://vllm-server:8000/v1", &vllm.api_base())]);
    let gateway = providers.gateway(&text).start();
    let client = client(&gateway, "sk-1234");
    for (model, answer, upstream, name) in [
        ("gpt-4", "openai", &providers.openai, "gpt-4"),
        ("claude-3-opus", "anthropic", &providers.anthropic, "claude-3-opus-20240229"),
        ("local-llama", "vllm", &vllm, "meta-llama/Llama-2-70b-hf"),
    ] {
        assert_eq!(client.chat(model, "What is AI?").text(), answer, "{model}");
        assert_eq!(model_asked(upstream), name, "{model}");
    }
    let models = client.get("/v1/models").json();
    let names: Vec<&str> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect();
    assert_eq!(names, ["gpt-4", "claude-3-opus", "cohere-command", "local-llama"]);
}

#[test]
fn c2_auto_takes_the_fast_and_cheap_model_and_long_prompts_the_large_window() {
    let providers = Providers::start();
    let gateway = providers.gateway(&seed("c2-routing-rules")).start();
    let client = gateway.client().with_key(Some(MASTER));
    for _ in 0..5 {
        assert_eq!(client.chat("auto", "hi").text(), "openai");
        assert_eq!(
            model_asked(&providers.openai),
            "gpt-3.5-turbo",
            "fast, and below cost_threshold"
        );
    }
    let long = "a long document ".repeat(20_000);
    providers.forget();
    for _ in 0..5 {
        assert_eq!(client.chat("auto", &long).status, 200, "60000 tokens");
    }
    // Two of the three models have the capability `long-context`; the small one has not.
    let small = |request: &Recorded| request.json()["model"] == "gpt-3.5-turbo";
    assert!(!providers.openai.requests().iter().any(small));
    // A model that is named is that model.
    assert_eq!(client.chat("gpt-4", "hi").text(), "openai");
    assert_eq!(model_asked(&providers.openai), "gpt-4");
}

#[test]
fn c3_retries_as_often_as_it_says_and_falls_back_in_order() {
    let providers = Providers::start();
    // The delay is two seconds in the file; the number of attempts is what counts here.
    let text = at("c3-fallback-config", &[("retry_delay: 2 ", "retry_delay: 0.01 ")]);
    let gateway = providers.gateway(&text).start();
    let client = client(&gateway, MASTER);

    providers.openai.now_replies(status(503));
    let reply = client.chat("gpt-4", "hi");
    assert_eq!(reply.text(), "anthropic");
    assert_eq!(model_asked(&providers.anthropic), "claude-3-opus-20240229");
    assert_eq!(providers.openai.request_count(), 4, "the first attempt and three retries");

    // Both fall away: the third is OpenAI's again, under another name.
    providers.anthropic.now_replies(status(401));
    providers.openai.now_replies(chat("openai"));
    providers.forget();
    let reply = client.chat("claude-opus", "hi");
    assert_eq!(reply.status, 401, "only gpt-4 has fallbacks");
    assert_eq!(client.chat("gpt-3.5-turbo", "hi").text(), "openai");
}

#[test]
fn c4_writes_its_log_file() {
    let providers = Providers::start();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("litellm.log");
    let text = at("c4-logging", &[("/var/log/litellm.log", log.to_str().unwrap())])
        + "model_list: [{model_name: m, litellm_params: {model: openai/gpt-4o-mini}}]\n";
    let gateway = providers.gateway(&text).start();
    let reply = client(&gateway, MASTER).chat("m", "hi");
    let line = eventually_some("a line of the log", || {
        let text = fs::read_to_string(&log).ok()?;
        let line = text.lines().find(|line| line.contains(reply.request_id()))?.to_owned();
        serde_json::from_str::<serde_json::Value>(&line).ok()
    });
    assert!(line["usage"]["output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{line}");
}

#[test]
fn c5_users_have_keys_with_limits_and_budgets() {
    let providers = Providers::start();
    let text = seed("c5-key-settings")
        + "model_list: [{model_name: m, litellm_params: {model: openai/gpt-4o-mini}}]\n";
    let gateway = providers.gateway(&text).start();
    assert_eq!(client(&gateway, MASTER).chat("m", "hi").text(), "openai");
    for (key, requests) in [("user-key-123", "60"), ("user-key-456", "120")] {
        let reply = client(&gateway, key).chat("m", "hi");
        assert_eq!(reply.text(), "openai");
        assert_eq!(reply.header("x-ratelimit-api_key-limit-requests"), requests);
    }
    assert_eq!(client(&gateway, "user-key-789").chat("m", "hi").status, 401);
}

#[test]
fn c6_us_and_eu_take_turns_in_the_documented_order() {
    let providers = Providers::start();
    let [us, eu] = ["us", "eu"].map(|name| upstream::openai().replies(chat(name)).start());
    let text = at(
        "c6-weighted-instances",
        &[
            ("https://api.openai.com/v1", &us.api_base()),
            ("https://api.openai-eu.com/v1", &eu.api_base()),
        ],
    );
    let gateway = providers.gateway(&text).start();
    let client = client(&gateway, MASTER);
    let answers: Vec<String> = (0..5).map(|_| client.chat("gpt-4", "hi").text()).collect();
    assert_eq!(answers, ["us", "eu", "us", "eu", "us"], "as the article shows it");

    let found = tally((0..50).map(|n| {
        client.chat(["gpt-4", "gpt-4-us", "gpt-4-eu", "openai/gpt-4"][n % 4], "hi").text()
    }));
    assert_eq!(found, [("eu".to_owned(), 20), ("us".to_owned(), 30)].into(), "under every name");

    us.now_replies(status(500));
    for _ in 0..10 {
        assert_eq!(client.chat("gpt-4-us", "hi").text(), "eu");
    }
}
