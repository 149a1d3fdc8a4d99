"""The four dialects of clients as their official SDKs speak them, each put before the same questions."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import errors, types

from processes import MASTER_KEY

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
# What the model is offered: two functions, each with one text.
FUNCTIONS = {
    name: {"type": "object", "properties": {parameter: {"type": "string"}}, "required": [parameter]}
    for name, parameter in (("weather", "city"), ("forecast", "place"))
}


@dataclass
class Said:
    """An answer without the dialect it came in."""

    text: str = ""
    thoughts: str = ""
    calls: list[tuple[str, dict]] = field(default_factory=list)
    # Input with its cached part, the cached part, output.
    usage: tuple[int, int, int] = (0, 0, 0)
    # The turn as the SDK holds it.
    turn: Any = None


class Chat:
    """OpenAI's SDK, chat completions."""

    limited, failed = openai.RateLimitError, openai.APIError

    def __init__(self, url):
        self.sdk = openai.OpenAI(
            base_url=f"{url}/v1", api_key=MASTER_KEY, max_retries=0, timeout=30
        )
        self.close = self.sdk.close

    def ask(self, model, wish=None, streamed=False, history=(), heard=None):
        content = "look"
        if wish == "image":
            url = f"data:image/png;base64,{PNG}"
            image = {"type": "image_url", "image_url": {"url": url}}
            content = [{"type": "text", "text": "look"}, image]
        request = {"model": model, "messages": [{"role": "user", "content": content}, *history]}
        if wish == "tools":
            request["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": parameters}}
                for name, parameters in FUNCTIONS.items()
            ]
        if wish == "thinking":
            request["reasoning_effort"] = "low"
        if wish == "schema":
            schema = {"name": "answer", "strict": True, "schema": SCHEMA}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        thoughts = ""
        if streamed:
            request["stream_options"] = {"include_usage": True}
            with self.sdk.chat.completions.stream(**request) as stream:
                for event in stream:
                    if heard is not None and event.type == "content.delta":
                        heard.append(event.delta)
                    if event.type == "chunk" and event.chunk.choices:
                        # No field of OpenAI's: the SDK passes it on, and does not gather it.
                        delta = event.chunk.choices[0].delta
                        thoughts += getattr(delta, "reasoning_content", None) or ""
                reply = stream.get_final_completion()
        else:
            reply = self.sdk.chat.completions.create(**request)
        message = reply.choices[0].message
        calls = message.tool_calls or []
        assert reply.choices[0].finish_reason == ("tool_calls" if calls else "stop")
        usage = reply.usage
        details = usage.prompt_tokens_details
        return Said(
            message.content or "",
            thoughts or getattr(message, "reasoning_content", None) or "",
            [(it.function.name, json.loads(it.function.arguments)) for it in calls],
            (usage.prompt_tokens, details.cached_tokens if details else 0, usage.completion_tokens),
            message,
        )

    def results(self, turn):
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": "mild"} for call in turn.tool_calls
        ]
        # What was parsed is the SDK's own, and nobody's field.
        return [turn.model_dump(exclude_none=True, exclude={"parsed"}), *results]


class Responses:
    """OpenAI's SDK, Responses."""

    limited, failed = openai.RateLimitError, openai.APIError

    def __init__(self, url):
        self.sdk = openai.OpenAI(
            base_url=f"{url}/v1", api_key=MASTER_KEY, max_retries=0, timeout=30
        )
        self.close = self.sdk.close

    def ask(self, model, wish=None, streamed=False, history=(), heard=None):
        content = "look"
        if wish == "image":
            image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
            content = [{"type": "input_text", "text": "look"}, image]
        request = {"model": model, "input": [{"role": "user", "content": content}, *history]}
        if wish == "tools":
            request["tools"] = [
                {"type": "function", "name": name, "parameters": parameters, "strict": False}
                for name, parameters in FUNCTIONS.items()
            ]
        if wish == "thinking":
            request["reasoning"] = {"effort": "low", "summary": "auto"}
        if wish == "schema":
            form = {"type": "json_schema", "name": "answer", "strict": True, "schema": SCHEMA}
            request["text"] = {"format": form}
        if streamed:
            with self.sdk.responses.stream(**request) as stream:
                for event in stream:
                    if heard is not None and event.type == "response.output_text.delta":
                        heard.append(event.delta)
                    if event.type == "response.failed":
                        raise openai.APIError(event.response.error.message, None, body=None)
                reply = stream.get_final_response()
        else:
            reply = self.sdk.responses.create(**request)
        assert reply.status == "completed"
        thoughts = [it for item in reply.output if item.type == "reasoning" for it in item.summary]
        calls = [item for item in reply.output if item.type == "function_call"]
        usage = reply.usage
        return Said(
            reply.output_text,
            "".join(it.text for it in thoughts),
            [(it.name, json.loads(it.arguments)) for it in calls],
            (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens),
            reply.output,
        )

    def results(self, turn):
        items = [it.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for it in turn]
        results = [
            {"type": "function_call_output", "call_id": it["call_id"], "output": "mild"}
            for it in items
            if it["type"] == "function_call"
        ]
        return [*items, *results]


