//! Embeddings by InvokeModel: each maker's body, lists in parts, and what their replies tell.

use serde_json::json;

use super::*;
use crate::failure::FailureClass;
use crate::wire::Origin;
use crate::wire::bedrock::{embed, embeddings, joined, parts};

const TITAN: &str = "amazon.titan-embed-text-v2:0";
const TITAN_1: &str = "amazon.titan-embed-text-v1";
const IMAGES: &str = "amazon.titan-embed-image-v1";
const COHERE: &str = "cohere.embed-multilingual-v3";
const COHERE_4: &str = "us.cohere.embed-v4:0";

fn options(model: &str, drop_params: bool) -> RequestOptions<'_> {
    RequestOptions {
        model: None,
        drop_params,
        ..RequestOptions::plain(Endpoint::Embeddings, model)
    }
}

fn object(body: &Value) -> Object {
    Object::parse(Bytes::from(body.to_string())).unwrap()
}

fn sent(model: &str, body: &Value) -> Result<Value, Failure> {
    let sent = embed(&object(body), &options(model, false))?;
    Ok(serde_json::from_slice(&sent).unwrap())
}

#[test]
fn each_maker_gets_its_own_body() {
    let base = json!({"model": "m", "input": "a", "encoding_format": "base64", "user": "u"});
    let with = |more: Value| {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (model, more, expected) in [
        (TITAN, json!({}), json!({"inputText": "a"})),
        (TITAN, json!({"input": ["a"]}), json!({"inputText": "a"})),
        (
            TITAN,
            json!({"dimensions": 256, "normalize": false, "embeddingTypes": ["binary"]}),
            json!({"inputText": "a", "dimensions": 256, "normalize": false,
                   "embeddingTypes": ["binary"]}),
        ),
        (TITAN_1, json!({}), json!({"inputText": "a"})),
        ("amazon.titan-embed-g1-text-02", json!({}), json!({"inputText": "a"})),
        (
            IMAGES,
            json!({"input": "data:image/png;base64,aGk=", "dimensions": 384}),
            json!({"inputImage": "aGk=", "embeddingConfig": {"outputEmbeddingLength": 384}}),
        ),
        (IMAGES, json!({"input": "a, b"}), json!({"inputText": "a, b"})),
        (
            TITAN,
            json!({"input": "data:image/png;base64,aGk="}),
            json!({"inputText": "data:image/png;base64,aGk="}),
        ),
        (COHERE, json!({}), json!({"texts": ["a"], "input_type": "search_document"})),
        (
            COHERE,
            json!({"input": ["a", "b"], "input_type": "search_query", "truncate": "END"}),
            json!({"texts": ["a", "b"], "input_type": "search_query", "truncate": "END"}),
        ),
        (
            COHERE_4,
            json!({"dimensions": 512, "embedding_types": ["int8"]}),
            json!({"texts": ["a"], "input_type": "search_document", "output_dimension": 512,
                   "embedding_types": ["int8"]}),
        ),
        (
            COHERE_4,
            json!({"input": "data:image/png;base64,aGk="}),
            json!({"images": ["data:image/png;base64,aGk="], "input_type": "image"}),
        ),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0",
            json!({}),
            json!({"inputText": "a"}),
        ),
    ] {
        assert_eq!(sent(model, &with(more.clone())).unwrap(), expected, "{model} {more}");
    }
}

