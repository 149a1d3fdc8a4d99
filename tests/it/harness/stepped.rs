//! A provider that sends what the test hands it, when the test hands it over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use super::group::Deployment;
use super::patience;

/// A listening provider; nobody has called yet.
pub struct Stepped {
    listener: TcpListener,
}

/// One request whose reply is in the test's hand.
pub struct Called {
    socket: TcpStream,
    /// The body of the request.
    pub body: Vec<u8>,
    /// The body came with the head.
    pub in_one_piece: bool,
}

impl Stepped {
    /// Listens on a free port.
    #[track_caller]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        Self { listener }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it listens")
    }

    /// A deployment on it.
    pub fn deployment(&self, model: &str) -> Deployment {
        Deployment::at(model, &format!("http://{}", self.address()))
    }

    /// Waits for a request and reads it. Each comes on a connection of its own.
    #[track_caller]
    pub fn called(&self) -> Called {
        let (socket, _) = self.listener.accept().expect("the gateway calls");
        socket.set_nodelay(true).expect("the socket is open");
        socket.set_read_timeout(Some(patience())).expect("the patience is not zero");
        let mut reader = BufReader::new(&socket);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a head has lines");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let in_one_piece = reader.buffer().len() == length;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the body is whole");
        Called { socket, body, in_one_piece }
    }
}

impl Called {
    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("the gateway reads");
    }

    /// Sends the head of an event stream whose body ends with the connection.
    #[track_caller]
    pub fn begin_stream(&mut self) {
        self.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
    }

    /// Sends one event of OpenAI's format with this delta.
    #[track_caller]
    pub fn send_delta(&mut self, delta: &str) {
        self.send(chunk(delta, "null"));
    }

    /// Ends the reply and the connection.
    pub fn end(self) {
        // The gateway may have closed it.
        drop(self.socket.shutdown(Shutdown::Both));
    }
}

/// One event of OpenAI's format, with this delta and finish reason (both JSON).
pub fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\
         \"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\
         \n\n"
    )
}
