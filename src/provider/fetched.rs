//! Which images and files a deployment must be given as data, because its provider fetches nothing.
//!
//! A provider that fetches an address itself gets the address.

use memchr::memmem;

use super::call::Call;
use super::native;
use crate::catalog::Deployment;
use crate::dialect::{Dialect, Endpoint};
use crate::wire::gemini;
use crate::wire::json::Object;
use crate::wire::remote::{self, Remote, Shape};

/// Providers of OpenAI's chat API that take the address of a file where that takes data.
const FETCH_FILES: [&str; 1] = ["openrouter"];

/// What is to be fetched before a request can be written.
#[derive(Debug)]
pub struct Wanted {
    /// It stands in the client's own words, which are what will be sent.
    pub native: bool,
    /// Never empty.
    pub media: Vec<Remote>,
}

/// What a deployment must be given as data of a call; `None` if nothing.
#[must_use]
pub fn wanted(deployment: &Deployment, body: &Object, call: &Call<'_>) -> Option<Wanted> {
    if !matches!(call.endpoint, Endpoint::Chat | Endpoint::CountTokens) {
        return None;
    }
    let spoken =
        call.native.filter(|native| native::is_spoken(native.dialect, deployment, call.endpoint));
    let vertex = deployment.quirks.vertex;
    let hint = deployment.info.base_model.as_deref().unwrap_or(call.model);
    let is_needed = |remote: &Remote| match deployment.dialect {
        Dialect::Anthropic if vertex => true,
        // Anthropic fetches over TLS only. In its own words its clients say what they mean.
        Dialect::Anthropic => is_plain(&remote.url),
        Dialect::Gemini => gemini::needs_data(remote, hint, vertex),
        // Claude's own words, by whomever.
        Dialect::Bedrock if deployment.quirks.invoke => true,
        Dialect::Bedrock => matches!(remote.shape, Shape::Image | Shape::File),
        // It knows images only.
        Dialect::Ollama => remote.shape == Shape::Image,
        // Of images it fetches the addresses, of files it takes data only.
        Dialect::OpenAi | Dialect::Azure => remote.shape == Shape::File,
        Dialect::Cohere | Dialect::Custom => false,
    };
    if !may_lack(deployment, body, call.endpoint, spoken.is_some()) {
        return None;
    }
    let native = spoken.is_some();
    let mut media = remote::find(spoken.map_or(body, |native| native.body));
    media.retain(is_needed);
    // The Responses API fetches files, too.
    let is_openai = matches!(deployment.dialect, Dialect::OpenAi | Dialect::Azure);
    if media.is_empty() || is_openai && super::responses::is_spoken(deployment, body, call) {
        return None;
    }
    Some(Wanted { native, media })
}

/// Whether there may be something that the provider does not fetch. What is not read is not slowed.
/// `spoken`: it gets the client's own words.
fn may_lack(deployment: &Deployment, body: &Object, endpoint: Endpoint, spoken: bool) -> bool {
    match deployment.dialect {
        Dialect::OpenAi | Dialect::Azure => {
            endpoint == Endpoint::Chat
                && !FETCH_FILES.contains(&&*deployment.provider)
                && memmem::find(body.bytes(), b"\"file\"").is_some()
        }
        Dialect::Cohere | Dialect::Custom => false,
        Dialect::Anthropic => deployment.quirks.vertex || !spoken,
        Dialect::Gemini => !spoken,
        Dialect::Bedrock | Dialect::Ollama => true,
    }
}

fn is_plain(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"))
}
