//! Names and what they mean, as tables.

use super::sample::deployment;
use super::*;
use crate::usage::{Units, Usage};

fn alias(name: &str, target: &str) -> Alias {
    Alias { name: name.into(), target: AliasTarget::Group(target.into()), hidden: false }
}

fn weighted(name: &str, targets: &[(&str, f64)]) -> Alias {
    let targets = targets.iter().map(|(name, weight)| (Arc::from(*name), *weight)).collect();
    Alias { name: name.into(), target: AliasTarget::Weighted(targets), hidden: false }
}

fn catalog(lines: &[&str], aliases: Vec<Alias>) -> Catalog {
    Catalog::build(lines.iter().map(|line| deployment(line)).collect(), aliases)
}

/// `group: id id (captured)`, or `-`.
fn meaning(catalog: &Catalog, name: &str) -> String {
    let Some(found) = catalog.resolve(name) else { return "-".to_owned() };
    let ids: Vec<&str> = found.deployments.iter().map(|it| it.id.as_ref()).collect();
    let captured = found.captured.map(|text| format!(" ({text})")).unwrap_or_default();
    format!("{}: {}{captured}", found.group, ids.join(" "))
}

const LINES: &[&str] = &[
    "gpt-4o = openai/gpt-4o #one",
    "claude = anthropic/claude-sonnet-4-5 #two",
    "gpt-4o = azure/my-4o #three",
    "openai/* = openai/* #four",
    "openai/gpt-5* = openai/gpt-5* #five",
    "*-local = hosted_vllm/* #six",
    "two = groq/llama #seven",
    "odd = together_ai/groq/llama #eight",
];

#[test]
fn a_name_means_the_first_thing_in_the_order() {
    let catalog = catalog(
        LINES,
        vec![
            alias("gpt-4", "gpt-4o"),
            alias("three", "claude"),
            alias("claude", "gpt-4o"),
            alias("by-id", "two"),
            alias("by-upstream", "azure/my-4o"),
            alias("by-wildcard", "openai/o9"),
            alias("nowhere", "no-such-group"),
            alias("chain", "gpt-4"),
            alias("circle", "other-circle"),
            alias("other-circle", "circle"),
            alias("self", "self"),
            alias("two", "two"),
        ],
    );
    for (name, expected) in [
        ("gpt-4o", "gpt-4o: one three"),
        // An alias goes before a group of its name, but leads to the group of its target's name.
        ("claude", "gpt-4o: one three"),
        ("gpt-4", "gpt-4o: one three"),
        ("three", "claude: two"),
        ("one", "gpt-4o: one"),
        ("two", "two: seven"),
        ("by-id", "two: seven"),
        ("by-upstream", "gpt-4o: three"),
        ("by-wildcard", "openai/*: four (o9)"),
        ("nowhere", "-"),
        ("chain", "gpt-4o: one three"),
        ("circle", "-"),
        ("self", "-"),
        ("openai/o3", "openai/*: four (o3)"),
        ("openai/gpt-5-mini", "openai/gpt-5*: five (-mini)"),
        ("openai/gpt-4o", "openai/*: four (gpt-4o)"),
        ("llama-local", "*-local: six (llama)"),
        ("my-4o", "gpt-4o: three"),
        ("claude-sonnet-4-5", "claude: two"),
        ("anthropic/claude-sonnet-4-5", "claude: two"),
        ("groq/llama", "two: seven"),
        ("llama", "two: seven"),
        ("", "-"),
        ("GPT-4o", "-"),
        ("hosted_vllm/*", "-"),
    ] {
        assert_eq!(meaning(&catalog, name), expected, "{name:?}");
    }
}

