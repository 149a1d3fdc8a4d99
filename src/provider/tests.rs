//! What the configuration says, and where the requests then go.

use super::sample::headers;
use super::*;

fn call(name: &str, written: Written<'_>) -> Result<Target, TargetProblem> {
    target(vendor(name).expect(name), &Written { model: "m", ..written })
}

fn at<'a>(api_base: &'a str) -> Written<'a> {
    Written { api_base: Some(api_base), api_key: Some("sk-test"), ..Written::default() }
}

/// The whole address of one endpoint.
fn address(target: &Target, endpoint: Endpoint) -> String {
    let scheme = if target.tls { "https" } else { "http" };
    let authority = target.authority.to_str().unwrap();
    let path = target.paths[endpoint.index()].as_deref().unwrap_or(" none");
    format!("{scheme}://{authority}{path}")
}

fn header<'a>(target: &'a Target, name: &str) -> Option<&'a str> {
    let found = target.headers.iter().find(|(other, _)| other.as_str() == name);
    found.map(|(_, value)| value.to_str().unwrap())
}

#[test]
fn an_address_is_completed_for_openai_and_its_copies() {
    for (name, api_base, expected) in [
        ("openai", None, "https://api.openai.com/v1/chat/completions"),
        (
            "openai",
            Some("https://api.openai-eu.com/v1"),
            "https://api.openai-eu.com/v1/chat/completions",
        ),
        (
            "openai",
            Some("https://api.openai-eu.com/v1/"),
            "https://api.openai-eu.com/v1/chat/completions",
        ),
        ("openai", Some("http://127.0.0.1:9001"), "http://127.0.0.1:9001/v1/chat/completions"),
        ("openai", Some("http://[::1]:9001/"), "http://[::1]:9001/v1/chat/completions"),
        (
            "openai",
            Some("https://gw.example/v1/chat/completions"),
            "https://gw.example/v1/chat/completions",
        ),
        (
            "openai",
            Some("https://gw.example/v1/chat/completions/"),
            "https://gw.example/v1/chat/completions",
        ),
        (
            "openai",
            Some("https://gw.example/chat/completions"),
            "https://gw.example/chat/completions",
        ),
        (
            "openai",
            Some("https://gw.example/v1/embeddings"),
            "https://gw.example/v1/chat/completions",
        ),
        (
            "openai",
            Some("https://gw.example/team-a/openai"),
            "https://gw.example/team-a/openai/chat/completions",
        ),
        (
            "openai",
            Some("https://gw.example/v1?key=a"),
            "https://gw.example/v1/chat/completions?key=a",
        ),
        ("vllm", Some("http://vllm-server:8000/v1"), "http://vllm-server:8000/v1/chat/completions"),
        ("vllm", Some("http://vllm-server:8000"), "http://vllm-server:8000/v1/chat/completions"),
        ("ollama", None, "http://localhost:11434/api/chat"),
        ("ollama", Some("http://ollama:11434"), "http://ollama:11434/api/chat"),
        ("ollama_chat", Some("http://ollama:11434/api/chat"), "http://ollama:11434/api/chat"),
        ("ollama", Some("http://ollama:11434/v1"), "http://ollama:11434/v1/chat/completions"),
        ("groq", None, "https://api.groq.com/openai/v1/chat/completions"),
        ("groq", Some("http://127.0.0.1:9001"), "http://127.0.0.1:9001/openai/v1/chat/completions"),
        ("deepseek", None, "https://api.deepseek.com/chat/completions"),
        (
            "deepseek",
            Some("https://api.deepseek.com/v1"),
            "https://api.deepseek.com/v1/chat/completions",
        ),
        ("mistral", Some("http://127.0.0.1:9001"), "http://127.0.0.1:9001/v1/chat/completions"),
        ("cohere", Some("https://api.cohere.com/v2/chat"), "https://api.cohere.com/v2/chat"),
        ("cohere", None, "https://api.cohere.com/v2/chat"),
        ("cohere_chat", Some("http://127.0.0.1:9001/v1"), "http://127.0.0.1:9001/v2/chat"),
        (
            "cohere",
            Some("https://api.cohere.ai/compatibility/v1"),
            "https://api.cohere.ai/compatibility/v1/chat/completions",
        ),
        (
            "deepseek",
            Some("https://api.deepseek.com/anthropic"),
            "https://api.deepseek.com/anthropic/v1/messages",
        ),
        ("perplexity", None, "https://api.perplexity.ai/chat/completions"),
        ("text-completion-openai", None, "https://api.openai.com none"),
    ] {
        let written = Written { api_base, api_key: Some("sk"), ..Written::default() };
        let target = call(name, written).expect(expected);
        assert_eq!(address(&target, Endpoint::Chat), expected, "{name} {api_base:?}");
    }
    let target = call("openai", at("https://gw.example/v1")).unwrap();
    assert_eq!(address(&target, Endpoint::Completions), "https://gw.example/v1/completions");
    assert_eq!(address(&target, Endpoint::Embeddings), "https://gw.example/v1/embeddings");
    assert_eq!(&*target.api_base, "https://gw.example/v1");
}

