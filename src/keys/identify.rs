//! Which caller the keys of a request make.
//!
//! The order: the master key, keys of the configuration file, keys of the directory. What a request
//! carries is hashed before it is compared or looked up; the master key is compared in constant time.

use std::time::{Instant, SystemTime};

use jiff::Timestamp;
use thiserror::Error;

use super::principal::Caller;
use super::{Access, KeyHash, KeyRing};

/// How the keys of the directory begin. Nothing else is looked up there.
const PREFIX: &[u8] = b"sk-";

/// Why a caller is turned away. The texts never repeat what the caller sent. Their beginnings are
/// LiteLLM's, because clients match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// The request carries no key.
    #[error("Authentication Error, No api key passed in.")]
    Missing,
    /// None of the keys that the request carries is known.
    #[error("Authentication Error, Invalid proxy server token passed.")]
    Unknown,
    /// As `Unknown`, and none of them can be a virtual key.
    #[error(
        "Authentication Error, Invalid proxy server token passed. Virtual keys are expected to start \
         with 'sk-'."
    )]
    Malformed,
    #[error("Authentication Error - Expired Key. Key Expiry time {0}")]
    Expired(Timestamp),
    #[error("Key is blocked. Update via `/key/unblock` if you're admin.")]
    Blocked,
    #[error("The team of this key is blocked. Update via `/team/unblock` if you're admin.")]
    TeamBlocked,
    #[error("The user of this key is blocked. Update via `/user/update` if you're admin.")]
    UserBlocked,
    /// A browser's session that was, or that never was.
    #[error("The session has ended. Log in again.")]
    SessionEnded,
    /// A browser sent a session where its page did not mean to.
    #[error(
        "A request with a session needs the header `x-tollgate-csrf` with the session's `csrf`."
    )]
    Forged,
    /// It cannot be known now.
    #[error("Keys cannot be verified now: the database does not answer. Try again shortly.")]
    Unavailable,
}

impl AuthError {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Unavailable => 503,
            Self::Forged => 403,
            _ => 401,
        }
    }

    /// The stable code of the error body.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing_api_key",
            Self::Unknown | Self::Malformed => "invalid_api_key",
            Self::Expired(_) => "expired_key",
            Self::Blocked | Self::TeamBlocked | Self::UserBlocked => "blocked_key",
            Self::SessionEnded => "session_ended",
            Self::Forged => "csrf",
            Self::Unavailable => "key_database_unavailable",
        }
    }

    /// The `type` of the error body, as LiteLLM names it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Missing | Self::Malformed | Self::SessionEnded | Self::Forged => "auth_error",
            Self::Unknown => "token_not_found_in_db",
            Self::Expired(_) => "expired_key",
            Self::Blocked | Self::TeamBlocked | Self::UserBlocked => "auth_error",
            Self::Unavailable => "service_unavailable_error",
        }
    }

    /// The request field to blame.
    #[must_use]
    pub const fn param(self) -> Option<&'static str> {
        match self {
            Self::Expired(_) => Some("api_key"),
            _ => None,
        }
    }

    /// How much it says, where several keys were sent.
    const fn weight(self) -> u8 {
        match self {
            Self::Missing => 0,
            Self::Malformed => 1,
            Self::Unknown => 2,
            Self::Unavailable => 3,
            Self::Expired(_) | Self::Blocked | Self::TeamBlocked | Self::UserBlocked => 4,
            Self::SessionEnded | Self::Forged => 5,
        }
    }
}

/// When it is, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub instant: Instant,
    pub time: SystemTime,
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self { instant: Instant::now(), time: SystemTime::now() }
    }
}

/// Decides by the keys that a request carries (`candidates` lists them anew each time it is called), in
/// any order; one that fits is enough.
///
/// SDKs often send a placeholder in one header and the real key in another, so a wrong candidate
/// does not spoil a right one.
///
/// # Errors
/// If keys are asked for and none of the candidates is one.
pub async fn identify<'a, I: Iterator<Item = &'a [u8]>>(
    access: &Access,
    ring: &KeyRing,
    candidates: impl Fn() -> I,
    now: Moment,
) -> Result<Caller, AuthError> {
    if let Some(master_key) = &access.master_key
        && candidates().any(|candidate| master_key.matches(candidate))
    {
        return Ok(Caller::Master);
    }
    let mut verdict = AuthError::Missing;
    for candidate in candidates() {
        let refusal = match find(access, ring, candidate, now).await {
            Ok(caller) => return Ok(caller),
            Err(refusal) => refusal,
        };
        if refusal.weight() > verdict.weight() {
            verdict = refusal;
        }
    }
    let is_known = matches!(
        verdict,
        AuthError::Expired(_)
            | AuthError::Blocked
            | AuthError::TeamBlocked
            | AuthError::UserBlocked
    );
    // Without any key of its own the gateway serves this machine only, and everybody on it; a key that
    // is known has its limits all the same.
    if access.is_guarded() || is_known { Err(verdict) } else { Ok(Caller::Anonymous) }
}

