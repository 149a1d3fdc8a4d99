//! Credentials: keys, tokens and passwords by the forms that their makers gave them, and what is written
//! like one.

use std::sync::Arc;

use super::patterns::{PREBUILT, Patterns, Prebuilt};
use super::{Act, Detector, Found, Role};

/// What LiteLLM writes in the place of a secret.
const REDACTED: &str = "[REDACTED]";

#[derive(Debug)]
pub struct Secrets {
    patterns: Patterns,
    kinds: Vec<(&'static Prebuilt, Arc<str>)>,
    blocks: bool,
}

impl Secrets {
    /// `blocks`: a request with a credential goes nowhere; otherwise it is masked.
    ///
    /// # Errors
    /// Never, with the patterns of this program.
    pub fn new(blocks: bool) -> Result<Self, String> {
        let kinds: Vec<_> = PREBUILT.iter().filter(|known| known.entity.is_empty()).collect();
        let patterns = Patterns::new(kinds.iter().map(|known| known.pattern));
        let kinds = kinds.into_iter().map(|known| (known, Arc::from(known.name))).collect();
        Ok(Self { patterns: patterns.map_err(|(_, why)| why)?, kinds, blocks })
    }
}

impl Detector for Secrets {
    fn find(&self, text: &str, _role: Role, found: &mut Vec<Found>) {
        self.patterns.find(text, |at, place| {
            let (known, label) = &self.kinds[at];
            if let Some(at) = known.thing(text, place) {
                let act = match self.blocks {
                    true => Act::Block(
                        format!("Content blocked: {} pattern detected", known.name).into(),
                    ),
                    false => Act::Mask(REDACTED.into()),
                };
                found.push(Found { at, label: Arc::clone(label), act });
            }
        });
    }

    fn masks(&self) -> bool {
        !self.blocks
    }
}
