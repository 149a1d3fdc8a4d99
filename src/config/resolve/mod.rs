//! From the tree to the snapshot: parse, don't validate.
//!
//! Every section is read once, into values that cannot be wrong any more; what they refer to in
//! each other (groups, aliases, fallbacks) is looked up when all names are known. Problems are
//! collected, and only a run without errors yields a snapshot.

mod alerts;
mod aliases;
mod breaker;
mod cache;
mod callbacks;
mod checks;
mod clouds;
mod credentials;
mod custom;
mod dashboard;
mod edge;
mod fallbacks;
mod fetching;
mod fleet;
mod general;
mod guardrails;
mod implied;
mod issuing;
mod keys;
mod models;
mod mounts;
mod names;
mod params;
mod providers;
mod quota;
mod rate_limits;
mod regions;
mod router;
mod rules;
mod shown;
mod spending;
mod store;
mod strategies;
mod traces;
mod vendor;
mod weights;
mod words;

pub(crate) use models::Draft;
pub(crate) use providers::CustomProvider;
pub(crate) use rate_limits::RateLimits;
pub(crate) use vendor::Access;

use std::path::Path;
use std::sync::Arc;

use super::deployments;
use super::env::Env;
use super::options::{GENERAL_SETTINGS, LITELLM_SETTINGS, ROUTER, ROUTER_SETTINGS, TOP};
use super::problem::{Finding, Problems};
use super::section::Section;
use super::yaml::Node;
use crate::catalog::Catalog;
use crate::snapshot::Snapshot;

/// What the readers need besides the section they read.
pub(crate) struct Context<'a> {
    pub(crate) env: &'a dyn Env,
    pub(crate) problems: &'a Problems,
    /// Files named in options are relative to this folder.
    pub(crate) folder: &'a Path,
}

impl Context<'_> {
    /// A variable, without the white space around it. A blank one counts as not set.
    pub(crate) fn var(&self, name: &str) -> Option<String> {
        let value = self.env.var(name)?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A file that an option names.
    pub(crate) fn file(&self, written: &str) -> Box<str> {
        self.folder.join(written).to_string_lossy().into()
    }
}

/// The sections that several readers share.
pub(crate) struct Sections<'a> {
    pub(crate) top: Section<'a>,
    pub(crate) router: Section<'a>,
    pub(crate) litellm: Section<'a>,
    pub(crate) general: Section<'a>,
    /// `router`.
    pub(crate) router_too: Section<'a>,
}

