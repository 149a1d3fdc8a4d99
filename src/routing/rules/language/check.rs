//! A tree into a condition that cannot fail: every operator gets operands of its type.
//!
//! Headers and values under `metadata` have no type of their own: they are read as what they are
//! compared with. All else has one type, and comparing two types is an error.

use regex::{Regex, RegexBuilder};

use super::facts::{Clock, Flag, Known, NAMES, Number, Text, WEEKDAYS, find, weekday};
use super::lexer::Order;
use super::parse::{Arithmetic, Comparison, Node, Tree};
use super::{Malformed, Span};

/// A condition that was read and checked.
#[derive(Clone, Debug)]
pub struct Condition {
    pub(super) truth: Truth,
    /// Each comparison of `model` with something written, as the test whether a model is meant.
    pub(super) mentions: Vec<Mention>,
    uses_tokens: bool,
}

/// Which models a comparison speaks of.
#[derive(Clone, Debug)]
pub(super) enum Mention {
    Named(Vec<Box<str>>),
    /// Those for which this holds.
    Where(Truth),
}

/// A typed condition.
#[derive(Clone, Debug)]
pub(super) enum Truth {
    Const(bool),
    Flag(Flag),
    /// A header or a value of the metadata, read as `true` or `false`.
    Open(Source),
    Not(Box<Self>),
    All(Box<[Self]>),
    One(Box<[Self]>),
    Numbers {
        left: Amount,
        by: Order,
        right: Amount,
    },
    Same {
        left: Words,
        right: Words,
        not: bool,
    },
    Alike {
        left: Box<Self>,
        right: Box<Self>,
        not: bool,
    },
    NumberIn {
        left: Amount,
        list: Box<[f64]>,
        not: bool,
    },
    TextIn {
        left: Words,
        list: Box<[Box<str>]>,
        not: bool,
    },
    Tagged {
        tag: Words,
        not: bool,
    },
    Part {
        whole: Words,
        part: Words,
        at: Place,
        not: bool,
    },
    /// An array that has this item, or a text that has this part.
    Holds {
        source: Source,
        part: Words,
        not: bool,
    },
    Matches {
        text: Words,
        pattern: Regex,
    },
    /// One bit for each day that is meant, Monday first.
    Days(u8),
    NumberExists(Amount),
    TextExists(Words),
    SourceExists(Source),
    TagsExist,
}

/// Where a part of a text has to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    Start,
    End,
}

/// A typed number.
#[derive(Clone, Debug)]
pub(super) enum Amount {
    Const(f64),
    Fact(Number),
    Clock(Clock),
    Open(Source),
    Negative(Box<Self>),
    Sum { left: Box<Self>, by: Arithmetic, right: Box<Self> },
}

/// A typed text.
#[derive(Clone, Debug)]
pub(super) enum Words {
    Const(Box<str>),
    Fact(Text),
    Open(Source),
}

/// What clients may send in any type.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Header(Box<str>),
    Metadata(Box<[Box<str>]>),
}

/// An operand before it is known what is done with it.
enum Typed {
    Number(Amount),
    Text(Words),
    Truth(Truth),
    Open(Source),
    Weekday,
    Tags,
    Numbers(Vec<f64>),
    Texts(Vec<(Box<str>, Span)>),
}

impl Typed {
    fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Truth(_) => "true or false",
            Self::Open(Source::Header(_)) => "a header",
            Self::Open(Source::Metadata(_)) => "a value of the metadata",
            Self::Weekday => "a day of the week",
            Self::Tags => "the list of tags",
            Self::Numbers(_) => "a list of numbers",
            Self::Texts(_) => "a list of texts",
        }
    }
}

/// Each of these takes the operand for what is asked; `span` is where it is written.
impl Typed {
    fn truth(self, span: Span) -> Result<Truth, Malformed> {
        match self {
            Self::Truth(truth) => Ok(truth),
            Self::Open(source) => Ok(Truth::Open(source)),
            other => {
                let help = match other {
                    Self::Number(_) => "compare it with a number, as in `input_tokens < 100`",
                    Self::Tags => "write `tags contains \"name\"`",
                    _ => "compare it with a text, as in `user == \"name\"`",
                };
                Err(mismatch("a condition", &other, span).help(help))
            }
        }
    }

    fn number(self, span: Span) -> Result<Amount, Malformed> {
        match self {
            Self::Number(amount) => Ok(amount),
            Self::Open(source) => Ok(Amount::Open(source)),
            other => Err(mismatch("a number", &other, span)),
        }
    }

    fn text(self, span: Span) -> Result<Words, Malformed> {
        match self {
            Self::Text(words) => Ok(words),
            Self::Open(source) => Ok(Words::Open(source)),
            other => Err(mismatch("a text", &other, span)),
        }
    }
}

