"""Chat completions as a whole reply."""

import asyncio

import openai
import pytest

from processes import MASTER_KEY


def ask(text="hello"):
    return [{"role": "user", "content": text}]


def test_an_answer(client, upstream):
    reply = client.chat.completions.create(model=upstream.model, messages=ask("a word"))

    assert reply.object == "chat.completion"
    assert reply.id
    assert reply.created > 0
    choice = reply.choices[0]
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert choice.message.role == "assistant"
    assert "You said: a word" in choice.message.content
    assert choice.message.tool_calls is None
    usage = reply.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_answers_at_the_same_time(async_client, upstream):
    texts = [f"number {number}" for number in range(20)]
    asked = (
        async_client.chat.completions.create(model=upstream.model, messages=ask(text))
        for text in texts
    )
    replies = await asyncio.gather(*asked)
    for text, reply in zip(texts, replies, strict=True):
        assert f"You said: {text}" in reply.choices[0].message.content


def test_a_whole_conversation(client, upstream):
    reply = client.chat.completions.create(
        model=upstream.model,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "answer"},
            {"role": "user", "content": [{"type": "text", "text": "second"}]},
        ],
        temperature=0.5,
        top_p=1,
        stop=["END"],
        max_completion_tokens=200,
        user="user-1",
    )
    assert "You said: second" in reply.choices[0].message.content


def test_two_ways_of_sampling_at_once(client, upstream):
    def reply():
        return client.chat.completions.create(
            model=upstream.model, messages=ask(), temperature=0.5, top_p=0.9
        )

    if upstream.is_anthropic:
        with pytest.raises(openai.BadRequestError) as refused:
            reply()
        assert refused.value.param == "top_p"
    else:
        assert reply().choices[0].message.content


def test_the_limit_of_tokens(client, upstream):
    reply = client.chat.completions.create(model=upstream.model, messages=ask(), max_tokens=3)
    assert reply.choices[0].finish_reason == "length"


def test_a_refusal(client, upstream):
    reply = client.chat.completions.create(model=upstream("mock-refusal"), messages=ask())
    choice = reply.choices[0]
    if upstream.is_anthropic:
        assert choice.finish_reason == "content_filter"
    else:
        assert choice.message.refusal == "I cannot help with that."


def test_an_answer_that_a_filter_stopped(client, upstream):
    reply = client.chat.completions.create(model=upstream("mock-filtered"), messages=ask())
    assert reply.choices[0].finish_reason == "content_filter"


def test_letters_of_several_bytes(client, upstream):
    reply = client.chat.completions.create(model=upstream("unicode"), messages=ask("wo? 東京"))
    assert reply.choices[0].message.content == "Grüße aus 東京 🗼"


def test_tokens_out_of_a_cache(client, upstream):
    usage = client.chat.completions.create(model=upstream("cached"), messages=ask()).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1000, 50, 1050)
    assert usage.prompt_tokens_details.cached_tokens == 800
    assert usage.prompt_tokens_details.cache_write_tokens == 100


@pytest.mark.parametrize("model", ["gpt", "azure-gpt"])
def test_several_choices(client, model):
    reply = client.chat.completions.create(model=model, messages=ask(), n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]


def test_a_large_prompt(client, upstream):
    text = "lorem ipsum " * 100_000
    reply = client.chat.completions.create(model=upstream.model, messages=ask(text))
    assert reply.usage.prompt_tokens > len(text) / 8


@pytest.mark.parametrize(
    ("model", "deployment"), [("gpt", "gpt-1"), ("azure-gpt", "azure-1"), ("claude", "claude-1")]
)
def test_headers_tell_what_happened(gateway, client, model, deployment):
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=ask(), extra_headers={"x-request-id": f"headers-{model}"}
    )
    headers = raw.headers
    assert headers["x-litellm-call-id"] == f"headers-{model}"
    assert headers["x-litellm-model-id"] == deployment
    assert headers["x-litellm-model-group"] == model
    assert headers["x-litellm-attempted-retries"] == "0"
    assert headers["x-litellm-attempted-fallbacks"] == "0"
    assert float(headers["x-litellm-response-cost"]) > 0
    assert float(headers["x-litellm-overhead-duration-ms"]) >= 0
    reply = raw.parse()
    assert reply._request_id == f"headers-{model}"

    line = gateway.access_log(f"headers-{model}")
    assert (line["status"], line["deployment"], line["key"]) == (200, deployment, "master")
    assert line["usage"]["output_tokens"] == reply.usage.completion_tokens
    assert line["cost_usd"] == float(headers["x-litellm-response-cost"])


def test_fields_that_the_sdk_does_not_know(client, upstream):
    reply = client.chat.completions.create(
        model=upstream.model,
        messages=ask(),
        extra_body={"tags": ["a"], "metadata": {"trace": "1"}, "num_retries": 1},
        extra_headers={"x-own": "1"},
    )
    assert reply.choices[0].message.content


@pytest.mark.parametrize("header", ["x-api-key", "api-key"])
def test_the_key_in_other_headers(client, header):
    headers = {"Authorization": openai.Omit(), header: MASTER_KEY}
    reply = client.chat.completions.create(model="gpt", messages=ask(), extra_headers=headers)
    assert reply.choices[0].message.content
