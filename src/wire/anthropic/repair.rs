//! What makes a conversation one that the API takes: how it begins and ends, and calls and results
//! that lost each other.

use super::content::Block;
use super::messages::{Conversation, Role, Turn};
use super::models::Capabilities;
use crate::failure::Failure;
use crate::wire::fields::invalid;
use crate::wire::turns::{Spoken as _, settle_end};

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
        Some(_) => turns.insert(0, Turn { role: Role::User, content: vec![Block::placeholder()] }),
        // OpenAI answers a lone system message as if the user had said it.
        None => match system.pop() {
            Some(last) => turns.push(Turn { role: Role::User, content: vec![last] }),
            None => return Err(invalid("messages", "no message in `messages` says anything")),
        },
    }
    settle_end(turns, model.prefill, modify)
}
