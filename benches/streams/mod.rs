//! Streams for benches.

use bytes::Bytes;
use serde_json::json;

/// A stream of so many chunks, as a client got it.
pub(crate) fn sent(chunks: usize) -> Bytes {
    let mut out = String::new();
    for number in 0..chunks {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
            "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": format!("w{number} ")},
            "finish_reason": if number + 1 == chunks { json!("stop") } else { json!(null) }}]});
        out.push_str(&format!("data: {chunk}\n\n"));
    }
    out.push_str("data: [DONE]\n\n");
    out.into()
}
