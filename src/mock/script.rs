//! Which reply a request gets.
//!
//! In this order: the request's own `x-mock-script` header, words in the model's name, the first
//! rule of the script that matches, the script's usual reply. The clock and randomness are not
//! used: latencies and chances come from the script's seed and the number of the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::asked::{Asked, Operation};
use super::directive;
use super::problem::Problem;
use super::record::Recorded;
use super::render::render;
use super::reply::{Reply, Says};
use super::steps::Performance;
use super::yaml;
use crate::dialect::Dialect;
use crate::wildcard::matches;

/// The header that carries directives for one request.
pub const SCRIPT_HEADER: &str = "x-mock-script";

/// Rules, and what holds for all replies. The default script echoes.
#[derive(Debug, Default)]
pub struct Script {
    pub(super) rules: Vec<Rule>,
    pub(super) pace: Pace,
    pub(super) seed: u64,
    /// If not empty, a request needs one of these keys.
    pub(super) keys: Vec<String>,
    pub(super) requests: AtomicU64,
}

/// Timing for every reply that does not say otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    pub(super) latency: Option<std::ops::RangeInclusive<Duration>>,
    pub(super) ttft: Option<Duration>,
    pub(super) tokens_per_second: Option<f64>,
}

/// Replies for the requests that match.
#[derive(Debug, Default)]
pub(super) struct Rule {
    pub(super) when: When,
    /// Given in turn; never empty.
    pub(super) replies: Vec<Reply>,
    pub(super) repeat: Repeat,
    /// Requests that matched all of `when` but its counts.
    pub(super) matched: AtomicU64,
    /// Replies given.
    pub(super) given: AtomicU64,
}

/// What follows after the last reply of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The last one again.
    #[default]
    Last,
    /// All from the first.
    Cycle,
    /// The rule is spent: later rules get their turn.
    Once,
}

/// Conditions; all of them must hold.
#[derive(Default)]
pub(super) struct When {
    pub(super) model: Option<Pattern>,
    pub(super) path: Option<Pattern>,
    pub(super) method: Option<Pattern>,
    pub(super) headers: Vec<(String, Pattern)>,
    pub(super) stream: Option<bool>,
    /// These requests only, counted from 1 among those that match the rest.
    pub(super) nth: Vec<u64>,
    pub(super) first: Option<u64>,
    pub(super) every: Option<u64>,
    pub(super) chance: Option<f64>,
    pub(super) holds: Option<Predicate>,
}

/// A test of a request, written as code.
pub(super) type Predicate = Arc<dyn Fn(&Recorded) -> bool + Send + Sync>;

impl std::fmt::Debug for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("When")
            .field("model", &self.model)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Text in which `*` stands for anything.
#[derive(Clone, Debug)]
pub(super) struct Pattern(String);

impl Pattern {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }
}

impl Script {
    /// A script that gives this reply to every request.
    #[must_use]
    pub fn always(reply: Reply) -> Self {
        Self::default().rule(When::default(), vec![reply], Repeat::Last)
    }

    /// Reads the YAML form.
    ///
    /// # Errors
    /// The first mistake, with its line and what is expected there.
    pub fn from_yaml(text: &str) -> Result<Self, yaml::BadScript> {
        yaml::read(text)
    }

    pub(super) fn rule(mut self, when: When, replies: Vec<Reply>, repeat: Repeat) -> Self {
        self.rules.push(Rule { when, replies, repeat, ..Rule::default() });
        self
    }

    /// True if the same request always gets the same reply.
    fn is_steady(&self) -> bool {
        self.keys.is_empty()
            && self.rules.iter().all(|rule| {
                let when = &rule.when;
                rule.replies.len() == 1
                    && rule.repeat != Repeat::Once
                    && when.headers.is_empty()
                    && when.nth.is_empty()
                    && when.first.is_none()
                    && when.every.is_none()
                    && when.chance.is_none()
                    && when.holds.is_none()
            })
    }

