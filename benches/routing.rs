//! What routing costs per request: the plan, the choice among a group's deployments, the outcome.
//!
//! `cargo bench --bench routing`

use std::time::{Duration, Instant};

use divan::Bencher;
use tollgate::catalog::{Catalog, Deployment, sample};
use tollgate::failure::{Failure, FailureClass};
use tollgate::routing::{Ask, Next, Plan, Settings, State, Strategy};

const SIZES: [usize; 4] = [1, 10, 100, 1000];

fn main() {
    divan::main();
}

/// One request that succeeds at once.
#[divan::bench(args = SIZES)]
fn simple_shuffle(bencher: Bencher<'_, '_>, deployments: usize) {
    succeeds(bencher, deployments, Strategy::SimpleShuffle);
}

#[divan::bench(args = SIZES)]
fn least_busy(bencher: Bencher<'_, '_>, deployments: usize) {
    succeeds(bencher, deployments, Strategy::LeastBusy);
}

/// The same from several threads: what requests to one group cost each other.
#[divan::bench(args = SIZES, threads = [2])]
fn two_threads(bencher: Bencher<'_, '_>, deployments: usize) {
    succeeds(bencher, deployments, Strategy::SimpleShuffle);
}

/// `Plan::next` alone: the plan is made and dropped outside of the measurement.
#[divan::bench(args = SIZES)]
fn next_only(bencher: Bencher<'_, '_>, deployments: usize) {
    let world = World::new(deployments, Strategy::SimpleShuffle);
    bencher.with_inputs(|| world.plan()).bench_local_refs(|plan| {
        plan.next(&world.catalog, &world.settings, &world.state, world.now, None)
    });
}

/// A request whose first attempt fails and whose second succeeds.
#[divan::bench(args = [2, 10, 100, 1000])]
fn one_retry(bencher: Bencher<'_, '_>, deployments: usize) {
    let world = World::new(deployments, Strategy::SimpleShuffle);
    let World { catalog, settings, state, now } = &world;
    // A class that never puts a deployment to rest, so that each round finds the same world.
    let failure = Failure::new(FailureClass::Conflict, "scripted");
    bencher.bench(|| {
        let mut plan = world.plan();
        if let Next::Attempt(attempt) = plan.next(catalog, settings, state, *now, None) {
            plan.failed(attempt, &failure, settings, state, *now);
        }
        if let Next::Attempt(mut attempt) = plan.next(catalog, settings, state, *now, None) {
            plan.succeeded(&mut attempt, state, *now);
        }
    });
}

fn succeeds(bencher: Bencher<'_, '_>, deployments: usize, strategy: Strategy) {
    let world = World::new(deployments, strategy);
    bencher.bench(|| {
        let mut plan = world.plan();
        let next = plan.next(&world.catalog, &world.settings, &world.state, world.now, None);
        if let Next::Attempt(mut attempt) = next {
            plan.succeeded(&mut attempt, &world.state, world.now);
        }
    });
}

struct World {
    catalog: Catalog,
    settings: Settings,
    state: State,
    now: Instant,
}

impl World {
    fn new(deployments: usize, strategy: Strategy) -> Self {
        let begun = Instant::now();
        Self {
            catalog: Catalog::build((0..deployments).map(deployment).collect(), Vec::new()),
            settings: Settings { strategy, ..Settings::default() },
            state: State::new(begun),
            now: begun + Duration::from_secs(1),
        }
    }

    fn plan(&self) -> Plan {
        let ask = Ask { model: "gpt-4o", seed: fastrand::u64(..), ..Ask::default() };
        Plan::new(&self.catalog, &self.settings, ask).expect("the group exists")
    }
}

fn deployment(index: usize) -> Deployment {
    Deployment {
        weight: Some(1.0 + (index % 3) as f64),
        ..sample::deployment(&format!("gpt-4o = openai/gpt-4o #deployment-{index}"))
    }
}
