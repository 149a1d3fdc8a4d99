//! YAML -> [`Snapshot`]: the LiteLLM dialect, read like source code by a compiler.
//!
//! ```text
//! include   files -> one tree          yaml      text -> tree with positions
//! env       variables in every text    options   THE table of options
//! section   options with their types   resolve   tree -> snapshot, names looked up
//! problem   what is wrong, and how it is shown
//! ```
//!
//! Nothing stops at the first mistake: one run names every problem of a file, each with its line.
//! Reading files and variables happens here and nowhere below.

mod deployments;
mod env;
mod include;
mod mask;
pub mod options;
mod outline;
mod problem;
mod quick_start;
mod resolve;
mod section;
mod within;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use env::{Env, ProcessEnv};
pub use outline::Outline;
pub use problem::{BAD_FILE, Problem, Severity, count, report};
pub use quick_start::{QuickStart, quick_start};

use crate::secret::Secret;
use crate::snapshot::Snapshot;
use env::Layered;
use include::Reader;
use problem::Problems;
use resolve::Context;
use yaml::{Node, Value};

/// What became of a file.
#[derive(Debug)]
pub struct Loaded {
    /// `None` if there are errors among the problems.
    pub snapshot: Option<Snapshot>,
    /// All errors and warnings, in the order of the files and lines.
    pub problems: Vec<Problem>,
    /// What is written, for telling it from another file.
    pub outline: Outline,
    /// Every file that was read, or would have been if it were there, as it was named.
    pub files: Vec<PathBuf>,
}

impl Loaded {
    /// The last line of `check`: how many problems there are, or what a good file holds.
    #[must_use]
    pub fn summary(&self, file: &str, strict: bool) -> String {
        // What was shown as an error is counted as one.
        let counted = match (&self.snapshot, strict, self.problems.len()) {
            (None, true, 1) => Some("1 error".to_owned()),
            (None, true, errors) => Some(format!("{errors} errors")),
            (Some(_), _, _) | (None, false, _) => count(&self.problems),
        };
        match (&self.snapshot, counted) {
            (Some(snapshot), None) => format!("{file}: good: {}", contents(snapshot)),
            (Some(snapshot), Some(counted)) if !strict => {
                format!("{file}: good, with {counted}: {}", contents(snapshot))
            }
            (Some(_), Some(counted)) => format!("{file}: {counted}, refused by --strict"),
            (None, counted) => format!("{file}: {}", counted.unwrap_or_default()),
        }
    }
}

fn contents(snapshot: &Snapshot) -> String {
    let plural = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        number => format!("{number} {word}s"),
    };
    let deployments = snapshot.catalog.deployments().len();
    let groups = snapshot.catalog.groups().count();
    format!("{} in {}", plural(deployments, "deployment"), plural(groups, "model group"))
}

/// The options of `general_settings` that name files whose content counts.
const FILE_OPTIONS: [&str; 3] = ["prices_file", "ssl_certfile_path", "ssl_keyfile_path"];

/// Reads a file and all it includes.
#[must_use]
pub fn load(path: &Path, env: &dyn Env) -> Loaded {
    load_with(path, env, |reader| reader.file(path))
}

/// A deployment that is kept elsewhere than in the file.
#[derive(Clone, Debug)]
pub struct Added {
    pub id: Arc<str>,
    /// An entry of `model_list`: JSON on one line.
    pub entry: Secret,
}

impl PartialEq for Added {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.entry.matches(other.entry.expose().as_bytes())
    }
}

/// The name of what is added, in messages. Its entries begin on the second line.
pub const ADDED: &str = "(database)";

/// Reads a file and all it includes, with deployments that are kept elsewhere.
#[must_use]
pub fn load_with_added(path: &Path, env: &dyn Env, added: &[Added]) -> Loaded {
    let mut text = "model_list:\n".to_owned();
    for one in added {
        text.push_str("- ");
        text.push_str(one.entry.expose());
        text.push('\n');
    }
    load_with(path, env, |reader| {
        let mut root = reader.file(path)?;
        if !added.is_empty() {
            reader.add(Path::new(ADDED), text, &mut root);
        }
        Some(root)
    })
}

/// Which of what is added has errors, and what they are.
#[must_use]
pub fn faulty(problems: &[Problem]) -> BTreeMap<usize, Vec<String>> {
    about_added(problems.iter().filter(|one| one.severity == Severity::Error))
}

/// What is said about each of what is added, by its place.
#[must_use]
pub fn about_added<'p>(
    problems: impl IntoIterator<Item = &'p Problem>,
) -> BTreeMap<usize, Vec<String>> {
    let mut about = BTreeMap::<usize, Vec<String>>::new();
    for problem in problems.into_iter().filter(|one| &*one.file == ADDED) {
        let at = usize::try_from(problem.line).ok().and_then(|line| line.checked_sub(2));
        if let Some(at) = at {
            about.entry(at).or_default().push(problem.message.clone());
        }
    }
    about
}

/// Reads a text as if it stood in a file of this name.
#[must_use]
pub fn load_text(name: &Path, text: &str, env: &dyn Env) -> Loaded {
    load_with(name, env, |reader| reader.text(name, text.to_owned()))
}

fn load_with(
    path: &Path,
    env: &dyn Env,
    read: impl FnOnce(&mut Reader<'_>) -> Option<Node>,
) -> Loaded {
    let problems = Problems::default();
    let mut reader = Reader::new(env, &problems);
    let root = read(&mut reader);
    let (sources, mut files) = (reader.sources, reader.named);
    let mut outline = Outline::default();
    let snapshot = root.and_then(|mut root| {
        let mut layered = Layered::new(env);
        if let Value::Map(entries) = &mut root.value
            && let Some(section) =
                entries.iter_mut().find(|entry| &*entry.key == "environment_variables")
        {
            layered.read(&mut section.node, &problems);
        }
        env::expand(&mut root, &layered, &problems);
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        outline = Outline::of(&root);
        let general = root.get("general_settings").map(|entry| &entry.node);
        for option in FILE_OPTIONS {
            let named = general.and_then(|general| general.get(option)?.node.text());
            files.extend(named.map(|name| folder.join(name)));
        }
        resolve::resolve(&root, &Context { env: &layered, problems: &problems, folder })
    });
    let problems = problems.finish(&sources);
    let snapshot = snapshot.map(|snapshot| Snapshot {
        warnings: problems.iter().map(|problem| Arc::from(problem.one_line())).collect(),
        ..snapshot
    });
    Loaded { snapshot, problems, outline, files }
}

#[cfg(test)]
mod tests;
