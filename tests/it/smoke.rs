//! The shortest way through everything: if this fails, nothing else is worth reading.

use crate::harness::*;

#[test]
fn a_question_is_answered() {
    let provider = upstream::openai().replies(chat("hello there")).start();
    let gateway = gateway::with(group("gpt").deployment(&provider)).start();

    let reply = gateway.client().chat("gpt", "hi");

    assert_eq!((reply.status, reply.text().as_str()), (200, "hello there"));
    assert_eq!(provider.last_request().json()["messages"][0]["content"], "hi");
    assert_eq!(gateway.logged(reply.request_id())["status"], 200);
}

#[test]
fn a_question_is_answered_by_a_stream() {
    let provider = upstream::openai().replies(stream(["hel", "lo"])).start();
    let gateway = gateway::with(group("gpt").deployment(&provider)).start();

    let stream = gateway.client().stream("gpt", "hi");

    assert_eq!((stream.status, stream.text().as_str()), (200, "hello"));
    assert!(stream.ended_with_done && !stream.cut && stream.error.is_none(), "{stream:?}");
}

#[test]
fn a_429_moves_to_the_next_deployment() {
    let busy = upstream::openai().replies(status(429).retry_after(60)).start();
    let free = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(
        group("gpt").deployment(openai(&busy).order(1)).deployment(openai(&free).order(2)),
    )
    .start();

    for _ in 0..3 {
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");
    }
    assert_eq!(busy.requests().len(), 1, "the busy deployment rests after one 429");
    assert_eq!(gateway.cooling("gpt"), 1);
}
