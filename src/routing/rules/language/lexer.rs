//! Text into tokens, each with its place.

use super::{Malformed, Span};

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(String),
    /// A fact, a word operator, `true`.
    Name(String),
    Sign(Sign),
    End,
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

/// Operators and brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Order(Order),
    And,
    Or,
    Not,
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
    Open,
    Close,
    OpenList,
    CloseList,
    Comma,
    Dot,
}

/// Longest first: `<=` is not `<` and `=`.
const SIGNS: [(&str, Sign); 20] = [
    ("<=", Sign::Order(Order::LessEqual)),
    (">=", Sign::Order(Order::GreaterEqual)),
    ("==", Sign::Order(Order::Equal)),
    ("!=", Sign::Order(Order::NotEqual)),
    ("&&", Sign::And),
    ("||", Sign::Or),
    ("<", Sign::Order(Order::Less)),
    (">", Sign::Order(Order::Greater)),
    ("!", Sign::Not),
    ("+", Sign::Plus),
    ("-", Sign::Minus),
    ("*", Sign::Times),
    ("/", Sign::Divide),
    ("%", Sign::Modulo),
    ("(", Sign::Open),
    (")", Sign::Close),
    ("[", Sign::OpenList),
    ("]", Sign::CloseList),
    (",", Sign::Comma),
    (".", Sign::Dot),
];

impl Token {
    /// As a message shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Number(number) => format!("`{number}`"),
            Self::Text(text) => format!("the text \"{text}\""),
            Self::Name(name) => format!("`{name}`"),
            Self::Sign(sign) => {
                let text =
                    SIGNS.iter().find(|(_, known)| known == sign).map_or("", |(text, _)| text);
                format!("`{text}`")
            }
            Self::End => "the end".to_owned(),
        }
    }
}

/// Splits a text; the last token is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<(Token, Span)>, Malformed> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0 };
    let mut tokens: Vec<(Token, Span)> = Vec::new();
    loop {
        while lexer.peek().is_some_and(char::is_whitespace) {
            lexer.at += 1;
        }
        let at = lexer.at;
        let after_dot = matches!(tokens.last(), Some((Token::Sign(Sign::Dot), _)));
        let token = lexer.token(after_dot)?;
        let ended = token == Token::End;
        tokens.push((token, Span { at, end: lexer.at.max(at + 1) }));
        if ended {
            return Ok(tokens);
        }
    }
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn span(&self, at: usize) -> Span {
        Span { at, end: self.at.max(at + 1) }
    }

    fn token(&mut self, after_dot: bool) -> Result<Token, Malformed> {
        match self.peek() {
            None => Ok(Token::End),
            Some(quote @ ('"' | '\'')) => self.text(quote),
            Some(c) if c.is_ascii_digit() => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => {
                // `metadata.cost-centre`: after a dot a hyphen is a part of the name.
                let in_name = |c: char| c.is_alphanumeric() || c == '_' || (after_dot && c == '-');
                Ok(Token::Name(self.take_while(in_name)))
            }
            Some(c) => self.sign(c),
        }
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&fits) {
            self.at += 1;
        }
        self.chars.get(start..self.at).unwrap_or_default().iter().collect()
    }

    fn sign(&mut self, c: char) -> Result<Token, Malformed> {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        for (text, sign) in SIGNS {
            if text.chars().zip(rest.iter()).filter(|(a, b)| a == *b).count() == text.len() {
                self.at += text.len();
                return Ok(Token::Sign(sign));
            }
        }
        let at = self.at;
        let found = Malformed::new(Span { at, end: at + 1 }, format!("`{c}` has no meaning here"));
        Err(match c {
            '=' => found.help("write `==` to compare"),
            '&' => found.help("write `and` or `&&`"),
            '|' => found.help("write `or` or `||`"),
            '{' | '}' => found.help("write lists in square brackets: `[\"a\", \"b\"]`"),
            _ => found,
        })
    }

    /// `100`, `0.5`, `100_000`, `10K`, `1.5M`.
    fn number(&mut self) -> Result<Token, Malformed> {
        let start = self.at;
        let mut digits = self.take_while(|c| c.is_ascii_digit() || c == '_');
        let fraction = self.chars.get(self.at + 1).is_some_and(char::is_ascii_digit);
        if self.peek() == Some('.') && fraction {
            self.at += 1;
            digits.push('.');
            digits += &self.take_while(|c| c.is_ascii_digit() || c == '_');
        }
        let suffix = self.take_while(|c| c.is_alphanumeric() || c == '_');
        let factor = match suffix.as_str() {
            "" => 1.0,
            "k" | "K" => 1e3,
            "M" => 1e6,
            _ => {
                return Err(self.not_a_number(start));
            }
        };
        digits.retain(|c| c != '_');
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Token::Number(number * factor)),
            _ => Err(Malformed::new(self.span(start), "this number is too large")),
        }
    }

    /// `10kb`, or the end of a model's name that stands without quotes: `gpt-4o`.
    fn not_a_number(&mut self, start: usize) -> Malformed {
        let in_word = |c: &char| c.is_alphanumeric() || "_-./:".contains(*c);
        let before = self.chars.iter().take(start).rev().take_while(|c| in_word(c)).count();
        self.take_while(|c| in_word(&c));
        let word_start = start - before;
        let written = self.chars.get(word_start..self.at).unwrap_or_default();
        let word: String = written.iter().collect();
        if written.first().is_some_and(|c| c.is_alphabetic()) {
            return Malformed::new(self.span(word_start), format!("`{word}` is not in quotes"))
                .help(format!("write `\"{word}\"`"));
        }
        Malformed::new(self.span(word_start), format!("`{word}` is not a number"))
            .help("write `1000`, `1_000`, `1.5`, `10K` (thousands) or `2M` (millions)")
    }

    /// A text in quotes. A backslash stands before a quote or another backslash; before anything
    /// else it is itself, so that `matches "\d+"` is written as one thinks it.
    fn text(&mut self, quote: char) -> Result<Token, Malformed> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match (c, self.peek()) {
                (c, _) if c == quote => return Ok(Token::Text(text)),
                ('\\', Some(next)) if next == quote || next == '\\' => {
                    text.push(next);
                    self.at += 1;
                }
                _ => text.push(c),
            }
        }
        let span = Span { at: start, end: start + 1 };
        Err(Malformed::new(span, format!("the text that begins here has no closing `{quote}`")))
    }
}
