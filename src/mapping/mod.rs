//! How an API of one's own is spoken: expressions that a configuration writes, compiled when it is
//! loaded.
//!
//! The language is that of Jinja expressions (`minijinja`): paths, filters, conditions, no side
//! effects. Every evaluation has a bound of steps. Knows nothing of files, HTTP or what the
//! expressions are for; `config` reads them, `wire::custom` evaluates them.

use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

/// Steps of one evaluation; more than any mapping of a long conversation takes.
const FUEL: u64 = 1_000_000;

static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut language = Environment::new();
    // What a reply lacks is no error: it is left out.
    language.set_undefined_behavior(UndefinedBehavior::Chainable);
    language.set_fuel(Some(FUEL));
    language
});

/// The names that an expression may use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scope(minijinja::Value);

impl Scope {
    /// Each name with the JSON text of its value; one that is no JSON is left out.
    pub fn of<'a>(names: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let value = |(name, json): (&str, &'a [u8])| {
            let value: minijinja::Value = serde_json::from_slice(json).ok()?;
            Some((name.to_owned(), value))
        };
        Self(minijinja::Value::from_pairs(names.into_iter().filter_map(value)))
    }
}

/// One compiled expression.
pub struct Expression {
    source: Box<str>,
    compiled: minijinja::Expression<'static, 'static>,
}

/// Why an expression cannot be used, or could not be evaluated. Holds no data of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}`: {reason}")]
pub struct Wrong {
    pub expression: Box<str>,
    pub reason: Box<str>,
}

impl Expression {
    /// Compiles `source`, as in `body.choices[0].text`.
    ///
    /// # Errors
    /// It is no expression.
    pub fn parse(source: &str) -> Result<Self, Wrong> {
        let compiled = LANGUAGE.compile_expression_owned(source.to_owned());
        let compiled = compiled.map_err(|error| wrong(source, &error))?;
        // Filters are looked up when they are reached. Without data most operations fail, which says
        // nothing; but a name that does not exist now will not exist later.
        if let Err(error) = compiled.eval(Scope::of([]).0)
            && matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest)
        {
            return Err(wrong(source, &error));
        }
        Ok(Self { source: source.into(), compiled })
    }

    /// The value of the expression, with the names of `scope`. `Null`: there is none.
    ///
    /// # Errors
    /// A filter was given what it cannot work on, or the evaluation took too many steps.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, Wrong> {
        let value =
            self.compiled.eval(scope.0.clone()).map_err(|error| wrong(&self.source, &error))?;
        if matches!(value.kind(), ValueKind::Undefined | ValueKind::None | ValueKind::Invalid) {
            return Ok(Value::Null);
        }
        serde_json::to_value(&value).map_err(|_| Wrong {
            expression: self.source.clone(),
            reason: "the value cannot be written as JSON".into(),
        })
    }
}

impl Expression {
    /// Whether the expression uses this name, or takes the whole `body` as it is.
    #[must_use]
    pub fn uses(&self, name: &str) -> bool {
        has_word(&self.source, name, |_| true)
            || has_word(&self.source, "body", |next| !matches!(next, Some(b'.' | b'[')))
    }
}

/// Whether a word stands in a text by itself. `follows` judges the byte behind it. The letter of an
/// escape (`\n`) is no word.
fn has_word(text: &str, word: &str, follows: impl Fn(Option<u8>) -> bool) -> bool {
    let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\\');
    memchr::memmem::find_iter(text.as_bytes(), word.as_bytes()).any(|at| {
        let (before, rest) = text.as_bytes().split_at(at);
        let next = rest.get(word.len()).copied();
        !before.last().is_some_and(of_word) && !next.as_ref().is_some_and(of_word) && follows(next)
    })
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

fn wrong(source: &str, error: &minijinja::Error) -> Wrong {
    let detail = error.detail().map_or_else(String::new, |detail| format!(": {detail}"));
    Wrong { expression: source.into(), reason: format!("{}{detail}", error.kind()).into() }
}

/// A tree whose texts may hold `{{ expression }}`.
#[derive(Debug)]
pub enum Template {
    /// Written as it is.
    Fixed(Value),
    /// A text that is one expression has its value, of whatever type; left out if that is nothing.
    Expression(Expression),
    List(Vec<Self>),
    Map(Vec<(Box<str>, Self)>),
}

impl Template {
    /// Compiles every text of a tree.
    ///
    /// # Errors
    /// The first text that holds no expression between its braces.
    pub fn parse(tree: &Value) -> Result<Self, Wrong> {
        Ok(match tree {
            Value::String(text) => match expression(text)? {
                Some(expression) => Self::Expression(expression),
                None => Self::Fixed(tree.clone()),
            },
            Value::Array(items) => {
                Self::List(items.iter().map(Self::parse).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| {
                    Ok((name.as_str().into(), Self::parse(value)?))
                };
                Self::Map(fields.iter().map(field).collect::<Result<_, _>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Fixed(tree.clone()),
        })
    }

    /// Whether any of its expressions uses this name (see [`Expression::uses`]).
    #[must_use]
    pub fn uses(&self, name: &str) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Expression(expression) => expression.uses(name),
            Self::List(items) => items.iter().any(|item| item.uses(name)),
            Self::Map(fields) => fields.iter().any(|(_, template)| template.uses(name)),
        }
    }

    /// The tree with its expressions evaluated. What has no value is left out.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, Wrong> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Expression(expression) => expression.evaluate(scope),
            Self::List(items) => {
                let items = items.iter().map(|item| item.evaluate(scope));
                let items = items.filter(|item| !matches!(item, Ok(Value::Null)));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Map(fields) => {
                let mut map = serde_json::Map::new();
                for (name, template) in fields {
                    match template.evaluate(scope)? {
                        Value::Null if !matches!(template, Self::Fixed(_)) => {}
                        value => {
                            map.insert(name.to_string(), value);
                        }
                    }
                }
                Ok(Value::Object(map))
            }
        }
    }
}

/// The expression that a text with `{{ }}` stands for; `None`: it holds none.
fn expression(text: &str) -> Result<Option<Expression>, Wrong> {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = text;
    let mut only = None;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}") else {
            return Err(Wrong { expression: text.into(), reason: "`{{` is not closed".into() });
        };
        if !before.is_empty() {
            parts.push(Value::from(before).to_string());
        }
        parts.push(format!("({inside})"));
        only = (before.is_empty() && behind.is_empty() && parts.len() == 1).then_some(inside);
        rest = behind;
    }
    if parts.is_empty() {
        return Ok(None);
    }
    if let Some(only) = only {
        return Expression::parse(only.trim()).map(Some);
    }
    if !rest.is_empty() {
        parts.push(Value::from(rest).to_string());
    }
    Expression::parse(&parts.join(" ~ ")).map(Some)
}

