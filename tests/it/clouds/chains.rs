//! Where credentials come from that nobody wrote: what AWS's and Google's own tools look at, in a
//! process, a container and a machine.

use std::path::Path;

use serde_json::{Value, json};

use super::server::{Answer, Seen, Server, json as answers, json_with};
use super::{claude, converse, listed, sigv4, sts, tokens};
use crate::harness::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/inference";

/// A gateway before Bedrock that finds nothing at home. Whatever the machine of the tests is, its own
/// role is none of their business.
fn at(bedrock: &Server, more: &[(&str, &str)]) -> gateway::Builder {
    on_machine(bedrock, more).variable("AWS_EC2_METADATA_DISABLED", "true")
}

/// The same on a machine with a role; who calls this says where it is told.
fn on_machine(bedrock: &Server, more: &[(&str, &str)]) -> gateway::Builder {
    let url = bedrock.url();
    let mut params = vec![
        ("model", "bedrock/amazon.nova-pro-v1:0"),
        ("aws_bedrock_runtime_endpoint", url.as_str()),
        ("aws_region_name", "us-east-1"),
    ];
    params.extend(more);
    listed(&params).variable("PATH", "/usr/bin:/bin")
}

/// What the last request to Bedrock was signed with.
#[track_caller]
fn signed_by(bedrock: &Server, id: &str, secret: &str, session: &str) {
    let seen = bedrock.last();
    assert_eq!(seen.header("x-amz-security-token"), session);
    let expected = sigv4::expected(&seen, id, secret, "us-east-1", "bedrock");
    assert_eq!(seen.header("authorization"), expected);
}

/// Temporary keys, as the metadata services of AWS tell them.
fn keys(id: &str) -> Value {
    json!({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
           "AccessKeyId": id, "SecretAccessKey": "machine-secret", "Token": "machine-session",
           "Expiration": "2099-01-01T00:00:00Z"})
}

#[test]
fn a_machines_role_is_told_by_its_metadata_service() {
    let bedrock = Server::start(converse);
    let metadata = Server::start(|seen: &Seen| -> Answer {
        let token = "x-aws-ec2-metadata-token";
        match (seen.method.as_str(), &*seen.path) {
            ("PUT", "/latest/api/token") => {
                let life = ("x-aws-ec2-metadata-token-ttl-seconds", "21600");
                let (status, kind, _) = json_with(200, &[life], &Value::Null);
                (status, kind, "metadata-token".to_owned())
            }
            ("GET", _) if seen.header(token) != "metadata-token" => answers(json!({})),
            ("GET", "/latest/meta-data/iam/security-credentials/") => {
                (200, "text/plain".to_owned(), "machine-role".to_owned())
            }
            ("GET", "/latest/meta-data/iam/security-credentials/machine-role") => {
                answers(keys("ASIAMACHINE"))
            }
            _ => json_with(404, &[], &json!({})),
        }
    });
    let gateway = on_machine(&bedrock, &[])
        .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url())
        .start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    signed_by(&bedrock, "ASIAMACHINE", "machine-secret", "machine-session");
}

#[test]
fn a_container_has_an_address_and_a_token_for_its_role() {
    let bedrock = Server::start(converse);
    let container = Server::start(|_| answers(keys("ASIACONTAINER")));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "pod-token").unwrap();
    let gateway = at(&bedrock, &[])
        .variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/v1/keys", container.url()))
        .variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token.to_string_lossy())
        .start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    signed_by(&bedrock, "ASIACONTAINER", "machine-secret", "machine-session");
    let asked = container.last();
    assert_eq!((&*asked.path, asked.header("authorization")), ("/v1/keys", "pod-token"));
}

#[test]
fn a_pods_web_identity_is_exchanged_for_its_role() {
    let bedrock = Server::start(converse);
    let sts = Server::start(sts("AssumeRoleWithWebIdentity", 3600));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token.jwt");
    std::fs::write(&token, "pod.web.token").unwrap();
    let gateway = at(&bedrock, &[])
        .variable("AWS_WEB_IDENTITY_TOKEN_FILE", &token.to_string_lossy())
        .variable("AWS_ROLE_ARN", ROLE)
        .variable("AWS_ROLE_SESSION_NAME", "pod")
        .variable("AWS_ENDPOINT_URL_STS", &sts.url())
        .start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    let asked = sts.last();
    assert_eq!(asked.field("WebIdentityToken"), "pod.web.token");
    assert_eq!(
        (asked.field("RoleArn"), asked.field("RoleSessionName")),
        (ROLE.into(), "pod".into())
    );
    signed_by(&bedrock, "ASIA1", "role-secret", "role-session-1");
}

