//! What is no conversation: images, sound, orders of documents, moderation.

use serde_json::{Value, json};

use crate::harness::client::Ask;
use crate::harness::*;

const BOUNDARY: &str = "----tests-7MA4YWxk";

/// A form with fields and one file, whose content is bytes that are no text.
pub fn form(ask: Ask, fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Ask {
    let mut body = Vec::new();
    let mut part = |head: &str, content: &[u8]| {
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    };
    if let Some((name, content)) = file {
        part(&format!("name=\"{name}\"; filename=\"a.bin\"\r\nContent-Type: audio/wav"), content);
    }
    for (name, value) in fields {
        part(&format!("name=\"{name}\""), value.as_bytes());
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    ask.header("content-type", &format!("multipart/form-data; boundary={BOUNDARY}")).bytes(body)
}

fn sound() -> Vec<u8> {
    (0..=255u8).cycle().take(300_000).collect()
}

pub fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

fn at(model: &str, upstream: &Upstream) -> Deployment {
    Deployment::at(model, &upstream.api_base())
}

fn images() -> Value {
    json!({"created": 1, "data": [{"b64_json": "AAAA"}], "usage": {"total_tokens": 110,
        "input_tokens": 10, "output_tokens": 100, "input_tokens_details": {"text_tokens": 10, "image_tokens": 0}}})
}

// --- JSON ---

#[test]
fn json_endpoints_are_routed_and_metered_like_chat() {
    for (path, model, mut body, reply, unit) in [
        (
            "/images/generations",
            "openai/gpt-image-1",
            json!({"prompt": "a cat", "n": 1, "output_format": "webp"}),
            images(),
            ("images", json!(1)),
        ),
        (
            "/moderations",
            "openai/omni-moderation-latest",
            json!({"input": ["a", "b"]}),
            json!({"id": "modr-1", "model": "omni-moderation-latest", "results": [{"flagged": false}]}),
            ("input_tokens", json!(0)),
        ),
        (
            "/rerank",
            "jina_ai/jina-reranker-v2-base-multilingual",
            json!({"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}),
            json!({"model": "j", "results": [{"index": 1, "relevance_score": 0.5}],
                "usage": {"total_tokens": 15}}),
            ("input_tokens", json!(15)),
        ),
    ] {
        let busy = upstream::openai().replies(status(429)).start();
        let free = upstream::openai().replies(json(&reply)).start();
        let gateway = gateway::with(
            group("m").deployment(at(model, &busy).order(1)).deployment(at(model, &free).order(2)),
        )
        .start();
        let client = gateway.client();
        for path in [
            format!("/v1{path}"),
            path.to_owned(),
            format!("/openai/deployments/m{path}"),
            format!("/engines/m{path}"),
        ] {
            body["model"] = json!("m");
            body["num_retries"] = json!(2);
            let answer = client.post(&path).json(&body).send();
            assert_eq!(answer.status, 200, "{path}: {}", answer.body_text());
            assert_eq!(answer.json(), reply, "{path}");
            assert_eq!(answer.header("content-type"), "application/json");
            let mut sent = body.clone();
            sent["model"] = json!(model.split_once('/').unwrap().1);
            sent.as_object_mut().unwrap().remove("num_retries");
            assert_eq!(free.last_request().json(), sent, "{path}");
            let log = gateway.logged(answer.request_id());
            assert_eq!(log["usage"][unit.0], unit.1, "{log}");
            assert_eq!(log["usage"]["estimated"], false, "{log}");
        }
        assert!(busy.request_count() > 0);
    }
}

#[test]
fn images_cost_by_token_or_by_the_piece() {
    let drawn = upstream::openai().replies(json(&images())).start();
    let piece = json!({"created": 1, "data": [{"url": "u"}, {"url": "v"}]});
    let pieces = upstream::openai().replies(json(&piece)).start();
    let gateway = gateway::with(group("tokens").deployment(at("openai/gpt-image-1", &drawn)))
        .and(
            group("pieces")
                .deployment(at("openai/own-images", &pieces).info("output_cost_per_image: 0.04")),
        )
        .start();
    let cost = |model: &str| {
        let body = json!({"model": model, "prompt": "a cat"});
        let reply = gateway.client().post("/v1/images/generations").json(&body).send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        gateway.logged(reply.request_id())["cost_usd"].as_f64().unwrap()
    };
    assert!((cost("tokens") - (10.0 * 5e-6 + 100.0 * 4e-5)).abs() < 1e-9);
    assert!((cost("pieces") - 0.08).abs() < 1e-9);
    let metrics = gateway.get("/metrics").body_text();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("tollgate_units_total") && line.contains("\"pieces\""));
    assert!(
        line.is_some_and(|line| line.contains("unit=\"images\"") && line.ends_with(" 2")),
        "{line:?}"
    );
}

#[test]
fn streamed_images_pass_as_they_are() {
    let events = [
        "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA\"}\n\n",
        "event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"AAAA\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7,\"total_tokens\":12}}\n\n",
    ];
    let upstream = upstream::openai().replies(frames(events)).start();
    let broken = upstream::openai().replies(frames([events[0]])).start();
    let gateway = gateway::with(group("m").deployment(at("openai/gpt-image-1", &upstream)))
        .and(group("broken").deployment(at("openai/gpt-image-1", &broken)))
        .start();
    let ask = |model: &str| {
        let body = json!({"model": model, "prompt": "a cat", "partial_images": 1});
        gateway.client().post("/v1/images/generations").json(&body).stream()
    };
    let stream = ask("m");
    assert_eq!((stream.status, stream.bytes.as_slice()), (200, events.concat().as_bytes()));
    assert!(stream.header("content-type").starts_with("text/event-stream"));
    let log = gateway.logged(stream.request_id());
    assert_eq!((&log["usage"]["output_tokens"], &log["usage"]["images"]), (&json!(7), &json!(1)));
    assert_eq!(upstream.last_request().json()["stream"], true);
    let cut = ask("broken");
    assert!(cut.error.is_some(), "{:?}", String::from_utf8_lossy(&cut.bytes));
}

#[test]
fn what_an_endpoint_cannot_do_without_is_asked_for() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("m").deployment(&upstream)).start();
    let client = gateway.client();
    for (path, body, param) in [
        ("/v1/images/generations", json!({"model": "m"}), "prompt"),
        ("/v1/audio/speech", json!({"model": "m", "input": ["a"]}), "input"),
        ("/v1/moderations", json!({"model": "m"}), "input"),
        ("/v1/rerank", json!({"model": "m", "documents": []}), "query"),
        ("/v2/rerank", json!({"model": "m", "query": "q"}), "documents"),
        ("/v1/audio/speech", json!({"input": "a"}), "model"),
        ("/v1/images/edits", json!({"image": "a"}), "model"),
    ] {
        let reply = client.post(path).json(&body).send();
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(param)), "{path}");
    }
    // OpenAI has a model for this if none is named; here it has to be there.
    let reply = client.post("/v1/moderations").json(&json!({"input": "a"})).send();
    assert_eq!((reply.status, reply.error_code().as_str()), (404, "model_not_found"));
    for path in ["/v1/audio/speech", "/v1/rerank", "/engines/m/images/edits"] {
        let reply = client.get(path);
        assert_eq!((reply.status, reply.header("allow")), (405, "POST, OPTIONS"), "{path}");
    }
    assert_eq!(upstream.request_count(), 0);
}

