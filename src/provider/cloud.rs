//! Deployments at a cloud: where they are by region, and who calls them.

use std::sync::Arc;

use super::url::BaseUrl;
use super::{TargetProblem, Vendor, Written, bedrock, filled, vertex};
use crate::catalog::{Authorisation, Aws, Entra, Google, Identity, Scheme, Source};
use crate::dialect::Dialect;

/// The region that LiteLLM assumes where none is written.
pub(super) const USUAL_REGION: &str = "us-west-2";

/// The clouds whose deployments are called with more than a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    Aws,
    Google,
    Azure,
}

/// What the configuration says about clouds, environment variables already resolved. Of the cloud
/// that a deployment is not at, nothing is known.
#[derive(Clone, Debug, Default)]
pub struct CloudOptions {
    /// `aws_region_name`.
    pub region: Option<Box<str>>,
    /// The region of the environment, where nothing else tells one.
    pub usual_region: Option<Box<str>>,
    /// `model_id`: what is called at Bedrock in place of the model.
    pub model_id: Option<Box<str>>,
    /// Without its region.
    pub aws: Aws,
    /// `vertex_project`.
    pub project: Option<Box<str>>,
    /// The project whose quota is used, and which pays, where it is another one.
    pub quota_project: Option<Box<str>>,
    /// `vertex_location`.
    pub location: Option<Box<str>>,
    pub google: Option<Google>,
    pub entra: Option<Entra>,
}

impl Vendor {
    /// The cloud that it is part of.
    #[must_use]
    pub fn cloud(&self) -> Option<Cloud> {
        match self.name {
            "bedrock" | "bedrock_converse" | "bedrock_mantle" => Some(Cloud::Aws),
            "vertex_ai" | "vertex_ai_beta" => Some(Cloud::Google),
            "azure" | "azure_ai" | "azure_text" => Some(Cloud::Azure),
            _ => None,
        }
    }
}

/// The address of a deployment that is written without one.
pub(super) fn own_base(
    vendor: &Vendor,
    written: &Written<'_>,
) -> Result<Option<String>, TargetProblem> {
    match vendor.cloud() {
        Some(Cloud::Aws) => {
            let region = region(written, None)?;
            Ok(Some(match vendor.name {
                "bedrock_mantle" => {
                    let api = match vendor.dialect {
                        Dialect::Anthropic => "anthropic",
                        _ => "openai/v1",
                    };
                    format!("https://bedrock-mantle.{region}.api.aws/{api}")
                }
                _ => {
                    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
                    format!("https://bedrock-runtime.{region}.amazonaws.com{suffix}")
                }
            }))
        }
        Some(Cloud::Google) => vertex::host(written).map(|host| Some(format!("https://{host}"))),
        Some(Cloud::Azure) | None => Ok(None),
    }
}

/// What is added to each request. Only asked where no key is written: a key goes before all else.
pub(super) fn authorisation(
    vendor: &Vendor,
    base: &BaseUrl,
    written: &Written<'_>,
) -> Result<Option<Authorisation>, TargetProblem> {
    let Some(cloud) = written.cloud else { return Ok(None) };
    let bearer = |source| Authorisation {
        identity: Arc::new(Identity::new(source)),
        scheme: Scheme::Bearer,
    };
    match vendor.cloud() {
        Some(Cloud::Aws) => {
            let region: Box<str> = region(written, Some(base))?.into();
            let aws = Aws { region: region.clone(), ..cloud.aws.clone() };
            // The address tells: both copy OpenAI's API, and each is signed for by its own name.
            let is_mantle = match base.host.split('.').next() {
                Some("bedrock-mantle") => true,
                Some("bedrock-runtime") => false,
                _ => vendor.name == "bedrock_mantle",
            };
            let service = if is_mantle { "bedrock-mantle" } else { "bedrock" };
            Ok(Some(Authorisation {
                identity: Arc::new(Identity::new(Source::Aws(aws))),
                scheme: Scheme::SigV4 { region, service },
            }))
        }
        Some(Cloud::Google) => {
            let google = cloud.google.clone().unwrap_or(Google::Metadata);
            Ok(Some(bearer(Source::Google(google))))
        }
        Some(Cloud::Azure) => {
            Ok(cloud.entra.as_ref().map(|entra| bearer(Source::Entra(entra.clone()))))
        }
        None => Ok(None),
    }
}

/// Whether nothing that is written tells the region or location.
pub(super) fn assumed_place(
    vendor: &Vendor,
    written: &Written<'_>,
) -> Option<(&'static str, &'static str)> {
    let cloud = written.cloud?;
    let has_base = filled(written.api_base).is_some();
    match vendor.cloud()? {
        Cloud::Aws => {
            let tells = cloud.region.is_some()
                || cloud.usual_region.is_some()
                || bedrock::region_of(written.model).is_some()
                || cloud.model_id.as_deref().and_then(bedrock::region_of).is_some()
                || has_base && written.api_key.is_some()
                || BaseUrl::parse(written.api_base.unwrap_or_default())
                    .is_ok_and(|base| region_in(&base.host).is_some());
            (!tells).then_some(("aws_region_name", USUAL_REGION))
        }
        Cloud::Google => (cloud.location.is_none() && filled(written.api_key).is_none())
            .then_some(("vertex_location", vertex::USUAL_LOCATION)),
        Cloud::Azure => None,
    }
}

