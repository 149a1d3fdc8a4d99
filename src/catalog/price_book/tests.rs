//! The book that is compiled in, books of other forms, and the names of models.

use super::*;
use crate::money::Usd;
use crate::usage::Usage;

fn book() -> Arc<PriceBook> {
    PriceBook::built_in()
}

fn dollars(dollars: f64) -> Usd {
    Usd::from_dollars(dollars).unwrap()
}

#[test]
fn a_name_is_known_with_and_without_its_date() {
    let known = |name| book().knows(name);
    assert!(known("gpt-4o-mini") && known("claude-3-5-haiku") && known("gpt-4o"));
    assert!(!known("gpt-4-mini") && !known("claude") && !known("claude-3-5") && !known(""));
}

#[test]
fn the_compiled_in_book_says_where_it_is_from() {
    assert!(book().len() > 4000);
    assert!(!book().version().is_empty());
    assert_eq!(book().date().len(), "2026-11-21".len());
    let head: Map<String, Value> =
        serde_json::from_str(include_str!("../../../conf/prices.json")).unwrap();
    assert_eq!(head["licence"], "MIT");
    assert!(head["licence_text"].as_str().unwrap().contains("Berri AI"));
}

/// Numbers from the providers' price pages, so that a wrong field name is noticed.
#[test]
fn well_known_prices_are_right() {
    let usage = Usage {
        input_tokens: 1_000_000,
        output_tokens: 1_000_000,
        cache_read_tokens: 200_000,
        ..Usage::default()
    };
    for (provider, model, cost) in [
        // 0.8 x 2.50 + 0.2 x 1.25 + 10
        ("openai", "gpt-4o", 12.25),
        // 0.8 x 0.15 + 0.2 x 0.075 + 0.60
        ("openai", "gpt-4o-mini", 0.735),
        ("azure", "gpt-4o", 12.25),
        // 0.8 x 3 + 0.2 x 0.30 + 15
        ("anthropic", "claude-sonnet-4-5", 17.46),
        ("anthropic", "claude-3-5-sonnet-20241022", 17.46),
        // Above 200,000 tokens: 0.8 x 2.50 + 0.2 x 0.25 + 15
        ("gemini", "gemini-2.5-pro", 17.05),
        ("openai", "text-embedding-3-small", 0.02),
    ] {
        let book = book();
        let listed = book.get(provider, model).expect(model);
        let price = listed.price.as_ref().expect(model);
        assert_eq!(price.cost(&usage), dollars(cost), "{provider}/{model}");
    }
    let book = book();
    let haiku = book.get("anthropic", "claude-haiku-4-5").unwrap().price.as_ref().unwrap();
    assert_eq!(haiku.cache_write, Some(dollars(1.25e-6)));
    assert_eq!(haiku.cache_write_1h, Some(dollars(2e-6)));
}

#[test]
fn limits_modes_and_capabilities_are_known() {
    let book = book();
    let listed = book.get("openai", "gpt-4o").unwrap();
    assert_eq!(listed.max_input_tokens, Some(128_000));
    assert_eq!(listed.max_output_tokens, Some(16_384));
    assert_eq!(listed.mode.as_deref(), Some("chat"));
    assert_eq!(listed.supports("vision"), Some(true));
    assert_eq!(listed.supports("telepathy"), None);
    let newest = book.get("anthropic", "claude-haiku-5-5").unwrap();
    assert_eq!(newest.supports("sampling_params"), Some(false));
    let facts = book.facts("openai", "gpt-4o").unwrap();
    assert_eq!(facts["supports_vision"], true);
    assert_eq!(facts["key"], "gpt-4o");
    assert_eq!(facts["input_cost_per_token"], 2.5e-6);
}