#[test]
fn an_address_is_completed_for_gemini() {
    const OWN: &str = "https://generativelanguage.googleapis.com/v1beta/models/{model}";
    for (api_base, root) in [
        (None, OWN),
        (Some("https://generativelanguage.googleapis.com"), OWN),
        (Some("https://generativelanguage.googleapis.com/v1beta/models"), OWN),
        (Some("https://generativelanguage.googleapis.com/v1beta/models/m:generateContent"), OWN),
        (Some("https://gw.example/v1"), "https://gw.example/v1/models/{model}"),
        (Some("https://gw.example/google"), "https://gw.example/google/v1beta/models/{model}"),
    ] {
        let written = Written { api_base, api_key: Some("sk"), ..Written::default() };
        let target = call("gemini", written).unwrap();
        assert_eq!(address(&target, Endpoint::Chat), format!("{root}:generateContent"));
        assert_eq!(address(&target, Endpoint::CountTokens), format!("{root}:countTokens"));
        assert_eq!(address(&target, Endpoint::Embeddings), format!("{root}:batchEmbedContents"));
        let streamed = target.stream_path.unwrap();
        assert!(streamed.ends_with("/models/{model}:streamGenerateContent?alt=sse"), "{streamed}");
        let (name, value) = &target.headers[0];
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-goog-api-key", "sk"));
        assert!(value.is_sensitive());
    }
    let keyed = call("gemini", at("https://gw.example?a=b")).unwrap();
    assert!(keyed.stream_path.unwrap().ends_with(":streamGenerateContent?alt=sse&a=b"));
}

#[test]
fn gemini_is_spoken_to_like_openai_where_its_address_says_so() {
    let gemini = vendor("gemini").unwrap();
    for base in [
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "https://generativelanguage.googleapis.com/v1beta/openai/",
        "https://gw.example/v1beta/openai/chat/completions",
    ] {
        let like = gemini.at(Some(base));
        assert_eq!((like.name, like.dialect), ("gemini", Dialect::OpenAi), "{base}");
        let written = Written { api_key: Some("sk"), ..at(base) };
        let target = target(&like, &written).unwrap();
        assert!(address(&target, Endpoint::Chat).ends_with("/v1beta/openai/chat/completions"));
    }
    assert_eq!(gemini.at(Some("https://gw.example/v1beta")).dialect, Dialect::Gemini);
    assert_eq!(gemini.at(None).dialect, Dialect::Gemini);
    let openai = vendor("openai").unwrap();
    assert_eq!(openai.at(Some("https://gw.example/openai")).dialect, Dialect::OpenAi);
}

