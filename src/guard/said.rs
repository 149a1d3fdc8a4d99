//! A text that guardrails look at: what it says by now, and what detectors find in it, however it is written.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::reading;
use super::spelling::Readable;
use super::{Act, Detector, Found, Role};

/// A text, and whether a guardrail has changed it.
#[derive(Clone, Debug)]
pub struct Said<'a> {
    pub role: Role,
    text: Cow<'a, str>,
    is_changed: bool,
    /// How it reads, if that is otherwise than it is written. Found out once for all who look.
    reads: OnceLock<Option<Readable<'static>>>,
}

impl<'a> Said<'a> {
    #[must_use]
    pub fn new(role: Role, text: impl Into<Cow<'a, str>>) -> Self {
        Self { role, text: text.into(), is_changed: false, reads: OnceLock::new() }
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands in the place of the text; `None`: it is as it was.
    #[must_use]
    pub fn changed(&self) -> Option<&str> {
        self.is_changed.then_some(&*self.text)
    }

    /// Puts something else in its place.
    pub(super) fn change(&mut self, new: String) {
        self.text = new.into();
        self.is_changed = true;
        self.reads = OnceLock::new();
    }

    /// What a detector finds in the text as it is written and as it reads; [`apart`].
    pub(super) fn find(&self, detector: &dyn Detector) -> Vec<Found> {
        let mut found = Vec::new();
        detector.find(&self.text, self.role, &mut found);
        if let Some(read) = self.reads.get_or_init(|| reading::read(&self.text)) {
            let mut disguised = Vec::new();
            detector.find(&read.text, self.role, &mut disguised);
            found.extend(disguised.into_iter().map(|it| Found { at: read.place(&it.at), ..it }));
        }
        apart(found)
    }
}

/// What was found, in order: if something blocks, only that; what overlaps is one thing, the one that begins first,
/// and of those that begin together the longest.
pub(super) fn apart(mut found: Vec<Found>) -> Vec<Found> {
    if found.iter().any(|found| matches!(found.act, Act::Block(_))) {
        found.retain(|found| matches!(found.act, Act::Block(_)));
        return found;
    }
    found.sort_by_key(|found| (found.at.start, std::cmp::Reverse(found.at.end)));
    let mut kept: Vec<Found> = Vec::with_capacity(found.len());
    for next in found {
        match kept.last_mut() {
            // Whatever goes further is masked with it.
            Some(last) if next.at.start < last.at.end => {
                last.at.end = last.at.end.max(next.at.end);
            }
            _ => kept.push(next),
        }
    }
    kept
}
