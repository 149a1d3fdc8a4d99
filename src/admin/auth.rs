//! Where a request carries its key.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// OpenAI's SDKs use `Authorization`, Anthropic's `x-api-key`, Azure's `api-key`.
static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Google's.
static X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// Which of Google's SDKs asks; they send it also where a token is their key.
static X_GOOG_API_CLIENT: HeaderName = HeaderName::from_static("x-goog-api-client");
static API_KEY: HeaderName = HeaderName::from_static("api-key");

/// Browsers cannot set headers of a WebSocket: OpenAI's clients offer their key as a subprotocol.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// `WWW-Authenticate` of a 401.
pub const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");

/// Everything in a request that may be meant as its key, for [`crate::keys::identify`]. `further`
/// is the configured header. A `Bearer ` in front is taken off wherever it stands; other schemes of
/// `Authorization` (`Basic`) carry no key of ours.
pub fn candidates<'a>(
    headers: &'a HeaderMap,
    further: Option<&'a HeaderName>,
) -> impl Iterator<Item = &'a [u8]> {
    let plain = further.into_iter().chain([&X_API_KEY, &API_KEY]);
    let plain = plain
        .filter(|name| **name != AUTHORIZATION)
        .filter_map(|name| headers.get(name))
        .map(|value| bearer(value.as_bytes()).unwrap_or_else(|| value.as_bytes().trim_ascii()));
    let authorization = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    let offered = offered.filter_map(|it| it.trim().strip_prefix(KEY_PROTOCOL)).map(str::as_bytes);
    authorization.into_iter().chain(plain).chain(offered).filter(|key| !key.is_empty())
}

/// The key of one of Google's clients: `x-goog-api-key`, or `key` in the query, which is never
/// logged. The header goes first.
#[must_use]
pub fn google_key<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Option<Cow<'a, [u8]>> {
    let header = headers.get(&X_GOOG_API_KEY).map(|value| value.as_bytes().trim_ascii());
    if let Some(key) = header.filter(|key| !key.is_empty()) {
        return Some(Cow::Borrowed(key));
    }
    let mut pairs = query?.split('&');
    let key = pairs.find_map(|pair| pair.strip_prefix("key=")).filter(|key| !key.is_empty())?;
    Some(percent_decode_str(key).into())
}

/// Whether one of Google's clients asks, where the path does not say so: its key or its name.
#[must_use]
pub fn is_googles(headers: &HeaderMap, query: Option<&str>) -> bool {
    headers.contains_key(&X_GOOG_API_CLIENT)
        || headers.contains_key(&X_GOOG_API_KEY)
        || google_key(headers, query).is_some()
}

/// What follows `Bearer`, in any case and with any blanks.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.trim_ascii().split_at_checked("Bearer".len())?;
    let separated = key.first().is_some_and(u8::is_ascii_whitespace);
    (scheme.eq_ignore_ascii_case(b"Bearer") && separated).then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(headers: &[(&str, &str)], further: Option<&str>) -> Vec<String> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let further = further.map(|name| name.parse().unwrap());
        candidates(&headers, further.as_ref())
            .map(|key| String::from_utf8(key.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn keys_are_found_where_the_sdks_put_them() {
        for (name, value) in [
            ("authorization", "Bearer sk-1"),
            ("authorization", "bearer   sk-1 "),
            ("x-api-key", "sk-1"),
            ("api-key", " sk-1"),
            ("x-api-key", "Bearer sk-1"),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-1, x"),
        ] {
            assert_eq!(found(&[(name, value)], None), ["sk-1"], "{name}: {value}");
        }
    }

    #[test]
    fn what_is_no_key_is_left_alone() {
        for value in ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "Bearersk-1", "sk-1", ""] {
            assert!(found(&[("authorization", value)], None).is_empty(), "{value}");
        }
    }

    #[test]
    fn googles_clients_put_it_in_a_header_or_the_query() {
        let none = HeaderMap::new();
        let mut some = HeaderMap::new();
        some.insert(&X_GOOG_API_KEY, HeaderValue::from_static(" sk-1 "));
        let found = |headers, query| {
            google_key(headers, query).map(|key| String::from_utf8(key.into_owned()).unwrap())
        };
        assert_eq!(found(&some, Some("key=sk-2")).as_deref(), Some("sk-1"));
        assert_eq!(found(&none, Some("alt=sse&key=sk%2D2")).as_deref(), Some("sk-2"));
        for query in [None, Some("key="), Some("xkey=a"), Some("")] {
            assert_eq!(found(&none, query), None, "{query:?}");
        }
    }

    #[test]
    fn googles_clients_are_known_by_their_key_or_their_name() {
        let with = |name: &'static str| {
            HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("x"))])
        };
        assert!(is_googles(&with("x-goog-api-key"), None));
        assert!(is_googles(&with("x-goog-api-client"), None));
        assert!(is_googles(&HeaderMap::new(), Some("pageSize=2&key=sk-1")));
        for name in ["authorization", "x-api-key", "api-key"] {
            assert!(!is_googles(&with(name), Some("limit=2&key=")), "{name}");
        }
    }

    #[test]
    fn a_configured_header_counts_too() {
        let headers = [("authorization", "Bearer a"), ("x-tollgate-key", "b")];
        assert_eq!(found(&headers, Some("x-tollgate-key")), ["a", "b"]);
        assert_eq!(found(&headers, None), ["a"]);
        assert_eq!(found(&headers[..1], Some("authorization")), ["a"], "not twice");
    }
}
