//! Further providers with an API like OpenAI's, and those that LiteLLM calls and Tollgate does not,
//! each with the reason.

use super::table::{
    MAX_TOKENS_NORMALISE, MAX_TOKENS_ONLY, NO_STREAM_OPTIONS, NORMALISE, OPENAI, PLAIN, Support,
    Vendor, hosted, not_yet, own_server,
};
use crate::dialect::Quirks;

const DATAROBOT: Vendor = Vendor {
    base_vars: &["DATAROBOT_ENDPOINT"],
    key_vars: &["DATAROBOT_API_TOKEN"],
    native_paths: &["/api/v2"],
    ..hosted!("datarobot", "DATAROBOT", "https://app.datarobot.com/api/v2/genai/llmgw", NORMALISE)
};

const COMETAPI: Vendor = Vendor {
    base_vars: &["COMETAPI_API_BASE", "COMETAPI_BASE_URL"],
    key_vars: &["COMETAPI_KEY", "COMETAPI_API_KEY"],
    ..hosted!("cometapi", "COMETAPI", "https://api.cometapi.com/v1", NORMALISE)
};

const GRADIENT: Vendor = Vendor {
    base_vars: &["GRADIENT_AI_AGENT_ENDPOINT"],
    ..hosted!("gradient_ai", "GRADIENT_AI", "https://inference.do-ai.run/v1", NORMALISE)
};

const HUGGINGFACE: Vendor = Vendor {
    base_vars: &["HUGGINGFACE_API_BASE", "HF_API_BASE"],
    ..hosted!(
        "huggingface",
        "HUGGINGFACE",
        "https://router.huggingface.co/v1",
        MAX_TOKENS_NORMALISE,
        "HF_TOKEN"
    )
};

/// Reranking has a form of its own there.
const VOYAGE: Vendor = Vendor {
    support: Support::VectorsOnly,
    ..hosted!(
        "voyage",
        "VOYAGE",
        "https://api.voyageai.com/v1",
        Quirks { voyage: true, ..PLAIN },
        "VOYAGE_AI_API_KEY",
        "VOYAGE_AI_TOKEN"
    )
};

const JINA: Vendor = Vendor {
    support: Support::VectorsOnly,
    ..hosted!(
        "jina_ai",
        "JINA_AI",
        "https://api.jina.ai/v1",
        PLAIN,
        "JINA_API_KEY",
        "JINA_AI_TOKEN"
    )
};

const TENSORMESH: Vendor = Vendor {
    base_vars: &["TENSORMESH_SERVERLESS_BASE_URL"],
    key_vars: &["TENSORMESH_INFERENCE_API_KEY"],
    ..hosted!("tensormesh", "TENSORMESH", "https://serverless.tensormesh.ai/v1", MAX_TOKENS_ONLY)
};

/// Its address has the account in it, so it has to be written:
/// `https://api.cloudflare.com/client/v4/accounts/<account>/ai/v1`.
const CLOUDFLARE: Vendor = Vendor {
    needs_key: true,
    ..own_server!("cloudflare", "CLOUDFLARE", None, MAX_TOKENS_NORMALISE)
};

/// The addresses of an application, so it has to be written: `https://us.inference.heroku.com/v1`.
const HEROKU: Vendor =
    Vendor { needs_key: true, ..own_server!("heroku", "HEROKU", None, MAX_TOKENS_NORMALISE) };

