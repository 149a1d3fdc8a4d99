//! Prices as they are written, and what replies cost at them.

use serde_json::{Map, Value, json};

use super::*;
use crate::usage::Usage;

fn fields(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("an object") };
    map
}

fn price(value: Value) -> Price {
    Price::from_fields(&fields(value)).unwrap().unwrap()
}

fn micro(micro_usd: u64) -> Usd {
    Usd::from_pico(micro_usd * 1_000_000)
}

#[test]
fn every_token_is_charged_once_at_its_own_price() {
    let price = price(json!({
        "input_cost_per_token": 10e-6, "output_cost_per_token": 20e-6,
        "cache_read_input_token_cost": 1e-6, "cache_creation_input_token_cost": 12e-6,
        "cache_creation_input_token_cost_above_1hr": 16e-6,
        "output_cost_per_reasoning_token": 30e-6,
        "input_cost_per_audio_token": 100e-6, "output_cost_per_audio_token": 200e-6,
        "input_cost_per_image_token": 5e-6,
    }));
    let plain = Usage { input_tokens: 100, output_tokens: 10, ..Usage::NONE };
    for (case, usage, expected) in [
        ("nothing", Usage::NONE, 0),
        ("plain", plain, 1000 + 200),
        ("cached", Usage { cache_read_tokens: 80, ..plain }, 20 * 10 + 80 + 200),
        ("written", Usage { cache_write_tokens: 80, ..plain }, 20 * 10 + 80 * 12 + 200),
        (
            "written for an hour",
            Usage { cache_write_tokens: 80, cache_write_1h_tokens: 30, ..plain },
            20 * 10 + 50 * 12 + 30 * 16 + 200,
        ),
        ("reasoning", Usage { reasoning_tokens: 4, ..plain }, 1000 + 6 * 20 + 4 * 30),
        (
            "audio",
            Usage { audio_input_tokens: 50, audio_output_tokens: 5, ..plain },
            50 * 10 + 50 * 100 + 5 * 20 + 5 * 200,
        ),
        ("images", Usage { image_input_tokens: 60, ..plain }, 40 * 10 + 60 * 5 + 200),
        (
            "audio that was cached is charged as cached",
            Usage { cache_read_tokens: 80, audio_input_tokens: 50, ..plain },
            80 + 20 * 100 + 200,
        ),
        (
            "parts beyond the whole are not charged",
            Usage { cache_read_tokens: 500, reasoning_tokens: 500, ..plain },
            100 + 10 * 30,
        ),
    ] {
        assert_eq!(price.cost(&usage), micro(expected), "{case}");
    }
}

#[test]
fn parts_without_a_price_cost_as_much_as_the_rest() {
    let price = price(json!({"input_cost_per_token": 3e-6, "output_cost_per_token": 7e-6}));
    let usage = Usage {
        input_tokens: 10,
        output_tokens: 10,
        cache_read_tokens: 4,
        cache_write_tokens: 2,
        cache_write_1h_tokens: 1,
        audio_input_tokens: 1,
        image_input_tokens: 1,
        reasoning_tokens: 3,
        ..Usage::NONE
    };
    assert_eq!(price.cost(&usage), micro(100));
}

#[test]
fn a_million_requests_add_up_exactly() {
    let price = price(json!({"input_cost_per_token": 1.5e-7, "output_cost_per_token": 6e-7}));
    let one = price.cost(&Usage { input_tokens: 7, output_tokens: 3, ..Usage::NONE });
    assert_eq!(one.times(1_000_000).to_string(), "2.85");
}