// --- Rerank ---

#[test]
fn rerank_providers_get_their_own_words_at_their_own_paths() {
    let results = json!([{"index": 0, "relevance_score": 0.9}]);
    for (model, path, field, reply) in [
        (
            "cohere/rerank-v3.5",
            "/v2/rerank",
            "top_n",
            json!({"id": "r", "results": results, "meta": {"billed_units": {"search_units": 1}}}),
        ),
        (
            "voyage/rerank-2",
            "/v1/rerank",
            "top_k",
            json!({"object": "list", "data": results, "usage": {"total_tokens": 3}}),
        ),
        ("together_ai/rerank", "/v1/rerank", "top_n", json!({"results": results})),
        ("hosted_vllm/bge", "/v1/rerank", "top_n", json!({"results": results})),
        ("infinity/bge", "/v1/rerank", "top_n", json!({"results": results})),
    ] {
        let upstream = upstream::openai().replies(json(&reply)).start();
        let gateway = gateway::with(group("m").deployment(at(model, &upstream))).start();
        for served in ["/v1/rerank", "/v2/rerank", "/rerank"] {
            let body = json!({"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1});
            let answer = gateway.client().post(served).json(&body).send();
            assert_eq!(answer.status, 200, "{model}: {}", answer.body_text());
            assert_eq!(answer.json()["results"], results, "{model}");
            let request = upstream.last_request();
            assert_eq!(
                (request.path.as_str(), &request.json()[field]),
                (path, &json!(1)),
                "{model}"
            );
        }
    }
}

// --- Forms ---

#[test]
fn a_form_is_sent_on_with_its_file_untouched_also_after_a_failure() {
    let transcript = json!({"text": "hi", "usage": {"type": "duration", "seconds": 30}});
    let busy = upstream::openai().replies(status(429)).start();
    let free = upstream::openai().replies(json(&transcript)).start();
    let gateway = gateway::with(
        group("m")
            .deployment(at("openai/whisper-1", &busy).order(1))
            .deployment(at("openai/whisper-1", &free).order(2).with("temperature: 0.5")),
    )
    .start();
    let sound = sound();
    for path in [
        "/v1/audio/transcriptions",
        "/audio/translations",
        "/openai/deployments/m/audio/transcriptions",
    ] {
        let fields =
            [("model", "m"), ("language", "de"), ("num_retries", "2"), ("include[]", "logprobs")];
        let ask = form(gateway.client().post(path), &fields, Some(("file", &sound)));
        let reply = ask.send();
        assert_eq!((reply.status, reply.json()), (200, transcript.clone()), "{path}");
        let sent = free.last_request();
        assert!(sent.path.starts_with("/v1/audio/"), "{}", sent.path);
        assert_eq!(
            sent.header("content-type").unwrap(),
            format!("multipart/form-data; boundary=\"{BOUNDARY}\"")
        );
        assert!(holds(&sent.body, &sound), "the file is whole");
        assert!(holds(&sent.body, b"name=\"model\"\r\n\r\nwhisper-1\r\n"));
        assert!(holds(&sent.body, b"name=\"temperature\"\r\n\r\n0.5\r\n"));
        assert!(holds(&sent.body, b"name=\"include[]\"\r\n\r\nlogprobs\r\n"));
        assert!(!holds(&sent.body, b"num_retries"));
        let log = gateway.logged(reply.request_id());
        assert_eq!(log["usage"]["audio_seconds"], 30.0, "{log}");
        assert!((log["cost_usd"].as_f64().unwrap() - 0.003).abs() < 1e-9, "{log}");
    }
    assert!(holds(&busy.last_request().body, &sound), "the first got it as well");
}

#[test]
fn image_edits_are_forms_too() {
    let upstream = upstream::openai().replies(json(&images())).start();
    let azure = upstream::azure().replies(json(&images())).start();
    let gateway = gateway::with(group("m").deployment(at("openai/gpt-image-1", &upstream)))
        .and(
            group("azure").deployment(
                Deployment::at("azure/my-images", &azure.api_base())
                    .with("api_version: '2025-04-01-preview'"),
            ),
        )
        .start();
    for (path, model) in
        [("/v1/images/edits", "m"), ("/v1/images/edits", "azure"), ("/v1/images/variations", "m")]
    {
        let fields = [("model", model), ("prompt", "more cats")];
        let reply = form(gateway.client().post(path), &fields, Some(("image[]", &sound()))).send();
        assert_eq!((reply.status, reply.json()), (200, images()), "{path} {model}");
    }
    let sent = azure.last_request();
    assert_eq!(
        sent.path,
        "/openai/deployments/my-images/images/edits?api-version=2025-04-01-preview"
    );
    assert!(!holds(&sent.body, b"name=\"model\""), "the path names it");
}

#[test]
fn transcripts_that_are_no_json_keep_their_type() {
    let subtitles = "WEBVTT\n\n00:00.000 --> 00:02.500\nHi\n";
    let upstream = upstream::openai().replies(body_of("text/vtt", subtitles)).start();
    let page = upstream::openai().replies(body_of("text/html", "<html>")).start();
    let gateway = gateway::with(group("m").deployment(at("openai/whisper-1", &upstream)))
        .and(group("page").deployment(at("openai/whisper-1", &page)))
        .start();
    let ask = |model: &str| {
        let fields = [("model", model), ("response_format", "vtt")];
        form(gateway.client().post("/v1/audio/transcriptions"), &fields, Some(("file", b"RIFF")))
            .send()
    };
    let reply = ask("m");
    assert_eq!((reply.status, reply.body_text().as_str()), (200, subtitles));
    assert_eq!(reply.header("content-type"), "text/vtt");
    let log = gateway.logged(reply.request_id());
    assert_eq!(
        (&log["usage"]["audio_seconds"], &log["usage"]["estimated"]),
        (&json!(2.5), &json!(true))
    );
    assert_eq!(ask("page").status, 502, "a page is no transcript");
}

#[test]
fn transcripts_can_be_streamed_and_need_not_be() {
    let events = [
        "data: {\"type\":\"transcript.text.delta\",\"delta\":\"h\"}\n\n",
        "data: {\"type\":\"transcript.text.done\",\"text\":\"hi\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":4,\"output_tokens\":2,\"total_tokens\":6}}\n\n",
    ];
    let upstream = upstream::openai().replies(frames(events)).start();
    let whole = upstream::openai().replies(json(&json!({"text": "hi"}))).start();
    let gateway = gateway::with(group("m").deployment(at("openai/gpt-4o-transcribe", &upstream)))
        .and(group("whisper").deployment(at("openai/whisper-1", &whole)))
        .start();
    let ask = |model: &str| {
        let fields = [("model", model), ("stream", "true")];
        form(gateway.client().post("/v1/audio/transcriptions"), &fields, Some(("file", b"RIFF")))
            .send()
    };
    let reply = ask("m");
    assert_eq!((reply.status, reply.body_text()), (200, events.concat()));
    assert!(reply.header("content-type").starts_with("text/event-stream"));
    assert_eq!(gateway.logged(reply.request_id())["usage"]["input_tokens"], 4);
    let reply = ask("whisper");
    assert_eq!((reply.status, reply.json()), (200, json!({"text": "hi"})), "it cannot stream");
}

#[test]
fn forms_that_are_none_are_refused_before_any_call() {
    let upstream = upstream::openai().start();
    let gateway =
        gateway::with(group("m").deployment(&upstream)).general("max_request_size_mb: 1").start();
    let post = || gateway.client().post("/v1/audio/transcriptions");
    let code = |ask: Ask| {
        let reply = ask.send();
        (reply.status, reply.error_code())
    };
    let kind = "multipart/form-data; boundary=x";
    assert_eq!(
        code(post().header("content-type", kind).bytes("--y--")),
        (400, "invalid_form".into())
    );
    assert_eq!(
        code(post().header("content-type", "multipart/form-data").bytes("--y--")),
        (400, "invalid_form".into())
    );
    assert_eq!(code(post().bytes("--y--")), (400, "invalid_json".into()));
    let reply = form(post(), &[("file", "no file")], None).send();
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("model")));
    let reply = form(post(), &[("model", "m")], None).send();
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("file")));
    let large = vec![0u8; 2 * 1024 * 1024];
    let reply = form(post(), &[("model", "m")], Some(("file", &large))).send();
    assert_eq!(reply.status, 413, "{}", reply.body_text());
    assert_eq!(upstream.request_count(), 0);
}