/// The AWS region of a deployment: what is written, what the model's name tells, what its address
/// tells, what the environment says, what is usual.
fn region<'a>(written: &Written<'a>, base: Option<&'a BaseUrl>) -> Result<&'a str, TargetProblem> {
    let cloud = written.cloud.and_then(|cloud| cloud.region.as_deref());
    let region = cloud
        .or_else(|| bedrock::region_of(written.model))
        .or_else(|| bedrock::region_of(written.cloud?.model_id.as_deref()?))
        .or_else(|| region_in(&base?.host))
        .or_else(|| written.cloud.and_then(|cloud| cloud.usual_region.as_deref()))
        .unwrap_or(USUAL_REGION);
    if is_place(region) {
        Ok(region)
    } else {
        let message = "`aws_region_name` is not the name of a region";
        Err(TargetProblem::new("aws_region_name", message))
    }
}

/// The region in a host name of AWS.
fn region_in(host: &str) -> Option<&str> {
    let mut labels = host.split('.');
    let (service, region) = (labels.next()?, labels.next()?);
    let is_aws = host.ends_with(".amazonaws.com")
        || host.ends_with(".amazonaws.com.cn")
        || host.ends_with(".api.aws");
    (is_aws && service.starts_with("bedrock") && is_place(region)).then_some(region)
}

