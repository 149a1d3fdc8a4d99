//! Replies to questions that mean the same: how near is near, and whether the model that tells is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::vectors::{Index, Nearest};
use crate::recent::Recent;

/// Failures in a row, after which the model is left alone.
const FAILURES_MAX: u32 = 3;
/// For how long it is, in milliseconds. Whoever asks then and fails begins this anew.
const REST_MS: u64 = 5_000;
/// Questions of which it is remembered which other one they are near to.
const TWINS_MAX: usize = 100_000;

/// What the configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    /// The cosine from which on two questions mean the same.
    pub threshold: f32,
    /// The model group that makes vectors of questions.
    pub model: Arc<str>,
    /// How long it is waited for.
    pub timeout: Duration,
    /// What all vectors may take together; looked at when the process starts.
    pub memory_bytes: u64,
}

/// What is known of the meaning of questions.
#[derive(Debug)]
pub struct Meanings {
    pub index: Index,
    pub reach: Reach,
    twins: Recent<Arc<str>, Nearest>,
}

impl Meanings {
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let twins = Recent::new(TWINS_MAX, Duration::MAX);
        Self { index: Index::new(bytes), reach: Reach::default(), twins }
    }

    /// The question that this one was found to be near to, so that no vector is needed to know it
    /// again. `model`: whose word that has to be.
    #[must_use]
    pub fn twin(&self, model: &str, name: &str) -> Option<Nearest> {
        self.twins.get(&*of(model, name))
    }

    /// Remembers that.
    pub fn is_twin(&self, model: &str, name: &str, nearest: Nearest) {
        self.twins.insert(of(model, name).into(), nearest);
    }

    /// Its reply is gone.
    pub fn forget_twin(&self, model: &str, name: &str) {
        self.twins.remove(&*of(model, name));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.index.clear();
        self.twins.clear();
    }
}

fn of(model: &str, name: &str) -> String {
    format!("{name}/{model}")
}

/// Whether the model that makes vectors is asked: after failures in a row it is left alone for a while,
/// so that a model that is away does not cost every request its deadline.
#[derive(Debug, Default)]
pub struct Reach {
    failures: AtomicU32,
    until_ms: AtomicU64,
}

impl Reach {
    #[must_use]
    pub fn may_ask(&self, now_ms: u64) -> bool {
        now_ms >= self.until_ms.load(Ordering::Relaxed)
    }

    pub fn answered(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    pub fn failed(&self, now_ms: u64) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_MAX {
            self.until_ms.store(now_ms.saturating_add(REST_MS), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_fails_again_and_again_is_left_alone_for_a_while() {
        let reach = Reach::default();
        for _ in 1..FAILURES_MAX {
            reach.failed(10);
        }
        assert!(reach.may_ask(10));
        reach.answered();
        for _ in 0..FAILURES_MAX {
            assert!(reach.may_ask(20));
            reach.failed(20);
        }
        assert!(!reach.may_ask(20) && !reach.may_ask(20 + REST_MS - 1));
        assert!(reach.may_ask(20 + REST_MS));
        reach.failed(9_000);
        assert!(!reach.may_ask(9_001), "once is enough then");
        reach.answered();
        reach.failed(20_000);
        assert!(reach.may_ask(20_000));
    }

    #[test]
    fn a_twin_is_the_word_of_one_model() {
        let meanings = Meanings::new(1_000_000);
        let near = Nearest { name: "b".into(), similarity: 0.9 };
        meanings.is_twin("small", "a", near.clone());
        assert_eq!(meanings.twin("small", "a"), Some(near.clone()));
        assert_eq!(meanings.twin("large", "a"), None);
        meanings.forget_twin("small", "a");
        assert_eq!(meanings.twin("small", "a"), None);
        meanings.is_twin("small", "a", near);
        meanings.clear();
        assert_eq!(meanings.twin("small", "a"), None);
    }
}
