//! A chat completion request, turned into a Converse request.
//!
//! Every parameter that OpenAI, Converse or this gateway knows has one place here: translated, left
//! out because leaving it out changes nothing that the client can see, or refused. What nobody knows
//! is the model's own, and goes where Converse takes such fields.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::PROVIDER;
use super::content::Block;
use super::messages::{Conversation, Role, Turn, translate};
use super::models::{Model, Reasoning};
use super::tools::{ToolConfig, Tooling};
use crate::dialect::Endpoint;
use crate::failure::{Failure, FailureClass};
use crate::wire::RequestOptions;
use crate::wire::anthropic::betas;
use crate::wire::anthropic::request::{Pair, Sampling, stop};
use crate::wire::anthropic::thinking::{Around, Step, Thinking, resumes_at};
use crate::wire::asked::{asks_nothing, fitting_limit};
use crate::wire::chat::Raw;
use crate::wire::fields::{Fields, Text, invalid, missing, read, unsupported};
use crate::wire::json::Object;
use crate::wire::request::is_own;

/// How many labels a request may carry, and the longest name or value of one.
const MAX_LABELS: usize = 16;
const MAX_LABEL: usize = 256;
const MAX_STOPS: usize = 2_500;

/// Turns a chat completion request into a Converse request, or one to count the tokens of it.
///
/// # Errors
/// [`FailureClass::BadRequest`]: the request is wrong, or cannot be said to this model. The
/// parameter is named.
pub fn request(request: &Object, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let fields = Fields::gather(request, options);
    let model = Model::of(options.model_hint);
    let body = Body::translate(&fields, options, &model)?;
    let mut bytes = Vec::with_capacity(request.bytes().len() + 512);
    let written = match options.endpoint {
        Endpoint::CountTokens => serde_json::to_writer(&mut bytes, &Count::of(body)),
        _ => serde_json::to_writer(&mut bytes, &body),
    };
    written.map_err(|_| {
        Failure::new(FailureClass::BadRequest, "the request cannot be said to this provider")
    })?;
    Ok(bytes.into())
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    inference_config: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    output_config: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    additional_model_request_fields: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    request_metadata: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guardrail_config: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    performance_config: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_variables: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_model_response_field_paths: Option<Raw<'a>>,
}

/// The request that asks for the number of tokens of another: only what is read by the model.
#[derive(Debug, Serialize)]
struct Count<'a> {
    input: CountInput<'a>,
}

#[derive(Debug, Serialize)]
struct CountInput<'a> {
    converse: Body<'a>,
}

impl<'a> Count<'a> {
    fn of(body: Body<'a>) -> Self {
        let Body { messages, system, tool_config, additional_model_request_fields, .. } = body;
        let counted = Body {
            messages,
            system,
            tool_config,
            additional_model_request_fields,
            ..Body::default()
        };
        Self { input: CountInput { converse: counted } }
    }
}

