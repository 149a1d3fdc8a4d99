use super::*;

const WORDS: &str = "guardrail: litellm_content_filter, mode: post_call, blocked_words: \
                     [{keyword: atlas}, {keyword: rosebud, action: MASK}]";

/// A long way to say something.
fn long(words: usize) -> Vec<String> {
    (0..words).map(|at| format!("word{at} ")).collect()
}

#[test]
fn a_stream_is_cut_before_what_was_found_leaves() {
    let mut said = long(200);
    said.extend(["at", "la", "s", " and more"].map(str::to_owned));
    let provider =
        upstream::openai().replies(stream(said.iter().map(String::as_str)).each_frame_alone()).start();
    let gateway = guarded(&provider, &always("words", WORDS)).start();
    let client = gateway.client();
    let cut = client.stream("gpt", "hi");
    assert!(cut.text().starts_with("word0 word1 "), "{}", cut.text());
    assert!(cut.text().contains("word150 ") && !cut.text().contains("at"), "{}", cut.text());
    assert_eq!(cut.finish_reason(), Some("content_filter"));
    let logged = gateway.logged(cut.request_id());
    assert_eq!((&logged["status"], &logged["error"]), (&json!(200), &json!("guardrail")));

    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "gpt", "max_tokens": 9, "stream": true, "messages": messages});
    let anthropic = client.post("/v1/messages").json(&body).send().body_text();
    assert!(anthropic.contains("word150 ") && !anthropic.contains("\"at"), "{anthropic}");
    let names: Vec<_> =
        anthropic.lines().filter_map(|line| line.strip_prefix("event: ")).rev().take(3).collect();
    assert_eq!(names, ["message_stop", "message_delta", "content_block_stop"]);
    assert!(anthropic.contains(r#""stop_reason":"refusal""#));

    let body = json!({"model": "gpt", "stream": true, "input": "hi"});
    let responses = client.post("/v1/responses").json(&body).send().body_text();
    assert!(responses.contains("response.incomplete") && !responses.contains("\"at\""));
    assert!(responses.contains(r#""reason":"content_filter""#), "{responses}");

    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    for way in ["?alt=sse", ""] {
        let path = format!("/v1beta/models/gpt:streamGenerateContent{way}");
        let google = client.post(&path).json(&body).send().body_text();
        assert!(google.contains("SAFETY") && google.contains("word150"), "{google}");
        if way.is_empty() {
            let frames: Vec<Value> = serde_json::from_str(&google).expect(&google);
            assert!(frames.len() > 2);
        }
    }
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
    let provider =
        upstream::openai().replies(stream(said.iter().map(String::as_str)).each_frame_alone()).start();
    let gateway = guarded(&provider, &always("words", WORDS)).start();
    let expected =
        said.concat().replace("rosebud", "[KEYWORD_REDACTED]").replace("ROSEBUD", "[KEYWORD_REDACTED]");
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
