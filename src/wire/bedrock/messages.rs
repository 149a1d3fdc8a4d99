//! A conversation in the canonical form, turned into Converse's `system` and `messages`.
//!
//! OpenAI has one message per event; Converse has turns that alternate, the user's first. Messages of
//! one side are gathered into one turn, with all results of tools at its start, because every call
//! has to be answered in the very next turn. System messages at the start become the system prompt.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::value::RawValue;

use super::content::{Block, CachePoint, Piece, Speaker, pieces, reasoning};
use super::models::Model;
use super::names::{id, name};
use super::repair;
use crate::failure::Failure;
use crate::wire::chat::{Call, CallFunction, Message, Raw, arguments};
use crate::wire::fields::{Text, invalid, missing, read};

/// Said for a side that has to speak and said nothing.
pub(super) const PLACEHOLDER: &str = ".";

/// How much of a role that does not exist is repeated to the client.
const SHOWN_CHARS: usize = 40;

/// What the provider is sent of the conversation.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    pub(super) role: Role,
    pub(super) content: Vec<Block<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    User,
    Assistant,
    System,
}

impl Conversation<'_> {
    /// The names of the tools that are called in it, in the provider's alphabet; `None` if neither a
    /// call nor a result is in it.
    pub(super) fn tools(&self) -> Option<BTreeSet<&str>> {
        let mut found = None;
        for block in self.turns.iter().flat_map(|turn| &turn.content) {
            match block {
                Block::ToolUse { name, .. } => {
                    found.get_or_insert_with(BTreeSet::new).insert(&**name);
                }
                Block::ToolResult { .. } => {
                    found.get_or_insert_with(BTreeSet::new);
                }
                _ => {}
            }
        }
        found
    }
}

/// Turns the messages of a request.
///
/// # Errors
/// A message that cannot be said to this model.
pub(super) fn translate<'a>(
    raw: &'a str,
    model: &Model,
    modify: bool,
) -> Result<Conversation<'a>, Failure> {
    let messages: Vec<Raw<'a>> = read("messages", raw)?;
    if messages.is_empty() {
        return Err(invalid("messages", "`messages` is empty"));
    }
    let mut builder = Builder {
        model,
        modify,
        conversation: Conversation::default(),
        waiting: Vec::new(),
        function_calls: 0,
        silent_user: false,
    };
    for (at, message) in messages.into_iter().enumerate() {
        builder.message(at, message)?;
    }
    let mut conversation = builder.finish();
    if modify {
        repair::answer_every_call(&mut conversation.turns);
    }
    repair::settle_ends(&mut conversation, model, modify)?;
    repair::introduce_documents(&mut conversation.turns);
    Ok(conversation)
}

struct Builder<'a, 'b> {
    model: &'b Model,
    modify: bool,
    conversation: Conversation<'a>,
    /// System messages that wait for the end of a user turn.
    waiting: Vec<Block<'a>>,
    /// Ids made up for calls of the deprecated form, which have none.
    function_calls: usize,
    /// The last message was the user's and said nothing.
    silent_user: bool,
}

