//! Stand-in for the catalog.

use std::sync::Arc;

use super::Deployment;

#[derive(Clone, Debug)]
pub enum AliasTarget {
    Group(Arc<str>),
    Weighted(Vec<(Arc<str>, f64)>),
}

#[derive(Clone, Debug)]
pub struct Alias {
    pub name: Arc<str>,
    pub target: AliasTarget,
    pub hidden: bool,
}

#[derive(Debug)]
pub struct Catalog {
    groups: Vec<(Arc<str>, Vec<Arc<Deployment>>)>,
    deployments: Vec<Arc<Deployment>>,
}

impl Catalog {
    pub fn build(deployments: Vec<Deployment>, _aliases: Vec<Alias>) -> Self {
        let deployments: Vec<_> = deployments.into_iter().map(Arc::new).collect();
        let mut groups: Vec<(Arc<str>, Vec<Arc<Deployment>>)> = Vec::new();
        for deployment in &deployments {
            match groups.iter_mut().find(|(name, _)| *name == deployment.group) {
                Some((_, members)) => members.push(Arc::clone(deployment)),
                None => groups.push((Arc::clone(&deployment.group), vec![Arc::clone(deployment)])),
            }
        }
        Self { groups, deployments }
    }

    pub fn deployments(&self) -> &[Arc<Deployment>] {
        &self.deployments
    }

    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &[Arc<Deployment>])> {
        self.groups.iter().map(|(name, members)| (name, members.as_slice()))
    }
}
