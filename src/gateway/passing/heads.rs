//! The heads of a passed request and of its answer: whose credentials, whose address, and what is
//! nobody's business but the gateway's.

use http::header::{self, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pingora_http::{RequestHeader, ResponseHeader};

use crate::catalog::{Deployment, Mount};
use crate::gateway::error::GatewayError;
use crate::provider;

/// What a client may carry its key in. None of it is for the provider.
const CREDENTIALS: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Start of a subprotocol that carries a key, as browsers have to send it.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// Parameters of a query that carry a key.
const KEY_PARAMETERS: [&str; 2] = ["key", "api_key"];

/// Path and query at the provider.
pub(super) fn mount_path(
    mount: &Mount,
    deployment: &Deployment,
    rest: &str,
    query: Option<&str>,
) -> String {
    let root = match mount.verbatim {
        true => &*deployment.target.root,
        false => provider::passed_root(deployment, rest),
    };
    let path = provider::passed_path(root, rest, mount.verbatim);
    let mut pairs: Vec<String> = Vec::new();
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        let name = pair.split('=').next().unwrap_or(pair);
        if !pair.is_empty() && !KEY_PARAMETERS.contains(&name) {
            pairs.push(pair.to_owned());
        }
    }
    for (name, value) in &mount.query {
        let sent = |pair: &String| pair.split('=').next() == Some(&**name);
        if !pairs.iter().any(sent) {
            let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            pairs.push(format!("{}={}", encoded(name), encoded(value)));
        }
    }
    if pairs.is_empty() { path.into_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// The client's head becomes the provider's.
pub(super) fn request(
    head: &mut RequestHeader,
    deployment: &Deployment,
    authority: Option<&HeaderValue>,
    forwards: bool,
) {
    let own = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("x-litellm-") || name.starts_with("x-tollgate-")
    };
    let framing = [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::ACCEPT,
    ];
    let is_websocket = |name: &HeaderName| name.as_str().starts_with("sec-websocket-");
    let names: Vec<HeaderName> = head.headers.keys().cloned().collect();
    for name in names {
        let kept = forwards || framing.contains(&name) || is_websocket(&name);
        if !kept || CREDENTIALS.contains(&name) || own(&name) {
            head.remove_header(&name);
        }
    }
    // What comes back has to be read for its usage; without the header any coding may come.
    set(head, header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    head.remove_header("sec-websocket-extensions");
    subprotocols(head);
    let authority = authority.unwrap_or(&deployment.target.authority).clone();
    set(head, header::HOST, authority);
    for (name, value) in &deployment.target.headers {
        set(head, name.clone(), value.clone());
    }
}

/// Takes the client's key out of the subprotocols that it offers.
fn subprotocols(head: &mut RequestHeader) {
    let offered = head.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offered: Vec<&str> = offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .filter(|protocol| !protocol.starts_with(KEY_PROTOCOL))
        .collect();
    let offered = HeaderValue::from_str(&offered.join(", "));
    head.remove_header(&header::SEC_WEBSOCKET_PROTOCOL);
    if let Some(offered) = offered.ok().filter(|offered| !offered.is_empty()) {
        set(head, header::SEC_WEBSOCKET_PROTOCOL, offered);
    }
}

/// The provider's head becomes the client's: its cookies are the gateway's, not the client's, and the
/// request has one name wherever it is looked for.
pub(super) fn response(head: &mut ResponseHeader, request_id: &str, deployment: Option<&str>) {
    head.remove_header(&header::SET_COOKIE);
    let theirs = head.headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let theirs = theirs.map(str::to_owned);
    for (name, value) in [
        (REQUEST_ID, Some(request_id)),
        (HeaderName::from_static("x-litellm-call-id"), Some(request_id)),
        (HeaderName::from_static("x-litellm-model-id"), deployment),
        (HeaderName::from_static("llm_provider-x-request-id"), theirs.as_deref()),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok())
            && let Err(error) = head.insert_header(name, value)
        {
            tracing::debug!(%error, "a header is left out");
        }
    }
}

pub(super) fn set(head: &mut RequestHeader, name: HeaderName, value: HeaderValue) {
    if let Err(error) = head.insert_header(name, value) {
        tracing::debug!(%error, "a header is left out");
    }
}

/// A path that is no path.
pub(super) fn unsendable() -> GatewayError {
    GatewayError::BadBody {
        message: "The path cannot be sent to the provider.".into(),
        param: None,
        code: "invalid_path",
    }
}
