"""Chat completions as a stream."""

import asyncio

import openai
import pytest

from test_chat import ask


def text_of(chunks):
    return "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices
    )


def test_a_stream(client, upstream):
    with client.chat.completions.create(
        model=upstream("word-by-word"), messages=ask(), stream=True
    ) as stream:
        chunks = list(stream)

    assert text_of(chunks) == "one two three four"
    # Code written for OpenAI's chunks takes the first choice of each without looking.
    assert all(len(chunk.choices) == 1 for chunk in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert len({chunk.created for chunk in chunks}) == 1
    assert chunks[0].id
    assert chunks[0].created > 0
    assert all(chunk.usage is None for chunk in chunks)
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks[:-1])


def test_usage_at_the_end(client, upstream):
    stream = client.chat.completions.create(
        model=upstream("cached"),
        messages=ask(),
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = stream
    assert text_of(chunks) == "Out of the cache."
    assert all(chunk.usage is None for chunk in chunks)
    assert last.choices == []
    usage = last.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1000, 50, 1050)
    assert usage.prompt_tokens_details.cached_tokens == 800


def test_usage_is_known_though_the_client_did_not_ask(gateway, client, upstream):
    request_id = f"quiet-usage-{upstream.name}"
    stream = client.chat.completions.create(
        model=upstream("cached"),
        messages=ask(),
        stream=True,
        extra_headers={"x-request-id": request_id},
    )
    assert all(chunk.usage is None for chunk in stream)

    usage = gateway.access_log(request_id)["usage"]
    assert usage["output_tokens"] == 50
    assert usage["cache_read_tokens"] == 800


async def test_streams_at_the_same_time(async_client, upstream):
    async def one(number):
        stream = await async_client.chat.completions.create(
            model=upstream.model, messages=ask(f"number {number}"), stream=True
        )
        return text_of([chunk async for chunk in stream])

    texts = await asyncio.gather(*(one(number) for number in range(20)))
    for number, text in enumerate(texts):
        assert f"You said: number {number}" in text


def test_letters_that_are_cut_on_the_way(client, upstream):
    stream = client.chat.completions.create(
        model=upstream("unicode"), messages=ask(), stream=True
    )
    assert text_of(stream) == "Grüße aus 東京 🗼"


def test_a_long_stream(client, upstream):
    stream = client.chat.completions.create(
        model=upstream("mock-words-2000"), messages=ask(), stream=True
    )
    assert len(text_of(stream).split()) == 2_000


def test_the_limit_of_tokens(client, upstream):
    stream = client.chat.completions.create(
        model=upstream.model, messages=ask(), stream=True, max_tokens=2
    )
    assert list(stream)[-1].choices[0].finish_reason == "length"


