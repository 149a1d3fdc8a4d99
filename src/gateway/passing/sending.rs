//! What of a request goes to the provider: its head in place of the client's, with the deployment's
//! credentials; the body as it is, counted and looked at for the model that it names.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Uri};
use pingora_http::RequestHeader;

use super::{Passing, Way, heads};
use crate::gateway::Gateway;
use crate::gateway::error::GatewayError;
use crate::gateway::traced::Trace;
use crate::identity::Unsigned;

impl Passing {
    /// Writes the head of the request for the provider in place of the client's.
    ///
    /// # Errors
    /// The deployment has no such API.
    pub(super) fn write_head(&self, head: &mut RequestHeader) -> Result<(), GatewayError> {
        let Some(attempt) = &self.attempt else { return Err(GatewayError::Internal) };
        let deployment = &*attempt.deployment;
        let target = match &self.way {
            Way::Mount { mount, rest, query } => {
                heads::mount_path(mount, deployment, rest, query.as_deref())
            }
            Way::Realtime(realtime) => realtime.path(deployment, &attempt.model)?,
        };
        let forwards = match &self.way {
            Way::Mount { mount, .. } => mount.forwards_headers,
            Way::Realtime(_) => true,
        };
        let uri: Uri = target.parse().map_err(|_| heads::unsendable())?;
        head.set_uri(uri);
        heads::request(head, deployment, self.authority.as_ref(), forwards);
        Ok(())
    }

    /// An attempt begins; the headers that tell its provider of the trace.
    pub(super) fn traced(&self, trace: Option<&mut Trace>) -> Vec<(HeaderName, HeaderValue)> {
        let begun = trace.zip(self.attempt.as_ref());
        begun.map_or_else(Vec::new, |(trace, attempt)| trace.begin(&attempt.deployment))
    }

    /// The headers that only the sending of a request tells.
    ///
    /// # Errors
    /// There is no credential.
    pub(super) async fn authorise(
        &self,
        gateway: &Gateway,
        head: &mut RequestHeader,
    ) -> Result<(), GatewayError> {
        let Some(attempt) = &self.attempt else { return Err(GatewayError::Internal) };
        let target = &attempt.deployment.target;
        let Some(how) = &target.authorisation else { return Ok(()) };
        // What is signed does not come here: see `is_signed`.
        let request =
            Unsigned { method: &head.method, authority: "", path: "", content_type: "", body: &[] };
        let authorised = gateway.identities.authorise(how, &request).await;
        for (name, value) in authorised.map_err(|it| GatewayError::Upstream(Box::new(it)))? {
            heads::set(head, name, value);
        }
        Ok(())
    }

    /// Counts what the client sends.
    ///
    /// # Errors
    /// It is more than the gateway takes.
    pub(super) fn received(
        &mut self,
        body: Option<&Bytes>,
        ends: bool,
        limit_bytes: usize,
    ) -> Result<(), GatewayError> {
        if matches!(self.way, Way::Realtime(_)) {
            if let Some(body) = body {
                self.said.push(body);
            }
            return Ok(());
        }
        self.received_bytes += body.map_or(0, Bytes::len);
        if self.received_bytes > limit_bytes {
            return Err(GatewayError::BodyTooLarge { limit_bytes });
        }
        if let Some(body) = body {
            self.named.push(body);
        }
        match &self.watched {
            Some(watched) => watched.check(&self.named, ends),
            None => Ok(()),
        }
    }
}
