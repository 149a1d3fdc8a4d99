//! Deployments for the tests of this module, and headers for those of others too.

use http::{HeaderName, HeaderValue};

use super::{Written, target, vendor};
use crate::catalog::{Deployment, sample};

/// Headers as they come: into a map, or a list.
pub(crate) fn headers<H: FromIterator<(HeaderName, HeaderValue)>>(
    lines: &[(&'static str, &'static str)],
) -> H {
    let line = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    lines.iter().map(line).collect()
}

/// A deployment of a provider on loopback, with the key `k`.
pub(super) fn deployment(
    provider: &str,
    model: &str,
    extra_headers: &[(HeaderName, HeaderValue)],
) -> Deployment {
    let vendor = vendor(provider).unwrap();
    let api_base = Some("http://127.0.0.1:9001");
    let written = Written { api_base, api_key: Some("k"), extra_headers, ..Written::default() };
    Deployment {
        dialect: vendor.dialect,
        quirks: vendor.quirks,
        target: target(vendor, &written).unwrap(),
        ..sample::deployment(&format!("group = {provider}/{model} #id"))
    }
}
