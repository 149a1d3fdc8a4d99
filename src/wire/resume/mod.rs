//! A reply that broke off in the middle, continued by another deployment as one stream.
//!
//! ```text
//! client's events --Told (told.rs)-------> what the client has, or why nobody can go on from there
//! request + Told  --request (request.rs)-> the request that asks for the rest
//! new events      --Splice (splice.rs)---> the same id and model, nothing said twice
//!                    '- Overlap (overlap.rs)  text that the new reply repeats
//! ```
//!
//! Works on the client's side of the stream, behind the relay of the provider's dialect: by then all
//! providers speak in chat completion chunks. Knows nothing of deployments or connections.

mod overlap;
mod request;
mod splice;
mod told;

#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use request::{Style, request};
use splice::Splice;
pub use told::{Obstacle, Told};

use super::json::Object;
use crate::usage::Usage;

/// The client's side of a stream that may be continued.
#[derive(Debug, Default)]
pub struct Resume {
    told: Told,
    /// Set while another deployment continues what the first one began.
    splice: Option<Splice>,
}

impl Resume {
    /// Takes the events that are about to be sent, changes those that would not fit to what was
    /// sent before, and remembers what they say.
    pub fn pass(&mut self, events: &mut Vec<Bytes>) {
        if let Some(splice) = &mut self.splice {
            splice.rewrite(&self.told, events);
        }
        self.told.note(events);
    }

    /// What the client has been told.
    #[must_use]
    pub const fn told(&self) -> &Told {
        &self.told
    }

    /// From now on, events come from a reply that was asked to go on in this style. `spent` is what
    /// the attempts before it used: it is added to the usage that the client is shown.
    pub fn continue_with(&mut self, style: Style, spent: Usage) {
        self.splice = Some(Splice::new(style, &self.told, spent));
    }

    /// Why the reply to `body` cannot be continued from here; `None` if it can.
    #[must_use]
    pub fn obstacle(&self, body: &Object) -> Option<Obstacle> {
        told::obstacle_in(body).or_else(|| self.told.obstacle())
    }
}
