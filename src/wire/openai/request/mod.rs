//! A client's request, made into what the provider expects.
//!
//! Both speak the same format, so this is a list of edits: the gateway's own fields go, the
//! deployment's parameters come, and what a quirk concerns is respelled. All else is copied as the
//! client wrote it.

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{foreign, messages, mistral, params, reasoning};
use crate::dialect::Endpoint;
use crate::failure::{Failure, FailureClass};
use crate::wire::RequestOptions;
use crate::wire::json::{Edits, Object};
use crate::wire::request::is_own;

/// Writes the body for a provider of the OpenAI dialect.
///
/// # Errors
/// The request cannot be put into the provider's form (class `BadRequest`).
pub fn request(body: &Object, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let mut draft = Draft { body, edits: Edits::new() };
    draft.take_out_own_fields(options.endpoint);
    draft.fill_in(options);
    if options.quirks.max_tokens_only || options.quirks.mistral {
        draft.rename("max_completion_tokens", "max_tokens");
    }
    if options.endpoint == Endpoint::Chat {
        foreign::adapt(&mut draft, options);
        let reasons = reasoning::adapt(&mut draft, options);
        params::adapt(&mut draft, options, reasons)?;
        messages::adapt(&mut draft, options);
    }
    if options.quirks.mistral {
        mistral::respell(&mut draft, options)?;
    }
    if options.quirks.voyage && options.endpoint == Endpoint::Embeddings {
        respell_for_voyage(&mut draft);
    }
    draft.ask_for_stream(options);
    for path in options.drop {
        drop_path(body, &mut draft.edits, path)?;
    }
    match options.model {
        Some(model) => draft.edits.set("model", model),
        None => draft.edits.remove("model"),
    }
    Ok(body.edit(&draft.edits))
}

/// Vectors of numbers are what it gives unasked; it knows the word for base64 only.
fn respell_for_voyage(draft: &mut Draft<'_>) {
    draft.rename("dimensions", "output_dimension");
    draft.edits.remove("user");
    if draft.raw("encoding_format") != Some(b"\"base64\"") {
        draft.edits.remove("encoding_format");
    }
}

/// The client's body and what is to be changed in it.
pub(super) struct Draft<'a> {
    body: &'a Object,
    pub(super) edits: Edits<'a>,
}

impl<'a> Draft<'a> {
    /// The value of a field as it stands now.
    pub(super) fn raw(&self, name: &str) -> Option<&[u8]> {
        match self.edits.get(name) {
            Some(edited) => edited,
            None => self.body.raw_bytes(name),
        }
    }

    /// The same, to be kept.
    pub(super) fn slice(&self, name: &str) -> Option<Bytes> {
        match self.edits.get(name) {
            Some(edited) => edited.map(Bytes::copy_from_slice),
            None => self.body.slice(name),
        }
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|raw| raw != b"null")
    }

    /// Moves a value to another name, unless that one is taken.
    pub(super) fn rename(&mut self, from: &'a str, to: &'a str) {
        let Some(value) = self.slice(from) else { return };
        self.edits.remove(from);
        if value != b"null"[..] && !self.is_set(to) {
            self.edits.set_raw(to, value.to_vec());
        }
    }

    fn take_out_own_fields(&mut self, endpoint: Endpoint) {
        for name in self.body.names().filter(|name| is_own(name)) {
            self.edits.remove(name);
        }
        // Tags and the like for the gateway, unless it is OpenAI's: up to 16 pairs of strings.
        if self.body.contains("metadata")
            && !(endpoint == Endpoint::Chat && all_strings(self.body.raw_bytes("metadata")))
        {
            self.edits.remove("metadata");
        }
        // The official SDKs merge `extra_body` themselves; clients without one send it like this.
        for (name, value) in fields_of(self.body.slice("extra_body")) {
            if !is_own(&name) {
                self.edits.set_raw(name, value);
            }
        }
    }

    fn fill_in(&mut self, options: &RequestOptions<'a>) {
        for (name, value) in options.defaults {
            if **name == *"extra_body" {
                for (name, value) in fields_of(Some(raw_bytes(value))) {
                    if !self.is_set(&name) {
                        self.edits.set_raw(name, value);
                    }
                }
            } else if !self.is_set(name)
                && !sibling(name).is_some_and(|sibling| self.is_set(sibling))
                && (options.stream || **name != *"stream_options")
            {
                self.edits.set_raw(&**name, value.get().as_bytes());
            }
        }
        for (name, value) in options.overrides {
            if **name == *"extra_body" {
                for (name, value) in fields_of(Some(raw_bytes(value))) {
                    self.edits.set_raw(name, value);
                }
            } else {
                if let Some(sibling) = sibling(name) {
                    self.edits.remove(sibling);
                }
                self.edits.set_raw(&**name, value.get().as_bytes());
            }
        }
    }

    /// Takes out what the client sent as `null`.
    pub(super) fn remove_nulls(&mut self) {
        for name in self.body.names() {
            if self.raw(name) == Some(b"null") {
                self.edits.remove(name);
            }
        }
    }

    /// Asks for a stream, and for usage at its end: the gateway counts also for those who do not.
    fn ask_for_stream(&mut self, options: &RequestOptions<'a>) {
        if !matches!(options.endpoint, Endpoint::Chat | Endpoint::Completions) {
            return;
        }
        if !options.stream {
            if self.raw("stream") == Some(b"true") {
                self.edits.set("stream", &false);
            }
            return;
        }
        if self.raw("stream") != Some(b"true") {
            self.edits.set("stream", &true);
        }
        if options.quirks.never_asked_for_usage() {
            self.edits.remove("stream_options");
            return;
        }
        let asked = self
            .slice("stream_options")
            .and_then(|written| Object::parse(written).ok())
            .map(|written| {
                let mut edits = Edits::new();
                edits.set("include_usage", &true);
                written.edit(&edits)
            });
        match asked {
            Some(asked) => self.edits.set_raw("stream_options", asked.to_vec()),
            None => self.edits.set_raw("stream_options", &br#"{"include_usage":true}"#[..]),
        }
    }
}

