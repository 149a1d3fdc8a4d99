//! The items of a response that are not done yet, and the events that each of them makes.

use serde::Serialize;
use serde_json::value::RawValue;

use super::State;
use crate::wire::chat::{CallPiece, Raw};
use crate::wire::freeform;
use crate::wire::responses::client::names::Kind as ToolKind;
use crate::wire::responses::client::output::{IdOf, Item, Part, extra, id, raw, sealed_in};
use crate::wire::responses::client::{sealed, shell};

/// The item that texts go to.
#[derive(Debug)]
pub(super) enum Open {
    Message(Message),
    Reasoning(Reasoning),
}

/// The type of an item.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Message,
    Function,
    Custom,
    Shell,
    Reasoning,
    Image,
}

impl Kind {
    pub(super) fn id(self, stem: &str, number: u64) -> String {
        let of = match self {
            Self::Message => IdOf::Message,
            Self::Function => IdOf::Function,
            Self::Custom => IdOf::Custom,
            Self::Shell => IdOf::Shell,
            Self::Reasoning => IdOf::Reasoning,
            Self::Image => IdOf::Image,
        };
        id(of, stem, number)
    }
}

#[derive(Serialize)]
struct ItemEvent<'a> {
    output_index: u64,
    item: &'a RawValue,
}

#[derive(Serialize)]
struct PartEvent<'a> {
    item_id: &'a str,
    output_index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<u64>,
    part: &'a RawValue,
}

#[derive(Serialize)]
struct ImageEvent<'a> {
    item_id: &'a str,
    output_index: u64,
}

/// A fragment or a whole text; which field it has, its type says.
#[derive(Default, Serialize)]
struct TextEvent<'a> {
    item_id: &'a str,
    output_index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<&'a [Box<RawValue>]>,
}

#[derive(Serialize)]
struct AnnotationEvent<'a> {
    item_id: &'a str,
    output_index: u64,
    content_index: u64,
    annotation_index: usize,
    annotation: &'a RawValue,
}

/// A message, of which at most one part is open.
#[derive(Debug)]
pub(super) struct Message {
    number: u64,
    id: String,
    /// Parts that are done.
    content: Vec<Box<RawValue>>,
    part: Option<OpenPart>,
}

#[derive(Debug, Default)]
struct OpenPart {
    refused: bool,
    text: String,
    annotations: Vec<Box<RawValue>>,
    logprobs: Vec<Box<RawValue>>,
}

impl OpenPart {
    fn raw(&self) -> Box<RawValue> {
        let Self { text, annotations, logprobs, .. } = self;
        match self.refused {
            true => Part::Refusal { refusal: text }.raw(),
            false => Part::OutputText { text, annotations, logprobs }.raw(),
        }
    }
}

impl Message {
    pub(super) fn begin(state: &mut State, out: &mut Vec<u8>) -> Self {
        let (number, id) = state.begin(Kind::Message);
        let message = Self { number, id, content: Vec::new(), part: None };
        let item = message.raw("in_progress");
        state.emit(
            "response.output_item.added",
            &ItemEvent { output_index: number, item: &item },
            out,
        );
        message
    }

    fn raw(&self, status: &'static str) -> Box<RawValue> {
        Item::Message { id: &self.id, status, role: "assistant", content: &self.content }.raw()
    }

    /// The part of this kind; begins one if another is open.
    fn part(&mut self, refused: bool, state: &mut State, out: &mut Vec<u8>) -> &mut OpenPart {
        if self.part.as_ref().is_none_or(|part| part.refused != refused) {
            self.close_part(state, out);
            let part = OpenPart { refused, ..OpenPart::default() };
            self.part_event("response.content_part.added", &part.raw(), state, out);
            self.part = Some(part);
        }
        self.part.get_or_insert_default()
    }

    fn part_event(&self, kind: &str, part: &RawValue, state: &mut State, out: &mut Vec<u8>) {
        let event = PartEvent {
            item_id: &self.id,
            output_index: self.number,
            content_index: Some(self.content.len() as u64),
            summary_index: None,
            part,
        };
        state.emit(kind, &event, out);
    }

    pub(super) fn delta(
        &mut self,
        text: &str,
        logprobs: &[Box<RawValue>],
        refused: bool,
        state: &mut State,
        out: &mut Vec<u8>,
    ) {
        let part = self.part(refused, state, out);
        part.text.push_str(text);
        part.logprobs.extend_from_slice(logprobs);
        let logprobs = (!refused).then_some(logprobs);
        let event = TextEvent { delta: Some(text), logprobs, ..self.text_event() };
        let kind = if refused { "response.refusal.delta" } else { "response.output_text.delta" };
        state.emit(kind, &event, out);
    }

