"""Anthropic's SDK, before each provider: the gateway speaks Messages whatever is behind it."""

import json

import anthropic
import pytest

from processes import MASTER_KEY


@pytest.fixture(scope="module")
def messages(gateway):
    with anthropic.Anthropic(
        base_url=gateway.url, api_key=MASTER_KEY, max_retries=0, timeout=30
    ) as client:
        yield client


def ask(**more):
    return {"max_tokens": 100, "messages": [{"role": "user", "content": "hello"}], **more}


def test_a_message(messages, upstream):
    message = messages.messages.create(model=upstream("m"), **ask(system="Be terse."))
    assert message.type == "message" and message.id.startswith("msg_")
    assert "hello" in message.content[0].text
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0
    assert message._request_id


def test_the_cache_stands_beside_the_input(messages, upstream):
    usage = messages.messages.create(model=upstream("cached"), **ask()).usage
    assert usage.cache_read_input_tokens == 800
    assert usage.input_tokens + usage.cache_creation_input_tokens == 200
    with messages.messages.stream(model=upstream("cached"), **ask()) as stream:
        usage = stream.get_final_message().usage
    assert (usage.cache_read_input_tokens, usage.output_tokens) == (800, 50)


def test_a_stream_is_accumulated(messages, upstream):
    with messages.messages.stream(model=upstream("unicode"), **ask()) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == "Grüße aus 東京 🗼"
    assert message.content[0].text == text
    assert message.stop_reason == "end_turn"


@pytest.mark.parametrize(
    "model, error",
    [
        ("mock-429", anthropic.RateLimitError),
        ("mock-500", anthropic.InternalServerError),
        ("mock-context", anthropic.BadRequestError),
    ],
)
def test_errors_have_their_classes(messages, upstream, model, error):
    with pytest.raises(error) as raised:
        messages.messages.create(model=upstream(model), **ask())
    body = raised.value.response.json()
    assert body["type"] == "error" and body["error"]["message"]
    if model == "mock-context":
        assert body["error"]["message"].startswith("prompt is too long: ")


def test_an_error_in_a_stream_is_raised(messages, upstream):
    with pytest.raises(anthropic.APIError):
        with messages.messages.stream(model=upstream("mock-cut-2"), **ask()) as stream:
            stream.until_done()


def test_tokens_are_counted(messages, upstream):
    counted = messages.messages.count_tokens(
        model=upstream("gpt-4o"), messages=[{"role": "user", "content": "hello"}]
    )
    assert counted.input_tokens > 0


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_both_headers_and_both_versions(gateway, upstream, header, version):
    value = MASTER_KEY if header == "x-api-key" else f"Bearer {MASTER_KEY}"
    other = "authorization" if header == "x-api-key" else "x-api-key"
    with anthropic.Anthropic(
        base_url=gateway.url,
        api_key="placeholder",
        max_retries=0,
        default_headers={header: value, other: anthropic.Omit(), "anthropic-version": version},
    ) as client:
        assert client.messages.create(model=upstream("m"), **ask()).content[0].text


async def test_the_async_client_streams(gateway, upstream):
    async with anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=MASTER_KEY, max_retries=0
    ) as client:
        async with client.messages.stream(model=upstream("unicode"), **ask()) as stream:
            events = [event.type async for event in stream]
    assert events[0] == "message_start" and events[-1] == "message_stop"
    assert json.dumps(events).count("message_start") == 1
