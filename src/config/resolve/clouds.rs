//! Who calls a deployment at a cloud: options of `litellm_params`, and the variables that stand for
//! those that are not written.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use super::Context;
use crate::catalog::{Aws, AwsKeys, AwsRole, Entra, Google, WebIdentity};
use crate::config::include::reason;
use crate::config::problem::{Finding, Spot};
use crate::config::section::{At, Section};
use crate::provider::{Cloud, CloudOptions, Vendor};
use crate::secret::Secret;

/// What Azure OpenAI's tokens are for; Claude and the model catalogue have another word for it.
const AZURE_SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const FOUNDRY_SCOPE: &str = "https://ai.azure.com/.default";
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// Where `gcloud auth application-default login` puts its key, below the folder of gcloud.
const ADC_FILE: &str = "application_default_credentials.json";

/// What the options of all clouds say; read for every deployment, so that none is left unread.
pub(super) struct Written<'a> {
    access_key_id: Option<At<&'a str>>,
    secret_access_key: Option<At<&'a str>>,
    session_token: Option<At<&'a str>>,
    region: Option<At<&'a str>>,
    session_name: Option<At<&'a str>>,
    profile: Option<At<&'a str>>,
    role: Option<At<&'a str>>,
    external_id: Option<At<&'a str>>,
    web_identity: Option<At<&'a str>>,
    sts_endpoint: Option<At<&'a str>>,
    runtime_endpoint: Option<At<&'a str>>,
    model_id: Option<At<&'a str>>,
    project: Option<At<&'a str>>,
    location: Option<At<&'a str>>,
    google: Option<At<String>>,
    tenant: Option<At<&'a str>>,
    client_id: Option<At<&'a str>>,
    client_secret: Option<At<&'a str>>,
    scope: Option<At<&'a str>>,
}

impl<'a> Written<'a> {
    pub(super) fn read(params: &mut Section<'a>) -> Self {
        let google = params.entry("vertex_credentials").map(|entry| At {
            // A mapping is the key itself.
            value: match entry.node.text() {
                Some(text) => text.trim().to_owned(),
                None => entry.node.json(),
            },
            spot: entry.value_spot(),
        });
        Self {
            access_key_id: params.text("aws_access_key_id"),
            secret_access_key: params.text("aws_secret_access_key"),
            session_token: params.text("aws_session_token"),
            region: params.text("aws_region_name"),
            session_name: params.text("aws_session_name"),
            profile: params.text("aws_profile_name"),
            role: params.text("aws_role_name"),
            external_id: params.text("aws_external_id"),
            web_identity: params.text("aws_web_identity_token"),
            sts_endpoint: params.text("aws_sts_endpoint"),
            runtime_endpoint: params.text("aws_bedrock_runtime_endpoint"),
            model_id: params.text("model_id"),
            project: params.text("vertex_project"),
            location: params.text("vertex_location"),
            google,
            tenant: params.text("tenant_id"),
            client_id: params.text("client_id"),
            client_secret: params.text("client_secret"),
            scope: params.text("azure_scope"),
        }
    }

    /// `aws_bedrock_runtime_endpoint`, which stands for an `api_base` that is not written.
    pub(super) fn endpoint(&self, vendor: &Vendor) -> Option<Box<str>> {
        let is_runtime = matches!(vendor.name, "bedrock" | "bedrock_converse");
        self.runtime_endpoint.filter(|_| is_runtime).map(|at| at.value.into())
    }

    /// What a deployment of this provider is called with, and its region. `has_key`: a key or token
    /// is sent instead.
    pub(super) fn resolve(
        &self,
        vendor: &Vendor,
        has_key: bool,
        params: &Section<'_>,
        context: &Context<'_>,
    ) -> CloudOptions {
        let mut options = CloudOptions::default();
        match vendor.cloud() {
            Some(Cloud::Aws) => {
                options.region = self.region.map(|at| at.value.into());
                options.model_id = self.model_id.map(|at| at.value.into());
                options.usual_region =
                    env(context, &["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"]);
                if !has_key {
                    options.aws = self.aws(params, context);
                }
            }
            Some(Cloud::Google) => self.google(has_key, &mut options, params, context),
            Some(Cloud::Azure) if !has_key => options.entra = self.entra(vendor, params, context),
            Some(Cloud::Azure) | None => {}
        }
        options
    }

