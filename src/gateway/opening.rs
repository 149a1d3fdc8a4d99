//! One attempt up to the point where its answer begins: a whole reply, or a stream's first content.
//!
//! Until then nothing of it has reached the client, so another attempt may still take its place.
//! Knows the upstream only; dropping the future gives the attempt up.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Gateway;
use super::ctx::Call;
use super::exchange::{self, Bounds, Content, Exchange, broken};
use super::fetched::{self, Filled};
use super::tokens;
use crate::catalog::Deployment;
use crate::dialect::{Dialect, Endpoint};
use crate::failure::{Failure, FailureClass};
use crate::patience::within;
use crate::provider::{self, Reading};
use crate::routing::Attempt;
use crate::snapshot::Snapshot;
use crate::upstream::Connection;
use crate::wire::json::Object;
use crate::wire::stray::{self, Tail};
use crate::wire::{self, Ending, Reply, StreamOptions, StreamRelay};

/// What one write carries at most, so that a fast upstream cannot outrun a slow client's memory.
pub(super) const BATCH_BYTES: usize = 64 * 1024;

/// Requests of one attempt that are under way at a time, where a provider takes a text in each.
const PARTS_AT_ONCE: usize = 8;

/// How an answer begins.
pub(super) enum Opening {
    /// It is whole: a reply, or an error with its body.
    Body(Whole),
    Stream(Box<Begun>),
}

/// An answer that is no stream.
pub(super) struct Whole {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub reading: Reading,
    pub fetching: Duration,
}

/// A stream with content.
pub(super) struct Begun {
    pub reading: Reading,
    pub headers: HeaderMap,
    pub connection: Box<Connection>,
    pub stream: StreamRelay,
    /// Events that came so far, not sent yet.
    pub events: Vec<Bytes>,
    pub batch: Batch,
    pub tail: Tail,
    pub fetching: Duration,
}

impl Opening {
    /// How long others than the provider were waited for, before it was asked.
    pub(super) fn fetching(&self) -> Duration {
        match self {
            Self::Body(whole) => whole.fetching,
            Self::Stream(begun) => begun.fetching,
        }
    }
}

/// What one batch of reads brought.
#[derive(Default)]
pub(super) struct Batch {
    pub meaningful: bool,
    pub complete: bool,
    pub failure: Option<Failure>,
}

/// What an attempt needs that its request does not say. Owned, so that several attempts of one
/// request can be made at once.
pub(super) struct Order<'a> {
    pub gateway: &'a Gateway,
    pub snapshot: Arc<Snapshot>,
    pub call: &'a Call,
    pub body: Cow<'a, Object>,
    /// The client's own words may be sent: nothing canonical of the reply is out yet.
    pub native: bool,
    pub deployment: Arc<Deployment>,
    pub model: Arc<str>,
    pub overrides: crate::routing::Overrides,
    /// When the reply began, in seconds since 1970, for formats that do not say.
    pub created: u64,
    /// What tells the provider of the trace.
    pub trace: Vec<(HeaderName, HeaderValue)>,
}

impl<'a> Order<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        snapshot: Arc<Snapshot>,
        call: &'a Call,
        body: Cow<'a, Object>,
        attempt: &Attempt,
        created: u64,
    ) -> Self {
        Self {
            gateway,
            snapshot,
            call,
            native: matches!(body, Cow::Borrowed(_)),
            body,
            deployment: Arc::clone(&attempt.deployment),
            model: Arc::clone(&attempt.model),
            overrides: Arc::clone(&attempt.overrides),
            created,
            trace: Vec::new(),
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds::of(&self.snapshot.traffic, self.call, &self.deployment)
    }
}

/// Makes the attempt.
///
/// # Errors
/// What failed before any content came.
pub(super) async fn open(order: Order<'_>) -> Result<Opening, Failure> {
    let bounds = order.bounds();
    let exchanged = exchanged(&order, bounds).await.map_err(|failure| bounds.blame(failure))?;
    let (reading, exchange, fetching) = exchanged;
    let (headers, connection) = match exchange {
        Exchange { status, headers, content: Content::Body(body) } => {
            return Ok(Opening::Body(Whole { status, headers, body, reading, fetching }));
        }
        Exchange { headers, content: Content::Stream(connection), .. } => (headers, connection),
    };
    let options = StreamOptions {
        show_usage: order.call.show_usage,
        created: order.created,
        quirks: order.deployment.quirks,
    };
    let origin = provider::origin(&order.model, &headers);
    let stream = match reading.api.is_text() {
        true => provider::stream(&order.deployment, reading, options, &origin),
        false => StreamRelay::media(reading.api, exchange::is_events(&headers)),
    };
    let (events, batch, tail) = (Vec::new(), Batch::default(), Tail::default());
    let begun = Begun { reading, headers, connection, stream, events, batch, tail, fetching };
    let begun = first_content(begun, &order.deployment, bounds).await;
    let begun = begun.map_err(|failure| bounds.blame(failure))?;
    Ok(Opening::Stream(begun))
}

