//! Images and files by URL, for providers that take data only.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const PDF: &[u8] = b"%PDF-1.7\n1 0 obj";
const PNG_BASE64: &str = "iVBORw0KGgoAAAANSUhEUg==";

/// A server of pictures, and of what goes wrong with them.
fn pictures() -> Upstream {
    let at = |path: &'static str| move |it: &Recorded| it.path.split('?').next() == Some(path);
    let to = |place: &str| status(302).header("location", place).body("text/plain", "moved");
    upstream::openai()
        .when(at("/a.png"), body_of("image/png", PNG))
        .when(at("/lies"), body_of("text/plain", PNG))
        .when(at("/a.pdf"), body_of("application/octet-stream", PDF))
        .when(at("/page"), body_of("text/html", "<!doctype html><html></html>"))
        .when(at("/page.png"), body_of("image/png", "<!doctype html><html></html>"))
        .when(at("/large"), body_of("image/png", vec![b'x'; 300_000]))
        .when(at("/endless"), body_of("image/png", vec![b'x'; 300_000]).until_close())
        .when(at("/empty"), body_of("image/png", ""))
        .when(at("/moved"), to("/a.png"))
        .when(at("/round"), to("/round"))
        .when(at("/inside"), to("http://127.0.0.2:1/secret"))
        .when(at("/metadata"), to("http://169.254.169.254/latest/meta-data/"))
        .when(at("/file"), to("file:///etc/passwd"))
        .when(at("/silent"), body_of("image/png", PNG).latency(Duration::from_secs(60)))
        .replies(status(404).body("text/plain", "nothing"))
        .start()
}

fn bedrock(upstream: &Upstream) -> Deployment {
    let model = "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0";
    Deployment::at(model, &upstream.api_base())
}

fn ollama(upstream: &Upstream) -> Deployment {
    Deployment::at("ollama_chat/qwen3", &upstream.api_base())
}

fn vertex_claude(upstream: &Upstream) -> Deployment {
    Deployment::at("vertex_ai/claude-sonnet-4-5@20250929", &upstream.api_base())
}

fn old_gemini(upstream: &Upstream) -> Deployment {
    gemini(upstream).model("gemini/gemini-2.0-flash")
}

/// A gateway that may fetch from the server of pictures, and from nowhere else nearby.
fn allowing(pictures: &Upstream, group: Group) -> gateway::Builder {
    let host = pictures.url();
    let host = host.strip_prefix("http://").unwrap();
    gateway::with(group).litellm(&format!("user_url_allowed_hosts: ['{host}']"))
}

fn seen(model: &str, url: &str) -> Value {
    json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]}]})
}

fn ask(gateway: &Gateway, body: &Value) -> Reply {
    gateway.client().post("/v1/chat/completions").json(body).send()
}

fn counted(gateway: &Gateway, outcome: &str) -> bool {
    let metrics = gateway.get("/metrics").body_text();
    metrics.contains(&format!("tollgate_fetches_total{{outcome=\"{outcome}\"}} 1"))
}

#[test]
fn providers_that_fetch_nothing_get_the_data() {
    type Make = fn(&Upstream) -> Deployment;
    for (upstream, make, pointer, expected) in [
        (
            upstream::gemini(),
            old_gemini as Make,
            "/contents/0/parts/1/inlineData",
            json!({"mimeType": "image/png", "data": PNG_BASE64}),
        ),
        (
            upstream::bedrock(),
            bedrock,
            "/messages/0/content/1/image",
            json!({"format": "png", "source": {"bytes": PNG_BASE64}}),
        ),
        (upstream::ollama(), ollama, "/messages/0/images/0", json!(PNG_BASE64)),
        (
            upstream::anthropic(),
            vertex_claude,
            "/messages/0/content/1/source",
            json!({"type": "base64", "media_type": "image/png", "data": PNG_BASE64}),
        ),
        (
            // Over http Anthropic fetches nothing.
            upstream::anthropic(),
            anthropic,
            "/messages/0/content/1/source",
            json!({"type": "base64", "media_type": "image/png", "data": PNG_BASE64}),
        ),
    ] {
        let (pictures, upstream) = (pictures(), upstream.replies(chat("a cat")).start());
        let gateway = allowing(&pictures, group("g").deployment(make(&upstream))).start();
        for path in ["/a.png?sig=x", "/moved"] {
            let reply = ask(&gateway, &seen("g", &format!("{}{path}", pictures.url())));
            assert_eq!(reply.status, 200, "{pointer}: {}", reply.body_text());
            assert_eq!(reply.text(), "a cat");
            assert_eq!(upstream.last_request().json().pointer(pointer), Some(&expected));
        }
        let asked = &pictures.requests()[0];
        assert_eq!((asked.path.as_str(), asked.key()), ("/a.png?sig=x", None));
        assert_eq!(asked.header("cookie"), None);
        assert_eq!(asked.header("referer"), None);
    }
}

