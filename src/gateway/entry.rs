//! The request's entry in the books: who pays, for what, and what it came to.
//!
//! Made when it is known who calls, and closed once: before the end of the reply goes out, so that
//! whoever has a whole reply has a row. Where that is impossible (the client is gone, the reply is
//! passed on while it comes), it is closed when the request is over. An entry that nobody closes, as
//! after a panic, closes itself.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use uuid::Uuid;

use super::ctx::{Call, RequestCtx};
use super::{Gateway, payer, settle};
use crate::admin::shortened;
use crate::books::Books;
use crate::catalog::Served;
use crate::keys::Caller;
use crate::spend::traffic::Tried;
use crate::spend::{APPLIED_GUARDRAILS, SIMILARITY, SpendEvent};
use crate::telemetry::{Attempt, Outcome};
use crate::usage::Usage;

/// More attempts of one request are not kept.
const ATTEMPTS_MAX: usize = 32;

/// How often the books hear how far a stream has come.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What clients are told of a request whose gateway broke.
const BROKEN: u16 = 500;

pub(super) struct Entry {
    books: Arc<Books>,
    event: SpendEvent,
    /// Requests that failed and cost nothing are kept, too.
    keeps_errors: bool,
    /// When the books heard last that the client has something.
    told: Option<Instant>,
    is_over: bool,
}

impl Entry {
    /// Begins the entry of a request.
    pub(super) fn new(
        gateway: &Gateway,
        ctx: &RequestCtx,
        path: &str,
        headers: &HeaderMap,
    ) -> Self {
        let mut event = SpendEvent {
            // A client may send the same id twice, and both requests are paid.
            request_id: Uuid::now_v7().to_string().into(),
            call_id: Some(Arc::clone(&ctx.request_id)),
            started_us: micros(ctx.started_at),
            route: shortened(path).into(),
            client_ip: ctx.client_ip.map(|ip| ip.to_string().into()),
            session: payer::session(headers).or_else(|| payer::trace(headers)),
            ..SpendEvent::default()
        };
        event.key = match &ctx.caller {
            Some(Caller::Key(principal)) => {
                let owned = |text: Option<&str>| text.map(Arc::from);
                event.key_alias = owned(principal.key.key_alias.as_deref());
                event.user = owned(principal.user_id());
                event.team = owned(principal.team_id());
                event.organisation = owned(principal.organisation_id());
                event.account =
                    Some(principal.account()).filter(|it| *it != principal.hash()).cloned();
                Arc::clone(principal.hash())
            }
            Some(Caller::Master) => "master".into(),
            Some(Caller::Anonymous) | None => "".into(),
        };
        Self {
            books: Arc::clone(&gateway.books),
            event,
            keeps_errors: ctx.snapshot.spending.keeps_errors,
            told: None,
            is_over: false,
        }
    }

    /// The id of the row.
    pub(super) fn row(&self) -> Arc<str> {
        Arc::clone(&self.event.request_id)
    }

    /// Takes down what is called.
    pub(super) fn calls(&mut self, call: &Call, group: Option<Arc<str>>) {
        let event = &mut self.event;
        event.model = shortened(&call.model).into();
        event.group = group;
        event.stream = call.stream;
        event.end_user.clone_from(&call.end_user);
        event.tags = call.tags.iter().map(|tag| Arc::from(&**tag)).collect();
        event.metadata = payer::metadata(call.native.as_ref().unwrap_or(&call.body));
    }

    /// Takes down by which names the key's limits of single models count it.
    pub(super) fn counts_as(&mut self, models: Vec<Arc<str>>) {
        self.event.key_models = models;
    }

    /// Takes down what is passed as it is.
    pub(super) fn passes(&mut self, asked: &str) {
        self.event.model = shortened(asked).into();
    }

    fn served(&mut self, served: &Served) {
        let event = &mut self.event;
        if event.asked.is_none() && event.group.as_ref() != Some(&served.group) {
            event.asked = event.group.take();
        }
        event.group = Some(Arc::clone(&served.group));
        event.deployment = Some(Arc::clone(&served.deployment.id));
        event.provider = Some(Arc::clone(&served.deployment.provider));
        event.upstream_model = Some(Arc::clone(&served.model));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.is_over {
            let mut event = std::mem::take(&mut self.event);
            event.status = BROKEN;
            event.error = Some("internal".into());
            self.books.over(event);
        }
    }
}