impl<'a> Body<'a> {
    fn translate(
        fields: &Fields<'a>,
        options: &RequestOptions<'a>,
        model: &Model,
    ) -> Result<Self, Failure> {
        let mut additional = own_fields(fields, options, model)?;
        let Some(messages) = fields.raw("messages") else {
            return Err(missing("messages"));
        };
        let mut conversation = translate(messages, model, options.modify_params)?;
        let tooling = Tooling::of(fields, &conversation, model, options.drop_params)?;
        let max_tokens = fitting_limit(fields, options)?;
        if max_tokens == Some(0) {
            let message = "`max_tokens`: at least one token has to be asked for";
            return Err(invalid("max_tokens", message));
        }
        let mut output_config = object(fields, "outputConfig")?;
        let resumes = resumes(&conversation);
        let forced = tooling.is_forced();
        let thinks = match model.reasoning {
            Reasoning::Claude => {
                let around = Around {
                    model: &model.facts,
                    max_tokens,
                    forced,
                    resumes,
                    provider: PROVIDER,
                    drop_params: options.drop_params,
                    hints: options.hints,
                };
                let thinking = Thinking::of(fields, around)?;
                if let Some(config) = &thinking.config {
                    additional.insert("thinking".to_owned(), value_of(config));
                }
                if let Some(effort) = thinking.effort {
                    output_config.entry("effort").or_insert_with(|| effort.into());
                }
                thinking.is_on()
            }
            other => reason(other, fields, options, &mut additional, &mut output_config)?,
        };
        // What the client says itself of both is Converse's to judge: its `inferenceConfig` takes the
        // pair, and answers with a 400 for a model that does not. The direct API's rule is for what the
        // client did not ask for; `drop_params` leaves `top_p` out.
        let pair = Pair::of(options.leaves_out("top_p"), Pair::Sent);
        let sampling = Sampling::of(fields, &model.facts, thinks && model.claude, pair)?;
        let mut inference = Map::new();
        inference.extend(max_tokens.map(|most| ("maxTokens".to_owned(), most.into())));
        // Nova refuses them beside its greatest effort.
        let refuses = model.is_nova()
            && thinks
            && additional["reasoningConfig"]["maxReasoningEffort"] == "high";
        if !refuses {
            let shares = [("temperature", &sampling.temperature), ("topP", &sampling.top_p)];
            for (name, value) in shares {
                inference.extend(value.as_ref().map(|raw| (name.to_owned(), value_of(raw))));
            }
            // Models that are known and not named here have no such field.
            let takes = model.claude || model.is_nova() || model.reasoning == Reasoning::Effort;
            if let Some(top_k) = sampling.top_k.filter(|_| takes || !options.hints) {
                match model.is_nova() {
                    true => additional.insert("inferenceConfig".to_owned(), json!({"topK": top_k})),
                    false => additional.insert("top_k".to_owned(), value_of(top_k)),
                };
            }
        }
        let stops = stop(fields)?;
        if stops.len() > MAX_STOPS {
            let message = format!("`stop`: Bedrock takes {MAX_STOPS} sequences at most");
            return Err(invalid("stop", message));
        }
        if !stops.is_empty() {
            inference.insert("stopSequences".to_owned(), value_of(&stops));
        }
        inference.extend(object(fields, "inferenceConfig")?);
        additional.extend(tooling.choice.map(|choice| ("tool_choice".to_owned(), choice)));
        if !tooling.tools.is_empty() {
            additional.insert("tools".to_owned(), value_of(&tooling.tools));
        }
        let betas = betas(fields, tooling.betas)?;
        // A name of Anthropic's, which other models refuse; its clients name betas on every call.
        if model.claude && !betas.is_empty() {
            additional.insert("anthropic_beta".to_owned(), betas.into());
        }
        additional.extend(object(fields, "additionalModelRequestFields")?);
        if let Some(format) = tooling.format {
            output_config.entry("textFormat").or_insert(format);
        }
        let told = tooling.told.into_iter().filter_map(Block::text);
        conversation.system.extend(told);
        Ok(Self {
            messages: conversation.turns,
            system: conversation.system,
            inference_config: inference,
            tool_config: tooling.config,
            output_config,
            additional_model_request_fields: additional,
            request_metadata: labels(fields)?,
            service_tier: service_tier(fields)?,
            guardrail_config: fields.pass("guardrailConfig")?,
            performance_config: fields.pass("performanceConfig")?,
            prompt_variables: fields.pass("promptVariables")?,
            additional_model_response_field_paths: fields
                .pass("additionalModelResponseFieldPaths")?,
        })
    }
}

fn value_of(value: &(impl Serialize + ?Sized)) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// A parameter that is an object, or an empty one.
fn object(fields: &Fields<'_>, name: &str) -> Result<Map<String, Value>, Failure> {
    Ok(fields.read(name)?.unwrap_or_default())
}

/// The fields of which nothing is known here: the model's own, or newer than this program.
///
/// # Errors
/// A parameter that asks for what Converse cannot do, unless it may be dropped.
fn own_fields(
    fields: &Fields<'_>,
    options: &RequestOptions<'_>,
    model: &Model,
) -> Result<Map<String, Value>, Failure> {
    let mut passed = Map::new();
    for (name, raw) in fields.iter() {
        match fate(name) {
            Fate::Translated | Fate::Ignored => {}
            Fate::Unsupported if asks_nothing(name, raw) => {}
            Fate::Unsupported if options.leaves_out(name) => {}
            Fate::Unsupported => return Err(unsupported(PROVIDER, name)),
            // Claude's is judged where its thinking is.
            Fate::Thinking if model.reasoning == Reasoning::Claude => {}
            // Said twice, for Claude and for all others: these go by the effort.
            Fate::Thinking if fields.raw("reasoning_effort").is_some() => {}
            Fate::Thinking if raw.contains("\"disabled\"") => {}
            Fate::Thinking | Fate::Passed => {
                passed.insert(name.to_owned(), read(name, raw)?);
            }
        }
    }
    Ok(passed)
}

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Read by name elsewhere in this module.
    Translated,
    Thinking,
    /// Left out: the answer is the same without it, or it is meant for the gateway.
    Ignored,
    /// Converse has nothing like it.
    Unsupported,
    Passed,
}

