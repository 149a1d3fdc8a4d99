//! Azure's streams: OpenAI's chunks, mixed with frames about the content filter.
//!
//! The first frame has no choices and no id; results of the filter hang on every choice; and with
//! the asynchronous filter whole frames of results, with a choice that has no `delta`, arrive
//! between the tokens and after the end. Clients written for OpenAI fail on all three.

use bytes::{BufMut, Bytes, BytesMut};

use super::chunk::Chunk;
use super::stream::{ChoiceSet, Rewrite, Verdict, object};
use crate::failure::Failure;
use crate::wire::json::{Edits, Object, elements};
use crate::wire::sse::event;
use crate::wire::stream::StreamOptions;

/// Bound of what is remembered of a chunk's head.
const MAX_HEAD_BYTES: usize = 1024;

/// Takes the content filter out of a stream.
#[derive(Debug, Default)]
pub struct Azure {
    /// `id`, `model` and `created` of the first real chunk, as written.
    head: Option<[Box<[u8]>; 3]>,
    finished: ChoiceSet,
}

impl Rewrite for Azure {
    fn keeps_comments(_: &StreamOptions) -> bool {
        true
    }

    fn chunk(
        &mut self,
        chunk: &Chunk,
        data: &[u8],
        options: &StreamOptions,
    ) -> Result<Verdict, Failure> {
        let blank = chunk.has_blank_id(data);
        if !blank {
            self.remember(chunk, data);
        }
        if !chunk.choices && chunk.usage.is_none() && (blank || chunk.filter_results) {
            return Ok(Verdict::Drop);
        }
        if !blank && !chunk.filter_results && !chunk.bare_choice && !chunk.finish {
            return Ok(Verdict::Keep);
        }
        let object = object(data)?;
        let mut edits = Edits::new();
        edits.remove("prompt_filter_results");
        edits.remove("prompt_annotations");
        if chunk.null_usage.is_some() && options.hides_usage() {
            edits.remove("usage");
        }
        if let Some(choices) = object.slice("choices").filter(|_| chunk.choices) {
            let Some(kept) = self.choices(&choices) else {
                return Ok(Verdict::Drop);
            };
            edits.set_raw("choices", kept.to_vec());
        }
        if let Some([id, model, created]) = self.head.as_ref().filter(|_| blank) {
            edits.set_raw("id", &id[..]);
            edits.set_raw("model", &model[..]);
            edits.set_raw("created", &created[..]);
            edits.set_raw("object", &b"\"chat.completion.chunk\""[..]);
        }
        let edited = object.edit(&edits);
        Ok(if edited == data { Verdict::Keep } else { Verdict::Replace(event(&edited)) })
    }
}

impl Azure {
    /// The choices without the filter's results and without those that are nothing else; `None` if
    /// none is left.
    fn choices(&mut self, choices: &Bytes) -> Option<BytesMut> {
        let mut kept = BytesMut::with_capacity(choices.len());
        for choice in elements(choices) {
            let index = choice.u64("index").unwrap_or_default();
            let ends = choice.is_set("finish_reason");
            let text = if choice.contains("delta") || choice.contains("text") {
                let mut edits = Edits::new();
                edits.remove("content_filter_results");
                edits.remove("content_filter_result");
                edits.remove("content_filter_offsets");
                choice.edit(&edits)
            } else if ends && !self.finished.contains(index) {
                blocked(&choice, index)
            } else {
                continue;
            };
            if ends {
                self.finished.add(index);
            }
            kept.put_u8(if kept.is_empty() { b'[' } else { b',' });
            kept.extend_from_slice(&text);
        }
        if kept.is_empty() {
            return None;
        }
        kept.put_u8(b']');
        Some(kept)
    }

    fn remember(&mut self, chunk: &Chunk, data: &[u8]) {
        if self.head.is_some() {
            return;
        }
        if let (Some(id), Some(model), Some(created)) = (&chunk.id, &chunk.model, &chunk.created) {
            let head = [id, model, created].map(|span| Box::<[u8]>::from(&data[span.clone()]));
            if head.iter().map(|value| value.len()).sum::<usize>() <= MAX_HEAD_BYTES {
                self.head = Some(head);
            }
        }
    }
}

/// The end of a choice that the filter blocked, as OpenAI would send it.
fn blocked(choice: &Object, index: u64) -> Bytes {
    let reason = choice.raw("finish_reason").unwrap_or("\"content_filter\"");
    Bytes::from(format!(r#"{{"index":{index},"delta":{{}},"finish_reason":{reason}}}"#))
}

#[cfg(test)]
mod tests {
    use super::super::stream::ChatStream;
    use super::*;

    /// What the client gets of the frames, and how the stream ended for it.
    fn relay(frames: &[&str]) -> String {
        let options = StreamOptions { show_usage: true, ..StreamOptions::default() };
        let mut stream = ChatStream::<Azure>::new(options);
        let mut out = Vec::new();
        for frame in frames {
            let progress = stream.push(Bytes::from(format!("data: {frame}\n\n")), &mut out);
            assert_eq!(progress.failure, None);
        }
        String::from_utf8(out.concat()).unwrap()
    }

    const CONTENT: &str = r#"{"choices":[{"delta":{"content":"a"},"index":0}],"created":7,"id":"c","model":"m","object":"chat.completion.chunk"}"#;

    #[test]
    fn a_block_that_comes_as_an_annotation_ends_the_choice() {
        let annotation = r#"{"choices":[{"content_filter_offsets":{"check_offset":0},"content_filter_results":{"hate":{"filtered":true}},"finish_reason":"content_filter","index":0}],"created":0,"id":"","model":"","object":""}"#;
        let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}],"created":7,"id":"c","model":"m","object":"chat.completion.chunk"}"#;

        let seen = relay(&[CONTENT, annotation, annotation]);

        assert_eq!(seen, format!("data: {CONTENT}\n\ndata: {end}\n\n"), "only the first ends it");
    }

    #[test]
    fn a_stream_without_annotations_is_not_touched() {
        let finish = CONTENT.replace(r#""index":0"#, r#""index":0,"finish_reason":"stop""#);
        let seen = relay(&[CONTENT, &finish, "[DONE]"]);

        assert_eq!(seen, format!("data: {CONTENT}\n\ndata: {finish}\n\ndata: [DONE]\n\n"));
    }

    #[test]
    fn one_annotated_choice_does_not_take_the_others_with_it() {
        let both = r#"{"choices":[{"index":0,"content_filter_results":{}},{"index":1,"delta":{"content":"b"},"content_filter_results":{}}],"created":7,"id":"c","model":"m"}"#;
        let one =
            r#"{"choices":[{"index":1,"delta":{"content":"b"}}],"created":7,"id":"c","model":"m"}"#;

        assert_eq!(relay(&[both]), format!("data: {one}\n\n"));
    }
}
