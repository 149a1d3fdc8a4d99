//! Which route a request is for: an inference endpoint, or one of the pages that `admin` answers.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::dialect::Endpoint;

/// What the path and method of a request ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// A call to a model. The model may stand in the path, as Azure's SDK writes it.
    Inference { endpoint: Endpoint, model: Option<Cow<'a, str>> },
    /// Everything else: answered by `admin`, its 404, its 405 and preflights included.
    Admin,
}

impl<'a> Route<'a> {
    /// Finds the route.
    #[must_use]
    pub(super) fn find(method: &Method, path: &'a str) -> Self {
        match inference(path) {
            Some((endpoint, model)) if method == Method::POST => {
                Self::Inference { endpoint, model }
            }
            _ => Self::Admin,
        }
    }
}

/// The inference paths, each with and without `/v1`, and in the two forms that name the model.
fn inference(path: &str) -> Option<(Endpoint, Option<Cow<'_, str>>)> {
    let path = path.strip_suffix('/').unwrap_or(path);
    for base in ["/openai/deployments/", "/engines/", "/v1/engines/"] {
        if let Some(rest) = path.strip_prefix(base) {
            let named = |endpoint| Some((endpoint, rest.strip_suffix(suffix(endpoint))?));
            // Chat comes first: `/chat/completions` ends like `/completions`.
            let (endpoint, model) = Endpoint::ALL.into_iter().find_map(named)?;
            let model = percent_decode_str(model).decode_utf8().ok()?;
            return (!model.is_empty()).then_some((endpoint, Some(model)));
        }
    }
    let path = path.strip_prefix("/openai").unwrap_or(path);
    let path = path.strip_prefix("/v1").unwrap_or(path);
    Endpoint::ALL.into_iter().find(|endpoint| path == suffix(*endpoint)).map(|found| (found, None))
}

const fn suffix(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat => "/chat/completions",
        Endpoint::Completions => "/completions",
        Endpoint::Embeddings => "/embeddings",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<(Endpoint, Option<String>)> {
        inference(path).map(|(endpoint, model)| (endpoint, model.map(Cow::into_owned)))
    }

    #[test]
    fn endpoints_answer_with_and_without_version() {
        for (path, endpoint) in [
            ("/v1/chat/completions", Endpoint::Chat),
            ("/chat/completions", Endpoint::Chat),
            ("/openai/v1/chat/completions", Endpoint::Chat),
            ("/v1/completions", Endpoint::Completions),
            ("/completions", Endpoint::Completions),
            ("/v1/embeddings/", Endpoint::Embeddings),
        ] {
            assert_eq!(found(path), Some((endpoint, None)), "{path}");
        }
    }

    #[test]
    fn the_path_may_name_the_model() {
        for (path, model) in [
            ("/openai/deployments/gpt-4o/chat/completions", "gpt-4o"),
            ("/openai/deployments/a%2Fb/chat/completions", "a/b"),
            ("/openai/deployments/groq/llama/chat/completions", "groq/llama"),
            ("/engines/m/chat/completions", "m"),
        ] {
            assert_eq!(found(path), Some((Endpoint::Chat, Some(model.into()))), "{path}");
        }
        assert_eq!(found("/openai/deployments//chat/completions"), None);
        assert_eq!(found("/openai/deployments/m/images"), None);
    }

    #[test]
    fn other_methods_are_for_admin_to_refuse() {
        assert_eq!(Route::find(&Method::GET, "/v1/chat/completions"), Route::Admin);
        assert_eq!(Route::find(&Method::POST, "/health"), Route::Admin);
    }
}
