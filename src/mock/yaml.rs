//! The YAML form of a script. `conf/mock-script.yaml` shows all of it.
//!
//! What a user may write is here and nowhere else; every mistake is reported with its line, the
//! word that was meant and what would be right.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::Value;

use super::conduct::{Fault, Point};
use super::directive::{error_frame, long_text};
use super::problem::{Cause, Problem};
use super::reply::{
    Calls, Reply, body_of, chat, content_filtered, frames, garbage_json, refusal, status, stream,
};
use super::script::{Pace, Pattern, Repeat, Rule, Script, When};
use super::values::{
    Chance, Check, Count, ErrorFrame, Garbage, Numbers, Pieces, Rate, Scalar, Span, Status,
};

/// A mistake in a script.
#[derive(Debug)]
pub struct BadScript {
    /// Line and column, from 1, if the place is known.
    pub place: Option<(usize, usize)>,
    /// What was found and what is expected.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for BadScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BadScript {}

impl BadScript {
    /// The message as the other configuration messages look: place, source line, caret, help.
    #[must_use]
    pub fn render(&self, file: &str, text: &str) -> String {
        let help = self.help.as_ref().map_or_else(String::new, |help| format!("\n  help: {help}"));
        let Some((line, column)) = self.place else {
            return format!("{file}: error: {}{help}", self.message);
        };
        let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let caret = " ".repeat(column.saturating_sub(1));
        let message = &self.message;
        format!("{file}:{line}:{column}: error: {message}\n  {source}\n  {caret}^{help}")
    }

    fn from_yaml(error: &serde_yaml::Error) -> Self {
        let place = error.location().map(|it| (it.line(), it.column()));
        let mut message = error.to_string();
        if let Some((line, column)) = place {
            message = message.replace(&format!(" at line {line} column {column}"), "");
        }
        let help = suggestion(&message);
        Self { place, message, help }
    }
}

/// From "unknown field `cut_aftr`, expected one of `a`, `b`": which of them was meant.
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let found = quoted.next().filter(|_| message.contains("unknown "))?;
    let known: Vec<&str> = quoted.collect();
    super::nearest(found, &known).map(|near| format!("did you mean `{near}`?"))
}

/// Reads a whole script.
pub(super) fn read(text: &str) -> Result<Script, BadScript> {
    if text.trim().is_empty() {
        return Ok(Script::default());
    }
    let file: File = serde_yaml::from_str(text).map_err(|error| BadScript::from_yaml(&error))?;
    Ok(Script {
        rules: file.rules.into_iter().map(RuleEntry::into_rule).collect(),
        pace: Pace {
            latency: file.latency_ms.map(|it| it.0.0),
            ttft: file.ttft_ms.map(Duration::from_millis),
            tokens_per_second: file.tokens_per_second.map(|it| it.0.0),
        },
        seed: file.seed,
        keys: file.keys,
        ..Script::default()
    })
}

