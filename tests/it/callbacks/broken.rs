//! Streams that break off, and copies that nobody sees.

use serde_json::json;

use super::*;

fn telling(group: Group, receiver: &Upstream) -> gateway::Builder {
    generic(group, &receiver.url()).litellm("turn_off_message_logging: false")
}

#[test]
fn a_stream_that_breaks_off_is_told_with_what_was_seen_of_it() {
    let upstream = upstream::openai().replies(stream(["one ", "two"]).cut_after(1)).start();
    let receiver = receiver();
    let gateway = telling(group("gpt").deployment(&upstream), &receiver).start();
    let broken = gateway.client().ask("gpt", "the plan").stream();
    assert!(broken.error_code().is_some());
    let payload = wait_for(&receiver, 1).remove(0);
    assert_eq!(payload["status"], "failure", "{payload:#}");
    assert_eq!(payload["response"]["choices"][0]["message"]["content"], "one ", "{payload:#}");
    assert!(payload["completion_tokens"].as_u64().unwrap() > 0, "as the ledger says: {payload:#}");
    assert_eq!(payload["messages"][0]["content"], "the plan");
}

#[test]
fn a_stream_whose_client_leaves_is_told_with_what_it_was_sent() {
    for dialect in ["chat", "messages", "responses"] {
        let upstream = upstream::openai().replies(stream(["Hello", " you"]).stall_after(1)).start();
        let receiver = receiver();
        let gateway = telling(group("gpt").deployment(&upstream), &receiver).start();
        let asked = match dialect {
            "chat" => gateway.client().ask("gpt", "hi"),
            "messages" => gateway.client().post("/v1/messages").json(&json!({"model": "gpt",
                "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})),
            _ => {
                gateway.client().post("/v1/responses").json(&json!({"model": "gpt", "input": "hi"}))
            }
        };
        let mut open = asked.open();
        eventually("some of it is there", || format!("{:?}", open.next_frame()).contains("Hello"));
        drop(open);
        let payload = wait_for(&receiver, 1).remove(0);
        assert!(payload["response"].to_string().contains("Hello"), "{dialect}: {payload:#}");
        assert!(!payload["response"].to_string().contains("you"), "{dialect}: {payload:#}");
        assert_eq!(
            payload["error_information"]["error_class"], "ClientDisconnected",
            "{payload:#}"
        );
    }
}

#[test]
fn a_copy_is_told_as_a_call_of_its_own_that_is_marked() {
    let seen = upstream::openai().replies(chat("the answer")).start();
    let silent = upstream::openai().replies(chat("another").usage(7, 3)).start();
    let receiver = receiver();
    let asked = group("gpt").deployment(openai(&seen).id("seen").with("silent_model: trial"));
    let trial = group("trial").deployment(openai(&silent).id("silent"));
    let gateway = telling(asked, &receiver).and(trial).start();
    let reply = gateway.client().ask("gpt", "the plan").set("user", "ann").send();
    let told = wait_for(&receiver, 2);
    let by_model = |id: &str| told.iter().find(|it| it["model_id"] == id).unwrap();
    let (own, copy) = (by_model("seen"), by_model("silent"));
    assert_eq!(copy["metadata"]["is_silent_experiment"], true, "{copy:#}");
    assert!(own["metadata"]["is_silent_experiment"].is_null());
    assert_eq!(copy["litellm_call_id"], format!("{}.shadow", reply.request_id()));
    assert_eq!((&copy["trace_id"], &copy["total_tokens"]), (&own["trace_id"], &json!(10)));
    assert_ne!(copy["id"], own["id"]);
    assert_eq!(copy["metadata"]["user_api_key_hash"], json!(null), "it is nobody's");
    assert_eq!(copy["messages"][0]["content"], "redacted-by-litellm", "{copy:#}");
}