// --- Sound ---

#[test]
fn speech_arrives_as_it_is_made() {
    let sound = sound();
    let busy = upstream::openai().replies(status(500)).start();
    let upstream = upstream::openai().replies(body_of("audio/mpeg", sound.clone())).start();
    let gateway = gateway::with(
        group("m")
            .deployment(at("openai/tts-1", &busy).order(1))
            .deployment(at("openai/tts-1", &upstream).order(2)),
    )
    .start();
    let body = json!({"model": "m", "input": "Grüße", "voice": "alloy"});
    let reply = gateway.client().post("/v1/audio/speech").json(&body).send();
    assert_eq!((reply.status, reply.header("content-type")), (200, "audio/mpeg"));
    assert_eq!(reply.header("content-length"), sound.len().to_string());
    assert!(reply.body == sound);
    let log = gateway.logged(reply.request_id());
    assert_eq!(log["usage"]["characters"], 5, "{log}");
    assert!((log["cost_usd"].as_f64().unwrap() - 5.0 * 15e-6).abs() < 1e-9, "{log}");
    assert_eq!(log["attempts"].as_array().map(Vec::len), Some(2), "{log}");
}

#[test]
fn speech_is_not_held_back() {
    let stalled = body_of("audio/mpeg", sound()).chunked().stall_after(Point::Bytes(1000));
    let upstream = upstream::openai().replies(stalled).start();
    let gateway = gateway::with(group("m").deployment(at("openai/tts-1", &upstream))).start();
    let body = json!({"model": "m", "input": "hi", "voice": "alloy"}).to_string();
    let mut connection = raw::connect(&gateway);
    connection.send(raw::post("/v1/audio/speech", body.as_bytes()));
    // The rest is still to be made.
    let head = connection.read_head();
    assert_eq!((head.status, head.header("content-type")), (200, "audio/mpeg"));
    let first = connection.read_chunk();
    assert!(!first.is_empty() && sound().starts_with(&first), "{} bytes", first.len());
    drop(connection);
    assert!(upstream.wait_for_disconnect(patience()).is_some(), "nobody listens any more");
}

