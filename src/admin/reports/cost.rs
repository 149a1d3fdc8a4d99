//! What a call costs, or would cost: `POST /spend/calculate` and `POST /cost/estimate`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::Source;
use super::super::fault::Fault;
use super::super::form::Form;
use super::super::insight::Counting;
use super::{Reports, dollars};
use crate::money::Usd;
use crate::usage::Usage;

/// `{"model", "messages"}`: the cost of the prompt alone; or `{"completion_response"}`: that of a
/// reply with its usage.
pub(super) async fn calculate(
    State(reports): State<Arc<Reports>>,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let model = form.filled("model")?;
    if let Some(reply) = form.any("completion_response").value() {
        let reply = Form::of_value("completion_response", reply)?;
        let model = match model {
            Some(model) => model,
            None => reply.required("model")?,
        };
        let usage = reply.any("usage").value().unwrap_or_default();
        let usage = usage_of(&usage)?;
        let cost = cost(&*reports.source, &model, &usage)?;
        return Ok(Json(json!({"cost": dollars(cost.pico())})));
    }
    let Some(model) = model else {
        let message = "Send model and messages, or completion_response".to_owned();
        return Err(Fault::value("model", message));
    };
    let Some(messages) = form.any("messages").value() else {
        let message = "Send messages, or completion_response".to_owned();
        return Err(Fault::value("messages", message));
    };
    if !messages.is_array() {
        return Err(Fault::shape("messages", "messages must be a list".to_owned()));
    }
    let counting = Counting { model: model.clone(), body: json!({"messages": messages}) };
    let counted = reports.source.count(counting).await;
    let usage = Usage { input_tokens: counted.tokens, ..Usage::default() };
    let cost = cost(&*reports.source, &model, &usage)?;
    Ok(Json(json!({"cost": dollars(cost.pico())})))
}

/// `{"model", "input_tokens", "output_tokens", "num_requests_per_day", "num_requests_per_month"}`.
pub(super) async fn estimate(
    State(reports): State<Arc<Reports>>,
    form: Form,
) -> Result<Json<Value>, Fault> {
    let model = form.required("model")?;
    let count = |name: &str| -> Result<Option<u64>, Fault> { Ok(form.count(name)?.value()) };
    let tokens = |name: &str| -> Result<u64, Fault> {
        count(name)?.ok_or_else(|| Fault::shape(name, format!("{name} is missing")))
    };
    let (input, output) = (tokens("input_tokens")?, tokens("output_tokens")?);
    let source = &*reports.source;
    let one = |usage: Usage| cost(source, &model, &usage);
    let input_cost = one(Usage { input_tokens: input, ..Usage::default() })?;
    let all = one(Usage { input_tokens: input, output_tokens: output, ..Usage::default() })?;
    let output_cost = all.minus(input_cost);
    let mut shown = json!({
        "model": model,
        "input_tokens": input,
        "output_tokens": output,
        "num_requests_per_day": count("num_requests_per_day")?,
        "num_requests_per_month": count("num_requests_per_month")?,
        "cost_per_request": dollars(all.pico()),
        "input_cost_per_request": dollars(input_cost.pico()),
        "output_cost_per_request": dollars(output_cost.pico()),
        "margin_cost_per_request": 0.0,
        "provider": source.priced(&model).map(|priced| priced.provider),
    });
    for (prefix, name) in [("daily", "num_requests_per_day"), ("monthly", "num_requests_per_month")]
    {
        // In floating point: a product may be more than pico-dollars hold.
        let times = |cost: Usd, count: u64| dollars(cost.pico()) * count as f64;
        let count = count(name)?;
        let parts = [("cost", all), ("input_cost", input_cost), ("output_cost", output_cost)];
        for (part, cost) in parts {
            shown[format!("{prefix}_{part}")] = json!(count.map(|count| times(cost, count)));
        }
    }
    Ok(Json(shown))
}

fn cost(source: &dyn Source, model: &str, usage: &Usage) -> Result<Usd, Fault> {
    let priced = source.priced(model);
    let price = priced.and_then(|priced| priced.price);
    let price = price.ok_or_else(|| {
        let model = super::super::shortened(model);
        Fault::value("model", format!("the price of the model '{model}' is not known"))
    })?;
    Ok(price.cost(usage))
}

/// Usage in the words of OpenAI's APIs or of Anthropic's.
fn usage_of(usage: &Value) -> Result<Usage, Fault> {
    let Value::Object(_) = usage else {
        let message = "completion_response has no usage".to_owned();
        return Err(Fault::value("completion_response", message));
    };
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or_default();
    let detail = |of: &str, name: &str| number(usage.get(of).and_then(|details| details.get(name)));
    let read = number(usage.get("cache_read_input_tokens"));
    let write = number(usage.get("cache_creation_input_tokens"));
    // Anthropic's input is without what a cache answered.
    let input = match usage.get("prompt_tokens") {
        Some(prompt) => number(Some(prompt)),
        None => {
            let cached = usage.get("input_tokens_details").is_some();
            let input = number(usage.get("input_tokens"));
            if cached { input } else { input.saturating_add(read).saturating_add(write) }
        }
    };
    let output = usage.get("completion_tokens").or_else(|| usage.get("output_tokens"));
    let details = ["prompt_tokens_details", "input_tokens_details"];
    let cached: u64 = details.iter().map(|of| detail(of, "cached_tokens")).sum();
    let details = ["completion_tokens_details", "output_tokens_details"];
    Ok(Usage {
        input_tokens: input,
        output_tokens: number(output),
        cache_read_tokens: read.max(cached).min(input),
        cache_write_tokens: write.min(input),
        reasoning_tokens: details.iter().map(|of| detail(of, "reasoning_tokens")).sum(),
        ..Usage::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_in_the_words_of_each_api() {
        let chat = json!({"prompt_tokens": 10, "completion_tokens": 5,
                          "prompt_tokens_details": {"cached_tokens": 4}});
        let usage = usage_of(&chat).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.cache_read_tokens), (10, 5, 4));
        let messages = json!({"input_tokens": 10, "output_tokens": 5,
                              "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7});
        let usage = usage_of(&messages).unwrap();
        let cached = (usage.cache_read_tokens, usage.cache_write_tokens);
        assert_eq!((usage.input_tokens, cached), (107, (90, 7)));
        assert!(usage_of(&Value::Null).is_err());
    }
}
