"""Google's own API behind the SDK: text, streams, and the loop with tools."""

import json

import openai
import pytest

from test_chat import ask
from test_tools import WEATHER, assembled

MODEL = "gemini/gemini-3.5-flash"


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
