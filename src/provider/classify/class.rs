//! The class of an error: machine codes, then the status, then the text.
//!
//! Holds the words that are known; where in a body they stand is `body`'s.

use crate::failure::FailureClass;
use crate::wire::bedrock::class_of_code;

/// The class that machine codes, status and text make. `status` is `None` for an error inside a
/// stream, where only the other two can tell.
#[must_use]
pub fn class_of(status: Option<u16>, codes: &[impl AsRef<str>], text: &str) -> FailureClass {
    let by_code = CODES.iter().find_map(|(class, names)| is_one_of(codes, names).then_some(*class));
    // A request over the limit of a whole minute is refused at once by some (Groq) as too large.
    if status == Some(413) && matches!(by_code, Some(FailureClass::RateLimited)) {
        return FailureClass::ContextWindow;
    }
    if let Some(class) = by_code {
        return class;
    }
    // A name of Amazon's says more than the status, except that it wraps every refusal alike.
    let of_amazon = codes.iter().find_map(|code| class_of_code(code.as_ref()));
    match of_amazon {
        None => {}
        Some(FailureClass::BadRequest) => {
            return by_text(codes, text).unwrap_or(FailureClass::BadRequest);
        }
        Some(class) => return class,
    }
    match status {
        Some(401) => FailureClass::Auth,
        Some(402) => FailureClass::Quota,
        Some(408 | 504 | 522 | 524) => FailureClass::Timeout,
        Some(409) => FailureClass::Conflict,
        Some(429) => FailureClass::RateLimited,
        // 498 is Groq's word for no room in the flex tier.
        Some(498 | 503 | 529) => FailureClass::Overloaded,
        Some(424 | 500..) => FailureClass::Server,
        Some(400..) => by_text(codes, text).unwrap_or(match status {
            Some(403) => FailureClass::Auth,
            Some(404 | 410) => FailureClass::NotFound,
            Some(413) => FailureClass::ContextWindow,
            _ => FailureClass::BadRequest,
        }),
        // A fault that the provider names as its own is one, whatever it says about tokens.
        Some(_) | None if is_one_of(codes, SERVER_CODES) => FailureClass::Server,
        Some(_) | None => {
            by_text(codes, text).unwrap_or_else(|| match is_one_of(codes, BAD_REQUEST_CODES) {
                true => FailureClass::BadRequest,
                false => FailureClass::Server,
            })
        }
    }
}

fn is_one_of(codes: &[impl AsRef<str>], names: &[&str]) -> bool {
    let is_named = |code: &str| names.iter().any(|name| name.eq_ignore_ascii_case(code));
    codes.iter().any(|code| is_named(code.as_ref()))
}

/// Whether a word blames the request, and so is wrong where the request is not at fault.
pub(super) fn blames_the_request(word: &str) -> bool {
    is_one_of(&[word], BAD_REQUEST_CODES)
}

/// Codes, types and reasons that mean one thing whatever the status is. The first class that has
/// one of the codes wins: an error of type `rate_limit_error` whose code is a spend limit is a quota.
const CODES: &[(FailureClass, &[&str])] = &[
    (
        FailureClass::ContentPolicy,
        &[
            "content_policy_violation",
            "content_filter",
            "ResponsibleAIPolicyViolation",
            "refusal",
            "ERROR_TOXIC",
            "data_inspection_failed",
            // Of the Responses API, and of images.
            "bio_policy",
            "misalignment_policy_violation",
            "image_content_policy_violation",
        ],
    ),
    (
        FailureClass::ContextWindow,
        &[
            "context_length_exceeded",
            "max_tokens_exceeded",
            "token_limit_exceeded",
            "exceed_context_size_error",
            "request_too_large",
            "model_context_window_exceeded",
        ],
    ),
    (
        FailureClass::Quota,
        &[
            "insufficient_quota",
            "billing_error",
            "billing_hard_limit_reached",
            "billing_not_active",
            "payment_required",
            "enforced_spend_limit_reached",
            "contract_spend_limit_reached",
            QUOTA_PER_DAY,
        ],
    ),
    (
        FailureClass::Auth,
        &[
            "invalid_api_key",
            "API_KEY_INVALID",
            "authentication_error",
            "authentication",
            "permission_error",
            "permission_denied",
            "UNAUTHENTICATED",
        ],
    ),
    (
        FailureClass::RateLimited,
        &[
            "rate_limit_exceeded",
            "rate_limit_error",
            "RateLimitReached",
            "ramp_limit_exceeded",
            "RESOURCE_EXHAUSTED",
            "ThrottlingException",
            "too_many_requests",
            "TooManyRequests",
        ],
    ),
    (
        FailureClass::Overloaded,
        &[
            "overloaded_error",
            "overloaded",
            "provider_overloaded",
            "provider_unavailable",
            "service_unavailable",
            "UNAVAILABLE",
        ],
    ),
    (FailureClass::Timeout, &["timeout_error", "timeout", "DEADLINE_EXCEEDED"]),
    (FailureClass::Conflict, &["conflict_error"]),
    (
        FailureClass::NotFound,
        &["model_not_found", "not_found_error", "not_found", "DeploymentNotFound", "NOT_FOUND"],
    ),
];

