//! What a request says of the cache: LiteLLM's `cache` object, HTTP's `Cache-Control`, and what is
//! written for its key.

use std::time::Duration;

use serde_json::Value;

use super::Settings;

/// The longest namespace; it stands in a header.
const NAMESPACE_MAX: usize = 128;
/// The longest lifetime: a year.
const SECONDS_MAX: f64 = 31_536_000.0;

/// How a request is to be treated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// It is not answered from the cache.
    pub no_cache: bool,
    /// Its reply is not kept.
    pub no_store: bool,
    /// It asks for the cache where that has to be asked for.
    pub use_cache: bool,
    /// How long its reply is kept.
    pub ttl: Option<Duration>,
    /// The oldest reply that it takes.
    pub max_age: Option<Duration>,
    pub namespace: Option<Box<str>>,
}

/// A control that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadControl {
    #[error("`cache` must be an object, for example {{\"no-cache\": true}}.")]
    Shape,
    #[error("`cache.{0}` must be true or false.")]
    Flag(&'static str),
    #[error("`cache.{0}` must be a number of seconds from zero on.")]
    Seconds(&'static str),
    #[error("`cache.namespace` must be a text of at most 128 letters, digits and signs.")]
    Namespace,
}

impl Control {
    /// Takes what a `cache` object says; what it does not say stays as it is, and unknown names are
    /// nobody's business.
    ///
    /// # Errors
    /// [`BadControl`].
    pub fn take(&mut self, written: &Value) -> Result<(), BadControl> {
        let fields = match written {
            Value::Null => return Ok(()),
            Value::Object(fields) => fields,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(BadControl::Shape);
            }
        };
        let flag = |name: &'static str, into: &mut bool| match fields.get(name) {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Bool(value)) => {
                *into = *value;
                Ok(())
            }
            Some(_) => Err(BadControl::Flag(name)),
        };
        flag("no-cache", &mut self.no_cache)?;
        flag("no-store", &mut self.no_store)?;
        flag("use-cache", &mut self.use_cache)?;
        let time = |name: &'static str, into: &mut Option<Duration>| {
            let Some(value) = fields.get(name).filter(|value| !value.is_null()) else {
                return Ok(());
            };
            let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
            *into = Some(number.and_then(seconds).ok_or(BadControl::Seconds(name))?);
            Ok(())
        };
        time("ttl", &mut self.ttl)?;
        time("s-maxage", &mut self.max_age)?;
        time("s-max-age", &mut self.max_age)?;
        match fields.get("namespace") {
            None | Some(Value::Null) => {}
            Some(Value::String(namespace)) if fits(namespace) => {
                self.namespace = Some(namespace.as_str().into());
            }
            Some(_) => return Err(BadControl::Namespace),
        }
        Ok(())
    }

    /// Takes what a `Cache-Control` of HTTP says. What is not understood says nothing, as HTTP has it.
    pub fn take_header(&mut self, written: &str) {
        for directive in written.split(',').map(str::trim) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let age = || value.trim().trim_matches('"').parse().ok().and_then(seconds);
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" => self.no_cache = true,
                "no-store" => self.no_store = true,
                "max-age" | "s-maxage" => self.max_age = age().or(self.max_age),
                _ => {}
            }
        }
    }

    /// Whether the request may be answered from the cache.
    #[must_use]
    pub fn reads(&self, settings: &Settings) -> bool {
        self.is_wanted(settings) && !self.no_cache
    }

    /// Whether its reply may be kept.
    #[must_use]
    pub fn keeps(&self, settings: &Settings) -> bool {
        let is_kept = self.ttl.is_none_or(|ttl| !ttl.is_zero());
        self.is_wanted(settings) && !self.no_store && is_kept
    }

    const fn is_wanted(&self, settings: &Settings) -> bool {
        !settings.only_on_request || self.use_cache
    }
}

fn seconds(seconds: f64) -> Option<Duration> {
    let is_time = seconds.is_finite() && seconds >= 0.0;
    is_time.then(|| Duration::from_secs_f64(seconds.min(SECONDS_MAX)))
}

/// Whether it can stand in the name of an entry, and that in a header.
fn fits(namespace: &str) -> bool {
    !namespace.is_empty()
        && namespace.len() <= NAMESPACE_MAX
        && namespace.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(written: &Value) -> Result<Control, BadControl> {
        let mut control = Control::default();
        control.take(written).map(|()| control)
    }

    #[test]
    fn litellms_words_are_understood() {
        let all = json!({"no-cache": true, "no-store": false, "use-cache": true, "ttl": 5,
            "s-maxage": "1.5", "namespace": "team-a", "other": 1});
        let control = taken(&all).unwrap();
        let expected = Control {
            no_cache: true,
            use_cache: true,
            ttl: Some(Duration::from_secs(5)),
            max_age: Some(Duration::from_millis(1_500)),
            namespace: Some("team-a".into()),
            ..Control::default()
        };
        assert_eq!(control, expected);
        assert_eq!(taken(&json!(null)), Ok(Control::default()));
        assert_eq!(taken(&json!({"ttl": null, "no-cache": null})), Ok(Control::default()));
    }

    #[test]
    fn what_means_nothing_is_refused_by_its_name() {
        for (written, problem) in [
            (json!(true), BadControl::Shape),
            (json!({"no-cache": "yes"}), BadControl::Flag("no-cache")),
            (json!({"ttl": -1}), BadControl::Seconds("ttl")),
            (json!({"ttl": "soon"}), BadControl::Seconds("ttl")),
            (json!({"s-maxage": []}), BadControl::Seconds("s-maxage")),
            (json!({"namespace": "a b"}), BadControl::Namespace),
            (json!({"namespace": ""}), BadControl::Namespace),
            (json!({"namespace": 1}), BadControl::Namespace),
        ] {
            assert_eq!(taken(&written), Err(problem), "{written}");
        }
    }

    #[test]
    fn http_says_the_same() {
        let mut control = Control::default();
        control.take_header("No-Cache, max-age=60, x=y, s-maxage=\"9\"");
        assert!(control.no_cache && !control.no_store);
        assert_eq!(control.max_age, Some(Duration::from_secs(9)));
        control.take_header("no-store, max-age=x");
        assert!(control.no_store);
        assert_eq!(control.max_age, Some(Duration::from_secs(9)));
    }

    #[test]
    fn a_cache_that_is_off_by_default_has_to_be_asked_for() {
        let on = Settings::default();
        let off = Settings { only_on_request: true, ..Settings::default() };
        let plain = Control::default();
        let asking = Control { use_cache: true, ..Control::default() };
        assert!(plain.reads(&on) && plain.keeps(&on));
        assert!(!plain.reads(&off) && !plain.keeps(&off));
        assert!(asking.reads(&off) && asking.keeps(&off));
        let fresh = Control { no_cache: true, ..Control::default() };
        assert!(!fresh.reads(&on) && fresh.keeps(&on));
        let secret = Control { no_store: true, ..Control::default() };
        assert!(secret.reads(&on) && !secret.keeps(&on));
        let brief = Control { ttl: Some(Duration::ZERO), ..Control::default() };
        assert!(!brief.keeps(&on));
    }
}
