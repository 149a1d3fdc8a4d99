//! Texts for Slack: what comes from elsewhere is escaped, and no text is longer than people read.

use std::time::Duration;

/// Slack shows so much of a text whole.
const TEXT_MAX: usize = 3_500;
/// Characters of a name, an address, an id.
const NAME_MAX: usize = 200;

/// How bad it is, in LiteLLM's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gravity {
    Low,
    Medium,
    High,
}

impl Gravity {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
}

/// A text as Slack takes it: without its own marks.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '`' => out.push('\''),
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out
}

/// What others named, between backticks and cut.
pub(super) fn code(text: &str) -> String {
    let short = text.char_indices().nth(NAME_MAX).and_then(|(end, _)| text.get(..end));
    match short {
        Some(short) => format!("`{}…`", escaped(short)),
        None => format!("`{}`", escaped(text)),
    }
}

/// A text that is not too long, and does not end within an entity.
pub(super) fn cut(mut text: String) -> String {
    if text.len() <= TEXT_MAX {
        return text;
    }
    let mut end = TEXT_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    let is_open = |at: &usize| end - at < 6 && text.get(*at..).is_some_and(|it| !it.contains(';'));
    let entity = text.rfind('&').filter(is_open);
    if let Some(at) = entity {
        text.truncate(at);
    }
    text.push('…');
    text
}

/// `12 s`, `3 min`, `12 h`, `7 days`: in the largest unit that is whole, or in tenths of a second.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 if time.subsec_millis() >= 100 => format!("{:.1} s", time.as_secs_f64()),
        _ if seconds >= 86_400 && seconds.is_multiple_of(86_400) => match seconds / 86_400 {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        },
        _ if seconds >= 3_600 && seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ if seconds >= 60 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// `1,234,567`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `$1,234.56`; what is less than a dollar has four places.
pub(super) fn dollars(pico: u64) -> String {
    let dollars = pico as f64 / 1e12;
    if dollars >= 1.0 {
        let cents = (dollars * 100.0).round() as u64;
        return format!("${}.{:02}", number(cents / 100), cents % 100);
    }
    format!("${dollars:.4}")
}

/// Adds a line `*Name:* value`.
pub(super) fn line(text: &mut String, name: &str, value: &str) {
    for part in ["\n*", name, ":* ", value] {
        text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_named_cannot_speak_slacks_language() {
        assert_eq!(escaped("<!channel> & `x`\n"), "&lt;!channel&gt; &amp; 'x' ");
        assert_eq!(code("gpt"), "`gpt`");
        let long = code(&"ä".repeat(NAME_MAX + 1));
        assert_eq!(long.chars().count(), NAME_MAX + 3);
    }

    #[test]
    fn texts_are_cut_where_nothing_breaks() {
        assert_eq!(cut("short".into()), "short");
        let long = format!("{}&amp; more", "x".repeat(TEXT_MAX - 2));
        let short = cut(long);
        assert!(short.ends_with("x…"), "{short}");
        assert!(cut("ä".repeat(TEXT_MAX)).len() <= TEXT_MAX + '…'.len_utf8());
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!((number(7), number(1234), number(1_234_567)), {
            ("7".into(), "1,234".into(), "1,234,567".into())
        });
        let pico = |dollars: f64| (dollars * 1e12) as u64;
        assert_eq!(dollars(pico(1234.567)), "$1,234.57");
        assert_eq!(dollars(pico(0.00123)), "$0.0012");
        let all = [1.5, 60.0, 61.0, 43_200.0, 86_400.0, 604_800.0];
        let all = all.map(|seconds| span(Duration::from_secs_f64(seconds)));
        assert_eq!(all, ["1.5 s", "1 min", "61 s", "12 h", "1 day", "7 days"]);
    }
}
