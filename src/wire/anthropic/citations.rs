//! What an answer cites, as OpenAI's annotations.

use serde::{Deserialize, Serialize};

use super::content::Raw;
use crate::wire::fields::Text;

/// An annotation of a part of the answer's text. Indices count characters.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Annotation<'a> {
    UrlCitation { url_citation: Page<'a> },
    FileCitation { file_citation: Document<'a> },
}

#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    url: Text<'a>,
    title: Option<Text<'a>>,
    start_index: usize,
    end_index: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    file_id: Option<Text<'a>>,
    filename: Option<Text<'a>>,
    start_index: usize,
    end_index: usize,
}

impl<'a> Annotation<'a> {
    /// A citation of the text from `start_index` to `end_index`; `None` for one that names neither an
    /// address nor a document.
    pub(super) fn of(citation: Raw<'a>, start_index: usize, end_index: usize) -> Option<Self> {
        #[derive(Deserialize)]
        struct Written<'a> {
            #[serde(borrow)]
            url: Option<Text<'a>>,
            #[serde(borrow)]
            title: Option<Text<'a>>,
            /// Of a search result that the client gave: an address, as a rule.
            #[serde(borrow)]
            source: Option<Text<'a>>,
            #[serde(borrow)]
            file_id: Option<Text<'a>>,
            #[serde(borrow)]
            document_title: Option<Text<'a>>,
        }

        let written: Written<'a> = serde_json::from_str(citation.get()).ok()?;
        let source = written.source.filter(|source| source.starts_with("http"));
        if let Some(url) = written.url.or(source) {
            let url_citation = Page { url, title: written.title, start_index, end_index };
            return Some(Self::UrlCitation { url_citation });
        }
        let (file_id, filename) = (written.file_id, written.document_title);
        if file_id.is_none() && filename.is_none() {
            return None;
        }
        let file_citation = Document { file_id, filename, start_index, end_index };
        Some(Self::FileCitation { file_citation })
    }
}
