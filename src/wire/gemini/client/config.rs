//! `generationConfig`, as canonical parameters.

use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::read::{Message, camel, integer, list, number, word};
use super::request::Draft;
use super::schema::json_schema;
use crate::failure::Failure;
use crate::wire::chat::{Raw, Schema};
use crate::wire::client::Obstacle;
use crate::wire::fields::{Text, impossible, invalid, mistyped, read};

/// What an answer in a schema is called, where a name has to be given.
const SCHEMA_NAME: &str = "response";

/// Budgets of thinking and the efforts that come nearest: OpenAI's clients, too, get these budgets.
const EFFORTS: [(i64, &str); 3] = [(1_024, "low"), (8_192, "medium"), (i64::MAX, "high")];

/// The smallest budget that every provider takes which counts thinking in tokens.
const LEAST_BUDGET: i64 = 1_024;

#[derive(Serialize)]
struct Format<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<Schema<'a>>,
}

/// Writes the parameters of the `generationConfig` at `param`.
///
/// # Errors
/// One of them is not what it has to be. What only Google's models know is an obstacle.
pub(super) fn write(
    param: &str,
    raw: Raw<'_>,
    draft: &mut Draft,
    obstacle: &mut Obstacle,
) -> Result<(), Failure> {
    let config = Message::read(param, raw.get())?;
    for (written, raw) in config.written() {
        let place = format!("{param}.{written}");
        match &*camel(written) {
            "temperature" => draft.raw("temperature", &number(&place, raw)?),
            "topP" => draft.raw("top_p", &number(&place, raw)?),
            "topK" => draft.set("top_k", &integer(&place, raw)?),
            "maxOutputTokens" => draft.set("max_completion_tokens", &integer(&place, raw)?),
            "candidateCount" => {
                let count = integer(&place, raw)?;
                if count != 1 {
                    draft.set("n", &count);
                }
            }
            "stopSequences" => {
                let stop: Vec<Text<'_>> = texts(&place, raw)?;
                if !stop.is_empty() {
                    draft.set("stop", &stop);
                }
            }
            "seed" => draft.set("seed", &integer(&place, raw)?),
            "presencePenalty" => draft.raw("presence_penalty", &number(&place, raw)?),
            "frequencyPenalty" => draft.raw("frequency_penalty", &number(&place, raw)?),
            "responseLogprobs" => match raw.get() {
                "true" => draft.raw("logprobs", "true"),
                "false" => {}
                other => return Err(mistyped(&place, "a boolean", other)),
            },
            "logprobs" => draft.set("top_logprobs", &integer(&place, raw)?),
            "responseMimeType" | "responseSchema" | "responseJsonSchema"
            // An older spelling of the latter.
            | "_responseJsonSchema" | "ResponseJsonSchema" => {}
            "thinkingConfig" => {
                let most = config.get("maxOutputTokens");
                let most = most.map(|raw| integer(&format!("{param}.maxOutputTokens"), raw));
                thinking(&place, raw, most.transpose()?, draft)?;
            }
            "responseModalities" => modalities(&place, raw, draft, obstacle)?,
            // How to look at media and how to speak; nothing that a text would be other without.
            "mediaResolution" | "speechConfig" | "audioTimestamp" | "imageConfig"
            | "enableAffectiveDialog" | "enableEnhancedCivicAnswers" | "routingConfig"
            | "modelSelectionConfig" | "modelConfig" => {}
            _ => {
                let message = format!("`{place}` is known to Google's models only");
                obstacle.parameter(impossible(&place, message));
            }
        }
    }
    format(param, &config, draft, obstacle)
}

fn texts<'a>(param: &str, raw: Raw<'a>) -> Result<Vec<Text<'a>>, Failure> {
    list(param, raw)?.into_iter().map(|(param, raw)| read(&param, raw.get())).collect()
}

