//! What a request needs to know of the deployment it is written for.

use serde_json::value::RawValue;

use crate::dialect::{Endpoint, Quirks};

/// How a client's request becomes a provider's.
#[derive(Clone, Copy, Debug)]
pub struct RequestOptions<'a> {
    pub endpoint: Endpoint,
    /// The model to write; `None` removes it (Azure's deployment path names it).
    pub model: Option<&'a str>,
    /// The reply will be read as a stream.
    pub stream: bool,
    pub quirks: Quirks,
    /// Parameters of the deployment: used where the client sent none.
    pub defaults: &'a [(Box<str>, Box<RawValue>)],
    /// Parameters of the fallback that is being tried: they win over the client's.
    pub overrides: &'a [(Box<str>, Box<RawValue>)],
    /// Parameters never sent (`additional_drop_params`): `name`, or a path into one as in
    /// `tools[*].function.strict`.
    pub drop: &'a [Box<str>],
    /// Leave out what the model is known to refuse, instead of letting it refuse.
    pub drop_params: bool,
    /// Repair what the model is known to refuse.
    pub modify_params: bool,
    /// What the model can generate at most, where a format needs the number.
    pub max_output_tokens: Option<u64>,
    /// The model by which capabilities are judged: the base model where `model` is only a
    /// deployment's name.
    pub model_hint: &'a str,
}
