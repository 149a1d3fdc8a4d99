//! Values that are computed when somebody scrapes, so that they cost nothing otherwise.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, Opts};

use super::names::{self, Family, Kind};
use crate::catalog::Deployment;
use crate::telemetry::process;

/// What passive health says of a deployment. The numbers are LiteLLM's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeploymentState {
    Healthy = 0,
    /// It failed lately, or its cooldown is over and the probe has not come back.
    Partial = 1,
    /// It is cooling down.
    Down = 2,
}

/// Collects the values of one scrape. Built anew each time, so a deployment that a reload removed
/// is gone from the next scrape.
pub struct Scrape {
    gauges: Vec<(&'static str, GaugeVec)>,
    counters: Vec<(&'static str, CounterVec)>,
}

/// Labels of a deployment, as [`names`] lists them.
fn labels(deployment: &Deployment) -> [&str; 4] {
    [&deployment.model, &deployment.id, &deployment.target.api_base, &deployment.provider]
}

impl Scrape {
    pub(super) const fn new() -> Self {
        Self { gauges: Vec::new(), counters: Vec::new() }
    }

    /// Reports the state of one deployment: for how long it still cools down if it does, and what
    /// its limits are.
    pub fn deployment(
        &mut self,
        deployment: &Deployment,
        state: DeploymentState,
        cooldown_left: Option<Duration>,
    ) {
        let labels = labels(deployment);
        self.value(&names::DEPLOYMENT_STATE, &labels, f64::from(state as u8));
        let left = cooldown_left.unwrap_or_default();
        self.value(&names::COOLDOWN_LEFT, &labels, left.as_secs_f64());
        for (family, limit) in
            [(&names::DEPLOYMENT_RPM, deployment.rpm), (&names::DEPLOYMENT_TPM, deployment.tpm)]
        {
            if let Some(limit) = limit {
                self.value(family, &labels, limit as f64);
            }
        }
    }

    /// Reports what the last health check of one deployment found.
    pub fn check(&mut self, deployment: &Deployment, is_well: bool) {
        self.value(&names::DEPLOYMENT_WELL, &labels(deployment), f64::from(u8::from(is_well)));
    }

    /// Reports one value of a family that is listed as [`Kind::ScrapeGauge`] or
    /// [`Kind::ScrapeCounter`]; of any other family, nothing.
    pub fn value(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        debug_assert_eq!(family.labels.len(), labels.len(), "labels of {}", family.name);
        match family.kind {
            Kind::ScrapeGauge => {
                let vec = find(&mut self.gauges, family, GaugeVec::new);
                if let Ok(gauge) = vec.get_metric_with_label_values(labels) {
                    gauge.set(value);
                }
            }
            Kind::ScrapeCounter => {
                let vec = find(&mut self.counters, family, CounterVec::new);
                if let Ok(counter) = vec.get_metric_with_label_values(labels) {
                    counter.inc_by(value);
                }
            }
            Kind::Counter | Kind::AmountCounter | Kind::Gauge | Kind::Seconds(_) => {
                debug_assert!(false, "{} is not computed at scrape time", family.name);
            }
        }
    }

    pub(super) fn process(&mut self) {
        let process = process::Usage::read();
        let values = [
            (&names::PROCESS_CPU, process.cpu_seconds),
            (&names::PROCESS_MEMORY, process.resident_bytes),
            (&names::PROCESS_FDS, process.open_fds),
        ];
        for (family, value) in values {
            if let Some(value) = value {
                self.value(family, &[], value);
            }
        }
    }

    pub(super) fn into_families(self) -> Vec<MetricFamily> {
        let gauges = self.gauges.iter().flat_map(|(_, vec)| vec.collect());
        gauges.chain(self.counters.iter().flat_map(|(_, vec)| vec.collect())).collect()
    }
}

fn find<'a, V>(
    vecs: &'a mut Vec<(&'static str, V)>,
    family: &'static Family,
    build: impl FnOnce(Opts, &[&str]) -> prometheus::Result<V>,
) -> &'a mut V {
    let place = vecs.iter().position(|(name, _)| *name == family.name).unwrap_or_else(|| {
        let vec = build(Opts::new(family.name, family.help), family.labels)
            .expect("the list of names holds valid names");
        vecs.push((family.name, vec));
        vecs.len() - 1
    });
    &mut vecs[place].1
}
