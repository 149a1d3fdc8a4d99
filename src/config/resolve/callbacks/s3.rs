//! `s3_callback_params`: the bucket, and who writes to it.

use std::sync::Arc;

use super::{Context, Sections, Variables, is_url};
use crate::callbacks::{Bucket, Target};
use crate::catalog::{Authorisation, Aws, AwsKeys, AwsRole, Identity, Scheme, Source};
use crate::config::options::S3_PARAMS;
use crate::config::problem::{Finding, Spot};
use crate::config::resolve::clouds;
use crate::config::section::{At, Section};
use crate::secret::Secret;

const REGIONS: [&str; 3] = ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"];

/// What is written.
pub(super) struct Written {
    bucket: Option<Box<str>>,
    region: Option<Box<str>>,
    endpoint: Option<Box<str>>,
    path: Box<str>,
    is_in_host: bool,
    team_prefix: bool,
    key_prefix: bool,
    aws: Aws,
}

impl Written {
    pub(super) fn read(sections: &mut Sections<'_>, context: &Context<'_>) -> Self {
        let mut params = sections.litellm.section("s3_callback_params", &S3_PARAMS);
        let boxed = |at: At<&str>| -> Box<str> { at.value.into() };
        let endpoint = params.text("s3_endpoint_url");
        if let Some(at) = endpoint.filter(|at| !is_url(at.value)) {
            let message = "`s3_endpoint_url` is no address";
            let help = "write `https://host:port`";
            context.problems.push(Finding::error(at.spot, message).help(help));
        }
        let path = params.text("s3_path").map(|at| at.value.trim_matches('/').into());
        let is = |at: Option<At<bool>>| at.is_some_and(|at| at.value);
        let written = Self {
            bucket: params.text("s3_bucket_name").map(boxed),
            region: params.text("s3_region_name").map(boxed),
            endpoint: endpoint.map(|at| at.value.trim_end_matches('/').into()),
            path: path.unwrap_or_default(),
            is_in_host: is(params.flag("s3_use_virtual_hosted_style")),
            team_prefix: is(params.flag("s3_use_team_prefix")),
            key_prefix: is(params.flag("s3_use_key_prefix")),
            aws: aws(&mut params, context),
        };
        params.finish();
        written
    }

    pub(super) fn target(&self, name: &str, spot: Spot, var: &Variables<'_>) -> Option<Target> {
        let lacks = |what: &str, help: &str| {
            var.warn(spot, format!("`{name}` is not called: it has not got {what}"), help);
        };
        let Some(bucket) = &self.bucket else {
            lacks("a bucket", "write `s3_bucket_name:` under `s3_callback_params`");
            return None;
        };
        let usual = || clouds::env(var.context, &REGIONS);
        // What only speaks as S3 does seldom has regions.
        let stand_in = || self.endpoint.as_ref().map(|_| "us-east-1".into());
        let Some(region) = self.region.clone().or_else(usual).or_else(stand_in) else {
            lacks("a region", "write `s3_region_name:` under `s3_callback_params`");
            return None;
        };
        let base = match &self.endpoint {
            None => {
                let end = if region.starts_with("cn-") { "com.cn" } else { "com" };
                format!("https://{bucket}.s3.{region}.amazonaws.{end}")
            }
            Some(endpoint) => match endpoint.split_once("://").filter(|_| self.is_in_host) {
                Some((scheme, host)) => format!("{scheme}://{bucket}.{host}"),
                None => format!("{endpoint}/{bucket}"),
            },
        };
        if !is_url(&base) {
            lacks("a bucket whose name can be part of an address", "correct `s3_bucket_name`");
            return None;
        }
        let aws = Aws { region: region.clone(), ..self.aws.clone() };
        Some(Target::S3(Bucket {
            base: base.into(),
            path: self.path.clone(),
            team_prefix: self.team_prefix,
            key_prefix: self.key_prefix,
            authorisation: Authorisation {
                identity: Arc::new(Identity::new(Source::Aws(aws))),
                scheme: Scheme::SigV4 { region, service: "s3" },
            },
        }))
    }
}

/// Who writes: keys, a profile, a role, or AWS's usual chain. The region is not known yet.
fn aws(params: &mut Section<'_>, context: &Context<'_>) -> Aws {
    let boxed = |at: At<&str>| -> Box<str> { at.value.into() };
    let id = params.text("s3_aws_access_key_id");
    let secret = params.text("s3_aws_secret_access_key");
    let session = params.text("s3_aws_session_token");
    let profile = params.text("s3_aws_profile_name");
    let role = params.text("s3_aws_role_name");
    let session_name = params.text("s3_aws_session_name");
    let token = params.text("s3_aws_web_identity_token");
    let sts_endpoint = params.text("s3_aws_sts_endpoint");
    let keys = match (id, secret) {
        (Some(id), Some(secret)) => Some(AwsKeys {
            access_key_id: id.value.into(),
            secret_access_key: Secret::new(secret.value),
            session_token: session.map(|at| Secret::new(at.value)),
        }),
        (Some(at), None) | (None, Some(at)) => {
            let message = "an access key of AWS is an id and a secret, and one of them is missing";
            let help = "write both `s3_aws_access_key_id:` and `s3_aws_secret_access_key:`";
            params.problems.push(Finding::error(at.spot, message).help(help));
            None
        }
        (None, None) if profile.is_none() => clouds::aws_keys_of(context),
        (None, None) => None,
    };
    if let Some(at) = token.filter(|_| role.is_none()) {
        let message = "`s3_aws_web_identity_token` is written without `s3_aws_role_name`";
        let help = "add the role that the token is exchanged for";
        params.problems.push(Finding::error(at.spot, message).help(help));
    }
    Aws {
        keys,
        profile: profile.map(boxed),
        role: role.map(|role| AwsRole {
            arn: role.value.into(),
            session_name: session_name.map_or_else(|| "tollgate".into(), boxed),
            external_id: None,
            web_identity: token.map(|at| clouds::web_identity(at.value, context)),
        }),
        region: Box::default(),
        sts_endpoint: sts_endpoint.map(boxed),
    }
}
