//! What makes a conversation one that the API takes: how it begins and ends, and calls and results
//! that lost each other.

use std::borrow::Cow;
use std::collections::HashSet;

use super::content::{Block, ResultContent, Typed};
use super::messages::{Conversation, Role, Turn, placeholder};
use super::models::Capabilities;
use crate::failure::Failure;
use crate::wire::fields::{impossible, invalid};

/// Said for a tool whose result the client did not send (`modify_params`).
const NO_RESULT: &str = "The result of this tool call is not available.";

/// Gives every tool call a result and drops results without a call.
pub(super) fn answer_every_call(turns: &mut Vec<Turn<'_>>) {
    let mut called: Vec<String> = Vec::new();
    let mut at = 0;
    while at < turns.len() {
        match turns[at].role {
            Role::System => {}
            Role::User => {
                let mut calls: HashSet<String> = called.drain(..).collect();
                // The first result of a call is the one that counts.
                turns[at]
                    .content
                    .retain(|block| block.answered().is_none_or(|id| calls.remove(id)));
                if turns[at].content.is_empty() {
                    turns[at].content = placeholder();
                }
            }
            Role::Assistant => {
                called = turns[at]
                    .content
                    .iter()
                    .filter_map(Block::calling)
                    .map(str::to_owned)
                    .collect();
                let next = turns.get(at + 1).filter(|turn| turn.role == Role::User);
                let results: HashSet<&str> = next
                    .iter()
                    .flat_map(|turn| &turn.content)
                    .filter_map(Block::answered)
                    .collect();
                let missing: Vec<String> =
                    called.iter().filter(|id| !results.contains(id.as_str())).cloned().collect();
                if !missing.is_empty() {
                    if next.is_none() {
                        turns.insert(at + 1, Turn { role: Role::User, content: Vec::new() });
                    }
                    let made_up = missing.into_iter().map(|id| {
                        Block::Typed(Typed::ToolResult {
                            tool_use_id: Cow::Owned(id),
                            content: Some(ResultContent::Text(Cow::Borrowed(NO_RESULT))),
                            is_error: None,
                            cache_control: None,
                        })
                    });
                    turns[at + 1].content.splice(0..0, made_up);
                }
            }
        }
        at += 1;
    }
}

/// Finds a result that answers no call of the turn before it. The API refuses it, and told in its own
/// turn it would stand before what the user said.
///
/// # Errors
/// There is one.
pub(super) fn check_results(turns: &[Turn<'_>]) -> Result<(), Failure> {
    let mut called: Vec<&str> = Vec::new();
    for turn in turns {
        match turn.role {
            Role::System => {}
            Role::Assistant => called = turn.content.iter().filter_map(Block::calling).collect(),
            Role::User => {
                let mut answered = turn.content.iter().filter_map(Block::answered);
                if let Some(id) = answered.find(|id| !called.contains(id)) {
                    let message = format!(
                        "`messages`: the tool result for {id:?} answers no call of the assistant's \
                         message before it; leave it out, or set `modify_params` to have it dropped"
                    );
                    return Err(invalid("messages", message));
                }
                called.clear();
            }
        }
    }
    Ok(())
}

/// Makes the first turn the user's, and the last one something that the model can answer.
pub(super) fn settle_ends(
    conversation: &mut Conversation<'_>,
    model: &Capabilities,
    modify: bool,
) -> Result<(), Failure> {
    let Conversation { system, turns } = conversation;
    match turns.first().map(|turn| turn.role) {
        Some(Role::User) => {}
        Some(_) => turns.insert(0, Turn { role: Role::User, content: placeholder() }),
        // OpenAI answers a lone system message as if the user had said it.
        None => match system.pop() {
            Some(last) => turns.push(Turn { role: Role::User, content: vec![last] }),
            None => return Err(invalid("messages", "no message in `messages` says anything")),
        },
    }
    let Some(last) = turns.last_mut().filter(|turn| turn.role == Role::Assistant) else {
        return Ok(());
    };
    if last.content.last().is_some_and(|block| block.kind() == "tool_use") {
        return Ok(());
    }
    if model.prefill {
        if let Some(Block::Typed(Typed::Text { text, .. })) = last.content.last_mut() {
            trim_end(text);
        }
        return Ok(());
    }
    if modify {
        turns.push(Turn { role: Role::User, content: placeholder() });
        return Ok(());
    }
    Err(impossible(
        "messages",
        "this model does not continue an answer that was begun for it: the last message must not be \
         the assistant's",
    ))
}

fn trim_end(text: &mut Cow<'_, str>) {
    match text {
        Cow::Borrowed(text) => *text = text.trim_end(),
        Cow::Owned(text) => text.truncate(text.trim_end().len()),
    }
}
