"""What is more than text: images, structured output, reasoning."""

import json
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

from test_chat import ask
from test_stream import text_of

# One pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


class Step(BaseModel):
    explanation: str
    output: str


class Solution(BaseModel):
    steps: list[Step]
    difficulty: Literal["easy", "hard"]
    answer: int


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "url", [f"data:image/png;base64,{PNG}", "https://example.com/cat.png"], ids=["data", "url"]
)
def test_an_image(client, upstream, url):
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]
    reply = client.chat.completions.create(
        model=upstream.model, messages=[{"role": "user", "content": content}]
    )
    assert "What is this? I see 1 image." in reply.choices[0].message.content


def test_several_images(client, upstream):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    content = [image, {"type": "text", "text": "Compare."}, image]
    stream = client.chat.completions.create(
        model=upstream.model, messages=[{"role": "user", "content": content}], stream=True
    )
    assert "I see 2 images." in text_of(stream)


def test_a_document(client, upstream):
    data = "data:application/pdf;base64,JVBERi0xLjQKJUVPRgo="
    content = [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data}},
        {"type": "text", "text": "Sum up."},
    ]
    reply = client.chat.completions.create(
        model=upstream.model, messages=[{"role": "user", "content": content}]
    )
    assert "You said: Sum up." in reply.choices[0].message.content


def test_output_as_any_object(client):
    reply = client.chat.completions.create(
        model="gpt", messages=ask("Say it in JSON."), response_format={"type": "json_object"}
    )
    assert json.loads(reply.choices[0].message.content) == {"said": "Say it in JSON."}


def test_output_after_a_schema(client, upstream):
    reply = client.chat.completions.create(
        model=upstream.model,
        messages=ask(),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "person", "schema": PERSON, "strict": True},
        },
    )
    person = json.loads(reply.choices[0].message.content)
    assert set(person) == {"name", "age"}
    assert isinstance(person["age"], int)
    assert reply.choices[0].finish_reason == "stop"
    assert reply.choices[0].message.tool_calls is None


def test_output_that_is_parsed(client, upstream):
    reply = client.chat.completions.parse(
        model=upstream.model, messages=ask(), response_format=Solution
    )
    assert isinstance(reply.choices[0].message.parsed, Solution)
    assert reply.choices[0].message.parsed.difficulty == "easy"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_output_of_a_model_without_schemas(client, stream):
    """The gateway makes do with a tool; the client must not see it."""
    asked = {
        "model": "anthropic/claude-3-5-haiku-20241022",
        "messages": ask(),
        "response_format": Solution,
    }
    if stream:
        with client.chat.completions.stream(**asked) as events:
            reply = events.get_final_completion()
    else:
        reply = client.chat.completions.parse(**asked)
    choice = reply.choices[0]
    assert isinstance(choice.message.parsed, Solution)
    assert choice.finish_reason == "stop"
    assert not choice.message.tool_calls


async def test_output_that_is_parsed_async(async_client, upstream):
    reply = await async_client.chat.completions.parse(
        model=upstream.model, messages=ask(), response_format=Solution
    )
    assert isinstance(reply.choices[0].message.parsed, Solution)


def test_streamed_output_that_is_parsed(client, upstream):
    with client.chat.completions.stream(
        model=upstream.model, messages=ask(), response_format=Solution
    ) as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Solution)


def test_output_that_was_cut_short(client, upstream):
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(
            model=upstream("half-json"), messages=ask(), response_format=Solution
        )


def test_arguments_that_are_parsed(client, upstream):
    reply = client.chat.completions.parse(
        model=upstream("mock-tools"),
        messages=ask(),
        tools=[openai.pydantic_function_tool(Solution, name="solve")],
    )
    [call] = reply.choices[0].message.tool_calls
    assert call.function.name == "solve"
    assert isinstance(call.function.parsed_arguments, Solution)


def test_reasoning(client, upstream):
    reply = client.chat.completions.create(
        model=upstream.group("reasons"), messages=ask(), reasoning_effort="low"
    )
    message = reply.choices[0].message
    assert message.reasoning_content
    assert "You said: hello" in message.content
    assert reply.usage.completion_tokens_details.reasoning_tokens > 0


def test_streamed_reasoning(client, upstream):
    stream = client.chat.completions.create(
        model=upstream.group("reasons"), messages=ask(), reasoning_effort="low", stream=True
    )
    order, thoughts, text = [], "", ""
    for chunk in stream:
        delta = chunk.choices[0].delta
        if thought := getattr(delta, "reasoning_content", None):
            order.append("thought")
            thoughts += thought
        if delta.content:
            order.append("text")
            text += delta.content
    assert len(thoughts.split()) > 2
    assert "You said: hello" in text
    assert order == sorted(order, reverse=True), "the thoughts come first"
