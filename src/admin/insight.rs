//! What reports and lists of models need to know of the configuration in force.
//!
//! The gateway answers, so that the routes know neither the catalog's structure nor how tokens are
//! counted.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::DeploymentHealth;
use crate::catalog::Price;
use crate::keys::Principal;
use crate::routing;
use crate::spend::Term;

/// Asked anew for each request, as [`super::Source`] is.
#[async_trait]
pub trait Insight: Send + Sync + 'static {
    /// What a model costs, by any name that a client may use, or by that of the price book.
    fn priced(&self, model: &str) -> Option<Priced>;
    /// Counts the tokens of a request's body.
    async fn count(&self, counting: Counting) -> TokenCount;
    /// What all traffic may cost, in US dollars.
    fn max_budget(&self) -> Option<f64>;
    fn provider_budgets(&self) -> Vec<ProviderBudget>;
    /// Whether the holder of a key may ask for a model group.
    fn may_use(&self, principal: &Principal, group: &str) -> bool;
    /// In the order of the configuration.
    fn deployments(&self) -> Vec<DeploymentInfo>;
    /// Where each deployment is called, by its id: without what its address may hold of secrets.
    fn addresses(&self) -> HashMap<Arc<str>, String>;
    /// How a deployment is doing in this process.
    fn seen(&self, deployment: &str) -> Seen;
    /// Names whose requests are divided among groups.
    fn variants(&self) -> Vec<Variant>;
}

/// How a deployment is doing in this process.
#[derive(Clone, Debug)]
pub struct Seen {
    pub health: DeploymentHealth,
    /// `None`: it was never called.
    pub view: Option<routing::View>,
}

/// A name whose requests are divided.
#[derive(Clone, Debug)]
pub struct Variant {
    pub name: Arc<str>,
    /// Groups with their weights, in the order written.
    pub members: Vec<(Arc<str>, f64)>,
}

/// What is known of a model's price.
#[derive(Clone, Debug)]
pub struct Priced {
    pub provider: Arc<str>,
    pub price: Option<Arc<Price>>,
}

/// A body whose tokens are to be counted: `messages` with what belongs to them, or `prompt`.
#[derive(Clone, Debug)]
pub struct Counting {
    pub model: String,
    pub body: Value,
}

/// The tokens of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCount {
    pub tokens: u64,
    /// The model as its provider names it.
    pub model: String,
    /// Counted with the model's own table; otherwise estimated from the text.
    pub tabled: bool,
}

/// What may be spent with a provider.
#[derive(Clone, Debug)]
pub struct ProviderBudget {
    pub provider: Arc<str>,
    /// US dollars in each period.
    pub limit: f64,
    /// As it is written: `1d`.
    pub period: Option<String>,
    /// The present one.
    pub term: Option<Term>,
}

/// A deployment in LiteLLM's words, without its credentials.
#[derive(Clone, Debug)]
pub struct DeploymentInfo {
    pub id: Arc<str>,
    pub group: Arc<str>,
    pub provider: Arc<str>,
    /// `litellm_params`.
    pub params: Map<String, Value>,
    /// `model_info`: what is written, over what the price book knows.
    pub info: Map<String, Value>,
}