#[test]
fn a_bare_name_is_served_by_the_wildcard_of_its_provider() {
    let infer = |name: &str| match name {
        _ if name.starts_with("gpt") => Some("openai"),
        _ if name.starts_with("claude") => Some("anthropic"),
        _ => None,
    };
    let lines = [
        "openai/* = openai/* #any",
        "openai/gpt-5* = openai/gpt-5* #five",
        "mine = openai/gpt-4o #mine",
        "* = groq/* #rest",
        "gpt-here = groq/here #here",
    ];
    let catalog = catalog(&lines, Vec::new()).inferring(infer);
    for (name, expected) in [
        ("gpt-4o", "openai/*: any (gpt-4o)"),
        ("gpt-5-mini", "openai/gpt-5*: five (-mini)"),
        ("gpt-here", "gpt-here: here"),
        // No wildcard of its provider.
        ("claude-9", "*: rest (claude-9)"),
        ("llama", "*: rest (llama)"),
        ("groq/gpt-4o", "*: rest (groq/gpt-4o)"),
        ("gpt-*", "*: rest (gpt-*)"),
    ] {
        assert_eq!(meaning(&catalog, name), expected, "{name}");
    }
}

#[test]
fn two_aliases_change_the_places_of_two_groups() {
    let lines = ["a = openai/a #a1", "b = openai/b #b1"];
    let catalog = catalog(&lines, vec![alias("a", "b"), alias("b", "a")]);
    assert_eq!((meaning(&catalog, "a"), meaning(&catalog, "b")), ("b: b1".into(), "a: a1".into()));
    let names: Vec<&str> = catalog.names().map(|name| &**name).collect();
    assert_eq!(names, ["a", "b"], "each is listed once");
}

#[test]
fn the_star_serves_what_nothing_else_serves() {
    let catalog = catalog(&["* = openai/* #any", "gpt-4o = azure/four #one"], Vec::new());
    for (name, expected, upstream) in [
        ("gpt-4o", "gpt-4o: one", "four"),
        ("four", "gpt-4o: one", "four"),
        ("o3", "*: any (o3)", "o3"),
        ("openai/o3", "*: any (openai/o3)", "o3"),
    ] {
        assert_eq!(meaning(&catalog, name), expected);
        let found = catalog.resolve(name).unwrap();
        let model = found.deployments[0].upstream_model(found.captured.as_deref());
        assert_eq!(&*model, upstream, "{name}");
    }
}

#[test]
fn what_the_star_matched_goes_into_the_upstream_model() {
    for (line, captured, expected) in [
        ("openai/* = openai/* #a", Some("gpt-4o"), "gpt-4o"),
        ("my-* = openai/ft:*:acme #a", Some("x"), "ft:x:acme"),
        ("my-* = openai/gpt-4o #a", Some("x"), "gpt-4o"),
        ("openai/*-* = openai/*-* #a", Some("gpt-4o"), "gpt-4o"),
        ("openai/* = openai/* #a", Some("openai/gpt-4o"), "openai/gpt-4o"),
        ("openai/* = openai/* #a", None, "*"),
    ] {
        assert_eq!(&*deployment(line).upstream_model(captured), expected, "{line} {captured:?}");
    }
}

/// `name weight: ids` of each member, then the rest's ids.
fn members(found: &Resolved) -> Vec<String> {
    let ids = |resolved: &Resolved| -> String {
        let ids: Vec<&str> = resolved.deployments.iter().map(|it| &*it.id).collect();
        ids.join(" ")
    };
    let spread = found.spread.as_ref().unwrap();
    let members = spread.members.iter();
    let members = members.map(|it| format!("{} {}: {}", it.name, it.weight, ids(&it.resolved)));
    members.chain(spread.rest.iter().map(|rest| format!("rest: {}", ids(rest)))).collect()
}