impl Condition {
    /// The models that the condition names, each as it is written.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.mentions
            .iter()
            .flat_map(|mention| match mention {
                Mention::Named(names) => names.as_slice(),
                Mention::Where(_) => &[],
            })
            .map(|name| &**name)
    }

    /// Whether the tokens of a prompt have to be counted for it.
    #[must_use]
    pub fn asks_for_tokens(&self) -> bool {
        self.uses_tokens
    }
}

pub(super) fn check(tree: &Tree) -> Result<Condition, Malformed> {
    let mut checker = Checker { mentions: Vec::new(), uses_tokens: false };
    let truth = checker.truth(tree)?;
    let Checker { mentions, uses_tokens } = checker;
    Ok(Condition { truth, mentions, uses_tokens })
}

struct Checker {
    mentions: Vec<Mention>,
    uses_tokens: bool,
}

/// Bytes of a compiled pattern. Matching takes time in proportion to the text, whatever the pattern.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

impl Checker {
    fn typed(&mut self, tree: &Tree) -> Result<Typed, Malformed> {
        Ok(match &tree.node {
            Node::Number(number) => Typed::Number(Amount::Const(*number)),
            Node::Text(text) => Typed::Text(Words::Const(text.as_str().into())),
            Node::List(items) => self.list(items, tree.span)?,
            Node::Fact { name, path } => self.fact(name, path, tree.span)?,
            Node::Negative(inner) => Typed::Number(Amount::Negative(Box::new(self.number(inner)?))),
            Node::Sum { left, by, right } => {
                let (left, right) = (Box::new(self.number(left)?), Box::new(self.number(right)?));
                Typed::Number(Amount::Sum { left, by: *by, right })
            }
            Node::Truth(value) => Typed::Truth(Truth::Const(*value)),
            Node::Exists(inner) => Typed::Truth(self.exists(inner)?),
            Node::Not(inner) => Typed::Truth(Truth::Not(Box::new(self.truth(inner)?))),
            Node::And(all) => Typed::Truth(Truth::All(self.truths(all)?)),
            Node::Or(all) => Typed::Truth(Truth::One(self.truths(all)?)),
            Node::Compare { left, by, sign, right } => {
                Typed::Truth(self.compare(left, *by, *sign, right)?)
            }
        })
    }

    fn fact(
        &mut self,
        name: &str,
        path: &[(String, Span)],
        span: Span,
    ) -> Result<Typed, Malformed> {
        let Some(known) = find(name) else {
            let word = Span { at: span.at, end: span.at + name.chars().count() };
            let message = format!("`{name}` is not a fact about requests");
            return Err(Malformed::new(word, message).unknown(name, NAMES));
        };
        if let (false, Some((_, part))) =
            (matches!(known, Known::Headers | Known::Metadata), path.first())
        {
            return Err(Malformed::new(*part, format!("`{name}` has no parts")));
        }
        Ok(match known {
            Known::Number(fact) => {
                self.uses_tokens |= fact == Number::InputTokens;
                Typed::Number(Amount::Fact(fact))
            }
            Known::Clock(clock) => Typed::Number(Amount::Clock(clock)),
            Known::Flag(flag) => Typed::Truth(Truth::Flag(flag)),
            Known::Text(fact) => Typed::Text(Words::Fact(fact)),
            Known::Weekday => Typed::Weekday,
            Known::Tags => Typed::Tags,
            Known::Headers => match path {
                [(header, _)] => Typed::Open(Source::Header(header.to_ascii_lowercase().into())),
                [_, (_, more), ..] => return Err(Malformed::new(*more, "a header has no parts")),
                [] => {
                    return Err(Malformed::new(span, "`headers` needs the name of a header")
                        .help("write `headers[\"x-name\"]`"));
                }
            },
            Known::Metadata => {
                if path.is_empty() {
                    return Err(Malformed::new(span, "`metadata` needs a name within it")
                        .help("write `metadata.name` or `metadata[\"name\"]`"));
                }
                let path = path.iter().map(|(part, _)| part.as_str().into());
                Typed::Open(Source::Metadata(path.collect()))
            }
        })
    }

    /// A list of constants of one type.
    fn list(&mut self, items: &[Tree], span: Span) -> Result<Typed, Malformed> {
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for item in items {
            match self.typed(item)? {
                Typed::Number(amount) => match constant(&amount) {
                    Some(number) => numbers.push(number),
                    None => return Err(not_constant(item.span)),
                },
                Typed::Text(Words::Const(text)) => texts.push((text, item.span)),
                Typed::Text(_)
                | Typed::Truth(_)
                | Typed::Open(_)
                | Typed::Weekday
                | Typed::Tags
                | Typed::Numbers(_)
                | Typed::Texts(_) => return Err(not_constant(item.span)),
            }
            if !numbers.is_empty() && !texts.is_empty() {
                let message = "a list holds numbers or texts, not both";
                return Err(Malformed::new(item.span, message));
            }
        }
        match (numbers.is_empty(), texts.is_empty()) {
            (true, true) => Err(Malformed::new(span, "this list is empty: nothing is in it")),
            (false, _) => Ok(Typed::Numbers(numbers)),
            (true, false) => Ok(Typed::Texts(texts)),
        }
    }

