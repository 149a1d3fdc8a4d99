//! Replies of chat, as the Responses API tells them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{canonical, streamed, telling};
use crate::wire::client::ClientStream;
use crate::wire::json::Object;
use crate::wire::responses::client::{Events, obstacle, reply};
use crate::wire::responses::tests::{events, object};

#[test]
fn probabilities_are_told_as_the_api_has_them() {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let token = json!({"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []});
    let logprobs = json!({"content": [token], "refusal": null});
    let body = json!({"id": "chatcmpl-1", "object": "o", "created": 1, "model": "m", "choices": [{
        "index": 0, "finish_reason": "stop", "logprobs": logprobs,
        "message": {"role": "assistant", "content": "hi"}}]});
    let told = reply(&Bytes::from(body.to_string()), &telling(&asked)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["output"][0]["content"][0]["logprobs"], json!([token]));

    let mut stream = Events::new(&telling(&asked));
    let mut out = Vec::new();
    for choice in [
        json!({"index": 0, "delta": {"content": "hi"}, "logprobs": logprobs}),
        json!({"index": 0, "delta": {"content": "!"}}),
        json!({"index": 0, "delta": {}, "finish_reason": "stop"}),
    ] {
        let chunk = json!({"id": "chatcmpl-1", "model": "m", "choices": [choice]});
        let mut events = vec![Bytes::from(format!("data: {chunk}\n\n"))];
        stream.pass(&mut events);
        out.extend(events);
    }
    let mut events_out = vec![Bytes::from_static(b"data: [DONE]\n\n")];
    stream.pass(&mut events_out);
    out.extend(events_out);
    let told = events(&out.concat());
    let of = |kind: &str| {
        let found = told.iter().filter(|(name, _)| name == kind);
        found.map(|(_, event)| event["logprobs"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("response.output_text.delta"), [json!([token]), json!([])]);
    assert_eq!(of("response.output_text.done"), [json!([token])]);
    let last = &told.last().unwrap().1["response"]["output"][0]["content"][0];
    assert_eq!(last["logprobs"], json!([token]));
}

#[test]
fn a_completion_becomes_a_response() {
    let asked = object(&json!({"model": "public", "input": "hi", "text": {"verbosity": "low"},
        "metadata": {"a": "b"}, "instructions": "I"}));
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{
            "index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant",
                "content": "hi", "reasoning_content": "hm",
                "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
                "tool_calls": [{"id": "c1", "type": "function", "function":
                    {"name": "f", "arguments": "{\"a\": 1}"}}]}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11,
            "completion_tokens_details": {"reasoning_tokens": 2}},
    });
    let told = reply(&Bytes::from(body.to_string()), &telling(&asked)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["id"], "resp_1");
    assert_eq!(
        (&told["object"], &told["status"], &told["store"], &told["created_at"]),
        (&json!("response"), &json!("completed"), &json!(false), &json!(7))
    );
    assert_eq!(told["instructions"], "I");
    assert_eq!(told["text"], json!({"format": {"type": "text"}, "verbosity": "low"}));
    assert_eq!(told["metadata"], json!({"a": "b"}));
    for required in ["model", "parallel_tool_calls", "tool_choice", "tools"] {
        assert!(!told[required].is_null(), "{required}");
    }
    let output = told["output"].as_array().unwrap();
    let kinds: Vec<&str> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    assert_eq!(output[1]["content"][0]["annotations"][0]["url"], "u");
    assert_eq!(output[2]["arguments"], "{\"a\": 1}");
    assert_eq!(told["usage"]["output_tokens_details"]["reasoning_tokens"], 2);
    // What was sealed leads back to the blocks.
    let again = canonical(&json!({"model": "m", "input": told["output"]}));
    assert_eq!(again["messages"][0]["thinking_blocks"][0]["signature"], "s");
    let cut = json!({"id": "x", "object": "o", "created": 1, "model": "", "choices": [{
        "message": {"role": "assistant", "content": ""}, "finish_reason": "length"}]});
    let told = reply(&Bytes::from(cut.to_string()), &telling(&asked)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["status"], "incomplete");
    assert_eq!(told["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!((&told["model"], &told["usage"]), (&json!("public"), &Value::Null));
    assert_eq!(told["output"][0]["content"][0]["text"], "");
}

#[test]
fn the_tier_is_the_one_that_served() {
    let asked = object(&json!({"model": "public", "input": "hi", "service_tier": "flex"}));
    let tier = |tier: Value| {
        let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "service_tier": tier, "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}]});
        let told = reply(&body.to_string().into(), &telling(&asked)).unwrap();
        serde_json::from_slice::<Value>(&told).unwrap()["service_tier"].clone()
    };
    assert_eq!((tier(json!("default")), tier(Value::Null)), (json!("default"), Value::Null));
    let mut stream = Events::new(&telling(&asked));
    let chunk = json!({"id": "c", "service_tier": "default", "choices": [
        {"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]});
    let mut out = vec![Bytes::from(format!("data: {chunk}\n\ndata: [DONE]\n\n"))];
    stream.pass(&mut out);
    for (name, event) in
        events(&out.concat()).iter().filter(|(_, event)| event["response"].is_object())
    {
        assert_eq!(event["response"]["service_tier"], "default", "{name}");
    }
}

/// The reasoning of a response: each item's summary and what is sealed in it.
fn reasoned(response: &Value) -> Vec<(Vec<String>, String)> {
    let items = response["output"].as_array().unwrap().iter();
    let items = items.filter(|item| item["type"] == "reasoning");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    items
        .map(|item| {
            let summary = item["summary"].as_array().unwrap().iter();
            (summary.map(|part| text(&part["text"])).collect(), text(&item["encrypted_content"]))
        })
        .collect()
}

#[test]
fn every_item_of_reasoning_is_told_in_its_order() {
    let item = |number: u32, summary: &[&str]| {
        let parts: Vec<Value> =
            summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
        json!({"type": "reasoning", "id": format!("rs_{number}"), "summary": parts,
               "encrypted_content": format!("gAAA{number}")})
    };
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let whole = |message: Value| {
        let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
        let told = reply(&body.to_string().into(), &telling(&asked)).unwrap();
        reasoned(&serde_json::from_slice(&told).unwrap())
    };
    let expected = |items: &[(&[&str], &str)]| -> Vec<(Vec<String>, String)> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        items.iter().map(|(summary, sealed)| (owned(summary), (*sealed).to_owned())).collect()
    };
    let items = json!([item(1, &["a", "b"]), item(2, &[]), item(3, &["c"])]);
    let told = whole(json!({"role": "assistant", "content": "x",
        "reasoning_content": "a\n\nb\n\nc", "reasoning_items": items}));
    assert_eq!(told, expected(&[(&["a", "b"], "gAAA1"), (&[], "gAAA2"), (&["c"], "gAAA3")]));
    // Some of the text came without an item: nothing is lost, and nothing is said twice.
    let told = whole(json!({"role": "assistant", "content": "x",
        "reasoning_content": "a\n\nb\n\nc\n\nd", "reasoning_items": items}));
    assert_eq!(told, expected(&[(&["a\n\nb\n\nc\n\nd"], "gAAA1"), (&[], "gAAA2"), (&[], "gAAA3")]));
    let told = whole(json!({"role": "assistant", "content": "x", "reasoning_content": "a"}));
    assert_eq!(told, expected(&[(&["a"], "")]));

    // As the bridge streams them.
    let events = streamed(
        &[
            json!({"reasoning_content": "a"}),
            json!({"reasoning_items": [item(1, &["a"])]}),
            json!({"reasoning_items": [item(2, &[])]}),
            json!({"reasoning_content": "\n\n"}),
            json!({"reasoning_content": "c"}),
            json!({"reasoning_items": [item(3, &["c"])]}),
            json!({"content": "x"}),
        ],
        "stop",
    );
    let told = reasoned(&events.last().unwrap().1["response"]);
    assert_eq!(told, expected(&[(&["a"], "gAAA1"), (&[], "gAAA2"), (&["c"], "gAAA3")]));
}

#[test]
fn a_request_over_several_lines_is_repeated_in_one() {
    let pretty = "{\n \"model\": \"m\",\n \"input\": \"hi\",\n \"metadata\": {\r\n  \"a\": \"b\"\r\n },\n \"tools\": [\n  {\n   \"type\": \"function\",\n\n   \"name\": \"f\"\n  }\n ]\n}";
    let asked = Object::parse(Bytes::from(pretty)).unwrap();
    let mut stream = Events::new(&telling(&asked));
    let mut out = vec![Bytes::from_static(
        b"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n",
    )];
    stream.pass(&mut out);
    let events = events(&out.concat());
    for (name, event) in [events.first().unwrap(), events.last().unwrap()] {
        assert_eq!(
            event["response"]["tools"],
            json!([{"type": "function", "name": "f"}]),
            "{name}"
        );
        assert_eq!(event["response"]["metadata"], json!({"a": "b"}));
    }
}

#[test]
fn a_function_that_stands_for_free_text_is_told_as_such() {
    let request = object(&json!({"tools": [{"type": "custom", "name": "apply_patch"},
        {"type": "function", "name": "f"}]}));
    let call = |name: &str, arguments: &str| json!({"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}});
    let calls = [call("apply_patch", "{\"input\":\"*** A\\n\"}"), call("f", "{}")];
    let body = json!({"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0,
        "finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": calls}}]});
    let whole = reply(&Bytes::from(body.to_string()), &telling(&request)).unwrap();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(whole["output"][0]["type"], "custom_tool_call");
    assert_eq!(whole["output"][0]["input"], "*** A\n");
    assert_eq!(whole["output"][1]["type"], "function_call");

    let mut stream = Events::new(&telling(&request));
    let piece = |call: Value| {
        let chunk = json!({"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0,
            "delta": {"tool_calls": [call]}}]});
        format!("data: {chunk}\n\n")
    };
    let mut text = piece(json!({"index": 0, "id": "c1", "type": "function",
        "function": {"name": "apply_patch", "arguments": ""}}));
    for part in ["{\"inp", "ut\":\"*** A", "\\n\"}"] {
        text += &piece(json!({"index": 0, "function": {"arguments": part}}));
    }
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    text += &format!("data: {end}\n\ndata: [DONE]\n\n");
    let mut out = vec![Bytes::from(text)];
    stream.pass(&mut out);
    let told = events(&out.concat());
    let of = |kind: &str| told.iter().filter(|(name, _)| name == kind).collect::<Vec<_>>();
    let deltas = of("response.custom_tool_call_input.delta");
    assert_eq!((deltas.len(), &deltas[0].1["delta"]), (1, &json!("*** A\n")));
    assert_eq!(of("response.custom_tool_call_input.done")[0].1["input"], "*** A\n");
    assert!(of("response.function_call_arguments.delta").is_empty());
    let (_, last) = told.last().unwrap();
    assert_eq!(last["response"]["output"], json!([whole["output"][0]]));
}

#[test]
fn an_image_that_was_generated_is_an_item_and_can_be_sent_back() {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let image = |url: &str| json!({"type": "image_url", "index": 0, "image_url": {"url": url}});
    let images = json!([image("data:image/webp;base64,AAAA"), image("https://h/a.png")]);
    let body = json!({"id": "chatcmpl-1", "object": "o", "created": 1, "model": "m", "choices": [{
        "index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": null, "images": images}}]});
    let told = reply(&Bytes::from(body.to_string()), &telling(&asked)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let item = &told["output"][0];
    assert_eq!(
        *item,
        json!({"type": "image_generation_call", "id": item["id"], "status": "completed",
               "result": "AAAA", "output_format": "webp"})
    );
    assert!(item["id"].as_str().unwrap().starts_with("ig_"));
    assert_eq!(told["output"][1]["content"][0]["text"], "![image](https://h/a.png)");
    assert_eq!(told["output"].as_array().unwrap().len(), 2);

    let mut stream = Events::new(&telling(&asked));
    let chunk = |choice: Value| {
        let chunk = json!({"id": "chatcmpl-1", "model": "m", "choices": [choice]});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let mut out = vec![
        chunk(json!({"index": 0, "delta": {"images": images}})),
        chunk(json!({"index": 0, "delta": {}, "finish_reason": "stop"})),
        Bytes::from_static(b"data: [DONE]\n\n"),
    ];
    stream.pass(&mut out);
    let all = events(&out.concat());
    let last = &all.last().unwrap().1["response"];
    assert_eq!(last["output"][0], *item, "streamed or not");
    assert_eq!(last["output"].as_array().unwrap().len(), 2);
    let done = all.iter().find(|(name, _)| name == "response.output_item.done").unwrap();
    assert_eq!(done.1["item"], *item);

    let again = json!({"model": "m", "input": [item, {"role": "user", "content": "Make it red."}]});
    assert_eq!(obstacle(&object(&again), false, false).map(|refusal| refusal.message), None);
    let url = "data:image/webp;base64,AAAA";
    assert_eq!(
        canonical(&again)["messages"][0],
        json!({"role": "user", "content": [
            {"type": "text", "text": "The image that you generated:"},
            {"type": "image_url", "image_url": {"url": url}}]})
    );
}
