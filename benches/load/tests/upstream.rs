//! The upstream over real sockets: the same reply, however a request arrives.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use tollgate_load::reply::{Fault, Kind, Reply};
use tollgate_load::request::Wanted;
use tollgate_load::script::{CONTENT_FRAMES, Pace};
use tollgate_load::upstream::{Settings, Upstream};

/// Runs `test` against an upstream that ends by itself.
fn with_upstream(test: impl FnOnce(SocketAddr) + Send) {
    let settings = Settings {
        trickle_every: Duration::from_millis(1),
        trickle_frames: 5,
        report_every: None,
        lifetime: Duration::from_secs(2),
    };
    let mut upstream = Upstream::bind(([127, 0, 0, 1], 0).into(), settings).expect("a free port");
    let address = upstream.address().expect("an address");
    thread::scope(|scope| {
        scope.spawn(|| test(address));
        upstream.run().expect("runs to its end");
    });
}

fn wanted(target: SocketAddr, kind: Kind, pace: Pace, prompt_bytes: usize) -> Vec<u8> {
    let (path, key, model) = ("/v1/chat/completions", "sk", "bench");
    Wanted { target, path, key, model, kind, pace, prompt_bytes }.bytes()
}

fn read_reply(stream: &mut TcpStream) -> Result<Reply, Fault> {
    let mut reply = Reply::default();
    let mut bytes = [0; 4096];
    loop {
        let read = stream.read(&mut bytes).map_err(|_| Fault::Cut)?;
        if read == 0 {
            return Err(Fault::Cut);
        }
        if reply.feed(&bytes[..read])? {
            return Ok(reply);
        }
    }
}

fn send_in_pieces(stream: &mut TcpStream, bytes: &[u8], piece: usize) -> io::Result<()> {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
    stream.write_all(&bytes[..head])?;
    // The head has to be read before the body is there: this is how Pingora forwards it.
    thread::yield_now();
    bytes[head..].chunks(piece).try_for_each(|piece| stream.write_all(piece))
}

#[test]
fn every_request_on_a_connection_gets_the_reply_it_asks_for() {
    with_upstream(|address| {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_nodelay(true).expect("a socket");
        for prompt_bytes in [1, 1_024, 16 << 10, 100 << 10, 3 << 20] {
            for (kind, pace) in [
                (Kind::Json, Pace::Burst),
                (Kind::Sse, Pace::Burst),
                (Kind::Sse, Pace::Frames),
                (Kind::Sse, Pace::Trickle),
            ] {
                let bytes = wanted(address, kind, pace, prompt_bytes);
                for piece in [bytes.len(), 64 << 10, 1_000 + prompt_bytes / 100] {
                    send_in_pieces(&mut stream, &bytes, piece).expect("sent");
                    let reply = read_reply(&mut stream).expect("a reply");
                    let frames = if pace == Pace::Trickle { 5 } else { CONTENT_FRAMES + 2 };
                    let checked = reply.check(kind, frames);
                    assert_eq!(checked, Ok(()), "{kind:?} {pace:?} {prompt_bytes} {piece}");
                }
            }
        }
    });
}

#[test]
fn requests_that_do_not_wait_for_replies_are_answered_in_order() {
    with_upstream(|address| {
        let mut stream = TcpStream::connect(address).expect("connects");
        let mut bytes = wanted(address, Kind::Json, Pace::Burst, 10);
        bytes.extend_from_slice(b"GET /stats HTTP/1.1\r\n\r\nPOST /other HTTP/1.1\r\n\r\n");
        stream.write_all(&bytes).expect("sent");
        let mut answers = String::new();
        while !answers.contains("no such route") {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).expect("readable");
            answers.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        let places: Vec<_> =
            ["chat.completion", "\"requests\":1", "404"].map(|t| answers.find(t)).into();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{answers}");
    });
}

#[test]
fn a_body_of_unknown_length_is_refused() {
    with_upstream(|address| {
        let mut stream = TcpStream::connect(address).expect("connects");
        let head = "POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("sent");
        let reply = read_reply(&mut stream).expect("a reply");
        assert_eq!(reply.check(Kind::Json, 0), Err(Fault::Status(411)));
    });
}
