"""Images, sound, moderation, reranking, files and batches, as the official SDKs ask for them."""

import base64
import io

import cohere
import httpx
import openai
import pytest

from processes import MASTER_KEY

OPENAI_LIKE = pytest.mark.parametrize("provider", ["openai", "azure"])
SOUND = ("sound.wav", io.BytesIO(b"RIFF" + bytes(range(256)) * 100), "audio/wav")


@OPENAI_LIKE
def test_images(client, provider):
    reply = client.images.generate(model=f"{provider}/gpt-image-1", prompt="a cat", n=1)
    assert base64.b64decode(reply.data[0].b64_json) == b"image"
    assert reply.usage.output_tokens == 100


@OPENAI_LIKE
@pytest.mark.parametrize("count", [1, 2])
def test_images_from_images(client, gateway, provider, count):
    images = [("a.png", b"\x89PNG", "image/png")] * count
    reply = client.images.with_raw_response.edit(
        model=f"{provider}/gpt-image-1",
        prompt="more cats",
        image=images if count > 1 else images[0],
    )
    assert reply.parse().data[0].b64_json
    usage = gateway.access_log(reply.headers["x-request-id"])["usage"]
    assert (usage["images"], usage["output_tokens"]) == (1, 100)


@OPENAI_LIKE
def test_transcripts(client, gateway, provider):
    reply = client.audio.transcriptions.with_raw_response.create(
        model=f"{provider}/whisper-1", file=SOUND, timestamp_granularities=["word"]
    )
    assert reply.parse().text == "Hello."
    usage = gateway.access_log(reply.headers["x-request-id"])["usage"]
    assert usage["audio_seconds"] == 3.0


def test_subtitles(client):
    reply = client.audio.transcriptions.create(
        model="azure/subtitles", file=SOUND, response_format="vtt"
    )
    assert reply.startswith("WEBVTT")


def test_transcripts_as_events(client):
    events = client.audio.transcriptions.create(model="azure/events", file=SOUND, stream=True)
    kinds = [event.type for event in events]
    assert kinds == ["transcript.text.delta", "transcript.text.done"]


@pytest.mark.filterwarnings("ignore:deprecated")
async def test_translations_async(async_client):
    reply = await async_client.audio.translations.create(model="openai/whisper-1", file=SOUND)
    assert reply.text == "Hello."


@OPENAI_LIKE
def test_speech(client, provider):
    reply = client.audio.speech.create(
        model=f"{provider}/tts-1", voice="alloy", input="Hello", response_format="mp3"
    )
    assert reply.content == b"ID3 and then sound, a lot of it"
    assert reply.response.headers["content-type"] == "audio/mpeg"


def test_speech_that_is_read_as_it_comes(client):
    with client.audio.speech.with_streaming_response.create(
        model="openai/tts-1", voice="alloy", input="Hello"
    ) as reply:
        assert b"".join(reply.iter_bytes()) == b"ID3 and then sound, a lot of it"


def test_moderation(client):
    # Without a model, as the SDK's own documentation has it.
    reply = client.moderations.create(input="I will hurt you")
    assert reply.results[0].flagged
    assert reply.results[0].categories.violence


@pytest.mark.parametrize("input", [[1, 2, 3], [[1, 2], [3]], ["a"], "a"])
def test_embeddings_of_every_kind_of_input(client, input):
    reply = client.embeddings.create(model="openai/text-embedding-3-small", input=input)
    nested = isinstance(input, list) and not isinstance(input[0], int)
    assert len(reply.data) == (len(input) if nested else 1)


def test_files_and_batches(client):
    lines = b'{"custom_id":"1","body":{"model":"gpt"}}\n'
    file = client.files.create(
        file=("lines.jsonl", lines), purpose="batch", extra_body={"target_model_names": "gpt"}
    )
    assert file.id.startswith("file-") and file.id != "file-abc"
    assert client.files.retrieve(file.id).id == file.id
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert batch.input_file_id == file.id
    assert client.batches.retrieve(batch.id) == batch
    assert client.batches.cancel(batch.id).id == batch.id
    output = client.files.content(client.batches.retrieve(batch.id).output_file_id)
    assert output.text == '{"custom_id":"1"}\n'
    assert client.files.delete(file.id).deleted


def test_lists_of_what_is_kept(client):
    # Those of the first deployment of OpenAI.
    (file,) = client.files.list(limit=5)
    (batch,) = client.batches.list(limit=5)
    assert batch.input_file_id == file.id
    (again,) = client.batches.list(after=batch.id)
    assert again.id == batch.id


def test_an_upload_without_a_file(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.audio.transcriptions.create(model="no-such-model", file=SOUND)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("kind", [cohere.ClientV2, cohere.Client])
def test_reranking_with_coheres_sdk(gateway, kind):
    with httpx.Client() as connections:
        client = kind(api_key=MASTER_KEY, base_url=gateway.url, httpx_client=connections)
        reply = client.rerank(
            model="rerank", query="which one?", documents=["first", "second"], top_n=2
        )
    assert [(it.index, it.relevance_score) for it in reply.results] == [(1, 0.9), (0, 0.1)]
    assert reply.meta.billed_units.search_units == 1