#[test]
fn a_long_prompt_is_charged_as_a_whole_at_its_tier() {
    let suffixed = price(json!({
        "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
        "cache_read_input_token_cost": 0.5e-6,
        "input_cost_per_token_above_200k_tokens": 3e-6,
        "output_cost_per_token_above_200k_tokens": 4e-6,
        "input_cost_per_token_above_1000k_tokens": 9e-6,
    }));
    let listed = price(json!({"tiered_pricing": [
        {"range": [0, 200_000], "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
        {"range": [200_000.0, 1_000_000.0],
         "input_cost_per_token": 3e-6, "output_cost_per_token": 4e-6},
        {"range": [1_000_000, 2_000_000],
         "input_cost_per_token": 9e-6, "output_cost_per_token": 2e-6},
    ]}));
    for (input_tokens, expected) in [
        (200_000, 200_000 + 2),
        (200_001, 600_003 + 4),
        (1_000_000, 3_000_000 + 4),
        (1_000_001, 9_000_009 + 2),
    ] {
        let usage = Usage { input_tokens, output_tokens: 1, ..Usage::NONE };
        assert_eq!(suffixed.cost(&usage), micro(expected), "suffixed, {input_tokens}");
        assert_eq!(listed.cost(&usage), micro(expected), "listed, {input_tokens}");
    }
    // The tier names no price for cached tokens, so they cost what they cost below it.
    let usage = Usage { input_tokens: 300_000, cache_read_tokens: 300_000, ..Usage::NONE };
    assert_eq!(suffixed.cost(&usage), micro(150_000));
}

#[test]
fn service_levels_have_their_own_prices_and_tiers() {
    let price = price(json!({
        "input_cost_per_token": 2e-6, "output_cost_per_token": 4e-6,
        "input_cost_per_token_priority": 5e-6, "output_cost_per_token_priority": 6e-6,
        "input_cost_per_token_above_200k_tokens_priority": 50e-6,
        "input_cost_per_token_flex": 1e-6,
    }));
    let usage = Usage { input_tokens: 1, output_tokens: 1, ..Usage::NONE };
    let at = |name| price.at_level(ServiceLevel::from_service_tier(name)).cost(&usage);
    assert_eq!(at("default"), micro(6));
    assert_eq!(at("priority"), micro(11));
    assert_eq!(at("flex"), micro(5), "output falls back to the usual price");
    assert_eq!(at("batch"), micro(6), "no price of its own");
    let long = Usage { input_tokens: 200_001, ..Usage::NONE };
    let priority = price.at_level(Some(ServiceLevel::Priority));
    assert_eq!(priority.cost(&long), micro(200_001 * 50));
    assert_eq!(price.cost(&long), micro(200_001 * 2));
}

#[test]
fn what_is_written_at_a_deployment_replaces_the_book() {
    let book = price(json!({
        "input_cost_per_token": 10e-6, "output_cost_per_token": 20e-6,
        "cache_read_input_token_cost": 1e-6, "output_cost_per_reasoning_token": 30e-6,
        "input_cost_per_token_above_200k_tokens": 40e-6,
    }));
    let usage = Usage {
        input_tokens: 100,
        output_tokens: 10,
        cache_read_tokens: 50,
        reasoning_tokens: 5,
        ..Usage::NONE
    };
    let book_cost = 50 * 10 + 50 + 5 * 20 + 5 * 30;
    for (case, written, expected) in [
        ("nothing", json!({"weight": 2}), book_cost),
        ("per token", json!({"input_cost_per_token": 2e-6}), 100 * 2 + 5 * 20 + 5 * 30),
        ("as a text", json!({"input_cost_per_token": "2e-6"}), 100 * 2 + 5 * 20 + 5 * 30),
        ("free", json!({"input_cost_per_token": 0, "output_cost_per_token": 0}), 0),
        ("output", json!({"output_cost_per_token": 7e-6}), 50 * 10 + 50 + 10 * 7),
        ("cache alone", json!({"cache_read_input_token_cost": 2e-6}), book_cost + 50),
        (
            "with cache",
            json!({"input_cost_per_token": 4e-6, "cache_read_input_token_cost": 2e-6}),
            50 * 4 + 50 * 2 + 5 * 20 + 5 * 30,
        ),
        (
            "per thousand",
            json!({"cost_per_1k_input_tokens": 0.003, "cost_per_1k_output_tokens": 0.015}),
            100 * 3 + 10 * 15,
        ),
        ("one number for both", json!({"metadata": {"cost": 0.03}}), 110 * 30),
        (
            "per token wins over per thousand",
            json!({"cost_per_1k_input_tokens": 9, "input_cost_per_token": 2e-6,
                   "output_cost_per_token": 0}),
            200,
        ),
        ("null is not written", json!({"input_cost_per_token": null}), book_cost),
    ] {
        let price = Price::read(Some(&book), &fields(written)).unwrap().unwrap();
        assert_eq!(price.cost(&usage), micro(expected), "{case}");
    }
    let pairs = [("input_cost_per_token".into(), 2e-6), ("rpm".into(), f64::NAN)];
    assert_eq!(book.with_overrides(&pairs).cost(&usage), micro(100 * 2 + 5 * 20 + 5 * 30));
    let long = Usage { input_tokens: 300_000, ..Usage::NONE };
    let written = fields(json!({"cache_read_input_token_cost": 0}));
    let price = Price::read(Some(&book), &written).unwrap().unwrap();
    assert_eq!(price.cost(&long), micro(300_000 * 40), "the book's tier stays");
}

#[test]
fn no_price_anywhere_is_none() {
    assert_eq!(Price::read(None, &fields(json!({"rpm": 3}))), Ok(None));
    assert_eq!(Price::from_fields(&fields(json!({"ocr_cost_per_page": 0.04}))), Ok(None));
}

#[test]
fn what_has_no_tokens_is_charged_by_what_it_has() {
    use crate::usage::Units;
    let of = |units: Units| Usage { units, ..Usage::NONE };
    let images = of(Units { images: 2, ..Units::default() });
    let heard = of(Units { audio_ms: 1_500, ..Units::default() });
    let tokens = Usage { input_tokens: 10, output_tokens: 20, ..Usage::NONE };
    let drawn = Units { images: 2, image_output_tokens: 20, ..Units::default() };
    for (prices, usage, expected) in [
        (json!({"output_cost_per_image": 0.04}), images, 80_000),
        (json!({"input_cost_per_image": 0.04}), images, 80_000),
        (json!({"input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001}), heard, 150),
        (json!({"input_cost_per_second": 0.0002, "output_cost_per_second": 0}), heard, 300),
        (json!({"output_cost_per_second": 0.0001}), heard, 150),
        (
            json!({"input_cost_per_character": 15e-6}),
            of(Units { characters: 10, ..Units::default() }),
            150,
        ),
        (
            json!({"input_cost_per_query": 0.002}),
            of(Units { searches: 3, ..Units::default() }),
            6_000,
        ),
        (
            json!({"search_context_cost_per_query": {"search_context_size_low": 0.005,
                "search_context_size_medium": 0.01, "search_context_size_high": 0.02}}),
            of(Units { web_searches: 3, ..Units::default() }),
            30_000,
        ),
        // Tokens that were counted go before the price of a whole image.
        (
            json!({"input_cost_per_token": 1e-6, "output_cost_per_image_token": 4e-6,
                "output_cost_per_image": 0.04}),
            Usage { units: drawn, ..tokens },
            10 + 80,
        ),
        (
            json!({"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
                "input_cost_per_second": 0.0001}),
            Usage { units: heard.units, ..tokens },
            10 + 40,
        ),
    ] {
        assert_eq!(price(prices.clone()).cost(&usage), micro(expected), "{prices}");
    }
    assert_eq!(price(json!({"input_cost_per_token": 1e-6})).cost(&images), Usd::ZERO);
}

#[test]
fn an_amount_that_is_none_names_the_option() {
    for (written, option) in [
        (json!({"input_cost_per_token": -1}), "input_cost_per_token"),
        (json!({"output_cost_per_token": "cheap"}), "output_cost_per_token"),
        (json!({"cost_per_1k_input_tokens": [1]}), "cost_per_1k_input_tokens"),
        (json!({"metadata": {"cost": true}}), "metadata.cost"),
        (
            json!({"input_cost_per_token_above_200k_tokens": "x"}),
            "input_cost_per_token_above_200k_tokens",
        ),
    ] {
        let wrong = Price::from_fields(&fields(written)).unwrap_err();
        assert_eq!(wrong.option, option);
    }
}