/// Providers with an API like OpenAI's, by name.
pub(super) const COMPATIBLE: &[Vendor] = &[
    hosted!("abliteration", "ABLITERATION", "https://api.abliteration.ai/v1", NORMALISE),
    hosted!("aihubmix", "AIHUBMIX", "https://aihubmix.com/v1", NORMALISE),
    Vendor { name: "aiohttp_openai", ..OPENAI },
    hosted!("amazon_nova", "AMAZON_NOVA", "https://api.nova.amazon.com/v1", NORMALISE),
    hosted!("apertis", "STIMA", "https://api.stima.tech/v1", MAX_TOKENS_ONLY),
    hosted!("assemblyai", "ASSEMBLYAI", "https://llm-gateway.assemblyai.com/v1", NORMALISE),
    hosted!(
        "charity_engine",
        "CHARITY_ENGINE",
        "https://api.charityengine.services/remotejobs/v2/inference",
        MAX_TOKENS_ONLY
    ),
    hosted!(
        "clarifai",
        "CLARIFAI",
        "https://api.clarifai.com/v2/ext/openai/v1",
        NORMALISE,
        "CLARIFAI_PAT"
    ),
    CLOUDFLARE,
    hosted!("cognition", "COGNITION", "https://api.cognition.ai/v1", NORMALISE),
    COMETAPI,
    hosted!("compactifai", "COMPACTIFAI", "https://api.compactif.ai/v1", MAX_TOKENS_NORMALISE),
    hosted!("cortecs", "CORTECS", "https://api.cortecs.ai/v1", NORMALISE),
    hosted!(
        "crusoe",
        "CRUSOE",
        "https://managed-inference-api-proxy.crusoecloud.com/v1",
        MAX_TOKENS_ONLY
    ),
    hosted!("darkbloom", "DARKBLOOM", "https://api.darkbloom.dev/v1", MAX_TOKENS_ONLY),
    DATAROBOT,
    hosted!("edenai", "EDENAI", "https://api.edenai.run/v3", NORMALISE),
    hosted!("empiriolabs", "EMPIRIOLABS", "https://api.empiriolabs.ai/v1", MAX_TOKENS_ONLY),
    hosted!("gmi", "GMI", "https://api.gmi-serving.com/v1", NORMALISE),
    GRADIENT,
    hosted!("helicone", "HELICONE", "https://ai-gateway.helicone.ai", NORMALISE),
    HEROKU,
    HUGGINGFACE,
    Vendor { support: Support::VectorsOnly, ..own_server!("infinity", "INFINITY", None, PLAIN) },
    JINA,
    hosted!("libertai", "LIBERTAI", "https://api.libertai.io/v1", MAX_TOKENS_ONLY),
    hosted!("llamagate", "LLAMAGATE", "https://api.llamagate.dev/v1", MAX_TOKENS_ONLY),
    hosted!("maritalk", "MARITALK", "https://chat.maritaca.ai/api", NO_STREAM_OPTIONS),
    hosted!("meta", "META", "https://api.meta.ai/v1", NORMALISE),
    hosted!("nadir", "NADIR", "https://api.getnadir.com/v1", NORMALISE),
    hosted!("neosantara", "NEOSANTARA", "https://api.neosantara.xyz/v1", MAX_TOKENS_ONLY),
    own_server!("oobabooga", "OOBABOOGA", None, MAX_TOKENS_NORMALISE),
    hosted!("parasail", "PARASAIL", "https://api.parasail.io/v1", NORMALISE),
    hosted!("pinstripes", "PINSTRIPES", "https://pinstripes.io/v1", MAX_TOKENS_ONLY),
    hosted!("prism", "PRISM", "https://api.prisminference.com/v1", NORMALISE),
    hosted!(
        "qwen_ai_platform",
        "QWEN_AI_PLATFORM",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        MAX_TOKENS_NORMALISE,
        "DASHSCOPE_API_KEY"
    ),
    hosted!(
        "qwencloud",
        "QWENCLOUD",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        MAX_TOKENS_NORMALISE,
        "DASHSCOPE_API_KEY"
    ),
    hosted!("reka", "REKA", "https://api.reka.ai/v1", MAX_TOKENS_NORMALISE),
    hosted!("sail", "SAIL", "https://api.sailresearch.com/v1", NORMALISE),
    hosted!("sarvam", "SARVAM", "https://api.sarvam.ai/v1", MAX_TOKENS_ONLY),
    hosted!("scx-ai", "SCX", "https://api.scx.ai/v1", MAX_TOKENS_ONLY),
    hosted!("synthetic", "SYNTHETIC", "https://api.synthetic.new/openai/v1", MAX_TOKENS_ONLY),
    hosted!("tencent", "TENCENT", "https://tokenhub-intl.tencentcloudmaas.com/v1", NORMALISE),
    TENSORMESH,
    VOYAGE,
    hosted!("xiaomi_mimo", "XIAOMI_MIMO", "https://api.xiaomimimo.com/v1", MAX_TOKENS_NORMALISE),
    // Known, and not spoken.
    not_yet("a2a"),
    not_yet("a2a_agent"),
    not_yet("anthropic_text"),
    not_yet("auto_router"),
    not_yet("aws_textract"),
    not_yet("azure_speech"),
    not_yet("black_forest_labs"),
    not_yet("bytez"),
    not_yet("chatgpt"),
    not_yet("cursor"),
    not_yet("custom"),
    not_yet("deepgram"),
    not_yet("elevenlabs"),
    not_yet("fal_ai"),
    not_yet("gdc"),
    not_yet("gigachat"),
    not_yet("langflow"),
    not_yet("langgraph"),
    not_yet("litellm_agent"),
    not_yet("manus"),
    not_yet("nlp_cloud"),
    not_yet("nvidia_riva"),
    not_yet("petals"),
    not_yet("ragflow"),
    not_yet("recraft"),
    not_yet("reducto"),
    not_yet("runwayml"),
    not_yet("sagemaker_nova"),
    not_yet("sap"),
    not_yet("soniox"),
    not_yet("stability"),
    not_yet("text-completion-codestral"),
    not_yet("text-completion-inception"),
    not_yet("topaz"),
    not_yet("transcribe"),
];

