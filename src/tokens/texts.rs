//! Prompts that a client sends as tokens, turned back into texts for those who read no others' tokens.
//! LangChain sends embeddings so unless it is told not to, in the tokens of OpenAI's embedding models.

use serde_json::Value;

use super::Encoding;
use crate::wire::json::{Edits, Object};

/// The `input` of a request for embeddings as texts, if there are tokens in it; `None`: there are none,
/// or they are nobody's. Reads the table if that has not happened yet.
#[must_use]
pub fn as_texts(body: &Object) -> Option<Object> {
    if !has_tokens(body) {
        return None;
    }
    let Value::Array(input) = body.value("input")? else { return None };
    let texts = match input.first()? {
        Value::Number(_) => vec![text(&input)?],
        _ => input.iter().map(|one| text(one.as_array()?)).collect::<Option<_>>()?,
    };
    let mut edits = Edits::new();
    edits.set("input", &texts);
    Object::parse(body.edit(&edits)).ok()
}

/// Whether the `input` is one list of numbers, or a list of such lists.
#[must_use]
pub fn has_tokens(body: &Object) -> bool {
    let input = body.raw_bytes("input").and_then(|raw| raw.strip_prefix(b"["));
    let first = input.and_then(|rest| rest.trim_ascii_start().first());
    first.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'[')
}

fn text(tokens: &[Value]) -> Option<String> {
    let token = |value: &Value| value.as_u64()?.try_into().ok();
    let tokens: Vec<u32> = tokens.iter().map(token).collect::<Option<_>>()?;
    Encoding::Cl100k.text(&tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(input: &Value) -> Option<Value> {
        let body = json!({"model": "m", "input": input}).to_string();
        let texts = as_texts(&Object::parse(body.into()).unwrap())?;
        texts.value("input")
    }

    #[test]
    fn tokens_become_the_texts_that_they_stand_for() {
        // "hello world" and "hi".
        assert_eq!(texts(&json!([[15339, 1917], [6151]])), Some(json!(["hello world", "hi"])));
        assert_eq!(texts(&json!([15339, 1917])), Some(json!(["hello world"])));
        for other in
            [json!("text"), json!(["a"]), json!([]), json!([[1.5]]), json!([[4_000_000_000_u64]])]
        {
            assert_eq!(texts(&other), None, "{other}");
        }
    }
}
