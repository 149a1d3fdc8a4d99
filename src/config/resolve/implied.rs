//! Deployments that nobody wrote: a rule, region, weight or alias names `provider/model` (or a model
//! that the price book knows), no deployment serves it, and the provider's key is in the environment.
//! Then there is enough to call it, as for `tollgate --model provider/model`; a warning says so.

use super::models::{Models, Shared};
use super::names::{Names, Reference};
use crate::catalog::{Deployment, PriceBook};
use crate::config::deployments;
use crate::config::problem::{Finding, Problems};

/// Makes the deployments and adds their names to those of `models`.
pub(super) fn deployments<'a>(
    references: impl Iterator<Item = &'a Reference>,
    names: &Names,
    shared: &Shared<'_>,
    models: &mut Models,
    prices: &PriceBook,
    problems: &Problems,
) -> Vec<Deployment> {
    let mut made: Vec<Deployment> = Vec::new();
    for reference in references {
        let name = &*reference.name;
        let known = names.has(name) || made.iter().any(|deployment| *deployment.group == *name);
        // A misspelt name is no model: it is reported as one that nothing serves.
        if known || !(name.contains('/') || prices.knows(name)) {
            continue;
        }
        let Some(found) = make(reference, shared, models, prices) else { continue };
        let whose = found.provider.to_string();
        problems.push(
            Finding::warning(
                reference.spot,
                format!(
                    "`{name}` is in no `model_list`: it is called with the key of `{whose}` in the \
                     environment"
                ),
            )
            .help(format!("add a deployment with `model_name: {name}` to choose key and address")),
        );
        made.push(found);
    }
    made
}

fn make(
    reference: &Reference,
    shared: &Shared<'_>,
    models: &mut Models,
    prices: &PriceBook,
) -> Option<Deployment> {
    // What is wrong with it is no mistake of the file's: then it is not made, and the name is
    // reported as one that nothing serves.
    let quiet = Problems::default();
    let (draft, named) = shared.implied(&reference.name, reference.spot, &quiet)?;
    if quiet.has_errors() {
        return None;
    }
    let (deployment, _remarks) = deployments::build(draft, prices).ok()?;
    models.entries.extend(named);
    Some(deployment)
}
