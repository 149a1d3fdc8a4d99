//! Tells people of budgets that are nearly used up: once for each level in each period, whichever gateway
//! sees it, by a webhook and by Slack.
//!
//! Requests only put a word into a bounded queue; what does not fit is not told and counted.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::admission::{Crossed, Level, Notices, Watch};
use crate::money::Usd;
use crate::patience::within;
use crate::secret::Secret;
use crate::spend::ScopeKind;

/// Words that wait to be told.
const QUEUE_MAX: usize = 1_000;
/// Levels that are remembered as told; the oldest are forgotten first.
const TOLD_MAX: usize = 10_000;
/// To hear whether another gateway has told it.
const NOTE_MAX: Duration = Duration::from_secs(2);
/// One attempt to tell.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// Attempts for each word, with a pause before each further one that doubles.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// Where alerts go, as the configuration says.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Gets an event as JSON.
    pub webhook: Option<Secret>,
    /// An incoming webhook of Slack.
    pub slack: Option<Secret>,
    /// How long a level of a budget without periods is not told again.
    pub repeat_after: Duration,
}

/// The queue; given to the counters.
#[derive(Debug)]
pub struct Alerts {
    queue: mpsc::Sender<Crossed>,
    dropped: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
}

/// The other end of the queue.
#[derive(Debug)]
pub struct Outbox(Mutex<Option<mpsc::Receiver<Crossed>>>);

impl Alerts {
    /// The two ends.
    #[must_use]
    pub fn new() -> (Arc<Self>, Outbox) {
        let (queue, outbox) = mpsc::channel(QUEUE_MAX);
        let counts = AtomicU64::default;
        let alerts = Self { queue, dropped: counts(), sent: counts(), failed: counts() };
        (Arc::new(alerts), Outbox(Mutex::new(Some(outbox))))
    }

    /// Sent, failed, and dropped because the queue was full.
    #[must_use]
    pub fn counts(&self) -> [u64; 3] {
        [&self.sent, &self.failed, &self.dropped].map(|count| count.load(Ordering::Relaxed))
    }

