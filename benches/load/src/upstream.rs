//! The scripted upstream: one thread, one epoll, no allocation per request.
//!
//! It has to be several times cheaper than the fastest gateway, or a comparison measures the
//! upstream. So a request costs one read and one write, the body is thrown away (a long one inside
//! the kernel, without a copy), and the replies of [`Script`] are written as they are.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;

use crate::poll::{Poller, Ready};
use crate::process_cpu;
use crate::script::{Ask, Pace, SAMPLE, Script, with_length};

/// Largest body that is taken, as large as the largest request of the API with images.
const BODY_BYTES_MAX: usize = 64 << 20;
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;
/// One read takes a whole request of the small prompt and not much of the large one.
const READ_BYTES: usize = 16 << 10;
/// One discarding read; the memory behind it is never touched.
const DISCARD_BYTES: usize = 1 << 20;
/// A client that does not read is given up at this size.
const UNSENT_BYTES_MAX: usize = 1 << 20;
const LISTENER: u64 = u64::MAX;

pub struct Settings {
    pub trickle_every: Duration,
    pub trickle_frames: u32,
    /// Prints a line of counts this often while there are requests.
    pub report_every: Option<Duration>,
    /// Ends the process after this time, whatever happens.
    pub lifetime: Duration,
}

/// The upstream, bound to its address.
pub struct Upstream {
    listener: TcpListener,
    settings: Settings,
    script: Script,
    poller: Poller,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    /// Streams that trickle, by the time of their next frame. All have the same interval, so the
    /// queue is in order without sorting.
    trickles: VecDeque<Trickle>,
    serial: u64,
    requests: u64,
}

struct Trickle {
    due: Instant,
    place: usize,
    /// Tells a peer from a later one in the same place.
    serial: u64,
    frames_left: u32,
}

struct Peer {
    stream: TcpStream,
    serial: u64,
    /// What has come of a head that is not complete yet.
    head: Vec<u8>,
    body: Option<Body>,
    /// Bytes the socket had no room for.
    unsent: Vec<u8>,
}

/// A body on its way to nowhere: only its two ends are kept.
struct Body {
    left: usize,
    first: Vec<u8>,
    last: Vec<u8>,
}

/// Why a connection ends: closed by the other side, failed, or spoken on in another language.
struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// Memory for reading, shared by all peers.
struct Scratch {
    read: Box<[u8]>,
    void: Box<[u8]>,
}

/// What a request head asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Chat { length: usize },
    Stats,
    Health,
    NotFound,
    LengthRequired,
    TooLarge,
}

impl Upstream {
    /// # Errors
    /// The address cannot be bound, or the kernel refuses the event queue.
    pub fn bind(address: SocketAddr, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        // The usual backlog drops connections when 1,000 clients arrive at once.
        rustix::net::listen(&listener, 4096)?;
        let poller = Poller::new()?;
        poller.watch_source(&listener, LISTENER)?;
        Ok(Self {
            listener,
            settings,
            script: Script::new(),
            poller,
            peers: Vec::new(),
            free: Vec::new(),
            trickles: VecDeque::new(),
            serial: 0,
            requests: 0,
        })
    }

