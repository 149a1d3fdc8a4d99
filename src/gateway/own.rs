//! Calls that the gateway makes itself: copies of requests, and the vectors by which the cache compares
//! questions.
//!
//! Such a call is routed, counted and logged like a request, copies are told to callbacks, and all of it
//! is marked; clients, their limits and their
//! log lines know nothing of it. The provider is paid for it, and by nobody's budget but the gateway's.
//! No retries and no fallbacks: who needs it can do without.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::Gateway;
use super::alarmed;
use super::ctx::{Call, Relayed};
use super::entry::{micros, span};
use super::estimate;
use super::exchange::{self, Bounds};
use super::opening::{self, Begun, Opening, Order, Whole};
use super::relay::unix_seconds;
use super::told;
use crate::admin::shortened;
use crate::catalog::Served;
use crate::failure::{Failure, FailureClass};
use crate::patience::within;
use crate::provider;
use crate::routing::{Ask, Attempt, Next, Plan};
use crate::snapshot::Snapshot;
use crate::spend::SpendEvent;
use crate::spend::traffic::{LOOKUP, SHADOW};
use crate::telemetry::{
    self, ClientText, Durations, ErrorRecord, RequestRecord, Route, class_name,
};
use crate::usage::Usage;

/// What a call is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To see how another group does.
    Shadow,
    /// To know what a question means.
    Meaning,
}

impl Purpose {
    /// What stands behind the id of the request.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Meaning => "embedding",
        }
    }

    /// How the ledger knows it.
    const fn route(self) -> &'static str {
        match self {
            Self::Shadow => SHADOW,
            Self::Meaning => LOOKUP,
        }
    }
}

/// One call of the gateway's own, beside a request.
pub(super) struct Own {
    pub gateway: Gateway,
    pub snapshot: Arc<Snapshot>,
    /// Of the request.
    pub request_id: Arc<str>,
    pub call: Arc<Call>,
    pub group: Arc<str>,
    pub purpose: Purpose,
}

/// What came back.
pub(super) struct Answer {
    pub usage: Usage,
    /// In the canonical form; of a stream nothing is kept.
    pub body: Bytes,
    /// The model that gave it, as prices and the provider know it.
    pub model: Arc<str>,
}

/// Why nothing did.
#[derive(Debug)]
pub(super) enum Unmade {
    /// Nobody was called: nothing of the group is to be had now.
    LeftOut,
    Failed(FailureClass),
}

impl Own {
    /// Makes the call and tells of it, within this time.
    ///
    /// # Errors
    /// [`Unmade`].
    pub(super) async fn run(&self, bound: Duration) -> Result<Answer, Unmade> {
        let (started, began) = (SystemTime::now(), Instant::now());
        let Self { gateway, snapshot, call, .. } = self;
        let (catalog, settings, state) = (&snapshot.catalog, &snapshot.routing, &gateway.routing);
        let ask = Ask {
            model: &self.group,
            num_retries: Some(0),
            disable_fallbacks: true,
            needs: call.reads_needs(settings).then(|| *call.needs()),
            ..call.ask()
        };
        let Ok(mut plan) = Plan::new(catalog, settings, ask) else { return Err(Unmade::LeftOut) };
        let next = plan.next(catalog, settings, state, Instant::now(), Some(began + bound));
        let Next::Attempt(mut attempt) = next else {
            self.left_out();
            return Err(Unmade::LeftOut);
        };
        let mut relayed = Relayed {
            served_by: Some(Served {
                deployment: Arc::clone(&attempt.deployment),
                group: Arc::clone(&attempt.group),
                model: Arc::clone(&attempt.model),
            }),
            picture: call.picture(),
            ..Relayed::default()
        };
        let calling = Box::pin(self.attempt(&attempt));
        let answered = within(bound, calling).await.unwrap_or_else(|_elapsed| Err(self.late()));
        let mut noted = telemetry::Attempt {
            deployment: Arc::clone(&attempt.deployment),
            group: Arc::clone(&attempt.group),
            outcome: telemetry::Outcome::Success,
            status: Some(200),
            began,
            duration: began.elapsed(),
            cooled_down: false,
            remaining_requests: None,
            remaining_tokens: None,
        };
        let route = Route::Inference(call.endpoint, call.dialect);
        let mut record = RequestRecord::new(started, route, http::Method::POST);
        let answered = match answered {
            Ok(answer) => {
                plan.succeeded(&mut attempt, state, Instant::now());
                plan.used(&mut attempt, &answer.usage, state, Instant::now());
                relayed.settle(answer.usage, &snapshot.prices);
                record.status = 200;
                Ok(answer)
            }
            Err(failure) => {
                let now = SystemTime::now();
                let failure = provider::reclassify(&attempt.deployment, failure, None, now);
                noted.outcome = telemetry::Outcome::Failed(failure.class);
                noted.status = failure.status;
                record.status = failure.status.unwrap_or(502);
                record.error = Some(ErrorRecord {
                    class: class_name(failure.class),
                    code: ClientText::new(failure.code.as_deref().unwrap_or_default()),
                });
                let rest = plan.failed(attempt, &failure, settings, state, Instant::now());
                noted.cooled_down = rest.is_some();
                Err(Unmade::Failed(failure.class))
            }
        };
        record.attempts = vec![noted];
        self.tell(record, relayed, began.elapsed());
        answered
    }

