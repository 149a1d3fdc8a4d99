//! A bare connection, for tests in which bytes and their timing matter.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::client::Reply;
use super::gateway::Gateway;
use super::patience;

/// The longest head of a reply.
const HEAD_MAX: usize = 64 * 1024;

/// A TCP connection that speaks HTTP/1.1 as far as the test does.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    unread: Vec<u8>,
}

/// Connects to a gateway.
#[track_caller]
pub fn connect(gateway: &Gateway) -> Connection {
    connect_to(gateway.address())
}

/// Connects to an address.
#[track_caller]
pub fn connect_to(address: SocketAddr) -> Connection {
    over(TcpStream::connect(address).expect("somebody listens there"))
}

/// A connection that somebody else has made.
#[track_caller]
pub fn over(socket: TcpStream) -> Connection {
    socket.set_nodelay(true).expect("the socket is open");
    socket.set_read_timeout(Some(patience())).expect("the patience is not zero");
    socket.set_write_timeout(Some(patience())).expect("the patience is not zero");
    Connection { socket, unread: Vec::new() }
}

/// A `POST` of a body with its length, as bytes.
pub fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

impl Connection {
    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the gateway takes what is sent");
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The gateway has closed the connection, or does not read.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.socket.write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        // The gateway may be gone.
        drop(self.socket.shutdown(Shutdown::Write));
    }

    /// Reads one whole reply; the connection stays open.
    #[track_caller]
    pub fn read_reply(&mut self) -> Reply {
        let mut reply = self.read_head();
        reply.body = self.read_body(&reply);
        reply
    }

    /// Reads the body behind a head.
    #[track_caller]
    pub fn read_body(&mut self, head: &Reply) -> Vec<u8> {
        let length = head.header("content-length").parse::<usize>().ok();
        match length {
            Some(length) => self.take(length),
            None if head.header("transfer-encoding") == "chunked" => self.read_chunks(),
            None => self.read_to_close(),
        }
    }

    /// Reads one whole request with a length and returns its body.
    #[track_caller]
    pub fn read_request(&mut self) -> Vec<u8> {
        let head = self.take_head().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.map_or(0, |length| length.trim().parse().expect("a number"));
        self.take(length)
    }

    /// Reads the head of a reply.
    #[track_caller]
    pub fn read_head(&mut self) -> Reply {
        let head = self.take_head();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let name: HeaderName = name.parse().expect("a header has a name");
            headers.append(name, HeaderValue::from_str(value.trim()).expect("and a value"));
        }
        Reply { status: status.expect("a reply has a status"), headers, body: Vec::new() }
    }

    #[track_caller]
    fn take_head(&mut self) -> String {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.unread.len() < HEAD_MAX, "the head has no end");
            assert!(self.read_more() > 0, "closed within a head: {:?}", self.unread_text());
        };
        String::from_utf8(self.take(end)).expect("a head is text")
    }

    /// Reads one chunk of a chunked body; empty at its end.
    #[track_caller]
    pub fn read_chunk(&mut self) -> Vec<u8> {
        let end = loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                break end;
            }
            assert!(self.read_more() > 0, "closed within a chunked body");
        };
        let line = self.take(end + 2);
        let size = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk begins with its size");
        let chunk = self.take(size);
        self.take(2);
        chunk
    }

    /// Reads until the other side closes; what came before an abrupt end counts too.
    pub fn read_to_close(&mut self) -> Vec<u8> {
        while self.try_read_more().is_ok_and(|count| count > 0) {}
        std::mem::take(&mut self.unread)
    }

    /// Whether the other side has closed the connection; waits for it.
    pub fn is_closed(&mut self) -> bool {
        match self.try_read_more() {
            Ok(count) => count == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let chunk = self.read_chunk();
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }

    #[track_caller]
    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(self.read_more() > 0, "closed within a body: {:?}", self.unread_text());
        }
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    #[track_caller]
    fn read_more(&mut self) -> usize {
        self.try_read_more().unwrap_or_else(|error| panic!("nothing to read: {error}"))
    }

    fn try_read_more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let count = self.socket.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    fn unread_text(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }
}
