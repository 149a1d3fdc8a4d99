//! The scripted provider for tests: started in-process on a free port, asked afterwards what it
//! has seen.
//!
//! It runs on a thread of its own, so a test may block while it serves.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

use super::record::{Disconnect, Record, Recorded};
use super::reply::Reply;
use super::script::{Repeat, Rule, Script, When};
use super::serve::{ServeOptions, Stage, Tls, accept};
use crate::dialect::Dialect;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long a connection attempt hangs before the queue counts as full.
const FULL_AFTER: Duration = Duration::from_millis(50);
/// Connections that are tried to fill a queue of one.
const FILLERS_MAX: usize = 16;

/// How the port behaves before any HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Door {
    #[default]
    Open,
    /// Bound but not listening: connections are refused.
    Refuses,
    /// Listening with a full queue: connections hang.
    NeverAccepts,
}

/// A scripted provider that has not started yet.
#[derive(Debug)]
#[must_use = "it serves only after `start`"]
pub struct UpstreamBuilder {
    options: ServeOptions,
    tls: Option<(String, String)>,
    http2: bool,
    door: Door,
    port: u16,
    send_buffer: Option<u32>,
    keeps_requests: bool,
}

/// A running scripted provider. It stops when it is dropped.
pub struct Upstream {
    address: SocketAddr,
    secure: bool,
    stage: Arc<Stage>,
    record: Arc<Record>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("address", &self.address).finish_non_exhaustive()
    }
}

impl UpstreamBuilder {
    fn new(dialect: Dialect) -> Self {
        Self {
            options: ServeOptions { dialect, ..ServeOptions::default() },
            tls: None,
            http2: false,
            door: Door::Open,
            port: 0,
            send_buffer: None,
            keeps_requests: true,
        }
    }

    fn rule(mut self, when: When, replies: Vec<Reply>, repeat: Repeat) -> Self {
        self.options.script.rules.push(Rule { when, replies, repeat, ..Rule::default() });
        self
    }

    /// Replies this to every request that no earlier rule takes: rules are asked in the order in
    /// which they were written.
    pub fn replies(self, reply: Reply) -> Self {
        self.rule(When::default(), vec![reply], Repeat::Last)
    }

    /// Replies these in turn, then the last one again and again.
    pub fn replies_in_turn(self, replies: impl IntoIterator<Item = Reply>) -> Self {
        self.rule(When::default(), replies.into_iter().collect(), Repeat::Last)
    }

    /// Replies these in turn, again and again.
    pub fn replies_in_circle(self, replies: impl IntoIterator<Item = Reply>) -> Self {
        self.rule(When::default(), replies.into_iter().collect(), Repeat::Cycle)
    }

    /// Replies these once each; then later lines have their turn.
    pub fn first_replies(self, replies: impl IntoIterator<Item = Reply>) -> Self {
        self.rule(When::default(), replies.into_iter().collect(), Repeat::Once)
    }

    /// Replies this to requests for which `holds` is true.
    pub fn when(
        self,
        holds: impl Fn(&Recorded) -> bool + Send + Sync + 'static,
        reply: Reply,
    ) -> Self {
        let when = When { holds: Some(Arc::new(holds)), ..When::default() };
        self.rule(when, vec![reply], Repeat::Last)
    }

    /// Does what a script says, in the YAML form of `tollgate mock --script`.
    pub fn script(mut self, script: Script) -> Self {
        self.options.script = script;
        self
    }

    /// Refuses requests that do not show this key.
    pub fn requires_key(mut self, key: &str) -> Self {
        self.options.script.keys.push(key.to_owned());
        self
    }

    /// Speaks TLS with this certificate chain and key, both PEM.
    pub fn tls(mut self, certificates: &str, key: &str) -> Self {
        self.tls = Some((certificates.to_owned(), key.to_owned()));
        self
    }

    /// Offers HTTP/2 in TLS. Without TLS, HTTP/2 with prior knowledge is always understood.
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Takes at most so many streams at once on one HTTP/2 connection, and says so to clients.
    pub fn http2_streams(mut self, count: u32) -> Self {
        self.options.http2_streams = count;
        self
    }

