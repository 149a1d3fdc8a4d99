//! A conversation in OpenAI's form, turned into Anthropic's `system` and `messages`.
//!
//! OpenAI has one message per event; Anthropic has turns. Messages of one side are gathered into one
//! turn, tool results first in it, because every tool call has to be answered at the start of the
//! very next turn. System messages at the start become the system prompt.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content::{Block, Raw, ResultContent, Speaker, Typed, blocks, thinking};
use super::models::Capabilities;
use super::names::{tool_id, tool_name};
use super::repair::{check_results, settle_ends};
use crate::failure::Failure;
use crate::wire::chat::{arguments, unknown_role};
use crate::wire::fields::{Text, invalid, missing, read};
pub(super) use crate::wire::turns::Role;
use crate::wire::turns::{self, Gathering, Spoken as _, answer_every_call};

pub(super) type Conversation<'a> = turns::Conversation<Block<'a>>;
pub(super) type Turn<'a> = turns::Turn<Block<'a>>;

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Option<Raw<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow)]
    function_call: Option<Function<'a>>,
    #[serde(borrow)]
    tool_call_id: Option<Text<'a>>,
    #[serde(borrow)]
    thinking_blocks: Option<Raw<'a>>,
    #[serde(borrow)]
    cache_control: Option<Raw<'a>>,
    /// Not OpenAI's; the only way to say it.
    is_error: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
    #[serde(borrow)]
    custom: Option<Custom<'a>>,
    #[serde(borrow)]
    cache_control: Option<Raw<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<Raw<'a>>,
}

#[derive(Debug, Deserialize)]
struct Custom<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    input: Option<Text<'a>>,
}

/// Turns the messages of a request.
///
/// # Errors
/// A message that cannot be said to this model.
pub(super) fn translate<'a>(
    raw: &'a str,
    model: &Capabilities,
    modify: bool,
) -> Result<Conversation<'a>, Failure> {
    let messages: Vec<Raw<'a>> = read("messages", raw)?;
    if messages.is_empty() {
        return Err(invalid("messages", "`messages` is empty"));
    }
    let mut builder = Builder { turns: Gathering::new(model.mid_system) };
    for (position, message) in messages.into_iter().enumerate() {
        builder.message(position, message)?;
    }
    let mut conversation = builder.turns.finish();
    if modify {
        answer_every_call(&mut conversation.turns);
    } else {
        check_results(&conversation.turns)?;
    }
    settle_ends(&mut conversation, model, modify)?;
    Ok(conversation)
}

struct Builder<'a> {
    turns: Gathering<Block<'a>>,
}

impl<'a> Builder<'a> {
    fn message(&mut self, position: usize, raw: Raw<'a>) -> Result<(), Failure> {
        let param = format!("messages[{position}]");
        let message: Message<'a> = read(&param, raw.get())?;
        let content = format!("{param}.content");
        let mut said = Vec::new();
        self.turns.silent_user = false;
        match &*message.role.0 {
            "system" | "developer" => {
                blocks(Speaker::System, &content, message.content, &mut said)?;
                mark(&mut said, message.cache_control);
                if let Some(said) = self.turns.system(said) {
                    self.user(said);
                }
            }
            "user" => {
                blocks(Speaker::User, &content, message.content, &mut said)?;
                mark(&mut said, message.cache_control);
                self.turns.silent_user = said.is_empty();
                self.user(said);
            }
            "assistant" => {
                self.assistant(&param, message, &mut said)?;
                self.turns.say(Role::Assistant, said);
            }
            "tool" | "function" => {
                let result = self.tool_result(&param, &message)?;
                self.user(vec![result]);
            }
            role => return Err(unknown_role(&param, role)),
        }
        Ok(())
    }

    fn user(&mut self, said: Vec<Block<'a>>) {
        let (results, rest): (Vec<_>, Vec<_>) =
            said.into_iter().partition(|block| block.kind() == "tool_result");
        if !results.is_empty() {
            let turn = self.turns.turn(Role::User);
            let at = turn.content.iter().take_while(|block| block.kind() == "tool_result").count();
            turn.content.splice(at..at, results);
        }
        self.turns.say(Role::User, rest);
    }

