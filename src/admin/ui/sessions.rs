//! What the cookie of a browser stands for.
//!
//! The cookie is a sealed text: the hash of the key that was shown at login, until when, and the token
//! that proves that a request is meant by our own page. Nothing is kept of it here, so every gateway
//! with the same secret knows it, and the key behind it is looked at anew for each request: a session
//! ends with its key. What is kept is which sessions were logged out, in this process.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::header::COOKIE;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::Visitor;
use super::throttle::Throttle;
use crate::keys::{self, Access, AuthError, Caller, KeyHash, KeyRing, Moment};
use crate::seal::{Seal, SealError};
use crate::secret::Secret;

/// The header that scripts of other origins can neither set nor know the value of.
pub(super) const CSRF: &str = "x-tollgate-csrf";
/// The prefix keeps neighbours of the same site from setting it (RFC 6265bis, 4.1.3.2).
const SECURE_NAME: &str = "__Host-tollgate";
const PLAIN_NAME: &str = "tollgate";
/// What it is sealed for.
const OWNER: &str = "session";
/// Sessions that were logged out and would still be valid.
const ENDED_MAX: usize = 10_000;

/// Opens and ends sessions.
pub struct Sessions {
    /// Where the configuration has no secret to seal with.
    random: Option<Secret>,
    /// Until when they would last, and their tokens.
    ended: Mutex<BTreeSet<(u64, String)>>,
    pub(super) throttle: Throttle,
}

/// What is sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ticket {
    is_master: bool,
    /// Of the key, or of the master key.
    key: KeyHash,
    pub(super) csrf: String,
    /// Unix milliseconds.
    pub(super) expires: u64,
}

/// A session whose key still opens something.
pub(super) struct Session {
    pub(super) caller: Caller,
    pub(super) ticket: Ticket,
}

impl Default for Sessions {
    fn default() -> Self {
        let random = token().map(Secret::new);
        Self { random, ended: Mutex::default(), throttle: Throttle::default() }
    }
}

impl Sessions {
    /// Who calls, where a request carries no key but a session; `None`: it carries none either. Methods
    /// that change something need the session's token, too.
    ///
    /// # Errors
    /// If the session is over, its key opens nothing any more, or the token is missing or wrong.
    pub async fn caller(
        &self,
        access: &Access,
        ring: &KeyRing,
        (method, headers, visitor): (&Method, &HeaderMap, Visitor),
        now: Moment,
    ) -> Result<Option<Caller>, AuthError> {
        let Some(session) = self.find(access, ring, headers, visitor, now).await? else {
            return Ok(None);
        };
        if !matches!(*method, Method::GET | Method::HEAD) && !session.ticket.is_meant_by(headers) {
            return Err(AuthError::Forged);
        }
        Ok(Some(session.caller))
    }

    /// The session of a request.
    pub(super) async fn find(
        &self,
        access: &Access,
        ring: &KeyRing,
        headers: &HeaderMap,
        visitor: Visitor,
        now: Moment,
    ) -> Result<Option<Session>, AuthError> {
        let Some(sealed) = cookie(headers, visitor) else { return Ok(None) };
        let ticket = self.open(access, sealed).ok_or(AuthError::SessionEnded)?;
        if ticket.expires <= millis(now.time) {
            return Err(AuthError::SessionEnded);
        }
        if self.ended.lock().contains(&(ticket.expires, ticket.csrf.clone())) {
            return Err(AuthError::SessionEnded);
        }
        let caller = if ticket.is_master {
            let master = access.master_key.as_ref();
            let is_same = master.is_some_and(|master| hash(master) == ticket.key);
            is_same.then_some(Caller::Master).ok_or(AuthError::SessionEnded)?
        } else {
            match keys::holder(access, ring, ticket.key, now).await {
                Ok(caller) => caller,
                Err(AuthError::Unavailable) => return Err(AuthError::Unavailable),
                Err(_) => return Err(AuthError::SessionEnded),
            }
        };
        Ok(Some(Session { caller, ticket }))
    }

