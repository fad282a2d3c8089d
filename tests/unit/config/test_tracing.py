"""Spans leave over a real socket, under our own trace id, with nothing in them that is secret."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.collector import Collector

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
