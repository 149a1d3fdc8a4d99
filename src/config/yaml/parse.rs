//! From the parser's events to the tree: anchors, merge keys, duplicate keys and bounds.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{Entry, Node, Scalar, Value, syntax};
use crate::config::problem::{Finding, Problems, Spot};

/// A larger file is refused unread: ten thousand deployments need about 4 MB.
pub(crate) const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Mappings and lists within each other.
const DEPTH_MAX: usize = 64;

/// Values that aliases (`*name`) may copy in one file, so that a few lines cannot fill the memory.
const COPIES_MAX: usize = 100_000;

/// Reads one document. `None` if there is none, or if it is so broken that there is no tree; the
/// reason is among the problems then.
pub(crate) fn parse(text: &str, file: u32, problems: &Problems) -> Option<Node> {
    let mut builder = Builder::new(file, problems);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(syntax::finding(&error, text, file)),
        };
        if let Err(finding) = step {
            problems.push(finding);
            return None;
        }
    }
    builder.root
}

/// A mapping or list whose end has not been seen.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(Box<str>, Spot)>,
    /// What `<<` brought in; explicit keys win over it wherever they stand.
    merged: Vec<Entry>,
}

struct Builder<'a> {
    file: u32,
    problems: &'a Problems,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    copies: usize,
    root: Option<Node>,
    documents: usize,
}

impl<'a> Builder<'a> {
    fn new(file: u32, problems: &'a Problems) -> Self {
        let (open, anchors) = (Vec::new(), HashMap::new());
        Self { file, problems, open, anchors, copies: 0, root: None, documents: 0 }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Finding> {
        let spot = self.spot(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Finding::error(spot, "a second document starts here")
                        .help("remove the `---`: one file holds one configuration"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !is_string_tag(tag.as_deref(), spot)?;
                let scalar = Scalar::new(&text, plain);
                let merges = style == ScalarStyle::Plain && text == "<<";
                // Nothing is written here, so the place that was not filled is the key's.
                let spot = match self.pending_key() {
                    Some(key) if text.is_empty() && plain => key,
                    _ => spot,
                };
                if plain {
                    self.look_at(&text, spot, span);
                }
                self.complete(Node { spot, value: Value::Scalar(scalar) }, anchor, merges)?;
            }
            Event::SequenceStart(anchor, tag) => {
                is_string_tag(tag.as_deref(), spot)?;
                self.start(Node { spot, value: Value::List(Vec::new()) }, anchor)?;
            }
            Event::MappingStart(anchor, tag) => {
                is_string_tag(tag.as_deref(), spot)?;
                self.start(Node { spot, value: Value::Map(Vec::new()) }, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { mut node, anchor, merged, .. }) = self.open.pop() {
                    if let Value::Map(entries) = &mut node.value {
                        for entry in merged {
                            if !entries.iter().any(|known| known.key == entry.key) {
                                entries.push(entry);
                            }
                        }
                    }
                    self.complete(node, anchor, false)?;
                }
            }
            Event::Alias(anchor) => {
                let node = self.copy_of(anchor, spot)?;
                self.complete(node, 0, false)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn spot(&self, span: Span) -> Spot {
        let to_u32 = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let one_line = span.start.line() == span.end.line();
        let width = if one_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
        Spot {
            file: self.file,
            line: to_u32(span.start.line()),
            column: to_u32(span.start.col() + 1),
            width: to_u32(width.max(1)),
        }
    }

    /// Texts without quotes that are valid, and are seldom what was meant.
    fn look_at(&self, text: &str, spot: Spot, span: Span) {
        let from_word_processor = ['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'];
        if text.starts_with(from_word_processor) {
            self.problems.push(
                Finding::warning(spot, "these quotes are part of the text")
                    .help("write straight quotes: \" or '"),
            );
        }
        if text.contains(" - ") && span.start.line() != span.end.line() {
            self.problems.push(
                Finding::warning(spot, "this text goes on in the next line, where a list begins")
                    .help("put every item of the list on a line of its own, this one too"),
            );
        }
    }

    fn pending_key(&self) -> Option<Spot> {
        self.open.last()?.key.as_ref().map(|(_, spot)| *spot)
    }

    fn start(&mut self, node: Node, anchor: usize) -> Result<(), Finding> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Finding::error(
                node.spot,
                format!("more than {DEPTH_MAX} mappings and lists within each other"),
            ));
        }
        self.open.push(Open { node, anchor, key: None, merged: Vec::new() });
        Ok(())
    }

    /// Puts a finished value where it belongs: under its key, into its list, or at the root.
    fn complete(&mut self, node: Node, anchor: usize, merges: bool) -> Result<(), Finding> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let entries = match &mut parent.node.value {
            Value::List(items) => {
                items.push(node);
                return Ok(());
            }
            Value::Map(entries) => entries,
            Value::Scalar(_) => return Ok(()),
        };
        match parent.key.take() {
            None => parent.key = Some(Self::key(&node, merges)?),
            Some((key, _)) if &*key == MERGE => parent.merged.extend(merged(node)?),
            Some((key, spot)) => match entries.iter().find(|known| known.key == key) {
                Some(first) => self.problems.push(
                    Finding::error(spot, format!("`{key}` is written twice"))
                        .note(first.spot, "first written here")
                        .help("remove one of the two"),
                ),
                None => entries.push(Entry { key, spot, node }),
            },
        }
        Ok(())
    }

