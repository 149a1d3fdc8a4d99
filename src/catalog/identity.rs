//! How a deployment proves who calls it, where that takes more than headers that never change.
//!
//! Plain data: what is written in the configuration. Credentials are made of it by `identity`, which
//! keeps one for everybody who has the same [`Identity`].

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

/// What a request to a deployment is given just before it is sent.
#[derive(Clone, Debug)]
pub struct Authorisation {
    pub identity: Arc<Identity>,
    pub scheme: Scheme,
}

impl Authorisation {
    /// Whether it is made of the request itself, and of the time.
    #[must_use]
    pub const fn is_signature(&self) -> bool {
        matches!(self.scheme, Scheme::SigV4 { .. })
    }
}

/// What is made of a credential for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer`, with an access token.
    Bearer,
    /// AWS Signature Version 4 over head and body.
    SigV4 { region: Box<str>, service: &'static str },
}

/// Who is calling, to a cloud.
pub struct Identity {
    pub source: Source,
    /// A hash of all that `source` says, its secrets included: the same where the same is written.
    pub digest: [u8; 32],
}

/// Where a credential comes from.
#[derive(Clone, Debug)]
pub enum Source {
    Aws(Aws),
    Google(Google),
    Entra(Entra),
}

/// An AWS principal.
#[derive(Clone, Debug, Default)]
pub struct Aws {
    /// Keys that are written; without them the usual chain is asked: environment, profile, SSO, web
    /// identity, container, instance.
    pub keys: Option<AwsKeys>,
    /// The profile of `~/.aws` that the chain begins with.
    pub profile: Option<Box<str>>,
    /// Taken on with what was found so far, or with the token.
    pub role: Option<AwsRole>,
    /// Of the calls to STS.
    pub region: Box<str>,
    pub sts_endpoint: Option<Box<str>>,
}

/// An access key; with a session token it is a temporary one.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    pub access_key_id: Box<str>,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
}

/// A role to assume.
#[derive(Clone, Debug)]
pub struct AwsRole {
    pub arn: Box<str>,
    pub session_name: Box<str>,
    pub external_id: Option<Box<str>>,
    /// With a token of another identity provider instead of AWS keys.
    pub web_identity: Option<WebIdentity>,
}

/// A token of an OpenID provider.
#[derive(Clone, Debug)]
pub enum WebIdentity {
    Token(Secret),
    /// A file that holds it, read whenever it is needed: somebody else keeps it fresh.
    File(Box<str>),
}

/// A Google principal, for the scope `cloud-platform`.
#[derive(Clone, Debug)]
pub enum Google {
    /// A key as Google hands it out: a service account, a user, or a federation.
    Json(Secret),
    /// The same in a file, read again for each credential.
    File(Box<str>),
    /// What the machine is, told by the metadata server.
    Metadata,
}

/// A service principal of Microsoft Entra ID.
#[derive(Clone, Debug)]
pub struct Entra {
    pub tenant: Box<str>,
    pub client_id: Box<str>,
    pub client_secret: Secret,
    /// `https://login.microsoftonline.com`, or that of a national cloud.
    pub authority: Box<str>,
    pub scope: Box<str>,
}

impl Identity {
    #[must_use]
    pub fn new(source: Source) -> Self {
        let mut hash = Sha256::new();
        for part in source.parts() {
            // The length keeps `ab` + `c` apart from `a` + `bc`, and nothing apart from empty.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            hash.update(length.to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        Self { digest: hash.finalize().into(), source }
    }

    /// The cloud, for messages.
    #[must_use]
    pub const fn cloud(&self) -> &'static str {
        match self.source {
            Source::Aws(_) => "AWS",
            Source::Google(_) => "Google Cloud",
            Source::Entra(_) => "Microsoft Entra ID",
        }
    }
}

/// With the digest: so that a change of a secret is seen without the secret.
impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        out.debug_struct("Identity").field("source", &self.source).field("digest", &digest).finish()
    }
}

impl Source {
    /// All that it says, in a fixed order.
    fn parts(&self) -> Vec<Option<&str>> {
        fn secret(secret: Option<&Secret>) -> Option<&str> {
            secret.map(Secret::expose)
        }
        match self {
            Self::Aws(Aws { keys, profile, role, region, sts_endpoint }) => {
                let keys = keys.as_ref();
                let role = role.as_ref();
                let web = role.and_then(|role| role.web_identity.as_ref());
                let (token, file) = match web {
                    Some(WebIdentity::Token(token)) => (Some(token.expose()), None),
                    Some(WebIdentity::File(path)) => (None, Some(&**path)),
                    None => (None, None),
                };
                vec![
                    Some("aws"),
                    keys.map(|keys| &*keys.access_key_id),
                    secret(keys.map(|keys| &keys.secret_access_key)),
                    secret(keys.and_then(|keys| keys.session_token.as_ref())),
                    profile.as_deref(),
                    role.map(|role| &*role.arn),
                    role.map(|role| &*role.session_name),
                    role.and_then(|role| role.external_id.as_deref()),
                    token,
                    file,
                    Some(region),
                    sts_endpoint.as_deref(),
                ]
            }
            Self::Google(Google::Json(json)) => vec![Some("google json"), Some(json.expose())],
            Self::Google(Google::File(path)) => vec![Some("google file"), Some(path)],
            Self::Google(Google::Metadata) => vec![Some("google metadata")],
            Self::Entra(Entra { tenant, client_id, client_secret, authority, scope }) => vec![
                Some("entra"),
                Some(tenant),
                Some(client_id),
                Some(client_secret.expose()),
                Some(authority),
                Some(scope),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entra(client_id: &str, secret: &str) -> Identity {
        Identity::new(Source::Entra(Entra {
            tenant: "t".into(),
            client_id: client_id.into(),
            client_secret: Secret::new(secret),
            authority: "https://login.microsoftonline.com".into(),
            scope: "s".into(),
        }))
    }

    #[test]
    fn identities_are_the_same_where_the_same_is_written() {
        assert_eq!(entra("a", "bc").digest, entra("a", "bc").digest);
        assert_ne!(entra("a", "bc").digest, entra("ab", "c").digest);
        assert_ne!(entra("a", "bc").digest, entra("a", "bd").digest, "a secret is part of it");
        let aws = |profile: Option<&str>| {
            let aws = Aws { profile: profile.map(Into::into), ..Aws::default() };
            Identity::new(Source::Aws(aws)).digest
        };
        assert_ne!(aws(None), aws(Some("")), "nothing is not an empty text");
    }

    #[test]
    fn a_secret_is_not_shown_but_its_change_is() {
        let (one, other) =
            (format!("{:?}", entra("a", "s3cret")), format!("{:?}", entra("a", "x")));
        assert!(!one.contains("s3cret"), "{one}");
        assert_ne!(one, other);
    }
}
