//! Where drafts meet the provider table and the price book: the only file of `config` that knows
//! how a target and a price are made.

use std::fs;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::include::reason;
use super::problem::Finding;
use super::resolve::{Access, Context, Draft, RateLimits, Sections};
use crate::catalog::{
    Capabilities, Capability, Caps, Deployment, Fleet, ModelInfo, Price, PriceBook, Server, Target,
    Timeouts,
};
use crate::dialect::Quirks;
use crate::provider::{self, TargetProblem, Vendor, Written};
use crate::secret::Secret;

/// How targets that are no known provider's are named.
const PASSED: &str = "pass_through";

/// The built-in price book, or the one that `prices_file` names.
pub(super) fn prices(sections: &mut Sections<'_>, context: &Context<'_>) -> Arc<PriceBook> {
    let Some(at) = sections.general.text("prices_file") else { return PriceBook::built_in() };
    let path = context.folder.join(at.value);
    let read = fs::read(&path).map_err(|error| reason(&error));
    let parsed = |bytes: Vec<u8>| PriceBook::parse(&bytes).map_err(|error| error.to_string());
    match read.and_then(parsed) {
        Ok(book) => Arc::new(book),
        Err(reason) => {
            let message = format!("cannot read the prices in `{}`: {reason}", path.display());
            context.problems.push(Finding::error(at.spot, message));
            PriceBook::built_in()
        }
    }
}

/// The names of all providers that can be called.
pub(super) fn vendor_names() -> impl Iterator<Item = &'static str> {
    provider::names()
}

/// The provider that a model's name tells without a prefix: `openai` for `gpt-4o`.
pub(super) fn provider_of(model: &str) -> Option<&'static str> {
    provider::recognise(model).map(|(vendor, _)| vendor.name)
}

/// Works out address, headers and price of a draft. The second value: what is assumed or looks like
/// a mistake.
pub(super) fn build(
    draft: Draft,
    prices: &PriceBook,
    rate_limits: &RateLimits,
) -> Result<(Deployment, Vec<TargetProblem>), TargetProblem> {
    let access = &draft.access;
    let vendor = &draft.vendor.at(access.api_base.as_deref());
    // A deployment's own headers replace those of its provider.
    let described = draft.custom.iter().flat_map(|custom| custom.headers.iter());
    let headers: Vec<_> = described.chain(&draft.headers).cloned().collect();
    let written = Written {
        model: &draft.model,
        api_base: access.api_base.as_deref(),
        api_key: access.api_key.as_ref().map(Secret::expose),
        api_version: access.api_version.as_deref(),
        organization: access.organization.as_deref(),
        azure_ad_token: access.azure_ad_token.as_ref().map(Secret::expose),
        cloud: Some(&access.cloud),
        extra_headers: &headers,
        verify_tls: access.verify_tls(),
        ca_file: access.ca_file(),
        http2: access.http2,
        custom: draft.custom.as_deref().map(|custom| provider::Custom {
            path: &custom.path,
            stream_path: custom.stream_path.as_deref(),
            auth_header: &custom.auth_header,
            auth_prefix: &custom.auth_prefix,
        }),
    };
    let mut target = provider::target(vendor, &written)?;
    target.fleet = fleet(vendor, &written, &target, access)?;
    let remarks = provider::remarks(vendor, &written);
    let info = model_info(&draft, prices);
    let responses = draft.responses.unwrap_or_else(|| {
        let model = info.base_model.as_deref().unwrap_or(&draft.model);
        provider::responses_api(vendor, &written, &target, model)
    });
    let deployment = Deployment {
        account: Arc::clone(&draft.id),
        id: draft.id,
        group: draft.group,
        provider: match &draft.custom {
            Some(custom) => Arc::clone(&custom.name),
            None => vendor.name.into(),
        },
        dialect: vendor.dialect,
        quirks: vendor.quirks,
        responses,
        model: draft.model.into(),
        target,
        weight: draft.weight,
        order: draft.order,
        rpm: draft.rpm,
        tpm: draft.tpm,
        max_parallel_requests: draft.max_parallel_requests,
        caps: Caps { has_own_budget: draft.budget.is_some(), ..rate_limits.of(vendor.name) },
        check: draft.check,
        timeouts: draft.timeouts,
        num_retries: draft.num_retries,
        cooldown: draft.cooldown,
        defaults: draft.defaults,
        drop_params: draft.drop_params,
        allowed_params: draft.allowed_params,
        drops_refused: draft.drops_refused,
        cache_points: draft.cache_points,
        tags: draft.tags,
        silent_model: draft.silent_model.map(|at| at.value),
        passes_through: draft.passes_through,
        mapping: draft.custom.as_ref().map(|custom| Arc::clone(&custom.mapping)),
        info,
    };
    Ok((deployment, remarks))
}

