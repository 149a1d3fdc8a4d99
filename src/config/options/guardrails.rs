//! Guardrails, at the top of a file and in `litellm_settings`.

use super::{Kind, Table, later, on};

/// An entry of `guardrails`.
pub(crate) const GUARDRAIL: Table = Table {
    name: "guardrails",
    place: "An entry of `guardrails`, at the top or in `litellm_settings`",
    open: false,
    options: &[
        on("guardrail_name", Kind::Text, "", "by which requests, keys and teams ask for it"),
        on("litellm_params", Kind::Map, "", "what it is and when it looks"),
        on("guardrail_info", Kind::Map, "{}", "for people; shown by `/guardrails/list`"),
    ],
};

macro_rules! params {
    ($($more:expr,)*) => {
        &[
            on("guardrail", Kind::Text, "", "its kind"),
            on("mode", Kind::Text, "", "`pre_call`, `during_call`, `post_call`, `logging_only`; or a list"),
            on("default_on", Kind::Flag, "false", "it looks at every request"),
            on(
                "unreachable_fallback",
                Kind::Text,
                "fail_closed",
                "`fail_open`: what it cannot look at, or gives no answer about, goes on",
            ),
            on("stream_window", Kind::Count, "", "bytes of new text before a stream is looked at"),
            on("stream_overlap", Kind::Count, "", "bytes that are kept back and looked at again"),
            on(
                "streaming_end_of_stream_only",
                Kind::Flag,
                "false",
                "streams are looked at once, at their end; nothing leaves before",
            ),
            $($more,)*
        ]
    };
}

macro_rules! elsewhere {
    ($($more:expr,)*) => {
        params![
            on("timeout", Kind::Seconds, "5", "how long an answer is waited for"),
            on("max_concurrency", Kind::Count, "64", "questions at one time; others wait"),
            $($more,)*
        ]
    };
}

/// `guardrail: litellm_content_filter`.
pub(crate) const GUARD_FILTER: Table = Table {
    name: "litellm_content_filter",
    place: "`litellm_params` of `guardrail: litellm_content_filter`",
    open: false,
    options: params![
        on("patterns", Kind::List, "[]", "expressions, each with an `action`"),
        on("blocked_words", Kind::List, "[]", "words, each with an `action`"),
        on("blocked_words_file", Kind::Text, "", "a YAML file with `blocked_words`"),
        on(
            "pattern_redaction_format",
            Kind::Text,
            "[{pattern_name}_REDACTED]",
            "what stands for a masked expression",
        ),
        on(
            "keyword_redaction_tag",
            Kind::Text,
            "[KEYWORD_REDACTED]",
            "what stands for a masked word",
        ),
        later("categories", "no category of words is built in; write `blocked_words`"),
        later("severity_threshold", "no category of words is built in"),
        later("competitor_intent_config", "write the names as `blocked_words`"),
    ],
};

/// An entry of `patterns`.
pub(crate) const GUARD_PATTERN: Table = Table {
    name: "patterns",
    place: "An entry of `patterns` of a content filter",
    open: false,
    options: &[
        on("pattern_type", Kind::Text, "regex", "`regex`, or `prebuilt`"),
        on(
            "pattern_name",
            Kind::Text,
            "",
            "of a prebuilt one: `email`, `us_ssn`, `aws_access_key`",
        ),
        on("pattern", Kind::Text, "", "the expression, in the syntax of Rust's `regex`"),
        on("name", Kind::Text, "", "what it is called when it is found"),
        on("action", Kind::Text, "BLOCK", "`BLOCK` or `MASK`"),
    ],
};

/// An entry of `blocked_words`.
pub(crate) const GUARD_WORD: Table = Table {
    name: "blocked_words",
    place: "An entry of `blocked_words` of a content filter",
    open: false,
    options: &[
        on("keyword", Kind::Text, "", "a word or a phrase, of any case"),
        on("action", Kind::Text, "BLOCK", "`BLOCK` or `MASK`"),
        on("description", Kind::Text, "", "told to the client"),
    ],
};

/// `guardrail: hide-secrets`.
pub(crate) const GUARD_SECRETS: Table = Table {
    name: "hide-secrets",
    place: "`litellm_params` of `guardrail: hide-secrets`",
    open: false,
    options: params![
        on("action", Kind::Text, "MASK", "`MASK` or `BLOCK`"),
        later("detect_secrets_config", "all forms that are known are looked for"),
    ],
};

/// `guardrail: pii`.
pub(crate) const GUARD_PII: Table = Table {
    name: "pii",
    place: "`litellm_params` of `guardrail: pii`",
    open: false,
    options: params![
        on("pii_entities_config", Kind::Map, "all", "`MASK` or `BLOCK`, by entity"),
        on(
            "output_parse_pii",
            Kind::Flag,
            "true",
            "the client gets its own data back in the reply"
        ),
    ],
};

/// `guardrail: prompt_injection`.
pub(crate) const GUARD_INJECTION: Table = Table {
    name: "prompt_injection",
    place: "`litellm_params` of `guardrail: prompt_injection`",
    open: false,
    options: params![on(
        "threshold",
        Kind::Number,
        "1",
        "what signs must weigh together; a plain one weighs 1"
    ),],
};

/// `guardrail: openai_moderation`.
pub(crate) const GUARD_MODERATION: Table = Table {
    name: "openai_moderation",
    place: "`litellm_params` of `guardrail: openai_moderation`",
    open: false,
    options: elsewhere![
        on("api_base", Kind::Text, "https://api.openai.com/v1", "any API that has `/moderations`"),
        on("api_key", Kind::Secret, "$OPENAI_API_KEY", "its key"),
        on("model", Kind::Text, "omni-moderation-latest", "the model that moderates"),
    ],
};

/// `guardrail: generic_guardrail_api`.
pub(crate) const GUARD_API: Table = Table {
    name: "generic_guardrail_api",
    place: "`litellm_params` of `guardrail: generic_guardrail_api`",
    open: false,
    options: elsewhere![
        on("api_base", Kind::Text, "", "of what answers `/beta/litellm_basic_guardrail_api`"),
        on("api_key", Kind::Secret, "", "sent as `x-api-key`"),
        on("headers", Kind::Map, "{}", "further headers of each question"),
        on(
            "additional_provider_specific_params",
            Kind::Map,
            "{}",
            "sent with each question; `extra_body` of a request is added",
        ),
    ],
};

/// `guardrail: presidio`.
pub(crate) const GUARD_PRESIDIO: Table = Table {
    name: "presidio",
    place: "`litellm_params` of `guardrail: presidio`",
    open: false,
    options: elsewhere![
        on("presidio_analyzer_api_base", Kind::Text, "$PRESIDIO_ANALYZER_API_BASE", "finds"),
        on(
            "presidio_anonymizer_api_base",
            Kind::Text,
            "$PRESIDIO_ANONYMIZER_API_BASE",
            "masks what does not come back",
        ),
        on("pii_entities_config", Kind::Map, "all", "`MASK` or `BLOCK`, by entity"),
        on(
            "output_parse_pii",
            Kind::Flag,
            "false",
            "the client gets its own data back in the reply"
        ),
        on("presidio_language", Kind::Text, "en", "the language of the texts"),
        on("presidio_score_thresholds", Kind::Map, "{}", "least score by entity; `ALL` for others"),
        on("presidio_ad_hoc_recognizers", Kind::Text, "", "a JSON file of further recognizers"),
        later("presidio_filter_scope", "`mode` says what is looked at"),
        later("mock_redacted_text", "Presidio is asked"),
    ],
};
