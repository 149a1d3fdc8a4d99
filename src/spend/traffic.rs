//! Traffic summed up by steps of time and by where it went: what overviews are made of.
//!
//! A store adds each request to a few sums when it adds the row; whoever looks later reads sums only.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::SpendEvent;
use super::histogram::Histogram;
use super::ledger::Span;

/// The route of copies of requests (`silent_model`): their attempts and costs are real, but no client
/// waits for them.
pub const SHADOW: &str = "shadow";
/// The route of calls by which the cache learns what a question means: the same is true of them.
pub const LOOKUP: &str = "cache-embedding";

/// How long one sum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Quarter,
    Hour,
    /// Of UTC.
    Day,
}

impl Step {
    pub const ALL: [Self; 3] = [Self::Quarter, Self::Hour, Self::Day];

    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Quarter => 900,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    #[must_use]
    pub const fn us(self) -> i64 {
        self.seconds() * 1_000_000
    }

    /// The number of the step that a moment (microseconds since 1970) is in.
    #[must_use]
    pub const fn slot(self, at_us: i64) -> i64 {
        at_us.div_euclid(self.us())
    }

    /// How long its sums are kept, in microseconds; `None`: for good. Overviews of older spans have longer
    /// steps.
    #[must_use]
    pub const fn kept_us(self) -> Option<i64> {
        match self {
            Self::Quarter => Some(3 * Self::Day.us()),
            Self::Hour => Some(62 * Self::Day.us()),
            Self::Day => None,
        }
    }

    /// A span, made longer until it begins and ends with a step.
    #[must_use]
    pub const fn widen(self, span: Span) -> Span {
        let last = if span.to_us > span.from_us { span.to_us - 1 } else { span.from_us };
        Span {
            from_us: self.slot(span.from_us) * self.us(),
            to_us: (self.slot(last) + 1) * self.us(),
        }
    }
}

/// Where traffic went. What is not known is the empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The group that was asked for, if another one served.
    pub asked: Arc<str>,
    pub group: Arc<str>,
    pub provider: Arc<str>,
    pub deployment: Arc<str>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub requests: u64,
    pub failures: u64,
    pub timeouts: u64,
    pub cache_hits: u64,
    pub retries: u64,
    /// Requests for which a fallback was tried.
    pub fallbacks: u64,
    /// Those of them that succeeded.
    pub fallbacks_succeeded: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    pub reasoning_tokens: u64,
    pub cost_pico: u64,
    /// The part of the cost that is of requests with tokens.
    pub token_cost_pico: u64,
    /// What replies from the cache cost when they were made.
    pub saved_pico: u64,
    /// Tries, also those that another one made good.
    pub attempts: u64,
    /// Those that failed by the provider's fault.
    pub attempt_failures: u64,
    pub attempt_timeouts: u64,
}

impl Counts {
    /// The names of the counts, in the order of [`Self::numbers`].
    pub const NAMES: [&'static str; 18] = [
        "requests",
        "failures",
        "timeouts",
        "cache_hits",
        "retries",
        "fallbacks",
        "fallbacks_succeeded",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cost_pico",
        "token_cost_pico",
        "saved_pico",
        "attempts",
        "attempt_failures",
        "attempt_timeouts",
    ];

    #[must_use]
    pub const fn numbers(&self) -> [u64; 18] {
        [
            self.requests,
            self.failures,
            self.timeouts,
            self.cache_hits,
            self.retries,
            self.fallbacks,
            self.fallbacks_succeeded,
            self.input_tokens,
            self.output_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
            self.cost_pico,
            self.token_cost_pico,
            self.saved_pico,
            self.attempts,
            self.attempt_failures,
            self.attempt_timeouts,
        ]
    }

