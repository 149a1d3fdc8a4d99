use super::*;
use crate::config::problem::{Problems, Sources, report};

fn read(text: &str) -> (Option<Node>, String) {
    let (problems, mut sources) = (Problems::default(), Sources::default());
    let file = sources.add("t.yaml", text.to_owned());
    let node = parse(text, file, &problems);
    let (report, _) = report(&problems.finish(&sources), false, false);
    (node, report)
}

fn json(text: &str) -> String {
    let (node, report) = read(text);
    assert_eq!(report, "", "{text}");
    node.map(|node| node.json()).unwrap_or_default()
}

#[test]
fn values_have_the_types_of_pyyaml() {
    for (yaml, expected) in [
        ("a: 1", r#"{"a":1}"#),
        ("a: '1'", r#"{"a":"1"}"#),
        ("a: 1_000", r#"{"a":1000}"#),
        ("a: 0x10", r#"{"a":16}"#),
        ("a: 1.50", r#"{"a":1.50}"#),
        ("a: 1e-6", r#"{"a":1e-6}"#),
        ("a: .5", r#"{"a":0.5}"#),
        ("a: yes", r#"{"a":true}"#),
        ("a: Off", r#"{"a":false}"#),
        ("a: ~", r#"{"a":null}"#),
        ("a:", r#"{"a":null}"#),
        ("a: ''", r#"{"a":""}"#),
        ("a: infinity", r#"{"a":"infinity"}"#),
        ("a: .inf", r#"{"a":".inf"}"#),
        ("a: 2024-10-21", r#"{"a":"2024-10-21"}"#),
        ("a: !!str 12", r#"{"a":"12"}"#),
        ("a: [b, {c: d}]", r#"{"a":["b",{"c":"d"}]}"#),
        ("z: 1\na: 2", r#"{"z":1,"a":2}"#),
        ("a: |\n  b\n  c\n", r#"{"a":"b\nc\n"}"#),
        ("\u{feff}a: 1", r#"{"a":1}"#),
    ] {
        assert_eq!(json(yaml), expected, "{yaml}");
    }
}

#[test]
fn anchors_and_merge_keys_are_expanded() {
    let yaml = "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\n\
                one: {<<: *base, b: 9}\ntwo: {<<: [*base, *other]}\nthree: *base\nq: {'<<': 1}";
    let node = read(yaml).0.unwrap();
    assert_eq!(node.get("one").unwrap().node.json(), r#"{"b":9,"a":1}"#);
    assert_eq!(node.get("two").unwrap().node.json(), r#"{"a":1,"b":2,"c":4}"#);
    assert_eq!(node.get("three").unwrap().node.json(), r#"{"a":1,"b":2}"#);
    assert_eq!(node.get("q").unwrap().node.json(), r#"{"<<":1}"#);
}

#[test]
fn every_key_and_value_knows_its_place() {
    let node = read("a: 1\nlong:\n  - x: yy\n    z:\n").0.unwrap();
    let entry = node.get("long").unwrap().node.list().unwrap()[0].get("x").unwrap();
    assert_eq!((entry.spot.line, entry.spot.column, entry.spot.width), (3, 5, 1));
    assert_eq!((entry.node.spot.line, entry.node.spot.column, entry.node.spot.width), (3, 8, 2));
    let empty = node.get("long").unwrap().node.list().unwrap()[0].get("z").unwrap();
    assert_eq!((empty.node.spot.line, empty.node.spot.column), (4, 5));
}

#[test]
fn a_few_lines_cannot_fill_the_memory() {
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let row = vec![format!("*a{}", n - 1); 10].join(", ");
        yaml += &format!("a{n}: &a{n} [{row}]\n");
    }
    assert!(read(&yaml).1.contains("aliases expand to more than 100000 values"));
    assert!(read(&"[".repeat(70)).1.contains("64 mappings and lists within each other"));
    assert!(read(&"[".repeat(100_000)).1.contains("error"));
    assert!(read("a: &a\n  b: *a\n").1.contains("error"));
}
