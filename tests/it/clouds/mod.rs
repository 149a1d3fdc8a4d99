//! Deployments at clouds: who calls them, how tokens come and end, and what is sent where.

mod bedrock;
mod chains;
mod invoked;
pub mod server;
mod sigv4;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use self::server::{Answer, Seen, Server, json as answers};
use crate::harness::*;

const PEM: &str = include_str!("service-account.pem");

/// A model list with one deployment of the group `m`.
fn listed(params: &[(&str, &str)]) -> gateway::Builder {
    let params: String = params
        .iter()
        .map(|(name, value)| format!("    {name}: {}\n", Value::from(*value)))
        .collect();
    gateway::empty().top(&format!("model_list:\n- model_name: m\n  litellm_params:\n{params}"))
}

fn converse(_: &Seen) -> Answer {
    answers(json!({
        "output": {"message": {"role": "assistant", "content": [{"text": "from Bedrock"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
    }))
}

fn claude(_: &Seen) -> Answer {
    answers(json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [{"type": "text", "text": "from Claude"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }))
}

fn openai_reply(_: &Seen) -> Answer {
    answers(json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "from OpenAI"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }))
}

/// Tokens `t1`, `t2`, ..., one for each request, each for so many seconds.
pub fn tokens(seconds: u64) -> impl Fn(&Seen) -> Answer + Send + Sync + 'static {
    let count = AtomicUsize::new(0);
    move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        answers(
            json!({"access_token": format!("t{n}"), "expires_in": seconds, "token_type": "Bearer"}),
        )
    }
}

pub fn service_account(tokens: &Server) -> String {
    json!({
        "type": "service_account", "project_id": "key-project", "private_key_id": "kid-1",
        "private_key": PEM, "client_email": "robot@key-project.iam.gserviceaccount.com",
        "client_id": "1", "token_uri": format!("{}/token", tokens.url()),
    })
    .to_string()
}

#[test]
fn requests_to_bedrock_are_signed_as_they_are_sent() {
    let bedrock = Server::start(converse);
    let gateway = listed(&[
        ("model", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("aws_bedrock_runtime_endpoint", &bedrock.url()),
        ("aws_region_name", "eu-west-1"),
        ("aws_access_key_id", "AKIDEXAMPLE"),
        ("aws_secret_access_key", "s3cret/of+the-tests"),
        ("aws_session_token", "session-of-the-tests"),
    ])
    .start();

    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    let seen = bedrock.last();
    assert_eq!(seen.path, "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse");
    assert_eq!(seen.header("x-amz-security-token"), "session-of-the-tests");
    let expected =
        sigv4::expected(&seen, "AKIDEXAMPLE", "s3cret/of+the-tests", "eu-west-1", "bedrock");
    assert_eq!(seen.header("authorization"), expected);
    assert!(expected.contains("content-type;host;x-amz-date;x-amz-security-token"));
}

#[test]
fn keys_of_the_environment_sign_and_a_bearer_key_goes_before_them() {
    let bedrock = Server::start(converse);
    let keys = |gateway: gateway::Builder| {
        gateway
            .variable("AWS_ACCESS_KEY_ID", "AKIDENV")
            .variable("AWS_SECRET_ACCESS_KEY", "of the environment")
            .variable("AWS_REGION", "us-east-1")
    };
    let url = bedrock.url();
    let params = [("model", "bedrock/amazon.nova-pro-v1:0"), ("api_base", url.as_str())];
    let gateway = keys(listed(&params)).start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    let seen = bedrock.last();
    let expected = sigv4::expected(&seen, "AKIDENV", "of the environment", "us-east-1", "bedrock");
    assert_eq!(seen.header("authorization"), expected);

    let gateway = keys(listed(&params)).variable("AWS_BEARER_TOKEN_BEDROCK", "bearer-key").start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    assert_eq!(bedrock.last().header("authorization"), "Bearer bearer-key");
    assert_eq!(bedrock.last().header("x-amz-date"), "");
}

fn sts(action: &'static str, seconds: u64) -> impl Fn(&Seen) -> Answer + Send + Sync + 'static {
    let count = AtomicUsize::new(0);
    move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        let until = std::time::SystemTime::now() + std::time::Duration::from_secs(seconds);
        let until = jiff::Timestamp::try_from(until).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ");
        let body = format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
             <Credentials><AccessKeyId>ASIA{n}</AccessKeyId><SecretAccessKey>role-secret\
             </SecretAccessKey><SessionToken>role-session-{n}</SessionToken><Expiration>{until}\
             </Expiration></Credentials><AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId>\
             <Arn>arn:aws:sts::1:assumed-role/r/s</Arn></AssumedRoleUser></{action}Result>\
             </{action}Response>"
        );
        (200, "text/xml".to_owned(), body)
    }
}

