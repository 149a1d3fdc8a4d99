//! Reads the options of one section with their types, and reports what the table does not know.
//!
//! A reader asks for options by name; `finish` then goes through what is written and was not asked
//! for. In debug builds it also checks that every name asked for is in the table, and that nothing
//! the table calls supported was left unread.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::mask;
use super::options::{BODY_PARAMETERS, FLAG, Opt, SECONDS, TOP, Table, Verdict, home, is_price};
use super::problem::{Finding, Problems, Spot, nearest};
use super::yaml::{Entry, Node, Typed, Value};

/// A value and where it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) spot: Spot,
}

/// The first that is written. Takes values and not closures: all of them must have been asked for,
/// so that the others are checked as well and not reported as unread.
pub(crate) fn first<T, const N: usize>(written: [Option<T>; N]) -> Option<T> {
    written.into_iter().flatten().next()
}

/// The options written in one section.
pub(crate) struct Section<'a> {
    table: &'static Table,
    entries: &'a [Entry],
    /// Where the section is written; for messages about what it lacks.
    pub(crate) spot: Spot,
    pub(crate) problems: &'a Problems,
    asked: Vec<&'static str>,
}

/// No timeout or sleep is longer: 30 days, in seconds.
const SECONDS_MAX: f64 = 2_592_000.0;

impl<'a> Section<'a> {
    /// A section that is not written.
    pub(crate) fn empty(table: &'static Table, problems: &'a Problems) -> Self {
        Self { table, entries: &[], spot: Spot::default(), problems, asked: Vec::new() }
    }

    /// The section in this node, which must be a mapping or nothing. `spot`: where messages about
    /// the section as a whole point.
    pub(crate) fn new(
        table: &'static Table,
        node: &'a Node,
        spot: Spot,
        problems: &'a Problems,
    ) -> Self {
        let entries = match node.map() {
            Some(entries) => entries,
            None => {
                if !node.is_null() {
                    let found = node.found(table.name);
                    let message = format!("{} must be a mapping, found {found}", table.subject());
                    // `name:value` is a text to YAML.
                    let glued = node.text().and_then(|text| text.split_once(':'));
                    let glued = glued.filter(|(name, _)| !name.contains(char::is_whitespace));
                    let help = match glued {
                        Some((name, _)) => format!("put a space after the colon: `{name}: ...`"),
                        None => "write `name: value` lines".to_owned(),
                    };
                    problems.push(Finding::error(spot, message).help(help));
                }
                &[]
            }
        };
        Self { table, entries, spot, problems, asked: Vec::new() }
    }

    /// The section written under an option of this one.
    pub(crate) fn section(&mut self, name: &'static str, table: &'static Table) -> Self {
        match self.entry(name) {
            Some(entry) => Section::new(table, &entry.node, entry.spot, self.problems),
            None => Section::empty(table, self.problems),
        }
    }

    /// What is written under a name; `None` if that is nothing.
    pub(crate) fn entry(&mut self, name: &'static str) -> Option<&'a Entry> {
        debug_assert!(
            self.table.find(name).is_some_and(|option| option.verdict == Verdict::Supported),
            "`{name}` is read and not listed as supported in `{}`",
            self.table.name
        );
        self.asked.push(name);
        self.written(name)
    }

    /// Like [`Section::entry`], for an option that is looked at without being supported.
    pub(crate) fn written(&self, name: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| &*entry.key == name && !entry.node.is_null())
    }

    /// Whether something is written under a name, though a variable in it may not be set.
    pub(crate) fn has(&self, name: &str) -> bool {
        let mut entries = self.entries.iter().filter(|entry| &*entry.key == name);
        entries.any(|entry| !entry.node.is_null() || entry.node.is_unresolved())
    }

    /// Where an option is written, or else where the section is.
    pub(crate) fn spot_of(&self, name: &str) -> Spot {
        self.written(name).map_or(self.spot, Entry::value_spot)
    }

