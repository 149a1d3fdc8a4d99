//! A configuration file, however broken, is read or refused with a reason; nothing else happens.

use std::collections::BTreeMap;
use std::path::Path;

use tollgate::config::{Severity, load_text, report};

/// For every text.
pub(crate) fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    // Other files of this machine are no part of the input.
    if ["include", "_file", "ssl_"].iter().any(|word| text.contains(word)) {
        return;
    }
    let variables = ["OPENAI_API_KEY", "X"].map(|name| (name.to_owned(), "value".to_owned()));
    let env = BTreeMap::from(variables);
    let loaded = load_text(Path::new("t.yaml"), &text, &env);

    let errors = loaded.problems.iter().filter(|it| it.severity == Severity::Error).count();
    assert_eq!(loaded.snapshot.is_none(), errors > 0, "a snapshot or errors: {text}");
    let lines = text.replace("\r\n", "\n").replace('\r', "\n").lines().count().max(1) as u32;
    for problem in &loaded.problems {
        assert!(!problem.message.is_empty());
        assert!(problem.line <= lines, "{}: there are {lines} lines", problem.one_line());
        assert!(!problem.one_line().contains('\u{1b}'), "a terminal is not steered");
    }
    let (shown, code) = report(&loaded.problems, false, false);
    assert_eq!((code != 0, shown.is_empty()), (errors > 0, loaded.problems.is_empty()));
    assert!(!shown.contains('\u{1b}'), "a terminal is not steered: {shown:?}");
    let again = load_text(Path::new("t.yaml"), &text, &env);
    assert_eq!(report(&again.problems, false, false).0, shown, "the same text, the same report");
}
