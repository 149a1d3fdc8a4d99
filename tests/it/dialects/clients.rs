//! The four dialects that clients speak: how each asks for a feature, and how it knows an end, an error
//! and the fields that `heard.rs` reads.

use serde_json::{Value, json};

use super::heard::*;
use crate::harness::*;

/// The bytes of the image that clients send, in base64.
pub(super) const IMAGE: &str = "iVBORw0KGgo=";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Chat,
    Messages,
    Responses,
    Gemini,
}

/// What a request asks for besides a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Text,
    Tools,
    Image,
    Thinking,
    Schema,
}

/// The schema that clients ask for.
pub(super) fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": false})
}

/// Functions with two parameters of no matter.
fn functions() -> [(&'static str, Value); 2] {
    let parameters =
        |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}});
    [("weather", parameters("city")), ("time", parameters("zone"))]
}

impl Speaks {
    pub(super) const ALL: [Self; 4] = [Self::Chat, Self::Messages, Self::Responses, Self::Gemini];

    /// The client's request of this group's model.
    pub(super) fn ask(self, client: &Client, model: &str, wish: Wish, streamed: bool) -> Reply {
        self.send(client, model, self.body(wish), streamed)
    }

    /// A request without its model, for a reply of either kind.
    pub(super) fn body(self, wish: Wish) -> Value {
        match self {
            Self::Chat => chat_body(wish),
            Self::Messages => messages_body(wish),
            Self::Responses => responses_body(wish),
            Self::Gemini => gemini_body(wish),
        }
    }

    pub(super) fn send(
        self,
        client: &Client,
        model: &str,
        mut body: Value,
        streamed: bool,
    ) -> Reply {
        let path = match (self, streamed) {
            (Self::Chat, _) => "/v1/chat/completions".to_owned(),
            (Self::Messages, _) => "/v1/messages".to_owned(),
            (Self::Responses, _) => "/v1/responses".to_owned(),
            (Self::Gemini, false) => format!("/v1beta/models/{model}:generateContent"),
            (Self::Gemini, true) => {
                format!("/v1beta/models/{model}:streamGenerateContent?alt=sse")
            }
        };
        if self != Self::Gemini {
            body["model"] = json!(model);
            body["stream"] = json!(streamed);
        }
        if self == Self::Chat && streamed {
            body["stream_options"] = json!({"include_usage": true});
        }
        client.post(&path).json(&body).send()
    }

    /// What a whole reply says.
    pub(super) fn hear(self, reply: &Value) -> Heard {
        match self {
            Self::Chat => chat_reply(reply),
            Self::Messages => messages_reply(reply),
            Self::Responses => responses_reply(reply),
            Self::Gemini => gemini_frames(std::slice::from_ref(reply)),
        }
    }

    /// What a stream says, put together as the client's SDK does. `Err` if it is not well formed.
    pub(super) fn gather(self, reply: &Reply) -> Result<Heard, String> {
        let events = events(reply);
        let text = reply.body_text();
        let last = events.last().cloned().unwrap_or_default();
        let (heard, ended) = match self {
            Self::Chat => (chat_frames(&events), text.ends_with("data: [DONE]\n\n")),
            Self::Messages => (messages_events(&events), last["type"] == "message_stop"),
            Self::Responses => {
                let heard = responses_events(&events);
                let told = responses_reply(&last["response"]);
                if heard != told {
                    return Err(format!("events say {heard:?}, their end says {told:?}"));
                }
                (heard, last["type"] == "response.completed")
            }
            Self::Gemini => {
                (gemini_frames(&events), last["candidates"][0]["finishReason"].is_string())
            }
        };
        if ended { Ok(heard) } else { Err(format!("the stream has no proper end: {text}")) }
    }

    /// The client's words for an end after a text, and after calls.
    pub(super) fn ends(self) -> [&'static str; 2] {
        match self {
            Self::Chat => ["stop", "tool_calls"],
            Self::Messages => ["end_turn", "tool_use"],
            Self::Responses => ["completed", "completed"],
            Self::Gemini => ["STOP", "STOP"],
        }
    }

    /// Whether this body is an error with a status of its own, as the client's SDK knows it.
    pub(super) fn knows_error(self, body: &Value, status: u16) -> bool {
        let error = &body["error"];
        let limited = status == 429;
        let named = error["message"].is_string();
        named
            && match self {
                Self::Chat | Self::Responses => {
                    error["type"].is_string()
                        && (!limited || error["code"] == "rate_limit_exceeded")
                }
                Self::Messages => {
                    let kind = if limited { "rate_limit_error" } else { "api_error" };
                    body["type"] == "error"
                        && (error["type"] == kind
                            || (!limited && error["type"] == "overloaded_error"))
                }
                Self::Gemini => {
                    error["code"] == status
                        && error["status"].is_string()
                        && (!limited || error["status"] == "RESOURCE_EXHAUSTED")
                }
            }
    }

