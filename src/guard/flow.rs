//! A stream on its way through guardrails: events are held until all that they say was looked at.
//!
//! Every text of the stream is a lane. Guardrails look at a lane when enough of it is new, and again at
//! the last of what they saw, because a thing may lie across two windows. An event leaves when nothing in
//! it can change any more; the order of events never changes. So what was found has not left.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use super::chosen::{apart, find, instead};
use super::lane::Lane;
use super::spelling::Readable;
use super::{
    Act, Answer, Check, Chosen, Findings, Found, Mode, Outcome, Pick, Refusal, Role, Side, Vault,
    Why, Window,
};
use crate::dialect::ClientDialect;
use crate::wire::texts::{Cut, Event, Events, Texts, of_event};

/// What is held at most, in bytes: beyond it the stream cannot be looked at.
const HELD_MAX: usize = 16 * 1024 * 1024;

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
}

/// What is told of a guardrail when the stream is over.
#[derive(Clone, Debug, Default)]
struct Look {
    took: Duration,
    /// Once it did not answer.
    was_silent: bool,
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

    /// Tells once what came of all looks at the stream.
    fn tell(&mut self, picks: &[&Pick], chosen: &Chosen, refusal: Option<&Refusal>) {
        for (pick, look) in picks.iter().zip(self.looks.drain(..)) {
            let its_own = refusal.filter(|refusal| refusal.guardrail == pick.rail.name);
            let outcome = Outcome::of(its_own, !look.was_silent);
            chosen.asked.tell(&pick.rail, Mode::PostCall, outcome, look.took);
        }
    }

