//! Variables: where they come from, and how `os.environ/NAME` and `${NAME}` become their values.
//!
//! A variable that is missing is always an error with the line that wants it: LiteLLM would start
//! with an empty key and fail at the first request. It also leaves `${NAME}` as it is; here both
//! spellings work.

use std::collections::BTreeMap;

use super::mask;
use super::problem::{Finding, Problems, Spot};
use super::yaml::{Entry, Node, Value};

/// Where variables come from.
pub trait Env {
    /// The value of a variable; `None` if it is not set.
    fn var(&self, name: &str) -> Option<String>;
}

/// The variables of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Fixed variables, for tests and tools.
impl Env for BTreeMap<String, String> {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}

/// `environment_variables` of the file over the variables of the process.
pub(crate) struct Layered<'a> {
    own: BTreeMap<String, String>,
    base: &'a dyn Env,
}

impl<'a> Layered<'a> {
    pub(crate) fn new(base: &'a dyn Env) -> Self {
        Self { own: BTreeMap::new(), base }
    }

    /// Takes over the section, in the order written: later entries may use earlier ones.
    pub(crate) fn read(&mut self, section: &mut Node, problems: &Problems) {
        let Value::Map(entries) = &mut section.value else { return };
        for entry in entries {
            expand_entry(entry, self, problems);
            match entry.node.text() {
                Some(value) => {
                    self.own.insert(entry.key.to_string(), value.to_owned());
                }
                None if entry.node.is_null() => {}
                None => problems.push(Finding::error(
                    entry.value_spot(),
                    format!("`{}` must be a text, found {}", entry.key, entry.node.found("")),
                )),
            }
        }
    }
}

impl Env for Layered<'_> {
    fn var(&self, name: &str) -> Option<String> {
        self.own.get(name).cloned().or_else(|| self.base.var(name))
    }
}

/// Replaces the variables in every text below a node.
pub(crate) fn expand(node: &mut Node, env: &dyn Env, problems: &Problems) {
    expand_under("", node, env, problems);
}

pub(crate) fn expand_entry(entry: &mut Entry, env: &dyn Env, problems: &Problems) {
    expand_under(&entry.key, &mut entry.node, env, problems);
}

fn expand_under(name: &str, node: &mut Node, env: &dyn Env, problems: &Problems) {
    let scalar = match &mut node.value {
        Value::Map(entries) => {
            return entries.iter_mut().for_each(|entry| expand_entry(entry, env, problems));
        }
        Value::List(items) => {
            return items.iter_mut().for_each(|item| expand_under(name, item, env, problems));
        }
        Value::Scalar(scalar) => scalar,
    };
    if scalar.is_expanded() {
        return;
    }
    let written = scalar.written();
    if !written.starts_with(PYTHON) && written.contains(PYTHON) && scheme(written).is_none() {
        problems.push(
            Finding::warning(node.spot, "`os.environ/` is read only at the start of a text")
                .help("write `${NAME}` for a variable within a text"),
        );
    }
    let secret = mask::is_secret_name(name);
    match replaced(written, env, 0) {
        Ok(None) if secret => problems.keep_secret(written),
        Ok(None) => {}
        Ok(Some(value)) if value.is_empty() && secret => {
            problems.push(empty(node.spot, name, written));
            scalar.give_up();
        }
        Ok(Some(value)) => {
            // A variable that is named like a key is one, whatever option it was put under.
            if secret || mask::is_secret_name(written.trim_end_matches('}')) {
                problems.keep_secret(&value);
            }
            scalar.expand(value);
        }
        Err(missing) => {
            problems.push(missing.finding(node.spot));
            scalar.give_up();
        }
    }
}

const PYTHON: &str = "os.environ/";

/// Defaults within defaults: `${A:-${B:-c}}`.
const NESTING_MAX: usize = 4;

/// Why a text could not be expanded.
enum Unresolved {
    Missing(String),
    Malformed(String),
}

impl Unresolved {
    fn finding(self, spot: Spot) -> Finding {
        match self {
            Self::Missing(name) => {
                Finding::error(spot, format!("the environment variable `{name}` is not set")).help(
                    format!("run `export {name}=...`, or set it under `environment_variables`"),
                )
            }
            Self::Malformed(form) => {
                let shown = mask::shown("", &form);
                Finding::error(spot, format!("`{shown}` is not a form of a variable"))
                    .help("write `${NAME}` or `${NAME:-default}`; `$${` stands for the text `${`")
            }
        }
    }
}

