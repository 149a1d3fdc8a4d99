//! A credential with its time.

use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::identity::Identity as AwsIdentity;
use http::HeaderValue;

/// The longest time before its end that a credential is replaced; of short-lived ones it is half
/// their life.
const EARLY: Duration = Duration::from_secs(5 * 60);

/// However short-lived credentials are, they are not fetched more often.
const REST: Duration = Duration::from_secs(1);

/// What requests are authorised with.
#[derive(Debug)]
pub(super) enum Credential {
    /// The whole value of `Authorization`; marked sensitive.
    Bearer(HeaderValue),
    Aws(AwsIdentity),
}

/// A credential and until when it holds; `None`: as long as nobody takes it back.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) credential: Credential,
    pub(super) expires: Option<Instant>,
}

impl Fresh {
    /// An access token that holds for so long.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(super) fn bearer(token: &str, lasts: Duration) -> Result<Self, String> {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value =
            value.map_err(|_| "the access token cannot be sent in a header".to_owned())?;
        value.set_sensitive(true);
        Ok(Self { credential: Credential::Bearer(value), expires: Some(Instant::now() + lasts) })
    }

    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// How long from now until it should be replaced; `None`: never.
    pub(super) fn renewed_in(&self, now: Instant) -> Option<Duration> {
        let lasts = self.expires?.saturating_duration_since(now);
        Some((lasts - EARLY.min(lasts / 2)).max(REST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_replaced_before_its_end_but_not_all_the_time() {
        let now = Instant::now();
        for (lasts, renewed) in [(3600, 3300), (600, 300), (10, 5), (1, 1), (0, 1)] {
            let fresh = Fresh {
                credential: Credential::Bearer(HeaderValue::from_static("x")),
                expires: Some(now + Duration::from_secs(lasts)),
            };
            assert_eq!(fresh.renewed_in(now), Some(Duration::from_secs(renewed)), "{lasts}");
        }
    }

    #[test]
    fn a_token_is_valid_until_its_end_and_one_with_a_line_break_is_none() {
        let fresh = Fresh::bearer("t", Duration::from_secs(60)).unwrap();
        assert!(fresh.is_valid(Instant::now()));
        assert!(!fresh.is_valid(Instant::now() + Duration::from_secs(61)));
        assert!(Fresh::bearer("a\nb", Duration::from_secs(60)).is_err());
    }
}