    fn aws(&self, params: &Section<'_>, context: &Context<'_>) -> Aws {
        let boxed = |at: At<&str>| -> Box<str> { at.value.into() };
        let halves = (self.access_key_id, self.secret_access_key);
        let keys = match halves {
            (Some(id), Some(secret)) => Some(AwsKeys {
                access_key_id: id.value.into(),
                secret_access_key: Secret::new(secret.value),
                session_token: self.session_token.map(|at| Secret::new(at.value)),
            }),
            (Some(at), None) | (None, Some(at)) => {
                let (has, lacks) = match halves.0 {
                    Some(_) => ("aws_access_key_id", "aws_secret_access_key"),
                    None => ("aws_secret_access_key", "aws_access_key_id"),
                };
                let message = format!("`{has}` is written without `{lacks}`");
                params.problems.push(Finding::error(at.spot, message).help(format!(
                    "add `{lacks}:`, or remove both to use the profile, role or machine"
                )));
                None
            }
            // A profile that is written goes before the variables, as in AWS's own tools.
            (None, None) if self.profile.is_none() => aws_keys_of(context),
            (None, None) => None,
        };
        let session_name = self.session_name.map(boxed);
        let session_name = session_name.or_else(|| env(context, &["AWS_ROLE_SESSION_NAME"]));
        let role = self.role.map(|role| AwsRole {
            arn: role.value.into(),
            session_name: session_name.unwrap_or_else(|| "tollgate".into()),
            external_id: self.external_id.map(boxed),
            web_identity: self.web_identity.map(|at| web_identity(at.value, context)),
        });
        if let Some(role) = self.role.filter(|role| !role.value.starts_with("arn:")) {
            let message = "`aws_role_name` must be the ARN of a role";
            let help = "write `aws_role_name: arn:aws:iam::123456789012:role/name`";
            params.problems.push(Finding::error(role.spot, message).help(help));
        }
        if let Some(token) = self.web_identity.filter(|_| self.role.is_none()) {
            let message = "`aws_web_identity_token` is written without `aws_role_name`";
            let help = "add the role that the token is exchanged for: `aws_role_name: arn:...`";
            params.problems.push(Finding::error(token.spot, message).help(help));
        }
        Aws {
            keys,
            profile: self.profile.map(boxed),
            role,
            region: "".into(),
            sts_endpoint: self
                .sts_endpoint
                .map(boxed)
                .or_else(|| env(context, &["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"])),
        }
    }

    fn google(
        &self,
        has_key: bool,
        options: &mut CloudOptions,
        params: &Section<'_>,
        context: &Context<'_>,
    ) {
        options.project = self.project.map(|at| at.value.into());
        options.location = self.location.map(|at| at.value.into());
        let location = &["VERTEXAI_LOCATION", "VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"];
        options.location = options.location.take().or_else(|| env(context, location));
        if has_key {
            return;
        }
        let (source, spot) = match &self.google {
            Some(At { value, spot }) if value.starts_with('{') => {
                (Google::Json(Secret::new(value.as_str())), *spot)
            }
            Some(At { value, spot }) => (Google::File(context.file(value)), *spot),
            None => (default_key(context), params.spot),
        };
        let key = google_key(&source, spot).unwrap_or_else(|finding| {
            params.problems.push(finding);
            None
        });
        options.google = Some(source);
        let quota = || key.as_ref()?.get("quota_project_id")?.as_str().map(Into::into);
        options.quota_project = env(context, &["GOOGLE_CLOUD_QUOTA_PROJECT"]).or_else(quota);
        let project = &["VERTEXAI_PROJECT", "VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"];
        options.project = options.project.take().or_else(|| env(context, project)).or_else(|| {
            let text = |name| key.as_ref()?.get(name)?.as_str();
            text("project_id").or_else(|| text("quota_project_id")).map(Into::into)
        });
    }

