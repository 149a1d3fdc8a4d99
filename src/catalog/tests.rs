//! Names and what they mean, as tables.

use super::sample::deployment;
use super::*;

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

#[test]
fn a_weighted_alias_mixes_its_targets() {
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
    let shares = |name: &str| -> Vec<(String, f64)> {
        let found = catalog.resolve(name).unwrap();
        let weights = found.weights.unwrap();
        found.deployments.iter().map(|it| it.id.to_string()).zip(weights.to_vec()).collect()
    };
    let expected = |list: &[(&str, f64)]| -> Vec<(String, f64)> {
        list.iter().map(|(id, weight)| ((*id).to_owned(), *weight)).collect()
    };
    assert_eq!(shares("both"), expected(&[("eu1", 0.3), ("eu2", 0.3), ("us1", 0.4)]));
    // The deployment that the alias does not name is the group's last resort.
    assert_eq!(shares("big"), expected(&[("big2", 0.7), ("big1", 0.3), ("big3", 0.0)]));
    assert_eq!(shares("twice"), shares("both"), "an alias of a weighted alias");
    assert_eq!(shares("large"), shares("big"), "the same where a group has that name");
    assert_eq!(catalog.resolve("big").unwrap().group.as_ref(), "big");
    assert_eq!(catalog.resolve("twice").unwrap().group.as_ref(), "both");
    assert_eq!(catalog.resolve("twice").unwrap().alias.as_deref(), Some("twice"));
    assert!(catalog.resolve("none").is_none());
    assert!(catalog.resolve("zero").is_none());
    let names: Vec<&str> = catalog.names().map(|name| &**name).collect();
    assert_eq!(names, ["eu", "us", "big", "twice", "large", "both"]);
}

#[test]
fn a_targets_share_is_divided_by_its_own_weights() {
    let mut first = deployment("a = openai/x #a1");
    first.weight = Some(3.0);
    let mut second = deployment("a = openai/y #a2");
    second.weight = Some(1.0);
    let third = deployment("b = openai/z #b1");
    let mixed = weighted("mix", &[("a", 0.8), ("b", 0.2)]);
    let catalog = Catalog::build(vec![first, second, third], vec![mixed]);
    let weights = catalog.resolve("mix").unwrap().weights.unwrap();
    for (weight, expected) in weights.iter().zip([0.6, 0.2, 0.2]) {
        assert!((weight - expected).abs() < 1e-9, "{weights:?}");
    }
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