    fn truths(&mut self, all: &[Tree]) -> Result<Box<[Truth]>, Malformed> {
        all.iter().map(|tree| self.truth(tree)).collect()
    }

    fn truth(&mut self, tree: &Tree) -> Result<Truth, Malformed> {
        self.typed(tree)?.truth(tree.span)
    }

    fn number(&mut self, tree: &Tree) -> Result<Amount, Malformed> {
        self.typed(tree)?.number(tree.span)
    }

    fn text(&mut self, tree: &Tree) -> Result<Words, Malformed> {
        self.typed(tree)?.text(tree.span)
    }

    fn exists(&mut self, tree: &Tree) -> Result<Truth, Malformed> {
        match self.typed(tree)? {
            Typed::Number(amount @ Amount::Fact(_)) => Ok(Truth::NumberExists(amount)),
            Typed::Text(words @ Words::Fact(_)) => Ok(Truth::TextExists(words)),
            Typed::Open(source) => Ok(Truth::SourceExists(source)),
            Typed::Tags => Ok(Truth::TagsExist),
            other => Err(mismatch("a fact that a request may lack", &other, tree.span)
                .help("as in `exists(user)` or `exists(headers[\"x-name\"])`")),
        }
    }

    fn compare(
        &mut self,
        left: &Tree,
        by: Comparison,
        sign: Span,
        right: &Tree,
    ) -> Result<Truth, Malformed> {
        let truth = match by {
            Comparison::Order(Order::Equal) => self.equal(left, right, sign, false)?,
            Comparison::Order(Order::NotEqual) => self.equal(left, right, sign, true)?,
            Comparison::Order(order) => self.numbers(left, order, right)?,
            Comparison::In => self.is_in(left, right, false)?,
            Comparison::NotIn => self.is_in(left, right, true)?,
            Comparison::Contains => self.contains(left, right, false)?,
            Comparison::NotContains => self.contains(left, right, true)?,
            Comparison::StartsWith => self.part(left, right, Place::Start)?,
            Comparison::EndsWith => self.part(left, right, Place::End)?,
            Comparison::Matches => {
                let text = self.text(left)?;
                Truth::Matches { text, pattern: pattern(right)? }
            }
        };
        self.mentions.extend(mention(&truth));
        Ok(truth)
    }

    fn numbers(&mut self, left: &Tree, by: Order, right: &Tree) -> Result<Truth, Malformed> {
        Ok(Truth::Numbers { left: self.number(left)?, by, right: self.number(right)? })
    }

    fn equal(
        &mut self,
        left: &Tree,
        right: &Tree,
        sign: Span,
        not: bool,
    ) -> Result<Truth, Malformed> {
        let types = (self.typed(left)?, self.typed(right)?);
        Ok(match types {
            (a @ Typed::Number(_), b) | (a, b @ Typed::Number(_)) => Truth::Numbers {
                left: a.number(left.span)?,
                by: if not { Order::NotEqual } else { Order::Equal },
                right: b.number(right.span)?,
            },
            (a @ Typed::Truth(_), b) | (a, b @ Typed::Truth(_)) => Truth::Alike {
                left: Box::new(a.truth(left.span)?),
                right: Box::new(b.truth(right.span)?),
                not,
            },
            (Typed::Weekday, Typed::Text(Words::Const(day))) => days(&[(day, right.span)], not)?,
            (Typed::Text(Words::Const(day)), Typed::Weekday) => days(&[(day, left.span)], not)?,
            (Typed::Weekday, other) => {
                return Err(mismatch("the name of a day", &other, right.span));
            }
            (other, Typed::Weekday) => {
                return Err(mismatch("the name of a day", &other, left.span));
            }
            (a @ (Typed::Text(_) | Typed::Open(_)), b @ (Typed::Text(_) | Typed::Open(_))) => {
                Truth::Same { left: a.text(left.span)?, right: b.text(right.span)?, not }
            }
            (Typed::Tags | Typed::Numbers(_) | Typed::Texts(_), _)
            | (_, Typed::Tags | Typed::Numbers(_) | Typed::Texts(_)) => {
                return Err(Malformed::new(sign, "a list is equal to nothing")
                    .help("write `tags contains \"a\"`, or `user in [\"a\", \"b\"]`"));
            }
        })
    }