/// Whether a text may become part of a host name: regions and locations are words with hyphens. All
/// else could lead a credential to another host.
pub(super) fn is_place(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Endpoint;
    use crate::provider::{remarks, target, vendor};

    fn written<'a>(model: &'a str, cloud: &'a CloudOptions) -> Written<'a> {
        Written { model, cloud: Some(cloud), ..Written::default() }
    }

    fn at(region: Option<&str>) -> CloudOptions {
        CloudOptions {
            region: region.map(Into::into),
            location: region.map(Into::into),
            project: Some("p".into()),
            ..CloudOptions::default()
        }
    }

    #[test]
    fn a_region_becomes_a_host() {
        for (provider, model, region, host) in [
            ("bedrock", "a.b", Some("eu-west-1"), "bedrock-runtime.eu-west-1.amazonaws.com"),
            ("bedrock", "a.b", Some("cn-north-1"), "bedrock-runtime.cn-north-1.amazonaws.com.cn"),
            ("bedrock", "us-east-1/a.b", None, "bedrock-runtime.us-east-1.amazonaws.com"),
            ("bedrock", "a.b", None, "bedrock-runtime.us-west-2.amazonaws.com"),
            ("bedrock_mantle", "a.b", Some("us-east-1"), "bedrock-mantle.us-east-1.api.aws"),
            ("vertex_ai", "gemini-x", Some("us-east5"), "us-east5-aiplatform.googleapis.com"),
            ("vertex_ai", "gemini-x", Some("global"), "aiplatform.googleapis.com"),
            ("vertex_ai", "gemini-x", Some("eu"), "aiplatform.eu.rep.googleapis.com"),
            ("vertex_ai", "gemini-x", None, "us-central1-aiplatform.googleapis.com"),
        ] {
            let cloud = at(region);
            let written = written(model, &cloud);
            let vendor = vendor(provider).unwrap().of_model(model);
            let target = target(vendor, &written).unwrap();
            assert_eq!(&*target.host, host, "{provider} {region:?}");
            assert!(target.authorisation.is_some());
            let told = remarks(vendor, &written);
            let assumes = region.is_none() && !model.contains('/');
            assert_eq!(told.len(), usize::from(assumes), "{provider} {region:?}: {told:?}");
        }
    }

    #[test]
    fn no_place_leads_to_another_host() {
        for wrong in ["evil.com/", "a.b", "x@y", "US-EAST-1", "", "-a", "a-", "us east", "a#", "é"]
        {
            for (provider, option) in
                [("bedrock", "aws_region_name"), ("vertex_ai", "vertex_location")]
            {
                let cloud = at(Some(wrong));
                let refused = target(vendor(provider).unwrap(), &written("m", &cloud)).unwrap_err();
                assert_eq!(refused.option, option, "{wrong}");
            }
        }
        let cloud = CloudOptions { project: Some("p/../x".into()), ..at(Some("us")) };
        let refused = target(vendor("vertex_ai").unwrap(), &written("m", &cloud)).unwrap_err();
        assert_eq!(refused.option, "vertex_project");
    }

    #[test]
    fn requests_are_signed_for_the_region_of_their_address() {
        let cloud = at(None);
        let of_base = Written {
            api_base: Some("https://bedrock-runtime.eu-west-3.amazonaws.com"),
            ..written("a.b", &cloud)
        };
        let made = target(vendor("bedrock").unwrap(), &of_base).unwrap();
        let scheme = made.authorisation.unwrap().scheme;
        assert_eq!(scheme, Scheme::SigV4 { region: "eu-west-3".into(), service: "bedrock" });
        assert_eq!(remarks(vendor("bedrock").unwrap(), &of_base), []);
        let mantle = target(vendor("bedrock_mantle").unwrap(), &written("a.b", &cloud)).unwrap();
        let service = "bedrock-mantle";
        let expected = Scheme::SigV4 { region: USUAL_REGION.into(), service };
        assert_eq!(mantle.authorisation.unwrap().scheme, expected);
        let keyed = Written { api_key: Some("k"), ..of_base };
        assert!(target(vendor("bedrock").unwrap(), &keyed).unwrap().authorisation.is_none());
    }

    #[test]
    fn the_copies_of_other_apis_at_amazon_have_their_own_paths_names_and_keys() {
        let runtime = "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1";
        let mantle = "https://bedrock-mantle.us-east-1.api.aws";
        let messages = format!("{mantle}/anthropic");
        let claude = "anthropic.claude-x";
        for (provider, model, api_base, path, service) in [
            (
                "bedrock_mantle",
                "openai.gpt-oss-20b",
                None,
                "/openai/v1/chat/completions",
                "bedrock-mantle",
            ),
            ("bedrock_mantle", claude, None, "/anthropic/v1/messages", "bedrock-mantle"),
            ("bedrock_mantle", claude, Some(mantle), "/anthropic/v1/messages", "bedrock-mantle"),
            ("bedrock_mantle", "x", Some(&*messages), "/anthropic/v1/messages", "bedrock-mantle"),
            ("bedrock_mantle", "x", Some(runtime), "/openai/v1/chat/completions", "bedrock"),
            (
                "bedrock",
                "openai.gpt-oss-20b-1:0",
                Some(runtime),
                "/openai/v1/chat/completions",
                "bedrock",
            ),
            ("bedrock", "x", Some(&*messages), "/anthropic/v1/messages", "bedrock-mantle"),
        ] {
            let cloud = at(Some("us-east-1"));
            let written = Written { api_base, ..written(model, &cloud) };
            let vendor = vendor(provider).unwrap().of_model(model);
            let made = target(vendor, &written).unwrap();
            assert_eq!(
                made.paths[Endpoint::Chat.index()].as_deref(),
                Some(path),
                "{provider} {model}"
            );
            let expected = Scheme::SigV4 { region: "us-east-1".into(), service };
            assert_eq!(made.authorisation.unwrap().scheme, expected, "{provider} {model}");
            let keyed = target(vendor, &Written { api_key: Some("key"), ..written }).unwrap();
            let sent: Vec<_> = keyed.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(sent, ["authorization"], "{provider} {model}");
            assert_eq!(keyed.headers[0].1, "Bearer key");
        }
    }

    #[test]
    fn the_project_whose_quota_is_used_is_named() {
        let cloud = CloudOptions { quota_project: Some("payer".into()), ..at(Some("us-east5")) };
        let vendor = vendor("vertex_ai").unwrap();
        let named = |written: &Written<'_>| {
            let target = target(vendor, written).unwrap();
            let headers = target.headers.iter();
            let mut found = headers.filter(|(name, _)| name == "x-goog-user-project");
            found.next().map(|(_, value)| value.to_str().unwrap().to_owned())
        };
        assert_eq!(named(&written("gemini-x", &cloud)).as_deref(), Some("payer"));
        assert_eq!(named(&written("gemini-x", &at(Some("us-east5")))), None);
        let keyed = Written { api_key: Some("k"), ..written("gemini-x", &cloud) };
        assert_eq!(named(&keyed), None, "a key has its own project");
    }

    #[test]
    fn models_on_vertex_have_the_path_of_their_publisher() {
        let cloud = at(Some("us-east5"));
        let place = "/projects/p/locations/us-east5";
        for (model, path) in [
            (
                "gemini-x",
                format!("/v1beta1{place}/publishers/google/models/{{model}}:generateContent"),
            ),
            ("claude-x", format!("/v1{place}/publishers/anthropic/models/{{model}}:rawPredict")),
            ("meta/llama", format!("/v1{place}/endpoints/openapi/chat/completions")),
            ("openai/gpt-oss-120b-maas", format!("/v1{place}/endpoints/openapi/chat/completions")),
            ("openai/12345", format!("/v1{place}/endpoints/12345/chat/completions")),
        ] {
            let vendor = vendor("vertex_ai").unwrap().of_model(model);
            let target = target(vendor, &written(model, &cloud)).unwrap();
            assert_eq!(target.paths[Endpoint::Chat.index()].as_deref(), Some(&*path), "{model}");
        }
        let express = CloudOptions::default();
        let express = Written { api_key: Some("k"), ..written("gemini-x", &express) };
        let target = target(vendor("vertex_ai").unwrap(), &express).unwrap();
        assert_eq!(&*target.host, "aiplatform.googleapis.com");
        let path = "/v1beta1/publishers/google/models/{model}:generateContent";
        assert_eq!(target.paths[Endpoint::Chat.index()].as_deref(), Some(path));
        assert!(target.headers.iter().any(|(name, _)| name == "x-goog-api-key"));
    }
}
