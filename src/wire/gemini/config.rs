//! `generationConfig`: sampling, bounds, the form of the answer, thinking.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::PROVIDER;
use super::models::Capabilities;
use super::thinking;
use super::tools::fitted;
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::asked::fitting_limit;
use crate::wire::chat::{Format, Raw};
use crate::wire::fields::{Fields, Text, impossible, invalid, read};
use crate::wire::json::Object;

/// Parameters of OpenAI's that have only another name here.
const RENAMED: [(&str, &str); 7] = [
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("n", "candidateCount"),
    ("seed", "seed"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
];

/// Fields of Google's own that stand here, and that clients write at the top of a request.
const OWN: [&str; 17] = [
    "topK",
    "topP",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "responseLogprobs",
    "thinkingConfig",
    "mediaResolution",
    "speechConfig",
    "imageConfig",
    "audioTimestamp",
    "routingConfig",
    "enableAffectiveDialog",
];

/// Whether a parameter of this name, in Google's spelling or in Python's, stands here.
pub(super) fn is_own(name: &str) -> bool {
    OWN.contains(&&*camel(name))
}

/// `thinking_config` as `thinkingConfig`.
pub(super) fn camel(name: &str) -> Cow<'_, str> {
    if !name.contains('_') {
        return Cow::Borrowed(name);
    }
    let mut written = String::with_capacity(name.len());
    for (at, word) in name.split('_').enumerate() {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if at > 0 => written.extend(first.to_uppercase().chain(letters)),
            _ => written.push_str(word),
        }
    }
    Cow::Owned(written)
}

/// The fields in their order; of one name the last counts.
#[derive(Debug, Default)]
pub(super) struct GenerationConfig<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl Serialize for GenerationConfig<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'a> GenerationConfig<'a> {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn put(&mut self, name: impl Into<Cow<'a, str>>, value: Cow<'a, RawValue>) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn set(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        if let Ok(value) = to_raw_value(value) {
            self.put(name, Cow::Owned(value));
        }
    }

    /// Reads what the request says. `functions`: the model may call functions.
    pub(super) fn of(
        fields: &Fields<'a>,
        options: &RequestOptions<'a>,
        model: &Capabilities,
        functions: bool,
    ) -> Result<Self, Failure> {
        let mut config = Self::default();
        for (name, own) in RENAMED {
            let raw = fields.read::<Raw<'a>>(name)?;
            let Some(raw) = raw.filter(|raw| !asks_nothing(name, raw.get())) else { continue };
            if raw.get().parse::<f64>().is_err() {
                return Err(invalid(name, format!("`{name}`: {raw} is not a number")));
            }
            config.put(own, Cow::Borrowed(raw));
        }
        if let Some(limit) = fitting_limit(fields, options)? {
            config.set("maxOutputTokens", &limit);
        }
        let stop = stop(fields)?;
        if !stop.is_empty() {
            config.set("stopSequences", &stop);
        }
        config.logprobs(fields)?;
        config.format(fields, model, functions && !model.tools_with_json, options.drop_params)?;
        config.modalities(fields)?;
        if let Some(thinking) = thinking::config(fields, model, options)? {
            config.set("thinkingConfig", &thinking);
        }
        config.written(fields)?;
        Ok(config)
    }

    fn logprobs(&mut self, fields: &Fields<'a>) -> Result<(), Failure> {
        if fields.read::<bool>("logprobs")? == Some(true) {
            self.set("responseLogprobs", &true);
            if let Some(count) = fields.read::<u32>("top_logprobs")?.filter(|count| *count > 0) {
                self.set("logprobs", &count);
            }
        }
        Ok(())
    }

    fn format(
        &mut self,
        fields: &Fields<'a>,
        model: &Capabilities,
        excluded: bool,
        drop_params: bool,
    ) -> Result<(), Failure> {
        let format = Format::of(fields)?;
        if matches!(format, Format::Text) {
            return Ok(());
        }
        if excluded {
            if drop_params {
                return Ok(());
            }
            let message = format!(
                "`response_format`: {PROVIDER} models before 3 do not answer in JSON where they \
                 have functions to call; leave one of them out, or set `drop_params` to have the \
                 format dropped"
            );
            return Err(impossible("response_format", message));
        }
        self.set("responseMimeType", "application/json");
        let Format::JsonSchema(schema) = format else { return Ok(()) };
        let Some(schema) = schema.schema else { return Ok(()) };
        if model.json_schema {
            self.put("responseJsonSchema", Cow::Borrowed(schema));
        } else {
            self.set("responseSchema", &fitted("response_format.json_schema.schema", schema)?);
        }
        Ok(())
    }

