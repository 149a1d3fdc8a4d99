//! Fields that are refused: LiteLLM obeys them, and here they would be accepted and bind nothing.

use serde_json::Value;

use super::Form;
use crate::admin::fault::Fault;

/// What LiteLLM knows and this gateway does not do: each of them bounds what a key or a team may do,
/// so it is refused where anything is written in it.
const REFUSED: &[&str] = &[
    "access_group_ids",
    "agent_id",
    "allowed_cache_controls",
    "allowed_passthrough_routes",
    "allowed_vector_store_indexes",
    "auto_rotate",
    "budget_fallbacks",
    "budget_limits",
    "denied_passthrough_routes",
    "end_user_budget_id",
    "enforced_params",
    "mcp_rpm_limit",
    "model_itpm_limit",
    "model_otpm_limit",
    "object_permission",
    "object_permission_id",
    "password",
    "permissions",
    "policies",
    "project_id",
    "prompts",
    "router_settings",
    "tag_rpm_limit",
    "tag_tpm_limit",
    "temp_budget_increase",
    "throttle_on_budget_exceeded",
    "tpd_limit",
];

/// Those of them that LiteLLM keeps in the metadata, and obeys there.
const REFUSED_IN_METADATA: &[&str] = &[
    "mcp_rpm_limit",
    "model_itpm_limit",
    "model_otpm_limit",
    "tag_rpm_limit",
    "tag_tpm_limit",
    "tpd_limit",
];

/// The same, but for the routes below these: keys and teams have guardrails.
const REFUSED_ELSEWHERE: (&str, [&str; 2]) = ("guardrails", ["/key/", "/team/"]);

impl Form {
    /// Refuses what no route takes.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.refuse_of(REFUSED)?;
        self.refuse_in_metadata(REFUSED_IN_METADATA)
    }

    /// Refuses what some routes take, and the one at this path does not.
    pub(super) fn check_at(&self, path: &str) -> Result<(), Fault> {
        let (name, takes) = REFUSED_ELSEWHERE;
        match takes.iter().any(|below| path.starts_with(below)) {
            true => Ok(()),
            false => self.refuse_of(&[name]),
        }
    }

    fn refuse_of(&self, names: &[&'static str]) -> Result<(), Fault> {
        let says = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(list) => !list.is_empty(),
            Value::Object(map) => !map.is_empty(),
            Value::String(text) => !text.is_empty(),
            Value::Bool(true) | Value::Number(_) => true,
        };
        let refused = names.iter().find(|name| self.fields.get(**name).is_some_and(says));
        refused.map_or(Ok(()), |name| Err(unsupported(name)))
    }

    /// The same, for what stands in the metadata.
    fn refuse_in_metadata(&self, names: &[&'static str]) -> Result<(), Fault> {
        let Some(Value::Object(metadata)) = self.fields.get("metadata") else { return Ok(()) };
        let said = |name: &&&str| metadata.get(**name).is_some_and(|value| !value.is_null());
        let refused = names.iter().find(said);
        refused.map_or(Ok(()), |name| Err(unsupported(&format!("metadata.{name}"))))
    }

    /// Refuses fields that would be accepted here and bound nothing, wherever LiteLLM reads them.
    pub(in crate::admin) fn unsupported(&self, names: &[&'static str]) -> Result<(), Fault> {
        self.refuse_of(names)?;
        self.refuse_in_metadata(names)
    }
}

fn unsupported(name: &str) -> Fault {
    Fault::value(name, format!("{name} is not supported: it would be accepted and bound nothing"))
}
