//! What the configuration says of the edge.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::listen::Address;

/// How clients reach the gateway, and how the process is operated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen, if the command line does not say so.
    pub listen: Vec<ListenAt>,
    pub forwarded: Forwarded,
    pub limits: Limits,
    pub admission: Admission,
    /// Read the configuration again when its files change.
    pub reload_on_change: bool,
    /// How long requests in flight may go on in the old process after an upgrade.
    pub upgrade_drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            forwarded: Forwarded::default(),
            limits: Limits::default(),
            admission: Admission::default(),
            reload_on_change: false,
            upgrade_drain_timeout: Duration::from_secs(6_000),
        }
    }
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAt {
    pub address: Address,
    /// Each connection begins with the PROXY protocol.
    pub proxy_protocol: bool,
    /// No TLS, although there is a certificate.
    pub plain: bool,
    /// For the operator: every page and no inference. The other listeners then have no pages for
    /// operators.
    pub admin: bool,
    /// The mode of a Unix socket's file.
    pub mode: Option<u32>,
}

impl ListenAt {
    /// An ordinary listener.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self { address, proxy_protocol: false, plain: false, admin: false, mode: None }
    }
}

/// `ADDRESS [proxy_protocol] [plain] [admin] [mode=0660]`.
impl FromStr for ListenAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let mut at = Self::new(words.next().unwrap_or_default().parse()?);
        for word in words {
            match word {
                "proxy_protocol" => at.proxy_protocol = true,
                "plain" => at.plain = true,
                "admin" => at.admin = true,
                _ => {
                    let mode = word.strip_prefix("mode=").filter(|_| at.is_unix());
                    let mode = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok());
                    at.mode = Some(mode.filter(|mode| *mode <= 0o777).ok_or_else(|| {
                        format!(
                            "`{word}` is no property of a listener: after the address come \
                             `proxy_protocol`, `plain`, `admin` and, for Unix sockets, `mode=0660`"
                        )
                    })?);
                }
            }
        }
        Ok(at)
    }
}

impl ListenAt {
    /// Whether TLS is spoken here, if there is a certificate.
    pub(super) fn speaks_tls(&self) -> bool {
        !self.plain && !self.is_unix()
    }

    fn is_unix(&self) -> bool {
        matches!(self.address, Address::Unix(_))
    }
}

/// Whose word on the client's address is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// `X-Forwarded-For` is read.
    pub use_x_forwarded_for: bool,
    /// The proxies in front. Empty: whoever connects is one.
    pub trusted: Vec<IpNet>,
}

impl Forwarded {
    /// Whether this is one of our own proxies. A Unix socket has no address, and is one.
    #[must_use]
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        // An IPv4 client of a listener for both has an address that looks like IPv6.
        let peer = peer.map(|peer| peer.to_canonical());
        peer.is_none_or(|peer| {
            self.trusted.is_empty() || self.trusted.iter().any(|range| range.contains(&peer))
        })
    }
}

/// Bounds of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections, over all clients.
    pub max_connections: Option<usize>,
    /// Open connections of one address.
    pub max_connections_per_client: Option<usize>,
    /// How long a connection may be open without a request.
    pub keepalive_timeout: Duration,
    /// Requests in flight on one connection of HTTP/2, as it is told at its start.
    pub http2_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: None,
            max_connections_per_client: None,
            keepalive_timeout: Duration::from_secs(75),
            http2_streams: 100,
        }
    }
}

/// Overload: how many requests are worked on, and how many wait for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Inference requests in flight; `None` for no bound.
    pub max_in_flight: Option<usize>,
    /// How many more wait.
    pub max_queued: usize,
    /// How long they do.
    pub queue_timeout: Duration,
}

impl Default for Admission {
    fn default() -> Self {
        Self { max_in_flight: None, max_queued: 100, queue_timeout: Duration::from_secs(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_an_address_with_properties() {
        let at: ListenAt = "127.0.0.1:9090 admin plain".parse().unwrap();
        assert!(at.admin && at.plain && !at.proxy_protocol);
        let at: ListenAt = "unix:/run/t.sock  mode=0660 proxy_protocol".parse().unwrap();
        assert_eq!((at.mode, at.proxy_protocol), (Some(0o660), true));
        for wrong in ["", "1.2.3.4:5 tls", "1.2.3.4:5 mode=0660", "unix:/x mode=888", "x admin"] {
            assert!(wrong.parse::<ListenAt>().is_err(), "{wrong}");
        }
    }
}