    /// `modalities` and `audio`, as OpenAI's models that speak take them.
    fn modalities(&mut self, fields: &Fields<'a>) -> Result<(), Failure> {
        #[derive(serde::Deserialize)]
        struct Voice<'a> {
            #[serde(borrow)]
            voice: Option<Text<'a>>,
        }

        if let Some(written) = fields.read::<Vec<Text<'a>>>("modalities")? {
            let upper: Vec<String> = written.iter().map(|word| word.to_ascii_uppercase()).collect();
            if upper.iter().any(|word| word != "TEXT") {
                self.set("responseModalities", &upper);
            }
        }
        if let Some(Voice { voice: Some(voice) }) = fields.read::<Voice<'a>>("audio")? {
            let config = serde_json::json!(
                {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": &*voice}}}
            );
            self.set("speechConfig", &config);
        }
        Ok(())
    }

    /// What is written in Google's own words wins over what is translated.
    fn written(&mut self, fields: &Fields<'a>) -> Result<(), Failure> {
        for (name, raw) in fields.iter() {
            if is_own(name) {
                self.put(camel(name), Cow::Borrowed(read(name, raw)?));
            }
        }
        for name in ["generationConfig", "generation_config"] {
            let Some(written) = fields.read::<serde_json::Map<String, serde_json::Value>>(name)?
            else {
                continue;
            };
            for (name, value) in &written {
                if let Ok(value) = to_raw_value(value) {
                    self.put(camel(name).into_owned(), Cow::Owned(value));
                }
            }
        }
        if let Some(thinking) = compat(fields).and_then(|google| google.slice("thinking_config")) {
            let written: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&thinking).unwrap_or_default();
            let written: serde_json::Map<String, serde_json::Value> = written
                .into_iter()
                .map(|(name, value)| (camel(&name).into_owned(), value))
                .collect();
            self.set("thinkingConfig", &written);
        }
        Ok(())
    }
}

/// Parameters on their own, without a request: Google's names and JSON text. `functions` are not
/// known here, so a form of the answer is not held against them.
///
/// # Errors
/// One of them is not what it has to be, or the model does not take it.
pub(super) fn alone(
    parameters: &[(Box<str>, Box<RawValue>)],
    options: &RequestOptions<'_>,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let nothing = Object::empty();
    let options = RequestOptions { defaults: parameters, overrides: &[], drop: &[], ..*options };
    let fields = Fields::gather(&nothing, &options);
    let model = Capabilities::of(options.model_hint);
    let config = GenerationConfig::of(&fields, &options, &model, false)?;
    let owned = |(name, value): (Cow<'_, str>, Cow<'_, RawValue>)| {
        (name.into_owned(), value.get().as_bytes().to_vec())
    };
    Ok(config.0.into_iter().map(owned).collect())
}

/// `extra_body.google`: how clients of Google's own API for OpenAI's clients write what only Google
/// has.
pub(super) fn compat(fields: &Fields<'_>) -> Option<Object> {
    let body = fields.raw("extra_body")?.as_bytes().to_vec();
    Object::parse(body.into()).ok()?.object("google")
}

/// Whether a parameter has the value that it has when it is not sent.
fn asks_nothing(name: &str, raw: &str) -> bool {
    matches!(name, "presence_penalty" | "frequency_penalty")
        && raw.parse::<f64>().is_ok_and(|number| number == 0.0)
}

fn stop<'a>(fields: &Fields<'a>) -> Result<Vec<Text<'a>>, Failure> {
    let mut sequences: Vec<Text<'a>> = match fields.raw("stop") {
        None => Vec::new(),
        Some(raw) if raw.starts_with('"') => vec![read("stop", raw)?],
        Some(raw) => read("stop", raw)?,
    };
    sequences.retain(|sequence| !sequence.is_empty());
    Ok(sequences)
}
