//! One request for all that ask the same at the same time: the first leads, the others wait for what
//! becomes of it.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::watch;

/// What became of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Its reply is kept.
    Kept,
    /// It has a reply that nobody else may have: those who waited go on by themselves.
    Unkept,
    /// It failed, or its client left: another one leads.
    Failed,
}

/// Where those who wait hear of each leader, by name.
type Open = Arc<Mutex<FxHashMap<Arc<str>, watch::Sender<Option<Landing>>>>>;

/// All that are under way, by name.
#[derive(Debug, Default)]
pub struct Flights {
    open: Open,
}

/// Who goes to a provider, and who waits.
#[derive(Debug)]
pub enum Joined {
    Leads(Lead),
    Follows(Follow),
}

/// The leader's part. Dropped without a word it has failed.
#[derive(Debug)]
pub struct Lead {
    name: Arc<str>,
    open: Open,
    landing: Landing,
}

/// The part of somebody who waits.
#[derive(Debug)]
pub struct Follow(watch::Receiver<Option<Landing>>);

impl Flights {
    /// The first one of a name leads.
    #[must_use]
    pub fn join(&self, name: &str) -> Joined {
        let mut open = self.open.lock();
        if let Some(leader) = open.get(name) {
            return Joined::Follows(Follow(leader.subscribe()));
        }
        let name: Arc<str> = name.into();
        open.insert(Arc::clone(&name), watch::Sender::new(None));
        drop(open);
        Joined::Leads(Lead { name, open: Arc::clone(&self.open), landing: Landing::Failed })
    }

    /// How many are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Lead {
    /// Tells those who wait.
    pub fn land(mut self, landing: Landing) {
        self.landing = landing;
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // First out of the list: whoever comes now must not wait for somebody who is done.
        let told = self.open.lock().remove(&self.name);
        if let Some(told) = told {
            told.send_replace(Some(self.landing));
        }
    }
}

impl Follow {
    /// Waits for what becomes of the leader; the caller bounds it.
    pub async fn landing(&mut self) -> Landing {
        match self.0.wait_for(Option::is_some).await {
            Ok(told) => told.unwrap_or(Landing::Failed),
            Err(_gone) => Landing::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn leads(joined: Joined) -> Lead {
        match joined {
            Joined::Leads(lead) => lead,
            Joined::Follows(_) => panic!("somebody else leads"),
        }
    }

    fn follows(joined: Joined) -> Follow {
        match joined {
            Joined::Follows(follow) => follow,
            Joined::Leads(_) => panic!("nobody leads"),
        }
    }

    #[test]
    fn one_leads_and_all_others_hear_of_it() {
        let flights = Flights::default();
        let lead = leads(flights.join("a"));
        let mut waiting = [follows(flights.join("a")), follows(flights.join("a"))];
        assert!(matches!(flights.join("b"), Joined::Leads(_)));
        for follow in &mut waiting {
            assert_eq!(follow.landing().now_or_never(), None);
        }
        lead.land(Landing::Kept);
        for follow in &mut waiting {
            assert_eq!(follow.landing().now_or_never(), Some(Landing::Kept));
        }
        assert!(flights.is_empty());
    }

    #[test]
    fn after_a_leader_that_is_gone_the_next_one_leads() {
        let flights = Flights::default();
        let lead = leads(flights.join("a"));
        let mut one = follows(flights.join("a"));
        let mut other = follows(flights.join("a"));
        drop(lead);
        assert_eq!(one.landing().now_or_never(), Some(Landing::Failed));
        let lead = leads(flights.join("a"));
        // Who hears of it late waits for the new one.
        assert_eq!(other.landing().now_or_never(), Some(Landing::Failed));
        let mut other = follows(flights.join("a"));
        lead.land(Landing::Unkept);
        assert_eq!(other.landing().now_or_never(), Some(Landing::Unkept));
        assert_eq!(flights.len(), 0);
    }
}
