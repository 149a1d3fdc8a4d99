//! Errors as providers write them, row by row.

mod anthropic;
mod classes;
mod shapes;

use super::*;
use crate::provider::sample::headers;

fn read(status: u16, body: &str) -> Failure {
    classify_response(status, &HeaderMap::new(), body.as_bytes(), SystemTime::UNIX_EPOCH)
}

/// `{"error": {"message": .., "type": .., "code": ..}}`, leaving out what is empty.
fn openai_error(message: &str, kind: &str, code: &str) -> String {
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    serde_json::json!({
        "error": {"message": message, "type": text(kind), "param": null, "code": text(code)}
    })
    .to_string()
}
