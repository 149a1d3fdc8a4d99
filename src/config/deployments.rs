//! Where drafts meet the provider table and the price book: the only file of `config` that knows
//! how a target and a price are made.

use std::fs;
use std::sync::Arc;

use super::include::reason;
use super::problem::Finding;
use super::resolve::{Context, Draft, Sections};
use crate::catalog::price::PriceBook;
use crate::catalog::{Deployment, ModelInfo};
use crate::provider::{self, TargetProblem, Written};
use crate::secret::Secret;

/// The built-in price book, or the one that `prices_file` names.
pub(super) fn prices(sections: &mut Sections<'_>, context: &Context<'_>) -> Arc<PriceBook> {
    let Some(at) = sections.general.text("prices_file") else { return PriceBook::built_in() };
    let path = context.folder.join(at.value);
    let read = fs::read(&path).map_err(|error| reason(&error));
    match read.and_then(|bytes| PriceBook::parse(&bytes)) {
        Ok(book) => Arc::new(book),
        Err(reason) => {
            let message = format!("cannot read the prices in `{}`: {reason}", path.display());
            context.problems.push(Finding::error(at.spot, message));
            PriceBook::built_in()
        }
    }
}

/// The names of all providers.
pub(super) fn vendor_names() -> impl Iterator<Item = &'static str> {
    provider::VENDORS.iter().map(|vendor| vendor.name)
}

/// Works out address, headers and price of a draft.
pub(super) fn build(draft: Draft, prices: &PriceBook) -> Result<Deployment, TargetProblem> {
    let (vendor, access) = (draft.vendor, &draft.access);
    let target = provider::target(
        vendor,
        &Written {
            model: &draft.model,
            api_base: access.api_base.as_deref(),
            api_key: access.api_key.as_ref().map(Secret::expose),
            api_version: access.api_version.as_deref(),
            organization: access.organization.as_deref(),
            azure_ad_token: access.azure_ad_token.as_ref().map(Secret::expose),
            extra_headers: &draft.headers,
            verify_tls: access.verify_tls(),
            ca_file: access.ca_file(),
            http2: access.http2,
        },
    )?;
    let name = draft.info.base_model.as_deref().unwrap_or(&draft.model);
    let listed = prices.get(vendor.name, name);
    let price = match (draft.prices.as_slice(), listed) {
        ([], None) => None,
        ([], Some(listed)) => Some(Arc::clone(&listed.price)),
        (written, listed) => {
            let base = listed.map(|listed| (*listed.price).clone()).unwrap_or_default();
            Some(Arc::new(base.with_overrides(written)))
        }
    };
    let info = ModelInfo {
        price,
        max_input_tokens: draft
            .info
            .max_input_tokens
            .or_else(|| listed.and_then(|listed| listed.max_input_tokens)),
        max_output_tokens: draft
            .info
            .max_output_tokens
            .or_else(|| listed.and_then(|listed| listed.max_output_tokens)),
        ..draft.info
    };
    Ok(Deployment {
        id: draft.id,
        group: draft.group,
        provider: vendor.name.into(),
        dialect: vendor.dialect,
        quirks: vendor.quirks,
        model: draft.model.into(),
        target,
        weight: draft.weight,
        order: draft.order,
        rpm: draft.rpm,
        tpm: draft.tpm,
        max_parallel_requests: draft.max_parallel_requests,
        timeouts: draft.timeouts,
        num_retries: draft.num_retries,
        cooldown: draft.cooldown,
        defaults: draft.defaults,
        drop_params: draft.drop_params,
        tags: draft.tags,
        info,
    })
}
