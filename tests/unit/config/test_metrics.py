"""Figures: added up over processes, bounded, and never in the way of what they count."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from decimal import Decimal

import psutil
import pytest
from django.test import Client
from pytest_django import Settings

from billing_app.contracts import TokenBuckets
from config import metrics
from gateway_app.services import metrics as gateway
from tests.factories.accounts import person

FORBIDDEN = ("organization", "api_key", "user", "trace")


def figures() -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus would read it."""
    lines = metrics.metrics_text().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def figure(name: str, **labels: str) -> float:
    inner = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return figures().get(f"{name}{{{inner}}}" if inner else name, 0.0)


@pytest.fixture
def model() -> str:
    """A model's key that no other test counts."""
    return f"model-{uuid.uuid4().hex[:8]}"


@pytest.mark.django_db
def test_a_settled_call_is_counted_with_its_tokens_and_money(model: str) -> None:
    gateway.call_settled(
        model=model,
        ending="completed",
        tokens=TokenBuckets(input=3, cached_input=2, output=5),
        cost_usd=Decimal("0.5"),
        charged_usd=Decimal("0.25"),
        first_token_ms=120,
    )
    assert figure("deepspace_calls_total", model=model, ending="completed") == 1
    assert figure("deepspace_tokens_total", model=model, bucket="cached_input") == 2
    assert figure("deepspace_cost_usd_total", model=model) == 0.5
    assert figure("deepspace_charged_usd_total", model=model) == 0.25
    assert figure("deepspace_first_token_seconds_count", model=model) == 1


@pytest.mark.django_db
def test_figures_of_other_processes_are_added(model: str) -> None:
    code = (
        "from config import metrics\n"
        f"metrics.child(metrics.ATTEMPTS, {model!r}, 'failed').inc(2)\n"
        f"metrics.child(metrics.BREAKERS, {model!r}).set(1)\n"
    )
    gateway.attempt_counted(provider=model, outcome="failed")
    gateway.breaker_set(provider=model, is_open=True)
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
    assert figure("deepspace_provider_attempts_total", provider=model, outcome="failed") == 3
    assert figure("deepspace_breaker_open", provider=model) == 1, "the process that ended has no breaker any more"


