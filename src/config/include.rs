//! Reads a file and the files it includes, as one tree.
//!
//! As in LiteLLM, lists of an included file are added to those of the including one, so that
//! `model_list` may be spread over files. Sections are merged option by option: LiteLLM replaces a
//! section that both files have as a whole, which silently drops the `master_key` of the first.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use super::env::{Env, expand};
use super::problem::{Finding, Problems, Sources, Spot};
use super::yaml::{Entry, FILE_BYTES_MAX, Node, Value, parse};

/// Files that one configuration may consist of.
const FILES_MAX: usize = 256;

/// Reads files and keeps their texts for messages.
pub(crate) struct Reader<'a> {
    pub(crate) env: &'a dyn Env,
    pub(crate) problems: &'a Problems,
    pub(crate) sources: Sources,
    /// All files that were asked for, under the names that they were asked for by.
    pub(crate) named: Vec<PathBuf>,
    /// Files read so far, and those whose includes are being read now.
    seen: Vec<PathBuf>,
    open: Vec<PathBuf>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(env: &'a dyn Env, problems: &'a Problems) -> Self {
        let (named, seen, open) = (Vec::new(), Vec::new(), Vec::new());
        Self { env, problems, sources: Sources::default(), named, seen, open }
    }

    /// The tree of a file with everything it includes.
    pub(crate) fn file(&mut self, path: &Path) -> Option<Node> {
        self.load(path, None)
    }

    /// The tree of a text; its includes are relative to `name`.
    pub(crate) fn text(&mut self, name: &Path, text: String) -> Option<Node> {
        let shown = name.display().to_string();
        // A carriage return alone ends a line in YAML, but in nothing that shows lines.
        let text = match text.replace("\r\n", "\n") {
            text if text.contains('\r') => text.replace('\r', "\n"),
            text => text,
        };
        let file = self.sources.add(&shown, text);
        let root = parse(self.sources.text(file), file, self.problems);
        let found_before = self.problems.has_errors();
        let mut root = match root {
            Some(root) if !root.is_null() => root,
            Some(_) | None if found_before => return None,
            Some(_) | None => {
                self.problems.push(
                    Finding::error(Spot { file, ..Spot::default() }, "the file is empty")
                        .help("begin with `model_list:`"),
                );
                return None;
            }
        };
        if root.map().is_none() {
            let found = root.found("");
            self.problems.push(
                Finding::error(root.spot, format!("a file holds sections, found {found}"))
                    .help("begin with `model_list:`"),
            );
            return None;
        }
        self.includes(&mut root, name);
        Some(root)
    }

    /// Adds a text to a tree, as if the file had included it.
    pub(crate) fn add(&mut self, name: &Path, text: String, root: &mut Node) {
        if let Some(Node { value: Value::Map(more), .. }) = self.text(name, text)
            && let Value::Map(entries) = &mut root.value
        {
            merge(entries, more, true, self.problems);
        }
    }

    fn load(&mut self, path: &Path, from: Option<Spot>) -> Option<Node> {
        self.named.push(path.to_path_buf());
        let refuse = |what: String| {
            let message = match from {
                Some(_) => format!("cannot read `{}`: {what}", path.display()),
                None => format!("cannot read the file: {what}"),
            };
            self.problems.push(Finding::error(from, message));
        };
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) => {
                // So that the message can name the file although it has no text.
                if from.is_none() {
                    self.sources.add(&path.display().to_string(), String::new());
                }
                refuse(reason(&error));
                return None;
            }
        };
        if self.open.contains(&real) {
            refuse("it includes itself".to_owned());
            return None;
        }
        if self.seen.contains(&real) || self.seen.len() >= FILES_MAX {
            let twice = self.seen.contains(&real);
            refuse(if twice { "it is included twice".into() } else { "too many files".into() });
            return None;
        }
        let text = match read(&real) {
            Ok(text) => text,
            Err(error) => {
                if from.is_none() {
                    self.sources.add(&path.display().to_string(), String::new());
                }
                refuse(reason(&error));
                return None;
            }
        };
        let text = match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => {
                self.not_utf8(path, &error);
                return None;
            }
        };
        self.seen.push(real.clone());
        self.open.push(real);
        let root = self.text(path, text);
        self.open.pop();
        root
    }

    fn not_utf8(&mut self, path: &Path, error: &FromUtf8Error) {
        let bytes = error.as_bytes();
        let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let good =
            String::from_utf8_lossy(bytes.get(..error.utf8_error().valid_up_to()).unwrap_or(&[]));
        let count = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        // The line is shown with a mark in place of what cannot be.
        let shown = if wide { String::new() } else { String::from_utf8_lossy(bytes).into_owned() };
        let file = self.sources.add(&path.display().to_string(), shown);
        let spot = Spot { file, line: count(line), column: count(column), width: 1 };
        let text = if wide { "the file is UTF-16" } else { "this is not UTF-8" };
        self.problems.push(Finding::error(spot, text).help("save the file as UTF-8"));
    }

    /// Replaces `include` by what the named files hold.
    fn includes(&mut self, root: &mut Node, path: &Path) {
        let Value::Map(entries) = &mut root.value else { return };
        let Some(at) = entries.iter().position(|entry| &*entry.key == "include") else { return };
        let mut include = entries.remove(at);
        expand(&mut include.node, self.env, self.problems);
        let names: Vec<&Node> = match &include.node.value {
            Value::List(items) => items.iter().collect(),
            Value::Scalar(_) if include.node.text().is_some() => vec![&include.node],
            Value::Scalar(_) if include.node.is_null() => return,
            Value::Scalar(_) | Value::Map(_) => {
                self.problems.push(Finding::error(
                    include.value_spot(),
                    format!("`include` must be a list of files, found {}", include.node.found("")),
                ));
                return;
            }
        };
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        for name in names {
            let Some(file) = name.text() else {
                let found = name.found("");
                let message = format!("`include` takes names of files, found {found}");
                self.problems.push(Finding::error(name.spot, message));
                continue;
            };
            if let Some(Node { value: Value::Map(included), .. }) =
                self.load(&folder.join(file), Some(name.spot))
            {
                merge(entries, included, true, self.problems);
            }
        }
    }
}

/// Adds the sections of an included file. Within sections the included file wins, as in LiteLLM,
/// but not silently.
fn merge(into: &mut Vec<Entry>, from: Vec<Entry>, sections: bool, problems: &Problems) {
    for entry in from {
        let Some(known) = into.iter_mut().find(|known| known.key == entry.key) else {
            into.push(entry);
            continue;
        };
        match (&mut known.node.value, entry.node.value) {
            (Value::List(items), Value::List(more)) if sections => items.extend(more),
            (Value::Map(options), Value::Map(more)) if sections => {
                merge(options, more, false, problems);
            }
            (_, value) => {
                let first = known.spot;
                known.node = Node { spot: entry.node.spot, value };
                known.spot = entry.spot;
                problems.push(
                    Finding::warning(
                        first,
                        format!("`{}` is replaced by an included file", entry.key),
                    )
                    .note(entry.spot, "the value in force"),
                );
            }
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a directory"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let megabytes = FILE_BYTES_MAX / (1024 * 1024);
        return Err(io::Error::other(format!("it is larger than {megabytes} MB")));
    }
    Ok(bytes)
}

/// The error without its number, which means nothing to most readers.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
