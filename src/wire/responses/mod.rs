//! OpenAI's Responses API, on both sides of the gateway.
//!
//! ```text
//! chat client  --request--> /v1/responses --reply, stream--> chat client       the bridge
//! Responses client --client::request--> canonical ... canonical --client::reply, client::stream-->
//! Responses client --native::request--> /v1/responses --native::reply, native::stream-->
//! ```
//!
//! The bridge is for models whose tools, or which themselves, are not offered on the chat API
//! ([`need`] knows which). The client's side serves those who speak the Responses API whatever the
//! provider speaks. Where both speak it, bytes are passed on.
//!
//! State is the provider's: nothing is kept here. An id that a client gets names the deployment
//! that made it (`ids`), so that what is asked of it later goes there, also after a restart and at
//! another gateway.

pub mod client;
mod event;
mod failure;
mod ids;
mod items;
mod models;
mod native;
mod reply;
mod request;
mod resource;
mod sealed;
mod stream;
mod tools;

pub use ids::{Made, Owner};
pub use models::{Need, need};
pub use native::{NativeStream, reply as native_reply, request as native_request, stored};
pub use reply::reply;
pub use request::request;
pub use resource::{Action, Resource};
pub use stream::Bridge;

#[cfg(test)]
mod tests;
