//! The strategies against each other, in simulated time: four deployments of one model at different
//! prices and speeds, of which one degrades, one refuses what is above its limit, and one goes down
//! for a while. What comes of it per strategy: requests answered, the slow end of their latency, the
//! attempts that it took, and what a thousand answers cost.
//!
//! `cargo bench --bench simulation` (a second or two; the numbers are the same on every run)

#![allow(clippy::print_stdout, reason = "its output is a table")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tollgate::catalog::{Catalog, Deployment, ModelInfo, Price, sample};
use tollgate::failure::{Failure, FailureClass};
use tollgate::money::Usd;
use tollgate::routing::{Ask, Attempt, Needs, Next, Plan, Settings, State, Strategy};
use tollgate::usage::Usage;

const REQUESTS_PER_SECOND: f64 = 40.0;
const MINUTES: u64 = 10;
/// A client waits no longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// An attempt that has not begun to answer by then has failed.
const TIMEOUT: f64 = 10.0;

/// A scripted provider.
struct Provider {
    id: &'static str,
    /// Seconds to the first content, undisturbed.
    latency: f64,
    /// Dollars for a million tokens, in and out.
    price: (f64, f64),
    /// Attempts within a second that it takes.
    rate: f64,
    /// Attempts at once from which on it gets slower.
    capacity: f64,
}

const PROVIDERS: [Provider; 4] = [
    Provider { id: "fast", latency: 0.4, price: (5.0, 15.0), rate: 60.0, capacity: 40.0 },
    Provider { id: "steady", latency: 0.9, price: (2.5, 10.0), rate: 60.0, capacity: 80.0 },
    Provider { id: "cheap", latency: 1.4, price: (0.5, 1.5), rate: 12.0, capacity: 60.0 },
    Provider { id: "spare", latency: 1.1, price: (3.0, 12.0), rate: 60.0, capacity: 80.0 },
];

/// What happens to whom, from one minute to another.
enum Trouble {
    /// Latency times this.
    Slow(f64),
    /// Every attempt fails with a 500 after a moment.
    Down,
}

const TROUBLES: [(&str, u64, u64, Trouble); 2] =
    [("fast", 2, 5, Trouble::Slow(12.0)), ("steady", 6, 8, Trouble::Down)];

fn main() {
    println!(
        "{MINUTES} simulated minutes at {REQUESTS_PER_SECOND} requests a second, timeout {TIMEOUT} s; \
         `fast` is 12 times slower\nfrom minute 2 to 5, `steady` answers 500 from minute 6 to 8, \
         `cheap` answers 429 above 12 requests a second\n"
    );
    println!(
        "{:<24} {:>9} {:>9} {:>9} {:>9} {:>9} {:>14}",
        "strategy", "answered", "p50 s", "p99 s", "attempts", "waited s", "USD/1000"
    );
    let base = simulate(Strategy::SimpleShuffle);
    for strategy in Strategy::ALL {
        let result = simulate(strategy);
        println!(
            "{:<24} {:>8.3}% {:>9.2} {:>9.2} {:>9.3} {:>9.3} {:>8.3} {:>+4.0}%",
            strategy.name(),
            result.answered * 100.0,
            result.p50,
            result.p99,
            result.attempts,
            result.waited,
            result.cost,
            (result.cost / base.cost - 1.0) * 100.0,
        );
    }
}

struct Outcome {
    answered: f64,
    p50: f64,
    p99: f64,
    /// For each request.
    attempts: f64,
    /// Of the mean request, before retries.
    waited: f64,
    /// Dollars for a thousand answers.
    cost: f64,
}

/// One request on its way.
struct Request {
    plan: Plan,
    arrived: Instant,
    attempt: Option<Attempt>,
    /// How the attempt in flight will end.
    ending: Option<Failure>,
    waited: Duration,
}

