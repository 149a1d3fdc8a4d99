//! Who pays for a request: everything that may have a budget or a limit of its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The kinds of payers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// All traffic of this gateway and those that share its store; its id is empty.
    Proxy,
    Organisation,
    Team,
    /// A user in a team: `team/user`.
    TeamMember,
    User,
    Key,
    EndUser,
    /// A model group.
    Model,
    /// A key's calls of one model group: `key/group`.
    KeyModel,
    /// What all keys of a team call of one model group: `team/group`. It has limits, and no budget.
    TeamModel,
    Tag,
    Provider,
    /// One deployment, by its id.
    Deployment,
}

impl ScopeKind {
    pub const ALL: [Self; 13] = [
        Self::Proxy,
        Self::Organisation,
        Self::Team,
        Self::TeamMember,
        Self::User,
        Self::Key,
        Self::EndUser,
        Self::Model,
        Self::KeyModel,
        Self::TeamModel,
        Self::Tag,
        Self::Provider,
        Self::Deployment,
    ];

    /// The word by which stores and metrics know it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Organisation => "organisation",
            Self::Team => "team",
            Self::TeamMember => "team_member",
            Self::User => "user",
            Self::Key => "key",
            Self::EndUser => "end_user",
            Self::Model => "model",
            Self::KeyModel => "key_model",
            Self::TeamModel => "team_model",
            Self::Tag => "tag",
            Self::Provider => "provider",
            Self::Deployment => "deployment",
        }
    }

    /// The kind that a store knows by this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One payer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    pub kind: ScopeKind,
    pub id: Arc<str>,
}

impl Scope {
    #[must_use]
    pub fn new(kind: ScopeKind, id: impl Into<Arc<str>>) -> Self {
        Self { kind, id: id.into() }
    }
}
