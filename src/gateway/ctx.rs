//! What is known of one request, stage by stage.
//!
//! Each field is set by one stage and read by later ones; what must be given back at the end is a
//! guard that does so when the context is dropped, however the request ended.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderName, HeaderValue};

use super::cached::Cached;
use super::entry::Entry;
use super::error::{ClientDialect, GatewayError};
use super::guarded::Guarded;
use super::hints::Hints;
use super::passing::Passing;
use super::queue::Place;
use super::recording::Recording;
use super::traced::Trace;
use super::transcribed::Transcribing;
use crate::alerts::Watched;
use crate::catalog::{DeploymentId, Picture, PriceBook, Served};
use crate::dialect::Endpoint;
use crate::failure::FailureClass;
use crate::keys::Caller;
use crate::keys::record::{EndUser, Tag};
use crate::money::Usd;
use crate::provider::{Action, Native, Reading, Stored};
use crate::quota::Ticket;
use crate::routing::rules::Decision;
use crate::routing::{self, Ask, Fallback, Needs, Settings};
use crate::snapshot::Snapshot;
use crate::telemetry::{self, Counted, Metrics};
use crate::usage::Usage;
use crate::wire::client::{Obstacle, Telling};
use crate::wire::form::Form;
use crate::wire::json::Object;
use crate::wire::responses::Resource;

/// The state of one request.
pub struct RequestCtx {
    /// The configuration that this request sees to its end.
    pub snapshot: Arc<Snapshot>,
    pub started: Instant,
    pub started_at: SystemTime,
    /// `x-request-id` of the client, or ours.
    pub request_id: Arc<str>,
    pub dialect: ClientDialect,
    /// Set by admission.
    pub caller: Option<Caller>,
    pub client_ip: Option<IpAddr>,
    /// Set by intake for inference routes.
    pub call: Option<Arc<Call>>,
    /// The name under which the metrics and the ledger count the call; `None`: it means nothing here.
    pub group_asked: Option<Arc<str>>,
    /// Set by intake for requests that go through Pingora's pipeline.
    pub(super) passing: Option<Box<Passing>>,
    /// What the rules decided for the call, if they are about it.
    pub(super) decision: Option<Arc<Decision>>,
    /// What the cache had to do with it.
    pub(super) cached: Cached,
    /// Its reply, while it is written down for the cache.
    pub(super) recording: Option<Box<Recording>>,
    /// What is said in it, while it is taken down for those who are told; `None`: nobody is.
    pub(super) transcribing: Option<Box<Transcribing>>,
    /// The guardrails that apply to it; `None`: none does.
    pub(super) guarded: Option<Box<Guarded>>,
    /// Set by relay.
    pub relayed: Relayed,
    /// Why the client got an error, if it did.
    pub error: Option<GatewayError>,
    /// The status that was sent; `None` if the client left before.
    pub status: Option<u16>,
    pub client_gone: bool,
    /// What the books are to hear of it; set once it is known who calls.
    pub(super) entry: Option<Box<Entry>>,
    /// The id of its row there.
    pub(super) row: Option<Arc<str>>,
    /// What it holds of limits and budgets.
    pub(super) ticket: Ticket,
    /// Its provider's budget has paid.
    pub(super) charged: bool,
    /// Held while a stream is open.
    pub open_stream: Option<Counted>,
    pub in_flight: Option<InFlight>,
    /// While it has no answer, where somebody is told of those that hang.
    pub watched: Option<Watched>,
    /// Set where requests are traced.
    pub(super) trace: Option<Box<Trace>>,
}

/// An inference call, as intake understood it.
pub struct Call {
    pub endpoint: Endpoint,
    pub dialect: ClientDialect,
    /// The model as the client named it.
    pub model: Box<str>,
    /// In the canonical form: see `wire::chat`.
    pub body: Object,
    /// The body as the client wrote it, if that is another form.
    pub native: Option<Object>,
    /// The request as a form, if it came as one; `body` has its fields.
    pub form: Option<Form>,
    /// What of the things that a provider keeps is asked for.
    pub stored: Option<Box<Stored>>,
    /// What of it a provider of another dialect cannot be told.
    pub obstacle: Obstacle,
    /// A stream is wanted as one JSON array.
    pub array: bool,
    /// Whose call it is.
    pub caller: Option<Caller>,
    /// Who the client calls for, as it says.
    pub end_user: Option<Arc<str>>,
    /// What is known of the end user and of the request's tags, where there are records.
    pub payers: Payers,
    /// Headers that go to a provider of the client's dialect.
    pub forwarded: Vec<(HeaderName, HeaderValue)>,
    pub stream: bool,
    /// The client asked for a usage chunk at the end of its stream.
    pub show_usage: bool,
    pub num_retries: Option<u32>,
    pub fallbacks: Option<Vec<Fallback>>,
    /// `context_window_fallbacks` and `content_policy_fallbacks`.
    pub class_fallbacks: Vec<(FailureClass, Vec<Fallback>)>,
    pub disable_fallbacks: bool,
    /// Groups that the caller may not call, where that matters for the operator's fallbacks too.
    pub barred: Vec<Arc<str>>,
    pub tags: Vec<Box<str>>,
    /// The end of the whole request.
    pub deadline: Instant,
    /// The client's own bound (`timeout`, `x-litellm-timeout`) of one attempt.
    pub timeout: Option<Duration>,
    pub stream_timeout: Option<Duration>,
    /// What the request says of its own routing.
    pub(super) hints: Hints,
    /// See [`Call::needs`].
    pub needs: OnceLock<Needs>,
    /// What of the Responses API it asks for, if not for a response.
    pub resource: Option<Resource>,
    /// The account that keeps what the call is about: no deployment of another can serve it.
    pub owner: Option<DeploymentId>,
}

