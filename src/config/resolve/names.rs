//! Every name by which something of this file can be called; for finding references to nothing.

use super::aliases::WrittenAlias;
use super::models::Named;
use crate::config::deployments::provider_of;
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::wildcard::Wildcard;

/// Names of groups, aliases, deployments and upstream models. Entries with errors count, so that
/// one mistake is reported once.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Groups, aliases and deployment ids.
    exact: Vec<String>,
    groups: Vec<String>,
    /// Groups with a `*`.
    patterns: Vec<Wildcard>,
    /// `provider/model`, and `model` without its prefix.
    upstream: Vec<String>,
    /// The file has no `model_list`: it is a part of some other, and names cannot be checked.
    fragment: bool,
}

impl Names {
    pub(super) fn new(entries: &[Named], aliases: &[WrittenAlias], fragment: bool) -> Self {
        let mut names = Self { fragment, ..Self::default() };
        for entry in entries {
            names.patterns.extend(Wildcard::parse(&entry.group));
            names.exact.push(entry.group.to_string());
            names.groups.push(entry.group.to_string());
            names.exact.extend(entry.id.iter().map(ToString::to_string));
            if let Some(upstream) = &entry.upstream {
                names.upstream.push(upstream.clone());
                let bare = upstream.split_once('/').map(|(_, model)| model.to_owned());
                names.upstream.extend(bare);
            }
        }
        names.exact.extend(aliases.iter().map(|alias| alias.alias.name.to_string()));
        for list in [&mut names.exact, &mut names.groups, &mut names.upstream] {
            list.sort();
            list.dedup();
        }
        names
    }

    /// Whether a request for this name would find a deployment, as far as that can be told.
    pub(crate) fn resolves(&self, name: &str) -> bool {
        self.fragment || self.has(name)
    }

    /// Whether something in this file has the name.
    pub(super) fn has(&self, name: &str) -> bool {
        let among =
            |list: &[String]| list.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
        let fits =
            |name: &str| self.patterns.iter().any(|pattern| pattern.captured(name).is_some());
        // `openai/*` also serves `gpt-4o`.
        let full = || Some(format!("{}/{name}", provider_of(name)?));
        among(&self.exact)
            || among(&self.upstream)
            || fits(name)
            || full().is_some_and(|full| fits(&full))
    }

    /// Whether a deployment has this `model_name`.
    pub(super) fn has_group(&self, name: &str) -> bool {
        self.groups.iter().any(|group| group == name)
    }

    /// What to write instead of a name that nothing has.
    pub(crate) fn help(&self, name: &str) -> String {
        match nearest(name, self.exact.iter().map(String::as_str)) {
            Some((near, _)) => format!("did you mean `{near}`?"),
            None if self.groups.is_empty() => "add a deployment with this `model_name`".to_owned(),
            None => {
                let shown: Vec<_> =
                    self.groups.iter().take(NAMES_SHOWN).map(|name| format!("`{name}`")).collect();
                let more = if self.groups.len() > NAMES_SHOWN { ", ..." } else { "" };
                format!("this file has {}{more}", shown.join(", "))
            }
        }
    }
}

/// A name that something in the file refers to.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) name: Box<str>,
    pub(super) spot: Spot,
    /// Who refers to it, as a sentence says it.
    who: Box<str>,
}

/// The names that rules, regions and weights refer to.
#[derive(Debug, Default)]
pub(super) struct References(Vec<Reference>);

impl References {
    pub(super) fn add(&mut self, name: &str, spot: Spot, who: &str) {
        self.0.push(Reference { name: name.into(), spot, who: who.into() });
    }

    /// Where a name is first referred to.
    pub(super) fn spot_of(&self, name: &str) -> Option<Spot> {
        self.0.iter().find(|reference| *reference.name == *name).map(|reference| reference.spot)
    }

    pub(super) fn all(&self) -> &[Reference] {
        &self.0
    }

    /// Reports the names that nothing has. `special`: names that exist without a deployment.
    pub(super) fn check(&self, names: &Names, special: &[&str], problems: &Problems) {
        for Reference { name, spot, who } in &self.0 {
            if names.resolves(name) || special.contains(&&**name) {
                continue;
            }
            let message = format!("{who} names `{name}`, which nothing serves");
            problems.push(Finding::error(*spot, message).help(names.help(name)));
        }
    }
}

/// How many names a message lists.
const NAMES_SHOWN: usize = 6;
