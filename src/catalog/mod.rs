//! What can be called: deployments, the model groups they form, other names for groups, and prices.
//!
//! Built once by `config` and immutable from then on. Knows nothing of requests, files, networks or
//! time. A name is resolved in this order, which is LiteLLM's but for the id: alias, group, deployment
//! id, wildcard (longest first; first the name itself, then with the provider that it tells), upstream
//! model name, and at last the group `*`. An id comes after the groups, so that one that is called
//! like a group does not take its other deployments away.
//!
//! What a client's request for a name means can differ: requests for some names are divided among
//! several (see [`Spread`]).

mod account;
mod capability;
mod deployment;
mod fleet;
mod identity;
mod mount;
pub mod price;
pub mod price_book;
#[doc(hidden)]
pub mod sample;
mod spread;

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use capability::{Capabilities, Capability};
pub use deployment::{Caps, Deployment, DeploymentId, ModelInfo, Served, Target, Timeouts};
pub use fleet::{Balance, CheckKind, Fleet, HealthCheck, Server};
pub use identity::{
    Authorisation, Aws, AwsKeys, AwsRole, Entra, Google, Identity, Scheme, Source, WebIdentity,
};
pub use mount::Mount;
pub use price::{Picture, Price};
pub use price_book::{Listed, PriceBook};
pub use spread::{Member, Spread};

use crate::wildcard::Wildcard;

/// The group that serves every name that nothing else serves.
const ANY: &str = "*";

/// How many aliases may lead to each other; more is a circle, or cannot be meant.
const MAX_ALIAS_DEPTH: usize = 8;

/// Deployments that may serve one name, in the order written.
pub type Deployments = Arc<[Arc<Deployment>]>;

/// Tells a model's provider by the model's name alone: `openai` for `gpt-4o`.
pub type Infer = fn(&str) -> Option<&'static str>;

/// Another name for a group (`model_group_alias`), or one whose requests are divided among several.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    pub name: Arc<str>,
    pub target: AliasTarget,
    /// Can be called, but is not listed.
    pub hidden: bool,
}

/// What an alias stands for. Targets may be named in every way that a client can name them.
#[derive(Clone, Debug, PartialEq)]
pub enum AliasTarget {
    Group(Arc<str>),
    /// Each target gets its share of the requests.
    Weighted(Vec<(Arc<str>, f64)>),
    /// The deployments of all of them are chosen from as those of one group are.
    Together(Vec<Arc<str>>),
}

impl Alias {
    fn divides(&self, name: &str) -> bool {
        *self.name == *name && matches!(self.target, AliasTarget::Weighted(_))
    }
}

/// What a name means. Cheap to clone: everything in it is shared.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The group whose retries and fallbacks apply; for a name whose requests are divided, the name.
    pub group: Arc<str>,
    /// Never empty. For a name whose requests are divided, those of all members.
    pub deployments: Deployments,
    /// The names that the requests are divided among: one of them has to be chosen first.
    pub spread: Option<Arc<Spread>>,
    /// The deployments are of several groups that stand together behind this name.
    pub together: bool,
    /// What the `*` of a wildcard stands for; see [`Deployment::upstream_model`].
    pub captured: Option<Arc<str>>,
    /// The alias that was asked for.
    pub alias: Option<Arc<str>>,
}

/// Everything that can be called, and the names it can be called by.
#[derive(Default)]
pub struct Catalog {
    deployments: Vec<Arc<Deployment>>,
    groups: Vec<(Arc<str>, Deployments)>,
    listed_aliases: Vec<Arc<str>>,
    /// Groups, aliases and deployment ids: one look-up answers most requests.
    exact: FxHashMap<Arc<str>, Resolved>,
    /// Longest first.
    wildcards: Vec<(Wildcard, Resolved)>,
    upstream: FxHashMap<Arc<str>, Resolved>,
    any: Option<Resolved>,
    /// Names that mean something else to a client than to this file: see [`Catalog::asked`].
    divided: FxHashMap<Arc<str>, Resolved>,
    infer: Option<Infer>,
    /// Longest path first.
    mounts: Vec<Arc<Mount>>,
}

