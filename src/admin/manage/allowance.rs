//! What somebody may use: read from a request, and held against what others allow.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Desk, Fault, Form, Given, Operator, logging};
use crate::keys::OwnCallback;
use crate::keys::record::{Allowance, Kind, ModelBudget, Organisation, Team};
use crate::wildcard::matches;

/// Reads the fields that all of them share.
pub(super) fn read(form: &Form, into: &mut Allowance) -> Result<(), Fault> {
    form.dollars("max_budget")?.set(&mut into.max_budget);
    form.dollars("soft_budget")?.set(&mut into.soft_budget);
    form.period("budget_duration")?.set(&mut into.budget_duration);
    form.count("rpm_limit")?.set(&mut into.rpm_limit);
    form.count("tpm_limit")?.set(&mut into.tpm_limit);
    form.count("max_parallel_requests")?.set(&mut into.max_parallel_requests);
    form.name("budget_id")?.set(&mut into.budget_id);
    check_limit_types(form)?;
    if let (Some(soft), Some(max)) = (into.soft_budget, into.max_budget)
        && (form.has("soft_budget") || form.has("max_budget"))
        && soft >= max
        && max > 0.0
    {
        let message =
            format!("soft_budget ({soft}) must be strictly lower than max_budget ({max})");
        return Err(Fault::value("soft_budget", message));
    }
    Ok(())
}

/// Whether the budget that an allowance names is there.
pub(super) async fn check_budget(desk: &Desk, allowance: &Allowance) -> Result<(), Fault> {
    match &allowance.budget_id {
        Some(id) if !desk.has(Kind::Budget, id).await? => {
            let message = format!("Budget not found, passed budget_id={id}");
            Err(Fault::value("budget_id", message))
        }
        Some(_) | None => Ok(()),
    }
}

/// Limits by model.
pub(super) fn model_limits(form: &Form, name: &str) -> Result<Given<BTreeMap<String, u64>>, Fault> {
    form.typed(name, "an object of whole numbers by model")
}

/// What LiteLLM keeps in the metadata of a key or a team and this gateway in fields of its own.
const LIFTED: [&str; 3] = ["tags", "model_rpm_limit", "model_tpm_limit"];

/// Takes out of metadata what has fields of its own here, as a form.
pub(super) fn lifted(metadata: &mut Given<Map<String, Value>>) -> Result<Option<Form>, Fault> {
    logging::take_out(metadata);
    let Given::Value(metadata) = metadata else { return Ok(None) };
    let lifted = LIFTED.iter().filter_map(|name| metadata.remove_entry(*name));
    Form::of_value("metadata", Value::Object(lifted.collect())).map(Some)
}

/// Shows metadata with what LiteLLM's clients look for in it. `limits`: of requests and of tokens.
pub(super) fn show_lifted(
    metadata: &Map<String, Value>,
    tags: &[String],
    limits: [&BTreeMap<String, u64>; 2],
    callbacks: Option<&[OwnCallback]>,
    fields: &mut Map<String, Value>,
) {
    let mut metadata = metadata.clone();
    fields.remove(logging::LOGGING);
    metadata.remove(logging::LOGGING);
    if let Some(callbacks) = callbacks {
        metadata.insert(logging::LOGGING.to_owned(), logging::shown(callbacks));
    }
    let [requests, tokens] = limits;
    let kept = [
        (json!(tags), tags.is_empty()),
        (json!(requests), requests.is_empty()),
        (json!(tokens), tokens.is_empty()),
    ];
    for (name, (value, empty)) in LIFTED.into_iter().zip(kept) {
        if !empty {
            metadata.insert(name.to_owned(), value);
        }
    }
    fields.insert("metadata".to_owned(), Value::Object(metadata));
}

