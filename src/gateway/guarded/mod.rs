//! Guardrails on the way of a request: which of them apply, and where they look.
//!
//! ```text
//! take_in -- enter (pre_call) -- cache -- attempts, beside (during_call) -- reply or stream (post_call)
//! ```
//!
//! They look once for each request, not for each attempt. What is masked is masked in the client's own words
//! and, by translating those again, in the canonical form. The cache keeps what came from the provider, before
//! anybody looked at it and before what was hidden is put back: a hit is looked at like any reply.

mod choose;
mod reply;
mod unseen;

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use pingora_proxy::Session;

pub(super) use self::choose::passing;
use super::ctx::{Call, RequestCtx};
use super::error::GatewayError;
use super::intake;
use crate::dialect::{ClientDialect, Endpoint};
use crate::guard::{Chosen, Findings, Flow, Mode, Refusal, Said, Side, Vault, Why};
use crate::telemetry::{Metrics, Transcript};
use crate::wire;
use crate::wire::json::Object;
use crate::wire::texts;

/// The guardrails of one request, and what came of them so far.
#[derive(Debug)]
pub(super) struct Guarded {
    chosen: Chosen,
    vault: Vault,
    findings: Findings,
    /// The stream on its way out.
    flow: Option<Box<Flow>>,
    /// What is looked at when all is over.
    heard: reply::Heard,
}

/// What guardrails that look beside the call come to.
pub(super) type Beside = BoxFuture<'static, (Result<(), Refusal>, Findings)>;

impl Guarded {
    fn new(chosen: Chosen) -> Self {
        Self {
            chosen,
            vault: Vault::default(),
            findings: Findings::default(),
            flow: None,
            heard: reply::Heard::default(),
        }
    }

    /// The names of those that apply.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.chosen.picks.iter().map(|pick| &pick.rail.name)
    }

    /// What was hidden from the provider.
    pub(super) const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// What was found, and by whom.
    pub(super) const fn findings(&self) -> &Findings {
        &self.findings
    }
}

/// Finds out which guardrails apply to the call in `ctx`, and lets those look that look first. What they
/// mask is masked in the call.
///
/// # Errors
/// A guardrail refuses, or the request names one that is not there; or the client has left.
pub(super) async fn enter(
    metrics: &Arc<Metrics>,
    session: &mut Session,
    ctx: &mut RequestCtx,
) -> Result<(), Stopped> {
    let Some(call) = ctx.call.clone() else { return Ok(()) };
    let Some(chosen) = choose::of(metrics, ctx, session.req_header(), &call)? else {
        return Ok(());
    };
    let guarded = ctx.guarded.insert(Box::new(Guarded::new(chosen)));
    let Guarded { chosen, vault, findings, .. } = &mut **guarded;
    unseen::check(chosen, &call)?;
    if !chosen.has(Mode::PreCall) {
        return Ok(());
    }
    let body = call.native.as_ref().unwrap_or(&call.body).bytes().clone();
    let found = texts::of_request(&body);
    let mut said: Vec<_> =
        found.list.iter().map(|text| Said::new(text.role, &*text.value)).collect();
    let looking = chosen.look(Mode::PreCall, Side::Request, &mut said, vault, findings);
    let looked = {
        let client = session.as_downstream_mut().read_body_or_idle(true);
        let (mut looking, mut client) = (pin!(looking), pin!(client));
        tokio::select! {
            biased;
            looked = &mut looking => looked,
            _ = &mut client => return Err(Stopped::ClientGone),
        }
    };
    looked.map_err(refused)?;
    let new: Vec<_> = said
        .iter()
        .enumerate()
        .filter_map(|(at, said)| Some((at, said.changed()?.to_owned())))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    if call.form.is_some() {
        let why = Why::Unseen("what stands in a form cannot be masked");
        let name = chosen.at(Mode::PreCall).next().map(|pick| Arc::clone(&pick.rail.name));
        return Err(refused(Refusal { guardrail: name.unwrap_or_default(), why }).into());
    }
    let masked = found.rewritten(&body, &new, false);
    drop(call);
    Ok(replace(ctx, masked)?)
}

/// Why a request goes no further.
pub(super) enum Stopped {
    Told(GatewayError),
    ClientGone,
}

impl From<GatewayError> for Stopped {
    fn from(error: GatewayError) -> Self {
        Self::Told(error)
    }
}

/// Puts other words in the place of the client's own.
fn replace(ctx: &mut RequestCtx, words: bytes::Bytes) -> Result<(), GatewayError> {
    let words: Object = intake::json(words)?;
    // Nobody else has the call yet.
    let call = ctx.call.as_mut().and_then(Arc::get_mut).ok_or(GatewayError::Internal)?;
    if call.native.is_none() {
        call.body = words;
        return Ok(());
    }
    let asked = wire::client::Asked {
        model: Some(&call.model),
        stream: Some(call.stream),
        embeds: call.endpoint == Endpoint::Embeddings,
    };
    let canonical = wire::client::request(call.dialect, &words, asked)
        .map_err(|failure| GatewayError::Upstream(Box::new(failure)))?;
    call.body = canonical.body;
    call.obstacle = canonical.obstacle;
    call.native = Some(words);
    Ok(())
}

