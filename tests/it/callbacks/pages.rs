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
    // It was taken before that was said.
    let payload = payloads(&receiver).remove(0);
    assert_eq!(payload["request_tags"], json!(["test"]));
    assert_eq!(receiver.last_request().path, "/hook", "and nobody else");
    let status = |service: &str| gateway.get(&format!("/health/services?service={service}")).status;
    assert_eq!((status("nobody"), status("datadog"), status("slack")), (400, 422, 422));
    assert_eq!(gateway.get("/health/services").status, 400);
}

#[test]
fn a_trial_says_why_a_receiver_does_not_take_what_it_is_sent() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let closed = upstream::openai().replies(status(401).body("application/json", "{}")).start();
    let gone = upstream::openai().refuses_connections().start();
    let langfuse = receiver();
    let gateway = told(group("gpt").deployment(&upstream), "callbacks: [closed, gone, langfuse]")
        .top(&format!(
            "callback_settings:\n  closed: {{endpoint: '{}'}}\n  gone: {{endpoint: '{}/secret'}}\n",
            closed.url(),
            gone.url()
        ))
        .variable("LANGFUSE_PUBLIC_KEY", "pk")
        .variable("LANGFUSE_SECRET_KEY", "sk-lf-secret")
        .variable("LANGFUSE_HOST", &langfuse.url())
        .start();
    let tried = |service: &str| {
        let reply = gateway.get(&format!("/health/services?service={service}"));
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        let reply = reply.json();
        (
            reply["status"].as_str().unwrap().to_owned(),
            reply["message"].as_str().unwrap().to_owned(),
        )
    };
    let (status, why) = tried("closed");
    assert!(status == "unhealthy" && why.contains("401"), "{status}: {why}");
    let (status, why) = tried("gone");
    assert!(status == "unhealthy" && !why.contains("secret"), "{status}: {why}");
    assert_eq!(tried("langfuse").0, "success");
    let sent = langfuse.last_request();
    assert_eq!(sent.path, "/api/public/ingestion");
    assert_eq!(sent.json()["batch"][0]["body"]["tags"], json!(["test"]));
    assert_eq!(waiting(&gateway, "gone", "disk"), 0, "a trial is made once, and not kept");
}

#[test]
fn who_gets_alerts_is_tried_at_each_address_once() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let (slack, other, hook) = (receiver(), receiver(), receiver());
    let gateway = told(group("gpt").deployment(&upstream), "num_retries: 0")
        .general(&format!(
            "alerting: [slack, webhook]\nalert_types: [llm_exceptions, budget_alerts]\n\
             alert_to_webhook_url: {{budget_alerts: '{}'}}",
            other.url()
        ))
        .variable("SLACK_WEBHOOK_URL", &slack.url())
        .variable("WEBHOOK_URL", &hook.url())
        .start();
    let tried = gateway.get("/health/services?service=slack").json();
    assert_eq!(tried["status"], "success", "{tried}");
    assert_eq!(tried["alert_types"], json!(["llm_exceptions", "budget_alerts"]));
    for receiver in [&slack, &other] {
        assert_eq!(receiver.request_count(), 1);
        let text = receiver.last_request().json()["text"].as_str().unwrap().to_owned();
        assert!(text.contains("This is a test"), "{text}");
    }
    assert_eq!(gateway.get("/health/services?service=webhook").json()["status"], "success");
    assert_eq!(hook.last_request().json()["event"], "budget_crossed");
    assert_eq!((slack.request_count(), hook.request_count()), (1, 1));
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
