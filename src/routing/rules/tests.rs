//! What is decided by name, as tables.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use serde_json::Value;

use super::language::{Flag, Number, Text};
use super::*;

/// A request with some tokens from some region.
struct Sample {
    tokens: f64,
    region: Option<&'static str>,
    model: &'static str,
}

impl Facts for Sample {
    fn number(&self, fact: Number) -> Option<f64> {
        (fact == Number::InputTokens).then_some(self.tokens)
    }
    fn flag(&self, _: Flag) -> bool {
        false
    }
    fn text(&self, fact: Text) -> Option<Cow<'_, str>> {
        match fact {
            Text::Region => self.region.map(Cow::Borrowed),
            Text::Model => Some(Cow::Borrowed(self.model)),
            Text::User | Text::Key | Text::Team => None,
        }
    }
    fn tags(&self) -> &[Box<str>] {
        &[]
    }
    fn header(&self, _: &str) -> Option<&str> {
        None
    }
    fn metadata(&self, _: &[Box<str>]) -> Option<Cow<'_, Value>> {
        None
    }
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(60)
    }
}

fn custom(rules: &[(&str, &str)], default: Option<&str>) -> Custom {
    let rule = |(condition, route_to): &(&str, &str)| Rule {
        condition: Condition::parse(condition).unwrap(),
        written: (*condition).into(),
        route_to: (*route_to).into(),
    };
    let rules = rules.iter().map(rule).collect();
    Custom::new(rules, default.map(Arc::from), TimeZone::UTC, [("quick", "mini"), ("far", "x")])
}

fn regions(list: &[(&str, &str)]) -> Option<Regions> {
    let list = list.iter().map(|(region, model)| (Arc::from(*region), Arc::from(*model)));
    Regions::new(list.collect(), [])
}

/// `model (stand-ins): reasons`, or `-` if nothing is decided.
fn decided(
    rules: &Rules,
    model: &'static str,
    tokens: f64,
    region: Option<&'static str>,
) -> String {
    match rules.decide(model, &Sample { tokens, region, model }) {
        Err(NoRule) => "no rule".to_owned(),
        Ok(None) => "-".to_owned(),
        Ok(Some(Decision { model, stand_ins, reasons })) => {
            let others: Vec<&str> = stand_ins.iter().map(|it| &*it.group).collect();
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            format!("{model} ({}): {}", others.join(" "), reasons.join("; "))
        }
    }
}

#[test]
fn the_first_rule_that_holds_decides_for_the_models_it_mentions() {
    let rules = [("input_tokens < 100", "mini"), ("input_tokens > 1000", "claude")];
    let with_default = Rules { custom: Some(custom(&rules, Some("mini"))), ..Rules::default() };
    let short = "mini (): rule 1 of custom_routing (`input_tokens < 100`) routes to `mini`";
    let long = "claude (): rule 2 of custom_routing (`input_tokens > 1000`) routes to `claude`";
    let neither = "mini (): no rule of custom_routing holds: the default is `mini`";
    for model in ["mini", "claude", "auto", "quick"] {
        for (tokens, expected) in
            [(99.0, short), (100.0, neither), (1000.0, neither), (1001.0, long)]
        {
            assert_eq!(decided(&with_default, model, tokens, None), expected, "{model} {tokens}");
        }
    }
    for model in ["other", "far", "regional"] {
        assert_eq!(decided(&with_default, model, 5.0, None), "-", "{model}");
        assert!(!with_default.concern(model), "{model}");
    }
    assert_eq!(with_default.names().collect::<Vec<_>>(), ["auto"]);

    let without = Rules { custom: Some(custom(&rules, None)), ..Rules::default() };
    assert_eq!(decided(&without, "claude", 500.0, None), "-", "the model that was asked for");
    assert_eq!(decided(&without, "auto", 500.0, None), "no rule");
}

#[test]
fn a_model_that_only_a_condition_names_is_decided_too() {
    let rules = [
        ("model == 'smart' and input_tokens > 100", "claude"),
        ("model starts_with 'gpt-'", "mini"),
    ];
    let rules = Rules { custom: Some(custom(&rules, None)), ..Rules::default() };
    assert!(decided(&rules, "smart", 500.0, None).starts_with("claude"));
    assert_eq!(decided(&rules, "smart", 5.0, None), "-");
    assert!(decided(&rules, "gpt-4", 5.0, None).starts_with("mini"));
    assert!(!rules.concern("o3"));
}

#[test]
fn the_nearest_region_goes_first_and_the_others_follow_in_the_order_written() {
    let regions = regions(&[
        ("us-east", "azure/us"),
        ("eu-west", "azure/eu"),
        ("eu-west-1", "azure/eu-1"),
        ("asia", "claude"),
        ("africa", "azure/eu"),
    ]);
    let rules = Rules { regions, ..Rules::default() };
    for (region, first, others) in [
        ("us-east", "azure/us", "azure/eu azure/eu-1 claude"),
        ("us-east1", "azure/us", "azure/eu azure/eu-1 claude"),
        ("US_East-2", "azure/us", "azure/eu azure/eu-1 claude"),
        ("asia-east1", "claude", "azure/us azure/eu azure/eu-1"),
        ("eu-west-1", "azure/eu-1", "azure/us azure/eu claude"),
        ("eu-west-1a", "azure/eu-1", "azure/us azure/eu claude"),
        ("eu-west-10", "azure/eu", "azure/us azure/eu-1 claude"),
        ("africa-south", "azure/eu", "azure/us azure/eu-1 claude"),
    ] {
        for model in ["azure/us", "claude", "auto", "regional"] {
            let found = decided(&rules, model, 1.0, Some(region));
            assert!(
                found.starts_with(&format!("{first} ({others}): region ")),
                "{region}: {found}"
            );
        }
    }
    for region in [Some("mars"), None] {
        let found = decided(&rules, "regional", 1.0, region);
        assert!(found.starts_with("azure/us (azure/eu azure/eu-1 claude)"), "{found}");
    }
    assert_eq!(decided(&rules, "gpt-4", 1.0, Some("asia")), "-");
    assert_eq!(rules.names().collect::<Vec<_>>(), ["auto", "regional"]);
}

#[test]
fn a_rules_choice_is_not_moved_to_another_region_unless_it_says_so() {
    let rules = [("input_tokens < 100", "azure/us"), ("input_tokens > 1000", "regional")];
    let rules = Rules {
        custom: Some(custom(&rules, None)),
        regions: regions(&[("us", "azure/us"), ("eu", "azure/eu")]),
        ..Rules::default()
    };
    let eu = Some("eu-west");
    assert!(decided(&rules, "auto", 50.0, eu).starts_with("azure/us (): rule 1"));
    let sent = decided(&rules, "auto", 5000.0, eu);
    assert!(sent.starts_with("azure/eu (azure/us): rule 2"), "{sent}");
    assert!(sent.ends_with("; region eu-west is served by `azure/eu` (eu)"), "{sent}");
    // No rule holds: what was asked for is a model of a region.
    assert!(decided(&rules, "azure/us", 500.0, eu).starts_with("azure/eu (azure/us): region"));
    assert_eq!(decided(&rules, "auto", 500.0, eu), "no rule");
    assert!(decided(&rules, "regional", 5000.0, eu).starts_with("azure/eu"), "not the rules' name");
}
