//! LiteLLM's `generic_api`: the payloads as they are.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::settings::Format;

/// The body for a batch. [`Format::Single`] has batches of one.
pub(super) fn body(payloads: &[Bytes], format: Format) -> Bytes {
    let length = payloads.iter().map(|payload| payload.len() + 1).sum::<usize>() + 2;
    let mut body = BytesMut::with_capacity(length);
    let (open, between, close): (&[u8], &[u8], &[u8]) = match format {
        Format::JsonArray => (b"[", b",", b"]"),
        Format::Ndjson => (b"", b"\n", b""),
        Format::Single => (b"", b"", b""),
    };
    body.put_slice(open);
    for (number, payload) in payloads.iter().enumerate() {
        if number > 0 {
            body.put_slice(between);
        }
        body.put_slice(payload);
    }
    body.put_slice(close);
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_a_list_or_lines() {
        let payloads = [Bytes::from_static(b"{\"a\":1}"), Bytes::from_static(b"{}")];
        assert_eq!(body(&payloads, Format::JsonArray), "[{\"a\":1},{}]");
        assert_eq!(body(&payloads, Format::Ndjson), "{\"a\":1}\n{}");
        assert_eq!(body(payloads.get(1..).unwrap(), Format::Single), "{}");
    }
}
