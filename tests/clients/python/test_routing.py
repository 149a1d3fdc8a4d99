"""Retries and fallbacks: the client gets its answer and need not know."""

import openai
import pytest

from test_chat import ask
from test_stream import text_of

# Where `gateway.yaml` falls back to.
SUBSTITUTES = {"openai": "claude", "azure": "gpt", "anthropic": "azure-gpt"}

THIRD = "The third time pays for all."


def test_retries(client, upstream):
    raw = client.chat.completions.with_raw_response.create(
        model=upstream("fails-twice"), messages=ask(), extra_body={"num_retries": 2}
    )
    assert raw.headers["x-litellm-attempted-retries"] == "2"
    assert raw.parse().choices[0].message.content == THIRD


def test_retries_of_a_stream(client, upstream):
    raw = client.chat.completions.with_raw_response.create(
        model=upstream("fails-twice"), messages=ask(), stream=True, extra_body={"num_retries": 2}
    )
    assert raw.headers["x-litellm-attempted-retries"] == "2"
    assert text_of(raw.parse()) == THIRD


async def test_retries_async(async_client, upstream):
    reply = await async_client.chat.completions.create(
        model=upstream("fails-twice"),
        messages=ask(),
        extra_headers={"x-litellm-num-retries": "2"},
    )
    assert reply.choices[0].message.content == THIRD


def test_the_sdks_own_retries(client, upstream):
    raw = client.with_options(max_retries=1).chat.completions.with_raw_response.create(
        model=upstream("busy-once"), messages=ask()
    )
    assert raw.retries_taken == 1
    assert raw.parse().choices[0].message.content == "Now there is time."


@pytest.mark.parametrize("kind", ["broken", "short", "hollow"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_fallbacks(client, upstream, kind, stream):
    raw = client.chat.completions.with_raw_response.create(
        model=upstream.group(kind), messages=ask(), stream=stream
    )
    assert raw.headers["x-litellm-attempted-fallbacks"] == "1"
    assert raw.headers["x-litellm-model-group"] == SUBSTITUTES[upstream.name]
    reply = raw.parse()
    text = text_of(reply) if stream else reply.choices[0].message.content
    assert "You said: hello" in text


async def test_fallbacks_async(async_client, upstream):
    reply = await async_client.chat.completions.create(
        model=upstream.group("broken"), messages=ask()
    )
    assert "You said: hello" in reply.choices[0].message.content


def test_fallbacks_of_the_request(client, upstream):
    substitute = SUBSTITUTES[upstream.name]
    raw = client.chat.completions.with_raw_response.create(
        model=upstream("mock-500"), messages=ask(), extra_body={"fallbacks": [substitute]}
    )
    assert raw.headers["x-litellm-model-group"] == substitute


def test_fallbacks_that_are_not_wanted(client, upstream):
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(
            model=upstream.group("broken"),
            messages=ask(),
            extra_body={"disable_fallbacks": True},
        )


def test_a_deployment_that_rests(connect, resting_gateway):
    client = connect(base_url=f"{resting_gateway.url}/v1")

    def deployment():
        raw = client.chat.completions.with_raw_response.create(
            model="pair", messages=ask(), extra_body={"num_retries": 1}
        )
        return raw.headers["x-litellm-model-id"], raw.headers["x-litellm-attempted-retries"]

    assert deployment() == ("pair-free", "1")
    # It asked for 7 seconds: nobody asks it again before.
    assert deployment() == ("pair-free", "0")


def test_every_deployment_rests(connect, resting_gateway, upstream):
    client = connect(base_url=f"{resting_gateway.url}/v1")

    def refusal():
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model=upstream.group("busy"), messages=ask())
        return caught.value

    assert refusal().response.headers["retry-after"] == "7"
    second = refusal()
    assert second.code == "all_deployments_in_cooldown"
    assert 0 < int(second.response.headers["retry-after-ms"]) <= 7000
