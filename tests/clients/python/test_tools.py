"""Tools: calls, calls in parallel, and the loop with their results."""

import json

import pytest

from test_chat import ask

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}
TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "The time of a city.",
        "parameters": {
            "type": "object",
            "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}},
            "required": ["zone"],
        },
    },
}


def check_weather(arguments):
    assert isinstance(arguments["city"], str)
    assert isinstance(arguments["days"], int)


def assembled(stream):
    """The calls of a stream, put together as the SDK's users do it."""
    calls, finish, text = {}, None, ""
    for chunk in stream:
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            text += choice.delta.content or ""
            for delta in choice.delta.tool_calls or []:
                call = calls.setdefault(delta.index, {"id": None, "name": "", "arguments": ""})
                call["id"] = call["id"] or delta.id
                call["name"] += delta.function.name or ""
                call["arguments"] += delta.function.arguments or ""
    return [calls[index] for index in sorted(calls)], finish, text


def test_a_call(client, upstream):
    reply = client.chat.completions.create(
        model=upstream("mock-tools"), messages=ask(), tools=[WEATHER, TIME]
    )
    choice = reply.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert not choice.message.content
    [call] = choice.message.tool_calls
    assert call.type == "function"
    assert call.id
    assert call.function.name == "get_weather"
    check_weather(json.loads(call.function.arguments))


def test_calls_in_parallel(client, upstream):
    reply = client.chat.completions.create(
        model=upstream("mock-tools-2"), messages=ask(), tools=[WEATHER, TIME]
    )
    weather, time = reply.choices[0].message.tool_calls
    assert (weather.function.name, time.function.name) == ("get_weather", "get_time")
    assert weather.id != time.id
    check_weather(json.loads(weather.function.arguments))
    assert json.loads(time.function.arguments) == {"zone": "UTC"}


def test_a_streamed_call(client, upstream):
    stream = client.chat.completions.create(
        model=upstream("mock-tools"), messages=ask(), tools=[WEATHER], stream=True
    )
    [call], finish, _ = assembled(stream)
    assert finish == "tool_calls"
    assert call["id"]
    assert call["name"] == "get_weather"
    check_weather(json.loads(call["arguments"]))


def test_streamed_calls_in_parallel_after_a_text(client, upstream):
    stream = client.chat.completions.create(
        model=upstream("talks-and-calls"), messages=ask(), tools=[WEATHER], stream=True
    )
    [paris, zurich], finish, text = assembled(stream)
    assert text == "Let me look."
    assert finish == "tool_calls"
    assert (paris["id"], zurich["id"]) == ("call_1", "call_2")
    assert json.loads(paris["arguments"]) == {"city": "Paris"}
    assert json.loads(zurich["arguments"]) == {"city": "Zürich"}


async def test_streamed_calls_async(async_client, upstream):
    stream = await async_client.chat.completions.create(
        model=upstream("mock-tools-2"), messages=ask(), tools=[WEATHER, TIME], stream=True
    )
    calls, finish, _ = assembled([chunk async for chunk in stream])
    assert [call["name"] for call in calls] == ["get_weather", "get_time"]
    assert finish == "tool_calls"


def test_the_sdks_own_helper(client, upstream):
    strict = {**WEATHER["function"], "strict": True}
    strict["parameters"] = {**strict["parameters"], "additionalProperties": False}
    with client.chat.completions.stream(
        model=upstream("mock-tools"),
        messages=ask(),
        tools=[{"type": "function", "function": strict}],
    ) as stream:
        done = [it for it in stream if it.type == "tool_calls.function.arguments.done"]
    [event] = done
    assert event.name == "get_weather"
    check_weather(event.parsed_arguments)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("required", "get_weather"),
        ({"type": "function", "function": {"name": "get_time"}}, "get_time"),
    ],
    ids=["required", "named"],
)
def test_a_call_that_is_forced(client, upstream, choice, name):
    reply = client.chat.completions.create(
        model=upstream.model,
        messages=ask(),
        tools=[WEATHER, TIME],
        tool_choice=choice,
        parallel_tool_calls=False,
    )
    assert [call.function.name for call in reply.choices[0].message.tool_calls] == [name]


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_tools_that_are_not_called(client, upstream, choice):
    reply = client.chat.completions.create(
        model=upstream.model, messages=ask(), tools=[WEATHER], tool_choice=choice
    )
    assert reply.choices[0].finish_reason == "stop"
    assert reply.choices[0].message.tool_calls is None


def test_the_loop(client, upstream):
    """Calls go back as they came, with their results; the model has the last word."""
    messages = ask("What is the weather?")
    first = client.chat.completions.create(
        model=upstream("mock-tools-2"), messages=messages, tools=[WEATHER, TIME]
    ).choices[0].message
    messages.append(first.to_dict())
    for call in first.tool_calls:
        result = f"result of {call.function.name}"
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

    reply = client.chat.completions.create(
        model=upstream.model, messages=messages, tools=[WEATHER, TIME]
    )
    assert reply.choices[0].finish_reason == "stop"
    assert "The tool said: result of get_" in reply.choices[0].message.content


def test_a_loop_that_moves_between_providers(client, upstream):
    """Another provider goes on with the calls: their ids are not of its making."""
    others = {
        "openai": "anthropic/claude-sonnet-4-5",
        "azure": "anthropic/claude-sonnet-4-5",
        "anthropic": "azure/gpt-4o",
    }
    messages = ask()
    first = client.chat.completions.create(
        model=upstream("mock-tools"), messages=messages, tools=[WEATHER]
    ).choices[0].message
    messages.append(first)
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "21 degrees"}
    messages.append(result)
    reply = client.chat.completions.create(
        model=others[upstream.name], messages=messages, tools=[WEATHER]
    )
    assert "The tool said: 21 degrees" in reply.choices[0].message.content
