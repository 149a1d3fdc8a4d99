//! Every way in which a request can fail, and how each is told to the client.
//!
//! The one place where an error becomes a status, a body and headers, in the client's dialect. The
//! codes are part of the interface (`docs/errors.md`); texts may change.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use super::overflow;
pub use super::quota::NoRoom;
use super::refusal::HeadProblem;
pub use crate::admin::ClientDialect;
use crate::admin::{Problem, shortened};
use crate::failure::{Failure, FailureClass};
use crate::guard::{Refusal, Why};
use crate::keys::AuthError;
use crate::keys::access::Owner;
use crate::routing::Out;

/// Why a request was not answered as asked.
#[derive(Debug)]
pub enum GatewayError {
    /// No key came with the request, or none of ours.
    Key(AuthError),
    /// The model is not one that the caller may call.
    ModelDenied { owner: Owner, model: String },
    /// The key does not open this path.
    RouteDenied { path: String },
    /// Whom the client calls for is blocked.
    EndUserBlocked { id: String },
    /// The head is not one of a request that is served.
    BadHead(HeadProblem),
    /// The body is larger than `max_request_size_mb`.
    BodyTooLarge { limit_bytes: usize },
    /// The body did not arrive: too slow, or cut.
    BodyIncomplete { why: &'static str },
    /// The body is not what the endpoint takes.
    BadBody { message: String, param: Option<&'static str>, code: &'static str },
    /// Nothing is called that.
    UnknownModel { model: String },
    /// The last attempt failed, and no other follows.
    Upstream(Box<Failure>),
    /// Every deployment that could serve is resting.
    AllCooling { model: String, retry_after: Duration },
    /// Every deployment that could serve has its `max_parallel_requests` in flight.
    DeploymentsFull { model: String },
    /// Every deployment that could serve is at a limit of requests or tokens, or has a budget that is used
    /// up. `retry_after` is `None` where nobody can tell when that ends.
    DeploymentsLimited { model: String, limit: &'static str, retry_after: Option<Duration> },
    /// No deployment can serve what is asked.
    NoneFits { model: String, out: Out },
    /// Tags were sent, and no deployment takes them.
    NoTaggedDeployment { model: String },
    /// A limit or a budget of the key, its team or somebody else who pays has no room.
    NoRoom(NoRoom),
    /// The gateway has its `global_max_parallel_requests` in flight.
    GatewayFull,
    /// As many requests are in flight, and wait, as may; or the wait was too long.
    Overloaded,
    /// A guardrail lets it go no further.
    Guarded(Box<Refusal>),
    /// What is spent cannot be written down, and may not be spent then.
    Unrecorded,
    /// The whole request took longer than `request_timeout`.
    Deadline { after: Duration },
    /// The gateway broke; the log has the reason under the request id.
    Internal,
}

impl GatewayError {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Key(error) => error.status(),
            Self::ModelDenied { .. } | Self::RouteDenied { .. } => 403,
            // LiteLLM's.
            Self::EndUserBlocked { .. } => 400,
            Self::BadHead(problem) => problem.status(),
            Self::UnknownModel { .. } => 404,
            Self::NoTaggedDeployment { .. } | Self::NoneFits { .. } => 400,
            Self::BodyTooLarge { .. } => 413,
            Self::BodyIncomplete { .. } => 408,
            Self::BadBody { .. } => 400,
            Self::Upstream(failure) => upstream_status(failure),
            Self::AllCooling { .. }
            | Self::DeploymentsFull { .. }
            | Self::DeploymentsLimited { .. }
            | Self::GatewayFull => 429,
            Self::NoRoom(no_room) => no_room.status(),
            Self::Overloaded | Self::Unrecorded => 503,
            Self::Guarded(refusal) => match refusal.why {
                Why::Found { .. } | Why::Unseen(_) | Why::Unknown => 400,
                Why::NoAnswer => 503,
            },
            Self::Deadline { .. } => 504,
            Self::Internal => 500,
        }
    }

    /// The status as clients of a dialect know it: 529 is Anthropic's own, others know 503.
    #[must_use]
    pub fn status_for(&self, dialect: ClientDialect) -> u16 {
        match (self, dialect) {
            (Self::Upstream(failure), ClientDialect::Anthropic)
                if failure.class == FailureClass::Overloaded && failure.status == Some(529) =>
            {
                529
            }
            _ => self.status(),
        }
    }

