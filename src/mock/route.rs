//! What a path names: the operation, the dialect, and the model where it stands there.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::asked::Operation;
use super::record::Recorded;
use crate::dialect::Dialect;

/// Operation, dialect, and the model (Azure: the deployment) that the path names. `usual`: whose
/// paths those are that could be anybody's.
pub(super) fn route(
    path: &str,
    request: &Recorded,
    usual: Dialect,
) -> (Operation, Dialect, Option<String>) {
    let path = path.trim_end_matches('/');
    if let Some(found) = by_model(path) {
        return found;
    }
    let (dialect, deployment) = match path.split_once("/deployments/") {
        Some((_, rest)) => {
            let name = rest.split('/').next().unwrap_or_default();
            (Dialect::Azure, Some(name.to_owned()))
        }
        None if request.header("api-key").is_some() => (Dialect::Azure, None),
        None => (usual, None),
    };
    let ends = |end: &str| path.ends_with(end);
    for (end, operation, dialect) in [
        ("/messages", Operation::Chat, Dialect::Anthropic),
        ("/messages/count_tokens", Operation::CountTokens, Dialect::Anthropic),
        ("/v2/chat", Operation::Chat, Dialect::Cohere),
        ("/v2/embed", Operation::Embeddings, Dialect::Cohere),
        ("/v2/rerank", Operation::Rerank, Dialect::Cohere),
        ("/api/chat", Operation::Chat, Dialect::Ollama),
        ("/api/embed", Operation::Embeddings, Dialect::Ollama),
        ("/house/say", Operation::Chat, Dialect::Custom),
    ] {
        if ends(end) {
            return (operation, dialect, None);
        }
    }
    let operation = if ends("/chat/completions") {
        Operation::Chat
    } else if ends("/completions") {
        Operation::Completions
    } else if ends("/responses") {
        Operation::Responses
    } else if ends("/embeddings") {
        Operation::Embeddings
    } else if ends("/models") {
        Operation::Models
    } else if let Some((_, id)) = path.rsplit_once("/models/") {
        Operation::Model(id.to_owned())
    } else if path.is_empty() || path == "/health" {
        Operation::Health
    } else {
        Operation::Unknown
    };
    // An OpenAI-shaped operation is OpenAI's or Azure's, whoever is asked; the model list may be
    // Anthropic's.
    let dialect = match operation {
        Operation::Chat | Operation::Completions | Operation::Responses | Operation::Embeddings
            if dialect != Dialect::Azure =>
        {
            Dialect::OpenAi
        }
        Operation::Models | Operation::Model(_)
            if request.header("anthropic-version").is_some() =>
        {
            Dialect::Anthropic
        }
        _ => dialect,
    };
    (operation, dialect, deployment)
}

/// Paths in which the model stands: Google's, with a method behind a colon, and Bedrock's.
fn by_model(path: &str) -> Option<(Operation, Dialect, Option<String>)> {
    let (operation, dialect, model) = if let Some((_, rest)) = path.rsplit_once("/models/") {
        let (model, method) = rest.rsplit_once(':')?;
        let claude = path.contains("/publishers/anthropic/");
        let (operation, dialect) = match method {
            "generateContent" | "streamGenerateContent" => (Operation::Chat, Dialect::Gemini),
            "countTokens" => (Operation::CountTokens, Dialect::Gemini),
            "embedContent" | "batchEmbedContents" => (Operation::Embeddings, Dialect::Gemini),
            "rawPredict" | "streamRawPredict" if model == "count-tokens" => {
                (Operation::CountTokens, Dialect::Anthropic)
            }
            "rawPredict" | "streamRawPredict" if claude => (Operation::Chat, Dialect::Anthropic),
            _ => (Operation::Unknown, Dialect::Gemini),
        };
        (operation, dialect, model)
    } else {
        let (model, method) = path.rsplit_once("/model/")?.1.rsplit_once('/')?;
        let operation = match method {
            "converse" | "converse-stream" => Operation::Chat,
            _ => Operation::Unknown,
        };
        (operation, Dialect::Bedrock, model)
    };
    let model = percent_decode_str(model).decode_utf8().unwrap_or(Cow::Borrowed(model));
    Some((operation, dialect, Some(model.into_owned())))
}
