//! Which deployments take a request with these tags (`enable_tag_filtering`).

use crate::catalog::{Deployment, Deployments, Resolved};

/// The deployments that share a tag with the request, else those tagged `default`. A request
/// without tags goes to the latter, or to all where there are none.
pub(super) fn select(resolved: &Resolved, tags: &[Box<str>]) -> Deployments {
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
    resolved.deployments.iter().filter(|one| eligible(one)).cloned().collect()
}