#[test]
fn a_provider_that_fetches_gets_the_address() {
    let pictures = pictures();
    let (openai_s, gemini_s) = (upstream::openai().start(), upstream::gemini().start());
    let gateway = allowing(&pictures, group("o").deployment(&openai_s))
        .and(group("g").deployment(gemini(&gemini_s)))
        .start();
    let url = format!("{}/a.png", pictures.url());
    assert_eq!(ask(&gateway, &seen("o", &url)).status, 200);
    let sent = openai_s.last_request().json();
    assert_eq!(sent["messages"][0]["content"][1]["image_url"]["url"], url);
    assert_eq!(ask(&gateway, &seen("g", "https://example.com/a.png")).status, 200);
    let sent = gemini_s.last_request().json();
    assert_eq!(sent["contents"][0]["parts"][1]["fileData"]["fileUri"], "https://example.com/a.png");

    // Google's own client at OpenAI's model.
    let body = json!({"contents": [{"role": "user", "parts": [
        {"fileData": {"fileUri": url, "mimeType": "image/png"}}]}]});
    let path = "/v1beta/models/o:generateContent";
    assert_eq!(gateway.client().post(path).json(&body).send().status, 200);
    let sent = openai_s.last_request().json();
    assert_eq!(sent["messages"][0]["content"][0]["image_url"]["url"], url);
    assert!(pictures.requests().is_empty());
}

#[test]
fn the_chat_api_of_openai_gets_files_as_data_and_its_responses_api_the_address() {
    let (pictures, upstream) = (pictures(), upstream::openai().start());
    let bridged = Deployment::at("openai/responses/gpt-5", &upstream.api_base());
    let gateway = allowing(&pictures, group("o").deployment(&upstream))
        .and(group("b").deployment(bridged))
        .start();
    let url = format!("{}/a.pdf", pictures.url());
    let messages = |model: &str| {
        let body = json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": [
            {"type": "document", "title": "T", "source": {"type": "url", "url": url}}]}]});
        gateway.client().post("/v1/messages").json(&body).send()
    };
    assert_eq!(messages("o").status, 200);
    let data = "data:application/pdf;base64,JVBERi0xLjcKMSAwIG9iag==";
    let expected = json!({"type": "file", "file": {"file_data": data, "filename": "a.pdf"}});
    assert_eq!(upstream.last_request().json()["messages"][0]["content"][0], expected);
    let body = json!({"model": "o", "input": [{"role": "user", "content": [
        {"type": "input_file", "file_url": url}]}]});
    assert_eq!(gateway.client().post("/v1/responses").json(&body).send().status, 200);
    let expected = json!({"type": "file", "file": {"file_data": data, "filename": "a.pdf"}});
    assert_eq!(upstream.last_request().json()["messages"][0]["content"][0], expected);
    assert_eq!(pictures.requests().len(), 1, "it was kept");

    // Whether it is answered is not what is tried here.
    let _ = messages("b");
    let sent = upstream.last_request().json();
    assert_eq!(sent["input"][0]["content"][0]["file_url"], url, "{sent}");
}

#[test]
fn only_the_fallback_that_needs_it_fetches() {
    let (pictures, openai_s) = (pictures(), upstream::openai().replies(status(500)).start());
    let gemini_s = upstream::gemini().replies(chat("a cat")).start();
    let gateway = allowing(&pictures, group("o").deployment(&openai_s))
        .and(group("g").deployment(old_gemini(&gemini_s)))
        .router("fallbacks: [{o: [g]}]\nnum_retries: 0")
        .start();
    let reply = ask(&gateway, &seen("o", &format!("{}/a.png", pictures.url())));
    assert_eq!(reply.text(), "a cat");
    assert_eq!(pictures.requests().len(), 1);
}