impl Catalog {
    /// Orders the deployments into groups and makes every name known. An alias whose targets do
    /// not exist is left out; `config` reports it.
    #[must_use]
    pub fn build(mut deployments: Vec<Deployment>, aliases: Vec<Alias>) -> Self {
        account::name(&mut deployments);
        let deployments: Vec<_> = deployments.into_iter().map(Arc::new).collect();
        let mut catalog = Self {
            groups: group(&deployments),
            upstream: upstream_names(&deployments),
            ..Self::default()
        };
        for (name, members) in &catalog.groups {
            let resolved = Resolved::of(name, Arc::clone(members));
            if name.as_ref() == ANY {
                catalog.any = Some(resolved);
            } else if let Some(wildcard) = Wildcard::parse(name) {
                catalog.wildcards.push((wildcard, resolved));
            } else {
                catalog.exact.insert(Arc::clone(name), resolved);
            }
        }
        catalog.wildcards.sort_by_key(|(wildcard, _)| std::cmp::Reverse(wildcard.literal_len()));
        for deployment in &deployments {
            catalog.exact.entry(Arc::clone(&deployment.id)).or_insert_with(|| {
                Resolved::of(&deployment.group, Arc::new([Arc::clone(deployment)]))
            });
        }
        catalog.deployments = deployments;
        catalog.add_aliases(aliases);
        catalog
    }

