//! The providers that can be called, as data: address, key, dialect and departures from it.
//!
//! Names, addresses and environment variables are LiteLLM's, so that its configuration files work.

use super::azure::is_azure;
use super::compatible::COMPATIBLE;
use super::url::BaseUrl;
use super::{Cloud, anthropic, bedrock, cohere, gemini, ollama, params};
use crate::dialect::{Dialect, Quirks};

/// A provider: where it is and what it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vendor {
    /// LiteLLM's name, which is also the prefix of its models.
    pub name: &'static str,
    pub dialect: Dialect,
    /// Where it is if no `api_base` is written; `None`: it has no address of its own.
    pub base_url: Option<&'static str>,
    /// Environment variables that hold the address, best first.
    pub base_vars: &'static [&'static str],
    /// Environment variables that hold the key, best first.
    pub key_vars: &'static [&'static str],
    pub quirks: Quirks,
    /// Refuses calls without a key.
    pub needs_key: bool,
    /// Paths of an `api_base` that lead to the provider's native API, and stand for the path of
    /// `base_url` here.
    pub native_paths: &'static [&'static str],
    pub support: Support,
}

/// Stands for every provider that the configuration describes; its own name is the deployment's.
pub const CUSTOM: Vendor = Vendor {
    name: "custom",
    dialect: Dialect::Custom,
    base_url: None,
    base_vars: &[],
    key_vars: &[],
    quirks: PLAIN,
    needs_key: false,
    ..OPENAI
};

impl Vendor {
    /// The same provider as it is spoken to about a model.
    #[must_use]
    pub fn of_model(&'static self, model: &str) -> &'static Self {
        if self.name == BEDROCK.name && bedrock::is_invoked(model) {
            return &BEDROCK_INVOKED;
        }
        let family = FAMILIES.iter().find(|(name, start, _)| {
            // At Vertex AI a publisher before the model tells that it is none of Google's.
            let fits =
                if start.is_empty() { model.contains('/') } else { model.starts_with(start) };
            *name == self.name && fits
        });
        family.map_or(self, |(_, _, vendor)| vendor)
    }

    fn is_openai(&self) -> bool {
        matches!(self.name, "openai" | "text-completion-openai")
    }

    /// The same provider as it is spoken to at an address (default: its own). Some have, beside the
    /// API of their own, one that copies OpenAI's or Anthropic's.
    #[must_use]
    pub fn at(&self, api_base: Option<&str>) -> Self {
        let written = api_base.filter(|text| !text.is_empty()).or(self.base_url);
        let Some(base) = written.and_then(|text| BaseUrl::parse(text).ok()) else { return *self };
        let copied = match self.dialect {
            // What copies OpenAI's at Google departs from it in its own ways.
            Dialect::Gemini if self.cloud().is_none() && gemini::is_openai_like(&base) => {
                return GEMINI_LIKE_OPENAI;
            }
            Dialect::Cohere if cohere::is_compatible(&base) => Dialect::OpenAi,
            Dialect::Ollama if ollama::is_compatible(&base) => Dialect::OpenAi,
            Dialect::OpenAi | Dialect::Bedrock if anthropic::is_copied(&base) => Dialect::Anthropic,
            // Beside Converse, and for Claude where somebody wrote the other address.
            Dialect::Bedrock | Dialect::Anthropic
                if self.cloud() == Some(Cloud::Aws) && base.path.ends_with("/openai/v1") =>
            {
                Dialect::OpenAi
            }
            own => own,
        };
        let quirks = match self.is_openai() && !is_openais(&base.host) {
            // Whoever answers under OpenAI's name elsewhere follows it as well as they can.
            true => Quirks { imitates: true, closed_messages: is_azure(&base.host), ..self.quirks },
            false => self.quirks,
        };
        Self { dialect: copied, quirks, ..*self }
    }
}

/// Whether a host is OpenAI's own.
pub(super) fn is_openais(host: &str) -> bool {
    host == "api.openai.com" || host.ends_with(".api.openai.com")
}

/// How far Tollgate can call a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    Yes,
    /// Only legacy text completions.
    CompletionsOnly,
    /// Only embeddings and reranking.
    VectorsOnly,
    /// Its name is known, its API is not spoken.
    NotYet,
}

