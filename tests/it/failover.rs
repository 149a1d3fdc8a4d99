//! Streams that break in the middle and that another deployment goes on with.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::stepped::{Stepped, chunk};
use crate::harness::*;

const WHOLE: &str = "Grüße aus Köln: the river is \"brown\" \n\nand it rains 🌧 all day long.";

fn pieces() -> Vec<&'static str> {
    WHOLE.split_inclusive(' ').collect()
}

/// A gateway whose deployments `a` and `b` are tried in this order; nothing ever rests.
fn failing_over(a: impl Into<Deployment>, b: impl Into<Deployment>) -> gateway::Builder {
    let (a, b) = (a.into().id("a").order(1), b.into().id("b").order(2));
    gateway::with(group("gpt").deployment(a).deployment(b))
        .router("mid_stream_failover: true\ndisable_cooldowns: true")
}

fn text_of<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name].as_str().unwrap_or_else(|| panic!("a chunk without `{name}`: {event}"))
}

/// Every pair of id and model that the client saw.
fn ids(stream: &Stream) -> BTreeSet<(&str, &str)> {
    stream.events.iter().map(|it| (text_of(it, "id"), text_of(it, "model"))).collect()
}

#[track_caller]
fn assert_whole(stream: &Stream, what: &str) {
    assert_eq!(stream.status, 200, "{what}: {stream:?}");
    assert_eq!(stream.text(), WHOLE, "{what}: {stream:?}");
    assert!(stream.ended_with_done && !stream.cut && stream.error.is_none(), "{what}: {stream:?}");
    assert_eq!(stream.finish_reason(), Some("stop"), "{what}");
    assert_eq!(ids(stream).len(), 1, "{what}: {:?}", ids(stream));
    let roles = stream.events.iter().filter(|it| !it["choices"][0]["delta"]["role"].is_null());
    assert_eq!(roles.count(), 1, "{what}");
}

