//! What a request says of a key.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::{Desk, allowance};
use crate::admin::fault::Fault;
use crate::admin::form::{Form, Given};
use crate::keys::record::{Key, KeyType};
use crate::keys::{KeyHash, expiry};

/// A key that says nothing yet.
pub(super) fn blank(token: KeyHash) -> Key {
    Key {
        token,
        account: None,
        replaced_by: None,
        key_name: String::new(),
        key_alias: None,
        user_id: None,
        team_id: None,
        organization_id: None,
        models: Vec::new(),
        aliases: std::collections::BTreeMap::new(),
        allowance: crate::keys::record::Allowance::default(),
        model_rpm_limit: std::collections::BTreeMap::new(),
        model_tpm_limit: std::collections::BTreeMap::new(),
        model_max_budget: std::collections::BTreeMap::new(),
        key_type: KeyType::Default,
        allowed_routes: Vec::new(),
        expires: None,
        blocked: false,
        tags: Vec::new(),
        logging: None,
        metadata: Map::new(),
        history: crate::keys::record::History::default(),
    }
}

/// Reads everything but the key itself and what it has spent.
pub(super) fn read(form: &Form, key: &mut Key, now: Timestamp) -> Result<(), Fault> {
    form.name("key_alias")?.set(&mut key.key_alias);
    form.name("user_id")?.set(&mut key.user_id);
    form.name("team_id")?.set(&mut key.team_id);
    form.name("organization_id")?.set(&mut key.organization_id);
    form.texts("models")?.put(&mut key.models);
    form.typed("aliases", "an object of texts")?.put(&mut key.aliases);
    allowance::read(form, &mut key.allowance)?;
    let before = key.metadata.get(GUARDRAILS).cloned();
    metadata(form, key)?;
    guardrails(form, before, &mut key.metadata)?;
    limits(form, key)?;
    allowance::model_budgets(form)?.put(&mut key.model_max_budget);
    let types = "default, llm_api, management or read_only";
    form.typed("key_type", types)?.put(&mut key.key_type);
    form.texts("allowed_routes")?.put(&mut key.allowed_routes);
    form.flag("blocked")?.put(&mut key.blocked);
    lifetime(form, now)?.set(&mut key.expires);
    Ok(())
}

fn limits(form: &Form, key: &mut Key) -> Result<(), Fault> {
    allowance::model_limits(form, "model_rpm_limit")?.put(&mut key.model_rpm_limit);
    allowance::model_limits(form, "model_tpm_limit")?.put(&mut key.model_tpm_limit);
    form.texts("tags")?.put(&mut key.tags);
    Ok(())
}

/// The guardrails of a key or a team are kept in its metadata, as LiteLLM keeps them. Other metadata do
/// not take them away.
pub(in crate::admin::manage) fn guardrails(
    form: &Form,
    before: Option<Value>,
    metadata: &mut Map<String, Value>,
) -> Result<(), Fault> {
    match form.texts("guardrails")? {
        Given::Value(names) if !names.is_empty() => {
            metadata.insert(GUARDRAILS.to_owned(), names.into());
        }
        Given::Value(_) | Given::Null => {
            metadata.remove(GUARDRAILS);
        }
        Given::Absent => {
            if let Some(before) = before {
                metadata.entry(GUARDRAILS).or_insert(before);
            }
        }
    }
    Ok(())
}

/// Refuses names of guardrails that are not there: nobody is to believe that something is looked at that
/// is not.
pub(in crate::admin::manage) fn check_guardrails(
    desk: &Desk,
    metadata: &Map<String, Value>,
) -> Result<(), Fault> {
    let there = desk.source.guardrails();
    let named = metadata.get(GUARDRAILS).and_then(Value::as_array).into_iter().flatten();
    for name in named {
        let name = name.as_str().unwrap_or_default();
        if there.named(name).is_none() {
            let message = format!("there is no guardrail {}", crate::admin::shortened(name));
            return Err(Fault::value(GUARDRAILS, message));
        }
    }
    Ok(())
}

/// Where metadata name guardrails.
pub(in crate::admin::manage) const GUARDRAILS: &str = "guardrails";

/// The metadata, without what is kept elsewhere.
fn metadata(form: &Form, key: &mut Key) -> Result<(), Fault> {
    let mut given = form.typed::<Map<String, Value>>("metadata", "an object")?;
    if let Some(lifted) = allowance::lifted(&mut given)? {
        limits(&lifted, key)?;
    }
    given.put(&mut key.metadata);
    Ok(())
}

/// The end of a key, by `duration`; LiteLLM writes `-1` for never.
pub(super) fn lifetime(form: &Form, now: Timestamp) -> Result<Given<Timestamp>, Fault> {
    match form.name("duration")? {
        Given::Absent => Ok(Given::Absent),
        Given::Null => Ok(Given::Null),
        Given::Value(text) if text.trim() == "-1" => Ok(Given::Null),
        Given::Value(text) => match expiry(&text, now) {
            Ok(end) => Ok(Given::Value(end)),
            Err(error) => Err(Fault::value("duration", format!("duration: {error}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn read(key: &mut Key, value: &Value) -> Result<(), Fault> {
        super::read(&Form::of_body(value.to_string().as_bytes()).unwrap(), key, now())
    }

    #[test]
    fn an_update_leaves_alone_what_it_does_not_name() {
        let mut key = blank(KeyHash::of(b"sk-1"));
        let first = json!({"key_alias": "ci", "models": ["a"], "max_budget": 5, "duration": "1d",
            "metadata": {"tags": ["x"], "model_rpm_limit": {"a": 3}, "owner": "me"}, "user_id": "u"});
        read(&mut key, &first).unwrap();
        assert_eq!((key.tags.as_slice(), key.model_rpm_limit["a"]), (&["x".to_owned()][..], 3));
        assert_eq!(key.metadata, *json!({"owner": "me"}).as_object().unwrap());
        assert_eq!(key.expires, Some("2026-01-02T00:00:00Z".parse().unwrap()));
        read(&mut key, &json!({"max_budget": null, "duration": "-1", "blocked": true})).unwrap();
        assert_eq!((key.allowance.max_budget, key.expires, key.blocked), (None, None, true));
        assert_eq!((key.key_alias.as_deref(), key.models.len()), (Some("ci"), 1));
    }

    #[test]
    fn a_wrong_value_names_its_field() {
        for (field, value, status) in [
            ("max_budget", json!(-1), 400),
            ("max_budget", json!("much"), 422),
            ("budget_duration", json!("soon"), 400),
            ("duration", json!("forever"), 400),
            ("rpm_limit", json!(-5), 400),
            ("tpm_limit", json!(1.5), 422),
            ("models", json!("gpt-4o"), 422),
            ("models", json!([1]), 422),
            ("aliases", json!(["a"]), 422),
            ("metadata", json!("text"), 422),
            ("key_type", json!("admin"), 422),
            ("user_id", json!(7), 422),
            ("blocked", json!("perhaps"), 422),
            ("model_rpm_limit", json!({"a": -1}), 422),
            ("tags", json!({"a": 1}), 422),
        ] {
            let fault = read(&mut blank(KeyHash::of(b"sk-1")), &json!({field: value})).unwrap_err();
            assert_eq!((fault.status, fault.param.as_deref()), (status, Some(field)), "{value}");
        }
    }
}
