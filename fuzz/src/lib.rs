//! The properties of `tests/properties`, for libFuzzer: each target is one of these functions.

#[path = "../../tests/properties/answers.rs"]
mod answers;
#[path = "../../tests/properties/config.rs"]
mod config;
#[path = "../../tests/properties/expressions.rs"]
mod expressions;
#[path = "../../tests/properties/forms.rs"]
mod forms;
#[path = "../../tests/properties/frames.rs"]
mod frames;
#[path = "../../tests/properties/histories.rs"]
mod histories;
#[path = "../../tests/properties/history.rs"]
mod history;
#[path = "../../tests/properties/json.rs"]
mod json;
#[path = "../../tests/properties/providers.rs"]
mod providers;
#[path = "../../tests/properties/replies.rs"]
mod replies;
#[path = "../../tests/properties/requests.rs"]
mod requests;
#[path = "../../tests/properties/retry_after.rs"]
mod retry_after;
#[path = "../../tests/properties/source.rs"]
mod source;
#[path = "../../tests/properties/streams.rs"]
mod streams;

/// Names each property as its file is named.
macro_rules! properties {
    ($($name:ident),*) => {
        $(pub fn $name(input: &[u8]) {
            $name::holds(input);
        })*
    };
}

properties!(
    answers,
    config,
    expressions,
    forms,
    frames,
    histories,
    json,
    replies,
    requests,
    retry_after,
    streams
);
