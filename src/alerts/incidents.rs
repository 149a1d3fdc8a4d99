//! What goes wrong with requests, deployments and stores: gathered, grouped and told.
//!
//! Requests give in [`News`] (news.rs); stores and requests that hang are looked at every second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::delivery::{Fate, Letter, Post};
use super::grouping::{Due, Groups};
use super::kind::Kind;
use super::news::{Failed, News, Rests, Slow};
use super::outage::{Error, Outage, Seen, Watch};
use super::settings::{Outages, Settings};
use super::text::{Gravity, code, line, number, span};
use super::under_way::{Hanging, UnderWay};
use super::{NOTE_MAX, Scene, Stores};
use crate::admission::Notices;
use crate::catalog::Deployment;
use crate::patience::within;

/// How often it is looked at what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A store that is not reached for less is no news: it may just be met for the first time.
const AWAY_FOR: Duration = Duration::from_secs(3);

/// Tells what comes, for ever.
pub(super) async fn run<S: Notices>(
    mut news: mpsc::Receiver<News>,
    (post, under_way): (&Post, &UnderWay),
    scene: &dyn Scene,
    store: &S,
) {
    let mut desk = Desk::default();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = tokio::select! {
            one = news.recv() => {
                let Some(one) = one else { return };
                let (settings, now) = (scene.settings(), Instant::now());
                let rest = |id: &str| scene.rest(id);
                for out in desk.hear(one, &settings, rest, post, now) {
                    tell_once(out, post, &settings, store).await;
                }
                continue;
            }
            _ = tick.tick() => Instant::now(),
        };
        let settings = scene.settings();
        if settings.is_silent() {
            desk = Desk::default();
            continue;
        }
        if settings.tells(Kind::Hanging) {
            for hanging in under_way.hanging(settings.threshold, now) {
                desk.hangs(hanging, post, now);
            }
        }
        desk.look_at(&scene.stores(), &settings, post, now);
        for letter in desk.due(&settings, now) {
            post.send(letter, &settings, Timestamp::now());
        }
    }
}

/// Tells of an outage unless another gateway has.
async fn tell_once<S: Notices>(out: Out, post: &Post, settings: &Settings, store: &S) {
    let now = Timestamp::now();
    let length = SignedDuration::try_from(out.ttl).unwrap_or_default();
    let until = now.checked_add(length).unwrap_or(now);
    let noted = std::pin::pin!(store.note(&out.notice, now, until));
    // Where that is not known: better twice than never.
    if !matches!(within(NOTE_MAX, noted).await, Ok(Ok(false))) {
        post.send(out.letter, settings, now);
    }
}

/// Something is out.
#[derive(Debug)]
struct Out {
    letter: Letter,
    /// What it is noted by, and for how long.
    notice: String,
    ttl: Duration,
}

/// What is gathered at present.
#[derive(Debug, Default)]
struct Desk {
    groups: Groups<(Kind, Arc<str>, &'static str), Case>,
    deployments: Watch,
    regions: Watch,
    stores: Vec<Away>,
    /// Records of spending that were lost or refused, as far as was told.
    untracked: Option<u64>,
    blocked: bool,
}

/// A store that is away.
#[derive(Debug)]
struct Away {
    name: &'static str,
    since: Instant,
    told: bool,
}

/// One of a group.
#[derive(Clone, Debug)]
enum Case {
    Failed(Failed),
    Slow(Slow),
    Hangs(Hanging),
    Rests { it: Rests, rest: Option<Duration> },
    Store { text: String, gravity: Gravity },
}

impl Desk {
    /// Takes down what a request tells. What is out is to be told at once.
    fn hear(
        &mut self,
        news: News,
        settings: &Settings,
        rest: impl Fn(&str) -> Option<Duration>,
        post: &Post,
        now: Instant,
    ) -> Vec<Out> {
        let (key, case) = match news {
            News::Stumbled { deployment, is_timeout } => {
                let error = if is_timeout { Error::Timeout } else { Error::Provider };
                return self.stumbled(&deployment, error, settings, now);
            }
            News::Failed(it) => {
                let key = (Kind::Exceptions, Arc::clone(&it.group), it.class);
                (key, Case::Failed(it))
            }
            News::Slow(it) => ((Kind::TooSlow, Arc::clone(&it.group), ""), Case::Slow(it)),
            News::Rests(it) => {
                let id = Arc::clone(&it.deployment.id);
                let rest = rest(&id);
                ((Kind::Cooldowns, id, it.class), Case::Rests { it, rest })
            }
        };
        if settings.tells(key.0) {
            self.add(key, case, post, now);
        }
        Vec::new()
    }

