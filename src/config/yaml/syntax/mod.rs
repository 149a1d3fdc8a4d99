//! What is wrong with a text that is not YAML, and where the mistake was made.
//!
//! The parser stops where it can go no further, which is often lines behind the mistake: an open
//! `[` swallows what follows until something cannot be part of a list. So its error is only where
//! the search begins. Runs only for files that are refused, and may therefore read them again.

mod brackets;
mod indent;

use saphyr_parser::ScanError;

use crate::config::mask;
use crate::config::problem::{Finding, Spot};
use brackets::{Bracket, brackets};

/// A place in the text: lines from 1, columns from 0, both as the parser counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    line: usize,
    column: usize,
}

/// The text and the place where the parser gave up.
struct Stopped<'a> {
    file: u32,
    lines: Vec<&'a str>,
    at: Place,
    /// What the parser says, in lower case.
    info: String,
}

/// The parser's error as a message about the mistake behind it.
pub(super) fn finding(error: &ScanError, text: &str, file: u32) -> Finding {
    let lines: Vec<&str> = text.lines().collect();
    let mark = error.marker();
    // At the end of the file the parser stands behind the last line.
    let at = match lines.get(mark.line().saturating_sub(1)) {
        Some(_) => Place { line: mark.line().max(1), column: mark.col() },
        None => {
            let last = lines.last().map_or(0, |line| line.chars().count());
            Place { line: lines.len().max(1), column: last }
        }
    };
    let info = error.info().trim_end_matches('.').to_lowercase();
    let stopped = Stopped { file, lines, at, info };
    let explained = [
        Stopped::conflict,
        Stopped::tab,
        Stopped::bracket,
        Stopped::quote,
        Stopped::character,
        Stopped::misplaced,
        Stopped::anchor,
        Stopped::colon,
        Stopped::indentation,
    ];
    explained.into_iter().find_map(|explain| explain(&stopped)).unwrap_or_else(|| {
        Finding::error(stopped.here(), format!("not valid YAML: {}", stopped.info))
    })
}

impl<'a> Stopped<'a> {
    fn spot(&self, place: Place, width: usize) -> Spot {
        let to_u32 = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Spot {
            file: self.file,
            line: to_u32(place.line),
            column: to_u32(place.column + 1),
            width: to_u32(width.max(1)),
        }
    }