#[test]
fn an_address_is_completed_for_azure() {
    const DATED: &str =
        "https://r.openai.azure.com/openai/deployments/{model}/chat/completions?api-version=";
    const FIXED: &str =
        "https://r.openai.azure.com/openai/deployments/x/chat/completions?api-version=";
    const V1: &str = "https://r.openai.azure.com/openai/v1/chat/completions";
    for (path, version, expected) in [
        ("", Some("2024-08-01-preview"), format!("{DATED}2024-08-01-preview")),
        ("/", Some("2024-08-01-preview"), format!("{DATED}2024-08-01-preview")),
        ("", None, format!("{DATED}{DEFAULT_API_VERSION}")),
        ("/openai", Some("2025-01-01"), format!("{DATED}2025-01-01")),
        ("/openai/", Some("2025-01-01"), format!("{DATED}2025-01-01")),
        ("/openai/deployments", Some("2025-01-01"), format!("{DATED}2025-01-01")),
        ("/openai/deployments/x", Some("2025-01-01"), format!("{FIXED}2025-01-01")),
        ("/openai/deployments/x/", None, format!("{FIXED}{DEFAULT_API_VERSION}")),
        (
            "/openai/deployments/x/chat/completions?api-version=2023-05-15",
            None,
            format!("{FIXED}2023-05-15"),
        ),
        ("?api-version=2023-05-15", None, format!("{DATED}2023-05-15")),
        ("?api-version=2023-05-15", Some("2025-01-01"), format!("{DATED}2025-01-01")),
        (
            "?a=b&api-version=2023-05-15",
            None,
            format!("{}a=b&api-version=2023-05-15", DATED.trim_end_matches("api-version=")),
        ),
        ("/openai/v1", None, V1.to_owned()),
        ("/openai/v1/", Some("2025-01-01"), V1.to_owned()),
        ("/openai/v1/chat/completions", None, V1.to_owned()),
        ("", Some("v1"), V1.to_owned()),
        ("/openai", Some("latest"), V1.to_owned()),
        ("", Some("preview"), format!("{V1}?api-version=preview")),
        ("/openai/v1", Some("preview"), format!("{V1}?api-version=preview")),
    ] {
        let api_base = format!("https://r.openai.azure.com{path}");
        let target = call("azure", Written { api_version: version, ..at(&api_base) }).unwrap();
        assert_eq!(address(&target, Endpoint::Chat), expected, "{api_base} {version:?}");
        assert_eq!(header(&target, "api-key"), Some("sk-test"));
        assert_eq!(header(&target, "authorization"), None);
    }
    let behind = call("azure", at("https://apim.example/team")).unwrap();
    assert_eq!(
        address(&behind, Endpoint::Embeddings),
        "https://apim.example/team/openai/deployments/{model}/embeddings?api-version=2024-10-21"
    );
}

#[test]
fn an_address_is_completed_for_the_azure_model_catalogue() {
    for (api_base, expected, key_header) in [
        (
            "https://r.services.ai.azure.com",
            "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
            "api-key",
        ),
        (
            "https://r.services.ai.azure.com/models/chat/completions?api-version=2025-01-01",
            "https://r.services.ai.azure.com/models/chat/completions?api-version=2025-01-01",
            "api-key",
        ),
        (
            "https://r.services.ai.azure.com/openai/v1/",
            "https://r.services.ai.azure.com/openai/v1/chat/completions",
            "api-key",
        ),
        (
            "https://x.eastus2.models.ai.azure.com",
            "https://x.eastus2.models.ai.azure.com/v1/chat/completions",
            "authorization",
        ),
        (
            "https://x.eastus2.models.ai.azure.com/v1/chat/completions",
            "https://x.eastus2.models.ai.azure.com/v1/chat/completions",
            "authorization",
        ),
    ] {
        let target = call("azure_ai", at(api_base)).unwrap();
        assert_eq!(address(&target, Endpoint::Chat), expected, "{api_base}");
        assert!(header(&target, key_header).is_some(), "{api_base}");
    }
    let claude = call("azure_ai", at("https://r.services.ai.azure.com/anthropic")).unwrap_err();
    assert!(claude.message.contains("anthropic/"), "{claude}");
}

