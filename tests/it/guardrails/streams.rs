use super::*;

const WORDS: &str = "guardrail: litellm_content_filter, mode: post_call, blocked_words: \
                     [{keyword: atlas}, {keyword: rosebud, action: MASK}]";

/// A long way to say something.
fn long(words: usize) -> Vec<String> {
    (0..words).map(|at| format!("word{at} ")).collect()
}

/// A stream that stalls where most of it is out, and then says the word.
fn dangerous() -> mock::Reply {
    let mut said = long(200);
    said.extend(["at", "la", "s", " and more"].map(str::to_owned));
    stream(said.iter().map(String::as_str)).each_frame_alone()
}

/// All that a client gets of a stream, of which something is out before the word is said.
#[track_caller]
fn cut(gateway: &Gateway, provider: &Upstream, path: &str, body: &Value) -> (Stream, String) {
    let mut open = gateway.client().post(path).json(body).open();
    // As much as the window lets out.
    while open.next_frame().is_some_and(|frame| !format!("{frame:?}").contains("word150 ")) {}
    provider.release();
    let stream = open.read_to_end();
    let all = String::from_utf8_lossy(&stream.bytes).into_owned();
    (stream, all)
}

#[test]
fn a_stream_is_cut_before_what_was_found_leaves() {
    let provider = upstream::openai().replies(dangerous().stall_after(190)).start();
    let gateway = guarded(&provider, &always("words", WORDS)).start();
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "gpt", "max_tokens": 9, "stream": true, "messages": messages});

    let (chat, _) = cut(&gateway, &provider, "/v1/chat/completions", &body);
    assert!(chat.text().starts_with("word0 word1 "), "{}", chat.text());
    assert!(chat.text().contains("word150 ") && !chat.text().contains("at"), "{}", chat.text());
    assert_eq!(chat.finish_reason(), Some("content_filter"));
    let logged = gateway.logged(chat.request_id());
    assert_eq!((&logged["status"], &logged["error"]), (&json!(200), &json!("guardrail")));

    let (_, anthropic) = cut(&gateway, &provider, "/v1/messages", &body);
    assert!(anthropic.contains("word150 ") && !anthropic.contains("\"at"), "{anthropic}");
    let names = anthropic.lines().filter_map(|line| line.strip_prefix("event: "));
    let names: Vec<_> = names.collect();
    assert!(names.ends_with(&["content_block_stop", "message_delta", "message_stop"]), "{names:?}");
    assert!(anthropic.contains(r#""stop_reason":"refusal""#));

    let body = json!({"model": "gpt", "stream": true, "input": "hi"});
    let (_, responses) = cut(&gateway, &provider, "/v1/responses", &body);
    assert!(responses.contains("response.incomplete") && !responses.contains("\"at\""));
    assert!(responses.contains(r#""reason":"content_filter""#), "{responses}");

    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let path = "/v1beta/models/gpt:streamGenerateContent";
    let (_, google) = cut(&gateway, &provider, &format!("{path}?alt=sse"), &body);
    assert!(google.contains("SAFETY") && google.contains("word150 "), "{google}");

    provider.now_replies(dangerous().gap(std::time::Duration::from_millis(2)));
    let array = gateway.client().post(path).json(&body).send().body_text();
    let frames: Vec<Value> = serde_json::from_str(&array).expect(&array);
    assert_eq!(frames.last().unwrap()["candidates"][0]["finishReason"], "SAFETY", "{array}");
}

#[test]
fn a_stream_of_which_nothing_is_out_is_an_error() {
    let provider = upstream::openai().replies(stream(["of ", "At", "las"])).start();
    let gateway = guarded(&provider, &always("words", WORDS)).start();
    let reply = gateway.client().ask("gpt", "hi").set("stream", true).send();
    assert_eq!((reply.status, &*reply.error_code()), (400, "guardrail_violation"));
}

#[test]
fn what_is_masked_is_masked_across_pieces_and_everywhere_it_is_told() {
    let mut said = long(60);
    said.extend(["ro", "se", "bud, ", "then ROSEBUD again"].map(str::to_owned));
    said.extend(long(60));
    let provider = upstream::openai()
        .replies(stream(said.iter().map(String::as_str)).each_frame_alone())
        .start();
    let gateway = guarded(&provider, &always("words", WORDS)).start();
    let expected = said
        .concat()
        .replace("rosebud", "[KEYWORD_REDACTED]")
        .replace("ROSEBUD", "[KEYWORD_REDACTED]");
    let told = gateway.client().stream("gpt", "hi");
    assert_eq!(told.text(), expected);
    assert_eq!(told.finish_reason(), Some("stop"));
    let body = json!({"model": "gpt", "stream": true, "input": "hi"});
    let responses = gateway.client().post("/v1/responses").json(&body).send().body_text();
    assert!(!responses.to_lowercase().contains("rosebud"), "{responses}");
    assert!(responses.contains("response.completed"));
}

#[test]
fn what_was_looked_at_leaves_before_the_end() {
    let mut said = long(300);
    said.push("end".to_owned());
    let reply = stream(said.iter().map(String::as_str)).each_frame_alone().stall_after(200);
    let provider = upstream::openai().replies(reply).start();
    let gateway = guarded(&provider, &always("words", WORDS)).start();
    let mut open = gateway.client().ask("gpt", "hi").open();
    assert_eq!(open.next_text().as_deref(), Some("word0 "), "while the provider is still speaking");
    provider.release();
    assert!(open.read_to_end().text().ends_with("end"));
}

#[test]
fn a_stream_that_breaks_gives_what_may_be_said_of_it() {
    let said = long(100);
    let reply = stream(said.iter().map(String::as_str)).each_frame_alone().cut_after(50);
    let provider = upstream::openai().replies(reply).start();
    let gateway = guarded(&provider, &always("words", WORDS)).start();
    let broken = gateway.client().stream("gpt", "hi");
    assert!(broken.text().contains("word45 "), "{}", broken.text());
    assert!(broken.error_code().is_some());
}

#[test]
fn streams_may_be_looked_at_once_at_their_end() {
    let mut said = long(100);
    said.push("atlas".to_owned());
    let provider = upstream::openai().replies(stream(said.iter().map(String::as_str))).start();
    let params = format!("{WORDS}, streaming_end_of_stream_only: true");
    let gateway = guarded(&provider, &always("words", &params)).start();
    let reply = gateway.client().ask("gpt", "hi").set("stream", true).send();
    assert_eq!(reply.status, 400, "nothing has left: {}", reply.body_text());
}
