//! Who may enter which route: every route with every role, and what is not listed is denied.

use http::Method;
use serde_json::json;
use tollgate::admin::rights::{self, Right};

use super::Office;
use crate::harness::*;

/// Who enters a route, one letter each: proxy `a`dmin, `v`iewer, `o`rganisation's admin, internal
/// `u`ser, user who only `r`eads, `k`ey without a user. Bodies are empty, so whoever enters is told what
/// is missing, or gets a list. Nobody but an admin is told that a key is unknown.
const ROUTES: &[(&str, &str, &str)] = &[
    ("GET", "/ui/api/overview", "avourk"),
    // What it answers does not end.
    ("HEAD", "/ui/api/live", "avourk"),
    ("GET", "/ui/api/deployments", "avourk"),
    ("GET", "/ui/api/config", "av"),
    ("GET", "/ui/api/requests", "avourk"),
    ("GET", "/ui/api/requests/{id}", "avourk"),
    ("GET", "/v1/models", "avourk"),
    ("GET", "/models", "avourk"),
    ("GET", "/v1beta/models", "avourk"),
    ("GET", "/models/", "avourk"),
    ("GET", "/v1/models/", "avourk"),
    ("GET", "/v1beta/models/", "avourk"),
    ("GET", "/models/{*name}", "avourk"),
    ("GET", "/v1/models/{*name}", "avourk"),
    ("GET", "/v1beta/models/{*name}", "avourk"),
    ("GET", "/model/info", "avourk"),
    ("GET", "/v1/model/info", "avourk"),
    ("GET", "/v2/model/info", "avourk"),
    ("GET", "/model_group/info", "avourk"),
    ("POST", "/model/new", "a"),
    ("POST", "/model/update", "a"),
    ("PATCH", "/model/{id}/update", "a"),
    ("POST", "/model/delete", "a"),
    ("GET", "/spend/logs", "avourk"),
    ("GET", "/spend/logs/v2", "avourk"),
    ("GET", "/spend/tags", "av"),
    ("GET", "/spend/keys", "av"),
    ("GET", "/spend/users", "av"),
    ("POST", "/spend/calculate", "avourk"),
    ("POST", "/cost/estimate", "avourk"),
    ("GET", "/global/spend", "av"),
    ("GET", "/global/spend/logs", "avourk"),
    ("GET", "/global/spend/tags", "av"),
    ("GET", "/global/spend/all_tag_names", "av"),
    ("GET", "/global/spend/keys", "avourk"),
    ("GET", "/global/spend/models", "avourk"),
    ("GET", "/global/spend/teams", "av"),
    ("GET", "/global/spend/provider", "avourk"),
    ("POST", "/global/spend/end_users", "av"),
    ("GET", "/global/spend/report", "avourk"),
    ("GET", "/global/activity", "avourk"),
    ("GET", "/global/activity/model", "avourk"),
    ("GET", "/user/daily/activity", "avourk"),
    ("GET", "/user/daily/activity/aggregated", "avourk"),
    ("GET", "/team/daily/activity", "avourk"),
    ("GET", "/organization/daily/activity", "av"),
    ("GET", "/tag/daily/activity", "av"),
    ("GET", "/customer/daily/activity", "av"),
    ("GET", "/end_user/daily/activity", "av"),
    ("GET", "/provider/budgets", "av"),
    ("GET", "/audit", "av"),
    ("POST", "/utils/token_counter", "avourk"),
    ("GET", "/routes", "avourk"),
    ("GET", "/key/info", "avourk"),
    ("POST", "/key/health", "avourk"),
    ("POST", "/config/reload", "a"),
    ("GET", "/guardrails/list", "avourk"),
    ("POST", "/guardrails/apply_guardrail", "avourk"),
    ("GET", "/callbacks/list", "av"),
    ("GET", "/active/callbacks", "av"),
    ("GET", "/health/services", "a"),
    ("GET", "/cache/ping", "av"),
    ("GET", "/cache/redis/info", "av"),
    ("POST", "/cache/delete", "a"),
    ("POST", "/cache/flushall", "a"),
    ("POST", "/routing/explain", "av"),
    ("POST", "/key/generate", "aou"),
    ("POST", "/key/service-account/generate", "aou"),
    ("POST", "/key/update", "aou"),
    ("POST", "/key/bulk_update", "a"),
    ("POST", "/key/delete", "aou"),
    ("POST", "/key/block", "aou"),
    ("POST", "/key/unblock", "aou"),
    ("POST", "/key/regenerate", "aou"),
    ("POST", "/key/{key}/regenerate", "a"),
    ("POST", "/key/{key}/reset_spend", "aou"),
    ("GET", "/key/list", "avour"),
    ("GET", "/key/aliases", "avour"),
    ("POST", "/v2/key/info", "avourk"),
    ("POST", "/user/new", "a"),
    ("POST", "/user/update", "aou"),
    ("POST", "/user/delete", "a"),
    ("GET", "/user/info", "avourk"),
    ("GET", "/v2/user/info", "avourk"),
    ("GET", "/user/list", "avo"),
    ("GET", "/user/available_roles", "avourk"),
    ("POST", "/team/new", "a"),
    ("POST", "/team/delete", "aou"),
    ("POST", "/team/update", "aou"),
    ("POST", "/team/block", "aou"),
    ("POST", "/team/unblock", "aou"),
    ("POST", "/team/member_add", "aou"),
    ("POST", "/team/bulk_member_add", "aou"),
    ("POST", "/team/member_update", "aou"),
    ("POST", "/team/member_delete", "aou"),
    ("POST", "/team/model/add", "aou"),
    ("POST", "/team/model/delete", "aou"),
    ("GET", "/team/{team_id}/callback", "a"),
    ("POST", "/team/{team_id}/callback", "a"),
    ("DELETE", "/team/{team_id}/callback/{name}", "a"),
    ("POST", "/team/{team_id}/disable_logging", "a"),
    ("GET", "/team/info", "avourk"),
    ("GET", "/team/list", "avourk"),
    ("GET", "/v2/team/list", "avourk"),
    ("GET", "/team/available", "avourk"),
    ("POST", "/customer/new", "a"),
    ("POST", "/customer/update", "a"),
    ("POST", "/customer/delete", "a"),
    ("POST", "/customer/block", "a"),
    ("POST", "/customer/unblock", "a"),
    ("GET", "/customer/info", "av"),
    ("GET", "/customer/list", "av"),
    ("POST", "/end_user/new", "a"),
    ("POST", "/end_user/update", "a"),
    ("POST", "/end_user/delete", "a"),
    ("POST", "/end_user/block", "a"),
    ("POST", "/end_user/unblock", "a"),
    ("GET", "/end_user/info", "av"),
    ("GET", "/end_user/list", "av"),
    ("POST", "/budget/new", "a"),
    ("POST", "/budget/update", "a"),
    ("POST", "/budget/delete", "a"),
    ("POST", "/budget/info", "av"),
    ("GET", "/budget/list", "av"),
    ("GET", "/budget/settings", "av"),
    ("POST", "/organization/new", "a"),
    ("PATCH", "/organization/update", "aou"),
    ("DELETE", "/organization/delete", "a"),
    ("GET", "/organization/info", "avourk"),
    ("GET", "/organization/list", "avourk"),
    ("POST", "/organization/member_add", "aou"),
    ("PATCH", "/organization/member_update", "aou"),
    ("DELETE", "/organization/member_delete", "aou"),
    ("POST", "/tag/new", "a"),
    ("POST", "/tag/update", "a"),
    ("POST", "/tag/delete", "a"),
    ("POST", "/tag/info", "av"),
    ("GET", "/tag/list", "av"),
];

