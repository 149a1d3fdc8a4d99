//! Personal data that can be known by its form. Names and places cannot: those are Presidio's.

use std::sync::Arc;

use super::patterns::{PREBUILT, Patterns, Prebuilt};
use super::{Act, Detector, Found, Role};

/// One kind of data, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Entity {
    pub known: &'static Prebuilt,
    pub blocks: bool,
}

impl Entity {
    /// Every kind that is known, masked.
    pub fn all() -> impl Iterator<Item = Self> {
        let personal = PREBUILT.iter().filter(|known| !known.entity.is_empty());
        personal.map(|known| Self { known, blocks: false })
    }
}

/// The message for data that may not be sent at all: LiteLLM's.
#[must_use]
pub fn blocked(entity: &str, guardrail: &str) -> String {
    format!(
        "Blocked entity detected: {entity} by Guardrail: {guardrail}. This entity is not allowed to be \
         used in this request."
    )
}

/// Looks for personal data.
#[derive(Debug)]
pub struct Pii {
    patterns: Patterns,
    entities: Vec<(&'static Prebuilt, Arc<str>, Act)>,
}

impl Pii {
    /// `gives_back`: the client gets its own data back in the reply.
    ///
    /// # Errors
    /// Never, with the patterns of this program.
    pub fn new(name: &str, entities: Vec<Entity>, gives_back: bool) -> Result<Self, String> {
        let patterns = Patterns::new(entities.iter().map(|entity| entity.known.pattern));
        let act = |entity: &Entity| match (entity.blocks, gives_back) {
            (true, _) => Act::Block(blocked(entity.known.entity, name).into()),
            (false, true) => Act::Hide,
            (false, false) => Act::Mask(format!("<{}>", entity.known.entity).into()),
        };
        let entities = entities
            .iter()
            .map(|entity| (entity.known, Arc::from(entity.known.entity), act(entity)));
        Ok(Self { entities: entities.collect(), patterns: patterns.map_err(|(_, why)| why)? })
    }
}

impl Detector for Pii {
    fn find(&self, text: &str, _role: Role, found: &mut Vec<Found>) {
        self.patterns.find(text, |at, place| {
            let (known, label, act) = &self.entities[at];
            if let Some(at) = known.thing(text, place) {
                found.push(Found { at, label: Arc::clone(label), act: act.clone() });
            }
        });
    }

    fn masks(&self) -> bool {
        self.entities.iter().any(|(_, _, act)| !matches!(act, Act::Block(_)))
    }
}
