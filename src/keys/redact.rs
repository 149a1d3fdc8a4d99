//! What neither the audit log nor a page may show: credentials, wherever people write them.

use serde_json::Value;

/// What stands in the place of a credential.
const STARS: &str = "***";
/// A text that begins like a key and is no shorter is one. The form that is shown of keys is shorter.
const KEY_CHARS_MIN: usize = 16;

/// A record without what nobody may read in a log: credentials that people write into metadata, what
/// is sealed, and the hash of a key, which is the entry's id already.
#[must_use]
pub fn redacted(record: &Value) -> Value {
    let mut record = record.clone();
    if let Value::Object(fields) = &mut record {
        fields.remove("token");
        fields.remove("sealed");
        let callbacks = fields.get_mut("logging").and_then(Value::as_array_mut);
        for callback in callbacks.into_iter().flatten().filter_map(Value::as_object_mut) {
            callback.remove("sealed");
        }
    }
    mask(&mut record);
    record
}

/// Masks what is named like a credential or looks like a key, wherever it stands.
pub fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if is_secret(name, value) {
                    *value = Value::String(STARS.to_owned());
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::String(text) if is_key(text) => STARS.clone_into(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a field holds a credential, by its name: `api_key`, `x-api-key` and `apiKey` are one.
fn is_secret(name: &str, value: &Value) -> bool {
    const WORDS: [&str; 10] = [
        "secret",
        "password",
        "passphrase",
        "apikey",
        "privatekey",
        "accesskey",
        "credential",
        "authorization",
        "webhookurl",
        "connectionstring",
    ];
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    let name: String = letters.flat_map(char::to_lowercase).collect();
    match value {
        Value::Null | Value::Bool(_) => false,
        // A price for a token is a number.
        Value::Number(_) => WORDS.iter().any(|word| name.contains(word)),
        Value::String(_) | Value::Array(_) | Value::Object(_) => {
            name.ends_with("token") || WORDS.iter().any(|word| name.contains(word))
        }
    }
}

fn is_key(text: &str) -> bool {
    text.starts_with("sk-") && text.len() >= KEY_CHARS_MIN && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_never_reach_the_audit_log() {
        let record = json!({"token": "hash", "sealed": "v1:x", "key_alias": "ci", "tpm_limit": 5,
            "logging": [{"callback_name": "langfuse", "sealed": "v1:y"}], "metadata": {
            "logging": [{"callback_vars": {"langfuse_secret_key": "s3", "langfuse_host": "h"}}],
            "slack_webhook_url": "https://hooks", "max_tokens": 7, "aws_session_token": "t",
            "headers": {"x-api-key": "k", "apiKey": "k"}, "pin_password": 7,
            "note": "sk-0123456789abcdefghijkl", "key_name": "sk-...ijkl",
            "input_cost_per_token": 0.5}});
        assert_eq!(
            redacted(&record),
            json!({"key_alias": "ci", "tpm_limit": 5, "logging": [{"callback_name": "langfuse"}],
                "metadata": {
                "logging": [{"callback_vars": {"langfuse_secret_key": "***", "langfuse_host": "h"}}],
                "slack_webhook_url": "***", "max_tokens": 7, "aws_session_token": "***",
                "headers": {"x-api-key": "***", "apiKey": "***"}, "pin_password": "***",
                "note": "***", "key_name": "sk-...ijkl", "input_cost_per_token": 0.5}})
        );
    }
}
