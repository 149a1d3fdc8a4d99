//! The ledger is right about what was spent, whatever becomes of gateways, Redis and PostgreSQL.

use std::time::Duration;

use super::shared::{answered, holders, know_each_other, sharing};
use super::*;
use crate::harness::redis::Redis;

/// A provider that is asked for a thousandth of a dollar, and one that is free.
fn both(provider: &Upstream) -> Builder {
    let free = "input_cost_per_token: 0\noutput_cost_per_token: 0";
    priced(provider).and(group("free").deployment(openai(provider).with(free)))
}

/// Whether a key has money: finding out costs nothing.
fn has_money(client: &Client) -> bool {
    let reply = client.chat("free", "hi");
    assert!([200, 422].contains(&reply.status), "{reply:?}");
    reply.status == 200
}

/// What everybody has spent, as the ledger knows it: thousandths of a dollar.
fn written(database: &str) -> u64 {
    let sql = "SELECT COALESCE(SUM(pico), 0) / 1000000000 FROM tollgate_spend_sums \
               WHERE scope = 'proxy' AND quarter = -1";
    postgres::ask(database, sql).split('.').next().unwrap().parse().unwrap()
}

#[test]
fn what_a_killed_gateway_held_comes_back() {
    let provider = upstream::openai()
        .first_replies([stream(["a", "b"]).stall_after(1)])
        .replies(chat("hello").usage(5, 10))
        .start();
    let (redis, database) = (Redis::start(), postgres::database());
    let mut gateways = [(); 2].map(|()| sharing(priced(&provider), &redis, &database).start());
    know_each_other(&gateways);
    let shy = key(&gateways[0], json!({"max_parallel_requests": 1}));
    let mut open = holder(&gateways[0], &shy).ask("gpt", "hi").set("max_tokens", 10).open();
    assert_eq!(open.next_text().as_deref(), Some("a"));
    let second = holder(&gateways[1], &shy);
    assert_eq!(ask(&second).send().status, 429, "one at a time, over both");
    gateways[0].signal("KILL");
    gateways[0].wait_for_end();
    assert_eq!(ask(&second).send().status, 429, "nobody knows yet that it is gone");
    let lease = Duration::from_millis(tollgate::store::redis::LEASE_MS);
    eventually_after(lease, "the place is free", || ask(&second).send().status == 200);
}

#[test]
fn money_that_a_killed_gateway_held_comes_back() {
    let provider = upstream::openai()
        .first_replies([stream(["a", "b"]).stall_after(1)])
        .replies(chat("hello").usage(5, 10))
        .start();
    let (redis, database) = (Redis::start(), postgres::database());
    let mut gateways = [(); 2].map(|()| sharing(both(&provider), &redis, &database).start());
    know_each_other(&gateways);
    let poor = key(&gateways[0], json!({"max_budget": 0.005}));
    let mut open = holder(&gateways[0], &poor).ask("gpt", "hi").set("max_tokens", 50).open();
    assert_eq!(open.next_text().as_deref(), Some("a"));
    let second = holder(&gateways[1], &poor);
    let refused = ask(&second).send();
    assert!(refused.error_message().contains("Held for requests under way: 0.005"), "{refused:?}");
    gateways[0].signal("KILL");
    gateways[0].wait_for_end();
    let lease = Duration::from_millis(tollgate::store::redis::LEASE_MS);
    eventually_after(lease, "the money is back", || ask(&second).send().status == 200);
}

#[test]
fn what_a_killed_gateway_spent_counts_when_its_journal_is_found() {
    let (provider, redis) = (ten_tokens(), Redis::start());
    let database = postgres::database();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().display().to_string();
    let first = || {
        let builder = sharing(both(&provider), &redis, &database);
        builder.variable("STATE_DIRECTORY", &state)
    };
    // It has no time to tell the database of anything.
    let mut killed = first().general("proxy_batch_write_at: 600").start();
    let gateway = sharing(both(&provider), &redis, &database).start();
    let poor = key(&gateway, json!({"max_budget": 0.01}));
    eventually("the database has nothing of it", || written(&database) == 0);
    let client = holder(&killed, &poor);
    assert_eq!(answered(&[client], 8), 8);
    killed.signal("KILL");
    killed.wait_for_end();
    assert_eq!(redis.ask("FLUSHALL").trim(), "+OK\r\n+OK");
    let client = holder(&gateway, &poor);
    assert_eq!(answered(std::slice::from_ref(&client), 2), 2);
    assert!(has_money(&client), "nobody knows of the other eight");
    let _again = first().start();
    eventually("the journal is found", || written(&database) == 10);
    eventually("what is in it counts", || !has_money(&client));
}

