//! Clients that speak the Responses API, before providers that do not.
//!
//! Nothing is kept between requests, so what asks for that is refused ([`obstacle`]): a
//! conversation is sent whole each time, and reasoning comes back sealed in its item.

mod echo;
mod items;
mod names;
mod obstacle;
mod output;
mod reply;
mod request;
mod sealed;
mod shell;
mod stream;
mod tools;

pub use obstacle::obstacle;
pub use reply::reply;
pub use request::request;
pub(super) use sealed::MARK as SEALED_BLOCKS;
pub use stream::Events;
