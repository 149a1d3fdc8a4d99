//! Embeddings, as Google's clients ask for them: of one content (`embedContent`) or of several
//! (`batchEmbedContents`, which is what Google's SDKs send).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::error::garbage;
use super::read::{Message, camel, integer, list};
use super::request::{Draft, GATEWAYS, text_of};
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::chat::{Raw, read_usage};
use crate::wire::client::{Asked, Canonical, Obstacle, Telling};
use crate::wire::fields::{impossible, invalid, missing, read};
use crate::wire::json::{Edits, Object};
use crate::wire::request::is_own;

/// What all contents of a request say together.
#[derive(Default)]
struct Gathered {
    texts: Vec<String>,
    dimensions: Option<i64>,
}

/// Puts a request into the canonical form.
///
/// # Errors
/// It is wrong: the client is told which of its fields, as it wrote it.
pub(super) fn request(body: &Object, asked: Asked<'_>) -> Result<Canonical, Failure> {
    let mut draft = Draft::new(body.bytes().len());
    let mut obstacle = Obstacle::default();
    if let Some(model) = asked.model {
        draft.set("model", model);
    }
    let fields = Message::read("body", text_of(body))?;
    let mut gathered = Gathered::default();
    let is_batch = match fields.find("requests") {
        Some((written, raw)) => {
            for (param, raw) in list(written, raw)? {
                let one = Message::read(&param, raw.get())?;
                gathered.add(&format!("{param}."), &one, &mut obstacle)?;
            }
            true
        }
        None => {
            gathered.add("", &fields, &mut obstacle)?;
            false
        }
    };
    match gathered.texts.as_slice() {
        [] => return Err(missing("requests")),
        [text] if !is_batch => draft.set("input", text),
        texts => draft.set("input", texts),
    }
    if let Some(dimensions) = gathered.dimensions {
        draft.set("dimensions", &dimensions);
    }
    for (written, raw) in fields.written() {
        match written {
            "model" | "stream" | "stream_options" => {}
            _ if is_own(written) || GATEWAYS.contains(&written) => draft.raw(written, raw.get()),
            _ if is_batch && camel(written) != "requests" => unknown(written, &mut obstacle),
            _ => {}
        }
    }
    Ok(Canonical { body: draft.finish()?, obstacle })
}

impl Gathered {
    fn add(
        &mut self,
        within: &str,
        one: &Message<'_>,
        obstacle: &mut Obstacle,
    ) -> Result<(), Failure> {
        let Some((written, raw)) = one.find("content") else {
            return Err(missing(&format!("{within}content")));
        };
        let text = text(&format!("{within}{written}"), raw, obstacle)?;
        let first = self.texts.is_empty();
        self.texts.push(text);
        let mut dimensions = None;
        for (written, raw) in one.written() {
            let place = format!("{within}{written}");
            match &*camel(written) {
                "content" | "model" => {}
                "outputDimensionality" => dimensions = Some(integer(&place, raw)?),
                "taskType" | "title" => {
                    let message = format!("`{place}` is known to Google's models only");
                    obstacle.parameter(impossible(&place, message));
                }
                _ if is_own(written) || GATEWAYS.contains(&written) => {}
                _ => unknown(&place, obstacle),
            }
        }
        if !first && dimensions != self.dimensions {
            let place = format!("{within}outputDimensionality");
            let message = format!("`{place}`: only Google's models embed in several sizes at once");
            obstacle.content(impossible(&place, message));
        }
        self.dimensions = self.dimensions.or(dimensions);
        Ok(())
    }
}

fn unknown(place: &str, obstacle: &mut Obstacle) {
    let message = format!("Unknown name {place:?}: this request has no such field");
    obstacle.parameter(impossible(place, message));
}

/// The text of a content, whose parts are embedded together.
fn text(param: &str, raw: Raw<'_>, obstacle: &mut Obstacle) -> Result<String, Failure> {
    let content = Message::read(param, raw.get())?;
    let Some((written, raw)) = content.find("parts") else {
        return Err(missing(&format!("{param}.parts")));
    };
    let mut texts: Vec<String> = Vec::new();
    for (place, raw) in list(&format!("{param}.{written}"), raw)? {
        let part = Message::read(&place, raw.get())?;
        match part.text(&place, "text")? {
            Some(text) => texts.push(text.into_owned()),
            None => {
                let message = format!("`{place}`: only Google's models embed what is no text");
                obstacle.content(impossible(&place, message));
            }
        }
    }
    if texts.is_empty() && obstacle.refusal(true).is_none() {
        return Err(invalid(param, format!("`{param}` has no parts to embed")));
    }
    Ok(texts.join("\n"))
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    #[serde(borrow)]
    data: Vec<Embedding<'a>>,
    #[serde(borrow, default)]
    usage: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Embedding<'a> {
    #[serde(default)]
    index: usize,
    #[serde(borrow)]
    embedding: Raw<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(flatten)]
    vectors: Vectors<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_metadata: Option<UsageMetadata>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Vectors<'a> {
    Embedding(Values<'a>),
    Embeddings(Vec<Values<'a>>),
}

#[derive(Serialize)]
struct Values<'a> {
    values: Raw<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: u64,
    total_token_count: u64,
}