    /// The time was up. Where it was the gateway's own to choose, that says nothing of the deployment.
    fn late(&self) -> Failure {
        let failure = Failure::new(FailureClass::Timeout, "the time was up");
        match self.purpose {
            Purpose::Shadow => failure,
            Purpose::Meaning => failure.without_blame(),
        }
    }

    fn left_out(&self) {
        match self.purpose {
            Purpose::Shadow => self.gateway.metrics.shadow_left_out(),
            Purpose::Meaning => self.gateway.metrics.embedding_left_out(),
        }
    }

    /// The name of the call.
    fn id(&self) -> String {
        format!("{}.{}", self.request_id, self.purpose.suffix())
    }

    /// Tells metrics, ledger and log.
    fn tell(&self, mut record: RequestRecord, relayed: Relayed, took: Duration) {
        let Self { gateway, snapshot, call, .. } = self;
        record.shadow = self.purpose == Purpose::Shadow;
        record.for_cache = self.purpose == Purpose::Meaning;
        record.request_id = ClientText::new(&self.id());
        record.call_id = ClientText::new(&self.request_id);
        record.stream = call.stream;
        record.model_asked = Some(ClientText::new(&call.model));
        record.group_asked = Some(Arc::clone(&self.group));
        record.durations = Durations { total: took, upstream: Some(took), ..Durations::default() };
        record.served = relayed.served_by;
        record.usage = relayed.usage;
        record.cost = relayed.cost;
        match self.purpose {
            Purpose::Shadow => gateway.metrics.shadow(&record),
            Purpose::Meaning => gateway.metrics.embedding(&record),
        }
        alarmed::tell(gateway, snapshot, &record);
        let id = self.write_down(&record);
        if record.shadow {
            let ids = (id, self.id().into(), &self.request_id);
            told::tell_shadow(gateway, snapshot, call, ids, &record);
        }
        if snapshot.logs.access_log {
            gateway.access_log.request(record);
        }
    }

    /// Returns the id of the row.
    fn write_down(&self, record: &RequestRecord) -> Arc<str> {
        let cost = record.cost.unwrap_or_default();
        let id: Arc<str> = uuid::Uuid::now_v7().to_string().into();
        let mut event = SpendEvent {
            request_id: Arc::clone(&id),
            call_id: Some(self.id().into()),
            started_us: micros(record.started),
            duration_us: span(record.durations.total),
            route: self.purpose.route().into(),
            model: shortened(&self.call.model).into(),
            group: Some(Arc::clone(&self.group)),
            stream: record.stream,
            status: record.status,
            error: record.error.as_ref().map(|error| error.class.into()),
            usage: record.usage.unwrap_or_default(),
            cost_pico: cost.pico(),
            ..SpendEvent::default()
        };
        if let Some(served) = &record.served {
            event.deployment = Some(Arc::clone(&served.deployment.id));
            event.provider = Some(Arc::clone(&served.deployment.provider));
            event.upstream_model = Some(Arc::clone(&served.model));
        }
        self.gateway.books.over(event);
        id
    }

    /// Makes the call and reads the answer to its end.
    async fn attempt(&self, attempt: &Attempt) -> Result<Answer, Failure> {
        let Self { gateway, snapshot, call, .. } = self;
        let deployment = &attempt.deployment;
        let created = unix_seconds(SystemTime::now());
        let body = Cow::Borrowed(&call.body);
        let order = Order::new(gateway, Arc::clone(snapshot), call, body, attempt, created);
        let bounds = order.bounds();
        let (usage, body) = match opening::open(order).await? {
            Opening::Stream(begun) => (self.drain(attempt, *begun, bounds).await?, Bytes::new()),
            Opening::Body(Whole { status, headers, body, .. }) if !status.is_success() => {
                let now = SystemTime::now();
                return Err(provider::classify(deployment, status.as_u16(), &headers, &body, now));
            }
            Opening::Body(Whole { headers, body, reading, .. }) => {
                let reply = opening::read(call, attempt, &headers, reading, body, created)?;
                let usage = match reply.usage {
                    Some(usage) => usage,
                    None => estimate::of_reply(call, attempt, reading, &reply.body).await,
                };
                (usage, reply.body)
            }
        };
        let base = deployment.info.base_model.as_deref();
        let model = base.map_or_else(|| Arc::clone(&attempt.model), Arc::from);
        Ok(Answer { usage, body, model })
    }

    /// Reads a stream to its end; nobody is shown what it says.
    async fn drain(
        &self,
        attempt: &Attempt,
        begun: Begun,
        bounds: Bounds,
    ) -> Result<Usage, Failure> {
        let Begun { mut connection, mut stream, mut events, mut batch, mut tail, .. } = begun;
        loop {
            events.clear();
            match batch.failure {
                Some(failure) => return Err(failure),
                None if batch.complete => break,
                None => {}
            }
            let reading = within(bounds.idle, pin!(connection.session.read_response_body())).await;
            let read = reading.map_err(|_elapsed| exchange::went_silent(bounds.idle))?;
            let reading = (&mut stream, &mut tail);
            batch = opening::collect(read, &mut connection, reading, &mut events);
        }
        let Attempt { deployment, model, .. } = attempt;
        Ok(match stream.usage() {
            Some(usage) => usage,
            None => estimate::usage(&self.call, deployment, model, stream.text_bytes()).await,
        })
    }
}
