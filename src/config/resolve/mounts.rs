//! Paths that are handed to a provider as they are: those of the providers themselves (`/openai/*`),
//! and `pass_through_endpoints`.
//!
//! Below a provider's path its deployments with `use_in_pass_through` serve; without one, the key in
//! the environment does; without that, all its deployments, each address and key once.

use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;

use super::models::Shared;
use super::params;
use super::{Context, Sections};
use crate::catalog::{Catalog, Deployment, Google, Mount, PriceBook, Resolved, Source, Target};
use crate::config::deployments;
use crate::config::options::PASS_THROUGH;
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::Section;
use crate::config::yaml::{Entry, Node};
use crate::money::Usd;
use crate::provider;

/// The paths of providers, and whose deployments serve them.
const PROVIDERS: [(&str, &[&str]); 16] = [
    ("/openai", &["openai"]),
    ("/openai_passthrough", &["openai"]),
    ("/anthropic", &["anthropic"]),
    ("/azure", &["azure"]),
    ("/azure_ai", &["azure_ai"]),
    ("/bedrock", &["bedrock"]),
    ("/cohere", &["cohere", "cohere_chat"]),
    ("/gemini", &["gemini"]),
    ("/mistral", &["mistral"]),
    ("/nvidia_nim", &["nvidia_nim"]),
    ("/ollama", &["ollama", "ollama_chat"]),
    ("/openrouter", &["openrouter"]),
    ("/vertex_ai", &["vertex_ai"]),
    ("/vertex-ai", &["vertex_ai"]),
    ("/vllm", &["hosted_vllm", "vllm"]),
    ("/xai", &["xai"]),
];

/// What is written of mounts.
pub(super) struct Written {
    own: Vec<Mount>,
    /// Made from the environment, for a provider's path.
    implied: Vec<(&'static str, Deployment)>,
    /// The providers whose paths are served; `None`: all.
    served: Option<Vec<String>>,
}

/// Reads the options, and looks for keys in the environment.
pub(super) fn read(
    sections: &mut Sections<'_>,
    context: &Context<'_>,
    shared: &Shared<'_>,
    prices: &PriceBook,
) -> Written {
    let problems = context.problems;
    let names = || PROVIDERS.iter().map(|(path, _)| path.trim_start_matches('/'));
    let listed = sections.general.texts("pass_through_providers");
    for at in listed.iter().flatten() {
        if !names().any(|name| name == at.value) {
            let help =
                nearest(at.value, names()).map(|(near, _)| format!("did you mean `{near}`?"));
            let message = format!("`{}` has no pass-through path", at.value);
            problems.push(Finding::error(at.spot, message).maybe_help(help));
        }
    }
    let served = listed.map(|list| list.iter().map(|at| at.value.to_owned()).collect());
    let mut implied = Vec::new();
    for (path, vendors) in PROVIDERS {
        let found = vendors.iter().find_map(|vendor| from_environment(vendor, shared, prices));
        implied.extend(found.map(|deployment| (path, deployment)));
    }
    let own = sections.general.entry("pass_through_endpoints");
    let own = own.map(|entry| endpoints(entry, problems)).unwrap_or_default();
    Written { own, implied, served }
}

/// A deployment of everything that a provider has, if its key is in the environment.
fn from_environment(vendor: &str, shared: &Shared<'_>, prices: &PriceBook) -> Option<Deployment> {
    // Ollama's own address needs no key: it would be there without anybody having asked for it.
    if vendor.starts_with("ollama") {
        return None;
    }
    // What is wrong with it is no mistake of the file's: then there is none.
    let quiet = Problems::default();
    let (draft, _named) = shared.implied(&format!("{vendor}/*"), Spot::default(), &quiet)?;
    if quiet.has_errors() {
        return None;
    }
    let (deployment, _remarks) = deployments::build(draft, prices, shared.rate_limits).ok()?;
    Some(deployment)
}

impl Written {
    /// Puts the mounts into the catalog.
    pub(super) fn mount(self, catalog: Catalog) -> Catalog {
        let mut mounts = self.own;
        let mut implied: Vec<_> =
            self.implied.into_iter().map(|(path, it)| (path, Arc::new(it))).collect();
        for (path, vendors) in PROVIDERS {
            let name = path.trim_start_matches('/');
            if self.served.as_ref().is_some_and(|served| !served.iter().any(|it| it == name)) {
                continue;
            }
            let of_vendor = |it: &&Arc<Deployment>| vendors.contains(&&*it.provider);
            let all = || catalog.deployments().iter().filter(of_vendor);
            let marked: Vec<_> = all().filter(|it| it.passes_through).cloned().collect();
            // What a cloud's machine may call with is no key that somebody put there for this.
            let mut place = implied.iter().position(|(of, _)| *of == path);
            if place.is_some_and(|at| !is_keyed(&implied[at].1)) && all().next().is_some() {
                place = None;
            }
            let found = match (marked.is_empty(), place) {
                (false, _) => marked,
                (true, Some(place)) => vec![implied.swap_remove(place).1],
                (true, None) => apart(all()),
            };
            if !found.is_empty() && !mounts.iter().any(|mount: &Mount| *mount.path == *path) {
                mounts.extend(agents(path, &found));
                mounts.push(mount_of(path, found));
            }
        }
        catalog.with_mounts(mounts)
    }
}

/// The part of a provider's path that leads to another host of its: that of Bedrock's agents and
/// knowledge bases. An address of one's own stands for both.
fn agents(path: &str, deployments: &[Arc<Deployment>]) -> Option<Mount> {
    let elsewhere = |deployment: &Arc<Deployment>| {
        let target = provider::agent_runtime(&deployment.target)?;
        let id = format!("{} agent-runtime", deployment.id).into();
        Some(Arc::new(Deployment { id, target, ..Deployment::clone(deployment) }))
    };
    let found: Vec<_> = deployments.iter().map(elsewhere).collect();
    found.iter().any(Option::is_some).then(|| {
        let both = found.into_iter().zip(deployments);
        let found = both.map(|(moved, own)| moved.unwrap_or_else(|| Arc::clone(own)));
        Mount { only: &provider::AGENT_RUNTIME, ..mount_of(path, found.collect()) }
    })
}

/// Each address and key once: deployments of several models are the same here.
fn apart<'a>(all: impl Iterator<Item = &'a Arc<Deployment>>) -> Vec<Arc<Deployment>> {
    let mut found: Vec<Arc<Deployment>> = Vec::new();
    for deployment in all {
        let known = found.iter().any(|other| {
            let (one, other) = (&deployment.target, &other.target);
            let caller = |it: &Target| it.authorisation.as_ref().map(|how| how.identity.digest);
            one.authority == other.authority
                && one.headers == other.headers
                && caller(one) == caller(other)
        });
        if !known {
            found.push(Arc::clone(deployment));
        }
    }
    found
}