    /// What was said before the client's own error event, which ends the stream.
    pub(super) fn said_before_error(self, reply: &Reply) -> Option<String> {
        let events = events(reply);
        let last = events.last()?;
        let (text, is_error) = match self {
            Self::Chat => {
                let is_error = last["error"]["message"].is_string();
                (chat_frames(&events).text, is_error && !reply.body_text().contains("[DONE]"))
            }
            Self::Messages => {
                let is_error = last["type"] == "error" && last["error"]["type"].is_string();
                (messages_events(&events).text, is_error)
            }
            Self::Responses => {
                let is_error = last["response"]["error"]["code"].is_string();
                (responses_events(&events).text, last["type"] == "response.failed" && is_error)
            }
            Self::Gemini => {
                let error = &last["error"];
                let is_error = error["code"].as_u64() >= Some(500) && error["status"].is_string();
                (gemini_frames(&events).text, is_error)
            }
        };
        is_error.then_some(text)
    }
}

fn chat_body(wish: Wish) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    match wish {
        Wish::Text => {}
        Wish::Tools => {
            let tools = functions().map(|(name, parameters)| {
                json!({"type": "function", "function": {"name": name, "parameters": parameters}})
            });
            body["tools"] = json!(tools);
        }
        Wish::Image => {
            let url = format!("data:image/png;base64,{IMAGE}");
            let image = json!({"type": "image_url", "image_url": {"url": url}});
            body["messages"][0]["content"] = json!([{"type": "text", "text": "look"}, image]);
        }
        Wish::Thinking => body["reasoning_effort"] = json!("low"),
        Wish::Schema => {
            body["response_format"] = json!({"type": "json_schema",
                "json_schema": {"name": "place", "strict": true, "schema": schema()}});
        }
    }
    body
}

fn messages_body(wish: Wish) -> Value {
    let mut body = json!({"max_tokens": 4000, "messages": [{"role": "user", "content": "hi"}]});
    match wish {
        Wish::Text => {}
        Wish::Tools => {
            let tools = functions()
                .map(|(name, parameters)| json!({"name": name, "input_schema": parameters}));
            body["tools"] = json!(tools);
        }
        Wish::Image => {
            let source = json!({"type": "base64", "media_type": "image/png", "data": IMAGE});
            body["messages"][0]["content"] =
                json!([{"type": "text", "text": "look"}, {"type": "image", "source": source}]);
        }
        Wish::Thinking => body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000}),
        Wish::Schema => {
            body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema()}});
        }
    }
    body
}

fn responses_body(wish: Wish) -> Value {
    let mut body = json!({"input": "hi"});
    match wish {
        Wish::Text => {}
        Wish::Tools => {
            let tools = functions().map(|(name, parameters)| {
                json!({"type": "function", "name": name, "parameters": parameters})
            });
            body["tools"] = json!(tools);
        }
        Wish::Image => {
            let url = format!("data:image/png;base64,{IMAGE}");
            body["input"] = json!([{"role": "user", "content": [
                {"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": url}]}]);
        }
        Wish::Thinking => body["reasoning"] = json!({"effort": "low", "summary": "auto"}),
        Wish::Schema => {
            body["text"] = json!({"format": {"type": "json_schema", "name": "place",
                "strict": true, "schema": schema()}});
        }
    }
    body
}

fn gemini_body(wish: Wish) -> Value {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    match wish {
        Wish::Text => {}
        Wish::Tools => {
            let tools = functions().map(
                |(name, parameters)| json!({"name": name, "parametersJsonSchema": parameters}),
            );
            body["tools"] = json!([{"functionDeclarations": tools}]);
        }
        Wish::Image => {
            let data = json!({"mimeType": "image/png", "data": IMAGE});
            body["contents"][0]["parts"] = json!([{"text": "look"}, {"inlineData": data}]);
        }
        Wish::Thinking => {
            body["generationConfig"] =
                json!({"thinkingConfig": {"includeThoughts": true, "thinkingBudget": 2000}});
        }
        Wish::Schema => {
            body["generationConfig"] =
                json!({"responseMimeType": "application/json", "responseJsonSchema": schema()});
        }
    }
    body
}
