//! What models of OpenAI's and of its imitators refuse, as data.
//!
//! Here stands only what a provider's documents or its own errors say; what it ignores is not refused,
//! and what nobody has written down is passed on for the provider to judge. The rules are applied by
//! `wire/openai/params.rs`.

use crate::dialect::{ModelRules, Refused, Values};

const EVERYWHERE: ModelRules =
    ModelRules { models: &[], except: &[], refused: &[], nameless: false };

const fn never(params: &'static [&'static str]) -> Refused {
    Refused { params, values: Values::Any, reasoning: false, instead: None }
}

const fn only(params: &'static [&'static str], values: &'static [&'static str]) -> Refused {
    Refused { values: Values::Except(values), ..never(params) }
}

const fn above(params: &'static [&'static str], most: &'static str) -> Refused {
    Refused { values: Values::Above(most), instead: Some(most), ..never(params) }
}

const fn while_reasoning(refused: Refused) -> Refused {
    Refused { reasoning: true, ..refused }
}

/// These efforts are not known; `modify_params` sends the nearest one that is.
const fn efforts(values: &'static [&'static str], nearest: &'static str) -> Refused {
    Refused { values: Values::Only(values), instead: Some(nearest), ..never(&["reasoning_effort"]) }
}

const NO_TOOLS: Refused =
    never(&["tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"]);
const ONE_CHOICE: Refused = only(&["n"], &["1"]);
const FIXED_TEMPERATURE: Refused = while_reasoning(only(&["temperature"], &["1"]));
const NO_SAMPLING: Refused = while_reasoning(never(&["top_p", "logprobs", "top_logprobs"]));
const NO_PENALTIES: Refused = never(&["presence_penalty", "frequency_penalty", "logit_bias"]);
const TOO_LITTLE: Refused = efforts(&["\"minimal\""], "\"low\"");
const TOO_MUCH: Refused = efforts(&["\"xhigh\"", "\"max\""], "\"high\"");
const NOT_NONE: Refused = efforts(&["\"none\""], "\"low\"");
const GPT_5: [Refused; 4] = [
    FIXED_TEMPERATURE,
    NO_SAMPLING,
    NO_PENALTIES,
    never(&["stop", "prediction", "audio", "web_search_options"]),
];

/// OpenAI's own models, there and at Azure.
pub(super) const OPENAI: &[ModelRules] = &[
    // A word of Anthropic's and Google's, which clients of theirs send. The open models take it.
    ModelRules {
        models: &["gpt-", "chatgpt-", "ft:gpt-", "o1", "o3", "o4-"],
        except: &["-oss"],
        refused: &[never(&["top_k"])],
        ..EVERYWHERE
    },
    // It searches before it answers, and takes little else.
    ModelRules {
        models: &["gpt-4o-search", "gpt-4o-mini-search", "gpt-5-search"],
        refused: &[never(&[
            "temperature",
            "top_p",
            "presence_penalty",
            "frequency_penalty",
            "logit_bias",
            "logprobs",
            "top_logprobs",
            "n",
            "seed",
        ])],
        ..EVERYWHERE
    },
    // Anthropic's words; from a request in its dialect they are taken out before.
    ModelRules {
        models: &["gpt-3.5", "gpt-4", "gpt-5", "gpt-6", "chatgpt-", "o1", "o3", "o4"],
        refused: &[never(&["thinking"])],
        ..EVERYWHERE
    },
    // These do not reason.
    ModelRules {
        models: &["gpt-3.5", "gpt-4", "chatgpt-"],
        refused: &[never(&["reasoning_effort"]), only(&["verbosity"], &["\"medium\""])],
        ..EVERYWHERE
    },
    ModelRules {
        models: &["o1-mini", "o1-preview"],
        refused: &[NO_TOOLS, never(&["response_format", "reasoning_effort"])],
        ..EVERYWHERE
    },
    ModelRules {
        models: &["o1$", "o1-", "o3$", "o3-", "o4-"],
        refused: &[
            FIXED_TEMPERATURE,
            NO_SAMPLING,
            NO_PENALTIES,
            never(&["parallel_tool_calls", "prediction", "audio", "web_search_options"]),
            NOT_NONE,
            TOO_LITTLE,
            TOO_MUCH,
        ],
        ..EVERYWHERE
    },
    ModelRules { models: &["o3$", "o3-", "o4-"], refused: &[never(&["stop"])], ..EVERYWHERE },
    ModelRules {
        models: &["gpt-5", "gpt-6"],
        except: &["-chat", "-search"],
        refused: &GPT_5,
        ..EVERYWHERE
    },
    ModelRules {
        models: &["gpt-5$", "gpt-5-"],
        except: &["-chat", "-search", "-codex", "-pro"],
        refused: &[Refused { instead: Some("\"minimal\""), ..NOT_NONE }, TOO_MUCH],
        ..EVERYWHERE
    },
    ModelRules {
        models: &["gpt-5.1"],
        except: &["-chat", "-codex"],
        refused: &[TOO_LITTLE, TOO_MUCH],
        ..EVERYWHERE
    },
];

