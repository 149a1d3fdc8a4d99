//! What is told regularly: the sums of deployments, fallbacks, and spending by team and tag. All of it
//! is read from the ledger's sums, so it does not matter which gateway tells it, and one does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::delivery::{Letter, Post};
use super::kind::Kind;
use super::schedule::{Stretch, ended, ended_month};
use super::settings::Settings;
use super::text::{code, dollars, number, span};
use super::{Backing, Scene};
use crate::catalog::Deployment;
use crate::keys::record::Team;
use crate::keys::{Directory, StoreError, fetch};
use crate::spend::traffic::{Counts, Step, Times, Traffic, TrafficQuery};
use crate::spend::{Grouping, Ledger, Line, Report};

/// How often it is looked at whether it is time to look: the configuration may have changed that.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Deployments in a list, as in LiteLLM's.
const WORST: usize = 5;
/// Teams, tags and groups in a list.
const LISTED: usize = 20;
/// Sums of quarters of an hour are kept for three days; what goes back further is read by the hour.
const QUARTERS_FOR: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Tells what is due, for ever.
pub(super) async fn run<S: Backing>(post: &Post, scene: &dyn Scene, store: &S) {
    let mut done = Done::default();
    let mut looked = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let settings = scene.settings();
        if settings.is_silent() || looked.elapsed() < settings.check_reports_every {
            continue;
        }
        looked = Instant::now();
        let now = Timestamp::now();
        let zone = scene.zone();
        for (kind, stretch) in stretches(&settings, &zone, now) {
            if !settings.tells(kind) || done.0.contains_key(&stretch.key(kind)) {
                continue;
            }
            let told = tell((kind, &stretch), (post, &settings), scene, store, now).await;
            match told {
                Ok(()) => done.add(stretch.key(kind), now),
                Err(error) => tracing::debug!(%error, kind = kind.word(), "a report has to wait"),
            }
        }
    }
}

/// Stretches of which this gateway knows that they are told.
#[derive(Default)]
struct Done(BTreeMap<String, Timestamp>);

impl Done {
    fn add(&mut self, key: String, now: Timestamp) {
        if self.0.len() >= 100 {
            let oldest = self.0.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(key, now);
    }
}

impl Stretch {
    fn key(&self, kind: Kind) -> String {
        format!("{} {}", kind.word(), self.name)
    }
}

/// What could be told now.
fn stretches(settings: &Settings, zone: &TimeZone, now: Timestamp) -> Vec<(Kind, Stretch)> {
    let often = ended(settings.report_every, zone, now);
    // Spending is summed up by days of UTC.
    let days = ended(DAY * u32::from(settings.spend_days), &TimeZone::UTC, now);
    let month = ended_month(now);
    [
        (Kind::DailyReports, often.clone()),
        (Kind::FallbackReports, often),
        (Kind::SpendReports, days),
        (Kind::SpendReports, month),
    ]
    .into_iter()
    .filter_map(|(kind, stretch)| Some((kind, stretch?)))
    .collect()
}

/// Tells of a stretch, unless there is nothing to tell or another gateway has.
async fn tell<S: Backing>(
    (kind, stretch): (Kind, &Stretch),
    (post, settings): (&Post, &Settings),
    scene: &dyn Scene,
    store: &S,
    now: Timestamp,
) -> Result<(), StoreError> {
    let text = match kind {
        Kind::SpendReports => spending(stretch, store).await?,
        Kind::FallbackReports => fallbacks(stretch, &traffic(stretch, store, now).await?),
        _ => {
            let named = |id: &str| scene.deployment(id);
            daily(stretch, &traffic(stretch, store, now).await?, named)
        }
    };
    let Some(text) = text else { return Ok(()) };
    let notice = format!("{} {}", kind.word(), stretch.turn);
    if store.note(&notice, now, stretch.noted_until).await? {
        post.send(Letter { kind, gravity: None, text, event: None }, settings, now);
    }
    Ok(())
}

async fn traffic(
    stretch: &Stretch,
    ledger: &dyn Ledger,
    now: Timestamp,
) -> Result<Traffic, StoreError> {
    let age = now.duration_since(stretch.from);
    let is_young = Duration::try_from(age).is_ok_and(|age| age < QUARTERS_FOR);
    let step = if is_young { Step::Quarter } else { Step::Hour };
    let query = TrafficQuery {
        span: step.widen(stretch.span()),
        step,
        times: step,
        times_of_places: step,
        brief: true,
        group: None,
        provider: None,
        deployment: None,
    };
    ledger.traffic(&query).await
}

/// What came to one deployment.
#[derive(Default)]
struct Sum {
    counts: Counts,
    times: Times,
}

/// `None`: nothing happened.
fn daily(
    stretch: &Stretch,
    traffic: &Traffic,
    named: impl Fn(&str) -> Option<Arc<Deployment>>,
) -> Option<String> {
    let mut all = Counts::default();
    let mut deployments = BTreeMap::<&str, Sum>::new();
    for (place, counts) in &traffic.by_place {
        all.add(counts);
        deployments.entry(&place.deployment).or_default().counts.add(counts);
    }
    for (place, times) in &traffic.times_by_place {
        deployments.entry(&place.deployment).or_default().times.merge(times);
    }
    deployments.remove("");
    if all.requests == 0 && all.attempts == 0 {
        return None;
    }
    let mut text = head("Report", stretch);
    let share = if all.requests == 0 {
        String::new()
    } else {
        format!(" ({:.2} %)", all.failures as f64 * 100.0 / all.requests as f64)
    };
    text.push_str(&format!(
        "\nRequests: {}, of which {} failed{share}\nCost: {}\nTokens: {} in, {} out",
        number(all.requests),
        number(all.failures),
        dollars(all.cost_pico),
        number(all.input_tokens),
        number(all.output_tokens),
    ));
    let called = |id: &str| match named(id) {
        Some(it) => format!(
            "{} ({} at {})",
            code(id),
            code(&format!("{}/{}", it.provider, it.model)),
            code(&it.target.api_base)
        ),
        None => code(id),
    };
    let mut failed: Vec<_> = deployments.iter().collect();
    failed.retain(|(_, sum)| sum.counts.attempt_failures > 0);
    failed.sort_by_key(|(id, sum)| (std::cmp::Reverse(sum.counts.attempt_failures), **id));
    text.push_str("\n\n*Deployments with most failures*");
    list(&mut text, failed.iter().take(WORST), |(id, sum)| {
        let (failed, tried) = (sum.counts.attempt_failures, sum.counts.attempts);
        format!("{}: {} of {} attempts", called(id), number(failed), number(tried))
    });
    let mut slow: Vec<_> =
        deployments.iter().filter_map(|(id, sum)| Some((*id, per_token(sum)?))).collect();
    slow.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(other.0)));
    text.push_str("\n\n*Slowest deployments*");
    list(&mut text, slow.iter().take(WORST), |(id, seconds)| {
        format!("{}: {seconds:.3} s for each output token", called(id))
    });
    Some(text)
}

