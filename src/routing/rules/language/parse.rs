//! Tokens into a tree. Knows the grammar and nothing of types.
//!
//! ```text
//! or         = and (("or" | "||") and)*
//! and        = not (("and" | "&&") not)*
//! not        = ("not" | "!") not | comparison
//! comparison = sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum
//!                  | ["not"] "in" sum | ["not"] "contains" sum
//!                  | "starts_with" sum | "ends_with" sum | "matches" sum)?
//! sum        = product (("+" | "-") product)*
//! product    = unary (("*" | "/" | "%") unary)*
//! unary      = "-" unary | primary
//! primary    = number | text | "true" | "false" | list | "(" or ")" | "exists" "(" fact ")" | fact
//! list       = "[" [primary ("," primary)*] "]"
//! fact       = name ("." name | "[" text "]")*
//! ```

use super::lexer::{Order, Sign, Token};
use super::{Malformed, Span};

/// Brackets and `not`s within each other.
const DEPTH_MAX: usize = 64;

/// Calculations in one condition: a chain of them is a tree that leans to one side.
const CALCULATIONS_MAX: usize = 64;

/// A part of the condition and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    pub(super) span: Span,
    pub(super) node: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Number(f64),
    Text(String),
    Truth(bool),
    List(Vec<Tree>),
    /// A fact, with what is asked of it: `metadata.tier`, `headers["x-foo"]`.
    Fact {
        name: String,
        path: Vec<(String, Span)>,
    },
    Exists(Box<Tree>),
    Not(Box<Tree>),
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Negative(Box<Tree>),
    Sum {
        left: Box<Tree>,
        by: Arithmetic,
        right: Box<Tree>,
    },
    /// `sign` is where the operator stands.
    Compare {
        left: Box<Tree>,
        by: Comparison,
        sign: Span,
        right: Box<Tree>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Order(Order),
    In,
    NotIn,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
    Matches,
}

/// Words that are operators, so that a message can suggest them.
pub(super) const OPERATORS: &[&str] =
    &["and", "or", "not", "in", "contains", "starts_with", "ends_with", "matches"];

