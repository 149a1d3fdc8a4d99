"""Fixtures: one gateway before three scripted providers, and the SDK's clients of it."""

from dataclasses import dataclass

import openai
import pytest

from processes import CLIENTS, MASTER_KEY, Gateway, Provider


@dataclass(frozen=True)
class Upstream:
    """One of the providers, by the models that the gateway has of it."""

    name: str
    model: str

    def __call__(self, behaviour):
        """A model of this provider; `mock-...` misbehaves by its name."""
        return f"{self.name}/{behaviour}"

    def group(self, kind):
        """A model group of `gateway.yaml`, such as `openai-broken`."""
        return f"{self.name}-{kind}"

    @property
    def is_anthropic(self):
        return self.name == "anthropic"


UPSTREAMS = [
    Upstream("openai", "openai/gpt-4o"),
    Upstream("azure", "azure/gpt-4o"),
    Upstream("anthropic", "anthropic/claude-sonnet-4-5"),
]


@pytest.fixture(params=UPSTREAMS, ids=lambda it: it.name)
def upstream(request):
    return request.param


@pytest.fixture(scope="session")
def providers():
    running = {it.name: Provider() for it in UPSTREAMS}
    yield running
    for provider in running.values():
        assert provider.stop() == 0


@pytest.fixture(scope="session")
def gateway(providers):
    running = Gateway(CLIENTS / "gateway.yaml", providers)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def variant(providers, tmp_path_factory):
    """Starts gateways whose configuration differs in one line."""
    started = []

    def variant(line, instead):
        text = (CLIENTS / "gateway.yaml").read_text()
        assert text.count(line) == 1
        config = tmp_path_factory.mktemp("variant") / "gateway.yaml"
        config.write_text(text.replace(line, instead))
        started.append(Gateway(config, providers))
        return started[-1]

    yield variant
    for gateway in started:
        assert gateway.stop() == 0


@pytest.fixture(scope="session")
def resting_gateway(variant):
    """Deployments that fail are left alone for a while."""
    return variant("disable_cooldowns: true", "disable_cooldowns: false")


@pytest.fixture(scope="session")
def pinging_gateway(variant):
    """Streams get a heartbeat when their provider is silent, and soon."""
    return variant("heartbeat: 15", "heartbeat: 50ms")


@pytest.fixture(scope="session")
def connect(gateway):
    """Makes clients: the SDK's own retries are off unless a test turns them on."""
    opened = []

    def connect(kind=openai.OpenAI, **options):
        defaults = {"api_key": MASTER_KEY, "max_retries": 0, "timeout": 30}
        if not issubclass(kind, openai.AzureOpenAI):
            defaults["base_url"] = f"{gateway.url}/v1"
        client = kind(**{**defaults, **options})
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture(scope="session")
def client(connect):
    return connect()


@pytest.fixture
async def async_client(gateway):
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key=MASTER_KEY, max_retries=0, timeout=30
    ) as client:
        yield client
