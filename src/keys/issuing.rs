//! What the operator of the gateway wants new keys, users and teams to be like.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::lifetime::expiry;
use super::record::Allowance;
use super::role::Role;

/// Characters of a new key after its `sk-`: 16 random bytes in base64.
const KEY_BYTES: usize = 16;

/// Defaults and bounds of what is made while the gateway runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Issuing {
    /// `default_key_generate_params`: where a request says nothing.
    pub key: KeyDefaults,
    /// `upperbound_key_generate_params`: no key gets more, and a key that asks for nothing gets this.
    pub bounds: KeyBounds,
    /// `default_internal_user_params`.
    pub user: UserDefaults,
    /// `default_team_params`.
    pub team: TeamDefaults,
}

/// What a key is where its request says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyDefaults {
    pub allowance: Allowance,
    pub duration: Option<String>,
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    pub models: Vec<String>,
    pub metadata: Map<String, Value>,
}

/// The most that a key may have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyBounds {
    pub max_budget: Option<f64>,
    pub budget_duration: Option<String>,
    pub duration: Option<String>,
    pub rpm_limit: Option<u64>,
    pub tpm_limit: Option<u64>,
    pub max_parallel_requests: Option<u64>,
}

/// What an internal user is where the request says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserDefaults {
    pub role: Option<Role>,
    pub allowance: Allowance,
    pub models: Vec<String>,
    pub teams: Vec<String>,
}

/// What a team is where the request says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TeamDefaults {
    pub allowance: Allowance,
    pub models: Vec<String>,
}

/// A value beyond its bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    pub field: &'static str,
    pub value: String,
    pub max: String,
}

impl Allowance {
    /// Takes from another what it does not say itself.
    pub fn complete(&mut self, other: &Self) {
        self.max_budget = self.max_budget.or(other.max_budget);
        self.soft_budget = self.soft_budget.or(other.soft_budget);
        self.rpm_limit = self.rpm_limit.or(other.rpm_limit);
        self.tpm_limit = self.tpm_limit.or(other.tpm_limit);
        self.max_parallel_requests = self.max_parallel_requests.or(other.max_parallel_requests);
        for (own, default) in [
            (&mut self.budget_duration, &other.budget_duration),
            (&mut self.budget_id, &other.budget_id),
        ] {
            if own.is_none() {
                own.clone_from(default);
            }
        }
    }
}

impl KeyBounds {
    /// Fills in the bounds where an allowance says nothing.
    pub fn fill_in(&self, allowance: &mut Allowance) {
        allowance.max_budget = allowance.max_budget.or(self.max_budget);
        allowance.rpm_limit = allowance.rpm_limit.or(self.rpm_limit);
        allowance.tpm_limit = allowance.tpm_limit.or(self.tpm_limit);
        let parallel = &mut allowance.max_parallel_requests;
        *parallel = parallel.or(self.max_parallel_requests);
        if allowance.budget_duration.is_none() {
            allowance.budget_duration.clone_from(&self.budget_duration);
        }
    }

    /// Whether an allowance stays within the bounds; what it does not say is as much as there is.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn check(&self, allowance: &Allowance) -> Result<(), Beyond> {
        fn within<T: PartialOrd + ToString + Copy>(
            field: &'static str,
            value: Option<T>,
            max: Option<T>,
        ) -> Result<(), Beyond> {
            let Some(max) = max else { return Ok(()) };
            if value.is_some_and(|value| value <= max) {
                return Ok(());
            }
            let value = value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
            Err(Beyond { field, value, max: max.to_string() })
        }
        within("max_budget", allowance.max_budget, self.max_budget)?;
        within("rpm_limit", allowance.rpm_limit, self.rpm_limit)?;
        within("tpm_limit", allowance.tpm_limit, self.tpm_limit)?;
        let (parallel, max) = (allowance.max_parallel_requests, self.max_parallel_requests);
        within("max_parallel_requests", parallel, max)
    }

    /// The end of a key's life, within its bound; a key that asks for no end gets the bound.
    ///
    /// # Errors
    /// If it is later than the bound.
    pub fn expires(
        &self,
        asked: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Beyond> {
        let bound =
            self.duration.as_deref().and_then(|bound| Some((bound, expiry(bound, now).ok()?)));
        match (asked, bound) {
            (Some(asked), Some((bound, last))) if asked > last => {
                Err(Beyond { field: "duration", value: asked.to_string(), max: bound.to_owned() })
            }
            (Some(asked), _) => Ok(Some(asked)),
            (None, bound) => Ok(bound.map(|(_, last)| last)),
        }
    }
}

/// A key of these random bytes: `sk-` and 22 url-safe characters, as LiteLLM's keys are.
#[must_use]
pub fn new_key(random: [u8; KEY_BYTES]) -> String {
    use base64::Engine as _;
    format!("sk-{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_has_22_url_safe_characters() {
        let key = new_key([0xff; 16]);
        assert_eq!(key.len(), "sk-".len() + 22);
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        assert!(key.chars().all(safe), "{key}");
        assert_ne!(key, new_key([0; 16]));
    }

    #[test]
    fn nothing_is_beyond_its_bound_and_no_bound_is_as_much_as_there_is() {
        let bounds =
            KeyBounds { max_budget: Some(5.0), rpm_limit: Some(10), ..KeyBounds::default() };
        let mut asked = Allowance { max_budget: Some(1.0), ..Allowance::default() };
        let beyond = bounds.check(&asked).unwrap_err();
        assert_eq!((beyond.field, beyond.value.as_str()), ("rpm_limit", "unlimited"));
        bounds.fill_in(&mut asked);
        assert_eq!(
            (asked.max_budget, asked.rpm_limit, asked.tpm_limit),
            (Some(1.0), Some(10), None)
        );
        assert_eq!(bounds.check(&asked), Ok(()));
        asked.max_budget = Some(5.01);
        assert_eq!(bounds.check(&asked).unwrap_err().max, "5");
    }

    #[test]
    fn a_key_lives_no_longer_than_its_bound() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let bounds = KeyBounds { duration: Some("1d".to_owned()), ..KeyBounds::default() };
        assert_eq!(bounds.expires(None, now), Ok(at("2026-01-02T00:00:00Z")));
        assert_eq!(bounds.expires(at("2026-01-01T01:00:00Z"), now), Ok(at("2026-01-01T01:00:00Z")));
        assert!(bounds.expires(at("2026-01-03T00:00:00Z"), now).is_err());
        assert_eq!(KeyBounds::default().expires(None, now), Ok(None));
    }
}