class Messages:
    """Anthropic's SDK."""

    limited, failed = anthropic.RateLimitError, anthropic.APIError

    def __init__(self, url):
        self.sdk = anthropic.Anthropic(
            base_url=url, api_key=MASTER_KEY, max_retries=0, timeout=30
        )
        self.close = self.sdk.close

    def ask(self, model, wish=None, streamed=False, history=(), heard=None):
        content = "look"
        if wish == "image":
            source = {"type": "base64", "media_type": "image/png", "data": PNG}
            content = [{"type": "text", "text": "look"}, {"type": "image", "source": source}]
        messages = [{"role": "user", "content": content}, *history]
        request = {"model": model, "max_tokens": 4000, "messages": messages}
        if wish == "tools":
            request["tools"] = [
                {"name": name, "input_schema": parameters} for name, parameters in FUNCTIONS.items()
            ]
        if wish == "thinking":
            request["thinking"] = {"type": "enabled", "budget_tokens": 2000}
        if wish == "schema":
            request["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if streamed:
            with self.sdk.messages.stream(**request) as stream:
                for piece in stream.text_stream:
                    if heard is not None:
                        heard.append(piece)
                reply = stream.get_final_message()
        else:
            reply = self.sdk.messages.create(**request)
        calls = [it for it in reply.content if it.type == "tool_use"]
        assert reply.stop_reason == ("tool_use" if calls else "end_turn")
        usage = reply.usage
        cached = usage.cache_read_input_tokens or 0
        return Said(
            "".join(it.text for it in reply.content if it.type == "text"),
            "".join(it.thinking for it in reply.content if it.type == "thinking"),
            [(it.name, it.input) for it in calls],
            (usage.input_tokens + cached, cached, usage.output_tokens),
            reply.content,
        )

    def results(self, turn):
        results = [
            {"type": "tool_result", "tool_use_id": it.id, "content": "mild"}
            for it in turn
            if it.type == "tool_use"
        ]
        return [{"role": "assistant", "content": turn}, {"role": "user", "content": results}]


class Google:
    """Google's SDK."""

    limited, failed = errors.ClientError, errors.APIError

    def __init__(self, url):
        options = types.HttpOptions(base_url=url, timeout=30_000)
        self.sdk = genai.Client(api_key=MASTER_KEY, http_options=options)
        self.close = self.sdk.close

    def ask(self, model, wish=None, streamed=False, history=(), heard=None):
        parts = [types.Part.from_text(text="look")]
        if wish == "image":
            parts.append(types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png"))
        contents = [types.Content(role="user", parts=parts), *history]
        config = types.GenerateContentConfig(
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
        )
        if wish == "tools":
            declared = [
                types.FunctionDeclaration(name=name, parameters_json_schema=parameters)
                for name, parameters in FUNCTIONS.items()
            ]
            config.tools = [types.Tool(function_declarations=declared)]
        if wish == "thinking":
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=2000)
        if wish == "schema":
            config.response_mime_type = "application/json"
            config.response_json_schema = SCHEMA
        request = {"model": model, "contents": contents, "config": config}
        frames = []
        if streamed:
            for frame in self.sdk.models.generate_content_stream(**request):
                frames.append(frame)
                if heard is not None and frame.text:
                    heard.append(frame.text)
        else:
            frames.append(self.sdk.models.generate_content(**request))
        parts = [part for it in frames for part in (it.candidates[0].content.parts or [])]
        assert frames[-1].candidates[0].finish_reason == types.FinishReason.STOP
        usage = frames[-1].usage_metadata
        calls = [part.function_call for part in parts if part.function_call]
        return Said(
            "".join(part.text for part in parts if part.text and not part.thought),
            "".join(part.text for part in parts if part.text and part.thought),
            [(it.name, it.args) for it in calls],
            (
                usage.prompt_token_count,
                usage.cached_content_token_count or 0,
                usage.candidates_token_count + (usage.thoughts_token_count or 0),
            ),
            parts,
        )

    def results(self, turn):
        results = [
            types.Part.from_function_response(
                name=part.function_call.name, response={"result": "mild"}
            )
            for part in turn
            if part.function_call
        ]
        model = types.Content(role="model", parts=turn)
        return [model, types.Content(role="user", parts=results)]


SPEAKERS = {"chat": Chat, "responses": Responses, "messages": Messages, "google": Google}
