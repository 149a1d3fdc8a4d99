//! One exchange with one upstream, up to the point where its answer can be judged.
//!
//! Connects, sends the prepared request, reads the head and, unless a stream begins, the body.
//! Knows the upstream only: the client is watched by `relay.rs`, which drops this future when the
//! client leaves. Dropping it closes the connection.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use pingora_core::{Error, ErrorType, RetryType};
use pingora_http::RequestHeader;

use crate::catalog::Deployment;
use crate::failure::{Failure, FailureClass};
use crate::patience::within;
use crate::provider::Outgoing;
use crate::upstream::{Connection, Pool, Upstreams};

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION")));

/// How long an upstream that stopped reading our body is given to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Longest error body that is read; what follows only costs the connection.
const ERROR_BODY_MAX: usize = 256 * 1024;

/// Bounds of one exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub connect: Duration,
    /// From the end of the request to the head of the response.
    pub first_byte: Duration,
    /// The whole exchange, the body included unless it is a stream.
    pub whole: Option<Duration>,
    /// Longest silence within the body.
    pub idle: Duration,
    pub body_bytes: usize,
    /// The client's own limit is the shortest of them.
    pub by_client: bool,
}

impl Bounds {
    /// A limit that the client set says nothing about the deployment when it runs out; connecting
    /// has the operator's.
    pub(super) fn blame(&self, mut failure: Failure) -> Failure {
        let connecting = failure.code.as_deref() == Some("upstream_connect_timeout");
        failure.blameless = self.by_client && failure.class == FailureClass::Timeout && !connecting;
        failure
    }
}

/// What came back.
pub(super) struct Exchange {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body, unless the answer is a stream that is still to be read from the connection.
    pub content: Content,
}

/// The body of an answer, or the way to it.
pub(super) enum Content {
    Body(Bytes),
    Stream(Box<Connection>),
}

/// Performs the exchange. `stream` says that an event stream was asked for.
///
/// # Errors
/// A [`Failure`] without status: nothing that could be classified came back.
pub(super) async fn perform(
    upstreams: &Upstreams,
    deployment: &Deployment,
    outgoing: &Outgoing<'_>,
    stream: bool,
    bounds: Bounds,
) -> Result<Exchange, Failure> {
    let exchange = attempt(upstreams, deployment, outgoing, stream, bounds);
    match bounds.whole {
        None => exchange.await,
        Some(whole) => within(whole, exchange).await.unwrap_or_else(|_elapsed| {
            Err(timed_out("upstream_timeout", "the provider did not answer in time", whole))
        }),
    }
}

async fn attempt(
    upstreams: &Upstreams,
    deployment: &Deployment,
    outgoing: &Outgoing<'_>,
    stream: bool,
    bounds: Bounds,
) -> Result<Exchange, Failure> {
    let mut pool = Pool::Shared;
    loop {
        let mut connection = upstreams.connect(deployment, bounds.connect, pool).await?;
        match send(&mut connection, deployment, outgoing, bounds).await {
            Ok(head) => return receive(upstreams, connection, head, stream, bounds).await,
            // A kept connection that ended before a byte of the answer came. Nearly always the
            // upstream had closed it before it saw the request; but it may have read it, and then
            // doing so again is paid twice. So it is sent once more at most, as nginx and Envoy do,
            // never after a timeout, and on a new connection, where the doubt does not arise.
            Err(Unsent::Stale) if connection.reused && pool == Pool::Shared => {
                pool = Pool::Avoided;
            }
            Err(Unsent::Stale) => {
                return Err(Failure::new(
                    FailureClass::Connection,
                    "the provider closed the connection without an answer",
                ));
            }
            Err(Unsent::Failed(failure)) => return Err(failure),
        }
    }
}

enum Unsent {
    /// The connection was closed before a byte came back.
    Stale,
    Failed(Failure),
}

async fn send(
    connection: &mut Connection,
    deployment: &Deployment,
    outgoing: &Outgoing<'_>,
    bounds: Bounds,
) -> Result<(StatusCode, HeaderMap), Unsent> {
    let internal =
        |_| Unsent::Failed(Failure::new(FailureClass::BadRequest, "the request cannot be sent"));
    let http2 = connection.session.as_http2().is_some();
    let head = request_head(deployment, outgoing, http2).map_err(internal)?;
    let session = &mut connection.session;
    let written = async {
        session.write_request_header(Box::new(head)).await?;
        session.write_request_body(outgoing.body.clone(), true).await?;
        session.finish_request_body().await
    };
    let deadline = Instant::now() + bounds.first_byte;
    let patience = match written.await {
        Ok(()) => bounds.first_byte,
        Err(error) if http2 && connection.reused && is_stale(&error) => {
            return Err(Unsent::Stale);
        }
        // Upstreams answer a body that they refuse before they have read it. On a connection that
        // was closed earlier there is nothing to read, which is found out at once.
        Err(_) => LAST_WORDS,
    };
    let session = &mut connection.session;
    let mut silent = true;
    loop {
        let patience = patience.min(deadline.saturating_duration_since(Instant::now()));
        match within(patience, session.read_response_header()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if silent && is_stale(&error) && !began(&error) => {
                return Err(Unsent::Stale);
            }
            Ok(Err(error)) => return Err(Unsent::Failed(broken(&error))),
            Err(_elapsed) => {
                return Err(Unsent::Failed(timed_out(
                    "upstream_first_byte_timeout",
                    "the provider sent no response head in time",
                    bounds.first_byte,
                )));
            }
        }
        match session.response_header() {
            Some(head) if head.status.is_informational() => silent = false,
            Some(head) => return Ok((head.status, head.headers.clone())),
            None => return Err(Unsent::Stale),
        }
    }
}