    fn hold(&mut self, event: Event, guardrails: usize) {
        self.held_bytes += event.bytes().len();
        let texts = of_event(event.data());
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
            parts.push((number, lane.push(&text.value)));
        }
        self.held.push_back(Held { event, parts });
    }

    async fn look(
        &mut self,
        picks: &[&Pick],
        ends: bool,
        chosen: &Chosen,
        findings: &mut Findings,
    ) -> Result<(), Refusal> {
        let is_due = |lane: &Lane, at: usize, window: Window| {
            let new = lane.new_to(at);
            new > 0 && (ends || lane.is_whole || new >= window.bytes)
        };
        for lane in self.lanes.values_mut() {
            let due = picks.iter().enumerate().any(|(at, pick)| is_due(lane, at, pick.rail.window));
            if !due {
                continue;
            }
            for (at, pick) in picks.iter().enumerate() {
                let Check::Here(detector) = &pick.rail.check else { continue };
                let open = lane.open(ends);
                let since = chosen.asked.begins();
                let found = find(&**detector, &open.text, Role::Assistant);
                if let Some(look) = self.looks.get_mut(at) {
                    look.took += chosen.asked.took(since);
                }
                let found = placed(found, &open);
                take((at, pick), lane, found, findings, ends)?;
            }
        }
        for (at, pick) in picks.iter().enumerate() {
            if matches!(pick.rail.check, Check::Here(_)) {
                continue;
            }
            let window = pick.rail.window;
            let due: Vec<Name> = {
                let lanes = self.lanes.iter().filter(|(_, lane)| is_due(lane, at, window));
                lanes.map(|(number, _)| *number).collect()
            };
            if due.is_empty() {
                continue;
            }
            let open: Vec<_> = due.iter().map(|number| self.lanes[number].open(ends)).collect();
            let said: Vec<_> = open.iter().map(|open| (Role::Assistant, &*open.text)).collect();
            let since = chosen.asked.begins();
            let answer = pick.ask(Side::Reply, &chosen.asked, &said, findings).await;
            if let Some(look) = self.looks.get_mut(at) {
                look.took += chosen.asked.took(since);
                look.was_silent |= matches!(answer, Ok(None));
            }
            let found = match answer? {
                None | Some(Answer::Pass | Answer::Blocked { .. }) => {
                    vec![Vec::new(); due.len()]
                }
                Some(Answer::Texts(new)) => {
                    let pairs = open.iter().zip(&new);
                    pairs.map(|(open, new)| difference(&open.text, new)).collect()
                }
                Some(Answer::Found(found)) => found.into_iter().map(apart).collect(),
            };
            let found: Vec<_> =
                open.iter().zip(found).map(|(open, found)| placed(found, open)).collect();
            for (number, found) in due.iter().zip(found) {
                let Some(lane) = self.lanes.get_mut(number) else { continue };
                take((at, pick), lane, found, findings, ends)?;
            }
        }
        Ok(())
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

fn placed(mut found: Vec<Found>, open: &Readable<'_>) -> Vec<Found> {
    for found in &mut found {
        found.at = open.place(&found.at);
    }
    found
}

/// Takes down what a guardrail found in a lane.
fn take(
    (guardrail, pick): (usize, &Pick),
    lane: &mut Lane,
    found: Vec<Found>,
    findings: &mut Findings,
    ends: bool,
) -> Result<(), Refusal> {
    lane.anew(guardrail);
    lane.looked(guardrail, ends);
    for found in found {
        // That is out, and was looked at before it left.
        if found.at.end <= lane.settled() {
            continue;
        }
        findings.note(&pick.rail.name, &found.label);
        if let Some(refusal) = pick.refusal(&found) {
            return Err(refusal);
        }
        let new = lane.spelt(&instead(&found));
        lane.edit(found.at, new, guardrail);
    }
    Ok(())
}

/// Puts what was hidden back where the reply repeats its placeholder. Where a placeholder may have
/// begun.
fn restore(lane: &mut Lane, vault: &Vault, ends: bool) -> Option<usize> {
    if vault.is_empty() {
        return None;
    }
    let open = lane.open(ends);
    let shown = vault.shown(&open.text);
    let shown = shown.map(|(at, text)| (open.place(&at), lane.spelt(text)));
    let shown: Vec<_> = shown.collect();
    let held = open.written(vault.may_begin(&open.text));
    for (at, original) in shown {
        lane.edit(at, original, VAULT);
    }
    Some(held)
}

/// What differs between a text and another that stands in its place, as one finding.
fn difference(text: &str, new: &str) -> Vec<Found> {
    if text == new {
        return Vec::new();
    }
    let alike = |a: &mut dyn Iterator<Item = (char, char)>| -> usize {
        a.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
    };
    let before = alike(&mut text.chars().zip(new.chars()));
    let (text_rest, new_rest) =
        (text.get(before..).unwrap_or_default(), new.get(before..).unwrap_or_default());
    let behind = alike(&mut text_rest.chars().rev().zip(new_rest.chars().rev()));
    let middle = new_rest.get(..new_rest.len() - behind).unwrap_or_default();
    vec![Found {
        at: before..text.len() - behind,
        label: "changed".into(),
        act: Act::Mask(middle.into()),
    }]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;

    use super::*;
    use crate::guard::{Asked, Check, Filter, Guardrail, Modes, When, Word};

    fn chosen(window: Window) -> Chosen {
        let word =
            |keyword: &str, blocks| Word { keyword: keyword.into(), blocks, description: None };
        let words = [word("atlas", true), word("rosebud", false)];
        let modes = Modes::default().with(Mode::PostCall);
        let rail = Guardrail {
            name: "words".into(),
            kind: "litellm_content_filter",
            when: When { otherwise: modes, tagged: Vec::new() },
            default_on: true,
            fails_open: false,
            check: Check::Here(Arc::new(Filter::new(&[], &words, "", "[*]").unwrap())),
            window,
            info: serde_json::Value::Null,
        };
        let pick = Pick { rail: Arc::new(rail), modes, extra: None };
        Chosen { picks: vec![pick], asked: Arc::<Asked>::default() }
    }

    fn chunk(text: &str) -> Bytes {
        let data = serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]});
        format!("data: {data}\n\n").into()
    }

    /// A piece of the arguments of a call.
    fn argument(text: &str) -> Bytes {
        let call = serde_json::json!({"index": 0, "function": {"arguments": text}});
        let delta = serde_json::json!({"tool_calls": [call]});
        let data = serde_json::json!({"choices": [{"index": 0, "delta": delta}]});
        format!("data: {data}\n\n").into()
    }

    /// What comes out of pieces, one by one; `None`: it was refused, after this much.
    fn flows(pieces: &[&str], window: Window, vault: &Vault) -> (String, bool) {
        flows_as(chunk, pieces, window, vault)
    }

    fn flows_as(
        event: fn(&str) -> Bytes,
        pieces: &[&str],
        window: Window,
        vault: &Vault,
    ) -> (String, bool) {
        let chosen = chosen(window);
        let mut flow = Flow::new(&chosen, ClientDialect::OpenAi, false);
        let (mut all, mut findings) = (String::new(), Findings::default());
        for (at, piece) in pieces.iter().enumerate() {
            let ends = at + 1 == pieces.len();
            let mut out = vec![event(piece)];
            if ends {
                out.push(Bytes::from_static(b"data: [DONE]\n\n"));
            }
            let passed = flow.pass(&mut out, ends, &chosen, vault, &mut findings).now_or_never();
            if passed.unwrap().is_err() {
                return (all, false);
            }
            for event in out {
                let text = of_event(event.strip_prefix(b"data: ").unwrap()).list;
                text.iter().for_each(|text| all.push_str(&text.value));
            }
        }
        (all, true)
    }

    #[test]
    fn wherever_a_stream_is_cut_into_pieces_the_same_leaves() {
        let said = "the rose is a rosebud, ROSEBUD! and café <EMAIL_ADDRESS_1> <EMAIL_ <b> end";
        let told = "the rose is a [*], [*]! and café a@b.example <EMAIL_ <b> end";
        let mut vault = Vault::default();
        vault.hide("EMAIL_ADDRESS", "a@b.example");
        for window in [Window { bytes: 1, overlap: 10 }, Window::HERE, Window::WHOLE] {
            for size in 1..said.len() {
                let mut pieces = vec![""];
                let mut rest = said;
                while !rest.is_empty() {
                    let cut = (size..=rest.len()).find(|at| rest.is_char_boundary(*at));
                    let (piece, behind) = rest.split_at(cut.unwrap_or(rest.len()));
                    pieces.push(piece);
                    rest = behind;
                }
                assert_eq!(flows(&pieces, window, &vault), (told.to_owned(), true), "{size}");
            }
        }
    }

    #[test]
    fn words_are_seen_however_json_spells_them_and_wherever_it_is_cut() {
        let mut vault = Vault::default();
        vault.hide("EMAIL_ADDRESS", "\"a\"@b.example");
        let said = r#"{"a":"line\nrosebud, r\u006fse\u0062ud","b":"\u003cEMAIL_ADDRESS_1> \ud83d\ude00é\\"}"#;
        let told = r#"{"a":"line\n[*], [*]","b":"\"a\"@b.example \ud83d\ude00é\\"}"#;
        let blocked = r#"{"a":"no more words than these, \u0061tl\u0061s"}"#;
        for window in [Window { bytes: 1, overlap: 20 }, Window::HERE, Window::WHOLE] {
            for size in 1..said.len() {
                let pieces = |said: &'static str| -> Vec<&'static str> {
                    let mut cuts = vec![0];
                    while let Some(last) = cuts.last().filter(|last| **last < said.len()) {
                        let next = (last + size..said.len()).find(|at| said.is_char_boundary(*at));
                        cuts.push(next.unwrap_or(said.len()));
                    }
                    cuts.windows(2).map(|cut| said.get(cut[0]..cut[1]).unwrap()).collect()
                };
                let out = flows_as(argument, &pieces(said), window, &vault);
                assert_eq!(out, (told.to_owned(), true), "{size}");
                let (out, is_whole) = flows_as(argument, &pieces(blocked), window, &vault);
                assert!(!is_whole && !out.contains(r"\u0061"), "{size}: {out}");
            }
        }
    }

    #[test]
    fn nothing_of_what_blocks_leaves_in_any_piece() {
        let said: String =
            (0..40).map(|at| format!("w{at} ")).collect::<String>() + "atlas and more";
        for size in 1..20 {
            let pieces: Vec<_> = said.as_bytes().chunks(size).collect();
            let pieces: Vec<_> =
                pieces.into_iter().map(|it| std::str::from_utf8(it).unwrap()).collect();
            let (told, is_whole) =
                flows(&pieces, Window { bytes: 8, overlap: 16 }, &Vault::default());
            assert!(!is_whole && !told.contains("at") && said.starts_with(&told), "{size}: {told}");
            assert!(told.contains("w20 "), "{size}: what was looked at is out: {told}");
        }
    }
}
