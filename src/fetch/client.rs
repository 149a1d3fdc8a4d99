//! The HTTP client that follows clients' addresses: see the rules in the module above.
//!
//! Connections are not kept. Several runtimes serve requests, and a kept connection would belong to
//! the one that opened it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, Url};

use super::address::is_public;
use super::{Fetched, Unfetched, kind};
use crate::outbound::{self, CONNECT_MAX, Unread, chain};
use crate::snapshot::Fetching;

/// How many redirects are followed.
pub(super) const REDIRECTS_MAX: usize = 3;

/// Two clients, by what names may lead to.
#[derive(Debug)]
pub(super) struct Clients {
    public: Client,
    /// For hosts that the operator vouches for.
    any: Client,
}

impl Clients {
    /// `None`: the system has no usable authorities.
    pub(super) fn new() -> Option<Self> {
        let builder = || outbound::client().no_proxy().referer(false).pool_max_idle_per_host(0);
        let public = builder().dns_resolver(Arc::new(PublicOnly)).build().ok()?;
        Some(Self { public, any: builder().build().ok()? })
    }

    pub(super) async fn get(&self, url: &str, policy: &Fetching) -> Result<Fetched, Unfetched> {
        let mut url: Url = url.parse().map_err(|_| Unfetched::Malformed)?;
        for _ in 0..=REDIRECTS_MAX {
            let client = self.for_address(&url, policy)?;
            let mut answer =
                client.get(url.clone()).send().await.map_err(|error| reason(&error))?;
            let status = answer.status();
            let location =
                answer.headers().get(header::LOCATION).filter(|_| status.is_redirection());
            if let Some(location) = location {
                let location = location.to_str().map_err(|_| Unfetched::Malformed)?;
                url = url.join(location).map_err(|_| Unfetched::Malformed)?;
                continue;
            }
            if !status.is_success() {
                return Err(Unfetched::Status(status.as_u16()));
            }
            let written = answer.headers().get(header::CONTENT_TYPE).cloned();
            let bytes = read(&mut answer, policy.max_bytes).await?;
            let written = written.as_ref().and_then(|written| written.to_str().ok());
            return Ok(Fetched { media_type: kind::media_type(written, &bytes), bytes });
        }
        Err(Unfetched::Redirects)
    }

    /// The client that may go to an address.
    fn for_address(&self, url: &Url, policy: &Fetching) -> Result<&Client, Unfetched> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Unfetched::Scheme);
        }
        let host = url.host_str().ok_or(Unfetched::Malformed)?;
        if !policy.validates || is_vouched_for(url, host, policy) {
            return Ok(&self.any);
        }
        // A host that is an address already is not looked up.
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) if !is_public(address) => Err(Unfetched::Private),
            _ => Ok(&self.public),
        }
    }
}

/// Whether a host is in the operator's list: alone, or with its port.
fn is_vouched_for(url: &Url, host: &str, policy: &Fetching) -> bool {
    let port = url.port_or_known_default().unwrap_or_default();
    let with_port = format!("{host}:{port}");
    policy.allowed_hosts.iter().any(|entry| {
        [host, host.trim_matches(['[', ']']), &with_port]
            .iter()
            .any(|name| entry.eq_ignore_ascii_case(name))
    })
}

async fn read(answer: &mut Response, max: usize) -> Result<Bytes, Unfetched> {
    match outbound::read(answer, max).await {
        Ok(bytes) if bytes.is_empty() => Err(Unfetched::Empty),
        Ok(bytes) => Ok(bytes),
        Err(Unread::TooLarge) => Err(Unfetched::TooLarge(max)),
        Err(Unread::Broken(error)) => Err(reason(&error)),
    }
}

fn reason(error: &reqwest::Error) -> Unfetched {
    if let Some(told) = chain(error).find_map(|cause| cause.downcast_ref::<Unfetched>()) {
        return told.clone();
    }
    if error.is_timeout() {
        Unfetched::TimedOut(CONNECT_MAX)
    } else if error.is_connect() {
        Unfetched::Unreachable
    } else {
        Unfetched::Broken
    }
}

/// The system's resolver, without what is not public.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> = found.map_err(|_| Unfetched::UnknownHost)?.collect();
            if found.is_empty() {
                return Err(Unfetched::UnknownHost.into());
            }
            let public: Vec<_> =
                found.into_iter().filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Unfetched::Private.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}