/// Puts a canonical list of embeddings into Google's words.
///
/// # Errors
/// It is none, or its vectors are not written as numbers.
pub(super) fn reply(body: &[u8], telling: &Telling<'_>) -> Result<Bytes, Failure> {
    let unreadable = || garbage("the provider's reply has no embeddings in numbers");
    let mut list: Embeddings<'_> = serde_json::from_slice(body).map_err(|_| unreadable())?;
    list.data.sort_by_key(|embedding| embedding.index);
    let mut values = Vec::with_capacity(list.data.len());
    for Embedding { embedding, .. } in list.data {
        if !embedding.get().starts_with('[') {
            return Err(unreadable());
        }
        values.push(Values { values: embedding });
    }
    let is_batch = telling.request.is_none_or(|request| request.contains("requests"));
    let vectors = match is_batch {
        true => Vectors::Embeddings(values),
        false => Vectors::Embedding(values.into_iter().next().ok_or_else(unreadable)?),
    };
    let usage = list.usage.and_then(|raw| read_usage(raw.get()));
    let usage_metadata = usage.map(|usage| UsageMetadata {
        prompt_token_count: usage.input_tokens,
        total_token_count: usage.input_tokens,
    });
    let told = serde_json::to_vec(&Told { vectors, usage_metadata }).map_err(|_| unreadable())?;
    Ok(told.into())
}

/// Google's words for the parameters of embeddings that deployments have.
const WORDS: [(&str, &str); 5] = [
    ("dimensions", "outputDimensionality"),
    ("output_dimensionality", "outputDimensionality"),
    ("task_type", "taskType"),
    ("taskType", "taskType"),
    ("title", "title"),
];

/// The client's own request for a deployment of Google's, edited in place.
///
/// # Errors
/// `requests` is no list of objects.
pub(super) fn native(body: &Object, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let mut edits = Edits::new();
    for name in body.names() {
        if is_own(name) || GATEWAYS.contains(&name) {
            edits.remove(name.to_owned());
        }
    }
    let Some(raw) = body.raw("requests") else {
        edit(body, options, &mut edits);
        return Ok(body.edit(&edits));
    };
    let mut requests = Vec::with_capacity(raw.len() + 64);
    let written: Vec<Raw<'_>> = read("requests", raw)?;
    for (at, raw) in written.into_iter().enumerate() {
        let one = Object::parse(Bytes::copy_from_slice(raw.get().as_bytes()));
        let param = format!("requests[{at}]");
        let one = one.map_err(|wrong| invalid(&param, format!("`{param}`: {wrong}")))?;
        let mut edits = Edits::new();
        edit(&one, options, &mut edits);
        requests.push(if at == 0 { b'[' } else { b',' });
        requests.extend_from_slice(&one.edit(&edits));
    }
    requests.extend_from_slice(if requests.is_empty() { b"[]" } else { b"]" });
    edits.set_raw("requests", requests);
    Ok(body.edit(&edits))
}

/// One content's part of the request: the model stands in each of them, too.
fn edit(one: &Object, options: &RequestOptions<'_>, edits: &mut Edits<'_>) {
    let model = options.model.unwrap_or_default();
    let model = model.strip_prefix("models/").unwrap_or(model);
    edits.set("model", &format!("models/{model}"));
    let written_as = |google: &str| {
        let known = one.names().find(|name| camel(name) == google);
        known.unwrap_or(google).to_owned()
    };
    for (overrides, parameters) in [(false, options.defaults), (true, options.overrides)] {
        for (name, value) in parameters {
            let Some((_, google)) = WORDS.iter().find(|(word, _)| *word == &**name) else {
                continue;
            };
            let written = written_as(google);
            if overrides || !one.is_set(&written) {
                edits.set_raw(written, value.get().as_bytes().to_vec());
            }
        }
    }
    for dropped in options.drop {
        if let Some((_, google)) = WORDS.iter().find(|(word, _)| *word == &**dropped) {
            edits.remove(written_as(google));
        }
    }
}

/// Whether a reply that is passed on has embeddings.
///
/// # Errors
/// It has none.
pub(super) fn has_vectors(body: &[u8]) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Vectors<'a> {
        #[serde(borrow, default)]
        embedding: Option<Raw<'a>>,
        #[serde(borrow, default)]
        embeddings: Option<Raw<'a>>,
    }
    match serde_json::from_slice(body) {
        Ok(Vectors { embedding: None, embeddings: None }) | Err(_) => {
            Err(garbage("the provider's reply has no embeddings"))
        }
        Ok(_) => Ok(()),
    }
}
