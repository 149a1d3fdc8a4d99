//! Paths that could lead elsewhere: `..`, however it is written.
//!
//! Servers differ in how often they decode a path and in what they take for a slash, so a path is
//! judged by everything that one of them could read in it.

use percent_encoding::percent_decode;

/// How often a path may be encoded. Nobody needs more, and each time has to be looked at.
const ENCODINGS_MAX: usize = 4;

/// Why a server could read a path, or a part of one, as another than it is; `None`: none could.
#[must_use]
pub fn ambiguity(path: &str) -> Option<&'static str> {
    let mut plain = path.as_bytes().to_vec();
    for _ in 0..=ENCODINGS_MAX {
        if let Some(problem) = problem(&plain) {
            return Some(problem);
        }
        let decoded: Vec<u8> = percent_decode(&plain).collect();
        if decoded == plain {
            return None;
        }
        plain = decoded;
    }
    Some("is encoded too many times")
}

/// What is wrong with a path that is decoded as far as a server may have done it.
fn problem(path: &[u8]) -> Option<&'static str> {
    // A server that is lax with UTF-8 reads dots and slashes in what is none.
    let Ok(path) = std::str::from_utf8(path) else { return Some("is not UTF-8 when decoded") };
    if path.bytes().any(|byte| byte.is_ascii_control()) {
        return Some("has a control character");
    }
    let climbs = path.split(['/', '\\']).any(|segment| {
        // Some servers cut parameters off first, and some read a query in what was encoded.
        let name = segment.split([';', '?', '#']).next().unwrap_or(segment);
        matches!(name.trim(), "." | "..")
    });
    climbs.then_some("has a segment `.` or `..`, plain or encoded")
}
