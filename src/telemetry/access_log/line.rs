//! The fields of an access-log line.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::keys::Principal;
use crate::telemetry::record::{Attempt, CacheUse, ClientText, KeyKind, Outcome, RequestRecord};
use crate::telemetry::timestamp::Timestamp;
use crate::usage::is_zero;

/// A record as it stands in the log. Fields that say nothing are left out.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    time: String,
    request_id: &'a ClientText,
    call_id: &'a ClientText,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    method: &'a str,
    path: &'a ClientText,
    route: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a ClientText>,
    key: KeyKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_alias: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_alias: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_user: Option<&'a ClientText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a ClientText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_model: Option<&'a str>,
    stream: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    for_cache: bool,
    total_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<f64>,
    overhead_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttft_ms: Option<f64>,
    retries: u32,
    fallbacks: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<Box<RawValue>>,
    /// `hit` or `miss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_key: Option<&'a str>,
    /// Of a hit by meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_similarity: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_usd: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guardrails: Vec<&'a str>,
    /// `name: kind of thing`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guardrail_findings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a ClientText>,
    bytes_in: u64,
    bytes_out: u64,
    client_disconnected: bool,
}

#[derive(Serialize)]
struct AttemptLine<'a> {
    deployment: &'a str,
    group: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    ms: f64,
    cooled_down: bool,
}

#[derive(Serialize)]
struct UsageLine {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    reasoning_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    images: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_seconds: Option<f64>,
    #[serde(skip_serializing_if = "is_zero")]
    characters: u64,
    #[serde(skip_serializing_if = "is_zero")]
    searches: u64,
    #[serde(skip_serializing_if = "is_zero")]
    web_searches: u64,
    estimated: bool,
}

impl<'a> Line<'a> {
    pub(super) fn of(record: &'a RequestRecord) -> Self {
        let served = record.served.as_ref();
        let holder = record.client.holder();
        let group = served.map(|served| &*served.group).or(record.group_asked.as_deref());
        // The attempts of a request that went well at once say nothing new.
        let plain = matches!(record.attempts.as_slice(), [one] if one.outcome == Outcome::Success);
        let attempts = if plain { &[] } else { record.attempts.as_slice() };
        Self {
            time: Timestamp(record.started).to_string(),
            request_id: &record.request_id,
            call_id: &record.call_id,
            trace_id: record.trace.map(|trace| format!("{trace:?}")),
            method: record.method.as_str(),
            path: &record.path,
            route: record.route.name(),
            status: record.status,
            client_ip: record.client.ip,
            user_agent: record.client.user_agent.as_ref(),
            key: record.client.key(),
            key_hash: holder.map(|holder| &**holder.hash()),
            key_alias: holder.and_then(|holder| holder.key.key_alias.as_deref()),
            team: holder.and_then(Principal::team_id),
            team_alias: holder.and_then(Principal::team_alias),
            user: holder.and_then(Principal::user_id),
            end_user: record.client.end_user.as_ref(),
            model: record.model_asked.as_ref(),
            group,
            deployment: served.map(|served| &*served.deployment.id),
            provider: served.map(|served| &*served.deployment.provider),
            upstream_model: served.map(|served| &*served.model),
            stream: record.stream,
            shadow: record.shadow,
            for_cache: record.for_cache,
            total_ms: milliseconds(record.durations.total),
            upstream_ms: record.durations.upstream.map(milliseconds),
            overhead_ms: milliseconds(record.durations.overhead),
            ttft_ms: record.durations.ttft.map(milliseconds),
            retries: record.retries,
            fallbacks: record.fallbacks,
            attempts: attempts.iter().map(AttemptLine::of).collect(),
            usage: record.usage.map(|usage| UsageLine {
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                cache_read_tokens: usage.cache_read_tokens,
                cache_write_tokens: usage.cache_write_tokens,
                reasoning_tokens: usage.reasoning_tokens,
                images: usage.units.images,
                audio_seconds: (usage.units.audio_ms > 0)
                    .then(|| usage.units.audio_ms as f64 / 1_000.0),
                characters: usage.units.characters,
                searches: usage.units.searches,
                web_searches: usage.units.web_searches,
                estimated: usage.estimated,
            }),
            // As digits: a reader that takes it for a decimal loses nothing to binary fractions.
            cost_usd: record.cost.and_then(|cost| RawValue::from_string(cost.to_string()).ok()),
            cache: record.cache.as_ref().map(|cache| match cache {
                CacheUse::Miss => "miss",
                CacheUse::Hit { .. } => "hit",
            }),
            cache_key: match &record.cache {
                Some(CacheUse::Hit { key, .. }) => Some(&**key),
                Some(CacheUse::Miss) | None => None,
            },
            cache_similarity: match &record.cache {
                Some(CacheUse::Hit { similarity, .. }) => *similarity,
                Some(CacheUse::Miss) | None => None,
            },
            saved_usd: match &record.cache {
                Some(CacheUse::Hit { saved, .. }) => RawValue::from_string(saved.to_string()).ok(),
                Some(CacheUse::Miss) | None => None,
            },
            guardrails: record.guardrails.iter().map(|name| &**name).collect(),
            guardrail_findings: record
                .findings
                .iter()
                .map(|(name, label)| format!("{name}: {label}"))
                .collect(),
            error: record.error.as_ref().map(|error| error.class),
            error_code: record.error.as_ref().map(|error| &error.code),
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            client_disconnected: record.client.disconnected,
        }
    }
}

impl<'a> AttemptLine<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        Self {
            deployment: &attempt.deployment.id,
            group: &attempt.group,
            outcome: attempt.outcome.name(),
            status: attempt.status,
            ms: milliseconds(attempt.duration),
            cooled_down: attempt.cooled_down,
        }
    }
}

/// To the microsecond: more digits are noise.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}
