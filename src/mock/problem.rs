//! Error bodies, in the words each provider uses for the same trouble.
//!
//! `error.type` and `error.code` are what a gateway must classify by, so they follow the providers'
//! documents closely; the texts are only close in meaning.

use bytes::Bytes;
use serde_json::{Value, json};

use super::asked::{Asked, Operation};
use super::{bedrock, cohere, responses};
use crate::dialect::Dialect;

/// Something the provider complains about.
#[derive(Clone, Debug, Default)]
pub(super) struct Problem {
    pub(super) cause: Cause,
    pub(super) message: Option<String>,
    /// OpenAI's and Azure's `code`, Anthropic's `type`.
    pub(super) code: Option<String>,
    /// OpenAI's `type`.
    pub(super) kind: Option<String>,
    pub(super) param: Option<String>,
}

/// Which body is the provider's usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The usual error of this status.
    Status(u16),
    Context,
    Policy,
    Quota,
    Overloaded,
}

impl Default for Cause {
    fn default() -> Self {
        Self::Status(500)
    }
}

/// The words of one error: type, code, message.
struct Words(&'static str, Option<&'static str>, &'static str);

impl Problem {
    pub(super) fn of(cause: Cause) -> Self {
        Self { cause, ..Self::default() }
    }

    pub(super) fn of_status(status: u16) -> Self {
        Self::of(Cause::Status(status))
    }

    pub(super) fn saying(status: u16, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::of_status(status) }
    }

    pub(super) fn context() -> Self {
        Self::of(Cause::Context)
    }

    pub(super) fn policy() -> Self {
        Self::of(Cause::Policy)
    }

    pub(super) fn quota() -> Self {
        Self::of(Cause::Quota)
    }

    pub(super) fn overloaded() -> Self {
        Self::of(Cause::Overloaded)
    }

    /// The status this provider sends for it.
    pub(super) fn status(&self, dialect: Dialect) -> u16 {
        match self.cause {
            Cause::Status(status) => status,
            Cause::Context | Cause::Policy => 400,
            Cause::Quota if dialect == Dialect::Anthropic => 402,
            Cause::Quota if dialect == Dialect::Bedrock => 400,
            Cause::Quota => 429,
            Cause::Overloaded if dialect == Dialect::Anthropic => 529,
            Cause::Overloaded => 503,
        }
    }

    /// The body of an HTTP error.
    pub(super) fn body(&self, dialect: Dialect, request_id: &str) -> Bytes {
        let text = match dialect {
            Dialect::Anthropic => json!({
                "type": "error",
                "error": self.anthropic(),
                "request_id": request_id,
            }),
            Dialect::OpenAi | Dialect::Azure => json!({ "error": self.openai(dialect) }),
            Dialect::Gemini => json!({ "error": self.google() }),
            Dialect::Bedrock => json!({ "message": self.text() }),
            Dialect::Cohere => json!({"id": request_id, "message": self.text()}),
            Dialect::Ollama => json!({ "error": self.text() }),
            Dialect::Custom => json!({ "problem": self.house() }),
        };
        Bytes::from(text.to_string())
    }

    /// A header that stands beside the body of an HTTP error.
    pub(super) fn header(&self, dialect: Dialect) -> Option<(&'static str, String)> {
        let kind = || format!("{}:http://internal.amazon.com/coral/", self.amazon());
        (dialect == Dialect::Bedrock).then(|| ("x-amzn-errortype", kind()))
    }

    /// What ends a stream which began with 200.
    pub(super) fn frame(&self, asked: &Asked) -> Bytes {
        let dialect = asked.dialect;
        if asked.operation == Operation::Responses {
            let Words(kind, code, _) = openai_words(self.cause);
            let code = self.code.as_deref().or(code).unwrap_or(kind);
            return responses::failed(asked, code, self.text());
        }
        let text = match dialect {
            Dialect::Bedrock => return bedrock::exception(self.amazon(), self.text()),
            Dialect::Cohere => return cohere::failed(self.text()),
            Dialect::Ollama => format!("{}\n", json!({ "error": self.text() })),
            Dialect::Custom => format!("data: {}\n\n", json!({ "problem": self.house() })),
            Dialect::Anthropic => {
                let mut error = self.anthropic();
                if let Some(fields) = error.as_object_mut() {
                    fields.insert("details".to_owned(), Value::Null);
                }
                format!("event: error\ndata: {}\n\n", json!({"type": "error", "error": error}))
            }
            Dialect::OpenAi | Dialect::Azure => {
                format!("data: {}\n\n", json!({ "error": self.openai(dialect) }))
            }
            // Without a field of an event before it.
            Dialect::Gemini => format!("{}\r\n", json!({ "error": self.google() })),
        };
        Bytes::from(text)
    }

    /// What is told to people, by those who have no words of their own here.
    fn text(&self) -> &str {
        let Words(.., usual) = openai_words(self.cause);
        self.message.as_deref().unwrap_or(match self.cause {
            Cause::Context => "Input is too long for requested model: too many tokens.",
            _ => usual,
        })
    }

    fn house(&self) -> Value {
        json!({"code": self.code, "text": self.text()})
    }

    /// Amazon's name for it.
    fn amazon(&self) -> &str {
        self.code.as_deref().unwrap_or_else(|| match self.status(Dialect::Bedrock) {
            401 | 403 => "AccessDeniedException",
            404 => "ResourceNotFoundException",
            408 => "ModelTimeoutException",
            424 => "ModelErrorException",
            _ if self.cause == Cause::Quota => "ServiceQuotaExceededException",
            429 => "ThrottlingException",
            503 => "ServiceUnavailableException",
            500.. => "InternalServerException",
            _ => "ValidationException",
        })
    }

    fn google(&self) -> Value {
        let code = self.status(Dialect::Gemini);
        let status = match code {
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            500 => "INTERNAL",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            _ => "INVALID_ARGUMENT",
        };
        let message = match self.cause {
            Cause::Context => {
                "The input token count (150123) exceeds the maximum number of tokens allowed \
                 (131072)."
            }
            Cause::Policy => "The response was blocked.",
            Cause::Quota => "You exceeded your current quota, please check your plan.",
            Cause::Overloaded => "The model is overloaded. Please try again later.",
            Cause::Status(_) => "The scripted provider was told to fail.",
        };
        let message = self.message.as_deref().unwrap_or(message);
        let mut error = json!({"code": code, "message": message, "status": status});
        if self.cause == Cause::Quota {
            let daily = json!({"quotaId": "GenerateRequestsPerDayPerProjectPerModel"});
            error["details"] = json!([{"violations": [daily]}]);
        }
        error
    }

    fn anthropic(&self) -> Value {
        let Words(kind, _, message) = anthropic_words(self.cause);
        json!({
            "type": self.code.as_deref().or(self.kind.as_deref()).unwrap_or(kind),
            "message": self.message.as_deref().unwrap_or(message),
        })
    }

    fn openai(&self, dialect: Dialect) -> Value {
        let azure = dialect == Dialect::Azure;
        let Words(kind, code, message) = match azure {
            true => azure_words(self.cause),
            false => openai_words(self.cause),
        };
        // Azure leaves the type of its own errors null.
        let kind = Some(kind).filter(|kind| !kind.is_empty());
        let mut error = json!({
            "message": self.message.as_deref().unwrap_or(message),
            "type": self.kind.as_deref().or(kind),
            "param": self.param.as_deref().or_else(|| param(self.cause)),
            "code": self.code.as_deref().or(code),
        });
        if azure && self.cause == Cause::Policy {
            error["status"] = json!(400);
            error["innererror"] = json!({
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": {
                    "hate": {"filtered": false, "severity": "safe"},
                    "jailbreak": {"filtered": false, "detected": false},
                    "self_harm": {"filtered": false, "severity": "safe"},
                    "sexual": {"filtered": false, "severity": "safe"},
                    "violence": {"filtered": true, "severity": "high"},
                },
            });
        }
        error
    }
}

