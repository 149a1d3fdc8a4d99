//! A Pingora proxy that does nothing: `empty-pingora LISTEN UPSTREAM THREADS`. It is what Pingora's
//! own pipeline costs, the baseline for a gateway that is built on Pingora.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};
use tollgate_load::{loopback, raise_file_limit};

// The allocator of the gateway, so that a difference between the two is not the allocator's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Empty {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Empty {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut Self::CTX,
    ) -> pingora_core::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, threads] = arguments.as_slice() else {
        return Err(io::Error::other("usage: empty-pingora LISTEN UPSTREAM THREADS"));
    };
    let listen = loopback(listen).map_err(io::Error::other)?;
    let upstream = loopback(upstream).map_err(io::Error::other)?;
    let threads = threads.parse().map_err(io::Error::other)?;
    raise_file_limit();
    let configuration = ServerConf {
        threads,
        // As many idle connections as there are clients, so that none is opened per request.
        upstream_keepalive_pool_size: 2_048,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Empty { upstream });
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    server.run_forever();
}
