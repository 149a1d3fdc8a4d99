//! The counters of one process, where somebody asks for any counters.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;

use super::entry::Entry;
use super::{Memory, NOTHING, UNTOLD};
use crate::admission::claim::{Claims, Key, Moment, Need};
use crate::admission::counters::{Counters, Due, Held, Known, Mark, Portion, Stop, Terms};
use crate::money::Usd;
use crate::spend::{Scope, Term};

#[async_trait]
impl Counters for Memory {
    async fn take(
        &self,
        claims: &Claims,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
    ) -> Result<Box<dyn Held>, Stop> {
        Self::take(self, claims, need, terms, now).map(|hold| Box::new(hold) as Box<dyn Held>)
    }

    fn adopt(
        &self,
        _claims: &Claims,
        _taken: &[Portion],
        _terms: &Terms<'_>,
        _now: Moment,
    ) -> Option<Box<dyn Held>> {
        None
    }

    async fn learn(&self, known: &[Known], _is_guess: bool, now: Moment) -> Result<(), Stop> {
        Self::learn(self, known, now.ms);
        Ok(())
    }

    fn due(&self) -> Vec<Due> {
        std::mem::take(&mut self.due.lock())
    }

    fn wrote(&self, lag: Option<Duration>, now: Moment) {
        let lag = lag.and_then(|lag| u64::try_from(lag.as_millis()).ok());
        let written_ms = lag.map_or(NOTHING, |lag| now.ms.saturating_sub(lag));
        self.written_ms.store(written_ms, Ordering::Relaxed);
    }

    fn written(&self) -> Option<u64> {
        let written_ms = self.written_ms.load(Ordering::Relaxed);
        Some(written_ms).filter(|written| ![UNTOLD, NOTHING].contains(written))
    }

    async fn correct(
        &self,
        said: &[(Mark, Known)],
        written: Option<u64>,
        now: Moment,
    ) -> Result<(), Stop> {
        Self::correct(self, said, written, now.ms);
        Ok(())
    }

    async fn sums(&self, asked: &[(Key, Option<Term>)]) -> Result<Vec<Option<Usd>>, Stop> {
        let sum = |(key, term): &(Key, Option<Term>)| {
            let cell = self.find_key(key)?;
            let state = cell.state.lock();
            let entry = state.account.as_ref().filter(|entry| entry.is_known())?;
            Some(entry.account.sum_in(*term))
        };
        Ok(asked.iter().map(sum).collect())
    }

    fn pay(&self, claims: &Claims, cost: Usd) {
        for claim in claims.as_slice() {
            let cell = self.cell(claim);
            let mut state = cell.state.lock();
            if let Some(entry) = &mut state.account {
                entry.account.settle(Usd::ZERO, cost);
            }
        }
    }

    fn forget(&self, scope: &Scope, _revision: i64) {
        self.bygone.forget(scope);
        self.each(|other| other == scope, Entry::forget);
    }

    fn gateways(&self) -> u32 {
        1
    }

    fn is_well(&self) -> bool {
        true
    }

    fn episode(&self) -> u64 {
        0
    }
}
