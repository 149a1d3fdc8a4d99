//! Which route a request is for: an inference endpoint, or one of the pages that `admin` answers.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use super::stored::Named;
use crate::dialect::{ClientDialect, Endpoint};
use crate::provider;
use crate::wire::responses::Action;

/// What the path and method of a request ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// A call to a model.
    Inference(Asked<'a>),
    /// Everything else: answered by `admin`, its 404, its 405 and preflights included.
    Admin,
}

/// What a path says of an inference call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub endpoint: Endpoint,
    pub dialect: ClientDialect,
    /// The model may stand in the path: Azure's and Google's SDKs write it there.
    pub model: Option<Cow<'a, str>>,
    /// Where the path and not the body says whether the reply is a stream.
    pub stream: Option<bool>,
    /// A stream is wanted as one JSON array: Google's way where events are not asked for.
    pub array: bool,
    /// Which of the things that a provider keeps.
    pub kept: Option<Kept<'a>>,
    /// What of the Responses API is asked for, if not a response.
    pub part: Option<Named<'a>>,
}

/// What a path says of something that a provider keeps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept<'a> {
    pub method: Method,
    /// As the client got it.
    pub id: Option<Cow<'a, str>>,
    pub action: provider::Action,
}

impl<'a> Route<'a> {
    /// Finds the route.
    #[must_use]
    pub(super) fn find(method: &Method, path: &'a str, query: Option<&str>) -> Self {
        if let Some(asked) = kept(method, path) {
            return Self::Inference(asked);
        }
        match inference(path) {
            Some(asked) if *method == asked.method() => {
                let streams = asked.stream == Some(true);
                Self::Inference(Asked { array: streams && !wants_events(query), ..asked })
            }
            Some(asked) => match asked.part {
                // One path, two things that can be done with it.
                Some(Named::Response { id, action: Action::Retrieve })
                    if method == Method::DELETE =>
                {
                    let part = Some(Named::Response { id, action: Action::Delete });
                    Self::Inference(Asked { part, ..asked })
                }
                _ => Self::Admin,
            },
            None => Self::Admin,
        }
    }
}

/// Whether a path is one of the gateway's own for calls to models, whatever the method.
pub(super) fn is_own(path: &str) -> bool {
    inference(path).is_some()
}

/// What is served below `/v1` in OpenAI's formats.
const SERVED: [(&str, Endpoint); 11] = [
    // Chat comes first: `/chat/completions` ends like `/completions`.
    ("/chat/completions", Endpoint::Chat),
    ("/completions", Endpoint::Completions),
    ("/embeddings", Endpoint::Embeddings),
    ("/images/generations", Endpoint::ImageGenerations),
    ("/images/edits", Endpoint::ImageEdits),
    ("/images/variations", Endpoint::ImageVariations),
    ("/audio/transcriptions", Endpoint::Transcriptions),
    ("/audio/translations", Endpoint::Translations),
    ("/audio/speech", Endpoint::Speech),
    ("/moderations", Endpoint::Moderations),
    ("/rerank", Endpoint::Rerank),
];

/// What a provider keeps: `/files/{id}/content`, `/batches/{id}/cancel` and what is above them.
fn kept<'a>(method: &Method, path: &'a str) -> Option<Asked<'a>> {
    // Below `/openai` they are OpenAI's own, and passed through.
    let path = path.strip_suffix('/').unwrap_or(path);
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let mut segments = path.strip_prefix('/')?.split('/');
    let endpoint = match segments.next()? {
        "files" => Endpoint::Files,
        "batches" => Endpoint::Batches,
        _ => return None,
    };
    let (id, below) = (segments.next(), segments.next());
    if segments.next().is_some() {
        return None;
    }
    let action = match (endpoint, method.as_str(), id, below) {
        (_, "GET" | "POST", None, None)
        | (_, "GET", Some(_), None)
        | (Endpoint::Files, "DELETE", Some(_), None) => provider::Action::Itself,
        (Endpoint::Files, "GET", Some(_), Some("content")) => provider::Action::Content,
        (Endpoint::Batches, "POST", Some(_), Some("cancel")) => provider::Action::Cancel,
        _ => return None,
    };
    let id = match id {
        Some(id) => Some(decoded(id)?),
        None => None,
    };
    let asked = Asked::new(endpoint, ClientDialect::OpenAi);
    Some(Asked { kept: Some(Kept { method: method.clone(), id, action }), ..asked })
}

