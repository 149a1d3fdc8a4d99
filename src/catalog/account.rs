//! Whose account a deployment uses: what a provider keeps for one deployment of an account can be
//! used by every other.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use rustc_hash::FxHashMap;

use super::deployment::Deployment;

/// Where a provider is asked, and as whom.
#[derive(PartialEq, Eq, Hash)]
struct Account {
    provider: Arc<str>,
    authority: HeaderValue,
    root: Box<str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    identity: Option<[u8; 32]>,
}

impl Account {
    fn of(deployment: &Deployment) -> Self {
        let target = &deployment.target;
        Self {
            provider: Arc::clone(&deployment.provider),
            authority: target.authority.clone(),
            root: target.root.clone(),
            headers: target.headers.clone(),
            identity: target.authorisation.as_ref().map(|it| it.identity.digest),
        }
    }
}

/// Names the account of each deployment by the least id in it, so that neither the order of the
/// configuration nor a new deployment of a larger id changes the name.
pub(super) fn name(deployments: &mut [Deployment]) {
    let mut names = FxHashMap::<Account, Arc<str>>::default();
    for deployment in deployments.iter() {
        let least = names.entry(Account::of(deployment));
        let least = least.or_insert_with(|| Arc::clone(&deployment.id));
        if deployment.id < *least {
            *least = Arc::clone(&deployment.id);
        }
    }
    for deployment in deployments {
        if let Some(least) = names.get(&Account::of(deployment)) {
            deployment.account = Arc::clone(least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::sample;

    #[test]
    fn one_credential_at_one_address_is_one_account() {
        let mut all = ["gpt = openai/gpt #b", "mini = openai/mini #a", "other = openai/gpt #c"]
            .map(sample::deployment);
        let key = |text| (http::header::AUTHORIZATION, HeaderValue::from_static(text));
        all[0].target.headers = vec![key("Bearer one")];
        all[1].target.headers = vec![key("Bearer one")];
        all[2].target.headers = vec![key("Bearer two")];
        name(&mut all);
        let accounts = all.each_ref().map(|deployment| &*deployment.account);
        assert_eq!(accounts, ["a", "a", "c"]);
    }
}
