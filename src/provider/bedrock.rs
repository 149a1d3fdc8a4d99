//! Amazon Bedrock's address form: the model stands in the path, and a stream has a path of its own.
//!
//! Its models are written in LiteLLM's ways: with the API to use, a region and a commitment before
//! the id (`converse/us-west-2/anthropic.claude-...`), or as the ARN of a profile. Signing requests
//! is not done here: a key is sent as it is.

use http::{HeaderValue, header};
use percent_encoding::utf8_percent_encode;

use super::call::SEGMENT;
use super::url::BaseUrl;
use super::{Headers, Layout, TargetProblem, Written, filled};
use crate::catalog::Target;
use crate::dialect::Endpoint;

/// What LiteLLM writes before a model to choose an API or a form of the prompt. Converse serves them
/// all, but for Claude behind [`INVOKE`].
const MARKS: [&str; 3] = ["converse", "converse_like", INVOKE];

/// Asks for InvokeModel, where each maker's models have a format of their own.
const INVOKE: &str = "invoke";

/// What an ARN begins with, in every partition.
const ARN: &str = "arn:";

/// Completes an `api_base`, with or without `/model`, under any prefix; `model` decides which of
/// Bedrock's APIs it has.
pub(super) fn layout(base: &BaseUrl, written: &Written<'_>) -> Layout {
    let model = written.model;
    let root = base.path.strip_suffix("/model").unwrap_or(&base.path);
    let query = base.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    // What is called in place of the model: a commitment, or a profile with its own books.
    let id = written.cloud.and_then(|cloud| cloud.model_id.as_deref()).map(model_id);
    let place =
        id.map_or_else(|| "{model}".into(), |id| utf8_percent_encode(id, SEGMENT).to_string());
    let at = |operation: &str| Some(format!("{root}/model/{place}/{operation}{query}").into());
    let mut paths = [const { None }; Endpoint::ALL.len()];
    let (whole, streamed) = match is_invoked(model) {
        true => ("invoke", "invoke-with-response-stream"),
        false => ("converse", "converse-stream"),
    };
    paths[Endpoint::Chat.index()] = at(whole);
    paths[Endpoint::Embeddings.index()] = at("invoke");
    paths[Endpoint::Rerank.index()] = at("invoke");
    // Tokens are counted for Claude only, and only by the id of the model itself.
    if id.is_none() && !model.contains("arn:") && model.contains("anthropic.claude") {
        paths[Endpoint::CountTokens.index()] = at("count-tokens");
    }
    Layout { root: root.to_owned(), paths, stream_path: at(streamed) }
}

/// Whether a model is called by InvokeModel: it is Claude, and is written so.
pub(super) fn is_invoked(model: &str) -> bool {
    asks_for_invoke(model) && model.contains("claude")
}

/// Whether a model is written to be called by InvokeModel.
fn asks_for_invoke(model: &str) -> bool {
    let before = arn(model).map_or(model, |at| model.get(..at).unwrap_or_default());
    before.split('/').any(|part| part == INVOKE)
}

/// What is to be said of a model that is written to be called by InvokeModel, and is not.
pub(super) fn is_not_invoked(model: &str) -> Option<&'static str> {
    (asks_for_invoke(model) && !is_invoked(model)).then_some(
        "`invoke/` is for Claude's models, by their names: this one is called by Converse, as with \
         `converse/`",
    )
}

/// What the paths of Bedrock's agents, flows, knowledge bases and sessions begin with.
pub const AGENT_RUNTIME: [&str; 9] = [
    "agents",
    "flows",
    "generateQuery",
    "knowledgebases",
    "optimize-prompt",
    "rerank",
    "retrieveAndGenerate",
    "retrieveAndGenerateStream",
    "sessions",
];