    /// The machine code: stable, documented.
    #[must_use]
    pub fn code(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Key(error) => error.code(),
            Self::ModelDenied { .. } => "model_access_denied",
            Self::RouteDenied { .. } => "route_not_allowed",
            Self::EndUserBlocked { .. } => "end_user_blocked",
            Self::BadHead(problem) => problem.code(),
            Self::BodyTooLarge { .. } => "request_too_large",
            Self::BodyIncomplete { .. } => "request_incomplete",
            Self::BadBody { code, .. } => code,
            Self::UnknownModel { .. } => "model_not_found",
            Self::Upstream(failure) => upstream_code(failure),
            Self::AllCooling { .. } => "all_deployments_in_cooldown",
            Self::DeploymentsFull { .. } => "deployments_at_max_parallel_requests",
            Self::DeploymentsLimited { .. } => "deployments_at_rate_limit",
            Self::NoneFits { out, .. } => match out {
                Out::ContextTooSmall { .. } | Out::NotLongContext { .. } => {
                    "context_length_exceeded"
                }
                Out::OtherRegion => "no_deployment_in_region",
                Out::NotOwner => "previous_response_not_found",
                _ => "no_deployment_with_capability",
            },
            Self::NoTaggedDeployment { .. } => "no_deployment_for_tags",
            Self::NoRoom(no_room) => no_room.code(),
            Self::GatewayFull => "gateway_at_max_parallel_requests",
            Self::Overloaded => "gateway_overloaded",
            Self::Unrecorded => "spend_not_recorded",
            Self::Guarded(refusal) => match refusal.why {
                Why::Found { .. } => "guardrail_violation",
                Why::NoAnswer => "guardrail_unavailable",
                Why::Unseen(_) => "guardrail_not_applicable",
                Why::Unknown => "guardrail_not_found",
            },
            Self::Deadline { .. } => "request_timeout",
            Self::Internal => "internal_error",
        })
    }

    /// The error's `type` in OpenAI's envelope.
    #[must_use]
    pub fn kind(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Key(error) => error.kind(),
            Self::ModelDenied { owner, .. } => owner.denial(),
            Self::RouteDenied { .. } => "auth_error",
            Self::EndUserBlocked { .. } => "invalid_request_error",
            Self::BadHead(_)
            | Self::BodyTooLarge { .. }
            | Self::BodyIncomplete { .. }
            | Self::BadBody { .. }
            | Self::UnknownModel { .. }
            | Self::NoneFits { .. }
            | Self::NoTaggedDeployment { .. } => "invalid_request_error",
            Self::Upstream(failure) => upstream_kind(failure),
            Self::AllCooling { .. }
            | Self::DeploymentsFull { .. }
            | Self::DeploymentsLimited { .. }
            | Self::GatewayFull => "rate_limit_error",
            Self::NoRoom(no_room) => no_room.kind(),
            Self::Overloaded => "overloaded_error",
            Self::Unrecorded => "service_unavailable_error",
            Self::Guarded(refusal) => match refusal.why {
                Why::Found { .. } | Why::Unseen(_) | Why::Unknown => "invalid_request_error",
                Why::NoAnswer => "service_unavailable_error",
            },
            Self::Deadline { .. } => "timeout_error",
            Self::Internal => "internal_server_error",
        })
    }

    /// What a person reads. Holds nothing internal: no key, no deployment, no fallback.
    #[must_use]
    pub fn message(&self) -> Cow<'_, str> {
        Cow::Owned(match self {
            Self::Key(error) => error.to_string(),
            Self::ModelDenied { owner, model } => format!(
                "{} not allowed to access model. Tried to access {}. GET /v1/models lists the models \
                 that this key may call.",
                owner.word(),
                shortened(model)
            ),
            Self::RouteDenied { path } => format!(
                "Virtual key is not allowed to call this route. Tried to call route: {}",
                shortened(path)
            ),
            Self::EndUserBlocked { id } => {
                format!("User blocked from making LLM API Calls. User={}", shortened(id))
            }
            Self::BadHead(problem) => return Cow::Borrowed(problem.message()),
            Self::BodyTooLarge { limit_bytes } => {
                format!("The request body is larger than the limit of {limit_bytes} bytes.")
            }
            Self::BodyIncomplete { why } => format!("The request body did not arrive: {why}."),
            Self::BadBody { message, .. } => message.clone(),
            Self::UnknownModel { model } => format!(
                "The model `{}` does not exist here. GET /v1/models lists those that do.",
                shortened(model)
            ),
            Self::Upstream(failure) => return upstream_message(failure),
            Self::AllCooling { model, retry_after } => format!(
                "Every deployment of `{model}` is resting after failures. Try again in {} seconds.",
                whole_seconds(*retry_after)
            ),
            Self::DeploymentsFull { model } => {
                format!("Every deployment of `{model}` has as many requests in flight as it may.")
            }
            Self::DeploymentsLimited { model, limit, retry_after } => {
                let again = retry_after.map_or_else(String::new, |wait| {
                    format!(", Try again in {} seconds", whole_seconds(wait))
                });
                format!(
                    "No deployments available for selected model{again}. Every deployment of `{model}` \
                     is at its {limit} limit."
                )
            }
            Self::NoneFits { model, out } => unfit_message(model, *out),
            Self::NoTaggedDeployment { model } => {
                format!("No deployment of `{model}` takes requests with these tags.")
            }
            Self::NoRoom(no_room) => no_room.message(),
            Self::GatewayFull => {
                "The gateway has as many requests in flight as it may. Try again shortly.".into()
            }
            Self::Overloaded => {
                "The gateway has more requests than it can serve. Try again shortly.".into()
            }
            Self::Unrecorded => {
                "The gateway cannot write down what requests cost, and serves none meanwhile."
                    .into()
            }
            Self::Guarded(refusal) => guarded_message(refusal),
            Self::Deadline { after } => format!(
                "The request was not finished within its limit of {} seconds.",
                after.as_secs_f64()
            ),
            Self::Internal => {
                "The gateway failed. The request id finds the reason in its log.".into()
            }
        })
    }

    /// The request field to blame.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::BadBody { param, .. } => *param,
            Self::UnknownModel { .. } | Self::ModelDenied { .. } => Some("model"),
            Self::EndUserBlocked { .. } => Some("user"),
            Self::Guarded(refusal) if refusal.why == Why::Unknown => Some("guardrails"),
            Self::Upstream(failure) => failure.param.as_deref(),
            Self::Key(error) => error.param(),
            Self::RouteDenied { .. }
            | Self::BadHead(_)
            | Self::BodyTooLarge { .. }
            | Self::BodyIncomplete { .. }
            | Self::AllCooling { .. }
            | Self::DeploymentsFull { .. }
            | Self::DeploymentsLimited { .. }
            | Self::NoneFits { .. }
            | Self::NoTaggedDeployment { .. }
            | Self::NoRoom(_)
            | Self::GatewayFull
            | Self::Overloaded
            | Self::Unrecorded
            | Self::Guarded(_)
            | Self::Deadline { .. }
            | Self::Internal => None,
        }
    }

    /// How long the client should wait, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::AllCooling { retry_after, .. } => Some(*retry_after),
            Self::DeploymentsLimited { retry_after, .. } => *retry_after,
            Self::NoRoom(no_room) => no_room.wait(),
            Self::DeploymentsFull { .. }
            | Self::GatewayFull
            | Self::Overloaded
            | Self::Unrecorded
            | Self::Key(AuthError::Unavailable) => Some(Duration::from_secs(1)),
            Self::Guarded(refusal) => {
                (refusal.why == Why::NoAnswer).then_some(Duration::from_secs(1))
            }
            Self::Upstream(failure) => failure.retry_after.or_else(|| {
                // SDKs retry these at once otherwise; a second is what the providers ask for.
                matches!(failure.class, FailureClass::Overloaded).then_some(Duration::from_secs(1))
            }),
            Self::Key(_)
            | Self::ModelDenied { .. }
            | Self::RouteDenied { .. }
            | Self::EndUserBlocked { .. }
            | Self::BadHead(_)
            | Self::BodyTooLarge { .. }
            | Self::BodyIncomplete { .. }
            | Self::BadBody { .. }
            | Self::UnknownModel { .. }
            | Self::NoneFits { .. }
            | Self::NoTaggedDeployment { .. }
            | Self::Deadline { .. }
            | Self::Internal => None,
        }
    }

    /// The body in the client's envelope. Errors of the gateway's own making carry the request id.
    #[must_use]
    pub fn body(&self, dialect: ClientDialect, request_id: &str) -> Bytes {
        let ours = !matches!(self, Self::Upstream(_));
        let message = match dialect {
            ClientDialect::Anthropic => {
                overflow::told(self).map_or_else(|| self.message(), Cow::Owned)
            }
            ClientDialect::OpenAi | ClientDialect::Responses | ClientDialect::Gemini => {
                self.message()
            }
        };
        let problem = Problem {
            status: self.status_for(dialect),
            kind: &self.kind(),
            code: &self.code(),
            message: &message,
            param: self.param(),
            // Anthropic's own errors carry it too.
            request_id: (ours || dialect == ClientDialect::Anthropic).then_some(request_id),
            telling: match self {
                Self::Upstream(failure) if !lacks_credential(failure) => Some(failure.telling()),
                _ => None,
            },
        };
        problem.body(dialect)
    }

    /// The same as one frame of an event stream whose head is out already.
    #[must_use]
    pub fn frame(&self, dialect: ClientDialect, request_id: &str) -> Bytes {
        let body = self.body(dialect, request_id);
        let start: &[u8] = match dialect {
            ClientDialect::OpenAi | ClientDialect::Responses | ClientDialect::Gemini => b"data: ",
            ClientDialect::Anthropic => b"event: error\ndata: ",
        };
        Bytes::from([start, &body, b"\n\n"].concat())
    }
}

