//! What calls cost, who pays, and how much may be paid.
//!
//! ```text
//! SpendEvent (event.rs)   one request, as the ledger keeps it
//! Scope (scope.rs)        who pays: the key, its team, the tags, ...
//! Period (period.rs)      the time that a budget is for, and when it starts anew
//! Account (account.rs)    what one of them has spent and holds in this period
//! Ledger (ledger.rs)      the port behind which the events are kept
//! Spoken (spoken.rs)       what was said in a request, where it is kept
//! Traffic (traffic.rs)    events summed up by steps of time, for overviews; durations as a Histogram
//! ```
//!
//! Pure but for the port: takes the time as an argument, and knows neither databases nor HTTP.

mod account;
mod event;
mod histogram;
mod ledger;
mod period;
mod scope;
mod spoken;
pub mod traffic;

pub use account::{Account, Budget, Exceeded};
pub use event::{APPLIED_GUARDRAILS, SIMILARITY, SpendEvent};
pub use histogram::Histogram;
pub use ledger::{Aged, Appended, Columns, Corrected, Grouping, Ledger, Line, Query, Report, Span};
pub use period::{NoPeriod, Period, Term};
pub use scope::{Scope, ScopeKind};
pub use spoken::Spoken;
