//! Reranking: documents in the order of what they say to a query.
//!
//! The canonical form is Cohere's first version as its many imitators know it: `model`, `query`,
//! `documents` (texts or objects), `top_n`, `rank_fields`, `return_documents`, `max_chunks_per_doc`,
//! `max_tokens_per_doc`; answered with `results`, each with `index`, `relevance_score` and, if asked
//! for, `document`, best first. Providers differ in a few names, and that is a table: [`Form`].

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::json::Object;
use super::{Reply, RequestOptions, media, openai};
use crate::dialect::{Endpoint, Quirks};
use crate::failure::{Failure, FailureClass};

/// How a provider says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Cohere's first version: Jina, Together, vLLM, Infinity and most others.
    Common,
    /// Cohere's second version: documents are texts, and are not returned.
    CohereV2,
    /// `top_k`, and the results are in `data`.
    Voyage,
    /// Amazon's and Cohere's models at Bedrock: documents are texts, and are not returned.
    Bedrock,
    /// `texts` in place of `documents`; the answer is a bare list.
    TextEmbeddingsInference,
}

/// Writes the body for a provider.
///
/// # Errors
/// [`FailureClass::BadRequest`]: a document is neither a text nor an object.
pub fn request(body: &Object, form: Form, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let written = openai::request(body, options)?;
    if form == Form::Common {
        return Ok(written);
    }
    let bad = |message: String| Failure {
        param: Some("documents".into()),
        ..Failure::new(FailureClass::BadRequest, message)
    };
    let mut fields: Map<String, Value> = serde_json::from_slice(&written)
        .map_err(|error| bad(format!("the request cannot be read: {error}")))?;
    let rank_fields = fields.remove("rank_fields");
    if let Some(Value::Array(documents)) = fields.get_mut("documents") {
        for document in documents {
            let text = as_text(document, rank_fields.as_ref());
            let message = "each of `documents` must be a string or an object";
            *document = Value::String(text.ok_or_else(|| bad(message.to_owned()))?);
        }
    }
    match form {
        Form::Common => {}
        Form::CohereV2 => {
            fields.remove("return_documents");
            fields.remove("max_chunks_per_doc");
        }
        Form::Bedrock => {
            for name in ["return_documents", "max_chunks_per_doc", "max_tokens_per_doc", "user"] {
                fields.remove(name);
            }
            if options.model_hint.contains("cohere.") {
                fields.entry("api_version").or_insert(2.into());
            }
        }
        Form::Voyage => {
            rename(&mut fields, "top_n", "top_k");
            for name in ["max_chunks_per_doc", "max_tokens_per_doc"] {
                fields.remove(name);
            }
        }
        Form::TextEmbeddingsInference => {
            rename(&mut fields, "documents", "texts");
            rename(&mut fields, "return_documents", "return_text");
            // It ranks all of them, with the one model that it has.
            for name in ["model", "top_n", "max_chunks_per_doc", "max_tokens_per_doc"] {
                fields.remove(name);
            }
        }
    }
    Ok(Value::Object(fields).to_string().into())
}

/// A document as text: an object is written as its fields, one a line, as Cohere advises.
fn as_text(document: &Value, rank_fields: Option<&Value>) -> Option<String> {
    let fields = match document {
        Value::String(text) => return Some(text.clone()),
        Value::Object(fields) => fields,
        _ => return None,
    };
    let text_of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let ranked = rank_fields.and_then(Value::as_array);
    let counts = |name: &str| {
        ranked.is_none_or(|names| names.is_empty() || names.iter().any(|it| *it == *name))
    };
    match fields.get("text").filter(|_| fields.len() == 1) {
        Some(text) => Some(text_of(text)),
        None => {
            let lines = fields.iter().filter(|(name, _)| counts(name));
            let lines: Vec<_> =
                lines.map(|(name, value)| format!("{name}: {}", text_of(value))).collect();
            Some(lines.join("\n"))
        }
    }
}

fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = fields.remove(from) {
        fields.entry(to).or_insert(value);
    }
}

/// Reads a provider's reply.
///
/// # Errors
/// It is an error, or has no results.
pub fn reply(body: Bytes, form: Form) -> Result<Reply, Failure> {
    if body.trim_ascii_start().starts_with(b"[") || form == Form::Voyage {
        let lacks = || Failure::new(FailureClass::Server, "the provider's reply has no results");
        let value: Value = serde_json::from_slice(&body).map_err(|_| lacks())?;
        // A reply that has `results` already is one of a server that only calls itself so.
        if value.get("results").is_none() && value.get("error").is_none() {
            let canonical = canonical(value).ok_or_else(lacks)?;
            let object = Object::parse(canonical.to_string().into()).map_err(|_| lacks())?;
            return media::reply(&object, Endpoint::Rerank);
        }
    }
    openai::reply(body, Quirks::default(), Endpoint::Rerank)
}

