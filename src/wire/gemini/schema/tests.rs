//! Schemas and what they are in the subset.

use serde_json::Value;

use super::*;

/// As a tree: only the order of properties means something, and that is told in a list.
fn fitted(schema: &str) -> Value {
    serde_json::to_value(fit(&serde_json::from_str(schema).unwrap()).unwrap()).unwrap()
}

fn unfit(schema: &str) -> String {
    fit(&serde_json::from_str(schema).unwrap()).unwrap_err().to_string()
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_schema_is_said_in_the_subset() {
    for (schema, expected) in [
        (
            r#"{"$schema":"x","type":"object","additionalProperties":false,"properties":{
                "z":{"type":"string","format":"uuid","minLength":1},
                "a":{"type":["integer","null"],"exclusiveMinimum":0,"format":"int32"}},
                "required":["z","gone"]}"#,
            r#"{"type":"OBJECT","properties":{"z":{"minLength":1,"type":"STRING"},"a":{"format":"int32","type":"INTEGER","nullable":true}},"required":["z"],"propertyOrdering":["z","a"]}"#,
        ),
        (
            r#"{"anyOf":[{"type":"string"},{"type":"null"}],"description":"d"}"#,
            r#"{"type":"STRING","description":"d","nullable":true}"#,
        ),
        (
            r#"{"description":"d","oneOf":[{"type":"string"},{"type":"number"},{"type":"null"}]}"#,
            r#"{"anyOf":[{"type":"STRING","description":"d","nullable":true},{"type":"NUMBER","description":"d","nullable":true}]}"#,
        ),
        (r#"{"type":["string","number"]}"#, r#"{"anyOf":[{"type":"STRING"},{"type":"NUMBER"}]}"#),
        (r#"{"enum":["a","",null,"b"]}"#, r#"{"enum":["a","b"],"type":"STRING","nullable":true}"#),
        (r#"{"type":"integer","enum":[1,2]}"#, r#"{"type":"INTEGER"}"#),
        (r#"{"const":"x"}"#, r#"{"enum":["x"],"type":"STRING"}"#),
        (r#"{"const":5}"#, r#"{"type":"INTEGER"}"#),
        (r#"{"enum":[1,1.5]}"#, r#"{"type":"NUMBER"}"#),
        (r#"{"enum":[true,false,null]}"#, r#"{"type":"BOOLEAN","nullable":true}"#),
        (r#"{"const":[1]}"#, r#"{"type":"ARRAY","items":{"type":"OBJECT"}}"#),
        (r#"{"const":null}"#, r#"{"type":"NULL"}"#),
        (r#"{"enum":["a",1]}"#, r#"{"anyOf":[{"enum":["a"],"type":"STRING"},{"type":"INTEGER"}]}"#),
        (
            r#"{"type":"string","enum":["a",null]}"#,
            r#"{"nullable":true,"enum":["a"],"type":"STRING"}"#,
        ),
        (r#"{"minLength":1}"#, r#"{"minLength":1,"type":"STRING"}"#),
        (r#"{"minimum":1}"#, r#"{"minimum":1,"type":"NUMBER"}"#),
        (r#"{"type":"array","items":{}}"#, r#"{"type":"ARRAY","items":{"type":"OBJECT"}}"#),
        (r#"{"type":"array"}"#, r#"{"type":"ARRAY","items":{"type":"OBJECT"}}"#),
        (
            r#"{"type":"array","prefixItems":[{"type":"string"},{"type":"number"}]}"#,
            r#"{"type":"ARRAY","items":{"type":"STRING"}}"#,
        ),
        (r#"{"type":"object","properties":{}}"#, r#"{"type":"OBJECT"}"#),
        (
            r##"{"$ref":"#/$defs/S","description":"mine","$defs":{"S":{"type":"string","description":"its"}}}"##,
            r#"{"description":"mine","type":"STRING"}"#,
        ),
        (
            r#"{"allOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},
                {"properties":{"b":{"type":"number"}},"required":["b"]}]}"#,
            r#"{"type":"OBJECT","properties":{"a":{"type":"STRING"},"b":{"type":"NUMBER"}},"required":["a","b"],"propertyOrdering":["a","b"]}"#,
        ),
        (
            r##"{"type":"object","properties":{"next":{"$ref":"#"},"v":true}}"##,
            r#"{"type":"OBJECT","properties":{"next":{"type":"OBJECT","properties":{"next":{"type":"OBJECT"},"v":{"type":"OBJECT"}},"propertyOrdering":["next","v"]},"v":{"type":"OBJECT"}},"propertyOrdering":["next","v"]}"#,
        ),
    ] {
        assert_eq!(fitted(schema), tree(expected), "{schema}");
    }
}

#[test]
fn what_stands_beside_a_choice_is_in_each_of_its_alternatives() {
    for (schema, expected) in [
        // Which of two properties there has to be.
        (
            r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"number"}},
                "anyOf":[{"required":["a"]},{"required":["b"]}]}"#,
            r#"{"anyOf":[{"required":["a"],"properties":{"a":{"type":"STRING"},"b":{"type":"NUMBER"}},"type":"OBJECT","propertyOrdering":["a","b"]},{"required":["b"],"properties":{"a":{"type":"STRING"},"b":{"type":"NUMBER"}},"type":"OBJECT","propertyOrdering":["a","b"]}]}"#,
        ),
        // The alternative's own word counts.
        (
            r#"{"description":"d","properties":{"kind":{"type":"string"}},
                "oneOf":[{"description":"e","properties":{"kind":{"const":"x"}}}]}"#,
            r#"{"description":"e","properties":{"kind":{"enum":["x"],"type":"STRING"}},"type":"OBJECT"}"#,
        ),
        (
            r##"{"$ref":"#/$defs/S","properties":{"b":{"type":"number"}},"required":["b"],
                "$defs":{"S":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}}"##,
            r#"{"properties":{"b":{"type":"NUMBER"},"a":{"type":"STRING"}},"required":["b","a"],"type":"OBJECT","propertyOrdering":["b","a"]}"#,
        ),
        // A choice within `allOf`, beside more.
        (
            r#"{"title":"t","allOf":[{"anyOf":[{"type":"string"},{"type":"null"},{"type":"boolean"}]},
                {"description":"d"}]}"#,
            r#"{"anyOf":[{"title":"t","type":"STRING","description":"d","nullable":true},{"title":"t","type":"BOOLEAN","description":"d","nullable":true}]}"#,
        ),
        (
            r#"{"type":["object","null"],"properties":{"a":{"type":"string"}},"minLength":2}"#,
            r#"{"properties":{"a":{"type":"STRING"}},"type":"OBJECT","nullable":true}"#,
        ),
        // What cannot be both is neither.
        (
            r#"{"type":["string","integer"],"anyOf":[{"type":"number"},{"type":"object"}]}"#,
            r#"{"type":"INTEGER"}"#,
        ),
        (r#"{"type":"string","allOf":[{"type":"number"}]}"#, r#"{"type":"STRING"}"#),
    ] {
        let fitted = fitted(schema);
        assert_eq!(fitted, tree(expected), "{schema}");
    }
}

#[test]
fn parameters_are_one_object() {
    let parameters = |schema: &str| {
        let fitted = fit_parameters(&serde_json::from_str(schema).unwrap()).unwrap();
        fitted.map(|fitted| serde_json::to_value(&fitted).unwrap())
    };
    assert_eq!(
        parameters(
            r#"{"anyOf":[
                {"type":"object","properties":{"a":{"type":"string"},"c":{"type":"string"}},"required":["a","c"]},
                {"type":"object","properties":{"b":{"type":"number"},"c":{"type":"boolean"}},"required":["c"]},
                {"type":"string"}]}"#
        )
        .unwrap(),
        tree(
            r#"{"type":"OBJECT","properties":{"a":{"type":"STRING"},"c":{"anyOf":[{"type":"STRING"},{"type":"BOOLEAN"}]},"b":{"type":"NUMBER"}},"required":["c"],"propertyOrdering":["a","c","b"]}"#
        )
    );
    for nothing in ["{}", r#"{"type":"object","properties":{}}"#, r#"{"type":"string"}"#] {
        assert_eq!(parameters(nothing), None);
    }
}

#[test]
fn what_cannot_be_said_is_an_error() {
    assert!(unfit(r##"{"$ref":"#/$defs/None"}"##).contains("leads nowhere"));
    assert!(unfit(r#"{"$ref":"https://example.com/s"}"#).contains("leads nowhere"));
    let mut defs = String::from(r##""d0":{"type":"string"}"##);
    for level in 1..40 {
        let below = level - 1;
        defs.push_str(&format!(
            r##","d{level}":{{"anyOf":[{{"$ref":"#/$defs/d{below}"}},{{"$ref":"#/$defs/d{below}"}}]}}"##
        ));
    }
    let bomb = format!(r##"{{"$ref":"#/$defs/d39","$defs":{{{defs}}}}}"##);
    assert!(unfit(&bomb).contains("more than 20000 parts"));
    let choice = r#"{"anyOf":[{"type":"string","title":"a"},{"type":"string","title":"b"}]}"#;
    let product = format!(r#"{{"allOf":[{}]}}"#, vec![choice; 40].join(","));
    assert!(unfit(&product).contains("more than 20000 parts"));
    let mut chain = String::from(r##""d0":{"type":"string"}"##);
    for level in 1..500 {
        let below = level - 1;
        chain.push_str(&format!(r##","d{level}":{{"$ref":"#/$defs/d{below}"}}"##));
    }
    let deep = format!(r##"{{"$ref":"#/$defs/d499","$defs":{{{chain}}}}}"##);
    assert!(unfit(&deep).contains("more than 100 levels"));
}
