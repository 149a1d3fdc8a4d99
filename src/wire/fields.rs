//! The top-level parameters of a request after defaults, fallback parameters and drops.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use crate::failure::{Failure, FailureClass};
use crate::wire::RequestOptions;
use crate::wire::json::Object;

/// A string that borrows from the JSON text where it is written without escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Writes names and values as a map, each as often as it is there.
pub(crate) fn as_map<S: Serializer>(
    pairs: &[(impl Serialize, impl Serialize)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// What is to be translated. `null` counts as not sent.
#[derive(Debug)]
pub struct Fields<'a> {
    list: Vec<(&'a str, &'a str)>,
    /// Names of those that only the deployment gives.
    defaults: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// The client's parameters, the fallback's over them, the deployment's where both are silent.
    pub fn gather(request: &'a Object, options: &RequestOptions<'a>) -> Self {
        let mut fields: Vec<(&str, &str)> = request.iter().collect();
        for (name, value) in options.overrides {
            fields.retain(|(known, _)| *known != &**name);
            fields.push((name, value.get()));
        }
        let mut defaults: Vec<&str> = Vec::new();
        for (name, value) in options.defaults {
            let sent = fields.iter().any(|(known, raw)| same(known, name) && *raw != "null");
            if !sent {
                fields.push((name, value.get()));
                defaults.push(name);
            }
        }
        fields.retain(|(name, raw)| {
            *raw != "null" && !options.drop.iter().any(|dropped| &**dropped == *name)
        });
        Self { list: fields, defaults }
    }

    /// Whether a parameter is the deployment's: neither the client nor a fallback asks for it.
    pub fn is_default(&self, name: &str) -> bool {
        self.defaults.contains(&name)
    }

    /// The JSON text of a parameter.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.list.iter().find(|(known, _)| *known == name).map(|(_, raw)| *raw)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.list.iter().copied()
    }

    /// A parameter as the type it has to be.
    ///
    /// # Errors
    /// It is something else: the client is told which parameter and what was expected.
    pub fn read<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, Failure> {
        self.raw(name).map(|raw| read(name, raw)).transpose()
    }

    /// A parameter that is passed on as it is.
    pub fn pass(&self, name: &str) -> Result<Option<&'a RawValue>, Failure> {
        self.read(name)
    }
}

/// Two spellings of one parameter.
fn same(sent: &str, default: &str) -> bool {
    const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];
    sent == default || (LIMITS.contains(&sent) && LIMITS.contains(&default))
}

/// Reads JSON text that stands at `param` in the request.
///
/// # Errors
/// It is something else: the client is told which field it is and what was expected there.
pub fn read<'a, T: Deserialize<'a>>(param: &str, raw: &'a str) -> Result<T, Failure> {
    serde_json::from_str(raw).map_err(|error| misfit::<T>(param, raw, &error.to_string()))
}

/// The body of a request for a provider; `near` bytes is about how long the client's was.
///
/// # Errors
/// [`FailureClass::BadRequest`]: it cannot be written as JSON.
pub fn written(body: &impl Serialize, near: usize) -> Result<Bytes, Failure> {
    let mut bytes = Vec::with_capacity(near + 512);
    match serde_json::to_writer(&mut bytes, body) {
        Ok(()) => Ok(bytes.into()),
        Err(_) => Err(Failure::new(
            FailureClass::BadRequest,
            "the request cannot be said to this provider",
        )),
    }
}

/// `param` is not of the type that it has to be.
pub fn mistyped(param: &str, expected: &str, raw: &str) -> Failure {
    let got = serde_json::from_str(raw).map_or("something else", |value| type_of(&value));
    let message =
        format!("Invalid type for '{param}': expected {expected}, but got {got} instead.");
    refusal(param, "invalid_type", message)
}

/// `param` has to be there and is not.
pub fn missing(param: &str) -> Failure {
    let message = format!("Missing required parameter: '{param}'.");
    refusal(param, "missing_required_parameter", message)
}