/// `Retry-After` takes whole seconds: rounded up, so that nobody comes back too early.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn upstream_status(failure: &Failure) -> u16 {
    match lacks_credential(failure) {
        // Not 401: a client would take that for a word about its own key.
        true => 503,
        false => failure.telling().status,
    }
}

/// The gateway could not get the credential that the deployment is called with.
fn lacks_credential(failure: &Failure) -> bool {
    failure.status.is_none() && failure.code.as_deref() == Some(Failure::NO_CREDENTIAL)
}

fn upstream_code(failure: &Failure) -> &str {
    let own = failure.telling().code;
    match failure.class {
        FailureClass::Auth if lacks_credential(failure) => Failure::NO_CREDENTIAL,
        // The provider's words about its credentials stay here: they are ours, not the client's.
        FailureClass::Auth => own,
        _ => failure.code.as_deref().unwrap_or(own),
    }
}

fn upstream_kind(failure: &Failure) -> &str {
    let own = failure.telling().kind;
    match failure.class {
        FailureClass::Auth => own,
        _ => failure.kind.as_deref().unwrap_or(own),
    }
}

fn upstream_message(failure: &Failure) -> Cow<'_, str> {
    match failure.class {
        FailureClass::Auth if lacks_credential(failure) => Cow::Owned(format!(
            "The gateway has {}. The gateway's operator has to mend that; your key is fine.",
            failure.message
        )),
        FailureClass::Auth => Cow::Borrowed(
            "The provider refused the gateway's credentials for this model. \
             The gateway's operator has to mend them; your key is fine.",
        ),
        FailureClass::BadRequest
        | FailureClass::ContextWindow
        | FailureClass::ContentPolicy
        | FailureClass::NotFound
        | FailureClass::Quota
        | FailureClass::RateLimited
        | FailureClass::Overloaded
        | FailureClass::Timeout
        | FailureClass::Connection
        | FailureClass::Server
        | FailureClass::Conflict => Cow::Borrowed(&failure.message),
    }
}

