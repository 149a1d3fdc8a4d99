//! A stream on its way through guardrails: events are held until all that they say was looked at.
//!
//! Every text of the stream is a lane. Guardrails look at a lane when enough of it is new, and again at
//! the last of what they saw, because a thing may lie across two windows. An event leaves when nothing in
//! it can change any more; the order of events never changes. So what was found has not left. Who looks, and
//! when, stands in `looking.rs`.

mod looking;

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use self::looking::Look;
use super::lane::Lane;
use super::{Chosen, Findings, Mode, Refusal, Vault, Why};
use crate::dialect::ClientDialect;
use crate::wire::texts::{Cut, Event, Events, Texts, of_event};

/// What is held at most, in bytes: beyond it the stream cannot be looked at.
const HELD_MAX: usize = 16 * 1024 * 1024;

/// A text that no event of so many goes on with, and of four times as many as there are texts side by side, seems to be
/// over: the thoughts of a model when its answer comes.
const IDLE_EVENTS: u64 = 32;

/// A lane's: whether its text comes whole, and a number.
type Name = (bool, u64);

/// Who finds placeholders, among the guardrails.
const VAULT: usize = usize::MAX;

#[derive(Debug)]
pub struct Flow {
    events: Events,
    cut: Cut,
    held: VecDeque<Held>,
    held_bytes: usize,
    lanes: BTreeMap<Name, Lane>,
    /// Numbers for texts that come whole: each is a lane of its own.
    next_whole: u64,
    /// It may put something else in the place of what a model said.
    masks: bool,
    /// By guardrail.
    looks: Vec<Look>,
    /// Events that said something.
    said: u64,
    /// An event could not be read to its end.
    is_unread: bool,
}

/// An event that is not out.
#[derive(Debug)]
struct Held {
    event: Event,
    /// Its texts: which lane, and where in it.
    parts: Vec<(Name, Range<usize>)>,
}

impl Flow {
    #[must_use]
    pub fn new(chosen: &Chosen, dialect: ClientDialect, is_array: bool) -> Self {
        let masks = chosen.at(Mode::PostCall).any(|pick| pick.masks());
        Self {
            events: Events::new(is_array),
            cut: Cut::new(dialect, is_array),
            held: VecDeque::new(),
            held_bytes: 0,
            lanes: BTreeMap::new(),
            next_whole: 0,
            masks,
            looks: vec![Look::default(); chosen.at(Mode::PostCall).count()],
            said: 0,
            is_unread: false,
        }
    }