#[test]
fn an_address_is_completed_for_anthropic() {
    for (api_base, expected) in [
        (None, "https://api.anthropic.com/v1/messages"),
        (Some("https://api.anthropic.com/"), "https://api.anthropic.com/v1/messages"),
        (Some("https://api.anthropic.com/v1"), "https://api.anthropic.com/v1/messages"),
        (Some("https://api.anthropic.com/v1/messages"), "https://api.anthropic.com/v1/messages"),
        (Some("http://127.0.0.1:9001"), "http://127.0.0.1:9001/v1/messages"),
        (
            Some("https://api.deepseek.com/anthropic"),
            "https://api.deepseek.com/anthropic/v1/messages",
        ),
        (
            Some("https://api.minimax.io/anthropic/v1/"),
            "https://api.minimax.io/anthropic/v1/messages",
        ),
        (
            Some("https://r.services.ai.azure.com"),
            "https://r.services.ai.azure.com/anthropic/v1/messages",
        ),
    ] {
        let written = Written { api_base, api_key: Some("sk-ant"), ..Written::default() };
        let target = call("anthropic", written).unwrap();
        assert_eq!(address(&target, Endpoint::Chat), expected);
        assert_eq!(header(&target, "x-api-key"), Some("sk-ant"));
        assert_eq!(header(&target, "api-key").is_some(), expected.contains("azure"));
        assert!(target.paths[Endpoint::Embeddings.index()].is_none());
    }
}

#[test]
fn credentials_are_marked_and_extra_headers_come_last() {
    let extra: Vec<_> = headers(&[
        ("x-team", "a"),
        ("authorization", "Bearer other"),
        ("x-my-token", "t"),
        ("host", "virtual.example"),
    ]);
    let written = Written {
        organization: Some("org-1"),
        extra_headers: &extra,
        ..at("https://gw.example/v1")
    };
    let target = call("openai", written).unwrap();
    assert_eq!(header(&target, "authorization"), Some("Bearer other"));
    assert_eq!(header(&target, "openai-organization"), Some("org-1"));
    assert_eq!(header(&target, "x-team"), Some("a"));
    assert_eq!(target.authority, "virtual.example");
    assert_eq!(&*target.host, "gw.example");
    for (name, value) in &target.headers {
        let is_credential = matches!(name.as_str(), "authorization" | "x-my-token");
        assert_eq!(value.is_sensitive(), is_credential, "{name}");
    }
    assert!(!format!("{target:?}").contains("Bearer"), "a secret is never printed");

    let entra = Written { azure_ad_token: Some("ey.token"), ..at("https://r.openai.azure.com") };
    let target = call("azure", entra).unwrap();
    assert_eq!(header(&target, "authorization"), Some("Bearer ey.token"));
    assert_eq!(header(&target, "api-key"), None);
}

#[test]
fn tls_options_are_carried_over() {
    let written = Written {
        verify_tls: false,
        ca_file: Some("/etc/ca.pem"),
        http2: Some(true),
        ..at("https://gw.example:8443")
    };
    let target = call("openai", written).unwrap();
    assert!(target.tls && !target.verify_tls && target.http2);
    assert_eq!(target.ca_file.as_deref(), Some("/etc/ca.pem"));
    assert_eq!((&*target.host, target.port), ("gw.example", 8443));
    let target = call("openai", at("http://[2001:db8::1]:8080")).unwrap();
    assert!(!target.tls && target.verify_tls && !target.http2);
    assert!(!call("openai", at("https://gw.example")).unwrap().http2, "only where it is asked for");
    assert_eq!((&*target.host, target.port), ("2001:db8::1", 8080));
}

