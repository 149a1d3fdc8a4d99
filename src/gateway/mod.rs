//! One request, from Pingora's first phase to its last.
//!
//! The only part that touches a `Session`. A chat completion runs through `intake` (what is asked),
//! `admit` (may it be), `relay` (the attempts; `exchange` talks to an upstream, `pump` moves a
//! stream) and `settle` (what it was). Pages and health checks are handed to the `admin` router.

mod access;
mod admin;
mod admit;
mod alarmed;
mod cached;
mod connection;
mod contexts;
mod ctx;
mod decide;
mod entry;
pub mod error;
mod estimate;
pub(crate) mod exchange;
pub mod explain;
mod fetched;
mod forms;
mod guarded;
mod head;
mod hedged;
mod hints;
mod insight;
mod intake;
mod judge;
mod labels;
mod lookup;
mod meaning;
mod most;
mod needs;
mod opening;
mod overflow;
mod own;
mod passing;
mod payer;
mod preface;
mod pump;
mod purses;
mod queue;
mod quota;
mod recording;
mod refusal;
mod relay;
mod remember;
mod reply;
mod route;
mod settle;
mod shadow;
mod spoken;
mod stored;
mod tokens;
mod told;
mod traced;
mod transcribed;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::Error;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use tokio::sync::Semaphore;

pub use self::admin::View;
use self::connection::Connection;
pub use self::contexts::Contexts;
use self::ctx::RequestCtx;
use self::entry::Entry;
use self::error::{ClientDialect, GatewayError};
use self::passing::Passing;
pub use self::preface::AnyHttp;
pub use self::purses::look_after_providers;
pub use self::queue::Queue;
use self::refusal::HeadProblem;
use self::route::Route;
pub use self::shadow::room as shadow_room;
pub use self::transcribed::Room as TranscriptRoom;
use crate::admin::Admin;
use crate::alerts::Alerts;
use crate::books::{Books, Contents};
use crate::cache::Replies;
use crate::callbacks::Callbacks;
use crate::edge;
use crate::fetch::Fetcher;
use crate::identity::Identities;
use crate::keys::{Directory, KeyRing};
use crate::quota::Quota;
use crate::recall::Memory;
use crate::routing;
use crate::snapshot::Snapshot;
use crate::spend::Ledger;
use crate::telemetry::traces::Tracer;
use crate::telemetry::{AccessLog, Metrics};
use crate::upstream::Upstreams;

/// Everything that requests share: the configuration in force and what outlives it.
#[derive(Clone)]
pub struct Gateway {
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub routing: Arc<routing::State>,
    pub rates: Arc<routing::Rates>,
    pub upstreams: Arc<Upstreams>,
    /// Credentials of clouds.
    pub identities: Arc<Identities>,
    pub metrics: Arc<Metrics>,
    pub access_log: AccessLog,
    pub tracer: Tracer,
    /// Who is told of requests that are over.
    pub callbacks: Callbacks,
    /// Requests that are being answered.
    pub in_flight: Arc<AtomicUsize>,
    /// Where requests wait when too many are in flight.
    pub queue: Arc<Queue>,
    /// Fetches what clients name by its address.
    pub fetcher: Arc<Fetcher>,
    /// What clients forget of the replies they get.
    pub memory: Arc<Memory>,
    /// How long the conversations are that clients go on from.
    pub contexts: Contexts,
    /// Replies that are kept for requests that ask the same.
    pub replies: Arc<Replies>,
    /// Room for copies of requests: see [`shadow_room`].
    pub shadows: Arc<Semaphore>,
    /// Room for what is said, where somebody is told of it.
    pub transcripts: Arc<TranscriptRoom>,
    /// Keys, users, teams.
    pub directory: Arc<dyn Directory>,
    /// What is known of keys, users, teams, end users and tags.
    pub keys: Arc<KeyRing>,
    /// What was spent.
    pub ledger: Arc<dyn Ledger>,
    /// Where requests write down what they spend.
    pub books: Arc<Books>,
    /// Where prompts and replies go that are kept.
    pub contents: Contents,
    /// Limits and budgets.
    pub quota: Arc<Quota>,
    /// Who is told of what goes wrong.
    pub alerts: Arc<Alerts>,
    /// Answers everything that is not inference.
    pub admin: Admin,
    /// Whom this listener is for.
    pub audience: Audience,
}

