//! Holds README and docs to the tree: links and their anchors, and the names of options, metrics, headers and codes of
//! errors that are written there. What is said about them is for readers to judge.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Pages by their paths in the tree.
fn pages() -> BTreeMap<PathBuf, String> {
    let root = root();
    let own = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md"];
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let all = own.into_iter().map(|name| root.join(name)).chain(docs);
    all.map(|path| (path.strip_prefix(root).unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// All sources in a folder as one text.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_some_and(|end| end == "rs") {
            all += &fs::read_to_string(path).unwrap();
        }
    }
    all
}

/// What a pattern finds in the pages, with the page; `none` of it would be a test of nothing.
#[track_caller]
fn found(pattern: &str) -> BTreeSet<(String, String)> {
    let pattern = Regex::new(pattern).unwrap();
    let mut all = BTreeSet::new();
    for (page, text) in pages() {
        let named = pattern.captures_iter(&text);
        all.extend(named.map(|one| (one[1].to_owned(), page.display().to_string())));
    }
    assert!(all.len() > 10, "{pattern} finds {all:?}");
    all
}

/// Headings as GitHub makes anchors of them.
fn anchors(text: &str) -> BTreeSet<String> {
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let mut is_code = false;
    let mut all = BTreeSet::new();
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let Some((marks, title)) = line.split_once(' ').filter(|_| !is_code) else { continue };
        if marks.is_empty() || !marks.trim_start_matches('#').is_empty() {
            continue;
        }
        let title = link.replace_all(title, "$1").to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        all.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    all
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut seen = 0;
    for (page, text) in &pages {
        for to in link.captures_iter(text).map(|one| one[1].to_owned()) {
            if to.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = to.split_once('#').unwrap_or((&to, ""));
            let folder = root().join(page.parent().unwrap());
            let path = if file.is_empty() { root().join(page) } else { folder.join(file) };
            assert!(path.exists(), "{}: {to}", page.display());
            if anchor.is_empty() {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            assert!(anchors(&text).contains(anchor), "{}: {to}", page.display());
        }
    }
    assert!(seen > 100, "{seen} links");
}

#[test]
fn every_page_is_found_from_the_readme() {
    let pages = pages();
    let readme = &pages[Path::new("README.md")];
    for page in pages.keys().filter(|page| page.starts_with("docs")) {
        // Which routes the pages at `/ui` ask for is said where they are.
        let is_named = readme.contains(&format!("({}", page.display()));
        assert!(is_named || page.ends_with("ui-api.md"), "{} is linked nowhere", page.display());
    }
}

#[test]
fn every_option_that_is_named_with_its_section_exists() {
    // Those that have no effect here are in the tables alone.
    let tables = sources(&root().join("src/config/options"));
    let reference = read("conf/reference.yaml");
    let sections = "general_settings|router_settings|litellm_settings|cache_params|dashboard";
    for (option, page) in found(&format!(r"`(?:{sections})\.([a-z_]+[a-z])[`:.=]")) {
        let is_known = reference.contains(&format!("{option}:"));
        assert!(is_known || tables.contains(&format!("\"{option}\"")), "{page}: {option}");
    }
}

#[test]
fn every_metric_that_is_named_exists() {
    let names = read("src/telemetry/metrics/names.rs");
    for (metric, page) in found(r"\b(tollgate_[a-z_]+_(?:total|seconds|bytes|records|up))\b") {
        assert!(names.contains(&format!("\"{metric}\"")), "{page}: {metric}");
    }
}

#[test]
fn every_header_that_is_named_exists() {
    let sources = sources(&root().join("src"));
    for (header, page) in found(r"`(x-(?:tollgate|litellm)-[a-z-]*[a-z])[`:]") {
        assert!(sources.contains(&format!("\"{header}\"")), "{page}: {header}");
    }
}

#[test]
fn every_code_of_an_error_of_our_own_is_explained() {
    let page = read("docs/errors.md");
    let source = read("src/gateway/error.rs");
    let codes = Regex::new("\"([a-z]+_[a-z_]+)\"").unwrap();
    let code = source.split("fn code(").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let codes: BTreeSet<_> = codes.captures_iter(code).map(|one| one[1].to_owned()).collect();
    assert!(codes.len() > 15, "{codes:?}");
    for code in codes {
        assert!(page.contains(&format!("`{code}`")), "{code}");
    }
}
