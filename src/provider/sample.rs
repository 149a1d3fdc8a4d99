//! Deployments for the tests of this module.

use http::{HeaderName, HeaderValue};

use super::{Written, target, vendor};
use crate::catalog::{Deployment, sample};

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
