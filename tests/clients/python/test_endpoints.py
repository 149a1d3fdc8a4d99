"""The other endpoints, and the client class for Azure."""

import openai
import pytest

from processes import MASTER_KEY
from test_chat import ask
from test_stream import text_of

# Those that have the API.
OPENAI_LIKE = pytest.mark.parametrize("provider", ["openai", "azure"])


@OPENAI_LIKE
def test_embeddings(client, provider):
    # The SDK asks for base64 and decodes it by itself.
    reply = client.embeddings.create(
        model=f"{provider}/text-embedding-3-small", input=["first", "second"], dimensions=16
    )
    assert [entry.index for entry in reply.data] == [0, 1]
    assert all(len(entry.embedding) == 16 for entry in reply.data)
    assert isinstance(reply.data[0].embedding[0], float)
    assert reply.usage.prompt_tokens > 0


@OPENAI_LIKE
async def test_embeddings_async(async_client, provider):
    reply = await async_client.embeddings.create(
        model=f"{provider}/text-embedding-3-small", input="text", encoding_format="float"
    )
    assert len(reply.data) == 1
    assert isinstance(reply.data[0].embedding[0], float)


@OPENAI_LIKE
def test_text_completions(client, provider):
    reply = client.completions.create(
        model=f"{provider}/gpt-3.5-turbo-instruct", prompt="Once upon a time", max_tokens=100
    )
    assert reply.object == "text_completion"
    assert "You said: Once upon a time" in reply.choices[0].text
    assert reply.usage.completion_tokens > 0


@OPENAI_LIKE
def test_streamed_text_completions(client, provider):
    stream = client.completions.create(
        model=f"{provider}/gpt-3.5-turbo-instruct", prompt="Once", stream=True
    )
    chunks = list(stream)
    assert "You said: Once" in "".join(chunk.choices[0].text for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


@OPENAI_LIKE
def test_streamed_text_completions_with_usage(client, provider):
    *_, last = client.completions.create(
        model=f"{provider}/gpt-3.5-turbo-instruct",
        prompt="Once",
        stream=True,
        stream_options={"include_usage": True},
    )
    assert last.choices == []
    assert last.usage.completion_tokens > 0


def test_an_api_that_the_provider_does_not_have(client):
    with pytest.raises(openai.NotFoundError, match="anthropic"):
        client.embeddings.create(model="claude", input="text")


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_completion_by_a_model_that_chats(client, stream):
    reply = client.completions.create(model="claude", prompt="text", stream=stream)
    texts = [chunk.choices[0].text for chunk in (reply if stream else [reply]) if chunk.choices]
    assert "You said: text" in "".join(texts)


def test_the_models(client):
    models = {model.id: model for model in client.models.list()}
    assert {"gpt", "azure-gpt", "claude", "openai/*"} <= set(models)
    assert models["claude"].object == "model"
    assert models["claude"].created > 0
    assert models["claude"].owned_by


async def test_the_models_async(async_client):
    assert "gpt" in {model.id async for model in async_client.models.list()}


def test_one_model(client):
    assert client.models.retrieve("azure-gpt").id == "azure-gpt"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no-such-model")
    assert caught.value.code == "model_not_found"


def test_every_model_that_is_listed(client):
    for model in client.models.list():
        assert client.models.retrieve(model.id).id == model.id


@pytest.mark.parametrize("path", ["", "/v1/", "/openai/v1/"])
def test_base_urls(connect, gateway, path):
    client = connect(base_url=f"{gateway.url}{path}")
    reply = client.chat.completions.create(model="gpt", messages=ask())
    assert reply.choices[0].message.content


@pytest.fixture(scope="module")
def azure(connect, gateway):
    return connect(
        openai.AzureOpenAI,
        azure_endpoint=gateway.url,
        api_version="2024-10-21",
    )


@pytest.mark.parametrize("model", ["gpt", "azure-gpt", "claude", "openai/gpt-4o"])
def test_the_azure_client(azure, model):
    """It sends the key as `api-key` and the model in the path; any provider may serve it."""
    reply = azure.chat.completions.create(model=model, messages=ask())
    assert "You said: hello" in reply.choices[0].message.content


@pytest.mark.parametrize("model", ["gpt", "azure-gpt", "claude"])
def test_the_azure_client_streams(azure, model):
    chunks = list(azure.chat.completions.create(model=model, messages=ask(), stream=True))
    assert "You said: hello" in text_of(chunks)
    assert all(chunk.choices for chunk in chunks)


def test_the_azure_client_with_a_deployment(connect, gateway):
    client = connect(
        openai.AzureOpenAI,
        azure_endpoint=gateway.url,
        azure_deployment="claude",
        api_version="2024-10-21",
    )
    reply = client.chat.completions.create(model="whatever", messages=ask())
    assert "You said: hello" in reply.choices[0].message.content


async def test_the_async_azure_client(gateway):
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=gateway.url, api_version="2024-10-21", api_key=MASTER_KEY, max_retries=0
    ) as client:
        stream = await client.chat.completions.create(
            model="azure-gpt", messages=ask(), stream=True
        )
        assert "You said: hello" in text_of([chunk async for chunk in stream])


def test_the_azure_client_with_a_token(connect, gateway):
    client = connect(
        openai.AzureOpenAI,
        azure_endpoint=gateway.url,
        api_version="2024-10-21",
        api_key=None,
        azure_ad_token=MASTER_KEY,
    )
    assert client.chat.completions.create(model="gpt", messages=ask()).choices


@pytest.mark.parametrize("api", ["embeddings", "completions"])
def test_the_azure_clients_other_apis(azure, api):
    if api == "embeddings":
        reply = azure.embeddings.create(model="azure-gpt", input="text")
        assert reply.data[0].embedding
    else:
        reply = azure.completions.create(model="azure-gpt", prompt="text")
        assert reply.choices[0].text


def test_the_azure_client_with_a_wrong_key(connect, gateway):
    client = connect(
        openai.AzureOpenAI,
        azure_endpoint=gateway.url,
        api_version="2024-10-21",
        api_key="sk-wrong",
    )
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="gpt", messages=ask())


def test_the_azure_client_with_an_unknown_model(azure):
    with pytest.raises(openai.NotFoundError) as caught:
        azure.chat.completions.create(model="no-such-model", messages=ask())
    assert caught.value.code == "model_not_found"
