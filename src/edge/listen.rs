//! Addresses to listen on, and the sockets that do.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Port zero picks a free one.
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A socket cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct ListenError {
    pub address: Address,
    pub cause: io::Error,
}

impl Address {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Connects and closes again: who accepts notices.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn knock(&self) -> io::Result<()> {
        match self {
            Self::Tcp(address) => {
                let mut address = *address;
                // Everywhere is not a place one can go to.
                if address.ip().is_unspecified() {
                    address.set_ip(match address {
                        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                        SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
                    });
                }
                TcpStream::connect(address).map(drop)
            }
            Self::Unix(path) => UnixStream::connect(path).map(drop),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err(format!("`{text}` is not an address: a socket has a whole path")),
            };
        }
        let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let address = local.as_deref().unwrap_or(text).parse();
        address.map(Self::Tcp).map_err(|_| {
            format!("`{text}` is not an address: write `127.0.0.1:4000` or `unix:/run/x.sock`")
        })
    }
}

/// One listening socket.
#[derive(Debug)]
pub struct Socket {
    /// As it was asked for: by this, a successor finds it again.
    pub wanted: Address,
    /// Where it listens indeed.
    pub address: Address,
    fd: OwnedFd,
}

impl Socket {
    /// Binds and listens. From then on clients can connect; they wait until somebody accepts.
    fn bind(wanted: &Address) -> io::Result<Self> {
        let (fd, address) = match wanted {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let bound = Address::Tcp(listener.local_addr()?);
                (OwnedFd::from(listener), bound)
            }
            Address::Unix(path) => {
                clear(path)?;
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                (OwnedFd::from(listener), wanted.clone())
            }
        };
        Ok(Self { wanted: wanted.clone(), address, fd })
    }

    /// One that another process has bound.
    ///
    /// # Errors
    /// It is not a listening socket.
    pub fn inherited(wanted: Address, fd: OwnedFd) -> io::Result<Self> {
        let address = match &wanted {
            Address::Tcp(_) => {
                let listener = TcpListener::from(fd.try_clone()?);
                Address::Tcp(listener.local_addr()?)
            }
            Address::Unix(_) => wanted.clone(),
        };
        Ok(Self { wanted, address, fd })
    }

    /// The same socket once more.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn again(&self) -> io::Result<Self> {
        let (wanted, address) = (self.wanted.clone(), self.address.clone());
        Ok(Self { wanted, address, fd: self.fd.try_clone()? })
    }

    /// The descriptor once more, for one who closes it.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn to_raw(&self) -> io::Result<RawFd> {
        self.fd.try_clone().map(IntoRawFd::into_raw_fd)
    }

    /// The descriptor once more.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn to_owned_fd(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes away the socket that a process has left behind; one that is in use stays.
fn clear(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// The sockets of a process.
#[derive(Debug, Default)]
pub struct Sockets(pub Vec<Socket>);

impl Sockets {
    /// The socket for an address: an inherited one, which is taken out, or a new one.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn take_or_bind(&mut self, wanted: &Address) -> Result<Socket, ListenError> {
        let inherited = self.0.iter().position(|socket| socket.wanted == *wanted);
        match inherited {
            Some(at) => Ok(self.0.swap_remove(at)),
            None => {
                Socket::bind(wanted).map_err(|cause| ListenError { address: wanted.clone(), cause })
            }
        }
    }

    /// Makes a control socket: only this process's user can connect to it.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn take_or_bind_private(&mut self, path: &Path) -> Result<Socket, ListenError> {
        let address = Address::Unix(path.to_path_buf());
        let socket = self.take_or_bind(&address)?;
        let private = fs::Permissions::from_mode(0o600);
        match fs::set_permissions(path, private) {
            Ok(()) => Ok(socket),
            Err(cause) => Err(ListenError { address, cause }),
        }
    }

    /// Removes what Unix sockets leave in the file system; for the last process that listens.
    pub fn unlink(&self) {
        for socket in &self.0 {
            if let Address::Unix(path) = &socket.address {
                // Somebody may have tidied up before.
                fs::remove_file(path).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        for text in ["127.0.0.1:4000", "[::1]:443", "0.0.0.0:0", "unix:/run/tollgate.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let local: Address = "localhost:80".parse().unwrap();
        assert_eq!(local.to_string(), "127.0.0.1:80");
        assert_eq!("unix:///a".parse::<Address>().unwrap(), "unix:/a".parse().unwrap());
        for wrong in ["", "4000", "gateway:80", "127.0.0.1", "unix:", "unix:relative"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let address = Address::Unix(path.clone());
        let first = Socket::bind(&address).unwrap();
        assert_eq!(Socket::bind(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(path.exists());
        drop(Socket::bind(&address).unwrap());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert_eq!(Socket::bind(&address).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn what_is_inherited_is_found_by_what_was_asked_for() {
        let wanted: Address = "127.0.0.1:0".parse().unwrap();
        let bound = Socket::bind(&wanted).unwrap();
        let inherited = Socket::inherited(wanted.clone(), bound.to_owned_fd().unwrap()).unwrap();
        assert_eq!(inherited.address, bound.address);
        let mut sockets = Sockets(vec![inherited]);
        assert_eq!(sockets.take_or_bind(&wanted).unwrap().address, bound.address);
        assert_ne!(sockets.take_or_bind(&wanted).unwrap().address, bound.address, "a new one");
    }
}
