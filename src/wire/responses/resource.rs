//! The parts of the Responses API besides making a response: what was made can be asked for, and a
//! request can be counted or compacted.

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is encoded in a segment of a path: everything but RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `POST /v1/responses/input_tokens`: how long the input is.
    InputTokens,
    /// `POST /v1/responses/compact`: a shorter form of the conversation.
    Compact,
    /// Something of a response that the provider keeps.
    Stored {
        /// The provider's own id of it.
        id: Box<str>,
        action: Action,
        /// The client's query, without `?`.
        query: Option<Box<str>>,
    },
}

/// What is done with a response that the provider keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Retrieve,
    Delete,
    Cancel,
    InputItems,
}

impl Resource {
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::InputTokens | Self::Compact => Method::POST,
            Self::Stored { action, .. } => match action {
                Action::Retrieve | Action::InputItems => Method::GET,
                Action::Delete => Method::DELETE,
                Action::Cancel => Method::POST,
            },
        }
    }

    /// Whether it is about a response that was made before.
    #[must_use]
    pub const fn is_stored(&self) -> bool {
        matches!(self, Self::Stored { .. })
    }

    /// Path and query at a provider whose responses are made at `create`, which may have a query.
    #[must_use]
    pub fn path(&self, create: &str) -> String {
        let (root, fixed) = create.split_once('?').map_or((create, None), |(r, q)| (r, Some(q)));
        let (rest, query) = match self {
            Self::InputTokens => ("/input_tokens".to_owned(), None),
            Self::Compact => ("/compact".to_owned(), None),
            Self::Stored { id, action, query } => {
                let end = match action {
                    Action::Retrieve | Action::Delete => "",
                    Action::Cancel => "/cancel",
                    Action::InputItems => "/input_items",
                };
                (format!("/{}{end}", utf8_percent_encode(id, SEGMENT)), query.as_deref())
            }
        };
        let queries: Vec<&str> = [fixed, query].into_iter().flatten().collect();
        let mark = if queries.is_empty() { "" } else { "?" };
        format!("{root}{rest}{mark}{}", queries.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_the_providers_query_and_stay_below_it() {
        let stored = |id: &str, action, query: Option<&str>| Resource::Stored {
            id: id.into(),
            action,
            query: query.map(Box::from),
        };
        for (resource, create, path) in [
            (Resource::InputTokens, "/v1/responses", "/v1/responses/input_tokens"),
            (stored("resp_1", Action::Retrieve, None), "/v1/responses", "/v1/responses/resp_1"),
            (
                stored("../x?y", Action::Cancel, None),
                "/v1/responses",
                "/v1/responses/..%2Fx%3Fy/cancel",
            ),
            (
                stored("r", Action::InputItems, Some("limit=2")),
                "/openai/v1/responses?api-version=preview",
                "/openai/v1/responses/r/input_items?api-version=preview&limit=2",
            ),
        ] {
            assert_eq!(resource.path(create), path);
        }
        assert_eq!(stored("r", Action::Delete, None).method(), Method::DELETE);
        assert_eq!(Resource::Compact.method(), Method::POST);
    }
}
