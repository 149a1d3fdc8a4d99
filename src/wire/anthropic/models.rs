//! What the models of the Claude families accept: facts that the translation depends on.
//!
//! A model is found by family and version in its name, whoever serves it (`claude-3-5-sonnet-...`,
//! `anthropic.claude-opus-4-5-...-v1:0`, `claude-sonnet-4@20250514`). A Claude that is newer than
//! this table is taken to refuse what the newest known one refuses; a model that is no Claude at all
//! (other vendors copy the API) is taken to accept what the API first accepted.

/// What one model accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) struct Capabilities {
    /// `temperature`, `top_p` and `top_k`.
    pub(in crate::wire) sampling: bool,
    /// `temperature` and `top_p` in one request.
    pub(in crate::wire) both_samplings: bool,
    /// `tool_choice` of `any` or `tool`.
    pub(in crate::wire) forced_tools: bool,
    /// A conversation that ends with the start of the assistant's answer.
    pub(in crate::wire) prefill: bool,
    /// `thinking: {type: enabled, budget_tokens}`.
    pub(in crate::wire) budget_thinking: bool,
    /// `thinking: {type: adaptive}` with `output_config.effort`.
    pub(in crate::wire) adaptive_thinking: bool,
    /// Thinking cannot be switched off.
    pub(in crate::wire) always_thinks: bool,
    /// The efforts `max` and `xhigh`.
    pub(in crate::wire) max_effort: bool,
    pub(in crate::wire) xhigh_effort: bool,
    /// `output_config.format` and `strict` tools.
    pub(in crate::wire) structured_output: bool,
    /// `role: system` inside `messages`.
    pub(in crate::wire) mid_system: bool,
    /// Tokens it can generate at most: the default of `max_tokens` where no price book knows better.
    pub(in crate::wire) max_output_tokens: u64,
}

impl Capabilities {
    /// The facts of a model that is no Claude.
    pub(in crate::wire) const STRANGER: Self = OTHER;

    /// The facts for a model name, with or without prefixes and dates.
    pub(in crate::wire) fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let Some((_, name)) = model.split_once("claude") else {
            return OTHER;
        };
        let (family, version) = family_and_version(name);
        let Some(rows) = family else {
            // `claude-2.1`, `claude-instant-1.2`: the families began with version 3.
            return if version.is_some_and(|(major, _)| major < 3) { CLAUDE_3 } else { CLAUDE_5_5 };
        };
        // Without a version (`claude-opus-latest`) it is the newest.
        let version = version.unwrap_or((u8::MAX, 0));
        let known = rows.iter().rev().find(|(from, _)| *from <= version);
        known.map_or(CLAUDE_3, |(_, capabilities)| *capabilities)
    }

    /// Whether it can be asked to think.
    pub(in crate::wire) const fn thinks(&self) -> bool {
        self.budget_thinking || self.adaptive_thinking
    }
}

/// Whether a model goes on with an assistant's message that ends the conversation.
#[must_use]
pub fn takes_prefill(model: &str) -> bool {
    Capabilities::of(model).prefill
}

type Rows = &'static [((u8, u8), Capabilities)];

fn family_and_version(name: &str) -> (Option<Rows>, Option<(u8, u8)>) {
    let (mut family, mut version) = (None, None);
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric()).peekable();
    while let Some(word) = words.next() {
        if family.is_none() {
            family = rows(word);
        }
        if let (None, Some(major)) = (version, version_part(word)) {
            let minor = words.peek().and_then(|word| version_part(word)).unwrap_or(0);
            version = Some((major, minor));
        }
    }
    (family, version)
}

/// One or two digits; a date has eight.
fn version_part(word: &str) -> Option<u8> {
    if word.len() <= 2 { word.parse().ok() } else { None }
}

fn rows(family: &str) -> Option<Rows> {
    match family {
        "opus" => Some(OPUS),
        "sonnet" => Some(SONNET),
        "haiku" => Some(HAIKU),
        "fable" | "mythos" => Some(FABLE),
        _ => None,
    }
}

// Source: Anthropic's documentation and the model table of LiteLLM 1.106.2 (MIT), November 2026.

const CLAUDE_3: Capabilities = Capabilities {
    sampling: true,
    both_samplings: true,
    forced_tools: true,
    prefill: true,
    budget_thinking: false,
    adaptive_thinking: false,
    always_thinks: false,
    max_effort: false,
    xhigh_effort: false,
    structured_output: false,
    mid_system: false,
    max_output_tokens: 4_096,
};
const CLAUDE_3_5: Capabilities = Capabilities { max_output_tokens: 8_192, ..CLAUDE_3 };
const CLAUDE_3_7: Capabilities =
    Capabilities { budget_thinking: true, max_output_tokens: 64_000, ..CLAUDE_3 };
const OPUS_4: Capabilities = Capabilities { max_output_tokens: 32_000, ..CLAUDE_3_7 };
const OPUS_4_1: Capabilities = Capabilities { both_samplings: false, ..OPUS_4 };
const CLAUDE_4_5: Capabilities =
    Capabilities { structured_output: true, both_samplings: false, ..CLAUDE_3_7 };
const CLAUDE_4_6: Capabilities = Capabilities {
    prefill: false,
    adaptive_thinking: true,
    max_effort: true,
    max_output_tokens: 128_000,
    ..CLAUDE_4_5
};
const OPUS_4_7: Capabilities =
    Capabilities { sampling: false, budget_thinking: false, xhigh_effort: true, ..CLAUDE_4_6 };