/// A reply whose results are in `data`, or are all that there is.
fn canonical(reply: Value) -> Option<Value> {
    let (list, mut rest) = match reply {
        Value::Array(list) => (list, Map::new()),
        Value::Object(mut fields) => match fields.remove("data")? {
            Value::Array(list) => (list, fields),
            _ => return None,
        },
        _ => return None,
    };
    let results = list.into_iter().map(|mut result| {
        let fields = result.as_object_mut()?;
        rename(fields, "score", "relevance_score");
        rename(fields, "text", "document");
        if let Some(text @ Value::String(_)) = fields.get("document").cloned() {
            fields.insert("document".to_owned(), json!({"text": text}));
        }
        Some(result)
    });
    let results: Option<Vec<Value>> = results.collect();
    rest.remove("object");
    rest.insert("results".to_owned(), Value::Array(results?));
    Some(Value::Object(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(model: &str) -> RequestOptions<'_> {
        RequestOptions::plain(Endpoint::Rerank, model)
    }

    fn written(form: Form, body: Value) -> Value {
        let body = Object::parse(body.to_string().into()).unwrap();
        serde_json::from_slice(&request(&body, form, &options("r")).unwrap()).unwrap()
    }

    fn asked() -> Value {
        json!({"model": "public", "query": "q", "top_n": 2, "return_documents": true,
            "documents": ["a", {"text": "b"}, {"title": "t", "body": "c"}],
            "rank_fields": ["body"], "max_chunks_per_doc": 3, "num_retries": 1})
    }

    #[test]
    fn each_provider_gets_its_own_words() {
        let mut common = asked();
        common["model"] = json!("r");
        common.as_object_mut().unwrap().remove("num_retries");
        assert_eq!(written(Form::Common, asked()), common);
        let documents = json!(["a", "b", "body: c"]);
        let v2 = json!({"model": "r", "query": "q", "top_n": 2, "documents": documents});
        assert_eq!(written(Form::CohereV2, asked()), v2);
        let voyage = json!({"model": "r", "query": "q", "top_k": 2, "return_documents": true,
            "documents": documents});
        assert_eq!(written(Form::Voyage, asked()), voyage);
        let tei = json!({"query": "q", "texts": documents, "return_text": true});
        assert_eq!(written(Form::TextEmbeddingsInference, asked()), tei);
    }

    #[test]
    fn a_document_that_is_none_is_the_clients_mistake() {
        let body = json!({"model": "m", "query": "q", "documents": ["a", 1]});
        let body = Object::parse(body.to_string().into()).unwrap();
        let refused = request(&body, Form::CohereV2, &options("r")).unwrap_err();
        assert_eq!(refused.class, FailureClass::BadRequest);
        assert_eq!(refused.param.as_deref(), Some("documents"));
    }

    #[test]
    fn every_reply_becomes_the_common_one() {
        let read = |form, body: Value| {
            let reply = reply(body.to_string().into(), form).unwrap();
            let value: Value = serde_json::from_slice(&reply.body).unwrap();
            (value, reply.usage)
        };
        let results = json!([{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]);
        let voyage = json!({"object": "list", "model": "rerank-2", "usage": {"total_tokens": 9},
            "data": [{"index": 1, "relevance_score": 0.9, "document": "b"}]});
        let (body, usage) = read(Form::Voyage, voyage);
        assert_eq!(body["results"], results);
        assert_eq!((body.get("object"), usage.unwrap().input_tokens), (None, 9));
        let tei = json!([{"index": 1, "score": 0.9, "text": "b"}]);
        assert_eq!(read(Form::TextEmbeddingsInference, tei).0, json!({"results": results}));
        let common = json!({"id": "x", "results": results, "new": 1});
        assert_eq!(read(Form::Common, common.clone()).0, common);
        assert_eq!(read(Form::Voyage, common.clone()).0, common);
    }

    #[test]
    fn a_reply_without_results_is_a_failure() {
        for (form, body) in [
            (Form::Common, "{}"),
            (Form::Common, r#"{"error":{"message":"m"}}"#),
            (Form::Voyage, r#"{"data":1}"#),
            (Form::Voyage, r#"{"data":[1]}"#),
            (Form::Voyage, "<html>"),
            (Form::TextEmbeddingsInference, "[1]"),
        ] {
            let refused = reply(Bytes::from_static(body.as_bytes()), form);
            assert_eq!(refused.unwrap_err().class, FailureClass::Server, "{body}");
        }
    }
}