impl<'a> Builder<'a, '_> {
    fn message(&mut self, at: usize, raw: Raw<'a>) -> Result<(), Failure> {
        let param = format!("messages[{at}]");
        let mut message: Message<'a> = read(&param, raw.get())?;
        let content = format!("{param}.content");
        let written = match message.content.take() {
            Some(Cow::Borrowed(raw)) => Some(raw),
            Some(Cow::Owned(_)) | None => None,
        };
        self.silent_user = false;
        match &*message.role {
            "system" | "developer" => {
                let said = pieces(Speaker::System, &content, written)?;
                let said = self.blocks(said, message.cache_control);
                self.system(said);
            }
            "user" => {
                let said = pieces(Speaker::User, &content, written)?;
                let said = self.blocks(said, message.cache_control);
                self.silent_user = said.is_empty();
                self.user(said);
            }
            "assistant" => {
                let said = pieces(Speaker::Assistant, &content, written)?;
                let said = self.assistant(&param, message, said)?;
                self.say(Role::Assistant, said);
            }
            "tool" | "function" => {
                let returned = pieces(Speaker::Tool, &content, written)?;
                let result = self.tool_result(&param, message, returned)?;
                self.results(result);
            }
            role => {
                let role: String = role.chars().take(SHOWN_CHARS).collect();
                let known = "'system', 'developer', 'user', 'assistant' and 'tool'";
                let message = format!("Invalid value: '{role}'. Supported values are: {known}.");
                return Err(invalid(&format!("{param}.role"), message));
            }
        }
        Ok(())
    }

    /// Blocks with cache points between them, if the model takes any. A marker on the message is one
    /// on its last block.
    fn blocks(&self, mut pieces: Vec<Piece<'a>>, marker: Option<Raw<'a>>) -> Vec<Block<'a>> {
        if let (Some(last), Some(marker)) = (pieces.last_mut(), marker) {
            last.cache = last.cache.or_else(|| Some(CachePoint::of(marker)));
        }
        let mut blocks = Vec::with_capacity(pieces.len());
        for Piece { block, cache } in pieces {
            blocks.push(block);
            blocks.extend(cache.filter(|_| self.model.cache).map(Block::CachePoint));
        }
        blocks
    }

    fn system(&mut self, mut said: Vec<Block<'a>>) {
        if self.conversation.turns.is_empty() {
            self.conversation.system.append(&mut said);
        } else if self.model.facts.mid_system {
            self.waiting.append(&mut said);
        } else {
            self.user(said);
        }
    }

    fn user(&mut self, said: Vec<Block<'a>>) {
        let last = self.conversation.turns.last();
        let answers = last.is_some_and(|turn| turn.content.iter().any(Block::is_result));
        // Some models refuse a turn of results and words; between two turns the other side speaks.
        if answers && !said.is_empty() && !self.model.mixed_turns && self.modify {
            self.say(Role::Assistant, placeholder());
        }
        self.say(Role::User, said);
    }

    /// Results go before everything else that the user says in the turn.
    fn results(&mut self, result: Vec<Block<'a>>) {
        let turn = self.turn(Role::User);
        let at = turn.content.iter().rposition(Block::is_result).map_or(0, |at| at + 1);
        let point = matches!(turn.content.get(at), Some(Block::CachePoint(_))) && at > 0;
        let at = at + usize::from(point);
        turn.content.splice(at..at, result);
    }

    fn say(&mut self, role: Role, mut said: Vec<Block<'a>>) {
        if !said.is_empty() {
            self.turn(role).content.append(&mut said);
        }
    }

    /// The open turn of a side; begins one if the other side spoke last.
    fn turn(&mut self, role: Role) -> &mut Turn<'a> {
        if self.conversation.turns.last().is_none_or(|turn| turn.role != role) {
            if role == Role::Assistant {
                self.place_waiting();
            }
            self.conversation.turns.push(Turn { role, content: Vec::new() });
        }
        let last = self.conversation.turns.len() - 1;
        &mut self.conversation.turns[last]
    }

    /// A system message must follow a user turn and end there: elsewhere it is said by the user.
    fn place_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        let after_user = self.conversation.turns.last().is_some_and(|turn| turn.role == Role::User);
        let role = if after_user { Role::System } else { Role::User };
        self.conversation.turns.push(Turn { role, content: waiting });
    }

    fn assistant(
        &mut self,
        param: &str,
        message: Message<'a>,
        said: Vec<Piece<'a>>,
    ) -> Result<Vec<Block<'a>>, Failure> {
        let mut pieces = match message.thinking_blocks {
            Some(blocks) if self.model.replay => {
                reasoning(&format!("{param}.thinking_blocks"), &blocks)?
            }
            _ => Vec::new(),
        };
        pieces.extend(said);
        if let Some(Text(refusal)) = message.refusal {
            pieces.extend(Block::text(refusal).map(Piece::new));
        }
        for (at, call) in message.tool_calls.into_iter().flatten().enumerate() {
            pieces.push(tool_use(&format!("{param}.tool_calls[{at}]"), call)?);
        }
        if let Some(function) = message.function_call {
            self.function_calls += 1;
            let made_up = Cow::Owned(format!("function_call_{}", self.function_calls));
            pieces.push(Piece::new(called(&format!("{param}.function_call"), made_up, function)?));
        }
        Ok(self.blocks(pieces, message.cache_control))
    }

    fn tool_result(
        &self,
        param: &str,
        message: Message<'a>,
        returned: Vec<Piece<'a>>,
    ) -> Result<Vec<Block<'a>>, Failure> {
        let tool_use_id = match message.tool_call_id {
            Some(Text(written)) => id(written),
            None if message.role.0 == "function" => {
                Cow::Owned(format!("function_call_{}", self.function_calls))
            }
            None => return Err(missing(&format!("{param}.tool_call_id"))),
        };
        // A point inside a result is not possible; behind it, it does what the client meant.
        let cache = message.cache_control.map(CachePoint::of);
        let cache = returned.iter().filter_map(|piece| piece.cache).next_back().or(cache);
        let mut content: Vec<_> = returned.into_iter().map(|piece| piece.block).collect();
        if content.is_empty() {
            content.push(Block::Text(Cow::Borrowed(PLACEHOLDER)));
        }
        let failed = message.is_error == Some(true);
        let status = (failed && self.model.status).then_some("error");
        let block = Block::ToolResult { tool_use_id, content, status };
        Ok(self.blocks(vec![Piece { block, cache }], None))
    }

    fn finish(mut self) -> Conversation<'a> {
        self.place_waiting();
        let asks = self.conversation.turns.last().is_some_and(|turn| turn.role != Role::Assistant);
        if self.silent_user && !asks {
            // Without this turn the assistant's last one would be taken for the start of its answer.
            self.say(Role::User, placeholder());
        }
        self.conversation
    }
}