/// The target of a path that is handed on as it is.
pub(super) fn passed(
    path: &str,
    url: &str,
    headers: &[(HeaderName, HeaderValue)],
) -> Result<Deployment, TargetProblem> {
    let (target, dialect) = provider::plain_target(url, headers)?;
    Ok(Deployment {
        id: format!("pass-through {path}").into(),
        account: format!("pass-through {path}").into(),
        group: path.into(),
        provider: PASSED.into(),
        dialect,
        quirks: Quirks::default(),
        responses: crate::dialect::ResponsesApi::None,
        model: "*".into(),
        target,
        weight: None,
        order: None,
        rpm: None,
        tpm: None,
        max_parallel_requests: None,
        caps: Caps::default(),
        check: None,
        timeouts: Timeouts::default(),
        num_retries: None,
        cooldown: None,
        defaults: Vec::new(),
        drop_params: Vec::new(),
        allowed_params: Vec::new(),
        drops_refused: None,
        cache_points: Vec::new(),
        tags: Vec::new(),
        silent_model: None,
        passes_through: true,
        mapping: None,
        info: ModelInfo::default(),
    })
}

/// The servers of a deployment, where several addresses are written.
fn fleet(
    vendor: &Vendor,
    written: &Written<'_>,
    first: &Target,
    access: &Access,
) -> Result<Option<Fleet>, TargetProblem> {
    let mut servers = Vec::with_capacity(access.fleet.len());
    for (url, weight) in &access.fleet {
        let target = provider::target(vendor, &Written { api_base: Some(url), ..*written })?;
        if target.tls != first.tls || target.paths != first.paths {
            return Err(TargetProblem {
                option: "api_base",
                message: format!(
                    "all addresses of a deployment need the same scheme and path: `{}` and `{}` \
                     differ; write a deployment of its own for each",
                    first.api_base, target.api_base
                ),
            });
        }
        servers.push(Server {
            host: target.host,
            port: target.port,
            authority: target.authority,
            weight: *weight,
        });
    }
    Ok((!servers.is_empty()).then_some(Fleet { servers, balance: access.balance }))
}

/// What is written, over what the price book knows.
fn model_info(draft: &Draft, prices: &PriceBook) -> ModelInfo {
    let info = draft.info.clone();
    let listed = prices.lookup(info.base_model.as_deref(), draft.vendor.name, &draft.model);
    let listed_price = listed.and_then(|listed| listed.price.clone());
    let price = if draft.prices.is_empty() {
        listed_price
    } else {
        // The amounts were checked where they are written, so this reads all of them.
        let price = Price::read(listed_price.as_deref(), &draft.prices);
        price.ok().flatten().map(Arc::new).or(listed_price)
    };
    // What is written goes before what is listed.
    let mut capabilities = listed.map(Capabilities::listed).unwrap_or_default();
    for capability in Capability::ALL {
        if let Some(has) = info.capabilities.get(capability) {
            capabilities.set(capability, has);
        }
    }
    ModelInfo {
        capabilities,
        mode: info.mode.or_else(|| listed.and_then(|listed| listed.mode.clone())),
        price,
        max_input_tokens: info
            .max_input_tokens
            .or_else(|| listed.and_then(|listed| listed.max_input_tokens)),
        max_output_tokens: info
            .max_output_tokens
            .or_else(|| listed.and_then(|listed| listed.max_output_tokens)),
        ..info
    }
}