/// Reads the whole tree. `None`: there are errors among the problems.
pub(crate) fn resolve(root: &Node, context: &Context<'_>) -> Option<Snapshot> {
    let problems = context.problems;
    let mut top = Section::new(&TOP, root, root.spot, problems);
    let mut sections = Sections {
        router: top.section("router_settings", &ROUTER_SETTINGS),
        litellm: top.section("litellm_settings", &LITELLM_SETTINGS),
        general: top.section("general_settings", &GENERAL_SETTINGS),
        router_too: top.section("router", &ROUTER),
        top,
    };
    // Both were read before: variables and files had to be known to get here.
    sections.top.entry("environment_variables");
    sections.top.entry("include");

    let fragment = sections.top.entry("model_list").is_none();
    let access = general::access(&mut sections, context, fragment);
    let traffic = general::traffic(&mut sections, context);
    let fetching = fetching::fetching(&mut sections, context);
    let edge = edge::edge(&mut sections);
    let logs = general::logs(&mut sections, context);
    let shown = shown::read(&mut sections);
    let traces = traces::read(&mut sections, context);
    let store = store::store(&mut sections, context);
    let callbacks = callbacks::read(&mut sections, context, &store.journal);
    let spending = spending::spending(&mut sections.general);
    let words = words::words(&mut sections, context, &spending);
    let mut admission = quota::policy(&mut sections);
    let cache::Read { redis, cache, model_spot } = cache::read(&mut sections, context);
    if redis.is_some() {
        // Counted in this process in any case; where there is more than one, together as well.
        admission.global_parallel =
            traffic.max_parallel_requests.and_then(|bound| u64::try_from(bound).ok());
    }
    let alerts = Arc::new(alerts::read(&mut sections, context));
    let (dashboard, baseline_spot) = dashboard::dashboard(&mut sections, context);
    let issuing = Arc::new(issuing::issuing(&mut sections, context));
    let defaults = router::attempt_defaults(&mut sections);
    let prices = deployments::prices(&mut sections, context);
    let longest = router::max_retry_after(&mut sections);
    let rate_limits = rate_limits::read(&mut sections, longest, quota::providers(&admission));
    let (checks, check_defaults, heeded) = checks::settings(&mut sections);
    let shared =
        models::Shared::read(&mut sections, context, &defaults, check_defaults, &rate_limits);
    let mut models = models::read(&mut sections, &shared);
    let mut aliases = aliases::read(&mut sections);
    let written = rules::read(&mut sections, context);
    let targets = aliases::targets(&aliases);
    let referred = written.references.all().iter().chain(targets.all());
    let known = names::Names::new(&models.entries, &aliases, fragment);
    let implied = implied::deployments(referred, &known, &shared, &mut models, &prices, problems);
    aliases.extend(strategies::groups(&mut sections, &models.entries, &aliases));
    let known = names::Names::new(&models.entries, &aliases, fragment);
    aliases::check(&aliases, &known, problems);
    written.check(&known, problems);
    let mounts = mounts::read(&mut sections, context, &shared, &prices);
    let mut routing = router::settings(&mut sections, &known, Arc::clone(&prices));
    routing.max_retry_after = longest;
    routing.heeds_checks = heeded;
    routing.reads_requests |=
        rate_limits.counts_tokens() || models.drafts.iter().any(|draft| draft.tpm.is_some());
    let guardrails = guardrails::read(&mut sections, context, &models.drafts);
    models::check_silent(&models.drafts, &known, problems);

    let Sections { top, router, litellm, general, router_too } = sections;
    for section in [top, router, litellm, general, router_too] {
        section.finish();
    }
    if fragment && implied.is_empty() {
        problems.push(
            Finding::warning(None, "there is no `model_list`: no model can be called")
                .help("add `model_list:` with at least one deployment"),
        );
    }
    let budgets =
        models.drafts.iter().filter_map(|draft| Some((Arc::clone(&draft.id), draft.budget?)));
    admission.deployments = budgets.collect();
    let mut built = Vec::with_capacity(models.drafts.len() + implied.len());
    for draft in models.drafts {
        let (place, lenient) = (draft.place.clone(), models.lenient);
        match deployments::build(draft, &prices, &rate_limits) {
            Ok((deployment, remarks)) => {
                built.push(deployment);
                remarks.iter().for_each(|remark| problems.push(place.remark(remark)));
            }
            Err(problem) => problems.push(place.refused(&problem, lenient)),
        }
    }
    built.extend(implied);
    if problems.has_errors() {
        return None;
    }
    let aliases: Vec<_> = aliases.into_iter().map(|alias| alias.alias).collect();
    let rules = written.rules(&aliases, &known);
    let catalog = Catalog::build(built, aliases)
        .inferring(deployments::provider_of)
        .with_weights(&written.weights);
    let catalog = mounts.mount(catalog);
    dashboard::check_baseline(&dashboard, baseline_spot, (&catalog, &prices), problems);
    cache::check_model(cache.as_ref(), model_spot, (&catalog, &known), problems);
    if problems.has_errors() {
        return None;
    }
    let warnings: Vec<Arc<str>> = Vec::new();
    Some(Snapshot {
        catalog,
        prices,
        routing,
        rules,
        access,
        issuing,
        traffic,
        fetching,
        edge,
        checks,
        logs,
        shown,
        traces,
        callbacks: Arc::new(callbacks),
        store,
        spending,
        words,
        cache,
        guardrails: Arc::new(guardrails),
        admission,
        redis,
        alerts,
        dashboard: Arc::new(dashboard),
        warnings,
    })
}
