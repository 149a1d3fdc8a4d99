//! Where clients come in: the listening sockets, and how they pass from one process to the next.
//!
//! ```text
//! listen    addresses; sockets that are bound before anything else runs
//! settings  what the configuration says of all this
//! service   Pingora's listening service on them
//! door      a connection, from accept to the first byte of HTTP
//! proxy_protocol, forwarded   whose connection and whose request it is
//! connections                 how many
//! tls       the certificate, and its replacement
//! handover  a successor gets the sockets, and says when it serves
//! ending    that the process is to end, and why
//! ```
//!
//! Knows nothing of requests. The sockets are bound here and not by Pingora, which would report a
//! taken port by a panic in one of its threads, and would stop serving although the sockets could
//! not be passed on.

mod connections;
mod door;
mod ending;
mod forwarded;
pub mod handover;
mod listen;
mod proxy_protocol;
mod service;
mod settings;
mod tls;

pub use connections::Connections;
pub use door::{Door, SettingsNow, Shared};
pub use ending::{Ending, Lifecycle};
pub use forwarded::client;
pub use listen::{Address, ListenError, Socket, Sockets};
pub use service::Listening;
pub use settings::{Admission, Forwarded, Limits, ListenAt, Settings};
pub use tls::{Certificate, CertificateFiles};
