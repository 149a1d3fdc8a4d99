//! What the gateway adds to a client's own request: parameters of the deployment and of the fallback
//! that is tried. The client did not write them, so none of them may make the API refuse it: they are
//! put in Anthropic's words, and give way to what the client wrote.

use std::borrow::Cow;

use super::super::models::Capabilities;
use super::super::thinking::number;
use crate::wire::RequestOptions;
use crate::wire::json::{Edits, Object};
use crate::wire::request::is_own;

/// What a deployment's parameters may be in OpenAI's spelling, and Anthropic's word for it.
const RESPELLED: [(&str, &str); 2] =
    [("max_completion_tokens", "max_tokens"), ("stop", "stop_sequences")];

/// Parameters of OpenAI's that a deployment may have for its other clients; Anthropic refuses them.
const OPENAIS: [&str; 17] = [
    "audio",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "store",
    "stream_options",
    "top_logprobs",
    "user",
    "verbosity",
];

/// What newer models and newer versions of the API no longer take, not even at its default.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];

/// From here on `top_p` may be said to a model that thinks.
const LEAST_TOP_P: f64 = 0.95;

/// A client's request with what is added to it.
pub(super) struct Request<'a, 'b> {
    pub(super) body: &'b Object,
    pub(super) edits: Edits<'a>,
    pub(super) model: Capabilities,
    /// The version of the API takes parameters of sampling.
    pub(super) samples: bool,
}

impl<'a> Request<'a, '_> {
    /// Adds the parameters that `takes` lets through: the fallback's over the client's, the
    /// deployment's where the client is silent.
    pub(super) fn add(&mut self, options: &RequestOptions<'a>, takes: impl Fn(&str) -> bool) {
        let mut added: Vec<(&'a str, bool)> = Vec::new();
        for (overrides, written) in [(true, options.overrides), (false, options.defaults)] {
            for (name, value) in written {
                let respelled = RESPELLED.iter().find(|(known, _)| **known == **name);
                let name: &'a str = respelled.map_or(&**name, |(_, own)| own);
                let refused = is_own(name)
                    || OPENAIS.contains(&name)
                    || !takes(name)
                    || (!self.samples && SAMPLING.contains(&name));
                let is_set = self.body.is_set(name) && !overrides;
                if refused || is_set || self.edits.get(name).is_some() {
                    continue;
                }
                self.edits.set_raw(name, in_words(name, value.get()).into_owned().into_bytes());
                added.push((name, overrides));
            }
        }
        self.give_way(&added);
    }

    /// The value of a field as it will be sent.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        let raw = match self.edits.get(name) {
            Some(edited) => edited.and_then(|raw| std::str::from_utf8(raw).ok()),
            None => self.body.raw(name),
        };
        raw.filter(|raw| *raw != "null")
    }

    /// Takes back what the API would refuse beside the rest.
    fn give_way(&mut self, added: &[(&'a str, bool)]) {
        let is_added = |name: &str| added.iter().any(|(known, _)| *known == name);
        let budget = self.budget();
        if is_added("max_tokens") && !is_added("thinking") && !self.has_room(budget) {
            self.take_back("max_tokens");
        }
        // The choice is made among tools, and a demand does not go with thinking.
        if is_added("tool_choice")
            && (self.raw("tools").is_none_or(|tools| tools == "[]")
                || (self.is_forced() && self.thinks() && !is_added("thinking")))
        {
            self.take_back("tool_choice");
        }
        if is_added("thinking") && self.thinks() {
            let own = |name| !is_added(name) && self.raw(name).is_some();
            let sampled = SAMPLING.iter().any(|name| own(*name) && self.is_cold(name));
            if sampled || self.is_forced() || !self.has_room(budget) {
                self.take_back("thinking");
            }
        }
        if self.thinks() {
            for name in SAMPLING {
                if is_added(name) && self.is_cold(name) {
                    self.take_back(name);
                }
            }
        }
        let both = self.raw("temperature").is_some() && self.raw("top_p").is_some();
        if both && !self.model.both_samplings {
            let over = |name: &str| added.contains(&(name, true));
            match (is_added("temperature"), is_added("top_p")) {
                (false, false) => {}
                (true, false) if over("temperature") => self.edits.remove("top_p"),
                (true, false) => self.take_back("temperature"),
                (false, true) if over("top_p") => self.edits.remove("temperature"),
                (true, true) if over("top_p") && !over("temperature") => {
                    self.take_back("temperature");
                }
                (_, true) => self.take_back("top_p"),
            }
        }
    }

    /// The client's own value again, if there is one.
    fn take_back(&mut self, name: &'static str) {
        match self.body.raw(name).map(|raw| raw.as_bytes().to_vec()) {
            Some(own) => self.edits.set_raw(name, own),
            None => self.edits.remove(name),
        }
    }

    fn thinking(&self) -> Option<Object> {
        let raw = self.raw("thinking")?;
        Object::parse(raw.as_bytes().to_vec().into()).ok()
    }

    pub(super) fn thinks(&self) -> bool {
        let thinking = self.thinking();
        thinking.is_some_and(|thinking| thinking.str("type").is_some_and(|kind| kind != "disabled"))
    }

    /// The tokens that thinking may take, where it has a budget.
    pub(super) fn budget(&self) -> Option<u64> {
        let thinking = self.thinking()?;
        let enabled = thinking.str("type").is_some_and(|kind| kind == "enabled");
        thinking.u64("budget_tokens").filter(|_| enabled)
    }

    fn has_room(&self, budget: Option<u64>) -> bool {
        let most = self.raw("max_tokens").and_then(|raw| raw.parse::<u64>().ok());
        !matches!((most, budget), (Some(most), Some(budget)) if budget >= most)
    }

    fn is_forced(&self) -> bool {
        let choice = self.raw("tool_choice").map(|raw| raw.as_bytes().to_vec());
        let choice = choice.and_then(|raw| Object::parse(raw.into()).ok());
        choice.is_some_and(|choice| {
            choice.str("type").is_some_and(|kind| matches!(&*kind, "any" | "tool"))
        })
    }

    /// Whether a value of sampling is one that does not go with thinking.
    fn is_cold(&self, name: &str) -> bool {
        let value = self.raw(name).and_then(number);
        match name {
            "temperature" => value != Some(1.0),
            "top_p" => value.is_none_or(|value| value < LEAST_TOP_P),
            _ => true,
        }
    }
}

/// A parameter in OpenAI's range or form, put into Anthropic's.
fn in_words<'v>(name: &str, value: &'v str) -> Cow<'v, str> {
    match name {
        "temperature" if number(value).is_some_and(|warmth| warmth > 1.0) => "1".into(),
        "stop_sequences" if value.starts_with('"') => format!("[{value}]").into(),
        _ => value.into(),
    }
}
