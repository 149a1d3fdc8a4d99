"""Errors: each is the exception that the SDK has for it, whatever provider is behind."""

import asyncio
import socket

import httpx
import openai
import pytest

from test_chat import ask

# A client waits for an answer only so long; to connect and to ask may take a busy machine longer.
IMPATIENT = httpx.Timeout(30, read=0.2)

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def refused(client, model, stream=False, **options):
    """Asks, and returns the exception; a stream must not even begin."""
    with pytest.raises(openai.OpenAIError) as caught:
        client.chat.completions.create(model=model, messages=ask(), stream=stream, **options)
    return caught.value


# The gateway's own.


@STREAM
def test_a_wrong_key(connect, stream):
    error = refused(connect(api_key="sk-wrong"), "gpt", stream)
    assert isinstance(error, openai.AuthenticationError)
    assert error.code == "invalid_api_key"
    assert error.type == "token_not_found_in_db"


def test_no_key(client):
    error = refused(client, "gpt", extra_headers={"Authorization": openai.Omit()})
    assert isinstance(error, openai.AuthenticationError)
    assert error.code == "missing_api_key"


def test_a_wrong_key_for_the_models(connect):
    with pytest.raises(openai.AuthenticationError):
        connect(api_key="sk-wrong").models.list()


@STREAM
def test_an_unknown_model(client, stream):
    error = refused(client, "no-such-model", stream)
    assert isinstance(error, openai.NotFoundError)
    assert (error.code, error.param) == ("model_not_found", "model")
    assert "no-such-model" in error.message
    assert error.request_id


async def test_an_unknown_model_async(async_client):
    with pytest.raises(openai.NotFoundError) as caught:
        await async_client.chat.completions.create(model="no-such-model", messages=ask())
    assert caught.value.code == "model_not_found"


def test_an_unknown_path(client):
    with pytest.raises(openai.NotFoundError):
        client.post("/no-such-path", cast_to=object, body={})


def test_a_wrong_method(client):
    with pytest.raises(openai.APIStatusError) as caught:
        client.get("/chat/completions", cast_to=object)
    assert caught.value.status_code == 405


def test_a_field_of_the_wrong_type(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt", messages="hello")
    assert (caught.value.param, caught.value.code) == ("messages", "invalid_type")


def test_a_body_that_is_too_large(client):
    """The refusal comes while the client is still sending; it is understood all the same."""
    text = "x" * (65 * 1024 * 1024)
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="gpt", messages=ask(text))
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")


# The providers'.


@STREAM
def test_a_prompt_that_is_too_long(client, upstream, stream):
    error = refused(client, upstream("mock-context"), stream)
    assert isinstance(error, openai.BadRequestError)
    assert error.code == "context_length_exceeded"
    assert "tokens" in error.message


@STREAM
def test_a_prompt_against_the_policy(client, upstream, stream):
    error = refused(client, upstream("mock-policy"), stream)
    assert isinstance(error, openai.BadRequestError)
    assert error.code == {
        "openai": "content_policy_violation",
        "azure": "content_filter",
        "anthropic": "content_policy_violation",
    }[upstream.name]


@STREAM
def test_too_many_requests(client, upstream, stream):
    error = refused(client, upstream("busy"), stream)
    assert isinstance(error, openai.RateLimitError)
    assert error.response.headers["retry-after"] == "7"
    assert error.response.headers["retry-after-ms"] == "7000"


async def test_too_many_requests_async(async_client, upstream):
    with pytest.raises(openai.RateLimitError) as caught:
        await async_client.chat.completions.create(model=upstream("busy-ms"), messages=ask())
    # Whole seconds are rounded up: nobody comes back too early.
    assert caught.value.response.headers["retry-after"] == "2"
    assert caught.value.response.headers["retry-after-ms"] == "1500"


def test_a_quota_that_is_used_up(client, upstream):
    error = refused(client, upstream("mock-quota"))
    if upstream.is_anthropic:
        assert isinstance(error, openai.APIStatusError)
        assert error.status_code == 402
    else:
        assert isinstance(error, openai.RateLimitError)
        assert error.code == "insufficient_quota"