/// Whether limits are meant as they are held here: each bounds what it is written for, and promises
/// nothing of what others have left.
fn check_limit_types(form: &Form) -> Result<(), Fault> {
    for name in ["rpm_limit_type", "tpm_limit_type"] {
        match form.name(name)? {
            Given::Absent | Given::Null => {}
            Given::Value(kind) if kind == "best_effort_throughput" => {}
            Given::Value(kind) if matches!(&*kind, "guaranteed_throughput" | "dynamic") => {
                let message =
                    format!("{name}: only best_effort_throughput is supported, not {kind}");
                return Err(Fault::value(name, message));
            }
            Given::Value(_) => {
                let message = format!("{name} must be best_effort_throughput");
                return Err(Fault::shape(name, message));
            }
        }
    }
    Ok(())
}

/// Budgets by model: `{"gpt-4o": {"budget_limit": 0.5, "time_period": "1d"}}`.
pub(super) fn model_budgets(form: &Form) -> Result<Given<BTreeMap<String, ModelBudget>>, Fault> {
    let name = "model_max_budget";
    let models = form.typed::<BTreeMap<String, Value>>(name, "an object by model")?;
    let Given::Value(models) = models else {
        return Ok(if matches!(models, Given::Null) { Given::Null } else { Given::Absent });
    };
    let mut budgets = BTreeMap::new();
    for (model, value) in models {
        let within = |mut fault: Fault| {
            fault.message = format!("{name}.{model}: {}", fault.message);
            fault.about(name)
        };
        // LiteLLM's older clients write the amount alone.
        let budget = if value.is_object() {
            Form::of_value(name, value)?
        } else {
            Form::of_value(name, json!({"budget_limit": value}))?
        };
        let first = |one: &str, other: &str| {
            if budget.has(one) { one.to_owned() } else { other.to_owned() }
        };
        let limit = first("budget_limit", "max_budget");
        let missing = || within(Fault::shape(name, format!("{limit} is required")));
        let budget_limit = budget.dollars(&limit).map_err(within)?.value().ok_or_else(missing)?;
        let period = first("time_period", "budget_duration");
        let time_period = budget.period(&period).map_err(within)?.value();
        budgets.insert(model, ModelBudget { budget_limit, time_period });
    }
    Ok(Given::Value(budgets))
}