#[test]
fn speech_that_breaks_off_does_not_look_complete() {
    for reply in [
        body_of("audio/mpeg", sound()).cut_after(Point::Bytes(100_000)),
        body_of("audio/mpeg", sound()).chunked().cut_after(Point::Bytes(100_000)),
    ] {
        let upstream = upstream::openai().replies(reply).start();
        let gateway = gateway::with(group("m").deployment(at("openai/tts-1", &upstream))).start();
        let body = json!({"model": "m", "input": "hi", "voice": "alloy"});
        let ask = gateway.client().post("/v1/audio/speech").header("x-request-id", "broken");
        assert!(ask.json(&body).try_send().is_err());
        let log = gateway.logged("broken");
        assert_eq!(
            (&log["error"], &log["client_disconnected"]),
            (&json!("connection"), &json!(false)),
            "{log}"
        );
    }
}

#[test]
fn speech_as_events_passes_as_it_is() {
    let events = [
        "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AA\"}\n\n",
        "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":4,\"output_tokens\":20,\"total_tokens\":24}}\n\n",
    ];
    let upstream = upstream::openai().replies(frames(events)).start();
    let gateway =
        gateway::with(group("m").deployment(at("openai/gpt-4o-mini-tts", &upstream))).start();
    let body = json!({"model": "m", "input": "hi", "voice": "alloy", "stream_format": "sse"});
    let reply = gateway.client().post("/v1/audio/speech").json(&body).send();
    assert_eq!((reply.status, reply.body_text()), (200, events.concat()));
    let log = gateway.logged(reply.request_id());
    assert_eq!((&log["usage"]["output_tokens"], &log["stream"]), (&json!(20), &json!(true)));
}