fn guarded_message(refusal: &Refusal) -> String {
    let name = shortened(&refusal.guardrail);
    match &refusal.why {
        Why::Found { message, .. } => format!("{message} (guardrail `{name}`)"),
        Why::NoAnswer => format!(
            "The guardrail `{name}` gave no answer, and nothing goes on without one. Try again shortly."
        ),
        Why::Unseen(why) => format!(
            "The guardrail `{name}` cannot look at this request, and nothing goes on unseen: {why}."
        ),
        Why::Unknown => format!(
            "There is no guardrail `{name}` here, and the request, its key, its team or its model asks \
             for it. GET /guardrails/list lists those that there are."
        ),
    }
}

/// Why no deployment can serve; the first words of the first are LiteLLM's.
fn unfit_message(model: &str, out: Out) -> String {
    match out {
        Out::ContextTooSmall { window, tokens } => format!(
            "Context Window exceeded for given call. No models have context window large enough \
             for this call: the prompt has about {tokens} tokens, and the largest context window of \
             `{model}` is {window}."
        ),
        Out::NotLongContext { tokens } => format!(
            "Context Window exceeded for given call. No models have context window large enough \
             for this call: no deployment of `{model}` is known to take a prompt of about {tokens} \
             tokens."
        ),
        Out::MissingCapability(capability) => format!(
            "No deployment of `{model}` can serve this request: it needs {}.",
            capability.description()
        ),
        Out::NotOwner => format!(
            "The previous response, or a file that the request names, is not kept at `{model}`: it can \
             only be used under the name of a model of the account that keeps it."
        ),
        Out::OtherRegion => {
            format!("No deployment of `{model}` is in a region that the request may go to.")
        }
        other => format!("No deployment of `{model}` can serve this request: each {other}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &Bytes) -> serde_json::Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn credentials_of_the_gateway_are_not_the_clients_business() {
        let mut failure = Failure::new(FailureClass::Auth, "Incorrect API key provided: sk-pro***");
        failure.status = Some(401);
        failure.code = Some("invalid_api_key".into());

        let error = GatewayError::Upstream(Box::new(failure));
        let body = parsed(&error.body(ClientDialect::OpenAi, "id"));

        assert_eq!(error.status(), 401);
        assert_eq!(body["error"]["code"], "upstream_authentication_error");
        assert!(!body.to_string().contains("sk-pro"));
    }

    #[test]
    fn a_529_becomes_a_503_that_asks_for_a_second() {
        let mut failure = Failure::new(FailureClass::Overloaded, "Overloaded");
        failure.status = Some(529);
        let error = GatewayError::Upstream(Box::new(failure));
        assert_eq!((error.status(), error.retry_after()), (503, Some(Duration::from_secs(1))));
    }

    #[test]
    fn a_class_is_told_alike_to_clients_of_every_api() {
        for (class, status, told, anthropic, google) in [
            (FailureClass::RateLimited, 400, 429, "rate_limit_error", "RESOURCE_EXHAUSTED"),
            (FailureClass::ContextWindow, 413, 400, "invalid_request_error", "INVALID_ARGUMENT"),
            (FailureClass::Server, 424, 502, "api_error", "INTERNAL"),
            (FailureClass::Timeout, 408, 408, "timeout_error", "DEADLINE_EXCEEDED"),
            (FailureClass::Timeout, 524, 504, "timeout_error", "DEADLINE_EXCEEDED"),
            (FailureClass::Overloaded, 502, 503, "overloaded_error", "UNAVAILABLE"),
        ] {
            let failure = Failure { status: Some(status), ..Failure::new(class, "m") };
            let error = GatewayError::Upstream(Box::new(failure));
            let of = |dialect| parsed(&error.body(dialect, "id"));
            assert_eq!(of(ClientDialect::Anthropic)["error"]["type"], anthropic, "{class:?}");
            assert_eq!(of(ClientDialect::Gemini)["error"]["status"], google, "{class:?}");
            assert_eq!(of(ClientDialect::Gemini)["error"]["code"], told, "{class:?}");
            for dialect in [ClientDialect::OpenAi, ClientDialect::Anthropic] {
                assert_eq!(error.status_for(dialect), told, "{class:?} {dialect:?}");
            }
            let frame = error.frame(ClientDialect::Anthropic, "id");
            let frame = String::from_utf8(frame.to_vec()).unwrap();
            assert!(frame.contains(anthropic), "{frame}");
        }
    }

    #[test]
    fn anthropic_clients_see_their_own_envelope() {
        let error = GatewayError::Key(AuthError::Missing);
        let body = parsed(&error.body(ClientDialect::Anthropic, "req-1"));
        assert_eq!(body["type"], "error");
        assert_eq!(body["error"]["type"], "authentication_error");
        assert_eq!(body["request_id"], "req-1");
        assert!(error.frame(ClientDialect::Anthropic, "r").starts_with(b"event: error\ndata: {"));
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(3)), 3);
    }
}
