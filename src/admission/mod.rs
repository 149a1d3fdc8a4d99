//! Is there room: limits and budgets of everybody whose part a request takes, decided at once.
//!
//! ```text
//! Policy (policy.rs)      what the configuration says of limits and budgets
//! Claims (claim.rs)       what one request asks of whom: its key, user, team, end user, tags, ...
//! Need                    how much of it: one request, tokens, the most that it may cost
//! Counters (counters.rs)  the port: takes all that the claims ask for, or nothing
//! Memory (memory/)        the counters of one process
//! Usage (usage.rs)        a budget as people want to see it
//! ```
//!
//! ```text
//! claims + need -> take -> refused: nothing was charged
//!                       -> held   -> settle: what was really used takes the place of the guess
//!                                 -> drop: all of it goes back
//! ```
//!
//! Pure: takes the time as an argument and knows neither HTTP nor databases nor Redis.

mod claim;
mod counters;
mod memory;
mod policy;
#[cfg(test)]
mod tests;
mod usage;

pub use claim::{Claim, Claims, Key, Moment, Need, Refusal, Room, Spent, Why};
pub use counters::{
    Counters, Crossed, Due, Held, Known, Level, Mark, Notices, Portion, Reached, Stop, Terms, Watch,
};
pub use memory::{Hold, Memory};
pub use policy::{Counts, Policy, Who};
pub use usage::Usage;
