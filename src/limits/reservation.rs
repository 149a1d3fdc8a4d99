//! A request's hold on several windows at once.

use std::sync::Arc;

use super::window::{Cost, Limit, Over, Taken, Used, Window};

/// A window and the limit that holds for it. The limit comes with each request, because a new
/// configuration may change it while the window goes on.
#[derive(Clone, Debug)]
pub struct Scope {
    pub window: Arc<Window>,
    pub limit: Limit,
}

/// Which of the scopes had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the list.
    pub scope: usize,
    pub over: Over,
}

/// What one request holds of up to `N` windows. Dropped without being settled, it gives all of it
/// back.
#[derive(Debug)]
pub struct Reservation<const N: usize> {
    held: [Option<Held>; N],
}

#[derive(Debug)]
struct Held {
    window: Arc<Window>,
    taken: Taken,
}

impl<const N: usize> Reservation<N> {
    /// Takes one request and its tokens from every scope, or from none.
    ///
    /// Another request may for a moment see a window as fuller than it is, while a refused one
    /// gives back what it took from the first scopes; none ever sees it emptier.
    ///
    /// # Errors
    /// The first scope that has no room. Nothing is charged then.
    pub fn take<'a>(
        scopes: impl IntoIterator<Item = &'a Scope>,
        cost: Cost,
        now_ms: u64,
    ) -> Result<Self, Refused> {
        let mut reservation = Self { held: [const { None }; N] };
        for (index, (scope, place)) in scopes.into_iter().zip(&mut reservation.held).enumerate() {
            match scope.window.take(&scope.limit, cost, now_ms) {
                Ok(taken) => {
                    *place = Some(Held { window: Arc::clone(&scope.window), taken });
                }
                // What was taken is given back by the drop.
                Err(over) => return Err(Refused { scope: index, over }),
            }
        }
        Ok(reservation)
    }

    /// Replaces the guess by what was really used. What was reserved and not used is given back to
    /// the second it was taken from; what was used beyond that is charged to now, when it is known.
    /// Once; a second call changes nothing.
    pub fn settle(&mut self, tokens: u64, now_ms: u64) {
        for Held { window, taken } in self.held.iter_mut().filter_map(Option::take) {
            if tokens < taken.tokens {
                let surplus = Used { requests: 0, tokens: taken.tokens - tokens };
                window.give_back(surplus, taken.second);
            } else if tokens > taken.tokens {
                window.add(Used { requests: 0, tokens: tokens - taken.tokens }, now_ms);
            }
        }
    }
}

impl<const N: usize> Drop for Reservation<N> {
    fn drop(&mut self) {
        for Held { window, taken } in self.held.iter_mut().filter_map(Option::take) {
            window.give_back(Used { requests: 1, tokens: taken.tokens }, taken.second);
        }
    }
}