    fn assistant(
        &mut self,
        param: &str,
        message: Message<'a>,
        said: &mut Vec<Block<'a>>,
    ) -> Result<(), Failure> {
        blocks(Speaker::Assistant, &format!("{param}.content"), message.content, said)?;
        if let Some(raw) = message.thinking_blocks {
            // A client that replays Anthropic's own content has the blocks in it already.
            if !said.iter().any(Block::is_thinking) {
                let mut thoughts = Vec::new();
                thinking(&format!("{param}.thinking_blocks"), raw, &mut thoughts)?;
                said.splice(0..0, thoughts);
            }
        }
        if let Some(refusal) = message.refusal {
            said.extend(Block::text(refusal.0, None));
        }
        for (position, call) in message.tool_calls.into_iter().flatten().enumerate() {
            let call = tool_use(&format!("{param}.tool_calls[{position}]"), call)?;
            // A client that replays Anthropic's own content has the call in it already.
            if !said.iter().any(|block| block.calling() == call.calling()) {
                said.push(call);
            }
        }
        if let Some(function) = message.function_call {
            let id = Cow::Owned(self.turns.new_call());
            said.push(call(&format!("{param}.function_call"), id, function, None)?);
        }
        mark(said, message.cache_control);
        Ok(())
    }

    fn tool_result(&self, param: &str, message: &Message<'a>) -> Result<Block<'a>, Failure> {
        let tool_use_id = match &message.tool_call_id {
            Some(Text(Cow::Borrowed(id))) => tool_id(id),
            Some(Text(Cow::Owned(id))) => Cow::Owned(tool_id(id).into_owned()),
            None if message.role.0 == "function" => Cow::Owned(self.turns.last_call()),
            None => {
                let field = format!("{param}.tool_call_id");
                return Err(missing(&field));
            }
        };
        let mut parts = Vec::new();
        blocks(Speaker::Tool, &format!("{param}.content"), message.content, &mut parts)?;
        // A marker inside a result has no effect; on the result it does what the client meant.
        let mut cache_control = message.cache_control;
        for part in &mut parts {
            if let Some(marker) = part.cache_control().and_then(Option::take) {
                cache_control = cache_control.or(Some(marker));
            }
        }
        let is_string = message.content.is_some_and(|raw| raw.get().starts_with('"'));
        let content = match parts.pop() {
            None => None,
            Some(Block::Typed(Typed::Text { text, .. })) if is_string => {
                Some(ResultContent::Text(text))
            }
            Some(last) => {
                parts.push(last);
                Some(ResultContent::Blocks(parts))
            }
        };
        Ok(Block::Typed(Typed::ToolResult {
            tool_use_id,
            content,
            is_error: message.is_error.filter(|is_error| *is_error),
            cache_control,
        }))
    }
}

/// Puts a message's cache marker on its last block, as Anthropic has none on messages.
fn mark<'a>(said: &mut [Block<'a>], cache_control: Option<Raw<'a>>) {
    if let Some(marker) = said.last_mut().and_then(Block::cache_control) {
        *marker = marker.or(cache_control);
    }
}

fn tool_use<'a>(param: &str, tool_call: ToolCall<'a>) -> Result<Block<'a>, Failure> {
    let ToolCall { id, function, custom, cache_control } = tool_call;
    let Some(id) = id else {
        return Err(missing(&format!("{param}.id")));
    };
    if let Some(function) = function {
        return call(param, encoded(id.0, tool_id), function, cache_control);
    }
    let Some(custom) = custom else {
        return Err(missing(&format!("{param}.function")));
    };
    let text = custom.input.map(|input| input.0).unwrap_or_default();
    Ok(Block::Typed(Typed::ToolUse {
        id: encoded(id.0, tool_id),
        name: name(param, custom.name.0)?,
        input: Cow::Owned(wrapped(&text)),
        cache_control,
    }))
}

fn call<'a>(
    param: &str,
    id: Cow<'a, str>,
    function: Function<'a>,
    cache_control: Option<Raw<'a>>,
) -> Result<Block<'a>, Failure> {
    let input = arguments(function.arguments);
    let name = name(param, function.name.0)?;
    Ok(Block::Typed(Typed::ToolUse { id, name, input, cache_control }))
}

/// The text of a tool that takes free text, which Anthropic does not have: it is a field.
fn wrapped(text: &str) -> Box<RawValue> {
    let object = serde_json::Map::from_iter([("input".to_owned(), text.into())]);
    serde_json::value::to_raw_value(&object).expect("a map of strings can be written as JSON")
}

fn name<'a>(param: &str, name: Cow<'a, str>) -> Result<Cow<'a, str>, Failure> {
    let too_long = || invalid(param, format!("`{param}`: the tool name {name:?} is too long"));
    match &name {
        Cow::Borrowed(name) => tool_name(name).ok_or_else(too_long),
        Cow::Owned(owned) => {
            tool_name(owned).map(|name| Cow::Owned(name.into_owned())).ok_or_else(too_long)
        }
    }
}

fn encoded<'a>(text: Cow<'a, str>, encode: fn(&str) -> Cow<'_, str>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => encode(text),
        Cow::Owned(text) => Cow::Owned(encode(&text).into_owned()),
    }
}