#[test]
fn a_token_that_is_written_is_exchanged_where_the_environment_says() {
    let bedrock = Server::start(converse);
    let sts = Server::start(sts("AssumeRoleWithWebIdentity", 3600));
    let written = [("aws_role_name", ROLE), ("aws_web_identity_token", "oidc/env/POD_TOKEN")];
    let gateway = at(&bedrock, &written)
        .variable("POD_TOKEN", "pod.web.token")
        .variable("AWS_ENDPOINT_URL_STS", &sts.url())
        .start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    assert_eq!(sts.last().field("WebIdentityToken"), "pod.web.token");
    assert_eq!(sts.last().field("RoleSessionName"), "tollgate");
}

/// A gateway that finds these files of AWS's tools.
fn with_files(
    builder: gateway::Builder,
    folder: &Path,
    config: &str,
    keys: &str,
) -> gateway::Builder {
    let path = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    };
    builder
        .variable("AWS_CONFIG_FILE", &path("config", config))
        .variable("AWS_SHARED_CREDENTIALS_FILE", &path("credentials", keys))
}

#[test]
fn a_profile_takes_on_a_role_with_the_keys_of_another() {
    let bedrock = Server::start(converse);
    let sts = Server::start(sts("AssumeRole", 3600));
    let config = format!(
        "[profile app]\nrole_arn = {ROLE}\nsource_profile = base\nrole_session_name = app\n\
         external_id = ext\n"
    );
    let keys = "[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = base-secret\n";
    let folder = tempfile::tempdir().unwrap();
    let gateway = at(&bedrock, &[("aws_profile_name", "app")])
        // A profile that is written goes before them.
        .variable("AWS_ACCESS_KEY_ID", "AKIDENV")
        .variable("AWS_SECRET_ACCESS_KEY", "of the environment")
        .variable("AWS_ENDPOINT_URL_STS", &sts.url());
    let gateway = with_files(gateway, folder.path(), &config, keys).start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    let asked = sts.last();
    assert!(asked.header("authorization").contains("Credential=AKIDBASE/"), "{asked:?}");
    assert_eq!(
        (asked.field("RoleArn"), asked.field("RoleSessionName")),
        (ROLE.into(), "app".into())
    );
    signed_by(&bedrock, "ASIA1", "role-secret", "role-session-1");
}

#[test]
fn a_profile_may_name_a_command_that_tells_keys() {
    let bedrock = Server::start(converse);
    let folder = tempfile::tempdir().unwrap();
    let told = json!({"Version": 1, "AccessKeyId": "AKIDPROCESS",
                      "SecretAccessKey": "process-secret", "SessionToken": "process-session",
                      "Expiration": "2099-01-01T00:00:00Z"});
    std::fs::write(folder.path().join("keys.json"), told.to_string()).unwrap();
    let config = format!(
        "[default]\ncredential_process = cat {}\n",
        folder.path().join("keys.json").display()
    );
    let gateway = with_files(at(&bedrock, &[]), folder.path(), &config, "").start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Bedrock");
    signed_by(&bedrock, "AKIDPROCESS", "process-secret", "process-session");
}

#[test]
fn a_machine_without_credentials_says_so_and_sends_nothing() {
    let bedrock = Server::start(converse);
    let gateway = at(&bedrock, &[]).router("num_retries: 0").start();
    let reply = gateway.client().chat("m", "hi");
    assert_eq!((reply.status, &*reply.error_code()), (503, "upstream_credential_unavailable"));
    assert!(bedrock.seen().is_empty());
}

#[test]
fn googles_default_credentials_are_found_by_the_variable_and_at_home() {
    let vertex = Server::start(claude);
    let google = Server::start(tokens(3600));
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join(".config/gcloud");
    std::fs::create_dir_all(&home).unwrap();
    let user = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "home",
        "quota_project_id": "home-project", "token_uri": format!("{}/token", google.url()),
    });
    std::fs::write(home.join("application_default_credentials.json"), user.to_string()).unwrap();
    let account = folder.path().join("key.json");
    std::fs::write(&account, super::service_account(&google)).unwrap();
    let url = vertex.url();
    let params = [("model", "vertex_ai/claude-haiku-4-5@20251001"), ("api_base", url.as_str())];
    let at_home = || listed(&params).variable("HOME", &folder.path().to_string_lossy());

    let gateway = at_home().start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Claude");
    assert_eq!(google.last().json()["refresh_token"], "home");
    assert!(vertex.last().path.contains("/projects/home-project/"), "{}", vertex.last().path);

    let path = account.to_string_lossy().into_owned();
    let gateway = at_home().variable("GOOGLE_APPLICATION_CREDENTIALS", &path).start();
    assert_eq!(gateway.client().chat("m", "hi").text(), "from Claude");
    let grant = google.last().field("grant_type");
    assert_eq!(grant, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert!(vertex.last().path.contains("/projects/key-project/"), "{}", vertex.last().path);
}