#[test]
fn a_role_is_assumed_with_the_keys_and_again_before_it_ends() {
    let bedrock = Server::start(converse);
    let sts = Server::start(sts("AssumeRole", 4));
    let gateway = listed(&[
        ("model", "bedrock/us-east-1/amazon.nova-pro-v1:0"),
        ("aws_bedrock_runtime_endpoint", &bedrock.url()),
        ("aws_access_key_id", "AKIDEXAMPLE"),
        ("aws_secret_access_key", "s3cret"),
        ("aws_role_name", "arn:aws:iam::123456789012:role/inference"),
        ("aws_session_name", "tests"),
        ("aws_external_id", "ext"),
        ("aws_sts_endpoint", &sts.url()),
    ])
    .start();

    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    let asked = &sts.seen()[0];
    assert_eq!(asked.field("Action"), "AssumeRole");
    assert_eq!(asked.field("RoleArn"), "arn:aws:iam::123456789012:role/inference");
    assert_eq!(
        (asked.field("RoleSessionName"), asked.field("ExternalId")),
        ("tests".into(), "ext".into())
    );
    assert!(asked.header("authorization").contains("Credential=AKIDEXAMPLE/"));
    let seen = bedrock.last();
    assert_eq!(seen.header("x-amz-security-token"), "role-session-1");
    let expected = sigv4::expected(&seen, "ASIA1", "role-secret", "us-east-1", "bedrock");
    assert_eq!(seen.header("authorization"), expected);

    eventually("the role is assumed again", || sts.seen().len() >= 2);
    eventually("its new key signs", || {
        assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
        bedrock.last().header("x-amz-security-token") != "role-session-1"
    });
}

#[test]
fn a_token_of_another_provider_is_exchanged_for_a_role() {
    let bedrock = Server::start(converse);
    let sts = Server::start(sts("AssumeRoleWithWebIdentity", 3600));
    let gateway = listed(&[
        ("model", "bedrock/amazon.nova-pro-v1:0"),
        ("api_base", &bedrock.url()),
        ("aws_region_name", "us-east-1"),
        ("aws_role_name", "arn:aws:iam::123456789012:role/inference"),
        ("aws_web_identity_token", "oidc/file/token.jwt"),
        ("aws_sts_endpoint", &sts.url()),
    ])
    .file("token.jwt", "a.web.token\n")
    .start();

    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    assert_eq!(sts.last().field("WebIdentityToken"), "a.web.token");
    assert_eq!(sts.last().header("authorization"), "", "the call is not signed");
    assert_eq!(bedrock.last().header("x-amz-security-token"), "role-session-1");
}

/// A gateway in front of Azure that logs in at `login`.
fn entra(azure: &Server, login: &Server) -> gateway::Builder {
    listed(&[
        ("model", "azure/dep"),
        ("api_base", &azure.url()),
        ("api_version", "2024-10-21"),
        ("tenant_id", "my-tenant"),
        ("client_id", "my-client"),
        ("client_secret", "s3cret+of/entra"),
    ])
    .variable("AZURE_AUTHORITY_HOST", &login.url())
}

#[test]
fn many_requests_at_once_fetch_one_token() {
    const CLIENTS: usize = 8;
    let azure = Server::start(openai_reply);
    let login = Server::start(tokens(3600));
    let gateway = entra(&azure, &login).start();
    let together = Arc::new(Barrier::new(CLIENTS));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (together, client) = (Arc::clone(&together), gateway.client());
            scope.spawn(move || {
                together.wait();
                assert_eq!(client.chat("m", "hi").text(), "from OpenAI");
            });
        }
    });
    assert_eq!(login.seen().len(), 1);
    let asked = login.last();
    assert_eq!(asked.path, "/my%2Dtenant/oauth2/v2.0/token");
    assert_eq!(asked.field("grant_type"), "client_credentials");
    assert_eq!(
        (asked.field("client_id"), asked.field("client_secret")),
        ("my-client".into(), "s3cret+of/entra".into())
    );
    assert_eq!(asked.field("scope"), "https://cognitiveservices.azure.com/.default");
    for seen in azure.seen() {
        assert_eq!((seen.header("authorization"), seen.header("api-key")), ("Bearer t1", ""));
    }
}