#[test]
fn a_redis_that_has_lost_everything_learns_it_from_the_ledger() {
    let (provider, mut redis) = (ten_tokens(), Redis::start());
    let database = postgres::database();
    let gateways = [(); 2].map(|()| sharing(both(&provider), &redis, &database).start());
    know_each_other(&gateways);
    let poor = key(&gateways[0], json!({"max_budget": 0.01}));
    let clients = holders(&gateways, &poor);
    assert_eq!(answered(&clients, 20), 10);
    eventually("the ledger has it", || written(&database) == 10);
    redis.ask("FLUSHALL");
    assert!(clients.iter().all(|client| !has_money(client)));
    redis.stop();
    redis.restart();
    assert!(clients.iter().all(|client| !has_money(client)), "alone as well");
    know_each_other(&gateways);
    assert!(clients.iter().all(|client| !has_money(client)));
    assert_eq!(calls(&provider), 10);
}

#[test]
fn postgresql_may_be_restarted_under_two_gateways() {
    let (provider, redis) = (ten_tokens(), Redis::start());
    let server = postgres::Own::start();
    let database = server.url();
    let gateways = [(); 2].map(|()| sharing(both(&provider), &redis, &database).start());
    know_each_other(&gateways);
    let poor = key(&gateways[0], json!({"max_budget": 0.02}));
    // Who has heard of the end of this one has heard of the beginning of the other.
    let blocked = key(&gateways[0], json!({}));
    assert!(has_money(&holder(&gateways[1], &blocked)));
    made(&gateways[0], "/key/block", json!({"key": blocked}));
    let status = || holder(&gateways[1], &blocked).chat("free", "hi").status;
    eventually("all changes are heard of", || status() == 401);
    let clients = holders(&gateways, &poor);
    assert_eq!(answered(&clients, 6), 6);
    server.stop();
    assert_eq!(answered(&clients, 6), 6, "keys are known, and so is what they spent");
    server.start_again();
    assert_eq!(answered(&clients, 12), 8, "twenty in all");
    eventually("no row is lost and none is doubled", || written(&database) == 20);
    assert!(clients.iter().all(|client| !has_money(client)));
}

#[test]
fn a_reset_holds_at_every_gateway() {
    let (provider, redis) = (ten_tokens(), Redis::start());
    let database = postgres::database();
    let gateways = [(); 2].map(|()| sharing(both(&provider), &redis, &database).start());
    know_each_other(&gateways);
    let poor = key(&gateways[0], json!({"max_budget": 0.003, "budget_duration": "1d"}));
    let second = holder(&gateways[1], &poor);
    assert_eq!(answered(std::slice::from_ref(&second), 5), 3);
    eventually("the ledger has it", || written(&database) == 3);
    // This one has never counted the key.
    made(&gateways[0], &format!("/key/{poor}/reset_spend"), json!({"reset_to": 0.001}));
    eventually("it has money again", || second.chat("free", "hi").status == 200);
    assert_eq!(answered(&[second], 5), 2);
}

#[test]
fn without_redis_a_reset_is_heard_of_through_the_database() {
    let provider = ten_tokens();
    let database = postgres::database();
    let url = format!("database_url: \"{database}\"");
    let gateways = [(); 2].map(|()| both(&provider).general(&url).start());
    let poor = key(&gateways[0], json!({"max_budget": 0.003}));
    let second = holder(&gateways[1], &poor);
    assert_eq!(answered(std::slice::from_ref(&second), 5), 3);
    eventually("the ledger has it", || written(&database) == 3);
    made(&gateways[0], &format!("/key/{poor}/reset_spend"), json!({"reset_to": 0}));
    eventually("it has money again", || has_money(&second));
}

