//! Prompts and replies, where callbacks are to be told them: as guardrails let them on, and not of requests
//! that say no.

use serde_json::json;

use super::*;

const PII: &str = "guardrails:\n- {guardrail_name: g, litellm_params: {guardrail: pii, mode: pre_call, \
                   default_on: true}}\n";

/// A gateway that tells the receiver what is said.
fn telling(group: Group, receiver: &Upstream) -> gateway::Builder {
    told(group, "callbacks: [generic_api]\nturn_off_message_logging: false")
        .variable("GENERIC_LOGGER_ENDPOINT", &format!("{}/logs", receiver.url()))
}

#[test]
fn what_a_guardrail_hides_is_hidden_from_callbacks_too() {
    let upstream = upstream::openai().replies(chat("I wrote to jane@example.com")).start();
    let receiver = receiver();
    let gateway = telling(group("gpt").deployment(&upstream), &receiver).top(PII).start();
    let reply = gateway.client().chat("gpt", "write to jane@example.com");
    assert_eq!(reply.text(), "I wrote to jane@example.com");

    let payload = wait_for(&receiver, 1).remove(0);
    let asked = payload["messages"][0]["content"].as_str().unwrap();
    assert!(asked.starts_with("write to ") && !asked.contains("jane"), "{payload:#}");
    let said = payload["response"]["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(said.starts_with("I wrote to ") && !said.contains("jane"), "{payload:#}");
    let raw = String::from_utf8_lossy(&receiver.last_request().body).into_owned();
    assert!(!raw.contains("jane@example.com"), "{raw}");
}

#[test]
fn a_stream_is_told_as_one_reply_and_a_failure_with_its_words() {
    let upstream = upstream::openai()
        .first_replies([stream(["Hel", "lo"])])
        .replies(
            status(400).body("application/json", r#"{"error": {"message": "the plan is bad"}}"#),
        )
        .start();
    let receiver = receiver();
    let gateway = telling(group("gpt").deployment(&upstream), &receiver).start();
    let client = gateway.client();
    let streamed = client.ask("gpt", "the plan").stream();
    assert_eq!(streamed.text(), "Hello");
    let payload = wait_for(&receiver, 1).remove(0);
    assert_eq!(payload["messages"], json!([{"role": "user", "content": "the plan"}]));
    assert_eq!(payload["response"]["choices"][0]["message"]["content"], "Hello", "{payload:#}");

    assert_eq!(client.chat("gpt", "the plan").status, 400);
    let failed = wait_for(&receiver, 2).remove(1);
    assert_eq!(failed["status"], "failure");
    assert_eq!(failed["custom_llm_provider"], "openai", "who was tried");
    assert_eq!(failed["error_information"]["llm_provider"], "openai");
    assert_eq!(failed["api_base"].as_str().unwrap().trim_end_matches("/v1"), upstream.url());
    assert!(failed["error_str"].as_str().unwrap().contains("the plan is bad"), "{failed:#}");
}

#[test]
fn a_request_may_keep_what_it_says() {
    let upstream = upstream::openai().replies(chat("the answer")).start();
    let receiver = receiver();
    let gateway = telling(group("gpt").deployment(&upstream), &receiver).start();
    let client = gateway.client();
    assert_eq!(client.ask("gpt", "the plan").set("no-log", true).send().status, 200);
    let silent = client.ask("gpt", "the plan").header("x-litellm-enable-message-redaction", "true");
    assert_eq!(silent.send().status, 200);
    for payload in wait_for(&receiver, 2) {
        let written = payload.to_string();
        assert!(!written.contains("the plan") && !written.contains("the answer"), "{payload:#}");
        assert_eq!(payload["status"], "success");
    }
}