/// Whom a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    Everybody,
    /// Operators have a listener of their own.
    Clients,
    /// Pages, and no inference.
    Operators,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = RequestCtx;

    fn new_ctx(&self) -> RequestCtx {
        RequestCtx::new(self.snapshot.load_full())
    }

    async fn early_request_filter(
        &self,
        session: &mut Session,
        ctx: &mut RequestCtx,
    ) -> pingora_core::Result<()> {
        Connection::take_request(session);
        // Bytes that a client sends ahead belong to its next request; without this the watch for
        // its disconnect would take them for an error.
        session.as_downstream_mut().set_pipelining_enabled(true);
        let settings = &ctx.snapshot.edge;
        if session.as_downstream().get_keepalive().is_some() {
            // Only where the connection is kept at all: a client, or the end of the process, may
            // have decided otherwise.
            session.set_keepalive(Some(settings.limits.keepalive_timeout.as_secs().max(1)));
        }
        let peer = session.client_addr().and_then(|address| address.as_inet());
        let peer = peer.map(std::net::SocketAddr::ip);
        let head = session.req_header();
        let lines = head.headers.get_all("x-forwarded-for").iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        ctx.client_ip = edge::client(&settings.forwarded, peer, lines);
        ctx.request_id = intake::request_id(&head.headers);
        ctx.dialect = ClientDialect::of_path(head.uri.path());
        ctx.trace = traced::Trace::of(&ctx.snapshot, &head.headers);
        Ok(())
    }

    /// Intake and admission. `Ok(true)` means that the response is out already.
    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut RequestCtx,
    ) -> pingora_core::Result<bool> {
        match self.take_in(session, ctx).await {
            Ok(true) => Ok(true),
            Ok(false) => Ok(false),
            Err(Refusal::Told(error)) => {
                reply::write_error(session, ctx, error, None).await?;
                Ok(true)
            }
            Err(Refusal::Downstream(error)) => Err(error),
        }
    }

    /// The attempt loop; the response is written here. See ARCHITECTURE.md for why it is ours.
    async fn proxy_upstream_filter(
        &self,
        session: &mut Session,
        ctx: &mut RequestCtx,
    ) -> pingora_core::Result<bool> {
        match guarded::enter(&self.metrics, session, ctx).await {
            Ok(()) => {}
            Err(guarded::Stopped::Told(error)) => {
                reply::write_error(session, ctx, error, None).await?;
                return Ok(false);
            }
            Err(guarded::Stopped::ClientGone) => {
                ctx.client_gone = true;
                session.set_keepalive(None);
                return Err(Error::new_down(pingora_core::ErrorType::ConnectionClosed));
            }
        }
        transcribed::begin(self, ctx, &session.req_header().headers);
        if let Some(call) = ctx.call.clone() {
            cached::relay(self, session, ctx, &call).await?;
        }
        if ctx.passing.as_ref().is_some_and(|passing| passing.is_signed()) {
            passing::signed::serve(self, session, ctx).await?;
            return Ok(false);
        }
        Ok(ctx.passing.is_some())
    }

    /// For requests that are passed as they are, as is everything down to `fail_to_proxy`.
    async fn upstream_peer(
        &self,
        _session: &mut Session,
        ctx: &mut RequestCtx,
    ) -> pingora_core::Result<Box<HttpPeer>> {
        passing::peer(self, ctx).await
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut RequestCtx,
    ) -> pingora_core::Result<()> {
        passing::write_head(self, ctx, head).await
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestCtx,
    ) -> pingora_core::Result<()> {
        passing::received(ctx, body.as_ref(), end_of_stream)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestCtx,
        error: Box<Error>,
    ) -> Box<Error> {
        passing::unconnected(self, ctx, error)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut RequestCtx,
    ) -> pingora_core::Result<()> {
        passing::answered(self, ctx, session.req_header(), head);
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestCtx,
    ) -> pingora_core::Result<Option<Duration>> {
        passing::sent(session, ctx, body, end_of_stream);
        if end_of_stream {
            // Before the last piece goes out.
            passing::finish(self, session, ctx);
            ctx.entry_over();
            ctx.settle_quota(self, true);
        }
        Ok(None)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut RequestCtx,
    ) -> FailToProxy {
        if passing::broke_off(session, ctx, error).await {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        }
        let refusal = passing::refusal(self, ctx, error);
        let downstream = *error.esource() == pingora_core::ErrorSource::Downstream
            || session.response_written().is_some();
        if downstream && refusal.is_none() {
            // Or we broke off ourselves, because bytes have no place for an error.
            ctx.client_gone |= ctx.error.is_none();
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        }
        let refusal = refusal.unwrap_or_else(|| {
            tracing::error!(request_id = %ctx.request_id, %error, "the gateway failed");
            GatewayError::Internal
        });
        let code = refusal.status();
        // Pingora keeps no connection on which it failed: a client that is not told so sends its next
        // request into the end of this one.
        session.set_keepalive(None);
        if reply::write_error(session, ctx, refusal, None).await.is_err() {
            ctx.client_gone = true;
        }
        FailToProxy { error_code: code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut RequestCtx) {
        passing::finish(self, session, ctx);
        let reached = !ctx.relayed.attempts.is_empty();
        ctx.settle_quota(self, reached);
        let transcript = transcribed::finish(self, ctx).await;
        settle::settle(self, session, ctx, transcript.as_ref());
    }

    fn suppress_error_log(&self, _session: &Session, ctx: &RequestCtx, _error: &Error) -> bool {
        // Clients come and go; that is in the access log.
        ctx.client_gone
    }
}

