//! A form as a provider gets it: the parts that stay, and the fields that change.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Form, Part};
use crate::dialect::Endpoint;
use crate::wire::RequestOptions;
use crate::wire::request::is_own;

impl Form {
    /// The pieces of the body for a provider, with the boundary that the client chose.
    ///
    /// The gateway's own fields go, `model` becomes the provider's, parameters of the deployment
    /// come where the client sent none, and those of a fallback replace the client's.
    #[must_use]
    pub fn write(&self, options: &RequestOptions<'_>) -> Vec<Bytes> {
        let mut draft = Draft { form: self, pieces: Vec::new(), kept: 0..0 };
        let replaces = |name: &str| options.overrides.iter().any(|(other, _)| **other == *name);
        for part in &self.parts {
            let name = &*part.name;
            let goes = is_own(name)
                || options.drop.iter().any(|dropped| **dropped == *name)
                || replaces(name)
                || (name == "metadata" && !options.endpoint.is_stored());
            match name {
                "model" => {}
                _ if goes => {}
                _ => draft.keep(part),
            }
        }
        // Files belong to no model.
        if let Some(model) = options.model.filter(|_| options.endpoint != Endpoint::Files) {
            draft.field("model", model);
        }
        for (name, value) in options.defaults {
            if !options.endpoint.is_stored() && !self.contains(name) && !replaces(name) {
                draft.value(name, value);
            }
        }
        for (name, value) in options.overrides {
            draft.value(name, value);
        }
        draft.end()
    }

    /// The content type of what is written.
    #[must_use]
    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary=\"{}\"", self.boundary)
    }

    /// The same form with another content of the file under this name.
    #[must_use]
    pub fn with_file(&self, name: &str, change: impl FnOnce(&Bytes) -> Option<Bytes>) -> Self {
        let Some(at) = self.parts.iter().position(|part| part.is_file && *part.name == *name)
        else {
            return self.clone();
        };
        let content = self.parts[at].content.clone();
        let Some(changed) = change(&self.bytes.slice(content.clone())) else {
            return self.clone();
        };
        let bytes = [&self.bytes[..content.start], &changed, &self.bytes[content.end..]].concat();
        // Every part behind it is found again; the boundary was announced and is still good,
        // because what changed is JSON without line ends of its own.
        Self::parse(&self.boundary, bytes.into()).unwrap_or_else(|_| self.clone())
    }
}

struct Draft<'a> {
    form: &'a Form,
    pieces: Vec<Bytes>,
    /// Parts that stay, next to each other: they leave as one slice.
    kept: Range<usize>,
}

impl Draft<'_> {
    fn keep(&mut self, part: &Part) {
        if self.kept.end != part.whole.start || self.kept.is_empty() {
            self.flush();
            self.kept = part.whole.clone();
        }
        self.kept.end = part.whole.end;
    }

    fn flush(&mut self) {
        if !self.kept.is_empty() {
            self.pieces.push(self.form.bytes.slice(self.kept.clone()));
        }
        self.kept = 0..0;
    }

    /// A parameter that is written as JSON; lists become several fields.
    fn value(&mut self, name: &str, value: &RawValue) {
        match serde_json::from_str(value.get()) {
            Ok(Value::String(text)) => self.field(name, &text),
            Ok(Value::Array(list)) => {
                for one in list {
                    let text = one.as_str().map_or_else(|| one.to_string(), str::to_owned);
                    self.field(&format!("{name}[]"), &text);
                }
            }
            Ok(Value::Object(fields)) if name == "extra_body" => {
                for (name, value) in fields {
                    if !self.form.contains(&name) {
                        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        self.field(&name, &text);
                    }
                }
            }
            Ok(Value::Null) | Err(_) => {}
            Ok(value) => self.field(name, &value.to_string()),
        }
    }

    fn field(&mut self, name: &str, value: &str) {
        self.flush();
        let name = name.replace('"', "%22").replace(['\r', '\n'], " ");
        let boundary = &self.form.boundary;
        let part = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        self.pieces.push(part.into());
    }

    fn end(mut self) -> Vec<Bytes> {
        self.flush();
        self.pieces.push(format!("--{}--\r\n", self.form.boundary).into());
        self.pieces
    }
}
