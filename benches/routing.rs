//! What routing costs per request: the plan, the choice among a group's deployments, the outcome.
//!
//! `cargo bench --bench routing`

use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use tollgate::catalog::{Catalog, Deployment, ModelInfo, Price, sample};
use tollgate::failure::{Failure, FailureClass};
use tollgate::money::Usd;
use tollgate::routing::{AffinityKeys, Ask, Needs, Next, Plan, Settings, State, Strategy};
use tollgate::usage::Usage;

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

#[divan::bench(args = SIZES)]
fn weighted(bencher: Bencher<'_, '_>, deployments: usize) {
    succeeds(bencher, deployments, Strategy::Weighted);
}

/// With a measured latency for every deployment.
#[divan::bench(args = SIZES)]
fn latency(bencher: Bencher<'_, '_>, deployments: usize) {
    succeeds(bencher, deployments, Strategy::Latency);
}

/// With a price for every deployment.
#[divan::bench(args = SIZES)]
fn cost(bencher: Bencher<'_, '_>, deployments: usize) {
    succeeds(bencher, deployments, Strategy::Cost);
}

#[divan::bench(args = SIZES)]
fn usage(bencher: Bencher<'_, '_>, deployments: usize) {
    succeeds(bencher, deployments, Strategy::Usage);
}

/// With the checks for window and capabilities that it turns on.
#[divan::bench(args = SIZES)]
fn capability(bencher: Bencher<'_, '_>, deployments: usize) {
    succeeds(bencher, deployments, Strategy::Capability);
}

/// The default strategy with `enable_pre_call_checks`.
#[divan::bench(args = SIZES)]
fn pre_call_checks(bencher: Bencher<'_, '_>, deployments: usize) {
    let mut world = World::new(deployments, Strategy::SimpleShuffle);
    world.settings.pre_call_checks = true;
    serves(bencher, &world);
}

/// The default strategy with `prompt_caching`, on a prefix that no deployment is warm for.
#[divan::bench(args = SIZES)]
fn prompt_affinity(bencher: Bencher<'_, '_>, deployments: usize) {
    let mut world = World::new(deployments, Strategy::SimpleShuffle);
    world.settings.affinity.prompt = true;
    serves(bencher, &world);
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
    serves(bencher, &World::new(deployments, strategy));
}

fn serves(bencher: Bencher<'_, '_>, world: &World) {
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
        let world = Self {
            catalog: Catalog::build((0..deployments).map(deployment).collect(), Vec::new()),
            settings: Settings { strategy, ..Settings::default() },
            state: State::new(begun),
            now: begun + Duration::from_secs(60),
        };
        if strategy == Strategy::Latency {
            (0..deployments).for_each(|index| world.measure(index));
        }
        world
    }

    /// One reply of a deployment, so that its latency is known.
    fn measure(&self, index: usize) {
        let id = format!("deployment-{index}");
        let ask = Ask { model: &id, ..Ask::default() };
        let mut plan =
            Plan::new(&self.catalog, &self.settings, ask).expect("every deployment has a name");
        let begun = self.now - Duration::from_secs(2);
        let next = plan.next(&self.catalog, &self.settings, &self.state, begun, None);
        if let Next::Attempt(mut attempt) = next {
            let end = begun + Duration::from_millis(500 + index as u64 % 50);
            plan.succeeded(&mut attempt, &self.state, end);
            let usage = Usage { output_tokens: 100, ..Usage::default() };
            plan.used(&mut attempt, &usage, &self.state, end);
        }
    }

    fn plan(&self) -> Plan {
        let needs = Needs {
            input_tokens: 1200,
            max_output_tokens: Some(400),
            replies: 1,
            tools: true,
            ..Needs::default()
        };
        let prefix = Some(fastrand::u64(..));
        let ask = Ask {
            model: "gpt-4o",
            seed: fastrand::u64(..),
            needs: self.settings.looks_at_requests().then_some(needs),
            affinity: AffinityKeys { prefix, prefix_tokens: 256, ..AffinityKeys::default() },
            ..Ask::default()
        };
        Plan::new(&self.catalog, &self.settings, ask).expect("the group exists")
    }
}

fn deployment(index: usize) -> Deployment {
    let per_token = |pico| Usd::from_pico(pico + (index % 7) as u64 * 1000);
    let price =
        Price { input: per_token(2_500_000), output: per_token(10_000_000), ..Price::default() };
    Deployment {
        weight: Some(1.0 + (index % 3) as f64),
        info: ModelInfo {
            price: Some(Arc::new(price)),
            max_input_tokens: Some(128_000),
            ..ModelInfo::default()
        },
        ..sample::deployment(&format!("gpt-4o = openai/gpt-4o #deployment-{index}"))
    }
}
