//! From one process to the next without a closed port.
//!
//! The running process starts its successor and gives it one end of a socket pair as standard
//! input. Over it go, in this order:
//!
//! ```text
//! sockets   to the successor: a line of JSON with their names, and the descriptors (SCM_RIGHTS)
//! ready     from the successor, once it has accepted a connection
//! go        to the successor: it is the one now
//! ```
//!
//! Both listen on the same sockets, so no connection is refused and none is lost in between. Only
//! after `ready` does the old process stop accepting. A successor that ends before, or takes too
//! long, is given up, and nothing has changed.

use std::io::{self, BufRead as _, BufReader, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use thiserror::Error;

use super::listen::{Address, Socket, Sockets};

/// Tells a process that it is a successor. The value is of no matter.
const SUCCESSOR: &str = "TOLLGATE_SUCCESSOR";

/// Sockets of one process. The kernel passes up to 253 in one message.
const SOCKETS_MAX: usize = 64;

/// The message with their names.
const NAMES_BYTES_MAX: usize = 64 * 1024;

/// Why there is no successor.
#[derive(Debug, Error)]
pub enum HandoverError {
    #[error("the new process cannot be started: {0}")]
    Spawn(io::Error),
    #[error("the new process ended before it was ready ({0}); its own messages say why")]
    Ended(ExitStatus),
    #[error("the new process was not ready after {0:?} and was ended")]
    Late(Duration),
    #[error("the sockets cannot be passed on: {0}")]
    Sockets(io::Error),
}

/// A process that is ready to take over and has not been told to.
///
/// One that is dropped before is ended: nobody would know that it is there.
#[derive(Debug)]
pub struct Successor {
    child: Child,
    line: UnixStream,
    is_on_its_own: bool,
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.is_on_its_own {
            // It may be gone already.
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

impl Successor {
    /// Starts a process, passes it the sockets and waits until it serves. Blocks.
    ///
    /// # Errors
    /// [`HandoverError`]; the process is gone then.
    pub fn start(
        mut command: Command,
        sockets: &Sockets,
        patience: Duration,
    ) -> Result<Self, HandoverError> {
        let (line, theirs) = UnixStream::pair().map_err(HandoverError::Sockets)?;
        // The kernel keeps what is sent until the process is there to read it.
        send(&line, sockets).map_err(HandoverError::Sockets)?;
        line.set_read_timeout(Some(patience)).map_err(HandoverError::Sockets)?;
        command.env(SUCCESSOR, "1").stdin(Stdio::from(OwnedFd::from(theirs)));
        // systemd names the process whose sign of life counts; it will be another one.
        command.env_remove("WATCHDOG_PID");
        let child = command.spawn().map_err(HandoverError::Spawn)?;
        // Holds the other end, which must close with the process.
        drop(command);
        let mut successor = Self { child, line, is_on_its_own: false };
        match successor.await_ready() {
            Ok(true) => Ok(successor),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(HandoverError::Late(patience))
            }
            // The end of the line: also as an error, if the process has not read what was sent.
            Ok(false) | Err(_) => match successor.child.wait() {
                Ok(status) => Err(HandoverError::Ended(status)),
                Err(error) => Err(HandoverError::Spawn(error)),
            },
        }
    }

    fn await_ready(&mut self) -> io::Result<bool> {
        let mut line = String::new();
        let count = BufReader::new(&self.line).take(64).read_line(&mut line)?;
        Ok(count > 0)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it that it is the one now. Whatever becomes of it later is no longer ours.
    pub fn go(mut self) {
        // If it has died meanwhile, whoever supervises it will notice.
        self.line.write_all(b"go\n").ok();
        self.is_on_its_own = true;
    }
}

fn send(line: &UnixStream, sockets: &Sockets) -> io::Result<()> {
    if sockets.0.len() > SOCKETS_MAX {
        return Err(io::Error::other("there are too many of them"));
    }
    let names: Vec<String> = sockets.0.iter().map(|socket| socket.wanted.to_string()).collect();
    let mut text = serde_json::to_vec(&names)?;
    text.push(b'\n');
    let fds: Vec<_> = sockets.0.iter().map(|socket| socket.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("there are too many of them"));
    }
    let sent = sendmsg(line, &[IoSlice::new(&text)], &mut control, SendFlags::empty())?;
    let mut line = line;
    line.write_all(text.get(sent..).unwrap_or_default())
}

/// What a successor has of its predecessor.
#[derive(Debug)]
pub struct Predecessor {
    line: UnixStream,
}

impl Predecessor {
    /// The predecessor of this process and its sockets, if it has one. Called once, before anything
    /// else reads standard input.
    ///
    /// # Errors
    /// There is one, and the sockets cannot be had from it.
    pub fn of_this_process() -> io::Result<Option<(Self, Sockets)>> {
        if std::env::var_os(SUCCESSOR).is_none() {
            return Ok(None);
        }
        let line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let nothing = std::fs::File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(nothing)?;
        let sockets = receive(&line)?;
        Ok(Some((Self { line }, sockets)))
    }

    /// Says that this process serves, and waits until it is told to go on alone. Blocks. The end of
    /// the line is that, too: there is no predecessor any more.
    pub fn ready(mut self) {
        if self.line.write_all(b"ready\n").is_ok() {
            self.line.read_exact(&mut [0; 3]).ok();
        }
    }
}

fn receive(line: &UnixStream) -> io::Result<Sockets> {
    let mut text = vec![0; NAMES_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(line, &mut [IoSliceMut::new(&mut text)], &mut control, flags)?;
    let mut fds: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            fds.extend(passed);
        }
    }
    text.truncate(received.bytes);
    if !text.ends_with(b"\n") {
        let mut rest = Vec::new();
        BufReader::new(line).take(NAMES_BYTES_MAX as u64).read_until(b'\n', &mut rest)?;
        text.extend(rest);
    }
    let names: Vec<String> = serde_json::from_slice(&text)?;
    if names.len() != fds.len() {
        return Err(io::Error::other("not every socket came"));
    }
    let sockets = names.iter().zip(fds).map(|(name, fd)| {
        let wanted: Address = name.parse().map_err(io::Error::other)?;
        Socket::inherited(wanted, fd)
    });
    sockets.collect::<io::Result<_>>().map(Sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn sockets_arrive_under_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let unix = Address::Unix(folder.path().join("s"));
        let mut sockets = Sockets::default();
        let tcp: Address = "127.0.0.1:0".parse().unwrap();
        let bound = [&tcp, &unix].map(|wanted| sockets.take_or_bind(wanted).unwrap());
        let addresses = bound.iter().map(|socket| socket.address.clone()).collect::<Vec<_>>();
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&ours, &Sockets(bound.into())).unwrap();
        let received = receive(&theirs).unwrap();
        let found: Vec<_> = received.0.iter().map(|socket| socket.address.clone()).collect();
        assert_eq!(found, addresses);
        assert_eq!(received.0[0].wanted, tcp);
        addresses[0].knock().unwrap();
    }

    #[test]
    fn a_process_that_ends_or_is_not_there_is_no_successor() {
        let none = Sockets::default();
        let ended = Successor::start(command("exit 64"), &none, PATIENCE).unwrap_err();
        assert!(matches!(ended, HandoverError::Ended(status) if status.code() == Some(64)));
        let missing = Successor::start(Command::new("/no/such/file"), &none, PATIENCE);
        assert!(matches!(missing, Err(HandoverError::Spawn(_))));
    }

    #[test]
    fn a_process_that_is_not_ready_in_time_is_ended() {
        let patience = Duration::from_millis(50);
        // `exec`, so that the process that is ended is the one that would wait.
        let late = Successor::start(command("exec sleep 600"), &Sockets::default(), patience);
        assert!(matches!(late, Err(HandoverError::Late(_))));
    }

    #[test]
    fn a_process_that_says_that_it_is_ready_is_told_to_go_on() {
        let script = "read names; echo ready >&0; read go; [ \"$go\" = go ] && exit 7";
        let mut successor =
            Successor::start(command(script), &Sockets::default(), PATIENCE).unwrap();
        successor.line.write_all(b"go\n").unwrap();
        assert_eq!(successor.child.wait().unwrap().code(), Some(7));
    }
}
