//! What holds for every input, also for one that nobody would send: each property is a function of
//! bytes, tried here on changed fixtures with a fixed seed, so that it runs in every `cargo test`.
//!
//! `fuzz/` runs the same functions under libFuzzer. `TOLLGATE_ROUNDS` raises the number of inputs,
//! `TOLLGATE_SEED` takes others. An input that fails is written to a file that the message names;
//! copied to `tests/properties/found`, it is tried first from then on.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed"
)]

mod answers;
mod config;
mod expressions;
mod forms;
mod frames;
mod histories;
mod history;
mod json;
mod long;
mod memory;
mod providers;
mod replies;
mod requests;
mod retry_after;
mod source;
mod streams;
mod usage;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fastrand::Rng;

/// Changed inputs for each property, unless `TOLLGATE_ROUNDS` says another number.
const ROUNDS: usize = 2_000;

/// The same where one input is tried on every provider and every client.
const WIDE_ROUNDS: usize = 400;

/// Longer inputs are cut: nothing here depends on length.
const BYTES_MAX: usize = 16 * 1024;

#[test]
fn every_configuration_is_read_or_refused_with_a_reason() {
    let words = [
        "model_list:",
        "- ",
        "  ",
        "\t",
        "\n",
        ": ",
        "[",
        "]",
        "{",
        "}",
        "'",
        "\"",
        "#",
        "|",
        ">",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "---\n",
        "${X}",
        "${X:-",
        "os.environ/X",
        "null",
        "\u{a0}",
    ];
    let folders = ["tests/config/good", "tests/config/good/seeds", "tests/config/bad", "conf"];
    try_on("config", config::holds, &files(&folders, &["yaml"]), &words);
}

#[test]
fn a_binary_stream_is_read_the_same_wherever_it_is_cut() {
    let words = [
        "\0\0\0",
        "\u{7}\0",
        "event",
        "exception",
        "error",
        "messageStop",
        "metadata",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "\"toolUse\":",
        "\"reasoningContent\":{\"redactedContent\":\"QQ==\"}",
        "\"signature\":\"s\"",
        "\"contentBlockIndex\":1",
        "null",
        "{",
        "}",
    ];
    try_on("frames", frames::holds, &files(&["tests/golden"], &["bin"]), &words);
}

#[test]
fn an_edited_object_is_what_was_asked_for() {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\u00e9",
        "\\ud800",
        "null",
        "1e999",
        "-0",
        "\"model\":",
        "\"model\":1,",
        "\"stream\":true",
        "{\"a\":",
        " ",
        "\u{feff}",
    ];
    try_on("json", json::holds, &files(&["tests/golden"], &["json"]), &words);
}

#[test]
fn a_stream_does_not_depend_on_where_it_is_cut() {
    let words = [
        "data: ",
        "event: ",
        "\n",
        "\n\n",
        "\r\n",
        "\r",
        ": ping\n\n",
        "[DONE]",
        "data: [DONE]\n\n",
        "\"finish_reason\":\"stop\"",
        "\"error\":{\"message\":\"x\"}",
        "\"usage\":null",
        "{",
        "}",
        "event: error\n",
        "\"type\":\"message_stop\"",
        "\u{feff}",
    ];
    try_on("streams", streams::holds, &files(&["tests/golden"], &["sse", "ndjson"]), &words);
}

#[test]
fn every_wait_that_a_provider_asks_for_is_bounded() {
    let seeds: Vec<Vec<u8>> = [
        "20",
        "0.5",
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "6m0s",
        "1h2m3.5s",
        "12ms",
        "1795262400",
        "1795262400000",
        "2026-11-21T07:28:00Z",
        "Please try again in 1m30s.",
        "retry after 20 seconds",
        "-1",
        "nan",
        "inf",
        "1e400",
        r#"{"error":{"message":"Please retry in 34.07s","details":[{"retryDelay":"34s"}]}}"#,
    ]
    .into_iter()
    .map(|text| [b"\xad".as_slice(), text.as_bytes()].concat())
    .collect();
    let words = ["ms", "s", "m", "h", "d", ".", "9", "99999999999999999999", "e9", "-", " ", "\""];
    try_on("retry_after", retry_after::holds, &seeds, &words);
}

