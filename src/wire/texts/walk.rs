//! The walk: which strings are texts, whose they are, and what of a stream belongs together.

use std::borrow::Cow;
use std::hash::Hasher as _;
use std::ops::Range;

use rustc_hash::FxHasher;

use super::meant::meant;
use super::names::{comes_in_parts, is_alike, is_data, is_no_text, may_be_data};
use super::{Role, Text, Texts};
use crate::wire::json::{Broken, Cursor, MAX_DEPTH};

pub(super) struct Walk<'b> {
    body: &'b [u8],
    /// Whose a text is if nothing says it.
    otherwise: Role,
    /// What stands in a text as JSON is looked into.
    opens: bool,
    found: Vec<Found<'b>>,
    has_tokens: bool,
    told_again: Vec<Range<usize>>,
    /// How many of those that were found may be data.
    data: usize,
    /// Within what a stream tells in pieces, whatever its name.
    is_delta: bool,
}

struct Found<'b> {
    value: Cow<'b, str>,
    span: Range<usize>,
    inner: Option<Range<usize>>,
    role: Option<Role>,
    lane: u64,
    is_part: bool,
    is_json: bool,
    /// It is none, unless its object is called a text.
    is_data: bool,
}

/// What the fields of an object say of all that stands in it.
#[derive(Default)]
struct About<'b> {
    role: Option<Cow<'b, str>>,
    kind: Option<Cow<'b, str>>,
    lane: FxHasher,
    is_numbered: bool,
}

impl<'b> Walk<'b> {
    pub(super) const fn over(body: &'b [u8], otherwise: Role, opens: bool) -> Self {
        Self {
            body,
            otherwise,
            opens,
            found: Vec::new(),
            has_tokens: false,
            told_again: Vec::new(),
            data: 0,
            is_delta: false,
        }
    }