fn fate(name: &str) -> Fate {
    match name {
        "model"
        | "messages"
        | "tools"
        | "tool_choice"
        | "functions"
        | "function_call"
        | "parallel_tool_calls"
        | "web_search_options"
        | "response_format"
        | "max_tokens"
        | "max_completion_tokens"
        | "stop"
        | "stop_sequences"
        | "temperature"
        | "top_p"
        | "top_k"
        | "reasoning_effort"
        | "user"
        | "safety_identifier"
        | "metadata"
        | "service_tier"
        | "stream"
        | "betas"
        | "anthropic_beta"
        | "extra_headers"
        | "inferenceConfig"
        | "outputConfig"
        | "additionalModelRequestFields"
        | "additionalModelResponseFieldPaths"
        | "guardrailConfig"
        | "performanceConfig"
        | "promptVariables"
        | "requestMetadata"
        | "serviceTier" => Fate::Translated,
        "thinking" => Fate::Thinking,
        // Hints to OpenAI's own storage, caches and speed.
        "store"
        | "stream_options"
        | "prompt_cache_key"
        | "prompt_cache_retention"
        | "prompt_cache_options"
        | "cache_control"
        | "prediction" => Fate::Ignored,
        "n" | "seed" | "logprobs" | "top_logprobs" | "logit_bias" | "presence_penalty"
        | "frequency_penalty" | "modalities" | "audio" | "verbosity" | "moderation" => {
            Fate::Unsupported
        }
        name if is_own(name) => Fate::Ignored,
        _ => Fate::Passed,
    }
}

/// Says to a model that is no Claude how much to think; tells whether it will.
fn reason(
    way: Reasoning,
    fields: &Fields<'_>,
    options: &RequestOptions<'_>,
    additional: &mut Map<String, Value>,
    output_config: &mut Map<String, Value>,
) -> Result<bool, Failure> {
    const PARAM: &str = "reasoning_effort";
    let Some(effort) = effort(fields)? else {
        return Ok(false);
    };
    let off = effort == "none";
    match way {
        Reasoning::Nova => {
            let config = match effort {
                "none" => json!({"type": "disabled"}),
                "minimal" | "low" => json!({"type": "enabled", "maxReasoningEffort": "low"}),
                "medium" => json!({"type": "enabled", "maxReasoningEffort": "medium"}),
                _ => json!({"type": "enabled", "maxReasoningEffort": "high"}),
            };
            additional.insert("reasoningConfig".to_owned(), config);
        }
        Reasoning::OpenAi => {
            // The open models know three efforts.
            let open = options.hints && options.model_hint.contains("gpt-oss");
            let effort = match effort {
                "none" | "minimal" if open => "low",
                "xhigh" | "max" if open => "high",
                effort => effort,
            };
            additional.insert(PARAM.to_owned(), effort.into());
        }
        Reasoning::Effort if off => {}
        Reasoning::Effort => {
            let effort = if effort == "minimal" { "low" } else { effort };
            output_config.entry("effort").or_insert_with(|| effort.into());
        }
        Reasoning::None | Reasoning::Claude if off || options.leaves_out(PARAM) => {
            return Ok(false);
        }
        // Said twice, by clients of other APIs: a wish, which not every model can grant.
        Reasoning::None | Reasoning::Claude if fields.raw("thinking").is_some() => {
            return Ok(false);
        }
        Reasoning::None | Reasoning::Claude => return Err(unsupported(PROVIDER, PARAM)),
    }
    Ok(!off)
}

