//! The families of [`super::names`] as live objects of the `prometheus` crate.

use prometheus::core::Collector;
use prometheus::{
    CounterVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

use super::names::{self, Family, Kind};

/// One field for each family that is not computed at scrape time.
pub(super) struct Families {
    pub(super) requests: IntCounterVec,
    pub(super) failed_requests: IntCounterVec,
    pub(super) request_latency: HistogramVec,
    pub(super) overhead_latency: HistogramVec,
    pub(super) llm_api_latency: HistogramVec,
    pub(super) ttft: HistogramVec,
    pub(super) queue_time: HistogramVec,
    pub(super) llm_requests: IntCounterVec,
    pub(super) in_flight: IntGauge,
    pub(super) spend: CounterVec,
    pub(super) input_tokens: IntCounterVec,
    pub(super) output_tokens: IntCounterVec,
    pub(super) total_tokens: IntCounterVec,
    pub(super) cached_tokens: IntCounterVec,
    pub(super) cache_hits: IntCounterVec,
    pub(super) cache_near_hits: IntCounterVec,
    pub(super) cache_embeddings: IntCounterVec,
    pub(super) cache_misses: IntCounterVec,
    pub(super) cache_tokens: IntCounterVec,
    pub(super) cache_saved: CounterVec,
    pub(super) guardrail_requests: IntCounterVec,
    pub(super) guardrail_errors: IntCounterVec,
    pub(super) guardrail_latency: HistogramVec,
    pub(super) units: IntCounterVec,
    pub(super) deployment_requests: IntCounterVec,
    pub(super) deployment_successes: IntCounterVec,
    pub(super) deployment_failures: IntCounterVec,
    pub(super) cooled_down: IntCounterVec,
    pub(super) latency_per_token: HistogramVec,
    pub(super) successful_fallbacks: IntCounterVec,
    pub(super) failed_fallbacks: IntCounterVec,
    pub(super) remaining_requests: IntGaugeVec,
    pub(super) remaining_tokens: IntGaugeVec,
    pub(super) build_info: IntGaugeVec,
    pub(super) attempts: IntCounterVec,
    pub(super) open_streams: IntGauge,
    pub(super) client_disconnects: IntCounter,
    pub(super) estimated_usage: IntCounter,
    pub(super) shadow_requests: IntCounterVec,
    pub(super) fetches: IntCounterVec,
    pub(super) other_requests: IntCounterVec,
    pub(super) received_bytes: IntCounter,
    pub(super) sent_bytes: IntCounter,
    pub(super) access_log_dropped: IntCounter,
    pub(super) traces: IntCounterVec,
    pub(super) series_overflow: IntCounter,
    pub(super) queued: IntGauge,
    pub(super) config_reloads: IntCounterVec,
    pub(super) config_reload_ok: IntGauge,
    pub(super) config_loaded: IntGauge,
    pub(super) config_reloaded: IntGauge,
    pub(super) process_start: IntGauge,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> Self {
        let counters = |family| register(registry, family, IntCounterVec::new);
        let counter = |family| counters(family).with_label_values::<&str>(&[]);
        let gauges = |family| register(registry, family, IntGaugeVec::new);
        let gauge = |family| gauges(family).with_label_values::<&str>(&[]);
        let seconds = |family| histogram(registry, family);
        Self {
            requests: counters(&names::REQUESTS),
            failed_requests: counters(&names::FAILED_REQUESTS),
            request_latency: seconds(&names::REQUEST_LATENCY),
            overhead_latency: seconds(&names::OVERHEAD_LATENCY),
            llm_api_latency: seconds(&names::LLM_API_LATENCY),
            ttft: seconds(&names::TTFT),
            queue_time: seconds(&names::QUEUE_TIME),
            llm_requests: counters(&names::LLM_REQUESTS),
            in_flight: gauge(&names::IN_FLIGHT),
            spend: register(registry, &names::SPEND, CounterVec::new),
            input_tokens: counters(&names::INPUT_TOKENS),
            output_tokens: counters(&names::OUTPUT_TOKENS),
            total_tokens: counters(&names::TOTAL_TOKENS),
            cached_tokens: counters(&names::CACHED_TOKENS),
            cache_hits: counters(&names::CACHE_HITS),
            cache_near_hits: counters(&names::CACHE_NEAR_HITS),
            cache_embeddings: counters(&names::CACHE_EMBEDDINGS),
            cache_misses: counters(&names::CACHE_MISSES),
            cache_tokens: counters(&names::CACHE_TOKENS),
            cache_saved: register(registry, &names::CACHE_SAVED, CounterVec::new),
            guardrail_requests: counters(&names::GUARDRAIL_REQUESTS),
            guardrail_errors: counters(&names::GUARDRAIL_ERRORS),
            guardrail_latency: seconds(&names::GUARDRAIL_LATENCY),
            units: counters(&names::UNITS),
            deployment_requests: counters(&names::DEPLOYMENT_REQUESTS),
            deployment_successes: counters(&names::DEPLOYMENT_SUCCESSES),
            deployment_failures: counters(&names::DEPLOYMENT_FAILURES),
            cooled_down: counters(&names::COOLED_DOWN),
            latency_per_token: seconds(&names::LATENCY_PER_TOKEN),
            successful_fallbacks: counters(&names::SUCCESSFUL_FALLBACKS),
            failed_fallbacks: counters(&names::FAILED_FALLBACKS),
            remaining_requests: gauges(&names::REMAINING_REQUESTS),
            remaining_tokens: gauges(&names::REMAINING_TOKENS),
            build_info: gauges(&names::BUILD_INFO),
            attempts: counters(&names::ATTEMPTS),
            open_streams: gauge(&names::OPEN_STREAMS),
            client_disconnects: counter(&names::CLIENT_DISCONNECTS),
            estimated_usage: counter(&names::ESTIMATED_USAGE),
            shadow_requests: counters(&names::SHADOW_REQUESTS),
            fetches: counters(&names::FETCHES),
            other_requests: counters(&names::OTHER_REQUESTS),
            received_bytes: counter(&names::RECEIVED_BYTES),
            sent_bytes: counter(&names::SENT_BYTES),
            access_log_dropped: counter(&names::ACCESS_LOG_DROPPED),
            traces: counters(&names::TRACES),
            series_overflow: counter(&names::SERIES_OVERFLOW),
            queued: gauge(&names::QUEUED),
            config_reloads: counters(&names::CONFIG_RELOADS),
            config_reload_ok: gauge(&names::CONFIG_RELOAD_OK),
            config_loaded: gauge(&names::CONFIG_LOADED),
            config_reloaded: gauge(&names::CONFIG_RELOADED),
            process_start: gauge(&names::PROCESS_START),
        }
    }
}

fn register<V: Collector + Clone + 'static>(
    registry: &Registry,
    family: &Family,
    build: impl FnOnce(Opts, &[&str]) -> prometheus::Result<V>,
) -> V {
    let has_custom = names::WITH_CUSTOM.iter().any(|with| with.name == family.name);
    let custom = [names::CUSTOM];
    let custom = custom.iter().filter(|_| has_custom);
    let labels: Vec<&str> = family.labels.iter().chain(custom).copied().collect();
    build(Opts::new(family.name, family.help), &labels)
        .and_then(|vec| registry.register(Box::new(vec.clone())).map(|()| vec))
        .expect("the list of names holds valid names, each once")
}

fn histogram(registry: &Registry, family: &Family) -> HistogramVec {
    let Kind::Seconds(buckets) = family.kind else {
        unreachable!("{} is not listed as a histogram", family.name);
    };
    register(registry, family, |opts, labels| {
        HistogramVec::new(HistogramOpts::from(opts).buckets(buckets.to_vec()), labels)
    })
}
