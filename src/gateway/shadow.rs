//! Shadow traffic: a copy of a request goes to another group (`silent_model`), and nobody waits for
//! its answer.
//!
//! It is routed, counted and logged like a request, marked as a shadow; the client, its limits and
//! its log line know nothing of it. No retries and no fallbacks: a copy that fails says what was to
//! be learned.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Gateway;
use super::alarmed;
use super::ctx::{Call, Relayed, RequestCtx, Served};
use super::entry::{micros, span};
use super::estimate;
use super::exchange::{self, Bounds};
use super::opening::{self, Begun, Opening, Order, Whole};
use super::relay::unix_seconds;
use crate::admin::shortened;
use crate::failure::{Failure, FailureClass};
use crate::patience::within;
use crate::provider;
use crate::routing::{Ask, Attempt, Next, Plan};
use crate::snapshot::Snapshot;
use crate::spend::SpendEvent;
use crate::spend::traffic::SHADOW;
use crate::telemetry::{
    self, ClientText, Durations, ErrorRecord, RequestRecord, Route, class_name,
};
use crate::usage::Usage;

/// Shadows in flight at one time. Beyond it copies are left out, so that a slow experiment cannot
/// fill the memory with requests.
const SHADOWS_MAX: usize = 256;

/// The room for shadows, shared by all requests.
#[must_use]
pub fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(SHADOWS_MAX))
}

/// One copy of a request.
struct Shadow {
    gateway: Gateway,
    snapshot: Arc<Snapshot>,
    request_id: Arc<str>,
    call: Arc<Call>,
    group: Arc<str>,
    _room: OwnedSemaphorePermit,
}

/// Sends a copy of the call to `group`, beside the request.
pub(super) fn cast(gateway: &Gateway, ctx: &RequestCtx, group: &Arc<str>) {
    let Some(call) = &ctx.call else { return };
    let Ok(room) = Arc::clone(&gateway.shadows).try_acquire_owned() else {
        gateway.metrics.shadow_left_out();
        return;
    };
    let shadow = Shadow {
        gateway: gateway.clone(),
        snapshot: Arc::clone(&ctx.snapshot),
        request_id: Arc::clone(&ctx.request_id),
        call: Arc::clone(call),
        group: Arc::clone(group),
        _room: room,
    };
    tokio::spawn(shadow.run());
}

impl Shadow {
    async fn run(self) {
        let (started, began) = (SystemTime::now(), Instant::now());
        let Self { gateway, snapshot, call, .. } = &self;
        let (catalog, settings, state) = (&snapshot.catalog, &snapshot.routing, &gateway.routing);
        let ask = Ask {
            model: &self.group,
            num_retries: Some(0),
            disable_fallbacks: true,
            needs: call.reads_needs(settings).then(|| *call.needs()),
            ..call.ask()
        };
        let Ok(mut plan) = Plan::new(catalog, settings, ask) else { return };
        let deadline = Some(began + snapshot.traffic.total_timeout);
        let next = plan.next(catalog, settings, state, Instant::now(), deadline);
        let Next::Attempt(mut attempt) = next else {
            gateway.metrics.shadow_left_out();
            return;
        };
        let mut relayed = Relayed {
            served_by: Some(Served {
                deployment: Arc::clone(&attempt.deployment),
                group: Arc::clone(&attempt.group),
                model: Arc::clone(&attempt.model),
            }),
            picture: self.call.picture(),
            ..Relayed::default()
        };
        let calling = Box::pin(self.attempt(&attempt));
        let answered = within(snapshot.traffic.total_timeout, calling).await;
        let answered = answered
            .unwrap_or_else(|_elapsed| Err(Failure::new(FailureClass::Timeout, "the time was up")));
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
        let mut record = RequestRecord::new(
            started,
            Route::Inference(call.endpoint, call.dialect),
            http::Method::POST,
        );
        match answered {
            Ok(usage) => {
                plan.succeeded(&mut attempt, state, Instant::now());
                plan.used(&mut attempt, &usage, state, Instant::now());
                relayed.settle(usage, &snapshot.prices);
                record.status = 200;
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
            }
        }
        record.shadow = true;
        record.request_id = ClientText::new(&format!("{}.shadow", self.request_id));
        record.call_id = ClientText::new(&self.request_id);
        record.stream = call.stream;
        record.model_asked = Some(ClientText::new(&call.model));
        record.group_asked = Some(Arc::clone(&self.group));
        record.durations = Durations {
            total: began.elapsed(),
            upstream: Some(began.elapsed()),
            ..Durations::default()
        };
        record.served = relayed.served_by.map(|by| telemetry::Served {
            deployment: by.deployment,
            group: by.group,
            model: by.model,
        });
        record.usage = relayed.usage;
        record.cost = relayed.cost;
        record.attempts = vec![noted];
        gateway.metrics.shadow(&record);
        alarmed::tell(gateway, snapshot, &record);
        self.write_down(&record);
        if snapshot.logs.access_log {
            gateway.access_log.request(record);
        }
    }

    /// The provider is paid for it, and by nobody's budget but the gateway's.
    fn write_down(&self, record: &RequestRecord) {
        let cost = record.cost.unwrap_or_default();
        let mut event = SpendEvent {
            request_id: uuid::Uuid::now_v7().to_string().into(),
            call_id: Some(format!("{}.shadow", self.request_id).into()),
            started_us: micros(record.started),
            duration_us: span(record.durations.total),
            route: SHADOW.into(),
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
    }

    /// Makes the call and reads the answer to its end.
    async fn attempt(&self, attempt: &Attempt) -> Result<Usage, Failure> {
        let Self { gateway, snapshot, call, .. } = self;
        let deployment = &attempt.deployment;
        let created = unix_seconds(SystemTime::now());
        let body = Cow::Borrowed(&call.body);
        let order = Order::new(gateway, Arc::clone(snapshot), call, body, attempt, created);
        let bounds = order.bounds();
        match opening::open(order).await? {
            Opening::Stream(begun) => self.drain(attempt, *begun, bounds).await,
            Opening::Body(Whole { status, headers, body, .. }) if !status.is_success() => {
                let now = SystemTime::now();
                Err(provider::classify(deployment, status.as_u16(), &headers, &body, now))
            }
            Opening::Body(Whole { headers, body, reading, .. }) => {
                let reply = opening::read(call, attempt, &headers, reading, body, created)?;
                Ok(match reply.usage {
                    Some(usage) => usage,
                    None => estimate::of_reply(call, attempt, reading, &reply.body).await,
                })
            }
        }
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
