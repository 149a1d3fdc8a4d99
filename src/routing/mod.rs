//! Which deployment next: strategies, cooldowns, retries and fallbacks.
//!
//! Pure: knows nothing of HTTP and takes the time as an argument.

mod settings;

pub use settings::{ByClass, Fallback, RetryPolicy, Settings, Strategy};
