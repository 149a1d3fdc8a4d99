//! What makes a conversation one that Converse takes: how it begins and ends, documents that nobody
//! speaks of, and calls and results that lost each other.

use std::borrow::Cow;
use std::collections::HashSet;

use super::content::Block;
use super::messages::{Conversation, PLACEHOLDER, Role, Turn, placeholder};
use super::models::Model;
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
                let calls: HashSet<String> = called.drain(..).collect();
                let content = &mut turns[at].content;
                content.retain(|block| answered(block).is_none_or(|id| calls.contains(id)));
                // A turn that now begins with a point has nothing before it to cache.
                while matches!(content.first(), Some(Block::CachePoint(_))) {
                    content.remove(0);
                }
                if content.is_empty() {
                    *content = placeholder();
                }
            }
            Role::Assistant => {
                called = turns[at].content.iter().filter_map(calling).map(str::to_owned).collect();
                let next = turns.get(at + 1).filter(|turn| turn.role == Role::User);
                let results: HashSet<&str> =
                    next.iter().flat_map(|turn| &turn.content).filter_map(answered).collect();
                let missing: Vec<String> =
                    called.iter().filter(|id| !results.contains(id.as_str())).cloned().collect();
                if !missing.is_empty() {
                    if next.is_none() {
                        turns.insert(at + 1, Turn { role: Role::User, content: Vec::new() });
                    }
                    let made_up = missing.into_iter().map(|id| Block::ToolResult {
                        tool_use_id: Cow::Owned(id),
                        content: vec![Block::Text(Cow::Borrowed(NO_RESULT))],
                        status: None,
                    });
                    turns[at + 1].content.splice(0..0, made_up);
                }
            }
        }
        at += 1;
    }
}

fn calling<'b>(block: &'b Block<'_>) -> Option<&'b str> {
    match block {
        Block::ToolUse { tool_use_id, .. } => Some(tool_use_id),
        _ => None,
    }
}

fn answered<'b>(block: &'b Block<'_>) -> Option<&'b str> {
    match block {
        Block::ToolResult { tool_use_id, .. } => Some(tool_use_id),
        _ => None,
    }
}

/// Makes the first turn the user's, and the last one something that the model can answer.
pub(super) fn settle_ends(
    conversation: &mut Conversation<'_>,
    model: &Model,
    modify: bool,
) -> Result<(), Failure> {
    let Conversation { system, turns } = conversation;
    match turns.first().map(|turn| turn.role) {
        Some(Role::User) => {}
        Some(_) => turns.insert(0, Turn { role: Role::User, content: placeholder() }),
        // OpenAI answers a lone system message as if the user had said it.
        None => {
            let said = std::mem::take(system);
            if said.is_empty() {
                return Err(invalid("messages", "no message in `messages` says anything"));
            }
            turns.push(Turn { role: Role::User, content: said });
        }
    }
    let Some(last) = turns.last_mut().filter(|turn| turn.role == Role::Assistant) else {
        return Ok(());
    };
    let calls = last.content.iter().rev().find(|block| !matches!(block, Block::CachePoint(_)));
    if matches!(calls, Some(Block::ToolUse { .. })) {
        return Ok(());
    }
    if model.facts.prefill {
        if let Some(Block::Text(text)) = last.content.last_mut() {
            let kept = text.trim_end().len();
            match text {
                Cow::Borrowed(text) => *text = text.get(..kept).unwrap_or_default(),
                Cow::Owned(text) => text.truncate(kept),
            }
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

/// Gives a turn with a document a text, without which it is refused, and every document a name of
/// its own.
pub(super) fn introduce_documents(turns: &mut [Turn<'_>]) {
    let mut names: HashSet<String> = HashSet::new();
    for turn in turns {
        let mut has_document = false;
        for block in &mut turn.content {
            match block {
                Block::Document(document) => {
                    has_document = true;
                    own_name(&mut document.name, &mut names);
                }
                Block::ToolResult { content, .. } => {
                    for block in content {
                        if let Block::Document(document) = block {
                            own_name(&mut document.name, &mut names);
                        }
                    }
                }
                _ => {}
            }
        }
        let has_text = turn.content.iter().any(|block| matches!(block, Block::Text(_)));
        if has_document && !has_text {
            turn.content.push(Block::Text(Cow::Borrowed(PLACEHOLDER)));
        }
    }
}

fn own_name(name: &mut String, taken: &mut HashSet<String>) {
    let mut number = 1;
    let mut own = name.clone();
    while taken.contains(&own) {
        number += 1;
        let end = format!(" ({number})");
        // Names are ASCII and of 200 letters at most.
        let kept = name.get(..name.len().min(200 - end.len())).unwrap_or_default();
        own = format!("{}{end}", kept.trim_end());
    }
    taken.insert(own.clone());
    *name = own;
}