#[test]
fn clients_of_every_dialect_get_their_images_sent() {
    let pictures = pictures();
    let url = format!("{}/lies", pictures.url());
    let document = format!("{}/a.pdf", pictures.url());
    let (gemini_s, claude) = (upstream::gemini().start(), upstream::anthropic().start());
    let gateway = allowing(&pictures, group("g").deployment(old_gemini(&gemini_s)))
        .and(group("c").deployment(vertex_claude(&claude)))
        .start();
    let source =
        |kind: &str, url: &str| json!({"type": kind, "source": {"type": "url", "url": url}});
    let messages = |model: &str| {
        json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": [
            source("image", &url), source("document", &document),
            {"type": "text", "text": "?"}]}]})
    };
    let contents = json!({"contents": [{"role": "user", "parts": [
        {"fileData": {"fileUri": url, "mimeType": "image/png"}},
        {"fileData": {"fileUri": document, "mimeType": "application/pdf"}}]}]});
    let input = json!({"model": "g", "input": [{"role": "user", "content": [
        {"type": "input_image", "image_url": url}, {"type": "input_file", "file_url": document},
    ]}]});
    let pdf = json!({"mimeType": "application/pdf", "data": "JVBERi0xLjcKMSAwIG9iag=="});
    for (path, body) in [("/v1/messages", messages("g")), ("/v1/responses", input)] {
        let reply = gateway.client().post(path).json(&body).send();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        let sent = gemini_s.last_request().json();
        let parts = &sent["contents"][0]["parts"];
        let image = json!({"mimeType": "image/png", "data": PNG_BASE64});
        assert_eq!(parts[0]["inlineData"], image, "{path}");
        assert_eq!(parts[1]["inlineData"], pdf, "{path}");
    }
    // The client's own words reach Claude, and Google's client is translated for it.
    for (path, body) in
        [("/v1/messages", messages("c")), ("/v1beta/models/c:generateContent", contents)]
    {
        let reply = gateway.client().post(path).json(&body).send();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        let sent = claude.last_request().json();
        let content = &sent["messages"][0]["content"];
        assert_eq!(content[0]["source"]["data"], PNG_BASE64, "{path}");
        assert_eq!(content[1]["source"]["media_type"], "application/pdf", "{path}");
    }
    assert_eq!(pictures.requests().len(), 2, "each is fetched once");
    assert!(counted(&gateway, "fetched") || gateway.get("/metrics").body_text().contains("kept"));
}

#[test]
fn what_cannot_be_fetched_is_the_requests_fault() {
    let (pictures, upstream) = (pictures(), upstream::gemini().start());
    let gateway = allowing(&pictures, group("g").deployment(old_gemini(&upstream)))
        .general("max_image_url_download_size_mb: 0.25")
        .start();
    let base = pictures.url();
    for (path, reason) in [
        ("/none?sig=hunter2", "its server answered with status 404"),
        ("/page", "it is text/html, which is no image"),
        ("/page.png", "it is text/html, which is no image"),
        ("/large", "it is larger than 0.25 MB"),
        ("/endless", "it is larger than 0.25 MB"),
        ("/empty", "there is nothing"),
        ("/round", "it is redirected more than 3 times"),
        ("/inside", "only those are fetched from"),
        ("/metadata", "only those are fetched from"),
        ("/file", "only http and https addresses are fetched"),
    ] {
        let reply = ask(&gateway, &seen("g", &format!("{base}{path}")));
        assert_eq!(reply.status, 400, "{path}: {}", reply.body_text());
        assert!(reply.error_message().ends_with(reason), "{path}: {}", reply.error_message());
        assert!(!reply.body_text().contains("hunter2"));
        assert_eq!(reply.error_code(), "invalid_image_url");
        let error = &reply.json()["error"];
        assert_eq!(error["param"], "messages[0].content[1].image_url");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let messages = json!({"model": "g", "max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": format!("{base}/none")}}]}]});
    let reply = gateway.client().post("/v1/messages").json(&messages).send();
    assert_eq!((reply.status, &reply.json()["type"]), (400, &json!("error")));
    assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    assert!(upstream.requests().is_empty());
    assert_eq!(gateway.cooling("g"), 0);
    assert!(!gateway.output().contains("hunter2") && !gateway.messages().contains("hunter2"));
}