pub(super) const GROQ: &[ModelRules] = &[
    ModelRules {
        refused: &[never(&["logprobs", "top_logprobs", "logit_bias", "top_k"]), ONE_CHOICE],
        nameless: true,
        ..EVERYWHERE
    },
    ModelRules { models: &["gpt-oss"], refused: &[NOT_NONE, TOO_LITTLE, TOO_MUCH], ..EVERYWHERE },
];

/// Its schema is closed. `user`, `store` and the like are left out by its spellings already.
pub(super) const MISTRAL: &[ModelRules] = &[ModelRules {
    refused: &[
        never(&[
            "logit_bias",
            "verbosity",
            "modalities",
            "audio",
            "web_search_options",
            "functions",
            "function_call",
            "top_k",
        ]),
        above(&["temperature"], "1.5"),
    ],
    ..EVERYWHERE
}];

/// It takes the other parameters of sampling and does not look at them.
pub(super) const DEEPSEEK: &[ModelRules] = &[
    ModelRules { refused: &[ONE_CHOICE], ..EVERYWHERE },
    ModelRules {
        models: &["deepseek-reasoner"],
        refused: &[never(&["logprobs", "top_logprobs"])],
        ..EVERYWHERE
    },
];

pub(super) const XAI: &[ModelRules] = &[
    ModelRules {
        models: &["grok-4", "grok-3-mini", "grok-code"],
        except: &["non-reasoning"],
        refused: &[never(&["stop", "presence_penalty", "frequency_penalty"])],
        ..EVERYWHERE
    },
    // It reasons as much as it likes.
    ModelRules {
        models: &["grok-4$", "grok-4-0709", "grok-4-latest"],
        refused: &[never(&["reasoning_effort"])],
        ..EVERYWHERE
    },
];

pub(super) const PERPLEXITY: &[ModelRules] = &[ModelRules {
    refused: &[NO_TOOLS, never(&["logit_bias", "logprobs", "top_logprobs", "seed"]), ONE_CHOICE],
    ..EVERYWHERE
}];

pub(super) const CEREBRAS: &[ModelRules] = &[ModelRules { refused: &[NO_PENALTIES], ..EVERYWHERE }];

pub(super) const MINIMAX: &[ModelRules] = &[ModelRules {
    refused: &[above(&["temperature"], "1"), ONE_CHOICE, never(&["functions", "function_call"])],
    ..EVERYWHERE
}];