/// The guardrails that look at the request beside the call; `None`: none does.
pub(super) fn beside(ctx: &RequestCtx, call: &Call) -> Option<Beside> {
    let guarded = ctx.guarded.as_deref().filter(|it| it.chosen.has(Mode::DuringCall))?;
    let chosen = guarded.chosen.clone();
    let said = asked(call);
    Some(
        async move {
            let mut findings = Findings::default();
            let picks = chosen.at(Mode::DuringCall).cloned().map(|pick| {
                let asked = Arc::clone(&chosen.asked);
                Chosen { picks: vec![pick], asked }
            });
            let picks: Vec<_> = picks.collect();
            // They change nothing, so they need not wait for each other.
            let looking = picks.iter().map(|alone| {
                let mut said = said.clone();
                async move {
                    let (mut vault, mut findings) = (Vault::default(), Findings::default());
                    let (mode, side) = (Mode::DuringCall, Side::Request);
                    let looked = alone.look(mode, side, &mut said, &mut vault, &mut findings).await;
                    (looked.and_then(|()| unchanged(alone, &said)), findings)
                }
            });
            let mut result = Ok(());
            for (looked, of_one) in futures::future::join_all(looking).await {
                of_one.0.iter().for_each(|(name, label)| findings.note(name, label));
                result = result.and(looked);
            }
            (result, findings)
        }
        .boxed(),
    )
}

/// Whoever wants other words than those that are on their way can only refuse.
fn unchanged(alone: &Chosen, said: &[Said<'_>]) -> Result<(), Refusal> {
    let Some(pick) =
        alone.picks.first().filter(|_| said.iter().any(|said| said.changed().is_some()))
    else {
        return Ok(());
    };
    let message = "Content blocked by guardrail: it would have to be changed";
    let why = Why::Found { message: message.into(), label: "changed".into() };
    Err(Refusal { guardrail: Arc::clone(&pick.rail.name), why })
}

/// Takes down what they came to.
///
/// # Errors
/// One of them refuses.
pub(super) fn heeded(
    ctx: &mut RequestCtx,
    (looked, findings): (Result<(), Refusal>, Findings),
) -> Result<(), Refusal> {
    if let Some(guarded) = &mut ctx.guarded {
        findings.0.iter().for_each(|(name, label)| guarded.findings.note(name, label));
    }
    looked
}

/// The texts of a request, for those who look at them while it is on its way.
fn asked(call: &Call) -> Vec<Said<'static>> {
    let body = call.native.as_ref().unwrap_or(&call.body).bytes();
    let texts = texts::of_request(body).list.into_iter();
    texts.map(|text| Said::new(text.role, Cow::Owned(text.value.into_owned()))).collect()
}

pub(super) fn refused(refusal: Refusal) -> GatewayError {
    GatewayError::Guarded(Box::new(refusal))
}

impl RequestCtx {
    /// Whether the reply is looked at or changed before it goes out.
    pub(super) fn guards_reply(&self) -> bool {
        self.guarded.as_deref().is_some_and(|guarded| {
            !guarded.vault.is_empty()
                || guarded.chosen.has(Mode::PostCall)
                || guarded.chosen.has(Mode::LoggingOnly)
        })
    }

    /// Lets guardrails look at a whole reply as it goes to the client.
    ///
    /// # Errors
    /// One of them refuses.
    pub(super) async fn guard_reply(
        &mut self,
        call: &Call,
        body: bytes::Bytes,
        is_json: bool,
    ) -> Result<bytes::Bytes, Refusal> {
        match &mut self.guarded {
            Some(guarded) => Box::pin(guarded.reply(call, body, is_json)).await,
            None => Ok(body),
        }
    }

    /// Replaces events that are about to go out by those that may. `ends`: they are the last ones.
    ///
    /// # Errors
    /// A guardrail refuses: the stream ends with what [`RequestCtx::guarded_end`] says.
    pub(super) async fn guard_stream(
        &mut self,
        call: &Call,
        out: &mut Vec<bytes::Bytes>,
        ends: bool,
    ) -> Result<(), Refusal> {
        match &mut self.guarded {
            Some(guarded) => Box::pin(guarded.stream(call, out, ends)).await,
            None => Ok(()),
        }
    }

    /// What ends a stream that was refused; `None`: nothing of it is out.
    pub(super) fn guarded_end(&mut self) -> Option<bytes::Bytes> {
        let flow = self.guarded.as_deref_mut()?.flow.as_mut()?;
        flow.has_begun().then(|| flow.end())
    }

    /// Lets those look that only write down what they find. The reply is out. What they mask is masked in
    /// what was taken down of it, and what they refuse nobody is told.
    pub(super) async fn guard_afterwards(
        &mut self,
        transcript: Option<Transcript>,
    ) -> Option<Transcript> {
        let (Some(guarded), Some(call)) = (&mut self.guarded, &self.call) else {
            return transcript;
        };
        match guarded.chosen.has(Mode::LoggingOnly) {
            true => Box::pin(guarded.afterwards(call, transcript)).await,
            false => transcript,
        }
    }
}

/// In which dialect a call is answered.
const fn told_in(call: &Call) -> ClientDialect {
    call.dialect
}
