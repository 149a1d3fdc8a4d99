//! Requests that take time: they arrive at a rate, each attempt is in flight until its answer comes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::*;
use crate::routing::Strategy;
use crate::usage::Usage;

pub(super) struct Simulation {
    world: World,
    /// Answers that are still to come, soonest first.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    open: Vec<Option<(Plan, Attempt)>>,
    /// The most attempts that were in flight on one deployment.
    pub(super) most_in_flight: u32,
}

impl Simulation {
    pub(super) fn new(deployments: Vec<Deployment>, strategy: Strategy) -> Self {
        let world = World::new(deployments).with(|settings| settings.strategy = strategy);
        Self { world, due: BinaryHeap::new(), open: Vec::new(), most_in_flight: 0 }
    }

    /// Sends requests at this rate (per second); `latency` says in seconds how long the deployment
    /// takes, given how many attempts it has in flight. Counts who was asked.
    pub(super) fn run(
        &mut self,
        requests: usize,
        rate: f64,
        latency: impl Fn(&str, u32) -> f64,
    ) -> BTreeMap<String, u32> {
        let mut served = BTreeMap::new();
        let between = Duration::from_secs_f64(1.0 / rate);
        for _ in 0..requests {
            self.world.now += between;
            self.settle();
            let (plan, next) = self.world.open("gpt");
            let attempt = attempt(next);
            let id = attempt.deployment.id.to_string();
            let in_flight = self.world.state.view(&id, self.world.now).unwrap().in_flight;
            self.most_in_flight = self.most_in_flight.max(in_flight);
            let took = Duration::from_secs_f64(latency(&id, in_flight));
            self.due.push(Reverse((self.world.now + took, self.open.len())));
            self.open.push(Some((plan, attempt)));
            *served.entry(id).or_default() += 1;
        }
        served
    }

    /// Ends what is due by now.
    fn settle(&mut self) {
        while let Some(Reverse((at, index))) = self.due.peek().copied() {
            if at > self.world.now {
                break;
            }
            self.due.pop();
            let Some((mut plan, mut attempt)) = self.open[index].take() else { continue };
            plan.succeeded(&mut attempt, &self.world.state, at);
            let usage = Usage { output_tokens: 100, ..Usage::default() };
            plan.used(&mut attempt, &usage, &self.world.state, at);
        }
    }
}