#[test]
fn what_a_model_cannot_do_is_refused_before_any_call() {
    let asked = |more: Value| {
        let mut body = json!({"input": "a"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (model, more, param) in [
        (TITAN_1, json!({"dimensions": 256}), "dimensions"),
        (COHERE, json!({"dimensions": 256}), "dimensions"),
        (TITAN, json!({"input": [1, 2]}), "input"),
        (TITAN, json!({"input": [[1], [2]]}), "input"),
        (TITAN, json!({"input": []}), "input"),
        (TITAN, json!({"input": ["a", "b"]}), "input"),
        (COHERE, json!({"input": ["a", "data:image/png;base64,aGk="]}), "input"),
        (TITAN, json!({"dimensions": "many"}), "dimensions"),
    ] {
        let refused = sent(model, &asked(more.clone())).unwrap_err();
        assert_eq!(refused.class, FailureClass::BadRequest, "{model} {more}");
        assert_eq!(refused.param.as_deref(), Some(param), "{model} {more}");
    }
    let body = asked(json!({"dimensions": 256}));
    let dropped = embed(&object(&body), &options(TITAN_1, true)).unwrap();
    assert_eq!(dropped, r#"{"inputText":"a"}"#);
    for stranger in ["anthropic.claude-x", "arn:aws:bedrock:us-east-1:1:provisioned-model/x"] {
        let refused = sent(stranger, &asked(json!({}))).unwrap_err();
        assert_eq!(refused.class, FailureClass::NotFound);
        assert!(refused.message.contains("base_model"), "{}", refused.message);
    }
}

#[test]
fn long_lists_are_asked_for_in_parts_of_their_order() {
    let parts_of = |model: &str, body: &Value| parts(&object(body), &options(model, false));
    let inputs = |parts: Option<Vec<Object>>| -> Vec<Value> {
        parts.unwrap().iter().map(|part| part.value("input").unwrap()).collect()
    };
    let two = json!({"model": "m", "input": ["a", "b\"c"], "dimensions": 256});
    let made = parts_of(TITAN, &two).unwrap();
    assert_eq!(made.as_ref().unwrap()[1].u64("dimensions"), Some(256));
    assert_eq!(inputs(made), [json!(["a"]), json!(["b\"c"])]);
    for whole in [json!("a"), json!(["a"]), json!([1, 2, 3]), json!([])] {
        assert!(parts_of(TITAN, &json!({"input": whole})).unwrap().is_none(), "{whole}");
    }
    let many = |count: usize| json!({"input": vec!["t"; count]});
    assert!(parts_of(COHERE, &many(96)).unwrap().is_none());
    let sizes: Vec<usize> = inputs(parts_of(COHERE, &many(200)).unwrap())
        .iter()
        .map(|part| part.as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [96, 96, 8]);
    assert!(parts_of(TITAN, &many(2048)).unwrap().is_some());
    let refused = parts_of(TITAN, &many(2049)).unwrap_err();
    assert_eq!(
        (refused.class, refused.param.as_deref()),
        (FailureClass::BadRequest, Some("input"))
    );
}

#[test]
fn vectors_and_tokens_are_read_in_every_makers_way() {
    let told = |body: String, input_tokens| {
        let origin = Origin { model: TITAN, request_id: None, input_tokens, output_tokens: None };
        let reply = embeddings(&body.into(), &origin).unwrap();
        let list: Value = serde_json::from_slice(&reply.body).unwrap();
        let vectors: Vec<Value> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .map(|(at, item)| {
                assert_eq!((&item["index"], &item["object"]), (&json!(at), &json!("embedding")));
                item["embedding"].clone()
            })
            .collect();
        let tokens = reply.usage.map(|usage| usage.input_tokens);
        assert_eq!(list["usage"]["prompt_tokens"], json!(tokens.unwrap_or_default()));
        (vectors, tokens)
    };
    let one = json!({"embedding": [0.25, -1], "inputTextTokenCount": 3, "p": "abc"});
    assert_eq!(told(one.to_string(), Some(9)), (vec![json!([0.25, -1])], Some(3)));
    let typed = json!({"embeddingsByType": {"binary": [1, 0]}, "inputTextTokenCount": 2});
    assert_eq!(told(typed.to_string(), None), (vec![json!([1, 0])], Some(2)));
    let floats =
        json!({"embeddings": [[1.5], [2.5]], "id": "x", "response_type": "embeddings_floats"});
    assert_eq!(told(floats.to_string(), Some(7)), (vec![json!([1.5]), json!([2.5])], Some(7)));
    let by_type =
        json!({"embeddings": {"int8": [[1], [2]]}, "response_type": "embeddings_by_type"});
    assert_eq!(told(by_type.to_string(), None), (vec![json!([1]), json!([2])], None));
    let replies: Vec<Bytes> = [one, typed].iter().map(|reply| reply.to_string().into()).collect();
    let all = joined(replies.iter());
    let all = String::from_utf8(all.to_vec()).unwrap();
    assert_eq!(told(all, None), (vec![json!([0.25, -1]), json!([1, 0])], Some(5)));

    let origin = Origin::default();
    for (body, said) in [
        (r#"{"message":"Too many tokens","__type":"ThrottlingException"}"#, "Too many tokens"),
        (r#"{"embeddings":{"odd":[]}}"#, "no embeddings"),
        ("{}", "no embeddings"),
        ("[{}]", "no embeddings"),
        ("<html>", "no embeddings"),
    ] {
        let failure = embeddings(&Bytes::from(body), &origin).unwrap_err();
        assert!(failure.message.contains(said), "{body}: {}", failure.message);
    }
}