    /// The whole reply to one request, with all its timing.
    pub(super) fn perform(&self, request: &Recorded, usual: Dialect) -> Performance {
        let mut asked = Asked::read(request, usual);
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let lacks_key = !self.keys.is_empty()
            && !request.key().is_some_and(|it| self.keys.iter().any(|k| k == it));
        if lacks_key {
            asked.refused = Some(Problem::of_status(401));
        }
        let (reply, steady) = self.choose(&asked, request, number);
        // What was written word for word, or an error, is the answer to whatever is asked.
        let verbatim = matches!(reply.says, Says::Verbatim { .. } | Says::Frames(_));
        let unplayed = asked.operation == Operation::Unknown;
        if !lacks_key && (verbatim || unplayed && !matches!(reply.says, Says::Answer(_))) {
            asked.refused = None;
        }
        let mut conduct = reply.conduct.clone();
        conduct.latency = conduct.latency.or_else(|| self.pace.latency.clone());
        conduct.ttft = conduct.ttft.or(self.pace.ttft);
        conduct.tokens_per_second = conduct.tokens_per_second.or(self.pace.tokens_per_second);
        let rendered = render(&asked, &reply);
        let mut performance = Performance::new(&asked, rendered, conduct, self.roll(number, 1));
        performance.repeatable &= steady;
        performance
    }

    fn choose(&self, asked: &Asked, request: &Recorded, number: u64) -> (Reply, bool) {
        if let Some(text) = request.header(SCRIPT_HEADER) {
            let reply = directive::of_header(text).unwrap_or_else(|problem| {
                let message = format!("{SCRIPT_HEADER}: {problem}");
                Reply::failing(Problem::saying(400, message))
            });
            return (reply, false);
        }
        let named = directive::of_model(&asked.model);
        if let Some(Ok(reply)) = named {
            return (reply, true);
        }
        let roll = self.roll(number, 2);
        for rule in &self.rules {
            if rule.when.matches(asked, request)
                && let Some(reply) = rule.next(roll)
            {
                return (reply, self.is_steady());
            }
        }
        match named {
            // A model that looks like directives and is none is most likely a slip of the pen.
            Some(Err(problem)) => (Reply::failing(Problem::saying(404, problem)), false),
            _ => (Reply::default(), self.is_steady()),
        }
    }

    /// A number in `0.0..1.0`, the same for the same seed, request and purpose.
    fn roll(&self, number: u64, purpose: u64) -> f64 {
        let seed = self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ purpose;
        fastrand::Rng::with_seed(seed).f64()
    }
}

impl When {
    /// Everything but the counts.
    fn matches(&self, asked: &Asked, request: &Recorded) -> bool {
        let path = request.path.split('?').next().unwrap_or_default();
        self.model.as_ref().is_none_or(|it| it.matches(&asked.model))
            && self.method.as_ref().is_none_or(|it| it.matches(request.method.as_str()))
            && self.path.as_ref().is_none_or(|it| it.matches(path))
            && self.stream.is_none_or(|it| it == asked.stream)
            && self.headers.iter().all(|(name, pattern)| {
                request.header(name).is_some_and(|value| pattern.matches(value))
            })
            && self.holds.as_ref().is_none_or(|holds| holds(request))
    }

    /// Whether the `count`th request that matches is meant; the first is 1.
    fn counts(&self, count: u64) -> bool {
        (self.nth.is_empty() || self.nth.contains(&count))
            && self.first.is_none_or(|first| count <= first)
            && self.every.is_none_or(|every| count.is_multiple_of(every.max(1)))
    }
}

impl Rule {
    fn next(&self, roll: f64) -> Option<Reply> {
        let count = self.matched.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.when.counts(count) || self.when.chance.is_some_and(|chance| roll >= chance) {
            return None;
        }
        let turn = self.given.fetch_add(1, Ordering::Relaxed);
        let turn = usize::try_from(turn).unwrap_or(usize::MAX);
        let last = self.replies.len().checked_sub(1)?;
        let index = match self.repeat {
            Repeat::Last => turn.min(last),
            Repeat::Cycle => turn % self.replies.len(),
            Repeat::Once => turn,
        };
        self.replies.get(index).cloned()
    }
}