    fn add(&mut self, key: (Kind, Arc<str>, &'static str), case: Case, post: &Post, now: Instant) {
        let kind = key.0;
        if !self.groups.add(key, case, now) {
            post.counts.add(kind, Fate::Dropped);
        }
    }

    fn hangs(&mut self, hanging: Hanging, post: &Post, now: Instant) {
        let key = (Kind::Hanging, Arc::clone(&hanging.group), "");
        self.add(key, Case::Hangs(hanging), post, now);
    }

    fn stumbled(
        &mut self,
        deployment: &Deployment,
        error: Error,
        settings: &Settings,
        now: Instant,
    ) -> Vec<Out> {
        let mut all = Vec::new();
        let (id, provider) = (&*deployment.id, &*deployment.provider);
        let rule = settings.outages;
        if settings.tells(Kind::Outages)
            && let Some(seen) = self.deployments.heard(id, id, error, (rule, 1), now)
        {
            let mut head = String::new();
            line(&mut head, "Deployment", &named(deployment));
            let place = (Kind::Outages, id);
            all.push(out(place, head, seen, rule.ttl));
        }
        let region = deployment.info.region.as_deref();
        if let Some(region) = region.filter(|_| settings.tells(Kind::RegionOutages)) {
            let rule = Outages { ttl: settings.region_outage_ttl, ..rule };
            let place = format!("{provider} {region}");
            if let Some(seen) = self.regions.heard(&place, id, error, (rule, 2), now) {
                let mut head = String::new();
                line(&mut head, "Region", &code(region));
                line(&mut head, "Provider", &code(provider));
                line(&mut head, "Deployments", &seen.deployments.to_string());
                let place = (Kind::RegionOutages, &*place);
                all.push(out(place, head, seen, rule.ttl));
            }
        }
        all
    }

    /// Compares the stores with what they were like before.
    fn look_at(&mut self, stores: &Stores, settings: &Settings, post: &Post, now: Instant) {
        if settings.tells(Kind::Stores) {
            self.store_is(("The database", stores.database_is_away), post, now);
            self.store_is(("Redis", stores.redis_is_away), post, now);
        }
        if !settings.tells(Kind::FailedTracking) {
            return;
        }
        let mut tell = |what: &'static str, text: String, gravity| {
            let key = (Kind::FailedTracking, Arc::from(""), what);
            self.groups.add(key, Case::Store { text, gravity }, now)
        };
        let before = self.untracked.replace(stores.untracked).unwrap_or(stores.untracked);
        let lost = stores.untracked.saturating_sub(before);
        let mut has_room = true;
        if lost > 0 {
            let text = format!(
                "*Spending is not tracked*: {} records were lost, or refused by the database",
                number(lost)
            );
            has_room &= tell("lost", text, Gravity::High);
        }
        if stores.is_blocked && !self.blocked {
            let text = "*Spending is not tracked*: the disk takes no record of it".to_owned();
            has_room &= tell("blocked", text, Gravity::High);
        }
        self.blocked = stores.is_blocked;
        if !has_room {
            post.counts.add(Kind::FailedTracking, Fate::Dropped);
        }
    }

