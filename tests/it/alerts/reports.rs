//! What is told regularly, by one of several gateways.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

const OFTEN: &str = "alerting_args: {daily_report_frequency: 2, report_check_interval: 0.5}";

/// A gateway with a price, a broken deployment and one that stands in, on a database that may be shared.
fn reporting(broken: &Upstream, well: &Upstream, file: &Path, slack: &Mailbox) -> Gateway {
    let price = "input_cost_per_token: 0\noutput_cost_per_token: 0.1";
    let builder = gateway::with(group("gpt").deployment(openai(broken).id("broken").with(price)))
        .and(group("backup").deployment(openai(well).id("well").with(price)))
        .router("num_retries: 0\ndisable_cooldowns: true\nfallbacks: [{gpt: [backup]}]")
        .general(OFTEN)
        .top(&format!("database: {{type: sqlite, path: {}}}", file.display()));
    telling(builder, "daily_reports, fallback_reports", slack).start()
}

#[test]
fn of_several_gateways_one_tells_of_a_stretch() {
    let broken = upstream::openai().replies(status(500)).start();
    let well = upstream::openai().replies(chat("hello").usage(5, 10)).start();
    let slack = mailbox();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shared.db");
    let gateways = [(); 2].map(|()| reporting(&broken, &well, &file, &slack));
    for gateway in &gateways {
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");
    }
    let cost = "Cost: $2.00";
    eventually("several stretches are told", || slack.texts(cost).len() >= 3);
    let text = slack.texts(cost).remove(0);
    assert!(text.starts_with("*Report* from `20"), "{text}");
    assert!(text.contains("\nRequests: 2, of which 0 failed (0.00 %)"), "{text}");
    assert!(text.contains("\n1. `broken` (`openai/"), "{text}");
    assert!(text.contains(": 2 of 2 attempts"), "{text}");
    assert!(text.contains("s for each output token"), "{text}");
    let heads = |kind: &str| -> Vec<String> {
        let texts = slack.texts(kind);
        texts.iter().map(|text| text.lines().next().unwrap().to_owned()).collect()
    };
    for kind in ["*Report*", "*Fallbacks*"] {
        let heads = heads(kind);
        let different: BTreeSet<_> = heads.iter().collect();
        assert_eq!(different.len(), heads.len(), "no stretch is told twice: {heads:?}");
        assert!(!heads.is_empty());
    }
    let fell = slack.texts("Requests that fell back: 2, 2 well");
    assert!(fell[0].contains("\n1. `gpt`: 2, 2 well"), "{fell:?}");
}