async fn exchanged(
    order: &Order<'_>,
    bounds: Bounds,
) -> Result<(Reading, Exchange, Duration), Failure> {
    let Order { call, deployment, snapshot, .. } = order;
    let asked = provider::Call {
        model: &order.model,
        endpoint: call.endpoint,
        stream: call.stream,
        overrides: &order.overrides,
        drop_params: snapshot.traffic.drop_params,
        modify_params: snapshot.traffic.modify_params,
        native: call.native().filter(|_| order.native),
        form: call.form.as_ref(),
        stored: call.stored.as_deref(),
    };
    let traffic = &snapshot.traffic;
    let mut body = order.gateway.remembered(traffic, call, deployment, &order.body);
    let began = Instant::now();
    let filled = Box::pin(fetched::filled(order, &body, &asked, bounds)).await?;
    let fetching = filled.as_ref().map_or(Duration::ZERO, |_| began.elapsed());
    let (mut asked, mut native_with_data) = (asked, None);
    match filled {
        None => {}
        Some(Filled { native: true, body }) => native_with_data = Some(body),
        Some(Filled { native: false, body: with_data }) => body = Cow::Owned(with_data),
    }
    if let (Some(native), Some(with_data)) = (asked.native, &native_with_data) {
        asked.native = Some(provider::Native { body: with_data, ..native });
    }
    if native_with_data.is_none() {
        body = tokens::as_texts(call, deployment, body).await;
    }
    let parts = provider::parts(deployment, &body, &asked).map_err(Failure::without_blame)?;
    // Boxed, so that a stream does not carry the state of its exchange to its end.
    let (reading, exchange) = match parts {
        None => Box::pin(once(order, &body, &asked, bounds)).await?,
        Some(parts) => Box::pin(in_parts(order, &parts, &asked, bounds)).await?,
    };
    if let Some(how) = &deployment.target.authorisation
        && matches!(exchange.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    {
        order.gateway.identities.refused(how);
    }
    if let Some(told) = provider::told(&exchange.headers, SystemTime::now()) {
        order.gateway.rates.told(deployment, &told, Instant::now());
    }
    Ok((reading, exchange, fetching))
}

async fn once(
    order: &Order<'_>,
    body: &Object,
    asked: &provider::Call<'_>,
    bounds: Bounds,
) -> Result<(Reading, Exchange), Failure> {
    let Order { call, deployment, snapshot, .. } = order;
    let Gateway { identities, upstreams, .. } = order.gateway;
    let mut outgoing =
        provider::request(deployment, body, asked).map_err(Failure::without_blame)?;
    let written = (outgoing.reading, body);
    if let Some(whole) = order.gateway.unsealed(&snapshot.traffic, call, deployment, written) {
        outgoing = provider::request(deployment, &whole, asked).map_err(Failure::without_blame)?;
    }
    outgoing.headers.extend_from_slice(&order.trace);
    let stream = call.stream || call.is_relayed_as_bytes();
    if deployment.target.authorisation.is_none() {
        let exchange = exchange::perform(upstreams, deployment, &outgoing, stream, bounds).await?;
        return Ok((outgoing.reading, exchange));
    }
    let reading = outgoing.reading;
    let exchange =
        exchange::authorised(identities, upstreams, deployment, &mut outgoing, stream, bounds);
    Ok((reading, Box::pin(exchange).await?))
}

/// Asks for what the provider does in several requests only. The first refusal is the answer.
async fn in_parts(
    order: &Order<'_>,
    parts: &[Object],
    asked: &provider::Call<'_>,
    bounds: Bounds,
) -> Result<(Reading, Exchange), Failure> {
    let mut waiting = parts.iter();
    let mut asking = FuturesOrdered::new();
    for part in waiting.by_ref().take(PARTS_AT_ONCE) {
        asking.push_back(once(order, part, asked, bounds).boxed());
    }
    let mut answers = Vec::with_capacity(parts.len());
    let mut room = bounds.body_bytes;
    let mut first = None;
    while let Some(answer) = asking.next().await {
        if let Some(part) = waiting.next() {
            asking.push_back(once(order, part, asked, bounds).boxed());
        }
        let (reading, Exchange { status, headers, content }) = answer?;
        let Content::Body(body) = content else {
            let message = "the provider streams what is no stream";
            return Err(Failure::new(FailureClass::Server, message));
        };
        if !status.is_success() {
            return Ok((reading, Exchange { status, headers, content: Content::Body(body) }));
        }
        room = room.checked_sub(body.len()).ok_or_else(|| {
            let message = format!("the replies are larger than {} bytes", bounds.body_bytes);
            Failure::new(FailureClass::Server, message)
        })?;
        answers.push((headers, body));
        first.get_or_insert((reading, status));
    }
    let Some((reading, status)) = first else {
        return Err(Failure::new(FailureClass::BadRequest, "nothing is asked for"));
    };
    let (headers, body) = provider::joined(answers);
    Ok((reading, Exchange { status, headers, content: Content::Body(body) }))
}

/// Reads until there is something to show. A preamble is held back until something follows it.
async fn first_content(
    begun: Begun,
    deployment: &Deployment,
    bounds: Bounds,
) -> Result<Box<Begun>, Failure> {
    let mut begun = Box::new(begun);
    let deadline = Instant::now() + bounds.first_byte;
    loop {
        let Begun { connection, stream, events, tail, .. } = &mut *begun;
        // Comments and preambles do not extend the wait for content.
        let patience = deadline.saturating_duration_since(Instant::now());
        let read = within(patience, pin!(connection.session.read_response_body())).await;
        let Ok(read) = read else {
            return Err(exchange::timed_out(
                "upstream_first_byte_timeout",
                "the provider's stream did not begin in time",
                bounds.first_byte,
            ));
        };
        let batch = collect(read, connection, (stream, tail), events);
        match batch {
            Batch { meaningful: false, failure: Some(failure), .. } => {
                let (heard, now) = (Some(&begun.headers), SystemTime::now());
                return Err(provider::reclassify(deployment, failure, heard, now));
            }
            Batch { meaningful: false, complete: true, .. } if !stream.may_be_empty() => {
                return Err(Failure::new(
                    FailureClass::Server,
                    "the provider's stream ended without any content",
                ));
            }
            Batch { meaningful: false, complete: false, .. }
                if events.iter().map(Bytes::len).sum::<usize>() < BATCH_BYTES => {}
            batch => {
                begun.batch = batch;
                return Ok(begun);
            }
        }
    }
}

/// Puts what was read, and what is readable without waiting, through the stream's format.
pub(super) fn collect(
    first: pingora_core::Result<Option<Bytes>>,
    connection: &mut Connection,
    (stream, tail): (&mut StreamRelay, &mut Tail),
    out: &mut Vec<Bytes>,
) -> Batch {
    let mut batch = Batch::default();
    let mut read = Some(first);
    let mut room = BATCH_BYTES;
    while let Some(this) = read {
        match this {
            Ok(Some(chunk)) => {
                room = room.saturating_sub(chunk.len());
                tail.note(&chunk);
                let progress = stream.push(chunk, out);
                batch.meaningful |= progress.meaningful;
                batch.complete |= progress.done;
                batch.failure = progress.failure;
                if batch.failure.is_some() || batch.complete || room == 0 {
                    break;
                }
                read = connection.session.read_response_body().now_or_never();
            }
            Ok(None) => {
                match stream.finish(out) {
                    Ending::Complete => batch.complete = true,
                    Ending::Cut => {
                        batch.failure = Some(tail.last_words().unwrap_or_else(|| {
                            let message = "the provider's stream ended before its end mark";
                            Failure::new(FailureClass::Connection, message)
                        }));
                    }
                }
                break;
            }
            Err(error) => {
                batch.failure = Some(broken(&error));
                break;
            }
        }
    }
    batch
}

/// What an answer that could not be read says, where its dialect has found nothing to tell.
fn better_told(failure: Failure, reading: Reading, body: &[u8]) -> Failure {
    let is_vague = failure.class == FailureClass::Server
        && failure.status.is_none()
        && failure.kind.is_none()
        && failure.code.is_none();
    if !reading.api.is_text() || !is_vague {
        return failure;
    }
    stray::error_in(body).or_else(|| stray::page(body)).unwrap_or(failure)
}

/// Reads a whole answer of status 200.
///
/// # Errors
/// It is an error, or no answer to what was asked.
pub(super) fn read(
    call: &Call,
    attempt: &Attempt,
    headers: &HeaderMap,
    reading: Reading,
    body: Bytes,
    created: u64,
) -> Result<Reply, Failure> {
    let kind = match reading.api.is_text() {
        true => None,
        false => headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()),
    };
    match kind {
        Some(kind) if call.is_content() || !kind.contains("json") => {
            wire::media::plain(body, kind, reading.api)
        }
        _ => {
            let origin = provider::origin(&attempt.model, headers);
            let said = body.clone();
            let reply = provider::reply(&attempt.deployment, reading, body, created, &origin)
                .map_err(|failure| better_told(failure, reading, &said))?;
            // These write what was asked for themselves, or are not to be meddled with.
            let own = matches!(attempt.deployment.dialect, Dialect::OpenAi | Dialect::Azure);
            let encodes = reading.api == Endpoint::Embeddings
                && call.body.str("encoding_format").is_some_and(|format| format == "base64");
            Ok(match encodes && !own {
                true => Reply { body: wire::embeddings::in_base64(reply.body), ..reply },
                false => reply,
            })
        }
    }
}