#[test]
fn every_request_is_written_or_refused_with_a_reason() {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ",",
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        "\"\"",
        "\"a\"",
        "\"model\":",
        "\"messages\":[",
        "\"input\":[",
        "\"contents\":[",
        "\"role\":\"user\",",
        "\"role\":\"assistant\",",
        "\"role\":\"tool\",",
        "\"content\":",
        "\"parts\":[",
        "\"type\":",
        "\"tool_calls\":[",
        "\"tools\":[",
        "\"tool_choice\":",
        "\"response_format\":",
        "\"thinking\":",
        "\"reasoning_effort\":",
        "\"stop\":",
        "\"max_tokens\":",
        "\"temperature\":",
        "\"image_url\":",
        "\"data:image/png;base64,AA==\"",
        "\"cache_control\":{\"type\":\"ephemeral\"}",
        "\\ud800",
    ];
    try_on("requests", requests::holds, &files(&["tests/golden"], &["json"]), &words);
}

#[test]
fn every_answer_of_a_provider_is_a_reply_or_a_failure() {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ",",
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        "\"\"",
        "\"a\"",
        "\"error\":",
        "\"code\":",
        "\"choices\":[",
        "\"message\":",
        "\"content\":",
        "\"candidates\":[",
        "\"output\":",
        "\"usage\":",
        "\"tool_calls\":[",
        "\"finish_reason\":",
        "\"stop_reason\":",
        "\"done\":true",
        "\"type\":\"tool_use\"",
        "\"arguments\":",
        "18446744073709551616",
        "\\ud800",
        "<html>",
    ];
    try_on("answers", answers::holds, &files(&["tests/golden"], &["json"]), &words);
}

#[test]
fn every_form_is_read_or_refused_and_written_as_it_was() {
    let head = "Content-Disposition: form-data; name=";
    let part = |name: &str, content: &str| format!("--b\r\n{head}\"{name}\"\r\n\r\n{content}\r\n");
    let file = "a\"; filename=\"a.wav\"\r\nContent-Type: audio/wav";
    let seeds = [
        format!("{}{}--b--\r\n", part("model", "m"), part("n", "2")),
        format!("{}{}--b--\r\n", part("file\"; filename=\"a.wav", "\0\r\n--c"), part("model", "m")),
        format!(
            "{}{}--b--",
            part("image[]\"; filename=\"1", ""),
            part("image[]\"; filename=\"2", "")
        ),
        format!("--b\r\n{head}{file}\r\n\r\n--b--\r\n"),
    ];
    let seeds = seeds.map(String::into_bytes);
    let words = [
        "--",
        "--b",
        "--b--",
        "\r\n",
        "\n",
        "\r",
        "\"",
        ";",
        "name=",
        "filename=",
        "filename*=UTF-8''",
        "Content-Disposition: form-data; ",
        "model",
        "stream",
        "[]",
        "\\",
        "%22",
        "\u{e9}",
    ];
    try_on("forms", forms::holds, &seeds, &words);
}

#[test]
fn every_expression_is_evaluated_or_refused_with_a_reason() {
    let seeds = [
        "body.choices[0].text",
        "body.end if body.end else 'stop'",
        "messages | map(attribute='content') | join('\\n')",
        "[body.usage.in + 1, {'a': model ~ 'x'}]",
        "body | tojson | length",
        "range(10) | list",
        "a {{ model }} b",
    ];
    let seeds = seeds.map(|text| text.as_bytes().to_vec());
    let words = [
        "{{",
        "}}",
        "|",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        "'",
        "~",
        "+",
        "*",
        "**",
        "//",
        "%",
        "not ",
        " in ",
        " is defined",
        " if ",
        " else ",
        "range(99999999)",
        "| list",
        "| join",
        "| length",
        "body",
        "model",
        "9223372036854775807",
        "1e308",
        "| string",
        "| tojson",
        "| int",
        "[-1:]",
    ];
    try_on("expressions", expressions::holds, &seeds, &words);
}

#[test]
fn a_conversation_means_the_same_to_every_provider() {
    try_on("histories", histories::holds, &choices(), &[]);
}

#[test]
fn a_reply_means_the_same_to_every_client_whole_or_streamed() {
    try_on("replies", replies::holds, &choices(), &[]);
}

