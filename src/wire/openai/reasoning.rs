//! How OpenAI's models reason, judged by the model's name, wherever they are served.
//!
//! The names are those of the base model, so that an Azure deployment of any name is judged right.

use super::request::Draft;
use crate::wire::RequestOptions;

/// How a model reasons, as far as the request depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reasoning {
    /// It always reasons (o1, o3, o4-mini, gpt-5).
    Always,
    /// It reasons when asked to: no effort means none (gpt-5.1 to gpt-5.5).
    WhenAsked,
    /// It reasons unless asked not to, and then refuses tools on this endpoint (gpt-5.6, gpt-6).
    UnlessRefused,
}

/// Sampling parameters, which a model that reasons refuses.
const SAMPLING: [&str; 7] = [
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
];

/// Adapts a chat request to a reasoning model; to any other it does nothing. True if the model will
/// reason.
pub(super) fn adapt<'a>(draft: &mut Draft<'a>, options: &RequestOptions<'a>) -> bool {
    let name = base_name(options.model_hint);
    let Some(reasoning) = reasoning(name) else { return false };
    if !options.quirks.max_tokens_only && !options.quirks.mistral {
        draft.rename("max_tokens", "max_completion_tokens");
    }
    if options.modify_params
        && reasoning == Reasoning::UnlessRefused
        && draft.is_set("tools")
        && !draft.is_set("reasoning_effort")
        // These two know no effort `none`; their tools work on the Responses API only.
        && !matches!(name, "gpt-6-astra" | "gpt-6.1-sol")
    {
        draft.edits.set("reasoning_effort", "none");
    }
    let effort = draft.raw("reasoning_effort").filter(|effort| *effort != b"null");
    let reasons = match reasoning {
        Reasoning::Always => true,
        Reasoning::WhenAsked => effort.is_some_and(|effort| effort != b"\"none\""),
        Reasoning::UnlessRefused => effort != Some(b"\"none\""),
    };
    // Others that serve these models have no rules of their own.
    if options.drop_params && reasons && options.quirks.rules.is_empty() {
        for name in SAMPLING {
            // 1 is the only temperature they take.
            if name != "temperature" || !matches!(draft.raw(name), Some(b"1" | b"1.0")) {
                draft.edits.remove(name);
            }
        }
        if !name.starts_with("o1") {
            draft.edits.remove("stop");
        }
    }
    reasons
}

/// The name without the provider in front of it.
fn base_name(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

fn reasoning(name: &str) -> Option<Reasoning> {
    if ["o1", "o3", "o4"].iter().any(|family| {
        name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }) {
        return Some(Reasoning::Always);
    }
    let version = name.strip_prefix("gpt-").filter(|_| !name.contains("-chat"))?;
    let version = version.split('-').next().unwrap_or(version);
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    match (major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?) {
        (5, 0) => Some(Reasoning::Always),
        (5, 1..=5) => Some(Reasoning::WhenAsked),
        (5.., _) => Some(Reasoning::UnlessRefused),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_in_the_name() {
        for (name, expected) in [
            ("o1", Some(Reasoning::Always)),
            ("o3-mini", Some(Reasoning::Always)),
            ("o4-mini-2025-04-16", Some(Reasoning::Always)),
            ("gpt-5-mini", Some(Reasoning::Always)),
            ("gpt-5.2-2025-12-11", Some(Reasoning::WhenAsked)),
            ("gpt-5.6-terra", Some(Reasoning::UnlessRefused)),
            ("gpt-6.1-sol", Some(Reasoning::UnlessRefused)),
            ("gpt-5-chat-latest", None),
            ("gpt-4o", None),
            ("gpt-4.1", None),
            ("gpt-oss-120b", None),
            ("o1x", None),
            ("my-deployment", None),
        ] {
            assert_eq!(reasoning(name), expected, "{name}");
        }
        assert_eq!(base_name("azure/eu/gpt-5"), "gpt-5");
    }
}