/// How an API is spoken that copies nobody's.
#[derive(Debug)]
pub struct Mapping {
    /// The body of a request; `None`: OpenAI's.
    pub request: Option<Template>,
    /// What a reply says; `None`: it is OpenAI's.
    pub response: Option<Response>,
    /// What an event of a stream says; `None`: it is OpenAI's chunk.
    pub stream: Option<Stream>,
    /// The message of an error's body.
    pub error: Option<Expression>,
}

/// Where the parts of an answer are. In a stream, what one event adds to them.
#[derive(Debug, Default)]
pub struct Response {
    pub text: Option<Expression>,
    pub reasoning: Option<Expression>,
    /// A list in OpenAI's form: `[{"id", "function": {"name", "arguments"}}]`.
    pub tool_calls: Option<Expression>,
    pub finish_reason: Option<Expression>,
    pub id: Option<Expression>,
    pub model: Option<Expression>,
    pub input_tokens: Option<Expression>,
    pub output_tokens: Option<Expression>,
    pub cached_tokens: Option<Expression>,
    pub reasoning_tokens: Option<Expression>,
    /// True, or a message, where the answer is an error.
    pub error: Option<Expression>,
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    pub framing: Framing,
    /// True for the event that ends it.
    pub done: Option<Expression>,
    pub event: Response,
}

/// How events are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Sse,
    /// A line of JSON each.
    Lines,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(template: Value, scope: &Value) -> Result<Value, String> {
        let template = Template::parse(&template).map_err(|wrong| wrong.to_string())?;
        let texts = scope.as_object().unwrap().iter();
        let texts: Vec<_> = texts.map(|(name, value)| (name, value.to_string())).collect();
        let names = texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
        template.evaluate(&Scope::of(names)).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn texts_with_braces_become_values() {
        let scope = json!({
            "model": "m", "n": 5, "on": true,
            "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
        });
        let template = json!({
            "fixed": "text", "null": null, "list": [1, "{{ n }}", "{{ nothing }}"],
            "model": "{{ model }}", "number": "{{ n + 1 }}", "flag": "{{ on }}",
            "mixed": "x-{{ model }}-{{ n }}!", "absent": "{{ a.b[3].c }}",
            "prompt": "{{ messages | map(attribute='content') | join('\n') }}",
            "messages": "{{ messages }}",
            "choice": "{{ 'yes' if on else 'no' }}",
            "quote": "\"{{ model }}\"",
        });
        let expected = json!({
            "fixed": "text", "null": null, "list": [1, 5],
            "model": "m", "number": 6, "flag": true, "mixed": "x-m-5!",
            "prompt": "a\nb", "messages": scope["messages"], "choice": "yes", "quote": "\"m\"",
        });
        assert_eq!(filled(template, &scope), Ok(expected));
    }

    #[test]
    fn what_is_no_expression_is_found_when_it_is_compiled() {
        for (text, reason) in [
            ("{{ model", "is not closed"),
            ("{{ model | nofilter }}", "unknown filter"),
            ("{{ model is notest }}", "unknown test"),
            ("{{ }}", "unexpected"),
            ("{{ a b }}", "unexpected"),
            ("a{{ ) }}b", "unexpected"),
        ] {
            let wrong = Template::parse(&json!([text])).unwrap_err().to_string();
            assert!(wrong.contains(reason), "{text}: {wrong}");
        }
    }

    #[test]
    fn the_names_that_a_template_uses_are_known() {
        let template = json!(["{{ messages | map(attribute='content') | join('\\n') }}", {"a": "{{ body.tools }}"}]);
        let template = Template::parse(&template).unwrap();
        for (name, used) in
            [("messages", true), ("content", true), ("tools", true), ("n", false), ("tool", false)]
        {
            assert_eq!(template.uses(name), used, "{name}");
        }
        for (whole, used) in
            [("{{ body }}", true), ("{{body|tojson}}", true), ("{{ body.a }}", false)]
        {
            assert_eq!(Template::parse(&json!(whole)).unwrap().uses("tools"), used, "{whole}");
        }
    }

    #[test]
    fn an_evaluation_without_end_is_ended() {
        let scope = json!({"list": (0..2000).collect::<Vec<_>>()});
        let heavy = "{{ range(9000) | map('string') | join | length * range(9000) | sum }}";
        let _bounded = filled(json!(heavy), &scope);
        let wrong = filled(json!("{{ 'a' + 1 }}"), &scope).unwrap_err();
        assert!(wrong.contains("invalid operation"), "{wrong}");
    }
}
