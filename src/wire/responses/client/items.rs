//! Items of the input, as messages.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::names::{Names, fitted};
use super::{sealed, shell};
use crate::failure::Failure;
use crate::wire::chat::{AudioData, FileData, ImageUrl, Part, Raw};
use crate::wire::fields::{Text, missing, mistyped, read};
use crate::wire::freeform;

/// Types of items that have a counterpart, or that tell nothing a model would miss.
const KNOWN: [&str; 19] = [
    "message",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "file_search_call",
    "ghost_snapshot",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_call",
    "mcp_list_tools",
    "shell_call",
    "shell_call_output",
    "web_search_call",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
    "image_generation_call",
];

pub(super) fn is_known(kind: &str) -> bool {
    KNOWN.contains(&kind)
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    role: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    call_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    /// Of a tool of an MCP server that runs at the client.
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
    /// Of one that ran at the provider.
    #[serde(borrow, default)]
    server_label: Option<Text<'a>>,
    #[serde(borrow, default)]
    error: Option<Raw<'a>>,
    /// What a shell is to run, and what is to be done to a file.
    #[serde(borrow, default)]
    action: Option<Raw<'a>>,
    #[serde(borrow, default)]
    operation: Option<Raw<'a>>,
    /// What an interpreter ran, and what came of it.
    #[serde(borrow, default)]
    code: Option<Text<'a>>,
    #[serde(borrow, default)]
    outputs: Option<Raw<'a>>,
    #[serde(borrow, default)]
    status: Option<Raw<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Raw<'a>>,
    #[serde(borrow, default)]
    input: Option<Raw<'a>>,
    #[serde(borrow, default)]
    output: Option<Raw<'a>>,
    /// Of an image that was generated: base64.
    #[serde(borrow, default)]
    result: Option<Raw<'a>>,
    #[serde(borrow, default)]
    output_format: Option<Raw<'a>>,
    #[serde(borrow, default)]
    summary: Option<Vec<WrittenPart<'a>>>,
    #[serde(borrow, default)]
    encrypted_content: Option<Text<'a>>,
    /// What Google wants to see again; see [`super::output`].
    #[serde(borrow, default)]
    extra_content: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
struct WrittenPart<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    image_url: Option<Raw<'a>>,
    #[serde(borrow, default)]
    detail: Option<Text<'a>>,
    #[serde(borrow, default)]
    input_audio: Option<AudioData<'a>>,
    #[serde(borrow, default)]
    file_data: Option<Text<'a>>,
    #[serde(borrow, default)]
    file_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    file_url: Option<Text<'a>>,
    #[serde(borrow, default)]
    filename: Option<Text<'a>>,
    #[serde(borrow, default)]
    cache_control: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Address<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

/// A message as the chat API has it.
#[derive(Default, Serialize)]
pub(super) struct Message<'a> {
    role: Cow<'a, str>,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thinking_blocks: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_items: Vec<Raw<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
struct Call<'a> {
    id: Text<'a>,
    #[serde(flatten)]
    what: Called<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Raw<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Called<'a> {
    Function { function: Function<'a> },
}

#[derive(Serialize)]
struct Function<'a> {
    name: Text<'a>,
    arguments: Cow<'a, str>,
}

impl<'a> Message<'a> {
    /// A message of one text.
    pub(super) fn text(role: &'static str, text: Cow<'a, str>) -> Self {
        Self { role: role.into(), content: Some(Content::Text(text)), ..Self::default() }
    }
}

/// Messages that are being put together: what the assistant did in one turn is one message there
/// and several items here.
pub(super) struct Turns<'a> {
    names: &'a Names,
    messages: Vec<Message<'a>>,
    /// What the assistant did last, if nothing followed it.
    turn: Option<Message<'a>>,
    parts: Vec<Part<'a>>,
}

impl<'a> Turns<'a> {
    /// `names`: of the tools that the client has now.
    pub(super) const fn new(names: &'a Names) -> Self {
        Self { names, messages: Vec::new(), turn: None, parts: Vec::new() }
    }

