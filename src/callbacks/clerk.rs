//! Takes requests from their queue, makes the payload of each once, and gives it to every sink that
//! wants it. Begins and ends sinks as the configuration in force says.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::courier::Courier;
use super::inbox::Inbox;
use super::own::{Found, Own, Places, Sinks, remove_old};
use super::post::Client;
use super::settings::{Settings, SinkSettings};
use super::sink::Sink;
use super::spill::Spill;
use super::told::Told;
use super::{Shared, Trial, payload};
use crate::identity::Identities;
use crate::secret::Secret;

/// Requests whose payloads are made at once.
const AT_ONCE: usize = 256;
/// How often the configuration in force is looked at; it is also when something comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Sinks that are begun and do not run yet.
const BEGUN_MAX: usize = 64;
/// What waits in memory for a sink of a key or a team; there may be many of them.
const OWN_WAITING: (usize, usize) = (1_000, 2 * 1024 * 1024);

/// What the log says of prompts and replies.
const WITH_TEXT: &str = "with their prompts and replies";
const WITHOUT_TEXT: &str =
    "without prompts and replies: `turn_off_message_logging: false` adds them";

/// What the queue holds; boxed, so that it is small.
type Note = Box<Told>;

/// The end of the queue that the background service holds.
pub struct Clerk {
    queue: mpsc::Receiver<Note>,
    trials: mpsc::Receiver<Trial>,
    shared: Arc<Shared>,
}

/// The sinks in force.
struct Desk {
    shared: Arc<Shared>,
    identities: Arc<Identities>,
    /// Those that the sinks are for.
    settings: Arc<Settings>,
    sinks: Vec<Arc<Sink>>,
    /// Those of keys and teams.
    own: Sinks,
    /// Made when it is first needed.
    client: Option<Client>,
    /// To whoever runs what is begun.
    begun: mpsc::Sender<Work>,
}

/// What goes on beside the clerk: a sink to its end, a trial.
type Work = BoxFuture<'static, ()>;

impl Clerk {
    pub(super) const fn new(
        queue: mpsc::Receiver<Note>,
        trials: mpsc::Receiver<Trial>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { queue, trials, shared }
    }

    /// Works until `shutdown` completes and what waits then is delivered or on the disk. `settings`
    /// are those in force, `salt` is what variables of keys and teams are sealed with.
    pub async fn run(
        self,
        settings: impl Fn() -> Arc<Settings>,
        salt: impl Fn() -> Option<Secret>,
        identities: Arc<Identities>,
        shutdown: impl Future<Output = ()>,
    ) {
        let (begun, beginning) = mpsc::channel(BEGUN_MAX);
        let desk = Desk {
            own: Sinks::new(Arc::clone(&self.shared)),
            shared: self.shared,
            identities,
            settings: Arc::default(),
            sinks: Vec::new(),
            client: None,
            begun,
        };
        tokio::join!(
            desk.work((self.queue, self.trials), (settings, salt), shutdown),
            run_all(beginning)
        );
    }
}

/// Runs what is begun to its end, what comes later too.
async fn run_all(mut beginning: mpsc::Receiver<Work>) {
    let mut running = FuturesUnordered::new();
    let mut is_open = true;
    while is_open || !running.is_empty() {
        tokio::select! {
            begun = beginning.recv(), if is_open => match begun {
                Some(work) => running.push(work),
                None => is_open = false,
            },
            Some(()) = running.next() => {}
        }
    }
}

