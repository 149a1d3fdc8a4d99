//! Live events: what ends while somebody looks, and for whom.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{Browser, MASTER, office, refused, user};
use crate::harness::*;

/// An open stream of events.
struct Events {
    lines: std::io::Lines<BufReader<TcpStream>>,
    head: Vec<String>,
}

impl Events {
    fn open(gateway: &Gateway, cookie: &str) -> Self {
        let mut socket = TcpStream::connect(gateway.address()).unwrap();
        socket.set_read_timeout(Some(3 * patience())).unwrap();
        let head = format!(
            "GET /ui/api/live HTTP/1.1\r\nhost: test\r\ncookie: {cookie}\r\naccept: \
             text/event-stream\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(socket).lines();
        let head = lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        Self { lines, head }
    }

    /// The next event: its name and its data.
    fn next(&mut self) -> (String, Value) {
        let mut name = None;
        loop {
            let line = self.lines.next().expect("the stream goes on").unwrap();
            if let Some(event) = line.strip_prefix("event: ") {
                name = Some(event.to_owned());
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (name.unwrap(), serde_json::from_str(data).unwrap());
            }
        }
    }

    /// Ticks until one says that something ended.
    fn busy(&mut self) -> Value {
        loop {
            let (name, tick) = self.next();
            assert_eq!(name, "tick", "{tick}");
            if tick["requests"] != 0 {
                return tick;
            }
        }
    }
}

#[test]
fn who_looks_sees_what_ends() {
    let (gateway, _provider) = office();
    assert_eq!(gateway.client().chat("gpt", "before").status, 200);
    let browser = Browser::logged_in(&gateway, MASTER);
    let mut events = Events::open(&gateway, &browser.cookie);
    assert!(events.head[0].contains("200"), "{:?}", events.head);
    let is_sse = |line: &String| line.to_ascii_lowercase().contains("text/event-stream");
    assert!(events.head.iter().any(is_sse), "{:?}", events.head);
    let (name, first) = events.next();
    assert_eq!((&*name, &first["requests"]), ("tick", &json!(0)), "what was before is over");
    assert_eq!((&first["in_flight"], &first["cooling"]), (&json!(0), &json!(0)));
    let ask = gateway.client().ask("gpt", "hi").header("x-request-id", "seen-live");
    assert_eq!(ask.send().status, 200);
    let tick = events.busy();
    assert_eq!((&tick["requests"], &tick["failures"]), (&json!(1), &json!(0)));
    assert_eq!(tick["groups"], json!([{"group": "gpt", "requests": 1, "failures": 0}]));
    assert_eq!(tick["recent"][0]["id"], "seen-live");
    assert!(tick["mean_latency"].as_f64().unwrap() > 0.0);
    assert_eq!(gateway.client().chat("none", "hi").status, 404);
    assert_eq!(events.busy()["failures"], 1);
}

#[test]
fn a_user_sees_its_own_requests_only() {
    let (gateway, _provider) = office();
    let (ada, eve) =
        (user(&gateway, "ada", "internal_user"), user(&gateway, "eve", "internal_user"));
    let browser = Browser::logged_in(&gateway, &ada);
    let mut events = Events::open(&gateway, &browser.cookie);
    let (_, first) = events.next();
    assert_eq!((&first["in_flight"], &first["cooling"]), (&json!(null), &json!(null)));
    for key in [&eve, &ada] {
        assert_eq!(gateway.client().with_key(Some(key)).chat("gpt", "hi").status, 200);
    }
    let tick = events.busy();
    assert_eq!(tick["requests"], 1, "{tick}");
    let (_, next) = events.next();
    assert_eq!(next["requests"], 0, "{next}");
}

#[test]
fn the_stream_ends_with_the_session() {
    let (gateway, _provider) = office();
    let ada = user(&gateway, "ada", "internal_user");
    let browser = Browser::logged_in(&gateway, &ada);
    let mut events = Events::open(&gateway, &browser.cookie);
    assert_eq!(events.next().0, "tick");
    let master = gateway.client().with_key(Some(MASTER));
    assert_eq!(master.post("/key/block").json(&json!({"key": ada})).send().status, 200);
    let end = loop {
        let (name, data) = events.next();
        if name == "end" {
            break data;
        }
    };
    assert_eq!(end, json!({"reason": "session_ended"}));
    assert_eq!(refused(&browser.get("/ui/api/live")).0, 401);
}

#[test]
fn who_loses_a_role_sees_no_more_of_others() {
    let (gateway, _provider) = office();
    let vera = user(&gateway, "vera", "proxy_admin_viewer");
    let browser = Browser::logged_in(&gateway, &vera);
    let mut events = Events::open(&gateway, &browser.cookie);
    assert_eq!(events.next().1["in_flight"], 0, "a viewer sees the whole gateway");
    let master = gateway.client().with_key(Some(MASTER));
    let body = json!({"user_id": "vera", "user_role": "internal_user"});
    assert_eq!(master.post("/user/update").json(&body).send().status, 200);
    let end = loop {
        let (name, data) = events.next();
        if name == "end" {
            break data;
        }
    };
    assert_eq!(end, json!({"reason": "rights_changed"}));
    // The session itself goes on: the next events are those of the new role.
    let (_, first) = Events::open(&gateway, &browser.cookie).next();
    assert_eq!(first["in_flight"], json!(null), "{first}");
}

#[test]
fn a_listener_does_not_hold_up_the_end_of_the_gateway() {
    let (mut gateway, _provider) = office();
    let browser = Browser::logged_in(&gateway, MASTER);
    let mut events = Events::open(&gateway, &browser.cookie);
    assert_eq!(events.next().0, "tick");
    gateway.signal("TERM");
    assert!(gateway.wait_for_end().success());
    // No line of it says anything but that it goes on, or why it does not.
    let rest: Vec<_> = events.lines.map_while(Result::ok).collect();
    let named = rest.iter().filter_map(|line| line.strip_prefix("event: "));
    assert!(named.clone().all(|name| matches!(name, "tick" | "end")), "{rest:?}");
}

#[test]
fn listeners_are_bounded_and_leave_their_places() {
    let (gateway, _provider) = office();
    let browser = Browser::logged_in(&gateway, MASTER);
    let mut all: Vec<_> = (0..32).map(|_| Events::open(&gateway, &browser.cookie)).collect();
    all.iter_mut().for_each(|events| assert_eq!(events.next().0, "tick"));
    assert_eq!(refused(&browser.get("/ui/api/live")), (503, "too_many_listeners".into()));
    drop(all);
    eventually("the places are free again", || {
        Events::open(&gateway, &browser.cookie).head[0].contains("200")
    });
}