    /// Walks over those fields of the outermost object that are meant. What is broken ends the walk: the
    /// bodies that come here were read before, and an event that is no JSON has no texts.
    pub(super) fn fields(mut self, is_meant: impl Fn(&str) -> bool) -> Texts<'b> {
        let is_broken = self.outermost(is_meant).is_err();
        let otherwise = self.otherwise;
        let text = |found: Found<'b>| Text {
            role: found.role.unwrap_or(otherwise),
            value: found.value,
            lane: found.is_part.then_some(found.lane),
            is_json: found.is_json,
            span: found.span,
            inner: found.inner,
        };
        let found = self.found.into_iter().filter(|found| !found.is_data);
        let list = found.map(text).collect();
        Texts { list, has_tokens: self.has_tokens, is_broken, told_again: self.told_again }
    }

    fn outermost(&mut self, is_meant: impl Fn(&str) -> bool) -> Result<(), Broken> {
        let mut cursor = Cursor::new(self.body);
        let mut about = About::default();
        cursor.open(b'{')?;
        let mut first = true;
        while let Some(name) = cursor.field(first)? {
            first = false;
            let name = self.name(name);
            self.notice(&name, &cursor, &mut about);
            if !is_meant(&name) {
                cursor.value()?;
                continue;
            }
            let from = self.found.len();
            match &*name {
                // Of a response that is told whole, what its client said itself is no news.
                "response" => self.response(&mut cursor)?,
                // Of a transcript.
                "words" => self.tells_again(&mut cursor)?,
                // Which of their fields are read is said elsewhere.
                name if is_alike(name, "documents") => self.value(&mut cursor, name, true, 0)?,
                _ => self.value(&mut cursor, &name, false, 0)?,
            }
            if matches!(
                &*name,
                "system" | "instructions" | "systemInstruction" | "system_instruction"
            ) {
                self.found[from..].iter_mut().for_each(|found| found.role = Some(Role::System));
            }
        }
        // A body is nobody's message.
        about.role = None;
        self.belongs(0, &about, 0);
        let kind = about.kind.as_deref().unwrap_or_default();
        if kind.starts_with("response.") && !kind.ends_with(".delta") {
            // What was told in pieces is told once more, whole.
            self.found.iter_mut().for_each(|found| found.is_part = false);
        }
        Ok(())
    }

    fn response(&mut self, cursor: &mut Cursor<'b>) -> Result<(), Broken> {
        if cursor.peek() != Some(b'{') {
            cursor.value()?;
            return Ok(());
        }
        cursor.open(b'{')?;
        let mut first = true;
        while let Some(name) = cursor.field(first)? {
            first = false;
            match &*self.name(name) {
                "output" => self.value(cursor, "output", false, 1)?,
                _ => {
                    cursor.value()?;
                }
            }
        }
        Ok(())
    }

    fn tells_again(&mut self, cursor: &mut Cursor<'b>) -> Result<(), Broken> {
        let span = cursor.value()?;
        if self.body.get(span.clone()) != Some(b"null") {
            self.told_again.push(span);
        }
        Ok(())
    }

    fn name(&self, span: Range<usize>) -> Cow<'b, str> {
        // The quotes stand around it.
        meant(self.body.get(span.start - 1..=span.end).unwrap_or_default())
    }

    /// `all`: every string, name and whole number is a text, because it is somebody's own. What is nested more deeply
    /// than any reader takes it ends the walk.
    fn value(
        &mut self,
        cursor: &mut Cursor<'b>,
        name: &str,
        all: bool,
        depth: u32,
    ) -> Result<(), Broken> {
        match cursor.peek() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(cursor.broken("nested too deeply")),
            Some(b'{') => self.object(cursor, all, depth),
            Some(b'[') => {
                cursor.open(b'[')?;
                let mut first = true;
                while cursor.element(first)? {
                    first = false;
                    let is_number = cursor.peek().is_some_and(|byte| byte.is_ascii_digit());
                    self.has_tokens |= is_number && !all && matches!(name, "prompt" | "input");
                    self.value(cursor, name, all, depth + 1)?;
                }
                Ok(())
            }
            Some(b'"') => {
                let start = cursor.at();
                cursor.string()?;
                self.string(start..cursor.at(), name, all);
                Ok(())
            }
            _ => {
                let span = cursor.value()?;
                if all {
                    self.number(span);
                }
                Ok(())
            }
        }
    }

    fn object(&mut self, cursor: &mut Cursor<'b>, all: bool, depth: u32) -> Result<(), Broken> {
        let from = self.found.len();
        let mut about = About::default();
        cursor.open(b'{')?;
        let mut first = true;
        while let Some(name) = cursor.field(first)? {
            first = false;
            let quoted = name.start - 1..name.end + 1;
            let name = self.name(name);
            if all {
                self.take(name.clone(), quoted, &name, all);
            } else {
                self.notice(&name, cursor, &mut about);
                if matches!(&*name, "logprobs" | "logprobsResult") {
                    self.tells_again(cursor)?;
                    continue;
                }
            }
            let is_free = cursor.peek() == Some(b'{')
                && matches!(&*name, "input" | "args" | "response" | "arguments" | "variables");
            let was_delta = self.is_delta;
            self.is_delta |= &*name == "delta";
            self.value(cursor, &name, all || is_free, depth + 1)?;
            self.is_delta = was_delta;
        }
        self.decide(from, &about);
        self.belongs(from, &about, depth + 1);
        Ok(())
    }

    /// What may be data is a text if the object says that it is one.
    fn decide(&mut self, from: usize, about: &About<'b>) {
        if self.data == 0 {
            return;
        }
        let is_text = about.kind.as_deref() == Some("text");
        for mut found in self.found.split_off(from) {
            self.data -= usize::from(found.is_data);
            if !found.is_data || is_text {
                found.is_data = false;
                self.found.push(found);
            }
        }
    }

    /// Takes down what a field says of its object.
    fn notice(&self, name: &str, cursor: &Cursor<'b>, about: &mut About<'b>) {
        match name {
            "role" => about.role = self.peeked(cursor),
            "type" => about.kind = self.peeked(cursor),
            "index" | "output_index" | "content_index" | "summary_index" => {
                let mut ahead = *cursor;
                let Ok(span) = ahead.value() else { return };
                let digits = self.body.get(span).unwrap_or_default();
                // Some leave a zero out.
                if digits != b"0" && digits != b"null" {
                    about.lane.write(name.as_bytes());
                    about.lane.write(digits);
                    about.is_numbered = true;
                }
            }
            _ => {}
        }
    }

    fn peeked(&self, cursor: &Cursor<'b>) -> Option<Cow<'b, str>> {
        let mut ahead = *cursor;
        let start = (ahead.peek() == Some(b'"')).then(|| ahead.at())?;
        ahead.string().ok()?;
        Some(meant(self.body.get(start..ahead.at())?))
    }

    /// What an object says of the texts in it, from the inside out.
    fn belongs(&mut self, from: usize, about: &About<'b>, depth: u32) {
        let kind = about.kind.as_deref().unwrap_or_default();
        let is_result = kind == "tool_result"
            || kind.ends_with("_call_output")
            || kind.ends_with("_tool_result");
        let role = match about.role.as_deref() {
            _ if is_result => Some(Role::Tool),
            Some("system" | "developer") => Some(Role::System),
            Some("assistant" | "model" | "CHATBOT") => Some(Role::Assistant),
            Some("tool" | "function") => Some(Role::Tool),
            Some("user") => Some(Role::User),
            _ => None,
        };
        let is_json = kind.contains("call_arguments");
        if role.is_none() && !is_json && !about.is_numbered {
            return;
        }
        for found in &mut self.found[from..] {
            // Of a result, whose message is the user's, it stays a tool's. Else the outermost says it: what is written
            // within a message is its writer's.
            if found.role != Some(Role::Tool) {
                found.role = role.or(found.role);
            }
            found.is_json |= is_json;
            if about.is_numbered {
                let mut lane = about.lane.clone();
                lane.write_u32(depth);
                lane.write_u64(found.lane);
                found.lane = lane.finish();
            }
        }
    }

    fn string(&mut self, span: Range<usize>, name: &str, all: bool) {
        if !all && is_no_text(name) {
            return;
        }
        let value = meant(self.body.get(span.clone()).unwrap_or_default());
        let is_json = !all && matches!(name, "arguments" | "partial_json");
        if self.opens && is_json && self.open(&value, &span) {
            return;
        }
        self.take(value, span, name, all);
    }

    /// A number that has digits only may be anybody's.
    fn number(&mut self, span: Range<usize>) {
        let digits = self.body.get(span.clone()).unwrap_or_default();
        let is_whole = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
        if let Some(digits) = std::str::from_utf8(digits).ok().filter(|_| is_whole) {
            self.take(Cow::Borrowed(digits), span, "", true);
        }
    }

    fn take(&mut self, value: Cow<'b, str>, span: Range<usize>, name: &str, all: bool) {
        if value.is_empty() {
            return;
        }
        let is_data = may_be_data(name) && is_data(&value);
        self.data += usize::from(is_data);
        let mut lane = FxHasher::default();
        lane.write(name.as_bytes());
        lane.write_u8(u8::from(all));
        self.found.push(Found {
            value,
            span,
            inner: None,
            role: None,
            lane: lane.finish(),
            is_part: !all && (self.is_delta || comes_in_parts(name)),
            is_json: !all && matches!(name, "arguments" | "partial_json"),
            is_data,
        });
    }

    /// Looks into a text that is JSON itself. False: it is none.
    fn open(&mut self, json: &str, span: &Range<usize>) -> bool {
        let mut cursor = Cursor::new(json.as_bytes());
        cursor.space();
        if !matches!(cursor.peek(), Some(b'{' | b'[')) {
            return false;
        }
        let mut within = Walk::over(json.as_bytes(), self.otherwise, false);
        let walked = within.value(&mut cursor, "arguments", true, 0);
        cursor.space();
        if walked.is_err() || cursor.peek().is_some() {
            return false;
        }
        let found = within.found.into_iter().filter(|found| !found.is_data);
        self.found.extend(found.map(|found| Found {
            value: Cow::Owned(found.value.into_owned()),
            inner: Some(found.span),
            span: span.clone(),
            role: None,
            lane: found.lane,
            is_part: false,
            is_json: false,
            is_data: false,
        }));
        true
    }
}
