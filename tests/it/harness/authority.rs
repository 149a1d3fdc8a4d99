//! A certificate authority of the tests' own.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::gateway::Builder;

/// An authority that no system trusts.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Certified {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    /// A new authority.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("the system has randomness");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the parameters are sound");
        Self { issuer }
    }

    /// The authority's own certificate, PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The authority's own certificate, DER.
    pub fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// A certificate for this host name.
    pub fn certify(&self, host: &str) -> Certified {
        self.sign(params_for(host))
    }

    /// A certificate for this host name that was good once.
    pub fn certify_expired(&self, host: &str) -> Certified {
        let mut params = params_for(host);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Certified {
        let key = KeyPair::generate().expect("the system has randomness");
        let certificate =
            params.signed_by(&key, &self.issuer).expect("the authority signs what it is given");
        Certified { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Builder {
    /// Listens with a certificate for `localhost` of this authority.
    pub fn certified_by(self, authority: &Authority) -> Self {
        let Certified { certificate, key } = authority.certify("localhost");
        self.file("cert.pem", &certificate)
            .file("key.pem", &key)
            .general("ssl_certfile_path: cert.pem\nssl_keyfile_path: key.pem")
    }
}

fn params_for(host: &str) -> CertificateParams {
    CertificateParams::new([host.to_owned()]).expect("the test's host name is one")
}
