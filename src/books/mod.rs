//! The way of what was spent: from a request into the journal, and from there into the ledger.
//!
//! ```text
//! State (state.rs)   what is known of the database and of what waits for it
//! ```

mod state;

pub use state::{Link, State};