async fn find(
    access: &Access,
    ring: &KeyRing,
    candidate: &[u8],
    now: Moment,
) -> Result<Caller, AuthError> {
    let is_virtual = candidate.starts_with(PREFIX);
    if !is_virtual && access.static_keys.is_empty() {
        return Err(AuthError::Malformed);
    }
    let hash = KeyHash::of(candidate);
    if !is_virtual && !access.static_keys.contains_key(&hash) {
        return Err(AuthError::Malformed);
    }
    holder(access, ring, hash, now).await
}

/// The holder of a key that is known by its hash: of one that was shown before.
///
/// # Errors
/// If there is no such key any more, or it opens nothing.
pub async fn holder(
    access: &Access,
    ring: &KeyRing,
    hash: KeyHash,
    now: Moment,
) -> Result<Caller, AuthError> {
    let holder = match access.static_keys.get(&hash) {
        Some(holder) => Some(ring.of_file(holder, &access.ring, now.instant).await),
        None => {
            ring.find(hash, &access.ring, now.instant).await.map_err(|_| AuthError::Unavailable)?
        }
    };
    let holder = holder.ok_or(AuthError::Unknown)?;
    holder.check(now.time)?;
    Ok(Caller::Key(holder))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::keys::sample::{Records, key, principal};
    use crate::secret::Secret;

    fn guarded() -> Access {
        Access { master_key: Some(Secret::new("sk-right")), ..Access::default() }
    }

    async fn asked(access: &Access, ring: &KeyRing, keys: &[&str]) -> Result<Caller, AuthError> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let now = Moment { instant: Instant::now(), time };
        identify(access, ring, || keys.iter().map(|key| key.as_bytes()), now).await
    }

    fn ring(keys: &[serde_json::Value]) -> KeyRing {
        let records = Records::default();
        keys.iter().for_each(|key| records.put(key));
        KeyRing::new(Arc::new(records), 10)
    }

    #[tokio::test]
    async fn without_any_key_configured_everybody_may_call() {
        let (open, ring) = (Access::default(), ring(&[]));
        for keys in [&[][..], &["anything"], &["sk-anything"]] {
            assert_eq!(asked(&open, &ring, keys).await, Ok(Caller::Anonymous));
        }
    }

    #[tokio::test]
    async fn one_right_key_among_wrong_ones_is_enough() {
        let ring = ring(&[key("sk-known", &json!({}))]);
        let keys = ["placeholder", "sk-wrong", "sk-right", ""];
        assert_eq!(asked(&guarded(), &ring, &keys).await, Ok(Caller::Master));
        let found = asked(&guarded(), &ring, &["placeholder", "sk-known"]).await.unwrap();
        assert_eq!(found.owner(), KeyHash::of(b"sk-known").to_string());
    }

    #[tokio::test]
    async fn a_missing_key_and_a_wrong_key_are_told_apart() {
        let ring = ring(&[]);
        assert_eq!(asked(&guarded(), &ring, &[]).await, Err(AuthError::Missing));
        for wrong in ["sk-righ", "sk-rightx"] {
            assert_eq!(asked(&guarded(), &ring, &[wrong]).await, Err(AuthError::Unknown));
        }
        for wrong in ["SK-RIGHT", ""] {
            assert_eq!(asked(&guarded(), &ring, &[wrong]).await, Err(AuthError::Malformed));
        }
    }

    #[tokio::test]
    async fn keys_that_are_expired_or_blocked_open_nothing_and_are_told_so() {
        let past = "2020-01-01T00:00:00Z";
        let ring = ring(&[
            key("sk-old", &json!({"expires": past})),
            key("sk-blocked", &json!({"blocked": true})),
            key("sk-future", &json!({"expires": "2100-01-01T00:00:00Z"})),
        ]);
        let expired = Err(AuthError::Expired(past.parse().unwrap()));
        assert_eq!(asked(&guarded(), &ring, &["sk-old", "sk-nobodys"]).await, expired);
        assert_eq!(asked(&guarded(), &ring, &["sk-blocked"]).await, Err(AuthError::Blocked));
        assert!(asked(&guarded(), &ring, &["sk-blocked", "sk-future"]).await.is_ok());
        // Also where strangers may call.
        assert_eq!(asked(&Access::default(), &ring, &["sk-old"]).await, expired);
    }

    #[tokio::test]
    async fn keys_of_the_file_need_no_directory_and_make_a_key_necessary() {
        let records = Records::default();
        records.go_away();
        let ring = KeyRing::new(Arc::new(records), 10);
        let holder = Arc::new(principal("user-key-123", &json!({"key_alias": "team-a"})));
        let static_keys = Arc::new(BTreeMap::from([(holder.key.token, Arc::clone(&holder))]));
        let access = Access { static_keys, ..Access::default() };
        assert_eq!(asked(&access, &ring, &["user-key-123"]).await, Ok(Caller::Key(holder)));
        assert_eq!(asked(&access, &ring, &[]).await, Err(AuthError::Missing));
        assert_eq!(asked(&access, &ring, &["other"]).await, Err(AuthError::Malformed));
        assert_eq!(asked(&access, &ring, &["sk-x", "y"]).await, Err(AuthError::Unavailable));
    }
}
