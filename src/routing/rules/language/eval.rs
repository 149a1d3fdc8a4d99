//! Evaluates a checked condition for one request. Cannot fail, and allocates nothing of its own.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::Facts;
use super::check::{Amount, Condition, Mention, Place, Source, Truth, Words};
use super::facts::{Clock, Text};
use super::lexer::Order;
use super::parse::Arithmetic;

/// A request as its conditions see it.
pub(super) struct Request<'a> {
    pub(super) facts: &'a dyn Facts,
    pub(super) zone: &'a TimeZone,
}

impl Condition {
    /// Whether the condition speaks of this model: by its name, or by a part or pattern of names.
    #[must_use]
    pub fn speaks_of(&self, model: &str) -> bool {
        let named = |text: &Words| match text {
            Words::Fact(Text::Model) => Some(model),
            Words::Fact(_) | Words::Const(_) | Words::Open(_) => None,
        };
        self.mentions.iter().any(|mention| match mention {
            Mention::Named(names) => names.iter().any(|name| **name == *model),
            Mention::Where(Truth::Part { whole, part: Words::Const(part), at, .. }) => {
                named(whole).is_some_and(|whole| stands(whole, part, *at))
            }
            Mention::Where(Truth::Matches { text, pattern }) => {
                named(text).is_some_and(|text| pattern.is_match(text))
            }
            Mention::Where(_) => false,
        })
    }
}

impl Request<'_> {
    pub(super) fn truth(&self, truth: &Truth) -> bool {
        self.known(truth).unwrap_or(false)
    }

    /// `None`: it is about something that the request does not have.
    fn known(&self, truth: &Truth) -> Option<bool> {
        Some(match truth {
            Truth::Const(value) => *value,
            Truth::Flag(flag) => self.facts.flag(*flag),
            Truth::Open(source) => return self.open_flag(source),
            Truth::Not(inner) => !self.truth(inner),
            Truth::All(all) => all.iter().all(|one| self.truth(one)),
            Truth::One(all) => all.iter().any(|one| self.truth(one)),
            Truth::Numbers { left, by, right } => {
                let (left, right) = (self.amount(left)?, self.amount(right)?);
                match by {
                    Order::Less => left < right,
                    Order::LessEqual => left <= right,
                    Order::Greater => left > right,
                    Order::GreaterEqual => left >= right,
                    Order::Equal => same(left, right),
                    Order::NotEqual => !same(left, right),
                }
            }
            Truth::Same { left, right, not } => (self.words(left)? == self.words(right)?) != *not,
            Truth::Alike { left, right, not } => (self.known(left)? == self.known(right)?) != *not,
            Truth::NumberIn { left, list, not } => {
                let left = self.amount(left)?;
                list.iter().any(|item| same(*item, left)) != *not
            }
            Truth::TextIn { left, list, not } => {
                let left = self.words(left)?;
                list.iter().any(|item| **item == *left) != *not
            }
            Truth::Tagged { tag, not } => {
                let tag = self.words(tag)?;
                self.facts.tags().iter().any(|one| **one == *tag) != *not
            }
            Truth::Part { whole, part, at, not } => {
                let (whole, part) = (self.words(whole)?, self.words(part)?);
                stands(&whole, &part, *at) != *not
            }
            Truth::Holds { source, part, not } => self.holds(source, &self.words(part)?)? != *not,
            Truth::Matches { text, pattern } => pattern.is_match(&self.words(text)?),
            Truth::Days(mask) => {
                let day = self.clock().weekday().to_monday_zero_offset();
                mask & (1_u8 << day) != 0
            }
            Truth::NumberExists(amount) => self.amount(amount).is_some(),
            Truth::TextExists(words) => self.words(words).is_some(),
            Truth::SourceExists(Source::Header(name)) => self.facts.header(name).is_some(),
            Truth::SourceExists(Source::Metadata(path)) => self.facts.metadata(path).is_some(),
            Truth::TagsExist => !self.facts.tags().is_empty(),
        })
    }

    /// `None` also for what is no number: a division by zero, a header that is a word.
    fn amount(&self, amount: &Amount) -> Option<f64> {
        let number = match amount {
            Amount::Const(number) => *number,
            Amount::Fact(fact) => self.facts.number(*fact)?,
            Amount::Clock(Clock::Hour) => f64::from(self.clock().hour()),
            Amount::Clock(Clock::Minute) => f64::from(self.clock().minute()),
            Amount::Open(source) => self.open_number(source)?,
            Amount::Negative(inner) => -self.amount(inner)?,
            Amount::Sum { left, by, right } => {
                let (left, right) = (self.amount(left)?, self.amount(right)?);
                match by {
                    Arithmetic::Add => left + right,
                    Arithmetic::Subtract => left - right,
                    Arithmetic::Multiply => left * right,
                    Arithmetic::Divide => left / right,
                    Arithmetic::Modulo => left % right,
                }
            }
        };
        number.is_finite().then_some(number)
    }

    fn words<'b>(&'b self, words: &'b Words) -> Option<Cow<'b, str>> {
        match words {
            Words::Const(text) => Some(Cow::Borrowed(text)),
            Words::Fact(fact) => self.facts.text(*fact),
            Words::Open(Source::Header(name)) => self.facts.header(name).map(Cow::Borrowed),
            Words::Open(Source::Metadata(path)) => {
                self.facts.metadata(path).and_then(|value| text_of(&value)).map(Cow::Owned)
            }
        }
    }

    fn open_number(&self, source: &Source) -> Option<f64> {
        match source {
            Source::Header(name) => self.facts.header(name)?.trim().parse().ok(),
            Source::Metadata(path) => match &*self.facts.metadata(path)? {
                Value::Number(number) => number.as_f64(),
                Value::String(text) => text.trim().parse().ok(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
            },
        }
    }

    fn open_flag(&self, source: &Source) -> Option<bool> {
        let word = match source {
            Source::Header(name) => return flag_of(self.facts.header(name)?),
            Source::Metadata(path) => self.facts.metadata(path)?,
        };
        match &*word {
            Value::Bool(value) => Some(*value),
            Value::String(text) => flag_of(text),
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn holds(&self, source: &Source, part: &str) -> Option<bool> {
        match source {
            Source::Header(name) => Some(self.facts.header(name)?.contains(part)),
            Source::Metadata(path) => match &*self.facts.metadata(path)? {
                Value::Array(items) => {
                    Some(items.iter().any(|item| text_of(item).is_some_and(|text| text == part)))
                }
                Value::String(text) => Some(text.contains(part)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
            },
        }
    }

    fn clock(&self) -> DateTime {
        // The clock of a machine is within the years that the crate knows; else it is the epoch.
        let now = Timestamp::try_from(self.facts.now()).unwrap_or(Timestamp::UNIX_EPOCH);
        self.zone.to_datetime(now)
    }
}

/// Counts and clock times are whole; what is calculated may miss by a rounding.
fn same(left: f64, right: f64) -> bool {
    (left - right).abs() <= f64::EPSILON * left.abs().max(right.abs())
}

fn stands(whole: &str, part: &str, at: Place) -> bool {
    match at {
        Place::Anywhere => whole.contains(part),
        Place::Start => whole.starts_with(part),
        Place::End => whole.ends_with(part),
    }
}

fn flag_of(text: &str) -> Option<bool> {
    match text.trim() {
        "true" | "True" | "TRUE" | "1" | "yes" => Some(true),
        "false" | "False" | "FALSE" | "0" | "no" => Some(false),
        _ => None,
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