/// The inference paths: each with and without `/v1`, OpenAI's also in the two forms that name the
/// model.
fn inference(path: &str) -> Option<Asked<'_>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    for base in ["/openai/deployments/", "/engines/", "/v1/engines/"] {
        if let Some(rest) = path.strip_prefix(base) {
            let named = |(end, endpoint)| Some((endpoint, rest.strip_suffix(end)?));
            let (endpoint, model) = SERVED.into_iter().find_map(named)?;
            let asked = Asked::new(endpoint, ClientDialect::OpenAi);
            return Some(Asked { model: Some(decoded(model)?), ..asked });
        }
    }
    if let Some(asked) = google(path) {
        return Some(asked);
    }
    if path == "/v2/rerank" {
        return Some(Asked::new(Endpoint::Rerank, ClientDialect::OpenAi));
    }
    let path = path.strip_prefix("/openai").unwrap_or(path);
    let path = path.strip_prefix("/v1").unwrap_or(path);
    match path {
        "/messages" => Some(Asked::new(Endpoint::Chat, ClientDialect::Anthropic)),
        "/messages/count_tokens" => {
            Some(Asked::new(Endpoint::CountTokens, ClientDialect::Anthropic))
        }
        "/responses" => Some(Asked::new(Endpoint::Chat, ClientDialect::Responses)),
        path if path.starts_with("/responses/") => {
            let part = Some(part(path.strip_prefix("/responses/")?)?);
            let asked = Asked::new(Endpoint::Responses, ClientDialect::Responses);
            Some(Asked { part, ..asked })
        }
        path => {
            let (_, endpoint) = SERVED.into_iter().find(|(served, _)| path == *served)?;
            Some(Asked::new(endpoint, ClientDialect::OpenAi))
        }
    }
}

/// `/v1beta/models/{model}:{method}`, as Google's SDKs write it.
fn google(path: &str) -> Option<Asked<'_>> {
    let rest = ["/v1beta/models/", "/v1/models/", "/models/"]
        .into_iter()
        .find_map(|base| path.strip_prefix(base))?;
    let (model, method) = rest.rsplit_once(':')?;
    let (endpoint, stream) = match method {
        "generateContent" => (Endpoint::Chat, false),
        "streamGenerateContent" => (Endpoint::Chat, true),
        "countTokens" => (Endpoint::CountTokens, false),
        "embedContent" | "batchEmbedContents" => (Endpoint::Embeddings, false),
        _ => return None,
    };
    let asked = Asked::new(endpoint, ClientDialect::Gemini);
    Some(Asked { model: Some(decoded(model)?), stream: Some(stream), ..asked })
}

/// `alt=sse`, as Google's SDKs ask for a stream.
fn wants_events(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair.eq_ignore_ascii_case("alt=sse")))
}

/// What follows `/responses/`. An id of ours needs no encoding.
fn part(rest: &str) -> Option<Named<'_>> {
    let (id, action) = match rest.split_once('/') {
        None if rest == "input_tokens" => return Some(Named::InputTokens),
        None if rest == "compact" => return Some(Named::Compact),
        None => (rest, Action::Retrieve),
        Some((id, "cancel")) => (id, Action::Cancel),
        Some((id, "input_items")) => (id, Action::InputItems),
        Some(_) => return None,
    };
    (!id.is_empty()).then_some(Named::Response { id, action })
}