const fn param(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Context => Some("messages"),
        Cause::Policy => Some("prompt"),
        Cause::Status(_) | Cause::Quota | Cause::Overloaded => None,
    }
}

fn openai_words(cause: Cause) -> Words {
    match cause {
        Cause::Context => Words(
            "invalid_request_error",
            Some("context_length_exceeded"),
            "This model's maximum context length is 128000 tokens. However, your messages \
             resulted in 150123 tokens. Please reduce the length of the messages.",
        ),
        Cause::Policy => Words(
            "invalid_request_error",
            Some("content_policy_violation"),
            "Your request was rejected as a result of our safety system.",
        ),
        Cause::Quota => Words(
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details.",
        ),
        Cause::Overloaded => Words("server_error", None, "The engine is currently overloaded."),
        Cause::Status(status) => match status {
            401 => Words(
                "invalid_request_error",
                Some("invalid_api_key"),
                "Incorrect API key provided.",
            ),
            402 => Words("billing_error", Some("insufficient_balance"), "Insufficient balance."),
            403 => Words(
                "invalid_request_error",
                Some("unsupported_country_region_territory"),
                "Country, region, or territory not supported.",
            ),
            404 => Words(
                "invalid_request_error",
                Some("model_not_found"),
                "The model does not exist or you do not have access to it.",
            ),
            408 => Words("timeout", None, "Request timed out."),
            409 => Words("conflict_error", None, "The resource is being changed elsewhere."),
            413 => Words("invalid_request_error", None, "The request body is too large."),
            429 => Words(
                "requests",
                Some("rate_limit_exceeded"),
                "Rate limit reached for requests per min (RPM): Limit 3, Used 3, Requested 1.",
            ),
            503 => Words("server_error", None, "The engine is currently overloaded."),
            500.. => Words("server_error", None, "The server had an error. Sorry about that!"),
            _ => Words("invalid_request_error", None, "The request was not understood."),
        },
    }
}

