"""A stand-in for S3 on a real socket: keeps objects in memory, and can be told to refuse."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ObjectStore:
    """What it holds, by path (``/bucket/key``). ``refuses``: answer everything with 503."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    refuses: bool = False


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Serve an empty one on the loopback."""
    store = ObjectStore()

    class Handler(_Handler):
        kept = store

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    kept: ObjectStore
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.kept.refuses:
            self.kept.objects[self.path] = body
            self.kept.headers[self.path] = dict(self.headers)
        self._answer(503 if self.kept.refuses else 200)

    def do_GET(self) -> None:
        body = self.kept.objects.get(self.path)
        if self.kept.refuses or body is None:
            self._answer(503 if self.kept.refuses else 404)
        else:
            self._answer(200, body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.kept.objects.pop(self.path, None)
        self._answer(204)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        encoding = self.kept.headers.get(self.path, {}).get("Content-Encoding", "")
        if body and encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
