//! Texts that are kept where others may read: credentials of providers in the database, sessions in
//! browsers.
//!
//! AES-256-GCM with a random nonce for each text, and a key that HKDF makes of the operator's secret
//! (`LITELLM_SALT_KEY`, else the master key). What a text belongs to is authenticated with it: a text
//! that was moved to another record does not open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use thiserror::Error;

use crate::secret::Secret;

/// What sealed texts begin with; a later form has another.
const FORM: &str = "v1:";
/// Say what a key is for: the same secret may be used elsewhere, and what was sealed for one purpose
/// does not open for another.
const AT_REST: &[u8] = b"tollgate deployments at rest";
const SESSIONS: &[u8] = b"tollgate sessions of browsers";

/// Why a text could not be sealed or opened. Tells nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    #[error("the system has no random numbers")]
    NoRandomness,
    #[error(
        "it was sealed with another key, or changed since: is LITELLM_SALT_KEY, or else the master \
         key, the one that it was stored with?"
    )]
    DoesNotOpen,
}

/// Seals and opens.
pub struct Seal(LessSafeKey);

impl Seal {
    /// With the key of an operator's secret, for what is kept in the database.
    #[must_use]
    pub fn new(secret: &Secret) -> Option<Self> {
        Self::with_purpose(secret, AT_REST)
    }

    /// The same for what browsers keep.
    #[must_use]
    pub fn of_sessions(secret: &Secret) -> Option<Self> {
        Self::with_purpose(secret, SESSIONS)
    }

    fn with_purpose(secret: &Secret, purpose: &[u8]) -> Option<Self> {
        let prk = Salt::new(HKDF_SHA256, purpose).extract(secret.expose().as_bytes());
        let okm = prk.expand(&[b"aes-256-gcm"], &AES_256_GCM).ok()?;
        Some(Self(LessSafeKey::new(UnboundKey::from(okm))))
    }

    /// Seals a text that belongs to `owner`.
    ///
    /// # Errors
    /// If there are no random numbers.
    pub fn seal(&self, owner: &str, text: &str) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let mut bytes = text.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(owner.as_bytes()),
                &mut bytes,
            )
            .map_err(|_| SealError::NoRandomness)?;
        let sealed = [&nonce[..], &bytes].concat();
        Ok(format!("{FORM}{}", BASE64.encode(sealed)))
    }

    /// Opens what was sealed for `owner`.
    ///
    /// # Errors
    /// If it was sealed with another key or for another owner, or is no sealed text.
    pub fn open(&self, owner: &str, sealed: &str) -> Result<String, SealError> {
        let opened = || {
            let bytes = BASE64.decode(sealed.strip_prefix(FORM)?).ok()?;
            let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>()?;
            let mut text = text.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let text = self.0.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut text).ok()?;
            String::from_utf8(text.to_vec()).ok()
        };
        opened().ok_or(SealError::DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_owner_open_a_text() {
        let seal = Seal::new(&Secret::new("salt")).unwrap();
        let sealed = seal.seal("one", "{\"api_key\": \"sk-provider\"}").unwrap();
        assert!(!sealed.contains("sk-provider") && !sealed.contains("api_key"));
        assert_eq!(seal.open("one", &sealed).unwrap(), "{\"api_key\": \"sk-provider\"}");
        assert_ne!(seal.seal("one", "same").unwrap(), seal.seal("one", "same").unwrap());
        let other = Seal::new(&Secret::new("pepper")).unwrap();
        let changed = sealed.replacen(':', ":A", 1);
        for (seal, owner, sealed) in [
            (&seal, "two", &*sealed),
            (&other, "one", &sealed),
            (&Seal::of_sessions(&Secret::new("salt")).unwrap(), "one", &sealed),
            (&seal, "one", &changed),
            (&seal, "one", "v1:"),
            (&seal, "one", "plain text"),
            (&seal, "one", ""),
        ] {
            assert_eq!(seal.open(owner, sealed), Err(SealError::DoesNotOpen), "{owner} {sealed}");
        }
    }
}