    fn key(node: &Node, merges: bool) -> Result<(Box<str>, Spot), Finding> {
        match &node.value {
            _ if merges => Ok((MERGE.into(), node.spot)),
            Value::Scalar(scalar) if !scalar.written().is_empty() => {
                let key = scalar.written();
                match key.chars().find(|c| looks_blank(*c)) {
                    None => Ok((key.into(), node.spot)),
                    Some(blank) => Err(Finding::error(
                        node.spot,
                        format!("U+{:04X} looks like a space and is none", u32::from(blank)),
                    )
                    .help("replace it by a space, or remove it")),
                }
            }
            // What `{{ NAME }}` is to YAML.
            Value::Map(_) => Err(Finding::error(node.spot, "a key must be a text")
                .help("put texts with `{` in quotes; variables are written `${NAME}`")),
            Value::Scalar(_) | Value::List(_) => {
                Err(Finding::error(node.spot, "a key must be a text")
                    .help("write `name: value`; put texts with `{` or `[` in quotes"))
            }
        }
    }

    fn copy_of(&mut self, anchor: usize, spot: Spot) -> Result<Node, Finding> {
        // The parser refuses unknown names; what is missing here is an anchor around itself.
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Finding::error(spot, "an alias within its own anchor"));
        };
        self.copies += size(node);
        if self.copies > COPIES_MAX {
            let message = format!("aliases expand to more than {COPIES_MAX} values");
            return Err(Finding::error(spot, message));
        }
        Ok(node.clone())
    }
}

/// Stands for the merge key among the keys of an open mapping; no text can spell it.
const MERGE: &str = "\0<<";

/// The entries that `<<: *a` or `<<: [*a, *b]` brings in; the first mapping wins.
fn merged(node: Node) -> Result<Vec<Entry>, Finding> {
    let refuse = |spot| {
        Finding::error(spot, "`<<` takes a mapping, or a list of mappings")
            .help("write `<<: *name`, where `&name` stands at a mapping")
    };
    let maps = match node.value {
        Value::Map(entries) => return Ok(entries),
        Value::List(items) => items,
        Value::Scalar(_) => return Err(refuse(node.spot)),
    };
    let mut all = Vec::new();
    for item in maps {
        match item.value {
            Value::Map(entries) => all.extend(entries),
            Value::List(_) | Value::Scalar(_) => return Err(refuse(item.spot)),
        }
    }
    Ok(all)
}

/// Characters that editors and web pages leave in place of spaces, or between letters.
fn looks_blank(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200d}' | '\u{202f}' | '\u{205f}')
        || matches!(c, '\u{2060}' | '\u{3000}' | '\u{feff}')
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar(_) => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|entry| size(&entry.node)).sum(),
    }
}

/// Whether the tag makes a text of what would be a number (`!!str 123`). Tags of applications have
/// no meaning here.
fn is_string_tag(tag: Option<&Tag>, spot: Spot) -> Result<bool, Finding> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix == "str"),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(true),
        Some(tag) => Err(Finding::error(spot, format!("the tag `{tag}` is not known here"))
            .help("remove it; variables are written `os.environ/NAME` or `${NAME}`")),
    }
}
