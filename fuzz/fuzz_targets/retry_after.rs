//! `tests/properties/retry_after.rs` under libFuzzer.

#![no_main]

#[path = "../../tests/properties/retry_after.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds(input));