/// OpenAI itself; the others are described by how they differ from it.
pub(super) const OPENAI: Vendor = Vendor {
    name: "openai",
    dialect: Dialect::OpenAi,
    base_url: Some("https://api.openai.com/v1"),
    base_vars: &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
    key_vars: &["OPENAI_API_KEY"],
    quirks: Quirks { closed_messages: true, rules: params::OPENAI, ..PLAIN },
    needs_key: true,
    native_paths: &[],
    support: Support::Yes,
};

pub(super) const PLAIN: Quirks = Quirks::NONE;

/// Copies of OpenAI's API of which nothing else is known.
pub(super) const IMITATES: Quirks = Quirks { imitates: true, ..PLAIN };
pub(super) const MAX_TOKENS_ONLY: Quirks = Quirks { max_tokens_only: true, ..IMITATES };
const VLLM: Quirks = Quirks { continues_final_message: true, ..NORMALISE };
pub(super) const NORMALISE: Quirks = Quirks { normalise_stream: true, ..PLAIN };
pub(super) const MAX_TOKENS_NORMALISE: Quirks =
    Quirks { normalise_stream: true, max_tokens_only: true, ..PLAIN };
/// In front of Claude and others that cache by markers.
const MARKED_NORMALISE: Quirks = Quirks { cache_markers: true, ..NORMALISE };
const MARKED_MAX_TOKENS_NORMALISE: Quirks = Quirks { cache_markers: true, ..MAX_TOKENS_NORMALISE };
const MARKED: Quirks = Quirks { cache_markers: true, ..IMITATES };
const MISTRAL: Quirks = Quirks {
    mistral: true,
    no_stream_options: true,
    rules: params::MISTRAL,
    ..MAX_TOKENS_NORMALISE
};
pub(super) const NO_STREAM_OPTIONS: Quirks =
    Quirks { no_stream_options: true, ..MAX_TOKENS_NORMALISE };
const DEEPSEEK: Quirks = Quirks {
    null_content_with_tool_calls: true,
    replays_reasoning: true,
    takes_thinking: true,
    rules: params::DEEPSEEK,
    ..MAX_TOKENS_NORMALISE
};
const XAI: Quirks = Quirks {
    strip_strict_and_names: true,
    reasoning_outside_completion: true,
    normalise_stream: true,
    rules: params::XAI,
    ..PLAIN
};
const CEREBRAS: Quirks = Quirks { rules: params::CEREBRAS, ..NORMALISE };
const GITHUB: Quirks = Quirks { rules: params::OPENAI, ..IMITATES };
const GROQ: Quirks = Quirks { closed_messages: true, rules: params::GROQ, ..NORMALISE };
const MINIMAX: Quirks = Quirks { rules: params::MINIMAX, ..NORMALISE };
const MOONSHOT: Quirks =
    Quirks { takes_thinking: true, rules: params::MOONSHOT, ..MAX_TOKENS_NORMALISE };

const ZAI: Quirks = Quirks { takes_thinking: true, ..MAX_TOKENS_NORMALISE };

/// A provider with an API like OpenAI's: name, start of its environment variables, address,
/// departures, and further variables that may hold the key.
macro_rules! hosted {
    ($name:literal, $vars:literal, $base_url:literal, $quirks:expr $(, $key_var:literal)*) => {
        Vendor {
            name: $name,
            base_url: Some($base_url),
            base_vars: &[concat!($vars, "_API_BASE")],
            key_vars: &[concat!($vars, "_API_KEY") $(, $key_var)*],
            quirks: $quirks,
            ..OPENAI
        }
    };
}

/// The same for a server that people run themselves, often without a key.
macro_rules! own_server {
    ($name:literal, $vars:literal, $base_url:expr, $quirks:expr) => {
        Vendor {
            name: $name,
            base_url: $base_url,
            base_vars: &[concat!($vars, "_API_BASE")],
            key_vars: &[concat!($vars, "_API_KEY")],
            quirks: $quirks,
            needs_key: false,
            ..OPENAI
        }
    };
}

pub(super) use {hosted, own_server};

/// A provider that LiteLLM calls and Tollgate does not; [`super::why_not`] tells why.
pub(super) const fn not_yet(name: &'static str) -> Vendor {
    Vendor {
        name,
        base_url: None,
        base_vars: &[],
        key_vars: &[],
        needs_key: false,
        support: Support::NotYet,
        ..OPENAI
    }
}