#[test]
fn a_model_is_found_under_the_names_it_goes_by() {
    let book = PriceBook::parse(
        br#"{"models":{
        "gpt-4o":{"litellm_provider":"openai","max_input_tokens":1},
        "azure/gpt-4o":{"litellm_provider":"azure","max_input_tokens":2},
        "gpt-5":{"litellm_provider":"openai","max_input_tokens":3},
        "ft:gpt-4o-2024-08-06":{"litellm_provider":"openai","max_input_tokens":4},
        "groq/llama":{"litellm_provider":"groq","max_input_tokens":5},
        "fireworks_ai/accounts/fireworks/models/k2":{"litellm_provider":"fireworks_ai","max_input_tokens":6},
        "gemini-9":{"litellm_provider":"vertex_ai-language-models","max_input_tokens":7},
        "command":{"litellm_provider":"cohere","max_input_tokens":8},
        "claude-9":{"litellm_provider":"anthropic","max_input_tokens":9},
        "together_ai/meta/llama":{"litellm_provider":"together_ai","max_input_tokens":10}
        }}"#,
    )
    .unwrap();
    for (base, provider, model, expected) in [
        (None, "openai", "gpt-4o", Some(1)),
        (None, "azure", "gpt-4o", Some(2)),
        (None, "azure", "gpt-5", Some(3)),
        (None, "openai", "gpt-5-2025-08-07", Some(3)),
        (None, "openai", "gpt-5-20250807", Some(3)),
        (None, "openai", "gpt-5-latest", Some(3)),
        (None, "openai", "ft:gpt-4o-2024-08-06:acme::x1", Some(4)),
        (None, "groq", "llama", Some(5)),
        (None, "fireworks_ai", "k2", Some(6)),
        (None, "fireworks_ai", "accounts/fireworks/models/k2", Some(6)),
        (None, "gemini", "gemini-9", Some(7)),
        (None, "cohere", "command", Some(8)),
        (None, "openrouter", "anthropic/claude-9", Some(9)),
        (None, "openrouter", "openai/gpt-4o", Some(1)),
        (None, "together_ai", "meta/llama", Some(10)),
        (None, "hosted_vllm", "gpt-4o", None),
        (None, "openai", "claude-9", None),
        (None, "openai", "nobody-knows", None),
        (Some("azure/gpt-4o"), "azure", "my-deployment", Some(2)),
        (Some("gpt-4o"), "azure", "my-deployment", Some(1)),
        (Some("gpt-5"), "azure", "my-deployment", Some(3)),
        (Some("openai/gpt-4o"), "hosted_vllm", "mine", Some(1)),
        (Some("nobody-knows"), "openai", "gpt-4o", None),
    ] {
        let found = book.lookup(base, provider, model).and_then(|it| it.max_input_tokens);
        assert_eq!(found, expected, "{base:?} {provider}/{model}");
    }
}

#[test]
fn what_stands_before_a_model_of_bedrocks_is_no_part_of_its_name() {
    let book = book();
    let price = |model: &str| book.get("bedrock", model).and_then(|listed| listed.price.clone());
    let claude = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
    let listed = price(claude).unwrap();
    for before in ["converse/", "invoke/", "us-east-1/", "converse/us-east-1/"] {
        assert_eq!(price(&format!("{before}{claude}")).as_ref(), Some(&listed), "{before}");
    }
    let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/";
    assert_eq!(price(&format!("{arn}{claude}")), Some(listed));
    assert_eq!(price("invoke/nobody.knows"), None);
    assert!(book.get("openai", "converse/gpt-4o").is_none());
}

#[test]
fn litellms_own_table_is_a_book_too() {
    let book = PriceBook::parse(
        br#"{"sample_spec": {"max_input_tokens": "words"},
            "some-\"model\"": {"litellm_provider": "openai", "input_cost_per_token": 1e-06,
                               "supports_vision": true, "supports_tool_choice": false}}"#,
    )
    .unwrap();
    assert_eq!(book.len(), 1);
    let listed = book.get("openai", "some-\"model\"").unwrap();
    assert_eq!(listed.price.as_ref().unwrap().input, dollars(1e-6));
    assert_eq!(listed.supports("vision"), Some(true));
    assert_eq!(listed.supports("tool_choice"), Some(false));
}

#[test]
fn what_is_no_book_is_refused() {
    for text in ["", "[]", "{\"models\": 3}", "{\"models\": {\"a\": }}"] {
        assert!(PriceBook::parse(text.as_bytes()).is_err(), "{text}");
    }
    let odd = PriceBook::parse(br#"{"models": {"a": 1}}"#).unwrap();
    assert!(odd.is_empty());
}
