"""Between the gateway and the scripted Bedrock: keeps each request for Amazon's own model to judge."""

import http.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import threading
from urllib.parse import urlsplit

from bedrock import Asked


class Recorder(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, provider):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.provider = urlsplit(provider.address)
        self.requests = []
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

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
        self.server.requests.append(Asked(self.path, dict(self.headers), body))
        provider = http.client.HTTPConnection(self.server.provider.netloc, timeout=30)
        provider.request("POST", self.path, body, dict(self.headers))
        reply = provider.getresponse()
        body = reply.read()
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        provider.close()
