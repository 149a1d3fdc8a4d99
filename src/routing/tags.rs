//! Which deployments take a request with these tags (`enable_tag_filtering`).

use crate::catalog::{Deployment, Resolved};

/// For each deployment whether it takes the request: those that share a tag with it, else those
/// tagged `default`. A request without tags goes to the latter, or to all where there are none.
pub(super) fn select(resolved: &Resolved, tags: &[Box<str>]) -> Box<[bool]> {
    let matching = |one: &Deployment| one.tags.iter().any(|tag| tags.contains(tag));
    let default = |one: &Deployment| one.tags.iter().any(|tag| **tag == *"default");
    let any = |eligible: &dyn Fn(&Deployment) -> bool| {
        resolved.deployments.iter().any(|one| eligible(one))
    };
    let eligible: &dyn Fn(&Deployment) -> bool = if any(&matching) {
        &matching
    } else if tags.is_empty() && !any(&default) {
        &|_| true
    } else {
        &default
    };
    resolved.deployments.iter().map(|one| eligible(one)).collect()
}