    /// What a client's model name means; `None` if it means nothing here.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<Resolved> {
        if let Some(resolved) = self.exact.get(name) {
            return Some(resolved.clone());
        }
        if let Some(resolved) = self.by_wildcard(name).or_else(|| self.by_provider(name)) {
            return Some(resolved);
        }
        if let Some(resolved) = self.upstream.get(name) {
            return Some(resolved.clone());
        }
        let any = self.any.as_ref()?;
        Some(Resolved { captured: Some(name.into()), ..any.clone() })
    }

    /// What a client's request for a name means: like [`Catalog::resolve`], but requests for a name
    /// that has a weight are divided. A fallback to such a name is meant as it is written.
    #[must_use]
    pub fn asked(&self, name: &str) -> Option<Resolved> {
        match self.divided.get(name) {
            Some(divided) => Some(divided.clone()),
            None => self.resolve(name),
        }
    }

    /// Divides the requests for any of these names among all of them by weight (`model_weights`).
    /// Names that share one model also answer to the model's name, unless that is taken. A name
    /// that means nothing is left out; `config` reports it.
    #[must_use]
    pub fn with_weights(mut self, weights: &[(Arc<str>, f64)]) -> Self {
        let members = weights.iter().filter_map(|(name, weight)| {
            let resolved = self.resolve(name)?;
            Some(Member { name: Arc::clone(name), weight: *weight, resolved })
        });
        let members: Vec<Member> = members.collect();
        let aliases = self.exact.iter().filter(|(_, resolved)| {
            let of_member = members.iter().any(|member| member.name == resolved.group);
            of_member && resolved.alias.is_some() && resolved.spread.is_none()
        });
        let aliases: Vec<_> = aliases.map(|(alias, _)| Arc::clone(alias)).collect();
        let names = members.iter().map(|member| Arc::clone(&member.name)).chain(aliases);
        let names: Vec<_> = names.collect();
        self.divide(names, &members);
        for (name, sharing) in spread::by_model(&members) {
            if !self.exact.contains_key(&name) && !self.divided.contains_key(&name) {
                if !name.contains('/') && !self.listed_aliases.contains(&name) {
                    self.listed_aliases.push(Arc::clone(&name));
                }
                self.divide(vec![name], &sharing);
            }
        }
        self
    }

    fn divide(&mut self, names: Vec<Arc<str>>, members: &[Member]) {
        for name in names {
            let resolved = divided(&name, spread::key_of(members), members.to_vec(), None);
            self.divided.extend(resolved.map(|resolved| (name, resolved)));
        }
    }

    /// The same catalog, in which `openai/*` also serves the bare names that `infer` knows to be
    /// OpenAI's.
    #[must_use]
    pub fn inferring(mut self, infer: Infer) -> Self {
        self.infer = Some(infer);
        self
    }

    fn by_wildcard(&self, name: &str) -> Option<Resolved> {
        self.wildcards.iter().find_map(|(wildcard, resolved)| {
            let captured = wildcard.captured(name)?;
            Some(Resolved { captured: Some(captured.into()), ..resolved.clone() })
        })
    }

    fn by_provider(&self, name: &str) -> Option<Resolved> {
        if self.wildcards.is_empty() || name.contains(['/', '*']) {
            return None;
        }
        let provider = self.infer?(name)?;
        self.by_wildcard(&format!("{provider}/{name}"))
    }

    /// All deployments, in the order written.
    #[must_use]
    pub fn deployments(&self) -> &[Arc<Deployment>] {
        &self.deployments
    }

    /// All groups with their deployments, in the order written.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &[Arc<Deployment>])> {
        self.groups.iter().map(|(name, members)| (name, members.as_ref()))
    }

    /// Everything that requests are divided among.
    pub fn spreads(&self) -> impl Iterator<Item = &Spread> {
        let all = self.divided.values().chain(self.exact.values());
        all.filter_map(|resolved| resolved.spread.as_deref())
    }

    /// The names whose requests are divided, in their order, with what they are divided among.
    #[must_use]
    pub fn divided(&self) -> Vec<(Arc<str>, Arc<Spread>)> {
        let all = self.divided.values().chain(self.exact.values());
        let spread = |resolved: &Resolved| {
            let name = resolved.alias.as_ref().unwrap_or(&resolved.group);
            Some((Arc::clone(name), Arc::clone(resolved.spread.as_ref()?)))
        };
        let mut named: Vec<_> = all.filter_map(spread).collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        named.dedup_by(|(a, _), (b, _)| a == b);
        named
    }

    /// The names to show to clients: groups, wildcards as they are written, aliases that are not
    /// hidden.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.groups.iter().map(|(name, _)| name).chain(&self.listed_aliases)
    }

    fn add_aliases(&mut self, aliases: Vec<Alias>) {
        let (mut resolved, mut divided) = (Vec::new(), Vec::new());
        for alias in &aliases {
            let has_group = self.groups.iter().any(|(name, _)| *name == alias.name);
            // As in LiteLLM, an alias goes before a group of its name: requests can be sent to another
            // group without a change in the list of models.
            let found = self.follow(&alias.name, &alias.target, &aliases, 0);
            let Some(found) = found else { continue };
            let found = Resolved { alias: Some(Arc::clone(&alias.name)), ..found };
            if !alias.hidden && !has_group && !self.listed_aliases.contains(&alias.name) {
                self.listed_aliases.push(Arc::clone(&alias.name));
            }
            let divides = has_group && matches!(alias.target, AliasTarget::Weighted(_));
            let place = if divides { &mut divided } else { &mut resolved };
            place.push((Arc::clone(&alias.name), found));
        }
        self.exact.extend(resolved);
        self.divided.extend(divided);
    }

    /// What an alias leads to, over other aliases if it names them.
    fn follow(
        &self,
        name: &Arc<str>,
        target: &AliasTarget,
        aliases: &[Alias],
        depth: usize,
    ) -> Option<Resolved> {
        if depth > MAX_ALIAS_DEPTH {
            return None;
        }
        match target {
            // Where a group's requests are divided, those that come by another name are as well.
            AliasTarget::Group(target) => match aliases.iter().find(|it| it.divides(target)) {
                Some(other) if target != name => {
                    self.follow(&other.name, &other.target, aliases, depth + 1)
                }
                Some(_) | None => self.named(target, aliases, depth),
            },
            AliasTarget::Weighted(shares) => {
                let members = shares.iter().filter_map(|(target, weight)| {
                    let resolved = self.named(target, aliases, depth)?;
                    Some(Member { name: Arc::clone(target), weight: *weight, resolved })
                });
                let rest = self.group(name);
                divided(name, Arc::clone(name), members.collect(), rest)
            }
            AliasTarget::Together(groups) => {
                let groups = groups.iter().filter_map(|group| self.named(group, aliases, depth));
                let deployments = spread::union(groups);
                (!deployments.is_empty())
                    .then(|| Resolved { together: true, ..Resolved::of(name, deployments) })
            }
        }
    }

    /// What a target means. A group goes before an alias here, so that the alias of a group may lead
    /// to the group itself, and two aliases may change the places of two groups.
    fn named(&self, name: &Arc<str>, aliases: &[Alias], depth: usize) -> Option<Resolved> {
        let alias = aliases.iter().find(|alias| alias.name == *name);
        match (self.group(name), alias) {
            (Some(group), _) => Some(group),
            (None, Some(alias)) => self.follow(&alias.name, &alias.target, aliases, depth + 1),
            (None, None) => self.resolve(name),
        }
    }

    fn group(&self, name: &str) -> Option<Resolved> {
        let (name, members) = self.groups.iter().find(|(group, _)| **group == *name)?;
        Some(Resolved::of(name, Arc::clone(members)))
    }
}

