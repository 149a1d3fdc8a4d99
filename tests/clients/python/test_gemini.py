"""Google's own API behind the SDK: text, streams, and the loop with tools."""

import json

import openai
import pytest

from test_chat import ask
from test_tools import WEATHER, assembled

MODEL = "gemini/gemini-3.5-flash"


def test_an_answer_and_its_usage(client):
    reply = client.chat.completions.create(model=MODEL, messages=ask("hi"))
    assert "hi" in reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_stream(client):
    stream = client.chat.completions.create(
        model=MODEL, messages=ask("hi"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "hi" in text
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
def test_the_loop_with_tools(client, stream):
    messages = ask("the weather?")
    reply = client.chat.completions.create(
        model="gemini/talks-and-calls", messages=messages, tools=[WEATHER], stream=stream
    )
    if stream:
        calls, finish, text = assembled(reply)
    else:
        finish, text = reply.choices[0].finish_reason, reply.choices[0].message.content
        calls = [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in reply.choices[0].message.tool_calls
        ]
    assert (finish, text) == ("tool_calls", "Let me look.")
    assert [json.loads(call["arguments"])["city"] for call in calls] == ["Paris", "Zürich"]
    assert len({call["id"] for call in calls}) == 2
    # As most clients do: without what they do not know of.
    messages.append(
        {
            "role": "assistant",
            "content": text,
            "tool_calls": [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for call in calls
            ],
        }
    )
    for call in calls:
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": "21 degrees"})
    reply = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert reply.choices[0].finish_reason in ("stop", "tool_calls")


def test_errors_keep_their_class(client):
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="gemini/busy", messages=ask())
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        client.chat.completions.create(model=MODEL, messages=ask(), logit_bias={"5": 1})


def test_an_error_in_a_stream_is_one(client):
    stream = client.chat.completions.create(
        model="gemini/breaks-down", messages=ask(), stream=True
    )
    with pytest.raises(openai.APIError):
        list(stream)