    fn entra(&self, vendor: &Vendor, params: &Section<'_>, context: &Context<'_>) -> Option<Entra> {
        let written = [
            ("tenant_id", self.tenant, "AZURE_TENANT_ID"),
            ("client_id", self.client_id, "AZURE_CLIENT_ID"),
            ("client_secret", self.client_secret, "AZURE_CLIENT_SECRET"),
        ];
        let values = written.map(|(_, at, variable)| {
            at.map(|at| at.value.into()).or_else(|| env(context, &[variable]))
        });
        let first = written.iter().find_map(|(name, at, _)| Some((*name, (*at)?)));
        let [Some(tenant), Some(client_id), Some(client_secret)] = values else {
            if let Some((has, At { spot, .. })) = first {
                let lacks = written.iter().zip(&values).find(|(_, value)| value.is_none());
                let (lacks, variable) = lacks.map_or(("", ""), |((name, _, var), _)| (name, var));
                let message = format!("`{has}` is written without `{lacks}`");
                let help = format!("add `{lacks}: os.environ/{variable}`");
                params.problems.push(Finding::error(spot, message).help(help));
            }
            return None;
        };
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if !tenant.bytes().all(is_inner) {
            let message = "`tenant_id` is not the id or the domain of a tenant";
            let spot = self.tenant.map_or(params.spot, |at| at.spot);
            params.problems.push(Finding::error(spot, message));
        }
        params.problems.keep_secret(&client_secret);
        let scope = self.scope.map(|at| at.value.into()).or_else(|| env(context, &["AZURE_SCOPE"]));
        let is_foundry = vendor.name == "azure_ai";
        let usual = if is_foundry { FOUNDRY_SCOPE } else { AZURE_SCOPE };
        let authority = env(context, &["AZURE_AUTHORITY_HOST"]).map(|host| {
            let has_scheme = host.contains("://");
            if has_scheme { host } else { format!("https://{host}").into() }
        });
        Some(Entra {
            tenant,
            client_id,
            client_secret: Secret::new(&*client_secret),
            authority: authority.unwrap_or_else(|| AUTHORITY.into()),
            scope: scope.unwrap_or_else(|| usual.into()),
        })
    }
}

/// The first of the variables that holds something.
pub(super) fn env(context: &Context<'_>, names: &[&str]) -> Option<Box<str>> {
    names.iter().find_map(|name| context.var(name)).map(Into::into)
}

/// Keys in variables. AWS's library would find them too, but not those that the file itself sets.
pub(super) fn aws_keys_of(context: &Context<'_>) -> Option<AwsKeys> {
    let access_key_id = env(context, &["AWS_ACCESS_KEY_ID"])?;
    let secret = env(context, &["AWS_SECRET_ACCESS_KEY"])?;
    context.problems.keep_secret(&secret);
    let session = env(context, &["AWS_SESSION_TOKEN"]);
    Some(AwsKeys {
        access_key_id,
        secret_access_key: Secret::new(&*secret),
        session_token: session.map(|token| Secret::new(&*token)),
    })
}

/// A key of Google's as JSON; `None` where it is not written down.
///
/// # Errors
/// What to say of the place where it is named. A file may come later, so that is only a warning.
fn google_key(source: &Google, spot: Spot) -> Result<Option<Json>, Finding> {
    let text = match source {
        Google::Metadata => return Ok(None),
        Google::Json(json) => json.expose().to_owned(),
        Google::File(path) => fs::read_to_string(&**path).map_err(|error| {
            let message = format!("cannot read Google's key in `{path}`: {}", reason(&error));
            Finding::warning(spot, message)
        })?,
    };
    match serde_json::from_str::<Json>(&text) {
        Ok(json) if json.get("type").is_some_and(Json::is_string) => Ok(Some(json)),
        Ok(_) | Err(_) => {
            let message = "Google's key is not one: it must be JSON with a `type`";
            let help = "write the path of the key's file, or the key itself";
            Err(Finding::error(spot, message).help(help))
        }
    }
}

/// LiteLLM's ways to write where a token is: `oidc/file/PATH`, `oidc/env/NAME`, a path, the token.
pub(super) fn web_identity(text: &str, context: &Context<'_>) -> WebIdentity {
    let path = text.strip_prefix("oidc/file/");
    if let Some(name) = text.strip_prefix("oidc/env/") {
        let token = env(context, &[name]).unwrap_or_default();
        context.problems.keep_secret(&token);
        return WebIdentity::Token(Secret::new(&*token));
    }
    if let Some(name) = text.strip_prefix("oidc/env_path/") {
        return WebIdentity::File(env(context, &[name]).unwrap_or_default());
    }
    match path {
        Some(path) => WebIdentity::File(context.file(path)),
        // A JWT has dots and no slash.
        None if text.contains('/') => WebIdentity::File(context.file(text)),
        None => WebIdentity::Token(Secret::new(text)),
    }
}

/// Application default credentials: the variable, then gcloud's own file, then the machine.
fn default_key(context: &Context<'_>) -> Google {
    if let Some(path) = env(context, &["GOOGLE_APPLICATION_CREDENTIALS"]) {
        return Google::File(path);
    }
    let folder = env(context, &["CLOUDSDK_CONFIG"]).map(|folder| Path::new(&*folder).to_owned());
    let home = || Some(Path::new(&*env(context, &["HOME"])?).join(".config/gcloud"));
    match folder.or_else(home).map(|folder| folder.join(ADC_FILE)).filter(|file| file.is_file()) {
        Some(file) => Google::File(file.to_string_lossy().into()),
        None => Google::Metadata,
    }
}