    pub(super) fn push(&mut self, message: Message<'a>) {
        self.close();
        self.messages.push(message);
    }

    pub(super) fn finish(mut self) -> Vec<Message<'a>> {
        self.close();
        self.messages
    }

    fn close(&mut self) {
        let parts = std::mem::take(&mut self.parts);
        if let Some(mut turn) = self.turn.take() {
            turn.content = content(parts);
            let silent = turn.content.is_none() && turn.tool_calls.is_empty();
            // What was thought before something that was never said leads nowhere.
            if !silent || turn.refusal.is_some() {
                self.messages.push(turn);
            }
        }
    }

    fn turn(&mut self) -> &mut Message<'a> {
        self.turn.get_or_insert_with(|| Message { role: "assistant".into(), ..Message::default() })
    }

    /// Begins another turn if the last one has said something already. Calls that have no result
    /// yet keep it open: they belong together.
    fn next_turn(&mut self) {
        let calls = self.turn.as_ref().is_some_and(|turn| !turn.tool_calls.is_empty());
        if !self.parts.is_empty() && !calls {
            self.close();
        }
    }

    /// Adds one item of the input, at `param`.
    ///
    /// # Errors
    /// It lacks what its type needs. Items of unknown types are for [`super::obstacle`] to refuse.
    pub(super) fn add(&mut self, param: &str, raw: Raw<'a>) -> Result<(), Failure> {
        let item: Written<'a> = read(param, raw.get())?;
        match item.kind.as_deref().unwrap_or("message") {
            "message" => self.message(param, item),
            "reasoning" => {
                self.next_turn();
                self.reasoning(item, raw);
                Ok(())
            }
            kind @ ("function_call" | "custom_tool_call") => {
                let is_function = kind == "function_call";
                let need = |name: &str| missing(&format!("{param}.{name}"));
                let id = item.call_id.ok_or_else(|| need("call_id"))?;
                let name = item.name.ok_or_else(|| need("name"))?;
                let name = match item.namespace {
                    Some(namespace) => self.names.called(&namespace, &name).into(),
                    None => name,
                };
                let arguments = match is_function {
                    true => plain(item.arguments, "{}"),
                    false => Cow::Owned(freeform::arguments(&plain(item.input, ""))),
                };
                self.call(id, name, arguments, item.extra_content);
                Ok(())
            }
            "function_call_output" | "custom_tool_call_output" => {
                let id = item.call_id.ok_or_else(|| missing(&format!("{param}.call_id")))?;
                let output = parts(&format!("{param}.output"), item.output)?;
                self.result(id, output);
                Ok(())
            }
            kind @ ("local_shell_call" | "shell_call" | "apply_patch_call") => {
                let id =
                    item.call_id.or(item.id).ok_or_else(|| missing(&format!("{param}.call_id")))?;
                let (name, arguments) = match kind {
                    "apply_patch_call" => ("apply_patch", plain(item.operation, "{}")),
                    "shell_call" => ("shell", plain(item.action, "{}")),
                    _ => (shell::TOOL, shell::arguments(item.action).into()),
                };
                self.call(id, name.into(), arguments, None);
                Ok(())
            }
            "local_shell_call_output" | "shell_call_output" | "apply_patch_call_output" => {
                let id =
                    item.call_id.or(item.id).ok_or_else(|| missing(&format!("{param}.call_id")))?;
                let said = item.output.filter(|raw| raw.get() != "null").or(item.status);
                self.result(id, vec![Part::Text { text: plain(said, ""), cache_control: None }]);
                Ok(())
            }
            "mcp_call" => {
                self.ran_at_server(item);
                Ok(())
            }
            "code_interpreter_call" => {
                self.interpreted(&item);
                Ok(())
            }
            "image_generation_call" => {
                self.image(item);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn call(
        &mut self,
        id: Text<'a>,
        name: Text<'a>,
        arguments: Cow<'a, str>,
        extra_content: Option<Raw<'a>>,
    ) {
        let what = Called::Function { function: Function { name, arguments } };
        self.turn().tool_calls.push(Call { id, what, extra_content });
    }

    fn result(&mut self, id: Text<'a>, output: Vec<Part<'a>>) {
        let content = content(output).or(Some(Content::Text(Cow::Borrowed(""))));
        let role = "tool".into();
        self.push(Message { role, content, tool_call_id: Some(id), ..Message::default() });
    }

    /// A call of an MCP server that the provider made itself: a call and its result. One that came to
    /// nothing is left out.
    fn ran_at_server(&mut self, item: Written<'a>) {
        let set = |raw: Option<Raw<'a>>| raw.filter(|raw| raw.get() != "null");
        let said = set(item.output).or_else(|| set(item.error));
        let (Some(id), Some(name), Some(said)) = (item.id, item.name, said) else { return };
        let server = item.server_label.unwrap_or_default();
        self.call(id.clone(), fitted(&server, &name).into(), plain(item.arguments, "{}"), None);
        self.result(id, vec![Part::Text { text: plain(Some(said), ""), cache_control: None }]);
    }

    /// Code that ran at the provider, and what it printed: words of the assistant's.
    fn interpreted(&mut self, item: &Written<'a>) {
        #[derive(Deserialize)]
        struct Output<'a> {
            #[serde(borrow, default)]
            logs: Option<Text<'a>>,
        }
        let Some(code) = item.code.as_deref().filter(|code| !code.is_empty()) else { return };
        let read = |raw: Raw<'a>| serde_json::from_str::<Vec<Output<'a>>>(raw.get()).ok();
        let outputs = item.outputs.and_then(read).unwrap_or_default();
        let mut text = format!("```python\n{code}\n```");
        for logs in outputs.into_iter().filter_map(|output| output.logs) {
            text.push_str(&format!("\n```\n{}\n```", &*logs));
        }
        self.next_turn();
        self.turn();
        self.parts.push(Part::Text { text: text.into(), cache_control: None });
    }

    /// An image that the assistant made: shown by the user, because only users show images.
    fn image(&mut self, item: Written<'a>) {
        let calls = self.turn.as_ref().is_some_and(|turn| !turn.tool_calls.is_empty());
        // Nothing may stand between calls and their results.
        let data = plain(item.result, "");
        if data.is_empty() || calls {
            return;
        }
        let format = plain(item.output_format, "png");
        let url = Text(Cow::Owned(format!("data:image/{format};base64,{data}")));
        let image_url = ImageUrl { url, detail: None, format: None };
        let lead = Cow::Borrowed("The image that you generated:");
        let content = content(vec![
            Part::Text { text: lead, cache_control: None },
            Part::ImageUrl { image_url, cache_control: None },
        ]);
        self.push(Message { role: "user".into(), content, ..Message::default() });
    }

    fn message(&mut self, param: &str, item: Written<'a>) -> Result<(), Failure> {
        let role = item.role.ok_or_else(|| missing(&format!("{param}.role")))?;
        let said = parts(&format!("{param}.content"), item.content)?;
        if &*role == "assistant" {
            self.next_turn();
            self.turn();
            for part in said {
                match part {
                    Part::Refusal { refusal } => self.turn().refusal = Some(Text(refusal)),
                    part => self.parts.push(part),
                }
            }
            return Ok(());
        }
        // Few servers but OpenAI know the role `developer`, and for it they are the same.
        let role = if &*role == "developer" { Cow::Borrowed("system") } else { role.0 };
        let content = content(said).or(Some(Content::Text(Cow::Borrowed(""))));
        self.push(Message { role, content, ..Message::default() });
        Ok(())
    }

    fn reasoning(&mut self, item: Written<'a>, raw: Raw<'a>) {
        let turn = self.turn();
        if let Some(text) = item.encrypted_content.as_deref() {
            match sealed::open(text) {
                Some(blocks) => turn.thinking_blocks.extend(blocks),
                None => turn.reasoning_items.push(raw),
            }
        }
        let content = item.content.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let summary = item.summary.filter(|summary| !summary.is_empty());
        let thought: Vec<WrittenPart<'a>> = summary.or(content).unwrap_or_default();
        for part in thought {
            let text = part.text.unwrap_or_default();
            let so_far = turn.reasoning_content.get_or_insert_default();
            if !so_far.is_empty() && !text.is_empty() {
                so_far.push_str("\n\n");
            }
            so_far.push_str(&text);
        }
    }
}

/// A text, or what stands in its place, as text.
fn plain<'a>(raw: Option<Raw<'a>>, none: &'static str) -> Cow<'a, str> {
    match raw.map(RawValue::get) {
        None | Some("null") => Cow::Borrowed(none),
        Some(raw) => serde_json::from_str::<Text<'a>>(raw).map_or(Cow::Borrowed(raw), |it| it.0),
    }
}

/// One text is a text; more is a list.
fn content(mut parts: Vec<Part<'_>>) -> Option<Content<'_>> {
    match (parts.pop()?, parts.is_empty()) {
        (Part::Text { text, cache_control: None }, true) => Some(Content::Text(text)),
        (last, _) => {
            parts.push(last);
            Some(Content::Parts(parts))
        }
    }
}

fn parts<'a>(param: &str, raw: Option<Raw<'a>>) -> Result<Vec<Part<'a>>, Failure> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Vec::new()) };
    match raw.get().as_bytes().first() {
        Some(b'"') => {
            let text: Text<'a> = read(param, raw.get())?;
            Ok(vec![Part::Text { text: text.0, cache_control: None }])
        }
        Some(b'[') => {
            let list: Vec<WrittenPart<'a>> = read(param, raw.get())?;
            let mut parts = Vec::with_capacity(list.len());
            for (at, written) in list.into_iter().enumerate() {
                parts.extend(part(&format!("{param}[{at}]"), written)?);
            }
            Ok(parts)
        }
        _ => Err(mistyped(param, "a string or an array", raw.get())),
    }
}

