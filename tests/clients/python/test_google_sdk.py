"""Google's own SDK as a client: whatever provider stands behind the gateway."""

import base64
from itertools import groupby

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from processes import MASTER_KEY

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def connected(gateway):
    options = types.HttpOptions(base_url=gateway.url, timeout=30_000)
    return genai.Client(api_key=MASTER_KEY, http_options=options)


@pytest.fixture(scope="session")
def google(gateway):
    with connected(gateway) as client:
        yield client


def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: where
    """
    return f"sun in {city}"


def test_a_text(google, upstream):
    reply = google.models.generate_content(model=upstream.model, contents="Say it back.")
    assert "Say it back." in reply.text
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    usage = reply.usage_metadata
    assert usage.prompt_token_count > 0
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
    assert reply.model_version and reply.response_id


async def test_an_async_stream(gateway, upstream):
    text = ""
    async with connected(gateway).aio as google:
        stream = await google.models.generate_content_stream(
            model=upstream.model, contents="Hello?"
        )
        async for frame in stream:
            text += frame.text or ""
    assert "Hello?" in text


def test_a_function_is_called_by_the_sdk_itself(google, upstream):
    reply = google.models.generate_content(
        # It calls again and again; the SDK stops after so many rounds.
        model=upstream("mock-tools"),
        contents="How is the weather?",
        config=types.GenerateContentConfig(
            tools=[get_weather],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(
                maximum_remote_calls=3
            ),
        ),
    )
    parts = [part for turn in reply.automatic_function_calling_history for part in turn.parts]
    calls = [part.function_call for part in parts if part.function_call]
    results = [part.function_response for part in parts if part.function_response]
    assert len(results) >= 2
    assert [it.name for it in results] == ["get_weather"] * len(results)
    assert all(it.response["result"].startswith("sun in") for it in results)
    # The SDK leaves the ids of its results out; the gateway finds the calls by name and order.
    assert len({it.id for it in calls} - {None}) == len(calls)


def test_calls_in_parallel_are_told_apart(google, upstream):
    tool = types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name=name,
                parameters=types.Schema(
                    type=types.Type.OBJECT,
                    properties={"city": types.Schema(type=types.Type.STRING)},
                    required=["city"],
                ),
            )
            for name in ("get_weather", "get_time")
        ]
    )
    config = types.GenerateContentConfig(
        tools=[tool],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    ask = {"model": upstream("mock-tools-2"), "contents": "And the time?", "config": config}
    whole = google.models.generate_content(**ask).function_calls
    streamed = [
        call
        for frame in google.models.generate_content_stream(**ask)
        for call in frame.function_calls or []
    ]
    for calls in (whole, streamed):
        assert [call.name for call in calls] == ["get_weather", "get_time"]
        assert all(isinstance(call.args["city"], str) for call in calls)
        assert len({call.id for call in calls}) == 2


def test_a_chat_remembers(google, upstream):
    chat = google.chats.create(
        model=upstream.model,
        config=types.GenerateContentConfig(system_instruction="Be brief."),
    )
    assert "first" in chat.send_message("the first").text
    text = "".join(frame.text or "" for frame in chat.send_message_stream("the second"))
    assert "second" in text
    assert "third" in chat.send_message("the third").text
    # Curated: a turn that the SDK took for broken would be missing.
    # The pieces of a stream stay apart there.
    turns = [
        (role, "".join(part.text or "" for turn in pieces for part in turn.parts))
        for role, pieces in groupby(chat.get_history(curated=True), lambda turn: turn.role)
    ]
    assert [role for role, _ in turns] == ["user", "model"] * 3
    assert [said for role, said in turns if role == "user"] == [
        "the first",
        "the second",
        "the third",
    ]
    for (_, said), (_, answer) in zip(turns[::2], turns[1::2]):
        assert said in answer


def test_an_image_and_a_schema(google, upstream):
    class Seen(BaseModel):
        what: str
        tags: list[str]

    reply = google.models.generate_content(
        model=upstream.model,
        contents=[types.Part.from_bytes(data=PNG, mime_type="image/png"), "What is it?"],
        config=types.GenerateContentConfig(
            response_mime_type="application/json", response_schema=Seen
        ),
    )
    assert isinstance(reply.parsed, Seen)


def test_tokens_are_counted(google, upstream):
    short = google.models.count_tokens(model=upstream.model, contents="Hi.").total_tokens
    long = google.models.count_tokens(model=upstream.model, contents="Hi. " * 100).total_tokens
    assert 0 < short < long


def test_models_are_listed(google):
    names = [model.name for model in google.models.list(config={"page_size": 2})]
    assert {"models/gpt", "models/claude"} <= set(names)
    assert google.models.get(model="gpt").name == "models/gpt"


def test_errors(google, upstream):
    with pytest.raises(errors.ClientError) as refused:
        google.models.generate_content(model=upstream("busy"), contents="Hi.")
    assert (refused.value.code, refused.value.status) == (429, "RESOURCE_EXHAUSTED")
    with pytest.raises(errors.ClientError) as unknown:
        google.models.generate_content(model="nobody", contents="Hi.")
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
    stream = google.models.generate_content_stream(model=upstream("mock-cut-2"), contents="Hi there.")
    with pytest.raises(errors.APIError):
        list(stream)


@pytest.mark.parametrize("provider", ["openai", "azure", "gemini"])
def test_embeddings(google, provider):
    model = f"{provider}/{'gemini-embedding-001' if provider == 'gemini' else 'text-embedding-3-small'}"
    reply = google.models.embed_content(
        model=model,
        contents=["first", "second"],
        config=types.EmbedContentConfig(output_dimensionality=16),
    )
    assert [len(it.values) for it in reply.embeddings] == [16, 16]
    one = google.models.embed_content(model=model, contents="only one")
    assert len(one.embeddings) == 1 and isinstance(one.embeddings[0].values[0], float)


async def test_async_embeddings(gateway):
    async with connected(gateway).aio as google:
        reply = await google.models.embed_content(
            model="openai/text-embedding-3-small", contents="text"
        )
    assert len(reply.embeddings) == 1


def test_a_hint_for_google_alone_is_refused_elsewhere(google):
    config = types.EmbedContentConfig(task_type="RETRIEVAL_QUERY")
    taken = google.models.embed_content(
        model="gemini/gemini-embedding-001", contents="text", config=config
    )
    assert len(taken.embeddings) == 1
    with pytest.raises(errors.ClientError) as refused:
        google.models.embed_content(
            model="openai/text-embedding-3-small", contents="text", config=config
        )
    assert refused.value.code == 400
    assert "taskType" in refused.value.message
