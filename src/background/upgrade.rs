//! `tollgate upgrade`: another process, often of another version, serves in this one's place.
//!
//! Asked for by SIGUSR2 or over the control socket. This process starts the successor as it was
//! started itself: the same file name, arguments and environment. What is behind the file name is
//! the new version.

use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::systemd;
use crate::edge::handover::Successor;
use crate::edge::{Ending, Lifecycle, Socket, Sockets};

/// How long a successor may take until it serves: reading its configuration, looking up names.
const SUCCESSOR_MAX: Duration = Duration::from_secs(60);

/// A line on the control socket.
const REQUEST_BYTES_MAX: u64 = 256;

/// How long somebody who connects to the control socket may take to say what is wanted.
const REQUEST_MAX: Duration = Duration::from_secs(5);

/// What an upgrade needs.
pub(crate) struct Upgrader {
    pub lifecycle: Lifecycle,
    /// Kept to be passed on; `None` once nobody may come in any more.
    pub sockets: Mutex<Option<Arc<Sockets>>>,
    /// Where upgrades are asked for, if not only by signal.
    pub control: Option<Socket>,
    /// Whether the command line of this process would start another one like it.
    pub upgradable: bool,
    /// Held by an upgrade: of two successors, both would be told that they are the one.
    pub alone: Arc<tokio::sync::Mutex<()>>,
}

impl Upgrader {
    /// Starts a successor and lets it take over. Returns its process id; the caller then ends this
    /// process by the lifecycle.
    ///
    /// Runs as a task of its own: who waits may be gone before the successor is ready, and it must
    /// not be left alone then.
    async fn upgrade(self: &Arc<Self>) -> Result<u32, String> {
        let this = Arc::clone(self);
        match tokio::spawn(async move { this.run().await }).await {
            Ok(outcome) => outcome,
            Err(error) => Err(error.to_string()),
        }
    }

    async fn run(&self) -> Result<u32, String> {
        let _alone = self.alone.lock().await;
        let is_ending = || self.lifecycle.ending().is_some();
        if is_ending() {
            return Err("this process is about to end".to_owned());
        }
        let Some(sockets) = self.sockets.lock().clone().filter(|_| self.upgradable) else {
            return Err("only `tollgate serve` can be upgraded".to_owned());
        };
        let (program, arguments) = command_line().ok_or("its own name is unknown")?;
        tracing::info!(program = %program.to_string_lossy(), "upgrade: starting the new process");
        systemd::reloading();
        let starting = tokio::task::spawn_blocking(move || {
            let mut command = Command::new(program);
            command.args(arguments);
            Successor::start(command, &sockets, SUCCESSOR_MAX)
        });
        let started = match starting.await {
            Ok(Ok(_)) if is_ending() => Err("this process was told to end meanwhile".to_owned()),
            Ok(started) => started.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match started {
            Ok(successor) => {
                let pid = successor.pid();
                // First of all: what the new process tells is heard only once it counts.
                systemd::replaced_by(pid);
                successor.go();
                tracing::info!(pid, "upgrade: the new process serves");
                Ok(pid)
            }
            Err(problem) => {
                systemd::ready();
                tracing::error!(problem, "upgrade failed: this process goes on");
                Err(problem)
            }
        }
    }

    /// Upgrades on SIGUSR2.
    pub(super) async fn on_signal(
        self: &Arc<Self>,
        signal: std::io::Result<tokio::signal::unix::Signal>,
    ) {
        match signal {
            Ok(mut signal) => {
                while signal.recv().await.is_some() {
                    if self.upgrade().await.is_ok() {
                        self.lifecycle.end(Ending::Replaced);
                    }
                }
            }
            Err(error) => tracing::error!(%error, "SIGUSR2 will not upgrade"),
        }
    }

    /// Answers on the control socket: a line with a command, a line with what became of it.
    pub(super) async fn on_control(self: &Arc<Self>) {
        let Some(listener) = self.control.as_ref().and_then(listener) else { return };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.answer(stream).await,
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot be served");
                    tokio::time::sleep(REQUEST_MAX).await;
                }
            }
        }
    }

    async fn answer(self: &Arc<Self>, stream: UnixStream) {
        if !is_permitted(&stream) {
            tracing::warn!("another user tried to use the control socket");
            return;
        }
        let mut stream = BufReader::new(stream.take(REQUEST_BYTES_MAX));
        let mut request = String::new();
        let reading = stream.read_line(&mut request);
        if !matches!(tokio::time::timeout(REQUEST_MAX, reading).await, Ok(Ok(_))) {
            return;
        }
        let outcome = match request.trim() {
            "upgrade" => self.upgrade().await,
            _ => Err("unknown command".to_owned()),
        };
        let answer = match &outcome {
            Ok(pid) => format!("ok {pid}\n"),
            Err(problem) => format!("error {problem}\n"),
        };
        // Who asked may have left.
        stream.get_mut().get_mut().write_all(answer.as_bytes()).await.ok();
        if outcome.is_ok() {
            self.lifecycle.end(Ending::Replaced);
        }
    }
}

/// How this process was started.
fn command_line() -> Option<(OsString, Vec<OsString>)> {
    let mut words = std::env::args_os();
    Some((words.next()?, words.collect()))
}

fn listener(socket: &Socket) -> Option<UnixListener> {
    let opened = socket.to_owned_fd().and_then(|fd| UnixListener::from_std(fd.into()));
    opened.inspect_err(|error| tracing::error!(%error, "there is no control socket")).ok()
}

/// Whether the other end is this process's user, or root. The mode of the socket says the same;
/// but not every system looks at it.
fn is_permitted(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}
