//! Clients that ask without a pause while something else happens, and tell what went wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::client::Client;
use super::{eventually, meanwhile};

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicUsize,
    /// Clients that have seen a failure and stopped.
    failed: AtomicUsize,
}

/// What a client asks for, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Whole replies over connections that are kept.
    Json,
    /// Streams, each read to its end.
    Streams,
    /// Whole replies, each over a connection of its own.
    NewConnections,
}

impl Load {
    /// Lets clients ask for this model, whose replies must hold this text.
    pub fn start(client: &Client, model: &str, text: &str, clients: &[Asking]) -> Self {
        let shared = Arc::new(Shared::default());
        let clients = clients
            .iter()
            .map(|&asking| {
                let (shared, client) = (Arc::clone(&shared), client.own_connections());
                let (model, text) = (model.to_owned(), text.to_owned());
                meanwhile(move || work(&shared, &client, &model, &text, asking))
            })
            .collect();
        Self { shared, clients }
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many further requests are answered, or one fails.
    #[track_caller]
    pub fn goes_on(&self, further: usize) {
        let before = self.answered();
        eventually("requests are answered", || {
            self.answered() >= before + further || self.shared.failed.load(Ordering::Relaxed) > 0
        });
    }

    /// Ends it. Returns how many requests were answered.
    ///
    /// # Panics
    /// If one was not; with what became of it.
    #[track_caller]
    pub fn stop(self) -> usize {
        self.shared.stop.store(true, Ordering::Relaxed);
        let failures: Vec<String> =
            self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        let answered = self.shared.answered.load(Ordering::Relaxed);
        assert!(failures.is_empty(), "beside {answered} answered requests: {failures:#?}");
        answered
    }
}

fn work(shared: &Shared, client: &Client, model: &str, text: &str, asking: Asking) -> Vec<String> {
    while !shared.stop.load(Ordering::Relaxed) {
        let failure = match asking {
            Asking::Json => ask(client, model, text),
            Asking::NewConnections => ask(&client.own_connections(), model, text),
            Asking::Streams => {
                let stream = match client.ask(model, "hi").try_open() {
                    Ok(open) => open.read_to_end(),
                    Err(error) => return failed(shared, format!("no stream: {error}")),
                };
                let whole = stream.text() == text && stream.ended_with_done && !stream.cut;
                (!whole).then(|| format!("a stream broke: {stream:?}"))
            }
        };
        if let Some(failure) = failure {
            return failed(shared, failure);
        }
        shared.answered.fetch_add(1, Ordering::Relaxed);
    }
    Vec::new()
}

fn ask(client: &Client, model: &str, text: &str) -> Option<String> {
    match client.ask(model, "hi").try_send() {
        Ok(reply) if reply.status == 200 && reply.text() == text => None,
        Ok(reply) => Some(format!("{}: {}", reply.status, reply.body_text())),
        Err(error) => Some(format!("no reply: {error:?}")),
    }
}

fn failed(shared: &Shared, failure: String) -> Vec<String> {
    shared.failed.fetch_add(1, Ordering::Relaxed);
    vec![failure]
}
