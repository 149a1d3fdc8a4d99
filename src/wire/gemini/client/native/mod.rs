//! Google's clients at Google's own API: requests are edited in place, replies and streams are passed
//! on as they come, and only looked at for usage, errors, content and the end.
//!
//! Fields and parts that nobody here knows survive.

mod request;
mod stream;

pub use request::request;
pub use stream::{NativeStream, reply};

#[cfg(test)]
mod tests;
