//! Guardrails: who looks at what is asked and what is answered, and what becomes of what they find.
//!
//! ```text
//! Guardrails --choose--> Chosen --look--> nothing | other texts | a Refusal
//!                          |
//!                          +--flow--> the events of a stream, once they were looked at
//! ```
//!
//! A guardrail is a [`Detector`] in this process or an [`Inspector`] elsewhere, with what the operator says of
//! it: when it looks, whether it is always asked, and what is done if it gives no answer. What was found is never
//! repeated here, neither to the client nor to the log: only what kind of thing it was. Knows nothing of HTTP,
//! of the configuration's form and of the clock.

mod chosen;
mod filter;
mod flow;
mod injection;
mod lane;
mod patterns;
mod pii;
mod reading;
mod redaction;
mod said;
mod secrets;
mod spelling;
mod vault;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

pub use chosen::{Asked, Chosen, Findings, Named, Pick};
pub use filter::{Filter, Rule, Word};
pub use flow::Flow;
pub use injection::{Injection, THRESHOLD};
pub use patterns::{PREBUILT, Prebuilt, prebuilt};
pub use pii::{Entity, Pii, blocked as blocked_entity};
pub use redaction::{Redacted, Redaction};
pub use said::Said;
pub use secrets::Secrets;
pub use vault::Vault;
pub use watch::{Outcome, Watch};

pub use crate::wire::texts::Role;

/// When a guardrail looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// At the request, before anything is called.
    PreCall,
    /// At the request, while the provider is called; nothing leaves before it has looked.
    DuringCall,
    /// At the reply.
    PostCall,
    /// At both when all is over; what it finds is written down, and nothing else happens.
    LoggingOnly,
}

impl Mode {
    pub const ALL: [Self; 4] = [Self::PreCall, Self::DuringCall, Self::PostCall, Self::LoggingOnly];

    /// In LiteLLM's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PreCall => "pre_call",
            Self::DuringCall => "during_call",
            Self::PostCall => "post_call",
            Self::LoggingOnly => "logging_only",
        }
    }
}

/// A set of modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes(u8);

impl Modes {
    #[must_use]
    pub const fn with(self, mode: Mode) -> Self {
        Self(self.0 | 1 << mode as u8)
    }

    #[must_use]
    pub const fn has(self, mode: Mode) -> bool {
        self.0 & (1 << mode as u8) != 0
    }

    /// Whether what it finds can stop or change anything.
    #[must_use]
    pub const fn acts(self) -> bool {
        self.0 & !(1 << Mode::LoggingOnly as u8) != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The words of the modes.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Mode::ALL.into_iter().filter(move |mode| self.has(*mode)).map(Mode::word)
    }
}

/// What a text was found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub at: Range<usize>,
    /// What kind of thing it is: `EMAIL_ADDRESS`. Never the thing itself.
    pub label: Arc<str>,
    pub act: Act,
}

/// What becomes of what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The request or the reply ends here, with this message.
    Block(Arc<str>),
    /// This stands in its place.
    Mask(Arc<str>),
    /// The same, and the client gets it back where the reply repeats what stands in its place.
    Hide,
}

/// Looks at texts in this process.
pub trait Detector: fmt::Debug + Send + Sync {
    /// Appends what a text holds, in any order; what overlaps is sorted out by the caller.
    fn find(&self, text: &str, role: Role, found: &mut Vec<Found>);

    /// Whether it may put something else in the place of what it finds.
    fn masks(&self) -> bool;
}

/// Looks at texts elsewhere.
#[async_trait]
pub trait Inspector: fmt::Debug + Send + Sync {
    /// Looks at all texts of a request, or at (a part of) a reply.
    ///
    /// # Errors
    /// There was no answer, or none that could be understood.
    async fn inspect(&self, question: Question<'_>) -> Result<Answer, NoAnswer>;

    /// Whether it may answer with other texts.
    fn masks(&self) -> bool;
}

/// What an inspector is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub side: Side,
    pub texts: &'a [(Role, &'a str)],
    pub asked: &'a Asked,
    /// What the request says to this guardrail.
    pub extra: Option<&'a Map<String, Value>>,
}

