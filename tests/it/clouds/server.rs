//! A scripted endpoint of a cloud: tokens, metadata, and models behind paths of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::harness::meanwhile;

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query as they were sent.
    pub path: String,
    /// In lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A field of a form.
    pub fn field(&self, name: &str) -> String {
        let body = std::str::from_utf8(&self.body).unwrap().replace('+', " ");
        let mut fields = body.split('&').filter_map(|pair| pair.split_once('='));
        let value = fields.find(|(key, _)| *key == name).map_or("", |(_, value)| value);
        percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned()
    }
}

/// Status, content type (with further lines of the head behind it) and body.
pub type Answer = (u16, String, String);

type Conduct = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    conduct: Arc<Mutex<Conduct>>,
}

impl Server {
    pub fn start(conduct: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let conduct = Arc::new(Mutex::new(Arc::new(conduct) as Conduct));
        let (known, conducts) = (Arc::clone(&seen), Arc::clone(&conduct));
        meanwhile(move || {
            for stream in listener.incoming().flatten() {
                let (known, conducts) = (Arc::clone(&known), Arc::clone(&conducts));
                meanwhile(move || serve(stream, &known, &conducts));
            }
        });
        Self { address, seen, conduct }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a request came")
    }

    pub fn now(&self, conduct: impl Fn(&Seen) -> Answer + Send + Sync + 'static) {
        *self.conduct.lock().unwrap() = Arc::new(conduct);
    }
}

fn serve(stream: TcpStream, known: &Mutex<Vec<Seen>>, conducts: &Mutex<Conduct>) {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read(&mut reader) {
        let conduct = Arc::clone(&conducts.lock().unwrap());
        known.lock().unwrap().push(seen.clone());
        let (status, kind, body) = conduct(&seen);
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
             metadata-flavor: Google\r\n\r\n",
            body.len()
        );
        if reader.get_mut().write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { method, path, headers, body })
}

pub fn json(value: Value) -> Answer {
    (200, "application/json".to_owned(), value.to_string())
}

/// An answer in JSON with further lines in its head.
pub fn json_with(status: u16, lines: &[(&str, &str)], value: &Value) -> Answer {
    let lines = lines.iter().map(|(name, value)| format!("\r\n{name}: {value}"));
    (status, format!("application/json{}", lines.collect::<String>()), value.to_string())
}
