//! What may be told of, in LiteLLM's words.

/// A kind of alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Exceptions,
    TooSlow,
    Hanging,
    Budgets,
    SpendReports,
    FailedTracking,
    Stores,
    DailyReports,
    Cooldowns,
    Outages,
    RegionOutages,
    FallbackReports,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Exceptions,
        Self::TooSlow,
        Self::Hanging,
        Self::Budgets,
        Self::SpendReports,
        Self::FailedTracking,
        Self::Stores,
        Self::DailyReports,
        Self::Cooldowns,
        Self::Outages,
        Self::RegionOutages,
        Self::FallbackReports,
    ];

    /// As it stands in `alert_types`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exceptions => "llm_exceptions",
            Self::TooSlow => "llm_too_slow",
            Self::Hanging => "llm_requests_hanging",
            Self::Budgets => "budget_alerts",
            Self::SpendReports => "spend_reports",
            Self::FailedTracking => "failed_tracking_spend",
            Self::Stores => "db_exceptions",
            Self::DailyReports => "daily_reports",
            Self::Cooldowns => "cooldown_deployment",
            Self::Outages => "outage_alerts",
            Self::RegionOutages => "region_outage_alerts",
            Self::FallbackReports => "fallback_reports",
        }
    }

    /// Whether one gateway tells it for all of them, and none of them again.
    pub(super) const fn is_told_once(self) -> bool {
        match self {
            Self::Budgets
            | Self::SpendReports
            | Self::DailyReports
            | Self::Outages
            | Self::RegionOutages
            | Self::FallbackReports => true,
            Self::Exceptions
            | Self::TooSlow
            | Self::Hanging
            | Self::FailedTracking
            | Self::Stores
            | Self::Cooldowns => false,
        }
    }

    /// What a word of `alert_types` stands for.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Its place in [`Self::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// LiteLLM's kinds of which nobody is told here.
pub const UNTOLD: [&str; 11] = [
    "new_model_added",
    "model_deprecation_warnings",
    "new_virtual_key_created",
    "virtual_key_updated",
    "virtual_key_deleted",
    "new_team_created",
    "team_updated",
    "team_deleted",
    "new_internal_user_created",
    "internal_user_updated",
    "internal_user_deleted",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_their_words() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!((Kind::of(kind.word()), kind.index()), (Some(kind), index));
        }
        assert!(UNTOLD.iter().all(|word| Kind::of(word).is_none()));
    }
}
