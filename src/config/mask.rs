//! Keeps secrets out of messages: source lines are shown with their keys and passwords starred out.
//!
//! Works on text rather than on the parsed tree, because a line with a syntax error has no tree.

use std::collections::BTreeSet;

/// Whether a value under this name is a key, a password or the like.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let last = name.rsplit('_').next().unwrap_or_default();
    const LAST: [&str; 12] = [
        "key",
        "keys",
        "apikey",
        "secret",
        "secrets",
        "password",
        "passwords",
        "passwd",
        "token",
        "credentials",
        "auth",
        "sig",
    ];
    // `input_cost_per_token` is a price.
    let price = name.contains("cost");
    !price
        && (LAST.contains(&last)
            || name.contains("secret")
            || name.contains("password")
            || name.contains("authorization")
            || name.contains("connection_string")
            || MISSPELT.iter().any(|known| strsim::damerau_levenshtein(&name, known) == 1))
}

/// A slip of the pen in one of these names does not make its value public.
const MISSPELT: [&str; 4] = ["api_key", "master_key", "password", "azure_ad_token"];

/// The line with every secret replaced by as many stars, so that columns stay where they are.
pub(crate) fn line(line: &str) -> String {
    let mut chars: Vec<char> = line.chars().collect();
    mask_named_values(&mut chars);
    mask_url_passwords(&mut chars);
    mask_words(&mut chars);
    chars.into_iter().collect()
}

/// The text with as many stars in place of each secret.
pub(crate) fn hide(text: String, secrets: &BTreeSet<String>) -> String {
    secrets.iter().fold(text, |text, secret| {
        if text.contains(secret.as_str()) {
            text.replace(secret.as_str(), &"*".repeat(secret.chars().count()))
        } else {
            text
        }
    })
}

/// The value if it may be shown; a message that quotes a value goes through here.
pub(crate) fn shown(name: &str, value: &str) -> String {
    if is_secret_name(name) && !is_reference(value) {
        return "***".to_owned();
    }
    let masked = line(value);
    match masked.char_indices().nth(VALUE_CHARS_MAX) {
        Some((at, _)) => format!("{}...", masked.get(..at).unwrap_or_default()),
        None => masked,
    }
}

/// Longer values are quoted in part.
const VALUE_CHARS_MAX: usize = 60;

/// Whether a value only names a variable.
fn is_reference(value: &str) -> bool {
    value.starts_with("os.environ/") || (value.starts_with("${") && !value.contains(":-"))
}

/// `name: value` and `name=value`, where the name says that the value is secret.
fn mask_named_values(chars: &mut [char]) {
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut at = 0;
    while at < chars.len() {
        if !in_name(chars[at]) {
            at += 1;
            continue;
        }
        let end = at + chars[at..].iter().take_while(|c| in_name(**c)).count();
        let name: String = chars[at..end].iter().collect();
        at = end;
        let mut rest = end;
        while rest < chars.len() && matches!(chars[rest], '"' | '\'' | ' ') {
            rest += 1;
        }
        if rest < chars.len() && matches!(chars[rest], ':' | '=') && is_secret_name(&name) {
            at = mask_value(chars, rest + 1);
        }
    }
}

/// Stars out the value that starts after `from`; returns where it ends.
fn mask_value(chars: &mut [char], from: usize) -> usize {
    let flow = chars[..from].contains(&'{');
    let start = from + chars[from..].iter().take_while(|c| c.is_whitespace()).count();
    let quote = chars.get(start).copied().filter(|c| matches!(c, '"' | '\''));
    let first = start + usize::from(quote.is_some());
    let ends = |at: usize| match quote {
        Some(quote) => chars[at] == quote,
        None if flow => matches!(chars[at], ',' | '}'),
        None => chars[at] == '#' && chars[at - 1].is_whitespace(),
    };
    let end = (first..chars.len()).find(|at| ends(*at)).unwrap_or(chars.len());
    let value: String = chars[first..end].iter().collect();
    if !is_reference(&value) && !value.starts_with('*') {
        star(chars, first, end);
    }
    end
}

/// `postgresql://user:password@host`: the password.
fn mask_url_passwords(chars: &mut [char]) {
    for at in 3..chars.len() {
        if chars[at - 3..at] != [':', '/', '/'] {
            continue;
        }
        let authority = at..at + chars[at..].iter().take_while(|c| !"/ \"'#".contains(**c)).count();
        let Some(sign) = chars[authority.clone()].iter().rposition(|c| *c == '@') else { continue };
        if let Some(colon) = chars[authority].iter().position(|c| *c == ':') {
            star(chars, at + colon + 1, at + sign);
        }
    }
}

/// Words that look like keys wherever they stand.
fn mask_words(chars: &mut [char]) {
    const PREFIXES: [&str; 7] = ["sk-", "sk_", "gsk_", "xai-", "pplx-", "AIza", "AKIA"];
    let in_word = |c: char| c.is_ascii_alphanumeric() || "-_+=.".contains(c);
    let mut at = 0;
    while at < chars.len() {
        let end = at + chars[at..].iter().take_while(|c| in_word(**c)).count();
        let word: String = chars[at..end].iter().collect();
        let dense = word.len() >= 28 && word.chars().all(|c| c.is_ascii_alphanumeric());
        let mixed = word.contains(|c: char| c.is_ascii_digit())
            && word.contains(|c: char| c.is_ascii_alphabetic());
        if PREFIXES.iter().any(|prefix| word.starts_with(prefix)) || (dense && mixed) {
            star(chars, at, end);
        }
        at = end.max(at + 1);
    }
}

fn star(chars: &mut [char], from: usize, to: usize) {
    for c in chars.iter_mut().take(to).skip(from).filter(|c| !c.is_whitespace()) {
        *c = '*';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_starred_out_and_columns_stay() {
        for (written, shown) in [
            ("  api_key: abc # mine", "  api_key: *** # mine"),
            ("api_key: 'abc def', x", "api_key: '*** ***', x"),
            ("- {model: gpt-4, api_key: abc, rpm: 3}", "- {model: gpt-4, api_key: ***, rpm: 3}"),
            ("  Authorization: Bearer abc", "  Authorization: ****** ***"),
            ("url: postgresql://u:pw@host/db", "url: postgresql://u:**@host/db"),
            ("note: use sk-abc here", "note: use ****** here"),
            ("api_key: os.environ/OPENAI_API_KEY", "api_key: os.environ/OPENAI_API_KEY"),
            ("api_key: \"${OPENAI_API_KEY}\"", "api_key: \"${OPENAI_API_KEY}\""),
            ("api_kye: abc", "api_kye: ***"),
            ("max_tokens: abc", "max_tokens: abc"),
            ("input_cost_per_token: abc", "input_cost_per_token: abc"),
            ("api_key: \"no end", "api_key: \"** ***"),
            ("model: claude-3-5-sonnet-20241022-v2", "model: claude-3-5-sonnet-20241022-v2"),
            ("é: 0123456789abcdef0123456789abcdef", "é: ********************************"),
        ] {
            assert_eq!(line(written), shown, "{written}");
        }
    }

    #[test]
    fn a_secret_value_is_not_quoted() {
        assert_eq!(shown("master_key", "hunter2"), "***");
        assert_eq!(shown("master_key", "os.environ/KEY"), "os.environ/KEY");
        assert_eq!(shown("model", "gpt-4o"), "gpt-4o");
    }
}
