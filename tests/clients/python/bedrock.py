"""A scripted Amazon Bedrock, and Amazon's own model of its API as the judge of what it is sent."""

import base64
import binascii
import json
import re
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from botocore.eventstream import EventStream
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import EventStreamJSONParser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

SERVICE = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))
REQUEST_ID = "0a1b2c3d-0000-4000-8000-00000000000f"


def frame(payload, **headers):
    """One message of the event stream; an underscore in a name stands for a hyphen."""
    written = b""
    for name, value in headers.items():
        name, value = f":{name.replace('_', '-')}".encode(), value.encode()
        written += bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
    body = json.dumps(payload).encode()
    message = struct.pack(">II", 16 + len(written) + len(body), len(written))
    message += struct.pack(">I", binascii.crc32(message)) + written + body
    return message + struct.pack(">I", binascii.crc32(message))


def event(kind, **payload):
    return frame(payload, event_type=kind, content_type="application/json", message_type="event")


def exception(kind, message):
    return frame({"message": message}, exception_type=kind, message_type="exception")


def texts(*pieces, stop="end_turn", usage=None):
    """The frames of a streamed text."""
    deltas = [event("contentBlockDelta", contentBlockIndex=0, delta={"text": it}) for it in pieces]
    return [
        event("messageStart", role="assistant"),
        *deltas,
        event("contentBlockStop", contentBlockIndex=0),
        *ending(stop, usage),
    ]


def ending(stop="end_turn", usage=None):
    usage = usage or {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
    return [
        event("messageStop", stopReason=stop),
        event("metadata", usage=usage, metrics={"latencyMs": 1}),
    ]


def whole(*content, stop="end_turn", usage=None):
    """A reply in one piece."""
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": stop,
        "usage": usage or {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10},
        "metrics": {"latencyMs": 1},
    }


def kinds(stream):
    """The kinds of the events that Amazon's SDK reads in a stream."""

    class Raw:
        def stream(self):
            yield stream

        def close(self):
            pass

    operation = SERVICE.operation_model("ConverseStream")
    shape = operation.get_event_stream_output()
    events = EventStream(Raw(), shape, EventStreamJSONParser(), operation.name)
    return [kind for event in events for kind in event if kind in shape.members]


class Asked:
    """A request that reached the scripted Bedrock."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, json.loads(body)
        _, _, model, self.action = path.split("/")
        self.model = unquote(model)

    @property
    def streams(self):
        return self.action == "converse-stream"

    def judge(self):
        """Amazon's model of the API takes the request, and its SDK would have sent the same."""
        operation = SERVICE.operation_model("ConverseStream" if self.streams else "Converse")
        params = {**read(self.body, operation.input_shape), "modelId": self.model}
        report = ParamValidator().validate(params, operation.input_shape)
        assert not report.has_errors(), report.generate_report()
        check(params, operation.input_shape, "request")
        serialized = create_serializer("rest-json").serialize_to_request(params, operation)
        assert serialized["url_path"] == self.path
        assert json.loads(serialized["body"]) == self.body


def read(value, shape):
    """JSON as the parameters of the SDK: bytes are bytes."""
    if shape.type_name == "structure" and not shape.is_document_type:
        return {
            name: read(it, shape.members[name]) if name in shape.members else it
            for name, it in value.items()
        }
    if shape.type_name == "list":
        return [read(it, shape.member) for it in value]
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    return value


def check(value, shape, place):
    """What the SDK leaves to the server: unions, enumerations, patterns and lengths."""
    if getattr(shape, "is_document_type", False):
        return
    if shape.type_name == "structure":
        assert not shape.is_tagged_union or len(value) == 1, f"{place} says {list(value)}"
        for name, it in value.items():
            check(it, shape.members[name], f"{place}.{name}")
    elif shape.type_name == "list":
        bounds(len(value), shape, place)
        for at, it in enumerate(value):
            check(it, shape.member, f"{place}[{at}]")
    elif shape.type_name == "map":
        bounds(len(value), shape, place)
        for name, it in value.items():
            check(name, shape.key, place)
            check(it, shape.value, f"{place}.{name}")
    elif shape.type_name == "string":
        bounds(len(value), shape, place)
        pattern = shape.metadata.get("pattern")
        assert not pattern or re.fullmatch(pattern, value), f"{place}: {value!r} is not {pattern}"
        assert not shape.enum or value in shape.enum, f"{place}: {value!r} is none of {shape.enum}"
    elif shape.type_name in ("integer", "long", "float", "double"):
        bounds(value, shape, place)


def bounds(size, shape, place):
    least, most = shape.metadata.get("min", size), shape.metadata.get("max", size)
    assert least <= size <= most, f"{place}: {size} is not in {least}..{most}"


class Bedrock(ThreadingHTTPServer):
    """Answers every request with `reply`: a whole reply, frames, or an error."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests = []
        self.reply = whole({"text": "hi"})
        self.piece = 1 << 20
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def answers(self, reply, piece=1 << 20):
        """`piece`: in how many bytes a stream is written at a time."""
        self.reply, self.piece = reply, piece

    def fails(self, status, kind, message):
        self.answers((status, kind, message))

    @property
    def last(self):
        return self.requests[-1]

    def stop(self):
        self.shutdown()
        self.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = Asked(self.path, dict(self.headers), body)
        self.server.requests.append(asked)
        reply = self.server.reply
        headers = {"x-amzn-requestid": REQUEST_ID, "content-type": "application/json"}
        if isinstance(reply, tuple):
            status, kind, message = reply
            headers["x-amzn-errortype"] = f"{kind}:http://internal.amazon.com/coral/"
            self.send(status, headers, json.dumps({"message": message}).encode())
        elif asked.streams:
            headers["content-type"] = "application/vnd.amazon.eventstream"
            self.send(200, headers, b"".join(reply))
        else:
            self.send(200, headers, json.dumps(reply).encode())

    def send(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        for at in range(0, len(body), self.server.piece):
            self.wfile.write(body[at : at + self.server.piece])
            self.wfile.flush()
