//! Who is told of what, as the configuration says.

use std::sync::Arc;
use std::time::Duration;

use super::kind::Kind;
use crate::secret::Secret;

/// Where alerts go, and when there are any. The defaults are LiteLLM's.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Gets budgets as JSON.
    pub webhook: Option<Secret>,
    /// Incoming webhooks of Slack by [`Kind`]; empty: Slack is not told of that kind.
    pub slack: [Arc<[Secret]>; Kind::ALL.len()],
    /// Every alert is a line of the program's log, too.
    pub log_to_console: bool,
    /// The kinds that somebody is told of.
    told: u16,
    /// A request that takes longer is slow, or hangs.
    pub threshold: Duration,
    /// How long a level of a budget without periods is not told again.
    pub budget_ttl: Duration,
    pub outages: Outages,
    pub region_outage_ttl: Duration,
    /// How often the sums of deployments are told.
    pub report_every: Duration,
    /// How often it is looked at whether a report is due.
    pub check_reports_every: Duration,
    /// How many days a report of spend is about.
    pub spend_days: u16,
    /// Ends every text (`PROXY_BASE_URL`): which gateway it was.
    pub proxy_url: Option<Box<str>>,
}

/// When a deployment is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outages {
    /// Errors that are older do not count.
    pub ttl: Duration,
    /// So many errors are a small outage.
    pub minor: usize,
    /// So many are a great one.
    pub major: usize,
    /// No more are remembered.
    pub list_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            webhook: None,
            slack: std::array::from_fn(|_| Arc::from([])),
            log_to_console: false,
            told: 0,
            threshold: Duration::from_secs(300),
            budget_ttl: Duration::from_secs(24 * 60 * 60),
            outages: Outages { ttl: Duration::from_secs(60), minor: 5, major: 10, list_max: 10 },
            region_outage_ttl: Duration::from_secs(60),
            report_every: Duration::from_secs(12 * 60 * 60),
            check_reports_every: Duration::from_secs(5 * 60),
            spend_days: 7,
            proxy_url: None,
        }
    }
}

impl Settings {
    /// Has a kind told to these, and to the log if that is wanted.
    pub fn tell(&mut self, kind: Kind, slack: Arc<[Secret]>) {
        let webhook = kind == Kind::Budgets && self.webhook.is_some();
        if !slack.is_empty() || self.log_to_console || webhook {
            self.told |= 1 << kind.index();
        }
        self.slack[kind.index()] = slack;
    }

    /// Whether somebody is told of a kind.
    #[must_use]
    pub const fn tells(&self, kind: Kind) -> bool {
        self.told & (1 << kind.index()) != 0
    }

    /// Whether nobody is told of anything.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.told == 0
    }
}