#[test]
fn a_weighted_alias_divides_its_requests_among_its_targets() {
    let catalog = catalog(
        &[
            "eu = openai/gpt-4 #eu1",
            "eu = openai/gpt-4-b #eu2",
            "us = openai/gpt-4 #us1",
            "big = openai/a #big1",
            "big = azure/gpt-4o #big2",
            "big = anthropic/claude #big3",
        ],
        vec![
            alias("twice", "both"),
            alias("large", "big"),
            weighted("both", &[("eu", 0.6), ("us", 0.4), ("gone", 5.0)]),
            weighted("big", &[("azure/gpt-4o", 0.7), ("openai/a", 0.3)]),
            weighted("none", &[("gone", 1.0)]),
            weighted("zero", &[("eu", 0.0)]),
        ],
    );
    let both = catalog.resolve("both").unwrap();
    assert_eq!(members(&both), ["eu 0.6: eu1 eu2", "us 0.4: us1"]);
    assert_eq!(members(&catalog.asked("both").unwrap()), members(&both));
    let twice = catalog.asked("twice").unwrap();
    assert_eq!(members(&twice), members(&both), "an alias of a weighted alias");
    assert_eq!((&*twice.group, twice.alias.as_deref()), ("both", Some("twice")));

    let large = catalog.asked("large").unwrap();
    assert_eq!(members(&large), members(&catalog.asked("big").unwrap()), "as are its aliases");

    // What clients ask for is divided. As a fallback, the name is the group as it is written.
    let asked = catalog.asked("big").unwrap();
    let expected = ["azure/gpt-4o 0.7: big2", "openai/a 0.3: big1", "rest: big1 big2 big3"];
    assert_eq!((&*asked.group, members(&asked)), ("big", expected.map(str::to_owned).to_vec()));
    assert_eq!(meaning(&catalog, "big"), "big: big1 big2 big3");
    assert!(catalog.resolve("big").unwrap().spread.is_none());

    assert!(catalog.asked("none").is_none());
    assert!(catalog.asked("zero").is_none());
    let names: Vec<&str> = catalog.names().map(|name| &**name).collect();
    assert_eq!(names, ["eu", "us", "big", "twice", "large", "both"]);
}

#[test]
fn names_with_weights_share_requests_and_answer_to_the_model_they_share() {
    let weights = [("us", 0.6), ("eu", 0.4), ("other", 1.0)];
    let weights = weights.map(|(name, weight)| (Arc::from(name), weight));
    let catalog = catalog(
        &["us = openai/gpt-4 #us1", "eu = openai/gpt-4 #eu1", "other = anthropic/claude #other1"],
        vec![alias("short", "us")],
    )
    .with_weights(&weights);
    for name in ["us", "eu", "other", "short"] {
        let asked = catalog.asked(name).unwrap();
        assert_eq!(members(&asked), ["us 0.6: us1", "eu 0.4: eu1", "other 1: other1"], "{name}");
        assert!(catalog.resolve(name).unwrap().spread.is_none(), "{name}");
    }
    for name in ["gpt-4", "openai/gpt-4"] {
        assert_eq!(
            members(&catalog.asked(name).unwrap()),
            ["us 0.6: us1", "eu 0.4: eu1"],
            "{name}"
        );
    }
    let claude = catalog.asked("claude").unwrap();
    assert!(claude.spread.is_none(), "a model that one name alone has is that name's");
    let names: Vec<&str> = catalog.names().map(|name| &**name).collect();
    assert_eq!(names, ["us", "eu", "other", "short", "gpt-4"]);
}

#[test]
fn names_are_listed_in_the_order_written_without_the_hidden_ones() {
    let hidden = Alias { hidden: true, ..alias("secret", "claude") };
    let catalog = catalog(LINES, vec![alias("gpt-4", "gpt-4o"), hidden, alias("lost", "gone")]);
    let names: Vec<&str> = catalog.names().map(|name| &**name).collect();
    assert_eq!(
        names,
        ["gpt-4o", "claude", "openai/*", "openai/gpt-5*", "*-local", "two", "odd", "gpt-4"]
    );
    assert_eq!(meaning(&catalog, "secret"), "claude: two");
    let groups: Vec<(&str, usize)> =
        catalog.groups().map(|(name, members)| (&**name, members.len())).collect();
    assert_eq!(groups[0], ("gpt-4o", 2));
    assert_eq!(catalog.deployments().len(), LINES.len());
}

