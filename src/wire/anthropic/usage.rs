//! Anthropic's token counts, in OpenAI's convention.
//!
//! Anthropic counts what a prompt cache read or wrote apart from `input_tokens`; OpenAI inside
//! `prompt_tokens`. In a stream the counts come twice or more and are totals: the last one wins.

use serde::Deserialize;

use crate::usage::{Units, Usage};
use crate::wire::chat::Shown;

/// `usage` as Anthropic writes it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Written {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    output_tokens_details: Option<OutputDetails>,
    server_tool_use: Option<ServerToolUse>,
    /// The calls behind one answer (compaction, a fallback model). Their sum is what is billed; the
    /// totals above leave some of them out.
    iterations: Option<Vec<Iteration>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

/// What tools did at Anthropic, and is charged by the call.
#[derive(Clone, Debug, Default, Deserialize)]
struct ServerToolUse {
    web_search_requests: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Iteration {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

/// The counts known so far.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    seen: bool,
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    cache_write_1h: u64,
    /// `None`: the provider did not tell.
    thinking: Option<u64>,
    web_searches: u64,
}

impl Tally {
    pub(super) const fn new() -> Self {
        Self {
            seen: false,
            input: 0,
            output: 0,
            cache_read: 0,
            cache_write: 0,
            cache_write_1h: 0,
            thinking: None,
            web_searches: 0,
        }
    }

    /// Takes newer counts: those that are there replace the older ones.
    pub(super) fn update(&mut self, written: &Written) {
        self.seen = true;
        replace(&mut self.input, written.input_tokens);
        replace(&mut self.output, written.output_tokens);
        replace(&mut self.cache_read, written.cache_read_input_tokens);
        if let Some(creation) = &written.cache_creation {
            let five_minutes = creation.ephemeral_5m_input_tokens.unwrap_or(0);
            let hour = creation.ephemeral_1h_input_tokens.unwrap_or(0);
            self.cache_write_1h = hour;
            self.cache_write = five_minutes.saturating_add(hour);
        }
        replace(&mut self.cache_write, written.cache_creation_input_tokens);
        if let Some(details) = &written.output_tokens_details {
            self.thinking = details.thinking_tokens.or(self.thinking);
        }
        if let Some(used) = &written.server_tool_use {
            replace(&mut self.web_searches, used.web_search_requests);
        }
        if let Some(iterations) = written.iterations.as_ref().filter(|all| !all.is_empty()) {
            let sum = |of: fn(&Iteration) -> Option<u64>| iterations.iter().filter_map(of).sum();
            self.input = sum(|iteration| iteration.input_tokens);
            self.output = sum(|iteration| iteration.output_tokens);
            self.cache_read = sum(|iteration| iteration.cache_read_input_tokens);
            self.cache_write = sum(|iteration| iteration.cache_creation_input_tokens);
        }
    }

    /// The counts in our convention, once any were seen.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.seen.then(|| Usage {
            input_tokens: self
                .input
                .saturating_add(self.cache_read)
                .saturating_add(self.cache_write),
            output_tokens: self.output,
            cache_read_tokens: self.cache_read,
            cache_write_tokens: self.cache_write,
            cache_write_1h_tokens: self.cache_write_1h.min(self.cache_write),
            reasoning_tokens: self.thinking.unwrap_or(0),
            units: Units { web_searches: self.web_searches, ..Units::default() },
            ..Usage::default()
        })
    }

    /// The counts as a client of OpenAI reads them.
    pub(super) fn shown(&self) -> Option<Shown> {
        Some(Shown::of(&self.usage()?, self.thinking.is_some()))
    }
}

fn replace(count: &mut u64, newer: Option<u64>) {
    if let Some(newer) = newer {
        *count = newer;
    }
}
