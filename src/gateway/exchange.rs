//! One exchange with one upstream, up to the point where its answer can be judged.
//!
//! Connects, sends the prepared request, reads the head and, unless a stream begins, the body.
//! Knows the upstream only: the client is watched by `relay.rs`, which drops this future when the
//! client leaves. Dropping it closes the connection.

use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora_core::{Error, ErrorType, RetryType};
use pingora_http::RequestHeader;

use super::ctx::Call;
use super::head;
use crate::catalog::{Authorisation, Deployment};
use crate::dialect::Endpoint;
use crate::failure::{Failure, FailureClass};
use crate::identity::{Identities, Unsigned};
use crate::patience::within;
use crate::provider::{self, Outgoing};
use crate::snapshot::Traffic;
use crate::upstream::{Connection, Heads, Opened, Pool, Upstreams};

/// Headers of every request; what stands later in a request's list replaces them.
static HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    // Without it any coding may come, and what comes has to be read.
    (header::ACCEPT_ENCODING, HeaderValue::from_static("identity")),
    (header::USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION")))),
];

/// Longer than any request takes.
const UNBOUNDED: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an upstream that stopped reading our body is given to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Longest error body that is read; what follows only costs the connection.
const ERROR_BODY_MAX: usize = 256 * 1024;

/// Room for the head of a request; a longer one grows.
const HEAD_ROOM: usize = 512;

/// Bounds of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
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
    /// How long an attempt of this call on this deployment may take.
    pub(super) fn of(traffic: &Traffic, call: &Call, deployment: &Deployment) -> Self {
        // A client may shorten the operator's bounds, not lengthen them.
        let shorter =
            |own: Option<Duration>, written: Option<Duration>| own.into_iter().chain(written).min();
        let silence = shorter(call.stream_timeout, deployment.timeouts.stream);
        let whole = shorter(call.timeout, deployment.timeouts.request);
        Self {
            connect: traffic.connect_timeout,
            first_byte: match (call.stream, whole) {
                (true, _) => shorter(silence, whole).unwrap_or(traffic.first_byte_timeout),
                (false, None) => traffic.first_byte_timeout,
                // The whole attempt has its bound, and that has a code of its own.
                (false, Some(_)) => UNBOUNDED,
            },
            whole: if call.stream { None } else { whole },
            idle: silence.unwrap_or(traffic.stream_idle_timeout),
            body_bytes: traffic.max_response_bytes,
            by_client: (call.timeout.is_some() && whole == call.timeout)
                || (call.stream_timeout.is_some() && silence == call.stream_timeout),
        }
    }

    /// A limit that the client set says nothing about the deployment when it runs out; connecting
    /// has the operator's.
    pub(super) fn blame(&self, mut failure: Failure) -> Failure {
        let connecting = failure.code.as_deref() == Some("upstream_connect_timeout");
        failure.blameless |=
            self.by_client && failure.class == FailureClass::Timeout && !connecting;
        failure
    }
}

/// What came back.
pub(crate) struct Exchange {
    pub status: StatusCode,
    /// Of a success, only what [`is_kept`] tells.
    pub headers: HeaderMap,
    /// The body, unless the answer is a stream that is still to be read from the connection.
    pub content: Content,
}

/// The body of an answer, or the way to it.
pub(crate) enum Content {
    Body(Bytes),
    Stream(Box<Connection>),
}

/// Gives a request the headers that only its sending tells, where the deployment asks for some.
///
/// # Errors
/// [`FailureClass::Auth`]: there is no credential.
pub(crate) async fn authorise(
    identities: &Identities,
    deployment: &Deployment,
    outgoing: &mut Outgoing<'_>,
    bounds: Bounds,
) -> Result<(), Failure> {
    let target = &deployment.target;
    let Some(how) = &target.authorisation else { return Ok(()) };
    let whole = bounds.whole.unwrap_or(UNBOUNDED);
    let authorised = {
        let content_type = headers(deployment, outgoing)
            .find(|(name, _)| *name == header::CONTENT_TYPE)
            .and_then(|(_, value)| value.to_str().ok());
        let request = Unsigned {
            method: outgoing.method(),
            authority: target.authority.to_str().map_err(|_| unsendable())?,
            path: &outgoing.path,
            content_type: content_type.unwrap_or_default(),
            body: &outgoing.body,
        };
        within(whole, pin!(identities.authorise(how, &request))).await
    };
    let authorised = authorised.unwrap_or_else(|_elapsed| {
        let what = "the deployment's credential did not come in time";
        Err(timed_out("upstream_timeout", what, whole))
    })?;
    outgoing.headers.retain(|(name, _)| !authorised.iter().any(|(fresh, _)| fresh == name));
    outgoing.headers.extend(authorised);
    Ok(())
}