const AZURE: Vendor = Vendor {
    name: "azure",
    dialect: Dialect::Azure,
    base_url: None,
    base_vars: &["AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"],
    key_vars: &["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"],
    ..OPENAI
};

const ANTHROPIC: Vendor = Vendor {
    name: "anthropic",
    dialect: Dialect::Anthropic,
    base_url: Some("https://api.anthropic.com"),
    base_vars: &["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"],
    key_vars: &["ANTHROPIC_API_KEY"],
    ..OPENAI
};

/// Without an `api_base` its address depends on the region.
const BEDROCK: Vendor = Vendor {
    name: "bedrock",
    dialect: Dialect::Bedrock,
    base_url: None,
    base_vars: &["AWS_BEDROCK_RUNTIME_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"],
    key_vars: &["AWS_BEARER_TOKEN_BEDROCK"],
    ..OPENAI
};

/// Claude in its own format, for whoever writes `invoke/` before it.
const BEDROCK_INVOKED: Vendor =
    Vendor { quirks: Quirks { invoke: true, ..BEDROCK.quirks }, ..BEDROCK };

/// OpenAI's API at Bedrock.
const BEDROCK_MANTLE: Vendor = Vendor {
    name: "bedrock_mantle",
    base_url: None,
    base_vars: &["BEDROCK_MANTLE_API_BASE"],
    key_vars: &["BEDROCK_MANTLE_API_KEY", "AWS_BEARER_TOKEN_BEDROCK"],
    quirks: Quirks { rules: params::OPENAI, ..IMITATES },
    ..OPENAI
};

const AZURE_AI: Vendor = Vendor {
    name: "azure_ai",
    base_vars: &["AZURE_AI_API_BASE"],
    key_vars: &["AZURE_AI_API_KEY"],
    ..AZURE
};

/// Gemini at Vertex AI.
const VERTEX: Vendor = Vendor {
    name: "vertex_ai",
    dialect: Dialect::Gemini,
    base_url: None,
    base_vars: &["VERTEXAI_API_BASE", "VERTEX_API_BASE"],
    key_vars: &[],
    quirks: ON_VERTEX,
    needs_key: false,
    ..OPENAI
};

const ON_VERTEX: Quirks = Quirks { vertex: true, ..PLAIN };

/// Vendors whose models are called in several formats: the models, by how their names begin, and
/// what is spoken to them. The first that fits decides.
const FAMILIES: &[(&str, &str, &Vendor)] = &[
    ("bedrock_mantle", "anthropic.", &Vendor { dialect: Dialect::Anthropic, ..BEDROCK_MANTLE }),
    ("azure_ai", "claude", &Vendor { dialect: Dialect::Anthropic, ..AZURE_AI }),
    ("vertex_ai", "claude", &VERTEX_CLAUDE),
    ("vertex_ai_beta", "claude", &Vendor { name: "vertex_ai_beta", ..VERTEX_CLAUDE }),
    ("vertex_ai", "", &VERTEX_LIKE_OPENAI),
    ("vertex_ai_beta", "", &Vendor { name: "vertex_ai_beta", ..VERTEX_LIKE_OPENAI }),
];

const VERTEX_CLAUDE: Vendor = Vendor { dialect: Dialect::Anthropic, ..VERTEX };

/// Models of other publishers, which are named with their publisher (`meta/llama-...`).
const VERTEX_LIKE_OPENAI: Vendor = Vendor { dialect: Dialect::OpenAi, quirks: NORMALISE, ..VERTEX };

/// The quirks are those of its API that copies OpenAI's, under `/compatibility/v1`.
const COHERE: Vendor = Vendor {
    dialect: Dialect::Cohere,
    ..hosted!("cohere", "COHERE", "https://api.cohere.com", MAX_TOKENS_NORMALISE, "CO_API_KEY")
};

const DASHSCOPE: Vendor = hosted!(
    "dashscope",
    "DASHSCOPE",
    "https://dashscope.aliyuncs.com/compatible-mode/v1",
    MARKED_MAX_TOKENS_NORMALISE
);

const DOCKER: Vendor = own_server!(
    "docker_model_runner",
    "DOCKER_MODEL_RUNNER",
    Some("http://localhost:12434/engines/v1"),
    MAX_TOKENS_ONLY
);

