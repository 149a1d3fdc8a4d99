//! A Messages request, put into the canonical form.
//!
//! Every field that Anthropic knows has one place here. What nobody knows is passed on: the gateway's
//! own fields (LiteLLM's, too), and parameters of a provider that the client knows to be behind the
//! model.

use std::fmt::Write as _;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::tools::{self, Choice, Functions};
use super::turns;
use crate::failure::{Failure, FailureClass};
use crate::wire::fields::{Text, missing, read};
use crate::wire::json::Object;

/// The longest `user` that OpenAI takes.
const USER_MAX: usize = 64;

/// Budgets from which on an effort stands for them; LiteLLM's numbers.
const EFFORTS: [(u64, &str); 4] =
    [(10_000, "high"), (5_000, "medium"), (2_000, "low"), (0, "minimal")];

/// The canonical request.
///
/// # Errors
/// [`FailureClass::BadRequest`]: a field is not what Anthropic says it is; it is named.
pub fn request(body: &Object) -> Result<Object, Failure> {
    let mut out = Draft::with_room(body.bytes().len() + 256);
    let set = |name: &str| body.raw(name).filter(|raw| *raw != "null");
    if let Some(model) = set("model") {
        out.raw("model", model);
    }
    let Some(messages) = set("messages") else { return Err(missing("messages")) };
    out.raw("messages", &turns::messages(set("system"), messages, set("cache_control"))?);
    let mut functions = Functions::default();
    for (name, raw) in body.iter().filter(|(_, raw)| *raw != "null") {
        match name {
            "model" | "messages" | "system" | "cache_control" | "tool_choice" => {}
            "max_tokens" => out.raw("max_completion_tokens", raw),
            "stop_sequences" => {
                if !raw.trim_matches(['[', ']', ' ', '\n', '\r', '\t']).is_empty() {
                    out.raw("stop", raw);
                }
            }
            "tools" => {
                functions = tools::tools(raw)?;
                if !functions.is_empty() {
                    out.raw("tools", &functions.list);
                }
            }
            "stream" => {
                out.raw("stream", raw);
                if raw == "true" {
                    out.raw("stream_options", r#"{"include_usage":true}"#);
                }
            }
            "thinking" => {
                out.raw("thinking", raw);
                if set("reasoning_effort").is_none()
                    && effort(body).is_none()
                    && let Some(effort) = effort_of(raw)?
                {
                    out.put("reasoning_effort", effort);
                }
            }
            "output_config" => output_config(body, &mut out)?,
            "output_format" => {
                let format = body.object(name).ok_or_else(|| wrong_object(name, raw))?;
                if body.object("output_config").is_none_or(|config| !config.is_set("format"))
                    && let Some(format) = tools::response_format(name, &format)?
                {
                    out.put("response_format", &format);
                }
            }
            "metadata" => metadata(raw, &mut out)?,
            "service_tier" => {
                let tier = if raw == "\"standard_only\"" { "\"default\"" } else { raw };
                out.raw("service_tier", tier);
            }
            // What runs or is kept at Anthropic (`limits.rs` refuses it elsewhere), and how it is
            // to be done there.
            "mcp_servers" | "container" | "context_management" | "speed" | "inference_geo"
            | "betas" | "anthropic_beta" | "anthropic_version" | "diagnostics" => {}
            _ => out.raw(name, raw),
        }
    }
    if let (false, Some(raw)) = (functions.is_empty(), set("tool_choice")) {
        let Choice { choice, one_at_a_time } = Choice::of(raw, &functions)?;
        if let Some(choice) = choice {
            out.put("tool_choice", &choice);
        }
        if one_at_a_time {
            out.raw("parallel_tool_calls", "false");
        }
    }
    Object::parse(out.finish())
        .map_err(|_| Failure::new(FailureClass::BadRequest, "the request cannot be read"))
}

/// A JSON object that is written field by field.
struct Draft(Vec<u8>);

impl Draft {
    fn with_room(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.push(b'{');
        Self(out)
    }

    fn raw(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.extend_from_slice(crate::wire::json::quoted(name).as_bytes());
        self.0.push(b':');
        self.0.extend_from_slice(json.as_bytes());
    }

    fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.raw(name, &serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()));
    }

    fn finish(mut self) -> Bytes {
        self.0.push(b'}');
        self.0.into()
    }
}

fn wrong_object(param: &str, raw: &str) -> Failure {
    crate::wire::fields::mistyped(param, "an object", raw)
}

fn output_config(body: &Object, out: &mut Draft) -> Result<(), Failure> {
    let raw = body.raw("output_config").unwrap_or_default();
    let config = body.object("output_config").ok_or_else(|| wrong_object("output_config", raw))?;
    if let Some(effort) = effort(body).filter(|_| !body.is_set("reasoning_effort")) {
        out.put("reasoning_effort", &effort);
    }
    if config.is_set("format") {
        let param = "output_config.format";
        let raw = config.raw("format").unwrap_or_default();
        let format = config.object("format").ok_or_else(|| wrong_object(param, raw))?;
        if let Some(format) = tools::response_format(param, &format)? {
            out.put("response_format", &format);
        }
    }
    Ok(())
}

/// `output_config.effort`, unless the client does not want any thinking.
fn effort(body: &Object) -> Option<String> {
    let disabled = body
        .object("thinking")
        .is_some_and(|thinking| thinking.str("type").is_some_and(|kind| kind == "disabled"));
    let config = body.object("output_config").filter(|_| !disabled)?;
    config.str("effort").map(|effort| effort.into_owned())
}

/// The effort that `thinking` stands for; `None`: it asks for none, or leaves it to the model.
fn effort_of(raw: &str) -> Result<Option<&'static str>, Failure> {
    #[derive(Deserialize)]
    struct Thinking<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
        #[serde(default)]
        budget_tokens: Option<u64>,
    }

    let thinking: Thinking<'_> = read("thinking", raw)?;
    Ok(match &*thinking.kind {
        "enabled" => {
            let budget = thinking.budget_tokens.unwrap_or(0);
            EFFORTS.iter().find(|(least, _)| budget >= *least).map(|(_, effort)| *effort)
        }
        // The model thinks as it sees fit, which is what this word means elsewhere.
        "adaptive" | "between_tools" => Some("medium"),
        _ => None,
    })
}

/// `user_id` is the end user; everything else was written for the gateway.
fn metadata(raw: &str, out: &mut Draft) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow, default)]
        user_id: Option<Text<'a>>,
    }

    let metadata: Metadata<'_> = read("metadata", raw)?;
    if let Some(user) = metadata.user_id.filter(|user| !user.is_empty()) {
        out.put("user", &end_user(&user));
    }
    let mut rest: Value = serde_json::from_str(raw).unwrap_or_else(|_| json!({}));
    if let Value::Object(fields) = &mut rest {
        fields.remove("user_id");
        if !fields.is_empty() {
            out.put("metadata", fields);
        }
    }
    Ok(())
}

/// A long name becomes its digest, which is as long as it may be and as good a name.
fn end_user(user: &str) -> String {
    if user.chars().count() <= USER_MAX {
        return user.to_owned();
    }
    let mut digest = String::with_capacity(USER_MAX);
    for byte in Sha256::digest(user.as_bytes()) {
        write!(digest, "{byte:02x}").expect("writing to a String cannot fail");
    }
    digest
}
