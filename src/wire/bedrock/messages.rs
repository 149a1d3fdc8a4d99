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
use crate::wire::chat::{Call, CallFunction, Message, Raw, arguments, unknown_role};
use crate::wire::fields::{Text, invalid, missing, read};
pub(super) use crate::wire::turns::Role;
use crate::wire::turns::{self, Gathering, Spoken as _, answer_every_call};

pub(super) type Conversation<'a> = turns::Conversation<Block<'a>>;
pub(super) type Turn<'a> = turns::Turn<Block<'a>>;

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
    let turns = Gathering::new(model.facts.mid_system);
    let mut builder = Builder { model, modify, turns };
    for (at, message) in messages.into_iter().enumerate() {
        builder.message(at, message)?;
    }
    let mut conversation = builder.turns.finish();
    if modify {
        answer_every_call(&mut conversation.turns);
    }
    repair::settle_ends(&mut conversation, model, modify)?;
    repair::introduce_documents(&mut conversation.turns);
    Ok(conversation)
}

struct Builder<'a, 'b> {
    model: &'b Model,
    modify: bool,
    turns: Gathering<Block<'a>>,
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
        self.turns.silent_user = false;
        match &*message.role {
            "system" | "developer" => {
                let said = pieces(Speaker::System, &content, written)?;
                let said = self.blocks(said, message.cache_control);
                if let Some(said) = self.turns.system(said) {
                    self.user(said);
                }
            }
            "user" => {
                let said = pieces(Speaker::User, &content, written)?;
                let said = self.blocks(said, message.cache_control);
                self.turns.silent_user = said.is_empty();
                self.user(said);
            }
            "assistant" => {
                let said = pieces(Speaker::Assistant, &content, written)?;
                let said = self.assistant(&param, message, said)?;
                self.turns.say(Role::Assistant, said);
            }
            "tool" | "function" => {
                let returned = pieces(Speaker::Tool, &content, written)?;
                let result = self.tool_result(&param, message, returned)?;
                self.results(result);
            }
            role => return Err(unknown_role(&param, role)),
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

    fn user(&mut self, said: Vec<Block<'a>>) {
        let answers =
            self.turns.last().is_some_and(|turn| turn.content.iter().any(Block::is_result));
        // Some models refuse a turn of results and words; between two turns the other side speaks.
        if answers && !said.is_empty() && !self.model.mixed_turns && self.modify {
            self.turns.say(Role::Assistant, vec![Block::placeholder()]);
        }
        self.turns.say(Role::User, said);
    }

    /// Results go before everything else that the user says in the turn.
    fn results(&mut self, result: Vec<Block<'a>>) {
        let turn = self.turns.turn(Role::User);
        let at = turn.content.iter().rposition(Block::is_result).map_or(0, |at| at + 1);
        let point = matches!(turn.content.get(at), Some(Block::CachePoint(_))) && at > 0;
        let at = at + usize::from(point);
        turn.content.splice(at..at, result);
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
            let made_up = Cow::Owned(self.turns.new_call());
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
            None if message.role.0 == "function" => Cow::Owned(self.turns.last_call()),
            None => return Err(missing(&format!("{param}.tool_call_id"))),
        };
        // A point inside a result is not possible; behind it, it does what the client meant.
        let cache = message.cache_control.map(CachePoint::of);
        let cache = returned.iter().filter_map(|piece| piece.cache).next_back().or(cache);
        let mut content: Vec<_> = returned.into_iter().map(|piece| piece.block).collect();
        if content.is_empty() {
            content.push(Block::placeholder());
        }
        let failed = message.is_error == Some(true);
        let status = (failed && self.model.status).then_some("error");
        let block = Block::ToolResult { tool_use_id, content, status };
        Ok(self.blocks(vec![Piece { block, cache }], None))
    }
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
