//! HTTP/2 through the `h2` crate: the same steps as in HTTP/1.1, as far as the protocol has them.
//!
//! A cut is RST_STREAM. Trouble before the head concerns the connection, as it does in HTTP/1.1: a
//! close ends it, a reset resets it. Garbage can only be RST_STREAM with PROTOCOL_ERROR.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue, Request, Response, Version};
use tokio::task::JoinSet;

use super::conduct::Afterwards;
use super::record::{Record, Recorded};
use super::reply::Reply;
use super::script::Script;
use super::serve::Stage;
use super::socket::{Gone, Socket};
use super::steps::{Performance, Step};

/// The first bytes of every HTTP/2 connection.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Streams at once, if the script's author says nothing. A gateway may put all its traffic on one connection.
pub(super) const STREAMS_MAX: u32 = 10_000;
/// How much of a request body may be on its way, for each stream and for all.
const WINDOW_BYTES: u32 = 1024 * 1024;
/// RST_STREAM makes `h2` forget what is queued before it; within this time it is written.
const DRAIN: Duration = Duration::from_millis(5);

/// What a finished stream means for its connection.
enum Verdict {
    Nothing,
    GoAway,
    HangUp,
    Reset,
}

/// Serves a connection until it ends.
pub(super) async fn serve(socket: Socket, stage: Arc<Stage>, number: u64) {
    let reset = socket.reset_switch();
    let record = Arc::clone(socket.record());
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(stage.http2_streams)
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(16 * WINDOW_BYTES);
    let mut connection = match builder.handshake::<_, Bytes>(socket).await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, "HTTP/2 handshake");
            return;
        }
    };
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let stage = Arc::clone(&stage);
                    let record = Arc::clone(&record);
                    streams.spawn(exchange(request, respond, stage, record, number));
                },
                Some(Err(_)) | None => break,
            },
            Some(done) = streams.join_next(), if !streams.is_empty() => match done {
                Ok(Verdict::GoAway) => connection.graceful_shutdown(),
                Ok(Verdict::HangUp) => break,
                Ok(Verdict::Reset) => {
                    reset.store(true, Ordering::Relaxed);
                    break;
                },
                Ok(Verdict::Nothing) | Err(_) => {},
            },
        }
    }
    // The streams that are still open see their client gone, and record it.
    drop(connection);
    while streams.join_next().await.is_some() {}
}

async fn exchange(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    stage: Arc<Stage>,
    record: Arc<Record>,
    number: u64,
) -> Verdict {
    let (parts, mut incoming) = request.into_parts();
    let body = match read_body(&mut incoming, stage.body_limit).await {
        Ok(body) => body,
        Err(Gone) => return Verdict::Nothing,
    };
    let too_large = body.is_none();
    let request = Recorded {
        method: parts.method,
        path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        version: Version::HTTP_2,
        headers: parts.headers,
        body: body.unwrap_or_default(),
        at: Instant::now(),
        connection: number,
    };
    record.request(&request);
    tracing::debug!(method = %request.method, path = request.path, "request");
    let performance = match too_large {
        true => Script::always(Reply::default().with_status(413).body("text/plain", "too large"))
            .perform(&request, stage.dialect),
        false => stage.script().perform(&request, stage.dialect),
    };
    let mut play = Play { respond: &mut respond, stream: None, record: &record, body_bytes: 0 };
    match play.run(&performance).await {
        Ok(verdict) => verdict,
        Err(Gone) => {
            record.disconnect(number, play.body_bytes);
            Verdict::Nothing
        }
    }
}

/// The whole body; `None` if it is too large.
async fn read_body(incoming: &mut RecvStream, limit: usize) -> Result<Option<Bytes>, Gone> {
    let mut body = BytesMut::new();
    while let Some(data) = incoming.data().await {
        let data = data.map_err(|_| Gone)?;
        if body.len() + data.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&data);
        incoming.flow_control().release_capacity(data.len()).map_err(|_| Gone)?;
    }
    Ok(Some(body.freeze()))
}

