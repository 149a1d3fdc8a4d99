//! Credentials of AWS: keys that are written, else the usual chain; then the role, if there is one.

use std::time::{Instant, SystemTime};

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;

use super::fresh::{Credential, Fresh};
use super::http::Client;
use crate::catalog::{Aws, AwsRole, WebIdentity};
use crate::outbound::causes;

/// Shown by AWS's code where it says which provider a credential came from.
const WRITTEN: &str = "configuration";

pub(super) async fn fetch(aws: &Aws, client: &Client) -> Result<Fresh, String> {
    let credentials = match &aws.role {
        None => match written(aws) {
            Some(credentials) => credentials,
            None => provided(&chain(aws, client).await).await?,
        },
        Some(AwsRole { web_identity: Some(token), arn, session_name, .. }) => {
            with_token(aws, client, arn, session_name, token).await?
        }
        Some(role) => assumed(aws, client, role).await?,
    };
    // A time of the system's clock becomes one that cannot be set back.
    let expires = credentials.expiry().map(|expiry| {
        let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
        Instant::now() + left
    });
    Ok(Fresh { credential: Credential::Aws(credentials.into()), expires })
}

fn written(aws: &Aws) -> Option<Credentials> {
    let keys = aws.keys.as_ref()?;
    let session = keys.session_token.as_ref().map(|token| token.expose().to_owned());
    let secret = keys.secret_access_key.expose();
    Some(Credentials::new(&*keys.access_key_id, secret, session, None, WRITTEN))
}

/// What is known without asking: region, client, keys, and where STS is.
async fn chain(aws: &Aws, client: &Client) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(client.for_aws())
        .region(Region::new(aws.region.to_string()));
    match (written(aws), &aws.profile) {
        (Some(keys), _) => loader = loader.credentials_provider(keys),
        // The chain would look at the variables before it, even where it is named.
        (None, Some(profile)) => {
            let config = ProviderConfig::without_region()
                .with_region(Some(Region::new(aws.region.to_string())))
                .with_http_client(client.for_aws());
            let profile = ProfileFileCredentialsProvider::builder().profile_name(&**profile);
            loader = loader.credentials_provider(profile.configure(&config).build());
        }
        (None, None) => {}
    }
    loader.load().await
}

/// The same for calls of STS.
fn for_sts(config: SdkConfig, aws: &Aws) -> SdkConfig {
    match &aws.sts_endpoint {
        Some(endpoint) => config.into_builder().endpoint_url(&**endpoint).build(),
        None => config,
    }
}

async fn provided(config: &SdkConfig) -> Result<Credentials, String> {
    let provider = config.credentials_provider().ok_or("no source of credentials is known")?;
    credentials(&provider).await
}

async fn credentials(provider: &impl ProvideCredentials) -> Result<Credentials, String> {
    provider.provide_credentials().await.map_err(|error| causes(&error))
}

async fn assumed(aws: &Aws, client: &Client, role: &AwsRole) -> Result<Credentials, String> {
    let config = chain(aws, client).await;
    let base = config.credentials_provider().ok_or("no source of credentials is known")?;
    let mut builder = AssumeRoleProvider::builder(&*role.arn)
        .session_name(&*role.session_name)
        .configure(&for_sts(config, aws));
    if let Some(id) = &role.external_id {
        builder = builder.external_id(&**id);
    }
    credentials(&builder.build_from_provider(base).await).await
}

async fn with_token(
    aws: &Aws,
    client: &Client,
    arn: &str,
    session_name: &str,
    token: &WebIdentity,
) -> Result<Credentials, String> {
    let token = match token {
        WebIdentity::Token(token) => token.expose().to_owned(),
        WebIdentity::File(path) => tokio::fs::read_to_string(&**path)
            .await
            .map_err(|error| format!("cannot read the file of the token: {error}"))?,
    };
    // The call is not signed; nothing of the chain is asked.
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(client.for_aws())
        .region(Region::new(aws.region.to_string()))
        .build();
    let sts = aws_sdk_sts::Client::new(&for_sts(config, aws));
    let answer = sts
        .assume_role_with_web_identity()
        .role_arn(arn)
        .role_session_name(session_name)
        .web_identity_token(token.trim())
        .send()
        .await
        .map_err(|error| format!("STS: {}", causes(&error)))?;
    let given = answer.credentials().ok_or("STS answered without credentials")?;
    let expiry = SystemTime::try_from(*given.expiration()).ok();
    let session = Some(given.session_token().to_owned());
    let (id, secret) = (given.access_key_id(), given.secret_access_key());
    Ok(Credentials::new(id, secret, session, expiry, WRITTEN))
}