const FIREWORKS: Vendor = hosted!(
    "fireworks_ai",
    "FIREWORKS",
    "https://api.fireworks.ai/inference/v1",
    Quirks { takes_thinking: true, ..NORMALISE },
    "FIREWORKS_AI_API_KEY",
    "FIREWORKSAI_API_KEY",
    "FIREWORKS_AI_TOKEN"
);

const FRIENDLI: Vendor = hosted!(
    "friendliai",
    "FRIENDLI",
    "https://api.friendli.ai/serverless/v1",
    MAX_TOKENS_ONLY,
    "FRIENDLIAI_API_KEY",
    "FRIENDLI_TOKEN"
);

const GEMINI: Vendor = Vendor {
    dialect: Dialect::Gemini,
    ..hosted!(
        "gemini",
        "GEMINI",
        "https://generativelanguage.googleapis.com/v1beta",
        PLAIN,
        "GOOGLE_API_KEY"
    )
};

/// Gemini by its endpoint that is like OpenAI's: see [`Vendor::at`].
const GEMINI_LIKE_OPENAI: Vendor = Vendor {
    dialect: Dialect::OpenAi,
    base_url: Some("https://generativelanguage.googleapis.com/v1beta/openai"),
    quirks: NORMALISE,
    ..GEMINI
};

/// The quirks are those of its API that copies OpenAI's, under `/v1`.
const OLLAMA: Vendor = Vendor {
    dialect: Dialect::Ollama,
    ..own_server!("ollama", "OLLAMA", Some("http://localhost:11434"), MAX_TOKENS_NORMALISE)
};

const OVHCLOUD: Vendor = hosted!(
    "ovhcloud",
    "OVHCLOUD",
    "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
    MAX_TOKENS_ONLY
);

const PERPLEXITY: Vendor = hosted!(
    "perplexity",
    "PERPLEXITY",
    "https://api.perplexity.ai",
    Quirks { rules: params::PERPLEXITY, ..NO_STREAM_OPTIONS },
    "PERPLEXITYAI_API_KEY"
);

const TOGETHER: Vendor = hosted!(
    "together_ai",
    "TOGETHER_AI",
    "https://api.together.ai/v1",
    MAX_TOKENS_NORMALISE,
    "TOGETHER_API_KEY",
    "TOGETHERAI_API_KEY",
    "TOGETHER_AI_TOKEN"
);

const VOLCENGINE: Vendor = hosted!(
    "volcengine",
    "VOLCENGINE",
    "https://ark.cn-beijing.volces.com/api/v3",
    Quirks { takes_thinking: true, ..MAX_TOKENS_ONLY },
    "ARK_API_KEY"
);

