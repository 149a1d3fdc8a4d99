//! Embeddings: what is asked for, and what is told.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;

#[test]
fn embeddings_are_asked_for_and_told() {
    let sent = |fields: Value| -> Result<Value, Failure> {
        let body = embed(&object(&fields), &options("embed-v4.0"))?;
        Ok(serde_json::from_slice(&body).unwrap())
    };
    let plain = json!({"model": "embed-v4.0", "texts": ["a"], "input_type": "search_document",
                       "embedding_types": ["float"]});
    assert_eq!(sent(json!({"input": "a", "user": "u"})).unwrap(), plain);
    assert_eq!(
        sent(json!({"input": ["a", "b"], "encoding_format": "base64", "dimensions": 256,
                    "input_type": "search_query", "truncate": "END"}))
        .unwrap(),
        json!({"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query",
               "embedding_types": ["base64"], "output_dimension": 256, "truncate": "END"})
    );
    assert_eq!(sent(json!({})).unwrap_err().param.as_deref(), Some("input"));
    assert_eq!(sent(json!({"input": [1, 2]})).unwrap_err().param.as_deref(), Some("input"));

    for (vectors, first) in [
        (json!({"float": [[0.1, 0.20], [1, 2]]}), json!([0.1, 0.20])),
        (json!({"int8": null, "base64": ["AAAA", "BBBB"]}), json!("AAAA")),
    ] {
        let body = json!({"id": "x", "embeddings": vectors, "texts": ["a", "b"],
                          "meta": {"billed_units": {"input_tokens": 6.0}}});
        let reply = embeddings(Bytes::from(body.to_string()), "embed-v4.0").unwrap();
        assert_eq!(reply.usage.unwrap().input_tokens, 6);
        let list: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(list["data"][0], json!({"object": "embedding", "index": 0, "embedding": first}));
        assert_eq!(list["data"][1]["index"], 1);
        assert_eq!(list["usage"], json!({"prompt_tokens": 6, "total_tokens": 6}));
    }
    let failed = embeddings(Bytes::from_static(b"{\"message\":\"no such model\"}"), "m");
    assert_eq!(failed.unwrap_err().message, "no such model");
}