/// Who, besides the caller, has limits or a budget that a call counts on.
#[derive(Clone, Debug, Default)]
pub struct Payers {
    pub end_user: Option<Arc<EndUser>>,
    pub tags: Vec<Arc<Tag>>,
}

impl Call {
    /// Whose what is kept for the call is: see [`Caller::owner`].
    pub fn tenant(&self) -> &str {
        self.caller.as_ref().map_or("", Caller::owner)
    }

    /// The call as its client wrote it, if not canonically.
    pub fn native(&self) -> Option<Native<'_>> {
        let body = self.native.as_ref()?;
        Some(Native {
            dialect: self.dialect,
            body,
            obstacle: &self.obstacle,
            headers: &self.forwarded,
            resource: self.resource.as_ref(),
        })
    }

    /// What the client is told besides what a provider says.
    pub fn telling<'a>(&'a self, request_id: &'a str, created: u64) -> Telling<'a> {
        Telling {
            request: self.native.as_ref().or(Some(&self.body)),
            created,
            model: &self.model,
            request_id,
            array: self.array,
            embeds: self.endpoint == Endpoint::Embeddings,
        }
    }

    /// Whether a text completion is answered by a conversation.
    pub fn is_bridged(&self, reading: Reading) -> bool {
        self.endpoint == Endpoint::Completions && reading.api != Endpoint::Completions
    }

    /// Whether it is about a response that was made, and paid for, before.
    pub fn is_stored(&self) -> bool {
        self.resource.as_ref().is_some_and(Resource::is_stored)
    }

    /// What the call wants of routing. Its needs are left out: they may not be asked for.
    pub fn ask(&self) -> Ask<'_> {
        Ask {
            model: &self.model,
            num_retries: self.num_retries,
            fallbacks: self.fallbacks.clone(),
            class_fallbacks: self.class_fallbacks.clone(),
            disable_fallbacks: self.disable_fallbacks || self.owner.is_some(),
            pin: self.owner.clone(),
            stand_ins: Vec::new(),
            barred: self.barred.clone(),
            tags: self.tags.clone(),
            stream: self.stream,
            needs: None,
            strategy: self.hints.strategy,
            affinity: self.hints.affinity,
            region: self.hints.region.clone(),
            capabilities: self.hints.capabilities.clone(),
            seed: fastrand::u64(..),
        }
    }

    /// Whether the reply goes to the client as bytes while it comes: sound, and the content of files.
    pub fn is_relayed_as_bytes(&self) -> bool {
        self.endpoint == Endpoint::Speech || self.is_content()
    }

    /// The images that are asked for, if it is about images.
    pub fn picture(&self) -> Option<Picture> {
        let is_image = matches!(
            self.endpoint,
            Endpoint::ImageGenerations | Endpoint::ImageEdits | Endpoint::ImageVariations
        );
        let said = |name: &str| self.body.str(name);
        is_image.then(|| Picture::of(said("size").as_deref(), said("quality").as_deref()))
    }

    /// Whether the content of a file is asked for, whatever its type.
    pub fn is_content(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.action == Action::Content)
    }

    /// Whether anything looks at what the request needs.
    pub fn reads_needs(&self, settings: &Settings) -> bool {
        settings.reads_requests || self.hints.strategy.is_some()
    }

    /// What the request needs of a deployment; the body is read for it when first asked.
    pub fn needs(&self) -> &Needs {
        self.needs.get_or_init(|| super::needs::of(self.endpoint, &self.body, self.stream))
    }
}