/// Whether what is sent with its requests was written down: a key, not what a chain may find.
fn is_keyed(deployment: &Deployment) -> bool {
    match deployment.target.authorisation.as_ref().map(|how| &how.identity.source) {
        Some(Source::Aws(aws)) => aws.keys.is_some(),
        Some(Source::Google(google)) => !matches!(google, Google::Metadata),
        Some(Source::Entra(_)) | None => true,
    }
}

fn mount_of(path: &str, deployments: Vec<Arc<Deployment>>) -> Mount {
    Mount {
        path: path.into(),
        subpaths: true,
        verbatim: false,
        only: &[],
        methods: None,
        needs_key: true,
        forwards_headers: true,
        query: Vec::new(),
        price: None,
        resolved: Resolved::of(&path.into(), deployments.into()),
    }
}

/// `pass_through_endpoints`.
fn endpoints(entry: &Entry, problems: &Problems) -> Vec<Mount> {
    let Some(items) = entry.node.list() else {
        let found = entry.node.found("");
        let message = format!("`pass_through_endpoints` must be a list, found {found}");
        let help = "begin each endpoint with `- path: ...`";
        problems.push(Finding::error(entry.value_spot(), message).help(help));
        return Vec::new();
    };
    let mut mounts: Vec<Mount> = Vec::new();
    for item in items {
        let Some(mount) = endpoint(item, problems) else { continue };
        if mounts.iter().any(|other| other.path == mount.path) {
            let message = format!("`{}` is written twice", mount.path);
            problems.push(Finding::error(item.spot, message));
        }
        mounts.push(mount);
    }
    mounts
}

/// The query that stands in the target's own address.
fn own_query(target: &str) -> impl Iterator<Item = (Box<str>, Box<str>)> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (plain(name), plain(value))
    })
}

fn endpoint(item: &Node, problems: &Problems) -> Option<Mount> {
    let mut section = Section::new(&PASS_THROUGH, item, item.spot, problems);
    let path = section.text("path");
    let target = section.text("target");
    let headers = params::headers_of(&mut section, "headers");
    let subpaths = section.flag("include_subpath").is_some_and(|at| at.value);
    let forwards_headers = section.flag("forward_headers").is_some_and(|at| at.value);
    let needs_key = section.flag("auth").is_none_or(|at| at.value);
    let price = section.number("cost_per_request");
    let methods = section.texts("methods");
    let query = section.entry("default_query_params");
    for (name, missing) in [("path", path.is_none()), ("target", target.is_none())] {
        if missing && item.map().is_some() && !section.has(name) {
            problems.push(Finding::error(item.spot, format!("this endpoint has no `{name}`")));
        }
    }
    let price = price.and_then(|at| {
        let usd = Usd::from_dollars(at.value);
        if usd.is_none() {
            problems.push(Finding::error(at.spot, "`cost_per_request` is not a price in USD"));
        }
        usd
    });
    let mut allowed = Vec::new();
    for at in methods.iter().flatten() {
        match Method::from_bytes(at.value.to_ascii_uppercase().as_bytes()) {
            Ok(method) => allowed.push(method),
            Err(_) => {
                let message = format!("`{}` is not a method of HTTP", at.value);
                problems.push(Finding::error(at.spot, message));
            }
        }
    }
    let mut parameters: Vec<(Box<str>, Box<str>)> = Vec::new();
    if let Some(entry) = query {
        if entry.node.map().is_none() {
            let found = entry.node.found("");
            let message = format!("`default_query_params` must be a mapping, found {found}");
            problems.push(Finding::error(entry.value_spot(), message));
        }
        let text = |entry: &Entry| Some((entry.key.clone(), entry.node.text()?.into()));
        parameters.extend(entry.node.map().unwrap_or(&[]).iter().filter_map(text));
    }
    section.finish();
    let (path, target) = (path?, target?);
    let trimmed = path.value.trim_end_matches('/');
    if !trimmed.starts_with('/') || trimmed.contains(['?', '#', ' ']) {
        let message = format!("`{}` is not a path: it begins with `/`", path.value);
        problems.push(Finding::error(path.spot, message));
        return None;
    }
    parameters.extend(own_query(target.value));
    match deployments::passed(trimmed, target.value, &headers) {
        Ok(deployment) => Some(Mount {
            subpaths,
            verbatim: true,
            methods: (!allowed.is_empty()).then_some(allowed),
            needs_key,
            forwards_headers,
            query: parameters,
            price,
            ..mount_of(trimmed, vec![Arc::new(deployment)])
        }),
        Err(problem) => {
            problems.push(Finding::error(target.spot, problem.message));
            None
        }
    }
}