    /// From numbers in that order.
    #[must_use]
    pub const fn of(numbers: [u64; 18]) -> Self {
        let [
            requests,
            failures,
            timeouts,
            cache_hits,
            retries,
            fallbacks,
            fallbacks_succeeded,
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            reasoning_tokens,
            cost_pico,
            token_cost_pico,
            saved_pico,
            attempts,
            attempt_failures,
            attempt_timeouts,
        ] = numbers;
        Self {
            requests,
            failures,
            timeouts,
            cache_hits,
            retries,
            fallbacks,
            fallbacks_succeeded,
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            reasoning_tokens,
            cost_pico,
            token_cost_pico,
            saved_pico,
            attempts,
            attempt_failures,
            attempt_timeouts,
        }
    }

    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        let mut numbers = self.numbers();
        numbers.iter_mut().zip(more.numbers()).for_each(|(into, more)| *into += more);
        *self = Self::of(numbers);
    }

    /// Adds a request, without its attempts.
    pub fn add_request(&mut self, event: &SpendEvent) {
        let usage = &event.usage;
        if !event.is_own() {
            let failed = event.has_failed();
            let fell_back = event.fallbacks > 0;
            self.requests += 1;
            self.failures += u64::from(failed);
            self.timeouts += u64::from(event.has_timed_out());
            self.cache_hits += u64::from(event.cache_hit);
            self.retries += u64::from(event.retries);
            self.fallbacks += u64::from(fell_back);
            self.fallbacks_succeeded += u64::from(fell_back && !failed);
        }
        self.input_tokens += usage.input_tokens;
        self.output_tokens += usage.output_tokens;
        self.cache_read_tokens += usage.cache_read_tokens;
        self.cache_write_tokens += usage.cache_write_tokens;
        self.reasoning_tokens += usage.reasoning_tokens;
        self.cost_pico += event.cost_pico;
        self.saved_pico += event.saved_pico;
        if usage.total_tokens() > 0 {
            self.token_cost_pico += event.cost_pico;
        }
    }

    fn add_attempt(&mut self, outcome: &str) {
        self.attempts += 1;
        self.attempt_failures += u64::from(is_the_providers_fault(outcome));
        self.attempt_timeouts += u64::from(outcome == "timeout");
    }
}

/// One try on one deployment, as it is kept with its request. Written briefly: there is one with each
/// request that something went wrong with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tried {
    #[serde(rename = "d")]
    pub deployment: Arc<str>,
    #[serde(rename = "g")]
    pub group: Arc<str>,
    #[serde(rename = "p")]
    pub provider: Arc<str>,
    /// From the beginning of the request.
    #[serde(rename = "at")]
    pub start_us: i64,
    #[serde(rename = "us")]
    pub duration_us: i64,
    /// `success`, `cancelled`, or a class of failure.
    #[serde(rename = "o")]
    pub outcome: Arc<str>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(rename = "c", skip_serializing_if = "std::ops::Not::not")]
    pub cooled_down: bool,
}

/// Whether an attempt that ended so says something of its provider; what a request is refused for does
/// not.
#[must_use]
pub fn is_the_providers_fault(outcome: &str) -> bool {
    matches!(
        outcome,
        "auth" | "quota" | "rate_limited" | "overloaded" | "timeout" | "connection" | "server"
    )
}

/// Adds a request to the sums of the places that it came by, itself and its attempts.
pub fn count(event: &SpendEvent, mut add: impl FnMut(Place, Counts)) {
    let text = |text: &Option<Arc<str>>| text.clone().unwrap_or_default();
    let asked = event.asked.clone().unwrap_or_else(|| text(&event.group));
    let place = |group: &Arc<str>, provider: &Arc<str>, deployment: &Arc<str>| Place {
        asked: if asked == *group { Arc::default() } else { Arc::clone(&asked) },
        group: Arc::clone(group),
        provider: Arc::clone(provider),
        deployment: Arc::clone(deployment),
    };
    for tried in &event.attempts {
        let mut counts = Counts::default();
        counts.add_attempt(&tried.outcome);
        add(place(&tried.group, &tried.provider, &tried.deployment), counts);
    }
    let place = place(&text(&event.group), &text(&event.provider), &text(&event.deployment));
    let mut counts = Counts::default();
    counts.add_request(event);
    // A single attempt that succeeded is not written down by itself.
    if event.attempts.is_empty() && !place.deployment.is_empty() && !event.cache_hit {
        let is_fault = event.has_failed() && event.is_own();
        counts.add_attempt(if is_fault { "server" } else { "success" });
    }
    add(place, counts);
}

/// Which duration of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// The whole of it.
    Latency,
    FirstToken,
}

