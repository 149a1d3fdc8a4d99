//! The plan as an explanation: where the request would go, with nobody called.

use std::time::Instant;

use super::{Clock, Plan};
use crate::catalog::Catalog;
use crate::routing::explain::ExplainedGroup;
use crate::routing::settings::Settings;
use crate::routing::stage::{Context, Resort};
use crate::routing::stats::State;

impl Plan {
    /// What every group of the plan would do, without an attempt: see [`crate::routing::explain`].
    pub(in crate::routing) fn rehearse(
        &mut self,
        catalog: &Catalog,
        settings: &Settings,
        state: &State,
        now: Instant,
    ) -> Vec<ExplainedGroup> {
        let clock = Clock { settings, state, now, deadline: None, rehearsal: true };
        if let Some(start) = self.start.take() {
            self.enter(start, Vec::new(), &clock);
        }
        let mut groups = Vec::new();
        loop {
            let index = self.current;
            let Some(stage) = self.stages.get_mut(index) else { break };
            let context = Context {
                settings,
                state,
                tried: &[],
                wants: &self.wants,
                stage: index,
                now,
                deadline: None,
                resort: Resort::First,
                rehearsal: true,
                skip: &[],
            };
            groups.push(ExplainedGroup {
                name: stage.name.clone(),
                fallback: index > 0,
                strategy: stage.strategy(),
                candidates: stage.rehearse(&context, &mut self.rng),
            });
            self.leave(settings);
            self.fallbacks = u32::try_from(index).unwrap_or(u32::MAX);
            if !self.fall_back(catalog, &clock) {
                break;
            }
        }
        groups
    }
}