    fn text_event(&self) -> TextEvent<'_> {
        TextEvent {
            item_id: &self.id,
            output_index: self.number,
            content_index: Some(self.content.len() as u64),
            ..TextEvent::default()
        }
    }

    pub(super) fn annotate(&mut self, one: Box<RawValue>, state: &mut State, out: &mut Vec<u8>) {
        let part = self.part(false, state, out);
        let annotation_index = part.annotations.len();
        part.annotations.push(one.clone());
        let event = AnnotationEvent {
            item_id: &self.id,
            output_index: self.number,
            content_index: self.content.len() as u64,
            annotation_index,
            annotation: &one,
        };
        state.emit("response.output_text.annotation.added", &event, out);
    }

    fn close_part(&mut self, state: &mut State, out: &mut Vec<u8>) {
        let Some(part) = self.part.take() else { return };
        let whole = Some(&*part.text);
        let event = self.text_event();
        if part.refused {
            let event = TextEvent { refusal: whole, ..event };
            state.emit("response.refusal.done", &event, out);
        } else {
            let event = TextEvent { text: whole, logprobs: Some(&part.logprobs), ..event };
            state.emit("response.output_text.done", &event, out);
        }
        let raw = part.raw();
        self.part_event("response.content_part.done", &raw, state, out);
        self.content.push(raw);
    }

    pub(super) fn close(mut self, status: &'static str, state: &mut State, out: &mut Vec<u8>) {
        if self.content.is_empty() {
            // A message has something in it, if only an empty text.
            let refused = self.part.as_ref().is_some_and(|part| part.refused);
            self.part(refused, state, out);
        }
        self.close_part(state, out);
        let item = self.raw(status);
        let event = ItemEvent { output_index: self.number, item: &item };
        state.emit("response.output_item.done", &event, out);
        state.finished(self.number, item);
    }
}

/// What the model thinks, told as a summary.
#[derive(Debug)]
pub(super) struct Reasoning {
    number: u64,
    id: String,
    text: String,
    /// The part of the summary was begun.
    begun: bool,
    /// What is to be replayed, whole.
    pub(super) blocks: Vec<Box<RawValue>>,
    sealed: Option<String>,
}

impl Reasoning {
    pub(super) fn begin(state: &mut State, out: &mut Vec<u8>) -> Self {
        let (number, id) = state.begin(Kind::Reasoning);
        let item = Item::Reasoning { id: &id, summary: &[], encrypted_content: None }.raw();
        state.emit(
            "response.output_item.added",
            &ItemEvent { output_index: number, item: &item },
            out,
        );
        Self { number, id, text: String::new(), begun: false, blocks: Vec::new(), sealed: None }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Takes over what another provider sealed.
    pub(super) fn sealed(&mut self, item: Raw<'_>) {
        self.sealed = sealed_in(item).or_else(|| self.sealed.take());
    }

    pub(super) fn delta(&mut self, text: &str, state: &mut State, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.part_event("response.reasoning_summary_part.added", "", state, out);
        }
        let event = TextEvent { delta: Some(text), ..self.text_event() };
        state.emit("response.reasoning_summary_text.delta", &event, out);
    }

    fn text_event(&self) -> TextEvent<'_> {
        TextEvent {
            item_id: &self.id,
            output_index: self.number,
            summary_index: Some(0),
            ..TextEvent::default()
        }
    }

    fn part_event(&self, kind: &str, text: &str, state: &mut State, out: &mut Vec<u8>) {
        let event = PartEvent {
            item_id: &self.id,
            output_index: self.number,
            content_index: None,
            summary_index: Some(0),
            part: &raw(&Part::SummaryText { text }),
        };
        state.emit(kind, &event, out);
    }

    pub(super) fn close(self, state: &mut State, out: &mut Vec<u8>) {
        if self.begun {
            let event = TextEvent { text: Some(&self.text), ..self.text_event() };
            state.emit("response.reasoning_summary_text.done", &event, out);
            self.part_event("response.reasoning_summary_part.done", &self.text, state, out);
        }
        let part = Part::SummaryText { text: &self.text };
        let summary = if self.begun { std::slice::from_ref(&part) } else { &[] };
        let sealed = sealed::seal(&self.blocks).or(self.sealed);
        let item =
            Item::Reasoning { id: &self.id, summary, encrypted_content: sealed.as_deref() }.raw();
        let event = ItemEvent { output_index: self.number, item: &item };
        state.emit("response.output_item.done", &event, out);
        state.finished(self.number, item);
    }
}

/// Tells an image, which comes whole.
pub(super) fn image(format: Option<&str>, data: &str, state: &mut State, out: &mut Vec<u8>) {
    let (number, id) = state.begin(Kind::Image);
    let item = |status, result| {
        let output_format = format.filter(|_| status == "completed");
        Item::ImageGenerationCall { id: &id, status, result, output_format }.raw()
    };
    let begun = item("in_progress", None);
    let added = ItemEvent { output_index: number, item: &begun };
    state.emit("response.output_item.added", &added, out);
    for kind in ["in_progress", "generating", "completed"] {
        let event = ImageEvent { item_id: &id, output_index: number };
        state.emit(&format!("response.image_generation_call.{kind}"), &event, out);
    }
    let whole = item("completed", Some(data));
    let done = ItemEvent { output_index: number, item: &whole };
    state.emit("response.output_item.done", &done, out);
    state.finished(number, whole);
}