    /// Refuses connections; the port stays reserved.
    pub fn refuses_connections(mut self) -> Self {
        self.door = Door::Refuses;
        self
    }

    /// Lets connection attempts hang: the queue of the listening socket is full.
    pub fn never_accepts(mut self) -> Self {
        self.door = Door::NeverAccepts;
        self
    }

    /// Refuses larger request bodies with 413.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.options.body_limit = bytes;
        self
    }

    /// Bounds what the kernel takes off our hands, so that a slow client is felt early.
    pub fn send_buffer(mut self, bytes: u32) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// Listens on this port instead of a free one.
    pub fn on_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Keeps no requests, and so replies to repeated ones at once: for load.
    pub fn forgetful(mut self) -> Self {
        self.keeps_requests = false;
        self
    }

    /// Starts it on a thread of its own; it listens when this returns.
    ///
    /// # Panics
    /// If it cannot start: in a test there is nothing better to do.
    #[must_use]
    pub fn start(self) -> Upstream {
        self.try_start().expect("a scripted provider starts on a loopback port")
    }

    /// Starts it on a thread of its own; it listens when this returns.
    ///
    /// # Errors
    /// The port is taken, or certificate and key cannot be used.
    pub fn try_start(mut self) -> io::Result<Upstream> {
        if let Some((certificates, key)) = &self.tls {
            let tls = Tls::from_pem(certificates, key, self.http2).map_err(io::Error::other)?;
            self.options.tls = Some(tls);
        }
        let secure = self.options.tls.is_some();
        let stage = Arc::new(Stage::new(self.options));
        let record = Arc::new(Record::new(self.keeps_requests));
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stage_there, record_there) = (Arc::clone(&stage), Arc::clone(&record));
        let (door, port, send_buffer) = (self.door, self.port, self.send_buffer);
        let thread =
            std::thread::Builder::new().name("mock-upstream".to_owned()).spawn(move || {
                runtime.block_on(async move {
                    let opened = open(door, port, send_buffer).await;
                    let (address, held) = match opened {
                        Ok((address, held)) => (Ok(address), Some(held)),
                        Err(error) => (Err(error), None),
                    };
                    // A starter that no longer listens has dropped `stop` too.
                    if tell.send(address).is_err() {
                        return;
                    }
                    let shutdown = async {
                        // Told to stop, or the handle is gone: both end it.
                        drop(stopped.await);
                    };
                    match held {
                        Some(Held::Listener(listener)) => {
                            accept(listener, stage_there, record_there, shutdown).await;
                        }
                        Some(_held) => shutdown.await,
                        None => {}
                    }
                });
            })?;
        let address = told.recv().map_err(io::Error::other)??;
        Ok(Upstream { address, secure, stage, record, stop: Some(stop), thread: Some(thread) })
    }
}

/// What is kept open for as long as the provider runs.
#[expect(dead_code, reason = "the sockets are only held")]
enum Held {
    Listener(TcpListener),
    Bound(TcpSocket),
    Full(TcpListener, Vec<TcpStream>),
}

async fn open(door: Door, port: u16, buffer: Option<u32>) -> io::Result<(SocketAddr, Held)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(door == Door::Open)?;
    if let Some(bytes) = buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let address = socket.local_addr()?;
    let held = match door {
        Door::Open => Held::Listener(socket.listen(BACKLOG)?),
        Door::Refuses => Held::Bound(socket),
        Door::NeverAccepts => {
            let listener = socket.listen(1)?;
            let mut fillers = Vec::new();
            while fillers.len() < FILLERS_MAX {
                match tokio::time::timeout(FULL_AFTER, TcpStream::connect(address)).await {
                    Ok(Ok(filler)) => fillers.push(filler),
                    _ => break,
                }
            }
            Held::Full(listener, fillers)
        }
    };
    Ok((address, held))
}

impl Upstream {
    /// A provider that speaks as OpenAI does.
    pub fn openai() -> UpstreamBuilder {
        UpstreamBuilder::new(Dialect::OpenAi)
    }

    /// A provider that speaks as Azure does, content-filter preamble included.
    pub fn azure() -> UpstreamBuilder {
        UpstreamBuilder::new(Dialect::Azure)
    }

