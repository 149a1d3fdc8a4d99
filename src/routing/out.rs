//! Why a deployment does not take part in a choice. One list, which the choice fills and explain
//! and the debug log read.

use std::fmt;
use std::time::Duration;

use super::known;
use crate::catalog::Capability;

/// The reason, with what a person needs to understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// It rests after failures.
    Cooling {
        remaining: Duration,
    },
    /// Its rest is over, and another request is finding out whether it has recovered.
    Probing,
    /// Its `max_parallel_requests` are in flight.
    Full {
        bound: u32,
    },
    /// A limit of requests or tokens would be exceeded; `limit` names it as the configuration does.
    OverLimit {
        limit: &'static str,
        retry_after: Duration,
    },
    /// A health check found it unwell.
    Unhealthy,
    /// It does not take requests with these tags.
    TagMismatch,
    /// The prompt is longer than its window.
    ContextTooSmall {
        window: u64,
        tokens: u64,
    },
    MissingCapability(Capability),
    /// Its `metadata.capabilities` do not name what the request asks for.
    CapabilityNotNamed,
    /// The prompt is above `context_threshold`, and it is not known to take such.
    NotLongContext {
        tokens: u64,
    },
    /// It stands in no region that the request may go to.
    OtherRegion,
    /// Another deployment keeps what the request is about.
    NotOwner,
    /// Deployments with its `order` were tried already.
    OrderTried,
    /// It failed this request and cannot be asked again now.
    Failed,
}

impl Out {
    /// A word for logs and for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Cooling { .. } => "cooling",
            Self::Probing => "probing",
            Self::Full { .. } => "full",
            Self::OverLimit { .. } => "over_limit",
            Self::Unhealthy => "unhealthy",
            Self::TagMismatch => "tag_mismatch",
            Self::ContextTooSmall { .. } => "context_too_small",
            Self::MissingCapability(_) => "missing_capability",
            Self::CapabilityNotNamed => "capability_not_named",
            Self::NotLongContext { .. } => "not_long_context",
            Self::OtherRegion => "other_region",
            Self::NotOwner => "not_owner",
            Self::OrderTried => "order_tried",
            Self::Failed => "failed",
        }
    }

    /// Whether the deployment could never serve this request, however long one waits.
    #[must_use]
    pub const fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::ContextTooSmall { .. }
                | Self::MissingCapability(_)
                | Self::CapabilityNotNamed
                | Self::NotLongContext { .. }
                | Self::OtherRegion
                | Self::NotOwner
        )
    }
}

impl fmt::Display for Out {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cooling { remaining } => {
                write!(out, "rests after failures for {:.1} s", remaining.as_secs_f64())
            }
            Self::Probing => out.write_str("is being probed by another request after its rest"),
            Self::Full { bound } => write!(out, "has all {bound} places taken"),
            Self::OverLimit { limit, retry_after } => match known(*retry_after) {
                Some(wait) => {
                    write!(out, "is at its {limit} limit for {:.1} s", wait.as_secs_f64())
                }
                None => write!(out, "is at its {limit} limit, and waiting does not help"),
            },
            Self::Unhealthy => out.write_str("failed its health check"),
            Self::TagMismatch => out.write_str("does not take requests with these tags"),
            Self::ContextTooSmall { window, tokens } => {
                write!(out, "has a window of {window} tokens, the prompt about {tokens}")
            }
            Self::MissingCapability(capability) => {
                write!(out, "lacks `{}`", capability.name())
            }
            Self::CapabilityNotNamed => {
                out.write_str("does not name the capabilities that are asked for")
            }
            Self::NotLongContext { tokens } => {
                write!(out, "is not known to take prompts of about {tokens} tokens")
            }
            Self::OtherRegion => out.write_str("is not in an allowed region"),
            Self::NotOwner => out.write_str("did not make the response that is asked for"),
            Self::OrderTried => out.write_str("has an `order` that was tried already"),
            Self::Failed => out.write_str("failed this request already"),
        }
    }
}
