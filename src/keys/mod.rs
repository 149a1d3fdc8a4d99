//! Who may call.
//!
//! Knows nothing of HTTP: the caller picks the candidates out of the request's headers
//! (`admin/auth.rs`) and turns an [`AuthError`] into a response.
//!
//! ```text
//! KeyHash (hash.rs)         what of a key is kept
//! records (record.rs)       keys, users, teams, ... as stored and as shown
//! OwnCallback (callback.rs)  who else is told of the requests of a key or a team
//! Role (role.rs)            what a user may manage
//! Principal (principal.rs)  a key's record joined with its user's, team's and organisation's
//! Issuing (issuing.rs)      what new keys, users and teams are like, and how long they last (lifetime.rs)
//! KeyRing (ring/)           what of them is in memory
//! identify (identify.rs)    which caller a request's keys make, or why none
//! access (access.rs)        which models and routes a caller may use
//! Directory (directory.rs)  the port behind which the records are kept
//! redacted (redact.rs)      a record without credentials, as the audit log keeps it
//! ```

pub mod access;
mod callback;
mod directory;
mod hash;
mod identify;
mod issuing;
mod lifetime;
mod principal;
pub mod record;
mod redact;
pub mod ring;
mod role;
#[cfg(test)]
pub(crate) mod sample;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;

pub use self::callback::{Events, OwnCallback};
pub use self::directory::{
    Audit, AuditFilter, Change, Changed, Directory, Entry, Filter, Order, OrderBy, StoreError,
    Stored, fetch, read,
};
pub use self::hash::{KeyHash, masked};
pub use self::identify::{AuthError, Moment, holder, identify};
pub use self::issuing::{
    Beyond, Issuing, KeyBounds, KeyDefaults, TeamDefaults, UserDefaults, new_key,
};
pub use self::lifetime::{NoLifetime, expiry};
pub use self::principal::{Budgets, Caller, Principal};
pub use self::redact::{mask, redacted};
pub use self::ring::KeyRing;
pub use self::role::Role;
use crate::secret::Secret;

/// The rules in force.
#[derive(Clone, Debug)]
pub struct Access {
    /// `None`: no key is asked for, and the gateway listens on loopback only.
    pub master_key: Option<Secret>,
    /// What credentials are sealed with in the database: `LITELLM_SALT_KEY`, else the master key.
    pub salt: Option<Secret>,
    /// A further header that may carry the key (`litellm_key_header_name`).
    pub key_header: Option<HeaderName>,
    /// Keys of the configuration file, by their hashes.
    pub static_keys: Arc<BTreeMap<KeyHash, Arc<Principal>>>,
    /// How long what is known of other keys is believed.
    pub ring: Arc<ring::Settings>,
    /// How many keys are kept in memory; a restart makes it new.
    pub ring_capacity: u64,
    /// The configuration's own fallbacks serve only those who may call them.
    pub enforces_fallbacks: bool,
    /// Headers that name the end user, beside LiteLLM's.
    pub end_user_headers: Vec<HeaderName>,
    pub require_auth_for_metrics: bool,
    /// Origins that browsers may call from; `*` stands for all.
    pub cors_origins: Vec<Box<str>>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            master_key: None,
            salt: None,
            key_header: None,
            static_keys: Arc::default(),
            ring: Arc::default(),
            ring_capacity: ring::KEYS_MAX,
            enforces_fallbacks: false,
            end_user_headers: Vec::new(),
            require_auth_for_metrics: false,
            cors_origins: Vec::new(),
        }
    }
}

impl Access {
    /// Whether nobody gets in without a key.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.master_key.is_some() || !self.static_keys.is_empty()
    }
}
