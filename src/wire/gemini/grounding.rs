//! What an answer rests on: Gemini's grounding and citations as OpenAI's annotations.
//!
//! Gemini counts bytes of the text, OpenAI characters.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::wire::fields::Text;

/// Continuation bytes that are remembered of one text: a megabyte of English, 30 KB of Chinese.
/// Places after them are counted in bytes.
const MAX_REMEMBERED: usize = 16 * 1024;

/// Finds the character at a byte of a text that is not kept. Of ASCII nothing has to be remembered.
#[derive(Debug, Default)]
pub(super) struct Characters {
    bytes: u32,
    /// Places of the bytes that begin no character.
    continuations: Vec<u32>,
}

impl Characters {
    /// Takes the next piece of the text.
    pub(super) fn push(&mut self, text: &str) {
        if !text.is_ascii() {
            for (at, byte) in text.bytes().enumerate() {
                if (0x80..0xc0).contains(&byte) && self.continuations.len() < MAX_REMEMBERED {
                    self.continuations
                        .push(self.bytes.saturating_add(u32::try_from(at).unwrap_or(0)));
                }
            }
        }
        self.bytes = self.bytes.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
    }

    fn before(&self, byte: u32) -> u32 {
        let byte = byte.min(self.bytes);
        let continuations = self.continuations.partition_point(|at| *at < byte);
        byte.saturating_sub(u32::try_from(continuations).unwrap_or(0))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grounding<'a> {
    #[serde(borrow, default)]
    grounding_chunks: Vec<Source<'a>>,
    #[serde(default)]
    grounding_supports: Vec<Support>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source<'a> {
    #[serde(borrow, default)]
    web: Option<Page<'a>>,
    #[serde(borrow, default)]
    retrieved_context: Option<Page<'a>>,
    #[serde(borrow, default)]
    maps: Option<Page<'a>>,
}

#[derive(Clone, Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    uri: Option<Text<'a>>,
    #[serde(borrow, default)]
    title: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Support {
    #[serde(default)]
    segment: Span,
    #[serde(default)]
    grounding_chunk_indices: Vec<usize>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Span {
    start_index: u32,
    end_index: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Citations<'a> {
    #[serde(borrow, default, alias = "citations")]
    citation_sources: Vec<Citation<'a>>,
}

#[derive(Deserialize)]
struct Citation<'a> {
    #[serde(flatten)]
    span: Span,
    #[serde(borrow, default)]
    uri: Option<Text<'a>>,
    #[serde(borrow, default)]
    title: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Annotation<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url_citation: UrlCitation<'a>,
}

#[derive(Serialize)]
struct UrlCitation<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    start_index: u32,
    end_index: u32,
}

/// The annotations of an answer whose text is `characters`. Metadata that cannot be read is left out:
/// the answer stands without it.
pub(super) fn annotations(
    grounding: Option<&str>,
    citations: Option<&str>,
    characters: &Characters,
) -> Vec<Box<RawValue>> {
    let mut found = Vec::new();
    let mut cite = |uri: Option<&Text<'_>>, title: Option<&Text<'_>>, span: &Span| {
        let Some(url) = uri.filter(|uri| !uri.is_empty()) else { return };
        let annotation = Annotation {
            kind: "url_citation",
            url_citation: UrlCitation {
                url,
                title: title.map(|title| &**title),
                start_index: characters.before(span.start_index),
                end_index: characters.before(span.end_index.unwrap_or(characters.bytes)),
            },
        };
        found.extend(serde_json::value::to_raw_value(&annotation).ok());
    };
    if let Some(grounding) =
        grounding.and_then(|raw| serde_json::from_str::<Grounding<'_>>(raw).ok())
    {
        let pages: Vec<Option<Page<'_>>> = grounding
            .grounding_chunks
            .into_iter()
            .map(|source| source.web.or(source.retrieved_context).or(source.maps))
            .collect();
        let page = |at: usize| pages.get(at)?.as_ref();
        for support in &grounding.grounding_supports {
            for page in support.grounding_chunk_indices.iter().filter_map(|at| page(*at)) {
                cite(page.uri.as_ref(), page.title.as_ref(), &support.segment);
            }
        }
        if grounding.grounding_supports.is_empty() {
            // The whole answer rests on them.
            for page in pages.iter().flatten() {
                cite(page.uri.as_ref(), page.title.as_ref(), &Span::default());
            }
        }
    }
    if let Some(citations) =
        citations.and_then(|raw| serde_json::from_str::<Citations<'_>>(raw).ok())
    {
        for Citation { span, uri, title } in &citations.citation_sources {
            cite(uri.as_ref(), title.as_ref(), span);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        let text = "Grüße, 世界!";
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            let mut characters = Characters::default();
            let (first, second) = text.split_at(cut);
            characters.push(first);
            characters.push(second);
            for (count, (byte, _)) in text.char_indices().enumerate() {
                assert_eq!(characters.before(byte as u32), count as u32);
            }
            assert_eq!(characters.before(u32::MAX), text.chars().count() as u32);
        }
    }

    #[test]
    fn what_is_remembered_of_a_text_is_bounded() {
        let mut characters = Characters::default();
        for _ in 0..MAX_REMEMBERED {
            characters.push("世界");
        }
        assert_eq!(characters.continuations.len(), MAX_REMEMBERED);
    }

    #[test]
    fn every_source_of_a_segment_is_cited() {
        let mut characters = Characters::default();
        characters.push("Grüße. Ja.");
        let grounding = r#"{"groundingChunks":[{"web":{"uri":"https://a","title":"A"}},{"maps":{"uri":"https://b"}},{"other":{}}],
            "groundingSupports":[{"segment":{"endIndex":8},"groundingChunkIndices":[0,1,2,7]}]}"#;
        let citations = r#"{"citationSources":[{"startIndex":9,"endIndex":12,"uri":"https://c"}]}"#;
        let found = annotations(Some(grounding), Some(citations), &characters);
        let found: Vec<&str> = found.iter().map(|raw| raw.get()).collect();
        assert_eq!(
            found,
            [
                r#"{"type":"url_citation","url_citation":{"url":"https://a","title":"A","start_index":0,"end_index":6}}"#,
                r#"{"type":"url_citation","url_citation":{"url":"https://b","start_index":0,"end_index":6}}"#,
                r#"{"type":"url_citation","url_citation":{"url":"https://c","start_index":7,"end_index":10}}"#,
            ]
        );
        assert!(annotations(Some("[]"), Some("5"), &characters).is_empty());
    }
}
