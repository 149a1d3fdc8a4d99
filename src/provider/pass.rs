//! Requests that are handed to a provider as they are: where they go, and which model they name.

use std::borrow::Cow;

use percent_encoding::{percent_decode_str, percent_encode, utf8_percent_encode};

use super::call::SEGMENT;
use crate::catalog::Deployment;
use crate::dialect::{Dialect, Endpoint};

/// The path at the provider: `rest` is what the client wrote behind the mount.
///
/// The provider's own root (`/v1`) is put before it unless the client wrote it, or another version.
#[must_use]
pub fn passed_path<'a>(root: &str, rest: &'a str, verbatim: bool) -> Cow<'a, str> {
    let starts_with_root = |root: &str| {
        rest.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if verbatim {
        let whole = format!("{root}{rest}");
        return Cow::Owned(if whole.is_empty() { "/".to_owned() } else { whole });
    }
    if rest.is_empty() {
        return Cow::Owned(if root.is_empty() { "/".to_owned() } else { root.to_owned() });
    }
    // A root that begins with a version names what the client names too: a project, a location.
    let first = |path: &str| path.split('/').nth(1).is_some_and(is_version);
    if root.is_empty() || starts_with_root(root) || first(root) && first(rest) {
        return Cow::Borrowed(rest);
    }
    let (before, last) = root.rsplit_once('/').unwrap_or(("", root));
    // Google's uploads have their version behind what they are.
    let is_transfer = |segment: &&str| matches!(*segment, "upload" | "download" | "resumable");
    let version = rest.split('/').skip(1).find(|segment| !is_transfer(segment));
    if is_version(last) && version.is_some_and(is_version) {
        return Cow::Owned(format!("{before}{rest}"));
    }
    Cow::Owned(format!("{root}{rest}"))
}

/// What the paths below a mount are put behind: the root of the deployment's own API, or its address
/// alone where the client names one of the APIs that a resource of Azure's has side by side.
#[must_use]
pub fn passed_root<'a>(deployment: &'a Deployment, rest: &str) -> &'a str {
    const SIDE_BY_SIDE: [&str; 4] = ["anthropic", "models", "openai", "providers"];
    let root = &*deployment.target.root;
    let first = rest.split('/').nth(1).unwrap_or_default();
    if deployment.dialect != Dialect::Azure || !SIDE_BY_SIDE.contains(&first) {
        return root;
    }
    let ends = ["/openai", "/models", "/deployments", "/v1"].iter();
    ends.filter_map(|word| root.find(word)).min().and_then(|at| root.get(..at)).unwrap_or(root)
}

/// `v1`, `v1beta`, `v2`.
fn is_version(segment: &str) -> bool {
    let number = segment.strip_prefix('v').unwrap_or_default();
    let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < number.len() && (rest.is_empty() || rest.contains("beta") || rest == "alpha")
}

