//! LiteLLM's pages about guardrails: which there are, and what one says of a text.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Shared;
use super::fault::Fault;
use super::form::Form;
use crate::guard::{
    Asked, Chosen, Findings, Guardrail, Mode, Modes, Pick, Refusal, Role, Said, Side, Vault, When,
    Why,
};

/// The longest text that is tried.
const TEXT_MAX: usize = 1024 * 1024;

/// `GET /guardrails/list`: no address and no key of any.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let guardrails = shared.source.guardrails();
    let all: Vec<_> = guardrails.list.iter().map(|guardrail| shown(guardrail)).collect();
    Json(json!({"guardrails": all}))
}

fn shown(guardrail: &Guardrail) -> Value {
    json!({
        "guardrail_name": guardrail.name,
        "litellm_params": {
            "guardrail": guardrail.kind,
            "mode": mode(&guardrail.when),
            "default_on": guardrail.default_on,
            "unreachable_fallback": if guardrail.fails_open { "fail_open" } else { "fail_closed" },
        },
        "guardrail_info": guardrail.info,
    })
}

fn mode(when: &When) -> Value {
    let words = |modes: Modes| modes.words().collect::<Vec<_>>();
    if when.tagged.is_empty() {
        return json!(words(when.otherwise));
    }
    let tags = when.tagged.iter().map(|(tag, modes)| (tag.to_string(), json!(words(*modes))));
    json!({"tags": tags.collect::<serde_json::Map<_, _>>(), "default": words(when.otherwise)})
}

/// `POST /guardrails/apply_guardrail`: what becomes of a text before it would be sent to a model.
pub(super) async fn apply(
    State(shared): State<Arc<Shared>>,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let absent = |name: &'static str| Fault::shape(name, format!("{name} must be given"));
    let name = form.name("guardrail_name")?.value().ok_or_else(|| absent("guardrail_name"))?;
    let text = form.text("text")?.value().ok_or_else(|| absent("text"))?;
    if text.len() > TEXT_MAX {
        let message = format!("text must not be longer than {TEXT_MAX} bytes");
        return Err(Fault::value("text", message));
    }
    let guardrails = shared.source.guardrails();
    let rail = guardrails.named(&name).cloned();
    let rail = rail
        .ok_or_else(|| Fault::absent("guardrail_name", format!("there is no guardrail {name}")))?;
    let picks = vec![Pick { rail, modes: Modes::default().with(Mode::PreCall), extra: None }];
    let chosen = Chosen { picks, asked: Arc::<Asked>::default() };
    let mut said = [Said::new(Role::User, Cow::Owned(text))];
    let (mut vault, mut findings) = (Vault::default(), Findings::default());
    let looked =
        chosen.look(Mode::PreCall, Side::Request, &mut said, &mut vault, &mut findings).await;
    match looked {
        Ok(()) => {
            let [said] = said;
            Ok(Json(json!({"response_text": said.text()})))
        }
        Err(Refusal { why: Why::Found { message, .. }, .. }) => {
            Err(Fault { code: "guardrail_violation", ..Fault::value("text", message.to_string()) })
        }
        Err(_) => Err(Fault::unavailable("the guardrail gave no answer".to_owned())),
    }
}
