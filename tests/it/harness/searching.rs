//! A Redis with a vector search: a real one, with as much of RediSearch before it as the gateway uses.
//!
//! Commands go to the real server one after the other; those of the search are answered here, by what is in
//! the hashes of the real one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::redis::Redis;

/// An index: its name, and what the keys of its hashes begin with.
type Indexes = Arc<Mutex<Vec<(String, String)>>>;

#[derive(Debug)]
pub struct Searching {
    pub redis: Redis,
    port: u16,
    indexes: Indexes,
    searched: Arc<Mutex<usize>>,
}

/// A value as Redis writes it.
enum Value {
    Text(Vec<u8>),
    List(Vec<Self>),
    /// A number, a word, an error, nothing.
    Other,
}

impl Value {
    fn texts(&self) -> Vec<&[u8]> {
        let Self::List(list) = self else { return Vec::new() };
        list.iter().filter_map(Self::text).collect()
    }

    fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Other => None,
        }
    }
}

impl Searching {
    pub fn start() -> Self {
        let redis = Redis::start();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (indexes, searched) = (Indexes::default(), Arc::default());
        let (behind, known, count) = (redis.port(), Arc::clone(&indexes), Arc::clone(&searched));
        #[expect(clippy::disallowed_methods, reason = "nothing forks here")]
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (known, count) = (Arc::clone(&known), Arc::clone(&count));
                std::thread::spawn(move || serve(&client, behind, &known, &count));
            }
        });
        Self { redis, port, indexes, searched }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Indexes that were made.
    pub fn indexes(&self) -> Vec<String> {
        self.indexes.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }

    /// How often something was looked for.
    pub fn searched(&self) -> usize {
        *self.searched.lock().unwrap()
    }
}

/// Answers one client until it leaves; `None`: it has.
fn serve(
    mut client: &TcpStream,
    behind: u16,
    indexes: &Indexes,
    searched: &Mutex<usize>,
) -> Option<()> {
    let server = TcpStream::connect(("127.0.0.1", behind)).ok()?;
    let (mut asked, mut said) = (BufReader::new(client), BufReader::new(&server));
    loop {
        let mut request = Vec::new();
        let command = read(&mut asked, &mut request)?;
        let words = command.texts();
        let word = |at: usize| {
            String::from_utf8_lossy(words.get(at).copied().unwrap_or_default()).into_owned()
        };
        let reply = match word(0).to_uppercase().as_str() {
            "COMMAND" if word(1) == "INFO" => b"*1\r\n*1\r\n$9\r\nft.search\r\n".to_vec(),
            "FT._LIST" => {
                let names: Vec<_> =
                    indexes.lock().unwrap().iter().map(|(name, _)| name.clone()).collect();
                list(names.iter().map(String::as_bytes))
            }
            "FT.CREATE" => {
                assert_eq!((word(2), word(4)), ("ON".into(), "PREFIX".into()), "{}", word(3));
                indexes.lock().unwrap().push((word(1), word(6)));
                b"+OK\r\n".to_vec()
            }
            "FT.SEARCH" => {
                *searched.lock().unwrap() += 1;
                let found =
                    indexes.lock().unwrap().iter().find(|(name, _)| *name == word(1)).cloned();
                match found {
                    Some((_, prefix)) => search(behind, &prefix, &word(2), words[6])?,
                    None => b"-no such index\r\n".to_vec(),
                }
            }
            _ => {
                (&server).write_all(&request).ok()?;
                let mut reply = Vec::new();
                read(&mut said, &mut reply)?;
                reply
            }
        };
        client.write_all(&reply).ok()?;
    }
}

/// The nearest hash of the group that the query names.
fn search(behind: u16, prefix: &str, query: &str, wanted: &[u8]) -> Option<Vec<u8>> {
    let group = query.strip_prefix("(@group:{")?.split('}').next()?;
    assert!(query.ends_with("=>[KNN 1 @vector $v AS distance]"), "{query}");
    let server = TcpStream::connect(("127.0.0.1", behind)).ok()?;
    let mut said = BufReader::new(&server);
    let mut ask = |words: &[&[u8]]| {
        (&server).write_all(&list(words.iter().copied())).ok()?;
        read(&mut said, &mut Vec::new())
    };
    let keys = ask(&[b"KEYS", format!("{prefix}*").as_bytes()])?;
    let mut best: Option<(f32, Vec<u8>)> = None;
    for key in keys.texts() {
        let hash = ask(&[b"HMGET", key, b"group", b"name", b"vector"])?;
        let [its, name, vector] = hash.texts()[..] else { continue };
        if its != group.as_bytes() {
            continue;
        }
        let distance = 1.0 - product(vector, wanted);
        if best.as_ref().is_none_or(|(least, _)| distance < *least) {
            best = Some((distance, name.to_vec()));
        }
    }
    Some(match best {
        None => b"*1\r\n:0\r\n".to_vec(),
        Some((distance, name)) => {
            let distance = distance.to_string();
            let fields = list([b"distance", distance.as_bytes(), b"name", &name].into_iter());
            [b"*3\r\n:1\r\n$3\r\nkey\r\n".as_slice(), &fields].concat()
        }
    })
}

fn product(one: &[u8], other: &[u8]) -> f32 {
    let numbers = |bytes: &[u8]| -> Vec<f32> {
        bytes.chunks_exact(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect()
    };
    numbers(one).iter().zip(numbers(other)).map(|(a, b)| a * b).sum()
}

fn list<'a>(texts: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = format!("*{}\r\n", texts.len()).into_bytes();
    for text in texts {
        out.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Reads one value, and what it was written as.
fn read(from: &mut impl BufRead, raw: &mut Vec<u8>) -> Option<Value> {
    let start = raw.len();
    from.read_until(b'\n', raw).ok().filter(|count| *count > 0)?;
    let line = String::from_utf8_lossy(&raw[start..]).trim().to_owned();
    let (kind, count) = (line.chars().next()?, line.get(1..)?.parse::<i64>());
    match (kind, count) {
        ('$', Ok(length @ 0..)) => {
            let mut text = vec![0; usize::try_from(length).ok()? + 2];
            from.read_exact(&mut text).ok()?;
            raw.extend_from_slice(&text);
            text.truncate(text.len() - 2);
            Some(Value::Text(text))
        }
        ('*', Ok(count @ 0..)) => {
            let values: Option<_> = (0..count).map(|_| read(from, raw)).collect();
            Some(Value::List(values?))
        }
        _ => Some(Value::Other),
    }
}
