//! What the name of a field says of a string: that it is no text, that it comes in pieces, or that it may be data.

/// Names of fields whose strings nobody says to anybody.
pub(super) fn is_no_text(name: &str) -> bool {
    matches!(
        name,
        "type"
            | "role"
            | "id"
            | "name"
            | "model"
            | "object"
            | "status"
            | "index"
            | "tool_call_id"
            | "tool_use_id"
            | "call_id"
            | "item_id"
            | "response_id"
            | "previous_response_id"
            | "container_id"
            | "file_id"
            | "url"
            | "uri"
            | "fileUri"
            | "file_uri"
            | "file_url"
            | "image_url"
            | "audio_url"
            | "signature"
            | "thoughtSignature"
            | "thought_signature"
            | "encrypted_content"
            | "encrypted_index"
            | "media_type"
            | "mime_type"
            | "mimeType"
            | "format"
            | "detail"
            | "finish_reason"
            | "finishReason"
            | "native_finish_reason"
            | "stop_reason"
            | "service_tier"
            | "system_fingerprint"
            | "ttl"
            | "obfuscation"
            | "server_label"
            | "responseId"
            | "modelVersion"
            | "taskType"
            | "input_type"
            | "encoding_format"
    )
}

/// Names of fields that a stream tells in pieces.
pub(super) fn comes_in_parts(name: &str) -> bool {
    matches!(
        name,
        "content"
            | "text"
            | "delta"
            | "reasoning"
            | "reasoning_content"
            | "refusal"
            | "thinking"
            | "arguments"
            | "partial_json"
            | "transcript"
    )
}

/// Names of fields that hold data, or a text.
pub(super) fn may_be_data(name: &str) -> bool {
    matches!(
        name,
        "data" | "file_data" | "b64_json" | "result" | "partial_image_b64" | "audio" | "bytes"
    )
}

/// Whether a string is data, as far as it says itself.
pub(super) fn is_data(value: &str) -> bool {
    /// Nobody writes so much without a space.
    const WORD_MAX: usize = 256;
    let is_letter =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    is_data_url(value) || value.len() > WORD_MAX && value.bytes().all(is_letter)
}

/// `data:image/png;base64,` and what follows. One that is not in base64 can be read by anybody.
fn is_data_url(value: &str) -> bool {
    let head = value.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    head.is_some_and(|(head, _)| {
        head.ends_with(";base64") && !head.contains(|c: char| c.is_ascii_whitespace())
    })
}

/// Whether a name is another as readers of JSON take it that do not mind the case: those of Go, for which two letters
/// beyond ASCII are an `s` and a `k`.
pub(super) fn is_alike(name: &str, other: &str) -> bool {
    match name.is_ascii() {
        true => name.eq_ignore_ascii_case(other),
        false => name.replace('\u{17f}', "s").replace('\u{212a}', "k").eq_ignore_ascii_case(other),
    }
}
