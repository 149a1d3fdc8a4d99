//! WebSockets to a model: `/v1/realtime?model=...`.

use http::header::UPGRADE;
use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use pingora_core::protocols::http::v1::common::is_upgrade_req;
use pingora_http::RequestHeader;

use crate::catalog::{Deployment, Resolved};
use crate::failure::{Failure, FailureClass};
use crate::gateway::error::GatewayError;
use crate::provider;

/// What the query of a realtime request says.
pub(super) struct Realtime {
    pub(super) model: Box<str>,
    /// `transcription`, where no conversation is wanted.
    intent: Option<Box<str>>,
}

/// Whether this is the path of the realtime API.
pub(in crate::gateway) fn is_path(path: &str) -> bool {
    let path = path.strip_prefix("/openai").unwrap_or(path);
    let path = path.strip_prefix("/v1").unwrap_or(path);
    path == "/realtime"
}

/// Whether a request asks for a WebSocket.
pub(super) fn is_upgrade(head: &RequestHeader) -> bool {
    let asked = head.headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    let mut asked = asked.flat_map(|value| value.split(','));
    is_upgrade_req(head) && asked.any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// Whether a request is for the realtime API but asks for no WebSocket.
pub(in crate::gateway) fn is_plain(head: &RequestHeader) -> bool {
    head.method == Method::GET && is_path(head.uri.path()) && !is_upgrade(head)
}

/// The deployments that have a realtime API.
///
/// # Errors
/// None has.
pub(super) fn able(mut resolved: Resolved) -> Result<Resolved, GatewayError> {
    let has = |deployment: &Deployment| provider::realtime_path(deployment, "", None).is_some();
    let able: Vec<_> = resolved.deployments.iter().filter(|it| has(it)).cloned().collect();
    if able.len() == resolved.deployments.len() {
        return Ok(resolved);
    }
    match (able.is_empty(), resolved.deployments.first()) {
        (true, Some(first)) => Err(lacking(first)),
        _ => {
            resolved.deployments = able.into();
            // Its members have the others, too.
            resolved.spread = None;
            Ok(resolved)
        }
    }
}

fn lacking(deployment: &Deployment) -> GatewayError {
    let message = format!("the provider {} has no realtime API", deployment.provider);
    GatewayError::Upstream(Box::new(Failure::new(FailureClass::NotFound, message)))
}

impl Realtime {
    /// Reads the query.
    ///
    /// # Errors
    /// It names no model.
    pub(super) fn of(uri: &Uri) -> Result<Self, GatewayError> {
        let parameter = |name: &str| {
            let pairs = uri.query().unwrap_or_default().split('&');
            let found = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
            let value = percent_decode_str(found?.1).decode_utf8().ok()?;
            (!value.is_empty()).then(|| Box::<str>::from(&*value))
        };
        // Azure's SDK names its deployment.
        let model = parameter("model").or_else(|| parameter("deployment"));
        let missing = || GatewayError::BadBody {
            message: "`model` is missing: write /v1/realtime?model=...".into(),
            param: Some("model"),
            code: "missing_required_parameter",
        };
        Ok(Self { model: model.ok_or_else(missing)?, intent: parameter("intent") })
    }

    /// Path and query at the provider.
    ///
    /// # Errors
    /// The provider has no such API.
    pub(super) fn path(
        &self,
        deployment: &Deployment,
        model: &str,
    ) -> Result<String, GatewayError> {
        let path = provider::realtime_path(deployment, model, self.intent.as_deref());
        path.ok_or_else(|| lacking(deployment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_names_the_model() {
        for (uri, model, intent) in [
            ("/v1/realtime?model=gpt-realtime", "gpt-realtime", None),
            ("/realtime?x=1&model=a%2Fb&intent=transcription", "a/b", Some("transcription")),
            ("/openai/realtime?api-version=2025&deployment=d", "d", None),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert!(is_path(uri.path()));
            let realtime = Realtime::of(&uri).ok().unwrap();
            assert_eq!((&*realtime.model, realtime.intent.as_deref()), (model, intent));
        }
        for uri in ["/v1/realtime", "/v1/realtime?model=", "/v1/realtime?models=x"] {
            assert!(Realtime::of(&uri.parse().unwrap()).is_err(), "{uri}");
        }
        assert!(!is_path("/v1/realtime/sessions"));
    }
}
