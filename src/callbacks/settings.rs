//! What the configuration says of callbacks, as plain data.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::own;
use crate::catalog::{Authorisation, Scheme};

/// All callbacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pub sinks: Vec<Arc<SinkSettings>>,
    /// Prompts and replies are told, too, to whoever is told: `turn_off_message_logging: false`.
    pub wants_text: bool,
    /// Who called is not told: `redact_user_api_key_info`.
    pub hides_callers: bool,
    /// Where what cannot be delivered waits; each sink has a folder in it.
    pub folder: PathBuf,
    /// The most that one sink keeps there.
    pub spill_bytes: u64,
    /// What callbacks of keys and teams follow.
    pub own: own::Settings,
}

impl Settings {
    /// What the clouds' identities are known by that callbacks have.
    pub fn identities(&self) -> impl Iterator<Item = [u8; 32]> + '_ {
        self.sinks.iter().filter_map(|sink| match &sink.target {
            Target::S3(bucket) => Some(bucket.authorisation.identity.digest),
            Target::Generic { .. } | Target::Langfuse { .. } | Target::Datadog { .. } => None,
        })
    }
}

/// One callback.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkSettings {
    pub name: Box<str>,
    pub target: Target,
    pub successes: bool,
    pub failures: bool,
    /// The most requests that are sent at once.
    pub batch: usize,
    /// How long the first of a batch waits for the others.
    pub every: Duration,
}

impl SinkSettings {
    /// Whether it wants to hear of a request.
    pub(super) const fn wants(&self, failed: bool) -> bool {
        if failed { self.failures } else { self.successes }
    }
}

/// Who is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Generic { post: Post, format: Format },
    Langfuse { post: Post, default_tags: Vec<Box<str>> },
    Datadog { post: Post, labels: Labels },
    S3(Bucket),
}

impl Target {
    /// The most bytes of payloads that one batch holds.
    pub(super) const fn batch_bytes(&self) -> usize {
        match self {
            Self::Generic { .. } => 16 * 1024 * 1024,
            // It takes 3.5 MB, and prompt and reply stand in a trace and again in its generation.
            Self::Langfuse { .. } => 1024 * 1024,
            // It takes 5 MB; a payload is a text in JSON there, with a backslash before each quote.
            Self::Datadog { .. } => 3 * 1024 * 1024,
            Self::S3(_) => 8 * 1024 * 1024,
        }
    }
}

/// Where payloads are posted to. Values of headers are marked as sensitive, so that no log shows them;
/// so is the address, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Post {
    pub url: Box<str>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What stands behind the host may be a secret, and before it, too.
        let host = self.url.parse::<http::Uri>().ok();
        let host = host.as_ref().and_then(http::Uri::host).unwrap_or_default();
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        out.debug_struct("Post").field("host", &host).field("headers", &names).finish()
    }
}

/// How payloads are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    JsonArray,
    /// One on each line.
    Ndjson,
    /// Each by itself.
    Single,
}

/// What Datadog is told beside the payload, of `DD_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    pub source: Box<str>,
    pub service: Box<str>,
    pub hostname: Box<str>,
    /// `name:value`.
    pub tags: Vec<Box<str>>,
}

/// A bucket of S3, or of what speaks as S3 does.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Scheme, host and, where the bucket is not part of the host, the bucket; no slash at the end.
    pub base: Box<str>,
    /// What all keys begin with, without a slash at the end; may be empty.
    pub path: Box<str>,
    pub team_prefix: bool,
    pub key_prefix: bool,
    pub authorisation: Authorisation,
}

impl PartialEq for Bucket {
    fn eq(&self, other: &Self) -> bool {
        let plain = |it: &Self| (it.base.clone(), it.path.clone(), it.team_prefix, it.key_prefix);
        let region = |it: &Self| match &it.authorisation.scheme {
            Scheme::SigV4 { region, .. } => Some(region.clone()),
            Scheme::Bearer => None,
        };
        plain(self) == plain(other)
            && region(self) == region(other)
            && self.authorisation.identity.digest == other.authorisation.identity.digest
    }
}
