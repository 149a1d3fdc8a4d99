//! Text that a continuation repeats, found while it arrives.
//!
//! A model that is told to go on now and then begins with the last words again, or with the whole
//! reply. What it says is held back for as long as it could be such a repetition.

/// How far back a repetition is looked for, besides the very beginning.
const REACH: usize = 4096;

/// The shortest repetition within running text that is taken for one.
const REPEATED_MIN: usize = 16;

/// What is known of the beginning of a continuation.
#[derive(Debug)]
pub(super) struct Overlap {
    /// The places in the text so far from which the continuation might be repeating.
    places: Vec<usize>,
    held: String,
    decided: bool,
}

impl Overlap {
    /// `told` is the text so far. One that was `instructed` may repeat anything; one that goes on
    /// from the text itself only the white space at its end, which it was not given.
    pub(super) fn new(told: &str, instructed: bool) -> Self {
        let spaces = told.trim_end().len();
        let from = if instructed { told.len().saturating_sub(REACH) } else { spaces };
        let mut places: Vec<usize> = (from..told.len())
            .filter(|place| told.is_char_boundary(*place))
            .filter(|place| *place >= spaces || counts(told, *place))
            .collect();
        if instructed && from > 0 {
            places.insert(0, 0);
        }
        let decided = places.is_empty();
        Self { places, held: String::new(), decided }
    }

    /// Takes the next piece; gives back what is new in it, as far as that is certain.
    pub(super) fn take(&mut self, told: &str, piece: &str) -> String {
        if self.decided {
            return piece.to_owned();
        }
        self.held += piece;
        let held = &self.held;
        self.places.retain(|place| {
            let (_, tail) = told.split_at(*place);
            tail.starts_with(held.as_str()) || held.starts_with(tail)
        });
        let undecided = self.places.iter().any(|place| told.len() - place > held.len());
        if undecided { String::new() } else { self.release(told) }
    }

    /// No more is coming, or enough came: gives back what is new in what was held.
    pub(super) fn release(&mut self, told: &str) -> String {
        if std::mem::replace(&mut self.decided, true) {
            return String::new();
        }
        let held = std::mem::take(&mut self.held);
        // The longest repetition that is complete.
        let repeated = self.places.iter().map(|place| told.len() - place);
        let cut = repeated.filter(|length| *length <= held.len()).max().unwrap_or(0);
        held.split_at(cut).1.to_owned()
    }
}

/// Whether a repetition from this place on is one: it is long, or it is the word (or the part of
/// it) with which the text breaks off.
fn counts(told: &str, place: usize) -> bool {
    let (before, tail) = told.split_at(place);
    let tail = tail.trim_end();
    let begins_a_word = before.chars().next_back().is_none_or(char::is_whitespace);
    tail.len() >= REPEATED_MIN || (begins_a_word && !tail.contains(char::is_whitespace))
}