/// Codes that blame the request. They are too general to be believed where there is a status: Azure
/// refuses content by an `invalid_request_error`, and others credentials.
const BAD_REQUEST_CODES: &[&str] = &[
    "invalid_request_error",
    "invalid_request",
    "BadRequestError",
    "invalid_prompt",
    "string_too_long",
    "unprocessable",
    "payload_too_large",
];

/// Codes by which a provider says that it broke. Beside a status they are not needed; in a stream they
/// keep the text from deciding.
const SERVER_CODES: &[&str] = &[
    "server_error",
    "api_error",
    "internal_error",
    "internal_server_error",
    "InternalServerError",
    "INTERNAL",
];

/// Our own word for a limit of Google's that only the next day lifts.
pub(super) const QUOTA_PER_DAY: &str = "quota per day";

/// Texts that say that a prompt is too long, in lower case.
const CONTEXT_TEXTS: &[&str] = &[
    "maximum context length",
    "model's context length",
    "exceeds the context window",
    "context window exceeds limit",
    "exceed context limit",
    "prompt is too long",
    "prompt too long",
    "exceeds the maximum number of tokens",
    "request payload size exceeds",
    "input is too long for requested model",
    "too many input tokens",
    "too many tokens",
    "expected maxlength",
    "too large for model with",
    "maximum prompt length is",
    "reduce the length of the messages",
    "exceeds the available context size",
    "greater than the context length",
    "exceeded model token limit",
    "context length exceeded",
];

/// Texts that say that the content was refused, in lower case.
const POLICY_TEXTS: &[&str] = &[
    "violating our usage policy",
    "rejected as a result of our safety system",
    "content management policy",
    "blocked by content filtering policy",
    "the response was blocked",
    "content exists risk",
];

/// Texts that a request cannot be blamed for, although the status does.
const QUOTA_TEXTS: &[&str] =
    &["credit balance is too low", "insufficient balance", "specified api usage limits"];
/// Bedrock's words for a model that the account or the region does not have under that id.
const MODEL_TEXTS: &[&str] =
    &["with on-demand throughput isn", "the provided model identifier is invalid"];
const AUTH_TEXTS: &[&str] = &["api key not valid", "invalid api key", "incorrect api key"];

fn by_text(codes: &[impl AsRef<str>], text: &str) -> Option<FailureClass> {
    let text = text.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if text.contains("throttling error") {
        return Some(FailureClass::RateLimited);
    }
    if has(QUOTA_TEXTS) {
        return Some(FailureClass::Quota);
    }
    if has(MODEL_TEXTS) {
        return Some(FailureClass::NotFound);
    }
    if has(AUTH_TEXTS) {
        return Some(FailureClass::Auth);
    }
    if has(POLICY_TEXTS) {
        return Some(FailureClass::ContentPolicy);
    }
    let is_field_too_long =
        codes.iter().any(|code| matches!(code.as_ref(), "string_above_max_length"));
    // The client asked for more output than the model can give: no larger window helps.
    let is_output_too_large = text.contains("max_tokens") && text.contains("is too large");
    if is_field_too_long || is_output_too_large || text.contains("rate limit") {
        return None;
    }
    let is_cerebras = text.contains("current length is") && text.contains("while limit is");
    (has(CONTEXT_TEXTS) || is_cerebras).then_some(FailureClass::ContextWindow)
}