impl Desk {
    async fn work(
        mut self,
        (mut queue, mut trials): (mpsc::Receiver<Note>, mpsc::Receiver<Trial>),
        (settings, salt): (impl Fn() -> Arc<Settings>, impl Fn() -> Option<Secret>),
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = pin!(shutdown);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                count = queue.recv_many(&mut told, AT_ONCE) => if count == 0 { break },
                Some(trial) = trials.recv() => {
                    self.follow(settings()).await;
                    self.try_out(trial).await;
                }
                _ = look.tick() => {}
                () = &mut shutdown => break,
            }
            self.follow(settings()).await;
            self.distribute(&mut told, &salt).await;
            self.sweep();
        }
        queue.close();
        self.follow(settings()).await;
        while queue.recv_many(&mut told, AT_ONCE).await > 0 {
            self.distribute(&mut told, &salt).await;
        }
        self.sinks.iter().for_each(|sink| sink.end());
        self.own.end_all();
    }

    /// Begins and ends sinks, so that they are those of the settings. One whose own settings are the
    /// same goes on.
    async fn follow(&mut self, settings: Arc<Settings>) {
        if Arc::ptr_eq(&settings, &self.settings) {
            return;
        }
        let has_place = self.settings.folder == settings.folder
            && self.settings.spill_bytes == settings.spill_bytes;
        self.own.forget();
        if !has_place {
            self.own.end_all();
        }
        let mut before = std::mem::take(&mut self.sinks);
        for wanted in &settings.sinks {
            let same = before.iter().position(|sink| sink.settings == *wanted && has_place);
            let sink = match same {
                Some(at) => before.swap_remove(at),
                None => {
                    let name = &*wanted.name;
                    let places = Places {
                        folder: settings.folder.clone(),
                        disk_bytes: settings.spill_bytes,
                        counts: self.shared.counts_of(name),
                    };
                    let inbox = Inbox::new(wanted.batch);
                    let Some(sink) = self.made(wanted, inbox, places) else { continue };
                    self.begin(Arc::clone(&sink).run()).await;
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

    async fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Whoever runs it is there for as long as this is.
        drop(self.begun.send(work.boxed()).await);
    }

    /// Tells a callback of a request that nobody made, beside all others.
    async fn try_out(&self, Trial { callback, answer }: Trial) {
        let Some(sink) = self.sinks.iter().find(|sink| sink.settings.name == callback) else {
            drop(answer.send(Err("it is not in force".to_owned())));
            return;
        };
        let (sink, told) = (Arc::clone(sink), Told::test(SystemTime::now()));
        let payload = payload::written(&told, self.settings.hides_callers);
        let trying = async move {
            // Whoever has asked may be gone.
            drop(answer.send(sink.try_out(payload).await));
        };
        self.begin(trying).await;
    }

    fn made(
        &mut self,
        wanted: &Arc<SinkSettings>,
        inbox: Inbox,
        places: Places,
    ) -> Option<Arc<Sink>> {
        let Places { folder, disk_bytes, counts } = places;
        let spill = Spill::new(&folder, &wanted.name, disk_bytes);
        let identities = Arc::clone(&self.identities);
        let courier = Courier::new(Arc::clone(wanted), self.client()?, identities);
        Some(Arc::new(Sink::new(Arc::clone(wanted), inbox, spill, counts, courier)))
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
    async fn distribute(&mut self, told: &mut Vec<Note>, salt: &impl Fn() -> Option<Secret>) {
        if told.is_empty() {
            return;
        }
        let told = std::mem::take(told);
        let count = told.len();
        let text: usize = told.iter().map(|told| told.text_bytes()).sum();
        let settings = Arc::clone(&self.settings);
        let hides_callers = settings.hides_callers;
        // Prompts may be long, and others wait for this thread.
        let making = move || {
            let make = |told: Note| (payload::written(&told, hides_callers), told);
            told.into_iter().map(make).collect::<Vec<(Bytes, Note)>>()
        };
        let made = tokio::task::spawn_blocking(making).await.unwrap_or_else(|error| {
            tracing::error!(%error, count, "requests cannot be told to callbacks");
            self.shared.lose(count);
            Vec::new()
        });
        for (payload, told) in made {
            let (owner, own) = settings.own.of(&told);
            for sink in self.sinks.iter().filter(|sink| told.is_for(&sink.settings)) {
                // One of the same name that is the key's or the team's stands in its place.
                if !own.iter().any(|callback| callback.replaces(&sink.settings.name)) {
                    sink.push(payload.clone()).await;
                }
            }
            for callback in own {
                if let Some(sink) = self.own_sink((&owner, callback), salt).await {
                    sink.push(payload.clone()).await;
                }
            }
        }
        self.shared.text.fetch_sub(text, Ordering::Relaxed);
    }

    /// The sink of a callback of a key or a team.
    async fn own_sink(
        &mut self,
        whose: (&str, Own<'_>),
        salt: &impl Fn() -> Option<Secret>,
    ) -> Option<Arc<Sink>> {
        let settings = Arc::clone(&self.settings);
        let (wanted, counts) = match self.own.find(whose, &settings.own, salt, Instant::now())? {
            Found::Working(sink) => return Some(sink),
            Found::Wanted(wanted, counts) => (wanted, counts),
        };
        let places = Places::of_own(&settings.folder, settings.spill_bytes, counts);
        let (count_max, bytes_max) = OWN_WAITING;
        let inbox = Inbox::bounded(wanted.batch, count_max, bytes_max);
        let sink = self.made(&wanted, inbox, places)?;
        self.own.add(&sink, Instant::now());
        self.begin(Arc::clone(&sink).run()).await;
        Some(sink)
    }

    /// Ends sinks of keys and teams that nobody needs, and removes what is old on the disk.
    fn sweep(&mut self) {
        if let Some(folder) = self.own.sweep(&self.settings.folder, Instant::now()) {
            // Nobody waits for it.
            drop(tokio::task::spawn_blocking(move || remove_old(&folder, SystemTime::now())));
        }
    }
}