/// Seconds for each token of the replies.
fn per_token(sum: &Sum) -> Option<f64> {
    let latency = &sum.times.latency;
    let seconds = latency.mean()? * latency.count() as f64 / 1e6;
    (sum.counts.output_tokens > 0).then(|| seconds / sum.counts.output_tokens as f64)
}

/// `None`: nobody fell back.
fn fallbacks(stretch: &Stretch, traffic: &Traffic) -> Option<String> {
    let mut groups = BTreeMap::<&str, Counts>::new();
    for (place, counts) in traffic.by_place.iter().filter(|(_, counts)| counts.fallbacks > 0) {
        let asked = if place.asked.is_empty() { &place.group } else { &place.asked };
        groups.entry(asked).or_default().add(counts);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(name, counts)| (std::cmp::Reverse(counts.fallbacks), *name));
    let mut text = head("Fallbacks", stretch);
    let (fell, well) = groups.iter().fold((0, 0), |(fell, well), (_, counts)| {
        (fell + counts.fallbacks, well + counts.fallbacks_succeeded)
    });
    text.push_str(&format!("\nRequests that fell back: {}, {} well", number(fell), number(well)));
    list(&mut text, groups.iter().take(LISTED), |(name, counts)| {
        let (fell, well) = (number(counts.fallbacks), number(counts.fallbacks_succeeded));
        format!("{}: {fell}, {well} well", code(name))
    });
    (fell > 0).then_some(text)
}

/// `None`: nothing was spent.
async fn spending<S: Backing>(stretch: &Stretch, store: &S) -> Result<Option<String>, StoreError> {
    let report = |by| Report { by: vec![by], ..Report::over(stretch.span()) };
    let teams = dearest(store.report(&report(Grouping::Team)).await?);
    let tags = dearest(store.report(&report(Grouping::Tag)).await?);
    if teams.0.is_empty() && tags.0.is_empty() {
        return Ok(None);
    }
    let mut text = head("Spend report", stretch);
    text.push_str(&format!("\nAll: {}", dollars(teams.1)));
    text.push_str("\n\n*By team*");
    let mut named = Vec::with_capacity(teams.0.len().min(LISTED));
    for (id, pico) in teams.0.iter().take(LISTED) {
        let team = match &**id {
            "" => None,
            id => fetch::<Team>(store as &dyn Directory, id).await?,
        };
        let name = team.and_then(|team| team.team_alias);
        named.push((name.unwrap_or_else(|| id.clone()), *pico));
    }
    list(&mut text, named.iter(), |(name, pico)| match &**name {
        "" => format!("without a team: {}", dollars(*pico)),
        name => format!("{}: {}", code(name), dollars(*pico)),
    });
    further(&mut text, &teams.0);
    text.push_str("\n\n*By tag*");
    list(&mut text, tags.0.iter().take(LISTED), |(name, pico)| {
        format!("{}: {}", code(name), dollars(*pico))
    });
    further(&mut text, &tags.0);
    Ok(Some(text))
}

/// Who spent something, the most first, and the sum of all.
fn dearest(lines: Vec<Line>) -> (Vec<(String, u64)>, u64) {
    let mut all: Vec<_> = lines
        .into_iter()
        .map(|line| (line.group.into_iter().next().unwrap_or_default(), line.columns.cost_pico))
        .filter(|(_, pico)| *pico > 0)
        .collect();
    all.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let sum = all.iter().map(|(_, pico)| pico).sum();
    (all, sum)
}

fn further(text: &mut String, all: &[(String, u64)]) {
    if let Some(rest) = all.get(LISTED..).filter(|rest| !rest.is_empty()) {
        let pico = rest.iter().map(|(_, pico)| pico).sum();
        text.push_str(&format!("\n{} others: {}", rest.len(), dollars(pico)));
    }
}

fn head(what: &str, stretch: &Stretch) -> String {
    let Stretch { from, to, .. } = stretch;
    let length = Duration::try_from(to.duration_since(*from)).unwrap_or_default();
    format!("*{what}* from `{from}` to `{to}` ({})", span(length))
}

fn list<T>(text: &mut String, all: impl Iterator<Item = T>, shown: impl Fn(T) -> String) {
    let mut is_empty = true;
    for (at, one) in all.enumerate() {
        text.push_str(&format!("\n{}. {}", at + 1, shown(one)));
        is_empty = false;
    }
    if is_empty {
        text.push_str("\nNone");
    }
}

#[cfg(test)]
#[path = "reports_tests.rs"]
mod tests;
