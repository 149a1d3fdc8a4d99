//! The values of a script that are more than a word or a number, and what each accepts.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use serde_yaml::Value;

use super::conduct::{Fault, Point};
use super::problem::{Cause, Problem};
use super::reply::{Calls, ToolCall, garbage};

/// What a value accepts.
pub(super) trait Check: Sized {
    /// For messages: "a number from 0 to 1".
    const EXPECTED: &'static str;
    fn check(value: &Value) -> Option<Self>;
}

/// Milliseconds, or from and to.
pub(super) struct Span(pub(super) RangeInclusive<Duration>);

impl Check for Span {
    const EXPECTED: &'static str = "milliseconds, or [least, most] in milliseconds";

    fn check(value: &Value) -> Option<Self> {
        let millis = |value: &Value| value.as_u64().map(Duration::from_millis);
        match value.as_sequence().map(Vec::as_slice) {
            None => millis(value).map(|it| Self(it..=it)),
            Some([least, most]) => {
                let (least, most) = (millis(least)?, millis(most)?);
                (least <= most).then_some(Self(least..=most))
            }
            Some(_) => None,
        }
    }
}

/// A number above zero.
pub(super) struct Rate(pub(super) f64);

impl Check for Rate {
    const EXPECTED: &'static str = "a number above 0";

    fn check(value: &Value) -> Option<Self> {
        value.as_f64().filter(|rate| rate.is_finite() && *rate > 0.0).map(Self)
    }
}

/// A share of the requests.
pub(super) struct Chance(pub(super) f64);

impl Check for Chance {
    const EXPECTED: &'static str = "a number from 0 to 1";

    fn check(value: &Value) -> Option<Self> {
        value.as_f64().filter(|chance| (0.0..=1.0).contains(chance)).map(Self)
    }
}

/// One at least.
pub(super) struct Count(pub(super) u64);

impl Check for Count {
    const EXPECTED: &'static str = "a whole number from 1";

    fn check(value: &Value) -> Option<Self> {
        value.as_u64().filter(|count| *count > 0).map(Self)
    }
}

/// One or several ordinals.
pub(super) struct Numbers(pub(super) Vec<u64>);

impl Check for Numbers {
    const EXPECTED: &'static str = "a whole number from 1, or a list of them";

    fn check(value: &Value) -> Option<Self> {
        let number = |value: &Value| Count::check(value).map(|it| it.0);
        match value.as_sequence() {
            Some(list) if list.is_empty() => None,
            Some(list) => list.iter().map(number).collect::<Option<_>>().map(Self),
            None => number(value).map(|it| Self(vec![it])),
        }
    }
}

pub(super) struct Status(pub(super) u16);

impl Check for Status {
    const EXPECTED: &'static str = "an HTTP status from 200 to 599";

    fn check(value: &Value) -> Option<Self> {
        let code = u16::try_from(value.as_u64()?).ok()?;
        (200..=599).contains(&code).then_some(Self(code))
    }
}

/// Anything that is written on one line, as text.
pub(super) struct Scalar(pub(super) String);

impl Check for Scalar {
    const EXPECTED: &'static str = "a text or a number, on one line";

    fn check(value: &Value) -> Option<Self> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(word) => word.to_string(),
            _ => return None,
        };
        (!text.contains(['\r', '\n'])).then_some(Self(text))
    }
}

/// A text, or the pieces of one.
pub(super) struct Pieces(pub(super) Vec<String>);

impl Check for Pieces {
    const EXPECTED: &'static str = "a text or a list of texts";

    fn check(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => {
                Some(Self(text.split_inclusive(' ').map(str::to_owned).collect()))
            }
            Value::Sequence(list) => {
                let texts = list.iter().map(|it| it.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().map(Self)
            }
            _ => None,
        }
    }
}

impl Check for Point {
    const EXPECTED: &'static str = "a number of frames, `preamble`, {frames: n} or {bytes: n}";

    fn check(value: &Value) -> Option<Self> {
        let count = |value: &Value| usize::try_from(value.as_u64()?).ok();
        match value {
            Value::String(word) => (word == "preamble").then_some(Self::Preamble),
            Value::Mapping(map) if map.len() == 1 => match map.iter().next()? {
                (name, value) if name == "frames" => count(value).map(Self::Frames),
                (name, value) if name == "bytes" => count(value).map(Self::Bytes),
                _ => None,
            },
            other => count(other).map(Self::Frames),
        }
    }
}

impl Check for Problem {
    const EXPECTED: &'static str = "`context`, `policy`, `quota`, `overloaded` or a mapping of \
                                    `code`, `type`, `message`, `param`";

    fn check(value: &Value) -> Option<Self> {
        match value {
            Value::String(word) => {
                let cause = match word.as_str() {
                    "context" => Cause::Context,
                    "policy" => Cause::Policy,
                    "quota" => Cause::Quota,
                    "overloaded" => Cause::Overloaded,
                    _ => return None,
                };
                Some(Self::of(cause))
            }
            Value::Mapping(map) => {
                let mut problem = Self::default();
                for (name, value) in map {
                    let text = Scalar::check(value)?.0;
                    match name.as_str()? {
                        "code" => problem.code = Some(text),
                        "type" => problem.kind = Some(text),
                        "message" => problem.message = Some(text),
                        "param" => problem.param = Some(text),
                        _ => return None,
                    }
                }
                Some(problem)
            }
            _ => None,
        }
    }
}

/// An error in the middle of a stream.
pub(super) struct ErrorFrame {
    pub(super) after: Point,
    pub(super) problem: Problem,
}

impl Check for ErrorFrame {
    const EXPECTED: &'static str = "a number of frames, or a mapping of `after`, `code`, `type`, \
                                    `message`, `param`";

    fn check(value: &Value) -> Option<Self> {
        let Value::Mapping(map) = value else {
            let after = Point::check(value)?;
            return Some(Self { after, problem: Problem::overloaded() });
        };
        let mut fields = map.clone();
        let after = match fields.remove("after") {
            Some(after) => Point::check(&after)?,
            None => Point::Frames(0),
        };
        let mut problem = Problem::check(&Value::Mapping(fields))?;
        problem.cause = Cause::Overloaded;
        Some(Self { after, problem })
    }
}

/// Whether garbage is sent, and which.
pub(super) struct Garbage(pub(super) Option<Fault>);

impl Check for Garbage {
    const EXPECTED: &'static str = "true, false or the text to send";

    fn check(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(false) => Some(Self(None)),
            Value::Bool(true) => Some(Self(garbage().conduct.fault)),
            Value::String(text) => Some(Self(Some(Fault::Garbage(Bytes::from(text.clone()))))),
            _ => None,
        }
    }
}

impl Check for Calls {
    const EXPECTED: &'static str =
        "a number of the request's tools, or a list of {name, arguments, id}";

    fn check(value: &Value) -> Option<Self> {
        let Value::Sequence(list) = value else {
            return usize::try_from(value.as_u64()?).ok().map(Self::OfRequest);
        };
        let call = |value: &Value| {
            let known = ["name", "arguments", "id"];
            let fields = value.as_mapping()?;
            if !fields.keys().all(|key| key.as_str().is_some_and(|it| known.contains(&it))) {
                return None;
            }
            let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
            let arguments = match value.get("arguments") {
                None => "{}".to_owned(),
                Some(Value::String(text)) => text.clone(),
                Some(tree) => serde_json::to_string(tree).ok()?,
            };
            Some(ToolCall { id: text("id"), name: text("name")?, arguments })
        };
        list.iter().map(call).collect::<Option<_>>().map(Self::Named)
    }
}