fn simulate(strategy: Strategy) -> Outcome {
    let start = Instant::now();
    let catalog = Catalog::build(PROVIDERS.iter().map(deployment).collect(), Vec::new());
    let settings = Settings { strategy, ..Settings::default() };
    let state = State::new(start);
    let mut rng = Rng::with_seed(7);
    let mut rates = [const { Rate { second: 0, count: 0.0 } }; PROVIDERS.len()];
    let mut busy = [0.0_f64; PROVIDERS.len()];
    let mut requests: Vec<Request> = Vec::new();
    // The end of an attempt, or the arrival of a request.
    let mut due: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
    let mut arrival = start + Duration::from_secs(1);
    let end = start + Duration::from_secs(60 * MINUTES);
    let (mut latencies, mut attempts, mut waited, mut dollars) = (Vec::new(), 0_u64, 0.0, 0.0);
    loop {
        let next_end = due.peek().map(|Reverse((at, _))| *at);
        let (index, now) = if next_end.is_none_or(|at| arrival < at) && arrival < end {
            let now = arrival;
            let gap = -(1.0 - rng.f64()).ln() / REQUESTS_PER_SECOND;
            arrival = now + Duration::from_secs_f64(gap);
            let needs = Needs {
                input_tokens: 200 + rng.u64(..1800),
                max_output_tokens: Some(300),
                replies: 1,
                stream: true,
                ..Needs::default()
            };
            let ask = Ask {
                model: "model",
                stream: true,
                needs: Some(needs),
                seed: rng.u64(..),
                ..Ask::default()
            };
            let Ok(plan) = Plan::new(&catalog, &settings, ask) else { return empty() };
            let waited = Duration::ZERO;
            requests.push(Request { plan, arrived: now, attempt: None, ending: None, waited });
            (requests.len() - 1, now)
        } else if let Some(Reverse((now, index))) = due.pop() {
            (index, now)
        } else {
            break;
        };
        let request = &mut requests[index];
        if let Some(mut attempt) = request.attempt.take() {
            busy[place(&attempt)] -= 1.0;
            match request.ending.take() {
                None => {
                    request.plan.succeeded(&mut attempt, &state, now);
                    let usage =
                        Usage { input_tokens: 1100, output_tokens: 250, ..Usage::default() };
                    request.plan.used(&mut attempt, &usage, &state, now);
                    let price = attempt.deployment.info.price.as_ref();
                    dollars += price.map_or(0.0, |price| price.cost(&usage).dollars());
                    latencies.push((now - request.arrived).as_secs_f64());
                    waited += request.waited.as_secs_f64();
                    continue;
                }
                Some(failure) => {
                    request.plan.failed(attempt, &failure, &settings, &state, now);
                }
            }
        }
        let deadline = Some(request.arrived + PATIENCE);
        let next = request.plan.next(&catalog, &settings, &state, now, deadline);
        if let Next::Attempt(attempt) = next {
            attempts += 1;
            request.waited += attempt.wait;
            let begins = now + attempt.wait;
            let who = place(&attempt);
            busy[who] += 1.0;
            let second = (begins - start).as_secs();
            let (took, ending) = answer(who, second, busy[who], &mut rates[who], &mut rng);
            request.attempt = Some(attempt);
            request.ending = ending;
            due.push(Reverse((begins + Duration::from_secs_f64(took), index)));
        }
    }
    latencies.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let at = (latencies.len() as f64 * share) as usize;
        latencies.get(at).or_else(|| latencies.last()).copied().unwrap_or(f64::NAN)
    };
    Outcome {
        answered: latencies.len() as f64 / requests.len() as f64,
        p50: quantile(0.5),
        p99: quantile(0.99),
        attempts: attempts as f64 / requests.len() as f64,
        waited: waited / latencies.len() as f64,
        cost: dollars / latencies.len() as f64 * 1000.0,
    }
}

/// Attempts of one second.
struct Rate {
    second: u64,
    count: f64,
}

/// What a provider does with an attempt: how many seconds it takes, and the failure if it is one.
fn answer(
    who: usize,
    second: u64,
    busy: f64,
    rate: &mut Rate,
    rng: &mut Rng,
) -> (f64, Option<Failure>) {
    let provider = &PROVIDERS[who];
    if rate.second != second {
        *rate = Rate { second, count: 0.0 };
    }
    rate.count += 1.0;
    if rate.count > provider.rate {
        let mut failure = Failure::new(FailureClass::RateLimited, "scripted");
        failure.status = Some(429);
        failure.retry_after = Some(Duration::from_secs(1));
        return (0.03, Some(failure));
    }
    let minute = second / 60;
    let mut slower = (busy / provider.capacity).max(1.0);
    for (id, from, to, trouble) in &TROUBLES {
        if *id != provider.id || !(*from..*to).contains(&minute) {
            continue;
        }
        match trouble {
            Trouble::Slow(factor) => slower *= factor,
            Trouble::Down => {
                let mut failure = Failure::new(FailureClass::Server, "scripted");
                failure.status = Some(500);
                return (0.1, Some(failure));
            }
        }
    }
    // A long tail: every tenth answer takes up to four times as long.
    let tail = if rng.u32(..10) == 0 { 1.0 + 3.0 * rng.f64() } else { 0.8 + 0.4 * rng.f64() };
    let took = provider.latency * slower * tail;
    if took > TIMEOUT {
        return (TIMEOUT, Some(Failure::new(FailureClass::Timeout, "scripted")));
    }
    (took, None)
}

fn place(attempt: &Attempt) -> usize {
    let id = &*attempt.deployment.id;
    PROVIDERS.iter().position(|provider| provider.id == id).unwrap_or(0)
}

fn empty() -> Outcome {
    Outcome { answered: 0.0, p50: 0.0, p99: 0.0, attempts: 0.0, waited: 0.0, cost: 0.0 }
}

fn deployment(provider: &Provider) -> Deployment {
    let per_token = |dollars: f64| Usd::from_dollars(dollars / 1e6).unwrap_or_default();
    let (input, output) = provider.price;
    let price = Price { input: per_token(input), output: per_token(output), ..Price::default() };
    Deployment {
        rpm: Some((provider.rate * 60.0) as u64),
        info: ModelInfo { price: Some(Arc::new(price)), ..ModelInfo::default() },
        ..sample::deployment(&format!("model = openai/model #{}", provider.id))
    }
}
