//! Requests of the gateway's own to services beside the data path: those that are told (alerts, traces,
//! callbacks), those that are asked (guardrails, clouds' tokens), and what clients point at.
//!
//! One way to make a client, to bound a request in time and its answer in bytes, and to say why there is none:
//! on one line, with the causes, and without the address, the headers and the body, each of which may hold a
//! secret. Knows not: what is sent, what an answer means, whether to try again.

use std::error::Error;
use std::iter::successors;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, Response};

use crate::pause;

/// The longest time that connecting takes, TLS included.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The longest text of an error, in characters.
const TEXT_MAX: usize = 500;

/// What one request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// From the connection to the end of the answer.
    pub(crate) time: Duration,
    /// The longest answer that is read, in bytes.
    pub(crate) answer: usize,
}

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// An error where it is too large or broke off. The status says what it says all the same.
    pub(crate) body: Result<Bytes, Failed>,
}

impl Answer {
    /// How long the service wants to be left alone.
    pub(crate) fn pause(&self) -> Option<Duration> {
        pause::asked(&self.headers, SystemTime::now())
    }
}

/// Why there is no answer, or not the whole of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failed {
    #[error("no answer within {} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Broken(String),
}

/// Why the body of an answer could not be read.
#[derive(Debug)]
pub(crate) enum Unread {
    TooLarge,
    Broken(reqwest::Error),
}

/// A client to build. It does not follow redirects: what is sent is for the address that is written.
pub(crate) fn client() -> ClientBuilder {
    // What is installed already is as good; other code of this process may be first.
    rustls::crypto::ring::default_provider().install_default().ok();
    ClientBuilder::new()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_MAX)
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
}

/// Sends a request, and reads what is answered.
///
/// # Errors
/// There was no answer.
pub(crate) async fn ask(request: RequestBuilder, bounds: Bounds) -> Result<Answer, Failed> {
    let failed = |error| failed(error, bounds);
    let mut answer = request.timeout(bounds.time).send().await.map_err(failed)?;
    let body = read(&mut answer, bounds.answer).await.map_err(|unread| match unread {
        Unread::TooLarge => Failed::TooLarge(bounds.answer),
        Unread::Broken(error) => failed(error),
    });
    Ok(Answer { status: answer.status(), headers: std::mem::take(answer.headers_mut()), body })
}

/// The body of an answer, if it has no more bytes than `max`.
///
/// # Errors
/// It has more, or it broke off.
pub(crate) async fn read(answer: &mut Response, max: usize) -> Result<Bytes, Unread> {
    if answer.content_length().is_some_and(|told| told > max as u64) {
        return Err(Unread::TooLarge);
    }
    let mut body = BytesMut::new();
    // The server's word counts for nothing from here on.
    while let Some(chunk) = answer.chunk().await.map_err(Unread::Broken)? {
        if body.len() + chunk.len() > max {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn failed(error: reqwest::Error, bounds: Bounds) -> Failed {
    if error.is_timeout() && !error.is_connect() {
        return Failed::TimedOut(bounds.time);
    }
    let error = error.without_url();
    // The first one says no more than that a request failed.
    Failed::Broken(causes(error.source().unwrap_or(&error)))
}

/// An error and its causes.
pub(crate) fn chain<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// The text of an error with its causes, on one line: the first one seldom says what it was.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in chain(error).map(ToString::to_string) {
        // Some tell their causes by themselves.
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    line(&text, TEXT_MAX)
}

/// The beginning of what others say, on one line.
pub(crate) fn line(text: &str, chars_max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), answer: 8 };

    /// Asks a service that says this, and then nothing more.
    async fn answered(said: &'static str, bounds: Bounds) -> Result<Answer, Failed> {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", service.local_addr().unwrap());
        let serve = async {
            let (mut asked, _) = service.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\nx") {
                assert_ne!(asked.read_buf(&mut request).await.unwrap(), 0, "it is cut");
            }
            asked.write_all(said.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        };
        let client = client().no_proxy().build().unwrap();
        tokio::select! {
            answer = ask(client.post(url).body("x"), bounds) => answer,
            () = serve => panic!("a service that never ends has ended"),
        }
    }

    #[tokio::test]
    async fn a_status_counts_even_if_the_body_is_too_large_or_breaks_off() {
        let whole =
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nwait";
        let answer = answered(whole, BOUNDS).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.pause()), (429, Some(Duration::from_secs(7))));
        assert_eq!(answer.body.unwrap(), "wait");
        for large in [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nwait",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nwaiting..\r\n",
        ] {
            let answer = answered(large, BOUNDS).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.body), (200, Err(Failed::TooLarge(8))));
        }
        let never = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nwait";
        // Long enough for the head to come on a busy machine.
        let soon = Duration::from_secs(2);
        let answer = answered(never, Bounds { time: soon, ..BOUNDS }).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body), (200, Err(Failed::TimedOut(soon))));
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let moved = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\n\
                     content-length: 0\r\n\r\n";
        assert_eq!(answered(moved, BOUNDS).await.unwrap().status.as_u16(), 307);
    }

    #[tokio::test]
    async fn failures_say_their_cause_and_no_secret() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let client = client().no_proxy().build().unwrap();
        let url = format!("http://user:hush@{gone}/hush?token=hush");
        let request = client.post(url).header("authorization", "Bearer hush").body("hush");
        let why = ask(request, BOUNDS).await.unwrap_err().to_string();
        assert!(why.contains("Connection refused") && !why.contains("hush"), "{why}");
        let request = client.post("http://user:hush@[/").header("x", "hush\n");
        let why = ask(request, BOUNDS).await.unwrap_err().to_string();
        assert!(!why.is_empty() && !why.contains("hush"), "{why}");
        let soon = Bounds { time: Duration::from_millis(50), ..BOUNDS };
        let why = answered("", soon).await.unwrap_err();
        assert_eq!(why.to_string(), "no answer within 0.05 seconds");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the outer{0}")]
    struct Outer(&'static str, #[source] io::Error);

    #[test]
    fn causes_stand_on_one_line_and_each_once() {
        let inner = || io::Error::other("the inner\none");
        assert_eq!(causes(&Outer("", inner())), "the outer: the inner one");
        assert_eq!(causes(&Outer(": the inner\none", inner())), "the outer: the inner one");
        let long = io::Error::other("x".repeat(TEXT_MAX + 1));
        assert_eq!(causes(&long).len(), TEXT_MAX);
    }
}
