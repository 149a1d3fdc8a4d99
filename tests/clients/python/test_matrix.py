"""Every official SDK before every provider: the table of docs/support.md, with the SDKs as clients.

Each test asks for a whole reply and for a stream. What reached the provider is seen in what the
scripted one answers: it counts images, follows schemas, and says when a tool has answered. What
reached Bedrock is judged by Amazon's own model of its API.
"""

import json

import pytest

from processes import CLIENTS, Gateway, Provider
from recorder import Recorder
from speakers import FUNCTIONS, SPEAKERS

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


@pytest.fixture(scope="module")
def amazon():
    provider = Provider()
    recorder = Recorder(provider)
    yield provider, recorder
    recorder.stop()
    assert provider.stop() == 0


@pytest.fixture(scope="module")
def url(amazon):
    provider, recorder = amazon
    # Named as the configuration reads them.
    gateway = Gateway(CLIENTS / "matrix.yaml", {"bedrock": recorder}, MOCK=provider.address)
    yield gateway.url
    assert gateway.stop() == 0


@pytest.fixture(scope="module", params=SPEAKERS)
def speaker(request, url):
    speaker = SPEAKERS[request.param](url)
    yield speaker
    speaker.close()


@pytest.fixture(params=PROVIDERS)
def provider(request, amazon):
    recorder = amazon[1]
    before = len(recorder.requests)
    yield request.param
    asked = recorder.requests[before:]
    assert bool(asked) == (request.param == "bedrock")
    for it in asked:
        it.judge()


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request):
    return request.param


def test_text_and_image(speaker, provider, streamed):
    said = speaker.ask(f"{provider}-echo", streamed=streamed)
    assert said.text.endswith("You said: look")
    assert not said.thoughts and not said.calls
    assert said.usage[0] > 0 and said.usage[2] > 0
    said = speaker.ask(f"{provider}-echo", "image", streamed)
    assert said.text.endswith("You said: look I see 1 image.")


def test_parallel_tools_and_their_results(speaker, provider, streamed):
    said = speaker.ask(f"{provider}-tools", "tools", streamed)
    assert [name for name, _ in said.calls] == list(FUNCTIONS)
    for name, arguments in said.calls:
        assert arguments == {key: "text" for key in FUNCTIONS[name]["properties"]}
    history = speaker.results(said.turn)
    said = speaker.ask(f"{provider}-echo", "tools", streamed, history)
    assert "The tool said" in said.text


def test_thinking(speaker, provider, streamed):
    said = speaker.ask(f"{provider}-thinks", "thinking", streamed)
    assert (said.thoughts, said.text) == ("hm well", "hello")


def test_a_schema(speaker, provider, streamed):
    said = speaker.ask(f"{provider}-echo", "schema", streamed)
    assert json.loads(said.text) == {"city": "text", "days": 1}


def test_usage(speaker, provider, streamed):
    said = speaker.ask(f"{provider}-counts", streamed=streamed)
    # Ollama does not tell what was cached.
    assert said.usage == (1000, 0 if provider == "ollama" else 800, 50)


def test_an_error(speaker, provider, streamed):
    with pytest.raises(speaker.limited) as raised:
        speaker.ask(f"{provider}-busy", streamed=streamed)
    response = raised.value.response
    status = getattr(response, "status_code", None) or raised.value.code
    assert status == 429
    assert response.headers["retry-after"] == "7"


def test_an_error_in_the_stream(speaker, provider, streamed):
    heard = []
    with pytest.raises(speaker.failed):
        speaker.ask(f"{provider}-breaks", streamed=streamed, heard=heard)
    assert "".join(heard) == ("one two " if streamed else "")
