//! What reports and lists of models are told of the configuration in force.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::admin::health;
use super::{View, access};
use crate::admin::insight::{
    Counting, DeploymentInfo, Insight, Priced, ProviderBudget, Seen, TokenCount, Variant,
};
use crate::catalog::{Deployment, PriceBook};
use crate::dialect::Endpoint;
use crate::keys::Principal;
use crate::tokens::{Encoding, Prompt};
use crate::usage::BYTES_PER_TOKEN;
use crate::wire::json::Object;

#[async_trait]
impl Insight for View {
    fn priced(&self, model: &str) -> Option<Priced> {
        let snapshot = self.snapshot.load();
        if let Some(found) = snapshot.catalog.asked(model)
            && let Some(first) = found.deployments.first()
        {
            let upstream = first.upstream_model(found.captured.as_deref());
            let price = first.price(&upstream, &snapshot.prices);
            return Some(Priced { provider: Arc::clone(&first.provider), price });
        }
        let listed = snapshot.prices.lookup(Some(model), "openai", model)?;
        Some(Priced { provider: (&*listed.provider).into(), price: listed.price.clone() })
    }

    async fn count(&self, counting: Counting) -> TokenCount {
        let Counting { model, body } = counting;
        let snapshot = self.snapshot.load_full();
        let found = snapshot.catalog.asked(&model);
        let first = found.as_ref().and_then(|found| Some((found, found.deployments.first()?)));
        let upstream = first.map(|(found, first)| {
            let base = first.info.base_model.as_deref().map(Into::into);
            base.unwrap_or_else(|| first.upstream_model(found.captured.as_deref()))
        });
        let upstream: String = upstream.as_deref().unwrap_or(&model).to_owned();
        let encoding = Encoding::of(&upstream);
        let text = body.to_string();
        let length = text.len() as u64;
        // Reading a table takes a while, and so may a long prompt.
        let counting = tokio::task::spawn_blocking(move || {
            let endpoint =
                if body.get("messages").is_some() { Endpoint::Chat } else { Endpoint::Completions };
            let object = Object::parse(Bytes::from(text)).ok()?;
            Some(Prompt::read(&object, endpoint).count(encoding).tokens)
        });
        let tokens = counting.await.ok().flatten().unwrap_or(length / BYTES_PER_TOKEN);
        TokenCount { tokens, model: upstream, tabled: encoding.is_some() }
    }

    fn max_budget(&self) -> Option<f64> {
        self.snapshot.load().admission.proxy.map(|budget| budget.max.dollars())
    }

    fn provider_budgets(&self) -> Vec<ProviderBudget> {
        let snapshot = self.snapshot.load();
        let policy = &snapshot.admission;
        let now = Timestamp::now();
        let budgets = policy.providers.iter().map(|(provider, budget)| ProviderBudget {
            provider: (&**provider).into(),
            limit: budget.max.dollars(),
            period: budget.period.map(|period| period.to_string()),
            term: budget.period.map(|period| period.term(now, &policy.zone)),
        });
        budgets.collect()
    }

    fn may_use(&self, principal: &Principal, group: &str) -> bool {
        access::allows(&self.snapshot.load().catalog, principal, group)
    }

    fn deployments(&self) -> Vec<DeploymentInfo> {
        let snapshot = self.snapshot.load();
        let deployments = snapshot.catalog.deployments().iter();
        deployments.map(|deployment| shown(deployment, &snapshot.prices)).collect()
    }

    fn addresses(&self) -> HashMap<Arc<str>, String> {
        let snapshot = self.snapshot.load();
        let deployments = snapshot.catalog.deployments().iter();
        deployments.map(|one| (Arc::clone(&one.id), bare(&one.target.api_base))).collect()
    }

    fn seen(&self, deployment: &str) -> Seen {
        let view = self.routing.view(deployment, std::time::Instant::now());
        Seen { health: health(view.as_ref()), view }
    }

    fn variants(&self) -> Vec<Variant> {
        let snapshot = self.snapshot.load();
        let divided = snapshot.catalog.divided().into_iter().map(|(name, spread)| {
            let members = spread.members.iter();
            let members = members.map(|one| (Arc::clone(&one.resolved.group), one.weight));
            Variant { name, members: members.collect() }
        });
        divided.collect()
    }
}

/// A deployment in LiteLLM's words. Credentials are in headers, which are not shown.
fn shown(deployment: &Deployment, prices: &PriceBook) -> DeploymentInfo {
    let mut params = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            params.insert(name.to_owned(), value);
        }
    };
    let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
    put("model", json!(format!("{}/{}", deployment.provider, deployment.model)));
    put("custom_llm_provider", json!(deployment.provider));
    put("api_base", json!(bare(&deployment.target.api_base)));
    put("rpm", json!(deployment.rpm));
    put("tpm", json!(deployment.tpm));
    put("max_parallel_requests", json!(deployment.max_parallel_requests));
    put("weight", json!(deployment.weight));
    put("order", json!(deployment.order));
    put("timeout", json!(seconds(deployment.timeouts.request)));
    put("stream_timeout", json!(seconds(deployment.timeouts.stream)));
    put("num_retries", json!(deployment.num_retries));
    put("cooldown_time", json!(seconds(deployment.cooldown)));
    put("region_name", json!(deployment.info.region));
    if !deployment.tags.is_empty() {
        put("tags", json!(deployment.tags));
    }
    for (name, value) in &deployment.defaults {
        put(name, serde_json::from_str(value.get()).unwrap_or_default());
    }
    DeploymentInfo {
        id: Arc::clone(&deployment.id),
        group: Arc::clone(&deployment.group),
        provider: Arc::clone(&deployment.provider),
        params,
        info: info(deployment, prices),
    }
}

/// An address without what may be a credential in it: a user and a query.
fn bare(address: &str) -> String {
    let (address, query) = address.split_once('?').unwrap_or((address, ""));
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host =
        host.rsplit_once('@').map_or_else(|| host.to_owned(), |(_, host)| format!("***@{host}"));
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    let path = path.map_or_else(String::new, |path| format!("/{path}"));
    let query = if query.is_empty() { "" } else { "?***" };
    format!("{scheme}{host}{path}{query}")
}

fn info(deployment: &Deployment, prices: &PriceBook) -> Map<String, Value> {
    let known = &deployment.info;
    let model = known.base_model.as_deref().unwrap_or(&deployment.model);
    let mut info = prices.facts(&deployment.provider, model).unwrap_or_default();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            info.insert(name.to_owned(), value);
        }
    };
    put("litellm_provider", json!(deployment.provider));
    put("mode", json!(known.mode));
    put("max_input_tokens", json!(known.max_input_tokens));
    put("max_output_tokens", json!(known.max_output_tokens));
    put("max_tokens", json!(known.max_output_tokens));
    if let Some(price) = &known.price {
        put("input_cost_per_token", json!(price.input.dollars()));
        put("output_cost_per_token", json!(price.output.dollars()));
        put("cache_read_input_token_cost", json!(price.cache_read.map(|cost| cost.dollars())));
        put("cache_creation_input_token_cost", json!(price.cache_write.map(|cost| cost.dollars())));
    }
    info.extend(known.written.clone());
    info.insert("id".to_owned(), json!(deployment.id));
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_credentials() {
        for (address, shown) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("https://user:secret@host:8443/v1/a@b", "https://***@host:8443/v1/a@b"),
            ("https://host/v1?key=secret", "https://host/v1?***"),
            ("host", "host"),
        ] {
            assert_eq!(bare(address), shown);
        }
    }
}
