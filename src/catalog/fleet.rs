//! Several addresses of one deployment, and how its health is checked.

use std::time::Duration;

use http::HeaderValue;

/// Servers that are called alike (`api_base` as a list).
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// In the order written; at least two.
    pub servers: Vec<Server>,
    pub balance: Balance,
}

/// One of the servers. What is not here is the same for all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub host: Box<str>,
    pub port: u16,
    pub authority: HeaderValue,
    /// Its share of the requests, above zero.
    pub weight: f64,
}

/// The choice among the servers that are well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The fewest exchanges in flight for its weight.
    LeastConnections,
    /// Requests that begin alike go to the same member, so that its prompt cache is hit. When a
    /// member leaves, only its own requests move.
    ConsistentHash,
}

/// How a deployment is checked without traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    pub kind: CheckKind,
    pub timeout: Duration,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CheckKind {
    /// Opens a connection to every address.
    Tcp,
    /// Asks every address for a path.
    Http {
        path: Box<str>,
        /// Any 2xx if `None`.
        status: Option<u16>,
    },
    /// A real call for one token, which costs money.
    Call {
        /// Instead of the deployment's own model.
        model: Option<Box<str>>,
    },
}