const CLAUDE_5: Capabilities = Capabilities { mid_system: true, ..OPUS_4_7 };
const FABLE_5: Capabilities = Capabilities { always_thinks: true, ..CLAUDE_5 };
const CLAUDE_5_5: Capabilities = Capabilities { forced_tools: false, ..FABLE_5 };

/// A model of another vendor behind the same API.
const OTHER: Capabilities =
    Capabilities { budget_thinking: true, max_output_tokens: 8_192, ..CLAUDE_3 };

const OPUS: Rows = &[
    ((3, 0), CLAUDE_3),
    ((4, 0), OPUS_4),
    ((4, 1), OPUS_4_1),
    ((4, 5), CLAUDE_4_5),
    ((4, 6), CLAUDE_4_6),
    ((4, 7), OPUS_4_7),
    ((4, 8), CLAUDE_5),
    ((5, 5), CLAUDE_5_5),
];
const SONNET: Rows = &[
    ((3, 0), CLAUDE_3),
    ((3, 5), CLAUDE_3_5),
    ((3, 7), CLAUDE_3_7),
    ((4, 5), CLAUDE_4_5),
    ((4, 6), CLAUDE_4_6),
    ((5, 0), CLAUDE_5),
    ((5, 5), CLAUDE_5_5),
];
/// The newest one can be forced to call a tool and can be told not to think.
const HAIKU: Rows =
    &[((3, 0), CLAUDE_3), ((3, 5), CLAUDE_3_5), ((4, 5), CLAUDE_4_5), ((5, 0), CLAUDE_5)];
/// `claude-mythos-preview` has no version and is older than the others.
const FABLE: Rows = &[((0, 0), FABLE_5), ((5, 1), CLAUDE_5_5)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_any_of_its_names() {
        for name in [
            "claude-sonnet-4-5",
            "claude-sonnet-4-5-20250929",
            "anthropic/claude-sonnet-4-5",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "claude-sonnet-4-5@20250929",
            "claude-sonnet-4.5",
            "Claude-Sonnet-4-5",
        ] {
            assert_eq!(Capabilities::of(name), CLAUDE_4_5, "{name}");
        }
        assert_eq!(Capabilities::of("claude-3-5-sonnet-20241022-v2:0"), CLAUDE_3_5);
        assert_eq!(Capabilities::of("claude-3-7-sonnet-latest"), CLAUDE_3_7);
        assert_eq!(Capabilities::of("claude-3-opus-20240229"), CLAUDE_3);
        assert_eq!(Capabilities::of("claude-opus-4-20250514-v1:0"), OPUS_4);
        assert_eq!(Capabilities::of("claude-2.1"), CLAUDE_3);
    }

    #[test]
    fn the_table_says_what_each_model_refuses() {
        let refuses = |what: fn(&Capabilities) -> bool, models: &[&str]| {
            for model in models {
                assert!(!what(&Capabilities::of(model)), "{model}");
            }
        };
        let accepts = |what: fn(&Capabilities) -> bool, models: &[&str]| {
            for model in models {
                assert!(what(&Capabilities::of(model)), "{model}");
            }
        };
        let no_sampling = [
            "claude-opus-4-7",
            "claude-opus-4-8",
            "claude-opus-5",
            "claude-opus-5-5",
            "claude-sonnet-5",
            "claude-sonnet-5-5",
            "claude-fable-5",
            "claude-mythos-preview",
            "claude-haiku-5-5",
        ];
        refuses(|c| c.sampling, &no_sampling);
        accepts(|c| c.sampling, &["claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"]);

        let one_only =
            ["claude-opus-4-1", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-6"];
        refuses(|c| c.both_samplings, &one_only);
        accepts(|c| c.both_samplings, &["claude-opus-4-20250514", "claude-sonnet-4", "kimi-k3"]);

        let newest =
            ["claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-1", "claude-mythos-5-1"];
        refuses(|c| c.forced_tools, &newest);
        accepts(|c| c.forced_tools, &["claude-haiku-5-5", "claude-opus-5", "claude-fable-5"]);
        accepts(|c| c.always_thinks, &newest);
        accepts(|c| c.always_thinks, &["claude-mythos-5", "claude-mythos-preview"]);
        refuses(|c| c.always_thinks, &["claude-opus-5", "claude-sonnet-5", "claude-haiku-5-5"]);

        refuses(|c| c.prefill, &["claude-sonnet-4-6", "claude-opus-4-6", "claude-haiku-5-5"]);
        accepts(|c| c.prefill, &["claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"]);
        accepts(|c| c.mid_system, &["claude-opus-4-8", "claude-sonnet-5", "claude-haiku-5-5"]);
        refuses(|c| c.mid_system, &["claude-opus-4-7", "claude-sonnet-4-6"]);
    }

    #[test]
    fn an_unknown_claude_is_treated_as_the_newest_and_a_stranger_as_the_oldest() {
        assert_eq!(Capabilities::of("claude-opus-9"), CLAUDE_5_5);
        assert_eq!(Capabilities::of("claude-saga-7"), CLAUDE_5_5);
        assert_eq!(Capabilities::of("claude-opus-latest"), CLAUDE_5_5);
        assert_eq!(Capabilities::of("kimi-k3"), OTHER);
    }
}