/// Performs an exchange whose request needs [`authorise`]. One that is refused because of this
/// machine's clock is made once more, by the provider's.
///
/// # Errors
/// As [`authorise`] and [`perform`].
pub(crate) async fn authorised(
    identities: &Identities,
    upstreams: &Upstreams,
    deployment: &Deployment,
    outgoing: &mut Outgoing<'_>,
    stream: bool,
    bounds: Bounds,
) -> Result<Exchange, Failure> {
    let began = Instant::now();
    authorise(identities, deployment, outgoing, bounds).await?;
    let exchange = perform(upstreams, deployment, outgoing, stream, bounds).await?;
    let Exchange { status, headers, content: Content::Body(body) } = &exchange else {
        return Ok(exchange);
    };
    let signs = deployment.target.authorisation.as_ref().is_some_and(Authorisation::is_signature);
    match provider::clock(*status, headers, body) {
        Some(theirs) if signs && identities.told_time(theirs) => {
            let whole = bounds.whole.map(|whole| whole.saturating_sub(began.elapsed()));
            let bounds = Bounds { whole, ..bounds };
            authorise(identities, deployment, outgoing, bounds).await?;
            perform(upstreams, deployment, outgoing, stream, bounds).await
        }
        _ => Ok(exchange),
    }
}

