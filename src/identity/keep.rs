//! Keeps credentials: fetches them when they are first asked for, and again before they end.
//!
//! One task of the background service for each identity, so that two fetches of one credential
//! never run at once.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::fresh::Fresh;
use super::http::Client;
use super::{Identities, aws, entra, google, left};
use crate::catalog::{Identity, Source};
use crate::patience::within;

/// The longest time that one fetch takes. Chains with several places to look need some.
const FETCH: Duration = Duration::from_secs(20);

/// Rests after failures: the first, and what doubling leads to.
const REST: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(30);

/// A credential that a provider refused is not replaced if it is younger.
const YOUNG: Duration = Duration::from_secs(30);

/// The credential of one identity.
pub(super) struct Held {
    identity: Arc<Identity>,
    state: watch::Sender<State>,
    is_kept: AtomicBool,
    asked: Notify,
    doubted: Notify,
    retired: Notify,
}

/// What is known. Neither: it has to be fetched.
#[derive(Clone, Default)]
struct State {
    credential: Option<Arc<Fresh>>,
    /// Why the last fetch failed, while the next one rests.
    problem: Option<Arc<str>>,
}

impl State {
    fn valid(&self) -> Option<&Arc<Fresh>> {
        self.credential.as_ref().filter(|fresh| fresh.is_valid(Instant::now()))
    }
}

impl Held {
    pub(super) fn new(identity: &Arc<Identity>) -> Self {
        Self {
            identity: Arc::clone(identity),
            state: watch::Sender::new(State::default()),
            is_kept: AtomicBool::new(false),
            asked: Notify::new(),
            doubted: Notify::new(),
            retired: Notify::new(),
        }
    }

    /// The credential; waits for it if there is none and one is to be had.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn credential(&self, patience: Duration) -> Result<Arc<Fresh>, Arc<str>> {
        if let Some(fresh) = self.state.borrow().valid() {
            return Ok(Arc::clone(fresh));
        }
        let mut changes = self.state.subscribe();
        let until = Instant::now() + patience;
        loop {
            let state = changes.borrow_and_update().clone();
            if let Some(fresh) = state.valid() {
                return Ok(Arc::clone(fresh));
            }
            if let Some(problem) = state.problem {
                return Err(problem);
            }
            self.asked.notify_one();
            let changed = within(left(until), pin!(changes.changed())).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Err("it did not come in time".into());
            }
        }
    }

    pub(super) fn doubt(&self) {
        self.doubted.notify_one();
    }

    pub(super) fn retire(&self) {
        self.retired.notify_one();
    }

    /// Until the identity is retired.
    async fn keep(self: Arc<Self>, client: Client) {
        tokio::select! {
            () = self.renew(client) => {}
            () = self.retired.notified() => {}
        }
    }

    async fn renew(&self, client: Client) {
        let mut source = Fetching::of(&self.identity.source);
        let mut rest = REST;
        loop {
            let fetched = timeout(FETCH, source.fetch(&client)).await;
            let fetched = fetched.unwrap_or_else(|_elapsed| {
                Err(format!("it did not come within {} seconds", FETCH.as_secs()))
            });
            match fetched {
                Ok(fresh) => {
                    rest = REST;
                    let renewed_in = fresh.renewed_in(Instant::now());
                    tracing::debug!(cloud = self.identity.cloud(), ?renewed_in, "has a credential");
                    let credential = Some(Arc::new(fresh));
                    let before = self.state.send_replace(State { credential, problem: None });
                    if before.problem.is_some() {
                        tracing::info!(cloud = self.identity.cloud(), "has a credential again");
                    }
                    self.while_good(renewed_in).await;
                }
                Err(problem) => {
                    tracing::warn!(cloud = self.identity.cloud(), problem, "has no new credential");
                    self.state.send_modify(|state| state.problem = Some(problem.into()));
                    sleep(rest).await;
                    rest = (rest * 2).min(REST_MAX);
                    let is_valid = self.state.borrow().valid().is_some();
                    if !is_valid {
                        // Who asks from now on waits for the next fetch; without them there is none.
                        self.state.send_replace(State::default());
                        self.asked.notified().await;
                    }
                }
            }
        }
    }

    /// Until the credential should be replaced: its end is near, or a provider refuses it.
    async fn while_good(&self, renewed_in: Option<Duration>) {
        let old = async {
            match renewed_in {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let began = Instant::now();
        let doubted = async {
            self.doubted.notified().await;
            sleep(left(began + YOUNG)).await;
        };
        tokio::select! {
            () = old => {}
            () = doubted => {}
        }
    }
}

/// Keeps all credentials, those that come later too.
pub(super) async fn all(identities: &Identities) {
    let mut client: Option<Client> = None;
    let mut kept = FuturesUnordered::new();
    loop {
        let fresh: Vec<Arc<Held>> = {
            let all = identities.held.read();
            let new = all.values().filter(|held| !held.is_kept.swap(true, Ordering::AcqRel));
            new.cloned().collect()
        };
        for held in fresh {
            // Made when it is needed: it reads the system's authorities.
            let client = client.get_or_insert_with(Client::new).clone();
            kept.push(held.keep(client));
        }
        tokio::select! {
            () = identities.news.notified() => {}
            Some(()) = kept.next() => {}
        }
    }
}

/// A source with what it remembers from one fetch to the next.
enum Fetching<'a> {
    Aws(&'a crate::catalog::Aws),
    Google(Box<google::Fetching<'a>>),
    Entra(&'a crate::catalog::Entra),
}

impl<'a> Fetching<'a> {
    fn of(source: &'a Source) -> Self {
        match source {
            Source::Aws(aws) => Self::Aws(aws),
            Source::Google(google) => Self::Google(Box::new(google::Fetching::of(google))),
            Source::Entra(entra) => Self::Entra(entra),
        }
    }

    async fn fetch(&mut self, client: &Client) -> Result<Fresh, String> {
        match self {
            Self::Aws(aws) => aws::fetch(aws, client).await,
            Self::Google(google) => google.fetch(client).await,
            Self::Entra(entra) => entra::fetch(entra, client).await,
        }
    }
}