#[test]
fn what_was_spent_since_a_reset_is_not_forgotten_when_the_database_tells_of_it() {
    let provider = ten_tokens();
    let database = postgres::database();
    let url = format!("database_url: \"{database}\"");
    let first = both(&provider).general(&url).start();
    // What it is paid stays with it.
    let second = both(&provider).general(&url).general("proxy_batch_write_at: 600").start();
    let [poor, other] = [(); 2].map(|()| key(&first, json!({"max_budget": 0.003})));
    for key in [&poor, &other] {
        assert_eq!(answered(&[holder(&first, key)], 5), 3);
    }
    eventually("the ledger has it", || written(&database) == 6);
    let [client, heard] = [&poor, &other].map(|key| holder(&second, key));
    assert!(!has_money(&heard));
    made(&second, &format!("/key/{poor}/reset_spend"), json!({"reset_to": 0}));
    assert_eq!(answered(std::slice::from_ref(&client), 5), 3);
    // It hears of both in their order.
    made(&first, &format!("/key/{other}/reset_spend"), json!({"reset_to": 0}));
    eventually("the later one is heard of", || has_money(&heard));
    assert!(!has_money(&client));
}

/// A gateway whose first choice has a budget: for who pays, and for who finds out.
fn with_a_poor_provider(dear: &Upstream, other: &Upstream) -> Builder {
    let free = "input_cost_per_token: 0\noutput_cost_per_token: 0";
    let then = || anthropic(other).with(free).order(2);
    gateway::with(group("gpt").deployment(openai(dear).with(PRICE).order(1)).deployment(then()))
        .and(group("free").deployment(openai(dear).with(free).order(1)).deployment(then()))
        .master_key(MASTER)
        .router("provider_budget_config: {openai: {budget_limit: 0.003, time_period: 1d}}")
}

#[test]
fn a_providers_budget_is_that_of_all_gateways() {
    let redis = Redis::start();
    for with_redis in [true, false] {
        let (dear, database) = (ten_tokens(), postgres::database());
        let other = upstream::anthropic().replies(chat("other").usage(5, 10)).start();
        let [first, second] = [(); 2].map(|()| {
            let builder = with_a_poor_provider(&dear, &other);
            match with_redis {
                true => sharing(builder, &redis, &database).start(),
                false => builder.general(&format!("database_url: \"{database}\"")).start(),
            }
        });
        let asks = |gateway: &Gateway, model| gateway.client().chat(model, "hi").text();
        assert_eq!(asks(&second, "free"), "hello");
        eventually("who has paid passes it over", || asks(&first, "gpt") == "other");
        eventually("and so does who has not", || asks(&second, "free") == "other");
    }
}

#[test]
fn of_several_gateways_one_tells_of_a_level() {
    let (provider, redis) = (ten_tokens(), Redis::start());
    let database = postgres::database();
    let hooks = [mailbox(), mailbox()];
    let start = |hook: &str| {
        sharing(both(&provider), &redis, &database)
            .general("alerting: [webhook]")
            .variable("WEBHOOK_URL", hook)
            .start()
    };
    let gateways = [start(&hooks[0].url), start(&hooks[1].url)];
    know_each_other(&gateways);
    let watched = |alias: &str| key(&gateways[0], json!({"key_alias": alias, "max_budget": 0.003}));
    let clients = holders(&gateways, &watched("watched"));
    assert_eq!(answered(&clients, 8), 3);
    // Words leave a gateway in their order: what comes before these is all that was told.
    for (gateway, alias) in gateways.iter().zip(["last-of-0", "last-of-1"]) {
        assert_eq!(answered(&holders(std::slice::from_ref(gateway), &watched(alias)), 5), 3);
    }
    let told = || -> Vec<String> {
        let letters = hooks.iter().flat_map(Mailbox::letters);
        letters
            .filter(|letter| letter["event"] == "budget_crossed")
            .map(|letter| letter["key_alias"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let told_of = |alias: &str| told().iter().filter(|name| name.starts_with(alias)).count();
    eventually("the last ones are told of", || {
        told_of("last-of-0") > 0 && told_of("last-of-1") > 0
    });
    assert_eq!(told_of("watched"), 1, "{:?}", told());
}
