//! The language of routing conditions: `input_tokens < 100 and not has_images`.
//!
//! ```text
//! lexer   text -> tokens with positions      parse   tokens -> tree
//! facts   what may be asked, and its type    check   tree -> typed condition, errors with columns
//! eval    condition + one request -> bool
//! ```
//!
//! A condition is read and type-checked once, when the configuration is loaded; evaluating it cannot
//! fail. What a request does not have (a header that was not sent) is *missing*, and every comparison
//! with something missing is false. `docs/routing.md` is the reference for users.
//!
//! Why not an existing crate: those for expressions check types while they evaluate, so that a
//! misspelt name or a text compared with a number would be found by the first request it concerns.

mod check;
mod eval;
mod facts;
mod lexer;
mod parse;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use serde_json::Value;

pub use check::Condition;
pub use facts::{Flag, Number, Text};

/// A condition in characters; longer ones are not written by hand.
const CHARS_MAX: usize = 8_192;

/// What conditions ask about one request. Every answer is looked up only when a condition needs it.
pub trait Facts {
    /// A number; `None` if the request has none.
    fn number(&self, fact: Number) -> Option<f64>;
    fn flag(&self, fact: Flag) -> bool;
    /// A text; `None` if the request has none.
    fn text(&self, fact: Text) -> Option<Cow<'_, str>>;
    fn tags(&self) -> &[Box<str>];
    /// A header by its name in small letters; `None` if it was not sent or is no text.
    fn header(&self, name: &str) -> Option<&str>;
    /// A value under `metadata`; `None` if there is none.
    fn metadata(&self, path: &[Box<str>]) -> Option<Cow<'_, Value>>;
    fn now(&self) -> SystemTime;
}

/// Why a text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where, in characters from the start of the text.
    pub at: usize,
    /// How many characters are meant, at least one.
    pub width: usize,
    pub message: String,
    pub help: Option<String>,
    /// A word that is not known, and those that are.
    pub unknown: Option<(String, &'static [&'static str])>,
}

impl Malformed {
    fn new(span: Span, message: impl Into<String>) -> Self {
        let Span { at, end } = span;
        let width = end.saturating_sub(at).max(1);
        Self { at, width, message: message.into(), help: None, unknown: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn unknown(mut self, word: &str, known: &'static [&'static str]) -> Self {
        self.unknown = Some((word.to_owned(), known));
        self
    }
}

/// A part of the text, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    at: usize,
    end: usize,
}

impl Span {
    fn to(self, other: Self) -> Self {
        Self { at: self.at, end: other.end }
    }
}

impl Condition {
    /// Reads and checks a condition.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.chars().count() > CHARS_MAX {
            let start = Span { at: 0, end: 1 };
            let message = format!("a condition has at most {CHARS_MAX} characters");
            return Err(Malformed::new(start, message));
        }
        check::check(&parse::parse(lexer::lex(text)?)?)
    }

    /// Whether the condition holds for a request. `zone` is that of `hour`, `minute` and `weekday`.
    #[must_use]
    pub fn holds(&self, facts: &dyn Facts, zone: &TimeZone) -> bool {
        eval::Request { facts, zone }.truth(&self.truth)
    }
}
