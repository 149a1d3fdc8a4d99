//! Everything that is wrong with a configuration file, and how it is shown.
//!
//! Reading a file collects [`Finding`]s and never stops at the first. At the end they become
//! [`Problem`]s, which carry the source line and can be shown without the file.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::{mask, within};

/// A place in one of the files read: where a key or a value starts. Lines and columns count from 1,
/// columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// Index into [`Sources`]: 0 is the file that was asked for.
    pub(crate) file: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// Characters to underline, at least one.
    pub(crate) width: u32,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file works, but something in it does not do what it seems to say.
    Warning,
}

/// One problem while the files are still being read.
#[derive(Debug)]
pub(crate) struct Finding {
    severity: Severity,
    /// `None`: the file as a whole.
    spot: Option<Spot>,
    /// The part of the text at `spot` that is meant, in its characters: where and how many.
    part: Option<(usize, usize)>,
    message: String,
    help: Option<String>,
    notes: Vec<(Spot, String)>,
}

impl Finding {
    fn new(severity: Severity, spot: impl Into<Option<Spot>>, message: impl Into<String>) -> Self {
        let (spot, message) = (spot.into(), message.into());
        Self { severity, spot, part: None, message, help: None, notes: Vec::new() }
    }

    pub(crate) fn error(spot: impl Into<Option<Spot>>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, spot, message)
    }

    pub(crate) fn warning(spot: impl Into<Option<Spot>>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, spot, message)
    }

    /// Points at a part of the text that starts at the spot.
    pub(crate) fn part(mut self, at: usize, width: usize) -> Self {
        self.part = Some((at, width));
        self
    }

    /// What to write instead.
    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// What to write instead, where something is known.
    pub(crate) fn maybe_help(mut self, text: Option<String>) -> Self {
        self.help = text.or(self.help);
        self
    }

    /// A second place that has to do with it.
    pub(crate) fn note(mut self, spot: Spot, text: impl Into<String>) -> Self {
        self.notes.push((spot, text.into()));
        self
    }
}

/// What a message about a faulty deployment ends in where such deployments are tolerated.
pub(crate) const LEFT_OUT: &str = "; the deployment is left out";

/// What was found so far. Shared by all readers of one run, so it hands out no `&mut`.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: RefCell<Vec<Finding>>,
    /// Keys and passwords met so far: whatever quotes one shows stars.
    secrets: RefCell<BTreeSet<String>>,
}

impl Problems {
    pub(crate) fn push(&self, finding: Finding) {
        self.found.borrow_mut().push(finding);
    }

    /// Takes over the findings of a part; `lenient` makes warnings of its errors.
    pub(crate) fn absorb(&self, part: Self, lenient: bool) {
        self.secrets.borrow_mut().extend(part.secrets.into_inner());
        let part = part.found.into_inner().into_iter().map(|finding| match finding.severity {
            Severity::Error if lenient => Finding {
                severity: Severity::Warning,
                message: format!("{}{LEFT_OUT}", finding.message),
                ..finding
            },
            Severity::Error | Severity::Warning => finding,
        });
        self.found.borrow_mut().extend(part);
    }

