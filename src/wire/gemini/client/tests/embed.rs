//! Embeddings as Google's clients ask for them.

use bytes::Bytes;

use super::*;
use crate::dialect::Endpoint;
use crate::wire::RequestOptions;

fn asked(body: &Value) -> Result<Canonical, Failure> {
    request(&object(body), Asked { model: Some("m"), stream: Some(false), embeds: true })
}

#[test]
fn contents_become_inputs() {
    let one = |text: &str| json!({"model": "models/x", "content": {"parts": [{"text": text}]}});
    let mut sized = one("a");
    sized["outputDimensionality"] = json!("8");
    for (body, expected) in [
        (one("a"), json!({"model": "m", "input": "a"})),
        (
            json!({"content": {"parts": {"text": "a"}, "role": "user"}}),
            json!({"model": "m", "input": "a"}),
        ),
        (sized.clone(), json!({"model": "m", "input": "a", "dimensions": 8})),
        (
            json!({"requests": [one("a"), one("b")], "num_retries": 1, "metadata": {}}),
            json!({"model": "m", "input": ["a", "b"], "num_retries": 1, "metadata": {}}),
        ),
        (json!({"requests": [sized]}), json!({"model": "m", "input": ["a"], "dimensions": 8})),
        (
            json!({"content": {"parts": [{"text": "a"}, {"text": "b"}]}}),
            json!({"model": "m", "input": "a\nb"}),
        ),
    ] {
        let canonical = asked(&body).unwrap();
        assert!(canonical.obstacle.refusal(false).is_none(), "{body}");
        assert_eq!(tree(&canonical.body), expected, "{body}");
    }
}

#[test]
fn mistakes_and_what_only_google_can_embed_are_told_with_their_place() {
    let text = json!({"parts": [{"text": "a"}]});
    for (body, param) in [
        (json!({}), "content"),
        (json!({"requests": []}), "requests"),
        (json!({"requests": [{"content": text}, {}]}), "requests[1].content"),
        (json!({"content": {"parts": []}}), "content"),
        (json!({"content": text, "outputDimensionality": "many"}), "outputDimensionality"),
    ] {
        assert_eq!(asked(&body).unwrap_err().param.as_deref(), Some(param), "{body}");
    }
    let image = json!({"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]});
    for (body, param, is_parameter) in [
        (json!({"content": text, "taskType": "CLUSTERING"}), "taskType", true),
        (json!({"requests": [{"content": text, "title": "t"}]}), "requests[0].title", true),
        (json!({"content": text, "brandNew": 1}), "brandNew", true),
        (json!({"content": image}), "content.parts[0]", false),
        (
            json!({"requests": [{"content": text}, {"content": text, "outputDimensionality": 3}]}),
            "requests[1].outputDimensionality",
            false,
        ),
    ] {
        let obstacle = asked(&body).unwrap().obstacle;
        assert_eq!(obstacle.refusal(false).unwrap().param.as_deref(), Some(param), "{body}");
        assert_eq!(obstacle.refusal(true).is_none(), is_parameter, "{body}");
    }
}

#[test]
fn vectors_are_told_in_googles_words() {
    let list = json!({"object": "list", "data": [
        {"object": "embedding", "index": 1, "embedding": [2]},
        {"object": "embedding", "index": 0, "embedding": [0.5, 1.50]},
    ], "usage": {"prompt_tokens": 4, "total_tokens": 4}});
    let told = |list: &Value, asked: &Value| {
        let asked = object(asked);
        let telling = Telling { request: Some(&asked), embeds: true, ..Telling::default() };
        let body = reply(list.to_string().as_bytes(), &telling)?;
        Ok::<Value, Failure>(serde_json::from_slice(&body).unwrap())
    };
    let usage = json!({"promptTokenCount": 4, "totalTokenCount": 4});
    assert_eq!(
        told(&list, &json!({"requests": []})).unwrap(),
        json!({"embeddings": [{"values": [0.5, 1.5]}, {"values": [2]}], "usageMetadata": usage})
    );
    assert_eq!(
        told(&list, &json!({"content": {}})).unwrap(),
        json!({"embedding": {"values": [0.5, 1.5]}, "usageMetadata": usage})
    );
    for wrong in [json!({}), json!({"data": []}), json!({"data": [{"embedding": "AAAA"}]})] {
        assert!(told(&wrong, &json!({"content": {}})).is_err(), "{wrong}");
    }
}

#[test]
fn google_itself_is_asked_in_the_clients_own_words() {
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
    let defaults = [("dimensions".into(), raw("8")), ("task_type".into(), raw("\"CLUSTERING\""))];
    let sent = |body: &Value| -> Value {
        let options = RequestOptions {
            model: Some("models/own"),
            defaults: &defaults,
            drop: &["title".into()],
            ..RequestOptions::plain(Endpoint::Embeddings, "own")
        };
        serde_json::from_slice(&native::request(&object(body), &options).unwrap()).unwrap()
    };
    let written =
        json!({"model": "models/public", "content": {"new": 1}, "task_type": "X", "title": "t"});
    let edited = json!({"model": "models/own", "content": {"new": 1}, "task_type": "X",
                        "outputDimensionality": 8});
    assert_eq!(sent(&written), edited);
    assert_eq!(
        sent(&json!({"requests": [written, written], "new": 1, "num_retries": 2})),
        json!({"requests": [edited, edited], "new": 1})
    );
    for (body, whole) in [
        (r#"{"embedding":{"values":[1]}}"#, true),
        (r#"{"embeddings":[]}"#, true),
        ("{}", false),
        (r#"{"error":{"code":503,"status":"UNAVAILABLE","message":"m"}}"#, false),
    ] {
        let read = native::reply(Bytes::from_static(body.as_bytes()), Endpoint::Embeddings);
        assert_eq!(read.is_ok(), whole, "{body}");
    }
}