fn request_head(
    deployment: &Deployment,
    outgoing: &Outgoing<'_>,
    http2: bool,
) -> pingora_core::Result<RequestHeader> {
    let target = &deployment.target;
    // Made from a map of names that are parsed already: Pingora's own insertion parses each again.
    let size = target.headers.len() + outgoing.headers.len() + 5;
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = http::Method::POST;
    let uri = if http2 {
        parts.version = http::Version::HTTP_2;
        let scheme = if target.tls { "https" } else { "http" };
        let builder = http::Uri::builder().scheme(scheme).authority(target.authority.as_bytes());
        builder.path_and_query(outgoing.path.as_ref()).build()
    } else {
        http::Uri::builder().path_and_query(outgoing.path.as_ref()).build()
    };
    parts.uri = uri.map_err(|cause| {
        Error::because(ErrorType::InvalidHTTPHeader, "building the upstream's URI", cause)
    })?;
    let mut headers = HeaderMap::with_capacity(size);
    if !http2 {
        headers.insert(header::HOST, target.authority.clone());
        headers.insert(header::CONTENT_LENGTH, outgoing.body.len().into());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, USER_AGENT);
    for (name, value) in &outgoing.headers {
        headers.insert(name.clone(), value.clone());
    }
    // Last, so that what the operator wrote in `extra_headers` wins.
    for (name, value) in &target.headers {
        headers.insert(name.clone(), value.clone());
    }
    parts.headers = headers;
    Ok(parts.into())
}

async fn receive(
    upstreams: &Upstreams,
    mut connection: Connection,
    (status, headers): (StatusCode, HeaderMap),
    stream: bool,
    bounds: Bounds,
) -> Result<Exchange, Failure> {
    let success = status.is_success();
    if success && stream && !is_json(&headers) {
        return Ok(Exchange { status, headers, content: Content::Stream(Box::new(connection)) });
    }
    let limit = if success { bounds.body_bytes } else { ERROR_BODY_MAX };
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let reading = connection.session.read_response_body();
        let read = match within(bounds.idle, reading).await {
            Ok(read) => read,
            Err(_elapsed) => return Err(went_silent(bounds.idle)),
        };
        match read {
            Ok(Some(chunk)) => {
                if first.len() + rest.len() + chunk.len() > limit {
                    if success {
                        return Err(Failure::new(
                            FailureClass::Server,
                            format!("the provider's reply is larger than {limit} bytes"),
                        ));
                    }
                    // Enough to classify the error; the connection is given up with the rest.
                    return Ok(Exchange {
                        status,
                        headers,
                        content: Content::Body(joined(first, rest)),
                    });
                }
                if first.is_empty() && rest.is_empty() {
                    first = chunk;
                } else {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                    rest.extend_from_slice(&chunk);
                }
            }
            Ok(None) => break,
            // What came of an error's body is enough to classify it by.
            Err(_) if !success => {
                return Ok(Exchange {
                    status,
                    headers,
                    content: Content::Body(joined(first, rest)),
                });
            }
            Err(error) => return Err(broken(&error)),
        }
    }
    upstreams.release(connection).await;
    Ok(Exchange { status, headers, content: Content::Body(joined(first, rest)) })
}

fn joined(first: Bytes, rest: BytesMut) -> Bytes {
    if rest.is_empty() { first } else { rest.freeze() }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().windows(4).any(|part| part == b"json"))
}

/// The upstream closed the connection before it answered. On a kept connection that proves nothing;
/// Pingora marks such errors, and so do we for what it leaves unmarked.
fn is_stale(error: &Error) -> bool {
    let closed = matches!(error.retry, RetryType::ReusedOnly | RetryType::Decided(true))
        || matches!(error.etype(), ErrorType::ConnectionClosed | ErrorType::WriteError);
    closed && !is_timeout(error)
}

/// The system gave the connection up because the other side was silent for too long.
fn is_timeout(error: &Error) -> bool {
    let cause = error.root_cause();
    let below = cause.downcast_ref::<h2::Error>().and_then(h2::Error::get_io);
    let below = below.or_else(|| cause.downcast_ref::<io::Error>());
    below.is_some_and(|below| below.kind() == io::ErrorKind::TimedOut)
}

/// A part of the head had come. Pingora tells it in its text alone ("bytes already read: 17").
fn began(error: &Error) -> bool {
    let text = error.to_string();
    let count = text.split("bytes already read: ").nth(1).unwrap_or("0");
    count.bytes().next().is_some_and(|digit| digit != b'0')
}

/// An upstream that broke off or does not speak HTTP.
#[must_use]
pub(super) fn broken(error: &Error) -> Failure {
    let message = match error.etype() {
        ErrorType::InvalidHTTPHeader
        | ErrorType::H1Error
        | ErrorType::H2Error
        | ErrorType::InvalidH2 => "the provider did not answer in HTTP",
        _ => "the provider broke the connection",
    };
    Failure::new(FailureClass::Connection, message)
}

/// The answer began and then nothing came any more.
#[must_use]
pub(super) fn went_silent(bound: Duration) -> Failure {
    timed_out(
        "upstream_idle_timeout",
        "the provider went silent in the middle of its answer",
        bound,
    )
}

/// A bound that ran out. `code` tells which.
#[must_use]
pub(super) fn timed_out(code: &'static str, what: &str, bound: Duration) -> Failure {
    let mut failure = Failure::new(
        FailureClass::Timeout,
        format!("{what} (limit {} seconds)", bound.as_secs_f64()),
    );
    failure.code = Some(code.into());
    failure
}
