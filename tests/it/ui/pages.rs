//! The files of the dashboard.

use std::io::Read as _;

use http::Method;

use super::{MASTER, office, refused};
use crate::harness::*;

#[test]
fn the_pages_are_served_with_a_strict_policy_to_everybody() {
    let (gateway, _provider) = office();
    let client = gateway.client().with_key(None);
    for path in ["/ui", "/ui/", "/ui/keys", "/ui/requests/0199-abc"] {
        let page = client.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.body_text().contains("<title>Tollgate"), "{path}");
        let policy = page.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("cache-control"), "no-cache");
    }
}

#[test]
fn a_page_that_the_browser_has_is_not_sent_again() {
    let (gateway, _provider) = office();
    let client = gateway.client().with_key(None);
    let first = client.get("/ui");
    let tag = first.header("etag").to_owned();
    let again = client.request(Method::GET, "/ui").header("if-none-match", &tag).send();
    assert_eq!((again.status, again.body_text().len()), (304, 0));
    let other = client.request(Method::GET, "/ui").header("if-none-match", "\"other\"").send();
    assert_eq!(other.status, 200);
}

#[test]
fn a_page_names_its_files_by_their_version() {
    let (gateway, _provider) = office();
    let client = gateway.client().with_key(None);
    let page = client.get("/ui/keys").body_text();
    let named: Vec<_> = page.split('"').filter(|text| text.starts_with("/ui/")).collect();
    assert!(named.len() > 40, "{named:?}");
    let version = named[0].split('/').nth(2).unwrap();
    assert!(version.starts_with("v-") && version.len() == 18, "{version}");
    for name in named {
        assert_eq!(name.split('/').nth(2), Some(version), "{name}");
        assert_eq!(client.get(name).status, 200, "{name}");
    }
    let script = |version: &str| client.get(&format!("/ui/{version}/main.js"));
    // What another version's page asks for while an upgrade is under way.
    let other = script("v-0123456789abcdef");
    assert_eq!((other.status, other.header("cache-control")), (200, "no-cache"));
    assert_eq!(other.body, script(version).body);
}

#[test]
fn files_are_packed_for_browsers_that_take_it() {
    let (gateway, _provider) = office();
    let client = gateway.client().with_key(None);
    let ask = |codings: &str| {
        client.request(Method::GET, "/ui/vendor/uplot.js").header("accept-encoding", codings).send()
    };
    let (plain, packed) = (ask("identity"), ask("gzip, br"));
    assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"));
    assert_eq!(packed.header("vary"), "accept-encoding");
    assert_ne!(packed.header("etag"), plain.header("etag"));
    assert!(packed.body.len() * 2 < plain.body.len(), "{}", packed.body.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.body_text());
    let tag = packed.header("etag").to_owned();
    let again = client.request(Method::GET, "/ui/vendor/uplot.js").header("if-none-match", &tag);
    assert_eq!(again.header("accept-encoding", "gzip").send().status, 304);
}

#[test]
fn what_is_no_file_is_no_page_and_no_way_out_of_the_folder() {
    let (gateway, _provider) = office();
    let client = gateway.client().with_key(None);
    for path in ["/ui/none.js", "/ui/api", "/ui/api/none", "/ui/api/overview/x.js"] {
        assert_eq!(refused(&client.get(path)), (404, "not_found".into()), "{path}");
    }
    for path in ["/ui/..%2f..%2fmod.rs", "/ui/%2e%2e/mod.rs", "/ui//etc/passwd.d"] {
        let reply = client.get(path);
        assert!(reply.status == 404 || reply.body_text().contains("<title>"), "{path}");
    }
    assert_eq!(client.post("/ui").send().status, 405);
}

#[test]
fn an_operator_may_leave_the_pages_out() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&provider))
        .master_key(MASTER)
        .top("dashboard: {enabled: false}")
        .start();
    let client = gateway.client().with_key(None);
    for path in ["/ui", "/ui/api/session"] {
        assert_eq!(refused(&client.get(path)), (404, "not_found".into()), "{path}");
    }
}
