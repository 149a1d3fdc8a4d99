//! What requests have to tell. Made by who knows requests; nothing here comes from a prompt or a reply.

use std::sync::Arc;
use std::time::Duration;

use super::kind::Kind;
use crate::catalog::Deployment;

/// What a request has to tell.
#[derive(Clone, Debug)]
pub enum News {
    /// It failed for good, and not by its own fault.
    Failed(Failed),
    /// It took longer than it may.
    Slow(Slow),
    /// An attempt put its deployment to rest.
    Rests(Rests),
    /// An attempt was not answered in time, or with an error of the provider.
    Stumbled { deployment: Arc<Deployment>, is_timeout: bool },
}

#[derive(Clone, Debug)]
pub struct Failed {
    /// The one that was asked for; empty if the request did not come so far.
    pub group: Arc<str>,
    /// The one that was tried last.
    pub deployment: Option<Arc<Deployment>>,
    /// From a closed list.
    pub class: &'static str,
    /// What the client got.
    pub status: u16,
    pub request_id: Box<str>,
}

#[derive(Clone, Debug)]
pub struct Slow {
    pub group: Arc<str>,
    pub deployment: Option<Arc<Deployment>>,
    pub took: Duration,
    pub request_id: Box<str>,
}

#[derive(Clone, Debug)]
pub struct Rests {
    pub deployment: Arc<Deployment>,
    /// Why, from a closed list.
    pub class: &'static str,
    pub status: Option<u16>,
}

impl News {
    /// What is dropped where there is no room for it.
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Failed(_) => Kind::Exceptions,
            Self::Slow(_) => Kind::TooSlow,
            Self::Rests(_) => Kind::Cooldowns,
            Self::Stumbled { .. } => Kind::Outages,
        }
    }
}