def test_the_sdks_own_helper(client, upstream):
    with client.chat.completions.stream(
        model=upstream("cached"), messages=ask(), stream_options={"include_usage": True}
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == "Out of the cache."
    assert final.choices[0].message.content == "Out of the cache."
    assert final.choices[0].finish_reason == "stop"
    assert final.usage.total_tokens == 1050


def test_the_head_of_a_stream(client, upstream):
    raw = client.chat.completions.with_raw_response.create(
        model=upstream.model, messages=ask(), stream=True
    )
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert raw.headers["x-litellm-model-group"] == f"{upstream.name}/*"
    assert "You said: hello" in text_of(raw.parse())


def test_the_lines_of_a_stream(client, upstream):
    with client.chat.completions.with_streaming_response.create(
        model=upstream.model, messages=ask(), stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    # Other SDKs than this one stumble over `event:` lines in this dialect.
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


@pytest.mark.parametrize("model", ["gpt", "azure-gpt"])
def test_several_choices(client, model):
    texts = {}
    stream = client.chat.completions.create(model=model, messages=ask(), n=2, stream=True)
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    assert texts[0] == texts[1]
    assert "You said: hello" in texts[0]


def test_a_client_that_has_read_enough(gateway, client, upstream):
    """The provider stalls after the first words: only an upstream that is let go of ends this."""
    request_id = f"enough-{upstream.name}"
    with client.chat.completions.create(
        model=upstream("mock-stall-2"),
        messages=ask(),
        stream=True,
        extra_headers={"x-request-id": request_id},
    ) as stream:
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break

    line = gateway.access_log(request_id)
    assert line["client_disconnected"]
    # The provider's count did not come.
    assert line["usage"]["estimated"]
    # The connections of the others are not disturbed.
    reply = client.chat.completions.create(model=upstream.model, messages=ask())
    assert reply.choices[0].finish_reason == "stop"


async def test_an_async_client_that_has_read_enough(gateway, async_client, upstream):
    request_id = f"async-enough-{upstream.name}"
    stream = await async_client.chat.completions.create(
        model=upstream("mock-stall-2"),
        messages=ask(),
        stream=True,
        extra_headers={"x-request-id": request_id},
    )
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()

    line = await asyncio.to_thread(gateway.access_log, request_id)
    assert line["client_disconnected"]


async def test_a_task_that_is_cancelled(gateway, async_client, upstream):
    request_id = f"cancelled-{upstream.name}"
    speaking = asyncio.Event()

    async def listen():
        stream = await async_client.chat.completions.create(
            model=upstream("mock-stall-1"),
            messages=ask(),
            stream=True,
            extra_headers={"x-request-id": request_id},
        )
        async for _ in stream:
            speaking.set()

    task = asyncio.create_task(listen())
    await speaking.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    line = await asyncio.to_thread(gateway.access_log, request_id)
    assert line["client_disconnected"]


@pytest.mark.parametrize("behaviour", ["mock-cut-2", "mock-reset-cut-2"])
def test_a_stream_that_is_cut(client, upstream, behaviour):
    stream = client.chat.completions.create(
        model=upstream(behaviour), messages=ask(), stream=True
    )
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            chunks.append(chunk)
    assert text_of(chunks) == "Hello from "
    # The error is one of the gateway's own words, not a broken connection.
    assert not isinstance(caught.value, openai.APIConnectionError)
    assert caught.value.code == "upstream_connection_error"
    assert caught.value.type == "upstream_error"


def test_no_fallback_in_the_middle(client, upstream):
    """Nothing of another answer may follow words that are out."""
    stream = client.chat.completions.create(
        model=upstream("mock-cut-2"),
        messages=ask(),
        stream=True,
        extra_body={"fallbacks": ["claude"], "num_retries": 3},
    )
    chunks = []
    with pytest.raises(openai.APIError):
        for chunk in stream:
            chunks.append(chunk)
    assert text_of(chunks) == "Hello from "


def test_an_error_in_the_middle(client, upstream):
    stream = client.chat.completions.create(
        model=upstream("breaks-down"), messages=ask(), stream=True
    )
    chunks = []
    with pytest.raises(openai.APIError, match="The model broke down"):
        for chunk in stream:
            chunks.append(chunk)
    assert text_of(chunks) == "one two "
    reply = client.chat.completions.create(model=upstream.model, messages=ask())
    assert reply.choices[0].finish_reason == "stop"


async def test_an_async_stream_that_is_cut(async_client, upstream):
    stream = await async_client.chat.completions.create(
        model=upstream("mock-cut-2"), messages=ask(), stream=True
    )
    with pytest.raises(openai.APIError) as caught:
        async for _ in stream:
            pass
    assert caught.value.code == "upstream_connection_error"


@pytest.fixture(scope="module")
def pinged(connect, pinging_gateway):
    return connect(base_url=f"{pinging_gateway.url}/v1")


def test_heartbeats(pinged, upstream):
    with pinged.chat.completions.with_streaming_response.create(
        model=upstream("mock-ttft-200"), messages=ask(), stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[0] == ": ping"
    assert lines[-1] == "data: [DONE]"


def test_heartbeats_mean_nothing_to_the_sdk(pinged, upstream):
    chunks = list(
        pinged.chat.completions.create(
            model=upstream("mock-ttft-200"), messages=ask(), stream=True
        )
    )
    assert "You said: hello" in text_of(chunks)
    assert len({chunk.id for chunk in chunks}) == 1


def test_an_error_after_heartbeats(pinged, upstream):
    """The head is out: the error can only be a frame."""
    stream = pinged.chat.completions.create(
        model=upstream("fails-late"), messages=ask(), stream=True
    )
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert not isinstance(caught.value, openai.APIConnectionError)
    assert caught.value.message


def test_a_fallback_after_heartbeats(pinged, upstream):
    stream = pinged.chat.completions.create(
        model=upstream("fails-late"),
        messages=ask(),
        stream=True,
        extra_body={"fallbacks": ["claude"]},
    )
    assert "You said: hello" in text_of(stream)
