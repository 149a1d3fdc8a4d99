//! Which name a request is routed by, before any deployment is looked at.
pub mod language;