/// Removes a field, or what a path like `tools[*].function.strict` leads to within one.
///
/// # Errors
/// What the path leads through is not JSON.
pub(in crate::wire) fn drop_path<'a>(
    body: &Object,
    edits: &mut Edits<'a>,
    path: &'a str,
) -> Result<(), Failure> {
    let Some((top, rest)) = split_path(path) else {
        edits.remove(path);
        return Ok(());
    };
    let raw = edits.get(top).unwrap_or_else(|| body.raw_bytes(top));
    let Some(raw) = raw else { return Ok(()) };
    let mut value: Value = serde_json::from_slice(raw).map_err(|_| {
        Failure::new(FailureClass::BadRequest, format!("`{top}` is not valid JSON"))
    })?;
    if remove_path(&mut value, rest) {
        edits.set(top, &value);
    }
    Ok(())
}

/// Two names of one parameter: a provider refuses to get both.
fn sibling(name: &str) -> Option<&'static str> {
    match name {
        "max_tokens" => Some("max_completion_tokens"),
        "max_completion_tokens" => Some("max_tokens"),
        _ => None,
    }
}

fn raw_bytes(value: &RawValue) -> Bytes {
    Bytes::copy_from_slice(value.get().as_bytes())
}

/// The fields of a value that is an object, copied.
fn fields_of(value: Option<Bytes>) -> Vec<(String, Vec<u8>)> {
    let object = value.and_then(|value| Object::parse(value).ok());
    let fields = object.iter().flat_map(Object::iter);
    fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect()
}

fn all_strings(object: Option<&[u8]>) -> bool {
    let Some(Ok(Value::Object(pairs))) = object.map(serde_json::from_slice) else {
        return false;
    };
    !pairs.is_empty() && pairs.values().all(Value::is_string)
}

/// Splits a path behind its first name; `None` if there is nothing behind it.
fn split_path(path: &str) -> Option<(&str, &str)> {
    let at = path.find(['.', '['])?;
    let (top, rest) = path.split_at(at);
    Some((top, rest.strip_prefix('.').unwrap_or(rest)))
}

/// True if something was there to remove.
fn remove_path(value: &mut Value, path: &str) -> bool {
    if let Some((index, rest)) = path.strip_prefix('[').and_then(|path| path.split_once(']')) {
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        let Some(list) = value.as_array_mut().filter(|_| !rest.is_empty()) else {
            return false;
        };
        if index == "*" {
            return list.iter_mut().fold(false, |any, item| remove_path(item, rest) | any);
        }
        let item = index.parse().ok().and_then(|index: usize| list.get_mut(index));
        return item.is_some_and(|item| remove_path(item, rest));
    }
    match split_path(path) {
        None => value.as_object_mut().is_some_and(|object| object.remove(path).is_some()),
        Some((name, rest)) => value.get_mut(name).is_some_and(|inner| remove_path(inner, rest)),
    }
}

#[cfg(test)]
mod tests;
