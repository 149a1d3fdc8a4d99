//! Names among which requests are divided: weighted aliases and weighted models.

use std::sync::Arc;

use super::{Deployment, Deployments, Resolved};

/// What the requests for one name are divided among.
#[derive(Debug)]
pub struct Spread {
    /// Names with one key take their turns together.
    pub key: Arc<str>,
    /// In the order written.
    pub members: Arc<[Member]>,
    /// What else the name stands for; it serves when no member can.
    pub rest: Option<Resolved>,
}

/// One of the names.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: Arc<str>,
    /// Its share among the weights of all. Without any it serves only when the others cannot.
    pub weight: f64,
    pub resolved: Resolved,
}

impl Spread {
    /// The deployments of all members and of the rest, each once.
    pub(super) fn deployments(&self) -> Deployments {
        union(self.members.iter().map(|member| &member.resolved).chain(&self.rest).cloned())
    }
}

/// The deployments of all of these, each once.
pub(super) fn union(all: impl Iterator<Item = Resolved>) -> Deployments {
    let mut found: Vec<Arc<Deployment>> = Vec::new();
    for resolved in all {
        for deployment in resolved.deployments.iter() {
            if !found.iter().any(|known| Arc::ptr_eq(known, deployment)) {
                found.push(Arc::clone(deployment));
            }
        }
    }
    found.into()
}

/// The members' names as one, for a spread that has no name of its own.
pub(super) fn key_of(members: &[Member]) -> Arc<str> {
    let names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
    names.join("+").into()
}

/// The models that several members share, under the names that they answer to, each with those
/// members: `gpt-4`, and `openai/gpt-4` if it is one provider's.
pub(super) fn by_model(members: &[Member]) -> Vec<(Arc<str>, Vec<Member>)> {
    let mut found: Vec<(Arc<str>, Vec<Member>)> = Vec::new();
    for (provider, model) in members.iter().filter_map(model_of) {
        let sharing: Vec<Member> = members
            .iter()
            .filter(|other| model_of(other).is_some_and(|(_, of_other)| of_other == model))
            .cloned()
            .collect();
        if sharing.len() < 2 || found.iter().any(|(name, _)| **name == *model) {
            continue;
        }
        let one_provider = sharing.iter().filter_map(model_of).all(|(other, _)| other == provider);
        if one_provider {
            found.push((format!("{provider}/{model}").into(), sharing.clone()));
        }
        found.push((model.into(), sharing));
    }
    found
}

/// The model that all deployments of a member call, as `(provider, model)`. `None`: it has several,
/// or a wildcard.
fn model_of(member: &Member) -> Option<(&str, &str)> {
    let mut deployments = member.resolved.deployments.iter();
    let first = deployments.next()?;
    let same = deployments.all(|other| other.model == first.model);
    let fixed = same && !first.model.contains('*');
    fixed.then_some((&*first.provider, &*first.model))
}