    /// Begins a session; `None`: this caller needs none. The text is the value of `Set-Cookie`.
    pub(super) fn begin(
        &self,
        access: &Access,
        caller: &Caller,
        visitor: Visitor,
        lasts: Duration,
        now: SystemTime,
    ) -> Result<Option<(Ticket, String)>, SealError> {
        let (is_master, key) = match caller {
            Caller::Anonymous => return Ok(None),
            Caller::Master => {
                let Some(master) = &access.master_key else { return Ok(None) };
                (true, hash(master))
            }
            Caller::Key(principal) => (false, principal.key.token),
        };
        let ends = caller.principal().and_then(|it| it.key.expires).map(SystemTime::from);
        let expires = ends.map_or(now + lasts, |ends| ends.min(now + lasts));
        let csrf = token().ok_or(SealError::NoRandomness)?;
        let ticket = Ticket { is_master, key, csrf, expires: millis(expires) };
        let seal = self.seal(access).ok_or(SealError::NoRandomness)?;
        let text = serde_json::to_string(&ticket).map_err(|_| SealError::DoesNotOpen)?;
        let sealed = seal.seal(OWNER, &text)?;
        let left = expires.duration_since(now).unwrap_or_default().as_secs();
        Ok(Some((ticket, set_cookie(visitor, &sealed, left))))
    }

    /// Ends a session, in this process for good.
    pub(super) fn end(&self, ticket: &Ticket, now: SystemTime) {
        let mut ended = self.ended.lock();
        let now = millis(now);
        while ended.first().is_some_and(|(expires, _)| *expires <= now) || ended.len() >= ENDED_MAX
        {
            ended.pop_first();
        }
        ended.insert((ticket.expires, ticket.csrf.clone()));
    }

    fn open(&self, access: &Access, sealed: &str) -> Option<Ticket> {
        let text = self.seal(access)?.open(OWNER, sealed).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn seal(&self, access: &Access) -> Option<Seal> {
        Seal::of_sessions(access.salt.as_ref().or(self.random.as_ref())?)
    }
}

impl Ticket {
    /// Whether a request says what only our own page knows.
    pub(super) fn is_meant_by(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(CSRF).map(|value| value.as_bytes()).unwrap_or_default();
        self.csrf.as_bytes().ct_eq(said).into()
    }
}

/// A cookie that is gone at once.
pub(super) fn no_cookie(visitor: Visitor) -> String {
    set_cookie(visitor, "", 0)
}

fn set_cookie(visitor: Visitor, value: &str, seconds: u64) -> String {
    let (name, secure) =
        if visitor.is_secure { (SECURE_NAME, "; Secure") } else { (PLAIN_NAME, "") };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// The value of our cookie.
fn cookie(headers: &HeaderMap, visitor: Visitor) -> Option<&str> {
    let name = if visitor.is_secure { SECURE_NAME } else { PLAIN_NAME };
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|it| it.split_once('='));
    let (_, value) = pairs.find(|(known, _)| known.trim() == name)?;
    Some(value.trim()).filter(|value| !value.is_empty())
}

fn hash(master: &Secret) -> KeyHash {
    KeyHash::of(master.expose().as_bytes())
}

/// 32 random bytes as 43 characters.
fn token() -> Option<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).ok()?;
    Some(BASE64.encode(random))
}

pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use http::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::keys::sample::{Records, key};

    const SECURE: Visitor = Visitor { ip: None, is_secure: true };
    const PLAIN: Visitor = Visitor { ip: None, is_secure: false };
    const HOUR: Duration = Duration::from_secs(3600);

    fn access(master: &str) -> Access {
        let secret = Some(Secret::new(master));
        Access { master_key: secret.clone(), salt: secret, ..Access::default() }
    }

    fn at(seconds: u64) -> Moment {
        let time = UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds);
        Moment { instant: Instant::now(), time }
    }

    fn carrying(set_cookie: &str) -> HeaderMap {
        let (pair, _) = set_cookie.split_once(';').unwrap();
        let line = format!("theme=dark; {pair}");
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&line).unwrap())])
    }

    fn begun(sessions: &Sessions, access: &Access, caller: &Caller) -> (Ticket, HeaderMap) {
        let begun = sessions.begin(access, caller, SECURE, HOUR, at(0).time).unwrap().unwrap();
        assert!(begun.1.starts_with("__Host-tollgate=") && begun.1.ends_with("; Secure"));
        for part in ["; Path=/;", "; HttpOnly;", "; SameSite=Strict;", "; Max-Age=3600;"] {
            assert!(begun.1.contains(part), "{part}: {}", begun.1);
        }
        (begun.0, carrying(&begun.1))
    }

    async fn asked(
        sessions: &Sessions,
        access: &Access,
        headers: &HeaderMap,
        now: Moment,
    ) -> Result<Option<Caller>, AuthError> {
        let ring = keys::sample::empty_ring();
        sessions.caller(access, &ring, (&Method::GET, headers, SECURE), now).await
    }

    #[tokio::test]
    async fn a_session_is_its_keys_until_it_ends() {
        let (sessions, access) = (Sessions::default(), access("sk-master"));
        let (ticket, headers) = begun(&sessions, &access, &Caller::Master);
        assert_eq!(asked(&sessions, &access, &headers, at(1)).await, Ok(Some(Caller::Master)));
        assert_eq!(asked(&sessions, &access, &HeaderMap::new(), at(1)).await, Ok(None));
        // Another gateway with the same secret knows it too.
        let other = Sessions::default();
        assert_eq!(asked(&other, &access, &headers, at(1)).await, Ok(Some(Caller::Master)));
        let ended = Err(AuthError::SessionEnded);
        assert_eq!(asked(&sessions, &access, &headers, at(3600)).await, ended);
        let changed = self::access("sk-other");
        assert_eq!(asked(&sessions, &changed, &headers, at(1)).await, ended);
        let salted = Access { salt: access.salt.clone(), ..self::access("sk-other") };
        assert_eq!(asked(&sessions, &salted, &headers, at(1)).await, ended, "same seal");
        sessions.end(&ticket, at(1).time);
        assert_eq!(asked(&sessions, &access, &headers, at(1)).await, ended);
    }

    #[tokio::test]
    async fn a_cookie_that_we_did_not_make_opens_nothing() {
        let (sessions, access) = (Sessions::default(), access("sk-master"));
        let ticket = Ticket {
            is_master: true,
            key: KeyHash::of(b"sk-master"),
            csrf: "c".into(),
            expires: u64::MAX,
        };
        let text = serde_json::to_string(&ticket).unwrap();
        let own = Seal::of_sessions(&Secret::new("sk-guess")).unwrap().seal(OWNER, &text).unwrap();
        // The seal of the database is another one, with the same secret.
        let moved = Seal::new(&Secret::new("sk-master")).unwrap().seal(OWNER, &text).unwrap();
        let good = Seal::of_sessions(&Secret::new("sk-master")).unwrap();
        let elsewhere = good.seal("model-1", &text).unwrap();
        let right = good.seal(OWNER, &text).unwrap();
        let cut = right.get(..right.len() - 4).unwrap().to_owned();
        for forged in ["sk-master", "v1:", "v1:AAAA", &*own, &*moved, &*elsewhere, &*cut, &*text] {
            let line = format!("__Host-tollgate={forged}");
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&line).unwrap())]);
            let found = asked(&sessions, &access, &headers, at(0)).await;
            assert_eq!(found, Err(AuthError::SessionEnded), "{forged}");
        }
        // The same text under our seal is one, under the name that a neighbour can set it is none.
        let right = format!("tollgate={right}");
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&right).unwrap())]);
        assert_eq!(asked(&sessions, &access, &headers, at(0)).await, Ok(None));
        let ring = keys::sample::empty_ring();
        let plain = (&Method::GET, &headers, PLAIN);
        let found = sessions.caller(&access, &ring, plain, at(0)).await;
        assert_eq!(found, Ok(Some(Caller::Master)));
    }

    #[tokio::test]
    async fn what_changes_something_needs_the_token() {
        let (sessions, access) = (Sessions::default(), access("sk-master"));
        let ring = keys::sample::empty_ring();
        let (ticket, headers) = begun(&sessions, &access, &Caller::Master);
        let (other, _) = begun(&sessions, &access, &Caller::Master);
        for (token, is_right) in [(None, false), (Some("x"), false), (Some(""), false)]
            .into_iter()
            .chain([(Some(&*other.csrf), false), (Some(&*ticket.csrf), true)])
        {
            let mut headers = headers.clone();
            if let Some(token) = token {
                headers.insert(CSRF, token.parse().unwrap());
            }
            for method in [Method::POST, Method::DELETE, Method::PUT, Method::PATCH] {
                let found = sessions.caller(&access, &ring, (&method, &headers, SECURE), at(0));
                let expected =
                    if is_right { Ok(Some(Caller::Master)) } else { Err(AuthError::Forged) };
                assert_eq!(found.await, expected, "{method} {token:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_session_ends_with_its_key() {
        let records = Records::default();
        records.put(&key("sk-ada", &json!({"expires": "2027-01-15T08:10:00Z"})));
        let ring = KeyRing::new(Arc::new(records), 10);
        let (sessions, access) = (Sessions::default(), access("sk-master"));
        let now = at(0);
        let caller = keys::identify(&access, &ring, || std::iter::once(&b"sk-ada"[..]), now).await;
        let caller = caller.unwrap();
        let begun = sessions.begin(&access, &caller, SECURE, HOUR, now.time).unwrap().unwrap();
        assert_eq!(begun.0.expires, 1_800_000_600_000, "not longer than the key");
        let headers = carrying(&begun.1);
        let asked = |now, ring| sessions.find(&access, ring, &headers, SECURE, now);
        assert!(asked(now, &ring).await.is_ok_and(|found| found.is_some()));
        let gone = keys::sample::empty_ring();
        assert_eq!(asked(now, &gone).await.err(), Some(AuthError::SessionEnded), "deleted");
        let records = Records::default();
        records.put(&key("sk-ada", &json!({"blocked": true})));
        let blocked = KeyRing::new(Arc::new(records), 10);
        assert_eq!(asked(now, &blocked).await.err(), Some(AuthError::SessionEnded), "blocked");
        let records = Records::default();
        records.go_away();
        let away = KeyRing::new(Arc::new(records), 10);
        assert_eq!(asked(now, &away).await.err(), Some(AuthError::Unavailable));
    }

    #[test]
    fn who_needs_no_key_has_no_session_and_logged_out_ones_are_bounded() {
        let sessions = Sessions::default();
        let open = Access::default();
        let begun = sessions.begin(&open, &Caller::Anonymous, PLAIN, HOUR, at(0).time).unwrap();
        assert!(begun.is_none());
        let ticket = |at: u64| Ticket {
            is_master: true,
            key: KeyHash::of(b"k"),
            csrf: at.to_string(),
            expires: u64::MAX - at,
        };
        (0..ENDED_MAX as u64 + 5).for_each(|it| sessions.end(&ticket(it), at(0).time));
        assert_eq!(sessions.ended.lock().len(), ENDED_MAX);
        sessions.end(&Ticket { expires: 1, ..ticket(0) }, UNIX_EPOCH);
        sessions.end(&ticket(1), at(0).time);
        assert!(!sessions.ended.lock().iter().any(|(expires, _)| *expires == 1), "long over");
    }
}