    fn here(&self) -> Spot {
        self.spot(self.at, 1)
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.info.contains(word))
    }

    /// A line by its number.
    fn line(&self, number: usize) -> &'a str {
        number.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or_default()
    }

    /// The line where the parser stopped.
    fn source(&self) -> &'a str {
        self.line(self.at.line)
    }

    /// The character where the parser stopped.
    fn sign(&self) -> Option<char> {
        self.source().chars().nth(self.at.column)
    }

    /// The number of the nearest line above that says something.
    fn above(&self) -> Option<usize> {
        let says_something = |number: &usize| {
            let line = self.line(*number).trim_start();
            !line.is_empty() && !line.starts_with('#')
        };
        (1..self.at.line).rev().find(says_something)
    }

    /// What `git` leaves in a file that it could not merge.
    fn conflict(&self) -> Option<Finding> {
        const MARKS: [&str; 3] = ["<<<<<<< ", "=======", ">>>>>>> "];
        let number = [Some(self.at.line), self.above()].into_iter().flatten().find(|number| {
            let line = self.line(*number);
            MARKS.iter().any(|mark| line.starts_with(mark))
        })?;
        let spot = self.spot(Place { line: number, column: 0 }, 7);
        Some(
            Finding::error(spot, "an unresolved merge conflict")
                .help("keep one of the two versions, and remove the lines that mark them"),
        )
    }

    fn tab(&self) -> Option<Finding> {
        // The parser may notice a tab in the indentation a line too early.
        let indented = |number: &usize| {
            let line = self.line(*number);
            let blank = line.len() - line.trim_start().len();
            line.get(..blank)?.chars().position(|c| c == '\t')
        };
        let place = if self.says(&["tab"]) {
            let lines = self.at.line..self.at.line + 3;
            lines.into_iter().find_map(|line| Some(Place { line, column: indented(&line)? }))
        } else {
            None
        };
        if let Some(place) = place {
            return Some(
                Finding::error(self.spot(place, 1), "a tab in the indentation")
                    .help("indent with spaces: YAML does not take tabs"),
            );
        }
        let before = self.source().chars().take(self.at.column + 1).collect::<Vec<_>>();
        let column = before.iter().rposition(|c| *c == '\t').filter(|at| at + 2 >= before.len())?;
        let place = Place { line: self.at.line, column };
        let text = "a tab where YAML takes only spaces";
        Some(Finding::error(self.spot(place, 1), text).help("replace the tab by a space"))
    }

    /// A bracket that is not closed, or closed by another.
    fn bracket(&self) -> Option<Finding> {
        let found = brackets(&self.lines);
        let spot = |bracket: &Bracket| self.spot(bracket.place, 1);
        if let Some((open, close)) = found.wrong.filter(|(_, close)| close.place <= self.at) {
            let Some(open) = open else {
                let text = format!("`{}` closes nothing", close.sign);
                return Some(Finding::error(spot(&close), text).help("remove it"));
            };
            let text = format!("`{}` is closed by `{}`", open.sign, close.sign);
            return Some(
                Finding::error(spot(&close), text)
                    .note(spot(&open), "opened here")
                    .help(format!("write `{}` first", open.closing())),
            );
        }
        let Some(open) = found.open.iter().rev().find(|open| open.place < self.at) else {
            let within = self.says(&["expected ',' or", "placement of ':'"]);
            return within.then(|| {
                Finding::error(self.here(), "this cannot stand between brackets")
                    .help("put a `,` between two entries, and a text that holds `: ` in quotes")
            });
        };
        let end = self.at.line == self.lines.len() && self.sign().is_none();
        let up_to = if end { "the file ends here" } else { "read up to here" };
        Some(
            Finding::error(spot(open), format!("`{}` is never closed", open.sign))
                .note(self.here(), up_to)
                .help(format!("add `{}` at its end", open.closing())),
        )
    }

    fn quote(&self) -> Option<Finding> {
        let sign = self.sign().unwrap_or('"');
        if self.says(&["escape"]) {
            let escape = self.source().chars().skip(self.at.column).collect::<Vec<_>>();
            // The parser points at the quote; the first escape that YAML does not know is meant.
            let wrong = escape.windows(2).position(
                |pair| matches!(pair, ['\\', c] if !"0abtnvfre \"/\\N_LPxuU\t".contains(*c)),
            );
            let at = wrong.unwrap_or(0);
            let place = Place { column: self.at.column + at, ..self.at };
            let shown: String = escape.iter().skip(at).take(2).collect();
            return Some(
                Finding::error(
                    self.spot(place, 2),
                    format!("`{shown}` means nothing in double quotes"),
                )
                .help("write `\\\\` for a backslash, or use single quotes"),
            );
        }
        if self.says(&["trailing content"]) {
            let before = self.source().chars().take(self.at.column);
            let single = before.filter(|c| matches!(c, '"' | '\'')).last() == Some('\'');
            let in_flow = self.source().trim_start().starts_with(['{', '[']);
            let help = if in_flow {
                "put a `,` between two values"
            } else if single {
                "write `''` for a `'` within single quotes, or use double quotes"
            } else {
                "put all of the text in the quotes, or none of it"
            };
            let text = "text after the closing quote";
            return Some(Finding::error(self.here(), text).help(help));
        }
        if self.says(&["quoted scalar"]) && matches!(sign, '"' | '\'') {
            return Some(
                Finding::error(self.here(), format!("the quote `{sign}` is not closed")).help(
                    format!("add `{sign}` at the end of the text; lines it goes on are indented"),
                ),
            );
        }
        None
    }

    /// A character that no text may begin with, or that no text may hold.
    fn character(&self) -> Option<Finding> {
        let sign = self.sign()?;
        if self.says(&["unprintable"]) || (sign.is_control() && sign != '\t') {
            let text = format!("the character U+{:04X} is not allowed", u32::from(sign));
            return Some(Finding::error(self.here(), text).help("remove it"));
        }
        if self.says(&["unexpected character"]) {
            let sign = if sign == '`' { "a backtick".to_owned() } else { format!("`{sign}`") };
            let text = format!("a text that begins with {sign} must be in quotes");
            return Some(Finding::error(self.here(), text));
        }
        None
    }

    /// What can stand in one place of a text only.
    fn misplaced(&self) -> Option<Finding> {
        let (text, help) = if self.says(&["block scalar"]) {
            ("the text of a `|` or `>` begins in the next line", "begin a new line after the sign")
        } else if self.says(&["document start"]) {
            ("the configuration is over before this line", "write `name: value` lines only")
        } else {
            return None;
        };
        Some(Finding::error(self.here(), text).help(help))
    }

    fn anchor(&self) -> Option<Finding> {
        if !self.says(&["anchor"]) {
            return None;
        }
        let rest = self.source().chars().skip(self.at.column);
        let word: String = rest.take_while(|c| !c.is_whitespace() && *c != ',').collect();
        let spot = self.spot(self.at, word.chars().count());
        let name = word.strip_prefix('*')?;
        if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)) {
            let text = format!("`*{name}` stands for a value that is marked `&{name}` nowhere");
            return Some(
                Finding::error(spot, text)
                    .help(format!("mark one above, or put \"*{name}\" in quotes")),
            );
        }
        let text = "a text that begins with `*` must be in quotes";
        Some(Finding::error(spot, text).help(format!("write \"{word}\"")))
    }

    /// A `:` that is missing, or is one too many.
    fn colon(&self) -> Option<Finding> {
        if !self.says(&["mapping values", "simple key"]) {
            return None;
        }
        let lacks = |number: &usize| {
            let line = self.line(*number).trim();
            !line.is_empty() && !line.contains(": ") && !line.ends_with(':')
        };
        let before: String = self.source().chars().take(self.at.column).collect();
        let above = self.above();
        if self.says(&["mapping values"]) && before.contains(": ") {
            let shown = mask::line(self.source());
            let (_, value) = shown.split_once(": ").unwrap_or_default();
            let text = "a second `: ` in one line";
            return Some(
                Finding::error(self.here(), text)
                    .help(format!("put the text in quotes: \"{}\"", value.trim())),
            );
        }
        if let Some(number) = above {
            let line = self.line(number);
            let dash = line.trim_start().strip_prefix('-');
            if dash.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric())) {
                let place = Place { line: number, column: indent::width(line) };
                return Some(
                    Finding::error(self.spot(place, 1), "no space after the `-`")
                        .help("write `- ` before each item of a list"),
                );
            }
        }
        if let Some(number) = [Some(self.at.line), above].into_iter().flatten().find(lacks) {
            let line = self.line(number);
            let glued = line.trim().split_once(':').filter(|(name, value)| {
                !value.is_empty() && !name.contains(' ') && !value.starts_with("//")
            });
            let column = match glued {
                Some((name, _)) => indent::width(line) + name.chars().count(),
                None => line.trim_end().chars().count(),
            };
            let spot = self.spot(Place { line: number, column }, 1);
            let text = if glued.is_some() { "no space after the `:`" } else { "a `:` is missing" };
            return Some(Finding::error(spot, text).help("write `name: value`"));
        }
        let above = above?;
        let width = indent::width(self.source());
        let levels = indent::levels(&self.lines, self.at.line);
        let level = levels.iter().find(|level| !level.dash && level.column < width)?;
        (level.line == above).then(|| {
            let spot = self.spot(Place { line: self.at.line, column: width }, 1);
            let text = "this line is indented below one that has a value already";
            let with_value = self.spot(Place { line: above, column: level.column }, 1);
            Finding::error(spot, text)
                .note(with_value, "the line with the value")
                .help(format!("indent it by {}, or remove the value above", level.column))
        })
    }

    fn indentation(&self) -> Option<Finding> {
        if !self.says(&["block collection", "block mapping", "indentation"]) {
            return None;
        }
        let width = indent::width(self.source());
        let dash = self.source().trim_start().starts_with("- ");
        let place = Place { line: self.at.line, column: width };
        let levels = indent::levels(&self.lines, self.at.line);
        let list = levels.iter().any(|level| level.column == width && level.dash && !dash);
        let text = if list {
            "only another `- ` can stand here".to_owned()
        } else {
            format!("an indentation by {width}, which fits no line above")
        };
        let like = levels.iter().filter(|level| level.dash == dash && level.column != width);
        let lower = like.clone().filter(|level| level.column < width).max_by_key(|it| it.column);
        let higher = like.filter(|level| level.column > width).min_by_key(|it| it.column);
        let fitting: Vec<String> = [lower, higher]
            .into_iter()
            .flatten()
            .map(|level| format!("by {}, as line {}", level.column, level.line))
            .collect();
        let help = match fitting.is_empty() {
            true => "check the indentation of this line and those above".to_owned(),
            false => format!("indent it {}", fitting.join(", or ")),
        };
        Some(Finding::error(self.spot(place, 1), text).help(help))
    }
}