/// One part; `None` for one that another provider could not be shown.
fn part<'a>(param: &str, part: WrittenPart<'a>) -> Result<Option<Part<'a>>, Failure> {
    let need = |name: &str| missing(&format!("{param}.{name}"));
    let cache_control = part.cache_control;
    Ok(Some(match part.kind.as_deref().unwrap_or("input_text") {
        "input_text" | "output_text" | "text" | "summary_text" => {
            let text = part.text.ok_or_else(|| need("text"))?.0;
            Part::Text { text, cache_control }
        }
        "refusal" => Part::Refusal { refusal: part.refusal.ok_or_else(|| need("refusal"))?.0 },
        "input_image" => {
            let Some(raw) = part.image_url.filter(|raw| raw.get() != "null") else {
                return Ok(None);
            };
            // Many clients write the chat API's object.
            let url = match serde_json::from_str::<Address<'a>>(raw.get()) {
                Ok(address) => address.url,
                Err(_) => read(&format!("{param}.image_url"), raw.get())?,
            };
            let image_url = ImageUrl { url, detail: part.detail, format: None };
            Part::ImageUrl { image_url, cache_control }
        }
        "input_audio" => {
            let input_audio = part.input_audio.ok_or_else(|| need("input_audio"))?;
            Part::InputAudio { input_audio, cache_control }
        }
        "input_file" => {
            let WrittenPart { file_data, file_id, file_url, filename, .. } = part;
            let file = FileData { file_data, file_id, file_url, filename, format: None };
            Part::File { file, cache_control }
        }
        kind => {
            let message = format!("Invalid value: '{kind}' is not a type of content.");
            return Err(crate::wire::fields::invalid(&format!("{param}.type"), message));
        }
    }))
}