/// Reads what may stand after `then`.
pub(super) fn read_reply(text: &str) -> Result<Reply, BadScript> {
    let then: Then = serde_yaml::from_str(text).map_err(|error| BadScript::from_yaml(&error))?;
    Ok(then.into_reply())
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    seed: u64,
    keys: Vec<String>,
    latency_ms: Option<Checked<Span>>,
    ttft_ms: Option<u64>,
    tokens_per_second: Option<Checked<Rate>>,
    rules: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    #[serde(rename = "match", default)]
    when: Match,
    then: Turns,
    #[serde(default)]
    repeat: RepeatWord,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Match {
    model: Option<String>,
    path: Option<String>,
    method: Option<String>,
    header: std::collections::BTreeMap<String, String>,
    stream: Option<bool>,
    nth: Option<Checked<Numbers>>,
    first: Option<u64>,
    every: Option<Checked<Count>>,
    chance: Option<Checked<Chance>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RepeatWord {
    #[default]
    Last,
    Cycle,
    Once,
}

/// What follows `then`: one reply or several in turn.
struct Turns(Vec<Then>);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Then {
    status: Option<Checked<Status>>,
    headers: std::collections::BTreeMap<String, Checked<Scalar>>,
    retry_after: Option<Checked<Scalar>>,
    retry_after_ms: Option<Checked<Scalar>>,
    body: Option<Value>,
    content_type: Option<String>,
    error: Option<Checked<Problem>>,
    text: Option<String>,
    words: Option<u32>,
    chunks: Option<Vec<String>>,
    frames: Option<Vec<String>>,
    reasoning: Option<Checked<Pieces>>,
    tool_calls: Option<Checked<Calls>>,
    refusal: Option<String>,
    content_filter: bool,
    finish_reason: Option<String>,
    usage: Option<UsageEntry>,
    no_usage: bool,
    continues: bool,
    latency_ms: Option<Checked<Span>>,
    ttft_ms: Option<u64>,
    tokens_per_second: Option<Checked<Rate>>,
    gap_ms: Option<u64>,
    each_frame_alone: bool,
    pieces_of: Option<Checked<Count>>,
    cut_after: Option<Checked<Point>>,
    cut_with_reset: bool,
    stall_after: Option<Checked<Point>>,
    error_frame: Option<Checked<ErrorFrame>>,
    reset: bool,
    close_before_head: bool,
    half_open: bool,
    garbage_head: Option<Checked<Garbage>>,
    garbage_json: bool,
    slow_head_ms: Option<u64>,
    chunked: bool,
    until_close: bool,
    close: bool,
    hang_up: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UsageEntry {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: u64,
    cache_write: u64,
    reasoning: u64,
}

impl RuleEntry {
    fn into_rule(self) -> Rule {
        let Match { model, path, method, header, stream, nth, first, every, chance } = self.when;
        let headers = header.into_iter();
        let when = When {
            model: model.map(Pattern::new),
            path: path.map(Pattern::new),
            method: method.map(Pattern::new),
            headers: headers.map(|(k, v)| (k.to_lowercase(), Pattern::new(v))).collect(),
            stream,
            nth: nth.map(|it| it.0.0).unwrap_or_default(),
            first,
            every: every.map(|it| it.0.0),
            chance: chance.map(|it| it.0.0),
            holds: None,
        };
        let replies = self.then.0.into_iter().map(Then::into_reply).collect();
        let repeat = match self.repeat {
            RepeatWord::Last => Repeat::Last,
            RepeatWord::Cycle => Repeat::Cycle,
            RepeatWord::Once => Repeat::Once,
        };
        Rule { when, replies, repeat, ..Rule::default() }
    }
}

impl Then {
    fn into_reply(self) -> Reply {
        let code = self.status.as_ref().map(|it| it.0.0);
        let mut reply = self.content(code);
        reply.status = code.or(reply.status);
        for (name, value) in self.headers {
            reply = reply.header(&name, &value.0.0);
        }
        if let Some(wait) = self.retry_after {
            reply = reply.retry_after(wait.0.0);
        }
        if let Some(wait) = self.retry_after_ms {
            reply = reply.header("retry-after-ms", &wait.0.0);
        }
        if let Some(frame) = self.error_frame {
            reply = error_frame(reply, frame.0.after);
            if let Some((_, problem)) = &mut reply.conduct.error_frame {
                *problem = frame.0.problem;
            }
        }
        let conduct = &mut reply.conduct;
        conduct.latency = self.latency_ms.map(|it| it.0.0);
        conduct.ttft = self.ttft_ms.map(Duration::from_millis);
        conduct.tokens_per_second = self.tokens_per_second.map(|it| it.0.0);
        conduct.gap = self.gap_ms.map(Duration::from_millis);
        conduct.each_frame_alone = self.each_frame_alone;
        conduct.pieces = self.pieces_of.map(|it| usize::try_from(it.0.0).unwrap_or(usize::MAX));
        conduct.cut = self.cut_after.map(|it| it.0);
        conduct.cut_with_reset = self.cut_with_reset;
        conduct.stall = self.stall_after.map(|it| it.0);
        conduct.slow_head = self.slow_head_ms.map(Duration::from_millis);
        let garbage_head = self.garbage_head.and_then(|it| it.0.0);
        conduct.fault = match garbage_head {
            _ if self.reset => Some(Fault::Reset),
            _ if self.close_before_head => Some(Fault::Close),
            _ if self.half_open => Some(Fault::Silence),
            found => found,
        };
        for (wanted, apply) in [
            (self.chunked, Reply::chunked as fn(Reply) -> Reply),
            (self.until_close, Reply::until_close),
            (self.close, Reply::closing),
            (self.hang_up, Reply::then_hangs_up),
        ] {
            if wanted {
                reply = apply(reply);
            }
        }
        reply
    }

    /// The content: the first that is given of garbage, body, frames, error, answer.
    fn content(&self, code: Option<u16>) -> Reply {
        let content_type = |usual: &'static str| self.content_type.as_deref().unwrap_or(usual);
        if self.garbage_json {
            return garbage_json();
        }
        if let Some(body) = &self.body {
            return match body {
                Value::String(text) => body_of(content_type("text/plain"), text.clone()),
                tree => {
                    let text = serde_json::to_string(tree).unwrap_or_default();
                    body_of(content_type("application/json"), text)
                }
            };
        }
        if let Some(lines) = &self.frames {
            return frames(lines.iter().cloned());
        }
        if let Some(Checked(problem)) = &self.error {
            let mut problem = problem.clone();
            if let (Cause::Status(_), Some(code)) = (problem.cause, code) {
                problem.cause = Cause::Status(code);
            }
            return Reply::failing(problem);
        }
        let mut reply = match (&self.text, &self.chunks, self.words, &self.refusal) {
            (Some(text), _, _, _) if self.content_filter => content_filtered(text),
            (Some(text), _, _, _) => chat(text),
            (None, Some(chunks), _, _) => stream(chunks.iter().map(String::as_str)),
            (None, None, Some(words), _) => chat(&long_text(words)),
            (None, None, None, Some(text)) => refusal(text),
            (None, None, None, None) => code.map_or_else(Reply::default, status),
        };
        // An error's usual body stays, unless something is said of an answer.
        let says_more = self.reasoning.is_some()
            || self.tool_calls.is_some()
            || self.usage.is_some()
            || self.finish_reason.is_some()
            || self.content_filter
            || self.continues
            || self.no_usage;
        if says_more {
            let answer = reply.answer();
            answer.filtered = self.content_filter;
            answer.hide_usage = self.no_usage;
            answer.continues = self.continues;
            answer.finish.clone_from(&self.finish_reason);
            if let Some(Checked(Pieces(pieces))) = &self.reasoning {
                answer.reasoning = pieces.iter().map(|it| it.as_str().into()).collect();
            }
            if let Some(Checked(calls)) = &self.tool_calls {
                answer.tool_calls = calls.clone();
            }
            if let Some(usage) = &self.usage {
                let counts = &mut answer.usage;
                (counts.input, counts.output) = (usage.input, usage.output);
                counts.cache_read = usage.cache_read;
                counts.cache_write = usage.cache_write;
                counts.reasoning = usage.reasoning;
            }
        }
        reply
    }
}

impl<'de> Deserialize<'de> for Turns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Turns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reply (a mapping) or a list of replies that are given in turn")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Turns, A::Error> {
                Then::deserialize(MapAccessDeserializer::new(map)).map(|then| Turns(vec![then]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Turns, A::Error> {
                let turns = Vec::<Then>::deserialize(SeqAccessDeserializer::new(list))?;
                if turns.is_empty() {
                    return Err(A::Error::custom("`then` needs at least one reply"));
                }
                Ok(Turns(turns))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// A value that is checked while its place in the file is still known.
struct Checked<T>(T);

impl<'de, T: Check> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CheckVisitor(PhantomData))
    }
}

struct CheckVisitor<T>(PhantomData<T>);

impl<T: Check> CheckVisitor<T> {
    fn judge<E: serde::de::Error>(value: &Value) -> Result<Checked<T>, E> {
        let found = || serde_yaml::to_string(value).unwrap_or_default().trim().replace('\n', " ");
        T::check(value)
            .map(Checked)
            .ok_or_else(|| E::custom(format!("expected {}, found `{}`", T::EXPECTED, found())))
    }
}

impl<'de, T: Check> Visitor<'de> for CheckVisitor<T> {
    type Value = Checked<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Self::judge(&Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Self::judge(&Value::from(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Self::judge(&Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Self::judge(&Value::from(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
        Self::judge(&Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Self::judge(&Value::deserialize(SeqAccessDeserializer::new(list))?)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Self::judge(&Value::deserialize(MapAccessDeserializer::new(map))?)
    }
}