/// Performs the exchange. `stream` says that an event stream was asked for.
///
/// # Errors
/// A [`Failure`] without status: nothing that could be classified came back.
pub(crate) async fn perform(
    upstreams: &Upstreams,
    deployment: &Deployment,
    outgoing: &Outgoing<'_>,
    stream: bool,
    bounds: Bounds,
) -> Result<Exchange, Failure> {
    let mut exchange = pin!(attempt(upstreams, deployment, outgoing, stream, bounds));
    match bounds.whole {
        None => exchange.as_mut().await,
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
        let opened = upstreams.connect(deployment, bounds.connect, pool, &outgoing.body).await?;
        let reused = opened.reused;
        match send(opened, deployment, outgoing, bounds).await {
            Ok((connection, head)) => {
                return receive(upstreams, connection, head, stream, bounds).await;
            }
            // A kept connection that ended before a byte of the answer came. Nearly always the
            // upstream had closed it before it saw the request; but it may have read it, and then
            // doing so again is paid twice. So it is sent once more at most, as nginx and Envoy do,
            // never after a timeout, and on a new connection, where the doubt does not arise.
            Err(Unsent::Stale) if reused && pool == Pool::Shared => {
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

/// The head of an answer, as far as it is of interest.
struct Head {
    status: StatusCode,
    headers: HeaderMap,
    /// It is no stream, whatever was asked for.
    is_whole: bool,
}

async fn send(
    opened: Opened,
    deployment: &Deployment,
    outgoing: &Outgoing<'_>,
    bounds: Bounds,
) -> Result<(Connection, Head), Unsent> {
    let reused = opened.reused;
    let authority = opened.authority().clone();
    let heads = Heads {
        http1: || http1_head(deployment, outgoing, &authority),
        http2: || http2_head(deployment, outgoing, &authority),
    };
    let deadline = Instant::now() + bounds.first_byte;
    let (mut connection, written) =
        opened.send(heads, outgoing.body.clone(), outgoing.rest()).await;
    let http2 = connection.session.as_http2().is_some();
    let patience = match written {
        Ok(()) => bounds.first_byte,
        Err(error) if *error.etype() == ErrorType::InvalidHTTPHeader => {
            return Err(Unsent::Failed(unsendable()));
        }
        Err(error) if http2 && reused && is_stale(&error) => return Err(Unsent::Stale),
        // Upstreams answer a body that they refuse before they have read it. On a connection that
        // was closed earlier there is nothing to read, which is found out at once.
        Err(_) => LAST_WORDS,
    };
    let session = &mut connection.session;
    let mut silent = true;
    loop {
        let patience = patience.min(deadline.saturating_duration_since(Instant::now()));
        match within(patience, pin!(session.read_response_header())).await {
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
            Some(head) => {
                let api = outgoing.reading.api;
                let is_page = api.is_text() && is_page(&head.headers);
                let (status, is_whole) = (head.status, is_page || is_json(&head.headers));
                let whole = outgoing.sending.as_ref().is_some_and(|sending| sending.whole_head);
                let headers = if status.is_success() && !whole {
                    let kept = head.headers.iter().filter(|(name, _)| is_kept(name, api));
                    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
                } else {
                    head.headers.clone()
                };
                return Ok((connection, Head { status, headers, is_whole }));
            }
            None => return Err(Unsent::Stale),
        }
    }
}

/// What the client or the records want to know of a successful answer: its rate limits, when to come
/// again if there is an error in it, the id by
/// which Anthropic knows it, what its body does not tell, and of what is passed on as it is, what it
/// is.
fn is_kept(header: &HeaderName, api: Endpoint) -> bool {
    if !api.is_text() && head::DESCRIBES.contains(header) {
        return true;
    }
    let name = header.as_str();
    name.starts_with("x-ratelimit-")
        || name.starts_with("anthropic-ratelimit-")
        || name.starts_with("anthropic-priority-")
        || name == "request-id"
        || name == "retry-after"
        || name == "retry-after-ms"
        || provider::tells_origin(header)
}

/// Headers of a request without those of its framing. Each name once: what the operator wrote in
/// `extra_headers` wins.
fn headers<'a>(
    deployment: &'a Deployment,
    outgoing: &'a Outgoing<'_>,
) -> impl Iterator<Item = &'a (HeaderName, HeaderValue)> {
    let written = HEADERS.iter().chain(&outgoing.headers).chain(&deployment.target.headers);
    let mut rest = written.clone();
    written.filter(move |(name, _)| {
        rest.next();
        !rest.clone().any(|(later, _)| later == name)
    })
}

fn http1_head(
    deployment: &Deployment,
    outgoing: &Outgoing<'_>,
    authority: &HeaderValue,
) -> pingora_core::Result<BytesMut> {
    let path = outgoing.path.as_bytes();
    if !path.starts_with(b"/") || !path.iter().all(u8::is_ascii_graphic) {
        return Error::e_explain(ErrorType::InvalidHTTPHeader, "the path cannot be sent");
    }
    let mut head = BytesMut::with_capacity(HEAD_ROOM);
    let mut line = |parts: [&[u8]; 3]| {
        parts.into_iter().for_each(|part| head.extend_from_slice(part));
        head.put_slice(b"\r\n");
    };
    match outgoing.method() {
        &http::Method::POST => line([b"POST ", path, b" HTTP/1.1"]),
        other => line([other.as_str().as_bytes(), &[b" ", path].concat(), b" HTTP/1.1"]),
    }
    line([b"host", b": ", authority.as_bytes()]);
    let length = itoa::Buffer::new().format(outgoing.body_bytes()).to_owned();
    line([b"content-length", b": ", length.as_bytes()]);
    for (name, value) in headers(deployment, outgoing) {
        line([name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    line([b"", b"", b""]);
    Ok(head)
}

fn http2_head(
    deployment: &Deployment,
    outgoing: &Outgoing<'_>,
    authority: &HeaderValue,
) -> pingora_core::Result<RequestHeader> {
    let target = &deployment.target;
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = outgoing.method().clone();
    parts.version = http::Version::HTTP_2;
    let scheme = if target.tls { "https" } else { "http" };
    let builder = http::Uri::builder().scheme(scheme).authority(authority.as_bytes());
    let uri = builder.path_and_query(outgoing.path.as_ref()).build();
    parts.uri = uri.map_err(|cause| {
        Error::because(ErrorType::InvalidHTTPHeader, "building the upstream's URI", cause)
    })?;
    parts.headers = headers(deployment, outgoing).cloned().collect();
    Ok(parts.into())
}

async fn receive(
    upstreams: &Upstreams,
    mut connection: Connection,
    Head { status, headers, is_whole }: Head,
    stream: bool,
    bounds: Bounds,
) -> Result<Exchange, Failure> {
    let success = status.is_success();
    if success && stream && !is_whole {
        return Ok(Exchange { status, headers, content: Content::Stream(Box::new(connection)) });
    }
    let limit = if success { bounds.body_bytes } else { ERROR_BODY_MAX };
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let reading = pin!(connection.session.read_response_body());
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
    upstreams.release(connection);
    Ok(Exchange { status, headers, content: Content::Body(joined(first, rest)) })
}

fn joined(first: Bytes, rest: BytesMut) -> Bytes {
    if rest.is_empty() { first } else { rest.freeze() }
}

/// Whether the answer is a stream of events.
pub(super) fn is_events(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
    let names = |word: &[u8]| memchr::memmem::find(value.as_bytes(), word).is_some();
    // Lines of JSON are a stream: `application/x-ndjson`.
    names(b"json") && !names(b"ndjson")
}

/// A page for a browser is no stream of events.
fn is_page(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

fn unsendable() -> Failure {
    Failure::new(FailureClass::BadRequest, "the request cannot be sent")
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
