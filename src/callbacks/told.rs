//! What a request tells of itself: shared parts of it, put together while its client has its reply
//! already. The rest is the clerk's.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::own::Own;
use super::settings::SinkSettings;
use crate::catalog::Served;
use crate::keys::Caller;
use crate::money::Usd;
use crate::usage::Usage;

/// One request that is over.
#[derive(Clone, Debug)]
pub struct Told {
    /// The ledger's id of it.
    pub id: Arc<str>,
    /// The client's or ours: `x-litellm-call-id`.
    pub call_id: Arc<str>,
    /// The conversation that the client says that it belongs to: `x-litellm-session-id`.
    pub session: Option<Box<str>>,
    /// The trace, likewise: `x-litellm-trace-id`.
    pub trace: Option<Box<str>>,
    /// LiteLLM's name of what was called: `acompletion`.
    pub call_type: &'static str,
    pub route: Box<str>,
    pub started: SystemTime,
    pub total: Duration,
    pub overhead: Duration,
    /// Until the first content of a stream.
    pub ttft: Option<Duration>,
    pub stream: bool,
    pub status: u16,
    /// As the client wrote it.
    pub model: Box<str>,
    pub group: Option<Arc<str>>,
    pub served: Option<Served>,
    pub usage: Option<Usage>,
    pub cost: Option<Usd>,
    /// `None`: the cache was not looked into.
    pub cache: Option<CacheUse>,
    pub caller: Option<Caller>,
    pub end_user: Option<Box<str>>,
    pub ip: Option<IpAddr>,
    pub user_agent: Option<Box<str>>,
    pub tags: Vec<Box<str>>,
    /// Parameters of the request, by name, as JSON. Numbers and the like; nothing of the prompt.
    pub parameters: Vec<(&'static str, Box<str>)>,
    /// `metadata` of the request, as JSON.
    pub metadata: Option<Box<str>>,
    pub guardrails: Vec<Arc<str>>,
    /// Guardrail and kind of what it found.
    pub findings: Vec<(Arc<str>, Arc<str>)>,
    pub failed: Option<Failed>,
    pub retries: u32,
    pub fallbacks: u32,
    /// Prompt and reply; `None`: nobody is to be told of them.
    pub text: Option<Text>,
    /// Callbacks that the client does not want: `x-litellm-disable-callbacks`.
    pub without: Vec<Box<str>>,
    /// A copy for a `silent_model`: nobody has seen its reply.
    pub is_shadow: bool,
}

/// What the cache had to do with it.
#[derive(Clone, Debug)]
pub enum CacheUse {
    Miss,
    Hit { key: Arc<str>, saved: Usd },
}

/// Why its client did not get the whole of a successful reply.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Of a closed list.
    pub class: &'static str,
    pub code: Box<str>,
    /// What the client was told. May hold words of the prompt, so it goes where those go.
    pub message: Option<Box<str>>,
}

/// What was said, in the client's own dialect.
#[derive(Clone, Debug)]
pub struct Text {
    pub request: Bytes,
    pub reply: Option<Bytes>,
}

impl Told {
    /// A request that nobody made.
    pub(super) fn test(now: SystemTime) -> Self {
        let id: Arc<str> = format!("test-{}", uuid::Uuid::now_v7()).into();
        Self {
            call_id: Arc::clone(&id),
            id,
            session: None,
            trace: None,
            call_type: "acompletion",
            route: "/health/services".into(),
            started: now,
            total: Duration::ZERO,
            overhead: Duration::ZERO,
            ttft: None,
            stream: false,
            status: 200,
            model: "test".into(),
            group: None,
            served: None,
            usage: None,
            cost: None,
            cache: None,
            caller: None,
            end_user: None,
            ip: None,
            user_agent: None,
            tags: vec!["test".into()],
            parameters: Vec::new(),
            metadata: None,
            guardrails: Vec::new(),
            findings: Vec::new(),
            failed: None,
            retries: 0,
            fallbacks: 0,
            text: None,
            without: Vec::new(),
            is_shadow: false,
        }
    }

    /// What its prompt and reply hold of memory.
    pub(super) fn text_bytes(&self) -> usize {
        self.text
            .as_ref()
            .map_or(0, |text| text.request.len() + text.reply.as_ref().map_or(0, Bytes::len))
    }

    /// Whether a sink is to hear of it.
    pub(super) fn is_for(&self, sink: &SinkSettings) -> bool {
        sink.wants(self.failed.is_some()) && !self.is_without(&sink.name)
    }

    /// Whether a callback of the request's key or team is to hear of it.
    pub(super) fn is_for_own(&self, callback: &Own<'_>) -> bool {
        callback.events().has(self.failed.is_some()) && !self.is_without(callback.name())
    }

    fn is_without(&self, name: &str) -> bool {
        self.without.iter().any(|other| other.eq_ignore_ascii_case(name))
    }
}