@STREAM
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (408, openai.APIStatusError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (502, openai.InternalServerError),
        (503, openai.InternalServerError),
        (504, openai.InternalServerError),
    ],
)
def test_a_status(client, upstream, status, kind, stream):
    error = refused(client, upstream(f"mock-{status}"), stream)
    assert type(error) is kind
    assert error.status_code == status
    assert error.message
    assert error.type
    assert error.code
    assert error.request_id == error.response.headers["x-litellm-call-id"]
    assert error.response.headers["x-litellm-attempted-retries"] == "0"


@STREAM
def test_an_overloaded_provider(client, upstream, stream):
    error = refused(client, upstream("mock-overloaded"), stream)
    assert isinstance(error, openai.InternalServerError)
    assert error.status_code == 503
    assert "retry-after" in error.response.headers


@STREAM
def test_the_gateways_key_is_refused(client, upstream, stream):
    error = refused(client, upstream.group("locked"), stream)
    assert isinstance(error, openai.AuthenticationError)
    # Not to be mistaken for the client's own key.
    assert error.code == "upstream_authentication_error"
    assert "sk-expired" not in str(error.body)


@STREAM
def test_an_error_in_a_200(client, upstream, stream):
    error = refused(client, upstream("mock-error-frame"), stream)
    assert isinstance(error, openai.InternalServerError)


@STREAM
@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("mock-reset", "upstream_connection_error"),
        ("mock-close", "upstream_connection_error"),
        ("mock-garbage", "upstream_connection_error"),
        ("mock-garbage-json", "upstream_error"),
        ("mock-cut-0", "upstream_connection_error"),
    ],
)
def test_no_answer_worth_the_name(client, upstream, behaviour, code, stream):
    error = refused(client, upstream(behaviour), stream)
    assert isinstance(error, openai.InternalServerError)
    assert (error.status_code, error.code) == (502, code)


@STREAM
def test_a_provider_that_does_not_answer(client, upstream, stream):
    error = refused(client, upstream.group("impatient"), stream)
    assert isinstance(error, openai.InternalServerError)
    assert error.status_code == 504
    assert error.type == "timeout_error"


def test_what_a_provider_has_no_word_for(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="claude", messages=ask(), n=2)
    assert caught.value.param == "n"


# On the way.


@STREAM
def test_the_clients_own_patience(gateway, client, upstream, stream):
    request_id = f"patience-{upstream.name}-{stream}"
    impatient = client.with_options(timeout=IMPATIENT)
    error = refused(
        impatient,
        upstream("mock-half-open"),
        stream,
        extra_headers={"x-request-id": request_id},
    )
    assert isinstance(error, openai.APITimeoutError)
    line = gateway.access_log(request_id)
    assert line["client_disconnected"]


async def test_the_async_clients_own_patience(gateway, async_client, upstream):
    request_id = f"async-patience-{upstream.name}"
    with pytest.raises(openai.APITimeoutError):
        await async_client.with_options(timeout=IMPATIENT).chat.completions.create(
            model=upstream("mock-half-open"),
            messages=ask(),
            extra_headers={"x-request-id": request_id},
        )
    line = await asyncio.to_thread(gateway.access_log, request_id)
    assert line["client_disconnected"]


def test_no_gateway(connect):
    with socket.socket() as reserved:
        # Bound but not listening: connections are refused.
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        error = refused(connect(base_url=f"http://127.0.0.1:{port}/v1"), "gpt")
    assert isinstance(error, openai.APIConnectionError)


def test_errors_leave_the_connection_usable(client, upstream):
    for behaviour in ["mock-400", "mock-429", "mock-500", "mock-reset", "mock-garbage"]:
        refused(client, upstream(behaviour))
        reply = client.chat.completions.create(model=upstream.model, messages=ask())
        assert reply.choices[0].finish_reason == "stop"
