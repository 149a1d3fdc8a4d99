//! Smooth weighted round robin: nginx's selection, which spreads the turns of a heavy choice evenly
//! instead of giving them in a row.
//!
//! Every round each choice that takes part gains its weight; the one with the most wins and pays
//! what all have gained. The order depends on nothing but the weights. Equals go in the order
//! written:
//!
//! ```text
//! a: 0.6, b: 0.4          a b a b a   and again
//! a: 0.8, b: 0.2          a a b a a   and again
//! a: 5,   b: 1,  c: 1     a a b a c a a
//! ```
//!
//! One that does not take part for a while (it rests, it is full) keeps what it has and gains
//! nothing: when it returns, it does not catch up.

/// The turns of one list of choices.
#[derive(Clone, Debug)]
pub struct Smooth {
    weights: Box<[i64]>,
    gained: Box<[i64]>,
}

impl Smooth {
    /// A list in which nobody has had a turn. Weights that are no positive number count as none.
    #[must_use]
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let weights: Box<[i64]> = weights.into_iter().map(units).collect();
        Self { gained: vec![0; weights.len()].into(), weights }
    }

    /// Whose turn it is among those that `takes_part` names, and gives it to them. One without
    /// weight has a turn only if nobody with weight takes part; such then have equal ones.
    ///
    /// `takes_part` is asked once for each choice, in the order written.
    pub fn take(&mut self, mut takes_part: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut turn = Turn::default();
        for (index, (weight, gained)) in self.weights.iter().zip(&mut self.gained).enumerate() {
            if takes_part(index) {
                turn.see(index, *weight, *gained);
                *gained += *weight;
            }
        }
        let (winner, total) = turn.end()?;
        if total > 0 {
            self.gained[winner] -= total;
        } else {
            // Nobody who takes part has a weight: they take turns by how long they have waited.
            for (index, weight) in self.weights.iter().enumerate() {
                if *weight == 0 {
                    self.gained[index] += i64::from(index != winner);
                }
            }
            self.gained[winner] = 0;
        }
        Some(winner)
    }

    /// Whose turn it would be.
    #[must_use]
    pub fn peek(&self, mut takes_part: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut turn = Turn::default();
        for (index, (weight, gained)) in self.weights.iter().zip(&self.gained).enumerate() {
            if takes_part(index) {
                turn.see(index, *weight, *gained);
            }
        }
        turn.end().map(|(winner, _)| winner)
    }

    /// What choice `index` has gained and not paid; [`Smooth::resume`] takes it over.
    #[must_use]
    pub fn gained(&self, index: usize) -> i64 {
        self.gained.get(index).copied().unwrap_or(0)
    }

    /// Continues where another list left a choice.
    pub fn resume(&mut self, index: usize, gained: i64) {
        if let Some(place) = self.gained.get_mut(index) {
            *place = gained;
        }
    }
}

/// One round: who has the most so far.
#[derive(Default)]
struct Turn {
    best: Option<(usize, i64)>,
    total: i64,
    /// The same among those without weight.
    spare: Option<(usize, i64)>,
}

impl Turn {
    fn see(&mut self, index: usize, weight: i64, gained: i64) {
        let best = if weight > 0 { &mut self.best } else { &mut self.spare };
        if best.is_none_or(|(_, most)| gained + weight > most) {
            *best = Some((index, gained + weight));
        }
        self.total += weight;
    }

    /// The winner and what all gained; 0 if nobody has a weight.
    fn end(self) -> Option<(usize, i64)> {
        self.best.or(self.spare).map(|(winner, _)| (winner, self.total))
    }
}

/// Whole numbers, so that a thousand rounds add up to exactly what they shall: six decimals of a
/// weight count, up to a billion.
fn units(weight: f64) -> i64 {
    if weight.is_finite() && weight > 0.0 {
        ((weight.min(1e9) * UNIT as f64).round() as i64).max(1)
    } else {
        0
    }
}

const UNIT: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn order(weights: &[f64], turns: usize) -> String {
        let mut list = Smooth::new(weights.iter().copied());
        (0..turns)
            .map(|_| {
                let expected = list.peek(|_| true);
                let turn = list.take(|_| true);
                assert_eq!(turn, expected, "peek foretells take");
                char::from(b'a' + u8::try_from(turn.unwrap()).unwrap())
            })
            .collect()
    }

    #[test]
    fn the_order_is_the_documented_one() {
        assert_eq!(order(&[0.6, 0.4], 10), "ababaababa");
        assert_eq!(order(&[0.8, 0.2], 10), "aabaaaabaa");
        assert_eq!(order(&[5.0, 1.0, 1.0], 7), "aabacaa");
        assert_eq!(order(&[1.0, 1.0], 4), "abab");
        assert_eq!(order(&[0.5, 0.5, 0.0], 4), "abab");
        assert_eq!(order(&[0.0, f64::NAN], 4), "abab", "nobody has a weight: equal turns");
    }

    #[test]
    fn shares_are_exact_after_every_round() {
        let mut list = Smooth::new([0.7, 0.2, 0.1]);
        let mut served = [0; 3];
        for _ in 0..10_000 {
            served[list.take(|_| true).unwrap()] += 1;
        }
        assert_eq!(served, [7000, 2000, 1000]);
    }

    #[test]
    fn one_that_was_away_does_not_catch_up() {
        let mut list = Smooth::new([1.0, 1.0]);
        for _ in 0..100 {
            assert_eq!(list.take(|index| index == 0), Some(0));
        }
        let after: Vec<_> = (0..4).map(|_| list.take(|_| true).unwrap()).collect();
        assert_eq!(after.iter().filter(|index| **index == 1).count(), 2, "{after:?}");
        assert_eq!(list.take(|_| false), None);
    }

    #[test]
    fn a_list_goes_on_where_another_stopped() {
        let mut first = Smooth::new([0.6, 0.4]);
        first.take(|_| true);
        let mut second = Smooth::new([0.6, 0.4]);
        (0..2).for_each(|index| second.resume(index, first.gained(index)));
        assert_eq!(second.take(|_| true), Some(1));
    }
}