impl Measure {
    pub const ALL: [Self; 2] = [Self::Latency, Self::FirstToken];

    /// As stores write it.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Latency => 0,
            Self::FirstToken => 1,
        }
    }

    /// How long it was, in microseconds. Of requests that did not succeed, and of replies that no provider
    /// made, it says nothing.
    #[must_use]
    pub fn of(self, event: &SpendEvent) -> Option<u64> {
        if event.has_failed() || event.client_gone || event.cache_hit || event.is_own() {
            return None;
        }
        match self {
            Self::Latency => Some(event.duration_us.max(0).unsigned_abs()),
            Self::FirstToken => event.first_token_us.map(|us| us.max(0).unsigned_abs()),
        }
    }
}

/// Which traffic to sum up. Every field that is set must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficQuery {
    /// Of whole steps.
    pub span: Span,
    pub step: Step,
    /// The step of durations over time: of longer ones there are fewer to read.
    pub times: Step,
    /// The step of durations by place. There are many of them, so the longest that fits the span.
    pub times_of_places: Step,
    /// Only the sums by place: no series and no classes of errors.
    pub brief: bool,
    pub group: Option<String>,
    pub provider: Option<String>,
    pub deployment: Option<String>,
}

/// Latency and time to the first token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub latency: Histogram,
    pub first_token: Histogram,
}

impl Times {
    pub fn of(&mut self, measure: Measure) -> &mut Histogram {
        match measure {
            Measure::Latency => &mut self.latency,
            Measure::FirstToken => &mut self.first_token,
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.first_token.merge(&other.first_token);
    }
}

/// How the attempts of a step went on one deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The beginning of the step, in microseconds since 1970.
    pub at_us: i64,
    pub provider: Arc<str>,
    pub deployment: Arc<str>,
    pub attempts: u64,
    /// Those that failed by the provider's fault.
    pub failures: u64,
}

/// Sums of traffic. Moments are the beginnings of steps, in microseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub by_time: Vec<(i64, Counts)>,
    pub by_place: Vec<(Place, Counts)>,
    /// In the order of time.
    pub attempts: Vec<Tally>,
    /// In steps of [`TrafficQuery::times`].
    pub times_by_time: Vec<(i64, Times)>,
    pub times_by_place: Vec<(Place, Times)>,
    /// Failed requests by the class of their error, most frequent first.
    pub errors: Vec<(Arc<str>, u64)>,
}

/// What the sums of payers are by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayerGrouping {
    /// The beginning of the hour, in microseconds since 1970.
    Hour,
    Key,
    User,
    Team,
    Model,
    Provider,
}

/// Sums of the hours of a span by who paid. Every field that is set must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayersQuery {
    /// Of whole hours, not longer ago than [`PAYERS_KEPT_US`].
    pub span: Span,
    pub by: PayerGrouping,
    pub key: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    pub group: Option<String>,
    pub provider: Option<String>,
    /// At most so many, those that cost most; zero for all.
    pub most: u64,
}

