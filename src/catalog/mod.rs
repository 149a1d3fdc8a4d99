//! What can be called: deployments, the model groups they form, other names for groups, and prices.
//!
//! Built once by `config` and immutable from then on. Knows nothing of requests, files, networks or
//! time. A name is resolved in this order: group, alias, deployment id, wildcard (longest first),
//! upstream model name.

mod book;
mod deployment;
pub mod price;

pub use book::{Alias, AliasTarget, Catalog};
pub use deployment::{Deployment, DeploymentId, ModelInfo, Target, Timeouts};