    /// # Errors
    /// The kernel's, from `getsockname`.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the lifetime is over.
    ///
    /// # Errors
    /// The event queue or the listener fails; a failing connection is only closed.
    pub fn run(&mut self) -> io::Result<()> {
        let end = Instant::now() + self.settings.lifetime;
        let mut report_at = self.settings.report_every.map(|every| Instant::now() + every);
        let mut reported = (0, Duration::ZERO);
        let mut ready: Vec<Ready> = Vec::new();
        let mut scratch = Scratch {
            read: vec![0; READ_BYTES].into_boxed_slice(),
            void: vec![0; DISCARD_BYTES].into_boxed_slice(),
        };
        // The clock is read only where there is something to do at a time: it is not free.
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            if let (Some(at), Some(every)) = (report_at, self.settings.report_every)
                && now >= at
            {
                reported = self.report(reported);
                report_at = Some(now + every);
            }
            if !self.trickles.is_empty() {
                self.trickle(now);
            }
            let due = self.trickles.front().map(|trickle| trickle.due);
            let next = [Some(end), report_at, due].into_iter().flatten().min();
            ready.clear();
            self.poller.wait(next.map(|at| at.saturating_duration_since(now)), &mut ready)?;
            for event in &ready {
                if event.token == LISTENER {
                    self.accept()?;
                } else if let Ok(place) = usize::try_from(event.token) {
                    self.serve_peer(place, event, &mut scratch);
                }
            }
        }
    }

    fn report(&self, (requests, cpu): (u64, Duration)) -> (u64, Duration) {
        let now = (self.requests, process_cpu());
        let served = now.0 - requests;
        if served > 0 {
            let each = (now.1 - cpu).as_secs_f64() * 1e6 / served as f64;
            eprintln!(
                "upstream: {served} requests, {each:.2} us CPU each, {} open streams",
                self.trickles.len()
            );
        }
        now
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            self.serial += 1;
            self.poller.watch_socket(&stream, place as u64)?;
            self.peers[place] = Some(Peer {
                stream,
                serial: self.serial,
                head: Vec::new(),
                body: None,
                unsent: Vec::new(),
            });
        }
    }

    fn serve_peer(&mut self, place: usize, event: &Ready, scratch: &mut Scratch) {
        // Taken out while it is served, so that the rest of the server stays free to be used.
        let Some(mut peer) = self.peers[place].take() else { return };
        if self.serve_taken(place, &mut peer, event, scratch).is_ok() {
            self.peers[place] = Some(peer);
        } else {
            self.free.push(place);
        }
    }

    fn serve_taken(
        &mut self,
        place: usize,
        peer: &mut Peer,
        event: &Ready,
        scratch: &mut Scratch,
    ) -> Result<(), Gone> {
        if event.writable && !peer.unsent.is_empty() {
            peer.send_unsent()?;
        }
        if !event.readable && !event.closing {
            return Ok(());
        }
        while let Some(read) = peer.receive(scratch)? {
            if read > 0 {
                self.take(place, peer, &scratch.read[..read])?;
                // A short read has emptied the socket; asking again would only be told so. But the
                // end of a connection is reported once, so then reading goes on until it is seen.
                if read < READ_BYTES && !event.closing {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes what was read: heads, bodies, and more of both if the client did not wait for replies.
    fn take(&mut self, place: usize, peer: &mut Peer, bytes: &[u8]) -> Result<(), Gone> {
        let joined;
        let mut bytes = bytes;
        if !peer.head.is_empty() {
            peer.head.extend_from_slice(bytes);
            joined = std::mem::take(&mut peer.head);
            bytes = &joined;
        }
        while !bytes.is_empty() {
            let mut body = match peer.body.take() {
                Some(body) => body,
                None => match read_head(bytes)? {
                    None => {
                        peer.head = bytes.to_vec();
                        return Ok(());
                    }
                    Some((used, Route::Chat { length })) => {
                        bytes = &bytes[used..];
                        Body { left: length, first: Vec::new(), last: Vec::new() }
                    }
                    Some((used, route)) => {
                        bytes = &bytes[used..];
                        self.answer(peer, route)?;
                        continue;
                    }
                },
            };
            if body.first.is_empty() && bytes.len() >= body.left {
                // The usual case, a body in one piece, is looked at where it lies.
                let whole = &bytes[..body.left];
                bytes = &bytes[body.left..];
                let first = &whole[..whole.len().min(SAMPLE)];
                self.reply(place, peer, Ask::read(first, &whole[whole.len() - first.len()..]))?;
                continue;
            }
            let used = body.left.min(bytes.len());
            body.keep(&bytes[..used]);
            bytes = &bytes[used..];
            if body.left == 0 {
                self.reply(place, peer, Ask::read(&body.first, &body.last))?;
            } else {
                peer.body = Some(body);
            }
        }
        Ok(())
    }

    fn reply(&mut self, place: usize, peer: &mut Peer, ask: Ask) -> Result<(), Gone> {
        self.requests += 1;
        match ask {
            Ask::Json => peer.send(&self.script.json),
            Ask::Stream(Pace::Burst) => peer.send(&self.script.stream),
            Ask::Stream(Pace::Frames) => self
                .script
                .pieces
                .iter()
                .try_for_each(|piece| peer.send(&self.script.stream[piece.clone()])),
            Ask::Stream(Pace::Trickle) => {
                self.trickles.push_back(Trickle {
                    due: Instant::now() + self.settings.trickle_every,
                    place,
                    serial: peer.serial,
                    frames_left: self.settings.trickle_frames,
                });
                peer.send(&self.script.stream[self.script.pieces[0].clone()])
            }
        }
    }

    fn answer(&self, peer: &mut Peer, route: Route) -> Result<(), Gone> {
        match route {
            Route::Stats => {
                let body = serde_json::json!({
                    "requests": self.requests,
                    "cpu_us": u64::try_from(process_cpu().as_micros()).unwrap_or(u64::MAX),
                    "open_streams": self.trickles.len(),
                });
                peer.send(&with_length(200, "OK", &body.to_string()))
            }
            Route::Health => peer.send(&self.script.health),
            Route::NotFound => peer.send(&self.script.not_found),
            // A body of unknown length follows: the connection cannot be used any further.
            Route::LengthRequired => {
                peer.send(&self.script.length_required)?;
                Err(Gone)
            }
            Route::TooLarge => {
                peer.send(&self.script.too_large)?;
                Err(Gone)
            }
            Route::Chat { .. } => Ok(()),
        }
    }

    /// Sends the frames that are due.
    fn trickle(&mut self, now: Instant) {
        while let Some(trickle) = self.trickles.pop_front() {
            if trickle.due > now {
                self.trickles.push_front(trickle);
                return;
            }
            let Some(peer) = self.peers[trickle.place].as_mut() else { continue };
            if peer.serial != trickle.serial {
                continue;
            }
            let last = trickle.frames_left == 0;
            let frame = if last { self.script.stream_end() } else { &self.script.trickle };
            if peer.send(frame).is_err() {
                self.peers[trickle.place] = None;
                self.free.push(trickle.place);
            } else if !last {
                self.trickles.push_back(Trickle {
                    due: trickle.due + self.settings.trickle_every,
                    frames_left: trickle.frames_left - 1,
                    ..trickle
                });
            }
        }
    }
}

impl Peer {
    /// Reads once. `None`: nothing is there. Zero bytes: the middle of a long body was thrown away.
    fn receive(&mut self, scratch: &mut Scratch) -> Result<Option<usize>, Gone> {
        // Not before its beginning has been seen, which decides the reply.
        let discarding =
            self.body.as_mut().filter(|body| body.left > READ_BYTES && body.first.len() == SAMPLE);
        let outcome = match discarding {
            // For a TCP socket MSG_TRUNC means: drop the bytes in the kernel, copy nothing.
            Some(body) => {
                let size = (body.left - SAMPLE).min(DISCARD_BYTES);
                let void = &mut scratch.void[..size];
                rustix::net::recv(&self.stream, void, RecvFlags::TRUNC)
                    .map_err(io::Error::from)
                    .map(|(_, dropped)| {
                        body.left -= dropped;
                        (dropped, 0)
                    })
            }
            None => self.stream.read(&mut scratch.read).map(|read| (read, read)),
        };
        match outcome {
            Ok((0, _)) => Err(Gone),
            Ok((_, read)) => Ok(Some(read)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Some(0)),
            Err(_) => Err(Gone),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let mut sent = 0;
        // Order is kept: while older bytes wait, newer ones wait behind them.
        while self.unsent.is_empty() && sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
        if sent < bytes.len() {
            if self.unsent.len() + bytes.len() > UNSENT_BYTES_MAX {
                return Err(Gone);
            }
            self.unsent.extend_from_slice(&bytes[sent..]);
        }
        Ok(())
    }

    fn send_unsent(&mut self) -> Result<(), Gone> {
        let waiting = std::mem::take(&mut self.unsent);
        self.send(&waiting)
    }
}

impl Body {
    /// Counts a part of the body, and keeps it as far as it lies at one of the two ends.
    fn keep(&mut self, part: &[u8]) {
        self.left -= part.len();
        let room = SAMPLE - self.first.len();
        self.first.extend_from_slice(&part[..part.len().min(room)]);
        self.last.extend_from_slice(&part[part.len().saturating_sub(SAMPLE)..]);
        self.last.drain(..self.last.len().saturating_sub(SAMPLE));
    }
}

/// Reads a request head. `None`: more bytes are needed.
fn read_head(bytes: &[u8]) -> Result<Option<(usize, Route)>, Gone> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let used = match request.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Gone),
    };
    let length = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
    let route = match (request.method, request.path, length) {
        (Some("POST"), Some(path), _) if !path.ends_with("/chat/completions") => Route::NotFound,
        (Some("POST"), _, None) => Route::LengthRequired,
        (Some("POST"), _, Some(length)) if length > BODY_BYTES_MAX => Route::TooLarge,
        (Some("POST"), _, Some(length)) => Route::Chat { length },
        (Some("GET"), Some("/stats"), _) => Route::Stats,
        (Some("GET"), Some("/" | "/health"), _) => Route::Health,
        _ => Route::NotFound,
    };
    Ok(Some((used, route)))
}
