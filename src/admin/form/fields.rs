//! Single fields, each read as what it is: a name, a number, a sum of money, a list.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Form, Given, wrong};
use crate::admin::fault::Fault;
use crate::spend::Period;

/// 2^53.
const COUNT_MAX: f64 = 9_007_199_254_740_992.0;
/// The ledger counts in pico-dollars, of which 63 bits hold some nine million dollars.
const SPENT_MAX: f64 = 1_000_000.0;
/// Longer ids and aliases do not fit the indexes of a database.
const NAME_CHARS_MAX: usize = 500;

impl Form {
    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Given<T>, Fault> {
        match self.fields.get(name) {
            None => Ok(Given::Absent),
            Some(Value::Null) => Ok(Given::Null),
            Some(value) => read(value).map(Given::Value).ok_or_else(|| wrong(name, expected)),
        }
    }

    pub(in crate::admin) fn text(&self, name: &str) -> Result<Given<String>, Fault> {
        let given = self.read(name, "a text", |value| value.as_str().map(str::to_owned))?;
        if let Given::Value(text) = &given {
            check_text(name, text)?;
        }
        Ok(given)
    }

    /// A text that names something: an empty one names nothing.
    pub(in crate::admin) fn name(&self, name: &str) -> Result<Given<String>, Fault> {
        Ok(match self.text(name)? {
            Given::Value(text) if text.is_empty() => Given::Null,
            Given::Value(text) if text.chars().count() > NAME_CHARS_MAX => {
                let message = format!("{name} is longer than {NAME_CHARS_MAX} characters");
                return Err(Fault::value(name, message));
            }
            given => given,
        })
    }

    /// A text that asks for something: an empty one asks for nothing.
    pub(in crate::admin) fn filled(&self, name: &str) -> Result<Option<String>, Fault> {
        Ok(self.text(name)?.value().filter(|text| !text.is_empty()))
    }

    /// A name that must be there.
    pub(in crate::admin) fn required(&self, name: &str) -> Result<String, Fault> {
        self.name(name)?.value().ok_or_else(|| missing(name))
    }

    pub(in crate::admin) fn flag(&self, name: &str) -> Result<Given<bool>, Fault> {
        self.read(name, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        })
    }

    /// A whole number that is not negative; one may write it as a text.
    pub(in crate::admin) fn count(&self, name: &str) -> Result<Given<u64>, Fault> {
        let number = self.number(name)?;
        let Given::Value(number) = number else {
            return Ok(if number == Given::Null { Given::Null } else { Given::Absent });
        };
        if number < 0.0 {
            return Err(Fault::value(name, format!("{name} cannot be negative")));
        }
        if number.fract() != 0.0 {
            return Err(wrong(name, "a whole number"));
        }
        // Beyond it a float does not know its neighbours; no limit is that high.
        if number > COUNT_MAX {
            return Err(Fault::value(name, format!("{name} cannot be beyond {COUNT_MAX}")));
        }
        Ok(Given::Value(number as u64))
    }

    /// A finite number; one may write it as a text.
    fn number(&self, name: &str) -> Result<Given<f64>, Fault> {
        self.read(name, "a number", |value| match value {
            Value::Number(number) => number.as_f64().filter(|number| number.is_finite()),
            Value::String(text) => {
                text.trim().parse().ok().filter(|number: &f64| number.is_finite())
            }
            _ => None,
        })
    }

    /// Whether a field is there and says nothing: forms send it so.
    fn is_blank(&self, name: &str) -> bool {
        matches!(self.fields.get(name), Some(Value::String(text)) if text.trim().is_empty())
    }

    /// US dollars; not negative.
    pub(in crate::admin) fn dollars(&self, name: &str) -> Result<Given<f64>, Fault> {
        if self.is_blank(name) {
            return Ok(Given::Null);
        }
        match self.number(name)? {
            Given::Value(dollars) if dollars < 0.0 => {
                Err(Fault::value(name, format!("{name} cannot be negative")))
            }
            given => Ok(given),
        }
    }

    /// What somebody has spent, in US dollars.
    pub(in crate::admin) fn spent(&self, name: &str) -> Result<Given<f64>, Fault> {
        match self.dollars(name)? {
            Given::Value(dollars) if dollars > SPENT_MAX => {
                Err(Fault::value(name, format!("{name} cannot be beyond {SPENT_MAX} dollars")))
            }
            given => Ok(given),
        }
    }

    /// A duration such as `30d`, as it is written.
    pub(in crate::admin) fn period(&self, name: &str) -> Result<Given<String>, Fault> {
        let given = self.name(name)?;
        if let Given::Value(text) = &given
            && let Err(error) = text.parse::<Period>()
        {
            return Err(Fault::value(name, format!("{name}: {error}")));
        }
        Ok(given)
    }

    /// A list of texts.
    pub(in crate::admin) fn texts(&self, name: &str) -> Result<Given<Vec<String>>, Fault> {
        let given = self.typed::<Vec<String>>(name, "a list of texts")?;
        if let Given::Value(texts) = &given {
            texts.iter().try_for_each(|text| check_text(name, text))?;
        }
        Ok(given)
    }

    /// A list of texts that must be there.
    pub(in crate::admin) fn required_texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        self.texts(name)?.value().ok_or_else(|| missing(name))
    }

    /// A list that must name somebody: of no one there is nothing to do.
    pub(in crate::admin) fn filled_texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        let texts = self.required_texts(name)?;
        match texts.is_empty() {
            true => Err(Fault::shape(name, format!("{name} is empty"))),
            false => Ok(texts),
        }
    }

    /// What a type of records reads; `expected` says so in words.
    pub(in crate::admin) fn typed<T: DeserializeOwned>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Given<T>, Fault> {
        self.read(name, expected, |value| serde_json::from_value(value.clone()).ok())
    }
}

/// PostgreSQL keeps no NUL in a text.
fn check_text(name: &str, text: &str) -> Result<(), Fault> {
    match text.contains('\0') {
        true => Err(Fault::value(name, format!("{name} cannot hold the character NUL"))),
        false => Ok(()),
    }
}

fn missing(name: &str) -> Fault {
    Fault::shape(name, format!("{name} is required"))
}
