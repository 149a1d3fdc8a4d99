//! Holds the source tree to the picture in ARCHITECTURE.md: who may import whom, that every file
//! says what it owns, and the few habits that a reviewer would otherwise repeat.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every module of the crate with what it may import beside itself. Vocabulary comes first; a
/// module may import what stands above it only if it is listed.
const LAYERS: &[(&str, &[&str])] = &[
    ("usage", &[]),
    ("money", &[]),
    ("secret", &[]),
    ("seal", &["secret"]),
    ("failure", &[]),
    ("dialect", &[]),
    ("patience", &[]),
    ("pause", &[]),
    ("recent", &[]),
    ("wildcard", &[]),
    ("outbound", &["pause"]),
    ("trace", &["secret"]),
    ("mapping", &[]),
    ("edge", &["patience"]),
    ("catalog", &["wildcard", "usage", "money", "secret", "failure", "dialect", "mapping"]),
    ("wire", &["usage", "money", "failure", "dialect", "mapping"]),
    ("limits", &[]),
    ("guard", &["wire", "dialect"]),
    ("inspect", &["outbound", "guard", "secret"]),
    ("recall", &["wire"]),
    ("cache", &["recent", "wire", "usage", "money"]),
    ("tokens", &["wire", "dialect"]),
    (
        "provider",
        &[
            "pause", "mapping", "recall", "limits", "wire", "catalog", "usage", "money", "secret",
            "failure", "dialect",
        ],
    ),
    ("routing", &["limits", "catalog", "failure", "dialect", "usage", "money"]),
    ("keys", &["wildcard", "secret", "patience"]),
    ("spend", &["keys", "usage", "money"]),
    ("admission", &["recent", "limits", "keys", "spend", "usage", "money"]),
    ("store", &["cache", "admission", "limits", "keys", "spend", "money", "secret", "patience"]),
    ("quota", &["admission", "spend", "money", "patience"]),
    (
        "alerts",
        &["outbound", "admission", "spend", "keys", "catalog", "money", "secret", "patience"],
    ),
    ("books", &["keys", "spend", "store"]),
    ("callbacks", &["outbound", "identity", "catalog", "keys", "seal", "secret", "usage", "money"]),
    (
        "snapshot",
        &[
            "trace",
            "cache",
            "callbacks",
            "edge",
            "catalog",
            "guard",
            "routing",
            "keys",
            "secret",
            "store",
            "admission",
            "alerts",
        ],
    ),
    ("upstream", &["snapshot", "catalog", "failure", "patience"]),
    ("fetch", &["outbound", "snapshot", "patience"]),
    ("identity", &["outbound", "catalog", "failure", "secret", "patience"]),
    (
        "telemetry",
        &[
            "outbound", "trace", "snapshot", "routing", "catalog", "keys", "usage", "money",
            "failure", "dialect",
        ],
    ),
    (
        "admin",
        &[
            "wildcard",
            "callbacks",
            "cache",
            "guard",
            "telemetry",
            "snapshot",
            "patience",
            "routing",
            "catalog",
            "keys",
            "spend",
            "books",
            "failure",
            "dialect",
            "seal",
            "secret",
            "money",
            "usage",
            "admission",
        ],
    ),
    (
        "gateway",
        &[
            "recent",
            "wildcard",
            "callbacks",
            "trace",
            "cache",
            "guard",
            "admission",
            "alerts",
            "quota",
            "mapping",
            "edge",
            "patience",
            "admin",
            "telemetry",
            "upstream",
            "identity",
            "fetch",
            "limits",
            "tokens",
            "provider",
            "recall",
            "wire",
            "snapshot",
            "routing",
            "keys",
            "spend",
            "books",
            "catalog",
            "usage",
            "money",
            "failure",
            "dialect",
            "secret",
        ],
    ),
    (
        "config",
        &[
            "wildcard",
            "callbacks",
            "telemetry",
            "trace",
            "cache",
            "guard",
            "inspect",
            "admission",
            "alerts",
            "mapping",
            "edge",
            "snapshot",
            "store",
            "provider",
            "routing",
            "keys",
            "spend",
            "catalog",
            "secret",
            "money",
            "failure",
            "dialect",
            "usage",
        ],
    ),
    ("mock", &["wildcard", "dialect", "failure"]),
    (
        "reload",
        &[
            "edge",
            "config",
            "upstream",
            "identity",
            "admin",
            "telemetry",
            "snapshot",
            "routing",
            "catalog",
            "keys",
            "seal",
            "secret",
        ],
    ),
    (
        "checks",
        &[
            "gateway", "provider", "upstream", "identity", "wire", "snapshot", "routing",
            "catalog", "dialect", "failure", "patience",
        ],
    ),
    (
        "background",
        &[
            "callbacks",
            "books",
            "checks",
            "edge",
            "reload",
            "mock",
            "upstream",
            "identity",
            "telemetry",
            "store",
            "alerts",
            "catalog",
            "admission",
            "quota",
            "spend",
            "gateway",
            "routing",
            "admin",
            "keys",
        ],
    ),
    (
        "server",
        &[
            "callbacks",
            "cache",
            "background",
            "checks",
            "edge",
            "reload",
            "gateway",
            "admin",
            "telemetry",
            "upstream",
            "recall",
            "identity",
            "fetch",
            "snapshot",
            "routing",
            "books",
            "store",
            "alerts",
            "quota",
            "admission",
            "keys",
            "spend",
            "mock",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "edge",
            "server",
            "gateway",
            "config",
            "mock",
            "telemetry",
            "snapshot",
            "routing",
            "store",
            "spend",
            "keys",
            "secret",
        ],
    ),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all() -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&src).unwrap().to_path_buf(), text)
        })
        .collect()
}

/// The top-level module that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// Tests may look anywhere.
fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part.to_str().is_some_and(|part| part.contains("test")))
}

/// The part of a file that is not its test module.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

#[test]
fn modules_import_downwards_only() {
    let mut wrong = Vec::new();
    for (path, text) in all() {
        let module = module(&path);
        if matches!(module.as_str(), "lib" | "main") || is_test(&path) {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: `{module}` has no place in LAYERS", path.display()));
            continue;
        };
        for (number, line) in product(&text).lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for rest in line.split("crate::").skip(1) {
                let used: String =
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if !used.is_empty() && used != module && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{}:{}: imports {used}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the layers:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_owns() {
    let silent: Vec<_> = all()
        .into_iter()
        .filter(|(path, text)| !is_test(path) && !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "files without a `//!` head: {silent:?}");
}

#[test]
fn nothing_is_left_for_later() {
    let mut left = Vec::new();
    for (path, text) in all() {
        for word in ["todo!", "unimplemented!", "FIXME", "XXX", "HACK"] {
            if text.contains(word) {
                left.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(left.is_empty(), "{left:?}");
}
