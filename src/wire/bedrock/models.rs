//! What the models behind Converse accept: facts that the translation depends on.
//!
//! A model is found by its maker and name (`us.anthropic.claude-...-v1:0`, `amazon.nova-pro-v1:0`).
//! Of a model that cannot be recognised, an imported one or a profile whose ARN does not tell, it is
//! taken that it accepts whatever the client asks for; `base_model` says what it is.

use crate::wire::anthropic::models::Capabilities;

/// What one model accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// A Claude, and what is known of it; the facts of a stranger otherwise.
    pub(super) claude: bool,
    nova: bool,
    pub(super) facts: Capabilities,
    /// How much it thinks can be said in this way.
    pub(super) reasoning: Reasoning,
    /// Which tool it calls can be chosen: `toolChoice`.
    pub(super) choice: bool,
    /// `outputConfig.textFormat`, and `strict` tools.
    pub(super) structured: bool,
    /// `cachePoint` in messages and the system prompt.
    pub(super) cache: bool,
    /// `cachePoint` among the tools.
    pub(super) cache_tools: bool,
    /// The `status` of a tool result.
    pub(super) status: bool,
    /// Reasoning of earlier turns may be sent back.
    pub(super) replay: bool,
    /// Results of tools and words of the user may stand in one turn.
    pub(super) mixed_turns: bool,
}

/// How a model is told how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reasoning {
    /// Not at all.
    None,
    /// `thinking`, and `outputConfig.effort` for the newer ones.
    Claude,
    /// `reasoningConfig` with three efforts.
    Nova,
    /// `reasoning_effort` as OpenAI has it.
    OpenAi,
    /// `outputConfig.effort`, Converse's own word.
    Effort,
}

// Source: Amazon's documentation and the model table of LiteLLM 1.106.2 (MIT), November 2026.

/// A model whose name says nothing.
const UNKNOWN: Model = Model {
    claude: false,
    nova: false,
    facts: Capabilities::STRANGER,
    reasoning: Reasoning::Effort,
    choice: true,
    structured: true,
    cache: true,
    cache_tools: true,
    status: true,
    replay: true,
    mixed_turns: true,
};

/// A known model of no family below.
const PLAIN: Model = Model {
    reasoning: Reasoning::None,
    structured: false,
    cache: false,
    cache_tools: false,
    status: false,
    replay: false,
    mixed_turns: false,
    ..UNKNOWN
};

/// Makers whose models take `outputConfig.textFormat`, by the start of their names.
const STRUCTURED: &[&str] = &[
    "deepseek.v3",
    "minimax.minimax-m2",
    "mistral.ministral-3",
    "mistral.mistral-large-3",
    "mistral.voxtral",
    "moonshot.kimi-k2",
    "nvidia.nemotron-nano-3",
    "qwen.qwen3",
    "zai.glm-5",
];

/// Makers whose models take no `toolChoice`.
const UNCHOSEN: &[&str] = &[
    "ai21.",
    "amazon.titan",
    "deepseek.r1",
    "google.gemma",
    "meta.",
    "mistral.magistral",
    "mistral.pixtral",
    "writer.",
];

/// Makers of models at Bedrock.
const MAKERS: &[&str] = &[
    "ai21.",
    "amazon.",
    "anthropic.",
    "cohere.",
    "deepseek.",
    "google.",
    "meta.",
    "minimax.",
    "mistral.",
    "moonshot.",
    "moonshotai.",
    "nvidia.",
    "openai.",
    "qwen.",
    "twelvelabs.",
    "writer.",
    "zai.",
];

impl Model {
    /// The facts for a model's name, with or without a region's prefix, or an ARN that ends with it.
    pub(super) fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        if model.contains("claude") {
            return Self::claude(&model);
        }
        let maker = MAKERS.iter().filter_map(|maker| model.find(maker)).min();
        let Some(name) = maker.and_then(|at| model.get(at..)) else {
            return UNKNOWN;
        };
        let is_one = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        let model = Self { structured: is_one(STRUCTURED), choice: !is_one(UNCHOSEN), ..PLAIN };
        if name.starts_with("amazon.nova") {
            let reasoning = match name.starts_with("amazon.nova-2") {
                true => Reasoning::Nova,
                false => Reasoning::None,
            };
            return Self {
                nova: true,
                reasoning,
                cache: true,
                status: true,
                mixed_turns: true,
                ..model
            };
        }
        if name.starts_with("openai.") {
            // The later ones have no sampling parameters.
            let facts = Capabilities { sampling: name.contains("gpt-oss"), ..model.facts };
            return Self { reasoning: Reasoning::OpenAi, facts, ..model };
        }
        model
    }

    fn claude(model: &str) -> Self {
        let facts = Capabilities::of(model);
        // Converse does not pass the schema on to those that came after 4.6, except for one.
        let structured =
            facts.structured_output && (facts.sampling || model.contains("mythos-5-1"));
        // The first models that take a cache point.
        let cache = facts.thinks()
            || model.contains("claude-3-5-haiku")
            || model.contains("claude-3-5-sonnet-20241022");
        Self {
            claude: true,
            facts,
            reasoning: Reasoning::Claude,
            structured,
            cache,
            cache_tools: cache,
            ..UNKNOWN
        }
    }

    /// A Nova, which has words of its own for some things.
    pub(super) const fn is_nova(&self) -> bool {
        self.nova
    }

    /// Whether it can be made to call a tool.
    pub(super) const fn forced_tools(&self) -> bool {
        self.choice && self.facts.forced_tools
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_maker_and_name() {
        let claude = Model::of("us.anthropic.claude-haiku-4-5-20251001-v1:0");
        assert!(claude.claude && claude.structured && claude.cache && claude.forced_tools());
        assert_eq!(
            claude,
            Model::of(
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0"
            )
        );
        assert!(!Model::of("anthropic.claude-opus-4-8").structured);
        assert!(!Model::of("anthropic.claude-sonnet-5-5").forced_tools());
        assert!(Model::of("anthropic.claude-sonnet-4-6").structured);
        assert!(Model::of("anthropic.claude-mythos-5-1").structured);
        assert!(!Model::of("anthropic.claude-3-haiku-20240307-v1:0").cache);
        assert!(Model::of("anthropic.claude-3-5-haiku-20241022-v1:0").cache);

        let nova = Model::of("eu.amazon.nova-pro-v1:0");
        assert!(nova.cache && nova.status && nova.choice && !nova.structured && !nova.replay);
        assert_eq!(nova.reasoning, Reasoning::None);
        assert_eq!(Model::of("amazon.nova-2-lite-v1:0").reasoning, Reasoning::Nova);

        let llama = Model::of("us.meta.llama3-3-70b-instruct-v1:0");
        assert!(!llama.choice && !llama.cache && !llama.status && !llama.forced_tools());
        assert_eq!(Model::of("openai.gpt-oss-120b-1:0").reasoning, Reasoning::OpenAi);
        assert!(Model::of("openai.gpt-oss-120b-1:0").facts.sampling);
        assert!(!Model::of("openai.gpt-6-sol").facts.sampling);
        assert!(Model::of("qwen.qwen3-32b-v1:0").structured);
        assert_eq!(Model::of("arn:aws:bedrock:us-east-1:1:imported-model/abc"), UNKNOWN);
    }
}
