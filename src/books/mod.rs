//! The way of what was spent: from a request into the journal, and from there into the ledger.
//!
//! ```text
//! Record (record.rs)     what stands in the journal: a request has begun, or is over
//! Books (recorder.rs)    where requests write
//! Writer (writer.rs)     moves what they wrote into the ledger
//! Contents (contents.rs) what was said in requests, where it is kept: no journal, a queue
//! State (state.rs)       what is known of the database and of what waits for it
//! ```
//!
//! A request whose reply is a stream is written down twice: with its first content, and before its
//! end. So a request that ends with its process has a row, too: what is begun and not ended in what a
//! dead process has left was interrupted.

mod contents;
mod record;
mod recorder;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub use contents::{Contents, ContentsWriter, Heard};
pub use recorder::Books;
pub use state::{Count, Level, Link, State};
pub use writer::{Keep, Pace, Writer};
