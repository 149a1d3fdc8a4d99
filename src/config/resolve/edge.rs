//! How clients reach the gateway, and how the process is operated.

use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Sections;
use crate::config::problem::Finding;
use crate::config::section::{At, Section};
use crate::edge::{Admission, Forwarded, Limits, ListenAt, Settings};

pub(super) fn edge(sections: &mut Sections<'_>) -> Arc<Settings> {
    let general = &mut sections.general;
    let default = Settings::default();
    let reload_on_change = general.flag("reload_on_change");
    let upgrade_drain = general.timeout("upgrade_drain_timeout");
    Arc::new(Settings {
        listen: listen(general),
        forwarded: Forwarded {
            use_x_forwarded_for: general.flag("use_x_forwarded_for").is_some_and(|at| at.value),
            trusted: parsed(general, "trusted_proxy_ranges", range),
        },
        limits: limits(general, &default.limits),
        admission: admission(general, &default.admission),
        reload_on_change: reload_on_change.map_or(default.reload_on_change, |at| at.value),
        upgrade_drain_timeout: upgrade_drain.map_or(default.upgrade_drain_timeout, |at| at.value),
    })
}

fn listen(general: &mut Section<'_>) -> Vec<ListenAt> {
    let spot = general.spot_of("listen");
    let listen = parsed(general, "listen", ListenAt::from_str);
    if !listen.is_empty() && listen.iter().all(|at| at.admin) {
        let message = "`listen` has listeners for operators only";
        let help = "add one without `admin`, for clients";
        general.problems.push(Finding::error(spot, message).help(help));
    }
    for (number, at) in listen.iter().enumerate() {
        if listen.iter().take(number).any(|other| other.address == at.address) {
            let message = format!("`{}` is listened on twice", at.address);
            general.problems.push(Finding::error(spot, message));
        }
    }
    listen
}

fn limits(general: &mut Section<'_>, default: &Limits) -> Limits {
    let count = |at: Option<At<u64>>| at.and_then(|at| usize::try_from(at.value).ok());
    let keepalive = general.timeout("keepalive_timeout");
    let streams = general.positive("http2_max_concurrent_streams");
    let streams = streams.and_then(|at| u32::try_from(at.value).ok());
    Limits {
        max_connections: count(general.positive("max_connections")),
        max_connections_per_client: count(general.positive("max_connections_per_client")),
        keepalive_timeout: keepalive.map_or(default.keepalive_timeout, |at| at.value),
        http2_streams: streams.unwrap_or(default.http2_streams),
    }
}

fn admission(general: &mut Section<'_>, default: &Admission) -> Admission {
    let in_flight = general.positive("max_in_flight_requests_per_worker");
    let queued = general.count("max_queued_requests_per_worker", u32::MAX);
    let patience = general.seconds("admission_queue_timeout_seconds");
    Admission {
        max_in_flight: in_flight.and_then(|at| usize::try_from(at.value).ok()),
        max_queued: queued.map_or(default.max_queued, |at| at.value as usize),
        queue_timeout: patience.map_or(default.queue_timeout, |at| at.value),
    }
}

/// The entries of a list of texts, each understood or reported.
fn parsed<T>(
    general: &mut Section<'_>,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut found = Vec::new();
    for At { value, spot } in general.texts(name).unwrap_or_default() {
        match parse(value.trim()) {
            Ok(entry) => found.push(entry),
            Err(problem) => general.problems.push(Finding::error(spot, problem)),
        }
    }
    found
}

/// A range of addresses, or one of them.
fn range(text: &str) -> Result<IpNet, String> {
    let range =
        text.parse().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
    range
        .map_err(|_| format!("`{text}` is no range of addresses: write `10.0.0.0/8` or `10.0.0.1`"))
}
