"""OpenAI's SDK in front of Amazon Bedrock, judged by Amazon's own model of its API."""

import json

import openai
import pytest

import bedrock
from bedrock import REQUEST_ID, ending, event, exception, texts, whole
from processes import CLIENTS, MASTER_KEY, Gateway

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
ADAPTIVE = "global.anthropic.claude-opus-4-8"
NOVA = "eu.amazon.nova-2-lite-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
MODELS = [CLAUDE, ADAPTIVE, NOVA, LLAMA]

PNG = "data:image/png;base64,iVBORw0KGgo="
HELLO = [{"role": "user", "content": "Hello?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "files.read",
        "description": "Reads a file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
    },
    "cache_control": {"type": "ephemeral"},
}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"yes": {"type": "boolean"}},
            "required": ["yes"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def upstream():
    running = bedrock.Bedrock()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def amazon_gateway(upstream):
    running = Gateway(CLIENTS / "bedrock.yaml", {"bedrock": upstream})
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def client(amazon_gateway):
    url = f"{amazon_gateway.url}/v1"
    with openai.OpenAI(base_url=url, api_key=MASTER_KEY, max_retries=0, timeout=30) as client:
        yield client


def ask(client, model=CLAUDE, messages=None, **options):
    model = model if model == "profile" else f"bedrock/{model}"
    return client.chat.completions.create(model=model, messages=messages or HELLO, **options)


def call(ident, name, arguments):
    function = {"name": name, "arguments": arguments}
    return {"id": ident, "type": "function", "function": function}


CONVERSATION = [
    {"role": "system", "content": [{"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    {"role": "assistant", "content": "Welcome."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PNG}},
            {"type": "file", "file": {"filename": "my_file.v2.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            {"type": "text", "text": ""},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}],
        "tool_calls": [call("call/1", "files.read", '{"path": "a"}'), call("b" * 80, "files.read", "")],
    },
    {"role": "tool", "tool_call_id": "call/1", "content": "one"},
    {"role": "tool", "tool_call_id": "b" * 80, "content": [{"type": "text", "text": "two"}, {"type": "image_url", "image_url": {"url": PNG}}]},
    {"role": "user", "content": "And?"},
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 2, "top_p": 0.9, "max_tokens": 5, "stop": ["a", "b"]},
        {"tools": [TOOL], "tool_choice": "auto"},
        {"tools": [TOOL], "tool_choice": "none"},
        {"response_format": SCHEMA},
        {"response_format": {"type": "json_object"}, "tools": [TOOL]},
        {"metadata": {"team": "a", "bad!": "x"}, "user": "u-1", "service_tier": "flex"},
        {"extra_body": {"guardrailConfig": {"guardrailIdentifier": "abc1", "guardrailVersion": "DRAFT"}, "top_k": 4}},
    ],
    ids=lambda it: "+".join(it) or "plain",
)
@pytest.mark.parametrize("messages", [HELLO, CONVERSATION], ids=["hello", "conversation"])
def test_amazons_own_model_takes_every_request(client, upstream, messages, options, model, stream):
    upstream.answers(texts("hi") if stream else whole({"text": "hi"}))
    answer = ask(client, model, messages, stream=stream, **options)
    if stream:
        assert "".join(it.choices[0].delta.content or "" for it in answer if it.choices) == "hi"
    else:
        assert answer.choices[0].message.content == "hi"
    asked = upstream.last
    assert asked.headers["authorization"] == "Bearer bedrock-key"
    assert (asked.model, asked.streams) == (model, stream)
    asked.judge()


@pytest.mark.parametrize("model", [CLAUDE, ADAPTIVE, NOVA])
@pytest.mark.parametrize("effort", ["minimal", "medium", "high"])
def test_amazons_own_model_takes_every_effort(client, upstream, model, effort):
    upstream.answers(whole({"text": "hi"}))
    ask(client, model, reasoning_effort=effort)
    upstream.last.judge()


def test_an_arn_stands_encoded_in_the_path(client, upstream):
    upstream.answers(whole({"text": "hi"}))
    ask(client, "profile")
    assert "%3Ainference-profile%2Fus.anthropic" in upstream.last.path
    assert upstream.last.model.startswith("arn:aws:bedrock:us-east-1:123456789012:")
    upstream.last.judge()


def test_a_loop_with_tools(client, upstream):
    use = {"toolUseId": "tooluse_1", "name": "_x-files-2Eread", "input": {"path": "a"}}
    upstream.answers(whole({"text": "Reading."}, {"toolUse": use}, stop="tool_use"))
    answer = ask(client, tools=[TOOL])
    choice = answer.choices[0]
    assert (answer.id, choice.finish_reason) == (f"chatcmpl-{REQUEST_ID}", "tool_calls")
    made = choice.message.tool_calls[0]
    assert (made.function.name, json.loads(made.function.arguments)) == ("files.read", {"path": "a"})
    upstream.answers(whole({"text": "done"}))
    results = [{"role": "tool", "tool_call_id": made.id, "content": "42"}]
    ask(client, messages=[*HELLO, choice.message, *results], tools=[TOOL])
    upstream.last.judge()
    result = upstream.last.body["messages"][2]["content"][0]["toolResult"]
    assert result == {"toolUseId": "tooluse_1", "content": [{"text": "42"}]}


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_stream_with_thinking_and_parallel_tools(client, upstream, piece):
    def start(index, name):
        tool = {"toolUse": {"toolUseId": f"tooluse_{index}", "name": name}}
        return event("contentBlockStart", contentBlockIndex=index, start=tool)

    def delta(index, **said):
        return event("contentBlockDelta", contentBlockIndex=index, delta=said)

    def stop(index):
        return event("contentBlockStop", contentBlockIndex=index)

    usage = {"inputTokens": 10, "outputTokens": 4, "totalTokens": 34, "cacheReadInputTokens": 20}
    frames = [
        event("messageStart", role="assistant"),
        *(delta(0, reasoningContent={"text": it}) for it in ("Let me ", "think.")),
        delta(0, reasoningContent={"signature": "c2ln"}),
        stop(0),
        delta(1, text="Grüße"),
        stop(1),
        start(2, "f"),
        delta(2, toolUse={"input": '{"a": '}),
        delta(2, toolUse={"input": "1}"}),
        stop(2),
        start(3, "g"),
        stop(3),
        *ending("tool_use", usage),
    ]
    assert len(bedrock.kinds(b"".join(frames))) == len(frames)
    upstream.answers(frames, piece)
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    deltas = [it.choices[0].delta for it in chunks if it.choices]
    assert "".join(it.content or "" for it in deltas) == "Grüße"
    thought = "".join(getattr(it, "reasoning_content", None) or "" for it in deltas)
    assert thought == "Let me think."
    calls = [call for it in deltas for call in it.tool_calls or []]
    assert [(it.index, it.id) for it in calls if it.id] == [(0, "tooluse_2"), (1, "tooluse_3")]
    arguments = ["".join(it.function.arguments for it in calls if it.index == n) for n in (0, 1)]
    assert arguments == ['{"a": 1}', "{}"]
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (30, 4)
    assert chunks[0].id == f"chatcmpl-{REQUEST_ID}"


@pytest.mark.parametrize(
    "status, kind, message, error",
    [
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", openai.RateLimitError),
        (400, "ValidationException", "Input is too long for requested model.", openai.BadRequestError),
        (400, "ValidationException", "The model is odd.", openai.BadRequestError),
        (404, "ResourceNotFoundException", "No such model.", openai.NotFoundError),
        (424, "ModelErrorException", "It broke.", openai.InternalServerError),
        (503, "ServiceUnavailableException", "Later.", openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_openais(client, upstream, status, kind, message, error, stream):
    upstream.fails(status, kind, message)
    with pytest.raises(openai.APIStatusError) as raised:
        ask(client, stream=stream)
    assert message in str(raised.value)
    assert isinstance(raised.value, error)
    if "too long" in message:
        assert raised.value.code == "context_length_exceeded"
    if status == 429:
        assert raised.value.code == "rate_limit_exceeded"


def test_an_exception_after_content_breaks_the_stream(client, upstream):
    frames = [*texts("one ", "two ")[:3], exception("throttlingException", "Slow down.")]
    upstream.answers(frames)
    said = []
    with pytest.raises(openai.APIError, match="Slow down"):
        for chunk in ask(client, stream=True):
            said.append(chunk.choices[0].delta.content or "")
    assert "".join(said) == "one two "


def test_an_exception_before_content_has_its_own_status(client, upstream):
    upstream.answers([event("messageStart", role="assistant"), exception("throttlingException", "Slow.")])
    with pytest.raises(openai.RateLimitError, match="Slow"):
        list(ask(client, stream=True))


def test_a_stream_that_is_cut_is_no_success(client, upstream):
    upstream.answers(texts("one ", "two ")[:2])
    with pytest.raises(openai.APIError):
        list(ask(client, stream=True))
    damaged = bytearray(b"".join(texts("one ", "two ")))
    damaged[-200] ^= 1
    upstream.answers([bytes(damaged)])
    with pytest.raises(openai.APIError):
        list(ask(client, stream=True))


def test_amazons_parser_reads_the_recorded_stream():
    golden = CLIENTS.parent / "golden" / "31-bedrock-conversestream" / "upstream_response.bin"
    kinds = bedrock.kinds(golden.read_bytes())
    assert (kinds[0], kinds[-2:]) == ("messageStart", ["messageStop", "metadata"])
