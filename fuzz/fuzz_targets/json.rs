//! `tests/properties/json.rs` under libFuzzer.

#![no_main]

#[path = "../../tests/properties/json.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds(input));
