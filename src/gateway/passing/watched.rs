//! Keys that may not call every model of a mount: the model is found out as the request goes by, and a
//! request for another is broken off before the provider has all of it.

use std::sync::Arc;

use http::Method;
use http::header::CONTENT_TYPE;
use pingora_http::RequestHeader;

use super::named::NamedModel;
use super::{Passing, Way};
use crate::catalog::Mount;
use crate::gateway::error::GatewayError;
use crate::keys::access::{Asked, Owner};
use crate::keys::{Caller, Principal};
use crate::provider;

/// What a model is called in the refusal of a request that names none.
const UNNAMED: &str = "(none is named)";

/// Whose request it is, and where it goes.
pub(super) struct Watched {
    holder: Arc<Principal>,
    provider: Arc<str>,
    /// An endpoint of the operator's own: whether it has models, nobody knows.
    may_be_unnamed: bool,
}

impl Passing {
    /// Looks after the models that the caller may call. A path that names the model is judged at once; a
    /// body that may name it has to be JSON, so that it can be read.
    ///
    /// # Errors
    /// `ModelDenied`.
    pub(in crate::gateway) fn watch(
        &mut self,
        caller: &Caller,
        head: &RequestHeader,
    ) -> Result<(), GatewayError> {
        // The model of a conversation was judged by its name.
        let Way::Mount { mount, .. } = &self.way else { return Ok(()) };
        let Some(holder) = caller.principal().filter(|holder| holder.is_restricted()) else {
            return Ok(());
        };
        let Some(watched) = Watched::new(holder, mount) else { return Ok(()) };
        let deployment = mount.resolved.deployments.first();
        let path = head.uri.path();
        if let Some(named) = deployment.and_then(|it| provider::passed_model(it, path)) {
            return watched.judge(&named);
        }
        if matches!(head.method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS) {
            return Ok(());
        }
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.trim_start().starts_with("application/json")) {
            return if watched.may_be_unnamed { Ok(()) } else { watched.judge(UNNAMED) };
        }
        self.watched = Some(watched);
        self.named = NamedModel::whole();
        Ok(())
    }
}

impl Watched {
    /// `None`: the caller may call all of the provider's models.
    fn new(holder: &Arc<Principal>, mount: &Mount) -> Option<Self> {
        let provider = Arc::clone(&mount.resolved.deployments.first()?.provider);
        let all = format!("{provider}/*");
        let holder = Arc::clone(holder);
        let watched = Self { holder, provider, may_be_unnamed: mount.verbatim };
        watched.holder.may_call(&Asked::named(&all)).is_err().then_some(watched)
    }

    fn judge(&self, model: &str) -> Result<(), GatewayError> {
        let full = format!("{}/{model}", self.provider);
        let may_call = self.holder.may_call(&Asked { name: model, also: &[&full], groups: &[] });
        may_call.map_err(|owner| GatewayError::ModelDenied { owner, model: model.to_owned() })
    }

    /// # Errors
    /// `ModelDenied`, also if the whole of the body names no model, or two.
    pub(super) fn check(&self, named: &NamedModel, ends: bool) -> Result<(), GatewayError> {
        let deny = || GatewayError::ModelDenied { owner: Owner::Key, model: UNNAMED.to_owned() };
        match named.found() {
            Some(_) if named.is_ambiguous() => Err(deny()),
            Some(model) => self.judge(model),
            None if ends && !self.may_be_unnamed => Err(deny()),
            None => Ok(()),
        }
    }
}
