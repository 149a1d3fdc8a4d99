//! Takes requests from their queue, makes the payload of each once, and gives it to every sink that
//! wants it. Begins and ends sinks as the configuration in force says.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::courier::Courier;
use super::post::Client;
use super::settings::Settings;
use super::sink::Sink;
use super::spill::Spill;
use super::told::Told;
use super::{Shared, payload};
use crate::identity::Identities;

/// Requests whose payloads are made at once.
const AT_ONCE: usize = 256;
/// How often the configuration in force is looked at; it is also when something comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Sinks that are begun and do not run yet.
const BEGUN_MAX: usize = 64;

/// What the log says of prompts and replies.
const WITH_TEXT: &str = "with their prompts and replies";
const WITHOUT_TEXT: &str =
    "without prompts and replies: `turn_off_message_logging: false` adds them";

/// What the queue holds; boxed, so that it is small.
type Note = Box<Told>;

/// The end of the queue that the background service holds.
pub struct Clerk {
    queue: mpsc::Receiver<Note>,
    shared: Arc<Shared>,
}

/// The sinks in force.
struct Desk {
    shared: Arc<Shared>,
    identities: Arc<Identities>,
    /// Those that the sinks are for.
    settings: Arc<Settings>,
    sinks: Vec<Arc<Sink>>,
    /// Made when it is first needed.
    client: Option<Client>,
    /// To whoever runs them.
    begun: mpsc::Sender<Arc<Sink>>,
}

impl Clerk {
    pub(super) const fn new(queue: mpsc::Receiver<Note>, shared: Arc<Shared>) -> Self {
        Self { queue, shared }
    }

    /// Works until `shutdown` completes and what waits then is delivered or on the disk. `settings`
    /// are those in force.
    pub async fn run(
        self,
        settings: impl Fn() -> Arc<Settings>,
        identities: Arc<Identities>,
        shutdown: impl Future<Output = ()>,
    ) {
        let (begun, beginning) = mpsc::channel(BEGUN_MAX);
        let desk = Desk {
            shared: self.shared,
            identities,
            settings: Arc::default(),
            sinks: Vec::new(),
            client: None,
            begun,
        };
        tokio::join!(desk.work(self.queue, settings, shutdown), run_all(beginning));
    }
}

/// Runs sinks to their ends, those that come later too.
async fn run_all(mut beginning: mpsc::Receiver<Arc<Sink>>) {
    let mut running = FuturesUnordered::new();
    let mut is_open = true;
    while is_open || !running.is_empty() {
        tokio::select! {
            begun = beginning.recv(), if is_open => match begun {
                Some(sink) => running.push(sink.run()),
                None => is_open = false,
            },
            Some(()) = running.next() => {}
        }
    }
}

impl Desk {
    async fn work(
        mut self,
        mut queue: mpsc::Receiver<Note>,
        settings: impl Fn() -> Arc<Settings>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = pin!(shutdown);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                count = queue.recv_many(&mut told, AT_ONCE) => if count == 0 { break },
                _ = look.tick() => {}
                () = &mut shutdown => break,
            }
            self.follow(settings()).await;
            self.distribute(&mut told).await;
        }
        queue.close();
        self.follow(settings()).await;
        while queue.recv_many(&mut told, AT_ONCE).await > 0 {
            self.distribute(&mut told).await;
        }
        self.sinks.iter().for_each(|sink| sink.end());
    }

    /// Begins and ends sinks, so that they are those of the settings. One whose own settings are the
    /// same goes on.
    async fn follow(&mut self, settings: Arc<Settings>) {
        if Arc::ptr_eq(&settings, &self.settings) {
            return;
        }
        let has_place = self.settings.folder == settings.folder
            && self.settings.spill_bytes == settings.spill_bytes;
        let mut before = std::mem::take(&mut self.sinks);
        for wanted in &settings.sinks {
            let same = before.iter().position(|sink| sink.settings == *wanted && has_place);
            let sink = match same {
                Some(at) => before.swap_remove(at),
                None => {
                    let Some(client) = self.client() else { continue };
                    let (name, folder) = (&*wanted.name, &settings.folder);
                    let spill = Spill::new(folder, name, settings.spill_bytes);
                    let identities = Arc::clone(&self.identities);
                    let courier = Courier::new(Arc::clone(wanted), client, identities);
                    let counts = self.shared.counts_of(name);
                    let sink = Arc::new(Sink::new(Arc::clone(wanted), spill, counts, courier));
                    // Whoever runs them is there for as long as this is.
                    drop(self.begun.send(Arc::clone(&sink)).await);
                    let text = if settings.wants_text { WITH_TEXT } else { WITHOUT_TEXT };
                    tracing::info!(callback = name, text, "requests are told to a callback");
                    sink
                }
            };
            self.sinks.push(sink);
        }
        before.iter().for_each(|sink| sink.end());
        self.settings = settings;
    }

    fn client(&mut self) -> Option<Client> {
        if self.client.is_none() {
            match Client::new() {
                Ok(client) => self.client = Some(client),
                Err(error) => tracing::error!(error, "no callback can be called"),
            }
        }
        self.client.clone()
    }

    /// Gives requests to the sinks that want them.
    async fn distribute(&self, told: &mut Vec<Note>) {
        if told.is_empty() {
            return;
        }
        let told = std::mem::take(told);
        let text: usize = told.iter().map(|told| told.text_bytes()).sum();
        if !self.sinks.is_empty() {
            let hides_callers = self.settings.hides_callers;
            // Prompts may be long, and others wait for this thread.
            let making = move || {
                let make = |told: Note| (payload::written(&told, hides_callers), told);
                told.into_iter().map(make).collect::<Vec<(Bytes, Note)>>()
            };
            let made = tokio::task::spawn_blocking(making).await;
            for (payload, told) in made.unwrap_or_default() {
                for sink in &self.sinks {
                    if told.is_for(&sink.settings) {
                        sink.push(payload.clone()).await;
                    }
                }
            }
        }
        self.shared.text.fetch_sub(text, Ordering::Relaxed);
    }
}
