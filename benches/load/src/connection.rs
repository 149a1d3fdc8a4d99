//! One keep-alive connection to the target, with at most one request under way.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::poll::Poller;
use crate::reply::{Fault, Reply};

/// Memory for one read, shared by all connections: more than any reply of the upstream.
pub const READ_BYTES: usize = 64 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Connection {
    stream: TcpStream,
    /// Bytes of the request that have been written.
    sent: usize,
    pub reply: Reply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing came.
    Nothing,
    /// A part of the reply came.
    Some,
    /// The reply is complete.
    Complete,
}

impl Connection {
    /// # Errors
    /// The target does not accept the connection in time.
    pub fn open(target: SocketAddr, poller: &Poller, token: u64) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        poller.watch_socket(&stream, token)?;
        Ok(Self { stream, sent: 0, reply: Reply::default() })
    }

    /// Starts the next request.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn start(&mut self, request: &[u8]) -> Result<(), Fault> {
        self.sent = 0;
        self.reply.reset();
        self.send_rest(request)
    }

    /// Writes what the socket had no room for before.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send_rest(&mut self, request: &[u8]) -> Result<(), Fault> {
        while self.sent < request.len() {
            match self.stream.write(&request[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Fault::Cut),
            }
        }
        Ok(())
    }

    /// Reads what is there. With `to_the_end`, a short read is not taken for an empty socket: the
    /// end of a connection is reported only once.
    ///
    /// # Errors
    /// The connection is gone before the reply was complete, or what came is no reply.
    pub fn receive(&mut self, scratch: &mut [u8], to_the_end: bool) -> Result<Progress, Fault> {
        let mut progress = Progress::Nothing;
        loop {
            match self.stream.read(scratch) {
                Ok(0) if self.reply.end() => return Ok(Progress::Complete),
                Ok(0) => return Err(Fault::Cut),
                Ok(read) => {
                    progress = Progress::Some;
                    if self.reply.feed(&scratch[..read])? {
                        return Ok(Progress::Complete);
                    }
                    if read < scratch.len() && !to_the_end {
                        return Ok(progress);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(progress),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Fault::Cut),
            }
        }
    }
}
