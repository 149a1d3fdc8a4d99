use super::*;
use crate::mock::{Upstream, body_of, status};

fn policy(allowed_hosts: &[&str]) -> Fetching {
    let allowed_hosts = allowed_hosts.iter().map(|host| Box::from(*host)).collect();
    Fetching { validates: true, allowed_hosts, max_bytes: 1_000 }
}

#[test]
fn addresses_are_shown_without_what_may_be_secret() {
    for (url, expected) in [
        ("https://h/a.png?sig=secret#part", "https://h/a.png"),
        ("https://user:secret@h:8443/a", "https://h:8443/a"),
        ("http://[::1]:80/", "http://[::1]/"),
        ("not one, but secret", "an address"),
    ] {
        assert_eq!(shown(url), expected);
    }
    let long = shown(&format!("https://h/{}", "\u{e9}".repeat(300)));
    assert_eq!(long.len(), 203, "{long}");
}

#[tokio::test]
async fn a_host_that_is_vouched_for_vouches_for_no_other() {
    let inner = Upstream::openai().replies(body_of("text/plain", "secret")).start();
    let to = status(307).header("location", &format!("{}/", inner.url()));
    let outer = Upstream::openai().replies(to.body("text/plain", "")).start();
    let host = outer.url().replace("http://", "");
    let fetcher = Fetcher::default();
    let (answer, is_fresh) = fetcher.get(&outer.url(), &policy(&[&host])).await;
    assert_eq!((answer.map(|_| ()), is_fresh), (Err(Unfetched::Private), true));
    assert!(inner.requests().is_empty());
    // Names are judged by what they lead to.
    let named = inner.url().replace("127.0.0.1", "localhost");
    let (answer, _) = fetcher.get(&named, &policy(&["127.0.0.1"])).await;
    assert_eq!(answer.map(|_| ()), Err(Unfetched::Private));
    let (answer, _) = fetcher.get(&format!("{named}/2"), &policy(&["LOCALHOST"])).await;
    assert_eq!(&*answer.unwrap().bytes, b"secret");
}

#[tokio::test]
async fn what_came_is_kept_and_so_is_a_failure_for_a_moment() {
    let replies = [body_of("image/png", "x"), status(500).body("text/plain", "broken")];
    let server = Upstream::openai().replies_in_turn(replies).start();
    let (fetcher, policy) = (Fetcher::default(), policy(&["127.0.0.1"]));
    for (path, fresh, expected) in [
        ("/1", true, None),
        ("/1", false, None),
        ("/2", true, Some(Unfetched::Status(500))),
        ("/2", false, Some(Unfetched::Status(500))),
    ] {
        let (answer, is_fresh) = fetcher.get(&format!("{}{path}", server.url()), &policy).await;
        assert_eq!((answer.err(), is_fresh), (expected, fresh), "{path}");
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn nobody_there_is_told_apart() {
    let (fetcher, policy) = (Fetcher::default(), policy(&["127.0.0.1"]));
    for (url, expected) in [
        ("http://127.0.0.1:1/", Unfetched::Unreachable),
        ("http://nobody.invalid/", Unfetched::UnknownHost),
        ("ftp://127.0.0.1/", Unfetched::Scheme),
        ("http://", Unfetched::Malformed),
    ] {
        assert_eq!(fetcher.get(url, &policy).await.0.err(), Some(expected), "{url}");
    }
}
