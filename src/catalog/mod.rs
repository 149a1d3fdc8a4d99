//! What can be called: deployments, the model groups they form, other names for groups, and prices.
//!
//! Built once by `config` and immutable from then on. Knows nothing of requests, files, networks or
//! time. A name is resolved in this order: group, alias, deployment id, wildcard (longest first),
//! upstream model name.

mod deployment;
pub mod price;

use std::collections::HashMap;
use std::sync::Arc;

pub use deployment::{Deployment, DeploymentId, ModelInfo, Target, Timeouts};

/// Every deployment, and the names under which they can be asked for.
#[derive(Debug, Default)]
pub struct Catalog {
    deployments: Vec<Arc<Deployment>>,
    groups: HashMap<Arc<str>, Arc<[Arc<Deployment>]>>,
    ids: HashMap<DeploymentId, Arc<[Arc<Deployment>]>>,
    aliases: HashMap<Arc<str>, AliasTarget>,
}

/// Another name for a group.
#[derive(Clone, Debug)]
pub struct Alias {
    pub name: Arc<str>,
    pub target: AliasTarget,
    /// Not listed in `/v1/models`.
    pub hidden: bool,
}

/// What an alias stands for.
#[derive(Clone, Debug)]
pub enum AliasTarget {
    /// One group.
    Group(Arc<str>),
    /// Several groups, each with its share of the requests.
    Weighted(Vec<(Arc<str>, f64)>),
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The model group; for a weighted alias, the alias itself.
    pub group: Arc<str>,
    /// Never empty, but for a weighted alias: its groups are resolved one by one.
    pub deployments: Arc<[Arc<Deployment>]>,
    /// What the `*` of a wildcard group matched.
    pub captured: Option<Arc<str>>,
    /// The groups of a weighted alias and their shares.
    pub weighted: Option<Arc<[(Arc<str>, f64)]>>,
}

impl Catalog {
    /// Sorts the deployments into groups.
    #[must_use]
    pub fn build(deployments: Vec<Deployment>, aliases: Vec<Alias>) -> Self {
        let deployments: Vec<_> = deployments.into_iter().map(Arc::new).collect();
        let mut groups: HashMap<Arc<str>, Vec<Arc<Deployment>>> = HashMap::new();
        for deployment in &deployments {
            groups.entry(deployment.group.clone()).or_default().push(deployment.clone());
        }
        let single = |deployment: &Arc<Deployment>| -> Arc<[Arc<Deployment>]> {
            Arc::from([deployment.clone()].as_slice())
        };
        Self {
            groups: groups.into_iter().map(|(name, members)| (name, members.into())).collect(),
            ids: deployments.iter().map(|one| (one.id.clone(), single(one))).collect(),
            aliases: aliases.into_iter().map(|alias| (alias.name, alias.target)).collect(),
            deployments,
        }
    }

    /// Every deployment, in the order written.
    #[must_use]
    pub fn deployments(&self) -> &[Arc<Deployment>] {
        &self.deployments
    }

    /// What `name` stands for; `None` if nothing does.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<Resolved> {
        if let Some((group, deployments)) = self.groups.get_key_value(name) {
            return Some(Resolved::plain(group.clone(), deployments.clone(), None));
        }
        if let Some((alias, target)) = self.aliases.get_key_value(name) {
            return match target {
                AliasTarget::Group(group) if &**group == name => None,
                AliasTarget::Group(group) => self.resolve(group),
                AliasTarget::Weighted(shares) => Some(Resolved {
                    group: alias.clone(),
                    deployments: Arc::from([]),
                    captured: None,
                    weighted: Some(shares.as_slice().into()),
                }),
            };
        }
        if let Some(deployments) = self.ids.get(name) {
            let group = deployments.first()?.group.clone();
            return Some(Resolved::plain(group, deployments.clone(), None));
        }
        self.wildcard(name)
    }

    fn wildcard(&self, name: &str) -> Option<Resolved> {
        let mut best: Option<(usize, Resolved)> = None;
        for deployment in &self.deployments {
            let Some((before, after)) = deployment.group.split_once('*') else { continue };
            let captured = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            let literal = before.len() + after.len();
            let (Some(captured), Some(members)) = (captured, self.groups.get(&deployment.group))
            else {
                continue;
            };
            if best.as_ref().is_none_or(|(length, _)| literal > *length) {
                let group = deployment.group.clone();
                best =
                    Some((literal, Resolved::plain(group, members.clone(), Some(captured.into()))));
            }
        }
        best.map(|(_, resolved)| resolved)
    }
}

impl Resolved {
    fn plain(
        group: Arc<str>,
        deployments: Arc<[Arc<Deployment>]>,
        captured: Option<Arc<str>>,
    ) -> Self {
        Self { group, deployments, captured, weighted: None }
    }
}

impl Deployment {
    /// The provider's model, a `*` in it replaced by what the group's `*` matched.
    #[must_use]
    pub fn upstream_model(&self, captured: Option<&str>) -> Arc<str> {
        match captured {
            Some(captured) if self.model.contains('*') => {
                self.model.replacen('*', captured, 1).into()
            }
            _ => self.model.clone(),
        }
    }
}