/// Why intake ended early.
enum Refusal {
    /// The client is told.
    Told(GatewayError),
    /// There is no client any more.
    Downstream(Box<Error>),
}

impl From<GatewayError> for Refusal {
    fn from(error: GatewayError) -> Self {
        Self::Told(error)
    }
}

impl Gateway {
    /// Begins the request's entry in the books.
    fn take_down(&self, ctx: &mut RequestCtx, head: &RequestHeader) -> Result<(), GatewayError> {
        if ctx.snapshot.spending.fails_closed && self.books.state().is_blocked() {
            return Err(GatewayError::Unrecorded);
        }
        let mut entry = Entry::new(self, ctx, head.uri.path(), &head.headers);
        if let Some(passing) = &ctx.passing {
            entry.passes(passing.asked());
        }
        ctx.row = Some(entry.row());
        ctx.entry = Some(Box::new(entry));
        Ok(())
    }

    /// Whether the request is one that is passed as it is. Then it is admitted.
    async fn pass_in(&self, session: &Session, ctx: &mut RequestCtx) -> Result<bool, Refusal> {
        let head = session.req_header();
        if passing::is_plain(head) {
            return Err(GatewayError::BadHead(HeadProblem::NoUpgrade).into());
        }
        if passing::is_realtime(head.uri.path()) {
            // Before anything is told of a model.
            ctx.caller = Some(admit::caller(self, ctx, head, ctx.dialect).await?);
        }
        let Some(passing) = Passing::of(ctx, head)? else { return Ok(false) };
        // Refused or not, the log says what it was.
        let passing = Box::new(passing);
        let (needs_key, checked) = (passing.needs_key(), passing.check());
        ctx.passing = Some(passing);
        if needs_key {
            ctx.caller = Some(admit::caller(self, ctx, head, ctx.dialect).await?);
        }
        self.take_down(ctx, head)?;
        access::check_path(ctx.caller.as_ref(), head.uri.path())?;
        checked?;
        guarded::passing(ctx)?;
        if let (Some(passing), Some(caller)) = (&mut ctx.passing, &ctx.caller) {
            passing.watch(caller, head)?;
        }
        ctx.in_flight = Some(admit::enter(self, ctx).await?);
        let group = ctx.passing.as_ref().and_then(|passing| passing.group());
        quota::enter_passing(self, ctx, group.as_deref()).await?;
        Ok(true)
    }

    async fn take_in(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<bool, Refusal> {
        let head = session.req_header();
        if head.method == http::Method::CONNECT {
            // What would follow its answer is no HTTP.
            session.set_keepalive(None);
            return Err(GatewayError::BadHead(HeadProblem::Connect).into());
        }
        let path = head.uri.path().to_owned();
        let query = head.uri.query().map(str::to_owned);
        match Route::find(&head.method, &path, query.as_deref()) {
            _ if self.audience == Audience::Operators => {
                admin::answer(self, session, ctx).await.map_err(Refusal::Downstream)?;
                Ok(true)
            }
            Route::Admin if self.pass_in(session, ctx).await? => Ok(false),
            Route::Admin => {
                admin::answer(self, session, ctx).await.map_err(Refusal::Downstream)?;
                Ok(true)
            }
            Route::Inference(asked) => {
                // The key is checked before a byte of the body is read.
                // Only browsers send cookies: others are not looked at any further.
                let visitor = head.headers.contains_key(http::header::COOKIE);
                let visitor = visitor.then(|| admin::visitor(session, ctx));
                let caller = admit::caller_or_session(self, ctx, head, asked.dialect, visitor);
                ctx.caller = Some(caller.await?);
                self.take_down(ctx, head)?;
                access::check_path(ctx.caller.as_ref(), &path)?;
                ctx.in_flight = Some(admit::enter(self, ctx).await?);
                let traffic = &ctx.snapshot.traffic;
                let (limit, silence) = (traffic.max_request_bytes, traffic.client_body_timeout);
                let body = intake::read_body(session, limit, silence).await?;
                let head = session.req_header();
                let query = head.uri.query().unwrap_or_default();
                let mut call = match asked.part {
                    Some(stored::Named::Response { id, action }) => {
                        stored::understand(ctx, &head.headers, id, action, head.uri.query())?
                    }
                    _ => intake::understand(ctx, &head.headers, query, asked, body)?,
                };
                let allowed = access::apply(self, ctx, &head.headers, &mut call).await;
                // Refused or not, log and ledger say what was asked for.
                let call = Arc::new(call);
                ctx.call = Some(Arc::clone(&call));
                ctx.group_asked = settle::group_asked(&ctx.snapshot, &call.model);
                ctx.watched = alarmed::watch(self, ctx, ctx.group_asked.as_ref());
                if let Some(entry) = &mut ctx.entry {
                    entry.calls(&call, ctx.group_asked.clone());
                }
                allowed?;
                decide::enter(ctx, &session.req_header().headers, &call).await?;
                quota::enter(self, ctx, &call).await?;
                Ok(false)
            }
        }
    }
}
