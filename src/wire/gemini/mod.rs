//! Google's `generateContent`.

pub mod client;