#[test]
fn private_addresses_are_refused_unless_allowed() {
    let (pictures, upstream) = (pictures(), upstream::gemini().start());
    let port = pictures.url().rsplit(':').next().unwrap().to_owned();
    let deployment = || group("g").deployment(old_gemini(&upstream));
    let gateway = gateway::with(deployment()).start();
    for host in [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "0x7f.1",
        "2130706433",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "169.254.169.254",
    ] {
        let reply = ask(&gateway, &seen("g", &format!("http://{host}:{port}/a.png")));
        assert_eq!(reply.status, 400, "{host}: {}", reply.body_text());
        let message = reply.error_message();
        let is_refused = message.contains("has no public address");
        assert!(is_refused || host == "localhost." && message.contains("not known"), "{message}");
    }
    assert!(pictures.requests().is_empty() && upstream.requests().is_empty());

    for (settings, variable, expected) in [
        ("user_url_allowed_hosts: ['127.0.0.1']", None, 200),
        ("user_url_allowed_hosts: ['127.0.0.1:1', localhost]", None, 400),
        ("user_url_validation: false", None, 200),
        ("user_url_validation: false", Some("0"), 400),
        ("user_url_validation: false", Some("1"), 200),
    ] {
        let mut gateway = gateway::with(deployment()).litellm(settings);
        if let Some(variable) = variable {
            gateway = gateway.variable("MAX_IMAGE_URL_DOWNLOAD_SIZE_MB", variable);
        }
        let gateway = gateway.start();
        let reply = ask(&gateway, &seen("g", &format!("http://127.0.0.1:{port}/a.png")));
        assert_eq!(reply.status, expected, "{settings} {variable:?}: {}", reply.body_text());
    }
}

#[test]
fn a_server_that_is_silent_is_not_the_providers_fault() {
    let (pictures, upstream) = (pictures(), upstream::gemini().start());
    let one = || old_gemini(&upstream);
    let gateway = allowing(&pictures, group("g").deployment(one()).deployment(one())).start();
    let body = seen("g", &format!("{}/silent", pictures.url()));
    let ask = gateway.client().post("/v1/chat/completions").json(&body).set("timeout", 0.2);
    let reply = ask.send();
    assert_eq!(reply.status, 400, "{}", reply.body_text());
    let told = "its server did not send it within 0.2 seconds";
    assert!(reply.error_message().ends_with(told), "{}", reply.error_message());
    assert!(upstream.requests().is_empty());
    assert_eq!(gateway.cooling("g"), 0);
}

#[test]
fn a_deployment_that_fetches_itself_takes_what_another_refused() {
    let (ollama_s, openai_s) = (upstream::ollama().start(), upstream::openai().start());
    let first = ollama(&ollama_s).with("order: 1");
    let second = openai(&openai_s).with("order: 2");
    let gateway = gateway::with(group("g").deployment(first).deployment(second)).start();
    let reply = ask(&gateway, &seen("g", "http://10.0.0.1/a.png"));
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    assert_eq!((ollama_s.requests().len(), openai_s.requests().len()), (0, 1));
}

#[test]
fn many_that_want_the_same_ask_once() {
    let slow = upstream::openai()
        .replies(body_of("image/png", PNG).latency(Duration::from_millis(300)))
        .start();
    let upstream = upstream::gemini().start();
    let gateway = allowing(&slow, group("g").deployment(old_gemini(&upstream))).start();
    let url = format!("{}/a.png", slow.url());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(ask(&gateway, &seen("g", &url)).status, 200));
        }
    });
    let twice = json!({"model": "g", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": {"url": url}}]}]});
    assert_eq!(ask(&gateway, &twice).status, 200);
    assert_eq!((slow.requests().len(), upstream.requests().len()), (1, 7));
    assert!(counted(&gateway, "fetched"));
}

#[test]
fn what_is_fetched_counts_towards_the_size_of_the_request() {
    let (pictures, upstream) = (pictures(), upstream::gemini().start());
    let gateway = allowing(&pictures, group("g").deployment(old_gemini(&upstream)))
        .general("max_request_size_mb: 0.25")
        .start();
    let reply = ask(&gateway, &seen("g", &format!("{}/large", pictures.url())));
    assert_eq!(reply.status, 400, "{}", reply.body_text());
    assert!(reply.error_message().contains("larger than 262144 bytes"), "{}", reply.body_text());
}