    /// Nothing that is shown may hold this text.
    pub(crate) fn keep_secret(&self, text: &str) {
        // Shorter ones are words like `none` or `EMPTY`, and would star out half a message.
        if text.chars().count() >= 8 {
            self.secrets.borrow_mut().insert(text.to_owned());
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The problems in the order of the files and lines, each with its source line.
    pub(crate) fn finish(self, sources: &Sources) -> Vec<Problem> {
        let mut findings = self.found.into_inner();
        let secrets = self.secrets.into_inner();
        findings.sort_by(|a, b| {
            let key = |it: &Finding| (it.spot, it.part, it.severity);
            (key(a), &a.message).cmp(&(key(b), &b.message))
        });
        findings.dedup_by(|a, b| (a.spot, a.part) == (b.spot, b.part) && a.message == b.message);
        findings.into_iter().map(|finding| Problem::new(finding, sources, &secrets)).collect()
    }
}

/// The texts of all files read.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<(Arc<str>, String)>);

impl Sources {
    /// Keeps a text under the name that messages use for it; returns its index.
    pub(crate) fn add(&mut self, name: &str, text: String) -> u32 {
        self.0.push((name.into(), text));
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn text(&self, file: u32) -> &str {
        self.entry(file).map_or("", |(_, text)| text)
    }

    fn name(&self, file: u32) -> Arc<str> {
        self.entry(file).map_or_else(|| Arc::from("?"), |(name, _)| Arc::clone(name))
    }

    fn entry(&self, file: u32) -> Option<&(Arc<str>, String)> {
        self.0.get(file as usize)
    }

    fn line(&self, spot: Spot) -> Option<&str> {
        self.text(spot.file).lines().nth((spot.line as usize).checked_sub(1)?)
    }
}

/// Something wrong with a configuration file. Holds no secret.
#[derive(Clone, Debug)]
pub struct Problem {
    pub severity: Severity,
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// From 1; 0 if the file as a whole is meant.
    pub line: u32,
    /// In characters, from 1; 0 if the file as a whole is meant.
    pub column: u32,
    /// Lower case, no full stop; names the option, what was found and what is expected.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Other places that have to do with it, ready to be shown.
    pub notes: Vec<String>,
    excerpt: Option<Excerpt>,
}

/// A source line and the part of it that is underlined.
#[derive(Clone, Debug)]
struct Excerpt {
    text: String,
    before: usize,
    width: usize,
}

/// What a warning says where nobody has to show a key. The server's log has it too, in more words.
pub(crate) const NO_MASTER_KEY: &str =
    "there is no master key: the gateway listens on loopback only";

impl Problem {
    /// Whether it is that there is no master key.
    #[must_use]
    pub fn is_lack_of_master_key(&self) -> bool {
        self.message == NO_MASTER_KEY
    }

    fn new(finding: Finding, sources: &Sources, secrets: &BTreeSet<String>) -> Self {
        let hide = |text: String| mask::hide(text, secrets);
        // What steers a terminal is not sent to it.
        let tell = |text: String| hide(text.replace(|c: char| c.is_control(), "\u{fffd}"));
        let spot = finding.spot.map(|spot| match finding.part {
            Some((at, width)) => within::place(sources.text(spot.file), spot, at, width),
            None => spot,
        });
        let place =
            |spot: Spot| format!("{}:{}:{}", sources.name(spot.file), spot.line, spot.column);
        let notes =
            finding.notes.iter().map(|(spot, text)| format!("{}: note: {text}", place(*spot)));
        Self {
            severity: finding.severity,
            file: sources.name(spot.map_or(0, |spot| spot.file)),
            line: spot.map_or(0, |spot| spot.line),
            column: spot.map_or(0, |spot| spot.column),
            message: tell(finding.message),
            help: finding.help.map(tell),
            notes: notes.collect(),
            excerpt: spot.and_then(|spot| {
                let line = hide(mask::line(sources.line(spot)?));
                Excerpt::new(&line, spot)
            }),
        }
    }

    /// An error in an argument of the command line, which is shown in place of a file.
    pub(crate) fn of_argument(argument: &str, message: String, help: Option<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: mask::line(argument).into(),
            line: 0,
            column: 0,
            message,
            help,
            notes: Vec::new(),
            excerpt: None,
        }
    }

    /// `file:line:column: message`, for a log.
    #[must_use]
    pub fn one_line(&self) -> String {
        let Self { message, .. } = self;
        format!("{}: {message}", self.place())
    }

    /// Says it in the log: the file that it is of is in force all the same.
    pub fn log(&self) {
        tracing::warn!(problem = self.one_line(), "the configuration is good, with a warning");
    }

    fn place(&self) -> String {
        match self.line {
            0 => self.file.to_string(),
            line => format!("{}:{line}:{}", self.file, self.column),
        }
    }

    fn render(&self, severity: Severity, paint: Paint, out: &mut String) {
        let word = match severity {
            Severity::Error => paint.red("error"),
            Severity::Warning => paint.yellow("warning"),
        };
        let place = paint.bold(&self.place());
        let mut text = format!("{place}: {word}: {}\n", self.message);
        if let Some(Excerpt { text: line, before, width }) = &self.excerpt {
            // Tabs are repeated so that the caret stands below its place whatever their width.
            let indent: String =
                line.chars().take(*before).map(|c| if c == '\t' { c } else { ' ' }).collect();
            let caret = paint.bold(&"^".repeat(*width));
            text += &format!("{:>7} | {line}\n        | {indent}{caret}\n", self.line);
        }
        for note in &self.notes {
            text += &format!("  {note}\n");
        }
        if let Some(help) = &self.help {
            text += &format!("  {}: {help}\n", paint.bold("help"));
        }
        out.push_str(&text);
    }
}

impl Excerpt {
    fn new(line: &str, spot: Spot) -> Option<Self> {
        let line: Vec<char> = line.trim_end().chars().collect();
        let column = (spot.column as usize).checked_sub(1)?.min(line.len());
        let start = if line.len() > LINE_CHARS_MAX { column.saturating_sub(40) } else { 0 };
        let end = line.len().min(start + LINE_CHARS_MAX);
        let width = (spot.width as usize).clamp(1, (end - column).max(1));
        // What steers a terminal is not shown to it.
        let shown = |c: &char| if c.is_control() && *c != '\t' { '\u{fffd}' } else { *c };
        let text: String = line.get(start..end)?.iter().map(shown).collect();
        Some(Self { text, before: column - start, width })
    }
}

/// Longer source lines are shown in part.
const LINE_CHARS_MAX: usize = 160;

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    fn yellow(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Exit code of a command that was given a bad file (`EX_USAGE`).
pub const BAD_FILE: u8 = 64;

/// Shows all problems, and says with which code `check` ends: 0, or [`BAD_FILE`].
///
/// `strict` takes warnings for errors. `colour` is for terminals only.
#[must_use]
pub fn report(problems: &[Problem], strict: bool, colour: bool) -> (String, u8) {
    let mut text = String::new();
    for problem in problems {
        let severity = if strict { Severity::Error } else { problem.severity };
        problem.render(severity, Paint(colour), &mut text);
    }
    let bad = problems.iter().any(|problem| strict || problem.severity == Severity::Error);
    (text, if bad { BAD_FILE } else { 0 })
}

/// `2 errors and 1 warning`; `None` if there is nothing to count.
#[must_use]
pub fn count(problems: &[Problem]) -> Option<String> {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let counted = [(errors, "error"), (problems.len() - errors, "warning")];
    let mut text = String::new();
    for (number, word) in counted.into_iter().filter(|(number, _)| *number > 0) {
        let and = if text.is_empty() { "" } else { " and " };
        let plural = if number == 1 { "" } else { "s" };
        // Writing to a String cannot fail.
        write!(text, "{and}{number} {word}{plural}").ok()?;
    }
    (!text.is_empty()).then_some(text)
}

/// The nearest of `known` to a word that is not among them, if any is near enough to be meant.
pub(crate) fn nearest<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<(&'a str, f64)> {
    let lower = word.to_lowercase();
    let scored = known.into_iter().map(|name| {
        let distance = strsim::normalized_damerau_levenshtein(&lower, &name.to_lowercase());
        // `cooldown` for `cooldown_time`: far by letters, near by meaning.
        let begins =
            lower.len() >= 5 && name.strip_prefix(word).is_some_and(|r| r.starts_with('_'));
        (name, if begins { distance.max(0.65) } else { distance })
    });
    scored.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, score)| *score >= 0.6)
}