pub(super) const MOONSHOT: &[ModelRules] = &[
    ModelRules { refused: &[never(&["functions", "function_call"])], ..EVERYWHERE },
    ModelRules { models: &["moonshot-"], refused: &[above(&["temperature"], "1")], ..EVERYWHERE },
    // Their sampling is fixed: 0.6 is for those that were told not to think.
    ModelRules {
        models: &["kimi-k2.5", "kimi-k2.6", "kimi-k2.7", "kimi-k3"],
        refused: &[
            only(&["temperature"], &["1", "0.6"]),
            only(&["top_p"], &["0.95"]),
            ONE_CHOICE,
            never(&["presence_penalty", "frequency_penalty"]),
        ],
        ..EVERYWHERE
    },
    ModelRules {
        models: &["moonshot-", "kimi-k2"],
        refused: &[Refused {
            values: Values::Only(&["\"required\""]),
            instead: Some("\"auto\""),
            ..never(&["tool_choice"])
        }],
        ..EVERYWHERE
    },
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::vendor;
    use crate::dialect::Endpoint;
    use crate::failure::Failure;
    use crate::wire::json::Object;
    use crate::wire::{RequestOptions, openai};

    /// How a refusal is met.
    #[derive(Clone, Copy, Default)]
    struct Met<'a> {
        drop: bool,
        modify: bool,
        allowed: &'a [Box<str>],
        dropped: &'a [Box<str>],
    }

    fn sent(model: &str, params: &Value, met: Met<'_>) -> Result<Value, Failure> {
        let (provider, model) = model.split_once('/').unwrap();
        let options = RequestOptions {
            endpoint: Endpoint::Chat,
            model: None,
            stream: false,
            quirks: vendor(provider).unwrap().quirks,
            defaults: &[],
            overrides: &[],
            drop: met.dropped,
            allowed: met.allowed,
            drop_params: met.drop,
            hints: false,
            modify_params: met.modify,
            max_output_tokens: None,
            model_hint: model,
        };
        let body = Object::parse(params.to_string().into()).unwrap();
        let body = openai::request(&body, &options)?;
        Ok(serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn what_a_model_refuses_is_told_before_the_call_or_left_out() {
        for (model, params, refused, code) in [
            ("openai/o3", json!({"temperature": 0.2}), "temperature", "unsupported_value"),
            ("openai/o3-mini", json!({"top_p": 0.2}), "top_p", "unsupported_parameter"),
            ("openai/o1", json!({"logprobs": true}), "logprobs", "unsupported_parameter"),
            ("openai/o4-mini", json!({"stop": ["a"]}), "stop", "unsupported_parameter"),
            (
                "openai/o3-mini",
                json!({"parallel_tool_calls": false}),
                "parallel_tool_calls",
                "unsupported_parameter",
            ),
            ("openai/o1-mini", json!({"tools": [1]}), "tools", "unsupported_parameter"),
            ("openai/gpt-5-mini", json!({"temperature": 0}), "temperature", "unsupported_value"),
            ("azure/gpt-5", json!({"stop": "a"}), "stop", "unsupported_parameter"),
            ("openai/gpt-5.6", json!({"temperature": 0}), "temperature", "unsupported_value"),
            (
                "openai/gpt-5.2",
                json!({"reasoning_effort": "low", "top_p": 0.5}),
                "top_p",
                "unsupported_parameter",
            ),
            (
                "openai/gpt-5.2",
                json!({"presence_penalty": 0.5}),
                "presence_penalty",
                "unsupported_parameter",
            ),
            (
                "openai/gpt-4o",
                json!({"reasoning_effort": "low"}),
                "reasoning_effort",
                "unsupported_parameter",
            ),
            ("openai/gpt-4.1", json!({"verbosity": "low"}), "verbosity", "unsupported_value"),
            (
                "openai/gpt-4o-mini-search-preview",
                json!({"temperature": 1}),
                "temperature",
                "unsupported_parameter",
            ),
            ("openai/gpt-4o", json!({"top_k": 5}), "top_k", "unsupported_parameter"),
            ("azure/gpt-4.1", json!({"top_k": 5}), "top_k", "unsupported_parameter"),
            ("groq/m", json!({"top_k": 5}), "top_k", "unsupported_parameter"),
            ("mistral/m", json!({"top_k": 5}), "top_k", "unsupported_parameter"),
            ("groq/m", json!({"n": 2}), "n", "unsupported_value"),
            ("groq/m", json!({"logit_bias": {"1": 2}}), "logit_bias", "unsupported_parameter"),
            (
                "openai/gpt-4o",
                json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}),
                "thinking",
                "unsupported_parameter",
            ),
            ("mistral/m", json!({"functions": [1]}), "functions", "unsupported_parameter"),
            ("mistral/m", json!({"logit_bias": {"1": 2}}), "logit_bias", "unsupported_parameter"),
            ("mistral/m", json!({"temperature": 1.8}), "temperature", "unsupported_value"),
            (
                "deepseek/deepseek-reasoner",
                json!({"logprobs": true}),
                "logprobs",
                "unsupported_parameter",
            ),
            ("xai/grok-4", json!({"stop": ["a"]}), "stop", "unsupported_parameter"),
            (
                "xai/grok-4",
                json!({"reasoning_effort": "low"}),
                "reasoning_effort",
                "unsupported_parameter",
            ),
            ("perplexity/sonar", json!({"tools": [1]}), "tools", "unsupported_parameter"),
            (
                "cerebras/m",
                json!({"frequency_penalty": 1}),
                "frequency_penalty",
                "unsupported_parameter",
            ),
            ("minimax/m", json!({"n": 3}), "n", "unsupported_value"),
            ("moonshot/kimi-k3", json!({"temperature": 0.3}), "temperature", "unsupported_value"),
            (
                "moonshot/moonshot-v1-8k",
                json!({"tool_choice": "required"}),
                "tool_choice",
                "unsupported_value",
            ),
        ] {
            let failure = sent(model, &params, Met::default()).expect_err(model);
            let told = (failure.param.as_deref(), failure.code.as_deref());
            assert_eq!(told, (Some(refused), Some(code)), "{model} {params}");
            assert!(failure.message.contains("drop_params"), "{}", failure.message);

            let mut rest = params.clone();
            rest.as_object_mut().unwrap().remove(refused);
            let dropping = Met { drop: true, ..Met::default() };
            assert_eq!(sent(model, &params, dropping).unwrap(), rest, "{model} {params}");

            let names = [refused.into()];
            let dropped = Met { dropped: &names, ..Met::default() };
            assert_eq!(sent(model, &params, dropped).unwrap(), rest, "{model} {params}");

            let allowing = Met { allowed: &names, drop: true, ..Met::default() };
            assert_eq!(sent(model, &params, allowing).unwrap(), params, "{model} {params}");
        }
    }

    #[test]
    fn what_a_model_takes_is_passed_on_as_it_is() {
        for (model, params) in [
            ("openai/gpt-4o", json!({"temperature": 0, "top_p": 0.1, "stop": "a", "n": 2})),
            ("openai/gpt-5-chat-latest", json!({"temperature": 0, "stop": "a"})),
            ("openai/gpt-5", json!({"temperature": 1, "reasoning_effort": "minimal"})),
            ("openai/gpt-5.1", json!({"temperature": 0, "top_p": 0.1})),
            ("openai/gpt-5.2", json!({"reasoning_effort": "xhigh", "verbosity": "low"})),
            ("openai/gpt-5.6", json!({"reasoning_effort": "none", "temperature": 0})),
            ("openai/o1", json!({"stop": "a", "reasoning_effort": "high"})),
            ("openai/gpt-5", json!({"temperature": null, "brand_new": 1})),
            ("openai/o3x", json!({"temperature": 0})),
            ("groq/m", json!({"temperature": 2, "seed": 1})),
            ("mistral/m", json!({"temperature": 1.5, "n": 2})),
            ("deepseek/deepseek-chat", json!({"logprobs": true})),
            ("deepseek/deepseek-reasoner", json!({"temperature": 0})),
            ("xai/grok-4-fast-non-reasoning", json!({"stop": ["a"]})),
            ("xai/grok-4.20-multi-agent", json!({"reasoning_effort": "low"})),
            ("moonshot/kimi-k2.5", json!({"temperature": 0.6, "top_p": 0.95})),
            ("moonshot/kimi-k3", json!({"tool_choice": "required"})),
            ("openrouter/openai/o3", json!({"temperature": 0, "tools": [1]})),
            ("together_ai/m", json!({"logit_bias": {"1": 1}})),
        ] {
            assert_eq!(sent(model, &params, Met::default()).unwrap(), params, "{model}");
        }
    }

    #[test]
    fn what_asks_for_nothing_is_left_out_where_it_would_be_refused() {
        let idle = json!({"top_p": 1.0, "presence_penalty": 0, "frequency_penalty": 0.0, "n": 1,
            "logprobs": false, "logit_bias": {}, "parallel_tool_calls": true});
        assert_eq!(sent("openai/o3", &idle, Met::default()).unwrap(), json!({"n": 1}));
        assert_eq!(sent("openai/gpt-4o", &idle, Met::default()).unwrap(), idle);
    }

    #[test]
    fn a_wish_to_think_is_granted_as_far_as_a_model_can() {
        let off = json!({"type": "disabled"});
        let on = json!({"type": "enabled", "budget_tokens": 10_000});
        for (model, effort, thinking, granted) in [
            ("openai/gpt-4o", "none", &off, Value::Null),
            ("openai/gpt-4o", "high", &on, Value::Null),
            ("openai/o3", "none", &off, json!("low")),
            ("openai/gpt-5", "none", &off, json!("minimal")),
            ("openai/gpt-5.1", "none", &off, json!("none")),
            ("openai/o3", "max", &on, json!("high")),
            ("xai/grok-4", "high", &on, Value::Null),
        ] {
            let wish = json!({"reasoning_effort": effort, "thinking": thinking});
            let seen = sent(model, &wish, Met::default()).unwrap();
            assert_eq!(seen["reasoning_effort"], granted, "{model} {effort}");
            assert_eq!(seen.get("thinking"), None, "{model} {effort}");
        }
        let other = json!({"reasoning_effort": "low", "temperature": 0.2,
            "thinking": {"type": "adaptive"}});
        assert!(sent("openai/o3", &other, Met::default()).is_err(), "it is about thinking only");
    }

    #[test]
    fn repairs_take_the_nearest_that_is_taken() {
        let modifying = Met { modify: true, ..Met::default() };
        for (model, params, repaired) in [
            ("openai/o3", json!({"reasoning_effort": "minimal"}), json!("low")),
            ("openai/o3", json!({"reasoning_effort": "xhigh"}), json!("high")),
            ("openai/gpt-5", json!({"reasoning_effort": "none"}), json!("minimal")),
            ("openai/gpt-5", json!({"reasoning_effort": "max"}), json!("high")),
            ("openai/gpt-5.1-2025-11-13", json!({"reasoning_effort": "minimal"}), json!("low")),
            ("mistral/m", json!({"temperature": 2}), json!(1.5)),
            ("minimax/m", json!({"temperature": 1.3}), json!(1)),
            ("moonshot/moonshot-v1-8k", json!({"tool_choice": "required"}), json!("auto")),
        ] {
            let name = params.as_object().unwrap().keys().next().unwrap();
            let seen = sent(model, &params, modifying).unwrap();
            assert_eq!(seen[name], repaired, "{model} {params}");
            assert!(sent(model, &params, Met::default()).is_err(), "{model} {params}");
        }
        let cold = json!({"temperature": 0});
        assert!(sent("openai/o3", &cold, modifying).is_err(), "there is nothing near it");
    }

    #[test]
    fn messages_are_said_in_older_words() {
        let body = json!({"messages": [
            {"role": "developer", "content": "developer", "name": "n"},
            {"role": "user", "content": "\"developer\"", "name": "n"},
        ]});
        let seen = sent("groq/m", &body, Met::default()).unwrap();
        assert_eq!(
            seen["messages"],
            json!([{"role": "system", "content": "developer"},
                {"role": "user", "content": "\"developer\""}])
        );
        let seen = sent("together_ai/m", &body, Met::default()).unwrap();
        assert_eq!(seen["messages"][0]["role"], "system");
        assert_eq!(seen["messages"][1], body["messages"][1]);
        assert_eq!(sent("openai/gpt-4o", &body, Met::default()).unwrap(), body);
    }
}
