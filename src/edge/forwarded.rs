//! Who the client is behind proxies: `X-Forwarded-For`.
//!
//! Each proxy appends the address that it was called from, so what stands on the right is the word
//! of the nearest one. From there, addresses of our own proxies are passed over; the first one that
//! is not ours is the client. What stands left of it anybody may have written.

use std::net::{IpAddr, SocketAddr};

use super::settings::Forwarded;

/// The client of a request: its peer, or whom a trusted peer names. `lines` are the values of the
/// header, in the order in which they came.
pub fn client<'a>(
    settings: &Forwarded,
    peer: Option<IpAddr>,
    lines: impl DoubleEndedIterator<Item = &'a str>,
) -> Option<IpAddr> {
    if !settings.use_x_forwarded_for || !settings.trusts(peer) {
        return peer;
    }
    let mut found = peer;
    for entry in lines.rev().flat_map(|line| line.rsplit(',')) {
        // Beyond what cannot be read nothing is known.
        let Some(address) = read(entry.trim()) else { break };
        found = Some(address);
        // Without a list, only who is connected is known to be a proxy.
        if settings.trusted.is_empty() || !settings.trusts(found) {
            break;
        }
    }
    found
}

/// An address; some proxies add the port, or brackets.
fn read(entry: &str) -> Option<IpAddr> {
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok().or_else(|| {
        let with_port: Option<SocketAddr> = entry.parse().ok();
        with_port.map(|address| address.ip())
    });
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(trusted: &[&str], peer: &str, lines: &[&str]) -> String {
        let trusted = trusted.iter().map(|range| range.parse().unwrap()).collect();
        let settings = Forwarded { use_x_forwarded_for: true, trusted };
        let peer = peer.parse().ok();
        client(&settings, peer, lines.iter().copied())
            .map_or_else(|| "-".to_owned(), |ip| ip.to_string())
    }

    #[test]
    fn the_rightmost_address_that_is_not_ours_is_the_client() {
        let ours = ["10.0.0.0/8", "fd00::/8"];
        for (peer, lines, client) in [
            ("10.0.0.1", &["203.0.113.7"][..], "203.0.113.7"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.7, 10.9.9.9"], "203.0.113.7"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.7", "10.9.9.9"], "203.0.113.7"),
            ("10.0.0.1", &["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
            ("10.0.0.1", &["unknown, 10.3.3.3"], "10.3.3.3"),
            ("10.0.0.1", &["203.0.113.7:4711"], "203.0.113.7"),
            ("fd00::1", &["[2001:db8::1]:80, ::ffff:10.1.1.1"], "2001:db8::1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["", "nonsense"], "10.0.0.1"),
            ("203.0.113.9", &["1.1.1.1"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("-", &["1.1.1.1, 10.0.0.1"], "1.1.1.1"),
        ] {
            assert_eq!(found(&ours, peer, lines), client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn without_a_list_only_the_nearest_word_counts() {
        assert_eq!(found(&[], "10.0.0.1", &["1.1.1.1, 203.0.113.7"]), "203.0.113.7");
    }

    #[test]
    fn without_the_setting_nobody_is_believed() {
        let peer = "10.0.0.1".parse().ok();
        assert_eq!(client(&Forwarded::default(), peer, ["1.1.1.1"].into_iter()), peer);
    }
}