/// One reply on its way out.
struct Play<'a> {
    respond: &'a mut SendResponse<Bytes>,
    /// Present once the head is out.
    stream: Option<SendStream<Bytes>>,
    record: &'a Record,
    body_bytes: u64,
}

impl Play<'_> {
    async fn run(&mut self, performance: &Performance) -> Result<Verdict, Gone> {
        for step in &performance.steps {
            match step {
                Step::Wait(time) => self.pause(*time).await?,
                Step::Head => {
                    if let Some(per_byte) = performance.conduct.slow_head {
                        // There is no half a head here: it comes as late as its last byte would.
                        self.pause(per_byte * head_length(performance)).await?;
                    }
                    self.head(performance)?;
                }
                Step::Data(bytes) => self.data(bytes.clone()).await?,
                Step::Flush => tokio::task::yield_now().await,
                Step::Stall => self.stall().await?,
                Step::Raw(_) => {
                    self.respond.send_reset(Reason::PROTOCOL_ERROR);
                    return Ok(Verdict::Nothing);
                }
                Step::End => {
                    if let Some(stream) = &mut self.stream {
                        stream.send_data(Bytes::new(), true).map_err(|_| Gone)?;
                    }
                }
                Step::Close | Step::Reset => return Ok(self.cut(step).await),
            }
        }
        Ok(match performance.conduct.afterwards {
            Afterwards::KeepAlive => Verdict::Nothing,
            Afterwards::Close => Verdict::GoAway,
            Afterwards::HangUp => {
                tokio::time::sleep(DRAIN).await;
                Verdict::HangUp
            }
        })
    }

    async fn cut(&mut self, step: &Step) -> Verdict {
        match &mut self.stream {
            Some(stream) => {
                tokio::time::sleep(DRAIN).await;
                stream.send_reset(Reason::INTERNAL_ERROR);
                Verdict::Nothing
            }
            None if *step == Step::Reset => Verdict::Reset,
            None => Verdict::HangUp,
        }
    }

    fn head(&mut self, performance: &Performance) -> Result<(), Gone> {
        let rendered = &performance.rendered;
        let mut response = Response::builder().status(rendered.status);
        if let Some(headers) = response.headers_mut() {
            for (name, value) in &rendered.headers {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(name.as_ref()), HeaderValue::try_from(value))
                {
                    headers.append(name, value);
                }
            }
            if let Some(length) = performance.whole_length() {
                headers.insert(http::header::CONTENT_LENGTH, length.into());
            }
        }
        let response = response.body(()).map_err(|_| Gone)?;
        self.stream = Some(self.respond.send_response(response, false).map_err(|_| Gone)?);
        Ok(())
    }

    async fn data(&mut self, mut bytes: Bytes) -> Result<(), Gone> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while !bytes.is_empty() {
            stream.reserve_capacity(bytes.len());
            // Capacity that is there already is not announced again.
            while stream.capacity() == 0 {
                match poll_fn(|cx| stream.poll_capacity(cx)).await {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Err(Gone),
                }
            }
            let piece = bytes.split_to(stream.capacity().min(bytes.len()));
            self.body_bytes += piece.len() as u64;
            stream.send_data(piece, false).map_err(|_| Gone)?;
        }
        Ok(())
    }

    async fn pause(&mut self, time: Duration) -> Result<(), Gone> {
        tokio::select! {
            biased;
            gone = poll_fn(|cx| self.poll_leave(cx)) => Err(gone),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    async fn stall(&mut self) -> Result<(), Gone> {
        let record = self.record;
        record.stall();
        tokio::select! {
            biased;
            gone = poll_fn(|cx| self.poll_leave(cx)) => Err(gone),
            released = record.releases.acquire() => match released {
                Ok(permit) => {
                    permit.forget();
                    Ok(())
                },
                Err(_) => Err(Gone),
            },
        }
    }

    /// Ready when the client has given the stream or the connection up.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        let polled = match &mut self.stream {
            Some(stream) => stream.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        polled.map(|_| Gone)
    }
}

/// About the length that this head would have in HTTP/1.1.
fn head_length(performance: &Performance) -> u32 {
    let headers = &performance.rendered.headers;
    let length: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    u32::try_from(length).unwrap_or(u32::MAX)
}