/// What the attempts came to.
#[derive(Default)]
pub struct Relayed {
    pub served_by: Option<Served>,
    pub attempts: Vec<telemetry::Attempt>,
    /// When the attempt began that is not noted yet.
    pub trying: Option<Instant>,
    pub retries: u32,
    pub fallbacks: u32,
    pub usage: Option<Usage>,
    pub cost: Option<Usd>,
    /// The images that are asked for, by which they are priced.
    pub picture: Option<Picture>,
    /// Time spent waiting for upstreams: before a retry, connecting, sending, waiting for the head
    /// and then for the body or, of a stream, for its first content.
    pub upstream: Duration,
    /// From the request's start to the first meaningful frame.
    pub first_token: Option<Duration>,
    pub streamed: bool,
    /// What the client may go on from, where limits or budgets will want to know how long it is.
    pub response_id: Option<Box<str>>,
    pub bytes_sent: u64,
    /// Tokens were counted here, for a provider that has no API for it: exactly, or about.
    pub counted: Option<bool>,
    /// Why the deployments were tried in their order, if the client asked.
    pub explained: Option<Box<str>>,
}

impl Relayed {
    /// Takes down what the reply used and what that costs at the deployment's price. Called once
    /// for each attempt of which the client got something: a stream may be the work of several.
    pub fn settle(&mut self, usage: Usage, prices: &PriceBook) {
        let cost = self.price(&usage, prices);
        // Also of estimated usage, which the log marks: a budget that ignored it could be spent
        // many times over by streams that break.
        self.cost = match (self.cost, cost) {
            (Some(before), Some(cost)) => Some(before.plus(cost)),
            (before, cost) => cost.or(before),
        };
        self.usage = Some(self.usage.map_or(usage, |before| before.plus(usage)));
    }
}

impl Relayed {
    /// What so much costs at the price of the deployment that answers.
    pub fn price(&self, usage: &Usage, prices: &PriceBook) -> Option<Usd> {
        let by = self.served_by.as_ref()?;
        let price = match &self.picture {
            Some(picture) => by.deployment.price_of_images(&by.model, prices, picture),
            None => by.deployment.price(&by.model, prices),
        };
        price.map(|price| price.cost(usage))
    }
}

/// One request among those in flight; counts itself out when dropped.
pub struct InFlight {
    count: Arc<AtomicUsize>,
    _shown: Counted,
    /// Given back with the rest.
    _place: Option<Place>,
    /// How long it waited for its place; `None` where there is room for any number.
    queued: Option<Duration>,
}

impl InFlight {
    /// Counts one more request in, unless `bound` are in flight already.
    pub fn enter(
        count: &Arc<AtomicUsize>,
        bound: Option<usize>,
        metrics: &Metrics,
    ) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::AcqRel);
        let entered = Self {
            count: Arc::clone(count),
            _shown: metrics.in_flight(),
            _place: None,
            queued: None,
        };
        bound.is_none_or(|bound| before < bound).then_some(entered)
    }

    /// The same, holding a place of the queue for which it waited so long.
    #[must_use]
    pub fn at(mut self, place: Option<Place>, waited: Duration) -> Self {
        self.queued = place.is_some().then_some(waited);
        self._place = place;
        self
    }

    /// How long it waited for its place.
    pub const fn queued(&self) -> Option<Duration> {
        self.queued
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An attempt, for the log and the metrics.
pub(super) fn noted(
    attempt: &routing::Attempt,
    outcome: telemetry::Outcome,
    status: Option<u16>,
    began: Instant,
) -> telemetry::Attempt {
    telemetry::Attempt {
        deployment: Arc::clone(&attempt.deployment),
        group: Arc::clone(&attempt.group),
        outcome,
        status,
        began,
        duration: began.elapsed(),
        cooled_down: false,
        remaining_requests: None,
        remaining_tokens: None,
    }
}

impl RequestCtx {
    /// A request that has just begun.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            started: Instant::now(),
            started_at: SystemTime::now(),
            request_id: Arc::from(""),
            dialect: ClientDialect::OpenAi,
            caller: None,
            client_ip: None,
            call: None,
            group_asked: None,
            decision: None,
            passing: None,
            cached: Cached::Off,
            recording: None,
            transcribing: None,
            guarded: None,
            relayed: Relayed::default(),
            error: None,
            status: None,
            client_gone: false,
            entry: None,
            row: None,
            ticket: Ticket::Free,
            charged: false,
            open_stream: None,
            in_flight: None,
            watched: None,
            trace: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_bound_are_refused_and_not_counted() {
        let count = Arc::new(AtomicUsize::new(0));
        let metrics = Metrics::new("test", SystemTime::UNIX_EPOCH);
        let first = InFlight::enter(&count, Some(1), &metrics);
        assert!(first.is_some());
        assert!(InFlight::enter(&count, Some(1), &metrics).is_none());
        assert_eq!(count.load(Ordering::Relaxed), 1);
        drop(first);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
