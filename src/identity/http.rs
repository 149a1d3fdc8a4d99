//! The HTTP client that credentials are fetched with, and the same for AWS's own code.
//!
//! It is not the data path: a handful of small requests in an hour. Redirects are not followed: a
//! secret is for the address that is written.

use std::error::Error;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use reqwest::redirect::Policy;
use reqwest::{Method, Url};

/// The longest time that one request takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read; tokens have some kilobytes.
pub(super) const ANSWER_MAX: usize = 1024 * 1024;

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
        // What is installed already is as good; other code of this process may be first.
        rustls::crypto::ring::default_provider().install_default().ok();
        let builder = || {
            let builder = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE);
            builder.user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        };
        Self { far: builder().build().ok(), near: builder().no_proxy().build().ok() }
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
            let bounds = [settings.connect_timeout(), settings.read_timeout()];
            let patience = bounds.into_iter().flatten().reduce(|one, other| one + other);
            let patience = patience.unwrap_or(PATIENCE).min(PATIENCE);
            SharedHttpConnector::new(Connector { client: client.clone(), patience })
        })
    }
}

#[derive(Debug)]
struct Connector {
    client: Client,
    patience: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, patience) = (self.client.clone(), self.patience);
        HttpConnectorFuture::new(exchange(client, patience, request))
    }
}

async fn exchange(
    client: Client,
    patience: Duration,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let user = |problem: String| ConnectorError::user(problem.into());
    let (client, url) = client.to(request.uri()).map_err(user)?;
    let method = request.method().parse::<Method>();
    let method = method.map_err(|_| user("the method is not valid".to_owned()))?;
    let mut sent = client.request(method, url).timeout(patience);
    for (name, value) in request.headers() {
        sent = sent.header(name, value);
    }
    if let Some(body) = request.body().bytes().filter(|body| !body.is_empty()) {
        sent = sent.body(body.to_vec());
    }
    let answer = sent.send().await.map_err(failed)?;
    let status = answer.status().as_u16().try_into();
    let status = status.map_err(|_| user("the status is not valid".to_owned()))?;
    let headers = answer.headers().clone();
    let body = read(answer).await.map_err(|problem| ConnectorError::io(problem.into()))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    for (name, value) in &headers {
        if let Ok(value) = value.to_str() {
            response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(response)
}

fn failed(error: reqwest::Error) -> ConnectorError {
    let (is_timeout, problem) = (error.is_timeout(), reason(error));
    if is_timeout {
        ConnectorError::timeout(problem.into())
    } else {
        ConnectorError::io(problem.into())
    }
}

/// The body of an answer, within its bound.
pub(super) async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reason)? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(format!("the answer is larger than {ANSWER_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why a request failed, without its address: a query may hold a secret.
pub(super) fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer came in time".to_owned();
    }
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
