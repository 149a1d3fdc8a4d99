//! Who may call.
//!
//! Knows nothing of HTTP: the caller picks the candidates out of the request's headers
//! (`admin/auth.rs`) and turns an [`AuthError`] into a response.
//!
//! ```text
//! KeyHash (hash.rs)         what of a key is kept
//! records (record.rs)       keys, users, teams, ... as stored and as shown
//! Role (role.rs)            what a user may manage
//! Principal (principal.rs)  a key's record joined with its user's, team's and organisation's
//! Issuing (issuing.rs)      what new keys, users and teams are like, and how long they last (lifetime.rs)
//! Directory (directory.rs)  the port behind which the records are kept
//! ```

mod directory;
mod hash;
mod issuing;
mod lifetime;
mod principal;
pub mod record;
mod role;

use http::HeaderName;
use thiserror::Error;

pub use self::directory::{
    Audit, AuditFilter, Change, Changed, Directory, Entry, Filter, StoreError, Stored, fetch, read,
};
pub use self::hash::{KeyHash, masked};
pub use self::issuing::{
    Beyond, Issuing, KeyBounds, KeyDefaults, TeamDefaults, UserDefaults, new_key,
};
pub use self::lifetime::{NoLifetime, expiry};
pub use self::principal::{Budgets, Caller, Principal};
pub use self::role::Role;
use crate::secret::Secret;

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// `None`: no key is asked for, and the gateway listens on loopback only.
    pub master_key: Option<Secret>,
    /// A further header that may carry the key (`litellm_key_header_name`).
    pub key_header: Option<HeaderName>,
    pub require_auth_for_metrics: bool,
    /// Origins that browsers may call from; `*` stands for all.
    pub cors_origins: Vec<Box<str>>,
}

/// Why a caller is turned away. The texts never repeat what the caller sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// The request carries no key. The wording is LiteLLM's: clients match on it.
    #[error("Authentication Error, No api key passed in.")]
    Missing,
    /// None of the keys that the request carries is known.
    #[error("Authentication Error, Invalid proxy server token passed.")]
    Unknown,
}

impl AuthError {
    /// The stable code of the error body.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing_api_key",
            Self::Unknown => "invalid_api_key",
        }
    }

    /// The `type` of the error body, as LiteLLM names it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        "auth_error"
    }
}

/// Decides by the keys that a request carries, in any order; one that fits is enough.
///
/// SDKs often send a placeholder in one header and the real key in another, so a wrong candidate
/// does not spoil a right one.
///
/// # Errors
/// If a key is configured and none of the candidates is it.
pub fn authorise<'a>(
    access: &Access,
    candidates: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Caller, AuthError> {
    let Some(master_key) = &access.master_key else {
        return Ok(Caller::Anonymous);
    };
    let mut verdict = Err(AuthError::Missing);
    for candidate in candidates {
        if master_key.matches(candidate) {
            return Ok(Caller::Master);
        }
        verdict = Err(AuthError::Unknown);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded() -> Access {
        Access { master_key: Some(Secret::new("sk-right")), ..Access::default() }
    }

    #[test]
    fn without_a_master_key_everybody_may_call() {
        assert_eq!(authorise(&Access::default(), []), Ok(Caller::Anonymous));
        assert_eq!(authorise(&Access::default(), [&b"anything"[..]]), Ok(Caller::Anonymous));
    }

    #[test]
    fn one_right_key_among_wrong_ones_is_enough() {
        let keys: [&[u8]; 3] = [b"placeholder", b"sk-right", b""];
        assert_eq!(authorise(&guarded(), keys), Ok(Caller::Master));
    }

    #[test]
    fn a_missing_key_and_a_wrong_key_are_told_apart() {
        assert_eq!(authorise(&guarded(), []), Err(AuthError::Missing));
        for wrong in [&b"sk-righ"[..], b"sk-rightx", b"SK-RIGHT", b""] {
            assert_eq!(authorise(&guarded(), [wrong]), Err(AuthError::Unknown));
        }
    }
}