/// Whether somebody who is no admin of all may give this: nobody gives more than is theirs.
pub(super) fn check_ceiling(operator: &Operator, allowance: &Allowance) -> Result<(), Fault> {
    let own = operator.principal().map(|principal| &principal.key.allowance);
    let ceiling = own.and_then(|own| own.max_budget).filter(|_| !operator.changes_all());
    let Some(ceiling) = ceiling else { return Ok(()) };
    match allowance.max_budget {
        Some(asked) if asked > ceiling => {
            let message = format!(
                "max_budget ({asked}) cannot exceed the caller's own max_budget ({ceiling})."
            );
            Err(Fault::value("max_budget", message))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether a key fits into its team.
pub(super) fn check_team(
    models: &[String],
    allowance: &Allowance,
    team: &Team,
) -> Result<(), Fault> {
    let outside = models.iter().find(|model| !covers(&team.models, model));
    if let Some(model) = outside {
        let message = format!(
            "Model={model} is not one of the models of team={}. Team models={:?}",
            team.team_id, team.models
        );
        return Err(Fault::value("models", message));
    }
    within("max_budget", allowance.max_budget, team.allowance.max_budget, "team's")?;
    within("tpm_limit", allowance.tpm_limit, team.allowance.tpm_limit, "team's")?;
    within("rpm_limit", allowance.rpm_limit, team.allowance.rpm_limit, "team's")
}

/// Whether a team fits into its organisation.
pub(super) fn check_organisation(
    models: &[String],
    allowance: &Allowance,
    organisation: &Organisation,
) -> Result<(), Fault> {
    let outside = models.iter().find(|model| !covers(&organisation.models, model));
    if let Some(model) = outside {
        let message = format!(
            "Model={model} is not one of the models of organization={}. Organization models={:?}",
            organisation.organization_id, organisation.models
        );
        return Err(Fault::value("models", message));
    }
    let most = &organisation.allowance;
    within("max_budget", allowance.max_budget, most.max_budget, "organization's")?;
    within("tpm_limit", allowance.tpm_limit, most.tpm_limit, "organization's")?;
    within("rpm_limit", allowance.rpm_limit, most.rpm_limit, "organization's")
}

fn within<T: PartialOrd + ToString>(
    field: &'static str,
    value: Option<T>,
    most: Option<T>,
    whose: &str,
) -> Result<(), Fault> {
    match (value, most) {
        (Some(value), Some(most)) if value > most => {
            let (value, most) = (value.to_string(), most.to_string());
            Err(Fault::value(
                field,
                format!("{field} ({value}) is over the {whose} {field} ({most})"),
            ))
        }
        _ => Ok(()),
    }
}

/// Whether a list of models allows one: an empty list all of them. Which models a wildcard or an
/// access group stands for is known where requests are served; here such a name must be listed, or
/// be covered by a wildcard.
fn covers(models: &[String], model: &str) -> bool {
    const ALL: [&str; 2] = ["all-proxy-models", "all-team-models"];
    models.is_empty()
        || models.iter().any(|listed| ALL.contains(&listed.as_str()) || matches(listed, model))
        || model == "all-team-models"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(value: Value) -> Form {
        Form::of_body(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_key_gets_no_more_than_its_team_has() {
        let team: Team = serde_json::from_value(json!({"team_id": "t", "max_budget": 10.0,
            "rpm_limit": 5, "models": ["gpt-4o", "claude/*", "x/*small/*"]}))
        .unwrap();
        let asks = |value| {
            let mut allowance = Allowance::default();
            let form = form(value);
            read(&form, &mut allowance).unwrap();
            let models = form.texts("models").unwrap().value().unwrap_or_default();
            check_team(&models, &allowance, &team).map_err(|fault| fault.param.unwrap())
        };
        assert_eq!(asks(json!({"max_budget": 10, "rpm_limit": 5, "models": ["claude/x"]})), Ok(()));
        assert_eq!(asks(json!({"models": ["all-team-models"]})), Ok(()));
        assert_eq!(asks(json!({"max_budget": 10.5})), Err("max_budget".into()));
        assert_eq!(asks(json!({"rpm_limit": 6})), Err("rpm_limit".into()));
        assert_eq!(asks(json!({"models": ["gpt-4o", "o3"]})), Err("models".into()));
        assert_eq!(asks(json!({"models": ["claude/*", "x/small/1"]})), Ok(()));
        assert_eq!(asks(json!({"models": ["x/large/1"]})), Err("models".into()));
    }

    #[test]
    fn budgets_by_model_are_read_in_all_their_forms() {
        let given = model_budgets(&form(json!({"model_max_budget": {
            "a": {"budget_limit": "0.5", "time_period": "1d"},
            "b": {"max_budget": 2, "budget_duration": "30d"}, "c": 3}})));
        let budgets = given.unwrap().value().unwrap();
        assert_eq!(budgets["a"].budget_limit, 0.5);
        assert_eq!(budgets["b"].time_period.as_deref(), Some("30d"));
        assert_eq!(budgets["c"], ModelBudget { budget_limit: 3.0, time_period: None });
        for wrong in [
            json!({"a": {}}),
            json!({"a": {"budget_limit": -1}}),
            json!([1]),
            json!({"a": {"budget_limit": 1, "time_period": "soon"}}),
        ] {
            let fault = model_budgets(&form(json!({"model_max_budget": wrong}))).unwrap_err();
            assert_eq!(fault.param.as_deref(), Some("model_max_budget"), "{wrong}");
        }
    }

    #[test]
    fn a_soft_budget_is_below_the_budget() {
        let read = |value| read(&form(value), &mut Allowance::default());
        assert!(read(json!({"max_budget": 1, "soft_budget": 1})).is_err());
        assert!(read(json!({"max_budget": 1, "soft_budget": 0.9})).is_ok());
        assert!(read(json!({"soft_budget": 5})).is_ok());
    }
}
