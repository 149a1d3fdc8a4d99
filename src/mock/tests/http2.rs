//! The same over HTTP/2 with prior knowledge, and over TLS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Response};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{PATIENCE, prompt, streamed};
use crate::mock::{
    Upstream, chat, close_before_head, garbage, never_answers, reset, status, stream,
};

/// Runs a test with a client of HTTP/2, within the patience of the other tests.
fn with_client(upstream: &Upstream, test: impl AsyncFnOnce(SendRequest<Bytes>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tcp = TcpStream::connect(upstream.address()).await.unwrap();
        let client = client(tcp).await;
        tokio::time::timeout(PATIENCE, test(client)).await.unwrap();
    });
}

async fn client<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: T) -> SendRequest<Bytes> {
    let (client, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client.ready().await.unwrap()
}

async fn ask(
    client: &mut SendRequest<Bytes>,
    body: &Value,
) -> Result<Response<h2::RecvStream>, h2::Error> {
    let request = Request::post("http://mock/v1/chat/completions").body(()).unwrap();
    let (response, mut stream) = client.send_request(request, false)?;
    stream.send_data(Bytes::from(body.to_string()), true)?;
    response.await
}

async fn text(body: &mut h2::RecvStream) -> (String, Option<h2::Error>) {
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                body.flow_control().release_capacity(data.len()).unwrap();
                text.extend_from_slice(&data);
            }
            Err(error) => return (String::from_utf8(text).unwrap(), Some(error)),
        }
    }
    (String::from_utf8(text).unwrap(), None)
}

#[test]
fn replies_come_over_http2_with_prior_knowledge() {
    let upstream = Upstream::openai().replies_in_turn([chat("hi"), stream(["a", "b"])]).start();
    with_client(&upstream, async |mut client| {
        let mut response = ask(&mut client, &prompt("m", "hi")).await.unwrap();
        assert_eq!(response.status(), 200);
        let (body, error) = text(response.body_mut()).await;
        assert!(body.contains("\"content\":\"hi\""));
        assert!(error.is_none());
        let mut response = ask(&mut client, &streamed("m", "hi")).await.unwrap();
        let (body, error) = text(response.body_mut()).await;
        assert!(body.ends_with("data: [DONE]\n\n"));
        assert!(error.is_none());
    });
    assert_eq!((upstream.connections(), upstream.request_count()), (1, 2));
    assert_eq!(upstream.last_request().version, http::Version::HTTP_2);
}

#[test]
fn a_cut_is_a_reset_of_the_stream_after_what_was_sent() {
    let upstream = Upstream::openai().replies(stream(["a", "b", "c"]).cut_after(2)).start();
    with_client(&upstream, async |mut client| {
        let mut response = ask(&mut client, &streamed("m", "hi")).await.unwrap();
        let (body, error) = text(response.body_mut()).await;
        assert!(body.contains("\"b\"") && !body.contains("\"c\""), "{body}");
        assert_eq!(error.unwrap().reason(), Some(h2::Reason::INTERNAL_ERROR));
        upstream.now_replies(chat("well"));
        let next = ask(&mut client, &prompt("m", "hi")).await.unwrap();
        assert_eq!(next.status(), 200, "the connection lives on");
    });
}

#[test]
fn a_client_that_resets_its_stream_is_noticed() {
    let upstream = Upstream::openai().replies(stream(["a", "b"]).stall_after(1)).start();
    with_client(&upstream, async |mut client| {
        let response = ask(&mut client, &streamed("m", "hi")).await.unwrap();
        assert!(upstream.wait_for_stall(PATIENCE));
        drop(response);
        // The connection's task must run to write the reset.
        while upstream.disconnects().is_empty() {
            tokio::task::yield_now().await;
        }
        upstream.now_replies(status(503));
        assert_eq!(ask(&mut client, &prompt("m", "hi")).await.unwrap().status(), 503);
    });
    assert!(upstream.wait_for_disconnect(PATIENCE).unwrap().body_bytes > 0);
}

#[test]
fn a_client_that_closes_the_connection_is_noticed() {
    let upstream = Upstream::openai().replies(never_answers()).start();
    with_client(&upstream, async |mut client| {
        let request = Request::post("http://mock/v1/chat/completions").body(()).unwrap();
        let (_response, mut stream) = client.send_request(request, false).unwrap();
        stream.send_data(Bytes::from(prompt("m", "hi").to_string()), true).unwrap();
        while upstream.request_count() == 0 {
            tokio::task::yield_now().await;
        }
    });
    assert!(upstream.wait_for_disconnect(PATIENCE).is_some());
}

#[test]
fn a_stalled_stream_goes_on_when_it_is_released() {
    let upstream = Upstream::openai().replies(stream(["a", "b"]).stall_after(1)).start();
    upstream.release();
    with_client(&upstream, async |mut client| {
        let mut response = ask(&mut client, &streamed("m", "hi")).await.unwrap();
        assert!(text(response.body_mut()).await.0.ends_with("[DONE]\n\n"));
    });
}

#[test]
fn trouble_before_the_head_is_trouble_of_the_connection() {
    let upstream = Upstream::openai().replies(close_before_head()).start();
    for reply in [close_before_head(), reset(), garbage()] {
        upstream.now_replies(reply);
        with_client(&upstream, async |mut client| {
            assert!(ask(&mut client, &prompt("m", "hi")).await.is_err());
        });
    }
}

#[test]
fn a_slow_client_holds_the_stream_back() {
    let long = "x".repeat(1000);
    let upstream = Upstream::openai().replies(stream([long.as_str()]).repeated(20_000)).start();
    with_client(&upstream, async |mut client| {
        let response = ask(&mut client, &streamed("m", "hi")).await.unwrap();
        let written = upstream.bytes_written();
        assert!(written < 1_000_000, "{written}: the window is 64 KiB");
        drop(response);
    });
    assert!(upstream.wait_for_disconnect(PATIENCE).is_some());
}

#[test]
fn large_bodies_and_late_heads_pass() {
    let upstream =
        Upstream::openai().replies(chat("hi").slow_head(Duration::from_micros(1)).closing());
    let upstream = upstream.body_limit(3_000_000).start();
    with_client(&upstream, async |mut client| {
        let request = Request::post("http://mock/v1/chat/completions").body(()).unwrap();
        let (response, mut stream) = client.send_request(request, false).unwrap();
        let body = Bytes::from(prompt("m", &"x".repeat(2_000_000)).to_string());
        stream.reserve_capacity(body.len());
        stream.send_data(body, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    });
    assert!(upstream.last_request().body.len() > 2_000_000);
}

#[test]
fn tls_offers_http2_when_it_is_told_to() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    for http2 in [false, true] {
        let builder = Upstream::openai().tls(&certificate, &key);
        let upstream = if http2 { builder.http2() } else { builder }.start();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(signed.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let tcp = TcpStream::connect(upstream.address()).await.unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let tls = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
            let agreed = tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            assert_eq!(agreed.as_deref(), Some(if http2 { &b"h2"[..] } else { b"http/1.1" }));
            if http2 {
                let mut client = client(tls).await;
                assert_eq!(ask(&mut client, &prompt("m", "hi")).await.unwrap().status(), 200);
            }
        });
    }
}