/// Bytes to draw choices from.
fn choices() -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(number("TOLLGATE_SEED", 7) as u64);
    let lengths = [0, 8, 64, 400];
    let seeds = (0..400).map(|at| (0..lengths[at % 4]).map(|_| rng.u8(..)).collect());
    seeds.collect()
}

/// The fuzzer tries what is shipped, and all of it: each property is a target there.
#[test]
fn the_fuzzer_has_every_property_and_the_versions_that_are_shipped() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let packages = |text: &str| -> Vec<String> {
        let entries = text.split("[[package]]\n").skip(1);
        entries.map(|entry| entry.lines().take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let shipped = packages(&read("Cargo.lock"));
    let own = ["arbitrary", "libfuzzer-sys", "tollgate-fuzz"].map(|it| format!("name = \"{it}\" "));
    for package in packages(&read("fuzz/Cargo.lock")) {
        let is_own = own.iter().any(|name| package.starts_with(name));
        let hint = "cp Cargo.lock fuzz/ && cargo metadata --manifest-path fuzz/Cargo.toml";
        assert!(is_own || shipped.contains(&package), "{package} is not in Cargo.lock: {hint}");
    }
    let (manifest, targets) = (read("fuzz/Cargo.toml"), read("fuzz/src/lib.rs"));
    for entry in fs::read_dir(root.join("tests/properties")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(module) = name.and_then(|name| name.strip_suffix(".rs")) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        if module != "main" && text.contains("fn holds(input: &[u8])") {
            let path = format!("path = \"fuzz_targets/{module}.rs\"");
            assert!(manifest.contains(&path), "{module} is no target of fuzz/Cargo.toml");
            assert!(targets.contains(&format!("mod {module};")), "{module}");
        }
    }
}

/// The contents of all files below these folders with one of these endings.
fn files(folders: &[&str], endings: &[&str]) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| endings.iter().any(|end| it == *end)) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.dedup();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Tries a property on what was found before, on the seeds, and on changed seeds.
fn try_on(name: &str, holds: fn(&[u8]), seeds: &[Vec<u8>], words: &[&str]) {
    let is_wide = ["answers", "histories", "replies", "requests", "streams"].contains(&name);
    let rounds = if is_wide { WIDE_ROUNDS } else { ROUNDS };
    assert!(!seeds.is_empty(), "there is something to change");
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/properties/found").join(name);
    if found.is_dir() {
        for entry in fs::read_dir(found).unwrap() {
            attempt(name, holds, &fs::read(entry.unwrap().path()).unwrap());
        }
    }
    for seed in seeds {
        attempt(name, holds, seed);
    }
    let mut rng = Rng::with_seed(number("TOLLGATE_SEED", 7) as u64);
    for _ in 0..number("TOLLGATE_ROUNDS", rounds) {
        let input = changed(seeds, words, &mut rng);
        attempt(name, holds, &input);
    }
}

fn attempt(name: &str, holds: fn(&[u8]), input: &[u8]) {
    let result = catch_unwind(AssertUnwindSafe(|| holds(input)));
    if let Err(reason) = result {
        let path = std::env::temp_dir().join(format!("tollgate-{name}-{}", std::process::id()));
        fs::write(&path, input).unwrap();
        eprintln!("the input is in {}:\n{}", path.display(), String::from_utf8_lossy(input));
        std::panic::resume_unwind(reason);
    }
}

/// One of the seeds with a few changes.
fn changed(seeds: &[Vec<u8>], words: &[&str], rng: &mut Rng) -> Vec<u8> {
    let mut input = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..=rng.usize(..4) {
        let at = rng.usize(..=input.len());
        let end = (at + rng.usize(..=24)).min(input.len());
        match rng.u8(..7) {
            0 => drop(input.drain(at..end)),
            1 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            2 => input.truncate(at),
            3 if at < input.len() => input[at] = rng.u8(..),
            4 => {
                let other = &seeds[rng.usize(..seeds.len())];
                let from = rng.usize(..=other.len());
                let to = (from + rng.usize(..=200)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let word = rng.choice(words).map_or("\0", |word| *word);
                input.splice(at..at, word.bytes());
            }
        }
    }
    input.truncate(BYTES_MAX);
    input
}