/// A path as it is signed and sent: each segment encoded in the one way that AWS's own tools have,
/// whichever way the client wrote it. Slashes and colons of an ARN are part of a segment.
#[must_use]
pub fn signable_path(path_and_query: &str) -> String {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let segments = path.split('/').map(|segment| {
        let plain: Cow<'_, [u8]> = percent_decode_str(segment).into();
        // Dots that were encoded would lead to another path without their encoding.
        match &*plain {
            b"." | b".." => segment.to_owned(),
            plain => percent_encode(plain, SEGMENT).to_string(),
        }
    });
    let path = segments.collect::<Vec<_>>().join("/");
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

/// The model that a path names, as the provider writes it.
#[must_use]
pub fn passed_model(deployment: &Deployment, path: &str) -> Option<Box<str>> {
    let path = path.split('?').next().unwrap_or(path);
    let (folder, end) = match deployment.dialect {
        // Whoever publishes it.
        _ if path.contains("/publishers/") => ("models", Some(':')),
        Dialect::Bedrock => ("model", None),
        Dialect::Gemini => ("models", Some(':')),
        Dialect::Azure => ("deployments", None),
        _ => return None,
    };
    let mut segments = path.split('/').skip_while(|segment| *segment != folder);
    let named = segments.nth(1)?;
    let named = end.map_or(named, |end| named.split(end).next().unwrap_or(named));
    let named = percent_decode_str(named).decode_utf8().ok()?;
    (!named.is_empty()).then(|| named.into())
}

/// Where a deployment takes WebSockets of OpenAI's realtime API; `None` if it has none.
#[must_use]
pub fn realtime_path(deployment: &Deployment, model: &str, intent: Option<&str>) -> Option<String> {
    let target = &deployment.target;
    let model = utf8_percent_encode(model, SEGMENT);
    let intent = intent.map_or_else(String::new, |intent| {
        format!("&intent={}", utf8_percent_encode(intent, SEGMENT))
    });
    match deployment.dialect {
        Dialect::OpenAi => Some(format!("{}/realtime?model={model}{intent}", target.root)),
        Dialect::Azure if target.root.ends_with("/v1") => {
            Some(format!("{}/realtime?model={model}{intent}", target.root))
        }
        Dialect::Azure => {
            let chat = target.paths[Endpoint::Chat.index()].as_deref()?;
            let version = chat.split_once("api-version=").map(|(_, rest)| rest)?;
            let version = version.split('&').next()?;
            let root = target.root.split("/deployments/").next()?;
            Some(format!("{root}/realtime?api-version={version}&deployment={model}{intent}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_path_is_encoded_in_one_way() {
        for (written, sent) in [
            ("/model/a.b-v1:0/converse", "/model/a.b-v1%3A0/converse"),
            ("/model/a.b-v1%3a0/converse?x=%3A", "/model/a.b-v1%3A0/converse?x=%3A"),
            ("/model/arn%3Aaws%3Ax%2Fy/invoke", "/model/arn%3Aaws%3Ax%2Fy/invoke"),
            ("/a/%2e%2E/b", "/a/%2e%2E/b"),
            ("/", "/"),
        ] {
            assert_eq!(signable_path(written), sent);
        }
    }

    #[test]
    fn the_apis_of_an_azure_resource_are_side_by_side() {
        use crate::catalog::sample;
        use crate::provider::{Written, target, vendor};
        for (provider, base, rest, path) in [
            (
                "azure",
                "https://x.openai.azure.com",
                "/openai/deployments/d/x",
                "/openai/deployments/d/x",
            ),
            ("azure", "https://x.openai.azure.com", "/deployments/d/x", "/openai/deployments/d/x"),
            (
                "azure",
                "https://x.openai.azure.com/openai/v1",
                "/openai/v1/models",
                "/openai/v1/models",
            ),
            (
                "azure",
                "https://proxy.example/azure",
                "/openai/deployments/d/x",
                "/azure/openai/deployments/d/x",
            ),
            ("azure_ai", "https://x.services.ai.azure.com", "/models/info", "/models/info"),
            (
                "azure_ai",
                "https://x.services.ai.azure.com",
                "/anthropic/v1/messages",
                "/anthropic/v1/messages",
            ),
            (
                "azure_ai",
                "https://x.services.ai.azure.com",
                "/openai/v1/models",
                "/openai/v1/models",
            ),
            (
                "azure_ai",
                "https://x.eastus.models.ai.azure.com",
                "/chat/completions",
                "/v1/chat/completions",
            ),
        ] {
            let vendor = vendor(provider).unwrap();
            let written =
                Written { api_base: Some(base), api_key: Some("k"), ..Written::default() };
            let deployment = Deployment {
                dialect: vendor.dialect,
                target: target(vendor, &written).unwrap(),
                ..sample::deployment(&format!("group = {provider}/m #id"))
            };
            let root = passed_root(&deployment, rest);
            assert_eq!(passed_path(root, rest, false), path, "{provider} {base}");
        }
    }

    #[test]
    fn versions_are_not_written_twice() {
        for (root, rest, path) in [
            ("/v1", "/chat/completions", "/v1/chat/completions"),
            ("/v1", "/v1/files", "/v1/files"),
            ("/v1", "/v1beta/x", "/v1beta/x"),
            ("/openai/v1", "/v1/models", "/openai/v1/models"),
            ("/openai/v1", "/models", "/openai/v1/models"),
            ("", "/v1/messages", "/v1/messages"),
            ("/v1/projects/p/locations/l", "/v1/projects/q/x", "/v1/projects/q/x"),
            ("/openai", "/openai/deployments/m/chat", "/openai/deployments/m/chat"),
            ("/openai", "/deployments/m/chat", "/openai/deployments/m/chat"),
            ("/v1", "/v1x", "/v1/v1x"),
            ("/v1beta", "/upload/v1beta/files", "/upload/v1beta/files"),
            ("/v1beta", "/resumable/upload/v1/files", "/resumable/upload/v1/files"),
            ("/x/v1beta", "/upload/v1beta/files", "/x/upload/v1beta/files"),
            ("/v1", "/upload/files", "/v1/upload/files"),
            ("/v1", "", "/v1"),
            ("", "", "/"),
        ] {
            assert_eq!(passed_path(root, rest, false), path, "{root} {rest}");
        }
        assert_eq!(passed_path("/v1/rerank", "", true), "/v1/rerank");
        assert_eq!(passed_path("/v1", "/v1/x", true), "/v1/v1/x");
        assert_eq!(passed_path("", "", true), "/");
    }
}
