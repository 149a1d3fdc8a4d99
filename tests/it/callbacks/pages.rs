//! The pages about callbacks.

use serde_json::json;

use super::*;

#[test]
fn callbacks_are_listed_by_name_and_can_be_tried() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let receiver = receiver();
    let gateway = told(
        group("gpt").deployment(&upstream),
        "success_callback: [langfuse]\ncallbacks: [generic_api, prometheus]\nfailure_callback: [hook]",
    )
    .variable("GENERIC_LOGGER_ENDPOINT", &receiver.url())
    .variable("LANGFUSE_PUBLIC_KEY", "pk")
    .variable("LANGFUSE_SECRET_KEY", "sk-lf-secret")
    .variable("LANGFUSE_HOST", &receiver.url())
    .top(&format!("callback_settings: {{hook: {{endpoint: '{}/hook'}}}}", receiver.url()))
    .start();
    let listed = gateway.get("/callbacks/list").json();
    assert_eq!(
        listed,
        json!({"success": ["langfuse"], "failure": ["hook"],
            "success_and_failure": ["generic_api", "prometheus"]})
    );
    let active = gateway.get("/active/callbacks").json();
    assert_eq!(active["num_callbacks"], 4);
    assert_eq!(active["litellm.success_callback"], json!(["langfuse"]));
    assert_eq!(active["message_logging"], false);

    let tried = gateway.get("/health/services?service=hook");
    assert_eq!((tried.status, &tried.json()["status"]), (200, &json!("success")));
    let payload = wait_for(&receiver, 1).remove(0);
    assert_eq!(payload["request_tags"], json!(["test"]));
    assert_eq!(receiver.last_request().path, "/hook", "and nobody else");
    assert_eq!(gateway.get("/health/services?service=nobody").status, 404);
    assert_eq!(gateway.get("/health/services").status, 400);
}

#[test]
fn a_callback_that_lacks_something_is_named_and_the_gateway_serves() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = told(
        group("gpt").deployment(&upstream),
        "success_callback: [langfuse, s3]\nfailure_callback: [slack, langsmith]",
    )
    .start();
    for message in [
        "`langfuse` is not called: it has not got both of its keys",
        "`s3` is not called: it has not got a bucket",
        "`slack` is to be told, and no URL is known for it",
        "`langsmith` is not called: there is no such callback",
    ] {
        assert!(gateway.messages().contains(message), "{message}:\n{}", gateway.messages());
    }
    assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
}