/// A tool call, by the number that the chat API gives it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) index: u32,
    pub(super) number: u64,
    id: String,
    custom: bool,
    /// It is a function to the model: its text is in the arguments, and told when they are whole.
    wrapped: bool,
    /// It is a function to the model and a command to the client, who is told of it when it is whole.
    shell: bool,
    call_id: String,
    namespace: Option<String>,
    name: String,
    text: String,
    extra: Option<Box<RawValue>>,
    closed: bool,
}

impl Call {
    pub(super) fn begin(piece: &CallPiece<'_>, state: &mut State, out: &mut Vec<u8>) -> Self {
        let function = piece.function.as_ref().and_then(|function| function.name.as_deref());
        let tool = function.and_then(|name| state.names.find(name));
        let wrapped = tool.is_some_and(|tool| tool.kind == ToolKind::Custom);
        let shell = tool.is_some_and(|tool| tool.kind == ToolKind::Shell);
        let namespace = tool.and_then(|tool| tool.namespace.clone());
        let function = tool.map(|tool| &*tool.name).or(function);
        let custom = piece.custom.is_some() || wrapped;
        let name = piece.custom.as_ref().and_then(|custom| custom.name.as_deref());
        let name = name.or(function).unwrap_or_default().to_owned();
        let (number, id) = state.begin(match (custom, shell) {
            (true, _) => Kind::Custom,
            (_, true) => Kind::Shell,
            _ => Kind::Function,
        });
        let call_id = piece.id.as_deref().filter(|id| !id.is_empty());
        // A call without an id could not be answered.
        let call_id = call_id.map_or_else(|| format!("call_{id}"), str::to_owned);
        state.kept += name.len() + call_id.len();
        let call = Self {
            index: piece.index,
            number,
            id,
            custom,
            wrapped,
            shell,
            call_id,
            namespace,
            name,
            text: String::new(),
            extra: None,
            closed: false,
        };
        if !shell {
            call.added(state, out);
        }
        call
    }

    fn added(&self, state: &mut State, out: &mut Vec<u8>) {
        let item = self.raw("in_progress");
        let event = ItemEvent { output_index: self.number, item: &item };
        state.emit("response.output_item.added", &event, out);
    }

    fn raw(&self, status: &'static str) -> Box<RawValue> {
        let Self { id, call_id, name, .. } = self;
        let extra_content = self.extra.as_deref();
        let namespace = self.namespace.as_deref();
        if self.shell {
            let action = &*shell::action(&self.text);
            return Item::LocalShellCall { id, status, call_id, action, extra_content }.raw();
        }
        match self.custom {
            true => Item::CustomToolCall {
                id,
                status,
                call_id,
                namespace,
                name,
                input: &self.text,
                extra_content,
            },
            false => Item::FunctionCall {
                id,
                status,
                call_id,
                namespace,
                name,
                arguments: &self.text,
                extra_content,
            },
        }
        .raw()
    }

    pub(super) fn add(&mut self, piece: &CallPiece<'_>, state: &mut State, out: &mut Vec<u8>) {
        if self.closed {
            return;
        }
        self.extra = extra(piece.extra_content.as_ref()).or_else(|| self.extra.take());
        let function = piece.function.as_ref().and_then(|function| function.arguments.as_deref());
        let custom = piece.custom.as_ref().and_then(|custom| custom.input.as_deref());
        let text = custom.or(function).unwrap_or_default();
        if text.is_empty() {
            return;
        }
        state.kept += text.len();
        self.text.push_str(text);
        if !self.wrapped && !self.shell {
            self.tell(text, state, out);
        }
    }

    fn tell(&self, text: &str, state: &mut State, out: &mut Vec<u8>) {
        let event = TextEvent { delta: Some(text), ..self.text_event() };
        let kind = match self.custom {
            true => "response.custom_tool_call_input.delta",
            false => "response.function_call_arguments.delta",
        };
        state.emit(kind, &event, out);
    }

    fn text_event(&self) -> TextEvent<'_> {
        TextEvent { item_id: &self.id, output_index: self.number, ..TextEvent::default() }
    }

    /// Whether nothing can follow. Providers that mix the fragments of several calls exist, so the
    /// next call alone does not tell.
    pub(super) fn is_whole(&self) -> bool {
        !self.closed && serde_json::from_str::<&RawValue>(&self.text).is_ok()
    }

    pub(super) fn close(&mut self, status: &'static str, state: &mut State, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if self.wrapped {
            self.text = freeform::input(&self.text);
            if !self.text.is_empty() {
                self.tell(&self.text, state, out);
            }
        }
        let whole = Some(&*self.text);
        if self.shell {
            self.added(state, out);
        } else if self.custom {
            let event = TextEvent { input: whole, ..self.text_event() };
            state.emit("response.custom_tool_call_input.done", &event, out);
        } else {
            let event = TextEvent { name: Some(&self.name), arguments: whole, ..self.text_event() };
            state.emit("response.function_call_arguments.done", &event, out);
        }
        let item = self.raw(status);
        let event = ItemEvent { output_index: self.number, item: &item };
        state.emit("response.output_item.done", &event, out);
        state.finished(self.number, item);
    }
}
