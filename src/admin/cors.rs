//! What browsers may do with our answers (CORS). The gateway uses it for inference too.
//!
//! Pages of other origins send keys in headers. The cookie of the dashboard's session is not for them:
//! credentials are never allowed, so `*` is safe.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::keys::Access;

/// How long a browser may remember a preflight: ten minutes, so that a change of the
/// configuration is seen soon.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("600");
/// The longest list of request headers that is confirmed.
const REQUEST_HEADERS_BYTES_MAX: usize = 1_024;
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS");

/// Hands `add` the headers for an answer to a request with this `Origin`; none if there is no
/// origin or it is not allowed.
pub fn mark(
    access: &Access,
    origin: Option<&HeaderValue>,
    mut add: impl FnMut(HeaderName, HeaderValue),
) {
    let any = access.cors_origins.iter().any(|allowed| &**allowed == "*");
    if !any && !access.cors_origins.is_empty() {
        // Also without an origin: a shared cache must not serve that answer to a browser.
        add(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = origin else { return };
    if any {
        add(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else if access.cors_origins.iter().any(|allowed| same_origin(allowed, origin)) {
        add(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    } else {
        return;
    }
    add(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
}

/// The headers of the answer (204) if the request is a preflight; `None` if it is something else.
///
/// A preflight carries no key, whatever the route asks for, and is answered for every path.
#[must_use]
pub fn preflight(access: &Access, method: &Method, headers: &HeaderMap) -> Option<HeaderMap> {
    let origin = headers.get(ORIGIN)?;
    if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut answer = HeaderMap::new();
    mark(access, Some(origin), |name, value| {
        answer.append(name, value);
    });
    if answer.remove(ACCESS_CONTROL_EXPOSE_HEADERS).is_none() {
        return Some(answer);
    }
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
    // Echoed, because `*` would not include `Authorization`.
    if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS)
        && wanted.len() <= REQUEST_HEADERS_BYTES_MAX
    {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        answer.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    }
    Some(answer)
}

/// Origins have no path, but people write the slash.
fn same_origin(allowed: &str, origin: &HeaderValue) -> bool {
    allowed.trim_end_matches('/').as_bytes().eq_ignore_ascii_case(origin.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(origins: &[&str]) -> Access {
        let cors_origins = origins.iter().map(|&origin| origin.into()).collect();
        Access { cors_origins, ..Access::default() }
    }

    fn marked(origins: &[&str], origin: Option<&'static str>) -> Vec<(String, String)> {
        let mut marks = Vec::new();
        let origin = origin.map(HeaderValue::from_static);
        mark(&access(origins), origin.as_ref(), |name, value| {
            marks.push((name.to_string(), value.to_str().unwrap().to_owned()));
        });
        marks
    }

    fn allowed(origins: &[&str], origin: Option<&'static str>) -> Option<String> {
        let marks = marked(origins, origin).into_iter();
        marks.into_iter().find(|(name, _)| name == "access-control-allow-origin").map(|(_, v)| v)
    }

    #[test]
    fn only_configured_origins_are_allowed() {
        let app = Some("https://app.example");
        assert_eq!(allowed(&["*"], app).as_deref(), Some("*"));
        assert_eq!(allowed(&["https://app.example/"], app).as_deref(), app);
        assert_eq!(allowed(&["https://other.example"], app), None);
        assert_eq!(allowed(&[], app), None);
        assert_eq!(allowed(&["*"], None), None, "not a browser");
    }

    #[test]
    fn answers_that_depend_on_the_origin_say_so_to_caches() {
        let vary = ("vary".to_owned(), "Origin".to_owned());
        assert!(marked(&["https://app.example"], None).contains(&vary));
        assert!(!marked(&["*"], Some("https://app.example")).contains(&vary));
    }

    #[test]
    fn a_preflight_confirms_what_the_browser_asks_for() {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static("https://app.example"));
        assert!(preflight(&access(&["*"]), &Method::OPTIONS, &headers).is_none());
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        let wanted = HeaderValue::from_static("authorization,content-type");
        headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, wanted.clone());
        assert!(preflight(&access(&["*"]), &Method::POST, &headers).is_none());

        let answer = preflight(&access(&["*"]), &Method::OPTIONS, &headers).unwrap();
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_HEADERS], wanted);
        let refused = preflight(&access(&[]), &Method::OPTIONS, &headers).unwrap();
        assert!(refused.is_empty(), "{refused:?}");
    }
}
