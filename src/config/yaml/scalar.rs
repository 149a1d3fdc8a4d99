//! A single YAML value: the text as written, as expanded, and the type that a plain text has.

/// A text; `plain` ones (without quotes) may be a number, a boolean or nothing.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    written: Box<str>,
    /// After variables were replaced; `None` if there were none. May be secret.
    expanded: Option<Box<str>>,
    plain: bool,
    /// A variable in it could not be replaced; that has been reported, and from then on nothing
    /// is written here.
    unresolved: bool,
}

/// What a scalar says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Typed {
    Null,
    Bool(bool),
    /// A number that JSON could say as it is written, or after tidying.
    Number(f64),
    Text,
}

impl Scalar {
    pub(crate) fn new(written: &str, plain: bool) -> Self {
        Self { written: written.into(), expanded: None, plain, unresolved: false }
    }

    /// As it stands in the file.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    /// With variables replaced.
    pub(crate) fn text(&self) -> &str {
        self.expanded.as_deref().unwrap_or(&self.written)
    }

    pub(crate) fn is_expanded(&self) -> bool {
        self.expanded.is_some()
    }

    pub(crate) fn expand(&mut self, text: String) {
        self.expanded = Some(text.into());
    }

    pub(crate) fn give_up(&mut self) {
        self.unresolved = true;
    }

    pub(crate) fn is_unresolved(&self) -> bool {
        self.unresolved
    }

    /// The type, by the rules of PyYAML's YAML 1.1 where they differ from 1.2 and files rely on it
    /// (`yes`, `on`); a date stays a text (`api_version: 2024-10-21`).
    pub(crate) fn typed(&self) -> Typed {
        let text = self.text();
        if self.unresolved || (text.is_empty() && (self.plain || self.is_expanded())) {
            return Typed::Null;
        }
        if !self.plain {
            return Typed::Text;
        }
        match text {
            "~" | "null" | "Null" | "NULL" => Typed::Null,
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
                Typed::Bool(true)
            }
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
                Typed::Bool(false)
            }
            _ => number(text).map_or(Typed::Text, Typed::Number),
        }
    }

    /// The number that the text says, quoted or not: `rpm: "100"` is meant as a number.
    pub(crate) fn number(&self) -> Option<f64> {
        if self.unresolved {
            return None;
        }
        number(self.text().trim())
    }

    pub(super) fn write_json(&self, out: &mut String) {
        match self.typed() {
            Typed::Null => out.push_str("null"),
            Typed::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Typed::Number(value) => match json_number(self.text(), value) {
                Some(number) => out.push_str(&number),
                None => write_json_string(self.text(), out),
            },
            Typed::Text => write_json_string(self.text(), out),
        }
    }
}

/// `1_000`, `-3`, `0.5`, `1e-6`, `0x1F`, `0o17`, `.inf`.
fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let radix = [("0x", 16), ("0o", 8)];
    let digits = radix.iter().find_map(|(mark, radix)| Some((unsigned.strip_prefix(mark)?, radix)));
    if let Some((digits, radix)) = digits {
        return u32::from_str_radix(digits, *radix).ok().map(f64::from);
    }
    // Without this check `inf`, `nan` and `infinity` would be numbers to Rust.
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// The number in JSON's spelling, digit for digit where that is possible.
fn json_number(text: &str, value: f64) -> Option<String> {
    let tidy = text.replace('_', "");
    if serde_json::from_str::<serde_json::Number>(&tidy).is_ok() {
        return Some(tidy);
    }
    let number = serde_json::Number::from_f64(value)?;
    let whole = value.fract() == 0.0 && value.abs() < 1e15;
    Some(if whole { format!("{value:.0}") } else { number.to_string() })
}

pub(super) fn write_json_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
