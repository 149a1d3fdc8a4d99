//! What alerts ask of the gateway around them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::Background;
use crate::admission::Counters as _;
use crate::alerts::{Scene, Settings, Stores};
use crate::books::{Count, Link};
use crate::catalog::Deployment;
use crate::routing::Health;

impl Scene for Background {
    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.reload.snapshot.load().alerts)
    }

    fn rest(&self, deployment: &str) -> Option<Duration> {
        match self.reload.routing.view(deployment, Instant::now())?.health {
            Health::Cooling { remaining } => Some(remaining),
            Health::HalfOpen | Health::Healthy => None,
        }
    }

    fn deployment(&self, id: &str) -> Option<Arc<Deployment>> {
        let snapshot = self.reload.snapshot.load();
        snapshot.catalog.deployments().iter().find(|it| &*it.id == id).cloned()
    }

    fn stores(&self) -> Stores {
        let lost = [Count::Lost, Count::Refused].map(|count| self.books.count(count));
        Stores {
            database_is_away: self.books.link() == Link::Down,
            redis_is_away: self.redis.as_ref().is_some_and(|redis| !redis.is_well()),
            untracked: lost.into_iter().sum(),
            is_blocked: self.books.is_blocked(),
        }
    }

    fn zone(&self) -> TimeZone {
        self.reload.snapshot.load().admission.zone.clone()
    }
}