    /// A provider that speaks as Anthropic does.
    pub fn anthropic() -> UpstreamBuilder {
        UpstreamBuilder::new(Dialect::Anthropic)
    }

    /// A provider that speaks as Google's Gemini does.
    pub fn gemini() -> UpstreamBuilder {
        UpstreamBuilder::new(Dialect::Gemini)
    }

    /// A provider that speaks as Amazon Bedrock does.
    pub fn bedrock() -> UpstreamBuilder {
        UpstreamBuilder::new(Dialect::Bedrock)
    }

    /// A provider that speaks as Cohere does.
    pub fn cohere() -> UpstreamBuilder {
        UpstreamBuilder::new(Dialect::Cohere)
    }

    /// A provider that speaks as Ollama does.
    pub fn ollama() -> UpstreamBuilder {
        UpstreamBuilder::new(Dialect::Ollama)
    }

    /// A provider with an API of its own at `/house/say`, as `custom_providers` describe one.
    pub fn house() -> UpstreamBuilder {
        UpstreamBuilder::new(Dialect::Custom)
    }

    /// Scheme, host and port, without a path. With TLS the host is `localhost`, to which the
    /// certificates of tests are made out.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let host = if self.secure { "localhost" } else { "127.0.0.1" };
        format!("{scheme}://{host}:{}", self.port())
    }

    /// What a deployment's `api_base` is for this provider: OpenAI's ends with `/v1`.
    #[must_use]
    pub fn api_base(&self) -> String {
        match self.stage.dialect {
            Dialect::OpenAi => format!("{}/v1", self.url()),
            Dialect::Azure
            | Dialect::Anthropic
            | Dialect::Cohere
            | Dialect::Ollama
            | Dialect::Custom
            | Dialect::Bedrock
            | Dialect::Gemini => self.url(),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port alone.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every request so far, in the order in which they were complete.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.record.requests()
    }

    /// How many requests there were so far.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.record.request_count()
    }

    /// The last request.
    ///
    /// # Panics
    /// If there was none.
    #[must_use]
    pub fn last_request(&self) -> Recorded {
        self.record.requests().pop().expect("the scripted provider was asked at least once")
    }

    /// Waits until there were `count` requests. False if they did not come in time.
    #[must_use]
    pub fn wait_for_requests(&self, count: usize, patience: Duration) -> bool {
        self.record.wait_for_requests(count, patience)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.record.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.record.open.load(Ordering::Relaxed)
    }

    /// Waits until no connection is open. False if it took too long.
    #[must_use]
    pub fn wait_for_no_connection(&self, patience: Duration) -> bool {
        self.record.wait_for_no_connection(patience)
    }

    /// The clients that went away before their reply was complete.
    #[must_use]
    pub fn disconnects(&self) -> Vec<Disconnect> {
        self.record.disconnects()
    }

    /// Waits for a client to go away before its reply is complete; each is told once. `None` if
    /// nobody did in time.
    #[must_use]
    pub fn wait_for_disconnect(&self, patience: Duration) -> Option<Disconnect> {
        self.record.wait_for_disconnect(patience)
    }

    /// Waits for a reply to reach its stall; each is told once. False if none did in time.
    #[must_use]
    pub fn wait_for_stall(&self, patience: Duration) -> bool {
        self.record.wait_for_stall(patience)
    }

    /// Lets one stalled reply go on, now or when it reaches its stall.
    pub fn release(&self) {
        self.record.releases.add_permits(1);
    }

    /// Bytes that the kernel has taken from us, heads included.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.record.bytes_written.load(Ordering::Relaxed)
    }

    /// Changes what it replies from the next request on.
    pub fn now_replies(&self, reply: Reply) {
        self.stage.change_script(Script::always(reply));
    }

    /// Changes the whole script from the next request on.
    pub fn now_follows(&self, script: Script) {
        self.stage.change_script(script);
    }

    /// Forgets requests and disconnects seen so far.
    pub fn forget(&self) {
        self.record.forget();
    }

    /// Stops it: the port is closed, and so are its connections.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // The thread waits for this to be sent or, as here, dropped.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the scripted provider had panicked");
        }
    }
}
