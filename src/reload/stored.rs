//! Deployments of the database beside the file: what of them is good is in force, the rest is left out.
//!
//! A file that is good by itself is never refused for what the database adds, and what is wrong with one
//! deployment concerns no other.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::config::{self, Added, Loaded, Problem};
use crate::keys::record::Model;
use crate::seal::Seal;
use crate::secret::Secret;

/// What the database adds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    added: Vec<Added>,
    /// Those whose credentials do not open.
    closed: Vec<LeftOut>,
}

/// A deployment that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) id: Arc<str>,
    pub(super) problems: Vec<String>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, problems } = self;
        write!(out, "the model {id} of the database is left out: {}", problems.join("; "))
    }
}

impl Stored {
    /// The deployments as entries of `model_list`, as far as their seal opens.
    pub(super) fn open(models: &[Model], seal: Option<&Seal>) -> Self {
        let mut opened = Self::default();
        for model in models {
            match params(model, seal) {
                Ok(params) => opened.added.push(entry(model, &params)),
                Err(problem) => {
                    let id = (&*model.model_id).into();
                    opened.closed.push(LeftOut { id, problems: vec![problem] });
                }
            }
        }
        opened
    }

    /// Reads the file with all of them that are good, and says which are not. Blocks.
    pub(super) fn load(&self, path: &Path) -> (Loaded, Vec<LeftOut>) {
        let (mut added, mut left_out) = (self.added.clone(), self.closed.clone());
        loop {
            let loaded = config::load_with_added(path, &config::ProcessEnv, &added);
            let mut faulty = config::faulty(&loaded.problems);
            faulty.retain(|at, _| *at < added.len());
            if loaded.snapshot.is_some() || faulty.is_empty() {
                return (loaded, left_out);
            }
            let mut good = Vec::with_capacity(added.len());
            for (at, one) in added.into_iter().enumerate() {
                match faulty.get(&at) {
                    None => good.push(one),
                    Some(problems) => {
                        left_out.push(LeftOut { id: one.id, problems: problems.clone() });
                    }
                }
            }
            added = good;
        }
    }

    /// What is said about one of them where faults are tolerated.
    pub(super) fn problems(&self, id: &str, all: &[Problem]) -> Vec<String> {
        let at = self.added.iter().position(|one| *one.id == *id);
        let about = at.and_then(|at| config::about_added(all).remove(&at));
        about.unwrap_or_else(|| vec![format!("the model {id} would be left out")])
    }
}

fn params(model: &Model, seal: Option<&Seal>) -> Result<Value, String> {
    let none = "there is no LITELLM_SALT_KEY and no master key to open its credentials with";
    let seal = seal.ok_or_else(|| none.to_owned())?;
    let text = seal.open(&model.model_id, &model.sealed).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn entry(model: &Model, params: &Value) -> Added {
    let mut info = model.model_info.clone();
    info.insert("id".to_owned(), Value::String(model.model_id.clone()));
    let entry = serde_json::json!({
        "model_name": model.model_name,
        "litellm_params": params,
        "model_info": info,
    });
    Added { id: (&*model.model_id).into(), entry: Secret::new(entry.to_string()) }
}
