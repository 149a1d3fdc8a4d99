//! Checks of addresses: whether a connection can be opened, or a path answers.
//!
//! Pingora's checks do the work and its load balancers keep the result.

use std::time::Duration;

use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType};
use pingora_http::RequestHeader;
use pingora_load_balancing::health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck};

use crate::catalog::CheckKind;

/// Failures in a row after which an address is passed over. One success brings it back.
const FAILURES: usize = 2;

/// The check of an upstream's addresses; `None`: it is not checked by address.
pub(super) fn of(
    kind: &CheckKind,
    timeout: Duration,
    peer: HttpPeer,
    authority: &str,
) -> Option<Box<dyn HealthCheck + Send + Sync>> {
    match kind {
        CheckKind::Tcp => {
            let mut check = TcpHealthCheck::new();
            check.consecutive_failure = FAILURES;
            check.peer_template.options.connection_timeout = Some(timeout);
            Some(check)
        }
        CheckKind::Http { path, status } => {
            let mut request = RequestHeader::build("GET", path.as_bytes(), None).ok()?;
            request.insert_header("host", authority).ok()?;
            request
                .insert_header("user-agent", concat!("tollgate/", env!("CARGO_PKG_VERSION")))
                .ok()?;
            let mut check = HttpHealthCheck::new(authority, false);
            check.consecutive_failure = FAILURES;
            check.peer_template = peer;
            let options = &mut check.peer_template.options;
            options.connection_timeout = Some(timeout);
            options.total_connection_timeout = Some(timeout);
            options.read_timeout = Some(timeout);
            check.req = request;
            let expected = *status;
            check.validator = Some(Box::new(move |response| {
                let is_well = expected.map_or_else(
                    || response.status.is_success(),
                    |status| response.status == status,
                );
                if is_well {
                    return Ok(());
                }
                Error::e_explain(
                    ErrorType::HTTPStatus(response.status.as_u16()),
                    "the health check's path",
                )
            }));
            Some(Box::new(check))
        }
        CheckKind::Call { .. } => None,
    }
}
