//! The parts of the load benchmark that the binaries share.
//!
//! Both ends of the wire run on the machine that is measured, so both are written to cost as little
//! as they can: one thread, epoll, one read and one write per request, replies computed beforehand.
//! [`upstream`] is the scripted provider, built on [`script`]; [`load`] and [`streams`] are the two
//! ways to put load on a target, built on [`request`] and [`reply`]. The driver `run.py` starts the
//! processes and compares them.

pub mod connection;
pub mod load;
pub mod poll;
pub mod reply;
pub mod request;
pub mod script;
pub mod streams;
pub mod upstream;

use std::net::SocketAddr;

/// Parses `ip:port` and refuses every address that is not a loopback address.
///
/// A load generator that a typing error points at somebody else's server does harm; this one
/// cannot. Host names are not accepted at all, so that no resolver turns one into a foreign
/// address.
///
/// # Errors
/// The text is not an address, or not a loopback address.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| {
        format!("`{text}` is not an address like 127.0.0.1:9000 (names are refused)")
    })?;
    if !address.ip().is_loopback() {
        return Err(format!("`{text}` is not a loopback address: only this machine may be loaded"));
    }
    Ok(address)
}

/// CPU time used so far by all threads of this process.
#[must_use]
pub fn process_cpu() -> std::time::Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::new(
        u64::try_from(spent.tv_sec).unwrap_or(0),
        u32::try_from(spent.tv_nsec).unwrap_or(0),
    )
}

/// Lets the process hold as many sockets as the machine allows: 1,000 connections on each side need
/// more than the usual 1,024.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // A refusal is not fatal: a run that needs more sockets says so when it opens them.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
}

#[cfg(test)]
mod tests {
    use super::loopback;

    #[test]
    fn only_loopback_addresses_are_accepted() {
        assert!(loopback("127.0.0.1:80").is_ok());
        assert!(loopback("[::1]:80").is_ok());
        for refused in
            ["10.0.0.1:80", "0.0.0.0:80", "api.openai.com:443", "localhost:80", "127.0.0.1"]
        {
            assert!(loopback(refused).is_err(), "{refused}");
        }
    }
}
