//! Where Redis is, and how it is used.

use std::time::Duration;

use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};

use crate::secret::Secret;

/// Where Redis is, and how it is used.
#[derive(Clone, Debug)]
pub struct RedisPlace {
    /// `redis://` or `rediss://` with everything in it; outranks the rest.
    pub url: Option<Secret>,
    pub host: Box<str>,
    pub port: u16,
    pub tls: bool,
    pub username: Option<Box<str>>,
    pub password: Option<Secret>,
    pub db: i64,
    /// What all keys begin with.
    pub namespace: Box<str>,
    /// The deadline of one operation.
    pub timeout: Duration,
}

impl RedisPlace {
    /// Whether it can be a place.
    ///
    /// # Errors
    /// Why not; without what is secret.
    pub fn check(&self) -> Result<(), String> {
        self.client().map(drop)
    }

    pub(super) fn client(&self) -> Result<Client, String> {
        // The text of the error may hold the URL, and with it the password.
        let unreadable = |_| "the URL of Redis cannot be read".to_owned();
        if let Some(url) = &self.url {
            return Client::open(url.expose()).map_err(unreadable);
        }
        let (host, port) = (self.host.to_string(), self.port);
        let address = match self.tls {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        };
        let mut settings = RedisConnectionInfo::default().set_db(self.db);
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.expose());
        }
        let info = address.into_connection_info().map_err(unreadable)?;
        Client::open(info.set_redis_settings(settings)).map_err(unreadable)
    }
}
