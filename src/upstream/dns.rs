//! Service discovery by DNS: every address of a name is a backend of its load balancer.

use std::collections::{BTreeSet, HashMap};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use async_trait::async_trait;
use pingora_core::{Error, ErrorType, OrErr, Result};
use pingora_load_balancing::Backend;
use pingora_load_balancing::discovery::ServiceDiscovery;

/// Looks a name up with the system's resolver, each time it is asked.
pub(super) struct Dns {
    pub(super) host: Box<str>,
    pub(super) port: u16,
}

#[async_trait]
impl ServiceDiscovery for Dns {
    async fn discover(&self) -> Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let found = tokio::net::lookup_host((self.host.as_ref(), self.port))
            .await
            .or_err_with(ErrorType::ConnectNoRoute, || format!("looking up {}", self.host))?;
        let backends: BTreeSet<Backend> = found.map(backend).collect();
        if backends.is_empty() {
            return Error::e_explain(
                ErrorType::ConnectNoRoute,
                format!("{} has no address", self.host),
            );
        }
        Ok((backends, HashMap::new()))
    }
}

/// One address with weight one. The scope of an IPv6 address is kept.
pub(super) fn backend(address: SocketAddr) -> Backend {
    let address = match address {
        SocketAddr::V4(v4) => SocketAddr::V4(SocketAddrV4::new(*v4.ip(), v4.port())),
        SocketAddr::V6(v6) => {
            SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()))
        }
    };
    Backend {
        addr: pingora_core::protocols::l4::socket::SocketAddr::Inet(address),
        weight: 1,
        ext: http::Extensions::new(),
    }
}