    /// A text; numbers and the like are taken as they are written.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<At<&'a str>> {
        let entry = self.entry(name)?;
        match entry.node.text() {
            Some(value) if !value.trim().is_empty() => {
                Some(At { value: value.trim(), spot: entry.node.spot })
            }
            Some(_) => {
                let message = format!("`{name}` is empty");
                self.problems.push(Finding::error(entry.node.spot, message));
                None
            }
            None => self.refuse(entry, "a text"),
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Option<At<bool>> {
        let entry = self.entry(name)?;
        let word = entry.node.text().map(str::to_ascii_lowercase);
        let value = match (&entry.node.value, word.as_deref()) {
            (Value::Scalar(scalar), _) if matches!(scalar.typed(), Typed::Bool(_)) => {
                Some(scalar.typed() == Typed::Bool(true))
            }
            (_, Some("true" | "1")) => Some(true),
            (_, Some("false" | "0")) => Some(false),
            _ => None,
        };
        match value {
            Some(value) => Some(At { value, spot: entry.node.spot }),
            None => self.refuse(entry, FLAG),
        }
    }

    pub(crate) fn number(&mut self, name: &'static str) -> Option<At<f64>> {
        let entry = self.entry(name)?;
        match number(&entry.node).filter(|value| value.is_finite() && *value >= 0.0) {
            Some(value) => Some(At { value, spot: entry.node.spot }),
            None => self.refuse(entry, "a number that is not negative"),
        }
    }

    /// A whole number up to a bound.
    pub(crate) fn count(&mut self, name: &'static str, max: u32) -> Option<At<u32>> {
        self.between(name, 0..=max)
    }

    /// A whole number within bounds.
    pub(crate) fn between(
        &mut self,
        name: &'static str,
        bounds: RangeInclusive<u32>,
    ) -> Option<At<u32>> {
        let At { value, spot } = self.integer(name)?;
        match u32::try_from(value) {
            Ok(value) if bounds.contains(&value) => Some(At { value, spot }),
            _ => {
                let (least, most) = bounds.into_inner();
                let message =
                    format!("`{name}` must be between {least} and {most}, found `{value}`");
                self.problems.push(Finding::error(spot, message));
                None
            }
        }
    }

    /// A whole number of any size.
    pub(crate) fn integer(&mut self, name: &'static str) -> Option<At<i64>> {
        let entry = self.entry(name)?;
        // 2^53: beyond it a number read as a float is no longer exact.
        let value = number(&entry.node).filter(|v| v.fract() == 0.0 && v.abs() < 9.0e15);
        match value {
            // The cast cannot truncate: fraction and range were checked above.
            Some(value) => Some(At { value: value as i64, spot: entry.node.spot }),
            None => self.refuse(entry, "a whole number"),
        }
    }

    /// A whole number above zero.
    pub(crate) fn positive(&mut self, name: &'static str) -> Option<At<u64>> {
        let At { value, spot } = self.integer(name)?;
        match u64::try_from(value) {
            Ok(value) if value > 0 => Some(At { value, spot }),
            _ => {
                let message = format!("`{name}` must be at least 1, found `{value}`");
                let help = "leave it out for no limit";
                self.problems.push(Finding::error(spot, message).help(help));
                None
            }
        }
    }

    /// A time, which may be nothing.
    pub(crate) fn seconds(&mut self, name: &'static str) -> Option<At<Duration>> {
        let entry = self.entry(name)?;
        let seconds = match number(&entry.node) {
            Some(seconds) => Some(seconds),
            None => entry.node.text().and_then(|text| with_unit(text.trim())),
        };
        match seconds.filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds)) {
            Some(seconds) => {
                Some(At { value: Duration::from_secs_f64(seconds), spot: entry.node.spot })
            }
            None => self.refuse(entry, SECONDS),
        }
    }

    /// A time after which something is given up: zero would give up at once.
    pub(crate) fn timeout(&mut self, name: &'static str) -> Option<At<Duration>> {
        let at = self.seconds(name)?;
        if at.value.is_zero() {
            let message = format!("`{name}` is 0: every request would fail");
            self.problems.push(Finding::error(at.spot, message).help("leave it out, or raise it"));
            return None;
        }
        Some(at)
    }

    /// A list of texts; a single text is a list of one.
    pub(crate) fn texts(&mut self, name: &'static str) -> Option<Vec<At<&'a str>>> {
        let entry = self.entry(name)?;
        if let Some(value) = entry.node.text() {
            return Some(vec![At { value, spot: entry.node.spot }]);
        }
        let Some(items) = entry.node.list() else { return self.refuse(entry, "a list of texts") };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.text() {
                Some(value) => texts.push(At { value, spot: item.spot }),
                None if item.is_unresolved() => {}
                None => self.problems.push(Finding::error(
                    item.spot,
                    format!("`{name}` takes texts, found {}", item.found(name)),
                )),
            }
        }
        Some(texts)
    }

    fn refuse<T>(&self, entry: &Entry, expected: &str) -> Option<T> {
        let (name, found) = (&entry.key, entry.node.found(&entry.key));
        let message = format!("`{name}` must be {expected}, found {found}");
        self.problems.push(Finding::error(entry.value_spot(), message));
        None
    }

    /// Reports every option that is written and does nothing. Returns what an open section passes
    /// on: the names that no table lists.
    pub(crate) fn finish(self) -> Vec<&'a Entry> {
        let mut passed_on = Vec::new();
        for entry in self.entries {
            let Some(option) = self.table.find(&entry.key) else {
                if self.table.open {
                    self.look_alike(entry);
                    passed_on.push(entry);
                } else {
                    self.unknown(entry);
                }
                continue;
            };
            debug_assert!(
                option.verdict != Verdict::Supported || self.asked.contains(&option.name),
                "`{}` of `{}` is listed as supported and was not read",
                option.name,
                self.table.name
            );
            if !entry.node.is_null() {
                self.without_effect(entry, option);
            }
        }
        passed_on
    }

    fn without_effect(&self, entry: &Entry, option: &Opt) {
        let Opt { name, doc, .. } = option;
        let message = match option.verdict {
            Verdict::Supported => return,
            Verdict::Ignored => format!("`{name}` has no effect: {doc}"),
            Verdict::NotYet => format!("`{name}` is not available in this version: {doc}"),
        };
        self.problems.push(Finding::warning(entry.spot, message));
    }

    /// A name that is not listed, in a section that is closed.
    fn unknown(&self, entry: &Entry) {
        let name = &*entry.key;
        // Where files keep their anchors (`x-defaults: &defaults`), as in Compose files.
        if self.table.name == TOP.name && (name.starts_with("x-") || name.starts_with('.')) {
            return;
        }
        let message = if self.table.name == TOP.name {
            format!("unknown section `{name}`")
        } else {
            format!("unknown option `{name}` in {}", self.table.subject())
        };
        let near = nearest(name, self.table.names());
        if let Some((near, _)) = near.filter(|(_, score)| *score >= SURELY_MEANT) {
            let help = format!("did you mean `{near}`?");
            return self.problems.push(Finding::error(entry.spot, message).help(help));
        }
        if let Some(home) = home(name, self.table) {
            let message = if self.table.name == TOP.name {
                format!("`{name}` has no effect outside its section")
            } else {
                format!("`{name}` has no effect in {}", self.table.subject())
            };
            let help = format!("move it to `{}`", home.name);
            // A key that is not asked for must not go by with a warning.
            let finding = if mask::is_secret_name(name) {
                Finding::error(entry.spot, message)
            } else {
                Finding::warning(entry.spot, message)
            };
            return self.problems.push(finding.help(help));
        }
        let help = near.map(|(near, _)| format!("did you mean `{near}`?"));
        self.problems.push(
            Finding::warning(entry.spot, format!("{message}; it has no effect")).maybe_help(help),
        );
    }

    /// A name that is not listed, in a section that passes such names on: only what is one slip
    /// away from a listed name, or holds a secret, is worth a word.
    fn look_alike(&self, entry: &Entry) {
        let name = &*entry.key;
        if BODY_PARAMETERS.contains(&name) || is_price(name) {
            return;
        }
        let known = self.table.names().chain(BODY_PARAMETERS.iter().copied());
        let one_slip =
            |known: &&str| known.len() >= 5 && strsim::damerau_levenshtein(name, known) == 1;
        let effect = match self.table.name {
            "litellm_params" => "sent to the provider as a body parameter",
            _ => "kept and has no effect",
        };
        if let Some(near) = known.into_iter().find(one_slip) {
            let message = format!("`{name}` is not an option; it is {effect}");
            // LiteLLM sends such names on as well. A key must not go that way.
            let secret = mask::is_secret_name(near) && self.table.name == "litellm_params";
            let finding = if secret {
                Finding::error(entry.spot, message)
            } else {
                Finding::warning(entry.spot, message)
            };
            self.problems.push(finding.help(format!("did you mean `{near}`?")));
        } else if mask::is_secret_name(name) && self.table.name == "litellm_params" {
            self.problems.push(
                Finding::warning(entry.spot, format!("`{name}` looks secret and is {effect}"))
                    .help("send secrets in `api_key` or `extra_headers`"),
            );
        }
    }
}

/// From here on a name is taken for a misspelling rather than for an option of another program.
const SURELY_MEANT: f64 = 0.75;

fn number(node: &Node) -> Option<f64> {
    match &node.value {
        Value::Scalar(scalar) => scalar.number(),
        Value::List(_) | Value::Map(_) => None,
    }
}

/// `500ms`, `30s`, `2m`, `1h`, `7d`: in seconds.
fn with_unit(text: &str) -> Option<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "ms" => 0.001,
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    number.trim().parse::<f64>().ok().map(|number| number * factor)
}