/// Why a provider is not called, and what can be written instead.
const REASONS: &[(&str, &[&str])] = &[
    (
        "its calls are signed with AWS credentials",
        &["sagemaker", "sagemaker_chat", "sagemaker_nova"],
    ),
    ("its calls are signed with keys of Oracle's", &["oci"]),
    (
        "it asks for a token that is fetched with other credentials",
        &["gigachat", "sap", "watsonx", "watsonx_text"],
    ),
    ("it asks for a person to log in", &["chatgpt", "github_copilot"]),
    (
        "its model is named by an address; write `openai/...` with `api_base: \
         https://serving.app.predibase.com/<tenant>/deployments/v2/llms/<deployment>/v1`",
        &["predibase"],
    ),
    (
        "its native API has a form of its own; write `openai/...` with `api_base: \
         https://<account>.snowflakecomputing.com/api/v2/cortex/v1`",
        &["snowflake"],
    ),
    (
        "its API has a form of its own",
        &["anthropic_text", "bytez", "gdc", "nlp_cloud", "petals", "replicate", "triton"],
    ),
    (
        "it completes code between two texts (`/fim/completions`), which has a form of its own",
        &["text-completion-codestral", "text-completion-inception"],
    ),
    (
        "it serves agents and not models",
        &[
            "a2a",
            "a2a_agent",
            "cursor",
            "langflow",
            "langgraph",
            "litellm_agent",
            "manus",
            "ragflow",
        ],
    ),
    (
        "it serves speech, images or documents, and not conversations",
        &[
            "aws_polly",
            "aws_textract",
            "azure_speech",
            "black_forest_labs",
            "deepgram",
            "elevenlabs",
            "fal_ai",
            "nvidia_riva",
            "recraft",
            "reducto",
            "runwayml",
            "soniox",
            "stability",
            "topaz",
            "transcribe",
        ],
    ),
    ("it is code of LiteLLM's and no provider", &["auto_router", "custom"]),
];

/// Why the provider with this name is not called, where it is known and not called.
#[must_use]
pub fn why_not(name: &str) -> Option<&'static str> {
    let (reason, _) = REASONS.iter().find(|(_, names)| names.contains(&name))?;
    Some(reason)
}
