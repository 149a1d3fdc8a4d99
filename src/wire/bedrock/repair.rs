//! What makes a conversation one that Converse takes: how it begins and ends, documents that nobody
//! speaks of, and calls and results that lost each other.

use std::collections::HashSet;

use super::content::Block;
use super::messages::{Conversation, Role, Turn};
use super::models::Model;
use crate::failure::Failure;
use crate::wire::fields::invalid;
use crate::wire::turns::{Spoken as _, settle_end};

/// Makes the first turn the user's, and the last one something that the model can answer.
pub(super) fn settle_ends(
    conversation: &mut Conversation<'_>,
    model: &Model,
    modify: bool,
) -> Result<(), Failure> {
    let Conversation { system, turns } = conversation;
    match turns.first().map(|turn| turn.role) {
        Some(Role::User) => {}
        Some(_) => turns.insert(0, Turn { role: Role::User, content: vec![Block::placeholder()] }),
        // OpenAI answers a lone system message as if the user had said it.
        None => {
            let said = std::mem::take(system);
            if said.is_empty() {
                return Err(invalid("messages", "no message in `messages` says anything"));
            }
            turns.push(Turn { role: Role::User, content: said });
        }
    }
    settle_end(turns, model.facts.prefill, modify)
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
            turn.content.push(Block::placeholder());
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