/// The same target at the host of [`AGENT_RUNTIME`], which takes the same credentials and signatures;
/// `None`: it is at an address of its own, which tells nothing of another.
#[must_use]
pub fn agent_runtime(target: &Target) -> Option<Target> {
    let rest = target.host.strip_prefix("bedrock-runtime")?;
    let is_amazons = rest.ends_with(".amazonaws.com") || rest.ends_with(".amazonaws.com.cn");
    if !(rest.starts_with(['.', '-']) && is_amazons) {
        return None;
    }
    let host = format!("bedrock-agent-runtime{rest}");
    let moved = |text: &str| text.replacen(&*target.host, &host, 1);
    Some(Target {
        authority: HeaderValue::from_str(&moved(target.authority.to_str().ok()?)).ok()?,
        api_base: moved(&target.api_base).into(),
        fleet: None,
        host: host.as_str().into(),
        ..target.clone()
    })
}

/// Sends an API key of Bedrock's, which goes before all other credentials.
pub(super) fn authenticate(
    headers: &mut Headers,
    written: &Written<'_>,
) -> Result<(), TargetProblem> {
    match filled(written.api_key) {
        Some(key) => headers.add_secret("api_key", header::AUTHORIZATION, "Bearer ", key),
        None => Ok(()),
    }
}

/// The id of a model as Bedrock knows it: what stands behind marks, region and commitment.
pub(super) fn model_id(model: &str) -> &str {
    // The form of the prompt of an imported model may stand before its ARN: `llama/arn:aws:...`.
    if let Some(at) = arn(model) {
        return model.get(at..).unwrap_or(model);
    }
    let mut id = model;
    while let Some((first, rest)) = id.split_once('/') {
        if !(MARKS.contains(&first) || is_region(first) || first.ends_with("-commitment")) {
            break;
        }
        id = rest;
    }
    id
}

/// The id of the model that a profile (`us.anthropic.claude-...`) stands for.
pub(super) fn without_profile(id: &str) -> &str {
    match id.split_once('.') {
        Some((_, rest)) if rest.starts_with("anthropic.") => rest,
        _ => id,
    }
}

/// The region that a model's name tells: written before the id, or in the ARN.
#[must_use]
pub fn region_of(model: &str) -> Option<&str> {
    let before = arn(model).map_or(model, |at| model.get(..at).unwrap_or_default());
    if let Some(region) = before.split('/').find(|part| is_region(part)) {
        return Some(region);
    }
    let arn = model.get(arn(model)?..)?;
    arn.split(':').nth(3).filter(|region| is_region(region))
}

/// Where an ARN begins, if the model is one.
fn arn(model: &str) -> Option<usize> {
    if model.starts_with(ARN) {
        return Some(0);
    }
    model.find("/arn:").map(|at| at + 1)
}

