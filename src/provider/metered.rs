//! What the answers to passed requests are read as, so that they are metered: by the path, because a
//! mount serves all of a provider's APIs, whatever the deployment was written for.

use bytes::Bytes;

use super::answer;
use super::call::Reading;
use crate::catalog::Deployment;
use crate::dialect::{ClientDialect, Dialect, Endpoint};
use crate::failure::Failure;
use crate::wire::anthropic::native as messages;
use crate::wire::gemini::client::native as gemini;
use crate::wire::{self, Origin, Reply, StreamOptions, StreamRelay};

/// How the answer to a passed request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed(Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As the answers of the deployment itself.
    Own(Reading),
    /// OpenAI's, at whatever provider.
    OpenAi(Endpoint),
    /// Anthropic's messages, at whatever host.
    Messages,
    /// Gemini's, at whatever host.
    Gemini,
    /// A model's own format at Bedrock.
    Invoked,
    /// What Cohere has beside version 2 of its chat.
    Cohere,
    /// Embeddings at Vertex AI.
    Predicted,
}

impl Passed {
    /// What the answer to a request for `path` is read as; `None` where nothing is known of its use.
    #[must_use]
    pub fn of(deployment: &Deployment, path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or(path);
        let (before, last) = path.rsplit_once('/')?;
        let own = |api, native| Form::Own(Reading { api, native });
        let is_published = path.contains("/publishers/");
        if let Some((_, method)) = last.rsplit_once(':')
            && (is_published || deployment.dialect == Dialect::Gemini)
        {
            let is_claude = path.contains("/publishers/anthropic/");
            return match &*method.to_ascii_lowercase() {
                "generatecontent" | "streamgeneratecontent" => Some(Self(Form::Gemini)),
                "rawpredict" | "streamrawpredict" if is_claude => {
                    let counts = last.starts_with("count-tokens");
                    (!counts).then_some(Self(Form::Messages))
                }
                "rawpredict" | "streamrawpredict" => Some(Self(Form::OpenAi(Endpoint::Chat))),
                "predict" => Some(Self(Form::Predicted)),
                _ => None,
            };
        }
        let is_cohere = deployment.dialect == Dialect::Cohere;
        let form = match (last, deployment.dialect) {
            ("messages", Dialect::Anthropic) => Form::Messages,
            // Azure and others have it beside their own APIs.
            ("messages", _) if before.ends_with("/v1") => Form::Messages,
            ("responses", _) => own(Endpoint::Responses, Some(ClientDialect::Responses)),
            ("completions", _) if before.ends_with("/chat") => Form::OpenAi(Endpoint::Chat),
            ("completions", _) => Form::OpenAi(Endpoint::Completions),
            ("embeddings", _) => Form::OpenAi(Endpoint::Embeddings),
            ("generations", _) if before.ends_with("/images") => {
                Form::OpenAi(Endpoint::ImageGenerations)
            }
            ("edits", _) if before.ends_with("/images") => Form::OpenAi(Endpoint::ImageEdits),
            ("transcriptions", _) => Form::OpenAi(Endpoint::Transcriptions),
            ("converse" | "converse-stream", Dialect::Bedrock) => own(Endpoint::Chat, None),
            ("invoke" | "invoke-with-response-stream", Dialect::Bedrock) => Form::Invoked,
            ("chat", Dialect::Cohere) if before.ends_with("/v2") => own(Endpoint::Chat, None),
            ("chat" | "embed" | "rerank", _) if is_cohere => Form::Cohere,
            ("chat", Dialect::Ollama) => own(Endpoint::Chat, None),
            ("embed", Dialect::Ollama) => own(Endpoint::Embeddings, None),
            _ => return None,
        };
        Some(Self(form))
    }

    /// Reads a whole reply. Its body is of no use.
    ///
    /// # Errors
    /// It is an error, or of a form that is not known.
    pub fn reply(
        self,
        deployment: &Deployment,
        body: Bytes,
        created: u64,
        origin: &Origin<'_>,
    ) -> Result<Reply, Failure> {
        match self.0 {
            // Converse's words, though the deployment's own model is called in another way.
            Form::Own(Reading { api: Endpoint::Chat, .. })
                if deployment.dialect == Dialect::Bedrock =>
            {
                wire::bedrock::reply(body, created, origin)
            }
            Form::Own(reading) => answer::reply(deployment, reading, body, created, origin),
            Form::OpenAi(api) => wire::openai::reply(body, deployment.quirks, api),
            Form::Messages => messages::reply(body),
            Form::Gemini => gemini::reply(last_of_list(body), Endpoint::Chat),
            Form::Invoked => wire::bedrock::invoked(body, origin),
            Form::Cohere => Ok(wire::cohere::counted(body)),
            Form::Predicted => Ok(wire::gemini::predicted(body)),
        }
    }

