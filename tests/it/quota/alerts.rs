//! Who is told when a budget is nearly used up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

/// Takes what is posted, and says that all is well; the first time it says that it is not.
pub(super) fn mailbox() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let letters = Arc::<Mutex<Vec<Value>>>::default();
    let inbox = Arc::clone(&letters);
    meanwhile(move || {
        for (turn, stream) in listener.incoming().enumerate() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let status = if turn == 0 { "503 Busy" } else { "200 OK" };
            if turn > 0 {
                inbox.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            }
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, letters)
}

#[test]
fn each_level_is_told_once_by_webhook_and_slack() {
    let provider = ten_tokens();
    let (hook, letters) = mailbox();
    let (slack, notes) = mailbox();
    let gateway = priced(&provider)
        .general("alerting: [webhook, slack]\nalert_types: [budget_alerts]")
        .variable("WEBHOOK_URL", &hook)
        .variable("SLACK_WEBHOOK_URL", &slack)
        .start();
    let watched = key(
        &gateway,
        json!({"key_alias": "ci", "max_budget": 0.01, "soft_budget": 0.004, "budget_duration": "1d"}),
    );
    let client = holder(&gateway, &watched);
    for _ in 0..12 {
        ask(&client).send();
    }
    let expected = ["soft_budget_crossed", "threshold_crossed", "budget_crossed"];
    eventually("all levels are told", || letters.lock().unwrap().len() >= 3);
    let told = letters.lock().unwrap().clone();
    let events: Vec<_> = told.iter().map(|letter| letter["event"].as_str().unwrap()).collect();
    assert_eq!(events, expected, "{told:?}");
    assert_eq!(told[0]["key_alias"].as_str().map(|name| name.starts_with("ci")), Some(true));
    assert_eq!(told[1]["threshold"], 0.85 + 0.05 * f64::from(told[1]["threshold"] == 0.95));
    eventually("Slack is told as well", || notes.lock().unwrap().len() >= 3);
    let text = notes.lock().unwrap()[0]["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Soft budget crossed: key ci"), "{text}");
}
