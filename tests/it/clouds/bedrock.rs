//! Bedrock beyond chat: the clock, embeddings, rerank, counting, and its own API passed as it is.

use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::{Value, json};

use super::server::{Answer, Seen, Server, json as answers, json_with};
use super::{claude, converse, listed, service_account, sigv4, tokens};
use crate::harness::stepped::Stepped;
use crate::harness::*;

const NOVA: &str = "bedrock/amazon.nova-pro-v1:0";
const STREAM: &[u8] =
    include_bytes!("../../golden/31-bedrock-conversestream/upstream_response.bin");

pub fn with_keys(address: &str, model: &str, more: &[(&str, &str)]) -> gateway::Builder {
    let mut params = vec![
        ("model", model),
        ("api_base", address),
        ("aws_region_name", "us-east-1"),
        ("aws_access_key_id", "AKIDEXAMPLE"),
        ("aws_secret_access_key", "s3cret"),
    ];
    params.extend(more);
    listed(&params).variable("AWS_EC2_METADATA_DISABLED", "true")
}

#[track_caller]
pub fn is_signed(seen: &Seen) {
    let expected = sigv4::expected(seen, "AKIDEXAMPLE", "s3cret", "us-east-1", "bedrock");
    assert_eq!(seen.header("authorization"), expected);
}