fn decoded(model: &str) -> Option<Cow<'_, str>> {
    let model = percent_decode_str(model).decode_utf8().ok()?;
    // Dots would lead to another path at the provider.
    (!matches!(&*model, "" | "." | "..")).then_some(model)
}

impl Asked<'_> {
    /// A path that says nothing else.
    pub(super) const fn new(endpoint: Endpoint, dialect: ClientDialect) -> Self {
        Self { endpoint, dialect, model: None, stream: None, array: false, kept: None, part: None }
    }

    /// The method that the path is for.
    fn method(&self) -> Method {
        match self.part {
            Some(Named::Response { action: Action::Retrieve | Action::InputItems, .. }) => {
                Method::GET
            }
            _ => Method::POST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_answer_with_and_without_version() {
        use ClientDialect::{Anthropic, OpenAi, Responses};
        for (path, endpoint, dialect) in [
            ("/v1/chat/completions", Endpoint::Chat, OpenAi),
            ("/chat/completions", Endpoint::Chat, OpenAi),
            ("/openai/v1/chat/completions", Endpoint::Chat, OpenAi),
            ("/v1/completions", Endpoint::Completions, OpenAi),
            ("/completions", Endpoint::Completions, OpenAi),
            ("/v1/embeddings/", Endpoint::Embeddings, OpenAi),
            ("/v1/messages", Endpoint::Chat, Anthropic),
            ("/messages", Endpoint::Chat, Anthropic),
            ("/v1/messages/count_tokens", Endpoint::CountTokens, Anthropic),
            ("/v1/responses", Endpoint::Chat, Responses),
            ("/openai/v1/responses", Endpoint::Chat, Responses),
            ("/v1/images/generations", Endpoint::ImageGenerations, OpenAi),
            ("/images/edits", Endpoint::ImageEdits, OpenAi),
            ("/v1/images/variations", Endpoint::ImageVariations, OpenAi),
            ("/audio/transcriptions", Endpoint::Transcriptions, OpenAi),
            ("/openai/v1/audio/translations", Endpoint::Translations, OpenAi),
            ("/v1/audio/speech/", Endpoint::Speech, OpenAi),
            ("/moderations", Endpoint::Moderations, OpenAi),
            ("/rerank", Endpoint::Rerank, OpenAi),
            ("/v1/rerank", Endpoint::Rerank, OpenAi),
            ("/v2/rerank", Endpoint::Rerank, OpenAi),
        ] {
            assert_eq!(inference(path), Some(Asked::new(endpoint, dialect)), "{path}");
        }
    }

    #[test]
    fn what_is_kept_is_found_by_method_and_path() {
        let found = |method: &str, path| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            match Route::find(&method, path, None) {
                Route::Inference(Asked { endpoint, kept: Some(kept), .. }) => {
                    Some((endpoint, kept.id.map(Cow::into_owned), kept.action))
                }
                _ => None,
            }
        };
        let id = || Some("file-1".to_owned());
        for (method, path, expected) in [
            ("POST", "/v1/files", Some((Endpoint::Files, None, provider::Action::Itself))),
            ("GET", "/files/", Some((Endpoint::Files, None, provider::Action::Itself))),
            ("GET", "/v1/files/file-1/", Some((Endpoint::Files, id(), provider::Action::Itself))),
            (
                "GET",
                "/files/file-1/content",
                Some((Endpoint::Files, id(), provider::Action::Content)),
            ),
            (
                "DELETE",
                "/v1/files/file%2D1",
                Some((Endpoint::Files, id(), provider::Action::Itself)),
            ),
            ("POST", "/v1/batches", Some((Endpoint::Batches, None, provider::Action::Itself))),
            (
                "POST",
                "/v1/batches/file-1/cancel",
                Some((Endpoint::Batches, id(), provider::Action::Cancel)),
            ),
            ("DELETE", "/v1/batches/file-1", None),
            ("POST", "/v1/files/file-1", None),
            ("POST", "/v1/files/file-1/content", None),
            ("GET", "/v1/files/file-1/other", None),
            ("GET", "/v1/files/file-1/content/more", None),
            ("GET", "/v1/filesx", None),
            ("GET", "/openai/v1/files", None),
        ] {
            assert_eq!(found(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn the_path_may_name_the_model() {
        for (path, model) in [
            ("/openai/deployments/gpt-4o/chat/completions", "gpt-4o"),
            ("/openai/deployments/a%2Fb/chat/completions", "a/b"),
            ("/openai/deployments/groq/llama/chat/completions", "groq/llama"),
            ("/engines/m/chat/completions", "m"),
            ("/v1beta/models/m:generateContent", "m"),
            ("/v1beta/models/a%2Fb:generateContent", "a/b"),
            ("/models/a/b:0:generateContent", "a/b:0"),
        ] {
            let asked = inference(path).unwrap();
            assert_eq!(
                (asked.endpoint, asked.model),
                (Endpoint::Chat, Some(model.into())),
                "{path}"
            );
        }
        for path in [
            "/openai/deployments//chat/completions",
            "/openai/deployments/m/images",
            "/v1beta/models/m:asyncBatchEmbedContent",
            "/v1beta/models/:generateContent",
            "/v1beta/models/m",
        ] {
            assert_eq!(inference(path), None, "{path}");
        }
    }

    #[test]
    fn google_says_in_the_path_whether_it_wants_a_stream() {
        for (path, endpoint, stream) in [
            ("/v1beta/models/m:generateContent", Endpoint::Chat, false),
            ("/v1beta/models/m:streamGenerateContent", Endpoint::Chat, true),
            ("/v1beta/models/m:countTokens", Endpoint::CountTokens, false),
            ("/v1beta/models/m:embedContent", Endpoint::Embeddings, false),
            ("/v1beta/models/m:batchEmbedContents", Endpoint::Embeddings, false),
        ] {
            let asked = inference(path).unwrap();
            assert_eq!((asked.endpoint, asked.stream), (endpoint, Some(stream)), "{path}");
        }
    }

    #[test]
    fn what_is_described_as_a_call_to_a_model_is_one() {
        let described: Vec<_> = crate::admin::openapi::all().collect();
        for (path, methods, calls_a_model) in &described {
            let asked = path.replace(['{', '}'], "");
            for method in methods {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let found = Route::find(&method, &asked, None);
                assert_eq!(found != Route::Admin, *calls_a_model, "{method} {path}");
            }
        }
        let is_described = |path: &str| described.iter().any(|(it, ..)| *it == path);
        for (suffix, endpoint) in SERVED {
            assert!(is_described(&format!("/v1{suffix}")), "{endpoint:?}");
        }
    }

    #[test]
    fn other_methods_are_for_admin_to_refuse() {
        assert_eq!(Route::find(&Method::GET, "/v1/chat/completions", None), Route::Admin);
        assert_eq!(Route::find(&Method::POST, "/health", None), Route::Admin);
    }

    #[test]
    fn googles_streams_are_arrays_unless_events_are_asked_for() {
        let path = "/v1beta/models/m:streamGenerateContent";
        for (query, array) in [
            (None, true),
            (Some("alt=sse"), false),
            (Some("key=k&alt=SSE"), false),
            (Some("alt=json"), true),
            (Some("xalt=sse"), true),
        ] {
            let Route::Inference(asked) = Route::find(&Method::POST, path, query) else {
                panic!("{query:?} leads elsewhere");
            };
            assert_eq!(asked.array, array, "{query:?}");
        }
        let whole = Route::find(&Method::POST, "/v1beta/models/m:generateContent", None);
        assert!(matches!(whole, Route::Inference(Asked { array: false, .. })));
    }
}
