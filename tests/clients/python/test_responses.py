"""The Responses API, as the SDK's users call it, before providers that have none."""

import openai
import pytest
from pydantic import BaseModel


class Answer(BaseModel):
    city: str
    days: int


def test_an_answer(client, upstream):
    response = client.responses.create(
        model=upstream.model, input="Say it.", instructions="Echo.", metadata={"a": "b"}
    )
    assert response.status == "completed"
    assert "Say it." in response.output_text
    assert response.id.startswith("resp_")
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert (response.instructions, response.metadata) == ("Echo.", {"a": "b"})


def test_a_stream_and_what_the_sdk_makes_of_it(client, upstream):
    with client.responses.stream(model=upstream.model, input="Say it.") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text and text == final.output_text
    assert final.usage.output_tokens > 0


def test_an_answer_by_a_schema(client, upstream):
    response = client.responses.parse(
        model=upstream.model, input="Where, and how long?", text_format=Answer
    )
    assert isinstance(response.output_parsed, Answer)


def test_what_was_cut_off(client, upstream):
    response = client.responses.create(
        model=upstream("half-json"), input="x", text={"format": {"type": "json_object"}}
    )
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_not_supported"),
        ({"background": True}, "background_not_supported"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs"]}]}, "unsupported_tool"),
    ],
)
def test_what_needs_the_providers_own_api(client, upstream, options, code):
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=upstream.model, input="x", **options)
    assert refused.value.code == code


def test_errors(client, upstream):
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model=upstream.group("busy"), input="x")
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.retrieve("resp_1")
    assert missing.value.code == "response_not_found"


def test_a_stream_that_breaks_down(client, upstream):
    events = list(client.responses.create(model=upstream("breaks-down"), input="x", stream=True))
    types = [event.type for event in events]
    assert types[-1] == "response.failed" and "error" not in types
    assert events[-1].response.status == "failed"
