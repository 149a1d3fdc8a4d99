"""Traces, as OpenTelemetry's own messages read them."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from processes import CLIENTS, MASTER_KEY, PATIENCE_S, Gateway

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    """Takes what comes by OTLP over HTTP, and answers as a collector does."""

    def __init__(self):
        self._spans = []
        self._changed = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/v1/traces"
                assert self.headers["content-type"] == "application/x-protobuf"
                collector.take(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request):
        with self._changed:
            for resource in request.resource_spans:
                named = {it.key: it.value.string_value for it in resource.resource.attributes}
                assert named["service.name"] == "tollgate-under-test"
                for scope in resource.scope_spans:
                    assert scope.scope.name == "tollgate"
                    # No field that the standard does not know.
                    assert all(not UnknownFieldSet(span) for span in scope.spans)
                    self._spans.extend(scope.spans)
            self._changed.notify_all()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._spans) >= count, PATIENCE_S)
            return list(self._spans)


def attributes(span):
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in span.attributes}


@pytest.fixture
def traced(providers, tmp_path):
    collector = Collector()
    config = tmp_path / "gateway.yaml"
    text = (CLIENTS / "gateway.yaml").read_text()
    config.write_text(text.replace("litellm_settings:", "litellm_settings:\n  callbacks: [otel]", 1))
    assert "callbacks: [otel]" in config.read_text()
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_SERVICE_NAME": "tollgate-under-test",
        "OTEL_BSP_SCHEDULE_DELAY": "10",
    }
    gateway = Gateway(config, providers, **variables)
    yield gateway, collector
    assert gateway.stop() == 0
    collector.stop()


def test_spans_are_read_by_opentelemetry(traced):
    import openai

    gateway, collector = traced
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=MASTER_KEY) as client:
        reply = client.chat.completions.create(
            model="gpt",
            messages=[{"role": "user", "content": "hi"}],
            temperature=0.5,
            extra_headers={"traceparent": PARENT, "tracestate": "vendor=1"},
        )
    server, attempt = collector.wait_for(2)
    assert server.kind == Span.SPAN_KIND_SERVER
    assert attempt.kind == Span.SPAN_KIND_CLIENT
    assert server.trace_id.hex() == attempt.trace_id.hex() == PARENT.split("-")[1]
    assert server.parent_span_id.hex() == PARENT.split("-")[2]
    assert attempt.parent_span_id == server.span_id
    assert server.trace_state == "vendor=1"
    assert server.start_time_unix_nano <= attempt.start_time_unix_nano
    assert attempt.end_time_unix_nano <= server.end_time_unix_nano
    assert server.flags & 1 == 1
    assert server.status.code == Status.STATUS_CODE_UNSET
    of = attributes(server)
    assert of["gen_ai.operation.name"] == "chat"
    assert of["gen_ai.request.model"] == "gpt"
    assert of["gen_ai.request.temperature"] == 0.5
    assert of["gen_ai.usage.input_tokens"] == reply.usage.prompt_tokens
    assert of["gen_ai.usage.output_tokens"] == reply.usage.completion_tokens
    assert of["http.response.status_code"] == 200
    of = attributes(attempt)
    assert of["gen_ai.provider.name"] == "openai"
    assert of["tollgate.deployment.id"] == "gpt-1"
    assert of["gen_ai.usage.output_tokens"] == reply.usage.completion_tokens
