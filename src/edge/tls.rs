//! The certificate that clients are shown, and its replacement while they come and go.

use std::fmt::Display;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora_core::listeners::tls::Acceptor;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What is offered to clients, the preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Two PEM files: the certificate with its chain, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: Box<str>,
    pub key: Box<str>,
}

/// The certificate in force. A handshake uses the one of the moment in which it begins.
pub struct Certificate {
    in_force: ArcSwap<Loaded>,
    /// The files that the command line names; they outrank the configuration's.
    fixed: Option<CertificateFiles>,
}

/// A certificate that can be used.
pub struct Loaded {
    acceptor: Acceptor,
    /// Of what is in the files.
    hash: u64,
}

impl Certificate {
    /// Reads the files. `fixed` if no configuration can name others.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn read(files: &CertificateFiles, fixed: bool) -> Result<Self, String> {
        let in_force = ArcSwap::from_pointee(Loaded::read(files)?);
        Ok(Self { in_force, fixed: fixed.then(|| files.clone()) })
    }

    /// Reads the files again, or those that the configuration names now.
    ///
    /// # Errors
    /// What is wrong with which file; nothing is changed.
    pub fn read_again(&self, files: Option<&CertificateFiles>) -> Result<Loaded, String> {
        match self.fixed.as_ref().or(files) {
            Some(files) => Loaded::read(files),
            None => Err("the listener speaks TLS, and no certificate is named".to_owned()),
        }
    }

    /// Puts a certificate in force. Returns whether it is another one than before.
    pub fn replace(&self, new: Loaded) -> bool {
        let changed = new.hash != self.in_force.load().hash;
        if changed {
            self.in_force.store(Arc::new(new));
        }
        changed
    }

    /// The one in force.
    #[must_use]
    pub fn current(&self) -> Arc<Loaded> {
        self.in_force.load_full()
    }
}

impl Loaded {
    fn read(files: &CertificateFiles) -> Result<Self, String> {
        let CertificateFiles { certificate, key } = files;
        let unread = |path: &str, error: &dyn Display| format!("{path}: {error}");
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&**certificate)
            .map_err(|error| unread(certificate, &error))?
            .collect();
        let chain = chain.map_err(|error| unread(certificate, &error))?;
        if chain.is_empty() {
            return Err(unread(certificate, &"it holds no certificate"));
        }
        let private = PrivateKeyDer::from_pem_file(&**key).map_err(|error| unread(key, &error))?;
        let mut hasher = DefaultHasher::new();
        chain.iter().for_each(|part| part.as_ref().hash(&mut hasher));
        private.secret_der().hash(&mut hasher);
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|error| format!("{certificate} with {key}: {error}"))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        let acceptor = Acceptor::from_server_config(Arc::new(config));
        Ok(Self { acceptor, hash: hasher.finish() })
    }

    /// Where a connection becomes one with TLS.
    #[must_use]
    pub fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }
}
