"""Spans leave over a real socket, under our own trace id, with nothing in them that is secret."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CANARY = "c4n4ry-prompt"

PROGRAM = f"""
import os
from django import setup
setup()
from django.test import Client
from config import tracing
with tracing.span("request", trace_id="{TRACE}", parent="00-{TRACE}-{PARENT}-01", attributes={{"n": 1}}):
    with tracing.span("step Limits"):
        header = tracing.traceparent()
        assert header.startswith("00-{TRACE}-"), header
    try:
        with tracing.span("provider scripted"):
            raise ValueError("{CANARY}")
    except ValueError:
        pass
with tracing.span("job sweep", trace_id="{"1" * 32}", parent="nonsense"):
    pass
answer = Client(SERVER_NAME="localhost").get("/no-such-page/", headers={{"traceparent": "00-{"2" * 32}-{PARENT}-01"}})
assert answer.status_code == 404
tracing.flush()
"""


class Collector:
    """An OpenTelemetry collector: OTLP over HTTP, as far as spans go."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.paths: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, body, self.headers.get("Content-Encoding", ""))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, body: bytes, encoding: str) -> None:
        assert not encoding
        self.paths.add(path)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def named(self, name: str) -> Span:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def collector(django_db_setup: None) -> Iterator[Collector]:
    """A collector that has received what `PROGRAM` did."""
    collector = Collector()
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "deepspace-test"}
    try:
        subprocess.run([sys.executable, "-c", PROGRAM], check=True, env=environment, timeout=120)
        yield collector
    finally:
        collector.stop()


def test_spans_bear_our_trace_id_and_hang_below_the_caller(collector: Collector) -> None:
    request, step = collector.named("request"), collector.named("step Limits")
    assert collector.paths == {"/v1/traces"}
    assert request.trace_id.hex() == step.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == PARENT
    assert step.parent_span_id == request.span_id
    assert {(each.key, each.value.int_value) for each in request.attributes} == {("n", 1)}


def test_a_job_without_a_known_sender_is_the_root_of_its_trace(collector: Collector) -> None:
    job = collector.named("job sweep")
    assert (job.trace_id.hex(), job.parent_span_id) == ("1" * 32, b"")


def test_a_failed_span_says_what_kind_of_error_and_not_its_words(collector: Collector) -> None:
    failed = collector.named("provider scripted")
    assert (failed.status.code, failed.status.message) == (2, "ValueError")
    assert not [span for span in collector.spans if CANARY.encode() in span.SerializeToString()]


def test_a_page_request_is_a_span_with_route_and_status(collector: Collector) -> None:
    span = collector.named("request GET")
    attributes = {each.key: each.value for each in span.attributes}
    assert span.trace_id.hex() == "2" * 32
    assert attributes["http.response.status_code"].int_value == 404
    assert attributes["url.path"].string_value == "/no-such-page/"


def test_without_a_collector_nothing_of_it_is_imported() -> None:
    code = (
        "import sys\nfrom config import tracing\n"
        "with tracing.span('x', trace_id='1' * 32) as span: assert span is None\n"
        "assert tracing.traceparent() == ''\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
