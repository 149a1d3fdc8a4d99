//! Guardrails look at the lanes of a stream: those of this process at one lane after the other, those elsewhere
//! at all that are due, with one question.

use std::time::Duration;

use super::{Flow, Name};
use crate::guard::chosen::instead;
use crate::guard::lane::Lane;
use crate::guard::said::{Said, apart};
use crate::guard::spelling::Readable;
use crate::guard::{
    Act, Answer, Check, Chosen, Findings, Found, Mode, Outcome, Pick, Refusal, Role, Side, Window,
};

/// What is told of a guardrail when the stream is over.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    took: Duration,
    /// Once it did not answer.
    was_silent: bool,
}

impl Flow {
    /// Lets guardrails look at what is due. `ends`: nothing more comes.
    pub(super) async fn look(
        &mut self,
        picks: &[&Pick],
        ends: bool,
        chosen: &Chosen,
        findings: &mut Findings,
    ) -> Result<(), Refusal> {
        self.look_here(picks, ends, chosen, findings)?;
        for (at, pick) in picks.iter().enumerate() {
            if !matches!(pick.rail.check, Check::Here(_)) {
                self.ask((at, pick), ends, chosen, findings).await?;
            }
        }
        Ok(())
    }

    /// Guardrails of this process, lane by lane.
    fn look_here(
        &mut self,
        picks: &[&Pick],
        ends: bool,
        chosen: &Chosen,
        findings: &mut Findings,
    ) -> Result<(), Refusal> {
        for lane in self.lanes.values_mut() {
            let mut windows = picks.iter().map(|pick| pick.rail.window).enumerate();
            if !windows.any(|(at, window)| is_due(lane, at, window, ends)) {
                continue;
            }
            let open = lane.open(ends);
            let said = Said::new(Role::Assistant, &*open.text);
            let mut seen = Vec::new();
            for (at, pick) in picks.iter().enumerate() {
                let Check::Here(detector) = &pick.rail.check else { continue };
                let since = chosen.asked.begins();
                let found = said.find(&**detector);
                if let Some(look) = self.looks.get_mut(at) {
                    look.took += chosen.asked.took(since);
                }
                seen.push(((at, *pick), placed(found, &open)));
            }
            for (by, found) in seen {
                take(by, lane, found, findings, ends)?;
            }
        }
        Ok(())
    }

    /// Asks one elsewhere about all lanes that are due for it.
    async fn ask(
        &mut self,
        (at, pick): (usize, &Pick),
        ends: bool,
        chosen: &Chosen,
        findings: &mut Findings,
    ) -> Result<(), Refusal> {
        let window = pick.rail.window;
        let due: Vec<Name> = {
            let lanes = self.lanes.iter().filter(|(_, lane)| is_due(lane, at, window, ends));
            lanes.map(|(number, _)| *number).collect()
        };
        if due.is_empty() {
            return Ok(());
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
        Ok(())
    }

    /// Tells once what came of all looks at the stream.
    pub(super) fn tell(&mut self, picks: &[&Pick], chosen: &Chosen, refusal: Option<&Refusal>) {
        for (pick, look) in picks.iter().zip(self.looks.drain(..)) {
            let its_own = refusal.filter(|refusal| refusal.guardrail == pick.rail.name);
            let outcome = Outcome::of(its_own, !look.was_silent);
            chosen.asked.tell(&pick.rail, Mode::PostCall, outcome, look.took);
        }
    }
}

fn is_due(lane: &Lane, guardrail: usize, window: Window, ends: bool) -> bool {
    let new = lane.new_to(guardrail);
    let is_idle = lane.is_idle() && window != Window::WHOLE;
    new > 0 && (ends || lane.is_whole || is_idle || new >= window.bytes)
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
        let new = lane.spelt(found.at.start, &instead(&found));
        lane.edit(found.at, new, guardrail);
    }
    Ok(())
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
