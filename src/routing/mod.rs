//! Which deployment next: strategies, cooldowns, retries and fallbacks.
//!
//! Pure: knows nothing of HTTP, takes the time as an argument and its randomness from a seed.
//!
//! ```text
//! Plan (plan/)              one request: asks for attempts, hears how they ended
//!  |- Rules (rules/)        rules, regions and weights decide on a name before all else
//!  |- Queue (fallback.rs)   the groups that may stand in
//!  '- Stage (stage/)        one group of the request: who is eligible, who has been tried
//!      |- Draw (strategy/)       the choice among equals
//!      '- Reach (retry.rs)       what a failure leaves possible, and after what delay
//! State (stats.rs)          all requests: what is known of each deployment
//!  |- Turns (turns.rs)       whose turn it is among names that share requests by weight
//!  |- Hedges (hedge.rs)      how long answers take to begin, and who gets company
//!  '- DeploymentState (health.rs)   in flight, closed / cooling / half-open
//!      |- Window (window.rs)     the last minute
//!      '- rest (cooldown.rs, breaker.rs)  when it rests and for how long
//! ```

mod affinity;
mod breaker;
mod checks;
mod cooldown;
mod decay;
mod explain;
mod fallback;
mod health;
mod hedge;
mod meter;
mod needs;
mod out;
mod plan;
mod rates;
mod reach;
mod retry;
pub mod rules;
mod settings;
mod smooth;
mod speed;
mod stage;
mod stats;
mod strategy;
mod tags;
mod turns;
mod window;

#[cfg(test)]
mod tests;

pub use affinity::AffinityKeys;
pub use breaker::Breaker;
pub use checks::in_region;
pub use explain::{ExplainedCandidate, ExplainedGroup, Explanation, Standing, explain};
pub use health::{Health, InFlight, LastFailure, View};
pub use meter::{Hold, Meter, Meters, Room};
pub use needs::{Needs, ReplyFormat};
pub use out::Out;
pub use plan::{Ask, Attempt, AttemptRecord, Next, Plan, Stop, UnknownModel};
pub use rates::{FOR_GOOD, Purse, Rates, known};
pub use reach::{Reached, may_serve};
pub use settings::{
    Affinity, ByClass, Fallback, GroupSet, GroupStrategy, Hedging, RetryPolicy, SHORT_PROMPT,
    Settings, Strategy, Tuning,
};
pub use smooth::Smooth;
pub use stage::Overrides;
pub use stats::State;
