//! An expression of a configuration is compiled or refused, and evaluated in bounded time.

use serde_json::Value;
use tollgate::mapping::{Expression, Scope, Template};

const BODY: &[u8] = br#"{"choices":[{"text":"a","n":1}],"usage":{"in":3},"end":null}"#;

/// For every text: as an expression, and within a tree.
pub(crate) fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let scope = Scope::of([("body", BODY), ("model", b"\"m\"".as_slice())]);
    match Expression::parse(&text) {
        Ok(expression) => {
            let (one, two) = (expression.evaluate(&scope), expression.evaluate(&scope));
            // There is a filter that draws lots, and one that knows its address.
            if !text.contains("random") {
                assert_eq!(one, two, "{text}");
            }
        }
        Err(wrong) => assert!(!wrong.reason.is_empty()),
    }
    let tree = serde_json::json!({"a": [text, 1], "b": {"c": format!("x {{{{ {text} }}}} y")}});
    if let Ok(template) = Template::parse(&tree)
        && let Ok(value) = template.evaluate(&scope)
    {
        assert!(value.is_object());
    }
    if !text.contains("{{") {
        let fixed = Template::parse(&Value::from(&*text)).expect("a text without braces is itself");
        assert_eq!(fixed.evaluate(&scope), Ok(Value::from(&*text)));
    }
}
