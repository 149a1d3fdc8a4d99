//! A configuration without a file: `tollgate --model openai/gpt-4o`.

use std::path::Path;

use super::{Env, Loaded, load_text};

/// What the command line says instead of a file.
#[derive(Clone, Debug, Default)]
pub struct QuickStart {
    /// `--alias`: the name that clients ask for; by default the model's.
    pub alias: Option<String>,
    pub api_base: Option<String>,
    pub api_version: Option<String>,
    /// `--request_timeout`, in seconds.
    pub request_timeout: Option<f64>,
    pub drop_params: bool,
}

/// The configuration for one model, with the keys of the environment.
#[must_use]
pub fn quick_start(model: &str, options: &QuickStart, env: &dyn Env) -> Loaded {
    // JSON is YAML: the text goes the way of every file, and so do its problems.
    let QuickStart { alias, api_base, api_version, request_timeout, drop_params } = options;
    let text = serde_json::json!({
        "model_list": [{
            "model_name": alias.as_deref().unwrap_or(model),
            "litellm_params": {
                "model": model,
                "api_base": api_base,
                "api_version": api_version,
            },
        }],
        "litellm_settings": {
            "request_timeout": request_timeout,
            "drop_params": drop_params,
        },
    });
    load_text(Path::new("--model"), &text.to_string(), env)
}