    /// The relay for a stream that comes with this content type; `None`: it is no stream that is
    /// known.
    #[must_use]
    pub fn stream(
        self,
        deployment: &Deployment,
        content_type: &str,
        options: StreamOptions,
        origin: &Origin<'_>,
    ) -> Option<StreamRelay> {
        let is = |name| content_type.contains(name);
        let is_known = match (self.0, deployment.dialect) {
            (Form::Own(Reading { api: Endpoint::Chat, .. }), Dialect::Ollama) => is("ndjson"),
            (Form::Own(Reading { api: Endpoint::Chat, .. }), Dialect::Bedrock)
            | (Form::Invoked, _) => is("vnd.amazon.eventstream"),
            (Form::Cohere, _) => is("stream+json") || is("event-stream"),
            _ => is("event-stream"),
        };
        is_known.then(|| match self.0 {
            Form::Own(Reading { api: Endpoint::Chat, .. })
                if deployment.dialect == Dialect::Bedrock =>
            {
                StreamRelay::bedrock(options, origin)
            }
            Form::Own(reading) => answer::stream(deployment, reading, options, origin),
            Form::OpenAi(api) if !api.is_text() => StreamRelay::media(api, true),
            Form::OpenAi(_) | Form::Predicted => StreamRelay::openai(options),
            Form::Messages => StreamRelay::anthropic_native(),
            Form::Gemini => StreamRelay::gemini_native(),
            Form::Invoked if origin.model.contains("claude") => {
                StreamRelay::bedrock_invoked(options, true)
            }
            Form::Invoked => StreamRelay::bedrock_counting(),
            Form::Cohere => StreamRelay::cohere_counting(),
        })
    }
}

/// Without `alt=sse` Google's stream is a list of replies, the last of which has all counts.
fn last_of_list(body: Bytes) -> Bytes {
    if !body.trim_ascii_start().starts_with(b"[") {
        return body;
    }
    let last = wire::json::elements(&body).into_iter().next_back();
    last.map_or_else(Bytes::new, |object| object.bytes().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::sample;
    use crate::provider::vendor;

    fn form(provider: &str, path: &str) -> Option<Form> {
        let vendor = vendor(provider).unwrap();
        let deployment = Deployment {
            dialect: vendor.dialect,
            quirks: vendor.quirks,
            ..sample::deployment(&format!("group = {provider}/m #id"))
        };
        Passed::of(&deployment, path).map(|passed| passed.0)
    }

    #[test]
    fn the_path_tells_what_an_answer_is() {
        let own = |api| Some(Form::Own(Reading { api, native: None }));
        let openai = |api| Some(Form::OpenAi(api));
        let on_vertex = |rest: &str| format!("/v1/projects/p/locations/l/{rest}");
        for (provider, path, expected) in [
            ("openai", "/v1/chat/completions", openai(Endpoint::Chat)),
            ("openai", "/v1/images/generations", openai(Endpoint::ImageGenerations)),
            ("openai", "/v1/files", None),
            ("mistral", "/v1/chat/completions?x=1", openai(Endpoint::Chat)),
            ("mistral", "/v1/fim/completions", openai(Endpoint::Completions)),
            (
                "azure",
                "/openai/deployments/d/embeddings?api-version=1",
                openai(Endpoint::Embeddings),
            ),
            ("azure_ai", "/anthropic/v1/messages", Some(Form::Messages)),
            ("anthropic", "/v1/messages", Some(Form::Messages)),
            ("anthropic", "/v1/messages/count_tokens", None),
            ("openai", "/v1/threads/t/messages", None),
            ("bedrock", "/model/m/converse", own(Endpoint::Chat)),
            ("bedrock", "/model/m/invoke", Some(Form::Invoked)),
            ("bedrock", "/model/m/invoke-with-response-stream", Some(Form::Invoked)),
            ("bedrock", "/agents/a/agentAliases/b/sessions/c/text", None),
            ("cohere", "/v2/chat", own(Endpoint::Chat)),
            ("cohere", "/v1/chat", Some(Form::Cohere)),
            ("cohere", "/v1/rerank", Some(Form::Cohere)),
            ("cohere", "/compatibility/v1/chat/completions", openai(Endpoint::Chat)),
            ("ollama", "/api/chat", own(Endpoint::Chat)),
            ("gemini", "/v1beta/models/m:streamGenerateContent", Some(Form::Gemini)),
            ("gemini", "/v1beta/models/m:countTokens", None),
        ] {
            assert_eq!(form(provider, path), expected, "{provider} {path}");
        }
        // A deployment for Gemini's models serves those of other publishers.
        for (rest, expected) in [
            ("publishers/google/models/g:generateContent", Some(Form::Gemini)),
            ("publishers/anthropic/models/c:streamRawPredict", Some(Form::Messages)),
            ("publishers/anthropic/models/count-tokens:rawPredict", None),
            ("publishers/mistralai/models/m:rawPredict", openai(Endpoint::Chat)),
            ("publishers/google/models/e:predict", Some(Form::Predicted)),
            ("endpoints/openapi/chat/completions", openai(Endpoint::Chat)),
            ("batchPredictionJobs", None),
        ] {
            assert_eq!(form("vertex_ai", &on_vertex(rest)), expected, "{rest}");
        }
    }
}