impl RequestCtx {
    /// Tells the books that the client is about to get something of the reply, or how much it has by
    /// now: what the row says if the process ends before the request does. The usage is a guess.
    pub(super) fn entry_begun(&mut self, guess: impl FnOnce() -> Usage) {
        let Some(entry) = self.entry.as_mut().filter(|entry| !entry.is_over) else { return };
        if entry.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        if let Some(served) = &self.relayed.served_by {
            entry.served(served);
        }
        let guess = Usage { estimated: true, ..guess() };
        let event = &mut entry.event;
        event.status = self.status.unwrap_or(200);
        event.duration_us = span(self.started.elapsed());
        event.first_token_us = self.relayed.first_token.map(span);
        event.usage = self.relayed.usage.map_or(guess, |before| before.plus(guess));
        let cost = self.relayed.cost.unwrap_or_default();
        let cost =
            self.relayed.price(&guess, &self.snapshot.prices).map_or(cost, |it| it.plus(cost));
        event.cost_pico = cost.pico();
        entry.books.begun(event);
        entry.told = Some(Instant::now());
    }

    /// Closes the entry, if nobody has: the request is what it is by now.
    pub(super) fn entry_over(&mut self) {
        let Some(mut entry) = self.entry.take_if(|entry| !entry.is_over) else { return };
        if let Some(served) = &self.relayed.served_by {
            entry.served(served);
        }
        let event = &mut entry.event;
        event.status = self.status.unwrap_or(settle::CLIENT_CLOSED);
        event.error = settle::error_of(self).map(|error| error.class.into());
        event.client_gone = self.client_gone;
        event.duration_us = span(self.started.elapsed());
        event.first_token_us = self.relayed.first_token.map(span);
        event.usage = self.relayed.usage.unwrap_or_default();
        event.cost_pico = self.relayed.cost.unwrap_or_default().pico();
        if let Some(hit) = self.cached.hit() {
            event.cache_hit = true;
            event.cache_key = Some(Arc::clone(&hit.name));
            event.saved_pico = hit.cost.pico();
            event.saved_tokens = hit.usage.total_tokens();
            if let Some(similarity) = hit.similarity {
                let metadata = event.metadata.as_deref();
                event.metadata = Some(payer::marked(metadata, SIMILARITY, similarity));
            }
        }
        if let Some(guarded) = &self.guarded {
            let names: Vec<&str> = guarded.names().map(|name| &**name).collect();
            let metadata = event.metadata.as_deref();
            event.metadata = Some(payer::marked(metadata, APPLIED_GUARDRAILS, names));
        }
        event.retries = self.relayed.retries;
        event.fallbacks = self.relayed.fallbacks;
        event.attempts = tried(&self.relayed.attempts, self.started);
        if let (Some(began), Some(served)) = (self.relayed.trying, &self.relayed.served_by)
            && (1..ATTEMPTS_MAX).contains(&self.relayed.attempts.len())
        {
            // The one that answers is over only when its last bytes are out.
            let outcome = event.error.clone().unwrap_or_else(|| Outcome::Success.name().into());
            event.attempts.push(Tried {
                deployment: Arc::clone(&served.deployment.id),
                group: Arc::clone(&served.group),
                provider: Arc::clone(&served.deployment.provider),
                start_us: span(began.saturating_duration_since(self.started)),
                duration_us: span(began.elapsed()),
                outcome,
                status: self.status,
                cooled_down: false,
            });
        }
        entry.is_over = true;
        let is_free = event.cost_pico == 0 && event.usage.total_tokens() == 0;
        if entry.keeps_errors || event.error.is_none() || !is_free || entry.told.is_some() {
            let event = std::mem::take(event);
            entry.books.over(event);
        }
    }
}

/// The attempts of a request that began then; none where the request itself says all of them.
fn tried(attempts: &[Attempt], began: Instant) -> Vec<Tried> {
    if matches!(attempts, [] | [Attempt { outcome: Outcome::Success, .. }]) {
        return Vec::new();
    }
    let kept = |attempt: &Attempt| Tried {
        deployment: Arc::clone(&attempt.deployment.id),
        group: Arc::clone(&attempt.group),
        provider: Arc::clone(&attempt.deployment.provider),
        start_us: span(attempt.began.saturating_duration_since(began)),
        duration_us: span(attempt.duration),
        outcome: attempt.outcome.name().into(),
        status: attempt.status,
        cooled_down: attempt.cooled_down,
    };
    attempts.iter().take(ATTEMPTS_MAX).map(kept).collect()
}

pub(super) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    span(since)
}

pub(super) fn span(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
