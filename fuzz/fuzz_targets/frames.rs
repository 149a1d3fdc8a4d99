//! `tests/properties/frames.rs` under libFuzzer.

#![no_main]

#[path = "../../tests/properties/frames.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds(input));