#[test]
fn a_token_is_fetched_again_before_it_ends_and_the_old_one_serves_meanwhile() {
    let azure = Server::start(openai_reply);
    let login = Server::start(tokens(2));
    let gateway = entra(&azure, &login).start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from OpenAI");
    eventually("another token serves", || {
        assert_eq!(gateway.client().chat("m", "hi").text(), "from OpenAI");
        azure.last().header("authorization") != "Bearer t1"
    });
    let count = login.seen().len();
    assert!(count < 30, "not one for each request: {count}");
}

#[test]
fn a_login_that_fails_is_told_and_mends_itself() {
    let azure = Server::start(openai_reply);
    let login = Server::start(|_| {
        (401, "application/json".to_owned(), r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}"#.to_owned())
    });
    let gateway = entra(&azure, &login).router("num_retries: 0\ndisable_cooldowns: true").start();
    let reply = gateway.client().chat("m", "hi");
    assert_eq!(reply.status, 503, "{reply:?}");
    let error = reply.json()["error"].clone();
    assert_eq!(error["code"], "upstream_credential_unavailable", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("Microsoft Entra ID") && message.contains("invalid_client"),
        "{message}"
    );
    assert!(!reply.body_text().contains("s3cret"), "{reply:?}");
    assert!(azure.seen().is_empty(), "nothing is sent without a credential");

    login.now(tokens(3600));
    eventually("it serves again", || gateway.client().chat("m", "hi").status == 200);
}

