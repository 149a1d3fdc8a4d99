//! Brings letters to where they go: a lane for each address, so that one that does not answer keeps
//! only its own letters waiting. Everything is bounded; what finds no room is counted.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::{Timestamp, Unit};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::kind::Kind;
use super::settings::Settings;
use super::text::{Gravity, cut, escaped};
use crate::outbound::{self, Bounds, causes};
use crate::secret::Secret;

/// Letters that wait for their lane.
const INBOX_MAX: usize = 100;
/// Letters that wait in one lane.
const LANE_MAX: usize = 100;
/// One attempt to deliver.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), answer: 64 * 1024 };
/// Attempts for each letter, with a pause before each further one that doubles.
const ATTEMPTS: u32 = 4;
/// The same for what nobody tells again: four minutes.
const ATTEMPTS_ONCE: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that a receiver may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What became of letters, by [`Kind`].
#[derive(Debug, Default)]
pub(super) struct Counts([[AtomicU64; 3]; Kind::ALL.len()]);

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Sent,
    Failed,
    /// There was no room for it.
    Dropped,
}

impl Fate {
    pub const ALL: [Self; 3] = [Self::Sent, Self::Failed, Self::Dropped];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

impl Counts {
    pub(super) fn add(&self, kind: Kind, fate: Fate) {
        self.0[kind.index()][fate as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn of(&self, kind: Kind, fate: Fate) -> u64 {
        self.0[kind.index()][fate as usize].load(Ordering::Relaxed)
    }
}

/// What somebody is to be told.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) kind: Kind,
    /// `None`: a report, which needs no head.
    pub(super) gravity: Option<Gravity>,
    /// As Slack takes it: escaped.
    pub(super) text: String,
    /// For the webhook.
    pub(super) event: Option<Value>,
}

/// A letter on its way.
#[derive(Debug)]
pub(super) struct Parcel {
    kind: Kind,
    url: Secret,
    body: Arc<str>,
}

/// Where letters are given in.
#[derive(Debug)]
pub(super) struct Post {
    inbox: mpsc::Sender<Parcel>,
    pub(super) counts: Counts,
    waiting: AtomicUsize,
}

impl Post {
    pub(super) fn new() -> (Self, mpsc::Receiver<Parcel>) {
        let (inbox, parcels) = mpsc::channel(INBOX_MAX);
        (Self { inbox, counts: Counts::default(), waiting: AtomicUsize::new(0) }, parcels)
    }

    /// Letters that are not delivered yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Gives in a letter for everybody who is told of its kind. Never waits.
    pub(super) fn send(&self, letter: Letter, settings: &Settings, now: Timestamp) {
        let Letter { kind, gravity, text, event } = letter;
        if settings.log_to_console || kind == Kind::Budgets {
            tracing::warn!(alert = kind.word(), "{text}");
        }
        if let (Some(url), Some(event)) = (&settings.webhook, event) {
            self.give_in(Parcel { kind, url: url.clone(), body: event.to_string().into() });
        }
        let addresses = &settings.slack[kind.index()];
        if addresses.is_empty() {
            return;
        }
        let text = dressed(gravity, text, settings.proxy_url.as_deref(), now);
        let body: Arc<str> = json!({ "text": text }).to_string().into();
        for url in addresses.iter() {
            self.give_in(Parcel { kind, url: url.clone(), body: Arc::clone(&body) });
        }
    }

    fn give_in(&self, parcel: Parcel) {
        let kind = parcel.kind;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.inbox.try_send(parcel).is_err() {
            self.over(kind, Fate::Dropped);
        }
    }

    fn over(&self, kind: Kind, fate: Fate) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.counts.add(kind, fate);
    }

    /// Delivers what is given in, for ever.
    pub(super) async fn deliver(&self, mut parcels: mpsc::Receiver<Parcel>) {
        let client = match outbound::client().build() {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(error = causes(&error), "no alert can be sent");
                return;
            }
        };
        // A lane stands here while a letter of it is on its way.
        let mut lanes = FxHashMap::<Arc<str>, VecDeque<Parcel>>::default();
        let mut under_way = FuturesUnordered::new();
        let go = |parcel: Parcel| {
            let client = &client;
            async move {
                let fate = post(client, &parcel).await;
                (parcel, fate)
            }
        };
        loop {
            tokio::select! {
                parcel = parcels.recv() => {
                    let Some(parcel) = parcel else { return };
                    match lanes.entry(parcel.url.expose().into()) {
                        Entry::Vacant(lane) => {
                            lane.insert(VecDeque::new());
                            under_way.push(go(parcel));
                        }
                        Entry::Occupied(lane) if lane.get().len() >= LANE_MAX => {
                            self.over(parcel.kind, Fate::Dropped);
                        }
                        Entry::Occupied(mut lane) => lane.get_mut().push_back(parcel),
                    }
                }
                Some((parcel, fate)) = under_way.next(), if !under_way.is_empty() => {
                    self.over(parcel.kind, fate);
                    match lanes.get_mut(parcel.url.expose()).and_then(VecDeque::pop_front) {
                        Some(next) => under_way.push(go(next)),
                        None => drop(lanes.remove(parcel.url.expose())),
                    }
                }
            }
        }
    }
}

/// With head and foot, as LiteLLM's messages have them.
fn dressed(gravity: Option<Gravity>, text: String, url: Option<&str>, now: Timestamp) -> String {
    let mut out = match gravity {
        None => text,
        Some(gravity) => {
            let now = now.round(Unit::Second).unwrap_or(now);
            format!("Level: `{}`\nTimestamp: `{now}`\n\nMessage: {text}", gravity.word())
        }
    };
    out = cut(out);
    if let Some(url) = url {
        out.push_str("\n\nProxy URL: `");
        out.push_str(&escaped(url));
        out.push('`');
    }
    out
}