/// Whose texts are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Request,
    Reply,
}

impl Side {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Reply => "response",
        }
    }
}

/// What an inspector answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Pass,
    /// The message is for the client, the label for the log.
    Blocked {
        message: Arc<str>,
        label: Arc<str>,
    },
    /// What is to stand in the places of the texts: one for each.
    Texts(Vec<String>),
    /// What they hold, text by text.
    Found(Vec<Vec<Found>>),
}

/// An inspector gave no answer that could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

/// Who looks.
#[derive(Clone, Debug)]
pub enum Check {
    Here(Arc<dyn Detector>),
    There(Arc<dyn Inspector>),
}

/// When a guardrail looks at a request: by its tags, or else always the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    pub otherwise: Modes,
    /// By tag of the request.
    pub tagged: Vec<(Box<str>, Modes)>,
}

impl When {
    /// The modes for a request with these tags.
    #[must_use]
    pub fn modes(&self, tags: &[Box<str>]) -> Modes {
        let of_tags = self.tagged.iter().filter(|(tag, _)| tags.contains(tag));
        let modes = of_tags.fold(Modes::default(), |all, (_, modes)| all.and(*modes));
        if modes.is_empty() { self.otherwise } else { modes }
    }

    /// Every mode that it may have.
    #[must_use]
    pub fn all(&self) -> Modes {
        self.tagged.iter().fold(self.otherwise, |all, (_, modes)| all.and(*modes))
    }
}

/// How a stream is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// So much new text is waited for, in bytes.
    pub bytes: usize,
    /// So much of what was looked at is kept back, because what it begins may go on.
    pub overlap: usize,
}

impl Window {
    /// A few words: short enough to be read as it comes.
    pub const HERE: Self = Self { bytes: 64, overlap: 192 };
    /// A call for each window takes longer than the text.
    pub const THERE: Self = Self { bytes: 1_000, overlap: 200 };
    /// At the end of the stream, once.
    pub const WHOLE: Self = Self { bytes: usize::MAX, overlap: 0 };
}

/// One entry of `guardrails`.
#[derive(Clone, Debug)]
pub struct Guardrail {
    pub name: Arc<str>,
    /// In LiteLLM's word: `openai_moderation`.
    pub kind: &'static str,
    pub when: When,
    /// It is asked for every request.
    pub default_on: bool,
    /// What it gave no answer about goes on, and so does what it cannot look at.
    pub fails_open: bool,
    pub check: Check,
    pub window: Window,
    /// `guardrail_info`, for `/guardrails/list`.
    pub info: Value,
}

impl Guardrail {
    /// Whether it may put something else in the place of what it finds.
    #[must_use]
    pub fn masks(&self) -> bool {
        match &self.check {
            Check::Here(detector) => detector.masks(),
            Check::There(inspector) => inspector.masks(),
        }
    }
}

/// The guardrails of a configuration.
#[derive(Debug, Default)]
pub struct Guardrails {
    pub list: Vec<Arc<Guardrail>>,
    /// Those that a deployment asks for, by its id.
    pub of_deployments: HashMap<Arc<str>, Vec<Arc<str>>>,
}

impl Guardrails {
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<Guardrail>> {
        self.list.iter().find(|guardrail| *guardrail.name == *name)
    }
}

/// Why a request or a reply does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub guardrail: Arc<str>,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It found something. The message is for the client, the label for the log.
    Found { message: Arc<str>, label: Arc<str> },
    /// It gave no answer, and nothing goes on without one.
    NoAnswer,
    /// It cannot look at such a request, and nothing goes on unseen.
    Unseen(&'static str),
    /// Nothing is called that.
    Unknown,
}
