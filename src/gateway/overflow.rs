//! A prompt that is too long, in the words by which Anthropic's clients know it.
//!
//! Claude Code shortens the conversation when it reads `prompt is too long: N tokens > M maximum`, and
//! gives up otherwise. So every provider's words for it become these; where they name no numbers,
//! they follow in place of them.

use super::error::GatewayError;
use crate::failure::FailureClass;
use crate::routing::Out;

/// What clients look for.
const WORDS: &str = "prompt is too long";
/// The other message that they know, about the sum of prompt and answer.
const SUM: &str = "exceed context limit";

/// The message for a client of Anthropic's; `None`: the error is none of these.
pub(super) fn told(error: &GatewayError) -> Option<String> {
    match error {
        GatewayError::Upstream(failure) if failure.class == FailureClass::ContextWindow => {
            let text = &*failure.message;
            let lower = text.to_ascii_lowercase();
            if lower.contains(WORDS) || lower.contains(SUM) {
                return Some(text.to_owned());
            }
            Some(match sizes(&lower) {
                Some((tokens, window)) => format!("{WORDS}: {tokens} tokens > {window} maximum"),
                None => format!("{WORDS}: {text}"),
            })
        }
        GatewayError::NoneFits { out: Out::ContextTooSmall { window, tokens }, .. } => {
            Some(format!("{WORDS}: {tokens} tokens > {window} maximum"))
        }
        GatewayError::NoneFits { out: Out::NotLongContext { .. }, .. } => {
            Some(format!("{WORDS}: {}", error.message()))
        }
        _ => None,
    }
}

/// Tokens of the prompt and of the window, where a message names both: the two numbers of which the
/// larger one is the prompt. Small ones are something else (a parameter, a position).
fn sizes(text: &str) -> Option<(u64, u64)> {
    const LEAST: u64 = 256;
    let digits = text.replace(|c: char| !c.is_ascii_digit() && c != ',', " ").replace(',', "");
    let mut numbers: Vec<u64> = digits
        .split_ascii_whitespace()
        .filter_map(|number| number.parse().ok())
        .filter(|number| *number >= LEAST)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    // Three or more name the parts of a sum as well; the window is the one beside "maximum".
    let window = window(text).filter(|window| numbers.contains(window));
    let window = window.or_else(|| (numbers.len() == 2).then(|| numbers[0]))?;
    let tokens = numbers.into_iter().next_back().filter(|tokens| *tokens > window)?;
    Some((tokens, window))
}

/// The number that a message calls the most.
fn window(text: &str) -> Option<u64> {
    const BEFORE: [&str; 6] = [
        "maximum context length is ",
        "maximum context length of ",
        "maximum number of tokens allowed (",
        "maximum number of tokens allowed ",
        "maximum prompt length is ",
        "context window of ",
    ];
    BEFORE.iter().find_map(|before| {
        let (_, rest) = text.split_once(before)?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(rest.len());
        rest.get(..end)?.replace(',', "").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn every_providers_words_become_those_that_clients_know() {
        for (message, expected) in [
            (
                "This model's maximum context length is 128000 tokens. However, your messages resulted \
                 in 130512 tokens. Please reduce the length of the messages.",
                "prompt is too long: 130512 tokens > 128000 maximum",
            ),
            (
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                "prompt is too long: 1200000 tokens > 1048576 maximum",
            ),
            (
                "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
                "prompt is too long: 537812 tokens > 131072 maximum",
            ),
            (
                "maximum context length is 32768 tokens. However, you requested 33000 tokens (32000 in \
                 the messages, 1000 in the completion).",
                "prompt is too long: 33000 tokens > 32768 maximum",
            ),
            (
                "Your input exceeds the context window of this model.",
                "prompt is too long: Your input exceeds the context window of this model.",
            ),
            (
                "prompt is too long: 213462 tokens > 200000 maximum",
                "prompt is too long: 213462 tokens > 200000 maximum",
            ),
            (
                "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
                "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
            ),
        ] {
            let failure = Failure::new(FailureClass::ContextWindow, message);
            let error = GatewayError::Upstream(Box::new(failure));
            assert_eq!(told(&error).as_deref(), Some(expected));
        }
        let other = Failure::new(FailureClass::BadRequest, "no");
        assert_eq!(told(&GatewayError::Upstream(Box::new(other))), None);
    }
}
