//! Takes what is posted to it, as Slack's incoming webhooks do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::meanwhile;

/// What was posted, and accepted.
#[derive(Clone, Debug)]
pub struct Mailbox {
    pub url: String,
    letters: Arc<Mutex<Vec<Value>>>,
}

impl Mailbox {
    /// All bodies so far.
    pub fn letters(&self) -> Vec<Value> {
        self.letters.lock().unwrap().clone()
    }

    /// The texts of Slack's messages that hold a part.
    pub fn texts(&self, part: &str) -> Vec<String> {
        let letters = self.letters();
        let texts = letters.iter().filter_map(|letter| letter["text"].as_str());
        texts.filter(|text| text.contains(part)).map(str::to_owned).collect()
    }
}

/// One that accepts everything.
pub fn mailbox() -> Mailbox {
    mailbox_that_refuses(0, "503 Busy")
}

/// One that refuses so many letters first.
pub fn mailbox_that_refuses(first: usize, status: &'static str) -> Mailbox {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/services/hook", listener.local_addr().unwrap());
    let letters = Arc::<Mutex<Vec<Value>>>::default();
    let inbox = Arc::clone(&letters);
    meanwhile(move || {
        for (turn, stream) in listener.incoming().enumerate() {
            // A gateway that is killed may leave in the middle of a letter.
            let Some((body, stream)) = read(stream.unwrap()) else { continue };
            let status = if turn < first { status } else { "200 OK" };
            if turn >= first {
                inbox.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            }
            answer(stream, status);
        }
    });
    Mailbox { url, letters }
}

fn read(stream: TcpStream) -> Option<(Vec<u8>, TcpStream)> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((body, reader.into_inner()))
}

fn answer(mut stream: TcpStream, status: &str) {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    drop(stream.write_all(answer.as_bytes()));
}
