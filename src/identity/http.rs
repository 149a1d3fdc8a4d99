//! The HTTP client that credentials are fetched with, and the same for AWS's own code.
//!
//! It is not the data path: a handful of small requests in an hour.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use reqwest::{Method, Url};

use crate::outbound::{self, Bounds, Failed};

/// What one request may take; tokens have some kilobytes.
pub(super) const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), answer: 1024 * 1024 };

/// Makes requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// `None`: the system has no usable authorities.
    far: Option<reqwest::Client>,
    /// For this machine and its metadata service, which no proxy reaches.
    near: Option<reqwest::Client>,
}

impl Client {
    pub(super) fn new() -> Self {
        let client = outbound::client;
        Self { far: client().build().ok(), near: client().no_proxy().build().ok() }
    }

    /// The client for an address.
    ///
    /// # Errors
    /// The address is none, or no TLS is possible.
    pub(super) fn to(&self, url: &str) -> Result<(&reqwest::Client, Url), String> {
        let parsed: Url = url.parse().map_err(|_| "its address is not valid".to_owned())?;
        let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_near = host == "localhost"
            || host == "metadata.google.internal"
            || host.parse().is_ok_and(|address: std::net::IpAddr| match address {
                std::net::IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
                std::net::IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
            });
        let client = if is_near { &self.near } else { &self.far };
        let client = client.as_ref().ok_or("the system has no usable certificate authorities")?;
        Ok((client, parsed))
    }

    /// The same, as AWS's code wants it.
    pub(super) fn for_aws(&self) -> SharedHttpClient {
        let client = self.clone();
        http_client_fn(move |settings, _components| {
            let wanted = [settings.connect_timeout(), settings.read_timeout()];
            let time = wanted.into_iter().flatten().reduce(|one, other| one + other);
            let time = time.map_or(BOUNDS.time, |time| time.min(BOUNDS.time));
            let bounds = Bounds { time, ..BOUNDS };
            SharedHttpConnector::new(Connector { client: client.clone(), bounds })
        })
    }
}

#[derive(Debug)]
struct Connector {
    client: Client,
    bounds: Bounds,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(exchange(self.client.clone(), self.bounds, request))
    }
}

async fn exchange(
    client: Client,
    bounds: Bounds,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let user = |problem: String| ConnectorError::user(problem.into());
    let (client, url) = client.to(request.uri()).map_err(user)?;
    let method = request.method().parse::<Method>();
    let method = method.map_err(|_| user("the method is not valid".to_owned()))?;
    let mut sent = client.request(method, url);
    for (name, value) in request.headers() {
        sent = sent.header(name, value);
    }
    if let Some(body) = request.body().bytes().filter(|body| !body.is_empty()) {
        sent = sent.body(body.to_vec());
    }
    let answer = outbound::ask(sent, bounds).await.map_err(failed)?;
    let status = answer.status.as_u16().try_into();
    let status = status.map_err(|_| user("the status is not valid".to_owned()))?;
    let body = answer.body.map_err(failed)?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    for (name, value) in &answer.headers {
        if let Ok(value) = value.to_str() {
            response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(response)
}

fn failed(failed: Failed) -> ConnectorError {
    match failed {
        Failed::TimedOut(_) => ConnectorError::timeout(failed.into()),
        Failed::TooLarge(_) | Failed::Broken(_) => ConnectorError::io(failed.into()),
    }
}