    fn is_in(&mut self, left: &Tree, right: &Tree, not: bool) -> Result<Truth, Malformed> {
        Ok(match self.typed(right)? {
            Typed::Numbers(list) => {
                Truth::NumberIn { left: self.number(left)?, list: list.into(), not }
            }
            Typed::Texts(list) => {
                let left = match self.typed(left)? {
                    Typed::Weekday => return days(&list, not),
                    Typed::Tags => {
                        return Err(mismatch("a text", &Typed::Tags, left.span)
                            .help("write `tags contains \"a\" or tags contains \"b\"`"));
                    }
                    other => other.text(left.span)?,
                };
                Truth::TextIn { left, list: list.into_iter().map(|(text, _)| text).collect(), not }
            }
            Typed::Tags => Truth::Tagged { tag: self.text(left)?, not },
            Typed::Open(source) => Truth::Holds { source, part: self.text(left)?, not },
            other @ Typed::Text(_) => {
                return Err(mismatch("a list", &other, right.span)
                    .help("write `[\"a\", \"b\"]`; for a part of a text, `user contains \"a\"`"));
            }
            other => return Err(mismatch("a list", &other, right.span)),
        })
    }

    fn contains(&mut self, left: &Tree, right: &Tree, not: bool) -> Result<Truth, Malformed> {
        match self.typed(left)? {
            Typed::Tags => Ok(Truth::Tagged { tag: self.text(right)?, not }),
            Typed::Open(source) => Ok(Truth::Holds { source, part: self.text(right)?, not }),
            Typed::Text(whole) => {
                Ok(Truth::Part { whole, part: self.text(right)?, at: Place::Anywhere, not })
            }
            other @ (Typed::Numbers(_) | Typed::Texts(_)) => {
                Err(mismatch("a text or `tags`", &other, left.span)
                    .help("write `user in [\"a\", \"b\"]`"))
            }
            other => Err(mismatch("a text or `tags`", &other, left.span)),
        }
    }

    fn part(&mut self, whole: &Tree, part: &Tree, at: Place) -> Result<Truth, Malformed> {
        Ok(Truth::Part { whole: self.text(whole)?, part: self.text(part)?, at, not: false })
    }
}

fn mismatch(expected: &str, found: &Typed, span: Span) -> Malformed {
    Malformed::new(span, format!("expected {expected}, found {}", found.kind()))
}

fn not_constant(span: Span) -> Malformed {
    Malformed::new(span, "a list holds numbers or texts in quotes")
}

fn constant(amount: &Amount) -> Option<f64> {
    match amount {
        Amount::Const(number) => Some(*number),
        Amount::Negative(inner) => constant(inner).map(|number| -number),
        Amount::Fact(_) | Amount::Clock(_) | Amount::Open(_) | Amount::Sum { .. } => None,
    }
}

fn days(written: &[(Box<str>, Span)], not: bool) -> Result<Truth, Malformed> {
    let mut mask = 0_u8;
    for (day, span) in written {
        let Some(number) = weekday(day) else {
            let message = format!("`{day}` is not a day of the week");
            return Err(Malformed::new(*span, message).unknown(day, WEEKDAYS));
        };
        mask |= 1 << number;
    }
    Ok(Truth::Days(if not { !mask } else { mask }))
}

fn pattern(tree: &Tree) -> Result<Regex, Malformed> {
    let Node::Text(pattern) = &tree.node else {
        let message = "`matches` takes a pattern in quotes";
        return Err(Malformed::new(tree.span, message).help("as in `model matches \"^gpt-4\"`"));
    };
    let built = RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build();
    built.map_err(|error| {
        let message = match error {
            regex::Error::CompiledTooBig(_) => "this pattern is too large".to_owned(),
            error => {
                // The crate shows the pattern over several lines; the last one says what it is.
                let shown = error.to_string();
                let last = shown.lines().last().unwrap_or_default();
                format!("not a pattern: {}", last.trim_start_matches("error: "))
            }
        };
        Malformed::new(tree.span, message)
    })
}

/// The models of which a comparison speaks, whichever way it turns out.
fn mention(truth: &Truth) -> Option<Mention> {
    const MODEL: Text = Text::Model;
    match truth {
        Truth::Same { left: Words::Fact(MODEL), right: Words::Const(name), .. }
        | Truth::Same { left: Words::Const(name), right: Words::Fact(MODEL), .. } => {
            Some(Mention::Named(vec![name.clone()]))
        }
        Truth::TextIn { left: Words::Fact(MODEL), list, .. } => Some(Mention::Named(list.to_vec())),
        Truth::Part {
            whole: whole @ Words::Fact(MODEL), part: part @ Words::Const(_), at, ..
        } => {
            let (whole, part) = (whole.clone(), part.clone());
            Some(Mention::Where(Truth::Part { whole, part, at: *at, not: false }))
        }
        Truth::Matches { text: Words::Fact(MODEL), .. } => Some(Mention::Where(truth.clone())),
        _ => None,
    }
}