/// How long sums of hours by who paid are kept: of older ones there are those of days.
pub const PAYERS_KEPT_US: i64 = 16 * Step::Day.us();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Usage;

    fn counted(event: &SpendEvent) -> Vec<(String, Counts)> {
        let mut all = Vec::new();
        count(event, |place, counts| {
            let name =
                format!("{}>{}/{}/{}", place.asked, place.group, place.provider, place.deployment);
            all.push((name, counts));
        });
        all
    }

    fn event() -> SpendEvent {
        SpendEvent {
            route: "/v1/chat/completions".into(),
            group: Some("gpt".into()),
            provider: Some("openai".into()),
            deployment: Some("a".into()),
            status: 200,
            usage: Usage { input_tokens: 10, output_tokens: 2, ..Usage::default() },
            cost_pico: 7,
            duration_us: 1500,
            ..SpendEvent::default()
        }
    }

    #[test]
    fn a_request_that_one_attempt_answered_is_one_of_each() {
        let all = counted(&event());
        let expected = Counts {
            requests: 1,
            attempts: 1,
            input_tokens: 10,
            output_tokens: 2,
            cost_pico: 7,
            token_cost_pico: 7,
            ..Counts::default()
        };
        assert_eq!(all, [(">gpt/openai/a".to_owned(), expected)]);
        let hit = SpendEvent { cache_hit: true, cost_pico: 0, saved_pico: 7, ..event() };
        assert_eq!(Measure::Latency.of(&hit), None, "no provider took that long");
        let (_, hit) = counted(&hit)[0];
        assert_eq!((hit.cache_hits, hit.attempts, hit.saved_pico), (1, 0, 7));
    }

    #[test]
    fn attempts_are_counted_where_they_were_made() {
        let tried = |deployment: &str, group: &str, outcome: &str| Tried {
            deployment: deployment.into(),
            group: group.into(),
            provider: "p".into(),
            outcome: outcome.into(),
            ..Tried::default()
        };
        let event = SpendEvent {
            asked: Some("gpt".into()),
            group: Some("backup".into()),
            deployment: Some("c".into()),
            fallbacks: 1,
            retries: 1,
            attempts: vec![
                tried("a", "gpt", "timeout"),
                tried("b", "gpt", "bad_request"),
                tried("c", "backup", "success"),
            ],
            ..event()
        };
        let all = counted(&event);
        let brief: Vec<_> = all
            .iter()
            .map(|(name, it)| {
                (&**name, it.requests, it.attempts, it.attempt_failures, it.attempt_timeouts)
            })
            .collect();
        let expected = [
            (">gpt/p/a", 0, 1, 1, 1),
            (">gpt/p/b", 0, 1, 0, 0),
            ("gpt>backup/p/c", 0, 1, 0, 0),
            ("gpt>backup/openai/c", 1, 0, 0, 0),
        ];
        assert_eq!(brief, expected);
        assert_eq!((all[3].1.fallbacks, all[3].1.fallbacks_succeeded), (1, 1));
    }

    #[test]
    fn a_copy_is_no_request_but_costs() {
        let (_, copy) = counted(&SpendEvent { route: SHADOW.into(), ..event() })[0];
        assert_eq!((copy.requests, copy.attempts, copy.cost_pico), (0, 1, 7));
        let (_, lookup) = counted(&SpendEvent { route: LOOKUP.into(), ..event() })[0];
        assert_eq!((lookup.requests, lookup.attempts, lookup.cost_pico), (0, 1, 7));
        let failed = SpendEvent { route: SHADOW.into(), status: 500, ..event() };
        assert_eq!(counted(&failed)[0].1.attempt_failures, 1);
        assert_eq!(Measure::Latency.of(&failed), None);
    }

    #[test]
    fn durations_are_those_of_successes() {
        assert_eq!(Measure::Latency.of(&event()), Some(1500));
        assert_eq!(Measure::FirstToken.of(&event()), None);
        let streamed = SpendEvent { first_token_us: Some(300), ..event() };
        assert_eq!(Measure::FirstToken.of(&streamed), Some(300));
        let failed = SpendEvent { status: 504, error: Some("timeout".into()), ..event() };
        assert_eq!(Measure::Latency.of(&failed), None);
        assert!(failed.has_timed_out());
    }

    #[test]
    fn spans_are_widened_to_whole_steps() {
        let span = |from_us, to_us| Span { from_us, to_us };
        let hour = Step::Hour.us();
        assert_eq!(Step::Hour.widen(span(1, hour)), span(0, hour));
        assert_eq!(Step::Hour.widen(span(hour, hour + 1)), span(hour, 2 * hour));
        assert_eq!(Step::Hour.widen(span(hour, hour)), span(hour, 2 * hour));
        assert_eq!(Counts::of(Counts::default().numbers()), Counts::default());
    }

    #[test]
    fn an_attempt_is_written_briefly() {
        let tried = Tried {
            deployment: "d".into(),
            outcome: "server".into(),
            status: Some(500),
            ..Tried::default()
        };
        let written = serde_json::to_string(&tried).unwrap();
        assert_eq!(written, r#"{"d":"d","g":"","p":"","at":0,"us":0,"o":"server","s":500}"#);
        assert_eq!(serde_json::from_str::<Tried>(&written).unwrap(), tried);
    }
}