    /// Whether anything is out.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.cut.has_begun()
    }

    /// What ends a stream that was refused: nothing that is held follows it.
    #[must_use]
    pub fn end(&mut self) -> Bytes {
        self.held.clear();
        self.cut.end()
    }

    /// Takes events that are about to go out, and replaces them by those that may. `ends`: they are the
    /// last ones.
    ///
    /// # Errors
    /// A guardrail refuses: nothing more may go out, but for [`Flow::end`].
    pub async fn pass(
        &mut self,
        out: &mut Vec<Bytes>,
        ends: bool,
        chosen: &Chosen,
        vault: &Vault,
        findings: &mut Findings,
    ) -> Result<(), Refusal> {
        let picks: Vec<_> = chosen.at(Mode::PostCall).collect();
        let mut came = Vec::new();
        for bytes in out.drain(..) {
            self.events.push(bytes, |event| came.push(event));
        }
        came.extend(ends.then(|| self.events.rest()).flatten());
        for event in came {
            self.hold(event, picks.len());
        }
        if self.held_bytes > HELD_MAX {
            let guardrail = picks.first().map(|pick| pick.rail.name.clone());
            let why = Why::Unseen("an event or a text of the stream is too large");
            return Err(Refusal { guardrail: guardrail.unwrap_or_default(), why });
        }
        if let Some(pick) = chosen.closed(&[Mode::PostCall]).filter(|_| self.is_unread) {
            let why = Why::Unseen("an event of the stream is no JSON");
            return Err(Refusal { guardrail: Arc::clone(&pick.rail.name), why });
        }
        self.let_rest();
        let looked = self.look(&picks, ends, chosen, findings).await;
        if ends || looked.is_err() {
            self.tell(&picks, chosen, looked.as_ref().err());
        }
        looked?;
        let overlaps: Vec<_> = picks.iter().map(|pick| pick.rail.window.overlap).collect();
        for lane in self.lanes.values_mut() {
            let held = restore(lane, vault, ends);
            lane.settle(&overlaps, held, ends);
        }
        self.release(out);
        Ok(())
    }

    /// Lets those texts rest that seem to be over, so that nobody waits for more of them.
    fn let_rest(&mut self) {
        let patience = IDLE_EVENTS.max(4 * self.lanes.len() as u64);
        for lane in self.lanes.values_mut() {
            if lane.settled() < lane.end() && lane.last + patience <= self.said {
                lane.rest();
            }
        }
    }

    fn hold(&mut self, event: Event, guardrails: usize) {
        self.held_bytes += event.bytes().len();
        let texts = of_event(event.data());
        // What is no object has no texts: `[DONE]`.
        self.is_unread |= texts.is_broken && event.data().trim_ascii_start().starts_with(b"{");
        self.said += u64::from(!texts.list.is_empty());
        let mut parts = Vec::with_capacity(texts.list.len());
        for text in &texts.list {
            let number = match text.lane {
                Some(number) => (false, number),
                None => {
                    self.next_whole += 1;
                    (true, self.next_whole)
                }
            };
            let lane = match self.lanes.entry(number) {
                Entry::Occupied(lane) => lane.into_mut(),
                Entry::Vacant(place) => place.insert(Lane::new(guardrails, text.is_json)),
            };
            lane.is_whole = text.lane.is_none();
            lane.last = self.said;
            parts.push((number, lane.push(&text.value)));
        }
        self.held.push_back(Held { event, parts });
    }

    fn release(&mut self, out: &mut Vec<Bytes>) {
        while let Some(next) = self.held.front() {
            let is_settled =
                |(number, at): &(Name, Range<usize>)| at.end <= self.lanes[number].settled();
            if !next.parts.iter().all(is_settled) {
                break;
            }
            let Some(Held { event, parts }) = self.held.pop_front() else { break };
            self.held_bytes = self.held_bytes.saturating_sub(event.bytes().len());
            let event = self.changed(event, &parts);
            for (number, at) in &parts {
                let Some(lane) = self.lanes.get_mut(number) else { continue };
                lane.passed(at.end);
                if lane.is_whole {
                    self.lanes.remove(number);
                }
            }
            self.cut.passes(event.data());
            out.push(event.bytes().clone());
        }
    }

    /// The event with what stands in the places of what was found.
    fn changed(&self, event: Event, parts: &[(Name, Range<usize>)]) -> Event {
        let new = parts.iter().enumerate().filter_map(|(place, (number, at))| {
            Some((place, self.lanes.get(number)?.changed(at)?))
        });
        let new: Vec<_> = new.collect();
        let is_masked = |(number, at): &(Name, Range<usize>)| {
            self.lanes.get(number).is_some_and(|lane| lane.is_changed(at, |by| by != VAULT))
        };
        // Whether some that are elsewhere mask is known when they have done it.
        let masks = self.masks || parts.iter().any(is_masked);
        if new.is_empty() && !masks {
            return event;
        }
        let texts: Texts<'_> = of_event(event.data());
        if new.is_empty() && !texts.tells_again() {
            return event;
        }
        let data = texts.rewritten(event.data(), &new, masks);
        event.with(&data)
    }
}

/// Puts what was hidden back where the reply repeats its placeholder. Where a placeholder may have
/// begun.
fn restore(lane: &mut Lane, vault: &Vault, ends: bool) -> Option<usize> {
    if vault.is_empty() {
        return None;
    }
    let open = lane.open(ends);
    let shown = vault.shown(&open.text);
    let shown = shown.map(|(at, text)| {
        let at = open.place(&at);
        let spelt = lane.spelt(at.start, text);
        (at, spelt)
    });
    let shown: Vec<_> = shown.collect();
    let held = open.written(vault.may_begin(&open.text));
    for (at, original) in shown {
        lane.edit(at, original, VAULT);
    }
    Some(held)
}

#[cfg(test)]
mod tests;