fn empty(spot: Spot, name: &str, written: &str) -> Finding {
    let variable = written.strip_prefix(PYTHON).unwrap_or(written);
    let variable = variable.trim().trim_start_matches("${").trim_end_matches('}');
    let variable = variable.split(":-").next().unwrap_or_default();
    Finding::error(spot, format!("`{name}` would be empty: `{variable}` is set to nothing"))
        .help(format!("run `export {variable}=...`"))
}

/// `Bearer os.environ/NAME`: one word, then a variable. The other place where LiteLLM reads one.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(' ')?;
    let name = rest.trim().strip_prefix(PYTHON)?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) && is_name).then_some((scheme, name))
}

/// The text with its variables replaced; `None` if it holds none.
fn replaced(text: &str, env: &dyn Env, depth: usize) -> Result<Option<String>, Unresolved> {
    if let Some(name) = text.strip_prefix(PYTHON) {
        let name = name.trim();
        let value = env.var(name).ok_or_else(|| Unresolved::Missing(name.to_owned()))?;
        return Ok(Some(value.trim().to_owned()));
    }
    if let Some((scheme, name)) = scheme(text) {
        let value = env.var(name).ok_or_else(|| Unresolved::Missing(name.to_owned()))?;
        return Ok(Some(format!("{scheme} {}", value.trim())));
    }
    let mut out = String::new();
    let mut rest = text;
    let mut changed = false;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        if before.ends_with('$') {
            // `$${` is how a text says `${`: one of the two signs is already in `out`.
            out.push('{');
            rest = after;
            changed = true;
            continue;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            out.push_str("${");
            rest = after;
            continue;
        }
        let form = |end: &str| Unresolved::Malformed(format!("${{{end}"));
        let name_end = after.find(|c| !is_name(c)).unwrap_or(after.len());
        let (name, tail) = after.split_at(name_end);
        let (value, next) = if let Some(next) = tail.strip_prefix('}') {
            (env.var(name).ok_or_else(|| Unresolved::Missing(name.to_owned()))?, next)
        } else if let Some(tail) = tail.strip_prefix(":-") {
            let (default, next) = closing(tail).ok_or_else(|| form(after))?;
            let set = env.var(name).filter(|value| !value.is_empty());
            let value = match set {
                Some(value) => value,
                None if depth < NESTING_MAX => {
                    replaced(default, env, depth + 1)?.unwrap_or_else(|| default.to_owned())
                }
                None => return Err(form(after)),
            };
            (value, next)
        } else {
            return Err(form(after));
        };
        out.push_str(value.trim());
        rest = next;
        changed = true;
    }
    out.push_str(rest);
    Ok(changed.then_some(out))
}

/// Splits at the `}` that closes the form, past those that close forms within it.
fn closing(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some((text.get(..at)?, text.get(at + 1..)?)),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> BTreeMap<String, String> {
        let pairs = [("A", "one"), ("B", "two"), ("EMPTY", ""), ("KEY", " k\n")];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn both_spellings_are_expanded() {
        for (text, expected) in [
            ("os.environ/A", Some("one")),
            ("os.environ/KEY", Some("k")),
            ("${A}", Some("one")),
            ("https://${A}/${B}", Some("https://one/two")),
            ("${NONE:-x}", Some("x")),
            ("${EMPTY:-x}", Some("x")),
            ("${NONE:-}", Some("")),
            ("${NONE:-${B}}", Some("two")),
            ("${A:-x}y", Some("oney")),
            ("$${A}", Some("${A}")),
            ("$A", None),
            ("${ A }", None),
            ("plain", None),
        ] {
            let found = replaced(text, &env(), 0).map_err(|_| ()).unwrap();
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_an_error() {
        for text in ["os.environ/NONE", "${NONE}", "x${NONE}y", "${A:?x}", "${A", "${A:-x"] {
            assert!(replaced(text, &env(), 0).is_err(), "{text}");
        }
    }

    #[test]
    fn own_variables_win_over_those_of_the_process() {
        let base = env();
        let mut layered = Layered::new(&base);
        layered.own.insert("A".to_owned(), "mine".to_owned());
        assert_eq!(layered.var("A").as_deref(), Some("mine"));
        assert_eq!(layered.var("B").as_deref(), Some("two"));
    }
}
