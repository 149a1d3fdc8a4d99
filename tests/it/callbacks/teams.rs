//! `default_team_settings`: callbacks that the configuration gives to teams, and when they hold.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::own::{MASTER, SECRET, chat_by, entry, gateway, hears_of, ids, key, langfuse, made};
use super::*;

#[test]
fn teams_that_say_nothing_have_what_the_configuration_gives_them() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let (proxys, files, teams) = (langfuse(), langfuse(), langfuse());
    let settings = format!(
        "callbacks: [langfuse]\ndefault_team_settings:\n- team_id: web\n  success_callback: \
         [langfuse]\n  langfuse_public_key: pk-lf-1\n  langfuse_secret: os.environ/WEB_SECRET\n  \
         langfuse_host: {}",
        files.url()
    );
    let gateway = gateway(&upstream, &settings)
        .variable("LANGFUSE_PUBLIC_KEY", "pk")
        .variable("LANGFUSE_SECRET_KEY", "sk-lf-of-the-gateway")
        .variable("LANGFUSE_HOST", &proxys.url())
        .variable("WEB_SECRET", SECRET)
        .start();
    made(&gateway, MASTER, "/team/new", &json!({"team_id": "web"}));
    let of_team = key(&gateway, &json!({"team_id": "web"}));
    let none = key(&gateway, &json!({"team_id": "web", "metadata": {"logging": []}}));
    let of_nobody = key(&gateway, &json!({}));

    hears_of(&files, &chat_by(&gateway, &of_team));
    let basic = BASE64_STANDARD.encode(format!("pk-lf-1:{SECRET}"));
    let sent = files.last_request();
    assert_eq!(sent.header("authorization"), Some(&*format!("Basic {basic}")));
    hears_of(&proxys, &chat_by(&gateway, &none));
    hears_of(&proxys, &chat_by(&gateway, &of_nobody));
    let lost = gateway.client().with_key(Some(&of_team)).chat("nope", "hi");
    assert_eq!(lost.status, 404);
    hears_of(&proxys, &lost);
    assert_eq!((ids(&files).len(), ids(&proxys).len()), (1, 3));

    // What the team says itself outranks it, also that it has none.
    made(&gateway, MASTER, "/team/web/callback", &entry("success", &teams.url()));
    hears_of(&teams, &chat_by(&gateway, &of_team));
    made(&gateway, MASTER, "/team/web/disable_logging", &json!({}));
    hears_of(&proxys, &chat_by(&gateway, &of_team));
    assert_eq!((ids(&files).len(), ids(&teams).len()), (1, 1));
    let held = |text: &str| [SECRET, &basic].iter().any(|it| text.contains(*it));
    assert!(!held(&gateway.output()) && !held(&gateway.messages()), "in no log");
}

#[test]
fn a_team_is_silent_if_the_configuration_says_so() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let generic = receiver();
    let settings = "callbacks: [generic_api]\nturn_off_message_logging: false\n\
                    default_team_settings:\n- {team_id: web, turn_off_message_logging: true}";
    let gateway =
        gateway(&upstream, settings).variable("GENERIC_LOGGER_ENDPOINT", &generic.url()).start();
    made(&gateway, MASTER, "/team/new", &json!({"team_id": "web"}));
    let (silent, loud) = (key(&gateway, &json!({"team_id": "web"})), key(&gateway, &json!({})));
    let (silent, loud) = (chat_by(&gateway, &silent), chat_by(&gateway, &loud));
    let told = wait_for(&generic, 2);
    let of = |reply: &Reply| {
        let mut found = told.iter().filter(|it| it["litellm_call_id"] == reply.request_id());
        found.next().unwrap()["messages"][0]["content"].clone()
    };
    assert_eq!((of(&silent), of(&loud)), (json!("redacted-by-litellm"), json!("the plan")));
}
