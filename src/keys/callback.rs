//! Callbacks of a single key or a team, as its record keeps them: what may be shown, and the rest sealed.
//!
//! What their variables mean is none of the keys' business (`callbacks/own/`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The variable by which a key or a team keeps to itself what it says; LiteLLM's.
const SILENCE: &str = "turn_off_message_logging";

/// One of them; an entry of LiteLLM's `metadata.logging`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnCallback {
    pub callback_name: String,
    pub callback_type: Events,
    /// As they are shown: a mark stands for each secret.
    pub callback_vars: BTreeMap<String, String>,
    /// All of them as they were given; `None`: they name no receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

/// What a callback is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Events {
    Success,
    Failure,
    #[default]
    SuccessAndFailure,
}

impl Events {
    /// Whether requests are told that failed, or that did not.
    #[must_use]
    pub const fn has(self, failed: bool) -> bool {
        match self {
            Self::Success => !failed,
            Self::Failure => failed,
            Self::SuccessAndFailure => true,
        }
    }
}

impl OwnCallback {
    /// Whether it stands in the place of the gateway's callback of this name.
    #[must_use]
    pub fn replaces(&self, name: &str) -> bool {
        self.sealed.is_some() && self.callback_name == name
    }

    /// Whether whoever has it wants nobody to be told what is said.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.callback_vars.get(SILENCE).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}