def counting(model: str, times: int) -> None:
    """Count in a process that ends."""
    code = (
        "from config import metrics\n"
        f"metrics.child(metrics.ATTEMPTS, {model!r}, 'failed').inc({times})\n"
        f"metrics.child(metrics.FIRST_TOKEN_SECONDS, {model!r}).observe({times})\n"
        f"metrics.child(metrics.BREAKERS, {model!r}).set(1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


def owners() -> set[str]:
    """Whose files lie in the folder: process numbers, and "gone"."""
    return {file.stem.rpartition("_")[2] for file in metrics.METRICS_DIR.glob("*.db")}


@pytest.mark.django_db
@pytest.mark.parametrize("tidy", [metrics.metrics_text, metrics.metrics_tidy])
def test_ended_processes_leave_no_files_and_no_count_is_lost(model: str, tidy: Callable[[], object]) -> None:
    for times in (2, 3, 5):
        counting(model, times)
        tidy()
        assert owners() <= {"gone", *map(str, psutil.pids())}
    assert figure("deepspace_provider_attempts_total", provider=model, outcome="failed") == 10
    assert figure("deepspace_first_token_seconds_count", model=model) == 3
    assert figure("deepspace_first_token_seconds_sum", model=model) == 10
    assert figure("deepspace_first_token_seconds_bucket", model=model, le="2.5") == 1
    assert figure("deepspace_breaker_open", provider=model) == 0


@pytest.mark.django_db
def test_a_file_that_cannot_be_read_hides_no_other(model: str) -> None:
    counting(model, 2)
    dead = max(map(int, owners() - {"gone"} - set(map(str, psutil.pids()))))
    broken = metrics.METRICS_DIR / f"counter_{dead}9.db"
    broken.write_bytes(b"\xff" * 40)
    assert figure("deepspace_provider_attempts_total", provider=model, outcome="failed") == 2
    assert not broken.exists()


@pytest.mark.django_db
def test_live_streams_are_those_that_run_now() -> None:
    before = figure("deepspace_live_streams", kind="v1")
    with gateway.stream_live():
        assert figure("deepspace_live_streams", kind="v1") == before + 1
    assert figure("deepspace_live_streams", kind="v1") == before


@pytest.mark.django_db
def test_a_label_with_too_many_values_ends_in_other() -> None:
    for number in range(metrics.MOST_VALUES + 20):
        gateway.step_timed(f"step-{number}", 0.001)
    steps = [name for name in figures() if name.startswith("deepspace_step_seconds_count")]
    assert len(steps) <= metrics.MOST_VALUES + 1
    assert figure("deepspace_step_seconds_count", step=metrics.OTHER) >= 20


@pytest.mark.django_db
def test_no_label_names_a_tenant() -> None:
    names = {label for metric in vars(metrics).values() for label in getattr(metric, "_labelnames", ())}
    assert "model" in names
    assert not [name for name in names if any(word in name for word in FORBIDDEN)]


@pytest.mark.django_db
def test_open_holds_queues_and_workers_are_looked_up() -> None:
    found = figures()
    assert {"deepspace_holds_open", "deepspace_holds_open_usd", 'deepspace_queue_depth{queue="model"}'} <= found.keys()
    assert found['deepspace_scrape_failed{source="holds"}'] == 0


@pytest.mark.django_db
def test_a_source_that_fails_does_not_hide_the_others() -> None:
    def broken() -> list[metrics.Reading]:
        raise ConnectionError("nobody there")

    metrics.source_register("broken", broken)
    try:
        assert figure("deepspace_scrape_failed", source="broken") == 1
        assert "deepspace_holds_open" in figures()
    finally:
        del metrics._sources["broken"]


@pytest.mark.django_db
def test_requests_are_counted_by_route_never_by_path() -> None:
    owner = person()
    unknown = uuid.uuid4()
    owner.api().get(f"/api/keys/{unknown}/")
    route = "/api/keys/<uuid:key_id>/"
    assert figure("deepspace_http_requests_total", route=route, method="GET", status="404") >= 1
    assert str(unknown) not in metrics.metrics_text().decode()


@pytest.mark.django_db
class TestWhoMayRead:
    def test_loopback_may(self, client: Client) -> None:
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/plain; version=0.0.4")

    def test_other_machines_may_not(self, client: Client) -> None:
        assert client.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 403

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
    def test_what_a_proxy_on_this_machine_sends_on_is_not_loopback(self, client: Client, header: str) -> None:
        assert client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 403

    def test_a_token_lets_in_from_anywhere_and_is_then_needed(self, client: Client, settings: Settings) -> None:
        settings.METRICS_TOKEN = "s3cret"
        assert client.get("/metrics").status_code == 403
        assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 403
        asked = client.get("/metrics", headers={"Authorization": "Bearer s3cret"}, REMOTE_ADDR="203.0.113.9")
        assert asked.status_code == 200


def test_counting_costs_microseconds(model: str) -> None:
    tokens = TokenBuckets(input=1, output=1)

    def once() -> None:
        gateway.call_counted(endpoint="chat/completions", status=200, seconds=0.01)
        gateway.call_settled(
            model=model, ending="completed", tokens=tokens, cost_usd=Decimal(1), charged_usd=Decimal(1)
        )

    once()
    rounds = [(_cpu(lambda: len(str(tokens)), 200), _cpu(once, 200)) for _ in range(20)]
    plain, counted = (min(each) for each in zip(*rounds, strict=True))
    # Relative to building one short string, each at its quickest of rounds in turn, so that a busy machine does not
    # matter; a fsync, or a read of what was counted before, costs hundreds.
    assert counted < 60 * plain


def _cpu(work: Callable[[], object], times: int) -> float:
    began = time.thread_time()
    for _ in range(times):
        work()
    return time.thread_time() - began