    fn store_is(&mut self, (name, is_away): (&'static str, bool), post: &Post, now: Instant) {
        let known = self.stores.iter().position(|away| away.name == name);
        let (text, gravity, what) = match (known, is_away) {
            (None, true) => {
                self.stores.push(Away { name, since: now, told: false });
                return;
            }
            (Some(at), true) => {
                let away = &mut self.stores[at];
                if away.told || now.saturating_duration_since(away.since) < AWAY_FOR {
                    return;
                }
                away.told = true;
                let text = format!("*{name} does not answer*: requests are served on without it");
                (text, Gravity::High, "away")
            }
            (Some(at), false) => {
                let away = self.stores.swap_remove(at);
                if !away.told {
                    return;
                }
                let time = now.saturating_duration_since(away.since);
                let text = format!("*{name} is back* after {}", span(whole(time)));
                (text, Gravity::Low, "back")
            }
            (None, false) => return,
        };
        let key = (Kind::Stores, Arc::from(name), what);
        self.add(key, Case::Store { text, gravity }, post, now);
    }

    /// The letters that are due.
    fn due(&mut self, settings: &Settings, now: Instant) -> Vec<Letter> {
        let mut letters = Vec::new();
        for ((kind, ..), due) in self.groups.due(now) {
            if settings.tells(kind) {
                let (gravity, text) = told(&due, settings.threshold);
                letters.push(Letter { kind, gravity: Some(gravity), text, event: None });
            }
        }
        letters
    }
}

/// What the letter of a group says.
fn told(due: &Due<Case>, threshold: Duration) -> (Gravity, String) {
    let times = match due.count {
        1 => String::new(),
        count => {
            format!(", {} times within {}", number(count), span(whole(due.within)))
        }
    };
    match &due.last {
        Case::Failed(it) => {
            let group = match &*it.group {
                "" => String::new(),
                group => format!("{}, ", code(group)),
            };
            let class = code(it.class);
            let mut text = format!("*Requests fail*: {group}{class} (status {}){times}", it.status);
            finish(&mut text, it.deployment.as_deref(), &it.request_id);
            (Gravity::High, text)
        }
        Case::Slow(it) => {
            let (group, took) = (code(&it.group), span(it.took));
            let bound = span(threshold);
            let mut text =
                format!("*Responses are slow*: {group} took {took}, more than {bound}{times}");
            finish(&mut text, it.deployment.as_deref(), &it.request_id);
            (Gravity::Low, text)
        }
        Case::Hangs(it) => {
            let waited = span(whole(it.waited));
            let bound = span(threshold);
            let mut text = format!(
                "*Requests are hanging*: {} had no answer for {waited}, more than {bound}{times}",
                code(&it.group)
            );
            finish(&mut text, None, &it.request_id);
            (Gravity::Medium, text)
        }
        Case::Rests { it, rest } => {
            let rest = rest.map_or_else(String::new, |rest| format!(" for {}", span(rest)));
            let status = it.status.map_or_else(String::new, |it| format!(" (status {it})"));
            let mut text =
                format!("*A deployment rests*{rest} after {}{status}{times}", code(it.class));
            line(&mut text, "Deployment", &named(&it.deployment));
            line(&mut text, "Model group", &code(&it.deployment.group));
            (Gravity::Medium, text)
        }
        Case::Store { text, gravity } => (*gravity, format!("{text}{times}.")),
    }
}

fn finish(text: &mut String, deployment: Option<&Deployment>, request_id: &str) {
    if let Some(deployment) = deployment {
        line(text, "Deployment", &named(deployment));
    }
    if !request_id.is_empty() {
        line(text, "Last request", &code(request_id));
    }
}

/// A deployment as people know it. Its base has no credentials.
fn named(deployment: &Deployment) -> String {
    let Deployment { id, provider, model, .. } = deployment;
    let base = code(&deployment.target.api_base);
    format!("{} ({} {} at {base})", code(id), code(provider), code(model))
}

fn out((kind, place): (Kind, &str), mut head: String, seen: Seen, ttl: Duration) -> Out {
    let (gravity, word) = match seen.outage {
        Outage::Minor => (Gravity::Medium, "Minor"),
        Outage::Major => (Gravity::High, "Major"),
    };
    if seen.timeouts > 0 {
        line(&mut head, "Timeouts", &seen.timeouts.to_string());
    }
    if seen.errors > 0 {
        line(&mut head, "Errors", &seen.errors.to_string());
    }
    let text = format!("*{word} service outage* within {}{head}", span(ttl));
    Out {
        letter: Letter { kind, gravity: Some(gravity), text, event: None },
        notice: format!("outage {} {word} {place}", kind.word()),
        ttl,
    }
}

/// Nobody wants tenths of what is looked at once a second.
fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().max(1))
}

#[cfg(test)]
#[path = "incidents_tests.rs"]
mod tests;
