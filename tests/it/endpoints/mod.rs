//! Every route, and the keys that are asked for.

mod access;
mod inference;
mod pages;
