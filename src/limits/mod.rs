//! Limits of requests and tokens per minute: reserve before, settle after, give back what was not
//! used.
//!
//! ```text
//! Window (window.rs)            what one limit has let through in the last minute
//! Hint (hint.rs)                what a provider itself said is left, and until when
//! Reservation (reservation.rs)  a request's hold on several windows: all of them or none
//! ```
//!
//! Pure: takes the time as an argument and knows neither deployments nor keys, so that both can be
//! limited by it. A reservation that is dropped without being settled gives everything back.

mod hint;
mod reservation;
mod window;

#[cfg(test)]
mod tests;

pub use hint::{Hint, Left, Told};
pub use reservation::{Refused, Reservation, Scope};
pub use window::{Cost, Dimension, Limit, Log, Over, Room, Taken, Used, Window};
