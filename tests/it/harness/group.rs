//! `model_list` as tests write it.

use tollgate::mock::Upstream;

/// The key that every deployment of the tests shows to its provider.
pub const UPSTREAM_KEY: &str = "sk-upstream-of-the-tests";

/// A model group with its deployments.
#[derive(Clone, Debug)]
pub struct Group {
    name: String,
    deployments: Vec<Deployment>,
}

/// One entry of `model_list`.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Lines under `litellm_params`.
    params: Vec<String>,
    /// Lines under `model_info`.
    info: Vec<String>,
}

/// A model group with this name and no deployment yet.
pub fn group(name: &str) -> Group {
    Group { name: name.to_owned(), deployments: Vec::new() }
}

/// A deployment on a provider that speaks as OpenAI does. Tests that need no more than that give
/// the upstream itself: `.deployment(&upstream)`.
pub fn openai(upstream: &Upstream) -> Deployment {
    Deployment::at("openai/gpt-4o-mini", &upstream.api_base())
}

/// A deployment on a provider that speaks as Azure does.
pub fn azure(upstream: &Upstream) -> Deployment {
    Deployment::at("azure/my-deployment", &upstream.api_base())
        .with("api_version: '2024-10-21'")
        .info("base_model: gpt-4o-mini")
}

/// A deployment on a provider that speaks as Anthropic does.
pub fn anthropic(upstream: &Upstream) -> Deployment {
    Deployment::at("anthropic/claude-sonnet-4-5", &upstream.api_base())
}

/// A deployment on a provider that speaks as Gemini does.
pub fn gemini(upstream: &Upstream) -> Deployment {
    Deployment::at("gemini/gemini-3.5-flash", &upstream.api_base())
}

impl From<&Upstream> for Deployment {
    fn from(upstream: &Upstream) -> Self {
        openai(upstream)
    }
}

impl Group {
    /// Adds a deployment.
    pub fn deployment(mut self, deployment: impl Into<Deployment>) -> Self {
        self.deployments.push(deployment.into());
        self
    }

    /// The entries of `model_list`.
    pub fn yaml(&self) -> String {
        self.deployments.iter().map(|deployment| deployment.yaml(&self.name)).collect()
    }
}

impl Deployment {
    /// A deployment of this `provider/model` at this `api_base`.
    pub fn at(model: &str, api_base: &str) -> Self {
        let params = vec![
            format!("model: {}", quoted(model)),
            format!("api_base: {}", quoted(api_base)),
            format!("api_key: {UPSTREAM_KEY}"),
        ];
        Self { params, info: Vec::new() }
    }

    /// Another `provider/model` than the usual one.
    pub fn model(mut self, model: &str) -> Self {
        self.params[0] = format!("model: {}", quoted(model));
        self
    }

    /// Leaves the address to the provider's environment variable.
    pub fn without_api_base(mut self) -> Self {
        self.params.remove(1);
        self
    }

    /// Another key for the provider than the usual one.
    pub fn key(mut self, key: &str) -> Self {
        self.params[2] = format!("api_key: {}", quoted(key));
        self
    }

    /// Adds YAML under `litellm_params`.
    pub fn with(mut self, yaml: &str) -> Self {
        self.params.extend(yaml.lines().map(str::to_owned));
        self
    }

    /// Adds YAML under `model_info`.
    pub fn info(mut self, yaml: &str) -> Self {
        self.info.extend(yaml.lines().map(str::to_owned));
        self
    }

    /// Sets `model_info.id`.
    pub fn id(self, id: &str) -> Self {
        self.info(&format!("id: {}", quoted(id)))
    }

    /// Sets `order`.
    pub fn order(self, order: i64) -> Self {
        self.with(&format!("order: {order}"))
    }

    /// Sets `weight`.
    pub fn weight(self, weight: f64) -> Self {
        self.with(&format!("weight: {weight}"))
    }

    fn yaml(&self, group: &str) -> String {
        let mut yaml = format!("- model_name: {}\n  litellm_params:\n", quoted(group));
        for line in &self.params {
            yaml.push_str(&format!("    {line}\n"));
        }
        if !self.info.is_empty() {
            yaml.push_str("  model_info:\n");
        }
        for line in &self.info {
            yaml.push_str(&format!("    {line}\n"));
        }
        yaml
    }
}

/// A text in YAML's double quotes, which are JSON's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