fn ask(office: &Office, key: Option<&str>, method: &str, path: &str) -> Reply {
    let client = office.gateway.client().with_key(key);
    let method: Method = method.parse().unwrap();
    let path = path.replace("{*name}", "gpt").replace("{key}", "sk-unknown-to-all");
    let path = path.replace("{team_id}", "unknown").replace("{name}", "langfuse");
    let path = &path.replace("{id}", "unknown");
    let with_body = !matches!(method, Method::GET | Method::HEAD);
    let ask = client.request(method, path);
    if with_body { ask.json(&json!({})).send() } else { ask.send() }
}

#[test]
fn each_role_enters_its_routes_and_no_others() {
    let office = Office::open();
    office.make("/organization/new", &json!({"organization_id": "o", "organization_alias": "o"}));
    let in_o = json!({"organizations": ["o"]});
    let keys = [
        ('a', office.user("admin", "proxy_admin", &json!({}))),
        ('v', office.user("viewer", "proxy_admin_viewer", &json!({}))),
        ('o', office.user("leader", "org_admin", &in_o)),
        ('u', office.user("user", "internal_user", &json!({}))),
        ('r', office.user("reader", "internal_user_viewer", &json!({}))),
        ('k', office.key(&json!({}))),
    ];
    let mut wrong = Vec::new();
    for (method, path, entering) in ROUTES {
        for (role, key) in &keys {
            let reply = ask(&office, Some(key), method, path);
            let enters = reply.status != 401 && reply.status != 403;
            if enters != entering.contains(*role) {
                wrong.push(format!("{method} {path} as {role}: {}", reply.body_text()));
            }
        }
        for key in [None, Some("sk-nobody-has-this-key")] {
            let reply = ask(&office, key, method, path);
            if reply.status != 401 {
                wrong.push(format!("{method} {path} with {key:?}: {}", reply.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What has no key was made by nobody.
    assert_eq!(office.show("/budget/list").as_array().unwrap().len(), 1, "by the admin");
}

#[test]
fn every_route_of_the_table_is_tried() {
    let tried = |pattern: &str| ROUTES.iter().any(|(_, path, _)| *path == pattern);
    let open = |pattern: &str| matches!(rights::right(Some(pattern)), Right::Open | Right::Metrics);
    let guarded = rights::patterns().filter(|pattern| !open(pattern));
    let missing: Vec<&str> = guarded.filter(|pattern| !tried(pattern)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn who_may_not_enter_is_told_so_in_litellms_words() {
    let office = Office::open();
    let user = office.user("user", "internal_user", &json!({}));
    let refused = ask(&office, Some(&user), "POST", "/budget/new");
    assert_eq!((refused.status, refused.error_code()), (403, "not_allowed".to_owned()));
    let message = refused.error_message();
    assert!(message.starts_with("user not allowed to access this route, role= internal_user"));
    let missing = ask(&office, None, "POST", "/budget/new");
    assert_eq!(missing.error_message(), "Authentication Error, No api key passed in.");
    assert_eq!(missing.header("www-authenticate"), "Bearer");
}
