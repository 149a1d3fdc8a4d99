"""The first releases of today's SDKs, before every provider: what they know of the APIs still works."""

import base64
import json

import anthropic
import openai
import pytest

from processes import CLIENTS, MASTER_KEY, Gateway, Provider

PROVIDERS = [
    "openai",
    "responses",
    "azure",
    "anthropic",
    "gemini",
    "vertex",
    "vertex-claude",
    "bedrock",
    "cohere",
    "ollama",
    "house",
]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
@pytest.fixture(scope="module")
def url():
    provider = Provider()
    gateway = Gateway(CLIENTS / "matrix.yaml", {"bedrock": provider}, MOCK=provider.address)
    yield gateway.url
    assert gateway.stop() == 0
    assert provider.stop() == 0


@pytest.fixture(params=PROVIDERS)
def provider(request):
    return request.param


@pytest.fixture(scope="module")
def chat(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key=MASTER_KEY, max_retries=0) as client:
        yield client.chat.completions


@pytest.fixture(scope="module")
def messages(url):
    with anthropic.Anthropic(base_url=url, api_key=MASTER_KEY, max_retries=0) as client:
        # Its key stands in a header of its own, and the version is the first one.
        headers = {name.lower(): value for name, value in client.default_headers.items()}
        assert (headers["x-api-key"], headers["anthropic-version"]) == (MASTER_KEY, "2023-06-01")
        yield client.messages


def tool(name):
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def ask(model, content="look", **more):
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def test_chat(chat, provider):
    reply = chat.create(**ask(f"{provider}-echo"))
    assert reply.choices[0].message.content.endswith("You said: look")
    assert (reply.choices[0].finish_reason, reply.usage.prompt_tokens > 0) == ("stop", True)
    text = ""
    for chunk in chat.create(**ask(f"{provider}-echo", stream=True)):
        text += chunk.choices[0].delta.content or ""
    assert text.endswith("You said: look")


def test_tools_of_chat(chat, provider):
    request = ask(f"{provider}-tools", tools=[tool("weather"), tool("more")])
    message = chat.create(**request).choices[0].message
    assert [it.function.name for it in message.tool_calls] == ["weather", "more"]
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "text"}
    results = [
        {"role": "tool", "tool_call_id": it.id, "name": it.function.name, "content": "mild"}
        for it in message.tool_calls
    ]
    turn = message.model_dump(exclude_none=True)
    request = {**request, "model": f"{provider}-echo"}
    reply = chat.create(**{**request, "messages": [*request["messages"], turn, *results]})
    assert "The tool said" in reply.choices[0].message.content


def test_errors_of_chat(chat, provider):
    with pytest.raises(openai.RateLimitError) as raised:
        chat.create(**ask(f"{provider}-busy"))
    assert raised.value.response.json()["error"]["code"] == "rate_limit_exceeded"
    assert raised.value.response.headers["retry-after"] == "7"
    said = ""
    with pytest.raises(openai.APIError):
        for chunk in chat.create(**ask(f"{provider}-breaks", stream=True)):
            said += chunk.choices[0].delta.content or ""
    assert said == "one two "


def test_messages(messages, provider):
    reply = messages.create(**ask(f"{provider}-echo", max_tokens=100))
    assert reply.content[0].text.endswith("You said: look")
    assert (reply.stop_reason, reply.usage.input_tokens > 0) == ("end_turn", True)
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    content = [{"type": "text", "text": "look"}, {"type": "image", "source": source}]
    with messages.stream(**ask(f"{provider}-echo", content, max_tokens=100)) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text.endswith("You said: look I see 1 image.")
    assert final.content[0].text == text


def test_errors_of_messages(messages, provider):
    with pytest.raises(anthropic.RateLimitError) as raised:
        messages.create(**ask(f"{provider}-busy", max_tokens=100))
    assert raised.value.response.headers["retry-after"] == "7"
    said = []
    with pytest.raises(anthropic.APIError):
        with messages.stream(**ask(f"{provider}-breaks", max_tokens=100)) as stream:
            for piece in stream.text_stream:
                said.append(piece)
    assert "".join(said) == "one two "
