//! A conversation as the turns of two sides, as Anthropic's Messages and Amazon's Converse have it.
//!
//! OpenAI has one message per event. Messages of one side are gathered into one turn; system messages at the
//! start become the system prompt, and later ones wait for the end of a user's turn, where a model takes them.
//! Knows not: what a block is beyond [`Spoken`].

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Serialize;

use crate::failure::Failure;
use crate::wire::fields::impossible;

/// Spoken for a side that has to speak and said nothing.
pub(in crate::wire) const PLACEHOLDER: &str = ".";

/// Spoken for a tool whose result the client did not send (`modify_params`).
pub(in crate::wire) const NO_RESULT: &str = "The result of this tool call is not available.";

/// A part of what a side says.
pub(in crate::wire) trait Spoken: Sized {
    /// The id of the call that it is.
    fn calling(&self) -> Option<&str>;

    /// The id of the call that it answers.
    fn answered(&self) -> Option<&str>;

    /// A mark behind what was said, which means nothing at the start of a turn.
    fn is_mark(&self) -> bool;

    /// Takes the white space from the end of it, if it is a text.
    fn trim_end(&mut self);

    /// [`NO_RESULT`] for a call.
    fn no_result(id: String) -> Self;

    /// [`PLACEHOLDER`].
    fn placeholder() -> Self;
}

/// What the provider is sent of the conversation.
#[derive(Debug)]
pub(in crate::wire) struct Conversation<B> {
    pub(in crate::wire) system: Vec<B>,
    pub(in crate::wire) turns: Vec<Turn<B>>,
}

#[derive(Debug, Serialize)]
pub(in crate::wire) struct Turn<B> {
    pub(in crate::wire) role: Role,
    pub(in crate::wire) content: Vec<B>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::wire) enum Role {
    User,
    Assistant,
    System,
}

/// A conversation that is put together, message by message.
#[derive(Debug)]
pub(in crate::wire) struct Gathering<B> {
    conversation: Conversation<B>,
    /// The model takes system messages between turns.
    mid_system: bool,
    /// System messages that wait for the end of a user turn.
    waiting: Vec<B>,
    /// Ids made up for calls of the deprecated form, which have none.
    function_calls: usize,
    /// The last message was the user's and said nothing.
    pub(in crate::wire) silent_user: bool,
}

impl<B: Spoken> Gathering<B> {
    pub(in crate::wire) const fn new(mid_system: bool) -> Self {
        let conversation = Conversation { system: Vec::new(), turns: Vec::new() };
        let waiting = Vec::new();
        Self { conversation, mid_system, waiting, function_calls: 0, silent_user: false }
    }

    /// Takes a system message; gives it back if the user has to say it.
    pub(in crate::wire) fn system(&mut self, mut said: Vec<B>) -> Option<Vec<B>> {
        if self.conversation.turns.is_empty() {
            self.conversation.system.append(&mut said);
        } else if self.mid_system {
            self.waiting.append(&mut said);
        } else {
            return Some(said);
        }
        None
    }

    pub(in crate::wire) fn say(&mut self, role: Role, mut said: Vec<B>) {
        if !said.is_empty() {
            self.turn(role).content.append(&mut said);
        }
    }

    /// The turn that was begun last.
    pub(in crate::wire) fn last(&self) -> Option<&Turn<B>> {
        self.conversation.turns.last()
    }

    /// The open turn of a side; begins one if the other side spoke last.
    pub(in crate::wire) fn turn(&mut self, role: Role) -> &mut Turn<B> {
        if self.last().is_none_or(|turn| turn.role != role) {
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
        let after_user = self.last().is_some_and(|turn| turn.role == Role::User);
        let role = if after_user { Role::System } else { Role::User };
        self.conversation.turns.push(Turn { role, content: waiting });
    }

    /// An id for a call that has none.
    pub(in crate::wire) fn new_call(&mut self) -> String {
        self.function_calls += 1;
        self.last_call()
    }

    /// The last one of them.
    pub(in crate::wire) fn last_call(&self) -> String {
        format!("function_call_{}", self.function_calls)
    }

    pub(in crate::wire) fn finish(mut self) -> Conversation<B> {
        self.place_waiting();
        let asks = self.last().is_some_and(|turn| turn.role != Role::Assistant);
        if self.silent_user && !asks {
            // Without this turn the assistant's last one would be taken for the start of its answer.
            self.say(Role::User, vec![B::placeholder()]);
        }
        self.conversation
    }
}

/// Gives every tool call a result and drops results without a call.
pub(in crate::wire) fn answer_every_call<B: Spoken>(turns: &mut Vec<Turn<B>>) {
    let mut called: Vec<String> = Vec::new();
    let mut at = 0;
    while at < turns.len() {
        match turns[at].role {
            Role::System => {}
            Role::User => {
                let mut calls: HashSet<String> = called.drain(..).collect();
                let content = &mut turns[at].content;
                // The first result of a call is the one that counts.
                content.retain(|block| block.answered().is_none_or(|id| calls.remove(id)));
                let marks = content.iter().take_while(|block| block.is_mark()).count();
                content.drain(..marks);
                if content.is_empty() {
                    content.push(B::placeholder());
                }
            }
            Role::Assistant => {
                called =
                    turns[at].content.iter().filter_map(B::calling).map(str::to_owned).collect();
                let next = turns.get(at + 1).filter(|turn| turn.role == Role::User);
                let results: HashSet<&str> =
                    next.iter().flat_map(|turn| &turn.content).filter_map(B::answered).collect();
                let missing: Vec<String> =
                    called.iter().filter(|id| !results.contains(id.as_str())).cloned().collect();
                if !missing.is_empty() {
                    if next.is_none() {
                        turns.insert(at + 1, Turn { role: Role::User, content: Vec::new() });
                    }
                    let made_up = missing.into_iter().map(B::no_result);
                    turns[at + 1].content.splice(0..0, made_up);
                }
            }
        }
        at += 1;
    }
}

/// Makes the last turn something that the model can answer.
///
/// # Errors
/// It is the assistant's, and the model does not go on with it.
pub(in crate::wire) fn settle_end<B: Spoken>(
    turns: &mut Vec<Turn<B>>,
    prefill: bool,
    modify: bool,
) -> Result<(), Failure> {
    let Some(last) = turns.last_mut().filter(|turn| turn.role == Role::Assistant) else {
        return Ok(());
    };
    let mut spoken = last.content.iter().rev().skip_while(|block| block.is_mark());
    if spoken.next().is_some_and(|block| block.calling().is_some()) {
        return Ok(());
    }
    if prefill {
        if let Some(last) = last.content.last_mut() {
            last.trim_end();
        }
        return Ok(());
    }
    if modify {
        turns.push(Turn { role: Role::User, content: vec![B::placeholder()] });
        return Ok(());
    }
    Err(impossible(
        "messages",
        "this model does not continue an answer that was begun for it: the last message must not be \
         the assistant's",
    ))
}

pub(in crate::wire) fn trim_end(text: &mut Cow<'_, str>) {
    match text {
        Cow::Borrowed(text) => *text = text.trim_end(),
        Cow::Owned(text) => text.truncate(text.trim_end().len()),
    }
}
