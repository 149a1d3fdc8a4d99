//! `GET /ui/api/live`: what happens now, as server-sent events, one a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, Method, Uri};
use serde_json::{Value, json};

use super::super::fault::Fault;
use super::super::gate::{self, Operator};
use super::super::rights::Right;
use super::sessions::millis;
use super::shapes::dollars;
use super::{Ui, Visitor};
use crate::patience::nap;
use crate::telemetry::{DeploymentState, Seen, Watch};

const TICK: Duration = Duration::from_secs(1);
/// How many of the requests of a tick are shown one by one.
const RECENT_MAX: usize = 20;
/// After how many ticks it is asked anew whether the listener may still listen.
const CHECK_EVERY: u64 = 5;
/// nginx in front would otherwise hold the events back.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// One who listens.
struct Listener {
    ui: Arc<Ui>,
    watch: Watch,
    operator: Operator,
    /// What it showed when it came.
    shown: (Uri, HeaderMap, Visitor),
    next: Instant,
    ticks: u64,
    is_over: bool,
}

pub(super) async fn live(
    State(ui): State<Arc<Ui>>,
    operator: Operator,
    visitor: Option<Extension<Visitor>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(watch) = ui.shared.metrics.live().watch() else {
        let message = "Too many listen already. Try again later".to_owned();
        let mut refusal = Fault::busy("too_many_listeners", message).into_response();
        refusal.headers_mut().insert(RETRY_AFTER, 10.into());
        return refusal;
    };
    let visitor = visitor.map_or_else(Visitor::default, |Extension(visitor)| visitor);
    let shown = (uri, headers, visitor);
    let next = Instant::now();
    let listener = Listener { ui, watch, operator, shown, next, ticks: 0, is_over: false };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next_event().await?;
        Some((Ok::<_, std::convert::Infallible>(event), listener))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (UNBUFFERED, "no"),
    ];
    (headers, Body::from_stream(events)).into_response()
}

impl Listener {
    async fn next_event(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        while Instant::now() < self.next {
            nap(self.next).await;
        }
        self.next = Instant::now() + TICK;
        self.ticks += 1;
        if self.ui.shared.source.draining() {
            return Some(self.end("stopping"));
        }
        if self.ticks.is_multiple_of(CHECK_EVERY)
            && let Some(reason) = self.end_of_rights().await
        {
            return Some(self.end(reason));
        }
        let tick = self.tick();
        Some(event("tick", &tick))
    }

    fn end(&mut self, reason: &str) -> Bytes {
        self.is_over = true;
        event("end", &json!({"reason": reason}))
    }

    /// Why it may not go on as it began, if so. Whose rights are others now comes again, and is shown
    /// what they allow.
    async fn end_of_rights(&self) -> Option<&'static str> {
        let (uri, headers, visitor) = &self.shown;
        let carried = (&Method::GET, headers, *visitor);
        let found = gate::identify(&self.ui.shared, carried, uri, Right::SeeOwn).await;
        let (Ok(Some(now)), true) = (found, self.ui.shared.source.dashboard().enabled) else {
            return Some("session_ended");
        };
        let before = &self.operator;
        if now.0.owner() != before.0.owner() {
            return Some("session_ended");
        }
        let is_same = (now.role(), now.user_id()) == (before.role(), before.user_id());
        (!is_same).then_some("rights_changed")
    }

    fn tick(&mut self) -> Value {
        let (news, missed) = self.watch.news();
        let all = self.operator.sees_all();
        let (key, user) = (self.operator.key_hash(), self.operator.user_id());
        let is_own = |seen: &Seen| {
            user.is_some() && seen.user.as_deref() == user
                || key.is_some() && seen.key.as_deref() == key
        };
        let news: Vec<_> = news.iter().filter(|seen| all || is_own(seen)).collect();
        let sum = |of: fn(&Seen) -> u64| news.iter().map(|seen| of(seen)).sum::<u64>();
        let count = |is: fn(&Seen) -> bool| news.iter().filter(|seen| is(seen)).count();
        let succeeded = news.iter().filter(|seen| !seen.failed);
        let (number, time) = succeeded.fold((0_u32, Duration::ZERO), |(number, time), seen| {
            (number + 1, time.saturating_add(seen.duration))
        });
        let mut groups = BTreeMap::<&str, [u64; 2]>::new();
        for seen in &news {
            let [requests, failures] =
                groups.entry(seen.group.as_deref().unwrap_or_default()).or_default();
            *requests += 1;
            *failures += u64::from(seen.failed);
        }
        let groups: Vec<_> = groups
            .into_iter()
            .map(|(group, [requests, failures])| {
                json!({"group": group, "requests": requests, "failures": failures})
            })
            .collect();
        let recent: Vec<_> = news.iter().rev().take(RECENT_MAX).map(|seen| shown(seen)).collect();
        let (source, metrics) = (&self.ui.shared.source, &self.ui.shared.metrics);
        let cooling = || {
            let groups = source.groups();
            let deployments = groups.iter().flat_map(|group| &group.deployments);
            deployments.filter(|one| one.state == DeploymentState::Down).count()
        };
        json!({
            "at": millis(SystemTime::now()),
            "requests": news.len(),
            "failures": count(|seen| seen.failed),
            "timeouts": count(|seen| seen.timed_out),
            "input_tokens": sum(|seen| seen.input_tokens),
            "output_tokens": sum(|seen| seen.output_tokens),
            "cost": dollars(sum(|seen| seen.cost_pico)),
            "mean_latency": (number > 0).then(|| (time / number).as_secs_f64() * 1_000.0),
            "missed": if all { missed } else { 0 },
            "in_flight": all.then(|| metrics.requests_in_flight()),
            "streams": all.then(|| metrics.streams_open()),
            "cooling": all.then(cooling),
            "groups": groups,
            "recent": recent,
        })
    }
}

fn shown(seen: &Seen) -> Value {
    let millis_of = |time: Duration| time.as_secs_f64() * 1_000.0;
    json!({
        "id": seen.id,
        "at": millis(seen.started),
        "group": seen.group,
        "provider": seen.provider,
        "deployment": seen.deployment,
        "status": seen.status,
        "error": seen.error,
        "duration": millis_of(seen.duration),
        "ttft": seen.first_token.map(millis_of),
        "tokens": seen.input_tokens + seen.output_tokens,
        "cost": dollars(seen.cost_pico),
        "attempts": seen.attempts,
        "stream": seen.stream,
    })
}

fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
