//! Behaviour asked for in a few words: in a model's name or in a request's header.
//!
//! A model's name is `mock-` and then words joined by `+`; each word may have numbers after
//! dashes. A header holds the same words without `mock-`, or a YAML mapping `{status: 429}` with
//! everything that a script's `then` understands.
//!
//! | word | behaviour |
//! | --- | --- |
//! | `echo` | repeats the prompt |
//! | `429`, `429-60` | this status with the usual error body; `retry-after: 60` |
//! | `slow`, `slow-1500` | waits before the response head (3000 ms) |
//! | `ttft-800` | waits before the first frame |
//! | `tps-20` | tokens per second |
//! | `words-200` | a text of so many words |
//! | `cut`, `cut-3`, `cut-bytes-100` | ends the connection after so many frames or bytes (1) |
//! | `reset-cut-3` | the same as a TCP reset |
//! | `stall`, `stall-3` | stops after so many frames (1) |
//! | `error-frame`, `error-frame-2` | an error frame after so many frames (0) |
//! | `garbage`, `garbage-json` | no HTTP at all; a 200 that is not JSON |
//! | `reset`, `close`, `half-open` | a reset, a close or silence instead of a reply |
//! | `slow-head`, `slow-head-50` | the response head byte by byte (20 ms) |
//! | `context`, `policy`, `quota`, `overloaded` | the provider's error for it |
//! | `tools`, `tools-2` | calls so many of the request's tools (1) |
//! | `reasoning`, `refusal`, `filtered` | reasons first; refuses; is stopped by a filter |
//! | `no-usage` | reports no usage |

use std::time::Duration;

use super::conduct::Point;
use super::reply::{
    self, Reply, chat, close_before_head, content_filtered, garbage, garbage_json, never_answers,
    refusal, reset, status,
};
use super::yaml;

/// The prefix of a model's name that holds directives.
const PREFIX: &str = "mock-";

/// Every word, for suggestions. Statuses are not words.
const WORDS: [&str; 25] = [
    "echo",
    "slow-head",
    "slow",
    "ttft",
    "tps",
    "words",
    "cut-bytes",
    "reset-cut",
    "cut",
    "stall",
    "error-frame",
    "garbage-json",
    "garbage",
    "reset",
    "close",
    "half-open",
    "context",
    "policy",
    "quota",
    "overloaded",
    "tools",
    "reasoning",
    "refusal",
    "filtered",
    "no-usage",
];

/// The reply that a model's name asks for, if it begins like directives; the name may have a
/// provider before a slash.
pub(super) fn of_model(model: &str) -> Option<Result<Reply, String>> {
    let name = model.rsplit('/').next().unwrap_or(model);
    Some(parse(name.strip_prefix(PREFIX)?))
}

/// The reply that a header asks for.
pub(super) fn of_header(text: &str) -> Result<Reply, String> {
    let text = text.trim();
    if text.starts_with('{') {
        return yaml::read_reply(text).map_err(|error| error.to_string());
    }
    parse(text.strip_prefix(PREFIX).unwrap_or(text))
}

fn parse(text: &str) -> Result<Reply, String> {
    text.split('+').try_fold(Reply::default(), |reply, word| apply(reply, word.trim()))
}

fn apply(reply: Reply, word: &str) -> Result<Reply, String> {
    if word.starts_with(|it: char| it.is_ascii_digit()) {
        return numbered(reply, word);
    }
    let known = WORDS.iter().find(|known| {
        word.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    });
    let Some(name) = known else {
        let near = super::nearest(word, &WORDS);
        return Err(match near {
            Some(near) => format!("unknown directive `{word}`; did you mean `{near}`?"),
            None => format!("unknown directive `{word}`"),
        });
    };
    let argument = match word.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')) {
        None => None,
        Some(digits) => match digits.parse::<u32>() {
            Ok(number) => Some(number),
            Err(_) => return Err(format!("`{name}` takes a number, not `{digits}`")),
        },
    };
    let number = |usual: u32| argument.unwrap_or(usual);
    let frames = |usual: u32| Point::Frames(number(usual) as usize);
    let millis = |usual: u32| Duration::from_millis(u64::from(number(usual)));
    Ok(match *name {
        "slow" => reply.latency(millis(3000)),
        "ttft" => reply.ttft(millis(1000)),
        "tps" => reply.tokens_per_second(f64::from(number(20).max(1))),
        "words" => says(reply, chat(&long_text(number(100)))),
        "cut" => reply.cut_after(frames(1)),
        "cut-bytes" => reply.cut_after(Point::Bytes(number(100) as usize)),
        "reset-cut" => reply.cut_after(frames(1)).cut_with_reset(),
        "stall" => reply.stall_after(frames(1)),
        "error-frame" => error_frame(reply, frames(0)),
        "slow-head" => reply.slow_head(millis(20)),
        "garbage-json" => says(reply, garbage_json()),
        "garbage" => faulty(reply, garbage()),
        "reset" => faulty(reply, reset()),
        "close" => faulty(reply, close_before_head()),
        "half-open" => faulty(reply, never_answers()),
        "context" => says(reply, reply::context_window_exceeded()),
        "policy" => says(reply, reply::content_policy_violation()),
        "quota" => says(reply, reply::insufficient_quota()),
        "overloaded" => says(reply, reply::overloaded()),
        "tools" => reply.calling_tools(number(1) as usize),
        "reasoning" => reply.reasoning(["Let me ", "think ", "about ", "that."]),
        "refusal" => says(reply, refusal("I cannot help with that.")),
        "filtered" => says(reply, content_filtered("This is where it ")),
        "no-usage" => reply.without_usage(),
        _ => reply,
    })
}

/// `429` and `429-60`.
fn numbered(reply: Reply, word: &str) -> Result<Reply, String> {
    let (code, wait) = match word.split_once('-') {
        Some((code, wait)) => (code, Some(wait)),
        None => (word, None),
    };
    let Ok(code @ 200..=599) = code.parse::<u16>() else {
        return Err(format!("`{code}` is no status; expected 200 to 599"));
    };
    let mut reply = says(reply, status(code));
    reply.status = Some(code);
    Ok(match wait {
        Some(wait) => reply.retry_after(wait),
        None => reply,
    })
}

/// The content of `other` with the conduct of `reply`.
fn says(mut reply: Reply, other: Reply) -> Reply {
    reply.says = other.says;
    reply
}

fn faulty(mut reply: Reply, other: Reply) -> Reply {
    reply.conduct.fault = other.conduct.fault;
    reply
}

/// The usual error frame: the provider is overloaded.
pub(super) fn error_frame(mut reply: Reply, point: Point) -> Reply {
    reply.conduct.error_frame = Some((point, super::problem::Problem::overloaded()));
    reply
}

/// The longest text that a script may ask for by its length.
const WORDS_MAX: u32 = 100_000;

/// A text of so many words.
pub(super) fn long_text(words: u32) -> String {
    const LATIN: [&str; 8] =
        ["lorem ", "ipsum ", "dolor ", "sit ", "amet ", "consectetur ", "elit ", "sed "];
    (0..words.min(WORDS_MAX) as usize)
        .filter_map(|index| LATIN.get(index % LATIN.len()).copied())
        .collect()
}
