//! Tells people what goes wrong and what it costs: by Slack, and of budgets by a webhook too.
//!
//! ```text
//! kind.rs        what may be told of
//! settings.rs    who is told of what
//! budgets.rs     budgets that are nearly used up
//! incidents.rs   what goes wrong with requests, deployments and stores
//!  |- news.rs       what requests have to tell
//!  |- grouping.rs   what happens again within a minute is one message with a count
//!  |- outage.rs     when a deployment or a region is out
//!  '- under_way.rs  requests that have no answer yet
//! reports.rs     what is told regularly; schedule.rs says when
//! delivery.rs    brings letters to where they go; text.rs writes for Slack
//! ```
//!
//! Requests only put a word into a bounded queue; what does not fit is not told and counted. Knows nothing
//! of HTTP requests.

mod budgets;
mod delivery;
mod grouping;
mod incidents;
pub mod kind;
mod news;
mod outage;
mod reports;
mod schedule;
mod settings;
mod text;
mod under_way;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use tokio::sync::mpsc;

pub use self::delivery::{Fate, Way};
use self::delivery::{Parcel, Post};
pub use self::kind::Kind;
pub use self::news::{Failed, News, Rests, Slow};
pub use self::settings::{Outages, Settings};
use self::under_way::UnderWay;
pub use self::under_way::Watched;
use crate::admission::{Crossed, Notices, Watch};
use crate::catalog::Deployment;
use crate::keys::Directory;
use crate::spend::Ledger;

/// Words that wait to be told.
const QUEUE_MAX: usize = 1_000;
/// To hear from the database whether another gateway has told something, or whose budget it is.
const NOTE_MAX: Duration = Duration::from_secs(2);

/// What alerts ask of the gateway around them.
pub trait Scene: Send + Sync {
    /// As the configuration in force says.
    fn settings(&self) -> Arc<Settings>;
    /// How long a deployment still rests.
    fn rest(&self, deployment: &str) -> Option<Duration>;
    fn deployment(&self, id: &str) -> Option<Arc<Deployment>>;
    fn stores(&self) -> Stores;
    /// Whose days the reports follow.
    fn zone(&self) -> TimeZone;
}

/// How the stores are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stores {
    pub database_is_away: bool,
    pub redis_is_away: bool,
    /// Records of spending that were lost or refused since the start.
    pub untracked: u64,
    /// The disk takes no record of spending.
    pub is_blocked: bool,
}

/// The database, as far as alerts need it.
pub trait Backing: Notices + Ledger + Directory {}

impl<S: Notices + Ledger + Directory> Backing for S {}

/// Where words are given in.
#[derive(Debug)]
pub struct Alerts {
    crossings: mpsc::Sender<Crossed>,
    news: mpsc::Sender<News>,
    post: Post,
    under_way: Arc<UnderWay>,
}

/// The other end of the queues.
#[derive(Debug)]
pub struct Outbox(Mutex<Option<Queues>>);

#[derive(Debug)]
struct Queues {
    crossings: mpsc::Receiver<Crossed>,
    news: mpsc::Receiver<News>,
    parcels: mpsc::Receiver<Parcel>,
}

impl Alerts {
    /// The two ends.
    #[must_use]
    pub fn new() -> (Arc<Self>, Outbox) {
        let (crossings, crossings_end) = mpsc::channel(QUEUE_MAX);
        let (news, news_end) = mpsc::channel(QUEUE_MAX);
        let (post, parcels) = Post::new();
        let queues = Queues { crossings: crossings_end, news: news_end, parcels };
        let alerts = Self { crossings, news, post, under_way: Arc::default() };
        (Arc::new(alerts), Outbox(Mutex::new(Some(queues))))
    }

    /// Tells what a request has to tell, soon. Never waits.
    pub fn hear(&self, news: News) {
        let kind = news.kind();
        if self.news.try_send(news).is_err() {
            self.post.counts.add(kind, Fate::Dropped);
        }
    }

    /// Watches a request that has no answer yet, until what is returned is dropped. `None`: too many are
    /// watched.
    #[must_use]
    pub fn watch(&self, group: Arc<str>, request_id: Arc<str>, since: Instant) -> Option<Watched> {
        self.under_way.watch(group, request_id, since)
    }

    /// Has everybody told of something that did not happen who gets alerts this way. `None`: nobody does.
    ///
    /// # Errors
    /// Why one of them has not taken it.
    pub async fn try_out(
        &self,
        way: Way,
        settings: &Settings,
    ) -> Option<Result<Vec<Kind>, String>> {
        delivery::try_out(way, settings, Timestamp::now()).await
    }

    /// How many alerts of a kind had a fate.
    #[must_use]
    pub fn count(&self, kind: Kind, fate: Fate) -> u64 {
        self.post.counts.of(kind, fate)
    }

    /// Alerts that are on their way.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.post.waiting()
    }

    /// Tells what comes, for ever.
    pub async fn run<S: Backing>(&self, outbox: &Outbox, scene: &dyn Scene, store: &S) {
        let Some(queues) = outbox.0.lock().take() else { return };
        let Queues { crossings, news, parcels } = queues;
        tokio::join!(
            budgets::run(crossings, &self.post, scene, store),
            incidents::run(news, (&self.post, &self.under_way), scene, store),
            reports::run(&self.post, scene, store),
            self.post.deliver(parcels),
        );
    }
}

impl Watch for Alerts {
    fn crossed(&self, crossed: Crossed) {
        if self.crossings.try_send(crossed).is_err() {
            self.post.counts.add(Kind::Budgets, Fate::Dropped);
        }
    }
}