/// `X-Amz-Date` of a time.
fn stamp(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap();
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Bedrock whose clock is three hours ahead: older signatures have expired there.
fn ahead(seen: &Seen) -> Answer {
    let theirs = SystemTime::now() + Duration::from_secs(3 * 3600);
    if seen.header("x-amz-date") > &*stamp(theirs - Duration::from_secs(300)) {
        return converse(seen);
    }
    let date = httpdate::fmt_http_date(theirs);
    let lines = [("date", &*date), ("x-amzn-errortype", "InvalidSignatureException")];
    let message = "Signature expired: it is now earlier than that";
    json_with(403, &lines, &json!({"message": message}))
}

#[test]
fn a_wrong_clock_is_corrected_by_the_providers() {
    let bedrock = Server::start(ahead);
    let gateway = with_keys(&bedrock.url(), NOVA, &[]).router("num_retries: 0").start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    assert_eq!(bedrock.seen().len(), 2, "it is asked once more");
    is_signed(&bedrock.last());
    assert_eq!(gateway.cooling("m"), 0, "that is no fault of the deployment");
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    assert_eq!(bedrock.seen().len(), 3, "the next one is signed by the right time");
}

#[test]
fn a_clock_that_cannot_be_corrected_is_asked_once_more_at_most() {
    let bedrock = Server::start(|_| {
        let theirs = SystemTime::now() + Duration::from_secs(3 * 3600);
        let date = httpdate::fmt_http_date(theirs);
        let lines = [("date", &*date), ("x-amzn-errortype", "RequestTimeTooSkewed")];
        json_with(403, &lines, &json!({"message": "no"}))
    });
    let gateway = with_keys(&bedrock.url(), NOVA, &[])
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start();
    assert_ne!(gateway.client().chat("m", "hi").status, 200);
    assert_eq!(bedrock.seen().len(), 2);
    assert_ne!(gateway.client().chat("m", "hi").status, 200);
    assert_eq!(bedrock.seen().len(), 3, "the time is not the reason any more");
}

fn titan(seen: &Seen) -> Answer {
    let text = seen.json()["inputText"].as_str().unwrap().to_owned();
    if text == "too much" {
        let kind = ("x-amzn-errortype", "ThrottlingException");
        return json_with(429, &[kind], &json!({"message": "Too many tokens, please wait"}));
    }
    let number: f64 = text.parse().unwrap();
    answers(json!({"embedding": [number, 0.5], "inputTextTokenCount": 2}))
}

#[test]
fn a_list_of_texts_is_embedded_in_its_order() {
    let bedrock = Server::start(titan);
    let gateway = with_keys(&bedrock.url(), "bedrock/amazon.titan-embed-text-v2:0", &[])
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start();
    let texts: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let body = json!({"model": "m", "input": texts, "dimensions": 256});
    let reply = gateway.client().post("/v1/embeddings").json(&body).send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    let list = reply.json();
    let vectors = list["data"].as_array().unwrap();
    assert_eq!(vectors.len(), 20);
    for (at, vector) in vectors.iter().enumerate() {
        assert_eq!(vector["index"], at);
        assert_eq!(vector["embedding"][0].as_f64().unwrap(), at as f64);
    }
    assert_eq!(list["usage"]["prompt_tokens"], 40);
    let line = gateway.logged(reply.request_id());
    assert_eq!(line["usage"]["input_tokens"], 40, "{line}");
    assert_eq!(bedrock.seen().len(), 20);
    for seen in bedrock.seen() {
        assert_eq!(seen.path, "/model/amazon.titan-embed-text-v2%3A0/invoke");
        assert_eq!(seen.json()["dimensions"], 256);
        is_signed(&seen);
    }

    let body = json!({"model": "m", "input": ["1", "too much", "2"]});
    let reply = gateway.client().post("/v1/embeddings").json(&body).send();
    assert_eq!((reply.status, &*reply.error_message()), (429, "Too many tokens, please wait"));
}

#[test]
fn vectors_come_in_base64_where_the_client_wants_that() {
    let bedrock = Server::start(|_| {
        let lines = [("x-amzn-bedrock-input-token-count", "7")];
        json_with(200, &lines, &json!({"embeddings": [[1.0, -0.5]], "id": "x", "texts": ["a"]}))
    });
    let gateway = with_keys(&bedrock.url(), "bedrock/cohere.embed-english-v3", &[]).start();
    let body = json!({"model": "m", "input": "a", "encoding_format": "base64"});
    let reply = gateway.client().post("/v1/embeddings").json(&body).send();
    assert_eq!(reply.json()["data"][0]["embedding"], "AACAPwAAAL8=", "{}", reply.body_text());
    assert_eq!(reply.json()["usage"]["total_tokens"], 7);
    assert_eq!(bedrock.last().json(), json!({"texts": ["a"], "input_type": "search_document"}));
}

#[test]
fn documents_are_ranked_by_the_models_own_api() {
    let bedrock = Server::start(|_| {
        answers(json!({"results": [{"index": 1, "relevance_score": 0.9},
                                   {"index": 0, "relevance_score": 0.1}]}))
    });
    for (model, versioned) in [("cohere.rerank-v3-5:0", true), ("amazon.rerank-v1:0", false)] {
        let gateway = with_keys(&bedrock.url(), &format!("bedrock/{model}"), &[]).start();
        let body = json!({"model": "m", "query": "q", "top_n": 2, "return_documents": true,
                          "documents": ["a", {"text": "b"}]});
        let reply = gateway.client().post("/v1/rerank").json(&body).send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        assert_eq!(reply.json()["results"][0]["index"], 1);
        let mut expected = json!({"query": "q", "top_n": 2, "documents": ["a", "b"]});
        if versioned {
            expected["api_version"] = 2.into();
        }
        assert_eq!(bedrock.last().json(), expected);
        assert_eq!(bedrock.last().path, format!("/model/{}/invoke", model.replace(':', "%3A")));
        is_signed(&bedrock.last());
    }
}

#[test]
fn an_arn_is_called_in_place_of_the_model() {
    let bedrock = Server::start(converse);
    let arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2";
    let encoded =
        "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2";
    for (model, more) in [
        ("bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0", vec![("model_id", arn)]),
        (&*format!("bedrock/converse/{arn}"), vec![]),
        (&*format!("bedrock/{arn}"), vec![("base_model", "anthropic.claude-haiku-4-5")]),
    ] {
        let gateway = with_keys(&bedrock.url(), model, &more).start();
        assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
        let seen = bedrock.last();
        assert_eq!(seen.path, format!("/model/{encoded}/converse"), "{model}");
        is_signed(&seen);
        assert!(seen.json().get("model_id").is_none());
    }
}

#[test]
fn its_own_api_is_passed_with_a_signature_over_the_body() {
    let bedrock = Server::start(|_| {
        let lines = [("x-amzn-requestid", "r-1"), ("set-cookie", "a=b")];
        json_with(
            200,
            &lines,
            &json!({
                "output": {"message": {"role": "assistant", "content": [{"text": "from Bedrock"}]}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
            }),
        )
    });
    let gateway = with_keys(&bedrock.url(), NOVA, &[]).master_key("sk-gateway").start();
    let client = gateway.client().with_key(Some("sk-gateway"));
    // Longer than what a pipeline holds.
    let text = "long ".repeat(60_000);
    let body = json!({"messages": [{"role": "user", "content": [{"text": text}]}]});
    let path = "/bedrock/model/amazon.nova-pro-v1:0/converse";
    let reply = client
        .post(path)
        .header("x-amz-security-token", "of the client")
        .header("x-amz-date", "20200101T000000Z")
        .header("x-amzn-bedrock-trace", "ENABLED")
        .json(&body)
        .send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    assert_eq!(reply.json()["output"]["message"]["content"][0]["text"], "from Bedrock");
    assert_eq!((reply.header("x-amzn-requestid"), reply.header("set-cookie")), ("r-1", ""));
    assert!(!reply.header("x-litellm-model-id").is_empty());
    let seen = bedrock.last();
    assert_eq!(seen.path, "/model/amazon.nova-pro-v1%3A0/converse");
    assert_eq!(seen.json(), body);
    assert_eq!(seen.header("x-amzn-bedrock-trace"), "ENABLED");
    assert_eq!(seen.header("x-amz-security-token"), "");
    is_signed(&seen);
    assert!(!format!("{seen:?}").contains("sk-gateway"), "the client's key stays here");
    let line = gateway.logged(reply.request_id());
    assert_eq!(line["route"], "pass-through");
    assert_eq!(
        (&line["usage"]["input_tokens"], &line["usage"]["output_tokens"]),
        (&json!(3), &json!(2)),
        "{line}"
    );

    let refused = gateway.client().with_key(None).post(path).json(&body).send();
    assert_eq!(refused.status, 401);
    assert_eq!(bedrock.seen().len(), 1);

    let answer = client.request(Method::GET, "/bedrock/guardrails/g?x=a%3Ab").send();
    assert_eq!(answer.status, 200);
    let seen = bedrock.last();
    assert_eq!((&*seen.method, &*seen.path), ("GET", "/guardrails/g?x=a%3Ab"));
}

#[test]
fn what_it_refuses_and_what_is_too_long_is_told_there_too() {
    let bedrock = Server::start(|_| {
        let kind = ("x-amzn-errortype", "ThrottlingException");
        json_with(429, &[kind], &json!({"message": "Too many requests"}))
    });
    let gateway = with_keys(&bedrock.url(), NOVA, &[]).general("max_request_size_mb: 1").start();
    let path = "/bedrock/model/amazon.nova-pro-v1:0/converse";
    let reply = gateway.client().post(path).bytes(vec![b'x'; 2_000_000]).send();
    assert_eq!((reply.status, &*reply.error_code()), (413, "request_too_large"));
    assert!(bedrock.seen().is_empty());
    let reply = gateway.client().post(path).json(&json!({})).send();
    assert_eq!(reply.status, 429);
    assert_eq!(reply.json(), json!({"message": "Too many requests"}), "its own body");
    assert_eq!(reply.header("x-amzn-errortype"), "ThrottlingException");
}

#[test]
fn a_passed_stream_goes_out_as_it_comes_and_is_metered() {
    let provider = Stepped::start();
    let address = format!("http://{}", provider.address());
    let gateway = with_keys(&address, NOVA, &[]).start();
    let client = gateway.client();
    let path = "/bedrock/model/us.anthropic.claude-haiku-4-5-20251001-v1:0/converse-stream";
    let asking = meanwhile(move || client.post(path).json(&json!({"messages": []})).send());
    let mut called = provider.called();
    called.send(
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
         x-amzn-requestid: r-1\r\nconnection: close\r\n\r\n",
    );
    called.send(&STREAM[..100]);
    called.send(&STREAM[100..]);
    called.end();
    let reply = asking.join().unwrap();
    assert_eq!(reply.header("content-type"), "application/vnd.amazon.eventstream");
    assert!(reply.body == STREAM, "{} bytes came", reply.body.len());
    let line = gateway.logged(reply.request_id());
    assert_eq!(
        (&line["usage"]["input_tokens"], &line["usage"]["output_tokens"]),
        (&json!(210), &json!(44)),
        "{line}"
    );
}

#[test]
fn a_passed_request_goes_to_another_deployment_if_one_cannot_be_reached() {
    let bedrock = Server::start(converse);
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let entry = |base: &str, order: u32| {
        format!(
            "- model_name: m\n  litellm_params:\n    model: {NOVA}\n    api_base: {base}\n    \
             aws_region_name: us-east-1\n    aws_access_key_id: AKIDEXAMPLE\n    \
             aws_secret_access_key: s3cret\n    order: {order}\n"
        )
    };
    let list = format!("model_list:\n{}{}", entry(&dead, 1), entry(&bedrock.url(), 2));
    let gateway = gateway::empty().top(&list).variable("AWS_EC2_METADATA_DISABLED", "true").start();
    let path = "/bedrock/model/amazon.nova-pro-v1:0/converse";
    let reply = gateway.client().post(path).json(&json!({"messages": []})).send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    is_signed(&bedrock.last());
}

#[test]
fn tokens_are_counted_by_claude_on_vertex_and_estimated_where_nobody_counts() {
    let vertex = Server::start(|seen: &Seen| match seen.path.contains("count-tokens") {
        true => answers(json!({"input_tokens": 17})),
        false => claude(seen),
    });
    let google = Server::start(tokens(3600));
    let gateway = listed(&[
        ("model", "vertex_ai/claude-sonnet-4-5@20250929"),
        ("api_base", &vertex.url()),
        ("vertex_location", "us-east5"),
        ("vertex_credentials", &service_account(&google)),
    ])
    .start();
    let body = json!({"model": "m", "max_tokens": 9, "temperature": 1,
                      "messages": [{"role": "user", "content": "hi"}]});
    let count = || gateway.client().post("/v1/messages/count_tokens").json(&body).send();
    let reply = count();
    assert_eq!(reply.json(), json!({"input_tokens": 17}), "{}", reply.body_text());
    let seen = vertex.last();
    let models = "/v1/projects/key-project/locations/us-east5/publishers/anthropic/models";
    assert_eq!(seen.path, format!("{models}/count-tokens:rawPredict"));
    assert_eq!(
        seen.json(),
        json!({"model": "claude-sonnet-4-5@20250929", "anthropic_version": "vertex-2023-10-16",
               "messages": [{"role": "user", "content": "hi"}]})
    );

    vertex.now(|_| {
        json_with(
            404,
            &[],
            &json!({"error": {"code": 404, "status": "NOT_FOUND",
                                                          "message": "not here"}}),
        )
    });
    let reply = count();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    assert_eq!(reply.header("x-tollgate-token-count"), "estimated");

    let bedrock = Server::start(|_| {
        let kind = ("x-amzn-errortype", "ValidationException");
        let message = "The provided model doesn't support counting tokens.";
        json_with(400, &[kind], &json!({"message": message}))
    });
    let model = "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0";
    let gateway = with_keys(&bedrock.url(), model, &[]).start();
    let reply = gateway.client().post("/v1/messages/count_tokens").json(&body).send();
    assert_eq!(reply.header("x-tollgate-token-count"), "estimated", "{}", reply.body_text());
    let path = "/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/count-tokens";
    assert_eq!(bedrock.last().path, path);
    assert_eq!(
        bedrock.last().json()["input"]["converse"]["messages"],
        json!([{"role": "user", "content": [{"text": "hi"}]}])
    );
}

#[test]
fn gemini_on_vertex_counts_for_its_own_clients() {
    let vertex = Server::start(|_| answers(json!({"totalTokens": 5})));
    let google = Server::start(tokens(3600));
    let gateway = listed(&[
        ("model", "vertex_ai/gemini-2.5-flash"),
        ("api_base", &vertex.url()),
        ("vertex_location", "us-east5"),
        ("vertex_credentials", &service_account(&google)),
    ])
    .start();
    let body: Value = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let reply = gateway.client().post("/v1beta/models/m:countTokens").json(&body).send();
    assert_eq!(reply.json()["totalTokens"], 5, "{}", reply.body_text());
    let models = "/v1beta1/projects/key-project/locations/us-east5/publishers/google/models";
    assert_eq!(vertex.last().path, format!("{models}/gemini-2.5-flash:countTokens"));
    assert_eq!(vertex.last().json(), body);
}