    /// Tells what comes, for ever. `settings` says where to, `notices` what other gateways have told.
    pub async fn run(
        &self,
        outbox: &Outbox,
        settings: impl Fn() -> Settings,
        notices: &dyn Notices,
    ) {
        let Some(mut outbox) = outbox.0.lock().take() else { return };
        let mut told = Told::default();
        let client = reqwest::Client::builder().timeout(ATTEMPT_MAX).build();
        let client = match client {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "no alert can be sent");
                return;
            }
        };
        while let Some(crossed) = outbox.recv().await {
            let settings = settings();
            let now = Timestamp::now();
            let until = until(&crossed, settings.repeat_after, now);
            if !told.is_new(&crossed, now, until) {
                continue;
            }
            let notice = notice(&crossed);
            let noted = pin!(notices.note(&notice, now, until));
            // Where that is not known: better twice than never.
            if let Ok(Ok(false)) = within(NOTE_MAX, noted).await {
                continue;
            }
            let text = text(&crossed);
            tracing::warn!(scope = crossed.scope.kind.word(), "{text}");
            let event = settings.webhook.as_ref().map(|url| (url, event(&crossed, &text)));
            let slack = settings.slack.as_ref().map(|url| (url, json!({ "text": text })));
            for (url, body) in [event, slack].into_iter().flatten() {
                let count = match self.post(&client, url, &body).await {
                    true => &self.sent,
                    false => &self.failed,
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn post(&self, client: &reqwest::Client, url: &Secret, body: &Value) -> bool {
        let mut pause = PAUSE;
        for attempt in 1..=ATTEMPTS {
            let why = match client
                .post(url.expose())
                .header("content-type", "application/json")
                .body(body.to_string())
                .send()
                .await
            {
                Ok(answer) if answer.status().is_success() => return true,
                Ok(answer) => answer.status().to_string(),
                // The address is a secret: it opens the channel.
                Err(error) => error.without_url().to_string(),
            };
            if attempt == ATTEMPTS {
                tracing::warn!(why, "an alert was not delivered");
                break;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        false
    }
}

impl Watch for Alerts {
    fn crossed(&self, crossed: Crossed) {
        if self.queue.try_send(crossed).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What was told, and until when it is not told again.
#[derive(Debug, Default)]
struct Told(FxHashMap<String, Timestamp>);

/// Until when a level is not told again.
fn until(crossed: &Crossed, repeat_after: Duration, now: Timestamp) -> Timestamp {
    crossed.resets.or_else(|| now.checked_add(repeat_after).ok()).unwrap_or(now)
}

/// What a level of a budget is noted by. A budget of another amount is another one.
fn notice(crossed: &Crossed) -> String {
    let Crossed { scope, level, max, soft, .. } = crossed;
    let (level, amount) = match level {
        Level::Soft => ("soft".to_owned(), soft),
        Level::Percent(share) => (share.to_string(), max),
    };
    let amount = amount.map_or(0, Usd::pico);
    format!("budget {} {level} {amount} {}", scope.kind.word(), scope.id)
}

impl Told {
    fn is_new(&mut self, crossed: &Crossed, now: Timestamp, until: Timestamp) -> bool {
        if self.0.len() >= TOLD_MAX {
            self.0.retain(|_, until| *until > now);
        }
        let key = notice(crossed);
        if self.0.get(&key).is_some_and(|until| *until > now) {
            return false;
        }
        if self.0.len() < TOLD_MAX {
            self.0.insert(key, until);
        }
        true
    }
}

/// Who it is, in LiteLLM's words.
const fn group(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Proxy => "proxy",
        ScopeKind::Organisation => "organization",
        ScopeKind::Team => "team",
        ScopeKind::TeamMember => "team_member",
        ScopeKind::User => "internal_user",
        ScopeKind::Key => "key",
        ScopeKind::EndUser => "customer",
        ScopeKind::Model => "model",
        ScopeKind::KeyModel => "key_model",
        ScopeKind::TeamModel => "team_model",
        ScopeKind::Tag => "tag",
        ScopeKind::Provider => "provider",
        ScopeKind::Deployment => "deployment",
    }
}

fn name(crossed: &Crossed) -> &str {
    match (&crossed.name, crossed.scope.kind) {
        (Some(name), _) => name,
        // A key without a name has a hash only, which is nobody's business.
        (None, ScopeKind::Key | ScopeKind::KeyModel) => "",
        (None, _) => &crossed.scope.id,
    }
}

fn text(crossed: &Crossed) -> String {
    let Crossed { level, spent, max, soft, resets, scope, .. } = crossed;
    let who = format!("{} {}", group(scope.kind), name(crossed));
    let who = who.trim_end();
    let what = match level {
        Level::Soft => format!(
            "Soft budget crossed: {who} has spent ${spent} of a soft budget of ${}",
            soft.unwrap_or_default()
        ),
        Level::Percent(100) => {
            format!("Budget crossed: {who} has spent ${spent} of ${}", max.unwrap_or_default())
        }
        Level::Percent(share) => format!(
            "{share}% threshold crossed: {who} has spent ${spent} of ${}",
            max.unwrap_or_default()
        ),
    };
    match resets {
        Some(resets) => format!("{what}. It starts anew at {resets}."),
        None => format!("{what}."),
    }
}

/// The body of LiteLLM's webhook.
fn event(crossed: &Crossed, text: &str) -> Value {
    let event = match crossed.level {
        Level::Soft => "soft_budget_crossed",
        Level::Percent(100) => "budget_crossed",
        Level::Percent(_) => "threshold_crossed",
    };
    let id = |kind: ScopeKind| (crossed.scope.kind == kind).then(|| crossed.scope.id.to_string());
    json!({
        "event": event,
        "event_group": group(crossed.scope.kind),
        "event_message": text,
        "spend": crossed.spent.dollars(),
        "max_budget": crossed.max.map(Usd::dollars),
        "soft_budget": crossed.soft.map(Usd::dollars),
        "threshold": match crossed.level {
            Level::Percent(share) => Some(f64::from(share) / 100.0),
            Level::Soft => None,
        },
        "token": id(ScopeKind::Key),
        "key_alias": crossed.name.as_deref().filter(|_| crossed.scope.kind == ScopeKind::Key),
        "user_id": id(ScopeKind::User),
        "team_id": id(ScopeKind::Team),
        "organization_id": id(ScopeKind::Organisation),
        "customer_id": id(ScopeKind::EndUser),
        "projected_exceeded_date": null,
        "projected_spend": null,
        "budget_reset_at": crossed.resets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spend::Scope;

    fn crossed(level: Level, resets: Option<&str>) -> Crossed {
        let usd = |dollars| Usd::from_dollars(dollars).unwrap();
        Crossed {
            scope: Scope::new(ScopeKind::Team, "t1"),
            name: Some("core".into()),
            level,
            spent: usd(8.5),
            max: Some(usd(10.0)),
            soft: Some(usd(5.0)),
            resets: resets.map(|at| at.parse().unwrap()),
        }
    }

    #[test]
    fn a_level_is_told_once_in_each_period() {
        let mut told = Told::default();
        let day = Duration::from_secs(86_400);
        let mut is_new = |level, resets, now: &str| {
            let (crossed, now) = (crossed(level, resets), now.parse().unwrap());
            told.is_new(&crossed, now, until(&crossed, day, now))
        };
        let (first, second) = (Some("2026-12-01T00:00:00Z"), Some("2027-01-01T00:00:00Z"));
        assert!(is_new(Level::Soft, first, "2026-11-21T00:00:00Z"));
        assert!(!is_new(Level::Soft, first, "2026-11-30T00:00:00Z"));
        assert!(is_new(Level::Percent(85), first, "2026-11-30T00:00:00Z"));
        assert!(is_new(Level::Soft, second, "2026-12-01T00:00:00Z"));
        assert!(is_new(Level::Percent(95), None, "2026-12-01T00:00:00Z"));
        assert!(!is_new(Level::Percent(95), None, "2026-12-01T23:00:00Z"));
        assert!(is_new(Level::Percent(95), None, "2026-12-02T00:00:00Z"));
    }

    #[test]
    fn people_and_programs_are_told_the_same() {
        let crossed = crossed(Level::Percent(85), Some("2026-12-01T00:00:00Z"));
        let text = text(&crossed);
        assert_eq!(
            text,
            "85% threshold crossed: team core has spent $8.5 of $10. It starts anew at \
             2026-12-01T00:00:00Z."
        );
        let event = event(&crossed, &text);
        assert_eq!(event["event"], "threshold_crossed");
        assert_eq!((&event["team_id"], &event["token"]), (&json!("t1"), &Value::Null));
        assert_eq!(event["spend"], 8.5);
    }
}