pub(super) fn placeholder<'a>() -> Vec<Block<'a>> {
    vec![Block::Text(Cow::Borrowed(PLACEHOLDER))]
}

fn tool_use<'a>(param: &str, call: Call<'a>) -> Result<Piece<'a>, Failure> {
    let Some(Text(written)) = call.id else {
        return Err(missing(&format!("{param}.id")));
    };
    let block = match (call.function, call.custom) {
        (Some(function), _) => called(param, id(written), function)?,
        (None, Some(custom)) => custom_call(param, id(written), &custom)?,
        (None, None) => return Err(missing(&format!("{param}.function"))),
    };
    Ok(Piece { block, cache: call.cache_control.map(CachePoint::of) })
}

fn called<'a>(
    param: &str,
    tool_use_id: Cow<'a, str>,
    function: CallFunction<'a>,
) -> Result<Block<'a>, Failure> {
    let input = match function.arguments {
        Some(Cow::Borrowed(raw)) => arguments(Some(raw)),
        Some(Cow::Owned(raw)) => Cow::Owned(arguments(Some(&raw)).into_owned()),
        None => arguments(None),
    };
    let name = name(&format!("{param}.function.name"), function.name.0)?;
    Ok(Block::ToolUse { tool_use_id, name, input })
}

/// A call of a tool that takes free text, which Converse does not have: the text is a field.
fn custom_call<'a>(
    param: &str,
    tool_use_id: Cow<'a, str>,
    custom: &RawValue,
) -> Result<Block<'a>, Failure> {
    #[derive(serde::Deserialize, Serialize)]
    struct Custom {
        #[serde(skip_serializing)]
        name: String,
        #[serde(default)]
        input: String,
    }

    let custom: Custom = read(&format!("{param}.custom"), custom.get())?;
    let input: Box<RawValue> = serde_json::value::to_raw_value(&custom)
        .map_err(|_| invalid(param, format!("`{param}.custom.input` is not text")))?;
    let name = name(&format!("{param}.custom.name"), Cow::Owned(custom.name))?;
    Ok(Block::ToolUse { tool_use_id, name, input: Cow::Owned(input) })
}