/// The form of the answer.
fn format(
    param: &str,
    config: &Message<'_>,
    draft: &mut Draft,
    obstacle: &mut Obstacle,
) -> Result<(), Failure> {
    let kind = config.text(param, "responseMimeType")?.unwrap_or_default();
    match &*kind {
        "application/json" => {}
        "" | "text/plain" => return Ok(()),
        _ => {
            let place = format!("{param}.responseMimeType");
            let message =
                format!("`{place}`: {kind:?} is an answer that only Google's models give");
            obstacle.parameter(impossible(&place, message));
            return Ok(());
        }
    }
    let whole = config.get("responseJsonSchema").or_else(|| config.get("ResponseJsonSchema"));
    let schema = match (whole, config.find("responseSchema")) {
        (Some(schema), _) => Some(schema.to_owned()),
        (None, Some((written, raw))) => {
            let schema = json_schema(&format!("{param}.{written}"), raw)?;
            RawValue::from_string(schema).ok()
        }
        (None, None) => None,
    };
    let schema = schema.as_deref().map(|schema| Schema {
        name: Some(SCHEMA_NAME.into()),
        description: None,
        schema: Some(schema),
        strict: None,
    });
    let kind = if schema.is_some() { "json_schema" } else { "json_object" };
    if let Ok(format) = to_raw_value(&Format { kind, json_schema: schema }) {
        draft.raw("response_format", format.get());
    }
    Ok(())
}

/// How hard to think. A budget of -1 and none at all leave it to the model.
///
/// It is said twice, as an effort and in Anthropic's words: so providers that count thinking in
/// tokens get the client's number, and all can tell a client's wish from an effort that it demands.
/// `most`: of the whole answer, which the budget has to leave room in.
fn thinking(
    param: &str,
    raw: Raw<'_>,
    most: Option<i64>,
    draft: &mut Draft,
) -> Result<(), Failure> {
    let config = Message::read(param, raw.get())?;
    let mut tokens = None;
    let effort = if let Some((written, raw)) = config.find("thinkingLevel") {
        let place = format!("{param}.{written}");
        match &*word(&place, raw)? {
            "THINKING_LEVEL_UNSPECIFIED" => None,
            "MINIMAL" => Some("minimal"),
            "LOW" => Some("low"),
            "MEDIUM" => Some("medium"),
            "HIGH" => Some("high"),
            "XHIGH" => Some("xhigh"),
            _ => {
                let message = format!("`{place}` is MINIMAL, LOW, MEDIUM, HIGH or XHIGH");
                return Err(invalid(&place, message));
            }
        }
    } else if let Some((written, raw)) = config.find("thinkingBudget") {
        match integer(&format!("{param}.{written}"), raw)? {
            0 => Some("none"),
            ..0 => None,
            budget => {
                let fits = budget >= LEAST_BUDGET && most.is_none_or(|most| budget < most);
                tokens = fits.then_some(budget);
                EFFORTS.iter().find(|(most, _)| budget <= *most).map(|(_, effort)| *effort)
            }
        }
    } else {
        None
    };
    let Some(effort) = effort else { return Ok(()) };
    draft.set("reasoning_effort", effort);
    let thinking = match (effort, tokens) {
        ("none", _) => json!({"type": "disabled"}),
        (_, Some(tokens)) => json!({"type": "enabled", "budget_tokens": tokens}),
        // Without `display` some models send no text of their thinking.
        (_, None) => json!({"type": "adaptive", "display": "summarized"}),
    };
    draft.set("thinking", &thinking);
    Ok(())
}

fn modalities(
    param: &str,
    raw: Raw<'_>,
    draft: &mut Draft,
    obstacle: &mut Obstacle,
) -> Result<(), Failure> {
    let mut wanted = Vec::new();
    for (param, raw) in list(param, raw)? {
        match &*word(&param, raw)? {
            "TEXT" => wanted.push("text"),
            "IMAGE" => wanted.push("image"),
            "MODALITY_UNSPECIFIED" => {}
            other => {
                let message = format!("`{param}`: only Google's models answer in {other}");
                obstacle.content(impossible(&param, message));
            }
        }
    }
    if wanted.contains(&"image") {
        draft.set("modalities", &wanted);
    }
    Ok(())
}
