"""Streams whose run never came, is over, or waits for a person: what the hourly sweep does with them."""

import uuid
from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts_app.tenancy.context import Tenant, bound, operator_context
from gateway_app.models import LiveStream
from gateway_app.services.streams import StreamPublisher, stream_open
from tests.factories.workflows import acting, owner, started
from workflows_app.models import RunStatus, WorkflowRun
from workflows_app.tasks import tidy_streams

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def tenant(committed_db: None) -> Tenant:
    return owner()


def _stream(tenant: Tenant, *, age: timedelta = timedelta(hours=2)) -> uuid.UUID:
    """Open a stream of that age with one word on it."""
    with bound(tenant):
        stream_id = stream_open(kind="run", subject_id=uuid.uuid4())
        with transaction.atomic():
            LiveStream.objects.filter(pk=stream_id).update(created_at=timezone.now() - age)
        with StreamPublisher(stream_id) as publisher:
            publisher.delta("draft", "hello")
    return stream_id


def _row(tenant: Tenant, stream_id: uuid.UUID) -> LiveStream:
    with acting(tenant):
        return LiveStream.objects.get(pk=stream_id)


def _run(tenant: Tenant, stream_id: uuid.UUID, **fields: object) -> WorkflowRun:
    run = started(tenant, "nothing", stream_id=stream_id)
    with acting(tenant):
        WorkflowRun.objects.filter(pk=run.id).update(**fields)
        return WorkflowRun.objects.get(pk=run.id)


def test_a_stream_whose_run_never_came_is_closed_with_all_it_had(tenant: Tenant) -> None:
    stream_id = _stream(tenant)
    with operator_context("test"):
        assert tidy_streams() >= 1
    row = _row(tenant, stream_id)
    assert (row.status, row.outcome) == ("closed", {"status": "abandoned"})
    assert [event["type"] for event in row.events] == ["delta", "end"]


def test_a_young_stream_is_left_alone(tenant: Tenant) -> None:
    stream_id = _stream(tenant, age=timedelta(minutes=5))
    tidy_streams()
    assert _row(tenant, stream_id).status == "open"


@pytest.mark.odd_runs("ended by hand")
def test_a_stream_of_a_run_that_is_over_is_closed(tenant: Tenant) -> None:
    stream_id = _stream(tenant)
    now = timezone.now()
    run = _run(tenant, stream_id, status=RunStatus.CANCELLED, finished_at=now, announced_at=now)
    tidy_streams()
    assert _row(tenant, stream_id).outcome == {"run_id": str(run.pk), "status": "cancelled"}


@pytest.mark.odd_runs("paused by hand")
def test_a_run_that_waits_keeps_its_stream_and_loses_no_word_with_redis(tenant: Tenant) -> None:
    stream_id = _stream(tenant)
    _run(tenant, stream_id, status=RunStatus.PAUSED, is_ready=False)
    tidy_streams()
    redis.Redis.from_url(settings.REDIS_URL).delete(f"stream:{{{stream_id}}}")
    row = _row(tenant, stream_id)
    assert (row.status, row.last_seq) == ("open", 1)
    with bound(tenant), StreamPublisher(stream_id) as publisher:
        publisher.delta("draft", " world")
        publisher.close({})
    assert [event["data"].get("text", "") for event in _row(tenant, stream_id).events] == ["hello world", ""]