/// `reasoning_effort`, as a word or as LiteLLM's `{effort, summary}`.
fn effort(fields: &Fields<'_>) -> Result<Option<&'static str>, Failure> {
    const PARAM: &str = "reasoning_effort";
    const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written<'a> {
        Object {
            #[serde(borrow, default)]
            effort: Option<Text<'a>>,
        },
    }

    let Some(raw) = fields.raw(PARAM) else { return Ok(None) };
    let word = if raw.starts_with('{') {
        let Written::Object { effort } = read(PARAM, raw)?;
        effort
    } else {
        Some(read::<Text<'_>>(PARAM, raw)?)
    };
    let Some(word) = word else { return Ok(None) };
    match EFFORTS.into_iter().find(|known| *known == &*word) {
        Some(known) => Ok(Some(known)),
        None => Err(invalid(PARAM, format!("`{PARAM}`: {:?} is not an effort", &*word))),
    }
}

/// Whether Claude can go on with thinking by a budget where the conversation stands.
fn resumes(conversation: &Conversation<'_>) -> bool {
    resumes_at(conversation.turns.iter().filter_map(|turn| match turn.role {
        Role::Assistant => {
            let first = turn.content.first();
            Some(Step::Assistant { thought: matches!(first, Some(Block::ReasoningContent(_))) })
        }
        Role::User => Some(Step::User { answers: turn.content.iter().any(Block::is_result) }),
        Role::System => None,
    }))
}

/// Beta features of Anthropic's that the client names, as a list or as words between commas, and those
/// that its tools are behind, unless it names another version of them.
fn betas(fields: &Fields<'_>, needed: Vec<String>) -> Result<Vec<String>, Failure> {
    for name in ["anthropic_beta", "betas"] {
        match fields.read::<Value>(name)? {
            None | Some(Value::String(_) | Value::Array(_)) => {}
            Some(_) => return Err(invalid(name, format!("`{name}` has to be a list of names"))),
        }
    }
    let mut betas = betas::named(fields);
    for beta in needed {
        // `computer-use-2025-01-24` without its date.
        let feature = beta.get(..beta.len().saturating_sub(10)).unwrap_or(&beta);
        if !betas.iter().any(|known| known.starts_with(feature)) {
            betas.push(beta);
        }
    }
    Ok(betas)
}

/// Labels of the request, for the logs of the account: Converse's own, or OpenAI's `metadata` and
/// `user`. Of OpenAI's, those that Converse would refuse are left out, as they change no answer.
fn labels(fields: &Fields<'_>) -> Result<Map<String, Value>, Failure> {
    let own = object(fields, "requestMetadata")?;
    if !own.is_empty() {
        return Ok(own);
    }
    let mut labels = Map::new();
    let user = [fields.raw("user"), fields.raw("safety_identifier")].into_iter().flatten().next();
    if let Some(user) = user.and_then(|raw| serde_json::from_str::<String>(raw).ok())
        && is_label(&user, 1)
    {
        labels.insert("user".to_owned(), user.into());
    }
    let metadata: Option<Map<String, Value>> =
        fields.raw("metadata").and_then(|raw| serde_json::from_str(raw).ok());
    for (name, value) in metadata.unwrap_or_default() {
        let fits = is_label(&name, 1) && value.as_str().is_some_and(|text| is_label(text, 0));
        if fits && labels.len() < MAX_LABELS {
            labels.entry(name).or_insert(value);
        }
    }
    Ok(labels)
}

/// The letters of Converse's pattern `[a-zA-Z0-9\s:_@$#=/+,-.]`, in which `,-.` is a range.
fn is_label(text: &str, least: usize) -> bool {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c);
    (least..=MAX_LABEL).contains(&text.chars().count()) && text.chars().all(plain)
}

/// Converse's tier, or OpenAI's in its words; `auto` is what is done without one.
fn service_tier(fields: &Fields<'_>) -> Result<Option<Value>, Failure> {
    if let Some(own) = fields.read::<&RawValue>("serviceTier")? {
        return Ok(Some(value_of(own)));
    }
    let tier = fields.read::<Text<'_>>("service_tier")?;
    let known = ["default", "flex", "priority", "reserved"];
    let tier = tier.and_then(|tier| known.into_iter().find(|known| **known == *tier));
    Ok(tier.map(|tier| json!({ "type": tier })))
}
