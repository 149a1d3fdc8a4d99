//! What a user may manage. Default deny: what is not listed here is refused.

use serde::{Deserialize, Serialize};

/// The role of a user, in LiteLLM's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// As the holder of the master key.
    ProxyAdmin,
    /// Sees everything, changes nothing.
    ProxyAdminViewer,
    /// Manages the teams of an organisation.
    OrgAdmin,
    /// Makes, sees and deletes own keys, and sees own spend.
    #[default]
    InternalUser,
    /// Sees own keys and own spend.
    InternalUserViewer,
}

impl Role {
    /// The word by which LiteLLM's clients know it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ProxyAdmin => "proxy_admin",
            Self::ProxyAdminViewer => "proxy_admin_viewer",
            Self::OrgAdmin => "org_admin",
            Self::InternalUser => "internal_user",
            Self::InternalUserViewer => "internal_user_viewer",
        }
    }
}
