//! What would become of a request now, deployment by deployment, without calling anyone.
//!
//! Nothing is decided here: the places are those that the choice itself gives when it is asked
//! again and again, each time without the ones that have a place. With the same seed, the first
//! place is the deployment that the request itself would get.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::out::Out;
use super::plan::{Ask, Plan, UnknownModel};
use super::settings::{Settings, Strategy};
use super::stats::State;
use crate::catalog::{Catalog, Deployment};
use crate::money::Usd;

/// What was asked for, and all groups that could serve it, in the order in which they would.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub model: String,
    /// What decided before routing was asked: rules and regions.
    pub decided: Vec<String>,
    pub groups: Vec<ExplainedGroup>,
}

/// One group: the one asked for, then those that would stand in for it.
#[derive(Clone, Debug)]
pub struct ExplainedGroup {
    pub name: Arc<str>,
    /// It is called only when those before it have failed.
    pub fallback: bool,
    pub strategy: Strategy,
    pub candidates: Vec<ExplainedCandidate>,
}

/// One deployment of a group.
#[derive(Clone, Debug)]
pub struct ExplainedCandidate {
    pub deployment: Arc<Deployment>,
    pub standing: Standing,
    /// Why it goes first or last, beside what the strategy says.
    pub notes: Vec<&'static str>,
    /// Part of the weights of its group, 0 to 1.
    pub share: f64,
    pub in_flight: u32,
    /// Within the last minute.
    pub requests: u64,
    pub tokens: u64,
    /// What the request would likely cost.
    pub cost: Option<Usd>,
    /// Expected: to the first content of a stream, else for each token.
    pub latency: Option<Duration>,
}

/// Whether a deployment would be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As the first, second, ... counted from 1.
    Place(usize),
    /// After the ones that have a place.
    Later,
    Out(Out),
}

impl fmt::Display for Standing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(1) => out.write_str("first"),
            Self::Place(2) => out.write_str("second"),
            Self::Place(3) => out.write_str("third"),
            Self::Place(place) => write!(out, "{place}th"),
            Self::Later => out.write_str("later"),
            Self::Out(reason) => write!(out, "out: it {reason}"),
        }
    }
}

/// Explains a request.
///
/// # Errors
/// Nothing has the name that is asked for.
pub fn explain(
    catalog: &Catalog,
    settings: &Settings,
    state: &State,
    ask: Ask<'_>,
    now: Instant,
) -> Result<Explanation, UnknownModel> {
    let model = ask.model.to_owned();
    let mut plan = Plan::new(catalog, settings, ask)?;
    let groups = plan.rehearse(catalog, settings, state, now);
    Ok(Explanation { model, decided: Vec::new(), groups })
}

impl Explanation {
    /// The deployment that goes first.
    #[must_use]
    pub fn first(&self) -> Option<&ExplainedCandidate> {
        let mut all = self.groups.iter().flat_map(|group| &group.candidates);
        all.find(|candidate| candidate.standing == Standing::Place(1))
    }
}

/// In one line of at most [`LINE_MAX`] bytes, for a header and for the log: the strategy, then each
/// deployment with its standing. Only ASCII, as ids may hold anything.
impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        for reason in &self.decided {
            line += &format!("{reason}; ");
        }
        for group in &self.groups {
            let kind = if group.fallback { "; fallback " } else { "" };
            line += &format!("{kind}{} by {}:", group.name, group.strategy.name());
            for candidate in &group.candidates {
                let standing = match candidate.standing {
                    Standing::Out(reason) => reason.code().to_owned(),
                    other => other.to_string(),
                };
                line += &format!(" {}={standing}", candidate.deployment.id);
                for note in &candidate.notes {
                    line += &format!("({note})");
                }
            }
        }
        let ascii = line.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
        let short: String = ascii.take(LINE_MAX).collect();
        out.write_str(&short)?;
        if line.chars().count() > LINE_MAX { out.write_str("...") } else { Ok(()) }
    }
}

/// How many places of a group are worked out; further ones are "later".
pub(super) const PLACES: usize = 8;

/// Longest line; proxies in front accept headers of a few kilobytes.
const LINE_MAX: usize = 1024;