#[test]
fn a_service_account_signs_for_a_token_and_claude_is_called_as_vertex_wants_it() {
    let vertex = Server::start(claude);
    let google = Server::start(tokens(3600));
    let gateway = listed(&[
        ("model", "vertex_ai/claude-sonnet-4-5@20250929"),
        ("api_base", &vertex.url()),
        ("vertex_location", "us-east5"),
        ("vertex_credentials", "key.json"),
    ])
    .file("key.json", &service_account(&google))
    .start();

    assert_eq!(gateway.client().chat("m", "hi").text(), "from Claude");
    let asked = google.last();
    assert_eq!(asked.field("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let assertion = asked.field("assertion");
    let parts: Vec<&str> = assertion.split('.').collect();
    let part = |at: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[at]).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({"alg": "RS256", "typ": "JWT", "kid": "kid-1"}));
    let claims = part(1);
    assert_eq!(claims["iss"], "robot@key-project.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], format!("{}/token", google.url()));
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(URL_SAFE_NO_PAD.decode(parts[2]).unwrap().len(), 256, "an RSA signature");

    let seen = vertex.last();
    let models = "/v1/projects/key-project/locations/us-east5/publishers/anthropic/models";
    assert_eq!(seen.path, format!("{models}/claude-sonnet-4-5@20250929:rawPredict"));
    assert_eq!(seen.header("authorization"), "Bearer t1");
    assert_eq!((seen.header("anthropic-version"), seen.header("anthropic-beta")), ("", ""));
    let body = seen.json();
    assert_eq!(body["anthropic_version"], "vertex-2023-10-16");
    assert!(body.get("model").is_none(), "{body}");
}

#[test]
fn a_stream_of_claude_on_vertex_has_a_path_of_its_own() {
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
            "model": "claude", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "streamed"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let stream: String = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .collect();
    let vertex = Server::start(move |_| (200, "text/event-stream".to_owned(), stream.clone()));
    let metadata = Server::start(tokens(3600));
    let gateway = listed(&[
        ("model", "vertex_ai/claude-haiku-4-5@20251001"),
        ("api_base", &vertex.url()),
        ("vertex_project", "my-project"),
        ("vertex_location", "global"),
    ])
    .variable("GCE_METADATA_HOST", &metadata.authority())
    .start();

    assert_eq!(gateway.client().stream("m", "hi").text(), "streamed");
    let seen = vertex.last();
    let models = "/v1/projects/my-project/locations/global/publishers/anthropic/models";
    assert_eq!(seen.path, format!("{models}/claude-haiku-4-5@20251001:streamRawPredict"));
    assert_eq!(seen.json()["stream"], true);
    // The machine's own account, told by the metadata server.
    assert_eq!(seen.header("authorization"), "Bearer t1");
    let asked = &metadata.seen()[0];
    assert_eq!(asked.header("metadata-flavor"), "Google");
    assert!(asked.path.starts_with("/computeMetadata/v1/instance/service-accounts/default/token"));
}

#[test]
fn gemini_on_vertex_is_called_by_publisher_project_and_location() {
    let vertex = Server::start(|_| {
        answers(json!({
            "candidates": [{"content": {"role": "model", "parts": [{"text": "from Gemini"}]},
                            "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
            "modelVersion": "gemini-2.5-flash",
        }))
    });
    let google = Server::start(tokens(3600));
    let gateway = listed(&[
        ("model", "vertex_ai/gemini-2.5-flash"),
        ("api_base", &vertex.url()),
        ("vertex_project", "my-project"),
        ("vertex_location", "europe-west4"),
        ("vertex_credentials", &service_account(&google)),
    ])
    .start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Gemini");
    let seen = vertex.last();
    let models = "/v1beta1/projects/my-project/locations/europe-west4/publishers/google/models";
    assert_eq!(seen.path, format!("{models}/gemini-2.5-flash:generateContent"));
    assert_eq!(seen.header("authorization"), "Bearer t1");
    assert!(seen.json().get("model").is_none());
}

#[test]
fn a_user_of_gcloud_calls_models_of_other_publishers() {
    let vertex = Server::start(openai_reply);
    let google = Server::start(tokens(3600));
    let key = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "quota_project_id": "user-project", "token_uri": format!("{}/token", google.url()),
    });
    let gateway = listed(&[
        ("model", "vertex_ai/meta/llama-4-scout"),
        ("api_base", &vertex.url()),
        ("vertex_credentials", &key.to_string()),
    ])
    .start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from OpenAI");
    let seen = vertex.last();
    let place = "/v1/projects/user-project/locations/us-central1";
    assert_eq!(seen.path, format!("{place}/endpoints/openapi/chat/completions"));
    assert_eq!(seen.json()["model"], "meta/llama-4-scout");
    assert_eq!(seen.header("authorization"), "Bearer t1");
}

#[test]
fn a_federated_workload_exchanges_its_token() {
    let vertex = Server::start(claude);
    let google = Server::start(|seen| {
        let grant = seen.field("grant_type");
        assert_eq!(grant, "urn:ietf:params:oauth:grant-type:token-exchange");
        answers(json!({
            "access_token": "federated", "expires_in": 3600, "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }))
    });
    let folder = tempfile::tempdir().unwrap();
    let subject = folder.path().join("subject.jwt");
    std::fs::write(&subject, "subject-token").unwrap();
    let key = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/token", google.url()),
        "credential_source": {"file": subject},
    });
    let gateway = listed(&[
        ("model", "vertex_ai/claude-haiku-4-5@20251001"),
        ("api_base", &vertex.url()),
        ("vertex_project", "p"),
        ("vertex_credentials", &key.to_string()),
    ])
    .start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Claude");
    assert_eq!(google.last().field("subject_token"), "subject-token");
    assert_eq!(vertex.last().header("authorization"), "Bearer federated");
}

#[test]
fn claude_on_azure_gets_its_key_in_both_headers() {
    let foundry = Server::start(claude);
    let base = format!("{}/anthropic", foundry.url());
    let gateway = listed(&[
        ("model", "azure_ai/claude-sonnet-4-5"),
        ("api_base", &base),
        ("api_key", "foundry-key"),
    ])
    .start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Claude");
    let seen = foundry.last();
    assert_eq!(seen.path, "/anthropic/v1/messages");
    assert_eq!(seen.json()["model"], "claude-sonnet-4-5");
    assert_eq!((seen.header("x-api-key"), seen.header("api-key")), ("foundry-key", "foundry-key"));
}

fn rewrite(gateway: &Gateway, from: &str, to: &str) {
    let path = gateway.config_path();
    let yaml = std::fs::read_to_string(&path).unwrap();
    assert!(yaml.contains(from), "{yaml}");
    std::fs::write(&path, yaml.replace(from, to)).unwrap();
    let reply = gateway.client().post("/config/reload").send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
}

#[test]
fn a_credential_outlives_a_reload_and_a_new_secret_is_a_new_one() {
    let azure = Server::start(openai_reply);
    let login = Server::start(tokens(3600));
    let gateway = entra(&azure, &login).start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from OpenAI");
    rewrite(&gateway, "azure/dep", "azure/other");
    eventually("the other deployment is called", || {
        gateway.client().chat("m", "hi");
        azure.last().path.contains("/other/")
    });
    assert_eq!(azure.last().header("authorization"), "Bearer t1");
    assert_eq!(login.seen().len(), 1);
    rewrite(&gateway, "s3cret+of/entra", "another");
    eventually("the new secret is shown", || {
        gateway.client().chat("m", "hi");
        login.last().field("client_secret") == "another"
    });
    eventually("its token is used", || {
        gateway.client().chat("m", "hi");
        azure.last().header("authorization") == "Bearer t2"
    });
}
