//! What is answered: a whole reply, the events of a stream, and what is looked at when both are out.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::super::ctx::Call;
use super::{Guarded, asked, told_in};
use crate::dialect::Endpoint;
use crate::guard::{Flow, Mode, Refusal, Role, Said, Side, Vault, Why};
use crate::telemetry::Transcript;
use crate::wire::texts::{self, Events, Texts, of_event};

/// So much of a stream is kept for those who look at it afterwards.
const HEARD_MAX: usize = 1024 * 1024;

/// What went out, for those who look when all is over.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pieces: Vec<Bytes>,
    bytes: usize,
    is_stream: bool,
}

impl Heard {
    fn take(&mut self, pieces: &[Bytes], is_stream: bool) {
        self.is_stream = is_stream;
        for piece in pieces {
            self.bytes += piece.len();
            if self.bytes <= HEARD_MAX || !is_stream {
                self.pieces.push(piece.clone());
            }
        }
    }

    /// The texts of it.
    fn said(&self, is_array: bool) -> Vec<Said<'static>> {
        let said = |text: String| Said::new(Role::Assistant, Cow::Owned(text));
        if !self.is_stream {
            let whole = self.pieces.first().map(|body| texts::of_reply(body).list);
            let whole = whole.into_iter().flatten();
            return whole.map(|text| said(text.value.into_owned())).collect();
        }
        let mut events = Events::new(is_array);
        let mut lanes: Vec<(u64, String)> = Vec::new();
        for piece in &self.pieces {
            events.push(piece.clone(), |event| {
                for text in of_event(event.data()).list {
                    // What comes whole was told in pieces before, or is short.
                    let lane = text.lane.unwrap_or_default();
                    match lanes.iter_mut().find(|(known, _)| *known == lane) {
                        Some((_, so_far)) => so_far.push_str(&text.value),
                        None => lanes.push((lane, text.value.into_owned())),
                    }
                }
            });
        }
        lanes.into_iter().map(|(_, text)| said(text)).collect()
    }
}

impl Guarded {
    pub(super) async fn reply(
        &mut self,
        call: &Call,
        body: Bytes,
        is_json: bool,
    ) -> Result<Bytes, Refusal> {
        if self.chosen.has(Mode::LoggingOnly) && is_json {
            self.heard.take(std::slice::from_ref(&body), false);
        }
        let looks = self.chosen.has(Mode::PostCall);
        if !looks && self.vault.is_empty() || !says_something(call.endpoint) {
            return Ok(body);
        }
        if !is_json {
            return self.plain(body).await;
        }
        let found = texts::of_reply(&body);
        if found.is_broken && looks {
            return self.unseen("the reply is no JSON").map(|()| body.clone());
        }
        let mut said: Vec<_> =
            found.list.iter().map(|text| Said::new(text.role, &*text.value)).collect();
        self.look(&mut said).await?;
        let masks = said.iter().any(|said| said.changed().is_some());
        let new = said.iter().enumerate().filter_map(|(at, said)| {
            let restored = self.vault.restored(said.text());
            Some((at, restored.or_else(|| said.changed().map(str::to_owned))?))
        });
        let new: Vec<_> = new.collect();
        Ok(match new.is_empty() {
            true => body.clone(),
            false => found.rewritten(&body, &new, masks),
        })
    }

    /// A reply that is a text and nothing else: a transcript.
    async fn plain(&mut self, body: Bytes) -> Result<Bytes, Refusal> {
        let Ok(text) = std::str::from_utf8(&body) else {
            return self.unseen("the reply is no text").map(|()| body.clone());
        };
        let mut said = [Said::new(Role::Assistant, text)];
        self.look(&mut said).await?;
        let [said] = said;
        let restored = self.vault.restored(said.text());
        let new = restored.or_else(|| said.changed().map(str::to_owned));
        Ok(new.map_or_else(|| body.clone(), Bytes::from))
    }

    async fn look(&mut self, said: &mut [Said<'_>]) -> Result<(), Refusal> {
        // What a model says is hidden from nobody: it is not the client's to get back.
        let mut vault = Vault::default();
        let (mode, side) = (Mode::PostCall, Side::Reply);
        self.chosen.look(mode, side, said, &mut vault, &mut self.findings).await
    }

    fn unseen(&self, why: &'static str) -> Result<(), Refusal> {
        match self.chosen.closed(&[Mode::PostCall]) {
            Some(pick) => {
                let guardrail = Arc::clone(&pick.rail.name);
                Err(Refusal { guardrail, why: Why::Unseen(why) })
            }
            None => Ok(()),
        }
    }

    pub(super) async fn stream(
        &mut self,
        call: &Call,
        out: &mut Vec<Bytes>,
        ends: bool,
    ) -> Result<(), Refusal> {
        if self.chosen.has(Mode::LoggingOnly) {
            self.heard.take(out, true);
        }
        let looks = self.chosen.has(Mode::PostCall) || !self.vault.is_empty();
        if !looks || !says_something(call.endpoint) {
            return Ok(());
        }
        let Self { chosen, vault, findings, flow, .. } = self;
        let flow =
            flow.get_or_insert_with(|| Box::new(Flow::new(chosen, told_in(call), call.array)));
        flow.pass(out, ends, chosen, vault, findings).await
    }

    /// What those find who only write it down, and the transcript without it. `None`: there is none, or
    /// one of them refuses it.
    pub(super) async fn afterwards(
        &mut self,
        call: &Call,
        transcript: Option<Transcript>,
    ) -> Option<Transcript> {
        let Some(Transcript { request, reply }) = transcript else {
            let sides = [(Side::Request, asked(call)), (Side::Reply, self.heard.said(call.array))];
            for (side, mut said) in sides {
                // There is nothing to refuse.
                let _looked = self.listen(side, &mut said).await;
            }
            return None;
        };
        let asked = texts::of_request(&request);
        let masked = self.masked(Side::Request, &request, asked).await;
        let reply = match reply {
            Some(reply) => {
                let said = texts::of_all(&reply);
                self.masked(Side::Reply, &reply, said).await.map(Some)
            }
            None => {
                let mut said = self.heard.said(call.array);
                self.listen(Side::Reply, &mut said).await.map(|()| None)
            }
        };
        let (Ok(request), Ok(reply)) = (masked, reply) else { return None };
        Some(Transcript { request, reply })
    }

    /// A body of which is masked what those find who look when all is over.
    async fn masked(
        &mut self,
        side: Side,
        body: &Bytes,
        texts: Texts<'_>,
    ) -> Result<Bytes, Refusal> {
        let mut said: Vec<_> =
            texts.list.iter().map(|text| Said::new(text.role, &*text.value)).collect();
        self.listen(side, &mut said).await?;
        let new = said.iter().enumerate();
        let new = new.filter_map(|(at, said)| Some((at, said.changed()?.to_owned())));
        let new: Vec<_> = new.collect();
        Ok(match new.is_empty() {
            true => body.clone(),
            false => texts.rewritten(body, &new, true),
        })
    }

    async fn listen(&mut self, side: Side, said: &mut [Said<'_>]) -> Result<(), Refusal> {
        let (mut vault, mode) = (Vault::default(), Mode::LoggingOnly);
        self.chosen.look(mode, side, said, &mut vault, &mut self.findings).await
    }
}

/// Whether a reply has words in it that a model chose.
const fn says_something(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::Chat
            | Endpoint::Completions
            | Endpoint::Responses
            | Endpoint::Transcriptions
            | Endpoint::Translations
    )
}
