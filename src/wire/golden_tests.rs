//! Runs the cases of tests/golden.