/// Those that are told apart by more than their address, and the most used of the others. See
/// [`vendors`].
pub(super) const VENDORS: &[Vendor] = &[
    OPENAI,
    AZURE,
    ANTHROPIC,
    AZURE_AI,
    BEDROCK,
    Vendor { name: "bedrock_converse", ..BEDROCK },
    BEDROCK_MANTLE,
    VERTEX,
    Vendor { name: "vertex_ai_beta", ..VERTEX },
    Vendor { name: "azure_text", support: Support::CompletionsOnly, ..AZURE },
    Vendor { name: "text-completion-openai", support: Support::CompletionsOnly, ..OPENAI },
    // Servers that people run themselves.
    own_server!("custom_openai", "CUSTOM_OPENAI", None, IMITATES),
    own_server!("databricks", "DATABRICKS", None, MARKED_MAX_TOKENS_NORMALISE),
    DOCKER,
    own_server!("hosted_vllm", "HOSTED_VLLM", None, VLLM),
    own_server!("lemonade", "LEMONADE", Some("http://localhost:8000/api/v1"), MAX_TOKENS_ONLY),
    own_server!("litellm_proxy", "LITELLM_PROXY", None, MARKED),
    own_server!("llamafile", "LLAMAFILE", Some("http://127.0.0.1:8080/v1"), MAX_TOKENS_ONLY),
    own_server!("lm_studio", "LM_STUDIO", Some("http://localhost:1234/v1"), MAX_TOKENS_NORMALISE),
    OLLAMA,
    Vendor { name: "ollama_chat", ..OLLAMA },
    own_server!("openai_like", "OPENAI_LIKE", None, IMITATES),
    own_server!("vllm", "VLLM", None, VLLM),
    own_server!("xinference", "XINFERENCE", None, MAX_TOKENS_ONLY),
    // Hosted.
    hosted!("ai21", "AI21", "https://api.ai21.com/studio/v1", MAX_TOKENS_ONLY),
    hosted!("ai21_chat", "AI21", "https://api.ai21.com/studio/v1", MAX_TOKENS_ONLY),
    hosted!("aiml", "AIML", "https://api.aimlapi.com/v1", MAX_TOKENS_ONLY),
    hosted!("anyscale", "ANYSCALE", "https://api.endpoints.anyscale.com/v1", MAX_TOKENS_ONLY),
    hosted!("baseten", "BASETEN", "https://inference.baseten.co/v1", MAX_TOKENS_ONLY),
    hosted!("cerebras", "CEREBRAS", "https://api.cerebras.ai/v1", CEREBRAS),
    hosted!("chutes", "CHUTES", "https://llm.chutes.ai/v1", MAX_TOKENS_ONLY),
    hosted!("codestral", "CODESTRAL", "https://codestral.mistral.ai/v1", MISTRAL),
    COHERE,
    Vendor { name: "cohere_chat", ..COHERE },
    DASHSCOPE,
    hosted!("deepinfra", "DEEPINFRA", "https://api.deepinfra.com/v1/openai", MAX_TOKENS_NORMALISE),
    hosted!("deepseek", "DEEPSEEK", "https://api.deepseek.com", DEEPSEEK),
    hosted!("empower", "EMPOWER", "https://app.empower.dev/api/v1", MAX_TOKENS_ONLY),
    hosted!("featherless_ai", "FEATHERLESS_AI", "https://api.featherless.ai/v1", MAX_TOKENS_ONLY),
    FIREWORKS,
    FRIENDLI,
    hosted!("galadriel", "GALADRIEL", "https://api.galadriel.com/v1", MAX_TOKENS_ONLY),
    GEMINI,
    hosted!("github", "GITHUB", "https://models.inference.ai.azure.com", GITHUB, "GITHUB_TOKEN"),
    hosted!("groq", "GROQ", "https://api.groq.com/openai/v1", GROQ),
    hosted!("hyperbolic", "HYPERBOLIC", "https://api.hyperbolic.xyz/v1", MAX_TOKENS_ONLY),
    hosted!("inception", "INCEPTION", "https://api.inceptionlabs.ai/v1", MAX_TOKENS_ONLY),
    hosted!("inference_net", "INFERENCE_NET", "https://api.inference.net/v1", MAX_TOKENS_ONLY),
    hosted!("lambda_ai", "LAMBDA", "https://api.lambda.ai/v1", MAX_TOKENS_ONLY),
    hosted!("meta_llama", "LLAMA", "https://api.llama.com/compat/v1", NORMALISE),
    hosted!("minimax", "MINIMAX", "https://api.minimax.io/v1", MINIMAX),
    hosted!("mistral", "MISTRAL", "https://api.mistral.ai/v1", MISTRAL),
    hosted!("modelscope", "MODELSCOPE", "https://api-inference.modelscope.cn/v1", MAX_TOKENS_ONLY),
    hosted!("moonshot", "MOONSHOT", "https://api.moonshot.ai/v1", MOONSHOT),
    hosted!("morph", "MORPH", "https://api.morphllm.com/v1", MAX_TOKENS_ONLY),
    hosted!("nano-gpt", "NANOGPT", "https://nano-gpt.com/api/v1", MAX_TOKENS_ONLY),
    hosted!("nebius", "NEBIUS", "https://api.studio.nebius.ai/v1", MAX_TOKENS_ONLY),
    hosted!("novita", "NOVITA", "https://api.novita.ai/v3/openai", MAX_TOKENS_NORMALISE),
    hosted!("nscale", "NSCALE", "https://inference.api.nscale.com/v1", MAX_TOKENS_ONLY),
    hosted!(
        "nvidia_nim",
        "NVIDIA_NIM",
        "https://integrate.api.nvidia.com/v1",
        MAX_TOKENS_NORMALISE
    ),
    hosted!(
        "openrouter",
        "OPENROUTER",
        "https://openrouter.ai/api/v1",
        MARKED_NORMALISE,
        "OR_API_KEY"
    ),
    OVHCLOUD,
    PERPLEXITY,
    hosted!("poe", "POE", "https://api.poe.com/v1", MAX_TOKENS_ONLY),
    hosted!("publicai", "PUBLICAI", "https://api.publicai.co/v1", MAX_TOKENS_ONLY),
    hosted!("sambanova", "SAMBANOVA", "https://api.sambanova.ai/v1", MAX_TOKENS_ONLY),
    hosted!(
        "scaleway",
        "SCALEWAY",
        "https://api.scaleway.ai/v1",
        MAX_TOKENS_ONLY,
        "SCW_SECRET_KEY"
    ),
    TOGETHER,
    hosted!("v0", "V0", "https://api.v0.dev/v1", MAX_TOKENS_ONLY),
    hosted!("veniceai", "VENICE_AI", "https://api.venice.ai/api/v1", NORMALISE),
    hosted!("vercel_ai_gateway", "VERCEL_AI_GATEWAY", "https://ai-gateway.vercel.sh/v1", NORMALISE),
    VOLCENGINE,
    hosted!("wandb", "WANDB", "https://api.inference.wandb.ai/v1", MAX_TOKENS_ONLY),
    hosted!("xai", "XAI", "https://api.x.ai/v1", XAI),
    hosted!("zai", "ZAI", "https://api.z.ai/api/paas/v4", ZAI),
    // Known, and not spoken.
    not_yet("aws_polly"),
    not_yet("github_copilot"),
    not_yet("oci"),
    not_yet("predibase"),
    not_yet("replicate"),
    not_yet("sagemaker"),
    not_yet("sagemaker_chat"),
    not_yet("snowflake"),
    not_yet("triton"),
    not_yet("watsonx"),
    not_yet("watsonx_text"),
];

