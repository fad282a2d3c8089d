"""Reads. Each needs a bound tenant and a transaction, and filters by the organization as well as the policies do."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Q, QuerySet

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from workflows_app.contracts import EventDetail, RunDetail, StepDetail, WorkspaceRef
from workflows_app.engine.state import Fact
from workflows_app.models import RunEvent, StepRun, StepStatus, WorkflowConfig, WorkflowRun, Workspace
from workflows_app.models.config import STARTABLE

_STARTABLE = """
    SELECT FROM workflow_configs
    WHERE id = %s AND workspace_key = %s AND status = ANY(%s) AND (organization_id = %s OR organization_id IS NULL)
"""
# What an organization made itself comes before what is shared with it.
OWN_FIRST = F("organization_id").asc(nulls_last=True)


def workspace_list(*, active_only: bool = True) -> tuple[WorkspaceRef, ...]:
    """Return the workspaces in a fixed order, named in the active language."""
    rows = Workspace.objects.filter(is_active=True) if active_only else Workspace.objects.all()
    return tuple(WorkspaceRef(key=row.key, name=row.label, is_active=row.is_active) for row in rows)


def configs_readable() -> QuerySet[WorkflowConfig]:
    """Return the organization's own workflow versions and the shared ones, newest first, own before shared."""
    own_or_shared = Q(organization_id=current_organization_id()) | Q(organization__isnull=True)
    return WorkflowConfig.objects.filter(own_or_shared).order_by(OWN_FIRST, "-created_at", "-id")


def config_get(config_id: UUID) -> WorkflowConfig:
    """Return a version that the tenant may read: its own or a shared one. Raises NotFound."""
    config = configs_readable().filter(pk=config_id).first()
    if config is None:
        raise NotFound
    return config


def config_startable(config_id: UUID, workspace_key: str) -> bool:
    """Whether the tenant may start this version, in this workspace."""
    query, values = startable_query(config_id, workspace_key)
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchone() is not None


def startable_query(config_id: UUID, workspace_key: str) -> tuple[str, list[Any]]:
    """Return what `config_startable` asks, for a statement that depends on it: SQL with placeholders, and its values.

    It gives a row, without columns, or none.
    """
    return _STARTABLE, [config_id, workspace_key, [str(status) for status in STARTABLE], current_organization_id()]


def template_published(reference: str) -> WorkflowConfig:
    """Return the version that ``name`` (the newest that may be started) or ``name@version`` means. Raises NotFound."""
    name, _at, version = reference.partition("@")
    rows = configs_readable().filter(name=name, status__in=STARTABLE)
    config = rows.filter(version=version).first() if version else rows.order_by(OWN_FIRST, "-published_at").first()
    if config is None:
        raise NotFound
    return config


def run_get(run_id: UUID) -> RunDetail:
    """Return a run's state. Raises NotFound, also for another organization's."""
    run = WorkflowRun.objects.filter(organization_id=current_organization_id(), pk=run_id).first()
    if run is None:
        raise NotFound
    return run_detail(run)


def runs_for_subject(subject_id: UUID, *, limit: int = 50) -> tuple[RunDetail, ...]:
    """Return the newest runs about one subject (a task)."""
    runs = WorkflowRun.objects.filter(organization_id=current_organization_id(), subject_id=subject_id)
    return tuple(run_detail(run) for run in runs.order_by("-created_at", "-id")[:limit])


def run_steps(run_id: UUID) -> tuple[StepDetail, ...]:
    """Return every attempt at every step, in the order of their beginning; the one under way comes last."""
    rows = StepRun.objects.filter(organization_id=current_organization_id(), run_id=run_id)
    run = WorkflowRun.objects.filter(organization_id=current_organization_id(), pk=run_id, attempt__gt=0).first()
    under_way = (_step_under_way(run),) if run else ()
    return (*(step_detail(row) for row in rows.order_by("started_at", "position", "attempt")), *under_way)


def run_events(run_id: UUID, *, after: int = 0, limit: int = 500) -> tuple[EventDetail, ...]:
    """Return the run's log after event number ``after``, oldest first."""
    rows = RunEvent.objects.filter(organization_id=current_organization_id(), run_id=run_id, seq__gt=after)
    return tuple(_event_detail(row) for row in rows.order_by("seq")[:limit])


def run_facts(run_id: UUID, *, until: int | None = None) -> list[Fact]:
    """Return the run's history as the engine folds it, up to event number ``until``."""
    rows = RunEvent.objects.filter(organization_id=current_organization_id(), run_id=run_id).order_by("seq")
    rows = rows if until is None else rows.filter(seq__lte=until)
    return [Fact(row.type, row.step_key, row.attempt, row.data) for row in rows]


def run_detail(run: WorkflowRun) -> RunDetail:
    """Return the row as a value that may leave this room."""
    return RunDetail(
        id=run.id,
        organization_id=run.organization_id,
        user_id=run.user_id,
        config_id=run.config_id,
        workspace_key=run.workspace_key,
        stage=run.stage,
        next_stage=run.next_stage or None,
        subject_id=run.subject_id,
        stream_id=run.stream_id,
        status=run.status,
        steps=run.specs,
        cursor=run.cursor,
        context=run.context,
        error=run.error,
        cost_usd=run.cost_usd,
        trace_id=run.trace_id,
        scope=run.scope,
        attempt=run.attempt,
        wait=run.wait,
        parent_id=run.parent_id,
        branch=run.branch,
        origin_id=run.origin_id,
        origin_seq=run.origin_seq,
    )


def step_detail(row: StepRun) -> StepDetail:
    """Return the row as a value that may leave this room."""
    return StepDetail(
        key=row.key,
        action=row.action,
        via=row.via,
        attempt=row.attempt,
        status=row.status,
        output=row.output,
        error=row.error,
        model=row.model,
        tokens=row.tokens,
        cost_usd=row.cost_usd,
        duration_ms=row.duration_ms,
        path=row.path,
        stage=row.stage,
        started_at=row.started_at,
    )


def _step_under_way(run: WorkflowRun) -> StepDetail:
    step = run.specs[run.cursor]
    return StepDetail(
        key=step.key,
        action=step.action,
        via=step.via,
        attempt=run.attempt,
        status=StepStatus.RUNNING.value,
        output={},
        error=None,
        model="",
        tokens=0,
        cost_usd=Decimal(0),
        duration_ms=None,
        stage=run.stage,
        started_at=run.step_started_at,
    )


def _event_detail(row: RunEvent) -> EventDetail:
    return EventDetail(
        id=row.id,
        seq=row.seq,
        prev_event_id=row.prev_event_id,
        type=row.type,
        step_key=row.step_key,
        data=row.data,
        trace_id=row.trace_id,
        at=row.created_at.isoformat(),
        attempt=row.attempt,
    )