/// `us-east-1`, `us-gov-west-1`: words with hyphens between them, and a number at the end. Model
/// ids have a dot after their maker.
fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let number = parts.next_back();
    let words: Vec<&str> = parts.collect();
    let is_number = |part: &str| {
        (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_word =
        |part: &&str| part.len() >= 2 && part.bytes().all(|byte| byte.is_ascii_lowercase());
    words.len() >= 2 && words.iter().all(is_word) && number.is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_at_a_host_of_their_own() {
        use crate::provider::{CloudOptions, target, vendor};
        let cloud = CloudOptions { region: Some("eu-west-1".into()), ..CloudOptions::default() };
        let at = |base| {
            let written =
                Written { model: "a.b", api_base: base, cloud: Some(&cloud), ..Written::default() };
            target(vendor("bedrock").unwrap(), &written).unwrap()
        };
        let moved = agent_runtime(&at(None)).unwrap();
        let host = "bedrock-agent-runtime.eu-west-1.amazonaws.com";
        assert_eq!((&*moved.host, moved.authority.to_str().unwrap()), (host, host));
        assert_eq!(&*moved.api_base, format!("https://{host}"));
        assert!(moved.authorisation.is_some_and(|how| how.is_signature()));
        let fips = at(Some("https://bedrock-runtime-fips.us-east-1.amazonaws.com"));
        let moved = agent_runtime(&fips).unwrap();
        assert_eq!(&*moved.host, "bedrock-agent-runtime-fips.us-east-1.amazonaws.com");
        for own in [
            "http://127.0.0.1:9",
            "https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
            "https://bedrock-runtime.example.com",
        ] {
            assert!(agent_runtime(&at(Some(own))).is_none(), "{own}");
        }
    }

    #[test]
    fn claude_is_invoked_where_that_is_written() {
        for (model, invoked, told) in [
            ("invoke/us.anthropic.claude-x", true, false),
            ("us-east-1/invoke/anthropic.claude-x", true, false),
            (
                "invoke/arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x",
                true,
                false,
            ),
            ("anthropic.claude-x", false, false),
            ("converse/anthropic.claude-x", false, false),
            ("invoke/meta.llama3", false, true),
            ("invoke/arn:aws:bedrock:us-east-1:1:application-inference-profile/x", false, true),
            ("arn:aws:bedrock:us-east-1:1:x/invoke/anthropic.claude-x", false, false),
        ] {
            assert_eq!(is_invoked(model), invoked, "{model}");
            assert_eq!(is_not_invoked(model).is_some(), told, "{model}");
            let base = BaseUrl::parse("https://h.example").unwrap();
            let layout = layout(&base, &Written { model, ..Written::default() });
            let stream = if invoked { "invoke-with-response-stream" } else { "converse-stream" };
            assert!(layout.stream_path.unwrap().ends_with(stream), "{model}");
        }
    }

    #[test]
    fn tokens_are_counted_by_the_model_itself() {
        let counts = |model: &str| {
            let base = BaseUrl::parse("https://h.example/model").unwrap();
            let layout = layout(&base, &Written { model, ..Written::default() });
            assert_eq!(layout.paths[0].as_deref(), Some("/model/{model}/converse"));
            layout.paths[Endpoint::CountTokens.index()].as_deref().map(str::to_owned)
        };
        let path = "/model/{model}/count-tokens";
        assert_eq!(counts("us.anthropic.claude-x").as_deref(), Some(path));
        assert_eq!(counts("amazon.nova-pro-v1:0"), None);
        assert_eq!(counts("arn:aws:bedrock:us-east-1:1:x/us.anthropic.claude-x"), None);
        assert_eq!(without_profile("us.anthropic.claude-x"), "anthropic.claude-x");
        assert_eq!(without_profile("anthropic.claude-3.5"), "anthropic.claude-3.5");
    }

    #[test]
    fn a_model_is_found_behind_what_litellm_writes_before_it() {
        const PROFILE: &str = "arn:aws:bedrock:eu-west-3:1:application-inference-profile/abc";
        for (model, id, region) in [
            ("anthropic.claude-v2", "anthropic.claude-v2", None),
            ("us.amazon.nova-pro-v1:0", "us.amazon.nova-pro-v1:0", None),
            ("converse/us.anthropic.claude-x", "us.anthropic.claude-x", None),
            ("us-west-2/anthropic.claude-v2", "anthropic.claude-v2", Some("us-west-2")),
            ("converse/us-gov-west-1/a.b", "a.b", Some("us-gov-west-1")),
            ("us-east-1/1-month-commitment/a.b", "a.b", Some("us-east-1")),
            ("invoke/a.b", "a.b", None),
            (PROFILE, PROFILE, Some("eu-west-3")),
            (
                "converse/arn:aws:bedrock:eu-west-3:1:x/y",
                "arn:aws:bedrock:eu-west-3:1:x/y",
                Some("eu-west-3"),
            ),
            ("us-east-1/arn:aws:bedrock::a:m/b", "arn:aws:bedrock::a:m/b", Some("us-east-1")),
            ("llama/arn:aws:bedrock::a:m/b", "arn:aws:bedrock::a:m/b", None),
            ("no-region/model", "no-region/model", None),
        ] {
            assert_eq!(model_id(model), id, "{model}");
            assert_eq!(region_of(model), region, "{model}");
        }
    }
}