#[test]
fn a_group_of_upstream_models_in_several_groups_has_all_of_them() {
    let catalog = catalog(&["a = openai/gpt-4 #one", "b = openai/gpt-4 #two"], Vec::new());
    assert_eq!(meaning(&catalog, "gpt-4"), "a: one two");
}

#[test]
fn a_wildcard_deployment_has_the_price_of_the_model_that_is_called() {
    let book = PriceBook::parse(
        br#"{"models":{"m1":{"litellm_provider":"openai","max_output_tokens":7,
            "input_cost_per_token":1e-6,"output_cost_per_token":2e-6}}}"#,
    )
    .unwrap();
    let wildcard = deployment("openai/* = openai/* #a");
    assert_eq!(wildcard.price("m1", &book).unwrap().input.pico(), 1_000_000);
    assert_eq!(wildcard.max_output_tokens("m1", &book), Some(7));
    assert_eq!(wildcard.price("m2", &book), None);
    let fixed = deployment("g = openai/m1 #b");
    assert_eq!(fixed.price("m1", &book), None, "config looked it up and found none");
}

#[test]
fn images_cost_what_their_size_and_quality_do() {
    let book = PriceBook::parse(
        br#"{"models":{
            "azure/hd/1024-x-1792/d":{"litellm_provider":"azure","input_cost_per_pixel":7e-8,"output_cost_per_token":0},
            "azure/standard/1024-x-1024/d":{"litellm_provider":"azure","input_cost_per_pixel":4e-8},
            "xai/g":{"litellm_provider":"xai","input_cost_per_image":0.06},
            "low/1024-x-1024/g":{"litellm_provider":"xai","input_cost_per_image":0.04},
            "512-x-512/g":{"litellm_provider":"xai","output_cost_per_image":0.01},
            "nscale/flux":{"litellm_provider":"nscale","input_cost_per_pixel":1e-9,"output_cost_per_pixel":0}
        }}"#,
    )
    .unwrap();
    let cents =
        |deployment: &Deployment, model: &str, size: Option<&str>, quality: Option<&str>| {
            let picture = Picture::of(size, quality);
            let price = deployment.price_of_images(model, &book, &picture)?;
            let units = Units { images: 2, ..Units::default() };
            Some(price.cost(&Usage { units, ..Usage::default() }).pico() / 100_000_000)
        };
    let mut azure = deployment("g = azure/mine #a");
    azure.info.base_model = Some("azure/d".into());
    let (square, tall) = (2 * 4 * 1024 * 1024, 2 * 7 * 1024 * 1792);
    assert_eq!(cents(&azure, "mine", None, None), Some(square / 10_000));
    assert_eq!(cents(&azure, "mine", Some("auto"), Some("auto")), Some(square / 10_000));
    assert_eq!(cents(&azure, "mine", Some("1024x1792"), Some("hd")), Some(tall / 10_000));
    assert_eq!(cents(&azure, "mine", Some("7x7"), None), None, "of such images nothing is known");
    azure.info.base_model = None;
    assert_eq!(cents(&azure, "d", None, None), Some(square / 10_000));

    let mut xai = deployment("g = xai/g #b");
    xai.info.price = book.get("xai", "g").unwrap().price.clone();
    let cases = [
        (Some("1024x1024"), Some("low"), 800),
        (Some("1024x1024"), Some("high"), 1200),
        (Some("512x512"), Some("high"), 200),
        (None, None, 1200),
    ];
    for (size, quality, expected) in cases {
        assert_eq!(cents(&xai, "g", size, quality), Some(expected), "{size:?} {quality:?}");
    }
    // What an operator wrote comes first.
    let written = xai.info.price.as_ref().unwrap();
    xai.info.price =
        Some(Arc::new(written.with_overrides(&[("output_cost_per_image".into(), 0.5)])));
    assert_eq!(cents(&xai, "g", Some("1024x1024"), Some("low")), Some(10_000));

    let mut nscale = deployment("g = nscale/flux #c");
    nscale.info.price = book.get("nscale", "flux").unwrap().price.clone();
    assert_eq!(cents(&nscale, "flux", Some("1000x500"), None), Some(10));
}
