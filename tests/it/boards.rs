//! Grafana's board and Prometheus' rules ask for what there is: every metric and every label that a
//! query names is in the table of names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use tollgate::telemetry::metrics::names::{self, Kind};

/// What Prometheus adds to every scrape.
const OF_PROMETHEUS: [&str; 1] = ["up"];
/// The labels that are there without us.
const LABELS_OF_PROMETHEUS: [&str; 3] = ["job", "instance", "le"];

const BOARD: &str = "deploy/grafana/tollgate.json";
const RULES: &str = "deploy/prometheus/rules.yaml";

/// A word of a query, where it stands.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Metric(String),
    Label(String),
}

/// The metrics and the labels that a query names. Enough of the language for that: what it means is
/// Prometheus' business, which `prometheus.rs` asks.
fn words(query: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut rest = query;
    // Within braces, and within the brackets behind `by` and its kin, words are labels.
    let (mut in_braces, mut in_grouping, mut grouping_next) = (false, false, false);
    while let Some(first) = rest.chars().next() {
        let word_end = rest
            .find(|char: char| !char.is_ascii_alphanumeric() && !matches!(char, '_' | ':'))
            .unwrap_or(rest.len());
        if first.is_ascii_alphabetic() || matches!(first, '_' | ':') {
            let (word, behind) = rest.split_at(word_end);
            rest = behind;
            // `sum by (le) (x)` is one as well.
            let after = behind.trim_start();
            let is_call = ["(", "by ", "without "].iter().any(|call| after.starts_with(call));
            match word {
                _ if in_braces || in_grouping => found.push(Word::Label(word.to_owned())),
                "by" | "without" | "on" | "ignoring" | "group_left" | "group_right" => {
                    grouping_next = true;
                }
                "and" | "or" | "unless" | "bool" | "offset" => {}
                _ if is_call => {}
                word => found.push(Word::Metric(word.to_owned())),
            }
            continue;
        }
        let skipped = match first {
            // Texts and spans have no words of ours.
            '"' => rest.match_indices('"').nth(1).expect("the text ends").0 + 1,
            '[' => rest.find(']').expect("the span ends") + 1,
            _ if first.is_ascii_digit() => word_end,
            '{' | '}' => {
                in_braces = first == '{';
                1
            }
            '(' | ')' => {
                in_grouping = first == '(' && grouping_next;
                grouping_next = false;
                1
            }
            _ => first.len_utf8(),
        };
        (_, rest) = rest.split_at(skipped);
    }
    found
}

#[test]
fn the_words_of_a_query_are_told_apart() {
    let query = r#"histogram_quantile(0.95, sum by (le, team) (rate(a_bucket{b=~"c d",e="f{"}[5m])))
        / on (g) x:y > 5 and z"#;
    let expected = ["le", "team", "b", "e", "g"].map(|label| Word::Label(label.into()));
    let mut expected: Vec<_> = expected.into_iter().collect();
    expected.extend(["a_bucket", "x:y", "z"].map(|metric| Word::Metric(metric.into())));
    let mut found = words(query);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// Every `expr` in a tree, with the name of what holds it.
fn expressions(tree: &Value, found: &mut Vec<String>) {
    match tree {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(query) if name == "expr" => found.push(query.to_owned()),
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| expressions(one, found)),
        _ => {}
    }
}

/// The queries of the board, as Prometheus would get them.
pub fn queries_of_the_board() -> Vec<String> {
    let board: Value = serde_json::from_str(&fs::read_to_string(BOARD).unwrap()).unwrap();
    let mut found = Vec::new();
    expressions(&board, &mut found);
    let filled = found.iter().map(|query| {
        query
            .replace("$__rate_interval", "5m")
            .replace("$__range", "1h")
            .replace("$model", ".*")
            .replace("$instance", ".*")
    });
    let filled: Vec<_> = filled.collect();
    assert!(filled.iter().all(|query| !query.contains('$')), "a variable is unknown: {filled:#?}");
    filled
}

fn rules() -> Value {
    serde_yaml::from_str(&fs::read_to_string(RULES).unwrap()).unwrap()
}

/// What can be asked for, with the labels it has.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let mut known = BTreeMap::new();
    for family in names::ALL {
        let labels: BTreeSet<String> = family.labels.iter().map(ToString::to_string).collect();
        let ends: &[&str] = match family.kind {
            Kind::Seconds(_) => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        for end in ends {
            known.insert(format!("{}{end}", family.name), labels.clone());
        }
    }
    for name in OF_PROMETHEUS {
        known.insert(name.to_owned(), BTreeSet::new());
    }
    known
}

fn check(query: &str, known: &BTreeMap<String, BTreeSet<String>>) {
    let mut labels: BTreeSet<String> =
        LABELS_OF_PROMETHEUS.iter().map(ToString::to_string).collect();
    let words = words(query);
    for word in &words {
        if let Word::Metric(name) = word {
            let of_it = known.get(name);
            labels.extend(of_it.unwrap_or_else(|| panic!("no metric {name}: {query}")).clone());
        }
    }
    for word in &words {
        if let Word::Label(name) = word {
            assert!(labels.contains(name), "no label {name}: {query}");
        }
    }
    assert!(words.iter().any(|word| matches!(word, Word::Metric(_))), "nothing is asked: {query}");
}

#[test]
fn the_rules_ask_for_what_there_is() {
    let mut known = known();
    let tree = rules();
    let rules = tree["groups"].as_array().unwrap().iter();
    let rules: Vec<_> = rules.flat_map(|group| group["rules"].as_array().unwrap()).collect();
    // What is summed up is known to what comes behind it, with the labels that are left.
    for rule in &rules {
        let query = rule["expr"].as_str().unwrap();
        check(query, &known);
        if let Some(name) = rule["record"].as_str() {
            let left = words(query).into_iter().filter_map(|word| match word {
                Word::Label(label) => Some(label),
                Word::Metric(_) => None,
            });
            known.insert(name.to_owned(), left.collect());
        }
    }
    let alerts: BTreeSet<_> = rules.iter().filter_map(|rule| rule["alert"].as_str()).collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    let tested = fs::read_to_string("deploy/prometheus/rules.test.yaml").unwrap();
    for must in
        ["Errors", "Slow", "KeyBudget", "AllCooling", "JournalLag", "RedisDown", "DatabaseDown"]
    {
        let name = format!("Tollgate{must}");
        assert!(alerts.contains(&*name) && tested.contains(&name), "{name}");
    }
}

#[test]
fn the_board_asks_for_what_there_is() {
    let (queries, known) = (queries_of_the_board(), known());
    assert!(queries.len() > 40, "{}", queries.len());
    queries.iter().for_each(|query| check(query, &known));
}

/// What Grafana needs of a board to show it: ids that differ, places that do not overlap, a data
/// source that the one who looks can choose.
#[test]
fn the_board_is_laid_out() {
    let board: Value = serde_json::from_str(&fs::read_to_string(BOARD).unwrap()).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(number(&panel["id"])), "{panel}");
        let place = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| number(&place[side]));
        assert!(x + w <= 24, "{panel}");
        for (column, line) in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert((column, line)), "{} lies on another", panel["title"]);
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
        }
    }
    let variables = board["templating"]["list"].as_array().unwrap();
    let named: Vec<_> = variables.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(named, ["datasource", "instance", "model"]);
    for one in variables.iter().filter_map(|one| one["definition"].as_str()) {
        let (metric, label) = one
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|rest| rest.split_once(", "))
            .unwrap();
        let labels = &known()[metric];
        assert!(labels.contains(label) || LABELS_OF_PROMETHEUS.contains(&label), "{one}");
    }
}