#[test]
fn problems_name_the_option_and_hold_no_secret() {
    let none = Written::default();
    let length: Vec<_> = headers(&[("content-length", "1")]);
    for (name, written, option, part) in [
        ("openai", none, "api_key", "OPENAI_API_KEY"),
        ("openai", Written { api_key: Some(""), ..none }, "api_key", "OPENAI_API_KEY"),
        ("anthropic", none, "api_key", "ANTHROPIC_API_KEY"),
        ("azure", Written { api_key: Some("k"), ..none }, "api_base", "AZURE_API_BASE"),
        (
            "azure",
            Written { api_base: Some("https://r.openai.azure.com"), ..none },
            "api_key",
            "AZURE",
        ),
        ("vllm", none, "api_base", "VLLM_API_BASE"),
        ("sagemaker", Written { api_key: Some("k"), ..none }, "model", "not supported yet"),
        ("vertex_ai", none, "vertex_project", "VERTEXAI_PROJECT"),
        ("openai", Written { api_key: Some("hunter2\n"), ..none }, "api_key", "line break"),
        ("openai", Written { api_key: Some("hun\u{7}ter2"), ..none }, "api_key", "character"),
        ("openai", Written { api_key: Some("hunter2\u{201d}"), ..none }, "api_key", "character"),
        ("anthropic", Written { api_key: Some("hun\nter2"), ..none }, "api_key", "character"),
        ("openai", at("https://me:hunter2@gw.example"), "api_base", "user name or password"),
        ("openai", at("gw.example/v1"), "api_base", "https://"),
        (
            "openai",
            Written { organization: Some("o\n"), ..at("https://gw.example") },
            "organization",
            "character",
        ),
        (
            "openai",
            Written { extra_headers: &length, ..at("https://gw.example") },
            "extra_headers",
            "content-length",
        ),
        (
            "azure",
            Written { api_version: Some("2024 10"), ..at("https://r.openai.azure.com") },
            "api_version",
            "not a version",
        ),
    ] {
        let problem = call(name, written).expect_err(part);
        assert_eq!(problem.option, option, "{problem}");
        assert!(problem.message.contains(part), "{problem}");
        assert!(!problem.to_string().contains("ter2"), "{problem}");
    }
}

#[test]
fn a_server_of_ones_own_needs_no_key() {
    let none = Written::default();
    let bearer: Vec<_> = headers(&[("authorization", "Bearer x")]);
    for (name, written) in [
        ("openai", Written { api_base: Some("http://127.0.0.1:9001"), ..none }),
        ("vllm", Written { api_base: Some("http://127.0.0.1:9001"), ..none }),
        ("ollama", none),
        ("openai", Written { extra_headers: &bearer, ..none }),
    ] {
        assert!(call(name, written).is_ok(), "{name}");
    }
}

#[test]
fn assumptions_are_told() {
    let told = |name: &str, written: Written<'_>| -> Vec<&'static str> {
        remarks(vendor(name).unwrap(), &written).into_iter().map(|it| it.option).collect()
    };
    for (name, written, expected) in [
        ("azure", at("https://r.openai.azure.com"), vec!["api_version"]),
        ("azure", at("https://r.openai.azure.com/openai/v1"), vec![]),
        ("azure", at("https://r.openai.azure.com?api-version=2024-10-21"), vec![]),
        ("openai", at("https://gw.example"), vec![]),
        ("openai", at("http://gw.example"), vec!["api_base"]),
        ("openai", at("http://10.1.2.3:8000"), vec![]),
        ("openai", at("http://vllm:8000"), vec![]),
        ("openai", at("http://[::1]:8000"), vec![]),
        ("openai", at("http://8.8.8.8"), vec!["api_base"]),
    ] {
        assert_eq!(told(name, written), expected, "{name} {:?}", written.api_base);
    }
}

#[test]
fn responses_are_offered_where_they_are_known_to_be() {
    use crate::dialect::ResponsesApi::{None as Nowhere, Offered};
    let azure = "https://x.openai.azure.com";
    for (name, base, version, model, expected) in [
        ("openai", "https://api.openai.com/v1", None, "gpt-4o", Offered),
        ("openai", "http://127.0.0.1:9000/v1", None, "gpt-5.6-terra", Nowhere),
        ("azure", azure, Some("v1"), "gpt-4o", Offered),
        ("azure", azure, Some("2025-04-01-preview"), "gpt-5.6-terra", Offered),
        ("azure", azure, Some("2025-03-01-preview"), "gpt-5.2-pro", Offered),
        ("azure", azure, Some("2025-04-01-preview"), "gpt-4o", Nowhere),
        ("azure", azure, Some("2024-10-21"), "gpt-5.6-terra", Nowhere),
        ("azure", azure, None, "gpt-5.6-terra", Nowhere),
    ] {
        let vendor = vendor(name).unwrap();
        let written = Written { model: "m", api_version: version, ..at(base) };
        let target = target(vendor, &written).unwrap();
        assert_eq!(
            responses_api(vendor, &written, &target, model),
            expected,
            "{base} {version:?} {model}"
        );
    }
}
