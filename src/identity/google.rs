//! Tokens of Google for the scope `cloud-platform`.
//!
//! Google's own library fetches them and signs. Only a service account's assertion is made and
//! exchanged here: the library would send its own signature as the token and never ask the
//! endpoint that the key names.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use google_cloud_auth::credentials::{
    AccessTokenCredentials, external_account, impersonated, mds, service_account, user_account,
};
use google_cloud_auth::signer::Signer;
use serde_json::{Value, json};

use super::fresh::Fresh;
use super::http::Client;
use super::oauth;
use crate::catalog::Google;
use crate::outbound::causes;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How long an assertion holds, in seconds: Google takes an hour at most.
const ASSERTION_LIFE: u64 = 3600;

/// How long a token of the library is believed. It keeps tokens itself and gives out none that is
/// about to end, so that asking again costs nothing.
const BELIEVED: Duration = Duration::from_secs(60);

/// A source with what it remembers.
pub(super) struct Fetching<'a> {
    source: &'a Google,
    /// What was made of the key, and the key.
    made: Option<(String, Made)>,
}

enum Made {
    ServiceAccount(Box<ServiceAccount>),
    Library(AccessTokenCredentials),
}

struct ServiceAccount {
    signer: Signer,
    /// The assertion's header, encoded.
    header: String,
    email: String,
    token_uri: String,
}

impl<'a> Fetching<'a> {
    pub(super) fn of(source: &'a Google) -> Self {
        Self { source, made: None }
    }

    pub(super) async fn fetch(&mut self, client: &Client) -> Result<Fresh, String> {
        let key = match self.source {
            Google::Json(json) => json.expose().to_owned(),
            Google::File(path) => tokio::fs::read_to_string(&**path)
                .await
                .map_err(|error| format!("cannot read the file of the key: {error}"))?,
            Google::Metadata => String::new(),
        };
        if self.made.as_ref().is_none_or(|(known, _)| *known != key) {
            let made = match self.source {
                Google::Metadata => Made::Library(
                    mds::Builder::default()
                        .with_scopes([SCOPE])
                        .build_access_token_credentials()
                        .map_err(|error| causes(&error))?,
                ),
                Google::Json(_) | Google::File(_) => Made::of(&key)?,
            };
            self.made = Some((key, made));
        }
        let fetched = match &self.made {
            Some((_, Made::ServiceAccount(account))) => account.token(client).await,
            Some((_, Made::Library(library))) => match library.access_token().await {
                Ok(token) => Fresh::bearer(&token.token, BELIEVED),
                Err(error) => Err(causes(&error)),
            },
            None => Err("no key is known".to_owned()),
        };
        if fetched.is_err() {
            // After an error that lasts the library does not try again by itself.
            self.made = None;
        }
        fetched
    }
}

impl Made {
    fn of(key: &str) -> Result<Self, String> {
        let json: Value =
            serde_json::from_str(key).map_err(|_| "the key is not JSON".to_owned())?;
        let library = match json.get("type").and_then(Value::as_str) {
            Some("service_account") => {
                return ServiceAccount::of(json).map(Box::new).map(Self::ServiceAccount);
            }
            Some("authorized_user") => {
                user_account::Builder::new(json).build_access_token_credentials()
            }
            Some("external_account") => external_account::Builder::new(json)
                .with_scopes([SCOPE])
                .build_access_token_credentials(),
            Some("impersonated_service_account") => impersonated::Builder::new(json)
                .with_scopes([SCOPE])
                .build_access_token_credentials(),
            Some(other) => return Err(format!("keys of the type `{other}` are not known")),
            None => return Err("the key has no `type`".to_owned()),
        };
        library.map(Self::Library).map_err(|error| causes(&error))
    }
}

impl ServiceAccount {
    fn of(json: Value) -> Result<Self, String> {
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = text("private_key_id") {
            header["kid"] = id.into();
        }
        let email = text("client_email").ok_or("the key has no `client_email`")?;
        let token_uri = text("token_uri").unwrap_or_else(|| TOKEN_URI.to_owned());
        let signer = service_account::Builder::new(json).build_signer();
        let signer = signer.map_err(|error| causes(&error))?;
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        Ok(Self { signer, header, email, token_uri })
    }

    async fn token(&self, client: &Client) -> Result<Fresh, String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = now.as_secs();
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + ASSERTION_LIFE,
        });
        let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
        let signed = format!("{}.{claims}", self.header);
        let signature = self.signer.sign(&signed).await;
        let signature = signature.map_err(|_| "the private key cannot sign".to_owned())?;
        let assertion = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        let form = [("grant_type", GRANT), ("assertion", assertion.as_str())];
        oauth::token(client, &self.token_uri, &form).await
    }
}
