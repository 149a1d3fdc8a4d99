//! One text of a stream: what of it was looked at, what is to be changed, and how far it may leave.

use std::ops::Range;

use super::spelling::{self, Readable};

/// So much of what is out is kept, for expressions that look at what stands before.
const CONTEXT: usize = 32;
/// The same of a text that seemed to be over: what it goes on with belongs to what is out.
const CONTEXT_RESTED: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Lane {
    /// What is not out, with a little of what is.
    text: String,
    /// How much of the whole lies before `text`.
    base: usize,
    /// Up to here no escape is cut.
    complete: usize,
    /// Up to here nothing changes any more.
    settled: usize,
    /// By guardrail: up to where it has looked.
    looked: Vec<usize>,
    /// In order, not overlapping; places count from the beginning of the whole.
    edits: Vec<Change>,
    /// It is a part of JSON text.
    pub(super) is_json: bool,
    /// `text` begins within a string of it.
    in_string: bool,
    /// There is no more of it to come.
    pub(super) is_whole: bool,
    /// The number of the last event that has a part of it.
    pub(super) last: u64,
    /// It was not gone on with for long: it seems to be over.
    is_idle: bool,
    /// It was idle once.
    has_rested: bool,
}

/// Something else in the place of a part of the whole.
#[derive(Debug)]
struct Change {
    at: Range<usize>,
    new: String,
    /// Which guardrail found it.
    by: usize,
}

impl Lane {
    pub(super) fn new(guardrails: usize, is_json: bool) -> Self {
        Self { looked: vec![0; guardrails], is_json, ..Self::default() }
    }

    /// Appends a part; where it stands in the whole.
    pub(super) fn push(&mut self, part: &str) -> Range<usize> {
        self.is_idle = false;
        let start = self.end();
        self.text.push_str(part);
        self.complete = match self.is_json {
            true => {
                let known = self.complete - self.base;
                let new = self.text.get(known..).unwrap_or_default();
                self.complete + spelling::floor(new, new.len())
            }
            false => self.end(),
        };
        start..self.end()
    }

    pub(super) const fn end(&self) -> usize {
        self.base + self.text.len()
    }

    /// What is held of it need not wait for more.
    pub(super) const fn rest(&mut self) {
        self.is_idle = true;
        self.has_rested = true;
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.is_idle
    }

    const fn context(&self) -> usize {
        if self.has_rested { CONTEXT_RESTED } else { CONTEXT }
    }

    pub(super) const fn settled(&self) -> usize {
        self.settled
    }

    /// What a guardrail has not looked at.
    pub(super) fn new_to(&self, guardrail: usize) -> usize {
        self.end() - self.looked[guardrail]
    }

