"""A real S3 service on loopback (moto), and a proxy before it that counts, fails and delays requests."""

import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from moto.server import ThreadedMotoServer

from gpuprep.store.objects import path as objects


class Proxy(ThreadingHTTPServer):
    """Passes requests on. ``fail`` answers so many of them with 503; ``seen`` is (method, path, bytes)."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.port = port
        self.fail = 0
        self.seen: list[tuple[str, str, int]] = []
        self.hold_after: str = ""
        self.held = threading.Event()
        self.lock = threading.Lock()


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet, or a reply waits 40 ms for an acknowledgement
    server: Proxy
    disable_nagle_algorithm = True

    def relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            self.server.fail -= 1
            failing = self.server.fail >= 0
        if failing:
            return self.answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
        if self.server.hold_after and self.command == "PUT" and self.server.hold_after in self.path:
            self.server.held.set()
            threading.Event().wait(60)
        upstream = HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        upstream.request(self.command, self.path, body, dict(self.headers))
        reply = upstream.getresponse()
        content = reply.read()
        self.server.seen.append((self.command, self.path, len(content)))
        self.answer(reply.status, reply.getheaders(), content)
        return None

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            dropped = {"connection", "date", "server", "transfer-encoding"}
            if self.command != "HEAD":
                dropped.add("content-length")
            if name.lower() not in dropped:
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = relay

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def s3_behind_proxy() -> Iterator[Proxy]:
    """A running service with the empty bucket ``scans``, reached through the proxy."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    made = urllib.request.Request(f"http://127.0.0.1:{port}/scans", method="PUT")
    urllib.request.urlopen(made, timeout=30).close()
    proxy = Proxy(port)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        server.stop()
        objects._connect.cache_clear()  # a later service is at another port


def fresh_prefix(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty cohort there, this process and its children let in; the proxy as it began."""
    settings = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.server_address[1]}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    proxy.fail, proxy.hold_after = 0, ""
    proxy.seen.clear()
    return f"s3://scans/{uuid.uuid4().hex}"