#[test]
fn a_stream_cut_at_any_byte_is_whole_for_the_client() {
    let rest = || stream(pieces()).continuing();
    let gpt = upstream::openai().replies(rest()).start();
    let claude = upstream::anthropic().replies(rest()).start();
    let body: String = std::iter::once(chunk(r#"{"role":"assistant","content":""}"#, "null"))
        .chain(pieces().iter().map(|piece| chunk(&json!({"content": piece}).to_string(), "null")))
        .chain([chunk("{}", "\"stop\""), "data: [DONE]\n\n".to_owned()])
        .collect();
    let half = body.len() / 2;
    let runs = [&gpt, &claude].into_iter().flat_map(|second| {
        let second = if std::ptr::eq(second, &gpt) { openai(second) } else { anthropic(second) };
        [0..half, half..body.len()].map(|cuts| (second.clone(), cuts))
    });
    let runs = runs.map(|(second, cuts)| {
        let body = body.clone();
        meanwhile(move || {
            let first = Stepped::start();
            let gateway = failing_over(first.deployment("openai/gpt-4o-mini"), second).start();
            for cut in cuts {
                let client = gateway.client();
                let asked = meanwhile(move || client.stream("gpt", "hi"));
                let mut called = first.called();
                called.begin_stream();
                called.send(&body.as_bytes()[..cut]);
                called.end();
                assert_whole(&asked.join().unwrap(), &format!("cut at {cut}"));
            }
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.join().unwrap();
    }
}

#[test]
fn the_next_deployment_is_asked_in_the_way_it_takes() {
    let broken = || stream(["Once upon ", "a time "]).cut_after(2);
    let first = upstream::openai().replies(broken()).start();
    let asked_of = |model: &str, dialect: fn() -> UpstreamBuilder| {
        let second = dialect().replies(stream(["there was."])).start();
        let gateway = failing_over(&first, Deployment::at(model, &second.api_base())).start();
        let stream = gateway.client().ask("gpt", "tell").set("max_tokens", 100).stream();
        assert_eq!(stream.text(), "Once upon a time there was.", "{model}: {stream:?}");
        second.last_request().json()
    };
    let given = json!("Once upon a time");

    let claude = asked_of("anthropic/claude-sonnet-4-5", upstream::anthropic);
    let last = claude["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["role"], "assistant");
    assert_eq!(claude["max_tokens"], 96, "what was generated counts");

    let newest = asked_of("anthropic/claude-sonnet-5-5", upstream::anthropic);
    let turns = newest["messages"].as_array().unwrap();
    assert_eq!(turns.last().unwrap()["role"], "user", "it does not take a beginning");
    assert_eq!(turns[turns.len() - 2]["role"], "assistant");

    let mistral = asked_of("mistral/mistral-large-latest", upstream::openai);
    assert_eq!(mistral["messages"][1]["prefix"], true);
    assert_eq!(mistral["messages"][1]["content"], given);

    let vllm = asked_of("hosted_vllm/llama", upstream::openai);
    assert_eq!(vllm["continue_final_message"], true);
    assert_eq!(vllm["add_generation_prompt"], false);
    assert_eq!(vllm["messages"].as_array().unwrap().len(), 2);

    let gpt = asked_of("openai/gpt-4o", upstream::openai);
    assert_eq!(gpt["messages"][1]["content"], given);
    assert_eq!(gpt["messages"][2]["role"], "user");
}

#[test]
fn usage_and_cost_of_all_attempts_are_added() {
    let first = upstream::openai().replies(stream(["word "]).repeated(80).cut_after(80)).start();
    let second = upstream::openai().replies(stream(["end"]).usage(1_000, 10)).start();
    let priced = "input_cost_per_token: 0.001\noutput_cost_per_token: 0.01";
    let gateway = failing_over(openai(&first).with(priced), openai(&second).with(priced)).start();

    let options = json!({"include_usage": true});
    let stream = gateway.client().ask("gpt", "hi").set("stream_options", options).stream();
    let log = gateway.logged(stream.request_id());

    let tokens = log["usage"]["output_tokens"].as_u64().unwrap();
    assert!(tokens > 60, "the 80 words of the first, and 10 tokens: {log}");
    assert!(log["usage"]["input_tokens"].as_u64() > Some(1_000), "{log}");
    let cost = log["cost_usd"].as_f64().unwrap();
    let expected = log["usage"]["input_tokens"].as_f64().unwrap() * 0.001 + tokens as f64 * 0.01;
    assert!((cost - expected).abs() < 1e-9, "{log}");
    assert_eq!(stream.usage().unwrap()["completion_tokens"], tokens, "{stream:?}");
    assert_eq!(log["attempts"].as_array().unwrap().len(), 2, "{log}");
    assert_eq!(log["deployment"], "b", "{log}");
}

#[test]
fn several_breaks_are_survived_and_the_last_one_is_told() {
    let cut = |text: &'static str| upstream::openai().replies(stream([text]).cut_after(1)).start();
    let (first, second) = (cut("one "), cut("two "));
    let third = upstream::openai().replies(stream(["three"])).start();
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&first).order(1))
            .deployment(openai(&second).order(2))
            .deployment(openai(&third).order(3)),
    )
    .router("mid_stream_failover: [gpt]\ndisable_cooldowns: true")
    .start();
    assert_eq!(gateway.client().stream("gpt", "hi").text(), "one two three");

    third.now_replies(status(500));
    let given_up = gateway.client().stream("gpt", "hi");
    assert_eq!(given_up.text(), "one two ");
    assert!(!given_up.ended_with_done);
    assert!(given_up.error.is_some(), "{given_up:?}");
}

#[test]
fn what_cannot_be_continued_ends_with_an_error() {
    let first = upstream::openai().start();
    let second = upstream::openai().replies(chat("not this")).start();
    let gateway = failing_over(&first, &second).start();
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);

    first.now_replies(tool_call("f", r#"{"a": "long enough to be streamed"}"#).cut_after(2));
    let call = gateway.client().ask("gpt", "hi").set("tools", tool).stream();
    assert!(call.error.is_some() && !call.ended_with_done, "{call:?}");

    first.now_replies(stream(["{\"a\":", " 1}"]).cut_after(1));
    let format = json!({"type": "json_object"});
    let document = gateway.client().ask("gpt", "hi").set("response_format", format).stream();
    assert!(document.error.is_some(), "{document:?}");
    assert_eq!(second.request_count(), 0);
}

#[test]
fn it_is_off_unless_the_group_has_it() {
    let first = upstream::openai().replies(stream(["one ", "two"]).cut_after(1)).start();
    let second = upstream::openai().replies(chat("other")).start();
    let gateway = gateway::with(
        group("plain").deployment(openai(&first).order(1)).deployment(openai(&second).order(2)),
    )
    .and(group("other").deployment(&second))
    .router("mid_stream_failover: [other]")
    .start();

    let stream = gateway.client().stream("plain", "hi");
    assert_eq!(stream.text(), "one ");
    assert!(stream.error.is_some() && !stream.cut, "{stream:?}");
    assert_eq!(second.request_count(), 0);
}