/// All providers that are known.
pub fn vendors() -> impl Iterator<Item = &'static Vendor> {
    VENDORS.iter().chain(COMPATIBLE)
}

/// The provider with this name.
#[must_use]
pub fn vendor(name: &str) -> Option<&'static Vendor> {
    vendors().find(|vendor| vendor.name == name)
}

/// Names of all providers that can be called.
pub fn names() -> impl Iterator<Item = &'static str> {
    vendors().filter(|vendor| vendor.support != Support::NotYet).map(|vendor| vendor.name)
}

#[cfg(test)]
mod tests {
    use super::super::compatible::why_not;
    use super::*;

    #[test]
    fn under_openais_name_others_are_looked_at() {
        let openai = vendor("openai").unwrap();
        for (base, own) in [
            (None, true),
            (Some("https://api.openai.com/v1"), true),
            (Some("https://eu.api.openai.com/v1"), true),
            (Some("http://127.0.0.1:8000/v1"), false),
            (Some("https://api.openai.com.example/v1"), false),
        ] {
            let quirks = openai.at(base).quirks;
            assert_eq!(quirks.is_normalised(), !own, "{base:?}");
            assert_eq!(quirks.closed_messages, own, "{base:?}");
            assert_eq!(quirks.rules, openai.quirks.rules);
        }
        let azures = openai.at(Some("https://x.openai.azure.com/openai/v1")).quirks;
        assert!(azures.is_normalised() && azures.closed_messages);
        for name in ["openai_like", "custom_openai", "litellm_proxy", "llamafile", "ai21"] {
            assert!(vendor(name).unwrap().quirks.is_normalised(), "{name}");
        }
    }

    #[test]
    fn the_table_is_sound() {
        for (at, vendor) in vendors().enumerate() {
            let first = vendors().position(|other| other.name == vendor.name);
            assert_eq!(first, Some(at), "{} is listed twice", vendor.name);
            if let Some(base) = vendor.base_url {
                assert!(base.starts_with("http"), "{base}");
                assert!(!base.ends_with('/'), "{base}");
            }
            if let Some(reason) = why_not(vendor.name) {
                assert_eq!(vendor.support, Support::NotYet, "{}: {reason}", vendor.name);
            }
            if vendor.needs_key {
                assert!(!vendor.key_vars.is_empty(), "{}", vendor.name);
            }
        }
        assert!(names().count() >= 100, "only {}", names().count());
        assert!(names().any(|name| name == "groq"));
        assert!(names().all(|name| name != "sagemaker"));
    }
}