pub(super) fn parse(tokens: Vec<(Token, Span)>) -> Result<Tree, Malformed> {
    let mut parser = Parser { tokens, at: 0, depth: 0, calculations: 0 };
    let tree = parser.or()?;
    match parser.peek() {
        Token::End => Ok(tree),
        Token::Name(name) if !OPERATORS.contains(&name.as_str()) => {
            let found = parser.unexpected("an operator or the end");
            Err(found.unknown(&name.clone(), OPERATORS))
        }
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    /// Never empty: the last one is the end.
    tokens: Vec<(Token, Span)>,
    at: usize,
    depth: usize,
    calculations: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    fn span(&self) -> Span {
        let last = self.tokens.last();
        self.tokens.get(self.at).or(last).map_or(Span { at: 0, end: 1 }, |(_, span)| *span)
    }

    fn next(&mut self) -> (Token, Span) {
        let next = (self.peek().clone(), self.span());
        self.at = (self.at + 1).min(self.tokens.len());
        next
    }

    fn take(&mut self, sign: Sign) -> bool {
        let found = *self.peek() == Token::Sign(sign);
        self.at += usize::from(found);
        found
    }

    fn word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(name) if name.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.word(word);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, expected: &str) -> Malformed {
        let found = self.peek().shown();
        Malformed::new(self.span(), format!("expected {expected}, found {found}"))
    }

    fn close(&mut self, sign: Sign, opened: Span) -> Result<Span, Malformed> {
        let span = self.span();
        if self.take(sign) {
            return Ok(span);
        }
        let bracket = Token::Sign(sign).shown();
        if *self.peek() == Token::End {
            return Err(Malformed::new(opened, format!("this bracket has no closing {bracket}")));
        }
        Err(self.unexpected(&bracket))
    }

    /// One level deeper, within the bound.
    fn within<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        if self.depth >= DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} brackets or signs within each other");
            return Err(Malformed::new(self.span(), message));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Result<Tree, Malformed> {
        let first = self.and()?;
        let mut all = vec![first];
        while self.take(Sign::Or) || self.take_word("or") {
            all.push(self.and()?);
        }
        Ok(joined(all, Node::Or))
    }

    fn and(&mut self) -> Result<Tree, Malformed> {
        let first = self.not()?;
        let mut all = vec![first];
        while self.take(Sign::And) || self.take_word("and") {
            all.push(self.not()?);
        }
        Ok(joined(all, Node::And))
    }

    fn not(&mut self) -> Result<Tree, Malformed> {
        let span = self.span();
        if self.take(Sign::Not) || self.take_word("not") {
            let inner = self.within(Self::not)?;
            return Ok(Tree { span: span.to(inner.span), node: Node::Not(Box::new(inner)) });
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Tree, Malformed> {
        let left = self.sum()?;
        let sign = self.span();
        let Some(by) = self.operator()? else { return Ok(left) };
        let right = self.sum()?;
        let again = self.span();
        if self.operator()?.is_some() {
            return Err(Malformed::new(again, "comparisons cannot be chained")
                .help("join two comparisons with `and`"));
        }
        let span = left.span.to(right.span);
        let (left, right) = (Box::new(left), Box::new(right));
        Ok(Tree { span, node: Node::Compare { left, by, sign, right } })
    }

    fn operator(&mut self) -> Result<Option<Comparison>, Malformed> {
        let by = match self.peek() {
            Token::Sign(Sign::Order(order)) => Comparison::Order(*order),
            Token::Name(name) => match name.to_ascii_lowercase().as_str() {
                "in" => Comparison::In,
                "contains" => Comparison::Contains,
                "starts_with" | "startswith" => Comparison::StartsWith,
                "ends_with" | "endswith" => Comparison::EndsWith,
                "matches" => Comparison::Matches,
                "not" => {
                    self.at += 1;
                    let by = if self.word("in") {
                        Comparison::NotIn
                    } else if self.word("contains") {
                        Comparison::NotContains
                    } else {
                        return Err(self.unexpected("`in` or `contains` after `not`"));
                    };
                    self.at += 1;
                    return Ok(Some(by));
                }
                _ => return Ok(None),
            },
            Token::Number(_) | Token::Text(_) | Token::Sign(_) | Token::End => return Ok(None),
        };
        self.at += 1;
        Ok(Some(by))
    }

    fn sum(&mut self) -> Result<Tree, Malformed> {
        let mut left = self.product()?;
        loop {
            let by = if self.take(Sign::Plus) {
                Arithmetic::Add
            } else if self.take(Sign::Minus) {
                Arithmetic::Subtract
            } else {
                return Ok(left);
            };
            left = self.calculation(left, by, Self::product)?;
        }
    }

    fn product(&mut self) -> Result<Tree, Malformed> {
        let mut left = self.unary()?;
        loop {
            let by = if self.take(Sign::Times) {
                Arithmetic::Multiply
            } else if self.take(Sign::Divide) {
                Arithmetic::Divide
            } else if self.take(Sign::Modulo) {
                Arithmetic::Modulo
            } else {
                return Ok(left);
            };
            left = self.calculation(left, by, Self::unary)?;
        }
    }

    fn calculation(
        &mut self,
        left: Tree,
        by: Arithmetic,
        read: impl FnOnce(&mut Self) -> Result<Tree, Malformed>,
    ) -> Result<Tree, Malformed> {
        self.calculations += 1;
        if self.calculations > CALCULATIONS_MAX {
            let message = format!("more than {CALCULATIONS_MAX} calculations in one condition");
            return Err(Malformed::new(self.span(), message));
        }
        let right = read(self)?;
        let span = left.span.to(right.span);
        let (left, right) = (Box::new(left), Box::new(right));
        Ok(Tree { span, node: Node::Sum { left, by, right } })
    }

    fn unary(&mut self) -> Result<Tree, Malformed> {
        let span = self.span();
        if self.take(Sign::Minus) {
            let inner = self.within(Self::unary)?;
            return Ok(Tree { span: span.to(inner.span), node: Node::Negative(Box::new(inner)) });
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<Tree, Malformed> {
        const EXPECTED: &str = "a fact, a number, a text or a bracket";
        let (token, span) = (self.peek().clone(), self.span());
        let node = match token {
            Token::Number(number) => Node::Number(number),
            Token::Text(text) => Node::Text(text),
            Token::Sign(Sign::Open) => {
                self.at += 1;
                let inner = self.within(Self::or)?;
                let end = self.close(Sign::Close, span)?;
                return Ok(Tree { span: span.to(end), node: inner.node });
            }
            Token::Sign(Sign::OpenList) => return self.list(),
            Token::Name(name) => match name.as_str() {
                "true" | "True" | "TRUE" => Node::Truth(true),
                "false" | "False" | "FALSE" => Node::Truth(false),
                "exists" => return self.exists(),
                "null" | "None" | "nil" => {
                    return Err(Malformed::new(span, "nothing is equal to nothing here")
                        .help("write `exists(user)` or `not exists(user)`"));
                }
                word if OPERATORS.contains(&word) => return Err(self.unexpected(EXPECTED)),
                _ => return self.fact(name),
            },
            Token::Sign(_) | Token::End => return Err(self.unexpected(EXPECTED)),
        };
        self.at += 1;
        Ok(Tree { span, node })
    }

    fn list(&mut self) -> Result<Tree, Malformed> {
        let (_, opened) = self.next();
        let mut items = Vec::new();
        while *self.peek() != Token::Sign(Sign::CloseList) {
            items.push(self.within(Self::unary)?);
            if !self.take(Sign::Comma) {
                break;
            }
        }
        let end = self.close(Sign::CloseList, opened)?;
        Ok(Tree { span: opened.to(end), node: Node::List(items) })
    }

    fn exists(&mut self) -> Result<Tree, Malformed> {
        let (_, span) = self.next();
        let opened = self.span();
        if !self.take(Sign::Open) {
            return Err(self.unexpected("`(` after `exists`"));
        }
        let inner = self.within(Self::primary)?;
        let end = self.close(Sign::Close, opened)?;
        Ok(Tree { span: span.to(end), node: Node::Exists(Box::new(inner)) })
    }

    fn fact(&mut self, name: String) -> Result<Tree, Malformed> {
        let (_, mut span) = self.next();
        let mut path = Vec::new();
        loop {
            let opened = self.span();
            if self.take(Sign::Dot) {
                let (token, at) = (self.peek().clone(), self.span());
                let Token::Name(part) = token else { return Err(self.unexpected("a name")) };
                self.at += 1;
                path.push((part, at));
                span = span.to(at);
            } else if self.take(Sign::OpenList) {
                let (token, at) = (self.peek().clone(), self.span());
                let Token::Text(part) = token else {
                    return Err(self.unexpected("a text in quotes"));
                };
                self.at += 1;
                span = span.to(self.close(Sign::CloseList, opened)?);
                path.push((part, at));
            } else {
                return Ok(Tree { span, node: Node::Fact { name, path } });
            }
        }
    }
}

fn joined(mut all: Vec<Tree>, join: impl FnOnce(Vec<Tree>) -> Node) -> Tree {
    match (all.len(), all.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            all.extend(last);
            let first = all.first().map_or(Span { at: 0, end: 1 }, |tree| tree.span);
            let span = all.last().map_or(first, |tree| first.to(tree.span));
            Tree { span, node: join(all) }
        }
    }
}