/// Why a text could not be read as `T`, in the words of OpenAI's own errors. `text` is the
/// library's reason, which is looked at but not shown. The text is read a second time to learn
/// where in it the reason stands.
fn misfit<'a, T: Deserialize<'a>>(param: &str, raw: &'a str, text: &str) -> Failure {
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    let mut place = param.to_owned();
    let mut found = serde_json::from_str::<Value>(raw).ok();
    if let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        for segment in error.path() {
            match segment {
                Segment::Seq { index } => {
                    place.push_str(&format!("[{index}]"));
                    found = found.and_then(|value| value.get(*index).cloned());
                }
                Segment::Map { key } => {
                    place.push_str(&format!(".{key}"));
                    found = found.and_then(|value| value.get(key).cloned());
                }
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
    }
    let named = |start: &str| text.strip_prefix(start)?.split('`').next();
    if let Some(field) = named("missing field `") {
        return missing(&format!("{place}.{field}"));
    }
    if let Some(field) = named("duplicate field `") {
        let place = format!("{place}.{field}");
        return refusal(&place, "invalid_value", format!("'{place}' is written twice."));
    }
    if text.contains("surrogate") || text.contains("hex escape") {
        let message = format!(
            "Invalid value for '{place}': an escape in it (\\uD800 to \\uDFFF) is half of a surrogate \
             pair, which is no text."
        );
        return refusal(&place, "invalid_value", message);
    }
    let got = found.as_ref().map(type_of);
    match (expected(text), got) {
        (Some(expected), Some(got)) if expected != got => refusal(
            &place,
            "invalid_type",
            format!("Invalid type for '{place}': expected {expected}, but got {got} instead."),
        ),
        _ => refusal(&place, "invalid_value", format!("Invalid value for '{place}'.")),
    }
}

/// The type that the library's reason asks for, in the words of JSON.
fn expected(text: &str) -> Option<&'static str> {
    let (_, wanted) = text.split_once(", expected ")?;
    let wanted = wanted.split(" at line ").next().unwrap_or_default();
    Some(match wanted {
        "a sequence" => "an array",
        "a map" => "an object",
        "a boolean" => "a boolean",
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => "an integer",
        wanted if wanted.starts_with("struct ") => "an object",
        wanted if wanted.ends_with("string") => "a string",
        _ => return None,
    })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The request is wrong at `param`.
pub fn invalid(param: &str, message: impl Into<String>) -> Failure {
    refusal(param, "invalid_value", message.into())
}

/// The models of `provider` have nothing that does what `param` asks for.
pub fn unsupported(provider: &str, param: &str) -> Failure {
    let message = format!(
        "`{param}` is not supported by {provider} models; leave it out, or set `drop_params` to \
         have it dropped"
    );
    refusal(param, "unsupported_parameter", message)
}

/// As [`unsupported`], where other values are taken. `value` is JSON.
pub fn unsupported_value(provider: &str, param: &str, value: &str) -> Failure {
    const SHOWN: usize = 40;
    let value = if value.len() > SHOWN { "this value" } else { value };
    let message = format!(
        "`{param}` does not support {value} with {provider} models; change it or leave it out, or set \
         `drop_params` to have it dropped"
    );
    refusal(param, "unsupported_value", message)
}

/// As [`unsupported`], where dropping the parameter is not offered.
pub fn impossible(param: &str, message: impl Into<String>) -> Failure {
    refusal(param, "unsupported_value", message.into())
}

fn refusal(param: &str, code: &str, message: String) -> Failure {
    Failure {
        kind: Some("invalid_request_error".into()),
        code: Some(code.into()),
        param: Some(param.into()),
        ..Failure::new(FailureClass::BadRequest, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read to see how reading fails")]
    struct Everything<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        #[serde(borrow)]
        raw: Option<&'a RawValue>,
        flag: Option<bool>,
        count: Option<u32>,
        share: Option<f64>,
        #[serde(borrow)]
        list: Option<Vec<Text<'a>>>,
        map: Option<serde_json::Map<String, Value>>,
        #[serde(borrow)]
        inner: Option<Box<Self>>,
    }

    #[test]
    fn what_does_not_fit_is_told_in_openais_words() {
        for (raw, param, code, message) in [
            ("5", "p", "invalid_type", "expected an object, but got an integer instead"),
            ("\"x\"", "p", "invalid_type", "expected an object, but got a string instead"),
            ("{}", "p.text", "missing_required_parameter", "parameter: 'p.text'."),
            (r#"{"text":1}"#, "p.text", "invalid_type", "expected a string, but got an integer"),
            (r#"{"text":null}"#, "p.text", "invalid_type", "expected a string, but got null"),
            (r#"{"text":"","text":""}"#, "p.text", "invalid_value", "'p.text' is written twice"),
            (r#"{"text":"","flag":"x"}"#, "p.flag", "invalid_type", "a boolean, but got a string"),
            (r#"{"text":"","count":1.5}"#, "p.count", "invalid_type", "integer, but got a number"),
            (r#"{"text":"","count":-1}"#, "p.count", "invalid_value", "Invalid value"),
            (r#"{"text":"","share":[]}"#, "p.share", "invalid_type", "a number, but got an array"),
            (r#"{"text":"","map":[]}"#, "p.map", "invalid_type", "an object, but got an array"),
            (r#"{"text":"","list":{}}"#, "p.list", "invalid_type", "an array, but got an object"),
            (r#"{"text":"","list":["",true]}"#, "p.list[1]", "invalid_type", "got a boolean"),
            (r#"{"text":"","inner":{"text":{}}}"#, "p.inner.text", "invalid_type", "an object"),
            (r#"{"text":"\ud800"}"#, "p.text", "invalid_value", "half of a surrogate pair"),
        ] {
            let failure = read::<Everything<'_>>("p", raw).expect_err(raw);
            let shown = (failure.param.as_deref(), failure.code.as_deref());
            assert_eq!(shown, (Some(param), Some(code)), "{raw}: {}", failure.message);
            assert!(failure.message.contains(message), "{raw}: {}", failure.message);
            assert!(!failure.message.contains('`'), "{raw}: {}", failure.message);
        }
    }
}