    /// What is looked at: all that is not settled, with a little before it, as it is meant. `ends`: no
    /// more comes.
    pub(super) fn open(&self, ends: bool) -> Readable<'_> {
        let start = self.floor(self.settled.saturating_sub(self.context()).max(self.base));
        let text = self.text.get(start - self.base..self.to_look(ends) - self.base);
        match self.is_json {
            true => Readable::json(text.unwrap_or_default(), start),
            false => Readable::plain(text.unwrap_or_default(), start),
        }
    }

    /// Up to where there is something to look at: a part of an escape means nothing yet.
    const fn to_look(&self, ends: bool) -> usize {
        if ends || self.is_whole { self.end() } else { self.complete }
    }

    /// The last place up to another at which a character begins.
    fn floor(&self, at: usize) -> usize {
        let mut place = at - self.base;
        match self.is_json {
            true => place = spelling::floor(&self.text, place),
            false => {
                while !self.text.is_char_boundary(place) {
                    place -= 1;
                }
            }
        }
        self.base + place
    }

    /// A text as it is written in the lane, in the place of what begins at `at`: of a number as well as of a part of
    /// a string.
    pub(super) fn spelt(&self, at: usize, text: &str) -> String {
        if !self.is_json {
            return text.to_owned();
        }
        let quoted = serde_json::Value::from(text).to_string();
        let before = self.text.get(..at.saturating_sub(self.base)).unwrap_or_default();
        match spelling::ends_in_string(before, self.in_string) {
            true => quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned(),
            false => quoted,
        }
    }

    /// Forgets what a guardrail found that may still change: it looks anew.
    pub(super) fn anew(&mut self, guardrail: usize) {
        let settled = self.settled;
        self.edits.retain(|edit| edit.at.start < settled || edit.by != guardrail);
    }

    /// Puts something else in a place. What overlaps with another change is not changed twice.
    pub(super) fn edit(&mut self, at: Range<usize>, new: String, by: usize) {
        let at = at.start.max(self.settled)..at.end;
        let overlaps = |edit: &Change| edit.at.start < at.end && at.start < edit.at.end;
        if at.is_empty() || self.edits.iter().any(overlaps) {
            return;
        }
        let place = self.edits.partition_point(|edit| edit.at.start < at.start);
        self.edits.insert(place, Change { at, new, by });
    }

    pub(super) fn looked(&mut self, guardrail: usize, ends: bool) {
        self.looked[guardrail] = self.to_look(ends);
    }

    /// Settles what may leave: all that every guardrail has looked at, but for its last `overlap` bytes,
    /// and for what may be the beginning of a placeholder at `held`; of an idle one all that was looked at. What is
    /// whole, or at the end of the stream everything.
    pub(super) fn settle(&mut self, overlaps: &[usize], held: Option<usize>, ends: bool) {
        let mut to = self.end();
        if !ends && !self.is_whole {
            for (looked, overlap) in self.looked.iter().zip(overlaps) {
                to = to.min(looked.saturating_sub(if self.is_idle { 0 } else { *overlap }));
            }
            let held = held.filter(|_| !self.is_idle);
            to = to.min(self.complete).min(held.unwrap_or(to));
            to = if to > self.settled { self.floor(to) } else { self.settled };
        }
        // A change is settled as a whole.
        for Change { at, .. } in &self.edits {
            if at.start < to && to < at.end {
                to = at.start.max(self.settled);
            }
        }
        self.settled = to;
    }

    /// What becomes of a part of the whole; `None`: nothing.
    pub(super) fn changed(&self, part: &Range<usize>) -> Option<String> {
        let mut out = String::new();
        let mut copied = part.start;
        let mut is_changed = false;
        let of = |from: usize, to: usize| self.text.get(from - self.base..to - self.base);
        for Change { at, new, .. } in &self.edits {
            if at.end <= part.start || part.end <= at.start {
                continue;
            }
            is_changed = true;
            out.push_str(of(copied, at.start.max(copied)).unwrap_or_default());
            if part.contains(&at.start) {
                out.push_str(new);
            }
            copied = at.end.min(part.end);
        }
        out.push_str(of(copied, part.end).unwrap_or_default());
        is_changed.then_some(out)
    }

    /// Whether some of those who found something change a part of the whole.
    pub(super) fn is_changed(&self, part: &Range<usize>, by: impl Fn(usize) -> bool) -> bool {
        let is_in = |at: &Range<usize>| part.start < at.end && at.start < part.end;
        self.edits.iter().any(|edit| by(edit.by) && is_in(&edit.at))
    }

    /// Forgets what is out.
    pub(super) fn passed(&mut self, to: usize) {
        let keep = self.floor(to.saturating_sub(self.context()).max(self.base)) - self.base;
        let gone = self.text.drain(..keep);
        if self.is_json {
            self.in_string = spelling::ends_in_string(gone.as_str(), self.in_string);
        }
        drop(gone);
        self.base += keep;
        self.complete = self.complete.max(self.base);
        let base = self.base;
        self.edits.retain(|edit| edit.at.end > base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_over_several_parts_stands_in_the_first() {
        let mut lane = Lane::new(1, false);
        let parts = ["call Jo", "hn Sm", "ith now"].map(|part| lane.push(part));
        lane.edit(5..15, "<PERSON>".to_owned(), 0);
        lane.looked(0, false);
        lane.settle(&[4], None, false);
        assert_eq!(lane.settled(), 15, "four bytes are kept back, and the change is out of them");
        let changed = parts.map(|part| lane.changed(&part));
        let texts = ["call <PERSON>", "", " now"].map(|text| Some(text.to_owned()));
        assert_eq!(changed, texts);
        lane.settle(&[4], None, true);
        assert_eq!(lane.settled(), 19);
    }

    #[test]
    fn a_change_is_not_settled_in_halves() {
        let mut lane = Lane::new(1, false);
        lane.push("key sk-1234");
        lane.edit(4..11, "*".to_owned(), 0);
        lane.looked(0, false);
        lane.settle(&[3], None, false);
        assert_eq!(lane.settled(), 4);
        // More of it comes.
        lane.anew(0);
        lane.push("5678 x....");
        lane.edit(4..15, "*".to_owned(), 0);
        lane.looked(0, false);
        lane.settle(&[3], None, false);
        assert_eq!(lane.settled(), 18);
        assert_eq!(lane.changed(&(0..18)).as_deref(), Some("key * x."));
        lane.passed(18);
        assert_eq!(lane.changed(&(18..21)), None);
    }
}
