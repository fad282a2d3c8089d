"""Jobs in a real worker: for whom they work, and under which trace."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts_app.exceptions import TenantRequired
from accounts_app.models import ApiKey, AuditLog
from accounts_app.services.jobs import tenant_task
from accounts_app.services.trace import bind_trace, current_trace_id
from accounts_app.tenancy.context import current_tenant, operator_atomic, tenant_or_nobody
from tests.factories.accounts import Person, person
from tests.support import sample_jobs
from tests.support.processes import Process, wait_until

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture(scope="module")
def worker(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A worker of its own for the jobs of `sample_jobs`."""
    log = tmp_path_factory.mktemp("worker") / "log"
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-I", sample_jobs.__name__]
    command += ["-Q", sample_jobs.QUEUE, "-n", f"sample-{uuid4().hex[:8]}@test", "-P", "threads", "-c", "2"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
    process = Process("worker", command, os.environ, log)
    process.wait_until(lambda: " ready." in log.read_text(errors="replace"), timeout=60)
    yield process
    process.stop()


@pytest.fixture
def owner(worker: Process) -> Person:
    return person()


def entry_of(trace_id: str, action: str) -> AuditLog:
    """Wait for the audit row that a job left."""

    def find() -> AuditLog | None:
        with operator_atomic("test"):
            return AuditLog.objects.filter(trace_id=trace_id, action=action).first()

    found = wait_until(find)
    assert found
    return found


def lines(log: Path, message: str, **fields: object) -> list[dict[str, Any]]:
    """Return the worker's log lines that say ``message``."""
    # The worker may be in the middle of writing the last line.
    text = log.read_text(errors="replace").splitlines(keepends=True)
    parsed = [json.loads(line) for line in text if line.startswith("{") and line.endswith("}\n")]
    return [line for line in parsed if line["message"] == message and fields.items() <= line.items()]


def ids(of: Person) -> dict[str, str]:
    return {"organization_id": str(of.organization_id), "user_id": str(of.id)}


def test_a_job_works_for_its_tenant_under_the_senders_trace(worker: Process, owner: Person) -> None:
    owner.key()
    with bind_trace() as trace_id:
        sample_jobs.note.delay(**ids(owner), word="hello")
    entry = entry_of(trace_id, "sample.note")
    assert (entry.organization_id, entry.user_id) == (owner.organization_id, owner.id)
    assert entry.data == {"word": "hello", "keys": 1}
    for message in ("sample.noted", "task.finished"):
        (line,) = wait_until(lambda message=message: lines(worker.log, message, trace_id=trace_id))  # type: ignore[misc]
        assert line["organization_id"] == str(owner.organization_id)


def test_the_trace_goes_on_through_a_job_that_sends_another(worker: Process, owner: Person) -> None:
    with bind_trace() as trace_id:
        sample_jobs.note_through_another.delay(**ids(owner), word="far", organization=str(owner.organization_id))
    assert entry_of(trace_id, "sample.note").data["word"] == "far"


@pytest.mark.parametrize("missing", [{}, {"organization_id": None}, {"organization_id": "nonsense"}])
def test_a_job_without_a_tenant_does_nothing_and_says_so(
    worker: Process, owner: Person, missing: dict[str, Any]
) -> None:
    with bind_trace() as trace_id:
        sent = sample_jobs.note.apply_async(kwargs={**missing, "word": "nobody"})
        sample_jobs.note.delay(**ids(owner), word="after")
    entry_of(trace_id, "sample.note")
    assert any(sent.id in line and "TenantRequired" in line for line in worker.log.read_text().splitlines())
    with operator_atomic("test"):
        assert AuditLog.objects.filter(trace_id=trace_id).count() == 1


def test_a_job_does_not_reach_anothers_rows(owner: Person) -> None:
    stranger = person()
    owner.key()
    with owner.at_work():
        api_key = ApiKey.objects.get().pk
    with bind_trace() as trace_id:
        sample_jobs.take.delay(**ids(stranger), api_key=str(api_key))
    assert entry_of(trace_id, "sample.take").data == {"taken": 0}
    with owner.at_work():
        assert ApiKey.objects.get().name == "test"


def test_a_failing_job_leaves_nothing_and_is_logged_with_trace_and_tenant(worker: Process, owner: Person) -> None:
    with bind_trace() as trace_id:
        sample_jobs.fail.delay(**ids(owner), word="broken")
    (line,) = wait_until(lambda: lines(worker.log, "task.failed", trace_id=trace_id))
    assert line["organization_id"] == str(owner.organization_id)
    assert "ZeroDivisionError" in line["exception"]
    with operator_atomic("test"):
        assert not AuditLog.objects.filter(trace_id=trace_id).exists()


def test_a_job_of_the_system_has_its_name(owner: Person) -> None:
    with bind_trace() as trace_id:
        sample_jobs.sweep.delay(word="all")
    entry = entry_of(trace_id, "sample.sweep")
    assert (entry.operator, entry.organization_id, entry.user_id) == ("sample sweep", None, None)


def test_a_job_that_nobody_guards_sees_nothing(worker: Process, owner: Person) -> None:
    owner.key()
    word = uuid4().hex
    sample_jobs.careless.apply_async(kwargs={"word": word}, queue=sample_jobs.QUEUE)
    (line,) = wait_until(lambda: lines(worker.log, "sample.careless", word=word))
    assert line["keys"] == 0


def test_called_directly_a_task_binds_and_unbinds() -> None:
    seen: list[tuple[UUID | None, UUID | None, str]] = []

    @tenant_task(name="tests.direct")
    def direct() -> str:
        tenant = current_tenant()
        seen.append((tenant.organization_id, tenant.user_id, current_trace_id()))
        return "done"

    organization_id, before = uuid4(), tenant_or_nobody()
    with bind_trace() as trace_id:
        assert direct(organization_id=organization_id, user_id=None) == "done"
    assert seen == [(organization_id, None, trace_id)]
    assert tenant_or_nobody() == before
    assert direct(organization_id=organization_id) == "done"
    assert len(seen[-1][2]) == 32
    with pytest.raises(TenantRequired):
        direct()
