//! Which deployments take a request with these tags (`enable_tag_filtering`).

use std::sync::Arc;

use crate::catalog::Deployment;

/// The deployments that share a tag with the request, else those tagged `default`. A request
/// without tags goes to the latter, or to all where there are none.
pub(super) fn select(group: &[Arc<Deployment>], tags: &[Box<str>]) -> Vec<Arc<Deployment>> {
    let tagged = |wanted: &dyn Fn(&str) -> bool| -> Vec<Arc<Deployment>> {
        let takes = |one: &&Arc<Deployment>| one.tags.iter().any(|tag| wanted(tag));
        group.iter().filter(takes).cloned().collect()
    };
    let mut chosen = tagged(&|tag| tags.iter().any(|asked| **asked == *tag));
    if chosen.is_empty() {
        chosen = tagged(&|tag| tag == "default");
    }
    if chosen.is_empty() && tags.is_empty() {
        chosen = group.to_vec();
    }
    chosen
}
