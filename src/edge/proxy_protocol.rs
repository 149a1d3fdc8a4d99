//! The PROXY protocol, versions 1 and 2: a load balancer that passes bytes on says first whose they
//! are.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;

use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::{GetSocketDigest as _, SocketDigest};
use ppp::{HeaderResult, PartialResult as _, v1, v2};
use tokio::io::AsyncReadExt as _;

/// The longest header: 16 bytes, addresses, and as much of further facts (TLS names, ids) as load
/// balancers send.
const HEADER_BYTES_MAX: usize = 4096;

/// Reads the header and lets the stream say that it comes from the client. What follows the header
/// stays in the stream.
///
/// # Errors
/// The bytes are no such header, or the connection ended.
pub(super) async fn accept(stream: &mut Stream) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(256);
    loop {
        let mut part = [0; 1024];
        let count = stream.read(&mut part).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(part.get(..count).unwrap_or_default());
        let header = HeaderResult::parse(&bytes);
        if header.is_incomplete() && bytes.len() < HEADER_BYTES_MAX {
            continue;
        }
        let (length, client) = understand(&header).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "it does not begin with the PROXY protocol")
        })?;
        stream.rewind(bytes.get(length..).unwrap_or_default());
        if let Some(client) = client {
            let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
            // A new cell is empty.
            digest.peer_addr.set(Some(PeerAddr::Inet(client))).ok();
            stream.set_socket_digest(digest);
        }
        return Ok(());
    }
}

/// The length of the header and the client that it names. A load balancer that checks our health
/// speaks for itself and names none.
fn understand(header: &HeaderResult<'_>) -> Option<(usize, Option<SocketAddr>)> {
    match header {
        HeaderResult::V1(Ok(header)) => {
            let client = match header.addresses {
                v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
                v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
                v1::Addresses::Unknown => None,
            };
            Some((header.header.len(), client))
        }
        HeaderResult::V2(Ok(header)) => {
            let client = match (header.command, header.addresses) {
                (v2::Command::Local, _) => None,
                (_, v2::Addresses::IPv4(ip)) => Some((ip.source_address, ip.source_port).into()),
                (_, v2::Addresses::IPv6(ip)) => Some((ip.source_address, ip.source_port).into()),
                (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
            };
            Some((header.len(), client))
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Option<(usize, Option<String>)> {
        let (length, client) = understand(&HeaderResult::parse(bytes))?;
        Some((length, client.map(|client| client.to_string())))
    }

    #[test]
    fn both_versions_are_understood() {
        let client = Some("203.0.113.7:4711".to_owned());
        let text = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(found(text), Some((42, client.clone())));
        let six = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n";
        assert_eq!(found(six), Some((six.len(), Some("[2001:db8::1]:1".to_owned()))));
        assert_eq!(found(b"PROXY UNKNOWN\r\n"), Some((15, None)));

        let start = b"\r\n\r\n\0\r\nQUIT\n";
        let rest = [0x21, 0x11, 0, 12, 203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 187];
        let binary = [&start[..], &rest, b"GET"].concat();
        assert_eq!(found(&binary), Some((28, client)));
        let local = [&start[..], &[0x20, 0, 0, 0]].concat();
        assert_eq!(found(&local), Some((16, None)));
    }

    #[test]
    fn other_bytes_are_not() {
        assert_eq!(found(b"GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(found(b"PROXY TCP4 here there 1 2\r\n"), None);
        assert!(HeaderResult::parse(b"PROXY TCP4 203.0").is_incomplete());
    }
}