async fn post(client: &reqwest::Client, parcel: &Parcel) -> Fate {
    let attempts = if parcel.kind.is_told_once() { ATTEMPTS_ONCE } else { ATTEMPTS };
    let mut pause = PAUSE;
    let mut attempt = 1;
    loop {
        let Err(refused) = attempted(client, &parcel.url, &parcel.body).await else {
            return Fate::Sent;
        };
        pause = refused.pause.unwrap_or(pause);
        if attempt == attempts || !refused.again {
            let why = refused.why;
            tracing::warn!(alert = parcel.kind.word(), why, "an alert was not delivered");
            return Fate::Failed;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        attempt += 1;
    }
}

/// Why one attempt was in vain.
struct Refused {
    why: String,
    /// Another one is worth it, perhaps after this pause.
    again: bool,
    pause: Option<Duration>,
}

async fn attempted(client: &reqwest::Client, url: &Secret, body: &str) -> Result<(), Refused> {
    let request = client.post(url.expose()).header("content-type", "application/json");
    match outbound::ask(request.body(body.to_owned()), BOUNDS).await {
        Ok(answer) if answer.status.is_success() => Ok(()),
        Ok(answer) => Err(Refused {
            why: answer.status.to_string(),
            again: is_worth_another(answer.status.as_u16()),
            pause: answer.pause().map(|asked| asked.clamp(PAUSE, PAUSE_MAX)),
        }),
        Err(failed) => Err(Refused { why: failed.to_string(), again: true, pause: None }),
    }
}

/// By which alerts go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Slack,
    Webhook,
}

/// Tells all addresses of a way, each once and in one attempt, of something that did not happen. `None`:
/// there are none. Otherwise the kinds that they are for, or why one has not taken it.
pub(super) async fn try_out(
    way: Way,
    settings: &Settings,
    now: Timestamp,
) -> Option<Result<Vec<Kind>, String>> {
    const TEXT: &str = "This is a test of alerts: nothing has happened.";
    let mut kinds = vec![Kind::Budgets];
    let mut addresses: Vec<&Secret> = settings.webhook.iter().collect();
    let mut body = json!({
        "event": "budget_crossed", "event_group": "proxy", "event_message": TEXT,
        "spend": 0.0, "max_budget": 0.0,
    });
    if way == Way::Slack {
        kinds = Kind::ALL.into_iter().filter(|it| !settings.slack[it.index()].is_empty()).collect();
        addresses = settings.slack.iter().flat_map(|all| all.iter()).collect();
        addresses.sort_by(|one, other| one.expose().cmp(other.expose()));
        addresses.dedup_by(|one, other| one.expose() == other.expose());
        let text = dressed(Some(Gravity::Low), TEXT.to_owned(), settings.proxy_url.as_deref(), now);
        body = json!({ "text": text });
    }
    if addresses.is_empty() {
        return None;
    }
    let client = match outbound::client().build() {
        Ok(client) => client,
        Err(error) => return Some(Err(causes(&error))),
    };
    let body = body.to_string();
    let all = addresses.into_iter().map(|url| attempted(&client, url, &body));
    let refused = futures::future::join_all(all).await.into_iter().find_map(Result::err);
    Some(refused.map_or(Ok(kinds), |refused| Err(refused.why)))
}

/// Other refusals stay what they are: the channel is gone, or the address wrong.
const fn is_worth_another(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 425 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(kind: Kind) -> Letter {
        let event = Some(json!({"event": "x"}));
        Letter { kind, gravity: Some(Gravity::High), text: "It broke.".into(), event }
    }

    fn settings(addresses: &[&str]) -> Settings {
        let mut settings = Settings::default();
        let all: Vec<_> = addresses.iter().map(|url| Secret::new(*url)).collect();
        settings.tell(Kind::Outages, all.into());
        settings.proxy_url = Some("https://llm.example".into());
        settings
    }

    #[test]
    fn each_address_of_a_kind_gets_the_letter_and_no_other() {
        let (post, mut parcels) = Post::new();
        let settings = settings(&["http://a", "http://b"]);
        let now: Timestamp = "2026-11-22T05:00:00.5Z".parse().unwrap();
        post.send(letter(Kind::Outages), &settings, now);
        post.send(letter(Kind::Cooldowns), &settings, now);
        let sent: Vec<_> = std::iter::from_fn(|| parcels.try_recv().ok()).collect();
        let to: Vec<_> = sent.iter().map(|parcel| parcel.url.expose()).collect();
        assert_eq!(to, ["http://a", "http://b"], "there is no webhook");
        let body: Value = serde_json::from_str(&sent[0].body).unwrap();
        let text = "Level: `High`\nTimestamp: `2026-11-22T05:00:01Z`\n\nMessage: It broke.\n\n\
                    Proxy URL: `https://llm.example`";
        assert_eq!(body, json!({ "text": text }));
        assert_eq!(post.waiting(), 2);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let (post, _parcels) = Post::new();
        let settings = settings(&["http://a"]);
        for _ in 0..INBOX_MAX + 3 {
            post.send(letter(Kind::Outages), &settings, Timestamp::UNIX_EPOCH);
        }
        assert_eq!(post.counts.of(Kind::Outages, Fate::Dropped), 3);
        assert_eq!(post.waiting(), INBOX_MAX);
    }

    #[test]
    fn only_some_refusals_are_worth_another_attempt() {
        assert!([500, 503, 429, 408].into_iter().all(is_worth_another));
        assert!(![400, 403, 404, 410].into_iter().any(is_worth_another));
    }
}