/// A name whose requests are divided; `None` if there is nobody with a weight.
fn divided(
    name: &Arc<str>,
    key: Arc<str>,
    members: Vec<Member>,
    rest: Option<Resolved>,
) -> Option<Resolved> {
    if !members.iter().any(|member| member.weight > 0.0) {
        return None;
    }
    let spread = Spread { key, members: members.into(), rest };
    let deployments = spread.deployments();
    Some(Resolved { spread: Some(Arc::new(spread)), ..Resolved::of(name, deployments) })
}

impl fmt::Debug for Catalog {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = out.debug_struct("Catalog");
        out.field("deployments", &self.deployments).field("aliases", &self.listed_aliases);
        if !self.mounts.is_empty() {
            out.field("mounts", &self.mounts);
        }
        out.finish_non_exhaustive()
    }
}

impl Resolved {
    /// A group of these deployments.
    #[must_use]
    pub fn of(group: &Arc<str>, deployments: Deployments) -> Self {
        Self {
            group: Arc::clone(group),
            deployments,
            spread: None,
            together: false,
            captured: None,
            alias: None,
        }
    }
}

/// Groups in the order of their first deployment.
fn group(deployments: &[Arc<Deployment>]) -> Vec<(Arc<str>, Deployments)> {
    collect_by_name(deployments.iter().map(|it| (Arc::clone(&it.group), Arc::clone(it))))
}

/// Deployments by `provider/model` and by the model alone. The full name goes first: a model of one
/// provider may be called like the full name of another's.
fn upstream_names(deployments: &[Arc<Deployment>]) -> FxHashMap<Arc<str>, Resolved> {
    let fixed = || deployments.iter().filter(|it| !it.model.contains('*'));
    let full = fixed().map(|it| (format!("{}/{}", it.provider, it.model).into(), Arc::clone(it)));
    let alone = fixed().map(|it| (Arc::clone(&it.model), Arc::clone(it)));
    let mut names = FxHashMap::default();
    for (name, members) in collect_by_name(full).into_iter().chain(collect_by_name(alone)) {
        let group = Arc::clone(&members[0].group);
        names.entry(name).or_insert_with(|| Resolved::of(&group, members));
    }
    names
}

fn collect_by_name(
    named: impl Iterator<Item = (Arc<str>, Arc<Deployment>)>,
) -> Vec<(Arc<str>, Deployments)> {
    let mut places: FxHashMap<Arc<str>, usize> = FxHashMap::default();
    let mut lists: Vec<(Arc<str>, Vec<Arc<Deployment>>)> = Vec::new();
    for (name, deployment) in named {
        let place = *places.entry(Arc::clone(&name)).or_insert_with(|| {
            lists.push((name, Vec::new()));
            lists.len() - 1
        });
        lists[place].1.push(deployment);
    }
    lists.into_iter().map(|(name, members)| (name, members.into())).collect()
}

#[cfg(test)]
mod tests;
