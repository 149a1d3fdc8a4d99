//! What the integration tests are written with: scripted providers, gateways, clients.
//!
//! ```ignore
//! let busy = upstream::openai().replies(status(429).retry_after(60)).start();
//! let free = upstream::openai().replies(chat("hello")).start();
//! let gateway = gateway::with(group("gpt").deployment(&busy).deployment(&free)).start();
//!
//! let reply = gateway.client().chat("gpt", "hi");
//!
//! assert_eq!(reply.text(), "hello");
//! ```
//!
//! Nothing here sleeps for a fixed time: what is waited for is watched, by [`eventually`] if there
//! is no better way.

mod authority;
pub mod client;
pub mod gateway;
mod group;
pub mod http2;
mod keys;
pub mod load;
mod mailbox;
pub mod postgres;
pub mod raw;
pub mod redis;
pub mod searching;
pub mod stepped;
pub mod upstream;

use std::time::{Duration, Instant};

pub use authority::{Authority, Certified};
pub use client::{Client, Reply, Stream};
pub use gateway::Gateway;
pub use group::{Deployment, Group, anthropic, azure, gemini, group, openai};
pub use keys::{holder, key, made};
pub use mailbox::{Mailbox, mailbox, mailbox_that_refuses};
pub use tollgate::mock::{self, *};
pub use upstream::{calls, collector, model_asked};

/// Between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How long a test waits for what should happen at once.
pub fn patience() -> Duration {
    let seconds = std::env::var("TOLLGATE_TEST_PATIENCE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(20.0))
}

/// Waits until the condition holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_some(what, || holds().then_some(()));
}

/// Waits until the condition holds, for what takes a while by itself.
#[track_caller]
pub fn eventually_after(usual: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    some_until(Instant::now() + usual + patience(), what, || holds().then_some(()));
}

/// Waits until there is something, and returns it.
#[track_caller]
pub fn eventually_some<T>(what: &str, find: impl FnMut() -> Option<T>) -> T {
    some_until(Instant::now() + patience(), what, find)
}

#[track_caller]
fn some_until<T>(deadline: Instant, what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for this: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Runs something at the same time as the rest of a test; dropping it does not end it.
pub fn meanwhile<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    std::thread::Builder::new().spawn(work).expect("the system has a thread to spare")
}
