//! Replies that several gateways share through Redis.

use std::time::{Duration, Instant};

use super::*;
use crate::harness::redis::Redis;

fn sharing(provider: &Upstream, redis: &Redis) -> Gateway {
    let params = format!(
        "cache: true\ncache_params: {{type: redis, host: 127.0.0.1, port: {}, namespace: test, \
         socket_timeout: 3}}",
        redis.port()
    );
    let gateway = gateway::with(group("gpt").deployment(provider))
        .litellm(&params)
        .router("num_retries: 0\ndisable_cooldowns: true")
        .master_key(MASTER)
        .start();
    eventually("Redis is found", || gateway.get("/health").json()["limits"]["counted"] == "shared");
    gateway
}

#[test]
fn what_one_gateway_was_told_the_other_knows() {
    let (provider, redis) = (changing(), Redis::start());
    let [one, other] = [(); 2].map(|()| sharing(&provider, &redis));
    assert_eq!(told(one.client().ask("gpt", "hi")), pair("MISS", "one"));
    eventually("it is kept", || !names(&redis).is_empty());
    assert_eq!(told(other.client().ask("gpt", "hi")), pair("HIT", "one"));
    let stream = other.client().ask("gpt", "hi").stream();
    assert_eq!((stream.text().as_str(), stream.header("x-tollgate-cache")), ("one", "HIT"));

    let ping = one.get("/cache/ping").json();
    assert_eq!((&ping["cache_type"], &ping["ping_response"]), (&json!("redis"), &json!(true)));
    let info = one.get("/cache/redis/info").json();
    assert!(info["info"]["redis_version"].is_string(), "{info}");
    assert!(info["num_clients"].as_u64().unwrap() >= 2, "{info}");

    let name = stream.header("x-litellm-cache-key").to_owned();
    let gone = one.client().post("/cache/delete").json(&json!({"keys": [name]})).send();
    assert_eq!(gone.json()["deleted"], 1, "{gone:?}");
    assert_eq!(told(other.client().ask("gpt", "hi")), pair("MISS", "two"));
    eventually("it is kept again", || !names(&redis).is_empty());
    redis.ask("SET mine 1");
    let gone = other.client().post("/cache/flushall").send();
    assert_eq!(gone.json()["deleted"], 1, "{gone:?}");
    assert_eq!(told(one.client().ask("gpt", "hi")), pair("MISS", "three"));
    assert!(redis.ask("GET mine").contains('1'), "what is not the cache's is left alone");
}

/// The names of replies in Redis, as it lists them.
fn names(redis: &Redis) -> String {
    let listed = redis.ask("KEYS test:tollgate:reply:*");
    listed.lines().filter(|line| line.contains("reply:")).collect()
}

#[test]
fn a_redis_that_hangs_or_is_gone_is_a_miss() {
    let (provider, mut redis) = (upstream::openai().replies(chat("hello")).start(), Redis::start());
    let gateway = sharing(&provider, &redis);
    let client = gateway.client();
    assert_eq!(told(client.ask("gpt", "hi")), pair("MISS", "hello"));
    eventually("it is kept", || !names(&redis).is_empty());
    assert_eq!(told(client.ask("gpt", "hi")), pair("HIT", "hello"));
    redis.pause();
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(told(client.ask("gpt", "hi")), pair("MISS", "hello"));
    }
    assert!(began.elapsed() < Duration::from_secs(30), "a few wait, and then nobody");
    assert_eq!(gateway.get("/cache/ping").status, 503);
    redis.resume();
    eventually("Redis is found again", || told(client.ask("gpt", "hi")).0 == "HIT");
    redis.stop();
    eventually("Redis is gone", || told(client.ask("gpt", "hi")).0 == "MISS");
    assert_eq!(told(client.ask("gpt", "hi")), pair("MISS", "hello"));
}
