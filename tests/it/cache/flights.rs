use super::*;

/// What many clients get that ask the same at the same time, once all of them are in flight.
fn together(gateway: &Gateway, provider: &Upstream, count: usize) -> Vec<(u16, String)> {
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let client = gateway.client().own_connections();
            meanwhile(move || {
                let reply = client.chat("gpt", "hi");
                (reply.status, reply.header("x-tollgate-cache").to_owned())
            })
        })
        .collect();
    let in_flight = count as f64;
    eventually("all are in flight", || {
        metric(gateway, "litellm_in_flight_requests", "") == in_flight
    });
    assert!(provider.wait_for_stall(patience()));
    provider.release();
    clients.into_iter().map(|client| client.join().unwrap()).collect()
}

fn count(replies: &[(u16, String)], status: u16, word: &str) -> usize {
    replies.iter().filter(|(code, cache)| (*code, &**cache) == (status, word)).count()
}

#[test]
fn of_many_that_ask_the_same_one_goes_to_the_provider() {
    let provider = upstream::openai().replies(chat("hello").stall_after(Point::Bytes(3))).start();
    let gateway = caching(&provider, "").start();
    let replies = together(&gateway, &provider, 12);
    assert_eq!(count(&replies, 200, "MISS"), 1, "{replies:?}");
    assert_eq!(count(&replies, 200, "HIT"), 11, "{replies:?}");
    assert_eq!(provider.requests().len(), 1);
}

#[test]
fn after_a_leader_that_failed_the_next_one_leads() {
    let broken = status(500).stall_after(Point::Bytes(3));
    let provider = upstream::openai().first_replies([broken]).replies(chat("hello")).start();
    let gateway = caching(&provider, "").start();
    let replies = together(&gateway, &provider, 8);
    assert_eq!(count(&replies, 500, "MISS"), 1, "{replies:?}");
    assert_eq!(count(&replies, 200, "MISS"), 1, "{replies:?}");
    assert_eq!(count(&replies, 200, "HIT"), 6, "{replies:?}");
    assert_eq!(provider.requests().len(), 2);
}

#[test]
fn after_a_leader_whose_client_left_the_next_one_leads() {
    let stalled = stream(["hel", "lo"]).stall_after(1);
    let provider = upstream::openai().first_replies([stalled]).replies(chat("hello")).start();
    let gateway = caching(&provider, "").start();
    let leader = gateway.client().own_connections().ask("gpt", "hi").open();
    let client = gateway.client().own_connections();
    let follower = meanwhile(move || client.chat("gpt", "hi"));
    eventually("both are in flight", || metric(&gateway, "litellm_in_flight_requests", "") == 2.0);
    assert_eq!(provider.requests().len(), 1);
    drop(leader);
    let reply = follower.join().unwrap();
    assert_eq!((reply.text().as_str(), reply.header("x-tollgate-cache")), ("hello", "MISS"));
    assert_eq!(provider.requests().len(), 2);
}

#[test]
fn who_waits_waits_no_longer_than_it_would_for_a_provider() {
    let stalled = chat("late").stall_after(Point::Bytes(3));
    let provider = upstream::openai().first_replies([stalled]).replies(chat("hello")).start();
    let gateway = caching(&provider, "").start();
    let client = gateway.client().own_connections();
    let leader = meanwhile(move || client.chat("gpt", "hi").text());
    assert!(provider.wait_for_stall(patience()));
    // `timeout` is the gateway's, and no part of what is asked.
    let impatient = gateway.client().own_connections().ask("gpt", "hi").set("timeout", 0.2);
    assert_eq!(told(impatient), pair("MISS", "hello"));
    provider.release();
    assert_eq!(leader.join().unwrap(), "late");
}

#[test]
fn those_who_waited_for_a_reply_that_is_not_kept_ask_all_at_once() {
    let provider =
        upstream::openai().replies(content_filtered("no").stall_after(Point::Bytes(3))).start();
    let gateway = caching(&provider, "").start();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let client = gateway.client().own_connections();
            meanwhile(move || client.chat("gpt", "hi").status)
        })
        .collect();
    eventually("all are in flight", || metric(&gateway, "litellm_in_flight_requests", "") == 3.0);
    assert!(provider.wait_for_stall(patience()));
    assert_eq!(provider.requests().len(), 1);
    provider.release();
    assert!(provider.wait_for_requests(3, patience()), "neither waits for the other");
    provider.release();
    provider.release();
    for client in clients {
        assert_eq!(client.join().unwrap(), 200);
    }
}