fn azure_words(cause: Cause) -> Words {
    match cause {
        Cause::Policy => Words(
            "",
            Some("content_filter"),
            "The response was filtered due to the prompt triggering Azure OpenAI's content \
             management policy. Please modify your prompt and retry.",
        ),
        Cause::Status(401) => Words(
            "",
            Some("401"),
            "Access denied due to invalid subscription key or wrong API endpoint.",
        ),
        Cause::Status(404) => Words(
            "",
            Some("DeploymentNotFound"),
            "The API deployment for this resource does not exist.",
        ),
        Cause::Status(429) => Words(
            "",
            Some("429"),
            "Requests have exceeded the call rate limit of your current pricing tier.",
        ),
        _ => openai_words(cause),
    }
}

fn anthropic_words(cause: Cause) -> Words {
    match cause {
        Cause::Context => Words(
            "invalid_request_error",
            None,
            "prompt is too long: 213462 tokens > 200000 maximum",
        ),
        Cause::Policy => {
            Words("invalid_request_error", None, "Output blocked by content filtering policy")
        }
        Cause::Quota => Words(
            "billing_error",
            None,
            "Your credit balance is too low to access the Anthropic API.",
        ),
        Cause::Overloaded => Words("overloaded_error", None, "Overloaded"),
        Cause::Status(status) => match status {
            401 => Words("authentication_error", None, "invalid x-api-key"),
            402 => Words("billing_error", None, "Your credit balance is too low."),
            403 => Words("permission_error", None, "Your API key may not use this resource."),
            404 => Words("not_found_error", None, "The requested resource was not found."),
            409 => Words("conflict_error", None, "The resource is being changed elsewhere."),
            413 => Words("request_too_large", None, "Request exceeds the maximum size"),
            429 => Words("rate_limit_error", None, "This request would exceed your rate limit."),
            408 | 504 => Words("timeout_error", None, "The request timed out."),
            503 | 529 => Words("overloaded_error", None, "Overloaded"),
            500.. => Words("api_error", None, "Internal server error"),
            _ => Words("invalid_request_error", None, "The request was not understood."),
        },
    }
}
