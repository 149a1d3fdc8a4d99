//! Credentials of clouds: one for each identity, kept fresh beside the requests.
//!
//! A request asks for headers ([`Identities::authorise`]) just before it is sent. It waits only
//! where there is no credential yet; then all who ask wait for one and the same fetch. Fetching is
//! the background service's ([`Identities::keep`]): requests are served by several runtimes, and
//! what is fetched belongs to none of them. A credential outlives reloads as long as a deployment
//! has its identity. Knows no deployment and no body's format.

mod aws;
mod entra;
mod fresh;
mod google;
mod http;
mod keep;
mod oauth;
mod sign;
mod skew;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ::http::{HeaderName, HeaderValue, header};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use self::fresh::Credential;
use self::keep::Held;
pub use self::sign::Unsigned;
use self::skew::Skew;
use crate::catalog::{Authorisation, Catalog, Identity, Scheme};
use crate::failure::{Failure, FailureClass};

/// How long a request waits for a credential that is being fetched.
const WAIT: Duration = Duration::from_secs(30);

/// The credentials of this process.
#[derive(Default)]
pub struct Identities {
    /// By [`Identity::digest`].
    held: RwLock<FxHashMap<[u8; 32], Arc<Held>>>,
    /// There is one that is not kept yet.
    news: Notify,
    /// What AWS's clock says beside this machine's.
    skew: Skew,
}

impl Identities {
    /// Headers for one request to a deployment, to be sent as they are.
    ///
    /// # Errors
    /// [`FailureClass::Auth`] with [`Failure::NO_CREDENTIAL`]: there is no credential.
    pub async fn authorise(
        &self,
        how: &Authorisation,
        request: &Unsigned<'_>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
        let held = self.held(&how.identity);
        let fresh = held.credential(WAIT).await.map_err(|problem| {
            let message = format!("no credential of {}: {problem}", how.identity.cloud());
            let mut failure = Failure::new(FailureClass::Auth, message);
            failure.code = Some(Failure::NO_CREDENTIAL.into());
            failure
        })?;
        match (&fresh.credential, &how.scheme) {
            (Credential::Bearer(value), Scheme::Bearer) => {
                Ok(vec![(header::AUTHORIZATION, value.clone())])
            }
            (Credential::Aws(identity), Scheme::SigV4 { region, service }) => {
                sign::sign(identity, region, service, request, self.skew.now(SystemTime::now()))
                    .map_err(|problem| Failure::new(FailureClass::BadRequest, problem))
            }
            (Credential::Bearer(_), Scheme::SigV4 { .. })
            | (Credential::Aws(_), Scheme::Bearer) => {
                Err(Failure::new(FailureClass::Auth, "the credential is of another kind"))
            }
        }
    }

    /// The provider refused what was made of this credential: it may have been taken back, and is
    /// fetched anew.
    pub fn refused(&self, how: &Authorisation) {
        if let Some(held) = self.held.read().get(&how.identity.digest) {
            held.doubt();
        }
    }

    /// AWS refused a signature because of its time, and told its own. Tells whether signatures are
    /// made by another time from now on, so that it is worth asking again.
    pub fn told_time(&self, theirs: SystemTime) -> bool {
        let ours = SystemTime::now();
        let corrected = self.skew.correct(ours, theirs);
        if corrected {
            let behind_seconds = skew::between(ours, theirs);
            tracing::warn!(behind_seconds, "the clock is wrong: signatures for AWS are corrected");
        }
        corrected
    }

    /// Forgets the credentials that no deployment of a new configuration has, and that are not among
    /// these either.
    pub fn retain(&self, catalog: &Catalog, others: impl Iterator<Item = [u8; 32]>) {
        let used = catalog.deployments().iter();
        let used: Vec<[u8; 32]> = used
            .filter_map(|one| one.target.authorisation.as_ref())
            .map(|how| how.identity.digest)
            .chain(others)
            .collect();
        self.held.write().retain(|digest, held| {
            let stays = used.contains(digest);
            if !stays {
                held.retire();
            }
            stays
        });
    }

    /// Fetches credentials and keeps them fresh, for ever.
    pub async fn keep(&self) {
        keep::all(self).await;
    }

    fn held(&self, identity: &Arc<Identity>) -> Arc<Held> {
        if let Some(held) = self.held.read().get(&identity.digest) {
            return Arc::clone(held);
        }
        let mut all = self.held.write();
        let held = all.entry(identity.digest).or_insert_with(|| Arc::new(Held::new(identity)));
        let held = Arc::clone(held);
        drop(all);
        self.news.notify_one();
        held
    }
}

/// How long something still lasts; zero if it is over.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
