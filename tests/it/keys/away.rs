//! What becomes of keys while the database is away.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{MASTER, holder, two_groups};
use crate::harness::{postgres, *};

/// A way to a server that can be closed and opened again.
struct Way {
    address: SocketAddr,
    open: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (open, connections) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let way = Self { address, open: Arc::clone(&open), connections: Arc::clone(&connections) };
        meanwhile(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if !open.load(Ordering::Acquire) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(server) else { continue };
                let both = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                connections.lock().unwrap().extend(both);
                carry(client.try_clone().unwrap(), server.try_clone().unwrap());
                carry(server, client);
            }
        });
        way
    }

    fn close(&self) {
        self.open.store(false, Ordering::Release);
        for connection in self.connections.lock().unwrap().drain(..) {
            drop(connection.shutdown(Shutdown::Both));
        }
    }

    fn reopen(&self) {
        self.open.store(true, Ordering::Release);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    meanwhile(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
    });
}

#[test]
fn known_keys_go_on_without_the_database_and_unknown_ones_are_asked_to_wait() {
    let url = postgres::database();
    let authority = url.split('@').next_back().unwrap().split('/').next().unwrap();
    let authority = authority.trim_start_matches("postgresql://");
    let way = Way::to(authority.parse().unwrap_or_else(|_| panic!("{url}")));
    let url = url.replace(authority, &way.address.to_string());
    let (_one, _other, gateway) = two_groups();
    // Nothing is believed without a look, so that only the outage can be why a key is.
    let gateway =
        gateway.general(&format!("database_url: {url}\nuser_api_key_cache_ttl: 0")).start();
    let (known, _) = holder(&gateway, &json!({}));
    let (unknown, _) = holder(&gateway, &json!({}));
    assert_eq!(known.chat("gpt", "hi").status, 200);

    way.close();

    let began = Instant::now();
    let refused = unknown.chat("gpt", "hi");
    assert_eq!((refused.status, &*refused.error_code()), (503, "key_database_unavailable"));
    assert_eq!(refused.header("retry-after"), "1");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    for _ in 0..3 {
        assert_eq!(known.chat("gpt", "hi").status, 200);
    }
    assert_eq!(gateway.client().chat("gpt", "hi").status, 200, "the master key needs no database");
    let page = gateway.get("/metrics").body_text();
    let stale = "tollgate_key_lookups_total{result=\"stale\"}";
    let stale = page.lines().find_map(|line| line.strip_prefix(stale)?.trim().parse::<f64>().ok());
    assert!(stale.is_some_and(|count| count > 0.0), "{page}");

    way.reopen();
    eventually("keys are known again", || unknown.chat("gpt", "hi").status == 200);
}

#[test]
fn a_database_that_does_not_answer_is_not_waited_for() {
    // Connections are taken, and nothing is ever said.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let (_one, _other, gateway) = two_groups();
    let url = format!("database_url: postgresql://user:secret@{address}/db");
    let gateway = gateway.general(&url).top("key_settings:\n- {api_key: of-the-file}").start();
    let asks = |key| gateway.client().with_key(Some(key)).chat("gpt", "hi");
    assert_eq!(asks("of-the-file").status, 200);
    assert_eq!(asks(MASTER).status, 200);
    let began = Instant::now();
    let refused = asks("sk-nobody-knows-this-one");
    assert_eq!((refused.status, &*refused.error_code()), (503, "key_database_unavailable"));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(!refused.body_text().contains("secret"));
    assert!(!gateway.messages().contains("secret"), "{}", gateway.messages());
}
