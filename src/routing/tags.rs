//! Which deployments take a request with these tags (`enable_tag_filtering`).

use crate::catalog::{Deployment, Deployments, Resolved};

/// The deployments that share a tag with the request, else those tagged `default`, and their
/// weights. A request without tags goes to the latter, or to all where there are none.
pub(super) fn select(resolved: &Resolved, tags: &[Box<str>]) -> (Deployments, Option<Vec<f64>>) {
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
    let weight = |index| resolved.weights.as_ref().and_then(|weights| weights.get(index)).copied();
    let chosen = resolved.deployments.iter().enumerate().filter(|(_, one)| eligible(one));
    let (list, weights): (Vec<_>, Vec<_>) =
        chosen.map(|(index, one)| (one.clone(), weight(index).unwrap_or(0.0))).unzip();
    (list.into(), resolved.weights.is_some().then_some(weights))
}
