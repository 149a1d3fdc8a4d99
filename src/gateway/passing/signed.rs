//! Requests that are passed to a provider who wants them signed (`/bedrock/...`): the signature is
//! over the body, so that is read first, and the pipeline is not entered. It would forward no body
//! that was read before and is longer than its buffer.
//!
//! The answer is passed on while it comes and metered, as every other that is passed.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use pingora_core::protocols::http::HttpTask;
use pingora_core::{Error, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::{Passing, heads};
use crate::dialect::Endpoint;
use crate::failure::{Failure, FailureClass};
use crate::gateway::ctx::RequestCtx;
use crate::gateway::error::GatewayError;
use crate::gateway::exchange::{self, Bounds, Content, Exchange, went_silent};
use crate::gateway::{Gateway, intake, reply};
use crate::patience::within;
use crate::provider::{self, Outgoing, Reading, Sending};
use crate::upstream::Connection;

/// What belongs to a connection, or is written anew for each.
const OF_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Parts of a signature of the client's own, as AWS's tools send it.
const OF_SIGNATURE: [&str; 3] = ["x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

/// How the answer ended before its end.
enum Cut {
    /// Nothing of it is out.
    Refused(GatewayError),
    /// The body must not look complete.
    Broken(Failure),
    ClientGone,
}

impl From<GatewayError> for Cut {
    fn from(error: GatewayError) -> Self {
        Self::Refused(error)
    }
}

/// Serves a request whose body has to be held.
///
/// # Errors
/// Pingora's, if the client is gone or must not take what it got for the whole.
pub(in crate::gateway) async fn serve(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestCtx,
) -> pingora_core::Result<()> {
    let Some(mut passing) = ctx.passing.take() else { return Ok(()) };
    let served = passing.serve(gateway, session, ctx).await;
    ctx.passing = Some(passing);
    let Err(cut) = served else { return Ok(()) };
    match cut {
        Cut::Refused(error) => return reply::write_error(session, ctx, error, None).await,
        Cut::Broken(failure) => ctx.error = Some(GatewayError::Upstream(Box::new(failure))),
        Cut::ClientGone => ctx.client_gone = true,
    }
    session.set_keepalive(None);
    Err(Error::new_down(ErrorType::ConnectionClosed))
}

impl Passing {
    async fn serve(
        &mut self,
        gateway: &Gateway,
        session: &mut Session,
        ctx: &mut RequestCtx,
    ) -> Result<(), Cut> {
        let traffic = &ctx.snapshot.traffic;
        let (limit, silence) = (traffic.max_request_bytes, traffic.client_body_timeout);
        let idle = traffic.passed_idle_timeout;
        let bounds = Bounds {
            connect: traffic.connect_timeout,
            first_byte: idle,
            whole: None,
            idle,
            body_bytes: traffic.max_response_bytes,
            by_client: false,
        };
        let body = intake::read_body(session, limit, silence).await?;
        self.received(Some(&body), true, limit)?;
        let asked = session.req_header().clone();
        loop {
            self.choose(gateway, ctx).await?;
            let trace = self.traced(ctx.trace.as_deref_mut());
            match self.exchange(gateway, session, (&asked, trace), &body, bounds).await? {
                Ok((path, exchange)) => {
                    return self.pass_on(gateway, session, ctx, &path, exchange, idle).await;
                }
                Err(failure) => {
                    let nobody_heard = failure.class == FailureClass::Connection
                        || failure.code.as_deref() == Some("upstream_connect_timeout");
                    self.failed(gateway, ctx, failure.clone());
                    if !nobody_heard {
                        return Err(GatewayError::Upstream(Box::new(failure)).into());
                    }
                }
            }
        }
    }

    /// Sends the request to the deployment that was chosen; tells the path there, too.
    async fn exchange(
        &self,
        gateway: &Gateway,
        session: &mut Session,
        (asked, trace): (&RequestHeader, Vec<(HeaderName, HeaderValue)>),
        body: &Bytes,
        bounds: Bounds,
    ) -> Result<Result<(String, Exchange), Failure>, Cut> {
        let Some(attempt) = &self.attempt else { return Err(GatewayError::Internal.into()) };
        let deployment = Arc::clone(&attempt.deployment);
        let mut head = asked.clone();
        self.write_head(&mut head)?;
        let path = head.uri.path_and_query().ok_or_else(heads::unsendable)?;
        let path = provider::signable_path(path.as_str());
        let named = head.headers.iter().filter(|(name, _)| {
            !OF_CONNECTION.contains(name) && !OF_SIGNATURE.contains(&name.as_str())
        });
        let named = named.map(|(name, value)| (name.clone(), value.clone()));
        // Of two of the same name the later one is sent.
        let headers = named.chain(trace).collect();
        let method = head.method.clone();
        let sending = Sending { method, rest: Vec::new(), whole_head: true };
        let mut outgoing = Outgoing {
            path: Cow::Owned(path.clone()),
            headers,
            body: body.clone(),
            // What it is read as, the meter finds out.
            reading: Reading { api: Endpoint::Chat, native: None },
            sending: Some(Box::new(sending)),
        };
        let (identities, upstreams) = (&gateway.identities, &gateway.upstreams);
        let exchanging =
            exchange::authorised(identities, upstreams, &deployment, &mut outgoing, true, bounds);
        let gone = session.as_downstream_mut().read_body_or_idle(true);
        let exchanged = tokio::select! {
            biased;
            exchanged = Box::pin(exchanging) => exchanged,
            _ = gone => return Err(Cut::ClientGone),
        };
        Ok(exchanged.map(|exchange| {
            if let Some(how) = &deployment.target.authorisation
                && matches!(exchange.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            {
                gateway.identities.refused(how);
            }
            (path, exchange)
        }))
    }

    async fn pass_on(
        &mut self,
        gateway: &Gateway,
        session: &mut Session,
        ctx: &mut RequestCtx,
        path: &str,
        exchange: Exchange,
        idle: Duration,
    ) -> Result<(), Cut> {
        let Exchange { status, headers, content } = exchange;
        let mut head = answer(status, headers, &content, session);
        self.answered(gateway, ctx, path, &head);
        let deployment = ctx.relayed.served_by.as_ref().map(|served| &*served.deployment.id);
        heads::response(&mut head, &ctx.request_id, deployment);
        ctx.relayed.upstream = self.began.elapsed();
        let mut tasks = vec![HttpTask::Header(head, false)];
        let mut connection = match content {
            Content::Body(body) => {
                self.count(ctx, &body);
                if !body.is_empty() {
                    tasks.push(HttpTask::Body(Some(body), false));
                }
                tasks.push(HttpTask::Done);
                return written(session, tasks).await;
            }
            Content::Stream(connection) => connection,
        };
        written(session, tasks).await?;
        loop {
            let Some(chunk) = next(session, &mut connection, idle).await? else { break };
            self.count(ctx, &chunk);
            written(session, vec![HttpTask::Body(Some(chunk), false)]).await?;
        }
        gateway.upstreams.release(*connection);
        written(session, vec![HttpTask::Done]).await
    }

    /// Meters a piece of the answer, and notes that it was sent.
    fn count(&mut self, ctx: &mut RequestCtx, body: &Bytes) {
        self.sent(Some(body));
        ctx.relayed.bytes_sent += body.len() as u64;
        if ctx.relayed.first_token.is_none() {
            ctx.relayed.first_token = Some(ctx.started.elapsed());
        }
    }
}

/// The next piece of a body, unless the client leaves first; `None`: it has ended.
async fn next(
    session: &mut Session,
    connection: &mut Connection,
    idle: Duration,
) -> Result<Option<Bytes>, Cut> {
    let gone = session.as_downstream_mut().read_body_or_idle(true);
    let reading = pin!(connection.session.read_response_body());
    tokio::select! {
        biased;
        read = within(idle, reading) => match read {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(Cut::Broken(exchange::broken(&error))),
            Err(_elapsed) => Err(Cut::Broken(went_silent(idle))),
        },
        _ = gone => Err(Cut::ClientGone),
    }
}

async fn written(session: &mut Session, tasks: Vec<HttpTask>) -> Result<(), Cut> {
    reply::write_together(session, tasks).await.map_err(|_| Cut::ClientGone)
}

/// The provider's head as the client gets it, framed anew.
fn answer(
    status: StatusCode,
    headers: HeaderMap,
    content: &Content,
    session: &Session,
) -> Box<ResponseHeader> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.headers = headers;
    let length = match content {
        Content::Body(body) => Some(body.len().into()),
        Content::Stream(_) => parts.headers.get(header::CONTENT_LENGTH).cloned(),
    };
    OF_CONNECTION.iter().for_each(|name| {
        parts.headers.remove(name);
    });
    parts.headers.remove("keep-alive");
    match length {
        Some(length) => {
            parts.headers.insert(header::CONTENT_LENGTH, length);
        }
        None if session.req_header().version == http::Version::HTTP_11 => {
            let chunked = HeaderValue::from_static("chunked");
            parts.headers.insert(header::TRANSFER_ENCODING, chunked);
        }
        None => {}
    }
    Box::new(parts.into())
}
